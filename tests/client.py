"""Starlette's test client without its threads: an event loop takes each request, and the whole answer comes back.

Starlette's own starts a thread with a loop for each application, and its two threads wait for each other ten times in
every request, which takes as long as a third of a page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self

import httpx2
from anyio.from_thread import BlockingPortal
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message


class QuickClient(TestClient):
    """A client on the loop at `TestClient.portal`, which the tests of a worker share. Its answers must have an end."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__(app, **options)
        self._transport = _Transport(app, self._portal_factory)

    def __enter__(self) -> Self:
        if self.portal is None:
            return super().__enter__()
        life = _Life(self.app)
        with ExitStack() as stack:
            self.portal.call(life.begin)
            stack.callback(self.portal.call, life.end)
            self.exit_stack = stack.pop_all()
        return self


class _Life:
    """An application begins, and ends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._begun, self._over = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Future[None] | None = None

    async def begin(self) -> None:
        self._task = asyncio.ensure_future(self._app({"type": "lifespan", "state": {}}, self._receive, self._send))
        begun = asyncio.create_task(self._begun.wait())
        await asyncio.wait([self._task, begun], return_when=asyncio.FIRST_COMPLETED)
        if not self._begun.is_set():
            begun.cancel()
            await self._task

    async def end(self) -> None:
        self._over.set()
        assert self._task is not None
        await self._task

    async def _receive(self) -> Message:
        if not self._begun.is_set():
            return {"type": "lifespan.startup"}
        await self._over.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        assert message["type"] in {"lifespan.startup.complete", "lifespan.shutdown.complete"}, message
        self._begun.set()


class _Transport(httpx2.ASGITransport, httpx2.BaseTransport):
    """A test of the page that people see after an error sets `raise_app_exceptions` to false."""

    def __init__(self, app: ASGIApp, loop: Callable[[], AbstractContextManager[BlockingPortal]]) -> None:
        super().__init__(app, client=("testclient", 50000))
        self._loop = loop

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        # Parts of a body may come from a generator, which the loop cannot wait for.
        request.read()
        with self._loop() as loop:
            return loop.call(self._answer, request)

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self.handle_async_request(request)
        assert isinstance(answer.stream, httpx2.AsyncByteStream)
        # The parts are joined unchanged, because the client decompresses the body.
        answer.stream = httpx2.ByteStream(b"".join([part async for part in answer.stream]))
        return answer

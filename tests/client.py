"""Starlette's test client without its threads: an event loop takes each request, and the whole answer comes back.

Starlette's own starts a thread with a loop for each application, and its two threads wait for each other ten times in
every request, which takes as long as a third of a page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self
from urllib.parse import unquote

import httpx2
from anyio.from_thread import BlockingPortal
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Scope

PORTS = {"http": 80, "https": 443}
CALLER = ("testclient", 50000)


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


class _Transport(httpx2.BaseTransport):
    def __init__(self, app: ASGIApp, loop: Callable[[], AbstractContextManager[BlockingPortal]]) -> None:
        self._app, self._loop = app, loop
        # A test of the page that people see then sets this to false.
        self.raise_server_exceptions = True

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = _Exchange(request)
        with self._loop() as loop:
            try:
                loop.call(self._app, exchange.scope, exchange.receive, exchange.send)
            except Exception:
                if self.raise_server_exceptions:
                    raise
        return exchange.response()


class _Exchange:
    """A request and its answer, as an ASGI application reads and writes them."""

    def __init__(self, request: httpx2.Request) -> None:
        self._request = request
        self._is_read = False
        self._over = asyncio.Event()
        self._start: Message = {}
        self._body: list[bytes] = []
        url = request.url
        self.scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "path": unquote(url.path),
            "raw_path": url.raw_path.split(b"?", 1)[0],
            "root_path": "",
            "scheme": url.scheme,
            "query_string": url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": CALLER,
            "server": [url.raw_host.decode("ascii"), url.port or PORTS[url.scheme]],
            "extensions": {},
            "state": {},
        }

    async def receive(self) -> Message:
        if self._is_read:
            # The client waits for the whole answer.
            await self._over.wait()
            return {"type": "http.disconnect"}
        self._is_read = True
        return {"type": "http.request", "body": self._request.read(), "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            assert not self._start, "An answer begins once."
            self._start = message
        else:
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                self._over.set()

    def response(self) -> httpx2.Response:
        assert self._start, "The application gave no answer."
        body = b"" if self._request.method == "HEAD" else b"".join(self._body)
        return httpx2.Response(
            self._start["status"],
            headers=self._start.get("headers", []),
            stream=httpx2.ByteStream(body),
            request=self._request,
        )

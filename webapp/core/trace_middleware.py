"""Work after the answer: refusals are counted, and the traces of the process are written when they are due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp.exceptions import AppError


class PendingTraces(Protocol):
    """The traces that wait to be written."""

    every: float

    @property
    def waiting(self) -> bool:
        """Whether there is anything to write."""

    @property
    def due(self) -> bool:
        """Whether it should be written now."""

    def flush(self) -> None:
        """Write it; this takes a thread, and raises nothing."""


def note_refusal(request: Request, error: Exception) -> None:
    """Store the reason of a refusal for the end of the request; the first reason counts."""
    if isinstance(error, AppError) and not hasattr(request.state, "refusal"):
        request.state.refusal = error.code


class RefusalMiddleware:
    """Calls `refused(request, code, status)` after each refused request.

    `code` is the code of the error that a handler or a page has noted; '' if only the status is known.
    """

    def __init__(self, app: ASGIApp, *, refused: Callable[[Request, str, int], None]) -> None:
        self.app = app
        self.refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Inner layers copy the scope, but share this dictionary.
        state = scope.setdefault("state", {})
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self.app(scope, receive, send_on)
        if status >= 400:
            self.refused(Request(scope), state.get("refusal", ""), status)


class TraceMiddleware:
    """The outermost layer: it writes the traces that are due, after the answer was sent and logged."""

    def __init__(self, app: ASGIApp, *, traces: PendingTraces) -> None:
        self.app = app
        self.traces = traces
        self._later: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        if self.traces.due:
            await run_in_threadpool(self.traces.flush)
        elif self.traces.waiting:
            self._flush_later()

    def _flush_later(self) -> None:
        """Write the last traces a moment later, because there may be no further request to do so."""
        loop = asyncio.get_running_loop()
        if self._later is None or self._later.done() or self._later.get_loop() is not loop:
            self._later = loop.create_task(self._flush_soon())

    async def _flush_soon(self) -> None:
        await asyncio.sleep(self.traces.every)
        await run_in_threadpool(self.traces.flush)

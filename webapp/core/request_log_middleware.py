"""A line in the log for each request, an id by which it is found again, and the deadline of its waits.

The line names the route and not the path, which may hold a reference or a secret, and neither the query, the person nor
the network: the audit log says who did what.
"""

from __future__ import annotations

import logging
import re
from time import perf_counter
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp.causes import Trace, begin_trace, end_trace, new_request_id, report
from webapp.deadlines import waiting_at_most

logger = logging.getLogger("webapp.requests")

HEADER = "x-request-id"
# A proxy's id: hexadecimal digits, or a UUID. Anything else might be a name, or pretend to be a line of the log.
AN_ID = re.compile(r"[0-9A-Fa-f][0-9A-Fa-f-]{7,63}")
UNKNOWN_ROUTE = "unknown"
# The client went away before there was an answer; nginx calls it so too.
CLIENT_GONE = 499
STREAM = b"text/event-stream"


class RequestObserver(Protocol):
    """Observes each request, for metrics."""

    def begin(self) -> None:
        """A request has come."""

    def end(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""


class RequestLogMiddleware:
    """The outermost layer, so that answers of other layers are logged too."""

    def __init__(self, app: ASGIApp, *, observer: RequestObserver | None) -> None:
        self.app = app
        self.observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and log it when the answer has been sent."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        trace = Trace(request_id_of(scope))
        name = (HEADER.encode(), trace.id.encode())
        began, status, logged = perf_counter(), 0, False

        async def send_with_id(message: Message) -> None:
            nonlocal status, logged
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.get("headers", ())
                message = {**message, "headers": [*headers, name]}
                if any(field == b"content-type" and value.startswith(STREAM) for field, value in headers):
                    # It lasts as long as its page is open, and does not count as a request in progress.
                    logged = True
                    self._log(scope, trace, status, perf_counter() - began)
            await send(message)

        token = begin_trace(trace)
        if self.observer is not None:
            self.observer.begin()
        try:
            with waiting_at_most():
                await self.app(scope, receive, send_with_id)
        except Exception:
            # Before an answer began, the server answers 500.
            status = status or 500
            raise
        finally:
            if not logged:
                self._log(scope, trace, status or CLIENT_GONE, perf_counter() - began)
            end_trace(token)

    def _log(self, scope: Scope, trace: Trace, status: int, seconds: float) -> None:
        method = scope["method"]
        route = trace.route or ("/static/{file}" if scope["path"].startswith("/static/") else UNKNOWN_ROUTE)
        if status >= 500 and not trace.cause:
            report(logger, logging.WARNING, f"{status} at {route}", "%s %s was answered %d", method, route, status)
        # Written without logging's search for the calling line, which would cost more than the rest.
        record = logging.LogRecord(
            logger.name, logging.INFO, "", 0, "%s %s %d in %.1f ms", (method, route, status, seconds * 1000), None
        )
        told = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        if trace.cause:
            told["cause"] = trace.cause
        record.__dict__["request"] = told
        logger.handle(record)
        if self.observer is not None:
            self.observer.end(route, method, status, seconds)


def request_id_of(scope: Scope) -> str:
    """The id that a proxy gave the request, if it looks like one, else a new one."""
    given = Headers(scope=scope).get(HEADER, "")
    return given if AN_ID.fullmatch(given) else new_request_id()

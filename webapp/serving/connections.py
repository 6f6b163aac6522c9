"""One HTTP connection, with a limit on everything that a client may make a server store or wait for.

uvicorn's protocol takes a header of any length, and waits for the rest of it forever. This one answers 431 and 408, or
just closes the connection if no answer would be read. It writes no line to the log, because clients could fill the log
by repeating this.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# uvicorn warns of every request that is not HTTP, which would let strangers fill the log. Our own errors are logged.
logger = logging.getLogger("webapp.serving.http")
logger.setLevel(logging.ERROR)


class ConnectionLimits(NamedTuple):
    """The limits of one connection. Times are in seconds."""

    head_bytes: int = 32 * 1024
    header_fields: int = 100
    # From the first byte of a request to the end of its headers.
    head_seconds: float = 10
    # The longest form is under 1 MiB.
    body_seconds: float = 60
    # Between two pieces of a body.
    pause_seconds: float = 15
    # Until the first byte of the first request. Browsers open connections ahead of need, and open them again.
    silent_seconds: float = 10
    # Between two requests. Proxies reuse connections for a minute or less: if we closed them first, a request that is
    # on its way at that moment would be lost.
    idle_seconds: float = 75
    # Requests that are sent before an earlier one is answered. Browsers do not do this.
    pipelined: int = 10
    # How long the client may take to read an answer.
    stalled_seconds: float = 60
    # When a server stops: how long a request may still arrive on an open connection.
    linger_seconds: float = 0.3
    # When a server stops: the rest of a body.
    last_body_seconds: float = 3
    # All connections of a process. Beyond that, those that have been quiet for longest are closed.
    connections: int = 1000


Doing = Literal["silent", "idle", "head", "body", "answering"]

_REFUSALS = {
    408: b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    503: b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
}


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's connection with bounds. A subclass may set others, as tests do."""

    bounds = ConnectionLimits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.logger = logger
        self._doing: Doing = "silent"
        # All connections of this server without a request, the quietest first.
        self._quiet: dict[BoundedProtocol, None] = self.server_state.__dict__.setdefault("quiet", {})
        self._deadline: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._fields = 0
        self._stopping = False

    # ----------------------------------------------------------------------------------------------- what happens

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Bound how long the connection may stay silent, and how many there may be."""
        super().connection_made(transport)
        self._now("silent", self.bounds.silent_seconds)
        if len(self.connections) > self.bounds.connections and not self._close_quietest():
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._quiet.pop(self, None)
        self._stop_timers()
        _stop(self._stall)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; count the bytes of headers that are not complete yet."""
        super().data_received(data)
        # Bytes of a body in the same piece are not part of the headers, so the count is made afterwards.
        if self._doing == "head":
            self._head_bytes += len(data)
            if self._head_bytes > self.bounds.head_bytes:
                self._refuse(431)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_bytes = self._fields = 0
        self._now("head", self.bounds.head_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the headers. Fields after a body are not used, so they are not kept."""
        self._fields += 1
        if self._doing == "head" and self._fields <= self.bounds.header_fields:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The headers are read: refuse too long ones, else bound the time for the body."""
        length = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if self._fields > self.bounds.header_fields or length > self.bounds.head_bytes:
            self._refuse(431)
        if len(self.pipeline) >= self.bounds.pipelined:
            self.transport.close()
        if self.transport.is_closing():
            # The client reads no more answers, so the application is not called.
            return
        super().on_headers_complete()
        if self._stopping or getattr(self.server_state, "draining", False):
            self.cycle.keep_alive = False
        self._now("body", self.bounds.last_body_seconds if self._stopping else self.bounds.body_seconds)

    def on_body(self, body: bytes) -> None:
        """A piece of a body: the next one must come soon."""
        if not self.transport.is_closing():
            super().on_body(body)
            self._wait_for_more()

    def on_message_complete(self) -> None:
        """The request is read completely."""
        if self.transport.is_closing():
            return
        super().on_message_complete()
        if self.cycle.response_complete:
            self._now("idle", self.bounds.idle_seconds)
        else:
            self._now("answering", None)

    def on_response_complete(self) -> None:
        """An answer is written; if its request is read too, the connection waits for the next one."""
        super().on_response_complete()
        # Any byte stops uvicorn's own timer, so line breaks would keep a connection open.
        self._unset_keepalive_if_required()
        if self._doing == "answering" and self.cycle.response_complete:
            self._now("idle", self.bounds.idle_seconds)

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        super().pause_writing()
        self._stall = self.loop.call_later(self.bounds.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        _stop(self._stall)

    def shutdown(self) -> None:
        """The server stops: answer the current request and one that is arriving, then close the connection."""
        self._stopping = True
        if not self._is_answered:
            self.cycle.keep_alive = False
        if self._doing in {"silent", "idle"}:
            self._now(self._doing, self.bounds.linger_seconds)
        elif self._doing != "answering":
            self._now(self._doing, self.bounds.last_body_seconds)

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: we offer no other protocol, and answer a request for one as HTTP."""

    # ------------------------------------------------------------------------------------------------- the bounds

    def _now(self, doing: Doing, seconds: float | None) -> None:
        """Set the state of the connection, and how long it may last."""
        self._stop_timers()
        self._doing = doing
        self._quiet.pop(self, None)
        if doing in {"silent", "idle"} and not self.transport.is_closing():
            self._quiet[self] = None
        if seconds is None or self.transport.is_closing():
            return
        self._deadline = self.loop.call_later(seconds, self._too_slow)
        if doing == "body":
            self._wait_for_more()

    def _wait_for_more(self) -> None:
        _stop(self._pause)
        if self._doing == "body":
            self._pause = self.loop.call_later(self.bounds.pause_seconds, self._paused)

    def _paused(self) -> None:
        # While the application does not read, neither do we, so the client cannot send.
        if self.flow.read_paused:
            self._wait_for_more()
        else:
            self._too_slow()

    def _too_slow(self) -> None:
        if self._doing in {"silent", "idle"}:
            self.transport.close()
        else:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Close the connection, with this answer unless another one has begun."""
        self._stop_timers()
        if self.transport.is_closing():
            return
        if self._doing == "body":
            may_answer = not self.cycle.response_started and not self.pipeline
        else:
            may_answer = self._is_answered
        if may_answer:
            self.transport.write(_REFUSALS[status])
        self.transport.close()

    def _close_quietest(self) -> bool:
        """Close the connection that has been without a request for longest, if there is one."""
        quietest = next(iter(self._quiet))
        if quietest is self:
            return False
        del self._quiet[quietest]
        quietest.transport.close()
        return True

    @property
    def _is_answered(self) -> bool:
        # Before the first request the cycle is None, although uvicorn's annotation excludes that.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _stop_timers(self) -> None:
        _stop(self._deadline)
        _stop(self._pause)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()

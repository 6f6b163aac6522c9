"""Admits the requests that can be answered soon, and refuses the others immediately. Beyond the capacity of a process,
waiting does not help: every request waits longer than people do, memory grows with the queue, and health checks wait
like all others. So a few requests of each kind are answered at a time, a short queue waits for them, and the rest is
answered 503 with `Retry-After`, without a thread or the database. Queues are per kind: writers that wait for a lock
leave readers their places, and files need neither. Staff wait ahead of others.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp.causes import report
from webapp.core.security import MAX_BODY_BYTES, SAFE_METHODS

logger = logging.getLogger(__name__)

# A client that is refused should come back after this many seconds; a queue is gone by then.
RETRY_AFTER = 3
# These are answered in the event loop and report the state of this process, or are health checks with their own gate.
NEVER_REFUSED = {"/health/live", "/health/accepting"}
# Requests with a credential that staff used in the last half hour go ahead.
SECONDS_AHEAD = 1800.0
MOST_AHEAD = 5000
# Bodies that are read but not answered yet, of all requests together.
MOST_BODY_BYTES = 32 * 1024 * 1024
# Beyond that only short ones are read. Otherwise a few clients that send long forms slowly would keep everyone from
# signing in and booking. A thousand connections hold sixteen MiB of these.
SHORT_BODY_BYTES = 16 * 1024
# The share of the newest request in the measured time.
NEWEST = 0.1
# A request that holds a place for longer than this is waiting and computes little, so another one may come in.
SECONDS_TO_LEND = 0.25


class Limits(NamedTuple):
    """How many requests of one kind are answered at a time, and how long and how many others may wait for that."""

    places: int
    # Places of requests that take long, which are lent to others.
    lent: int = 0
    seconds: float = 0.4
    # The queue is longer for staff, and they are at its front.
    seconds_ahead: float = 1.5
    waiting: int = 200


# A process computes with one processor, so more than a few threads answer no more requests. They only make each other
# wait, and the event loop too, which accepts and refuses requests and gets its turn after all of them.
READING = Limits(2, lent=2)
WRITING = Limits(2, lent=2)
CHECKING = Limits(2)
FILES = Limits(16)


class QueuedRequest(NamedTuple):
    """One request in a queue."""

    place: asyncio.Future[bool]
    since: float


class Gate:
    """The places and the queue of one kind of request. Only the event loop's thread uses it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.busy = 0
        self.refused = 0
        self.lent = 0
        # The time from one answer to the next while requests are waiting, as a moving average.
        self.seconds = 0.02
        self._ahead: deque[QueuedRequest] = deque()
        self._others: deque[QueuedRequest] = deque()

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return len(self._ahead) + len(self._others)

    @property
    def is_full(self) -> bool:
        """Whether all places are taken."""
        return self.busy >= self.limits.places + min(self.lent, self.limits.lent)

    def is_open(self, *, ahead: bool) -> bool:
        """Whether a request that comes now would have its place soon."""
        if not self.is_full:
            return True
        queue, most = (self._ahead, self.limits.seconds_ahead) if ahead else (self._others, self.limits.seconds)
        in_front = len(self._ahead) if ahead else self.waiting
        if self.waiting >= self.limits.waiting * (2 if ahead else 1):
            return False
        if in_front < self.limits.places:
            return True
        # The queue is slower than expected if its first request should have a place by now.
        late = bool(queue) and perf_counter() - queue[0].since > most
        return not late and (in_front + 1) * self.seconds <= most

    async def enter(self, *, ahead: bool) -> bool:
        """Wait for a place; False if it takes too long after all."""
        if not self.is_full:
            self.busy += 1
            return True
        loop = asyncio.get_running_loop()
        place: asyncio.Future[bool] = loop.create_future()
        queue = self._ahead if ahead else self._others
        waiting = QueuedRequest(place, perf_counter())
        queue.append(waiting)
        timer = loop.call_later(self.limits.seconds_ahead, _give_up, queue, waiting)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self.busy -= 1
                self._let_in()
            else:
                _give_up(queue, waiting)
            raise
        finally:
            timer.cancel()

    def leave(self, seconds: float) -> None:
        """Give the place to the next one, after an answer that took this long."""
        # Requests beside it took most of its time. A few very long ones say nothing about the others.
        share = min(seconds / max(self.busy, 1), self.limits.seconds)
        self.seconds += NEWEST * (share - self.seconds)
        self.busy -= 1
        self._let_in()

    def lend(self) -> None:
        """Lend the place of a request that takes long to another one, until `take_back`."""
        self.lent += 1
        self._let_in()

    def take_back(self) -> None:
        """The request that took long is about to leave."""
        self.lent -= 1

    def _let_in(self) -> None:
        for queue in (self._ahead, self._others):
            while queue and not self.is_full:
                place = queue.popleft().place
                if not place.done():
                    self.busy += 1
                    place.set_result(True)


def _give_up(queue: deque[QueuedRequest], waiting: QueuedRequest) -> None:
    if waiting in queue:
        queue.remove(waiting)
    if not waiting.place.done():
        waiting.place.set_result(False)


class RecentStaff:
    """Sessions that answered requests of staff lately, by a hash of what the client sent.

    Clients cannot add to it: the route itself has read the session from the database.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def note(self, credential: bytes) -> None:
        """This credential was just used by staff."""
        key = _hashed(credential)
        self._until[key] = self._clock() + SECONDS_AHEAD
        self._until.move_to_end(key)
        while len(self._until) > MOST_AHEAD:
            self._until.popitem(last=False)

    def knows(self, credential: bytes) -> bool:
        """Whether staff used it lately."""
        return self._until.get(_hashed(credential), 0.0) > self._clock()


def _hashed(credential: bytes) -> bytes:
    return hashlib.blake2b(credential, digest_size=16).digest()


class AdmissionMiddleware:
    """Sends each request through the gate of its kind. `busy_response` answers those that are refused."""

    def __init__(self, app: ASGIApp, *, session_cookie: str, busy_response: Callable[[Request], Response]) -> None:
        self.app = app
        self.session_cookie = session_cookie
        self.busy_response = busy_response
        self.reading, self.writing = Gate(READING), Gate(WRITING)
        self.checking, self.files = Gate(CHECKING), Gate(FILES)
        self.staff = RecentStaff()
        self._body_bytes = 0

    def gate_of(self, scope: Scope) -> Gate | None:
        """The gate for a request; None for what is always answered."""
        path: str = scope["path"]
        if path in NEVER_REFUSED:
            return None
        if path.startswith("/health"):
            return self.checking
        if path.startswith("/static/"):
            return self.files
        return self.reading if scope["method"] in SAFE_METHODS else self.writing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request in its turn, or refuse it."""
        gate = self.gate_of(scope) if scope["type"] == "http" else None
        if gate is None:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        ahead = gate.is_full and self.staff.knows(self._credential_of(headers))
        if not gate.is_open(ahead=ahead):
            await self._refuse(gate, scope, receive, send)
            return
        body = _Body(receive)
        try:
            if _has_body(headers):
                # A place is for work, so clients that send a form slowly wait outside.
                if self._body_bytes > MOST_BODY_BYTES and not _has_short_body(headers):
                    await self._refuse(gate, scope, receive, send)
                    return
                await body.read(self._count_bytes)
            if not await gate.enter(ahead=ahead):
                await self._refuse(gate, scope, receive, send)
                return
            await self._answer(gate, scope, body.receive, send)
            if scope["state"].get("is_staff"):
                self.staff.note(self._credential_of(headers))
        finally:
            self._body_bytes -= body.size

    async def _answer(self, gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
        began, left, lent = perf_counter(), False, False
        scope.setdefault("state", {})

        def lend() -> None:
            nonlocal lent
            lent = True
            gate.lend()

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                waiting_long.cancel()
                if lent:
                    gate.take_back()
                gate.leave(perf_counter() - began)

        waiting_long = asyncio.get_running_loop().call_later(SECONDS_TO_LEND, lend)

        async def send_and_leave(message: Message) -> None:
            # The work is done when an answer begins. A client that reads it slowly, or a long list that is sent while
            # it is read, does not keep other requests waiting.
            if message["type"] == "http.response.start":
                leave()
            await send(message)

        try:
            await self.app(scope, receive, send_and_leave)
        finally:
            leave()

    async def _refuse(self, gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
        gate.refused += 1
        report(logger, logging.WARNING, "overload", "More requests than can be answered; refusing some with 503")
        response = self.busy_response(Request(scope, receive))
        response.headers["retry-after"] = str(RETRY_AFTER)
        response.headers["cache-control"] = "no-store"
        await response(scope, receive, send)

    def _credential_of(self, headers: Headers) -> bytes:
        """The credential of a client: its token or session; empty for a visitor."""
        if token := headers.get("authorization"):
            return token.encode("latin-1")
        return cookie_parser(headers.get("cookie", "")).get(self.session_cookie, "").encode()

    def _count_bytes(self, number: int) -> None:
        self._body_bytes += number


class _Body:
    """A request's body, read ahead of its turn and then handed to the application."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: deque[Message] = deque()
        self.size = 0

    async def read(self, count: Callable[[int], None]) -> None:
        """Read all of it, or as much as any form may have: then the application refuses it."""
        while self.size <= MAX_BODY_BYTES:
            message = await self._receive()
            self._messages.append(message)
            length = len(message.get("body", b""))
            self.size += length
            count(length)
            if message["type"] != "http.request" or not message.get("more_body", False):
                return

    async def receive(self) -> Message:
        """The next piece."""
        return self._messages.popleft() if self._messages else await self._receive()


def _has_short_body(headers: Headers) -> bool:
    length = headers.get("content-length", "")
    return length.isascii() and length.isdigit() and int(length[:20]) <= SHORT_BODY_BYTES


def _has_body(headers: Headers) -> bool:
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) > MAX_BODY_BYTES:
        # It is refused by its announced length, unread.
        return False
    return length != "0" or "transfer-encoding" in headers

"""How often a client may call the API: a number of requests in a moving window, for each account and each network.

Every process counts for itself, in memory: the limit only keeps one client from using all capacity, which needs no
exact sum over processes. Limits that protect passwords are counted in the database (`auth/login_throttle.py`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp.config import Rate, parse_rate
from webapp.core.api import is_api
from webapp.core.clock import seconds_now
from webapp.exceptions import AppError, RetryStatus
from webapp.i18n import gettext as _


class TooManyRequests(AppError):
    """The client calls more often than its limit allows. `retry_after` is in seconds."""

    status = 429
    code = "too_many_requests"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(_("Too many requests. Wait for the number of seconds in the Retry-After header."))
        self.status = RetryStatus(429, retry_after=retry_after)


class LimitState(NamedTuple):
    """The state of a limit after a request: whether it was allowed, how many remain, and seconds until one more is."""

    allowed: bool
    remaining: int
    wait: float


class SlidingWindow:
    """Counts requests by client in a moving window, approximately, with two numbers for each client.

    A count in the previous window is weighted by the share of it that the moving window still covers. Only one
    thread may count: that of the event loop.
    """

    def __init__(self, limit: Rate) -> None:
        self._most, self._seconds = limit
        self._window = 0
        self._before: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def count(self, client: str, now: float) -> LimitState:
        """Count a request, unless it is over the limit."""
        window, into = divmod(now, self._seconds)
        if window != self._window:
            self._before = self._counts if window == self._window + 1 else {}
            self._window, self._counts = int(window), {}
        before, count = self._before.get(client, 0), self._counts.get(client, 0)
        share = self._seconds - into
        allowed = int(before * share / self._seconds) + count < self._most
        if allowed:
            count = self._counts[client] = count + 1
        remaining = max(0, self._most - int(before * share / self._seconds) - count)
        # One more is allowed when the previous window's share has shrunk by one, at the latest when this window ends.
        wait = share % (self._seconds / before) if before else share
        return LimitState(allowed, remaining, wait)


class RateLimitMiddleware:
    """Counts requests to the API, reports what is left in headers, and refuses requests over the limit.

    `client_of` returns the name of the client's limit, and the key to count by. The headers are those of the IETF's
    draft "RateLimit header fields for HTTP".
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: dict[str, str],
        client_of: Callable[[Request], Awaitable[tuple[str, str]]],
        error_response: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        self.app = app
        self.limits: dict[str, Rate] = {name: parse_rate(text) for name, text in limits.items()}
        self.windows = {name: SlidingWindow(limit) for name, limit in self.limits.items()}
        self.client_of = client_of
        self.error_response = error_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_api(Request(scope)):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        name, client = await self.client_of(request)
        limit = self.limits[name]
        left = self.windows[name].count(client, seconds_now())
        wait = max(1, math.ceil(left.wait))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append("ratelimit-policy", f'"{name}";q={limit.amount};w={limit.seconds}')
                headers.append("ratelimit", f'"{name}";r={left.remaining};t={wait}')
            await send(message)

        if left.allowed:
            await self.app(scope, receive, send_with_headers)
            return
        response = await self.error_response(request, TooManyRequests(retry_after=wait))
        await response(scope, receive, send_with_headers)

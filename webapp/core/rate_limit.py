"""How often the API may be asked: so many requests in a moving window, for each account and each network.

Every process counts for itself, in memory: the limit keeps one client from taking all the room, which needs no exact
sum over processes. What protects passwords is counted in the database (`auth/login_throttle.py`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp.core.api import is_api
from webapp.core.clock import seconds_now
from webapp.core.i18n import gettext as _
from webapp.exceptions import AppError


class TooManyRequests(AppError):
    """The client asks more often than its limit allows. `retry_after` is in seconds."""

    status = 429
    code = "too_many_requests"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(_("You ask too often. Wait as many seconds as the header Retry-After says."))
        self.retry_after = retry_after


class RateLimitMiddleware:
    """Counts requests to the API, says in headers what is left, and turns away what is too much.

    `client_of` says who asks: the name of the limit that holds for them, and what they are counted by. The headers
    are those of the IETF's draft "RateLimit header fields for HTTP".
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: dict[str, str],
        client_of: Callable[[Request], tuple[str, str]],
        error_response: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        self.app = app
        self.limits: dict[str, RateLimitItem] = {name: parse(text) for name, text in limits.items()}
        self.limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self.client_of = client_of
        self.error_response = error_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_api(Request(scope)):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        name, client = self.client_of(request)
        limit = self.limits[name]
        allowed = self.limiter.hit(limit, name, client)
        left = self.limiter.get_window_stats(limit, name, client)
        # The limiter's own clock: to one in whole seconds, a minute would seem to last 61.
        wait = max(1, math.ceil(left.reset_time - seconds_now()))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["ratelimit-policy"] = f'"{name}";q={limit.amount};w={limit.get_expiry()}'
                headers["ratelimit"] = f'"{name}";r={max(0, left.remaining)};t={wait}'
            await send(message)

        if allowed:
            await self.app(scope, receive, send_with_headers)
            return
        response = await self.error_response(request, TooManyRequests(retry_after=wait))
        await response(scope, receive, send_with_headers)

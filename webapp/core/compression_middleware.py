"""Compresses pages and JSON, except if that could reveal a secret.

Compression makes a page shorter where it repeats itself. Someone who can make a browser load a page with words of their
choice, and who sees how long the encrypted answer is, could guess a secret in it letter by letter (BREACH). Our pages
hold no tokens for forms, and browsers send our cookies with no request of another site but a click. Still, answers that
show a secret are sent uncompressed: everything about the reader's account, answers that their route calls secret, and
pages whose address contains a secret.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Level 3 takes 60 per cent of the time of 5, and the longest answers are a tenth longer. A short answer fits into one
# packet anyway.
LEVEL = 3
MINIMUM_BYTES = 1000
# Addresses of calendars, recovery codes and tokens are shown here.
SECRETS = ("/account", "/api/v1/auth")
# A route says so of its answer with `cache-control: …, no-transform`, which also keeps proxies from compressing it.
UNTOUCHED = "no-transform"
# These leave as they are written. Starlette's own list has more types, none of which we make, and takes time each time.
STREAMS = ("text/event-stream",)
_NEVER_GZIP = re.compile(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")


class CompressionMiddleware:
    """gzip for clients that take it. Files under /static/ come compressed already."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self.app(scope, receive, send)
        elif accepts_gzip(Headers(scope=scope)) and not scope["path"].startswith(SECRETS):
            answer = _Responder(self.app, MINIMUM_BYTES, LEVEL, exclude_content_types=STREAMS)
            await answer(scope, receive, _varying(send))
        else:
            plain = IdentityResponder(self.app, MINIMUM_BYTES, exclude_content_types=STREAMS)
            await plain(scope, receive, _varying(send))


def _varying(send: Send) -> Send:
    """Let 304 say what the answer depends on, as 200 would have said (RFC 9110, section 15.4.5)."""

    async def send_varying(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 304:
            MutableHeaders(raw=message["headers"]).add_vary_header("Accept-Encoding")
        await send(message)

    return send_varying


class _Responder(GZipResponder):
    """Starlette's responder, but it looks at the answer first: only the route knows whether it holds a secret."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._is_secret = scope, False
        await super().__call__(scope, receive, send)

    async def send_with_compression(self, message: Message) -> None:
        """Send a part of the answer, compressed unless it is secret."""
        if message["type"] == "http.response.start":
            cached = Headers(raw=message.get("headers", [])).get("cache-control", "")
            self._is_secret = UNTOUCHED in cached or "token" in self._scope.get("path_params", {})
        if self._is_secret:
            await self.send(message)
        else:
            await super().send_with_compression(message)


def accepts_gzip(headers: Headers) -> bool:
    """Whether a client takes gzip."""
    accepted = headers.get("accept-encoding", "")
    return "gzip" in accepted and _NEVER_GZIP.search(accepted) is None

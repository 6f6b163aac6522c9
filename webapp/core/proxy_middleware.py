"""Detects a proxy that the settings do not name.

Behind such a proxy every client seems to have the proxy's address. Then a few wrong passwords of one person keep
everyone from signing in, without a visible reason.
"""

from __future__ import annotations

import logging
from ipaddress import ip_address
from time import monotonic

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)

HOUR = 3600.0


class UnknownProxy:
    """The address of a proxy that forwards requests and is not trusted, if one was seen in the last hour."""

    def __init__(self) -> None:
        self._address = ""
        self._seen = self._told = -HOUR

    def note(self, address: str) -> None:
        """Note a request from this proxy. It is logged once an hour."""
        self._address, self._seen = address, monotonic()
        if self._seen - self._told >= HOUR:
            self._told = self._seen
            logger.warning(
                "Requests come through a proxy at %s, which DOCKET_TRUSTED_PROXIES does not name: all clients behind "
                "it count as one, so wrong passwords of one of them keep all from signing in",
                address,
            )

    @property
    def address(self) -> str:
        """The proxy's address; empty if none was seen lately."""
        return self._address if monotonic() - self._seen < HOUR else ""


class ProxyNoticeMiddleware:
    """Looks at requests after the headers of trusted proxies were applied."""

    def __init__(self, app: ASGIApp, *, notice: UnknownProxy) -> None:
        self.app = app
        self.notice = notice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; note its sender if that is a proxy unknown to us."""
        if scope["type"] == "http" and scope.get("client"):
            forwarded = Headers(scope=scope).get("x-forwarded-for")
            peer = scope["client"][0]
            # A trusted proxy's header has replaced the peer by one of the addresses in it. Any client can send this
            # header, but only proxies send it from our own network.
            if forwarded and peer not in forwarded and is_inside(peer):
                self.notice.note(peer)
        await self.app(scope, receive, send)


def is_inside(address: str) -> bool:
    """Whether an address is of this machine or of a private network."""
    try:
        return ip_address(address).is_private
    except ValueError:
        return False

"""Checks for every request and response, before any route: headers, origin, clean text, size."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp.causes import cause_of, report
from webapp.core.trace_middleware import note_refusal
from webapp.exceptions import AppError, BadRequest, Forbidden, TooLarge, WrongHost
from webapp.i18n import gettext as _

logger = logging.getLogger(__name__)

# The longest form names every appointment that a change affects, with forty letters each.
MAX_BODY_BYTES = 1024 * 1024
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
ASKED_BY_ADDRESS = ("/health", "/metrics")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "object-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # With no-referrer a browser would send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
# The address of such a page is a secret, so even requests for our own static files must not carry it as the Referer.
# Unlike no-referrer, this policy leaves the Origin of forms intact.
SECRET_ADDRESS = {"referrer-policy": "strict-origin", "x-robots-tag": "noindex"}
# An e-mail has a style at each element, so only its document may have inline styles. It can do nothing else.
DOCUMENT_HEADERS = {
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    "x-frame-options": "SAMEORIGIN",
}
# For the page that shows such a document in a frame.
FRAMING = {"content-security-policy": f"{CONTENT_SECURITY_POLICY}; frame-src 'self'"}
HSTS = "max-age=31536000; includeSubDomains"

ErrorResponse = Callable[[Request, Exception], Awaitable[Response]]


class SecurityMiddleware:
    """Our outermost layer: it refuses requests that no route should see, and answers unexpected errors."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        base_url: str,
        api_origins: Collection[str],
        error_response: ErrorResponse,
        hosts: frozenset[str],
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.api_origins = api_origins
        self.base_url = base_url
        self.error_response = error_response
        hsts = {"strict-transport-security": HSTS} if base_url.startswith("https://") else {}
        headers = HEADERS | {"cache-control": "no-store"} | hsts
        self.headers = _encoded(headers)
        self.secret_headers = _encoded(headers | SECRET_ADDRESS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False
        # A HEAD request is answered as GET; only the body is left out.
        head_only = scope["method"] == "HEAD"
        if head_only:
            scope = {**scope, "method": "GET"}

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = list(message.get("headers", ()))
                names = {name for name, _value in given}
                # A part of the path that its route calls `token` is a secret.
                own = self.secret_headers if "token" in scope.get("path_params", {}) else self.headers
                message = {**message, "headers": given + [each for each in own if each[0] not in names]}
            elif head_only and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        request = Request(scope, receive)
        try:
            refuse_unknown_host(request, self.hosts)
            refuse_undecodable_address(scope)
            refuse_large_body(request)
            refuse_other_origin(request, base_url=self.base_url, api_origins=self.api_origins)
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            # The client has gone, or was too slow with its form, so there is nothing to answer or to log.
            return
        except AppError as error:
            note_refusal(request, error)
            response = await self.error_response(request, error)
            await response(scope, receive, send_with_headers)
        except Exception as error:
            if started:
                raise
            where = f"{scope['method']} {loggable_path(scope)!r}"
            report(logger, logging.ERROR, cause_of(error), "Unexpected error at %s", where, error=error)
            response = await self.error_response(request, error)
            await response(scope, receive, send_with_headers)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def loggable_path(scope: Scope) -> str:
    """The path for the log: a part that its route calls `token` is a secret."""
    path, token = str(scope["path"]), scope.get("path_params", {}).get("token")
    return path.replace(str(token), "…") if token else path


def refuse_undecodable_address(scope: Scope) -> None:
    """Refuse addresses that are not UTF-8 or hold NUL bytes: the databases can neither compare nor store such text.

    Raises:
        BadRequest: the path or the query is not clean.
    """
    raw = scope.get("raw_path") or scope["path"].encode()
    if not is_clean_text(raw.split(b"?")[0]) or not is_clean_text(scope["query_string"]):
        raise BadRequest(_("This address has characters that can’t be used."))


def refuse_unknown_host(request: Request, hosts: frozenset[str]) -> None:
    """Refuse a request for a host name that is not ours, such as another site's name that points to our address.

    Health checks and metrics are asked for by address, from inside.

    Raises:
        WrongHost: the Host header names another host, is missing, or occurs more than once.
    """
    if not hosts or request.scope["path"].startswith(ASKED_BY_ADDRESS):
        return
    sent = request.headers.getlist("host")
    name = re.sub(r":\d*$", "", sent[0]).lower() if len(sent) == 1 else ""
    if name.strip("[]") not in hosts:
        raise WrongHost(_("This address is not the clinic’s. Check the address that you were given."))


def refuse_large_body(request: Request) -> None:
    """Refuse a body whose announced length is too large. A body without a length is counted while it is read.

    Raises:
        TooLarge: the body is longer than `MAX_BODY_BYTES`.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > MAX_BODY_BYTES:
        raise TooLarge(_("What you sent is too long. Make it shorter and try again."))


def is_clean_text(encoded: bytes) -> bool:
    """Whether percent-encoded bytes are UTF-8 without NUL."""
    decoded = unquote_to_bytes(encoded)
    if b"\x00" in decoded:
        return False
    try:
        decoded.decode()
    except UnicodeDecodeError:
        return False
    return True


def refuse_other_origin(request: Request, *, base_url: str, api_origins: Collection[str]) -> None:
    """Require that a write comes from our own pages, since another site can make a browser send one.

    This covers every form, sign-in included. The API accepts no write with a cookie, so programs without an Origin may
    write there, and pages from anywhere that send a token. Without a token, pages of other sites than `api_origins`
    (`*`: any) may not: the browsers of their visitors would try passwords from many networks.

    Raises:
        Forbidden: neither Origin nor Sec-Fetch-Site says that the request is our own.
    """
    if request.method in SAFE_METHODS:
        return
    headers: Headers = request.headers
    origins = headers.getlist("origin")
    site = headers.get("sec-fetch-site")
    # No browser sends two. A client that does wants two programs to read different ones.
    if len(origins) <= 1:
        if site == "same-origin":
            return
        if origins and _is_our_own(origins[0], host=headers.get("host", ""), base_url=base_url):
            return
        if request.url.path.startswith("/api/"):
            by_program = not origins and site in {None, "none"}
            if (
                by_program
                or "authorization" in headers
                or "*" in api_origins
                or (origins and origins[0] in api_origins)
            ):
                return
    raise Forbidden(
        _("This form wasn’t sent from our own pages. Open the page again and send it from there."),
        code="foreign_origin",
    )


def _is_our_own(origin: str, *, host: str, base_url: str) -> bool:
    """Whether an origin is the requested address, or that of the settings, which also fix the scheme."""
    try:
        sent, own = urlsplit(origin), urlsplit(base_url)
    except ValueError:
        return False
    if own.scheme and sent.scheme != own.scheme:
        return False
    return bool(sent.netloc) and sent.netloc.lower() in {host.lower(), own.netloc}

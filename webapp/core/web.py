"""The one place where a request becomes a page, a fragment or a redirect.

`Page` is a request being answered: it opens the reading session when it is first needed, remembers the actor, and
renders. A fragment is a partial file that the page includes, so the two cannot drift apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import copy_context
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote, unquote_to_bytes, urlsplit

from anyio import CancelScope
from fastapi import Depends, Path, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import Response, StreamingResponse

from webapp.config import Settings
from webapp.core.parsing import MAX_ID
from webapp.core.security import MAX_BODY_BYTES
from webapp.core.typed_texts import TypedTexts
from webapp.core.urls import with_query
from webapp.database import Database
from webapp.exceptions import BadRequest, RetryStatus
from webapp.i18n import gettext as _

# The list of appointments that a change affects has a field for each of the 300 that it shows.
MAX_FIELDS = 500
FLASH_SECONDS = 120

P = ParamSpec("P")
T = TypeVar("T")


class Page:
    """One request for a page, and the answer to it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.settings: Settings = request.app.state.settings
        self.database: Database = request.app.state.database
        self.now: datetime = request.app.state.clock()
        self.known: dict[str, Any] = {}
        self._reading: AbstractContextManager[Session] | None = None
        self._also_said = ""
        self._meanwhile: tuple[str, Callable[[], object]] | None = None

    @cached_property
    def session(self) -> Session:
        """The reading session of this request: one snapshot, opened on first use."""
        self._reading = self.database.reading()
        session = self._reading.__enter__()
        # Every page needs the versions, and the first query is sent together with the transaction's BEGIN.
        self.request.app.state.versions_seen(session)
        return session

    def close(self) -> None:
        """Release the connection. Using the session again opens a new one, with a new snapshot."""
        if self._reading is not None:
            self._reading.__exit__(None, None, None)
            self._reading = None
            self.__dict__.pop("session", None)

    def write(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(session, …)` in one transaction, after closing the reading session.

        Raises:
            Unavailable: a lock could not be taken in time, or the database is away.
        """
        self.close()
        return self.database.write(work, *args, **kwargs)

    def trace(self, work: Callable[Concatenate[Session, P], object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Record that something was read: `work(session, …)` runs after the answer, so readers never wait for it."""
        self.request.app.state.traces.put(lambda session: work(session, *args, **kwargs))

    @property
    def is_open(self) -> bool:
        """Whether a reading session is open."""
        return self._reading is not None

    @property
    def wants_fragment(self) -> bool:
        """Whether HTMX wants a part of the page instead of the whole page."""
        headers = self.request.headers
        return "hx-request" in headers and "hx-boosted" not in headers and "hx-history-restore-request" not in headers

    @property
    def is_automatic(self) -> bool:
        """Whether the browser asks for changes without its user. A session without a user's requests still ends."""
        headers = self.request.headers
        return "docket-live" in headers or headers.get("accept") == "text/event-stream"

    def render(
        self,
        template: str,
        *,
        fragment: str | None = None,
        status: int = 200,
        public: bool = False,
        secret: bool = False,
        headers: dict[str, str] | None = None,
        **context: Any,
    ) -> Response:
        """The page, or its `fragment` if HTMX asks for one. `public` pages carry an ETag. A `secret` page shows
        something that gives access, so it is neither stored nor compressed.
        """
        name = fragment if fragment is not None and self.wants_fragment else template
        loaded = self.request.app.state.templates.get_template(name)
        context = self.request.app.state.page_context(self) | {"status": status} | context
        # Most pieces are ASCII, which is encoded many times faster than a whole page with a single curly quote.
        body = b"".join(map(str.encode, loaded.generate(context)))
        self.close()
        response = Response(body, status, media_type="text/html; charset=utf-8", headers=headers)
        response.headers["vary"] = "Cookie, HX-Request, HX-Boosted, HX-History-Restore-Request"
        if isinstance(status, RetryStatus):
            response.headers["retry-after"] = str(status.retry_after)
        if secret:
            response.headers["cache-control"] = "no-store, no-transform"
        if public and status == 200:
            signed_in = context["actor"] is not None
            response.headers["etag"] = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
            response.headers["cache-control"] = "private, no-cache" if signed_in else "no-cache"
            response = self.unless_known(response)
        if context["flash"] is not None and name == template:
            response.delete_cookie(self.flash_cookie, path="/", secure=self.settings.secure_cookies, httponly=True)
        return response

    def unless_known(self, response: Response) -> Response:
        """The answer, or 304 if the client knows its ETag."""
        tag = response.headers.get("etag")
        if tag is None or tag not in self.request.headers.get("if-none-match", ""):
            return response
        kept = {name: response.headers[name] for name in ("vary", "etag", "cache-control")}
        return Response(status_code=304, headers=kept)

    def stream(self, template: str, **context: Any) -> Response:
        """A page that may be very long, sent in pieces as it is rendered. It is personal, so nothing may store it.

        Values that read the database do so while the page is sent, with their own sessions.
        """
        loaded = self.request.app.state.templates.get_template(template)
        pieces = loaded.stream(self.request.app.state.page_context(self) | {"status": 200} | context)
        self.close()
        pieces.enable_buffering(100)
        headers = {"cache-control": "no-store"}
        return StreamingResponse(_in_this_context(pieces), media_type="text/html; charset=utf-8", headers=headers)

    def add_to_flash(self, sentence: str) -> None:
        """Add a sentence to the message on the next page."""
        self._also_said = sentence

    def work_after_redirect(self, address: str, work: Callable[[], object]) -> None:
        """Do long work after the redirect is sent, and let it lead to the page at `address`, which shows how far it is.

        That page gets the address of the next one as `next`. The work goes on if the browser is closed.
        """
        self._meanwhile = (address, work)

    def redirect(self, address: str, *, flash: str | None = None, tone: str = "ok") -> Response:
        """Send the browser to another page after a write: 303, or for HTMX a header with the address."""
        if self._meanwhile is not None:
            address = with_query(self._meanwhile[0], next=address)
        address = quote(address, safe="/?&=%#:;,+@!$'()*[]~")
        if "hx-request" in self.request.headers:
            response = Response(status_code=204, headers={"hx-redirect": address})
        else:
            response = Response(status_code=303, headers={"location": address})
        if self._meanwhile is not None:
            response.background = BackgroundTask(self._meanwhile[1])
        if flash is not None and self._also_said:
            flash = f"{flash} {self._also_said}"
        if flash is not None:
            self.set_cookie(response, self.flash_cookie, self._flash_signer.dumps([tone, flash]), FLASH_SECONDS)
        return response

    def set_cookie(self, response: Response, name: str, value: str, max_age: int) -> None:
        """Set a cookie that scripts cannot read and that is sent with requests from our own pages only."""
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.settings.secure_cookies,
        )

    def cookie_name(self, name: str) -> str:
        """The cookie's name, with the `__Host-` prefix where Docket is served over https."""
        return cookie_name(name, self.settings)

    @property
    def flash_cookie(self) -> str:
        """The name of the cookie that carries a message to the next page."""
        return self.cookie_name("docket_flash")

    @cached_property
    def flash(self) -> dict[str, str] | None:
        """The message that the previous page left for this one."""
        cookie = self.request.cookies.get(self.flash_cookie)
        if cookie is None:
            return None
        try:
            tone, text = self._flash_signer.loads(cookie, max_age=FLASH_SECONDS)
        except BadSignature:
            return None
        return {"tone": tone, "text": text}

    @property
    def _flash_signer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.settings.secret_keys, salt="flash")

    def describe(self, address: str) -> str | None:
        """The target of an address in words: the appointment that the user was choosing when they had to sign in."""
        words: str | None = self.request.app.state.describe(self, address)
        return words

    @property
    def base_url(self) -> str:
        """The address of Docket, without a trailing slash: from the settings, else from the request."""
        return self.settings.base_url or str(self.request.base_url).rstrip("/")

    @property
    def here(self) -> str:
        """The path of the request, with its query."""
        path, query = self.request.url.path, self.request.url.query
        return f"{path}?{query}" if query else path

    @property
    def address(self) -> str:
        """The network address of the client."""
        return self.request.client.host if self.request.client else ""


def copy_of(response: Response) -> Response:
    """A copy of an answer that is kept for several clients, because outer layers add their headers to it."""
    copy = Response(response.body, response.status_code)
    copy.raw_headers = list(response.raw_headers)
    return copy


def _in_this_context(pieces: Iterator[str]) -> Iterator[str]:
    """The pieces, rendered with the context variables of this request: other threads render them, one after another."""
    here = copy_context()

    def rest() -> Iterator[str]:
        while (piece := here.run(next, pieces, None)) is not None:
            yield piece

    return rest()


def open_page(request: Request) -> Page:
    """The page of a request, the same each time."""
    page: Page | None = getattr(request.state, "page", None)
    if page is None:
        page = request.state.page = Page(request)
    return page


async def _current_page(request: Request) -> Page:
    # A function that is not async would be run in a thread.
    return open_page(request)


CurrentPage = Annotated[Page, Depends(_current_page)]


async def close_page(request: Request) -> None:
    """Release the connection of the request's page, before the answer is sent."""
    # Removed, because the two refer to each other and would wait for the garbage collector.
    page: Page | None = request.scope.get("state", {}).pop("page", None)
    # Normally render() has closed it in the worker thread already.
    if page is not None and page.is_open:
        with CancelScope(shield=True):
            await run_in_threadpool(page.close)


class SentFields(FormData):
    """The fields of a sent form; `texts` are those that its user typed."""

    def __init__(self, fields: FormData | None = None) -> None:
        super().__init__(fields or [])
        self.texts = TypedTexts([(name, text) for name, text in self.multi_items() if isinstance(text, str)])


async def _read_form(request: Request) -> SentFields:
    """The form's fields: UTF-8 without NUL bytes, and no files. The form itself refuses a field that is too long.

    Raises:
        BadRequest: the body is not a form, or not text.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    body = await request.body()
    if not body:
        return SentFields()
    if kind != "application/x-www-form-urlencoded":
        raise BadRequest(_("We couldn’t read this form. Open the page again and send it from there."))
    decoded = unquote_to_bytes(body)
    try:
        decoded.decode()
    except UnicodeDecodeError:
        raise BadRequest(_("The form contains something that isn’t text.")) from None
    if b"\x00" in decoded:
        raise BadRequest(_("The form contains a character that isn’t text."))
    form = await request.form(max_files=0, max_fields=MAX_FIELDS, max_part_size=MAX_BODY_BYTES)
    sent = SentFields(form)
    # An error page shows or keeps typed text that would otherwise be lost.
    request.state.sent = sent
    return sent


SentForm = Annotated[SentFields, Depends(_read_form)]

# An id in the path of an address. Both databases store ids in four bytes.
PathId = Annotated[int, Path(ge=1, le=MAX_ID)]


def cookie_name(name: str, settings: Settings) -> str:
    """The full name of a cookie; with `__Host-`, browsers accept it only from this host."""
    return f"__Host-{name}" if settings.secure_cookies else name


def local_path(address: str, *, default: str = "/") -> str:
    """`address` if it is a path on this site, else `default`: no sign-in redirects to another site."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return default
    is_local = not parts.scheme and not parts.netloc and address.startswith("/")
    has_trick = address.startswith(("//", "/\\")) or "\\" in address or any(ord(letter) < 32 for letter in address)
    return address if is_local and not has_trick else default

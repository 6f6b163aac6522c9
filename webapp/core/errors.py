"""Errors as pages: what happened and what to do now, with the HTTP status."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from webapp.causes import request_id
from webapp.core.urls import with_query
from webapp.core.web import Page, SentFields, local_path
from webapp.exceptions import AppError, NotConfirmed, NotSignedIn, RetryStatus
from webapp.i18n import gettext as _

Words = tuple[str, str]
Action = tuple[str, str]


def words_for(status: int) -> Words:
    """The title and the sentence for a status, for errors without them."""
    known: dict[int, Words] = {
        400: (_("Something is wrong with that link or form"), _("We couldn’t read it. Go back and try again.")),
        401: (_("Please sign in"), _("You need to sign in to do this.")),
        403: (
            _("You don’t have access to this page"),
            _("Your account can’t do this. If you think it should, ask the clinic."),
        ),
        404: (_("Page not found"), _("Check the address, or start again from the home page.")),
        405: (
            _("This page can’t be opened"),
            _("Go back and try again, or start again from the home page."),
        ),
        409: (_("Something has changed"), _("Check the page again before you continue.")),
        421: (_("Wrong web address"), _("Check the address that you were given.")),
        413: (
            _("That’s too much text"),
            _("What you sent is too long. Make it shorter and try again."),
        ),
        422: (_("That’s not possible"), _("Go back, change your answers and try again.")),
        429: (_("Please wait a few minutes"), _("There have been too many attempts. Try again in a few minutes.")),
        503: (_("We’re very busy"), _("Nothing has changed. Please try again in a moment.")),
    }
    broken = (
        _("Sorry, something went wrong"),
        _("This is our fault, not yours. Try again. If it keeps happening, call us and give the number below."),
    )
    return known.get(status, broken)


def error_page(
    page: Page,
    error: Exception,
    *,
    actions: Sequence[Action] = (),
) -> Response:
    """The answer to an error: a page, or a fragment for HTMX; a visitor is sent to the sign-in page and back.

    If the fault is ours, the page shows the request's id, under which the log says what happened.

    `actions` replace the usual link, which leads to the first page of the reader's role. The page repeats what was
    typed, because a user could not type it again from memory.
    """
    request = page.request
    if isinstance(error, NotSignedIn) and request.method in {"GET", "HEAD"}:
        return page.redirect(with_query("/login", next=page.here))
    if isinstance(error, NotConfirmed):
        return _ask_to_confirm(page)
    status, text = _status_and_text(error)
    title, default_text = words_for(status)
    if isinstance(error, AppError):
        title = str(error.title or title)
        actions = actions or [(str(words), address) for words, address in error.onward]
    sent: SentFields | None = getattr(request.state, "sent", None)
    typed = sent.texts.labelled() if sent is not None else []
    kept: tuple[str, str] | None = None
    if isinstance(error, NotSignedIn):
        text = _("You’ve been signed out, so nothing has changed.")
        kept = request.app.state.keep_unsent_form(page)
        if kept is not None:
            text, typed = f"{text} {_('Sign in, and your form will be there, filled in.')}", []
    if status == 401:
        sign_in = (_("Sign in"), with_query("/login", next=kept[0] if kept else way_back(request)))
        actions = [sign_in, *(actions or [(_("Find a time"), "/")])]
    response = page.render(
        "core/errors/page.html",
        fragment="core/errors/_fragment.html",
        status=status,
        headers=headers_of(error),
        title=title,
        text=text or default_text,
        actions=actions,
        reference=request_id() if status >= 500 else None,
        typed=typed,
    )
    if kept:
        request.app.state.set_draft_cookie(page, response, kept[1])
    return response


def _ask_to_confirm(page: Page) -> Response:
    """Redirect a user to the page where they confirm who they are; afterwards they return to the page or form that they
    wanted.
    """
    request, kept, wanted = page.request, None, page.here
    if request.method not in {"GET", "HEAD"}:
        kept = request.app.state.keep_unsent_form(page)
        wanted = kept[0] if kept else way_back(request)
    response = page.redirect(with_query("/confirm", next=wanted))
    if kept:
        request.app.state.set_draft_cookie(page, response, kept[1])
    return response


def headers_of(error: Exception) -> dict[str, str]:
    """The headers of an error, such as when to try again."""
    if isinstance(error, HTTPException):
        return dict(error.headers or {})
    if isinstance(error, AppError) and isinstance(error.status, RetryStatus):
        return {"retry-after": str(error.status.retry_after)}
    return {}


def lead_back_to(request: Request, address: str) -> None:
    """Let a user who must sign in first return to `address`: the page with the form."""
    request.state.way_back = address


def way_back(request: Request) -> str:
    """The page of ours from which a form was sent, or ''. It is the Referer if the route does not name one."""
    named: str | None = getattr(request.state, "way_back", None)
    if named is not None:
        return named
    try:
        parts = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return ""
    if not parts.netloc or parts.netloc != request.headers.get("host", "") or parts.path in {"/login", "/register"}:
        return ""
    return local_path(f"{parts.path}?{parts.query}" if parts.query else parts.path, default="")


def _status_and_text(error: Exception) -> tuple[int, str | None]:
    if isinstance(error, AppError):
        return error.status, error.message
    if isinstance(error, HTTPException):
        return error.status_code, None
    if isinstance(error, RequestValidationError):
        # Only typed parts of a path can fail here, and such a path is no page of ours.
        in_path = all(problem["loc"][0] == "path" for problem in error.errors())
        return (404 if in_path else 422), None
    return 500, None

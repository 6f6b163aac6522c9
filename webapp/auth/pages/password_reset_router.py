"""Requesting a link that sets a new password, for users who forgot theirs."""

from __future__ import annotations

from starlette.responses import Response

from webapp.audit.security_events import ObservedEvent
from webapp.auth import login_throttle
from webapp.auth.pages.draft_dependencies import remember_wanted
from webapp.auth.pages.forms import PasswordResetForm
from webapp.auth.passwords import password_reset
from webapp.core.forms import Submission
from webapp.core.networks import network_of
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, SentForm

router = Router()


@router.get("/password/forgot")
def show_request(page: CurrentPage) -> Response:
    """The form for the e-mail address of an account, or what to do after it was sent; everyone."""
    query = page.request.query_params
    return _request_page(page, PasswordResetForm(data={"next": query.get("next", "")}), sent="sent" in query)


@router.post("/password/forgot")
def request_link(page: CurrentPage, sent: SentForm) -> Response:
    """Send a link to the account with that address, if there is one, and never reveal whether; everyone."""
    form = PasswordResetForm(sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        letterhead: dict[str, str] = page.request.app.state.letterhead(page)
        seen = ObservedEvent("reset_throttled", network=network_of(page.address))
        page.close()
        login_throttle.admitted(
            page.database,
            password_reset.request_link,
            seen,
            page.now,
            command,
            letterhead,
            keys=page.settings.secret_keys,
            address=page.address,
            now=page.now,
        )
        wanted = form.next.data or ""
        response = page.redirect(with_query("/password/forgot", sent=1, next=wanted))
        remember_wanted(page, response, command.email, wanted)
        return response
    return _request_page(page, form, status=submission.status)


def _request_page(
    page: Page,
    form: PasswordResetForm,
    *,
    sent: bool = False,
    status: int = 200,
) -> Response:
    wanted = form.next.data or ""
    return page.render(
        "auth/pages/password_forgot.html",
        status=status,
        form=form,
        sent=sent,
        login_href=with_query("/login", next=wanted),
        again_href=with_query("/password/forgot", next=wanted),
    )

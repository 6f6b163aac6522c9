"""Signing in and out."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from starlette.responses import Response

from webapp.auth import service, sessions
from webapp.auth.dependencies import (
    clear_session_cookie,
    current_session,
    known_device,
    onward_of,
    session_secret,
)
from webapp.auth.pages.draft_dependencies import drop_draft
from webapp.auth.pages.entry_dependencies import enter
from webapp.auth.pages.forms import LoginForm
from webapp.auth.pages.sign_in_code_dependencies import send_code, stop_waiting, waiting
from webapp.auth.sign_in.signing_in import sign_in
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

router = Router()


@router.get("/login")
def show_login(page: CurrentPage) -> Response:
    """The sign-in page; everyone. A user who is signed in already is redirected."""
    wanted = page.request.query_params.get("next", "")
    found = current_session(page)
    if found is not None:
        return page.redirect(onward_of(found, wanted))
    asked = waiting(page)
    return _login_page(page, LoginForm(data={"next": wanted, "email": asked.email if asked else ""}))


@router.post("/login")
def log_in(page: CurrentPage, sent: SentForm) -> Response:
    """Sign in and go to the page that the user wanted, or send a code to sign in with; everyone."""
    form = LoginForm(sent)
    form.by = str(sent.get("by", ""))
    with Submission(form) as submission:
        if form.wants_code:
            return send_code(page, submission.read(form.code_command), form.next.data or "")
        command = submission.read(
            partial(
                form.command,
                address=page.address,
                user_agent=page.request.headers.get("user-agent", ""),
                known_device=known_device(page, form.email.data or ""),
            )
        )
        previous = session_secret(page)
        page.close()
        _verified, secret = sign_in(page.database, command, service.finish_login, previous=previous, now=page.now)
        response = enter(page, secret, form.next.data or "")
        stop_waiting(page, response)
        return response
    return _login_page(page, form, status=submission.status)


@router.post("/logout")
def log_out(page: CurrentPage) -> Response:
    """End this session; everyone, because signing out twice is harmless."""
    # Also one that still waits for the second factor.
    found = current_session(page)
    page.close()
    if found is not None:
        # Another tab may have signed out at the same moment.
        with suppress(NotFound):
            page.write(sessions.end_session, found.actor, found.actor.session_id, now=page.now)
    response = page.redirect("/", flash=_("You are signed out."), tone="info")
    clear_session_cookie(page, response)
    drop_draft(page, response)
    stop_waiting(page, response)
    return response


def _login_page(page: Page, form: LoginForm, *, status: int = 200) -> Response:
    wanted = form.next.data or ""
    return page.render(
        "auth/pages/login.html",
        status=status,
        form=form,
        intent=page.describe(wanted),
        demo=page.request.app.state.demo_accounts(page),
        providers=[
            (each.shown, with_query(f"/login/sso/{each.name}", next=wanted)) for each in page.settings.oidc_providers
        ],
        register_href=with_query("/register", next=wanted),
        password_reset_href=with_query("/password/forgot", next=wanted),
    )

"""Signing in and out."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter
from starlette.responses import Response

from webapp.auth import attempts, service
from webapp.auth.dependencies import (
    clear_session_cookie,
    current_actor,
    known_device,
    session_secret,
    set_device_cookie,
    set_session_cookie,
)
from webapp.auth.exceptions import WrongCredentials
from webapp.auth.forms import LoginForm
from webapp.auth.schemas import LogIn, Role
from webapp.core.addresses import with_query
from webapp.core.i18n import gettext as _
from webapp.core.web import CurrentPage, Page, SentForm, local_path
from webapp.exceptions import AppError, NotFound

router = APIRouter()

HOME: dict[Role, str] = {"patient": "/", "doctor": "/schedule", "admin": "/admin"}


def home_of(role: Role, wanted: str = "") -> str:
    """Where somebody goes after signing in: back to what they wanted, else to their role's first page."""
    return local_path(wanted, default=HOME[role]) if wanted else HOME[role]


def retry_headers(error: AppError) -> dict[str, str] | None:
    """When to try again, where the error says so."""
    seconds = getattr(error, "retry_after", None)
    return None if seconds is None else {"retry-after": str(seconds)}


@router.get("/login")
def show_login(page: CurrentPage) -> Response:
    """The log-in page; everybody. Who is signed in already goes on."""
    wanted = page.request.query_params.get("next", "")
    actor = current_actor(page)
    if actor is not None:
        return page.redirect(home_of(actor.role, wanted))
    return _login_page(page, LoginForm(data={"next": wanted}))


@router.post("/login")
def log_in(page: CurrentPage, sent: SentForm) -> Response:
    """Sign in, and go on to where the person was going; everybody."""
    form = LoginForm(sent)
    command = None
    if form.validate():
        command = form.command(
            address=page.address,
            user_agent=page.request.headers.get("user-agent", ""),
            known_device=known_device(page, form.email.data or ""),
        )
    if command is None:
        return _login_page(page, form, status=422)
    try:
        role, secret = _log_in(page, command)
    except AppError as error:
        form.add_error(error)
        return _login_page(page, form, status=error.status, headers=retry_headers(error))
    response = page.redirect(home_of(role, form.next.data or ""))
    set_session_cookie(page, response, secret)
    set_device_cookie(page, response, command.email)
    return response


def _log_in(page: Page, command: LogIn) -> tuple[Role, str]:
    """Be admitted, judged and signed in; the slow hash is computed while no lock and no connection is held."""
    page.close()
    attempt = page.database.write(service.admit_login, command, now=page.now)
    account = service.find_account(page.session, command.email)
    page.close()
    try:
        verified = service.verify_login(account, command.password)
        secret = page.database.write(
            service.finish_login, attempt, verified, command, now=page.now, previous=session_secret(page)
        )
    except WrongCredentials:
        page.database.write(attempts.judge, attempt)
        raise
    return verified.role, secret


@router.post("/logout")
def log_out(page: CurrentPage) -> Response:
    """End this session; everybody, for there is nothing to log out of twice."""
    actor = current_actor(page)
    page.close()
    if actor is not None:
        # Another tab may have signed out at the same moment.
        with suppress(NotFound):
            page.database.write(service.end_session, actor, actor.session_id)
    response = page.redirect("/", flash=_("You are signed out."), tone="info")
    clear_session_cookie(page, response)
    return response


def _login_page(page: Page, form: LoginForm, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    wanted = form.next.data or ""
    return page.render(
        "auth/login.html",
        status=status,
        headers=headers,
        form=form,
        intent=page.describe(wanted),
        demo=page.request.app.state.demo_accounts(page),
        register_href=with_query("/register", next=wanted),
    )

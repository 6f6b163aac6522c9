"""Entering the code that was sent to an e-mail address; and, for new patients, a name and the first booking."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from webapp.appointments import code_sign_in
from webapp.appointments.code_sign_in import CodeResult, EnteredCode
from webapp.appointments.pages import first_booking_page
from webapp.appointments.pages.forms import FirstBookingForm
from webapp.audit.security_events import ObservedEvent
from webapp.auth import login_throttle
from webapp.auth.dependencies import (
    current_actor,
    home_of,
    known_device,
    session_secret,
)
from webapp.auth.exceptions import TooManyLogins, TooManyWrongCodes, WrongCode
from webapp.auth.pages.entry_dependencies import enter
from webapp.auth.pages.forms import CodeForm
from webapp.auth.pages.sign_in_code_dependencies import PendingSignIn, send_code, stop_waiting, waiting
from webapp.auth.schemas import AskForCode
from webapp.auth.sign_in import sign_in_codes
from webapp.clinic.dependencies import current_clinic
from webapp.core.email_address import doubt_about
from webapp.core.forms import Submission
from webapp.core.networks import network_of
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.i18n import gettext as _
from webapp.patients.forms import keep_asked_fields
from webapp.patients.schemas import Origin

router = Router()


@router.get("/login/code")
def show_code(page: CurrentPage) -> Response:
    """The form for the code; everyone who has just asked for one."""
    asked = waiting(page)
    if asked is None:
        return _start_again(page)
    if sign_in_codes.find_proof(page.session, asked.browser, asked.email, now=page.now) is not None:
        return page.redirect("/register/details")
    return _code_page(page, asked, CodeForm())


@router.post("/login/code")
def enter_code(page: CurrentPage, sent: SentForm) -> Response:
    """Sign in with the code, or go on to a new account; everyone who has just asked for one."""
    asked = waiting(page)
    if asked is None:
        return _start_again(page)
    form = CodeForm(sent)
    with Submission(form) as submission:
        code = submission.read(lambda: form.digits)
        entered = _try(page, asked, code)
        if not entered.secret:
            return page.redirect("/register/details")
        return _signed_in(page, asked, entered, home_of(entered.role, asked.wanted))
    return _code_page(page, asked, form, status=submission.status)


@router.post("/login/code/again")
def send_another(page: CurrentPage) -> Response:
    """Send another code to the same address; everyone who has just asked for one."""
    asked = waiting(page)
    if asked is None:
        return _start_again(page)
    form = CodeForm()
    with Submission(form) as submission:
        return send_code(page, AskForCode(email=asked.email), asked.wanted)
    return _code_page(page, asked, form, status=submission.status)


@router.get("/register/details")
def show_details(page: CurrentPage) -> Response:
    """The form with the details of a new patient; everyone who has just entered a code, and has no account."""
    asked = waiting(page)
    if asked is None:
        return _start_again(page)
    if sign_in_codes.find_proof(page.session, asked.browser, asked.email, now=page.now) is None:
        return page.redirect("/login/code")
    return _details_page(page, asked, FirstBookingForm())


@router.post("/register/details")
def create_account(page: CurrentPage, sent: SentForm) -> Response:
    """Create an account without a password, sign in, and book what was chosen; everyone who has just entered a code."""
    asked = waiting(page)
    if asked is None:
        return _start_again(page)
    form = FirstBookingForm(sent)
    keep_asked_fields(form, current_clinic(page))
    with Submission(form) as submission:
        command = submission.read(lambda: form.command_for(asked.email))
        entered = page.write(code_sign_in.create_account, command, _typed(page, asked), _origin(page), now=page.now)
        if not first_booking_page.names_appointment(asked.wanted):
            return _signed_in(page, asked, entered, home_of(entered.role, asked.wanted), _("Your account is ready."))
        actor = first_booking_page.actor_of(page, entered.secret)
        booked = first_booking_page.book(page, actor, asked.wanted, form.reason.data or "")
        response = _signed_in(page, asked, entered, booked.address)
        first_booking_page.keep_reason(page, response, actor, booked)
        return response
    return _details_page(page, asked, form, status=submission.status)


def _try(page: Page, asked: PendingSignIn, code: str) -> CodeResult:
    """Enter the code, as one of the attempts that a network has.

    Raises:
        WrongCode, TooManyWrongCodes, AttemptsUnderWay.
    """
    device = known_device(page, asked.email)
    seen = ObservedEvent("sign_in_throttled", about=sign_in_codes.ENTERING, network=network_of(page.address))
    page.close()
    admit = partial(sign_in_codes.admit, email=asked.email, device=device, address=page.address, now=page.now)
    try:
        attempt = login_throttle.admitted(page.database, admit, seen, page.now)
    except TooManyLogins as error:
        raise TooManyWrongCodes(retry_after=error.retry_after or 1) from error
    typed = _typed(page, asked, code)
    entered = page.write(
        code_sign_in.enter_code,
        typed,
        _origin(page),
        attempt_id=attempt,
        keys=page.settings.secret_keys,
        now=page.now,
    )
    if entered.verdict != "right":
        raise WrongCode(entered.verdict)
    return entered


def _typed(page: Page, asked: PendingSignIn, code: str = "") -> EnteredCode:
    return EnteredCode(asked.browser, asked.email, code, known=bool(known_device(page, asked.email)))


def _origin(page: Page) -> Origin:
    return Origin(page.address, page.request.headers.get("user-agent", ""), session_secret(page))


def _signed_in(
    page: Page, asked: PendingSignIn, entered: CodeResult, address: str, flash: str | None = None
) -> Response:
    if entered.over:
        flash = _("You’re signed in. Your address wasn’t confirmed before, so a password set earlier no longer works.")
    if entered.made:
        flash = _("Welcome. Your account is ready.")
    response = enter(page, entered.secret, asked.wanted, onward=address, flash=flash)
    stop_waiting(page, response)
    return response


def _start_again(page: Page) -> Response:
    """No code was requested in this browser, or too long ago."""
    actor = current_actor(page)
    return page.redirect("/login" if actor is None else home_of(actor.role))


def _code_page(page: Page, asked: PendingSignIn, form: CodeForm, *, status: int = 200) -> Response:
    shown = None
    if page.settings.environment == "development" and not page.settings.smtp_url:
        keys = page.settings.secret_keys
        shown = sign_in_codes.shown_code(page.session, asked.browser, asked.email, keys=keys, now=page.now)
    return page.render(
        "appointments/pages/code.html",
        status=status,
        form=form,
        email=asked.email,
        doubt=doubt_about(asked.email),
        minutes=int(sign_in_codes.LIFETIME.total_seconds()) // 60,
        shown=shown,
        intent=page.describe(asked.wanted),
        login_href=with_query("/login", next=asked.wanted),
    )


def _details_page(
    page: Page,
    asked: PendingSignIn,
    form: FirstBookingForm,
    *,
    status: int = 200,
) -> Response:
    keep_asked_fields(form, current_clinic(page))
    return page.render(
        "appointments/pages/first_booking.html",
        status=status,
        form=form,
        email=asked.email,
        **first_booking_page.shown(page, asked.wanted),
    )

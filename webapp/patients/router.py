"""Creating an account and managing it."""

from __future__ import annotations

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.auth import feeds, sessions
from webapp.auth import service as auth
from webapp.auth.addresses import confirmation
from webapp.auth.addresses import service as addresses
from webapp.auth.dependencies import (
    clear_session_cookie,
    clinic_words,
    current_actor,
    home_of,
    require_factor,
    set_session_cookie,
    signed_in,
)
from webapp.auth.exceptions import TooManyConfirmations
from webapp.auth.pages.forms import EmailForm, PasswordForm
from webapp.auth.pages.password_dependencies import counted_attempt
from webapp.auth.pages.sign_in_code_dependencies import asking_browser, lead_to_code
from webapp.auth.schemas import Actor, ChangeEmail, ChangePassword
from webapp.auth.second_factor import passkeys
from webapp.auth.second_factor import service as second_factor
from webapp.auth.sign_in import first_password
from webapp.clinic.dependencies import current_clinic
from webapp.core.errors import error_page, lead_back_to
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.patients import dependants, message_preferences, registration, service
from webapp.patients.forms import MessagesForm, ProfileForm, RegisterForm, StaffProfileForm, keep_asked_fields
from webapp.patients.presenters import device_lines, linked_identities, person_line

router = Router()


@router.get("/register")
def show_register(page: CurrentPage) -> Response:
    """The form for a new account; everyone. A user who is signed in already is redirected."""
    wanted = page.request.query_params.get("next", "")
    actor = current_actor(page)
    if actor is not None:
        return page.redirect(home_of(actor.role, wanted))
    form = RegisterForm(data={"next": wanted})
    keep_asked_fields(form, current_clinic(page))
    return _register_page(page, form)


@router.post("/register")
def register(page: CurrentPage, sent: SentForm) -> Response:
    """Store the registration, and send a code that creates the account, or signs in to the existing one; everyone. The
    answer is the same for every address, so that it does not reveal who has an account.
    """
    form = RegisterForm(sent)
    keep_asked_fields(form, current_clinic(page))
    with Submission(form) as submission:
        command = submission.read(form.command)
        asked, letterhead = asking_browser(page, command.email), current_clinic(page).letterhead
        page.close()
        more = (asked, letterhead, page.settings.secret_keys)
        registration.register(
            page.database, command, registration.ask_for_code, *more, address=page.address, now=page.now
        )
        return lead_to_code(page, asked, command.email, form.next.data or "")
    return _register_page(page, form, status=submission.status)


@router.get("/account")
def show_account(page: CurrentPage) -> Response:
    """The actor's own account; everyone who is signed in."""
    return _account_page(page, signed_in(page))


@router.post("/account")
def update_account(page: CurrentPage, sent: SentForm) -> Response:
    """Change name, telephone and date of birth; everyone who is signed in, for themselves."""
    actor = signed_in(page)
    form = ProfileForm(sent) if actor.role == "patient" else StaffProfileForm(sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        page.write(service.update_profile, actor, command, now=page.now)
        return page.redirect("/account", flash=_("Your details are saved."))
    return _account_page(page, actor, profile=form, status=submission.status)


@router.post("/account/messages")
def choose_messages(page: CurrentPage, sent: SentForm) -> Response:
    """Choose which messages about appointments to get; patients, for themselves and the people they book for."""
    actor = signed_in(page, "patient")
    form = MessagesForm(sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        page.write(message_preferences.change_message_preferences, actor, command, now=page.now)
        if not (command.wants_email or command.wants_sms):
            sentence = _("Saved. You won’t get any messages about your appointments, even if one is cancelled.")
            return page.redirect("/account", flash=sentence, tone="info")
        return page.redirect("/account", flash=_("Your message settings are saved."))
    return _account_page(page, actor, messages=form, status=submission.status)


@router.post("/account/email/confirmation")
def send_confirmation(page: CurrentPage) -> Response:
    """Send the actor's confirmation mail again; everyone who is signed in, for themselves."""
    lead_back_to(page.request, "/account")
    actor = signed_in(page)
    letterhead = current_clinic(page).letterhead
    try:
        wanted = page.write(addresses.send_link_again, actor, letterhead, now=page.now)
        if not wanted:
            page.write(confirmation.send_again, actor, letterhead, now=page.now)
    except TooManyConfirmations as error:
        return error_page(page, error, actions=[(_("My account"), "/account")])
    sentence = _("We’ve sent an email to %(email)s. Use the link in it to confirm your address.") % {
        "email": wanted or actor.email
    }
    return page.redirect("/account", flash=sentence, tone="info")


@router.post("/account/email")
def change_email(page: CurrentPage, sent: SentForm) -> Response:
    """Ask for another e-mail address, whose owner then follows a link; everyone who is signed in, for themselves."""
    actor = signed_in(page)
    require_factor(page)
    form = _email_form(page, actor, sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        _request_email(page, actor, command)
        sentence = _("We’ve sent a link to %(email)s. Your address changes once you use it.")
        return page.redirect("/account", flash=sentence % {"email": command.email}, tone="info")
    return _account_page(page, actor, email=form, status=submission.status)


def _email_form(page: Page, actor: Actor, sent: FormData | None = None) -> EmailForm:
    """The form, which asks for the current password if there is one."""
    form = EmailForm(sent)
    if not first_password.proof_of(page.session, actor, now=page.now).has_password:
        del form.current
    return form


def _request_email(page: Page, actor: Actor, command: ChangeEmail) -> None:
    letterhead = current_clinic(page).letterhead
    stored = auth.stored_hash(page.session, actor)
    has_password = first_password.proof_of(page.session, actor, now=page.now).has_password
    with counted_attempt(page, actor) as attempt:
        if has_password:
            addresses.require_password(stored, command.current)
        else:
            page.write(first_password.require_fresh, actor, now=page.now)
        page.write(
            addresses.request_change,
            actor,
            command.email,
            letterhead,
            attempt_id=attempt,
            verified=stored,
            now=page.now,
        )


@router.post("/account/email/withdrawal")
def keep_email(page: CurrentPage) -> Response:
    """Keep the present address: the link to the other one ends; everyone who is signed in, for themselves."""
    actor = signed_in(page)
    page.write(addresses.give_up_change, actor, now=page.now)
    return page.redirect("/account", flash=_("Your email address stays the same."), tone="info")


@router.post("/account/password")
def change_password(page: CurrentPage, sent: SentForm) -> Response:
    """Change the password, which ends every other session; everyone who is signed in, for themselves."""
    actor = signed_in(page)
    require_factor(page)
    form = PasswordForm(sent)
    with Submission(form) as submission:
        changed = _change_password(page, actor, submission.read(form.command))
        said = _("Your password is changed. Your other devices are signed out.")
        if changed.feed_ended:
            said = f"{said} {_('Your calendar link no longer works: create a new one.')}"
        response = page.redirect("/account", flash=said)
        set_session_cookie(page, response, changed.secret)
        return response
    return _account_page(page, actor, password=form, status=submission.status)


def _change_password(page: Page, actor: Actor, command: ChangePassword) -> auth.ChangedPassword:
    stored, clinic = auth.stored_hash(page.session, actor), clinic_words(page)
    letterhead = current_clinic(page).letterhead
    with counted_attempt(page, actor) as attempt:
        new_hash = auth.prepare_password_change(stored, actor, command, clinic=clinic)
        return page.write(
            auth.change_password,
            actor,
            letterhead,
            attempt_id=attempt,
            verified=stored,
            new_hash=new_hash,
            now=page.now,
        )


@router.post("/account/sessions/end-others")
def end_other_sessions(page: CurrentPage) -> Response:
    """End all of the actor's own sessions but this one; everyone who is signed in."""
    lead_back_to(page.request, "/account")
    actor = signed_in(page)
    ended = page.write(sessions.end_other_sessions, actor, now=page.now)
    said = ngettext("Signed out on %(n)d other device.", "Signed out on %(n)d other devices.", ended) % {"n": ended}
    return page.redirect("/account", flash=said)


@router.post("/account/sessions/{session_id}/end")
def end_session(page: CurrentPage, session_id: PathId) -> Response:
    """End one of the actor's own sessions; everyone who is signed in. Another user's is a 404."""
    actor = signed_in(page)
    try:
        page.write(sessions.end_session, actor, session_id, now=page.now)
    except NotFound:
        # It may have ended a moment ago, by the same form or in another tab: it is signed out, as requested.
        if sessions.is_session(page.session, session_id):
            raise
    if session_id != actor.session_id:
        return page.redirect("/account", flash=_("That device is signed out."))
    response = page.redirect("/", flash=_("You are signed out."), tone="info")
    clear_session_cookie(page, response)
    return response


def _register_page(page: Page, form: RegisterForm, *, status: int = 200) -> Response:
    wanted = form.next.data or ""
    return page.render(
        "patients/register.html",
        status=status,
        form=form,
        intent=page.describe(wanted),
        login_href=with_query("/login", next=wanted),
    )


def _account_page(
    page: Page,
    actor: Actor,
    *,
    profile: ProfileForm | StaffProfileForm | None = None,
    password: PasswordForm | None = None,
    email: EmailForm | None = None,
    messages: MessagesForm | None = None,
    status: int = 200,
) -> Response:
    if profile is None:
        stored = service.get_profile(page.session, actor)
        kind = ProfileForm if actor.role == "patient" else StaffProfileForm
        profile = kind(data=stored._asdict())
    if messages is None and (wishes := message_preferences.get_message_preferences(page.session, actor)) is not None:
        messages = MessagesForm(data=wishes.model_dump())
    if messages is not None and not (page.settings.sends_texts or messages.wants_sms.data):
        # Patients who chose text messages before can still turn them off.
        del messages.wants_sms
    feed = feeds.feed_path(page.session, actor, page.settings.secret_keys)
    return page.render(
        "patients/account.html",
        status=status,
        profile=profile,
        password=password or PasswordForm(),
        email=email or _email_form(page, actor),
        proof=first_password.proof_of(page.session, actor, now=page.now),
        wanted=addresses.wanted_address(page.session, actor.user_id, now=page.now),
        messages=messages,
        confirmed=confirmation.confirmed_at(page.session, actor) is not None,
        sessions=device_lines(page, actor),
        passkeys=passkeys.list_passkeys(page.session, actor.user_id),
        identities=linked_identities(page, actor),
        factors=second_factor.get_factors(page.session, actor.user_id) if actor.is_staff else None,
        feed=f"{page.base_url}{feed}" if feed else None,
        people=[person_line(page, person) for person in dependants.list_people(page.session, actor)],
        most_people=dependants.MOST_PEOPLE,
    )

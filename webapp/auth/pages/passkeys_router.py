"""Passkeys: adding and removing them, signing in with one, and the challenges that browsers ask for."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth import service
from webapp.auth.dependencies import confirmed, current_session, enrolling, session_secret
from webapp.auth.exceptions import WrongPasskey
from webapp.auth.pages.entry_dependencies import enter
from webapp.auth.pages.factor_dependencies import letterhead_of
from webapp.auth.pages.factor_pages import show_codes
from webapp.auth.pages.forms import PasskeyForm
from webapp.auth.pages.passkey_dependencies import prove_passkey, site_of, take_answer
from webapp.auth.second_factor import passkeys
from webapp.auth.second_factor.passkeys import Purpose
from webapp.core.errors import lead_back_to
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, PathId, SentForm, local_path
from webapp.exceptions import AppError, BadRequest, Conflict
from webapp.i18n import gettext as _

router = Router()

ACCOUNT = "/account"


@router.post("/passkeys/options")
def make_options(page: CurrentPage, sent: SentForm) -> Response:
    """The options with which a browser's script makes or uses a passkey, as JSON; everyone, for signing in."""
    match sent.get("purpose"):
        case "register":
            return _json(_creation_options(page))
        case "sign-in":
            return _json(passkeys.request_options([], _new_challenge(page, "sign-in", None), site_of(page)))
        case "prove":
            return _json(_proof_options(page))
    raise BadRequest(_("We couldn’t read this form. Open the page again and send it from there."))


@router.post("/login/passkey")
def sign_in_with_passkey(page: CurrentPage, sent: SentForm) -> Response:
    """Sign in with a passkey alone: the device has recognised its owner; everyone."""
    form = PasskeyForm(sent)
    wanted = form.next.data or ""
    try:
        user_id = prove_passkey(page, form.passkey.data or "", "sign-in", None)
    except WrongPasskey as error:
        return page.redirect(with_query("/login", next=wanted), flash=error.message, tone="bad")
    secret = page.write(
        service.sign_in_proven,
        user_id,
        how="passkey",
        address=page.address,
        user_agent=page.request.headers.get("user-agent", ""),
        previous=session_secret(page),
        now=page.now,
    )
    return enter(page, secret, wanted)


@router.post("/account/passkeys")
def add_passkey(page: CurrentPage, sent: SentForm) -> Response:
    """Store the passkey that the browser has made; everyone who is signed in and has just confirmed who they are."""
    lead_back_to(page.request, ACCOUNT)
    actor = enrolling(page)
    form = PasskeyForm(sent)
    onward = local_path(form.next.data or "", default=ACCOUNT)
    try:
        answer, challenge = take_answer(page, form.passkey.data or "", "register", actor.user_id)
        letterhead = letterhead_of(page)
        codes = page.write(
            passkeys.register,
            actor,
            answer,
            challenge,
            form.name_in_one_line(),
            letterhead,
            site=site_of(page),
            keys=page.settings.secret_keys,
            now=page.now,
        )
    except AppError as error:
        return page.redirect(ACCOUNT, flash=error.message, tone="bad")
    if codes:
        return show_codes(page, codes, onward)
    return page.redirect(onward, flash=_("Your passkey is added. You can now sign in with it."))


@router.post("/account/passkeys/{passkey_id}/removal")
def remove_passkey(page: CurrentPage, passkey_id: PathId) -> Response:
    """Remove one of the actor's own passkeys; everyone who is signed in and has just confirmed who they are."""
    lead_back_to(page.request, ACCOUNT)
    actor = confirmed(page)
    try:
        page.write(passkeys.remove, actor, passkey_id, letterhead_of(page), now=page.now)
    except Conflict as error:
        return page.redirect(ACCOUNT, flash=error.message, tone="bad")
    return page.redirect(ACCOUNT, flash=_("The passkey is removed."))


def _creation_options(page: Page) -> str:
    lead_back_to(page.request, ACCOUNT)
    actor = enrolling(page)
    known, clinic = passkeys.known_ids(page.session, actor.user_id), letterhead_of(page)["name"]
    challenge = _new_challenge(page, "register", actor.user_id)
    return passkeys.creation_options(actor, known, challenge, site_of(page), clinic, page.settings.secret_keys)


def _proof_options(page: Page) -> str:
    """For the pages that ask for the second factor, and for a new proof of who the user is."""
    found = current_session(page)
    if found is None:
        raise BadRequest(_("Sign in to see this page."))
    user_id = found.actor.user_id
    known = passkeys.known_ids(page.session, user_id)
    return passkeys.request_options(known, _new_challenge(page, "prove", user_id), site_of(page))


def _new_challenge(page: Page, purpose: Purpose, user_id: int | None) -> bytes:
    return page.write(passkeys.new_challenge, purpose, user_id, address=page.address, now=page.now)


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")

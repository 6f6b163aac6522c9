"""The second factor of staff: signing in with it, setting it up, removing it, and new recovery codes."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import STAFF, confirmed, current_session, enrolling
from webapp.auth.pages.entry_dependencies import enter
from webapp.auth.pages.factor_dependencies import letterhead_of, prove_code
from webapp.auth.pages.factor_pages import show_codes
from webapp.auth.pages.forms import FactorForm, SetupForm
from webapp.auth.pages.passkey_dependencies import prove_passkey
from webapp.auth.schemas import Actor
from webapp.auth.second_factor import service as second_factor
from webapp.auth.second_factor.service import AppSetup, Proof
from webapp.auth.sessions import SignedIn
from webapp.core import formats
from webapp.core.forms import NotFilledIn, Submission
from webapp.core.qr_codes import draw_qr_code
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, SentForm, local_path
from webapp.exceptions import Conflict, Forbidden
from webapp.i18n import gettext as _

router = Router()

ACCOUNT = "/account"


# ------------------------------------------------------------------------------------------------ signing in


@router.get("/login/factor")
def ask_factor(page: CurrentPage) -> Response:
    """The page that asks for the second factor; a user whose password was right. Others sign in first."""
    wanted = page.request.query_params.get("next", "")
    waiting = _waiting(page)
    if waiting is None:
        return page.redirect(with_query("/login", next=wanted))
    return _factor_page(page, waiting.actor, FactorForm(data={"next": wanted}))


@router.post("/login/factor")
def check_factor(page: CurrentPage, sent: SentForm) -> Response:
    """Finish signing in with a code; a user whose password was right. Others sign in first."""
    form = FactorForm(sent)
    wanted = form.next.data or ""
    waiting = _waiting(page)
    if waiting is None:
        return page.redirect(with_query("/login", next=wanted))
    with Submission(form) as submission:
        how = _prove(page, waiting.actor, form)
        secret = page.write(
            second_factor.finish_sign_in,
            waiting.actor,
            how=how,
            address=page.address,
            user_agent=page.request.headers.get("user-agent", ""),
            now=page.now,
        )
        return enter(page, secret, wanted)
    form.code.data = form.passkey.data = ""
    return _factor_page(page, waiting.actor, form, status=submission.status)


def _prove(page: Page, actor: Actor, form: FactorForm) -> Proof:
    if form.passkey.data:
        prove_passkey(page, form.passkey.data, "prove", actor.user_id)
        return "passkey"
    if not form.validate():
        raise NotFilledIn
    return prove_code(page, actor, form.code.data or "")


def _waiting(page: Page) -> SignedIn | None:
    found = current_session(page)
    return found if found is not None and found.stage == "factor" else None


# ------------------------------------------------------------------------------------------------ setting it up


@router.get("/account/factor/new")
def show_setup(page: CurrentPage) -> Response:
    """The secret of a new app, as a picture and as text; staff who have just confirmed who they are."""
    actor = _enrolling_staff(page)
    setup = second_factor.begin_setup(page.settings.secret_keys, actor.user_id, now=page.now)
    wanted = page.request.query_params.get("next", "")
    return _setup_page(page, actor, setup, SetupForm(data={"setup": setup.sealed, "next": wanted}))


@router.post("/account/factor/new")
def add_app(page: CurrentPage, sent: SentForm) -> Response:
    """Store the app that shows a right code; staff who have just confirmed who they are."""
    actor = _enrolling_staff(page)
    form = SetupForm(sent)
    keys = page.settings.secret_keys
    setup = second_factor.read_setup(keys, actor.user_id, form.setup.data or "", now=page.now)
    with Submission(form) as submission:
        if not form.validate():
            raise NotFilledIn
        if setup is None:
            raise Conflict(_("This setup has expired. Scan the new QR code with your app."))
        args = (actor, setup, form.code.data or "", letterhead_of(page))
        codes = page.write(second_factor.add_app, *args, keys=keys, now=page.now)
        onward = local_path(form.next.data or "", default=ACCOUNT)
        if codes:
            return show_codes(page, codes, onward)
        return page.redirect(onward, flash=_("Your authenticator app is set up. Your other devices are signed out."))
    if setup is None:
        setup = second_factor.begin_setup(keys, actor.user_id, now=page.now)
        form.setup.data = setup.sealed
    form.code.data = ""
    return _setup_page(page, actor, setup, form, status=submission.status)


@router.post("/account/factor/removal")
def remove_app(page: CurrentPage) -> Response:
    """Remove the app; staff who have just confirmed who they are."""
    actor = confirmed(page)
    try:
        page.write(second_factor.remove_app, actor, letterhead_of(page), now=page.now)
    except Conflict as error:
        return page.redirect(ACCOUNT, flash=error.message, tone="bad")
    return page.redirect(ACCOUNT, flash=_("Your authenticator app is removed."))


@router.post("/account/recovery-codes")
def renew_codes(page: CurrentPage) -> Response:
    """New recovery codes, shown this once; staff with a second factor who have just confirmed who they are."""
    actor = confirmed(page, *STAFF)
    found = current_session(page)
    if found is None or not found.has_factor:
        raise Forbidden(_("Set up two-step sign-in first."))
    codes = page.write(
        second_factor.renew_codes, actor, letterhead_of(page), keys=page.settings.secret_keys, now=page.now
    )
    return show_codes(page, codes, ACCOUNT)


def _enrolling_staff(page: Page) -> Actor:
    actor = enrolling(page)
    if not actor.is_staff:
        raise Forbidden(_("Two-step sign-in is for staff. You can add a passkey to your account."))
    return actor


def _factor_page(page: Page, actor: Actor, form: FactorForm, *, status: int = 200) -> Response:
    return page.render(
        "auth/pages/factor.html",
        status=status,
        form=form,
        factors=second_factor.get_factors(page.session, actor.user_id),
    )


def _setup_page(page: Page, actor: Actor, setup: AppSetup, form: SetupForm, *, status: int = 200) -> Response:
    clinic = formats.clinic_name(letterhead_of(page)["name"])
    found = current_session(page)
    return page.render(
        "auth/pages/factor_new.html",
        status=status,
        form=form,
        picture=draw_qr_code(second_factor.setup_address(setup.secret, actor.email, clinic)),
        secret=True,
        key=setup.spaced,
        required=found is not None and found.stage == "enrol",
        email=actor.email,
    )

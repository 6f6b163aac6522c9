"""Asks a user who is signed in to prove once more who they are, before an action that would be worth stealing a session
for.
"""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth import service, sessions
from webapp.auth.dependencies import clear_session_cookie, current_session
from webapp.auth.pages.factor_dependencies import prove_code
from webapp.auth.pages.factor_pages import lead_on
from webapp.auth.pages.forms import ConfirmForm, FactorForm
from webapp.auth.pages.passkey_dependencies import prove_passkey
from webapp.auth.pages.password_dependencies import prove_password
from webapp.auth.second_factor import service as second_factor
from webapp.auth.sessions import SignedIn
from webapp.core.forms import NotFilledIn, Submission
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.exceptions import NotSignedIn
from webapp.i18n import gettext as _

router = Router()


@router.get("/confirm")
def ask_again(page: CurrentPage) -> Response:
    """Ask for the second factor, or the password of an account without one; everyone who is signed in."""
    found = _signed_in(page)
    wanted = {"next": page.request.query_params.get("next", "")}
    return _confirm_page(page, found, FactorForm(data=wanted) if found.has_factor else ConfirmForm(data=wanted))


@router.post("/confirm")
def confirm(page: CurrentPage, sent: SentForm) -> Response:
    """Check it, and go on to the page that was wanted; everyone who is signed in."""
    found = _signed_in(page)
    form: FactorForm | ConfirmForm = FactorForm(sent) if found.has_factor else ConfirmForm(sent)
    with Submission(form) as submission:
        if form.passkey.data:
            prove_passkey(page, form.passkey.data, "prove", found.actor.user_id)
        elif not form.validate():
            raise NotFilledIn
        elif isinstance(form, FactorForm):
            prove_code(page, found.actor, form.code.data or "")
        else:
            prove_password(page, found.actor, form.current.data or "")
        return lead_on(page, found.actor, form.next.data or "")
    return _confirm_page(page, found, form, status=submission.status)


@router.post("/confirm/again")
def sign_in_again(page: CurrentPage, sent: SentForm) -> Response:
    """Sign out, and in again: for accounts that have no other proof; everyone who is signed in."""
    found = _signed_in(page)
    wanted = ConfirmForm(sent).next.data or ""
    page.write(sessions.end_session, found.actor, found.actor.session_id, now=page.now)
    response = page.redirect(with_query("/login", next=wanted))
    clear_session_cookie(page, response)
    return response


def _signed_in(page: Page) -> SignedIn:
    """The session, which may be one that must set up a second factor, but not one that waits for it."""
    found = current_session(page)
    if found is None or found.stage == "factor":
        raise NotSignedIn(_("Sign in to see this page."))
    return found


def _confirm_page(
    page: Page,
    found: SignedIn,
    form: FactorForm | ConfirmForm,
    *,
    status: int = 200,
) -> Response:
    form.passkey.data = ""
    if isinstance(form, FactorForm):
        form.code.data = ""
    return page.render(
        "auth/pages/confirm.html",
        status=status,
        form=form,
        by_code=found.has_factor,
        factors=second_factor.get_factors(page.session, found.actor.user_id),
        has_password=service.has_password(page.session, found.actor.user_id),
    )

"""Setting a password for an account that has signed in with codes so far."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import clinic_words, set_session_cookie, signed_in
from webapp.auth.pages.forms import NewPasswordForm
from webapp.auth.pages.sign_in_code_dependencies import send_code
from webapp.auth.schemas import AskForCode
from webapp.auth.sign_in import first_password
from webapp.core.errors import lead_back_to
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm, local_path
from webapp.i18n import gettext as _

router = Router()


@router.get("/account/password/first")
def show_first_password(page: CurrentPage) -> Response:
    """The form for a first password; everyone who is signed in to an account without one."""
    actor = signed_in(page)
    if first_password.proof_of(page.session, actor, now=page.now).has_password:
        return page.redirect("/account")
    return _password_page(page, NewPasswordForm())


@router.post("/account/password/first")
def set_first_password(page: CurrentPage, sent: SentForm) -> Response:
    """Set the first password; everyone who is signed in to an account without one, for themselves."""
    lead_back_to(page.request, "/account")
    actor = signed_in(page)
    if first_password.proof_of(page.session, actor, now=page.now).has_password:
        return page.redirect("/account")
    form = NewPasswordForm(sent)
    with Submission(form) as submission:
        password = submission.read(lambda: form.new.data)
        # Hash the password, which is slow, while no connection is held.
        clinic, letterhead = clinic_words(page), page.request.app.state.letterhead(page)
        page.close()
        new_hash = first_password.prepare(actor, password, clinic)
        secret = page.write(first_password.set_first_password, actor, letterhead, new_hash, now=page.now)
        response = page.redirect("/account", flash=_("Your password is set. Your other devices are signed out."))
        set_session_cookie(page, response, secret)
        return response
    return _password_page(page, form, status=submission.status)


@router.post("/account/code")
def send_own_code(page: CurrentPage, sent: SentForm) -> Response:
    """Send a code to the actor's own address, which confirms it and signs in again; everyone who is signed in."""
    wanted = local_path(str(sent.get("next", "")) or "/account", default="/account")
    lead_back_to(page.request, wanted)
    actor = signed_in(page)
    return send_code(page, AskForCode(email=actor.email), wanted)


def _password_page(page: Page, form: NewPasswordForm, *, status: int = 200) -> Response:
    actor = signed_in(page)
    return page.render(
        "auth/pages/first_password.html",
        status=status,
        form=form,
        fresh=first_password.proof_of(page.session, actor, now=page.now).fresh,
    )

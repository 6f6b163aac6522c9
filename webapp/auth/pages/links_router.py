"""Links with which the owner of an account chooses a password. The link itself authorises the client."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from starlette.responses import Response

from webapp.auth.dependencies import clear_session_cookie, clinic_words, session_secret
from webapp.auth.exceptions import LinkNotValid
from webapp.auth.pages.draft_dependencies import wanted_page
from webapp.auth.pages.factor_dependencies import letterhead_of
from webapp.auth.pages.forms import NewPasswordForm
from webapp.auth.passwords import password_links
from webapp.auth.passwords import service as passwords
from webapp.auth.passwords.password_links import LinkOwner
from webapp.auth.tokens import hashed
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.trace_middleware import note_refusal
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.i18n import gettext as _

router = Router()

Token = Annotated[str, Path(max_length=200)]


@router.get("/password/reset/{token}")
def show_new_password(page: CurrentPage, token: Token) -> Response:
    """The form for a new password; anyone with the link."""
    try:
        owner = password_links.find_password_link(page.session, token, now=page.now)
    except LinkNotValid as error:
        return _not_valid_page(page, error)
    return _new_password_page(page, token, owner, NewPasswordForm())


@router.post("/password/reset/{token}")
def set_new_password(page: CurrentPage, sent: SentForm, token: Token) -> Response:
    """Set the password once, which signs its owner out everywhere; anyone with the link."""
    form = NewPasswordForm(sent)
    try:
        owner = password_links.find_password_link(page.session, token, now=page.now)
        with Submission(form) as submission:
            calendar_ended = _set_password(page, token, owner, submission.read(lambda: form.new.data or ""))
            said = _("Your password is set. You can now sign in.")
            if calendar_ended:
                said = _("Your password is set. Your calendar link no longer works: sign in to create a new one.")
            response = page.redirect(with_query("/login", next=wanted_page(page, owner.email)), flash=said)
            clear_session_cookie(page, response)
            return response
    except LinkNotValid as error:
        return _not_valid_page(page, error)
    return _new_password_page(page, token, owner, form, submission)


def _set_password(page: Page, token: str, owner: LinkOwner, password: str) -> bool:
    clinic, letterhead = clinic_words(page), letterhead_of(page)
    # Hash the password, which is slow, while no connection is held.
    page.close()
    passwords.require_good_password(password, about=[owner.name, owner.email], clinic=clinic, field="new")
    return page.write(
        password_links.use_password_link,
        hashed(token),
        passwords.hash_password(password),
        letterhead,
        now=page.now,
        address=page.address,
        previous=session_secret(page),
    )


def _new_password_page(
    page: Page, token: str, owner: LinkOwner, form: NewPasswordForm, after: Submission | None = None
) -> Response:
    return page.render(
        "auth/pages/password_new.html",
        status=after.status if after else 200,
        form=form,
        action=f"/password/reset/{token}",
        email=owner.email,
    )


def _not_valid_page(page: Page, error: LinkNotValid) -> Response:
    note_refusal(page.request, error)
    return page.render("auth/pages/password_link_invalid.html", status=error.status, sentence=error.message)

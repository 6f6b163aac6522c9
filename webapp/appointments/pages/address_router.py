"""Links that confirm an e-mail address, and let an account join the record that the clinic made before."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from starlette.responses import Response

from webapp.appointments import address_confirmation, joining
from webapp.auth.addresses import confirmation
from webapp.auth.dependencies import current_actor
from webapp.auth.exceptions import AddressNotConfirmable, AddressTaken
from webapp.core import signing
from webapp.core.routing import Router
from webapp.core.trace_middleware import note_refusal
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.i18n import gettext as _

router = Router()

# The token holds an e-mail address, which may be long.
LongToken = Annotated[str, Path(max_length=600)]


@router.get("/email/confirm/{token}")
def ask_confirmation(page: CurrentPage, token: LongToken) -> Response:
    """Ask for confirmation first, because mail scanners follow links too; anyone with the link."""
    try:
        found = confirmation.find_address(page.session, _token_content(page, token), now=page.now)
    except AddressNotConfirmable as error:
        return _over_page(page, error)
    actor = current_actor(page)
    own = actor is not None and actor.user_id == found.user_id
    joins = own and joining.find_waiting_record(page.session, found.user_id) is not None
    return page.render(
        "appointments/pages/email_confirm.html",
        email=found.email,
        confirmed=found.confirmed_at is not None,
        replaces=found.wanted,
        joins=joins,
        action=f"/email/confirm/{token}",
    )


@router.post("/email/confirm/{token}")
def confirm_address(page: CurrentPage, token: LongToken) -> Response:
    """Store that the address is confirmed; anyone with the link, signed in or not."""
    actor = current_actor(page)
    try:
        outcome = page.write(
            address_confirmation.confirm_address,
            _token_content(page, token),
            actor=actor,
            address=page.address,
            now=page.now,
        )
    except (AddressNotConfirmable, AddressTaken) as error:
        return _over_page(page, error)
    if outcome.joined:
        said = _("Thank you. Your record at the clinic is now linked to your account.")
        return page.redirect("/appointments", flash=said)
    if outcome.waits:
        said = _(
            "Thank you. Your email address is confirmed. Sign in to see the appointments the clinic booked for you."
        )
        return page.redirect(with_query("/login", next=f"/email/confirm/{token}"), flash=said)
    said = _("Thank you. Your email address is confirmed.")
    if outcome.replaced:
        said = _("Your new email address is %(email)s. Use it to sign in.") % {"email": outcome.email}
    return page.redirect("/" if actor is None else "/account", flash=said)


def _token_content(page: Page, token: str) -> object:
    return signing.unsign(page.settings.secret_keys, confirmation.PURPOSE, token)


def _over_page(page: Page, error: AddressNotConfirmable | AddressTaken) -> Response:
    note_refusal(page.request, error)
    return page.render("appointments/pages/email_link_invalid.html", status=error.status, sentence=error.message)

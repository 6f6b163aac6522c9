"""Access to the pages of an appointment: by signing in, or with the link in a message."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from webapp.appointments.messages import appointment_links
from webapp.auth.dependencies import ignore_session, signed_in
from webapp.auth.schemas import Actor
from webapp.clinic import poster
from webapp.clinic.dependencies import current_clinic
from webapp.core.web import Page

POSTER_COOKIE = "docket_here"


class AppointmentAccess(NamedTuple):
    """The actor, the appointment, and the beginning of the addresses of all its pages."""

    actor: Actor
    reference: str
    here: str


def appointment_access(page: Page) -> AppointmentAccess:
    """The actor and the appointment, according to the address.

    A request with a link has only the rights of the link, even if the browser is signed in.

    Raises:
        NotSignedIn: the page needs a sign-in. AppointmentLinkEnded: the link is not valid or no longer valid.
    """
    token = page.request.path_params.get("token")
    if token is None:
        reference = page.request.path_params["reference"].upper()
        return AppointmentAccess(signed_in(page), reference, f"/appointments/{reference}")
    ignore_session(page)
    actor, reference = appointment_links.find_link_access(
        page.session, token, page.settings.secret_keys, address=page.address, now=page.now
    )
    return AppointmentAccess(actor, reference, f"/visit/{token}")


def poster_scanned_at(page: Page) -> datetime | None:
    """When this browser has scanned the clinic's poster, if that is not long ago."""
    note = page.request.cookies.get(page.cookie_name(POSTER_COOKIE), "")
    return poster.scanned_at(page.settings.secret_keys, current_clinic(page), note, now=page.now) if note else None

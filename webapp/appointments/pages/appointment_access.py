"""Access to the pages of an appointment: by signing in, or with the link in a message."""

from __future__ import annotations

from typing import NamedTuple

from webapp.appointments.messages import appointment_links
from webapp.auth.dependencies import leave_aside, signed_in
from webapp.auth.schemas import Actor
from webapp.core.web import Page


class AppointmentAccess(NamedTuple):
    """The actor, the appointment, and the beginning of the addresses of all its pages."""

    actor: Actor
    reference: str
    here: str


def appointment_access(page: Page) -> AppointmentAccess:
    """The actor and the appointment, according to the address.

    The holder of a link acts only through it, even if they are signed in.

    Raises:
        NotSignedIn: the page needs a sign-in. AppointmentLinkOver: the link is not valid or no longer valid.
    """
    token = page.request.path_params.get("token")
    if token is None:
        reference = page.request.path_params["reference"].upper()
        return AppointmentAccess(signed_in(page), reference, f"/appointments/{reference}")
    leave_aside(page)
    actor, reference = appointment_links.find_link_access(
        page.session, token, page.settings.secret_keys, address=page.address, now=page.now
    )
    return AppointmentAccess(actor, reference, f"/visit/{token}")

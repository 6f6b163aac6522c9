"""Who asks for the pages of a visit: somebody who is signed in, or whoever holds the link that a message carries."""

from __future__ import annotations

from typing import NamedTuple

from webapp.appointments.messages import appointment_links
from webapp.auth.dependencies import leave_aside, signed_in
from webapp.auth.schemas import Actor
from webapp.core.web import Page


class AppointmentAccess(NamedTuple):
    """Who asks, about which visit, and the address that all of its pages begin with."""

    actor: Actor
    reference: str
    here: str


def appointment_access(page: Page) -> AppointmentAccess:
    """Who asks about which visit; the address says it. Whoever comes by a link acts with it alone, signed in or not.

    Raises:
        NotSignedIn: the page is behind the log-in. AppointmentLinkOver: the link is not valid (any more).
    """
    token = page.request.path_params.get("token")
    if token is None:
        reference = page.request.path_params["reference"].upper()
        return AppointmentAccess(signed_in(page), reference, f"/appointments/{reference}")
    leave_aside(page)
    actor, reference = appointment_links.find_link_access(
        page.session, token, page.settings.secret_keys, address=page.address
    )
    return AppointmentAccess(actor, reference, f"/visit/{token}")

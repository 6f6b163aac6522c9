"""The poster at the clinic, and the button with which patients say that they are here.

The page behind the poster's QR code says the same to everyone and asks nothing, so it does not tell who is a patient.
It leaves a cookie, which says when the poster was scanned.
"""

from __future__ import annotations

from starlette.responses import Response

from webapp.appointments.booking import self_arrival
from webapp.appointments.exceptions import PosterNotValid
from webapp.appointments.pages.appointment_access import POSTER_COOKIE, appointment_access, poster_scanned_at
from webapp.clinic import poster
from webapp.clinic.dependencies import current_clinic
from webapp.core.errors import error_page
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page
from webapp.exceptions import Conflict, Invalid, Unavailable
from webapp.i18n import gettext as _

router = Router()


@router.get("/here/{key}")
def show_here(page: CurrentPage, key: str) -> Response:
    """The page for visitors who scan the poster; everyone."""
    clinic = current_clinic(page)
    if not poster.is_of(clinic, key):
        raise PosterNotValid
    response = page.render("appointments/pages/check_in.html", minutes=int(poster.SCAN_LIFETIME.total_seconds()) // 60)
    note = poster.seal_scan(page.settings.secret_keys, clinic, now=page.now)
    page.set_cookie(response, page.cookie_name(POSTER_COOKIE), note, int(poster.SCAN_LIFETIME.total_seconds()))
    return response


@router.post("/appointments/{reference}/here")
def say_here(page: CurrentPage) -> Response:
    """Say that the patient is here; the patient, and their guardian."""
    return _say_here(page)


@router.post("/visit/{token}/here")
def say_here_by_link(page: CurrentPage) -> Response:
    """Say that the patient is here; anyone with the link."""
    return _say_here(page)


def _say_here(page: Page) -> Response:
    access = appointment_access(page)
    at = poster_scanned_at(page)
    page.close()
    try:
        page.database.write(self_arrival.arrive, access.actor, access.reference, scanned_at=at, now=page.now)
    except (Conflict, Invalid, Unavailable) as error:
        return error_page(page, error, actions=[(_("Back to the appointment"), access.here)])
    return page.redirect(access.here, flash=_("Thank you. Please take a seat."))

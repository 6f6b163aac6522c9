"""The first booking of a new patient: what was chosen before they had an account is booked together with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from starlette.responses import Response

from webapp.appointments.booking import service
from webapp.appointments.pages import presenters
from webapp.appointments.schemas import Booking
from webapp.auth import sessions
from webapp.auth.drafts import UnsentForm
from webapp.auth.exceptions import AddressNotProved
from webapp.auth.pages.draft_dependencies import keep_draft
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.parsing import instant, whole_number
from webapp.core.security import is_clean_text
from webapp.core.web import Page
from webapp.doctors import service as doctors
from webapp.exceptions import AppError
from webapp.scheduling import checks
from webapp.scheduling.dependencies import current_viewer
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.presenters import appointment_preview


class RequestedAppointment(NamedTuple):
    """The appointment that an address of the booking page names."""

    doctor: str
    visit_type: int | None
    start: datetime


class Booked(NamedTuple):
    """Where the new patient goes now, and the reason that they typed if it could not be booked."""

    address: str
    reason: str = ""


def names_appointment(address: str) -> bool:
    """Whether this is an address of the booking page, with all that a booking needs."""
    return _request_in(address) is not None


def shown(page: Page, address: str) -> dict[str, Any]:
    """The chosen appointment as the page shows it; `appointment` is None if none was chosen, or it does not exist.

    `free`: it could be booked at this moment.
    """
    chosen = _request_in(address)
    found = None if chosen is None else _request(page, chosen)
    if chosen is None or found is None:
        return {"appointment": None, "free": False, "cancel_until": None}
    refusal = presenters.first_refusal(page, found, chosen.start, current_viewer(page, None))
    return {
        "appointment": appointment_preview(found, chosen.start),
        "free": refusal is None,
        "cancel_until": presenters.change_until(chosen.start, current_clinic(page), page.now),
    }


def actor_of(page: Page, secret: str) -> Actor:
    """The owner of the session that has just been opened.

    Raises:
        AddressNotProved: it has ended already.
    """
    found = sessions.find_actor(page.session, secret, address=page.address, now=page.now)
    if found is None:
        raise AddressNotProved
    return found.actor


def book(page: Page, actor: Actor, address: str, reason: str) -> Booked:
    """Book what the address names; where that is not possible, the booking page says why and what is possible."""
    chosen = _request_in(address)
    if chosen is None:
        return Booked(address, reason)
    command = Booking(doctor=chosen.doctor, visit_type_id=chosen.visit_type, starts_at=chosen.start, reason=reason)
    try:
        reference = page.write(service.book, actor, command, now=page.now)
    except AppError:
        return Booked(address, reason)
    return Booked(f"/appointments/{reference}?booked=1")


def keep_reason(page: Page, response: Response, actor: Actor, booked: Booked) -> None:
    """Keep the typed reason for the booking page."""
    if booked.reason:
        keep_draft(page, response, actor, UnsentForm("/appointments", booked.address, [("reason", booked.reason)]))


def _request_in(address: str) -> RequestedAppointment | None:
    path, _mark, query = address.partition("?")
    if path != "/book" or not is_clean_text(query.encode()):
        return None
    values = {name: found[0] for name, found in parse_qs(query).items()}
    start = instant(values.get("starts_at"))
    # A person whom the account books for is chosen on the booking page.
    if start is None or "patient" in values:
        return None
    return RequestedAppointment(values.get("doctor", ""), whole_number(values.get("visit_type")), start)


def _request(page: Page, chosen: RequestedAppointment) -> BookingRequest | None:
    try:
        doctor = doctors.get_doctor(page.session, chosen.doctor)
        return checks.find_booking_request(page.session, doctor, chosen.visit_type, by_staff=False)
    except AppError:
        return None

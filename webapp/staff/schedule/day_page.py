"""A doctor's day as an answer, for its own routes and for those that change the status of an appointment."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from starlette.responses import Response

from webapp.appointments.booking import statuses
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.fragment_cache import fragment_cache
from webapp.core.web import Page
from webapp.doctors.service import DoctorRow
from webapp.exceptions import AppError
from webapp.i18n import gettext as _
from webapp.staff.schedule.days import DoctorDay, build_day
from webapp.staff.schedule.schedule_week import AppointmentCard


class StatusChanged(NamedTuple):
    """The sentence of the day after a change of status, and the card of the appointment, to undo it."""

    text: str
    card: AppointmentCard


def show_day(
    page: Page, doctor: DoctorRow, actor: Actor, day: date, *, changed: str, error: AppError | None = None
) -> Response:
    """The day's page, or the day alone for HTMX; the reading is logged.

    `changed` is the reference of an appointment whose status has just changed: the page says so, and offers to undo it.
    """
    clinic = current_clinic(page)
    shown = build_day(page.session, actor, clinic, doctor, day, now=page.now)
    response = page.render(
        "staff/schedule/day.html",
        fragment="staff/schedule/_day.html",
        status=error.status if error else 200,
        doctor=doctor,
        day=shown,
        now=page.now,
        said=_status_changed(shown, changed) if changed and error is None else None,
        problem=error.message if error else None,
        cached=fragment_cache(page.session, clinic, ("day", doctor.id, day), now=page.now),
    )
    ids = [card.appointment.id for row in shown.rows for card in row.cards]
    record_reading(page, actor, doctor.id, {"day": str(day), "appointments": ids[: audit.MOST_IDS]})
    return response


def _status_changed(day: DoctorDay, reference: str) -> StatusChanged | None:
    """'Joanna Hartley: arrived', with the card that says whether it can be undone."""
    cards = (card for row in day.rows for card in row.cards)
    card = next((card for card in cards if card.appointment.reference == reference), None)
    if card is None:
        return None
    words = {
        "name": card.appointment.patient_name,
        "status": statuses.word_of(card.appointment.status, staff=True).lower(),
    }
    return StatusChanged(_("%(name)s: %(status)s") % words, card)


def record_reading(page: Page, actor: Actor, doctor_id: int, details: dict[str, Any]) -> None:
    """Log the reading: a day holds the reasons and notes of all its patients."""
    ids: list[int] = details["appointments"]
    reading = (actor.session_id, doctor_id, details.get("day"), details.get("week"))
    if page.request.app.state.continuing_reads.is_logged(reading, ids, automatic=page.is_automatic, now=page.now):
        return
    page.trace(
        audit.record,
        "schedule_read",
        subject=("doctor", doctor_id),
        actor_user_id=actor.user_id,
        actor_role=actor.role,
        now=page.now,
        details=details,
        address=actor.address,
    )

"""A patient's appointments: the list, and one of them in full, which its doctor and admins may also see."""

from __future__ import annotations

from datetime import date

from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.booking import self_arrival, status_service
from webapp.appointments.pages.appointment_access import poster_scanned_at
from webapp.appointments.pages.detail_presenters import book_again_href, change_options, list_history, staff_details
from webapp.auth.dependencies import signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.pagination import clamp, paginate
from webapp.core.parsing import whole_number
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page
from webapp.patients import message_preferences

router = Router()

PAGE_SIZE = 10
LISTS: dict[str, queries.Listed] = {"past": "past", "cancelled": "cancelled"}


@router.get("/appointments")
def list_appointments(page: CurrentPage) -> Response:
    """The appointments of a patient and of those they book for; staff have other lists."""
    actor = signed_in(page)
    if actor.is_staff:
        return page.redirect("/admin/appointments" if actor.sees_all else "/schedule")
    show = LISTS.get(page.request.query_params.get("show", ""), "upcoming")
    wanted = whole_number(page.request.query_params.get("page")) or 1
    found = _appointments_on(page, actor, show, wanted)
    number = clamp(wanted, found.total, PAGE_SIZE)
    if number != wanted:
        found = _appointments_on(page, actor, show, number)
    return page.render(
        "appointments/pages/list.html",
        show=show,
        appointments=found.lines,
        pages=paginate("/appointments", number, found.total, PAGE_SIZE, show=show if show != "upcoming" else None),
    )


@router.get("/appointments/{reference}")
def show_appointment(page: CurrentPage, reference: str) -> Response:
    """One appointment in full; its patient, its doctor, an admin. Reading by staff is recorded."""
    actor = signed_in(page)
    clinic = current_clinic(page)
    view = queries.get_appointment(page.session, actor, reference)
    # Patients see only their own appointments and those of the people they book for.
    mine = not actor.is_staff
    day = formats.local_date(view.starts_at, clinic.zone)
    response = page.render(
        "appointments/pages/detail.html",
        appointment=view,
        just_booked=mine and "booked" in page.request.query_params and view.status == "scheduled",
        tell_patient="booked" in page.request.query_params and actor.is_staff and view.is_active(page.now),
        mailed_to=_mailed_to(page, actor) if "booked" in page.request.query_params else None,
        mine=mine,
        whose=view.whose(actor),
        here=f"/appointments/{view.reference}",
        form=None,
        check_in=self_arrival.check_in_of(view, clinic, poster_scanned_at(page), now=page.now) if mine else None,
        day_href=_day_address(actor, day, view.reference),
        desk=staff_details(page.session, actor, view, clinic, now=page.now) if actor.is_staff else None,
        options=change_options(view, actor, clinic, page.now),
        again_href=book_again_href(view, actor, page.now),
        late=view.doctor_late_by(clinic, page.now),
        history=list_history(page.session, actor, view, clinic),
    )
    if actor.is_staff:
        page.trace(status_service.record_reading, actor, view.id, now=page.now)
    return response


def _mailed_to(page: Page, actor: Actor) -> str | None:
    """The e-mail address at which a patient is notified of bookings, or None."""
    preferences = message_preferences.get_message_preferences(page.session, actor)
    return actor.email if preferences is not None and preferences.wants_email else None


def _day_address(actor: Actor, day: date, reference: str) -> str | None:
    """The address where staff see the appointment in its day: the doctor's own, or the board."""
    if not actor.is_staff:
        return None
    return f"/schedule/{day}" if actor.role == "doctor" else f"/board/{day}#appointment-{reference}"


def _appointments_on(page: Page, actor: Actor, show: queries.Listed, number: int) -> queries.OwnAppointments:
    """One page of the actor's appointments."""
    return queries.list_appointments(
        page.session,
        actor,
        show=show,
        now=page.now,
        skip=(number - 1) * PAGE_SIZE,
        limit=PAGE_SIZE,
    )

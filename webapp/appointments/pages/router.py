"""A patient's visits: the list, and one of them in full, which its doctor and admins may look at too."""

from __future__ import annotations

from datetime import date
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.booking import schedule_queries, status_service, statuses
from webapp.appointments.pages import presenters
from webapp.appointments.schemas import AppointmentView
from webapp.audit import service as audit
from webapp.audit.service import Entry
from webapp.auth.dependencies import signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.core.pagination import clamp, paginate
from webapp.core.parsing import instant, whole_number
from webapp.core.web import CurrentPage, Page
from webapp.patients import message_preferences
from webapp.patients import service as patients

router = APIRouter()

PAGE_SIZE = 10


@router.get("/appointments")
def list_appointments(page: CurrentPage) -> Response:
    """The visits of a patient and of whom they book for, those ahead or those behind; staff have lists of their own."""
    actor = signed_in(page)
    if actor.is_staff:
        return page.redirect("/admin/appointments" if actor.role == "admin" else "/schedule")
    show = "past" if page.request.query_params.get("show") == "past" else "upcoming"
    wanted = whole_number(page.request.query_params.get("page")) or 1
    found = _visits_on(page, actor, show, wanted)
    number = clamp(wanted, found.total, PAGE_SIZE)
    if number != wanted:
        found = _visits_on(page, actor, show, number)
    visits = [
        {
            **line._asdict(),
            "minutes": int((line.ends_at - line.starts_at).total_seconds()) // 60,
            "visit_type": line.visit_type_name,
            "href": f"/appointments/{line.reference}",
        }
        for line in found.lines
    ]
    return page.render(
        "appointments/pages/list.html",
        show=show,
        several=len(patients.bookable_patients(page.session, actor)) > 1,
        visits=visits,
        pages=paginate("/appointments", number, found.total, PAGE_SIZE, show=show if show == "past" else None),
    )


@router.get("/appointments/{reference}")
def show_appointment(page: CurrentPage, reference: str) -> Response:
    """One visit in full; its patient, its doctor, an admin. That staff read it is written down."""
    actor = signed_in(page)
    clinic = current_clinic(page)
    view = queries.get_appointment(page.session, actor, reference)
    # Patients see their own visits and those of whom they book for, and no others.
    mine = not actor.is_staff
    day = formats.local_date(view.starts_at, clinic.zone)
    response = page.render(
        "appointments/pages/detail.html",
        visit=presenters.booked(view),
        just_booked=mine and "booked" in page.request.query_params and view.status == "scheduled",
        mailed_to=_mailed_to(page, actor) if "booked" in page.request.query_params else None,
        mine=mine,
        whose=view.whose(actor),
        here=f"/appointments/{view.reference}",
        form=None,
        day_href=_day_address(actor, day),
        desk=_for_staff(page, actor, view, clinic) if actor.is_staff else None,
        **presenters.outlook(view, actor, clinic, page.now),
        history=[
            {"action": entry.action, "sentence": _sentence(entry, actor, view, clinic), "at": entry.at}
            for entry in audit.history(page.session, ("appointment", view.id))
        ],
    )
    if actor.is_staff:
        page.database.write(status_service.record_reading, actor, view.id, now=page.now)
    return response


def _mailed_to(page: Page, actor: Actor) -> str | None:
    """Where a patient hears by mail of what they book."""
    wishes = message_preferences.get_message_preferences(page.session, actor)
    return actor.email if wishes is not None and wishes.wants_email else None


def _day_address(actor: Actor, day: date) -> str | None:
    """Where staff see that day's visits: the doctor's own, or the clinic's."""
    if not actor.is_staff:
        return None
    return f"/schedule/{day}" if actor.role == "doctor" else f"/admin/appointments?from={day}&until={day}"


def _for_staff(page: Page, actor: Actor, view: AppointmentView, clinic: Clinic) -> dict[str, Any]:
    """What staff read about a visit beside what its patient reads. The notes are for its doctor alone."""
    earlier = schedule_queries.list_earlier(
        page.session, doctor_id=view.doctor_id, patient_id=view.patient_id, before=view.starts_at
    )
    if actor.role != "doctor":
        earlier = [visit._replace(private_note="") for visit in earlier]
    return {
        "visit": view,
        "age": schedule_queries.age_on(formats.local_date(view.starts_at, clinic.zone), view.patient_birth_date),
        "possible": statuses.possible_statuses(view, actor, clinic, page.now),
        "may_undo": statuses.may_undo(view, actor),
        "notes": actor.role == "doctor",
        "earlier": earlier,
        "words": statuses.WORDS,
    }


def _visits_on(page: Page, actor: Actor, show: str, number: int) -> queries.AppointmentPage:
    """One page of the actor's visits."""
    return queries.list_appointments(
        page.session,
        actor,
        upcoming=show == "upcoming",
        now=page.now,
        skip=(number - 1) * PAGE_SIZE,
        limit=PAGE_SIZE,
    )


def _sentence(entry: Entry, actor: Actor, view: AppointmentView, clinic: Clinic) -> str:
    """One line of a visit's history: what was done, and by whom as seen by the reader."""
    by_link = entry.details.get("by") == "link"
    if by_link:
        who = _("the link in a message")
    elif entry.actor_user_id == actor.user_id:
        who = _("you")
    elif entry.actor_user_id is not None and entry.actor_user_id == view.patient_user_id:
        who = view.patient_name
    elif entry.actor_role == "patient":
        who = _("the person who books for %(name)s") % {"name": view.patient_name}
    elif entry.actor_role == "doctor":
        who = view.doctor_name
    else:
        who = _("the clinic")
    values = {"who": who}
    for name, value in entry.details.items():
        start = instant(str(value))
        if start is not None:
            values[name] = formats.day_and_time(start, clinic.zone)
    match entry.action:
        case "booked":
            return _("Booked by %(who)s") % values
        case "moved":
            return _("Moved by %(who)s from %(from)s to %(to)s") % values
        case "cancelled":
            return _("Cancelled by %(who)s") % values
        case "words_changed":
            return _("Reason or notes changed by %(who)s") % values
        case "undone":
            now_is = statuses.word_of(str(entry.details.get("to", "")))
            return _("Put back to “%(status)s” by %(who)s") % {"status": now_is, **values}
        case "confirmed" if by_link:
            return _("Confirmed by %(who)s") % values
        case "confirmed" | "arrived" | "completed" | "no_show" as status:
            return _("%(status)s, noted by %(who)s") % {"status": statuses.word_of(status), **values}
        case other:
            return other.replace("_", " ").capitalize()

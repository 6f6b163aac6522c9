"""A patient's visits: booking one, looking at them, moving, cancelling. The visit's doctor and admins may look too."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from webapp.appointments import diary, queries, service, statuses, views, visit_service
from webapp.appointments.availability import Wish
from webapp.appointments.exceptions import NotAPatient, RuleBroken, SlotTaken
from webapp.appointments.forms import NO_TIME, BookForm, instant, whole_number
from webapp.appointments.schemas import AppointmentView
from webapp.audit import service as audit
from webapp.audit.service import Entry
from webapp.auth.dependencies import signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.addresses import with_query
from webapp.core.errors import error_page, headers_of, lead_back_to
from webapp.core.i18n import gettext as _
from webapp.core.pagination import clamp, paginate
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Conflict, Invalid, NotFound, Unavailable
from webapp.patients import service as patients

router = APIRouter()

PAGE_SIZE = 10


@router.get("/book")
def show_booking(page: CurrentPage) -> Response:
    """What would be booked, and the form; patients. A visitor signs in on the way and comes back here."""
    actor = signed_in(page)
    if patients.find_own_patient(page.session, actor) is None:
        raise NotAPatient
    query = page.request.query_params
    form = BookForm(
        data={
            "doctor": query.get("doctor", ""),
            "visit_type": query.get("visit_type", ""),
            "starts_at": query.get("starts_at", ""),
        }
    )
    wish, start = _wanted(page, form)
    own = queries.find_own(page.session, actor, wish.doctor.id, start)
    if own is not None:
        # Whoever comes back to this page after booking finds the visit, not a complaint about it.
        return page.redirect(f"/appointments/{own}")
    error = views.first_refusal(page, actor, wish, start)
    return _booking_page(page, actor, form, wish, start, error)


@router.post("/appointments")
def book(page: CurrentPage, sent: SentForm) -> Response:
    """Book a visit; patients, for themselves."""
    form = BookForm(sent)
    chosen = {"doctor": form.doctor.data, "visit_type": form.visit_type.data, "starts_at": form.starts_at.data}
    lead_back_to(page.request, with_query("/book", **chosen))
    actor = signed_in(page)
    if sent.get("alternative"):
        form.starts_at.data = str(sent["alternative"])
    command = form.command() if form.validate() else None
    error = None
    if command is not None:
        page.close()
        try:
            reference = page.database.write(service.book, actor, command, now=page.now)
        except (Conflict, Invalid, NotFound, Unavailable) as refusal:
            error = refusal
        else:
            return page.redirect(f"/appointments/{reference}?booked=1")
    try:
        wish, start = _wanted(page, form)
    except (Invalid, NotFound) as refusal:
        return _nothing_to_book(page, form, refusal)
    return _booking_page(page, actor, form, wish, start, error, status=422)


@router.get("/appointments")
def list_appointments(page: CurrentPage) -> Response:
    """The actor's visits, those ahead or those behind; everybody who is signed in sees their own."""
    actor = signed_in(page)
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
        "appointments/list.html",
        show=show,
        staff=actor.role != "patient",
        visits=visits,
        pages=paginate("/appointments", number, found.total, PAGE_SIZE, show=show if show == "past" else None),
    )


@router.get("/appointments/{reference}")
def show_appointment(page: CurrentPage, reference: str) -> Response:
    """One visit in full; its patient, its doctor, an admin. That staff read it is written down."""
    actor = signed_in(page)
    clinic = current_clinic(page)
    view = queries.get_appointment(page.session, actor, reference)
    may_change = view.may_change(actor, clinic, page.now)
    why_not = None
    if view.is_active(page.now) and not may_change:
        why_not = service.too_late_sentence(view, clinic)
    mine = view.patient_user_id == actor.user_id
    day = formats.local_date(view.starts_at, clinic.zone)
    response = page.render(
        "appointments/detail.html",
        visit=views.booked(view),
        just_booked=mine and "booked" in page.request.query_params and view.status == "scheduled",
        mine=mine,
        ahead=view.is_active(page.now),
        day_href=f"/schedule/{day}" if actor.role == "doctor" else None,
        staff=_for_staff(page, actor, view, clinic) if actor.is_staff else None,
        may_change=may_change,
        why_not=why_not,
        cancel_until=views.change_until(view.starts_at, clinic, page.now) if may_change else None,
        history=[
            {"action": entry.action, "sentence": _sentence(entry, actor, view, clinic), "at": entry.at}
            for entry in audit.history(page.session, ("appointment", view.id))
        ],
    )
    if actor.is_staff:
        page.database.write(visit_service.record_reading, actor, view.id, now=page.now)
    return response


def _for_staff(page: Page, actor: Actor, view: AppointmentView, clinic: Clinic) -> dict[str, Any]:
    """What staff read about a visit beside what its patient reads. The notes are for its doctor alone."""
    earlier = diary.list_earlier(
        page.session, doctor_id=view.doctor_id, patient_id=view.patient_id, before=view.starts_at
    )
    if actor.role != "doctor":
        earlier = [visit._replace(private_note="") for visit in earlier]
    return {
        "visit": view,
        "age": diary.age_on(formats.local_date(view.starts_at, clinic.zone), view.patient_birth_date),
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


def _nothing_to_book(page: Page, form: BookForm, error: AppError) -> Response:
    """The form named no visit that there could be: an error, with what was typed and the way to choose again."""
    actions = [(_("Find a time"), "/")]
    with suppress(NotFound):
        doctor = doctors.get_doctor(page.session, form.doctor.data or "")
        actions = [(_("Choose another time"), f"/doctors/{doctor.slug}"), *actions]
    return error_page(page, error, actions=actions, typed=[form.reason, form.notes])


def _wanted(page: Page, form: BookForm) -> tuple[Wish, datetime]:
    """The visit that a booking form or address names.

    Raises:
        NotFound: no such doctor or visit type. Invalid: the start is no instant.
    """
    doctor = doctors.get_doctor(page.session, form.doctor.data or "")
    if form.visit_type.data and whole_number(form.visit_type.data) is None:
        raise RuleBroken(_("There is no such type of visit."), code="visit_type_not_offered")
    wish = service.find_wish(page.session, doctor, whole_number(form.visit_type.data))
    start = instant(form.starts_at.data)
    if start is None:
        raise RuleBroken(NO_TIME, code="no_time")
    return wish, start


def _booking_page(
    page: Page,
    actor: Actor,
    form: BookForm,
    wish: Wish,
    start: datetime,
    error: AppError | None,
    *,
    status: int = 200,
) -> Response:
    """The booking form; with an error it keeps everything typed and says what is possible instead."""
    clinic = current_clinic(page)
    back = with_query(
        f"/doctors/{wish.doctor.slug}",
        visit_type=wish.visit_type.id if wish.offered else None,
        week=views.week_of(start, clinic),
    )
    faster = None
    if isinstance(error, SlotTaken):
        faster = views.faster_than(page, wish, start, back, patient_of_user=views.viewer(page))
    elif error is not None:
        form.add_error(error)
    form.starts_at.data = formats.iso(start)
    return page.render(
        "appointments/book.html",
        status=error.status if error else status,
        headers=headers_of(error) if error else None,
        visit=views.visit_of(wish, start),
        form=form,
        patient_name=patients.get_profile(page.session, actor).name,
        bookable=error is None or isinstance(error, Unavailable),
        faster=faster,
        cancel_until=views.change_until(start, clinic, page.now),
        calendar_href=back,
    )


def _sentence(entry: Entry, actor: Actor, view: AppointmentView, clinic: Clinic) -> str:
    """One line of a visit's history: what was done, and by whom as seen by the reader."""
    if entry.actor_user_id == actor.user_id:
        who = _("you")
    elif entry.actor_user_id is not None and entry.actor_user_id == view.patient_user_id:
        who = view.patient_name
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
        case "undone":
            now_is = statuses.word_of(str(entry.details.get("to", "")))
            return _("Put back to “%(status)s” by %(who)s") % {"status": now_is, **values}
        case "confirmed" | "arrived" | "completed" | "no_show" as status:
            return _("%(status)s, noted by %(who)s") % {"status": statuses.word_of(status), **values}
        case other:
            return other.replace("_", " ").capitalize()

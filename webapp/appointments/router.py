"""A patient's visits: booking one, looking at them, moving, cancelling. The visit's doctor and admins may look too."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from webapp.appointments import calendar, queries, service
from webapp.appointments.availability import Wish
from webapp.appointments.exceptions import ChangedMeanwhile, NotAPatient, RuleBroken, SlotTaken
from webapp.appointments.finding_router import viewer, visit_of
from webapp.appointments.forms import NO_TIME, BookForm, CancelForm, MoveForm, instant, whole_number
from webapp.appointments.schemas import AppointmentView
from webapp.audit import service as audit
from webapp.audit.service import Entry
from webapp.auth.dependencies import signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.core.pagination import paginate
from webapp.core.web import CurrentPage, Page, SentForm, with_query
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Conflict, Invalid
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
    error = _first_refusal(page, actor, wish, start)
    return _booking_page(page, actor, form, wish, start, error)


@router.post("/appointments")
def book(page: CurrentPage, sent: SentForm) -> Response:
    """Book a visit; patients, for themselves."""
    actor = signed_in(page)
    form = BookForm(sent)
    if sent.get("alternative"):
        form.starts_at.data = str(sent["alternative"])
    command = form.command() if form.validate() else None
    error = None
    if command is not None:
        page.close()
        try:
            reference = page.database.write(service.book, actor, command, now=page.now)
        except (Conflict, Invalid) as refusal:
            error = refusal
        else:
            return page.redirect(f"/appointments/{reference}?booked=1")
    wish, start = _wanted(page, form)
    return _booking_page(page, actor, form, wish, start, error, status=422)


@router.get("/appointments")
def list_appointments(page: CurrentPage) -> Response:
    """The actor's visits, those ahead or those behind; everybody who is signed in sees their own."""
    actor = signed_in(page)
    show = "past" if page.request.query_params.get("show") == "past" else "upcoming"
    number = whole_number(page.request.query_params.get("page")) or 1
    found = queries.list_appointments(
        page.session,
        actor,
        upcoming=show == "upcoming",
        now=page.now,
        skip=(number - 1) * PAGE_SIZE,
        limit=PAGE_SIZE,
    )
    visits = [
        {
            **line._asdict(),
            "minutes": int((line.ends_at - line.starts_at).total_seconds()) // 60,
            "specialty": line.doctor_specialty,
            "room": "",
            "preparation": "",
            "visit_type": line.visit_type_name,
            "href": f"/appointments/{line.reference}",
        }
        for line in found.lines
    ]
    return page.render(
        "appointments/list.html",
        show=show,
        visits=visits,
        pages=paginate("/appointments", number, found.total, PAGE_SIZE, show=show if show == "past" else None),
    )


@router.get("/appointments/{reference}")
def show_appointment(page: CurrentPage, reference: str) -> Response:
    """One visit in full; its patient, its doctor, an admin."""
    actor = signed_in(page)
    clinic = current_clinic(page)
    view = queries.get_appointment(page.session, actor, reference)
    may_change = view.may_change(actor, clinic, page.now)
    why_not = None
    if view.is_active(page.now) and not may_change:
        why_not = service.too_late_sentence(view, clinic)
    return page.render(
        "appointments/detail.html",
        visit=_booked(view),
        just_booked="booked" in page.request.query_params and view.status == "scheduled",
        mine=view.patient_user_id == actor.user_id,
        can_move=may_change,
        can_cancel=may_change,
        why_not=why_not,
        cancel_until=_change_until(view.starts_at, clinic, page.now) if may_change else None,
        history=[
            {"action": entry.action, "sentence": _sentence(entry, actor, view, clinic), "at": entry.at}
            for entry in audit.history(page.session, ("appointment", view.id))
        ],
    )


@router.get("/appointments/{reference}/cancellation")
def ask_cancellation(page: CurrentPage, reference: str) -> Response:
    """Ask whether the visit should really be cancelled; whoever may cancel it."""
    actor = signed_in(page)
    view = _changeable(page, actor, reference)
    form = CancelForm(data={"version": str(view.version)})
    return page.render("appointments/cancellation.html", visit=_booked(view), form=form)


@router.post("/appointments/{reference}/cancellation")
def cancel(page: CurrentPage, reference: str, sent: SentForm) -> Response:
    """Cancel a visit; whoever may cancel it."""
    actor = signed_in(page)
    form = CancelForm(sent)
    view = queries.get_appointment(page.session, actor, reference)
    command = form.command() if form.validate() else None
    if command is None:
        return page.render("appointments/cancellation.html", status=422, visit=_booked(view), form=form)
    page.close()
    try:
        page.database.write(service.cancel, actor, reference, command, now=page.now)
    except ChangedMeanwhile as error:
        # The page is shown again with what the visit is now, and the next answer is about that.
        view = queries.get_appointment(page.session, actor, reference)
        form.version.data = str(view.version)
        form.add_error(error)
        return page.render("appointments/cancellation.html", status=error.status, visit=_booked(view), form=form)
    return page.redirect(f"/appointments/{view.reference}", flash=_("The visit is cancelled."), tone="info")


@router.get("/appointments/{reference}/reschedule")
def ask_reschedule(page: CurrentPage, reference: str) -> Response:
    """The free times that the visit could move to, and old and new side by side; whoever may move it."""
    actor = signed_in(page)
    view = _changeable(page, actor, reference)
    wanted = page.request.query_params.get("starts_at")
    form = MoveForm(data={"starts_at": wanted or "", "version": str(view.version)})
    start = instant(wanted)
    if wanted and start is None:
        form.form_errors.append(NO_TIME)
        return _reschedule_page(page, view, form, None, None, status=422)
    error = None
    if start is not None:
        error = _first_refusal(page, actor, _wish_of(page, view), start, ignoring=view)
    return _reschedule_page(page, view, form, start, error)


@router.post("/appointments/{reference}/reschedule")
def reschedule(page: CurrentPage, reference: str, sent: SentForm) -> Response:
    """Move a visit to another time; whoever may move it."""
    actor = signed_in(page)
    view = queries.get_appointment(page.session, actor, reference)
    form = MoveForm(sent)
    command = form.command() if form.validate() else None
    if command is None:
        return _reschedule_page(page, view, form, None, None, status=422)
    page.close()
    try:
        page.database.write(service.move, actor, reference, command, now=page.now)
    except (Conflict, Invalid) as error:
        view = _changeable(page, actor, reference)
        form.version.data = str(view.version)
        return _reschedule_page(page, view, form, command.starts_at, error)
    return page.redirect(f"/appointments/{view.reference}", flash=_("The visit is moved."))


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


def _first_refusal(
    page: Page, actor: Actor, wish: Wish, start: datetime, *, ignoring: AppointmentView | None = None
) -> AppError | None:
    """What booking this would answer now, or None when it would succeed."""
    patient_id = ignoring.patient_id if ignoring else patients.find_own_patient(page.session, actor)
    try:
        service.require_bookable(
            page.session,
            current_clinic(page),
            wish,
            start,
            now=page.now,
            patient_id=patient_id,
            ignoring=ignoring.id if ignoring else None,
        )
    except AppError as error:
        return error
    return None


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
        week=_week(start, clinic),
    )
    faster = None
    if isinstance(error, SlotTaken):
        faster = _faster(page, wish, start, back, patient_of_user=viewer(page))
    elif error is not None:
        form.add_error(error)
    form.starts_at.data = formats.iso(start)
    profile = patients.get_profile(page.session, actor)
    return page.render(
        "appointments/book.html",
        status=error.status if error else status,
        visit=visit_of(wish, start),
        form=form,
        people=[("", profile.name, "")],
        bookable=error is None,
        faster=faster,
        cancel_until=_change_until(start, clinic, page.now),
        calendar_href=back,
    )


def _faster(
    page: Page,
    wish: Wish,
    taken: datetime,
    back: str,
    *,
    patient_of_user: int | None,
    moving: AppointmentView | None = None,
) -> dict[str, Any]:
    """The three nearest free times: buttons that book on the booking page, links where a visit is moved."""
    near = calendar.nearest(
        page.session,
        current_clinic(page),
        wish,
        taken,
        now=page.now,
        patient_of_user=patient_of_user,
        ignoring=moving.id if moving else None,
    )
    path = f"/appointments/{moving.reference}/reschedule" if moving else None
    return {
        "taken": taken,
        "doctor_name": wish.doctor.name,
        "calendar_href": back,
        "alternatives": [
            {
                "starts_at": start,
                "difference": difference,
                "href": with_query(path, starts_at=formats.iso(start)) if path else None,
            }
            for start, difference in near
        ],
    }


def _changeable(page: Page, actor: Actor, reference: str) -> AppointmentView:
    """The visit, which the actor must be allowed to move and cancel now.

    Raises:
        NotActive: it is over or cancelled. TooLateToChange: the window has closed.
    """
    clinic = current_clinic(page)
    view = queries.get_appointment(page.session, actor, reference)
    service.require_changeable(view, actor, clinic, now=page.now)
    return view


def _wish_of(page: Page, view: AppointmentView) -> Wish:
    doctor = doctors.get_doctor_by_id(page.session, view.doctor_id)
    return service.find_wish(page.session, doctor, view.visit_type_id)


def _reschedule_page(
    page: Page,
    view: AppointmentView,
    form: MoveForm,
    start: datetime | None,
    error: AppError | None,
    *,
    status: int = 200,
) -> Response:
    """The calendar to move in, with old and new side by side once a time is chosen and possible."""
    clinic = current_clinic(page)
    path = f"/appointments/{view.reference}/reschedule"
    wish = _wish_of(page, view)
    faster = None
    if isinstance(error, SlotTaken) and start is not None:
        faster = _faster(page, wish, start, path, patient_of_user=view.patient_user_id, moving=view)
    elif error is not None:
        form.form_errors.append(error.message)
    week = calendar.parse_week(page.request.query_params.get("week", ""))
    if week is None and start is not None:
        week = calendar.parse_week(_week(start, clinic))
    shown = start is not None and error is None
    return page.render(
        "appointments/reschedule.html",
        fragment="doctors/_calendar.html" if page.request.method == "GET" else None,
        status=error.status if error else status,
        visit=_booked(view),
        chosen=visit_of(wish, start) if shown and start is not None else None,
        form=form,
        faster=faster,
        calendar=calendar.week_calendar(
            page.session,
            clinic,
            wish,
            calendar.Place(
                page=path,
                fragment=path,
                slot_address=f"{path}?starts_at=",
                keep={},
                visit_types=[],
                chosen=f"{path}?starts_at={formats.iso(start)}" if start is not None else None,
            ),
            week=week,
            now=page.now,
            patient_of_user=view.patient_user_id,
            ignoring=view.id,
        ),
    )


def _week(start: datetime, clinic: Clinic) -> str:
    day = formats.local_date(start, clinic.zone)
    return calendar.week_name(day - timedelta(days=day.weekday()))


def _change_until(start: datetime, clinic: Clinic, now: datetime) -> datetime | None:
    """Until when the patient may move or cancel, or None when that has passed already."""
    until = start - timedelta(minutes=clinic.change_until_minutes)
    return until if until >= now else None


def _booked(view: AppointmentView) -> dict[str, Any]:
    """A booked visit in the shape that the templates want."""
    return {
        **view._asdict(),
        "minutes": view.minutes,
        "specialty": view.doctor_specialty,
        "room": view.doctor_room,
        "visit_type": view.visit_type_name,
    }


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
        case other:
            return other.replace("_", " ").capitalize()

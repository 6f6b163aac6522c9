"""Changing one's visit: cancelling it, and moving it to another time. Both ask first."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from starlette.responses import Response

from webapp.appointments import calendar, queries, service, views
from webapp.appointments.availability import Wish
from webapp.appointments.exceptions import NotActive, SlotTaken, TooLateToChange
from webapp.appointments.forms import NO_TIME, CancelForm, MoveForm, instant
from webapp.appointments.schemas import AppointmentView
from webapp.auth.dependencies import signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.errors import error_page, headers_of
from webapp.core.i18n import gettext as _
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Conflict, Invalid, Unavailable

router = APIRouter()


@router.get("/appointments/{reference}/cancellation")
def ask_cancellation(page: CurrentPage, reference: str) -> Response:
    """Ask whether the visit should really be cancelled; whoever may cancel it."""
    actor = signed_in(page)
    try:
        view = _changeable(page, actor, reference)
    except NotActive:
        # The page of a visit that is over or cancelled says so; there is nothing left to ask.
        return page.redirect(f"/appointments/{reference.upper()}")
    form = CancelForm(data={"version": str(view.version)})
    return _cancellation_page(page, actor, view, form)


@router.post("/appointments/{reference}/cancellation")
def cancel(page: CurrentPage, reference: str, sent: SentForm) -> Response:
    """Cancel a visit; whoever may cancel it."""
    actor = signed_in(page)
    form = CancelForm(sent)
    command = form.command() if form.validate() else None
    error = None
    if command is not None:
        page.close()
        try:
            page.database.write(service.cancel, actor, reference, command, now=page.now)
        except (Conflict, Invalid, Unavailable) as refusal:
            error = refusal
        else:
            address = f"/appointments/{reference.upper()}"
            return page.redirect(address, flash=_("The visit is cancelled."), tone="info")
    try:
        view = _changeable(page, actor, reference)
    except (NotActive, TooLateToChange) as refusal:
        back = (_("Back to the visit"), f"/appointments/{reference.upper()}")
        return error_page(page, refusal, actions=[back], typed=[form.reason])
    if error is not None:
        # The page is shown again with what the visit is now, and the next answer is about that.
        form.version.data = str(view.version)
        form.add_error(error)
    return _cancellation_page(page, actor, view, form, error, status=422)


@router.get("/appointments/{reference}/reschedule")
def ask_reschedule(page: CurrentPage, reference: str) -> Response:
    """The free times that the visit could move to, and old and new side by side; whoever may move it."""
    actor = signed_in(page)
    try:
        view = _changeable(page, actor, reference)
    except NotActive:
        return page.redirect(f"/appointments/{reference.upper()}")
    wanted = page.request.query_params.get("starts_at")
    form = MoveForm(data={"starts_at": wanted or "", "version": str(view.version)})
    start = instant(wanted)
    if wanted and start is None:
        form.form_errors.append(NO_TIME)
        return _reschedule_page(page, view, form, None, None, status=422)
    if start == view.starts_at:
        return page.redirect(f"/appointments/{view.reference}")
    error = None
    if start is not None:
        error = views.first_refusal(page, actor, _wish_of(page, view), start, ignoring=view)
    return _reschedule_page(page, view, form, start, error)


@router.post("/appointments/{reference}/reschedule")
def reschedule(page: CurrentPage, reference: str, sent: SentForm) -> Response:
    """Move a visit to another time; whoever may move it."""
    actor = signed_in(page)
    form = MoveForm(sent)
    command = form.command() if form.validate() else None
    if command is None:
        return _reschedule_page(page, _changeable(page, actor, reference), form, None, None, status=422)
    page.close()
    try:
        page.database.write(service.move, actor, reference, command, now=page.now)
    except (Conflict, Invalid, Unavailable) as error:
        view = _changeable(page, actor, reference)
        form.version.data = str(view.version)
        return _reschedule_page(page, view, form, command.starts_at, error)
    return page.redirect(f"/appointments/{reference.upper()}", flash=_("The visit is moved."))


def _changeable(page: Page, actor: Actor, reference: str) -> AppointmentView:
    """The visit, which the actor must be allowed to move and cancel now.

    Raises:
        NotActive: it is over or cancelled. TooLateToChange: the window has closed.
    """
    clinic = current_clinic(page)
    view = queries.get_appointment(page.session, actor, reference)
    service.require_changeable(view, actor, clinic, now=page.now)
    return view


def _cancellation_page(
    page: Page,
    actor: Actor,
    view: AppointmentView,
    form: CancelForm,
    error: AppError | None = None,
    *,
    status: int = 200,
) -> Response:
    """The question whether to cancel; with an error it keeps what was typed."""
    return page.render(
        "appointments/cancellation.html",
        status=error.status if error else status,
        headers=headers_of(error) if error else None,
        visit=views.booked(view),
        form=form,
        mine=view.patient_user_id == actor.user_id,
    )


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
        faster = views.faster_than(page, wish, start, path, patient_of_user=view.patient_user_id, moving=view)
    elif error is not None:
        form.form_errors.append(error.message)
    week = calendar.parse_week(page.request.query_params.get("week", ""))
    if week is None and start is not None:
        week = calendar.parse_week(views.week_of(start, clinic))
    # What could not be tried for want of a free database may be tried again at once.
    shown = start is not None and (error is None or isinstance(error, Unavailable))
    return page.render(
        "appointments/reschedule.html",
        fragment="doctors/_calendar.html" if page.request.method == "GET" else None,
        status=error.status if error else status,
        headers=headers_of(error) if error else None,
        visit=views.booked(view),
        mine=view.patient_user_id == signed_in(page).user_id,
        chosen=views.visit_of(wish, start) if shown and start is not None else None,
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

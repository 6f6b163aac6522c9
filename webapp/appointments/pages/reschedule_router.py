"""Cancelling an appointment, and moving it to another time. Both ask first.

They are the same pages for a user who is signed in and for a client with the link in a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import NamedTuple

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.booking import service
from webapp.appointments.exceptions import NotActive, TooLateToChange
from webapp.appointments.pages import presenters
from webapp.appointments.pages.appointment_access import AppointmentAccess, appointment_access
from webapp.appointments.pages.forms import GIVE_REASON, AnotherForm, CancelForm, MoveForm, StaffMoveForm
from webapp.appointments.pages.move_targets import MoveTarget, offer_targets, target_of
from webapp.appointments.schemas import AppointmentView, Cancellation, Move
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.errors import error_page
from webapp.core.parsing import instant
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.exceptions import AppError, Conflict, Invalid, Unavailable
from webapp.i18n import gettext as _
from webapp.patients.schemas import PatientChoice
from webapp.scheduling import week_calendar
from webapp.scheduling.exceptions import Refused, SlotTaken
from webapp.scheduling.presenters import AppointmentPreview, appointment_preview
from webapp.scheduling.viewer import Viewer

router = Router()


@router.get("/appointments/{reference}/cancellation")
@router.get("/visit/{token}/cancellation")
def ask_cancellation(page: CurrentPage) -> Response:
    """Ask whether the appointment should really be cancelled; those who may cancel it."""
    access = appointment_access(page)
    try:
        view = _changeable(page, access)
    except NotActive:
        # The page of an appointment shows its status; there is nothing to ask.
        return page.redirect(access.here)
    except TooLateToChange as refusal:
        return _refused_page(page, access, refusal)
    form = CancelForm(data={"version": str(view.version)})
    return _cancellation_page(page, access, view, form)


@router.post("/appointments/{reference}/cancellation")
@router.post("/visit/{token}/cancellation")
def cancel(page: CurrentPage, sent: SentForm) -> Response:
    """Cancel an appointment; those who may cancel it."""
    access = appointment_access(page)
    form = CancelForm(sent)
    command = form.command() if form.validate() else None
    error = None
    if command is not None:
        page.close()
        try:
            page.database.write(service.cancel, access.actor, access.reference, command, now=page.now)
        except (Conflict, Invalid, Unavailable) as refusal:
            error = refusal
        if error is None or _is_cancelled(page, access, command):
            return page.redirect(access.here, flash=_("The appointment is cancelled."), tone="info")
    try:
        view = _changeable(page, access)
    except (NotActive, TooLateToChange) as refusal:
        return _refused_page(page, access, refusal)
    if error is not None:
        # The page is shown again with the present state of the appointment, and the next answer is about that.
        form.version.data = str(view.version)
        form.add_error(error)
    return _cancellation_page(page, access, view, form, error, status=422)


@router.get("/appointments/{reference}/reschedule")
@router.get("/visit/{token}/reschedule")
def ask_reschedule(page: CurrentPage) -> Response:
    """The free times for the appointment, and old and new time side by side; those who may move it."""
    access = appointment_access(page)
    actor = access.actor
    try:
        view = _changeable(page, access)
    except NotActive:
        return page.redirect(access.here)
    except TooLateToChange as refusal:
        return _refused_page(page, access, refusal)
    query = page.request.query_params
    wanted = query.get("starts_at", "")
    form = _move_form(actor, data={"starts_at": wanted, "version": str(view.version)})
    another = AnotherForm(query if actor.is_staff else None)
    target = target_of(
        page, actor, view, f"{access.here}/reschedule", doctor=query.get("doctor"), kind=query.get("visit_type")
    )
    start = instant(wanted)
    both: list[datetime] = []
    if wanted or another.date.raw_data or another.time.raw_data:
        try:
            start, both = presenters.requested_start(another, wanted, current_clinic(page))
        except Invalid as unreadable:
            return _reschedule_page(page, access, view, target, form, None, unreadable, another=another)
    if target.is_changed:
        # Without another time, the present one is tried.
        start = start or view.starts_at
    elif start == view.starts_at:
        return page.redirect(access.here)
    error = None
    if start is not None and not actor.is_staff:
        error = presenters.first_refusal(page, target.request, start, Viewer(view.patient_id, moving=view.id))
    return _reschedule_page(page, access, view, target, form, start, error, another=another, both=both)


@router.post("/appointments/{reference}/reschedule")
@router.post("/visit/{token}/reschedule")
def reschedule(page: CurrentPage, sent: SentForm) -> Response:
    """Move an appointment to another time; those who may move it."""
    access = appointment_access(page)
    form = _move_form(access.actor, sent)
    command = form.command() if form.validate() else None
    start = instant(form.starts_at.data) if command is not None or access.actor.is_staff else None
    error = None
    if command is not None:
        page.close()
        try:
            page.database.write(service.move, access.actor, access.reference, command, now=page.now)
        except (Conflict, Invalid, Unavailable) as refusal:
            error = refusal
        if error is None or _is_moved(page, access, command):
            return page.redirect(access.here, flash=_("The appointment is moved."))
    try:
        view = _changeable(page, access)
    except (NotActive, TooLateToChange) as refusal:
        return _refused_page(page, access, refusal)
    if error is not None:
        form.version.data = str(view.version)
    chosen = {"doctor": form.doctor.data, "kind": form.visit_type.data} if isinstance(form, StaffMoveForm) else {}
    target = target_of(page, access.actor, view, f"{access.here}/reschedule", **chosen)
    return _reschedule_page(page, access, view, target, form, start, error, status=422)


def _is_cancelled(page: Page, access: AppointmentAccess, command: Cancellation) -> bool:
    """Whether the appointment is cancelled already, so that no typed reason would be lost.

    The same form may have been sent before: then one change has been made since its page was shown.
    """
    view = queries.get_appointment(page.session, access.actor, access.reference)
    sent_before = view.version == (command.version or view.version) + 1
    return view.status == "cancelled" and (sent_before or not command.reason)


def _is_moved(page: Page, access: AppointmentAccess, command: Move) -> bool:
    """Whether the appointment was moved to this time after its page was shown: the same form was sent before."""
    view = queries.get_appointment(page.session, access.actor, access.reference)
    changed = view.version > (command.version or view.version)
    there = command.doctor_id in (None, view.doctor_id) and command.visit_type_id in (None, view.visit_type_id)
    return changed and there and view.is_active(page.now) and view.starts_at == command.starts_at


def _changeable(page: Page, access: AppointmentAccess) -> AppointmentView:
    """The appointment, after checking that the reader may move and cancel it now.

    Raises:
        NotActive: its status or its time does not allow it. TooLateToChange: it is too late for the patient.
    """
    view = queries.get_appointment(page.session, access.actor, access.reference)
    service.require_changeable(view, access.actor, current_clinic(page), now=page.now)
    return view


def _refused_page(page: Page, access: AppointmentAccess, refusal: AppError) -> Response:
    """Why the appointment can be neither moved nor cancelled, and the way back to it."""
    return error_page(page, refusal, actions=[(_("Back to the appointment"), access.here)])


def _move_form(actor: Actor, sent: FormData | None = None, *, data: dict[str, str] | None = None) -> MoveForm:
    return StaffMoveForm(sent, data=data) if actor.is_staff else MoveForm(sent, data=data)


def _cancellation_page(
    page: Page,
    access: AppointmentAccess,
    view: AppointmentView,
    form: CancelForm,
    error: AppError | None = None,
    *,
    status: int = 200,
) -> Response:
    """The question whether to cancel; with an error it keeps what was typed."""
    return page.render(
        "appointments/pages/cancellation.html",
        status=error.status if error else status,
        appointment=view,
        form=form,
        mine=not access.actor.is_staff,
        whose=view.whose(access.actor),
        here=access.here,
    )


def _reschedule_page(
    page: Page,
    access: AppointmentAccess,
    view: AppointmentView,
    target: MoveTarget,
    form: MoveForm,
    start: datetime | None,
    error: AppError | None,
    *,
    another: AnotherForm | None = None,
    both: Sequence[datetime] = (),
    status: int = 200,
) -> Response:
    """The calendar to move in, with old and new time side by side once a possible time is chosen."""
    actor = access.actor
    clinic = current_clinic(page)
    request = target.request
    refused, taken, chosen = _Choice()
    if start is not None:
        form.starts_at.data = formats.iso(start)
        refused, taken, chosen = _choose(page, actor, target, start, error)
    if error is not None and not isinstance(error, SlotTaken):
        _show_error(form, error, refused, view, actor)
    if isinstance(form, StaffMoveForm) and target.is_changed:
        form.doctor.data, form.visit_type.data = str(request.doctor.id), str(request.visit_type.id)
    return page.render(
        "appointments/pages/reschedule.html",
        fragment="scheduling/_calendar.html" if page.request.method == "GET" else None,
        status=error.status if error else max(status, refused.status),
        appointment=view,
        mine=not actor.is_staff,
        whose=view.whose(actor),
        here=access.here,
        chosen=chosen,
        cancel_until=presenters.change_until(start, clinic, page.now) if start is not None else None,
        form=form,
        another=_another(page, actor, another, target, start or view.starts_at),
        is_changed=target.is_changed,
        refused=refused,
        twice=presenters.repeated_times(both, start, clinic, target.here, **target.keep),
        taken=taken,
        calendar=_calendar(page, view, target, start),
        cached=partial(week_calendar.cached_calendar, page.session),
    )


class _Choice(NamedTuple):
    """The page's data about a chosen time: the rules that refuse it to staff, the appointment that has it, and the
    new one.
    """

    refused: presenters.StaffRefusals = presenters.StaffRefusals([])
    taken: presenters.TakenTime | None = None
    chosen: AppointmentPreview | None = None


def _choose(page: Page, actor: Actor, target: MoveTarget, start: datetime, error: AppError | None) -> _Choice:
    request, viewer = target.request, target.viewer
    refused, taken = presenters.StaffRefusals([]), None
    if actor.is_staff:
        refused = presenters.staff_refusals(page, request, start, viewer)
    if isinstance(error, SlotTaken) or refused.clash:
        taken = presenters.taken_time(page, request, start, target.address, viewer, explained=bool(refused.errors))
    return _Choice(refused, taken, appointment_preview(request, start) if _may_send(actor, error, refused) else None)


def _may_send(actor: Actor, error: AppError | None, refused: presenters.StaffRefusals) -> bool:
    """Whether the page offers to move the appointment to the chosen time.

    Staff may override a rule or squeeze it in, and a change that failed because the database was busy may be tried
    again immediately.
    """
    if actor.is_staff:
        return (refused.overridable or refused.may_squeeze) and not isinstance(error, NotActive)
    return error is None or isinstance(error, Unavailable)


def _show_error(
    form: MoveForm, error: AppError, refused: presenters.StaffRefusals, view: AppointmentView, actor: Actor
) -> None:
    """Put an error where it belongs: next to the missing reason of staff, or at the top of the page."""
    if isinstance(form, StaffMoveForm) and refused.errors and isinstance(error, Refused):
        # The rules are already shown on the page.
        if refused.overridable:
            form.override_reason.errors = [GIVE_REASON]
        return
    patient = PatientChoice(view.patient_id, view.patient_name, view.whose(actor) is None)
    form.form_errors.append(error.message if actor.is_staff else presenters.about_patient(error, patient).message)


def _another(
    page: Page, actor: Actor, form: AnotherForm | None, target: MoveTarget, start: datetime
) -> AnotherForm | None:
    """The fields in which staff choose doctor and visit type and enter any time; None for patients."""
    if not actor.is_staff:
        return None
    form = form or AnotherForm()
    offer_targets(page, actor, form, target)
    if not (form.date.errors or form.time.errors) and form.wall_clock is None:
        form.show(start, current_clinic(page).zone)
    return form


def _calendar(page: Page, view: AppointmentView, target: MoveTarget, start: datetime | None) -> week_calendar.Calendar:
    """The free times for the appointment: in the week that was asked for, otherwise in the week of the chosen time.

    Without either, it is the week of the appointment itself, or if that has no free time, of the next free time.
    """
    clinic = current_clinic(page)
    place = week_calendar.CalendarPlace(
        page=target.here,
        fragment=target.here,
        slot_address=target.slots,
        keep=target.keep,
        visit_types=[],
        chosen=f"{target.slots}{formats.iso(start)}" if start is not None else None,
    )

    def calendar_of(week: date | None) -> week_calendar.Calendar:
        return week_calendar.week_calendar(
            page.session, clinic, target.request, place, week=week, now=page.now, viewer=target.viewer
        )

    asked = week_calendar.parse_week(page.request.query_params.get("week", ""))
    if asked is not None:
        return calendar_of(asked)
    near = calendar_of(week_calendar.parse_week(presenters.week_of(start or view.starts_at, clinic)))
    return calendar_of(None) if near.empty and start is None else near

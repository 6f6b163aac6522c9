"""Appointments in the API: reading, booking, moving and cancelling, with the same rules and rights as on the pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.appointments import confidentiality, queries
from webapp.appointments.bodies_api import AppointmentOut, BookAppointment, ChangeAppointment, SaveAppointment
from webapp.appointments.booking import listing, service, status_service
from webapp.appointments.exceptions import ChangedMeanwhile, NewBooking, NothingToChange
from webapp.appointments.schemas import (
    AppointmentStatus,
    AppointmentView,
    Booking,
    Cancellation,
    ChangeConfidentiality,
    Changes,
)
from webapp.auth.programs.api import Said
from webapp.auth.programs.api_access import Caller, WritingCaller
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import get_clinic
from webapp.core.api import API_PREFIX, LIST_HEADERS, LOCATION_HEADER, ApiRouter, QueryId, answer
from webapp.core.api_cursors import AskedCursorPaging, answer_part, invalid_cursor
from webapp.core.api_problems import problem_listing, problems
from webapp.core.entity_tags import (
    ETAG_HEADER,
    NOT_MODIFIED,
    IfMatch,
    entity_tag,
    expected_version,
    is_known,
    not_modified,
    precondition_of,
)
from webapp.core.web import CurrentPage, Page, PathId
from webapp.doctors import service as doctors
from webapp.exceptions import AppError
from webapp.i18n import gettext as _
from webapp.idempotency.api import Explain, Key, create
from webapp.scheduling import checks, named_times
from webapp.scheduling.api import FreeTimeOut
from webapp.scheduling.dependencies import current_viewer
from webapp.scheduling.exceptions import PatientBusy, SlotTaken
from webapp.scheduling.rules import RULES
from webapp.scheduling.time_parameters import When, end_of, start_of

router = ApiRouter(prefix="/appointments", tags=["Appointments"])


# How many values one filter takes.
MOST_VALUES = 100


def _codes(*more: str, clash: bool) -> str:
    """The codes of the rules' refusals, together with these others."""
    return ", ".join(f"`{code}`" for code in (*(rule.code for rule in RULES if rule.clash == clash), *more))


def _refusals(*more: str) -> dict[int | str, dict[str, Any]]:
    return problems(s422=f"The request is invalid (`invalid`), or a rule refuses it: {_codes(*more, clash=False)}.")


CLASH = problem_listing(
    409,
    "The time conflicts with another appointment "
    f"({_codes('squeeze_in_not_allowed', 'squeeze_in_full', clash=True)}), and `alternatives` lists the nearest free "
    "times; or the appointment has changed or is over.",
    alternatives={"$ref": "#/components/schemas/FreeTimeOut"},
)
STALE = problems(s412="The appointment has changed since the `ETag` in `If-Match`.")
COMMON_PROBLEMS = problems(
    s429="Too many requests; or a patient booked and moved too many appointments in a day (`too_many_changes`). "
    "Wait for the number of seconds in `Retry-After`."
)
CHANGED: dict[int | str, dict[str, Any]] = {
    200: {"model": AppointmentOut, "headers": ETAG_HEADER},
    **problems(401, 403, 404),
    **_refusals("too_late_to_change", "status_not_possible", "new_booking", "nothing_to_change"),
    **CLASH,
    **STALE,
    **COMMON_PROBLEMS,
}


# Refusals that list other times.
CLASHES = (SlotTaken, PatientBusy)


@router.post(
    "",
    summary="Book an appointment",
    status_code=201,
    responses={
        201: {"model": AppointmentOut, "headers": {**LOCATION_HEADER, **ETAG_HEADER}},
        **problems(401, 403, s404="The doctor, visit type or patient does not exist."),
        **_refusals("idempotency_key_reused"),
        **CLASH,
        **COMMON_PROBLEMS,
    },
)
def book_appointment(page: CurrentPage, actor: WritingCaller, body: BookAppointment, key: Key = None) -> Response:
    """Book an appointment. Access: patients for themselves and those they book for, doctors with themselves, the front
    desk, admins."""

    def work(session: Session) -> tuple[AppointmentOut, dict[str, str]]:
        doctor = doctors.get_doctor_by_id(session, body.doctor_id)
        command = Booking(
            doctor=doctor.slug,
            visit_type_id=body.visit_type_id,
            starts_at=body.starts_at,
            reason=body.reason or "",
            notes=body.notes or "",
            patient_id=body.patient_id,
            override_reason=body.override_reason,
            squeeze_reason=body.squeeze_reason,
            confidential=body.confidential,
        )
        reference = service.book(session, actor, command, now=page.now)
        view = queries.get_appointment(session, actor, reference)
        headers = {"location": f"{API_PREFIX}/appointments/{view.id}", "etag": entity_tag(view.version)}
        return appointment_out(view), headers

    wanted = _Wanted(body.doctor_id, body.visit_type_id, body.starts_at, body.patient_id)
    explain = Explain(CLASHES, partial(_offer_alternatives, page, actor, wanted))
    return create(page, actor, key, body, AppointmentOut, work, explain)


@router.get(
    "",
    summary="List appointments",
    responses={200: {"model": list[AppointmentOut], "headers": LIST_HEADERS}, **problems(401)},
)
def list_appointments(
    page: CurrentPage,
    actor: Caller,
    paging: AskedCursorPaging,
    status: Annotated[
        list[AppointmentStatus] | None,
        Query(max_length=MOST_VALUES, description="Only those with one of these statuses."),
    ] = None,
    since: Annotated[
        When | None,
        Query(alias="from", description="Only those that start at or after this time, or on or after this day."),
    ] = None,
    until: Annotated[
        When | None,
        Query(alias="to", description="Only those that start before this time, or on or before this day."),
    ] = None,
    doctor_id: Annotated[
        list[QueryId] | None, Query(max_length=MOST_VALUES, description="Only those with one of these doctors.")
    ] = None,
    visit_type_id: Annotated[
        list[QueryId] | None, Query(max_length=MOST_VALUES, description="Only those of one of these visit types.")
    ] = None,
    patient_id: Annotated[
        list[QueryId] | None, Query(max_length=MOST_VALUES, description="Only those of one of these patients.")
    ] = None,
) -> Response:
    """Appointments by start, earliest first. Access: patients, those who book for them, doctors for theirs, the front
    desk, admins.

    Reading by staff is recorded in the audit log.
    """
    clinic = current_clinic(page)
    wanted = listing.AppointmentFilter(
        since=start_of(since, clinic) if since is not None else None,
        until=end_of(until, clinic) if until is not None else None,
        doctor_ids=doctor_id or None,
        statuses=status or None,
        visit_type_ids=visit_type_id or None,
        patient_ids=patient_id or None,
    )
    after = listing.parse_place(paging.place)
    if paging.place and after is None:
        raise invalid_cursor()
    found = listing.list_part(page.session, actor, wanted, after=after, skip=paging.skip, limit=paging.limit)
    if actor.is_staff and found.views:
        read = [view.id for view in found.views]
        page.trace(status_service.record_listing, actor, read, now=page.now)
    shown = [appointment_out(view) for view in found.views]
    return answer_part(page, AppointmentOut, shown, total=found.total, paging=paging, after=found.after)


@router.get(
    "/{appointment_id}",
    summary="Read an appointment",
    responses={200: {"model": AppointmentOut, "headers": ETAG_HEADER}, **NOT_MODIFIED, **problems(401, 404)},
)
def read_appointment(page: CurrentPage, actor: Caller, appointment_id: PathId) -> Response:
    """An appointment. Access: the patient, the person who books for them, the doctor, the front desk, admins.

    Reading by staff is recorded in the audit log.
    """
    view = queries.get_appointment_by_id(page.session, actor, appointment_id)
    tag = entity_tag(view.version)
    if is_known(page.request, tag):
        return not_modified(page, tag)
    return _answer_read(page, actor, view)


@router.put("/{appointment_id}", summary="Replace an appointment", responses=CHANGED)
def replace_appointment(
    page: CurrentPage, actor: WritingCaller, appointment_id: PathId, body: SaveAppointment, _if_match: IfMatch = None
) -> Response:
    """Replace time, reason and status of an appointment. Access: the patient, the person who books for them, the
    doctor, the front desk, admins.

    Like `PATCH`, except that the current status may be repeated.
    """
    view = queries.get_appointment_by_id(page.session, actor, appointment_id)
    return _change(page, actor, view, body, status=body.status if body.status != view.status else None)


@router.patch("/{appointment_id}", summary="Change an appointment", responses=CHANGED)
def change_appointment(
    page: CurrentPage, actor: WritingCaller, appointment_id: PathId, body: ChangeAppointment, _if_match: IfMatch = None
) -> Response:
    """Move or cancel an appointment, or change its reason. Access: the patient, the person who books for them, the
    doctor, the front desk, admins.

    Staff can also set the status, give it to another doctor (doctors cannot) and change its visit type. Several changes
    are saved together or not at all.
    """
    view = queries.get_appointment_by_id(page.session, actor, appointment_id)
    return _change(page, actor, view, body, status=body.status)


@router.delete(
    "/{appointment_id}",
    summary="Cancel an appointment",
    responses={
        200: {"model": Said},
        **problems(401, 404, s409="It is over, already cancelled, or was changed at the same time."),
        **STALE,
    },
)
def cancel_appointment(
    page: CurrentPage, actor: WritingCaller, appointment_id: PathId, _if_match: IfMatch = None
) -> Response:
    """Cancel an appointment, which stays on record. Access: the patient, the person who books for them, the doctor, the
    front desk, admins.
    """
    view = queries.get_appointment_by_id(page.session, actor, appointment_id)
    command = Cancellation(version=expected_version(page.request, view.version))
    page.close()
    with precondition_of(page.request, ChangedMeanwhile):
        page.database.write(service.cancel, actor, view.reference, command, now=page.now)
    return answer(page, Said, Said(message=_("The appointment is cancelled.")))


def appointment_out(view: AppointmentView) -> AppointmentOut:
    """An appointment as the API shows it, without the doctor's private note."""
    return AppointmentOut.model_validate(view)


def _answer_read(page: Page, actor: Actor, view: AppointmentView) -> Response:
    """Answer 200 with an appointment. Reading by staff is recorded."""
    page.close()
    if actor.is_staff:
        page.trace(status_service.record_reading, actor, view.id, now=page.now)
    return answer(page, AppointmentOut, appointment_out(view), headers={"etag": entity_tag(view.version)})


def _require_same_booking(actor: Actor, view: AppointmentView, body: ChangeAppointment) -> None:
    """Check that an appointment keeps its patient and, unless staff change them, its doctor and its visit type.

    Raises:
        NewBooking: the body names others.
    """
    for name in ("patient_id",) if actor.is_staff else ("doctor_id", "visit_type_id", "patient_id"):
        wanted = getattr(body, name)
        if wanted is not None and wanted != getattr(view, name):
            raise NewBooking(name)


def _change(
    page: Page, actor: Actor, view: AppointmentView, body: ChangeAppointment, *, status: AppointmentStatus | None
) -> Response:
    """Make the changes and answer with the appointment afterwards.

    Raises:
        NothingToChange, NewBooking, PreconditionFailed, and the errors of the changes.
    """
    version = expected_version(page.request, view.version)
    _require_same_booking(actor, view, body)
    if body.is_empty(view):
        raise NothingToChange
    asked = body.model_dump(include=set(Changes.model_fields))
    command = Changes(**{**asked, "status": status, "version": version})
    page.close()

    def work(session: Session) -> AppointmentView:
        # This comes first, because a cancellation notifies everyone who may see the appointment.
        if body.confidential is not None and body.confidential != view.confidential:
            wish = ChangeConfidentiality(confidential=body.confidential, version=version)
            confidentiality.set_confidential(session, actor, view.reference, wish, now=page.now)
            changes = command.model_copy(update={"version": None})
        else:
            changes = command
        status_service.change(session, actor, view.id, changes, now=page.now)
        return queries.get_appointment_by_id(session, actor, view.id)

    with precondition_of(page.request, ChangedMeanwhile):
        try:
            changed = page.database.write(work)
        except CLASHES as error:
            starts_at = command.starts_at or view.starts_at
            doctor_id, kind_id = command.doctor_id or view.doctor_id, command.visit_type_id or view.visit_type_id
            wanted = _Wanted(doctor_id, kind_id, starts_at, view.patient_id, moving=view.id)
            _offer_alternatives(page, actor, wanted, error)
            raise
    if changed.version == view.version:
        # The request changes nothing, so it counts as reading.
        return _answer_read(page, actor, changed)
    return answer(page, AppointmentOut, appointment_out(changed), headers={"etag": entity_tag(changed.version)})


class _Wanted(NamedTuple):
    """A time that was refused."""

    doctor_id: int
    visit_type_id: int | None
    starts_at: datetime
    patient_id: int | None
    moving: int | None = None


def _offer_alternatives(page: Page, actor: Actor, wanted: _Wanted, error: AppError) -> None:
    """Add the three nearest free times to a refusal because of a clash, when its transaction is over."""
    doctor = doctors.get_doctor_by_id(page.session, wanted.doctor_id)
    request = checks.find_booking_request(page.session, doctor, wanted.visit_type_id, by_staff=actor.is_staff)
    near = named_times.nearest(
        page.session,
        get_clinic(page.session),
        request,
        wanted.starts_at.astimezone(UTC),
        now=page.now,
        viewer=current_viewer(page, wanted.patient_id, moving=wanted.moving),
    )
    page.close()
    length = timedelta(minutes=request.visit_type.minutes)
    error.members["alternatives"] = [
        FreeTimeOut(starts_at=start, ends_at=start + length).model_dump(mode="json") for start, _words in near
    ]

"""Booking, moving and cancelling. Every path to a taken time goes through this file.

Each use case first takes the locks (doctors by id, then the patient), then reads the facts, checks the rules, and
writes. If all of that is ever wrong, the guard in the database still refuses the row.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments import queries
from webapp.appointments.booking import allowances, former_notes
from webapp.appointments.booking.appointment_row import (
    lock_for_change,
    new_reference,
    publish_freed_time,
    record,
    times_of,
    update_row,
)
from webapp.appointments.booking.booking_limit import (
    lock_unconfirmed,
    require_first_booking,
    require_within_booking_limit,
)
from webapp.appointments.exceptions import (
    ChangedMeanwhile,
    NewBooking,
    NotActive,
    NotAPatient,
    OtherDoctorsAppointment,
    TooLateToChange,
)
from webapp.appointments.schemas import AppointmentView, Booking, Cancellation, ChangeWords, Move, last_change
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic, get_clinic
from webapp.core import formats
from webapp.core.codes import NOTE, stored
from webapp.database import rows, table_of
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.events.kinds import AppointmentBooked, AppointmentCancelled, AppointmentMoved
from webapp.events.publishing import publish
from webapp.exceptions import Forbidden
from webapp.i18n import gettext as _
from webapp.patients import service as patients
from webapp.scheduling.checks import find_booking_request, guarded
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.scheduling.viewer import Viewer

_INSERT = sa.insert(table_of(Appointment)).returning(table_of(Appointment).c.id)


def book(session: Session, actor: Actor, command: Booking, *, in_person: bool = False, now: datetime) -> str:
    """Book an appointment for the actor, or for a patient for whom the actor may book, and return its reference.

    Patients who are told `in_person` get no message about it.

    Raises:
        SlotTaken, PatientBusy: the time clashes with another appointment (409).
        SqueezeInNotAllowed, SqueezeInFull: staff cannot squeeze it in there (409).
        RuleBroken: another rule refuses it (422).
        TooManyChanges: the patient booked and moved too often lately (429).
        ConfirmFirst: the patient's address is not confirmed, and they have booked already (422).
        NotAPatient: the actor has no patient's record and named no patient (403).
        OtherDoctorsAppointment: a doctor books with another doctor (403).
        NotFound: there is no such doctor, visit type or patient.
    """
    doctor, unconfirmed, patient_id = _lock_for_booking(session, actor, command)
    clinic = get_clinic(session)
    require_within_booking_limit(session, actor, clinic, now=now)
    request = find_booking_request(session, doctor, command.visit_type_id, by_staff=actor.is_staff)
    viewer = Viewer(patient_id, by_staff=actor.is_staff)
    allowed = allowances.require_bookable(
        session, actor, clinic, request, command, viewer=viewer, patient_id=patient_id, now=now
    )
    # This comes after the refusals of the time itself: a request for a taken time is refused for that, and nothing is
    # counted.
    if unconfirmed:
        require_first_booking(session, actor, now=now)
    reference = new_reference()
    values = {
        "reference": reference,
        "patient_id": patient_id,
        **_booked_columns(command, request, clinic),
        **allowed.columns,
        "confidential": command.confidential and _may_hide(session, actor, patient_id),
        "booked_by": actor.account_id,
        "created_at": now,
        "updated_at": now,
    }
    with guarded(allowed.if_taken):
        appointment_id = rows(session, _INSERT, **values).scalar_one()
    record(session, actor, "booked", appointment_id, now, {"starts_at": formats.iso(command.starts_at)})
    allowances.record(session, actor, appointment_id, allowed, now=now)
    booked = AppointmentBooked(
        by=actor.done_by,
        appointment_id=appointment_id,
        doctor_id=doctor.id,
        patient_id=patient_id,
        in_person=in_person,
    )
    publish(session, booked, now=now)
    return reference


def _booked_columns(command: Booking, request: BookingRequest, clinic: Clinic) -> dict[str, object]:
    """The columns that follow from the booking alone."""
    return {
        "doctor_id": request.doctor.id,
        "visit_type_id": request.visit_type.id,
        **times_of(command.starts_at, request.visit_type, clinic),
        "reason": command.reason,
        "notes": command.notes,
    }


def _lock_for_booking(session: Session, actor: Actor, command: Booking) -> tuple[DoctorRow, bool, int]:
    """The doctor, whether the actor's address is not confirmed, and the patient, locked in this order."""
    doctor_id = doctors.lock_doctor(session, slug=command.doctor)
    unconfirmed = lock_unconfirmed(session, actor)
    patient_id = patients.lock_bookable_patient(session, actor, command.patient_id)
    if patient_id is None:
        raise NotAPatient
    if actor.role == "doctor" and doctor_id != doctors.get_doctor_of_user(session, actor.user_id).id:
        raise OtherDoctorsAppointment
    return doctors.get_doctor_by_id(session, doctor_id), unconfirmed, patient_id


def move(
    session: Session,
    actor: Actor,
    reference: str,
    command: Move,
    *,
    now: datetime,
    why: str = "",
    even_arrived: bool = False,
) -> None:
    """Give an appointment another start; staff also another doctor or visit type, under the rules of the new ones.

    It is one UPDATE, so the old time stays taken until the new one is certain. An appointment that was squeezed in and
    moves to a free time becomes an ordinary one. The patient's confirmation is kept if only the visit type changes.

    `why` is the code of one of the clinic's reasons, for the people who are notified. With `even_arrived` the patient
    may already have arrived: on the same day they stay arrived.

    Raises:
        SlotTaken, SqueezeInNotAllowed, SqueezeInFull, PatientBusy, ChangedMeanwhile, NotActive: 409.
        RuleBroken, TooLateToChange, NewBooking: 422. TooManyChanges: 429.
        OtherDoctorsAppointment: a doctor gives it to another doctor (403).
        NoSuchAppointment, NotFound: 404.
    """
    view = lock_for_change(session, actor, reference, command.version, to_doctor=command.doctor_id)
    clinic = get_clinic(session)
    if not (even_arrived and view.status == "arrived"):
        require_changeable(view, actor, clinic, now=now)
    require_within_booking_limit(session, actor, clinic, now=now)
    request = request_of_move(session, actor, view, command.doctor_id, command.visit_type_id)
    viewer = Viewer(view.patient_id, moving=view.id, by_staff=actor.is_staff, changing=is_changed(view, request))
    allowed = allowances.require_bookable(
        session, actor, clinic, request, command, viewer=viewer, patient_id=view.patient_id, now=now
    )
    times = times_of(command.starts_at, request.visit_type, clinic)
    values: dict[str, object] = {**times, **allowed.columns, "flagged_why": ""}
    if (view.doctor_id, view.starts_at) != (request.doctor.id, command.starts_at):
        values |= {"moved_by_clinic": actor.is_staff}
        if view.status != "arrived" or view.starts_at.astimezone(clinic.zone).date() != clinic.today(command.starts_at):
            values |= {"status": "scheduled", "previous_status": None, "arrived_at": None}
    with guarded(allowed.if_taken):
        update_row(session, view, now=now, doctor_id=request.doctor.id, visit_type_id=request.visit_type.id, **values)
    if request.doctor.id != view.doctor_id:
        former_notes.hand_over(session, view.id, giver=view.doctor_id, taker=request.doctor.id)
    _record_move(session, actor, view, request, command.starts_at, now=now)
    allowances.record(session, actor, view.id, allowed, now=now)
    publish(session, _moved(actor, view, request, clinic, why), now=now)
    still_busy = (times["busy_from"], times["busy_until"]) if request.doctor.id == view.doctor_id else None
    publish_freed_time(session, actor, view, still_busy=still_busy, now=now)


def request_of_move(
    session: Session, actor: Actor, view: AppointmentView, doctor_id: int | None, visit_type_id: int | None
) -> BookingRequest:
    """The doctor and the visit type that a move leads to; without others, the present ones.

    Raises:
        NewBooking: only staff change them. OtherDoctorsAppointment: a doctor gives it to another doctor.
        NotFound: there is no such doctor or visit type.
    """
    for name, wanted in (("doctor_id", doctor_id), ("visit_type_id", visit_type_id)):
        if not actor.is_staff and wanted is not None and wanted != getattr(view, name):
            raise NewBooking(name)
    if actor.role == "doctor" and doctor_id not in (None, view.doctor_id):
        raise OtherDoctorsAppointment
    doctor = doctors.get_doctor_by_id(session, view.doctor_id if doctor_id is None else doctor_id)
    return find_booking_request(session, doctor, view.visit_type_id if visit_type_id is None else visit_type_id)


def is_changed(view: AppointmentView, request: BookingRequest) -> bool:
    """Whether a request is for another doctor or visit type than the appointment has."""
    return (request.doctor.id, request.visit_type.id) != (view.doctor_id, view.visit_type_id)


def _record_move(
    session: Session, actor: Actor, view: AppointmentView, request: BookingRequest, start: datetime, *, now: datetime
) -> None:
    """Write an audit row for each thing that a move changed: the start, the doctor, the visit type."""
    if start != view.starts_at:
        record(session, actor, "moved", view.id, now, {"from": formats.iso(view.starts_at), "to": formats.iso(start)})
    for action, before, after in (
        ("given_to_doctor", view.doctor_id, request.doctor.id),
        ("type_changed", view.visit_type_id, request.visit_type.id),
    ):
        if before != after:
            record(session, actor, action, view.id, now, {"from": str(before), "to": str(after)})


def _moved(actor: Actor, view: AppointmentView, request: BookingRequest, clinic: Clinic, why: str) -> AppointmentMoved:
    """The event that announces a move."""
    return AppointmentMoved(
        by=actor.done_by,
        appointment_id=view.id,
        doctor_id=request.doctor.id,
        patient_id=view.patient_id,
        before=view.told_at(clinic),
        why=why,
        former_doctor_id=view.doctor_id if request.doctor.id != view.doctor_id else None,
        former_visit_type_id=view.visit_type_id if request.visit_type.id != view.visit_type_id else None,
        former_minutes=view.minutes if request.visit_type.minutes != view.minutes else None,
    )


def cancel(
    session: Session,
    actor: Actor,
    reference: str,
    command: Cancellation,
    *,
    now: datetime,
    why: str = "",
    say: str = "",
    even_late: bool = False,
    even_arrived: bool = False,
    in_person: bool = False,
) -> None:
    """Cancel an appointment and free its time. `why` is the code of one of the clinic's reasons; the people who are
    notified read its sentence, or what the clinic wants to `say` instead.

    `even_late` ignores the deadline for patients, because the patient will not come back. With `even_arrived` the
    patient may already have arrived. Patients who are told `in_person` get no message.

    Raises:
        ChangedMeanwhile, NotActive: 409. TooLateToChange: 422. NoSuchAppointment: 404.
    """
    view = lock_for_change(session, actor, reference, command.version)
    if not (even_late and view.is_active(now)) and not (even_arrived and view.status == "arrived"):
        require_changeable(view, actor, get_clinic(session), now=now)
    update_row(
        session,
        view,
        now=now,
        status="cancelled",
        previous_status=view.status,
        flagged_why="",
        cancellation_reason=command.reason,
        cancellation_code=why,
    )
    record(session, actor, "cancelled", view.id, now, {"starts_at": formats.iso(view.starts_at)})
    cancelled = AppointmentCancelled(
        by=actor.done_by,
        appointment_id=view.id,
        doctor_id=view.doctor_id,
        patient_id=view.patient_id,
        why=stored(NOTE, say) if say else why,
        in_person=in_person,
    )
    publish(session, cancelled, now=now)
    publish_freed_time(session, actor, view, now=now)


def change_words(session: Session, actor: Actor, reference: str, command: ChangeWords, *, now: datetime) -> None:
    """Change the reason or the note of an upcoming appointment. The audit row says which changed, but not the text.

    The minimum notice for patients does not apply, because the change does not affect anyone's time.

    Raises:
        ChangedMeanwhile, NotActive: 409. NoSuchAppointment: 404.
        Forbidden: the actor would replace a reason that the clinic does not show them.
    """
    view = lock_for_change(session, actor, reference, None)
    if command.reason and queries.hides_reasons(session, actor):
        raise Forbidden(_("The clinic doesn’t show reasons to the front desk, so you can’t change this one."))
    wanted = {"reason": command.reason, "notes": command.notes}
    values = {name: text for name, text in wanted.items() if text is not None and text != getattr(view, name)}
    if not values:
        # Also if the same form is sent twice.
        return
    if command.version not in {None, view.version}:
        raise ChangedMeanwhile
    if not (view.status in ACTIVE if actor.is_staff else view.is_active(now)):
        raise NotActive(view.status)
    update_row(session, view, now=now, **values)
    record(session, actor, "words_changed", view.id, now, {"changed": ", ".join(sorted(values))})


def _may_hide(session: Session, actor: Actor, patient_id: int) -> bool:
    """Whether the actor may hide an appointment from the person who books for the patient: staff, and the patient."""
    return actor.is_staff or patients.find_own_patient(session, actor) == patient_id


def require_changeable(view: AppointmentView, actor: Actor, clinic: Clinic, *, now: datetime) -> None:
    """Check that the actor may move and cancel this appointment now.

    Raises:
        NotActive: its status or its time does not allow it (409).
        TooLateToChange: it is too late for the patient (422).
    """
    if view.may_change(actor, clinic, now):
        return
    if not view.is_active(now):
        raise NotActive(view.status)
    raise TooLateToChange(too_late_sentence(view, clinic))


def too_late_sentence(view: AppointmentView, clinic: Clinic) -> str:
    """A sentence that says until when a change was possible online, and what to do now."""
    until = last_change(view.starts_at, clinic, moved_by_clinic=view.moved_by_clinic)
    message = _("It is too late to change this appointment online. The deadline was %(when)s.")
    text = message % {"when": formats.day_and_time(until, clinic.zone)}
    return f"{text} {_('Please call %(phone)s.') % {'phone': clinic.phone_shown}}" if clinic.phone else text

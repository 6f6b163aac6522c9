"""The status of an appointment, undoing the last change, and the doctor's private note."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from webapp.appointments import queries
from webapp.appointments.booking import allowances, former_notes, service, statuses
from webapp.appointments.booking.appointment_row import lock_for_change, publish_freed_time, record, update_row
from webapp.appointments.exceptions import NotActive, NothingToUndo, StatusNotPossible, StatusNotYours
from webapp.appointments.schemas import (
    AppointmentView,
    Cancellation,
    Changes,
    ChangeStatus,
    ChangeWords,
    Move,
    UndoStatus,
    WriteDeskNote,
    WriteNote,
)
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic, get_clinic
from webapp.core.local_time import wall_minute
from webapp.core.optimistic_lock import require_unchanged
from webapp.events.kinds import AppointmentStatusChanged
from webapp.events.publishing import publish
from webapp.exceptions import Forbidden
from webapp.i18n import gettext as _
from webapp.scheduling import checks, rule_violations
from webapp.scheduling.exceptions import SlotTaken
from webapp.scheduling.models import OCCUPYING, Appointment


class SavedNote(BaseModel):
    """The note as it is saved now. Its fingerprint shows whether another window saved another version."""

    private_note: str


class SavedDeskNote(BaseModel):
    """The staff's note as it is saved now, with its fingerprint as `SavedNote` has it."""

    desk_note: str


def change_status(session: Session, actor: Actor, reference: str, command: ChangeStatus, *, now: datetime) -> None:
    """Mark an appointment as confirmed, arrived, no-show or completed; staff.

    A client with the appointment's link may also confirm it.

    Raises:
        StatusNotPossible: not from its present status, or not yet (422). ChangedMeanwhile: 409. NoSuchAppointment: 404.
        Forbidden: patients cannot change the status.
    """
    if not actor.by_link:
        _require_staff(actor)
    view = lock_for_change(session, actor, reference, command.version)
    if command.status not in statuses.possible_statuses(view, actor, get_clinic(session), now):
        raise StatusNotPossible(statuses.why_not(view, command.status))
    mark(session, actor, view, command.status, now=now)


def mark(session: Session, actor: Actor, view: AppointmentView, status: str, *, now: datetime) -> None:
    """Set a status that was found possible for an appointment under its locks."""
    # An appointment that is over needs no decision any more.
    values: dict[str, object] = {"flagged_why": ""} if status in {"completed", "no_show"} else {}
    if status == "arrived":
        values["arrived_at"] = now
    update_row(session, view, now=now, status=status, previous_status=view.status, **values)
    record(session, actor, status, view.id, now, {})
    _publish_status(session, actor, view, status, now=now)


def confirm(session: Session, actor: Actor, reference: str, command: ChangeStatus, *, now: datetime) -> None:
    """Confirm an upcoming appointment; confirming it twice has the same effect as once.

    Raises:
        NotActive, ChangedMeanwhile: 409. NoSuchAppointment: 404.
    """
    view = lock_for_change(session, actor, reference, None)
    if not view.is_active(now):
        raise NotActive(view.status)
    if view.status != "confirmed":
        change_status(session, actor, reference, command, now=now)


def change(session: Session, actor: Actor, appointment_id: int, command: Changes, *, now: datetime) -> None:
    """Move an appointment, change its texts and its status, as the command says, in this order; all of it or nothing.

    Raises:
        NoSuchAppointment: 404. StatusNotYours: a patient may only cancel (403). And the errors of each single change.
    """
    seen = queries.get_appointment_by_id(session, actor, appointment_id)
    view = lock_for_change(session, actor, seen.reference, command.version, to_doctor=command.doctor_id)
    if command.status is not None and command.status != "cancelled" and not actor.is_staff:
        raise StatusNotYours
    if command.moves(view):
        wanted = Move(
            starts_at=command.starts_at or view.starts_at,
            doctor_id=command.doctor_id,
            visit_type_id=command.visit_type_id,
            override_reason=command.override_reason,
            squeeze_reason=command.squeeze_reason,
        )
        service.move(session, actor, view.reference, wanted, now=now)
    if command.reason is not None or command.notes is not None:
        words = ChangeWords(reason=command.reason, notes=command.notes)
        service.change_words(session, actor, view.reference, words, now=now)
    if command.status == "cancelled":
        service.cancel(session, actor, view.reference, Cancellation(), now=now)
    elif command.status == "scheduled":
        # Only booking and moving lead to this status; it cannot be set.
        raise StatusNotPossible(statuses.why_not(view, command.status), field="status")
    elif command.status is not None:
        change_status(session, actor, view.reference, ChangeStatus(status=command.status), now=now)


def undo(session: Session, actor: Actor, reference: str, command: UndoStatus, *, now: datetime) -> None:
    """Undo the last change of an appointment's status; staff. If it takes its time again, that must be free.

    One that was squeezed in comes back beside the others, or as an ordinary one if its time is free now.

    If today's hours, leave or closures refuse the restored appointment, it is flagged.

    Raises:
        SlotTaken: the time was given to another appointment (409). PatientBusy: the patient has another one then (409).
        SqueezeInNotAllowed, SqueezeInFull: it cannot be squeezed in beside these again (409).
        NothingToUndo, ChangedMeanwhile: 409.
        NoSuchAppointment: 404. Forbidden: patients cannot undo.
    """
    _require_staff(actor)
    view = lock_for_change(session, actor, reference, command.version)
    restored = view.previous_status
    if restored is None or not statuses.may_undo(view, actor):
        raise NothingToUndo
    comes_back = view.status not in OCCUPYING and restored in OCCUPYING
    values: dict[str, object] = {
        "status": restored,
        "previous_status": None,
        "cancellation_reason": "",
        "cancellation_code": "",
    }
    if restored != "arrived":
        values["arrived_at"] = None
    if comes_back:
        # The patient is told again, with the time that the clock shows now.
        values["promised_minute"] = wall_minute(view.starts_at, get_clinic(session).zone)
        values["flagged_why"] = _why_flagged(session, get_clinic(session), view, restored, now=now)
        values |= allowances.place_again(session, view)
    with checks.guarded(SlotTaken(str(allowances.GIVEN_AWAY))):
        update_row(session, view, now=now, **values)
    record(session, actor, "undone", view.id, now, {"from": view.status, "to": restored})
    _publish_status(session, actor, view, restored, now=now)


def get_note(session: Session, actor: Actor, reference: str) -> tuple[AppointmentView, SavedNote]:
    """An appointment and its private note, for its doctor.

    Raises:
        Forbidden: only doctors have notes. NoSuchAppointment: this doctor has no such appointment.
    """
    _require_doctor(actor)
    view = queries.get_appointment(session, actor, reference)
    return view, SavedNote(private_note=view.private_note)


def write_note(session: Session, actor: Actor, reference: str, command: WriteNote, *, now: datetime) -> None:
    """Save the doctor's private note. It does not count as a change of the appointment, and the audit row has no text.

    Raises:
        EditedMeanwhile: another window saved another note (409). NoSuchAppointment: 404. Forbidden: not the doctor.
    """
    _require_doctor(actor)
    view = lock_for_change(session, actor, reference, None)
    wanted = SavedNote(private_note=command.private_note)
    require_unchanged(SavedNote(private_note=view.private_note), command.seen, wanted=wanted)
    former_notes.hand_over(session, view.id, giver=view.doctor_id, taker=view.doctor_id)
    session.execute(
        sa.update(Appointment)
        .where(Appointment.id == view.id)
        .values(private_note=command.private_note, note_doctor_id=None)
        .execution_options(synchronize_session=False)
    )
    record_unseen(session, actor, "note_changed", view.id, now=now)


def write_desk_note(session: Session, actor: Actor, reference: str, command: WriteDeskNote, *, now: datetime) -> None:
    """Save the note that staff leave each other. It does not count as a change, and the audit row has no text.

    Raises:
        EditedMeanwhile: another window saved another note (409). NoSuchAppointment: 404. Forbidden: not staff.
    """
    if not actor.is_staff:
        raise StatusNotYours
    view = lock_for_change(session, actor, reference, None)
    wanted = SavedDeskNote(desk_note=command.desk_note)
    require_unchanged(SavedDeskNote(desk_note=view.desk_note), command.seen, wanted=wanted)
    session.execute(
        sa.update(Appointment)
        .where(Appointment.id == view.id)
        .values(desk_note=command.desk_note)
        .execution_options(synchronize_session=False)
    )
    record_unseen(session, actor, "desk_note_changed", view.id, now=now)


def record_reading(session: Session, actor: Actor, appointment_id: int, *, now: datetime) -> None:
    """Record that staff opened an appointment and could read what the patient told the doctor."""
    record_unseen(session, actor, "appointment_read", appointment_id, now=now)


def record_listing(session: Session, actor: Actor, appointment_ids: Sequence[int], *, now: datetime) -> None:
    """Record that staff received a list of appointments, each with what the patient told the doctor."""
    audit.record_list_read(session, actor, "appointments_listed", "appointments", appointment_ids, now=now)


def record_unseen(session: Session, actor: Actor, action: str, appointment_id: int, *, now: datetime) -> None:
    """Write an audit row that is not shown in the patient's history of the appointment."""
    audit.record_by(session, actor, action, subject=("appointment", appointment_id), now=now)


def _publish_status(session: Session, actor: Actor, view: AppointmentView, status: str, *, now: datetime) -> None:
    """Announce an appointment's new status, and that its time is free if the new status takes none."""
    changed = AppointmentStatusChanged(
        by=actor.done_by,
        appointment_id=view.id,
        doctor_id=view.doctor_id,
        patient_id=view.patient_id,
        before=view.status,
        after=status,
    )
    publish(session, changed, now=now)
    if view.status in OCCUPYING and status not in OCCUPYING:
        publish_freed_time(session, actor, view, now=now)


def _why_flagged(session: Session, clinic: Clinic, view: AppointmentView, status: str, *, now: datetime) -> str:
    """The code of the reason why a restored appointment needs attention; '' if it fits, or if it has begun.

    An earlier override reason does not count, because the schedule may have changed while the appointment was
    cancelled.
    """
    if view.starts_at <= now:
        return ""
    back = rule_violations.UpcomingAppointment(
        view.id,
        view.reference,
        view.version,
        status,
        view.doctor_id,
        view.patient_id,
        view.visit_type_id,
        view.starts_at,
        view.ends_at,
        "",
        view.override_reason,
    )
    broken = rule_violations.broken_rules(session, clinic, [back], now=now).get(view.id, {})
    return next(iter(broken)) if broken else ""


def _require_staff(actor: Actor) -> None:
    if not actor.is_staff:
        raise Forbidden(_("Only clinic staff can change the status of an appointment."))


def _require_doctor(actor: Actor) -> None:
    if actor.role != "doctor":
        raise Forbidden(_("Only the doctor of this appointment can use this note."))

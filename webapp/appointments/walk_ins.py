"""Walk-ins: patients who came without an appointment and wait, in the order of urgency and arrival.

To take in a walk-in is to book an ordinary appointment or one that is squeezed in: both go through the locks, the rules
and the guard. The walk-in itself is claimed by a conditional UPDATE afterwards, so that one of two people at the desk
is refused. After that the walk-in belongs to the present patient of the appointment. Walk-ins of earlier days are over.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel, StringConstraints
from sqlalchemy.orm import Session

from webapp.appointments.booking import service, status_service
from webapp.appointments.booking.appointment_row import lock_for_change
from webapp.appointments.exceptions import AlreadyWaiting, NoSuchWalkIn, WalkInMovedAway, WalkInSettled
from webapp.appointments.messages.notification_lines import SOON
from webapp.appointments.models import WalkIn
from webapp.appointments.schemas import AppointmentView, Booking, Cancellation, ChangeStatus, UndoStatus
from webapp.audit import service as audit
from webapp.audit.models import AuditEvent
from webapp.auth.schemas import Actor
from webapp.clinic.service import get_clinic
from webapp.core import formats
from webapp.core.optimistic_lock import require_unchanged
from webapp.database import table_of
from webapp.doctors import service as doctors
from webapp.doctors.models import Doctor
from webapp.events.kinds import AppointmentReassigned
from webapp.exceptions import Forbidden, Invalid
from webapp.i18n import gettext as _
from webapp.notifications import outbox
from webapp.patients import service as patients
from webapp.patients.models import Patient
from webapp.scheduling.models import Appointment

MOST_LETTERS = 200
# A choice of doctors: all of them, or those of a specialty, which follows this sign.
ANY, OF = "any", "in:"


class Queue(BaseModel):
    """Which doctor a walk-in waits for, and how. Without a doctor and a specialty it is any doctor."""

    doctor: str = ""
    specialty: str = ""
    urgent: bool = False
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MOST_LETTERS)] = ""

    @property
    def waits_for(self) -> str:
        """The doctors they wait for, as a choice of doctors names it."""
        return self.doctor or (OF + self.specialty if self.specialty else ANY)


class WalkInView(NamedTuple):
    """A walk-in as the front desk sees it. Instants are UTC; the doctor's names are '' where none is named.

    `reference` is the appointment's that they got, or None.
    """

    id: int
    patient_id: int
    patient_name: str
    birth_date: date | None
    alert: str
    doctor_id: int | None
    doctor_slug: str
    doctor_name: str
    specialty: str
    day: date
    urgent: bool
    note: str
    status: str
    came_at: datetime
    settled_at: datetime | None
    reference: str | None

    @property
    def queue(self) -> Queue:
        """The saved queue. Its fingerprint shows whether another window saved a different one."""
        return Queue.model_construct(
            doctor=self.doctor_slug, specialty=self.specialty, urgent=self.urgent, note=self.note
        )


_WALK_IN, _PATIENT, _DOCTOR = table_of(WalkIn).c, table_of(Patient).c, table_of(Doctor).c
_VIEWS = (
    sa.select(
        _WALK_IN.id,
        _WALK_IN.patient_id,
        _PATIENT.name,
        _PATIENT.birth_date,
        _PATIENT.alert,
        _WALK_IN.doctor_id,
        sa.func.coalesce(_DOCTOR.slug, ""),
        sa.func.coalesce(_DOCTOR.name, ""),
        _WALK_IN.specialty,
        _WALK_IN.day,
        _WALK_IN.urgent,
        _WALK_IN.note,
        _WALK_IN.status,
        _WALK_IN.came_at,
        _WALK_IN.settled_at,
        table_of(Appointment).c.reference,
    )
    .select_from(table_of(WalkIn))
    .join(table_of(Patient), _PATIENT.id == _WALK_IN.patient_id)
    .outerjoin(table_of(Doctor), _DOCTOR.id == _WALK_IN.doctor_id)
    .outerjoin(table_of(Appointment), table_of(Appointment).c.id == _WALK_IN.appointment_id)
    # Patients whose records are locked until they are erased do not wait.
    .where(_PATIENT.closed_at.is_(None))
    .order_by(_WALK_IN.urgent.desc(), _WALK_IN.came_at, _WALK_IN.id)
)
_OF_DAY = _VIEWS.where(_WALK_IN.day == sa.bindparam("day"))


def list_of_day(session: Session, day: date) -> list[WalkInView]:
    """The walk-ins of a day: urgent ones first, then in the order in which they came."""
    return [WalkInView._make(row) for row in session.execute(_OF_DAY, {"day": day})]


def find_waiting(session: Session, patient_id: int, queue: Queue, *, now: datetime) -> WalkInView | None:
    """This patient's place in exactly this queue of today, if they wait in it."""
    today = list_of_day(session, get_clinic(session).today(now))
    mine = (each for each in today if each.patient_id == patient_id and each.status == "waiting")
    return next((each for each in mine if each.queue == queue), None)


def list_waiting_for(session: Session, doctor_id: int, day: date) -> list[WalkInView]:
    """The patients who wait on a day for this doctor only."""
    return [each for each in list_of_day(session, day) if (each.doctor_id, each.status) == (doctor_id, "waiting")]


def get_walk_in(session: Session, walk_in_id: int, *, now: datetime) -> WalkInView:
    """One of today's walk-ins.

    Raises:
        NoSuchWalkIn: no walk-in of today has this id.
    """
    today = get_clinic(session).today(now)
    row = session.execute(_VIEWS.where(_WALK_IN.id == walk_in_id, _WALK_IN.day == today)).one_or_none()
    if row is None:
        raise NoSuchWalkIn
    return WalkInView._make(row)


def join(session: Session, actor: Actor, patient_id: int, queue: Queue, *, now: datetime) -> int:
    """Let a patient wait in a queue of today; returns the walk-in's id.

    Raises:
        AlreadyWaiting: 409. Invalid: no such doctor or specialty. NoSuchPatient: 404. Forbidden: for the desk only.
    """
    _require_desk(actor)
    target = _target(session, queue)
    patients.lock_bookable_patient(session, actor, patient_id)
    today = get_clinic(session).today(now)
    _require_not_waiting(session, patient_id, today)
    values = {
        "patient_id": patient_id,
        "day": today,
        "status": "waiting",
        "came_at": now.replace(second=0, microsecond=0),
        **target,
    }
    number: int = session.execute(sa.insert(WalkIn).values(values).returning(WalkIn.id)).scalar_one()
    _record(session, actor, "walk_in_added", patient_id, now=now)
    return number


def change(session: Session, actor: Actor, walk_in_id: int, queue: Queue, *, seen: str, now: datetime) -> None:
    """Let a waiting patient wait for another doctor or specialty, or as urgent or not; the place is by arrival.

    `seen` is the fingerprint of the state that the form showed.

    Raises:
        WalkInSettled, EditedMeanwhile: 409. Invalid: no such doctor or specialty. NoSuchWalkIn: 404. Forbidden: for the
            front desk only.
    """
    _require_desk(actor)
    session.execute(sa.select(WalkIn.id).where(WalkIn.id == walk_in_id).with_for_update())
    view = get_walk_in(session, walk_in_id, now=now)
    if view.status == "waiting":
        require_unchanged(view.queue, seen, wanted=queue)
    _settle(session, view, "waiting", **_target(session, queue))
    _record(session, actor, "walk_in_changed", view.patient_id, now=now)


def leave(session: Session, actor: Actor, walk_in_id: int, *, now: datetime) -> WalkInView:
    """Note that a waiting patient went; doing it twice has the same effect as once.

    Raises:
        WalkInSettled: 409. NoSuchWalkIn: 404. Forbidden: for the front desk only.
    """
    _require_desk(actor)
    view = get_walk_in(session, walk_in_id, now=now)
    if view.status != "left":
        _settle(session, view, "waiting", status="left", settled_at=now)
        _record(session, actor, "walk_in_left", view.patient_id, now=now)
    return view


def take_in(session: Session, actor: Actor, walk_in_id: int, command: Booking, *, now: datetime) -> str:
    """Book a waiting patient's appointment, and return its reference. If it is today, they have arrived.

    They arrived when they came to the desk, and the appointment gets the walk-in's note. The desk tells them about the
    appointment. If it is on another day, or hours from now, they also get the messages, because they leave until then.

    Raises:
        WalkInSettled: 409. NoSuchWalkIn: 404. Forbidden: for the front desk only. And what `service.book` raises.
    """
    _require_desk(actor)
    view = get_walk_in(session, walk_in_id, now=now)
    if view.status != "waiting":
        raise WalkInSettled
    wanted = command.model_copy(update={"patient_id": view.patient_id})
    today = get_clinic(session).today(command.starts_at) == view.day
    in_person = today and command.starts_at < now + SOON
    reference = service.book(session, actor, wanted, in_person=in_person, now=now)
    values: dict[str, Any] = {"desk_note": view.note}
    if today:
        status_service.change_status(session, actor, reference, ChangeStatus(status="arrived"), now=now)
        values["arrived_at"] = view.came_at
    changed = sa.update(Appointment).where(Appointment.reference == reference).values(values)
    appointment_id = session.execute(
        changed.returning(Appointment.id).execution_options(synchronize_session=False)
    ).scalar_one()
    _settle(session, view, "waiting", status="taken", settled_at=now, appointment_id=appointment_id)
    _record(session, actor, "walk_in_taken", view.patient_id, now=now)
    return reference


def undo(session: Session, actor: Actor, walk_in_id: int, *, now: datetime) -> WalkInView:
    """Let a patient wait again who left, or who was taken in: that appointment is cancelled.

    Raises:
        WalkInSettled: the patient was seen, or the appointment is another patient's now (409).
        WalkInMovedAway: the appointment was moved to another day (409).
        AlreadyWaiting: they wait in a queue again (409).
        NoSuchWalkIn: 404. Forbidden: for the front desk only.
    """
    _require_desk(actor)
    view = get_walk_in(session, walk_in_id, now=now)
    if view.status == "waiting":
        return view
    if view.reference is not None:
        _give_up(session, actor, view, view.reference, now=now)
    patients.lock_bookable_patient(session, actor, view.patient_id)
    _require_not_waiting(session, view.patient_id, view.day)
    _settle(session, view, view.status, status="waiting", settled_at=None, appointment_id=None)
    _record(session, actor, "walk_in_undone", view.patient_id, now=now)
    return view


def follow_appointment(session: Session, event: AppointmentReassigned, /, *, now: datetime) -> None:  # noqa: ARG001
    """Give the walk-in to the appointment's new patient: the patient who was chosen by mistake never came."""
    taken = sa.update(WalkIn).where(WalkIn.appointment_id == event.appointment_id)
    session.execute(taken.values(patient_id=event.patient_id).execution_options(synchronize_session=False))


def specialties(session: Session) -> list[str]:
    """The specialties of the doctors who take bookings, in alphabetical order."""
    return sorted({doctor.specialty for doctor in doctors.list_doctors(session)})


def _give_up(session: Session, actor: Actor, walk_in: WalkInView, reference: str, *, now: datetime) -> None:
    """Cancel the appointment of a patient who was taken in, unless it is cancelled already."""
    view = lock_for_change(session, actor, reference, None)
    if view.patient_id != walk_in.patient_id:
        raise WalkInSettled
    if view.status != "cancelled":
        _require_not_moved_away(session, walk_in, view)
    if view.status == "arrived":
        status_service.undo(session, actor, reference, UndoStatus(), now=now)
    elif view.status in {"completed", "no_show"}:
        raise WalkInSettled
    if view.status != "cancelled":
        # Patients read that it is cancelled only if a message told them of it.
        in_person = not outbox.ids_about(session, ("appointment", view.id), "")
        service.cancel(session, actor, reference, Cancellation(), in_person=in_person, now=now)


def _require_not_moved_away(session: Session, walk_in: WalkInView, view: AppointmentView) -> None:
    """Check that it was not moved to another day. One that was booked for another day from the start can be undone."""
    zone = get_clinic(session).zone
    if formats.local_date(view.starts_at, zone) == walk_in.day:
        return
    moved = sa.exists().where(
        AuditEvent.subject_type == "appointment", AuditEvent.subject_id == view.id, AuditEvent.action == "moved"
    )
    if session.scalar(sa.select(moved)):
        raise WalkInMovedAway(view.reference, formats.day_and_time(view.starts_at, zone))


def _target(session: Session, queue: Queue) -> dict[str, Any]:
    """The columns of a queue."""
    found = [doctor for doctor in doctors.list_doctors(session) if doctor.slug == queue.doctor]
    if queue.doctor and not found:
        raise Invalid(_("Choose a doctor from the list."), field="doctor")
    if queue.specialty and queue.specialty not in specialties(session):
        raise Invalid(_("Choose a specialty from the list."), field="doctor")
    return {
        "doctor_id": found[0].id if found else None,
        "specialty": "" if found else queue.specialty,
        "urgent": queue.urgent,
        "note": queue.note,
    }


def _require_desk(actor: Actor) -> None:
    if not actor.sees_all:
        raise Forbidden(_("Only the front desk can change the list of walk-ins."))


def _require_not_waiting(session: Session, patient_id: int, day: date) -> None:
    """The caller holds the patient's lock; the database has a unique index as well."""
    same = sa.select(WalkIn.id).where(WalkIn.patient_id == patient_id, WalkIn.day == day, WalkIn.status == "waiting")
    if session.scalar(same) is not None:
        raise AlreadyWaiting


def _settle(session: Session, view: WalkInView, expected: str, **values: Any) -> None:
    """Change a walk-in that still has the expected status, and has had it since it was read.

    Raises:
        WalkInSettled: another request was faster.
    """
    still = WalkIn.status == expected, WalkIn.settled_at.is_not_distinct_from(view.settled_at)
    mine = sa.update(WalkIn).where(WalkIn.id == view.id, *still).values(**values)
    done = session.scalars(mine.returning(WalkIn.id).execution_options(synchronize_session=False))
    if done.one_or_none() is None:
        raise WalkInSettled


def _record(session: Session, actor: Actor, action: str, patient_id: int, *, now: datetime) -> None:
    audit.record_by(session, actor, action, subject=("patient", patient_id), now=now)

"""Keeping promised hours: when a law or a corrected time zone gives the hour of an appointment to another instant.

Either the appointment keeps its hour and its instant moves, and the patient is not told; or it keeps its instant
and the patient is told the new hour. Both take the locks that a booking takes, and the guard checks every new instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from time import sleep
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.booking.appointment_row import publish_freed_time, record, update_row
from webapp.appointments.exceptions import ChangedMeanwhile
from webapp.appointments.impact.pending_decisions import PAUSE_SECONDS
from webapp.appointments.impact.schemas import ImpactResult
from webapp.appointments.messages import notification_lists
from webapp.auth.schemas import Actor
from webapp.clinic import settings
from webapp.clinic.service import Clinic, get_clinic
from webapp.clinic.settings import ClinicZone
from webapp.core import formats
from webapp.core.local_time import wall_minute
from webapp.database import Database
from webapp.doctors import service as doctors
from webapp.doctors import zone
from webapp.events.kinds import AppointmentHourChanged, AppointmentHourKept
from webapp.events.publishing import publish
from webapp.exceptions import Conflict
from webapp.i18n import gettext as _
from webapp.patients import service as patients
from webapp.patients.models import Patient
from webapp.scheduling.checks import guarded
from webapp.scheduling.exceptions import PatientBusy, SlotTaken
from webapp.scheduling.models import ACTIVE, OCCUPYING
from webapp.scheduling.promised_hours import BrokenPromise, find_broken

# At most this many appointments are put right in one transaction, because other bookings wait for it.
PORTION = 25
# With a new time zone, each appointment keeps the promised clock time, or the instant.
Keeps = Literal["clock", "instant"]


class NotKept(NamedTuple):
    """An appointment whose promised hour cannot be kept, and why."""

    appointment: BrokenPromise
    why: str


class ClockTimesClash(Conflict):
    """With the new time zone, these appointments cannot keep their clock times."""

    code = "clock_times_clash"

    def __init__(self, left: Sequence[NotKept]) -> None:
        references = ", ".join(each.appointment.reference for each in left[:10])
        super().__init__(
            _("These appointments can’t keep their clock times: %(references)s. Move or cancel them first.")
            % {"references": references},
            field="appointments",
        )


def correct_zone(
    session: Session, actor: Actor, command: ClinicZone, *, keeps: Keeps, seen: str, now: datetime
) -> None:
    """Save the clinic's time zone; if appointments keep their clock times, move their instants.

    If they keep their instants, call `tell_hours` after the decisions about them.

    Raises:
        ClockTimesClash: two appointments would be at one instant, or the new clock skips a time. Nothing is changed.
        Invalid, EditedMeanwhile: see `settings.change_zone`.
    """
    before = settings.get(session, ClinicZone)
    zone.change_zone(session, actor, command, seen=seen, now=now)
    if keeps == "instant" or before == command:
        return
    _count, broken = find_broken(session, get_clinic(session), now=now, any_status=True)
    _moved, left = _keep(session, actor, broken, now=now)
    if left:
        raise ClockTimesClash(left)


def keep_hours(database: Database, actor: Actor, *, now: datetime) -> tuple[int, list[NotKept]]:
    """Move all upcoming appointments to the instants at which the clock shows what was promised, in small transactions.

    Returns how many were moved, and those that cannot be. An appointment that changed meanwhile is looked at again.
    """
    moved, left = 0, list[NotKept]()
    while True:
        unmovable = {each.appointment.id for each in left}
        with database.reading() as session:
            clinic = get_clinic(session)
            _count, broken = find_broken(session, clinic, now=now)
        todo = _in_safe_order(clinic, [each for each in broken if each.id not in unmovable])
        before = moved + len(left)
        for at in range(0, len(todo), PORTION):
            more, problems = database.write(_keep, actor, todo[at : at + PORTION], now=now)
            moved, left = moved + more, left + problems
            if database.is_sqlite and at + PORTION < len(todo):
                sleep(PAUSE_SECONDS)
        if moved + len(left) == before:
            return moved, left


def tell_hours(
    session: Session, actor: Actor, *, now: datetime, reference: str | None = None, impact: ImpactResult | None = None
) -> int:
    """Let upcoming appointments keep their instants, and tell the patients the hour; returns how many.

    With a reference, this concerns only that appointment. The `impact` of a change of the time zone gets the
    notification list.
    """
    clinic = get_clinic(session)
    _count, broken = find_broken(session, clinic, now=now, any_status=reference is None)
    broken = [each for each in broken if reference in (None, each.reference)]
    _lock(session, broken)
    list_id = None
    for each in broken:
        before = _tell(session, actor, clinic, each, now=now)
        if impact is not None and before is not None:
            list_id = list_id or notification_lists.begin(session, actor, "change", now=now)
            notification_lists.note(session, list_id, each.id, "moved", was_at=before, here=each.status not in ACTIVE)
    if impact is not None and list_id is not None:
        impact.list_ids.append(list_id)
    return len(broken)


def _tell(session: Session, actor: Actor, clinic: Clinic, each: BrokenPromise, *, now: datetime) -> datetime | None:
    """Promise the hour that the clock shows now at the instant of the appointment.

    Returns the instant at which today's clock shows what the patient was told before; None if they are not told.

    Raises:
        ChangedMeanwhile: it is not what was read.
    """
    promised = wall_minute(each.starts_at, clinic.zone)
    update_row(session, each, now=now, promised_minute=promised, moved_by_clinic=True)
    if each.status not in OCCUPYING:
        return None
    told = each.promised.replace(tzinfo=clinic.zone).astimezone(UTC)
    details = {"from": formats.iso(told), "to": formats.iso(each.starts_at)}
    record(session, actor, "hour_changed", each.id, now, details)
    changed = AppointmentHourChanged(
        by=actor.done_by, appointment_id=each.id, doctor_id=each.doctor_id, patient_id=each.patient_id, before=told
    )
    publish(session, changed, now=now)
    return told


def name_people(session: Session, broken: Sequence[BrokenPromise]) -> dict[int, tuple[str, str]]:
    """The names of the patient and the doctor of each of these appointments, by its id."""
    doctor_ids = sorted({each.doctor_id for each in broken})
    who = {doctor.id: doctor.name for doctor in doctors.list_by_ids(session, doctor_ids)}
    query = sa.select(Patient.id, Patient.name).where(Patient.id.in_({each.patient_id for each in broken}))
    people = {row.id: row.name for row in session.execute(query)}
    return {each.id: (people[each.patient_id], who[each.doctor_id]) for each in broken}


# -------------------------------------------------------------------------------------------------- each of them


def _keep(
    session: Session, actor: Actor, appointments: Sequence[BrokenPromise], *, now: datetime
) -> tuple[int, list[NotKept]]:
    """Move these to the instants of their promised hours; returns how many, and those that cannot be moved."""
    clinic = get_clinic(session)
    _lock(session, appointments)
    moved, left = 0, []
    for each in _in_safe_order(clinic, appointments):
        start = each.start_in(clinic)
        if start is None:
            left.append(NotKept(each, _("The clocks skip this time that night.")))
            continue
        try:
            with guarded(), session.begin_nested():
                _move(session, actor, each, start, now=now)
        except SlotTaken:
            left.append(NotKept(each, _("The doctor has another appointment at that time.")))
        except PatientBusy:
            left.append(NotKept(each, _("The patient has another appointment at that time.")))
        except ChangedMeanwhile:
            # It is read again before the next portion.
            continue
        else:
            moved += 1
    return moved, left


def _in_safe_order(clinic: Clinic, appointments: Iterable[BrokenPromise]) -> list[BrokenPromise]:
    """First those that move to a later instant, the last one first, then those to an earlier one, the first one first.

    So the appointment that had the new time has always left it.
    """
    later: list[BrokenPromise] = []
    earlier: list[BrokenPromise] = []
    for each in sorted(appointments, key=lambda each: (each.starts_at, each.id)):
        start = each.start_in(clinic)
        (later if start is not None and start > each.starts_at else earlier).append(each)
    return [*reversed(later), *earlier]


def _lock(session: Session, appointments: Sequence[BrokenPromise]) -> None:
    doctors.lock_doctors(session, sorted({each.doctor_id for each in appointments}))
    for patient_id in sorted({each.patient_id for each in appointments}):
        patients.lock_patient(session, patient_id)


def _move(session: Session, actor: Actor, each: BrokenPromise, start: datetime, *, now: datetime) -> None:
    """Move one appointment to the instant of its promised hour."""
    by = start - each.starts_at
    times = {name: getattr(each, name) + by for name in ("starts_at", "ends_at", "busy_from", "busy_until")}
    update_row(session, each, now=now, **times)
    if each.status not in OCCUPYING:
        return
    details = {"from": formats.iso(each.starts_at), "to": formats.iso(start)}
    record(session, actor, "hour_kept", each.id, now, details, visible=False)
    kept = AppointmentHourKept(
        by=actor.done_by,
        appointment_id=each.id,
        doctor_id=each.doctor_id,
        patient_id=each.patient_id,
        before=each.starts_at,
    )
    publish(session, kept, now=now)
    publish_freed_time(session, actor, each, still_busy=(times["busy_from"], times["busy_until"]), now=now)

"""Reading a day of all doctors: their appointments, hours and time off, in a constant number of queries."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.clinic.schedule_versions import cached_for_text, versions_seen
from webapp.clinic.service import Clinic
from webapp.database import UtcDateTime, rows, table_of
from webapp.doctors.models import TimeOff
from webapp.patients.models import Patient
from webapp.patients.names import shown_name_column
from webapp.scheduling.facts import load_working_times
from webapp.scheduling.models import LONGEST_HOURS, Appointment
from webapp.scheduling.slots import Minute, Span, to_datetime
from webapp.sql_functions import minute_of, rows_as_json
from webapp.staff.schedule.schedule_week import worked_on


class BoardAppointment(NamedTuple):
    """One appointment of the day. Instants are minutes since 1970-01-01T00:00Z; `busy_…` include the buffers.

    `undecided`: it is flagged. `excepted`: staff overrode a rule for it. `arranged`: the patient asked for something.
    `noted`: staff left a note on it. `alert` is the patient's alert, or ''. `arrived` is when the
    patient came.
    """

    id: int
    reference: str
    version: int
    status: str
    start: Minute
    end: Minute
    busy_from: Minute
    busy_until: Minute
    lane: int
    visit_type_id: int
    patient_name: str
    undecided: bool
    excepted: bool
    arranged: bool
    noted: bool
    alert: str
    arrived: Minute | None


class Taken(NamedTuple):
    """One doctor's appointments that take time of the day, in order. `text` is all that was read of them.

    `ids`, `statuses` and `ends` are those of appointments that begin on the day; `ends` leave cancelled ones out.
    """

    text: str
    appointments: Sequence[BoardAppointment]
    ids: Sequence[int]
    statuses: Counter[str]
    ends: Span | None


NOTHING_TAKEN = Taken("", (), (), Counter(), None)


class DayHours(NamedTuple):
    """The hours in which one doctor sees patients on one day, and their exceptions.

    `worked` are the hours before closures and time off; `leave` is the time off with its reasons.
    """

    worked: list[Span]
    closures: list[Span]
    leave: list[tuple[Span, str]]

    def without_reasons(self) -> DayHours:
        """The same hours, without why the doctor takes time off."""
        return self._replace(leave=[(span, "") for span, _reason in self.leave]) if self.leave else self


# Tables instead of mapped classes, and built once, because these queries read a thousand rows.
_APPOINTMENT, _PATIENT, _OFF = table_of(Appointment).c, table_of(Patient).c, table_of(TimeOff).c
_LOW, _HIGH = sa.bindparam("low", type_=UtcDateTime), sa.bindparam("high", type_=UtcDateTime)
_DOCTORS: sa.BindParameter[Sequence[int]] = sa.bindparam("doctor_ids", expanding=True)
_OF_ALL = (
    sa.select(
        _APPOINTMENT.doctor_id,
        # The members of `BoardAppointment`.
        rows_as_json(
            _APPOINTMENT.id,
            _APPOINTMENT.reference,
            _APPOINTMENT.version,
            _APPOINTMENT.status,
            minute_of(_APPOINTMENT.starts_at),
            minute_of(_APPOINTMENT.ends_at),
            minute_of(_APPOINTMENT.busy_from),
            minute_of(_APPOINTMENT.busy_until),
            _APPOINTMENT.lane,
            _APPOINTMENT.visit_type_id,
            shown_name_column(_PATIENT),
            _APPOINTMENT.flagged_why != "",
            _APPOINTMENT.override_reason != "",
            _APPOINTMENT.notes != "",
            _APPOINTMENT.desk_note != "",
            _PATIENT.alert,
            minute_of(_APPOINTMENT.arrived_at),
        ),
    )
    .join(table_of(Patient), _PATIENT.id == _APPOINTMENT.patient_id)
    .where(
        _APPOINTMENT.starts_at > sa.bindparam("earliest", type_=UtcDateTime),
        _APPOINTMENT.starts_at < _HIGH,
        # One that began before midnight takes time of this day.
        _APPOINTMENT.busy_until > _LOW,
    )
    .group_by(_APPOINTMENT.doctor_id)
)
_OF_SOME = _OF_ALL.where(_APPOINTMENT.doctor_id.in_(_DOCTORS))
_ENDS = sa.select(sa.func.min(minute_of(_APPOINTMENT.starts_at)), sa.func.max(minute_of(_APPOINTMENT.ends_at))).where(
    _APPOINTMENT.starts_at >= _LOW, _APPOINTMENT.starts_at < _HIGH, _APPOINTMENT.status != "cancelled"
)
_LEAVE = (
    sa.select(_OFF.doctor_id, minute_of(_OFF.starts_at), minute_of(_OFF.ends_at), _OFF.reason)
    .where(_OFF.doctor_id.in_(_DOCTORS), _OFF.ends_at > _LOW, _OFF.starts_at < _HIGH)
    .order_by(_OFF.starts_at, _OFF.id)
)


def list_appointments(session: Session, day: Span, doctor_ids: Sequence[int] | None = None) -> dict[int, Taken]:
    """The appointments that take time of a day, by doctor; of all doctors, or of these. One query.

    A doctor's rows are parsed only if this process does not know the same text already.
    """
    low, high = (to_datetime(minute) for minute in day)
    values = {"low": low, "high": high, "earliest": low - timedelta(hours=LONGEST_HOURS)}
    found = (
        rows(session, _OF_ALL, **values)
        if doctor_ids is None
        else rows(session, _OF_SOME, **values, doctor_ids=list(doctor_ids))
    ).all()
    return {
        doctor_id: cached_for_text(
            session, ("board appointments", day, doctor_id), text, lambda text: _taken(text, day)
        )
        for doctor_id, text in found
    }


def _taken(text: str, day: Span) -> Taken:
    appointments = sorted(map(BoardAppointment._make, json.loads(text)), key=lambda each: (each.start, each.id))
    begins = [each for each in appointments if each.start >= day[0]]
    lasting = [(each.start, each.end) for each in begins if each.status != "cancelled"]
    return Taken(
        text,
        appointments,
        [each.id for each in begins],
        Counter(each.status for each in begins),
        joint_ends(lasting),
    )


def joint_ends(spans: Sequence[Span]) -> Span | None:
    """From the first start to the last end; None without appointments."""
    return (min(start for start, _end in spans), max(end for _start, end in spans)) if spans else None


def find_ends(session: Session, day: Span) -> Span | None:
    """From the first start to the last end of all appointments that begin on a day; None without appointments."""
    low, high = (to_datetime(minute) for minute in day)
    first, last = rows(session, _ENDS, low=low, high=high).one()
    return None if first is None else (first, last)


def load_hours(
    session: Session, clinic: Clinic, doctor_ids: Sequence[int], day: date, span: Span
) -> dict[int, DayHours]:
    """The hours of these doctors on a day: two queries for those whose hours this process does not know."""
    versions, key = versions_seen(session), ("board", clinic.time_zone, day)
    if versions is None:
        return _read_hours(session, clinic, list(doctor_ids), day, span)
    found: dict[int, DayHours] = {}
    for doctor_id in doctor_ids:
        kept: DayHours | None = versions.cache.find((key, doctor_id), versions.of_doctor(doctor_id))
        if kept is not None:
            found[doctor_id] = kept
    missing = [doctor_id for doctor_id in doctor_ids if doctor_id not in found]
    if missing:
        for doctor_id, hours in _read_hours(session, clinic, missing, day, span).items():
            versions.cache.keep((key, doctor_id), versions.of_doctor(doctor_id), hours)
            found[doctor_id] = hours
    return found


def _read_hours(session: Session, clinic: Clinic, doctor_ids: list[int], day: date, span: Span) -> dict[int, DayHours]:
    times = load_working_times(session, clinic, doctor_ids, day, day)
    leave: dict[int, list[tuple[Span, str]]] = {doctor_id: [] for doctor_id in doctor_ids}
    low, high = (to_datetime(minute) for minute in span)
    for doctor_id, start, end, reason in rows(session, _LEAVE, doctor_ids=doctor_ids, low=low, high=high):
        leave[doctor_id].append(((max(start, span[0]), min(end, span[1])), reason))
    return {
        doctor_id: DayHours(worked_on(time, day), time.closures, leave[doctor_id]) for doctor_id, time in times.items()
    }

"""Reading a doctor's diary: the appointments of some days with all details, leave, and earlier appointments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.queries import readable_note
from webapp.clinic.models import VisitType
from webapp.clinic.schedule_versions import cached_for_text
from webapp.database import UtcDateTime, rows, table_of
from webapp.doctors.models import TimeOff
from webapp.live.feed import live_version
from webapp.patients.models import Patient
from webapp.patients.names import shown_name_column
from webapp.scheduling.models import OCCUPIES_WORDS, OCCUPYING, Appointment
from webapp.scheduling.slots import Minute, Span, to_datetime
from webapp.sql_functions import NO_ROWS, fixed, json_of, minute_of, planned_once, row_as_json, rows_as_json

# As many as a doctor reads before the patient comes in.
EARLIER_SHOWN = 12


class ScheduleAppointment(NamedTuple):
    """One appointment in its doctor's diary. Instants are UTC.

    `first` is true for the patient's first appointment with this doctor.
    """

    id: int
    reference: str
    version: int
    status: str
    previous_status: str | None
    starts_at: datetime
    ends_at: datetime
    busy_from: datetime
    busy_until: datetime
    reason: str
    notes: str
    private_note: str
    cancellation_reason: str
    cancellation_code: str
    flagged_why: str
    override_reason: str
    squeeze_reason: str
    desk_note: str
    arrived_at: datetime | None
    patient_id: int
    patient_name: str
    patient_birth_date: date | None
    patient_alert: str
    visit_type: str
    first: bool

    @property
    def minutes(self) -> int:
        """The length of the appointment."""
        return int((self.ends_at - self.starts_at).total_seconds()) // 60

    @property
    def occupies(self) -> bool:
        """Whether the appointment takes the doctor's time."""
        return self.status in OCCUPYING


class AppointmentOutline(NamedTuple):
    """When an appointment starts, the span that it takes with its buffers if its status does, and that status."""

    start: Minute
    busy: Span
    status: str


class EarlierAppointment(NamedTuple):
    """An earlier appointment of a patient with the same doctor. Instants are UTC."""

    reference: str
    starts_at: datetime
    status: str
    visit_type: str
    private_note: str


class TimeOffSpan(NamedTuple):
    """A span of time when the doctor is away, and why. Instants are UTC."""

    starts_at: datetime
    ends_at: datetime
    reason: str


_APPOINTMENT, _PATIENT, _KIND = table_of(Appointment), table_of(Patient).c, table_of(VisitType).c
_OFF = table_of(TimeOff).c
_EARLIER = _APPOINTMENT.alias("earlier")
_DOCTOR = sa.bindparam("doctor_id", type_=sa.Integer)
_LOW, _HIGH, _FIRST, _LAST = (
    planned_once(sa.bindparam(name, type_=UtcDateTime)) for name in ("low", "high", "first", "last")
)
# The appointment's own columns; those after them come from the patient and the visit type.
_OWN_COLUMNS = ScheduleAppointment._fields[: ScheduleAppointment._fields.index("patient_name")]
_NOTE = readable_note(_APPOINTMENT.c)

_WAS_HERE = sa.exists().where(
    _EARLIER.c.patient_id == _APPOINTMENT.c.patient_id,
    _EARLIER.c.doctor_id == _APPOINTMENT.c.doctor_id,
    _EARLIER.c.starts_at < _APPOINTMENT.c.starts_at,
    # With bound parameters, SQLAlchemy would write the statuses into the query at each run.
    sa.text(f"earlier.{OCCUPIES_WORDS}"),
)
# Minutes instead of instants: JSON has no instants, and numbers are quicker to compare.
_INSTANTS = ("starts_at", "ends_at", "busy_from", "busy_until", "arrived_at")


def _own_column(name: str) -> sa.ColumnElement[Any]:
    if name == "private_note":
        return _NOTE
    column = _APPOINTMENT.c[name]
    return minute_of(column) if name in _INSTANTS else column


_APPOINTMENTS = (
    sa.select(
        rows_as_json(
            *map(_own_column, _OWN_COLUMNS),
            json_of(
                sa.select(row_as_json(shown_name_column(_PATIENT), _PATIENT.birth_date, _PATIENT.alert))
                .where(_PATIENT.id == _APPOINTMENT.c.patient_id)
                .scalar_subquery()
            ),
            _KIND.name,
            ~_WAS_HERE,
        )
    )
    .select_from(_APPOINTMENT)
    .join(table_of(VisitType), _KIND.id == _APPOINTMENT.c.visit_type_id)
    .where(_APPOINTMENT.c.doctor_id == _DOCTOR, _APPOINTMENT.c.starts_at >= _LOW, _APPOINTMENT.c.starts_at < _HIGH)
)
_OUTLINE = sa.select(
    rows_as_json(
        minute_of(_APPOINTMENT.c.starts_at),
        _APPOINTMENT.c.id,
        minute_of(_APPOINTMENT.c.busy_from),
        minute_of(_APPOINTMENT.c.busy_until),
        _APPOINTMENT.c.status,
    )
).where(_APPOINTMENT.c.doctor_id == _DOCTOR, _APPOINTMENT.c.starts_at >= _FIRST, _APPOINTMENT.c.starts_at < _LAST)
_LATEST = (
    sa.select(
        minute_of(_APPOINTMENT.c.starts_at).label("start"),
        _APPOINTMENT.c.id,
        _APPOINTMENT.c.reference,
        _APPOINTMENT.c.status,
        _KIND.name,
        _NOTE.label("note"),
    )
    .join(table_of(VisitType), _KIND.id == _APPOINTMENT.c.visit_type_id)
    .where(
        _APPOINTMENT.c.patient_id == sa.bindparam("patient_id", type_=sa.Integer),
        _APPOINTMENT.c.doctor_id == _DOCTOR,
        _APPOINTMENT.c.starts_at < sa.bindparam("before", type_=UtcDateTime),
    )
    .order_by(_APPOINTMENT.c.starts_at.desc(), _APPOINTMENT.c.id.desc())
    .limit(fixed(EARLIER_SHOWN))
    .subquery()
)
_EARLIER_APPOINTMENTS = sa.select(rows_as_json(*_LATEST.c))
_DIARY = sa.select(
    _APPOINTMENTS.scalar_subquery(), _OUTLINE.scalar_subquery(), _EARLIER_APPOINTMENTS.scalar_subquery(), live_version()
)
_LEAVE = (
    sa.select(_OFF.starts_at, _OFF.ends_at, _OFF.reason)
    .where(_OFF.doctor_id == _DOCTOR, _OFF.ends_at > _LOW, _OFF.starts_at < _HIGH)
    .order_by(_OFF.starts_at, _OFF.id)
)


class Past(NamedTuple):
    """A patient's time with a doctor before an instant."""

    patient_id: int
    before: datetime


_NO_PAST = Past(0, to_datetime(0))


class Diary(NamedTuple):
    """A doctor's appointments by start, including cancelled ones: all details for some days, an outline for more.

    `earlier` are the appointments in the `past` that was asked for, latest first; `live_version` is that of
    `live.feed`.
    """

    appointments: Sequence[ScheduleAppointment]
    outline: Sequence[AppointmentOutline]
    past: Past | None
    earlier: Sequence[EarlierAppointment]
    live_version: str


def read_diary(session: Session, doctor_id: int, days: Span, week: Span, *, past: Past | None) -> Diary:
    """The appointments that start in the span `days`, and an outline of those in the span `week`, with one query.

    The texts that it returns are parsed only if this process has not cached the same texts.
    """
    values = {"low": days[0], "high": days[1], "first": week[0], "last": week[1]}
    instants = {name: to_datetime(minute) for name, minute in values.items()}
    asked = (past or _NO_PAST)._asdict()
    full, outline, earlier, version = rows(session, _DIARY, doctor_id=doctor_id, **instants, **asked).one()
    return Diary(
        cached_for_text(session, ("diary", doctor_id, days), full or NO_ROWS, _appointments_in),
        cached_for_text(session, ("outline", doctor_id, week), outline or NO_ROWS, _outline_in),
        past,
        _parse_earlier(session, doctor_id, past, earlier) if past else (),
        version,
    )


def _appointments_in(text: str) -> Sequence[ScheduleAppointment]:
    return sorted((_appointment(*row) for row in json.loads(text)), key=lambda each: (each.starts_at, each.id))


def _appointment(*row: Any) -> ScheduleAppointment:
    *own, patient, visit_type, first = row
    values = dict(zip(ScheduleAppointment._fields, (*own, *patient, visit_type, first), strict=True))
    for name in _INSTANTS:
        if values[name] is not None:
            values[name] = to_datetime(values[name])
    if values["patient_birth_date"] is not None:
        values["patient_birth_date"] = date.fromisoformat(values["patient_birth_date"])
    # In SQLite's JSON a boolean is a number.
    return ScheduleAppointment(**values | {"first": bool(values["first"])})


def _outline_in(text: str) -> Sequence[AppointmentOutline]:
    return [
        AppointmentOutline(start, (since, until), status)
        for start, _id, since, until, status in sorted(json.loads(text))
    ]


def list_earlier(
    session: Session, *, doctor_id: int, patient_id: int, before: datetime
) -> Sequence[EarlierAppointment]:
    """The patient's appointments with this doctor that start before an instant, latest first."""
    past = Past(patient_id, before)
    found = rows(session, _EARLIER_APPOINTMENTS, doctor_id=doctor_id, **past._asdict()).scalar()
    return _parse_earlier(session, doctor_id, past, found)


def _parse_earlier(session: Session, doctor_id: int, past: Past, text: str | None) -> Sequence[EarlierAppointment]:
    return cached_for_text(session, ("earlier", doctor_id, past), text or NO_ROWS, _earlier_in)


def _earlier_in(text: str) -> Sequence[EarlierAppointment]:
    return [
        EarlierAppointment(reference, to_datetime(start), status, kind, note)
        for start, _id, reference, status, kind, note in sorted(json.loads(text), reverse=True)
    ]


def list_leave(session: Session, doctor_id: int, low: datetime, high: datetime) -> list[TimeOffSpan]:
    """A doctor's time off that overlaps [low, high), in order."""
    return [TimeOffSpan._make(row) for row in rows(session, _LEAVE, doctor_id=doctor_id, low=low, high=high)]


def age_on(day: date, birth_date: date | None) -> int | None:
    """A person's age on a day, in years; None if the birth date is unknown."""
    if birth_date is None:
        return None
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))

"""Days of doctors as sheets of paper, for when no screen is at hand: one for each doctor, in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.queries import hides_reasons
from webapp.auth.schemas import Actor
from webapp.clinic.models import VisitType
from webapp.clinic.service import Clinic
from webapp.core.local_time import first_instant
from webapp.database import UtcDateTime, rows, table_of
from webapp.doctors.models import Doctor
from webapp.patients.models import Patient
from webapp.patients.names import shown_name_column
from webapp.scheduling.models import OCCUPIES, Appointment


class SheetLine(NamedTuple):
    """One appointment that takes place. Instants are UTC; `phone` may be that of the person who books for the patient.

    `reason` is '' for readers who may not see it; `alert` is the patient's alert, or ''.
    """

    id: int
    starts_at: datetime
    ends_at: datetime
    patient_name: str
    birth_date: date | None
    phone: str
    visit_type: str
    reason: str
    notes: str
    alert: str


class SheetDay(NamedTuple):
    """The appointments of one day, in order."""

    day: date
    lines: list[SheetLine]


class Sheet(NamedTuple):
    """The printed days of one doctor, without days that have no appointments."""

    doctor: str
    room: str
    days: list[SheetDay]


_APPOINTMENT, _DOCTOR = table_of(Appointment).c, table_of(Doctor).c
_PATIENT, _KIND = table_of(Patient).c, table_of(VisitType).c
_GUARDIAN = table_of(Patient).alias("guardian")
# The person who books for a patient does not know of a confidential appointment, and is not called about it.
_PHONE = sa.case(
    (sa.or_(_PATIENT.phone != "", _APPOINTMENT.confidential), _PATIENT.phone),
    else_=sa.func.coalesce(_GUARDIAN.c.phone, ""),
)
_LINES = (
    sa.select(
        _DOCTOR.id,
        _DOCTOR.name,
        _DOCTOR.room,
        _APPOINTMENT.id,
        _APPOINTMENT.starts_at,
        _APPOINTMENT.ends_at,
        shown_name_column(_PATIENT),
        _PATIENT.birth_date,
        _PHONE,
        _KIND.name,
        _APPOINTMENT.reason,
        _APPOINTMENT.notes,
        _PATIENT.alert,
    )
    .select_from(table_of(Appointment))
    .join(table_of(Doctor), _DOCTOR.id == _APPOINTMENT.doctor_id)
    .join(table_of(Patient), _PATIENT.id == _APPOINTMENT.patient_id)
    .join(table_of(VisitType), _KIND.id == _APPOINTMENT.visit_type_id)
    .outerjoin(_GUARDIAN, _GUARDIAN.c.id == _PATIENT.managed_by_id)
    .where(
        OCCUPIES,
        _APPOINTMENT.starts_at >= sa.bindparam("low", type_=UtcDateTime),
        _APPOINTMENT.starts_at < sa.bindparam("high", type_=UtcDateTime),
    )
    .order_by(_DOCTOR.position, _DOCTOR.sort_name, _DOCTOR.id, _APPOINTMENT.starts_at, _APPOINTMENT.id)
)


def list_sheets(
    session: Session, actor: Actor, clinic: Clinic, first: date, last: date, *, doctor_id: int | None
) -> list[Sheet]:
    """The sheets of the local days `first` to `last`, of all doctors who have appointments or of one. One query."""
    query = _LINES if doctor_id is None else _LINES.where(_APPOINTMENT.doctor_id == doctor_id)
    low, high = first_instant(first, clinic.zone), first_instant(last + timedelta(days=1), clinic.zone)
    hidden = hides_reasons(session, actor)
    found = [(row[:3], SheetLine._make(row[3:])) for row in rows(session, query, low=low, high=high)]
    return [
        Sheet(name, room, _days([line._replace(reason="") if hidden else line for _doctor, line in lines], clinic))
        for (_id, name, room), lines in groupby(found, key=lambda each: tuple(each[0]))
    ]


def _days(lines: Sequence[SheetLine], clinic: Clinic) -> list[SheetDay]:
    by_day = groupby(lines, key=lambda line: line.starts_at.astimezone(clinic.zone).date())
    return [SheetDay(day, list(those)) for day, those in by_day]

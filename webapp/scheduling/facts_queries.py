"""The queries behind free times: when doctors work, and whose time is taken. `facts` reads their rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.clinic.models import Closure, OpeningHours
from webapp.database import UtcDateTime, rows, table_of
from webapp.doctors.models import ExtraHours, TimeOff, WorkingHours
from webapp.patients.models import Patient
from webapp.scheduling.busy_times import LONGEST_MINUTES, BusyTime
from webapp.scheduling.models import ACTIVE, LONGEST_HOURS, OCCUPIES, Appointment
from webapp.scheduling.slots import Minute, Span, to_datetime, to_minute
from webapp.scheduling.viewer import Viewer
from webapp.sql_functions import minute_of, pairs_joined, split_pairs

# Tables, not mapped classes: the rows are plain tuples, and the ORM's part of a query costs as much as the rest.
_APPOINTMENT, _TAKEN = table_of(Appointment).c, table_of(BusyTime).c
_OPENING, _WORK, _EXTRA = table_of(OpeningHours).c, table_of(WorkingHours).c, table_of(ExtraHours).c
_CLOSURE, _OFF, _PATIENT = table_of(Closure).c, table_of(TimeOff).c, table_of(Patient).c
_LONGEST = timedelta(hours=LONGEST_HOURS)


@dataclass(slots=True)
class Hours:
    """The rows of one doctor, or of the clinic, that say when patients can come."""

    weekly: dict[int, list[tuple[int, int, date | None, date | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    extra: list[tuple[date, int, int]] = field(default_factory=list)
    closures: list[tuple[date, date]] = field(default_factory=list)
    time_off: list[Span] = field(default_factory=list)


def _hours_query() -> sa.CompoundSelect[Any]:
    """Opening hours, working hours, extra hours, closures and time off as rows of one shape.

    Such a query is built once: building it takes longer than running it.
    """
    no_number, no_date = sa.cast(None, sa.Integer), sa.cast(None, sa.Date)
    doctors: Any = sa.bindparam("doctor_ids", expanding=True)
    first, last = sa.bindparam("first", type_=sa.Date), sa.bindparam("last", type_=sa.Date)
    low, high = sa.bindparam("low", type_=UtcDateTime), sa.bindparam("high", type_=UtcDateTime)

    def shaped(kind: str, **columns: Any) -> Any:
        shape: dict[str, Any] = {
            "doctor_id": no_number,
            "weekday": no_number,
            "start_minute": no_number,
            "end_minute": no_number,
            "first_day": no_date,
            "last_day": no_date,
            "low": no_number,
            "high": no_number,
        } | columns
        return sa.select(
            sa.literal_column(f"'{kind}'").label("kind"), *(column.label(name) for name, column in shape.items())
        )

    def minutes(table: Any) -> dict[str, Any]:
        return {"start_minute": table.start_minute, "end_minute": table.end_minute}

    return sa.union_all(
        shaped("weekly", weekday=_OPENING.weekday, **minutes(_OPENING)),
        shaped(
            "weekly",
            doctor_id=_WORK.doctor_id,
            weekday=_WORK.weekday,
            first_day=_WORK.valid_from,
            last_day=_WORK.valid_until,
            **minutes(_WORK),
        ).where(_WORK.doctor_id.in_(doctors)),
        shaped("extra", doctor_id=_EXTRA.doctor_id, first_day=_EXTRA.day, **minutes(_EXTRA)).where(
            _EXTRA.doctor_id.in_(doctors), _EXTRA.day.between(first, last)
        ),
        shaped("closure", first_day=_CLOSURE.starts_on, last_day=_CLOSURE.ends_on).where(
            _CLOSURE.ends_on >= first, _CLOSURE.starts_on <= last
        ),
        shaped("off", doctor_id=_OFF.doctor_id, low=minute_of(_OFF.starts_at), high=minute_of(_OFF.ends_at)).where(
            _OFF.doctor_id.in_(doctors), _OFF.ends_at > low, _OFF.starts_at < high
        ),
    )


_HOURS = _hours_query()


def load_hours(
    session: Session, doctor_ids: list[int], first: date, last: date, window: Span
) -> dict[int | None, Hours]:
    """The hours of the doctors, and under None those of the clinic."""
    values = {
        "doctor_ids": doctor_ids,
        "first": first,
        "last": last,
        "low": to_datetime(window[0]),
        "high": to_datetime(window[1]) + _LONGEST,
    }
    hours: dict[int | None, Hours] = defaultdict(Hours)
    for kind, doctor_id, weekday, start, end, first_day, last_day, low, high in rows(session, _HOURS, **values).all():
        of = hours[doctor_id]
        if kind == "weekly":
            of.weekly[weekday].append((start, end, first_day, last_day))
        elif kind == "extra":
            of.extra.append((first_day, start, end))
        elif kind == "closure":
            of.closures.append((first_day, last_day))
        else:
            of.time_off.append((low, high))
    return hours


_NO_NUMBER = sa.cast(None, sa.Integer)
_MOVING = sa.bindparam("ignoring", type_=sa.Integer)


def _doctors_query() -> sa.Select[*tuple[Any, ...]]:
    """A row for each doctor with all their busy ranges.

    Both ends of a range are bounded, with columns left bare, so that an index serves the query however long the
    history grows; it reads nothing that is not in the index. All lanes count: a time beside an appointment that was
    squeezed in is not free.
    """
    low, high = sa.bindparam("low", type_=sa.Integer), sa.bindparam("high", type_=sa.Integer)
    return (
        sa.select(
            _TAKEN.doctor_id.label("doctor_id"),
            pairs_joined(_TAKEN.from_minute, _TAKEN.until_minute),
            _NO_NUMBER,
            _NO_NUMBER,
            _NO_NUMBER,
            sa.cast(None, sa.String),
        )
        .where(
            _TAKEN.doctor_id.in_(sa.bindparam("doctor_ids", expanding=True)),
            _TAKEN.from_minute > low,
            _TAKEN.from_minute < high,
            # Time that is not taken by an appointment has no appointment id, and counts.
            _TAKEN.appointment_id.is_distinct_from(sa.func.coalesce(_MOVING, 0)),
        )
        .group_by(_TAKEN.doctor_id)
    )


def _asked_patient() -> sa.ColumnElement[int]:
    """The patient: given by id, as the account they belong to, as the appointment that is being moved, or NULL."""
    own = sa.select(_PATIENT.id).where(_PATIENT.user_id == sa.bindparam("patient_of_user", type_=sa.Integer))
    return sa.func.coalesce(
        sa.bindparam("patient_id", type_=sa.Integer),
        own.scalar_subquery(),
        # The query around it may read appointments too.
        sa.select(_APPOINTMENT.patient_id).where(_APPOINTMENT.id == _MOVING).correlate(None).scalar_subquery(),
    )


def _patient_query() -> sa.Select[*tuple[Any, ...]]:
    """A row without a doctor for each of the patient's appointments."""
    return sa.select(
        _NO_NUMBER,
        sa.cast(None, sa.String),
        _APPOINTMENT.id,
        minute_of(_APPOINTMENT.starts_at),
        minute_of(_APPOINTMENT.ends_at),
        _APPOINTMENT.status,
    ).where(
        _APPOINTMENT.patient_id == _asked_patient(),
        _APPOINTMENT.starts_at > sa.bindparam("earliest", type_=UtcDateTime),
        OCCUPIES,
    )


_OF_PATIENT = _patient_query()
_BUSY = sa.union_all(_doctors_query(), _OF_PATIENT)
# The patient's appointments, and a row without an appointment for each doctor whom the patient has seen.
_HISTORY = sa.union_all(
    _OF_PATIENT,
    sa.select(_APPOINTMENT.doctor_id, *(sa.cast(None, each.type) for each in list(_OF_PATIENT.selected_columns)[1:]))
    .distinct()
    .where(
        _APPOINTMENT.patient_id == _asked_patient(),
        _APPOINTMENT.starts_at <= sa.bindparam("now", type_=UtcDateTime),
        OCCUPIES,
    ),
)


@dataclass(slots=True)
class Busy:
    """The times that are taken. `patient_appointments` is None when no patient is known; `present_start` is that of the
    appointment which is being moved.
    """

    of_doctor: dict[int, list[Span]] = field(default_factory=lambda: defaultdict(list))
    patient_appointments: list[Span] | None = None
    active_appointments: int = 0
    present_start: Minute | None = None


def load_busy(
    session: Session,
    doctor_ids: list[int],
    window: Span,
    now: datetime,
    viewer: Viewer,
) -> Busy:
    """The doctors' busy ranges that may matter to the window, and all of the patient's appointments that may."""
    low, high = window[0] - LONGEST_MINUTES * 2, window[1] + LONGEST_MINUTES * 2
    doctors = {"doctor_ids": doctor_ids, "low": low, "high": high}
    found = rows(session, _BUSY, **doctors, **_patient_values(window, now, viewer))
    return _read_busy(found.all(), now, viewer)


class PatientHistory(NamedTuple):
    """A patient's appointments from `since` on, as (start, end, whether it is active), and the ids of doctors seen.

    A doctor was seen if an appointment with them has begun and was neither cancelled nor missed.
    """

    since: datetime
    appointments: list[tuple[Minute, Minute, bool]]
    doctors_seen: frozenset[int]

    def busy(self, now: datetime) -> Busy:
        """The patient's part of the busy times, for a search for free times."""
        this_minute = to_minute(now)
        return Busy(
            patient_appointments=[(start, end) for start, end, _active in self.appointments],
            active_appointments=sum(active and start > this_minute for start, _end, active in self.appointments),
        )


def load_patient_history(session: Session, since: datetime, now: datetime, viewer: Viewer) -> PatientHistory:
    """The history of the viewer's patient. A reading session queries it once, however often a page needs it."""
    known, own = session.info.get("own", (None, None))
    if own is None or known != (session.get_transaction(), viewer, now) or since < own.since:
        # A page needs the doctors first, and then the appointments of a week, of which some days may be over.
        since = min(since, now - timedelta(days=7))
        found = rows(session, _HISTORY, now=now, earliest=since - _LONGEST * 2, **_of_patient(viewer)).all()
        of_appointments = [(row[3], row[4], row[5] in ACTIVE) for row in found if row[0] is None]
        own = PatientHistory(since, of_appointments, frozenset(row[0] for row in found if row[0] is not None))
        session.info["own"] = (session.get_transaction(), viewer, now), own
    mine: PatientHistory = own
    return mine


def _patient_values(window: Span, now: datetime, viewer: Viewer) -> dict[str, object]:
    return {"earliest": min(to_datetime(window[0]), now) - _LONGEST * 2, **_of_patient(viewer)}


def _of_patient(viewer: Viewer) -> dict[str, object]:
    return {"patient_of_user": viewer.user_id, "patient_id": viewer.patient_id, "ignoring": viewer.moving}


def _read_busy(found: Sequence[sa.Row[*tuple[Any, ...]]], now: datetime, viewer: Viewer) -> Busy:
    this_minute = to_minute(now)
    busy = Busy(patient_appointments=[] if viewer.knows_patient else None)
    for doctor_id, spans, appointment_id, start, end, status in found:
        if doctor_id is not None:
            busy.of_doctor[doctor_id] = split_pairs(spans)
        elif appointment_id == viewer.moving:
            busy.present_start = start
        elif busy.patient_appointments is not None:
            busy.patient_appointments.append((start, end))
            busy.active_appointments += status in ACTIVE and start > this_minute
    return busy

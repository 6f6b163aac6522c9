"""From the database to the facts that the rules need, for any number of doctors in a constant number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.models import ACTIVE, LONGEST_HOURS, OCCUPIES, Appointment
from webapp.appointments.rules import Facts, offered
from webapp.appointments.slots import (
    DAY,
    Minute,
    Piece,
    Span,
    day_number,
    days_span,
    instants_of,
    merge,
    minute_reached,
    pieces_of,
    to_datetime,
    to_minute,
    wall_of,
)
from webapp.clinic.models import Closure, OpeningHours
from webapp.clinic.service import Clinic
from webapp.database import UtcDateTime, minute_of, rows, spans_joined, split_spans, table_of
from webapp.doctors.models import ExtraHours, TimeOff, WorkingHours
from webapp.doctors.service import DoctorRow, VisitTypeRow
from webapp.patients.models import Patient

FIRST_LOOK_DAYS = 14

# Tables, not mapped classes: the rows are plain tuples, and the ORM's part of a query costs as much as the rest.
_APPOINTMENT = table_of(Appointment).c
_OPENING, _WORK, _EXTRA = table_of(OpeningHours).c, table_of(WorkingHours).c, table_of(ExtraHours).c
_CLOSURE, _OFF, _PATIENT = table_of(Closure).c, table_of(TimeOff).c, table_of(Patient).c
_LONGEST = timedelta(hours=LONGEST_HOURS)


class Wish(NamedTuple):
    """A visit somebody would like: with whom, and of which type. `offered` is false for another doctor's type."""

    doctor: DoctorRow
    visit_type: VisitTypeRow
    offered: bool = True


@dataclass(slots=True)
class _Hours:
    """The rows of one doctor, or of the clinic, that say when somebody can come."""

    weekly: dict[int, list[tuple[int, int, date | None, date | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    extra: list[tuple[date, int, int]] = field(default_factory=list)
    closures: list[tuple[date, date]] = field(default_factory=list)
    time_off: list[Span] = field(default_factory=list)


def load_facts(
    session: Session,
    clinic: Clinic,
    wishes: Sequence[Wish],
    first: date,
    last: date,
    *,
    now: datetime,
    patient_of_user: int | None = None,
    patient_id: int | None = None,
    ignoring: int | None = None,
    by_staff: bool = False,
) -> dict[int, Facts]:
    """The facts for every wish over the local days `first` to `last`, by doctor id: two queries, whatever the number.

    The patient whose other visits count is given as the account they belong to, by id, or as the appointment that
    is being moved, `ignoring`: that one stands in nobody's way.
    """
    pieces = pieces_of(clinic.zone, first, last)
    window = days_span(pieces, day_number(first), day_number(last))
    doctor_ids = [wish.doctor.id for wish in wishes]
    # A visit that starts late on the last day may end on the next one, so hours are needed a day further.
    days = range(day_number(first), day_number(last) + 2)
    hours = _load_hours(session, doctor_ids, first, last + timedelta(days=1), window)
    busy = _load_busy(session, doctor_ids, window, now, (patient_of_user, patient_id, ignoring))
    horizon_day = clinic.today(now) + timedelta(days=clinic.horizon_days + 1)
    horizon = days_span(pieces_of(clinic.zone, horizon_day, horizon_day), *[day_number(horizon_day)] * 2)[0]
    common = Facts(
        window=window,
        pieces=pieces,
        now=minute_reached(now),
        step=DAY,
        minutes=0,
        before=0,
        after=0,
        opening=_weekly_spans(hours[None], pieces, days),
        working=[],
        extra=[],
        closures=_closure_spans(hours[None], pieces),
        time_off=[],
        doctor_busy=[],
        notice=clinic.notice_minutes,
        horizon=min(max(horizon, window[0]), window[1]),
        gap=clinic.patient_gap_minutes,
        max_active=clinic.max_active_visits,
        patient_visits=busy.patient_visits,
        active_visits=busy.active_visits,
        present_start=busy.present_start,
        by_staff=by_staff,
    )
    # Many doctors work the same hours.
    working: dict[Hashable, list[Span]] = {}

    def working_of(doctor_id: int) -> list[Span]:
        of = hours[doctor_id]
        key = tuple((weekday, *spans) for weekday, spans in sorted(of.weekly.items()))
        if key not in working:
            working[key] = _weekly_spans(of, pieces, days)
        return working[key]

    return {
        wish.doctor.id: replace(
            common,
            step=wish.doctor.slot_step,
            minutes=wish.visit_type.minutes,
            before=wish.visit_type.buffer_before,
            after=wish.visit_type.buffer_after,
            working=working_of(wish.doctor.id),
            extra=_extra_spans(hours[wish.doctor.id], pieces),
            time_off=hours[wish.doctor.id].time_off,
            doctor_busy=busy.of_doctor[wish.doctor.id],
            doctor_active=wish.doctor.active,
            offered_by_doctor=wish.offered and wish.visit_type.active,
            offered_online=wish.visit_type.online,
        )
        for wish in wishes
    }


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


def _load_hours(
    session: Session, doctor_ids: list[int], first: date, last: date, window: Span
) -> dict[int | None, _Hours]:
    """The hours of the doctors, and under None those of the clinic."""
    values = {
        "doctor_ids": doctor_ids,
        "first": first,
        "last": last,
        "low": to_datetime(window[0]),
        "high": to_datetime(window[1]) + _LONGEST,
    }
    hours: dict[int | None, _Hours] = defaultdict(_Hours)
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


def _busy_query() -> sa.CompoundSelect[Any]:
    """A row for each doctor with all their busy ranges, and under no doctor a row for each of the patient's visits.

    Both ends of a doctor's range are bounded, with columns left bare, so that an index serves the query however
    long the history grows; it reads nothing that is not in the index. The patient is given by id, as the account they
    belong to, as the appointment that is being moved, or not at all.
    """
    low, high = sa.bindparam("low", type_=UtcDateTime), sa.bindparam("high", type_=UtcDateTime)
    moving = sa.bindparam("ignoring", type_=sa.Integer)
    own = sa.select(_PATIENT.id).where(_PATIENT.user_id == sa.bindparam("patient_of_user", type_=sa.Integer))
    moved = table_of(Appointment).alias("moved")
    patient = sa.func.coalesce(
        sa.bindparam("patient_id", type_=sa.Integer),
        own.scalar_subquery(),
        sa.select(moved.c.patient_id).where(moved.c.id == moving).scalar_subquery(),
    )
    no_number = sa.cast(None, sa.Integer)
    return sa.union_all(
        sa.select(
            _APPOINTMENT.doctor_id.label("doctor_id"),
            spans_joined(_APPOINTMENT.busy_from, _APPOINTMENT.busy_until),
            no_number,
            no_number,
            no_number,
            sa.cast(None, sa.String),
        )
        .where(
            _APPOINTMENT.doctor_id.in_(sa.bindparam("doctor_ids", expanding=True)),
            _APPOINTMENT.busy_from > low,
            _APPOINTMENT.busy_from < high,
            OCCUPIES,
            _APPOINTMENT.id != sa.func.coalesce(moving, 0),
        )
        .group_by(_APPOINTMENT.doctor_id),
        sa.select(
            no_number,
            sa.cast(None, sa.String),
            _APPOINTMENT.id,
            minute_of(_APPOINTMENT.starts_at),
            minute_of(_APPOINTMENT.ends_at),
            _APPOINTMENT.status,
        ).where(
            _APPOINTMENT.patient_id == patient,
            _APPOINTMENT.starts_at > sa.bindparam("earliest", type_=UtcDateTime),
            OCCUPIES,
        ),
    )


_BUSY = _busy_query()


@dataclass(slots=True)
class _Busy:
    """Whose time is taken. `patient_visits` is None when nobody asks; `present_start` is the moved visit's."""

    of_doctor: dict[int, list[Span]] = field(default_factory=lambda: defaultdict(list))
    patient_visits: list[Span] | None = None
    active_visits: int = 0
    present_start: Minute | None = None


def _load_busy(
    session: Session,
    doctor_ids: list[int],
    window: Span,
    now: datetime,
    patient: tuple[int | None, int | None, int | None],
) -> _Busy:
    """The doctors' busy ranges that may matter to the window, and all of the patient's visits that may.

    The patient is (the account they belong to, their id, the appointment that they move).
    """
    low, high = to_datetime(window[0]), to_datetime(window[1])
    patient_of_user, patient_id, moving = patient
    values = {
        "doctor_ids": doctor_ids,
        "low": low - _LONGEST * 2,
        "high": high + _LONGEST * 2,
        "earliest": min(low, now) - _LONGEST * 2,
        "patient_of_user": patient_of_user,
        "patient_id": patient_id,
        "ignoring": moving,
    }
    this_minute = to_minute(now)
    busy = _Busy(patient_visits=None if patient == (None, None, None) else [])
    for doctor_id, spans, appointment_id, start, end, status in rows(session, _BUSY, **values).all():
        if doctor_id is not None:
            busy.of_doctor[doctor_id] = split_spans(spans)
        elif appointment_id == moving:
            busy.present_start = start
        elif busy.patient_visits is not None:
            busy.patient_visits.append((start, end))
            busy.active_visits += status in ACTIVE and start > this_minute
    return busy


def _weekly_spans(hours: _Hours, pieces: tuple[Piece, ...], days: Iterable[int]) -> list[Span]:
    """The weekly rows as spans of instants on the given days (day numbers); 1970-01-01 was a Thursday."""
    spans: list[Span] = []
    for number in days:
        for start, end, valid_from, valid_until in hours.weekly.get((number + 3) % 7, ()):
            if valid_from is not None and number < day_number(valid_from):
                continue
            if valid_until is not None and number > day_number(valid_until):
                continue
            spans.extend(instants_of(pieces, number * DAY + start, number * DAY + end))
    return merge(spans)


def _extra_spans(hours: _Hours, pieces: tuple[Piece, ...]) -> list[Span]:
    spans: list[Span] = []
    for day, start, end in hours.extra:
        midnight = day_number(day) * DAY
        spans.extend(instants_of(pieces, midnight + start, midnight + end))
    return merge(spans)


def _closure_spans(hours: _Hours, pieces: tuple[Piece, ...]) -> list[Span]:
    spans: list[Span] = []
    for first, last in hours.closures:
        spans.extend(instants_of(pieces, day_number(first) * DAY, (day_number(last) + 1) * DAY))
    return merge(spans)


class FreeTime(NamedTuple):
    """A start that can be booked: the instant, the local day's number and the wall-clock minute of that day."""

    start: Minute
    day: int
    minute: int


def free_times(facts: Facts) -> list[FreeTime]:
    """Everything that the rules offer, in order, with its place on the wall clock."""
    return list(places(facts))


def places(facts: Facts) -> Iterator[FreeTime]:
    """The same one by one, for those who need only the first."""
    pieces = facts.pieces
    for start in offered(facts):
        wall = start + pieces[0].offset if len(pieces) == 1 else wall_of(pieces, start)
        yield FreeTime(start, *divmod(wall, DAY))


def next_free(
    session: Session,
    clinic: Clinic,
    wishes: Sequence[Wish],
    *,
    now: datetime,
    patient_of_user: int | None = None,
    patient_id: int | None = None,
    by_staff: bool = False,
    count: int = 1,
    look_days: int = FIRST_LOOK_DAYS,
) -> dict[int, list[FreeTime]]:
    """Up to `count` next free times of each doctor within the horizon, by doctor id.

    Looks at the first `look_days` days, and at the rest of the horizon only for doctors who have nothing at all in
    them: one free time is enough for a link to all the others.
    """
    today = clinic.today(now)
    last = today + timedelta(days=clinic.horizon_days)
    look_until = min(today + timedelta(days=look_days), last)
    found: dict[int, list[FreeTime]] = {wish.doctor.id: [] for wish in wishes}
    for start, end in ((today, look_until), (look_until + timedelta(days=1), last)):
        missing = [wish for wish in wishes if not found[wish.doctor.id]]
        if not missing or start > end:
            continue
        facts = load_facts(
            session,
            clinic,
            missing,
            start,
            end,
            now=now,
            patient_of_user=patient_of_user,
            patient_id=patient_id,
            by_staff=by_staff,
        )
        for doctor_id, about in facts.items():
            found[doctor_id] = list(islice(places(about), count))
    return found


class WorkingTime(NamedTuple):
    """When one doctor can see patients, and what stands against it, as spans of instants."""

    pieces: tuple[Piece, ...]
    window: Span
    opening: list[Span]
    working: list[Span]
    extra: list[Span]
    closures: list[Span]
    time_off: list[Span]


def load_working_time(session: Session, clinic: Clinic, doctor_id: int, first: date, last: date) -> WorkingTime:
    """One doctor's hours and the clinic's over the local days `first` to `last`: one query."""
    pieces = pieces_of(clinic.zone, first, last)
    window = days_span(pieces, day_number(first), day_number(last))
    days = range(day_number(first), day_number(last) + 1)
    hours = _load_hours(session, [doctor_id], first, last, window)
    return WorkingTime(
        pieces=pieces,
        window=window,
        opening=_weekly_spans(hours[None], pieces, days),
        working=_weekly_spans(hours[doctor_id], pieces, days),
        extra=_extra_spans(hours[doctor_id], pieces),
        closures=_closure_spans(hours[None], pieces),
        time_off=hours[doctor_id].time_off,
    )

"""From the database to the facts that the rules need, for any number of doctors in a constant number of queries."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import groupby, islice
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.clinic.schedule_versions import Versions, versions_seen
from webapp.clinic.service import Clinic
from webapp.database import LEAST_WEIGHT
from webapp.doctors.service import DoctorRow, VisitTypeRow
from webapp.scheduling.facts_queries import Busy, Hours, load_busy, load_hours, load_patient_history
from webapp.scheduling.rules import Facts, offered, starts_of_schedule, with_starts
from webapp.scheduling.slots import (
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
    wall_of,
)
from webapp.scheduling.viewer import ANYONE, Viewer

FIRST_LOOK_DAYS = 14


class BookingRequest(NamedTuple):
    """A request for a doctor and a visit type. `offered` is false for a type that only others offer."""

    doctor: DoctorRow
    visit_type: VisitTypeRow
    offered: bool = True

    def span_at(self, start: Minute) -> Span:
        """The doctor's time that the appointment takes at this start, with its buffers."""
        kind = self.visit_type
        return start - kind.buffer_before, start + kind.minutes + kind.buffer_after


def load_facts(
    session: Session,
    clinic: Clinic,
    requests: Sequence[BookingRequest],
    first: date,
    last: date,
    *,
    now: datetime,
    viewer: Viewer = ANYONE,
) -> dict[int, Facts]:
    """The facts for every request over the local days `first` to `last`, by doctor id, in a few queries altogether.

    In a reading session, schedules that this process has cached for their present version are not read again.
    """
    window = days_span(pieces_of(clinic.zone, first, last), day_number(first), day_number(last))
    schedules, busy = _schedules_and_patient(session, clinic, requests, first, last, window, now=now, viewer=viewer)
    horizon_day = clinic.today(now) + timedelta(days=clinic.horizon_days + 1)
    horizon = days_span(pieces_of(clinic.zone, horizon_day, horizon_day), *[day_number(horizon_day)] * 2)[0]
    this_minute = minute_reached(now)
    facts = {
        doctor_id: replace(
            schedule,
            now=this_minute,
            notice=clinic.notice_minutes,
            horizon=min(max(horizon, window[0]), window[1]),
            horizon_days=clinic.horizon_days,
            gap=clinic.patient_gap_minutes,
            max_active=clinic.max_active_visits,
            patient_appointments=busy.patient_appointments,
            active_appointments=busy.active_appointments,
            present_start=busy.present_start,
            changing=viewer.changing,
            by_staff=viewer.by_staff,
        )
        for doctor_id, schedule in schedules.items()
    }
    for doctor_id, schedule in schedules.items():
        if schedule.starts is not None:
            with_starts(facts[doctor_id], schedule.starts)
    return facts


def _schedules_and_patient(
    session: Session,
    clinic: Clinic,
    requests: Sequence[BookingRequest],
    first: date,
    last: date,
    window: Span,
    *,
    now: datetime,
    viewer: Viewer,
) -> tuple[dict[int, Facts], Busy]:
    """The schedule for each request, cached or read now, and the patient's appointments."""
    # A cached schedule contains every appointment. Only the query can leave out the one that is being moved.
    versions = versions_seen(session) if viewer.moving is None else None
    kept = _cached_schedules(versions, clinic, requests, first, last) if versions is not None else {}
    missing = [request for request in requests if request.doctor.id not in kept]
    schedules, busy = kept, Busy()
    if missing:
        # If schedules are cached, the patient's appointments are read separately: a page needs them more than once.
        patient = viewer if versions is None else ANYONE
        busy = load_busy(session, [request.doctor.id for request in missing], window, now, patient)
        loaded = _load_schedules(session, clinic, missing, first, last, busy)
        if versions is not None:
            _cache_schedules(versions, clinic, missing, first, last, loaded)
        schedules = {request.doctor.id: (kept | loaded)[request.doctor.id] for request in requests}
    if versions is not None and viewer.knows_patient:
        busy = load_patient_history(session, to_datetime(window[0]), now, viewer).busy(now)
    return schedules, busy


def _cached_schedules(
    versions: Versions, clinic: Clinic, requests: Sequence[BookingRequest], first: date, last: date
) -> dict[int, Facts]:
    """The schedules that this process has cached for their present version."""
    found = (
        (
            request.doctor.id,
            versions.cache.find(_key(clinic, request, first, last), versions.of_doctor(request.doctor.id)),
        )
        for request in requests
    )
    return {doctor_id: schedule for doctor_id, schedule in found if schedule is not None}


def _cache_schedules(
    versions: Versions,
    clinic: Clinic,
    requests: Sequence[BookingRequest],
    first: date,
    last: date,
    schedules: dict[int, Facts],
) -> None:
    """Compute the starts that each schedule alone allows, and cache both for this version."""
    for request in requests:
        schedule = schedules[request.doctor.id]
        with_starts(schedule, array("q", starts_of_schedule(schedule)))
        key, version = _key(clinic, request, first, last), versions.of_doctor(request.doctor.id)
        versions.cache.keep(key, version, schedule, weight=_weight(schedule, together=len(requests)))


def _weight(schedule: Facts, together: int) -> int:
    """The memory of a cached schedule, in spans: 16 starts take as much as one span. The clinic's hours are one object
    for all schedules that were loaded `together`.
    """
    of_clinic = len(schedule.opening) + len(schedule.closures)
    own = len(schedule.working) + len(schedule.extra) + len(schedule.time_off) + len(schedule.doctor_busy)
    return LEAST_WEIGHT + own + of_clinic // together + len(schedule.starts or ()) // 16


def _key(clinic: Clinic, request: BookingRequest, first: date, last: date) -> tuple[object, ...]:
    """The days, and everything that a schedule takes from the clinic, the doctor and the visit type.

    The caller may have read these before this snapshot began: then they belong to another version than the snapshot.
    """
    doctor, kind = request.doctor, request.visit_type
    of_doctor = doctor.id, doctor.slot_step, doctor.active
    of_kind = kind.minutes, kind.buffer_before, kind.buffer_after, kind.active, kind.online, request.offered
    return "schedule", clinic.time_zone, *of_doctor, *of_kind, first, last


def _load_schedules(
    session: Session, clinic: Clinic, requests: Sequence[BookingRequest], first: date, last: date, busy: Busy
) -> dict[int, Facts]:
    """The facts of each request that do not depend on who asks and when."""
    pieces = pieces_of(clinic.zone, first, last)
    window = days_span(pieces, day_number(first), day_number(last))
    # An appointment that starts late on the last day may end on the next one, so hours are needed a day further.
    days = range(day_number(first), day_number(last) + 2)
    hours = load_hours(session, [request.doctor.id for request in requests], first, last + timedelta(days=1), window)
    opening, closures = _weekly_spans(hours[None], pieces, days), _closure_spans(hours[None], pieces)
    # Many doctors work the same hours.
    working: dict[Hashable, list[Span]] = {}

    def working_of(doctor_id: int) -> list[Span]:
        of = hours[doctor_id]
        key = tuple((weekday, *spans) for weekday, spans in sorted(of.weekly.items()))
        if key not in working:
            working[key] = _weekly_spans(of, pieces, days)
        return working[key]

    return {
        request.doctor.id: Facts(
            window=window,
            pieces=pieces,
            now=window[0],
            step=request.doctor.slot_step,
            minutes=request.visit_type.minutes,
            before=request.visit_type.buffer_before,
            after=request.visit_type.buffer_after,
            opening=opening,
            working=working_of(request.doctor.id),
            extra=_extra_spans(hours[request.doctor.id], pieces),
            closures=closures,
            time_off=hours[request.doctor.id].time_off,
            doctor_busy=busy.of_doctor[request.doctor.id],
            notice=0,
            horizon=window[1],
            horizon_days=clinic.horizon_days,
            gap=0,
            max_active=0,
            doctor_active=request.doctor.active,
            offered_by_doctor=request.offered and request.visit_type.active,
            offered_online=request.visit_type.online,
        )
        for request in requests
    }


def _weekly_spans(hours: Hours, pieces: tuple[Piece, ...], days: Iterable[int]) -> list[Span]:
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


def _extra_spans(hours: Hours, pieces: tuple[Piece, ...]) -> list[Span]:
    spans: list[Span] = []
    for day, start, end in hours.extra:
        midnight = day_number(day) * DAY
        spans.extend(instants_of(pieces, midnight + start, midnight + end))
    return merge(spans)


def _closure_spans(hours: Hours, pieces: tuple[Piece, ...]) -> list[Span]:
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
    """All starts that the rules offer, in order, with their wall-clock times."""
    return list(places(facts))


def within_notice(facts: Facts) -> list[FreeTime]:
    """The times that only the minimum notice hides from patients, in order; staff can book them with a reason."""
    soon = replace(facts, notice=0, horizon=min(facts.horizon, facts.now + facts.notice))
    if facts.starts is not None:
        with_starts(soon, facts.starts)
    return free_times(soon)


def places(facts: Facts) -> Iterator[FreeTime]:
    """The free times one by one, for those who need only the first."""
    pieces = facts.pieces
    for start in offered(facts):
        wall = start + pieces[0].offset if len(pieces) == 1 else wall_of(pieces, start)
        yield FreeTime(start, *divmod(wall, DAY))


def next_free(
    session: Session,
    clinic: Clinic,
    requests: Sequence[BookingRequest],
    *,
    now: datetime,
    viewer: Viewer = ANYONE,
    count: int = 1,
    days: int | None = None,
    look_days: int = FIRST_LOOK_DAYS,
) -> dict[int, list[FreeTime]]:
    """Up to `count` next free times of each doctor within the horizon, or all of the next `days` that have any, by id.

    Looks at the first `look_days` days, and at the rest of the horizon only for doctors without a free time in them:
    one free time is enough for a link to all the others.
    """
    today = clinic.today(now)
    last = today + timedelta(days=clinic.horizon_days)
    look_until = min(today + timedelta(days=look_days), last)
    found: dict[int, list[FreeTime]] = {request.doctor.id: [] for request in requests}
    for start, end in ((today, look_until), (look_until + timedelta(days=1), last)):
        missing = [request for request in requests if not found[request.doctor.id]]
        if not missing or start > end:
            continue
        facts = load_facts(session, clinic, missing, start, end, now=now, viewer=viewer)
        for doctor_id, about in facts.items():
            times = places(about)
            found[doctor_id] = list(islice(times, count) if days is None else _of_days(times, days))
    return found


def _of_days(times: Iterable[FreeTime], days: int) -> Iterator[FreeTime]:
    """The times of the first days that have any, up to this many days."""
    for _day, of_day in islice(groupby(times, key=lambda time: time.day), days):
        yield from of_day


class WorkingTime(NamedTuple):
    """When one doctor can see patients, and when not, as spans of instants."""

    pieces: tuple[Piece, ...]
    window: Span
    opening: list[Span]
    working: list[Span]
    extra: list[Span]
    closures: list[Span]
    time_off: list[Span]


def load_working_time(session: Session, clinic: Clinic, doctor_id: int, first: date, last: date) -> WorkingTime:
    """One doctor's hours and the clinic's over the local days `first` to `last`: one query."""
    return load_working_times(session, clinic, [doctor_id], first, last)[doctor_id]


def load_working_times(
    session: Session, clinic: Clinic, doctor_ids: list[int], first: date, last: date
) -> dict[int, WorkingTime]:
    """The hours of some doctors and the clinic's over the local days `first` to `last`: one query for all of them."""
    pieces = pieces_of(clinic.zone, first, last)
    window = days_span(pieces, day_number(first), day_number(last))
    days = range(day_number(first), day_number(last) + 1)
    hours = load_hours(session, doctor_ids, first, last, window)
    opening, closures = _weekly_spans(hours[None], pieces, days), _closure_spans(hours[None], pieces)
    return {
        doctor_id: WorkingTime(
            pieces=pieces,
            window=window,
            opening=opening,
            working=_weekly_spans(hours[doctor_id], pieces, days),
            extra=_extra_spans(hours[doctor_id], pieces),
            closures=closures,
            time_off=hours[doctor_id].time_off,
        )
        for doctor_id in doctor_ids
    }

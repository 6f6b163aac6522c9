"""Proposes free times for appointments that can no longer take place, a different one for each.

A proposal keeps the minimum notice that patients have. It is on the clinic's next working day or later, so that the
patient can hear of it in time, unless staff ask for earlier ones.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.clinic.service import Clinic
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow, VisitTypeRow
from webapp.scheduling.facts import BookingRequest, free_times, load_facts
from webapp.scheduling.models import ACTIVE, OCCUPIES, Appointment
from webapp.scheduling.rule_violations import UpcomingAppointment
from webapp.scheduling.rules import Facts
from webapp.scheduling.slots import DAY, Minute, Span, day_number, days_span, subtract, to_datetime, to_minute, wall_of

# The search for free times ends this many days after the last of the appointments.
PROPOSAL_DAYS = 42


@dataclass
class Alternatives:
    """The data for proposals: facts by doctor, the earliest time to propose, and when patients have other appointments.

    No time in `never` is proposed.
    """

    clinic: Clinic
    affected: list[UpcomingAppointment]
    who: dict[int, DoctorRow]
    facts: dict[int, Facts]
    earliest: Minute
    engaged: dict[int, list[tuple[int, Span]]]
    never: Span = (0, 0)


def load_alternatives(
    session: Session,
    clinic: Clinic,
    affected: list[UpcomingAppointment],
    who: dict[int, DoctorRow],
    *,
    from_today: bool = False,
    now: datetime,
) -> Alternatives:
    """Read what `propose` needs, in the transaction of the change."""
    today = clinic.today(now)
    last = max(appointment.starts_at for appointment in affected).astimezone(clinic.zone).date() + timedelta(
        days=PROPOSAL_DAYS
    )
    last = min(last, today + timedelta(days=clinic.horizon_days))
    requests = [BookingRequest(doctor, doctors.any_visit_type(session)) for doctor in who.values()]
    facts = load_facts(session, clinic, requests, today, max(last, today), now=now)
    earliest = 0 if from_today or not facts else _next_working_day(next(iter(facts.values())), today)
    engaged = _engagements(session, [appointment.patient_id for appointment in affected], now=now)
    return Alternatives(clinic, affected, who, facts, earliest, engaged)


def propose(known: Alternatives) -> dict[int, datetime]:
    """For each appointment, its doctor's nearest time at which the patient is free and which no other appointment gets.
    This takes long for many appointments, so it needs no database and is called after the transaction.
    """
    clinic, engaged = known.clinic, known.engaged
    starts: dict[tuple[int, int], list[Minute]] = {}
    # The proposed spans of each doctor, in order; they do not overlap.
    given: dict[int, list[Span]] = defaultdict(list)
    proposals: dict[int, datetime] = {}
    for appointment in known.affected:
        kind = known.who[appointment.doctor_id].visit_type(appointment.visit_type_id)
        if kind is None or appointment.status not in ACTIVE:
            continue
        of_kind = (appointment.doctor_id, kind.id)
        if of_kind not in starts:
            free = free_times(with_visit_type(known.facts[appointment.doctor_id], kind))
            low, high = known.never
            starts[of_kind] = [
                time.start for time in free if time.start >= known.earliest and not low <= time.start < high
            ]
        others = [span for number, span in engaged[appointment.patient_id] if number != appointment.id]
        for start in nearest_first(starts[of_kind], appointment.start):
            busy = (start - kind.buffer_before, start + kind.minutes + kind.buffer_after)
            margin = (start - clinic.patient_gap_minutes, start + kind.minutes + clinic.patient_gap_minutes)
            if not _meets_one_of(busy, given[appointment.doctor_id]) and not _meets(margin, others):
                insort(given[appointment.doctor_id], busy)
                engaged[appointment.patient_id].append((0, (start, start + kind.minutes)))
                proposals[appointment.id] = to_datetime(start)
                break
    return proposals


class Colleague(NamedTuple):
    """A free time of another doctor to whom an appointment can be given."""

    doctor_id: int
    doctor_name: str
    starts_at: datetime


def load_colleagues(
    session: Session,
    clinic: Clinic,
    affected: list[UpcomingAppointment],
    doctor: DoctorRow,
    *,
    day: date,
    now: datetime,
) -> Alternatives:
    """Read what `propose_colleagues` needs: the facts of a day of all other doctors who take bookings."""
    who = {each.id: each for each in doctors.list_doctors(session) if each.id != doctor.id}
    requests = [BookingRequest(each, doctors.any_visit_type(session)) for each in who.values()]
    facts = load_facts(session, clinic, requests, day, day, now=now)
    engaged = _engagements(session, [appointment.patient_id for appointment in affected], now=now)
    return Alternatives(clinic, affected, {**who, doctor.id: doctor}, facts, to_minute(now), engaged)


def propose_colleagues(known: Alternatives) -> dict[int, Colleague]:
    """For each appointment, the day's first time of a colleague who offers its type; no two get the same time.

    It is never before the original start, because a patient who misses the message comes at that time. Among equal
    times, colleagues of the same specialty come first, then those with the fewest proposals. Staff make these
    proposals, so they do not keep the minimum notice that patients have.
    """
    given: dict[int, list[Span]] = defaultdict(list)
    proposals: dict[int, Colleague] = {}
    for appointment in known.affected:
        absent = known.who[appointment.doctor_id]
        others = [span for number, span in known.engaged[appointment.patient_id] if number != appointment.id]
        found: list[tuple[Minute, bool, int, int, Span, int]] = []
        for place, (doctor_id, facts) in enumerate(known.facts.items()):
            kind = known.who[doctor_id].visit_type(appointment.visit_type_id)
            start = None if kind is None else _first_start(known, facts, kind, appointment, others, given[doctor_id])
            if kind is not None and start is not None:
                stranger = known.who[doctor_id].specialty != absent.specialty
                busy = (start - kind.buffer_before, start + kind.minutes + kind.buffer_after)
                found.append((start, stranger, len(given[doctor_id]), place, busy, doctor_id))
        if found:
            start, _stranger, _count, _place, busy, doctor_id = min(found)
            insort(given[doctor_id], busy)
            known.engaged[appointment.patient_id].append((0, (start, start + appointment.minutes)))
            proposals[appointment.id] = Colleague(doctor_id, known.who[doctor_id].name, to_datetime(start))
    return proposals


def _first_start(
    known: Alternatives,
    facts: Facts,
    kind: VisitTypeRow,
    appointment: UpcomingAppointment,
    others: list[Span],
    given: list[Span],
) -> Minute | None:
    """The colleague's first start from the appointment's own on at which the patient is free."""
    gap, earliest = known.clinic.patient_gap_minutes, max(known.earliest, appointment.start)
    for time in free_times(replace(with_visit_type(facts, kind), notice=0)):
        start = time.start
        busy = (start - kind.buffer_before, start + kind.minutes + kind.buffer_after)
        margin = (start - gap, start + kind.minutes + gap)
        if start >= earliest and not _meets_one_of(busy, given) and not _meets(margin, others):
            return start
    return None


def _next_working_day(facts: Facts, today: date) -> Minute:
    """The beginning of the next day on which the clinic is open, or of tomorrow if the facts cover no such day."""
    number = day_number(today) + 1
    tomorrow = days_span(facts.pieces, number, number)[0]
    opens = (
        low
        for start, end in facts.opening
        if end > tomorrow
        for low, _high in subtract((max(start, tomorrow), end), facts.closures)
    )
    first = wall_of(facts.pieces, next(opens, tomorrow)) // DAY
    return days_span(facts.pieces, first, first)[0]


def with_visit_type(facts: Facts, kind: VisitTypeRow) -> Facts:
    """The same facts for another visit type. Staff make the proposals, so it may be one that is not online."""
    return replace(
        facts,
        minutes=kind.minutes,
        before=kind.buffer_before,
        after=kind.buffer_after,
        offered_by_doctor=kind.active,
        offered_online=True,
    )


def _engagements(session: Session, patient_ids: list[int], *, now: datetime) -> dict[int, list[tuple[int, Span]]]:
    """When these patients already have appointments, with any doctor, as (the appointment's id, its span)."""
    query = sa.select(Appointment.patient_id, Appointment.id, Appointment.starts_at, Appointment.ends_at).where(
        Appointment.patient_id.in_(set(patient_ids)), Appointment.starts_at > now, OCCUPIES
    )
    engaged: dict[int, list[tuple[int, Span]]] = defaultdict(list)
    for patient_id, number, starts_at, ends_at in session.execute(query):
        engaged[patient_id].append((number, (to_minute(starts_at), to_minute(ends_at))))
    return engaged


def _meets_one_of(span: Span, sorted_spans: list[Span]) -> bool:
    """Whether a span meets one of these sorted spans that do not overlap: only the last one that begins before its end
    can.
    """
    place = bisect_left(sorted_spans, (span[1], 0)) - 1
    return place >= 0 and span[0] < sorted_spans[place][1]


def _meets(span: Span, others: list[Span]) -> bool:
    return any(low < span[1] and span[0] < high for low, high in others)


def nearest_first(starts: list[Minute], wanted: Minute) -> Iterator[Minute]:
    """Sorted starts, reordered from the nearest to the furthest; of two equally near ones the earlier comes first.

    Of thousands of starts only a few are looked at, because other bookings wait meanwhile.
    """
    after = bisect_left(starts, wanted)
    before = after - 1
    while before >= 0 or after < len(starts):
        if after == len(starts) or (before >= 0 and wanted - starts[before] <= starts[after] - wanted):
            yield starts[before]
            before -= 1
        else:
            yield starts[after]
            after += 1

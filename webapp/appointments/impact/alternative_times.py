"""Proposes free times for appointments that can no longer take place, a different one for each."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.clinic.service import Clinic
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow, VisitTypeRow
from webapp.scheduling.facts import BookingRequest, free_times, load_facts
from webapp.scheduling.models import OCCUPIES, Appointment
from webapp.scheduling.rule_violations import UpcomingAppointment
from webapp.scheduling.rules import Facts
from webapp.scheduling.slots import Minute, Span, to_datetime, to_minute

# The search for free times ends this many days after the last of the appointments.
PROPOSAL_DAYS = 42


def propose(
    session: Session,
    clinic: Clinic,
    affected: list[UpcomingAppointment],
    who: dict[int, DoctorRow],
    *,
    now: datetime,
) -> dict[int, datetime]:
    """For each appointment, its doctor's nearest time that its patient has free and that no other is proposed."""
    today = clinic.today(now)
    last = max(appointment.starts_at for appointment in affected).astimezone(clinic.zone).date() + timedelta(
        days=PROPOSAL_DAYS
    )
    last = min(last, today + timedelta(days=clinic.horizon_days))
    requests = [BookingRequest(doctor, doctors.any_visit_type(session)) for doctor in who.values()]
    facts = load_facts(session, clinic, requests, today, max(last, today), now=now)
    engaged = _engagements(session, [appointment.patient_id for appointment in affected], now=now)
    starts: dict[tuple[int, int], list[Minute]] = {}
    given: dict[int, list[Span]] = defaultdict(list)
    proposals: dict[int, datetime] = {}
    for appointment in affected:
        kind = who[appointment.doctor_id].visit_type(appointment.visit_type_id)
        if kind is None:
            continue
        of_kind = (appointment.doctor_id, kind.id)
        if of_kind not in starts:
            starts[of_kind] = [time.start for time in free_times(wanting(facts[appointment.doctor_id], kind))]
        others = [span for number, span in engaged[appointment.patient_id] if number != appointment.id]
        for start in nearest_first(starts[of_kind], appointment.start):
            busy = (start - kind.buffer_before, start + kind.minutes + kind.buffer_after)
            margin = (start - clinic.patient_gap_minutes, start + kind.minutes + clinic.patient_gap_minutes)
            if not _meets(busy, given[appointment.doctor_id]) and not _meets(margin, others):
                given[appointment.doctor_id].append(busy)
                engaged[appointment.patient_id].append((0, (start, start + kind.minutes)))
                proposals[appointment.id] = to_datetime(start)
                break
    return proposals


def wanting(facts: Facts, kind: VisitTypeRow) -> Facts:
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


def _meets(span: Span, others: list[Span]) -> bool:
    return any(low < span[1] and span[0] < high for low, high in others)


def nearest_first(starts: list[Minute], wanted: Minute) -> Iterator[Minute]:
    """The starts, which are sorted, from the nearest to the furthest; of two equally near ones the earlier comes first.

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

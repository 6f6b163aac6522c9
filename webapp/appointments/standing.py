"""The visits that lie ahead, and which of the house rules each of them breaks as things are now.

A visit obeyed the rules when it was booked. Hours, leave, closures and rules change under it, and then somebody has
to decide what becomes of it. The rules asked here are those of booking, read from the same list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.availability import Wish, load_facts
from webapp.appointments.models import OCCUPIES, Appointment
from webapp.appointments.rules import RULES, Facts
from webapp.appointments.slots import Minute, Span, merge, to_minute
from webapp.clinic.service import Clinic
from webapp.database import rows, table_of
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow

# Without these the visit cannot take place: nobody is there. They need a decision, always.
HOURS_RULES = ("closure", "clinic_closed", "outside_working_hours", "time_off")
_BY_HOURS = tuple(rule for rule in RULES if rule.code in (*HOURS_RULES, "too_far_ahead"))


class Standing(NamedTuple):
    """One visit that stands and lies ahead. Instants are UTC."""

    id: int
    reference: str
    version: int
    status: str
    doctor_id: int
    patient_id: int
    visit_type_id: int
    starts_at: datetime
    ends_at: datetime
    flagged_why: str
    override_reason: str

    @property
    def start(self) -> Minute:
        """The minute since the epoch at which it begins."""
        return to_minute(self.starts_at)

    @property
    def minutes(self) -> int:
        """How long it lasts."""
        return to_minute(self.ends_at) - self.start


_APPOINTMENT = table_of(Appointment).c
_STANDING = (
    sa.select(*(_APPOINTMENT[name] for name in Standing._fields))
    .where(
        _APPOINTMENT.starts_at > sa.bindparam("now", type_=_APPOINTMENT.starts_at.type),
        OCCUPIES,
    )
    .order_by(_APPOINTMENT.starts_at, _APPOINTMENT.id)
)
_STANDING_OF = _STANDING.where(_APPOINTMENT.doctor_id.in_(sa.bindparam("doctor_ids", expanding=True)))


def list_standing(session: Session, doctor_ids: Sequence[int] | None, *, now: datetime) -> list[Standing]:
    """The booked visits of these doctors, or of all, that have not begun, in order of time."""
    if doctor_ids is None:
        found = rows(session, _STANDING, now=now)
    else:
        found = rows(session, _STANDING_OF, now=now, doctor_ids=list(doctor_ids))
    return [Standing._make(row) for row in found]


def broken_rules(
    session: Session, clinic: Clinic, visits: Sequence[Standing], *, now: datetime
) -> dict[int, tuple[str, ...]]:
    """The codes of the rules that each visit breaks now, by the visit's id; those that break none are left out.

    A constant number of queries, whatever the number of visits and doctors.
    """
    by_doctor: dict[int, list[Standing]] = defaultdict(list)
    for visit in visits:
        by_doctor[visit.doctor_id].append(visit)
    if not by_doctor:
        return {}
    who = {doctor.id: doctor for doctor in doctors.list_by_ids(session, list(by_doctor))}
    kind = doctors.any_visit_type(session)
    last = max(visit.starts_at for visit in visits).astimezone(clinic.zone).date()
    wishes = [Wish(doctor, kind) for doctor in who.values()]
    facts = load_facts(session, clinic, wishes, clinic.today(now), last, now=now)
    too_close = {visit.id for visit in _too_close(visits, clinic.patient_gap_minutes)}
    broken: dict[int, list[str]] = defaultdict(list)
    for doctor_id, of_doctor in by_doctor.items():
        for visit, code in _broken_by_hours(facts[doctor_id], of_doctor):
            broken[visit.id].append(code)
        for visit in of_doctor:
            broken[visit.id].extend(_broken_by_offer(who[doctor_id], visit))
    for number in too_close:
        broken[number].append("patient_gap")
    return {number: tuple(codes) for number, codes in broken.items() if codes}


def _broken_by_hours(facts: Facts, visits: Iterable[Standing]) -> Iterator[tuple[Standing, str]]:
    """Which of one doctor's visits lie where closures, hours or leave refuse them."""
    refused: dict[int, list[tuple[str, list[Span]]]] = {}
    for visit in visits:
        if visit.minutes not in refused:
            lasting = replace(facts, minutes=visit.minutes)
            refused[visit.minutes] = [(rule.code, merge(rule.refused_starts(lasting))) for rule in _BY_HOURS]
        for code, spans in refused[visit.minutes]:
            if _is_in(spans, visit.start):
                yield visit, code


def _broken_by_offer(doctor: DoctorRow, visit: Standing) -> Iterator[str]:
    if not doctor.active:
        yield "doctor_inactive"
    if doctor.visit_type(visit.visit_type_id) is None:
        yield "visit_type_not_offered"


def _too_close(visits: Iterable[Standing], gap: int) -> Iterator[Standing]:
    """Visits that begin too soon after another one of the same patient, among those given (in order of time)."""
    last_end: dict[int, datetime] = {}
    for visit in visits:
        before = last_end.get(visit.patient_id)
        if before is not None and to_minute(visit.starts_at) - to_minute(before) < gap:
            yield visit
        last_end[visit.patient_id] = max(before, visit.ends_at) if before is not None else visit.ends_at


def _is_in(spans: list[Span], minute: Minute) -> bool:
    place = bisect_right(spans, (minute, float("inf"))) - 1
    return place >= 0 and spans[place][0] <= minute < spans[place][1]

"""The effect of a change on the times that can be booked: how many it adds and removes, day by day.

Facts are read in the transaction of the trial; counting from them takes longer, and needs no database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments.impact.alternative_times import with_visit_type
from webapp.appointments.impact.schemas import Affected
from webapp.clinic.service import get_clinic
from webapp.doctors import service as doctors
from webapp.scheduling.facts import BookingRequest, load_facts, places
from webapp.scheduling.rules import Facts
from webapp.scheduling.slots import Minute, number_to_day


class DayEffect(NamedTuple):
    """How many bookable starts a change adds and removes on one day of one doctor."""

    doctor_name: str
    day: date
    gained: int
    lost: int


class Effect(NamedTuple):
    """The effect of a change over the days that can be booked, and the appointments that it affects.

    `days_ahead` is the number of these days. `unflagged` appointments need no decision any more.
    """

    gained: int
    lost: int
    days: list[DayEffect]
    appointments: list[Affected]
    days_ahead: int
    unflagged: int


class Bookable(NamedTuple):
    """The data that decide which starts patients can book: the facts by doctor and visit type, and the names of
    doctors.
    """

    days_ahead: int
    names: dict[int, str]
    facts: dict[tuple[int, int], Facts]


def load_bookable(session: Session, doctor_ids: Sequence[int] | None, *, now: datetime) -> Bookable:
    """The facts about these doctors (None: about all) and all their visit types, over the whole booking horizon."""
    clinic = get_clinic(session)
    today = clinic.today(now)
    asked = doctors.list_doctors(session) if doctor_ids is None else doctors.list_by_ids(session, doctor_ids)
    requests = [
        BookingRequest(doctor, doctor.visit_types[0]) for doctor in asked if doctor.active and doctor.visit_types
    ]
    facts = load_facts(session, clinic, requests, today, today + timedelta(days=clinic.horizon_days), now=now)
    return Bookable(
        clinic.horizon_days,
        {doctor.id: doctor.name for doctor in asked},
        {
            (doctor.id, kind.id): replace(with_visit_type(facts[doctor.id], kind), offered_online=kind.online)
            for doctor, *_rest in requests
            for kind in doctor.visit_types
        },
    )


def effect_between(before: Bookable, after: Bookable, appointments: list[Affected], unflagged: int) -> Effect:
    """The effect of a change from one state to the other. Unchanged schedules are not counted."""
    changed = [key for key in {**before.facts, **after.facts} if before.facts.get(key) != after.facts.get(key)]
    was, will = _starts(before, changed), _starts(after, changed)
    # The change may rename a doctor, so doctors are identified by their ids.
    names = before.names | after.names
    days = []
    for doctor_id, day in sorted({*was, *will}, key=lambda key: (key[1], names[key[0]], key[0])):
        old, new = was.get((doctor_id, day), set()), will.get((doctor_id, day), set())
        if old != new:
            days.append(DayEffect(names[doctor_id], number_to_day(day), len(new - old), len(old - new)))
    gained, lost = sum(day.gained for day in days), sum(day.lost for day in days)
    return Effect(gained, lost, days, appointments, max(before.days_ahead, after.days_ahead), unflagged)


def _starts(bookable: Bookable, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], set[tuple[int, Minute]]]:
    """Every start that can be booked, of each visit type, by doctor and local day."""
    found: dict[tuple[int, int], set[tuple[int, Minute]]] = defaultdict(set)
    for doctor_id, kind_id in keys:
        if (doctor_id, kind_id) in bookable.facts:
            for time in places(bookable.facts[doctor_id, kind_id]):
                found[doctor_id, time.day].add((kind_id, time.start))
    return found

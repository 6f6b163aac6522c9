"""The visits that lie ahead, and which of the house rules each of them breaks as things are now.

A visit obeyed the rules when it was booked. Hours, leave, closures and rules change under it, and then somebody has
to decide what becomes of it. The rules asked here are those of booking, read from the same list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.database import rows, table_of
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.scheduling.facts import BookingRequest, load_facts
from webapp.scheduling.models import OCCUPIES, Appointment
from webapp.scheduling.rules import RULES, Facts
from webapp.scheduling.slots import DAY, Minute, Span, days_span, merge, to_minute, wall_of

# Without these the visit cannot take place: nobody is there. They need a decision, always.
HOURS_RULES = ("closure", "clinic_closed", "outside_working_hours", "time_off")
# Between two visits that are further apart nobody's hours are looked at.
NEAR = timedelta(days=31)

_BY_HOURS = tuple(rule for rule in RULES if rule.code in (*HOURS_RULES, "too_far_ahead"))


# The rules that a visit breaks, by code, each with the starts on the visit's own day that it refuses around it.
Broken = dict[str, Span]
# Rules about the doctor, the kind of visit or the patient refuse no stretch of the day.
NO_SPAN: Span = (0, 0)


class UpcomingAppointment(NamedTuple):
    """An appointment that lies ahead and was not cancelled. Instants are UTC."""

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
_UPCOMING = (
    sa.select(*(_APPOINTMENT[name] for name in UpcomingAppointment._fields))
    .where(
        _APPOINTMENT.starts_at > sa.bindparam("now", type_=_APPOINTMENT.starts_at.type),
        OCCUPIES,
    )
    .order_by(_APPOINTMENT.starts_at, _APPOINTMENT.id)
)
_UPCOMING_OF_DOCTORS = _UPCOMING.where(_APPOINTMENT.doctor_id.in_(sa.bindparam("doctor_ids", expanding=True)))
_UPCOMING_OF_PATIENTS = _UPCOMING.where(_APPOINTMENT.patient_id.in_(sa.bindparam("patient_ids", expanding=True)))


def list_upcoming(session: Session, doctor_ids: Sequence[int] | None, *, now: datetime) -> list[UpcomingAppointment]:
    """The booked visits of these doctors, or of all, that have not begun, in order of time."""
    if doctor_ids is None:
        found = rows(session, _UPCOMING, now=now)
    else:
        found = rows(session, _UPCOMING_OF_DOCTORS, now=now, doctor_ids=list(doctor_ids))
    return [UpcomingAppointment._make(row) for row in found]


def broken_rules(
    session: Session, clinic: Clinic, appointments: Sequence[UpcomingAppointment], *, now: datetime
) -> dict[int, Broken]:
    """The rules that each visit breaks now, by the visit's id; those that break none are left out.

    A constant number of queries for each stretch of the calendar that has visits, and most clinics have one, whatever
    the number of visits and doctors.
    """
    if not appointments:
        return {}
    who = {
        doctor.id: doctor
        for doctor in doctors.list_by_ids(session, sorted({appointment.doctor_id for appointment in appointments}))
    }
    kind = doctors.any_visit_type(session)
    too_close = {appointment.id for appointment in _too_close(appointments, clinic.patient_gap_minutes)}
    broken: dict[int, Broken] = defaultdict(dict)
    for first, last, together in _stretches(appointments, clinic):
        by_doctor: dict[int, list[UpcomingAppointment]] = defaultdict(list)
        for appointment in together:
            by_doctor[appointment.doctor_id].append(appointment)
        requests = [BookingRequest(who[doctor_id], kind) for doctor_id in by_doctor]
        facts = load_facts(session, clinic, requests, first, last, now=now)
        for doctor_id, of_doctor in by_doctor.items():
            for appointment, code, span in _broken_by_hours(facts[doctor_id], of_doctor):
                broken[appointment.id][code] = span
            for appointment in of_doctor:
                for code in _broken_by_offer(who[doctor_id], appointment):
                    broken[appointment.id][code] = NO_SPAN
    for number in too_close:
        broken[number]["patient_gap"] = NO_SPAN
    return dict(broken)


def find_too_close(
    session: Session, clinic: Clinic, appointments: Sequence[UpcomingAppointment], *, now: datetime
) -> set[int]:
    """Which of these visits begin too soon after another one of the same patient, with whichever doctor.

    `broken_rules` knows but the visits that it is handed: of a doctor's own change those with that doctor alone.
    """
    if not appointments:
        return set()
    found = rows(
        session,
        _UPCOMING_OF_PATIENTS,
        now=now,
        patient_ids=sorted({appointment.patient_id for appointment in appointments}),
    )
    close = {
        appointment.id for appointment in _too_close(map(UpcomingAppointment._make, found), clinic.patient_gap_minutes)
    }
    return close & {appointment.id for appointment in appointments}


def _stretches(
    appointments: Sequence[UpcomingAppointment], clinic: Clinic
) -> Iterator[tuple[date, date, list[UpcomingAppointment]]]:
    """The visits by stretches of local days, each with its first and last day.

    Staff may book for any year, and hours are worked out day by day: one visit that lies decades ahead must not make
    every change take as long as the decades between, while everybody else's bookings wait for it.
    """
    stretches: list[list[tuple[date, UpcomingAppointment]]] = []
    for appointment in sorted(appointments, key=attrgetter("starts_at")):
        day = formats.local_date(appointment.starts_at, clinic.zone)
        if not stretches or day - stretches[-1][-1][0] > NEAR:
            stretches.append([])
        stretches[-1].append((day, appointment))
    for stretch in stretches:
        yield stretch[0][0], stretch[-1][0], [appointment for _day, appointment in stretch]


def _broken_by_hours(
    facts: Facts, appointments: Iterable[UpcomingAppointment]
) -> Iterator[tuple[UpcomingAppointment, str, Span]]:
    """Which of one doctor's visits closures, hours or leave refuse, and how much of the visit's day around it."""
    refused: dict[int, list[tuple[str, list[Span]]]] = {}
    for appointment in appointments:
        if appointment.minutes not in refused:
            lasting = replace(facts, minutes=appointment.minutes)
            refused[appointment.minutes] = [(rule.code, merge(rule.refused_starts(lasting))) for rule in _BY_HOURS]
        for code, spans in refused[appointment.minutes]:
            around = _around(spans, appointment.start)
            if around is not None:
                number = wall_of(facts.pieces, appointment.start) // DAY
                first, end = days_span(facts.pieces, number, number)
                yield appointment, code, (max(first, around[0]), min(end, around[1]))


def _broken_by_offer(doctor: DoctorRow, appointment: UpcomingAppointment) -> Iterator[str]:
    if not doctor.active:
        yield "doctor_inactive"
    if doctor.visit_type(appointment.visit_type_id) is None:
        yield "visit_type_not_offered"


def _too_close(appointments: Iterable[UpcomingAppointment], gap: int) -> Iterator[UpcomingAppointment]:
    """Visits that begin too soon after another one of the same patient, among those given (in order of time)."""
    last_end: dict[int, datetime] = {}
    for appointment in appointments:
        before = last_end.get(appointment.patient_id)
        if before is not None and to_minute(appointment.starts_at) - to_minute(before) < gap:
            yield appointment
        last_end[appointment.patient_id] = (
            max(before, appointment.ends_at) if before is not None else appointment.ends_at
        )


def _around(spans: list[Span], minute: Minute) -> Span | None:
    """The one of these spans, which are in order, that holds the minute."""
    place = bisect_right(spans, (minute, float("inf"))) - 1
    return spans[place] if place >= 0 and minute < spans[place][1] else None

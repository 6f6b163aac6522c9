"""The upcoming appointments, and the rules that each of them breaks now.

An appointment obeys the rules when it is booked. If it can no longer take place later, because hours, leave or closures
changed, or because its doctor stopped taking bookings or offering its visit type, staff must decide what to do with it.
Rules about when one may book (the minimum notice, the horizon, the margin between a patient's appointments, how many
they may have, the grid of starts, what is offered online) only concern new bookings: an appointment that breaks one of
them still takes place.
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

# If one of these is broken, the doctor is not there and the appointment cannot take place.
HOURS_RULES = ("closure", "clinic_closed", "outside_working_hours", "time_off")
# If two appointments are further apart than this, the days between them are not examined.
NEAR = timedelta(days=31)

_BY_HOURS = tuple(rule for rule in RULES if rule.code in HOURS_RULES)


# The rules that an appointment breaks, by code. Each has the span of refused starts around the appointment on its day.
Broken = dict[str, Span]
# Rules about the doctor or the visit type do not refuse a span of the day.
NO_SPAN: Span = (0, 0)


class UpcomingAppointment(NamedTuple):
    """An upcoming appointment that is not cancelled. Instants are UTC."""

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
        """Its length in minutes."""
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


def list_upcoming(session: Session, doctor_ids: Sequence[int] | None, *, now: datetime) -> list[UpcomingAppointment]:
    """The active appointments of these doctors (None: of all doctors) that have not begun, in order of time."""
    if doctor_ids is None:
        found = rows(session, _UPCOMING, now=now)
    else:
        found = rows(session, _UPCOMING_OF_DOCTORS, now=now, doctor_ids=list(doctor_ids))
    return [UpcomingAppointment._make(row) for row in found]


def broken_rules(
    session: Session, clinic: Clinic, appointments: Sequence[UpcomingAppointment], *, now: datetime
) -> dict[int, Broken]:
    """The rules because of which appointments cannot take place, by the appointment's id; those that can are left out.

    The number of queries is constant for each stretch of days with appointments, and most clinics have a single
    stretch; the number of appointments and doctors does not matter.
    """
    if not appointments:
        return {}
    who = {
        doctor.id: doctor
        for doctor in doctors.list_by_ids(session, sorted({appointment.doctor_id for appointment in appointments}))
    }
    kind = doctors.any_visit_type(session)
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
    return dict(broken)


def _stretches(
    appointments: Sequence[UpcomingAppointment], clinic: Clinic
) -> Iterator[tuple[date, date, list[UpcomingAppointment]]]:
    """The appointments in stretches of local days, each with its first and last day.

    Staff may book for any year, and hours are computed day by day. Without stretches, one appointment decades ahead
    would make every change as slow as all the days before it, while other bookings wait.
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
    """Which of one doctor's appointments closures, hours or leave refuse, and the refused span around each."""
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


def _around(spans: list[Span], minute: Minute) -> Span | None:
    """The span that contains the minute, out of these sorted spans."""
    place = bisect_right(spans, (minute, float("inf"))) - 1
    return spans[place] if place >= 0 and minute < spans[place][1] else None

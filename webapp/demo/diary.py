"""Fills the demo doctors' days with appointments. The rules of booking decide which times are possible."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import NamedTuple

from webapp.demo.catalogue import CANCELLATION_REASONS, KINDS, NOTES
from webapp.demo.hours import DAYS_AHEAD
from webapp.doctors.service import DoctorRow, VisitTypeRow
from webapp.scheduling.facts import FreeTime, free_times
from webapp.scheduling.rules import Facts
from webapp.scheduling.slots import DAY, Minute, Span

PAST_OCCUPANCY = 0.75
NEXT_DAYS_OCCUPANCY = 0.80
LAST_DAYS_OCCUPANCY = 0.25
# Lunch, short gaps and patients without time keep a day from filling up, so the aim is this much higher.
AIM = 1.15
CANCELLED = 0.08
NO_SHOW = 0.05
CONFIRMED_SOON, CONFIRMED_LATER, SOON_DAYS = 0.65, 0.2, 7
WITH_REASON, WITH_NOTES = 0.88, 0.05
# Patients may have ten upcoming appointments; people who try the demo must be able to book more.
MOST_AHEAD = 7
TRIES = 12
LONGEST_LEAD = 45

# The appointments of the account patient@docket.example, who is the first in the list of patients.
HANNAH = 0


class _ByHand(NamedTuple):
    specialty: str
    days_from_today: int
    status: str
    reason: str


_BY_HAND = (
    _ByHand("General practice", -77, "completed", "Headaches in the evening, about three times a week."),
    _ByHand("Dermatology", -41, "completed", "A mole on my back has grown."),
    _ByHand("General practice", -17, "completed", "Questions about the new tablets."),
    _ByHand("General practice", 6, "confirmed", "Blood pressure at home is still a little high."),
    _ByHand("Physiotherapy", 13, "cancelled", "Stiff neck from work at a screen."),
    _ByHand("Dermatology", 20, "scheduled", "Yearly check, I have many moles."),
    _ByHand("Women’s health", 34, "scheduled", "Smear test."),
)
_OF_KIND = {kind.name: kind for kind in KINDS}


class PlannedAppointment(NamedTuple):
    """One appointment. Instants are minutes since the epoch; `person` is an index into the list of patients."""

    created: Minute
    changed: Minute
    doctor_id: int
    person: int
    kind: VisitTypeRow
    start: Minute
    status: str
    reason: str
    notes: str
    cancellation_reason: str


class Attendance:
    """On which days each patient comes: never twice on one day, and only to a few upcoming appointments."""

    def __init__(self, groups: dict[str, list[int]], people: int, rng: random.Random) -> None:
        self._groups = groups
        self._rng = rng
        self._days: list[set[int]] = [set() for _ in range(people)]
        self._ahead = [0] * people

    def find(self, group: str, day: int, *, ahead: bool) -> int | None:
        """A person of the group who can come on that day, or None if a dozen had no time."""
        members = self._groups[group]
        for _ in range(TRIES if members else 0):
            person = members[int(self._rng.random() * len(members))]
            if self.is_free(person, day) and not (ahead and self._ahead[person] >= MOST_AHEAD):
                return person
        return None

    def is_free(self, person: int, day: int) -> bool:
        """Whether they have no appointment on that day."""
        return day not in self._days[person]

    def note(self, person: int, day: int, *, ahead: bool) -> None:
        """Record that they come on that day."""
        self._days[person].add(day)
        self._ahead[person] += ahead


@dataclass(slots=True)
class _Day:
    """One day of one doctor: for each visit type the starts that the rules allow."""

    number: int
    doctor: DoctorRow
    group: str
    kinds: list[VisitTypeRow]
    shares: list[int]
    starts: list[list[Minute]]


class Planner:
    """Plans the appointments of the whole clinic; the same random numbers give the same plan.

    `today` is a day number and `midnight` the instant at which that day begins. Nothing in the plan is dated later than
    that, so the data is never ahead of the clock.
    """

    def __init__(self, rng: random.Random, attendance: Attendance, *, today: int, midnight: Minute) -> None:
        self.appointments: list[PlannedAppointment] = []
        self._rng = rng
        self._attendance = attendance
        self._today = today
        self._midnight = midnight
        self._by_hand: dict[int, list[Span]] = defaultdict(list)
        self._coming: list[_Day] = []

    def plan_by_hand(self, doctors: list[DoctorRow], facts: dict[int, Facts]) -> None:
        """The appointments of patient@docket.example, spread over past and coming weeks."""
        for wanted in _BY_HAND:
            doctor = next((doctor for doctor in doctors if doctor.specialty == wanted.specialty), None)
            # A small clinic may lack the specialty, and a short history may not go back that far.
            if doctor is None or facts[doctor.id].window[0] > self._midnight + wanted.days_from_today * DAY:
                continue
            kind = _online(doctor)[0]
            time = self._time_by_hand(wanted, _for_kind(facts[doctor.id], kind, self._by_hand[doctor.id]))
            if time is None:
                continue
            self._add(doctor, kind, time.start, time.day, HANNAH, wanted.status, wanted.reason)
            if wanted.status != "cancelled":
                self._by_hand[doctor.id].append(_busy(kind, time.start))

    def _time_by_hand(self, wanted: _ByHand, facts: Facts) -> FreeTime | None:
        """A free time on the first possible day, on or after the wanted one."""
        allowed = [
            time
            for time in free_times(_without_clock(facts))
            if time.day >= self._today + wanted.days_from_today
            and (time.day < self._today) == (wanted.days_from_today < 0)
            and self._attendance.is_free(HANNAH, time.day)
        ]
        return self._rng.choice([time for time in allowed if time.day == allowed[0].day]) if allowed else None

    def plan_past(self, doctor: DoctorRow, group: str, facts: Facts) -> None:
        """Fill one doctor's past days about as full as usual, and remember the coming ones."""
        for day in self._days(doctor, group, _without_clock(facts)):
            if day.number < self._today:
                self._fill(day)
            else:
                self._coming.append(day)

    def plan_coming(self) -> None:
        """Fill all coming days, soonest first, because patients reach their limit towards the end."""
        for day in sorted(self._coming, key=attrgetter("number")):
            self._fill(day)

    def _days(self, doctor: DoctorRow, group: str, facts: Facts) -> Iterator[_Day]:
        """The doctor's days in order, with every start that the rules would offer without random bookings."""
        kinds = _online(doctor)
        taken = self._by_hand[doctor.id]
        longest = max(kinds, key=lambda kind: (kind.buffer_before + kind.minutes + kind.buffer_after, kind.id))
        taken = taken + self._kept_free(longest, free_times(_for_kind(facts, longest, taken)))
        starts: dict[int, list[list[Minute]]] = defaultdict(lambda: [[] for _ in kinds])
        for place, kind in enumerate(kinds):
            for time in free_times(_for_kind(facts, kind, taken)):
                starts[time.day][place].append(time.start)
        shares = [_OF_KIND[kind.name].share for kind in kinds]
        for number in sorted(starts):
            yield _Day(number, doctor, group, kinds, shares, starts[number])

    def _kept_free(self, kind: VisitTypeRow, times: list[FreeTime]) -> list[Span]:
        """A time in every coming week that is kept free, long enough for any appointment; preferably not today."""
        weeks: dict[int, list[FreeTime]] = defaultdict(list)
        for time in times:
            if time.day >= self._today:
                weeks[(time.day + 3) // 7].append(time)
        chosen = (
            self._rng.choice([time for time in of_week if time.day > self._today] or of_week[-1:])
            for of_week in weeks.values()
        )
        return [_busy(kind, time.start) for time in chosen]

    def _fill(self, day: _Day) -> None:
        """Go through the day, from each start to the next that fits, and book it or leave it free."""
        chance = AIM * self._occupancy(day.number)
        here = 0
        while found := self._next_start(day, here):
            kind, start = found
            if self._rng.random() < CANCELLED:
                self._book(day, kind, start, cancelled=True)
            booked = self._rng.random() < chance and self._book(day, kind, start)
            here = start + kind.minutes + (kind.buffer_after if booked else 0)

    def _next_start(self, day: _Day, here: Minute) -> tuple[VisitTypeRow, Minute] | None:
        """The next start at or after `here` of a random visit type, or of another that still fits into the day."""
        first = self._rng.choices(range(len(day.kinds)), day.shares)[0]
        for place in (first, *(place for place in range(len(day.kinds)) if place != first)):
            kind, starts = day.kinds[place], day.starts[place]
            at = bisect_left(starts, here + kind.buffer_before)
            if at < len(starts):
                return kind, starts[at]
        return None

    def _book(self, day: _Day, kind: VisitTypeRow, start: Minute, *, cancelled: bool = False) -> bool:
        """Book that time for a patient; False if no patient can come then."""
        ahead = day.number >= self._today and not cancelled
        person = self._attendance.find(day.group, day.number, ahead=ahead)
        if person is None:
            return False
        status = "cancelled" if cancelled else self._status(day.number)
        reasons = _OF_KIND[kind.name].reasons
        reason = self._rng.choice(reasons) if self._rng.random() < WITH_REASON else ""
        self._add(day.doctor, kind, start, day.number, person, status, reason)
        return True

    def _add(
        self, doctor: DoctorRow, kind: VisitTypeRow, start: Minute, day: int, person: int, status: str, reason: str
    ) -> None:
        rng = self._rng
        cancelled = status == "cancelled"
        self._attendance.note(person, day, ahead=day >= self._today and not cancelled)
        created = self._created(day, start, cancelled=cancelled)
        self.appointments.append(
            PlannedAppointment(
                created,
                self._changed(kind, start, status, created),
                doctor.id,
                person,
                kind,
                start,
                status,
                reason,
                rng.choice(NOTES) if rng.random() < WITH_NOTES else "",
                rng.choice(("", *CANCELLATION_REASONS)) if cancelled else "",
            )
        )

    def _created(self, day: int, start: Minute, *, cancelled: bool) -> Minute:
        """When it was booked: at least the day before, in the daytime, and before today began.

        A cancelled one was booked another day earlier, because patients cancel until 24 hours before.
        """
        lead = 1 + cancelled + int(LONGEST_LEAD * self._rng.random() ** 2)
        days = max(day - self._today, 0) + lead
        return start // DAY * DAY - days * DAY + self._rng.randint(6 * 60, 21 * 60)

    def _changed(self, kind: VisitTypeRow, start: Minute, status: str, created: Minute) -> Minute:
        """When it got its present status."""
        if status == "completed":
            return start + kind.minutes
        if status == "no_show":
            return start + min(15, kind.minutes)
        if status == "scheduled":
            return created
        latest = min(start - DAY, self._midnight) if status == "cancelled" else self._midnight
        return self._rng.randint(created, latest)

    def _status(self, day: int) -> str:
        if day < self._today:
            return "no_show" if self._rng.random() < NO_SHOW else "completed"
        soon = day - self._today <= SOON_DAYS
        confirmed = self._rng.random() < (CONFIRMED_SOON if soon else CONFIRMED_LATER)
        return "confirmed" if confirmed else "scheduled"

    def _occupancy(self, day: int) -> float:
        """How full a day is: the usual share in the past, nearly full tomorrow, and less further ahead."""
        if day < self._today:
            return PAST_OCCUPANCY
        share = (day - self._today) / DAYS_AHEAD
        return NEXT_DAYS_OCCUPANCY + (LAST_DAYS_OCCUPANCY - NEXT_DAYS_OCCUPANCY) * share


def _online(doctor: DoctorRow) -> list[VisitTypeRow]:
    return [kind for kind in doctor.visit_types if kind.online]


def _without_clock(facts: Facts) -> Facts:
    """The facts as if every day of the window could be booked, in the past and however far ahead."""
    return replace(facts, now=facts.window[0] - facts.notice, horizon=facts.window[1])


def _for_kind(facts: Facts, kind: VisitTypeRow, taken: list[Span]) -> Facts:
    return replace(facts, minutes=kind.minutes, before=kind.buffer_before, after=kind.buffer_after, doctor_busy=taken)


def _busy(kind: VisitTypeRow, start: Minute) -> Span:
    return start - kind.buffer_before, start + kind.minutes + kind.buffer_after

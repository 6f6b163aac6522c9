"""The first free times of several doctors in one list, for a caller who says with whom and when.

They come from the same facts as every calendar, for all doctors at once: the number of queries does not depend on how
many doctors fit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from heapq import merge, nsmallest
from itertools import chain, groupby
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.clinic.service import Clinic
from webapp.doctors.service import DoctorRow
from webapp.scheduling.facts import FIRST_LOOK_DAYS, BookingRequest, FreeTime, load_facts, places, within_notice
from webapp.scheduling.rules import Facts
from webapp.scheduling.slots import DAY, Span, number_to_day
from webapp.scheduling.suggested_types import suggested_type
from webapp.scheduling.viewer import Viewer

# How many times of each day, and of each start, are shown for several doctors; a single day is shown whole.
DAYS_SHOWN = 4
TIMES_OF_A_DAY = 9
DOCTORS_AT_A_TIME = 3
TIMES_OF_ONE_DAY = 150
NEAR_SHOWN = 6


class WantedTimes(NamedTuple):
    """A caller's wishes: between two days of the clinic, on some weekdays (Monday is 0; empty means all), and between
    two minutes of the wall clock.
    """

    first: date
    last: date
    weekdays: frozenset[int] = frozenset()
    since: int = 0
    until: int = DAY

    def fits(self, time: FreeTime) -> bool:
        """Whether a free time is on such a day and at such an hour. 1970-01-01 was a Thursday."""
        return self.since <= time.minute < self.until and (not self.weekdays or (time.day + 3) % 7 in self.weekdays)


class Offer(NamedTuple):
    """A free time with one doctor. `soon`: it is within the minimum notice, so that only staff can book it."""

    request: BookingRequest
    time: FreeTime
    soon: bool = False


class OfferedDay(NamedTuple):
    """The first offers of a day, and how many the day has in all."""

    day: date
    offers: list[Offer]
    total: int


def requests_for(
    listed: Sequence[DoctorRow],
    *,
    slug: str = "",
    specialty: str = "",
    visit_type_id: int | None = None,
    seen: Collection[int] = (),
) -> list[BookingRequest]:
    """A request for each matching doctor: with the named visit type, or the one that suits the patient.

    Doctors whom the patient has seen come first, so that of several doctors at one time they are offered first.
    """
    found = []
    for doctor in listed:
        if (slug and doctor.slug != slug) or not doctor.fits(specialty=specialty):
            continue
        kind = doctor.visit_type(visit_type_id) if visit_type_id is not None else None
        if visit_type_id is None:
            kind = suggested_type(doctor, seen, by_staff=True)
        if kind is not None:
            found.append(BookingRequest(doctor, kind))
    return sorted(found, key=lambda request: request.doctor.id not in seen)


def find_offers(
    session: Session,
    clinic: Clinic,
    requests: Sequence[BookingRequest],
    wanted: WantedTimes,
    *,
    viewer: Viewer,
    now: datetime,
) -> list[OfferedDay]:
    """The first days that have free times, each with its first ones; one day alone with all of them.

    It searches the first two weeks, and the rest only if they have no free times.
    """
    look_until = min(wanted.first + timedelta(days=FIRST_LOOK_DAYS - 1), wanted.last)
    for first, last in ((wanted.first, look_until), (look_until + timedelta(days=1), wanted.last)):
        if first > last or not requests:
            continue
        facts = load_facts(session, clinic, requests, first, last, now=now, viewer=viewer)
        days = list(_first_days(_in_order(requests, facts, wanted), whole=wanted.first == wanted.last))
        if days:
            return days
    return []


def find_near(
    session: Session,
    clinic: Clinic,
    requests: Sequence[BookingRequest],
    day: date,
    beside: Span,
    *,
    viewer: Viewer,
    now: datetime,
) -> list[Offer]:
    """The free times of a day nearest to an appointment that takes the minutes `beside`, in order of time.

    The next person comes before or after that one, and never at the same time.
    """
    if not requests:
        return []
    facts = load_facts(session, clinic, requests, day, day, now=now, viewer=viewer)
    offers = _in_order(requests, facts, WantedTimes(day, day))
    apart = ((_distance(offer, beside), offer) for offer in offers)
    nearest = nsmallest(NEAR_SHOWN, (each for each in apart if each[0] >= 0), key=lambda each: each[0])
    return sorted((offer for _far, offer in nearest), key=lambda offer: offer.time.start)


def _distance(offer: Offer, beside: Span) -> int:
    """The minutes between an offer and an appointment; negative where they overlap."""
    start, end = offer.time.start, offer.time.start + offer.request.visit_type.minutes
    return max(start - beside[1], beside[0] - end)


def _in_order(requests: Sequence[BookingRequest], facts: dict[int, Facts], wanted: WantedTimes) -> Iterator[Offer]:
    """All offers by start; at the same start in the order of the requests."""
    by_doctor = [_of_one(request, facts[request.doctor.id], wanted) for request in requests]
    return merge(*by_doctor, key=lambda offer: offer.time.start)


def _of_one(request: BookingRequest, facts: Facts, wanted: WantedTimes) -> Iterator[Offer]:
    soon = (Offer(request, time, soon=True) for time in within_notice(facts))
    later = (Offer(request, time) for time in places(facts))
    return (offer for offer in chain(soon, later) if wanted.fits(offer.time))


def _first_days(offers: Iterator[Offer], *, whole: bool) -> Iterator[OfferedDay]:
    most = TIMES_OF_ONE_DAY if whole else TIMES_OF_A_DAY
    for number, (day, of_day) in enumerate(groupby(offers, key=lambda offer: offer.time.day)):
        if number == DAYS_SHOWN:
            return
        all_of_day = list(of_day)
        shown = [
            offer
            for _start, at_once in groupby(all_of_day, key=lambda offer: offer.time.start)
            for offer in list(at_once)[: None if whole else DOCTORS_AT_A_TIME]
        ]
        yield OfferedDay(number_to_day(day), shown[:most], len(all_of_day))

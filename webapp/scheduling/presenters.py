"""Doctors and their free times, prepared for the templates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.urls import with_query
from webapp.doctors.service import DoctorRow
from webapp.i18n import gettext as _
from webapp.scheduling.facts import BookingRequest, FreeTime
from webapp.scheduling.named_times import day_title, next_free_words, words_for
from webapp.scheduling.slots import CLOCK, number_to_day, to_datetime
from webapp.scheduling.week_calendar import Slot, booking_address, iso_minute

DAYS_SHOWN = 3
TIMES_A_DAY = 2


class AppointmentPreview(NamedTuple):
    """An appointment that could be booked. Fields that a booked appointment also has have the same names."""

    starts_at: datetime
    ends_at: datetime
    minutes: int
    doctor_name: str
    doctor_specialty: str
    doctor_room: str
    doctor_tint: int
    visit_type_name: str
    preparation: str


class EarliestTime(NamedTuple):
    """The first free time of all matching doctors: in words, as a booking link, and in full."""

    words: str
    href: str
    preview: AppointmentPreview


class CardDay(NamedTuple):
    """One day of a doctor's card: ('Today', '10 Mar') and its first free times."""

    name: str
    date: str
    times: tuple[Slot, ...]


class DoctorCard(NamedTuple):
    """One doctor of the list. `href` is the profile; `no_times` says why `days` is empty.

    `offer` names the visit type whose times are in `days`: 'First visit · 20 minutes'.
    """

    name: str
    specialty: str
    languages: str
    tint: int
    href: str
    offer: str
    days: tuple[CardDay, ...]
    no_times: str


class DoctorProfile(NamedTuple):
    """A doctor as shown on their own page. `next_free` is None when nothing is free."""

    name: str
    tint: int
    specialty: str
    bio: str
    room: str
    languages: str
    next_free: str | None


def appointment_preview(request: BookingRequest, start: datetime) -> AppointmentPreview:
    """The appointment that a request would become at this start."""
    doctor, kind = request.doctor, request.visit_type
    return AppointmentPreview(
        starts_at=start,
        ends_at=start + timedelta(minutes=kind.minutes),
        minutes=kind.minutes,
        doctor_name=doctor.name,
        doctor_specialty=doctor.specialty,
        doctor_room=doctor.room,
        doctor_tint=doctor.tint,
        visit_type_name=kind.name,
        preparation=kind.preparation,
    )


def earliest_time(
    request: BookingRequest, time: FreeTime, patient_id: int | None, clinic: Clinic, *, now: datetime
) -> EarliestTime:
    """A free time for the top of the list, to be booked for this patient."""
    start = to_datetime(time.start)
    return EarliestTime(
        words=words_for(start, clinic, now=now),
        href=booking_address(request.doctor.slug, request.visit_type.id, patient_id) + iso_minute(time.start),
        preview=appointment_preview(request, start),
    )


def doctor_cards(
    requests: Sequence[BookingRequest],
    free: Mapping[int, Sequence[FreeTime]],
    patient_id: int | None,
    clinic: Clinic,
    *,
    may_book: Collection[int],
    now: datetime,
) -> list[DoctorCard]:
    """The doctors of the list, each with the first times of the first days that have any.

    `may_book` are the ids of the doctors whose times lead to a booking; the others' times are only shown.
    """
    # All doctors have times on the same few days.
    title_of = cache(lambda number: day_title(number_to_day(number), clinic, now=now))
    # Many of them offer the same visit types.
    offer_of = cache(lambda name, minutes: formats.dotted([name, formats.minutes(minutes)]))
    return [
        _doctor_card(
            request,
            free[request.doctor.id],
            patient_id,
            clinic,
            title_of,
            offer_of,
            may_book=request.doctor.id in may_book,
        )
        for request in requests
    ]


def _doctor_card(
    request: BookingRequest,
    times: Sequence[FreeTime],
    patient_id: int | None,
    clinic: Clinic,
    title_of: Callable[[int], tuple[str, str]],
    offer_of: Callable[[str, int], str],
    *,
    may_book: bool,
) -> DoctorCard:
    doctor, kind = request.doctor, request.visit_type
    address = booking_address(doctor.slug, kind.id, patient_id) if may_book else ""
    by_day: dict[int, list[FreeTime]] = {}
    for time in times:
        if time.day not in by_day and len(by_day) == DAYS_SHOWN:
            break
        by_day.setdefault(time.day, []).append(time)
    days = []
    for number, here in by_day.items():
        name, date = title_of(number)
        shown = tuple(
            (
                CLOCK[time.minute],
                address and address + iso_minute(time.start),
                f"{CLOCK[time.minute]}, {name} {date}, {doctor.name}",
            )
            for time in here[:TIMES_A_DAY]
        )
        days.append(CardDay(name, date, shown))
    return DoctorCard(
        name=doctor.name,
        specialty=doctor.specialty,
        languages=", ".join(doctor.languages),
        tint=doctor.tint,
        href=with_query(f"/doctors/{doctor.slug}", visit_type=kind.id, patient=patient_id),
        offer=offer_of(kind.name, kind.minutes),
        days=tuple(days),
        no_times="" if days else _("No free times in the next %(days)d days") % {"days": clinic.horizon_days},
    )


def doctor_profile(doctor: DoctorRow, first_free: datetime | None, clinic: Clinic, *, now: datetime) -> DoctorProfile:
    """The top of a doctor's page, with their next free time in words."""
    return DoctorProfile(
        name=doctor.name,
        tint=doctor.tint,
        specialty=doctor.specialty,
        bio=doctor.bio,
        room=doctor.room,
        languages=", ".join(doctor.languages),
        next_free=next_free_words(first_free, clinic, now=now) if first_free is not None else None,
    )

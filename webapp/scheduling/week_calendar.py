"""The week calendar and the lists of next free times, prepared for the templates as plain tuples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from webapp.clinic.fragment_cache import cached_fragment
from webapp.clinic.schedule_versions import versions_seen
from webapp.clinic.service import Clinic, find_closures
from webapp.core import formats
from webapp.core.parsing import YEARS
from webapp.core.urls import with_query
from webapp.i18n import gettext as _
from webapp.i18n import language_tag
from webapp.scheduling.empty_days import reason_of
from webapp.scheduling.exceptions import sentence_of
from webapp.scheduling.facts import (
    FIRST_LOOK_DAYS,
    BookingRequest,
    FreeTime,
    free_times,
    load_facts,
    places,
    within_notice,
)
from webapp.scheduling.facts_queries import load_patient_history
from webapp.scheduling.rules import Facts, cautions
from webapp.scheduling.slots import CLOCK, DAY, day_number, days_span, minute_reached, number_to_day, to_datetime
from webapp.scheduling.viewer import Viewer

NOON = 12 * 60
WORKDAYS = 5
# The weight of each time in a cached calendar: see `VersionCache`.
WEIGHT_PER_TIME = 3

Slot = tuple[str, str, str]
Link = tuple[str, str]


class CalendarDay(NamedTuple):
    """One column of the week. A slot is (label, address, text for screen readers).

    `notice` are the times that only staff can still book, because they are too soon for patients.
    """

    weekday: str
    number: str
    name: str
    today: bool
    past: bool
    reason: str | None
    morning: list[Slot]
    afternoon: list[Slot]
    notice: list[Slot]


class Calendar(NamedTuple):
    """A week of free times; a link is (address of the page, address of the fragment)."""

    title: str
    week: str
    action: str
    fragment: str
    visit_types: list[tuple[int, str, int]]
    visit_type: int
    keep: dict[str, object]
    previous: Link | None
    today: Link | None
    next: Link | None
    next_free: tuple[str, str, str] | None
    days: list[CalendarDay]
    empty: bool
    chosen: str | None
    zone: str
    clock_change: str | None
    first_free: datetime | None
    banner: str | None

    @property
    def past_days(self) -> int:
        """How many of the days are over; they come first."""
        return sum(day.past for day in self.days)

    @property
    def open_day(self) -> int:
        """The place in `days` of the day that phones show first.

        That is the day of the chosen time, which must be visible; else the first with free times, or the next one.
        """
        if self.chosen is not None:
            for place, day in enumerate(self.days):
                if any(
                    address == self.chosen for _label, address, _spoken in (*day.notice, *day.morning, *day.afternoon)
                ):
                    return place
        coming = range(self.past_days, len(self.days))
        return next((place for place in coming if not self.days[place].reason), min(coming, default=0))


class CalendarPlace(NamedTuple):
    """Where a calendar is shown: its page, its fragment, and the beginning of a free time's address.

    The start in ISO 8601 completes `slot_address`.
    """

    page: str
    fragment: str
    slot_address: str
    keep: dict[str, object]
    visit_types: list[tuple[int, str, int]]
    chosen: str | None = None


def booking_address(slug: str, visit_type_id: int, patient_id: int | None) -> str:
    """The beginning of the address that books a free time, for this patient if one is chosen; the start follows."""
    patient = f"&patient={patient_id}" if patient_id is not None else ""
    return f"/book?doctor={quote(slug)}&visit_type={visit_type_id}{patient}&starts_at="


def iso_minute(minute: int) -> str:
    """A start as it is written in addresses."""
    return f"{number_to_day(minute // DAY).isoformat()}T{CLOCK[minute % DAY]}:00Z"


def parse_week(text: str) -> date | None:
    """The Monday of an ISO week such as 2026-W49; None if the text is not one."""
    try:
        year, week = (int(part) for part in text.split("-W"))
        return date.fromisocalendar(year, week, 1) if year in YEARS else None
    except ValueError:
        return None


def week_name(monday: date) -> str:
    """The ISO week of a Monday: '2026-W49'."""
    year, week, _weekday = monday.isocalendar()
    return f"{year}-W{week:02d}"


def week_calendar(
    session: Session,
    clinic: Clinic,
    request: BookingRequest,
    place: CalendarPlace,
    *,
    week: date | None,
    now: datetime,
    viewer: Viewer,
) -> Calendar:
    """The calendar of one week; without `week`, of the week with the next free time.

    A process computes it once for each state of its data. Callers must not modify it.
    """

    def make() -> Calendar:
        return _make_calendar(session, clinic, request, place, week=week, now=now, viewer=viewer)

    # When an appointment is moved, its own time counts as free, so this calendar is of no use to other readers.
    versions = versions_seen(session) if viewer.moving is None else None
    if versions is None:
        return make()
    own = load_patient_history(session, now, now, viewer).busy(now) if viewer.knows_patient else None
    minute, version = minute_reached(now), versions.of_doctor(request.doctor.id)
    state = version, minute, clinic.today(now), clinic, request, place, viewer.by_staff, own
    key = "calendar", language_tag(), place.fragment, place.slot_address, week
    return versions.cache.get(key, state, make, weigh=_weight)


def _weight(calendar: Calendar) -> int:
    return 20 + WEIGHT_PER_TIME * sum(len(day.morning) + len(day.afternoon) + len(day.notice) for day in calendar.days)


def _make_calendar(
    session: Session,
    clinic: Clinic,
    request: BookingRequest,
    place: CalendarPlace,
    *,
    week: date | None,
    now: datetime,
    viewer: Viewer,
) -> Calendar:
    today = clinic.today(now)
    this_monday = today - timedelta(days=today.weekday())
    horizon = today + timedelta(days=clinic.horizon_days)
    monday, facts, times, first, notice = _read_week(session, clinic, request, week, now=now, viewer=viewer)
    days = _days(session, clinic, facts, times, notice, monday, today, place.slot_address)
    return Calendar(
        title=_title(monday, days, clinic.zone),
        week=week_name(monday),
        action=place.page,
        fragment=place.fragment,
        visit_types=place.visit_types,
        visit_type=request.visit_type.id,
        keep={name: value for name, value in place.keep.items() if name != "visit_type"},
        previous=_link(place, monday - timedelta(days=7)) if monday > this_monday else None,
        today=_link(place, this_monday) if monday != this_monday else None,
        next=_link(place, monday + timedelta(days=7)) if monday + timedelta(days=7) <= horizon else None,
        next_free=_next_free(place, clinic, first, monday),
        days=days,
        empty=not any(day.morning or day.afternoon or day.notice for day in days),
        chosen=place.chosen,
        zone=clinic.zone_label,
        clock_change=_clock_change(facts, clinic.zone, monday),
        first_free=to_datetime(first.start) if first else None,
        banner=" ".join(sentence_of(refusal, by_staff=viewer.by_staff) for refusal in cautions(facts)) or None,
    )


def cached_calendar(session: Session, macro: Callable[[Calendar], str], calendar: Calendar) -> str:
    """The calendar as HTML, rendered with the macro once for each state."""
    key = "calendar", calendar.fragment, calendar.visit_type, calendar.week
    return cached_fragment(session, key, calendar, lambda: macro(calendar))


class _Week(NamedTuple):
    """The data for the calendar of a week: its facts and free times, and the next free time overall.

    `notice` are the times of all weeks that only staff can book, because they are too soon for patients.
    """

    monday: date
    facts: Facts
    times: list[FreeTime]
    first: FreeTime | None
    notice: list[FreeTime]


def _read_week(
    session: Session, clinic: Clinic, request: BookingRequest, week: date | None, *, now: datetime, viewer: Viewer
) -> _Week:
    """The facts and free times of the week.

    The next two weeks are read in one go: they nearly always include both the week and the next free time.
    """
    today = clinic.today(now)
    this_monday = today - timedelta(days=today.weekday())
    look_until = this_monday + timedelta(days=FIRST_LOOK_DAYS - 1)
    horizon = today + timedelta(days=clinic.horizon_days)

    def facts_of(first: date, last: date) -> Facts:
        return load_facts(session, clinic, [request], first, last, now=now, viewer=viewer)[request.doctor.id]

    facts = facts_of(this_monday, look_until)
    times = free_times(facts)
    first = times[0] if times else None
    if first is None and look_until < horizon:
        first = next(places(facts_of(look_until + timedelta(days=1), horizon)), None)
    notice = within_notice(facts) if viewer.by_staff else []
    monday = week or _monday_of(notice[0] if notice else first, default=this_monday)
    if not this_monday <= monday <= look_until:
        facts = facts_of(monday, monday + timedelta(days=6))
        times = free_times(facts)
        notice = within_notice(facts) if viewer.by_staff else []
    return _Week(monday, facts, times, first, notice)


def _next_free(
    place: CalendarPlace, clinic: Clinic, first: FreeTime | None, monday: date
) -> tuple[str, str, str] | None:
    """The link to the next free time, if it is in another week than the one shown."""
    if first is None or _monday_of(first, default=monday) == monday:
        return None
    start = to_datetime(first.start)
    words = f"{formats.day_long(start, clinic.zone)}, {formats.clock(start, clinic.zone)}"
    return (*_link(place, _monday_of(first, default=monday)), words)


def _monday_of(time: FreeTime | None, *, default: date) -> date:
    if time is None:
        return default
    day = number_to_day(time.day)
    return day - timedelta(days=day.weekday())


def _link(place: CalendarPlace, monday: date) -> Link:
    values = {**place.keep, "week": week_name(monday)}
    return with_query(place.page, **values), with_query(place.fragment, **values)


def _title(monday: date, days: Sequence[CalendarDay], zone: ZoneInfo) -> str:
    """The days that are shown, such as '9 to 13 March 2026'."""
    return formats.days_between(monday, monday + timedelta(days=6 if len(days) > WORKDAYS else 4), zone)


def _days(
    session: Session,
    clinic: Clinic,
    facts: Facts,
    times: Sequence[FreeTime],
    notice: Sequence[FreeTime],
    monday: date,
    today: date,
    address: str,
) -> list[CalendarDay]:
    """Monday to Friday, and weekend days on which the clinic may have appointments."""
    first = day_number(monday)
    sunday = monday + timedelta(days=6)
    closures = find_closures(session, monday, sunday) if facts.closures else []
    by_day, soon_by_day = _by_day(times), _by_day(notice)
    days = []
    for number in range(first, first + 7):
        here, soon = by_day.get(number, []), soon_by_day.get(number, [])
        span = days_span(facts.pieces, number, number)
        has_hours = _overlaps(facts.opening, span) or _overlaps(facts.extra, span)
        if not here and not soon and not has_hours and number - first >= WORKDAYS:
            continue
        day = number_to_day(number)
        name = formats.day_long(day, clinic.zone)
        morning, afternoon = slots_of(facts, here, name, address, clinic.zone)
        only_staff = [
            (label, href, _("%(time)s, within the minimum notice") % {"time": spoken})
            for part in slots_of(facts, soon, name, address, clinic.zone)
            for label, href, spoken in part
        ]
        past = day < today
        reason = None if here or soon or past else reason_of(facts, span, closures, day, today)
        days.append(
            CalendarDay(
                formats.weekday_short(day, clinic.zone),
                str(day.day),
                name,
                day == today,
                past,
                reason,
                morning,
                afternoon,
                only_staff,
            )
        )
    return days


def _by_day(times: Sequence[FreeTime]) -> dict[int, list[FreeTime]]:
    by_day: dict[int, list[FreeTime]] = {}
    for time in times:
        by_day.setdefault(time.day, []).append(time)
    return by_day


def slots_of(
    facts: Facts, times: Sequence[FreeTime], day: str, address: str, zone: ZoneInfo
) -> tuple[list[Slot], list[Slot]]:
    """One day's free times as (label, address, spoken text), split at noon.

    Without an `address` the times are only shown.
    When the clocks go back, an hour occurs twice; the zone's abbreviation then tells the two apart.
    """
    clocks_change = len(facts.pieces) > 1
    morning: list[Slot] = []
    afternoon: list[Slot] = []
    for start, _day, minute in times:
        label = formats.clock(to_datetime(start), zone) if clocks_change else CLOCK[minute]
        part = morning if minute < NOON else afternoon
        part.append((label, address and address + iso_minute(start), f"{label}, {day}"))
    return morning, afternoon


def _overlaps(spans: Sequence[tuple[int, int]], span: tuple[int, int]) -> bool:
    return any(low < span[1] and span[0] < high for low, high in spans)


def _clock_change(facts: Facts, zone: ZoneInfo, monday: date) -> str | None:
    """A warning if the clocks change in the shown week or the next one."""
    until = (day_number(monday) + 14) * DAY
    for before, after in zip(facts.pieces, facts.pieces[1:], strict=False):
        if after.start < day_number(monday) * DAY - DAY or after.start >= until:
            continue
        day = formats.day_long(to_datetime(after.start), zone)
        forward = after.offset > before.offset
        words = _("Clocks go forward on %(day)s.") if forward else _("Clocks go back on %(day)s.")
        return words % {"day": day}
    return None

"""Events for calendar programs: iCalendar (RFC 5545), written by the icalendar library.

The same events always give the same bytes, so that a client can ask whether a feed has changed. Times are written on
the wall clock of a zone, together with the zone's own changes of the clocks: no reader has to know the zone, and every
reader shows the instant that was meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from icalendar import (
    Alarm,
    Calendar,
    Timezone,
    TimezoneDaylight,
    TimezoneStandard,
    vCalAddress,
    vDuration,
    vRecur,
    vText,
)
from icalendar import Event as Component

from webapp.core.calendar_events import CalendarEvent, Method

PRODUCT = "-//Docket//Appointments//EN"
# How often a calendar program may fetch the feed again; some programs follow it.
REFRESH = timedelta(hours=1)
# A rule of the clocks is written as one if it holds for this many years after those of the calendar.
YEARS_AHEAD = 5
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def calendar_text(events: Sequence[CalendarEvent], *, zone: ZoneInfo, method: Method = "", name: str = "") -> str:
    """A calendar with these events, in lines that end with CR LF.

    Times are written on the wall clock of `zone`. `method` is the purpose of a mail: to invite (REQUEST) or to cancel
    (CANCEL), both with an organizer. A file or a feed has no method: it only shows events, and PUBLISH would need an
    organizer, too. `name` makes it a feed that programs fetch again.
    """
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    if method:
        calendar.add("method", method)
    if name:
        calendar.add("name", vText(name))
        calendar.add("x-wr-calname", vText(name))
        calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
        calendar.add("x-published-ttl", vDuration(REFRESH))
    described = _zone_component(zone, events)
    if described is not None:
        calendar.add_component(described)
    for event in events:
        calendar.add_component(_event_component(event, None if described is None else zone))
    encoded: bytes = calendar.to_ical()
    return encoded.decode()


def _event_component(event: CalendarEvent, zone: ZoneInfo | None) -> Component:
    """One VEVENT; without a zone its times are UTC."""
    cancelled = event.status == "CANCELLED"
    component = Component()
    component.add("uid", event.uid)
    component.add("sequence", event.sequence)
    component.add("dtstamp", event.updated_at.astimezone(UTC))
    component.add("last-modified", event.updated_at.astimezone(UTC))
    # RFC 5545 takes a repeated local time for the first of the two. Not every program does, so we write it in UTC.
    told = zone if zone and not _comes_twice(event.starts_at, zone) and not _comes_twice(event.ends_at, zone) else UTC
    component.add("dtstart", event.starts_at.astimezone(told))
    component.add("dtend", event.ends_at.astimezone(told))
    component.add("summary", event.summary)
    for key in ("description", "location", "url"):
        if getattr(event, key):
            component.add(key, getattr(event, key))
    component.add("status", event.status)
    component.add("transp", "TRANSPARENT" if cancelled else "OPAQUE")
    component.add("class", "PRIVATE")
    if event.organizer_email:
        component.add("organizer", _address(event.organizer_email, event.organizer_name))
    if event.attendee_email:
        component.add("attendee", _attendee(event), encode=False)
    if event.alarm_minutes is not None and not cancelled:
        component.add_component(_alarm_component(event.alarm_minutes, event.summary))
    return component


def _alarm_component(minutes: int, text: str) -> Alarm:
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", text)
    alarm.add("trigger", timedelta(minutes=-minutes))
    return alarm


def _address(email: str, name: str) -> vCalAddress:
    address = vCalAddress(f"mailto:{email}")
    if name:
        address.params["CN"] = vText(name)
    return address


def _attendee(event: CalendarEvent) -> vCalAddress:
    """The attendee, who has accepted by booking, so that no program asks them or sends us an answer."""
    address = _address(event.attendee_email, event.attendee_name)
    address.params["ROLE"] = vText("REQ-PARTICIPANT")
    address.params["PARTSTAT"] = vText("ACCEPTED")
    address.params["RSVP"] = vText("FALSE")
    return address


# ------------------------------------------------------------------------------------------------ the zone


class _Onset(NamedTuple):
    """A moment at which the clocks change: `at` is what they showed just before, as RFC 5545 wants it."""

    at: datetime
    before: timedelta
    after: timedelta
    name: str


def _zone_component(zone: ZoneInfo, events: Sequence[CalendarEvent]) -> Timezone | None:
    """The VTIMEZONE for the years of these events; None where the zone equals UTC, so that times are written in UTC.

    Where the clocks change by the same rules for years to come, it has these rules. Elsewhere it lists the dates: a
    rule would go on after a country has given up changing its clocks, and readers disagree about rules that end.
    """
    if not events:
        return None
    earliest = min(event.starts_at for event in events).astimezone(zone)
    latest = max(event.ends_at for event in events)
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in (earliest.year - 1, latest.year + 2))
    beyond = last.replace(year=last.year + YEARS_AHEAD)
    far = _onsets(zone, first, beyond)
    onsets = [onset for onset in far if onset.at - onset.before < last.replace(tzinfo=None)]
    offset = _offset(first, zone)
    if not onsets and not offset:
        return None
    component = Timezone()
    component.add("tzid", zone.key)
    if not onsets or onsets[0].at > earliest.replace(tzinfo=None):
        # The clocks do not change before the first event, but it still needs an offset.
        shown = _Onset(first.replace(tzinfo=None), offset, offset, first.astimezone(zone).tzname() or zone.key)
        component.add_component(_observance([shown], None))
    rules = {key: _yearly_rule([onset.at for onset in same], beyond.year - 1) for key, same in _alike(far).items()}
    lasting = None not in rules.values()
    for key, same in _alike(onsets).items():
        component.add_component(_observance(same, rules[key] if lasting else None))
    return component


def _alike(onsets: Sequence[_Onset]) -> dict[tuple[timedelta, timedelta, str], list[_Onset]]:
    """The onsets of the same change, such as those of each spring."""
    found: dict[tuple[timedelta, timedelta, str], list[_Onset]] = {}
    for onset in onsets:
        found.setdefault(onset[1:], []).append(onset)
    return found


def _observance(onsets: list[_Onset], rule: vRecur | None) -> TimezoneDaylight | TimezoneStandard:
    """These onsets by their rule, or as a list of dates.

    The list holds the first one again: some readers take no onset from DTSTART.
    """
    first = onsets[0]
    component = TimezoneDaylight() if first.after > first.before else TimezoneStandard()
    component.add("dtstart", first.at)
    component.add("tzoffsetfrom", first.before)
    component.add("tzoffsetto", first.after)
    component.add("tzname", first.name)
    if rule is not None:
        component.add("rrule", rule)
    elif first.before != first.after:
        for onset in onsets:
            component.add("rdate", onset.at)
    return component


def _yearly_rule(moments: list[datetime], last_year: int) -> vRecur | None:
    """'The last Sunday of March' as a rule, where one moment of each year up to the last one follows it; else None."""
    first = moments[0]
    years = [moment.year for moment in moments]
    same = {(moment.month, moment.weekday(), moment.time()) for moment in moments}
    if len(same) > 1 or years != list(range(years[0], last_year + 1)):
        return None
    if all((moment + timedelta(days=7)).month != moment.month for moment in moments):
        place = -1
    elif len({_week_of_month(moment) for moment in moments}) == 1:
        place = _week_of_month(first)
    else:
        return None
    return vRecur(freq="YEARLY", bymonth=first.month, byday=f"{place}{WEEKDAYS[first.weekday()]}")


def _week_of_month(day: date) -> int:
    """1 for the first seven days of a month, 2 for the next."""
    return (day.day - 1) // 7 + 1


@lru_cache(maxsize=64)
def _onsets(zone: ZoneInfo, first: datetime, last: datetime) -> tuple[_Onset, ...]:
    """Every change of the clocks between two instants: searched by the day, then to the second."""
    found = []
    day = timedelta(days=1)
    moment = first
    before = _offset(moment, zone)
    while moment < last:
        later = _offset(moment + day, zone)
        if later != before:
            low, high = moment, moment + day
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
                low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
            name = high.astimezone(zone).tzname() or zone.key
            found.append(_Onset((high + before).replace(tzinfo=None), before, later, name))
        moment, before = moment + day, later
    return tuple(found)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def _comes_twice(instant: datetime, zone: ZoneInfo) -> bool:
    """Whether the wall clock shows this time twice: the hour that is repeated when the clocks go back."""
    local = instant.astimezone(zone)
    return local.replace(fold=0).utcoffset() > local.replace(fold=1).utcoffset()  # type: ignore[operator]

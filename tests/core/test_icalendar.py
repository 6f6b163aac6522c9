"""Calendar files, read by our own parser, which computes every instant from the file alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.tz import tzical  # type: ignore[import-untyped]
from icalendar import Calendar, Timezone

from tests.calendars import read_calendar
from webapp.core.calendar_events import CalendarEvent, calendar_fingerprint
from webapp.core.icalendar import calendar_text

START = datetime(2026, 3, 3, 8, 30, tzinfo=UTC)
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def event(start: datetime = START, **changes: Any) -> CalendarEvent:
    values: dict[str, Any] = {
        "uid": f"visit-{start:%Y%m%d%H%M}",
        "sequence": 0,
        "starts_at": start,
        "ends_at": start + timedelta(minutes=30),
        "summary": "Appointment: Dr. Bob Brown",
        "updated_at": datetime(2026, 3, 2, 7, 0, tzinfo=UTC),
    }
    return CalendarEvent(**values | changes)


@pytest.mark.parametrize(
    "zone",
    # Rules north and south, half an hour, none, dates by the moon, winter time as the exception, UTC.
    [
        "Europe/Amsterdam",
        "America/New_York",
        "America/Santiago",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "Africa/Casablanca",
        "Europe/Dublin",
        "UTC",
    ],
)
def test_times_of_a_whole_year_keep_their_instants(zone: str) -> None:
    rules = ZoneInfo(zone)
    halves = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=30) * number for number in range(365 * 48)]
    near = timedelta(hours=3)
    wanted = [
        start
        for number, start in enumerate(halves)
        # Every night on which the clocks change, and every fourth day.
        if number % 191 == 0
        or (start - near).astimezone(rules).utcoffset() != (start + near).astimezone(rules).utcoffset()
    ]
    found = read_calendar(calendar_text([event(start) for start in wanted], zone=rules))
    assert [found.starts_at(each) for each in found.events] == wanted
    ends = [found.instant(each.line("DTEND")) for each in found.events]
    assert ends == [start + timedelta(minutes=30) for start in wanted]


def test_a_repeated_hour_is_written_in_utc_and_any_other_on_the_wall_clock() -> None:
    starts = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1, 2)]
    found = read_calendar(calendar_text([event(start) for start in starts], zone=AMSTERDAM))
    assert [each["DTSTART"] for each in found.events] == ["20261025T003000Z", "20261025T013000Z", "20261025T033000"]


def test_a_zone_whose_rules_changed_after_the_appointment_has_the_old_offset() -> None:
    # Almaty went from +06 to +05 on 1 March 2024.
    start = datetime(2023, 6, 1, 4, 0, tzinfo=UTC)
    later = start.replace(year=2025)
    found = read_calendar(calendar_text([event(start), event(later)], zone=ZoneInfo("Asia/Almaty")))
    assert [each["DTSTART"] for each in found.events] == ["20230601T100000", "20250601T090000"]
    assert [found.starts_at(each) for each in found.events] == [start, later]


@pytest.mark.parametrize(
    "zone",
    # Clocks that change by rules without an end, until a law ended it, or by dates of the moon.
    [
        "Europe/Amsterdam",
        "Australia/Sydney",
        "Australia/Lord_Howe",
        "America/Santiago",
        "America/Vancouver",
        "America/Sao_Paulo",
        "Asia/Tehran",
        "Africa/Casablanca",
    ],
)
@pytest.mark.parametrize("year", [2018, 2022, 2025, 2027])
def test_other_programs_find_every_instant_also_in_the_years_after(zone: str, year: int) -> None:
    """Two libraries read the file: dateutil, and icalendar with what it makes of the VTIMEZONE alone."""
    rules = ZoneInfo(zone)
    starts = [datetime(year, month, 15, 18, 30, tzinfo=UTC) for month in range(1, 13)]
    text = calendar_text([event(start) for start in starts], zone=rules)
    (described,) = (part for part in Calendar.from_ical(text).subcomponents if isinstance(part, Timezone))
    readers = [tzical(StringIO(text)).get(zone), described.to_tz(lookup_tzid=False)]
    # An endless rule also holds later, when programs apply it to other events. After a list of dates, the last
    # offset stays: that is right for good where the changes were abolished.
    until = year + (6 if "RRULE" in text else 2)
    for instant in (datetime(each, month, 15, 12, tzinfo=UTC) for each in range(year, until) for month in range(1, 13)):
        local = instant.astimezone(rules)
        assert [local.replace(tzinfo=reader).utcoffset() for reader in readers] == [local.utcoffset()] * 2
    events = [part.decoded("dtstart") for part in Calendar.from_ical(text).walk("VEVENT")]
    assert [start.astimezone(UTC) for start in events] == starts
    ours = read_calendar(text)
    assert [ours.starts_at(each) for each in ours.events] == starts


@pytest.mark.parametrize(
    ("zone", "year", "has_rules"), [("Europe/Amsterdam", 2026, True), ("America/Vancouver", 2025, False)]
)
def test_a_zone_has_rules_only_where_they_go_on(zone: str, year: int, has_rules: bool) -> None:
    found = read_calendar(calendar_text([event(START.replace(year=year))], zone=ZoneInfo(zone)))
    (described,) = found.inside("VTIMEZONE")
    for part in described.parts:
        assert bool(part.all("RRULE")) is has_rules
        # Some readers find no onset in DTSTART, so the list of dates has it again.
        dates = [line.value for line in part.all("RDATE")]
        assert has_rules or part["DTSTART"] in dates


def test_texts_come_back_as_they_were() -> None:
    words = "Dr. Ünal; room 3, “left”\\right\nA second line 🩺 " + "é" * 90
    found = read_calendar(
        calendar_text([event(summary=words, description=words, location=words)], zone=AMSTERDAM, name=words)
    )
    assert {found.event.text(name) for name in ("SUMMARY", "DESCRIPTION", "LOCATION")} == {words}
    assert found.text("NAME") == found.text("X-WR-CALNAME") == words


def test_control_characters_do_not_reach_the_file() -> None:
    assert read_calendar(calendar_text([event(summary="a\x00b\x0b\x7fc")], zone=AMSTERDAM)).event["SUMMARY"] == "abc"


def test_an_invitation_says_who_invites_whom_and_asks_for_no_answer() -> None:
    invited = event(
        organizer_name='Clinic "Harbour"; Lane',
        organizer_email="clinic@docket.example",
        attendee_name="Alice Adams",
        attendee_email="alice@docket.example",
        alarm_minutes=120,
        sequence=4,
    )
    found = read_calendar(calendar_text([invited], zone=AMSTERDAM, method="REQUEST"))
    assert found["METHOD"] == "REQUEST"
    assert (found.event["SEQUENCE"], found.event["STATUS"], found.event["TRANSP"]) == ("4", "CONFIRMED", "OPAQUE")
    assert found.event["ORGANIZER"] == "mailto:clinic@docket.example"
    attendee = found.event.line("ATTENDEE")
    assert attendee.value == "mailto:alice@docket.example"
    assert attendee.parameters["RSVP"] == "FALSE"
    assert attendee.parameters["PARTSTAT"] == "ACCEPTED"
    (alarm,) = found.event.inside("VALARM")
    assert (alarm["ACTION"], alarm["TRIGGER"]) == ("DISPLAY", "-PT2H")


def test_a_cancelled_event_takes_no_time_and_has_no_alarm() -> None:
    cancelled = event(status="CANCELLED", alarm_minutes=120)
    found = read_calendar(calendar_text([cancelled], zone=AMSTERDAM, method="CANCEL"))
    assert (found["METHOD"], found.event["STATUS"], found.event["TRANSP"]) == ("CANCEL", "CANCELLED", "TRANSPARENT")
    assert found.event.inside("VALARM") == []


def test_a_feed_has_a_name_and_says_how_often_to_ask() -> None:
    found = read_calendar(calendar_text([event()], zone=AMSTERDAM, name="Harbour Lane Clinic"))
    assert (found["NAME"], found["REFRESH-INTERVAL"]) == ("Harbour Lane Clinic", "PT1H")
    assert found.all("METHOD") == []


def test_the_same_events_give_the_same_bytes_and_others_another_fingerprint() -> None:
    changes: list[dict[str, Any]] = [{}, {"sequence": 1}, {"summary": "Other"}, {"status": "CANCELLED"}]
    texts = [calendar_text([event(**change)], zone=AMSTERDAM, name="A") for change in changes]
    assert texts == [calendar_text([event(**change)], zone=AMSTERDAM, name="A") for change in changes]
    tags = [calendar_fingerprint([event(**change)], zone=AMSTERDAM, name="A") for change in changes]
    tags.append(calendar_fingerprint([event()], zone=ZoneInfo("Europe/Paris"), name="A"))
    tags.append(calendar_fingerprint([event()], zone=AMSTERDAM, name="B"))
    tags.append(calendar_fingerprint([], zone=AMSTERDAM, name="A"))
    assert len(set(tags)) == len(tags)
    assert tags[0] == calendar_fingerprint([event()], zone=AMSTERDAM, name="A")

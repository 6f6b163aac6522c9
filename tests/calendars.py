"""A strict reader of calendar files that shares no code with the library that writes them, and knows no time zones.

The meaning of a local time is computed from the VTIMEZONE in the same file, as RFC 5545 says.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

NAME = re.compile(r"[A-Z0-9-]+")
PARAMETER = re.compile(r';([A-Z0-9-]+)=("[^"\x00-\x1f\x7f]*"|[^";:,\x00-\x1f\x7f]*)')
ESCAPES = {"\\n": "\n", "\\N": "\n", "\\,": ",", "\\;": ";", "\\\\": "\\"}
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


class Line(NamedTuple):
    """One unfolded line."""

    name: str
    parameters: dict[str, str]
    value: str


@dataclass
class Component:
    """The content between BEGIN and END."""

    name: str
    lines: list[Line] = field(default_factory=list)
    parts: list[Component] = field(default_factory=list)

    def all(self, name: str) -> list[Line]:
        """Every line with this name."""
        return [line for line in self.lines if line.name == name]

    def line(self, name: str) -> Line:
        """The only line with this name."""
        found = self.all(name)
        assert len(found) == 1, f"{len(found)} × {name} in {self.name}"
        return found[0]

    def __getitem__(self, name: str) -> str:
        """The value of the only line with this name, as it is written."""
        return self.line(name).value

    def text(self, name: str) -> str:
        """A text without its escapes."""
        value = self[name]
        assert not re.search(r"(?<!\\)(?:\\\\)*[,;]", value), f"unescaped: {value!r}"
        return re.sub(r"\\.", lambda found: ESCAPES[found[0]], value)

    def inside(self, name: str) -> list[Component]:
        """The components with this name directly inside."""
        return [part for part in self.parts if part.name == name]

    @property
    def events(self) -> list[Component]:
        """Its events, in order."""
        return self.inside("VEVENT")

    @property
    def event(self) -> Component:
        """Its only event."""
        (event,) = self.events
        return event

    def starts_at(self, event: Component) -> datetime:
        """The instant at which an event of this calendar starts."""
        return self.instant(event.line("DTSTART"))

    def instant(self, line: Line) -> datetime:
        """The instant that a line means; an error unless there is exactly one, because readers would have to guess."""
        if line.value.endswith("Z"):
            assert not line.parameters
            return _moment(line.value[:-1]).replace(tzinfo=UTC)
        (zone,) = [part for part in self.inside("VTIMEZONE") if part["TZID"] == line.parameters["TZID"]]
        local = _moment(line.value)
        onsets = sorted(onset for part in zone.parts for onset in _onsets(part, local.year + 1))
        assert onsets, "The zone says nothing."
        meant = {local - offset for _at, _before, offset in onsets if _offset_at(onsets, local - offset) == offset}
        assert len(meant) == 1, f"{line.value} means {sorted(meant)}"
        return meant.pop().replace(tzinfo=UTC)


class Onset(NamedTuple):
    """The instant (naive UTC) from which an offset applies, and the offset before it."""

    at: datetime
    before: timedelta
    after: timedelta


def read_calendar(text: str) -> Component:
    """The calendar in a file; anything that RFC 5545 does not allow is an error."""
    assert text.endswith("\r\n")
    rows = text[:-2].split("\r\n")
    for row in rows:
        assert len(row.encode()) <= 75, row
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", row), repr(row)
    unfolded: list[str] = []
    for row in rows:
        if row.startswith((" ", "\t")):
            unfolded[-1] += row[1:]
        else:
            assert row
            unfolded.append(row)
    lines = [_line(row) for row in unfolded]
    found = _component(iter(lines))
    assert found.name == "VCALENDAR"
    assert found["VERSION"] == "2.0"
    assert found["PRODID"]
    for event in found.events:
        for required in ("UID", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY", "SEQUENCE", "STATUS"):
            assert event[required]
        assert re.fullmatch(r"\d{8}T\d{6}Z", event["DTSTAMP"])
    assert len({event["UID"] for event in found.events}) == len(found.events)
    return found


def _line(row: str) -> Line:
    name = NAME.match(row)
    assert name, row
    place, parameters = name.end(), {}
    while found := PARAMETER.match(row, place):
        parameters[found[1]] = found[2].strip('"')
        place = found.end()
    assert row[place : place + 1] == ":", row
    return Line(name[0], parameters, row[place + 1 :])


def _component(lines: Iterator[Line], name: str = "") -> Component:
    if not name:
        first = next(lines)
        assert first.name == "BEGIN"
        found = _component(lines, first.value)
        assert next(lines, None) is None
        return found
    component = Component(name)
    for line in lines:
        if line.name == "END":
            assert line.value == name
            return component
        if line.name == "BEGIN":
            component.parts.append(_component(lines, line.value))
        else:
            component.lines.append(line)
    raise AssertionError(f"{name} never ends")


def _moment(value: str) -> datetime:
    return datetime.strptime(value, "%Y%m%dT%H%M%S")  # noqa: DTZ007 - the zone is computed later.


def _offset(value: str) -> timedelta:
    found = re.fullmatch(r"([+-])(\d\d)(\d\d)(\d\d)?", value)
    assert found, value
    size = timedelta(hours=int(found[2]), minutes=int(found[3]), seconds=int(found[4] or 0))
    return -size if found[1] == "-" else size


def _onsets(part: Component, last_year: int) -> Iterator[Onset]:
    """Every onset of a STANDARD or DAYLIGHT up to a year: the first, the further dates, and those of the rule."""
    assert part.name in {"STANDARD", "DAYLIGHT"}
    before, after = _offset(part["TZOFFSETFROM"]), _offset(part["TZOFFSETTO"])
    first = _moment(part["DTSTART"])
    moments = {first} | {_moment(line.value) for line in part.all("RDATE")}
    for rule in part.all("RRULE"):
        fields = dict(pair.split("=") for pair in rule.value.split(";"))
        assert fields.pop("FREQ") == "YEARLY"
        month, day = int(fields.pop("BYMONTH")), fields.pop("BYDAY")
        assert not fields
        years = range(first.year, last_year + 1)
        ruled = {datetime.combine(_day_of(year, month, day), first.time()) for year in years}
        assert first in ruled, "The first onset must follow the rule."
        moments |= ruled
    return (Onset(moment - before, before, after) for moment in moments)


def _day_of(year: int, month: int, day: str) -> datetime:
    """'-1SU' or '2SU' of a month."""
    place, weekday = int(day[:-2]), DAYS.index(day[-2:])
    fitting = [
        date
        for date in calendar.Calendar().itermonthdates(year, month)
        if date.month == month and date.weekday() == weekday
    ]
    return datetime.combine(fitting[place - 1 if place > 0 else place], datetime.min.time())


def _offset_at(onsets: list[Onset], instant: datetime) -> timedelta | None:
    """The offset at an instant: that of the last onset before it; None before all of them."""
    past = [onset for onset in onsets if onset.at <= instant]
    return past[-1].after if past else None

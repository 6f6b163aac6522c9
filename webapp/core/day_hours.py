"""Hours of a day as people write them: '9-12, 13:00 to 17:30' becomes spans of wall-clock minutes, and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

from webapp.core.text import normalized
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l

Span: TypeAlias = tuple[int, int]
"""Start and end, in minutes since local midnight: (540, 720) is 09:00 to 12:00."""
Spans: TypeAlias = tuple[Span, ...]
Week: TypeAlias = tuple[Spans, ...]
"""The spans of Monday to Sunday."""

DAY = 1440
MAX_SPANS = 12
WEEKDAYS = (_l("Monday"), _l("Tuesday"), _l("Wednesday"), _l("Thursday"), _l("Friday"), _l("Saturday"), _l("Sunday"))

_NOTHING = {"", "-", "closed", "none", "off", "free", "no"}
_DASHES = "‐‑‒–—―−"
# 9, 09, 9:30, 9.30, 9h30, 0930, each with or without am or pm; the groups are hour, minute, hour, minute, half.
_CLOCK = r"(?:(\d{1,2})(?:[:.h](\d{2})?)?|(\d{2})(\d{2}))(?!\d)\s*(am|pm)?"
_SPAN = re.compile(rf"{_CLOCK}\s*(?:-|to|until|till)\s*{_CLOCK}")
_BETWEEN = re.compile(r"(?:[\s,;&+/]|and\b)*")


class UnreadableHours(ValueError):
    """The text is not the hours of a day; the message says what is wrong with it."""


def parse_hours(text: str) -> Spans:
    """The spans in a text, in order of time; an empty text, '-' and 'closed' mean no hours.

    Raises:
        UnreadableHours: the text is something else, a span ends before it starts, or two overlap.
    """
    text = normalized("NFKC", text).casefold().strip()
    text = text.translate(dict.fromkeys(map(ord, _DASHES), "-"))
    if text in _NOTHING:
        return ()
    spans = []
    place = 0
    while place < len(text):
        found = _SPAN.match(text, place)
        if found is None:
            raise UnreadableHours(_("Enter hours like 9-12, 13:00-17:30, or leave this empty."))
        start, end = _minute(found.groups()[:5]), _minute(found.groups()[5:])
        if start >= end:
            raise UnreadableHours(_("%(span)s ends before it starts.") % {"span": found.group().strip()})
        spans.append((start, end))
        between = _BETWEEN.match(text, found.end())
        place = between.end() if between else found.end()
    return in_order(spans)


def _minute(groups: Sequence[str | None]) -> int:
    """The minute of the day for the groups of a matched time."""
    hour_text, minute_text, hour_of_four, minute_of_four, half = groups
    hour, minute = int(hour_text or hour_of_four or 0), int(minute_text or minute_of_four or 0)
    if half is not None and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
    elif half is not None:
        raise UnreadableHours(_("Hours with am or pm must be from 1 to 12."))
    if minute > 59 or hour * 60 + minute > DAY:
        raise UnreadableHours(_("Times must be from 00:00 to 24:00."))
    return hour * 60 + minute


def in_order(spans: list[Span]) -> Spans:
    """The spans of a day, sorted by time.

    Raises:
        UnreadableHours: one ends before it starts, two overlap, or there are too many.
    """
    for start, end in spans:
        if start >= end:
            raise UnreadableHours(_("%(span)s ends before it starts.") % {"span": format_hours([(start, end)])})
    spans = sorted(spans)
    for before, after in pairwise(spans):
        if after[0] < before[1]:
            both = {"one": format_hours([before]), "other": format_hours([after])}
            raise UnreadableHours(_("%(one)s and %(other)s overlap.") % both)
    if len(spans) > MAX_SPANS:
        raise UnreadableHours(_("Enter at most %(n)d periods per day.") % {"n": MAX_SPANS})
    return tuple(spans)


def format_hours(spans: Sequence[Span]) -> str:
    """For a form field: '09:00-12:00, 13:00-17:00', or ''."""
    return ", ".join(f"{format_minute(start)}-{format_minute(end)}" for start, end in spans)


def describe_hours(spans: Sequence[Span]) -> str:
    """For people: '09:00 to 12:00, 13:00 to 17:00', or ''. Non-breaking spaces keep each span on one line."""
    return ", ".join(
        (_("%(start)s to %(end)s") % {"start": format_minute(start), "end": format_minute(end)}).replace(" ", "\u00a0")
        for start, end in spans
    )


def format_minute(minute: int) -> str:
    """A minute of the day on the wall clock: '09:30'; the end of the day is '24:00'."""
    return f"{minute // 60:02d}:{minute % 60:02d}"

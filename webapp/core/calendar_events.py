"""Events for calendar programs, and how to tell quickly whether they have changed. `icalendar.py` writes them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel

MEDIA_TYPE = "text/calendar; charset=utf-8"

Method = Literal["", "REQUEST", "CANCEL"]


def _without_controls(value: str) -> str:
    """Remove control characters except line ends: RFC 5545 does not allow them in a text."""
    return "".join(letter for letter in value if letter == "\n" or unicodedata.category(letter) != "Cc")


Text = Annotated[str, AfterValidator(_without_controls)]


class CalendarEvent(BaseModel):
    """One event. `uid` stays the same for its whole life, and `sequence` rises with each change.

    `alarm_minutes` is how long before the start the calendar reminds of it. In an invitation by mail, the attendee is
    the person invited and the organizer is the clinic; elsewhere both are left out.
    """

    uid: str
    sequence: int
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    summary: Text
    description: Text = ""
    location: Text = ""
    url: str = ""
    status: Literal["CONFIRMED", "CANCELLED", "TENTATIVE"] = "CONFIRMED"
    updated_at: AwareDatetime
    alarm_minutes: int | None = None
    organizer_name: Text = ""
    organizer_email: str = ""
    attendee_name: Text = ""
    attendee_email: str = ""


def calendar_fingerprint(events: Sequence[CalendarEvent], *, zone: ZoneInfo, name: str = "") -> str:
    """A short stand-in for the text of a calendar, far quicker to make: another text has another fingerprint."""
    found = hashlib.blake2b(_form(), digest_size=12)
    found.update(f"{zone.key} {name}".encode())
    for event in events:
        # The zone's own rules may change: then the same instant has another local time.
        found.update(f"{event.starts_at.astimezone(zone)} {event.ends_at.astimezone(zone)}".encode())
        found.update(event.model_dump_json().encode())
    return found.hexdigest()


@lru_cache
def _form() -> bytes:
    """The source of what writes calendars: when it changes, all fingerprints change."""
    return Path(__file__).read_bytes() + Path(__file__).with_name("icalendar.py").read_bytes()

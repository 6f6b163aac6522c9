"""Dates, times and durations for people, always in the clinic's zone.

English has its few words here. Babel knows those of all other languages: its data take 5 MiB, and its formatting tens
of microseconds. Lists of free times build their short labels by arithmetic, and use this module only for what is shown
once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from webapp.core.local_time import first_instant
from webapp.i18n import ENGLISH, language, ngettext
from webapp.i18n import gettext as _

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_SHORT_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec")


@lru_cache(maxsize=4096)
def _formatted(day: date, pattern: str, locale: str) -> str:
    if locale == ENGLISH.locale:
        return _in_english(day, pattern)
    from babel.dates import format_date

    return format_date(day, pattern, locale=locale)


def _in_english(day: date, pattern: str) -> str:
    """The text that Babel would write in English for the patterns in this module."""
    weekday = _WEEKDAYS[day.weekday()]
    words = {
        "EEEE": weekday,
        "EEE": weekday[:3],
        "d": str(day.day),
        "MMMM": _MONTHS[day.month - 1],
        "MMM": _SHORT_MONTHS[day.month - 1],
        "y": str(day.year),
    }
    return " ".join(words[part] for part in pattern.split())


def _date(day: date, pattern: str) -> str:
    """The day in the reader's language. Patterns are messages, because languages order the parts differently."""
    return _formatted(day, pattern, language().locale)


def local_date(instant: datetime | date, zone: ZoneInfo) -> date:
    """The local date of an instant; a date is returned unchanged."""
    return instant.astimezone(zone).date() if isinstance(instant, datetime) else instant


def clock(instant: datetime, zone: ZoneInfo) -> str:
    """'09:20'. In the hour that is repeated when the clocks go back, the zone's name is added: '02:30 CEST'."""
    local = instant.astimezone(zone)
    text = f"{local.hour:02d}:{local.minute:02d}"
    return f"{text} {_zone_name(local)}" if _is_repeated(local) else text


def end_clock(instant: datetime, zone: ZoneInfo) -> str:
    """'17:10', for the end of a span; one that ends with its day ends at '24:00'."""
    return "24:00" if instant == first_instant(local_date(instant, zone), zone) else clock(instant, zone)


def day_long(instant: datetime | date, zone: ZoneInfo) -> str:
    """'Wednesday 11 March'."""
    return _date(local_date(instant, zone), _("EEEE d MMMM"))


def day_full(instant: datetime | date, zone: ZoneInfo) -> str:
    """'Wednesday 11 March 2026'."""
    return _date(local_date(instant, zone), _("EEEE d MMMM y"))


def day_short(instant: datetime | date, zone: ZoneInfo) -> str:
    """'11 Mar'."""
    return _date(local_date(instant, zone), _("d MMM"))


def day_month(instant: datetime | date, zone: ZoneInfo) -> str:
    """'11 March'."""
    return _date(local_date(instant, zone), _("d MMMM"))


def day_month_year(instant: datetime | date, zone: ZoneInfo) -> str:
    """'11 March 2026'."""
    return _date(local_date(instant, zone), _("d MMMM y"))


def days_between(first: date, last: date, zone: ZoneInfo) -> str:
    """'9 to 13 March 2026', '30 November to 4 December 2026', or '28 December 2026 to 1 January 2027'."""
    if first.year != last.year:
        start = day_month_year(first, zone)
    elif first.month != last.month:
        start = day_month(first, zone)
    else:
        start = day_number(first, zone)
    return _("%(first)s to %(last)s") % {"first": start, "last": day_month_year(last, zone)}


def weekday_long(instant: datetime | date, zone: ZoneInfo) -> str:
    """'Wednesday'."""
    return _date(local_date(instant, zone), _("EEEE"))


def weekday_short(instant: datetime | date, zone: ZoneInfo) -> str:
    """'Wed'."""
    return _date(local_date(instant, zone), _("EEE"))


def day_brief(instant: datetime | date, zone: ZoneInfo) -> str:
    """'Wed 11 Mar', for a button that names its time."""
    return _date(local_date(instant, zone), _("EEE d MMM"))


def day_brief_and_year(instant: datetime | date, zone: ZoneInfo) -> str:
    """'Wed 11 Mar 2026', for lines of a list that are on any day."""
    return _date(local_date(instant, zone), _("EEE d MMM y"))


def day_number(instant: datetime | date, zone: ZoneInfo) -> str:
    """'11'."""
    return str(local_date(instant, zone).day)


def month_and_year(instant: datetime | date, zone: ZoneInfo) -> str:
    """'March 2026'."""
    return _date(local_date(instant, zone), _("MMMM y"))


def month_and_year_short(instant: datetime | date, zone: ZoneInfo) -> str:
    """'Mar 2026'."""
    return _date(local_date(instant, zone), _("MMM y"))


def month_short(instant: datetime | date, zone: ZoneInfo) -> str:
    """'Mar'."""
    return _date(local_date(instant, zone), _("MMM"))


def day_and_time(instant: datetime, zone: ZoneInfo) -> str:
    """'Wednesday 11 March at 09:20'."""
    return _("%(day)s at %(time)s") % {"day": day_long(instant, zone), "time": clock(instant, zone)}


def clinic_name(saved: str) -> str:
    """The clinic's name, or words for a clinic whose admin has not named it yet."""
    return saved or _("Our clinic")


def zone_label(zone: ZoneInfo) -> str:
    """The zone in plain words: 'Amsterdam time'."""
    return _("%(place)s time") % {"place": zone.key.rsplit("/", 1)[-1].replace("_", " ")}


def full_instant(instant: datetime, zone: ZoneInfo) -> str:
    """'Wednesday 11 March 2026, 09:20', where the clinic's zone is named nearby or known."""
    return f"{day_full(instant, zone)}, {clock(instant, zone)}"


def _is_repeated(local: datetime) -> bool:
    """Whether the clocks show this time twice. An instant is never in the hour that they skip."""
    return local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()


def _zone_name(local: datetime) -> str:
    """'CEST', or 'UTC-3:30' where the zone is a number only."""
    name = local.tzname() or ""
    if name.isalpha():
        return name
    offset = local.utcoffset()
    minutes_east = int(offset.total_seconds()) // 60 if offset is not None else 0
    hours, rest = divmod(abs(minutes_east), 60)
    sign = "-" if minutes_east < 0 else "+"
    return f"UTC{sign}{hours}" + (f":{rest:02}" if rest else "")


def moment(instant: datetime, zone: ZoneInfo, *, today: date) -> str:
    """'Today, 10:44' or '11 March 2026, 10:44'."""
    day = local_date(instant, zone)
    name = _("Today") if day == today else _date(day, _("d MMMM y"))
    return f"{name}, {clock(instant, zone)}"


def moment_in_sentence(instant: datetime, zone: ZoneInfo, *, today: date) -> str:
    """'today at 10:44' or '11 March 2026 at 10:44', for the middle of a sentence."""
    day = local_date(instant, zone)
    name = _("today") if day == today else _date(day, _("d MMMM y"))
    return _("%(day)s at %(time)s") % {"day": name, "time": clock(instant, zone)}


def breakable(text: str) -> Markup:
    """The text, in which a narrow column may break an email address before its @."""
    return escape(text).replace("@", Markup("<wbr>@"))


def iso(instant: datetime) -> str:
    """'2026-03-11T08:20:00Z', for addresses and machine-readable times."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dotted(parts: Iterable[str]) -> str:
    """'4 appointments · 1 no-show': no line begins with a dot, or ends between a number and its noun."""
    return "\u00a0· ".join(_whole(part) if part[:1].isdigit() else part for part in parts)


def _whole(part: str) -> str:
    """'1 no-show', which no line breaks after its number or its hyphen."""
    number, space, rest = part.partition(" ")
    joined = f"{number}\u00a0{rest}" if space and number.isdecimal() else part
    return joined.replace("-", "-\u2060")


def minutes(count: int) -> str:
    """'15 minutes', '1 hour', '1 hour 30 minutes', '2 days'."""
    if count % 1440 == 0 and count > 1440:
        return days(count // 1440)
    hours, rest = divmod(count, 60)
    parts = []
    if hours:
        parts.append(ngettext("%(n)d hour", "%(n)d hours", hours) % {"n": hours})
    if rest or not hours:
        parts.append(ngettext("%(n)d minute", "%(n)d minutes", rest) % {"n": rest})
    return " ".join(parts)


def days(count: int) -> str:
    """'1 day', '3 days'."""
    return ngettext("%(n)d day", "%(n)d days", count) % {"n": count}

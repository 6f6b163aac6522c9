"""Times in the words of a clinic: the next free time, a day, and the free times nearest to a wanted one."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.i18n import gettext as _
from webapp.scheduling.facts import BookingRequest, free_times, load_facts
from webapp.scheduling.slots import DAY, to_datetime, to_minute
from webapp.scheduling.viewer import Viewer

# Within how many days of a wanted time free ones are searched: first few, then more, and only then up to the horizon.
NEAR_DAYS = (4, 15)
# So many of them are offered.
NEAREST = 3


def words_for(instant: datetime, clinic: Clinic, *, now: datetime) -> str:
    """'today at 14:20', 'tomorrow at 09:20', 'on Friday 13 March at 08:40'."""
    day, today = formats.local_date(instant, clinic.zone), clinic.today(now)
    values = {"time": formats.clock(instant, clinic.zone), "day": formats.day_long(day, clinic.zone)}
    if day == today:
        return _("today at %(time)s") % values
    if day == today + timedelta(days=1):
        return _("tomorrow at %(time)s") % values
    return _("on %(day)s at %(time)s") % values


def next_free_words(instant: datetime, clinic: Clinic, *, now: datetime) -> str:
    """'Today at 14:20', 'Tomorrow at 09:20', 'Friday 13 March at 08:40'."""
    day, today = formats.local_date(instant, clinic.zone), clinic.today(now)
    if day - today > timedelta(days=1):
        return formats.day_and_time(instant, clinic.zone)
    words = _("Today at %(time)s") if day == today else _("Tomorrow at %(time)s")
    return words % {"time": formats.clock(instant, clinic.zone)}


def day_title(day: date, clinic: Clinic, *, now: datetime) -> tuple[str, str]:
    """('Today', '10 Mar'), ('Tomorrow', '11 Mar'), ('Fri', '13 Mar')."""
    names = {clinic.today(now): _("Today"), clinic.today(now) + timedelta(days=1): _("Tomorrow")}
    return names.get(day) or formats.weekday_short(day, clinic.zone), formats.day_short(day, clinic.zone)


def nearest(
    session: Session,
    clinic: Clinic,
    request: BookingRequest,
    wanted: datetime,
    *,
    now: datetime,
    viewer: Viewer,
) -> list[tuple[datetime, str]]:
    """The three free times nearest to the one that was wanted, in order of time, each with the difference in words."""
    today = clinic.today(now)
    horizon = today + timedelta(days=clinic.horizon_days)
    day, target = formats.local_date(wanted, clinic.zone), to_minute(wanted)
    # Near days mostly have enough, and the whole horizon of a clinic that is always open takes half a second.
    for days in (*NEAR_DAYS, None):
        since = today if days is None else max(today, min(day - timedelta(days=days), horizon))
        until = horizon if days is None else min(horizon, max(day + timedelta(days=days), today))
        facts = load_facts(session, clinic, [request], since, until, now=now, viewer=viewer)[request.doctor.id]
        by_distance = sorted((time.start for time in free_times(facts)), key=lambda start: abs(start - target))
        # Everything on days further away is further away in minutes, too.
        if len(by_distance) >= NEAREST and days and abs(by_distance[NEAREST - 1] - target) <= (days - 1) * DAY:
            break
    return [
        (to_datetime(start), _difference(start - target, to_datetime(start), wanted, clinic.zone))
        for start in sorted(by_distance[:NEAREST])
    ]


def _difference(minutes: int, other: datetime, wanted: datetime, zone: ZoneInfo) -> str:
    """'20 minutes earlier', 'same time, Friday', 'on another day'."""
    if formats.local_date(other, zone) == formats.local_date(wanted, zone):
        words = _("%(time)s later") if minutes > 0 else _("%(time)s earlier")
        return words % {"time": formats.minutes(abs(minutes))}
    if other.astimezone(zone).time() == wanted.astimezone(zone).time():
        return _("Same time, %(day)s") % {"day": formats.weekday_long(other, zone)}
    days = (formats.local_date(other, zone) - formats.local_date(wanted, zone)).days
    words = _("%(time)s later") if days > 0 else _("%(time)s earlier")
    return words % {"time": formats.days(abs(days))}

"""Local times as instants. On two days a year the wall clock skips an hour, or shows one twice."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_EPOCH, _MINUTE = datetime(1970, 1, 1), timedelta(minutes=1)  # noqa: DTZ001 - a wall clock has no zone.


def instants_of(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants, in UTC, at which the wall clock shows a naive time: one or two, or none if it is skipped."""
    meant = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(instant for instant in meant if instant.astimezone(zone).replace(tzinfo=None, fold=0) == wall)


def wall_minute(instant: datetime, zone: ZoneInfo) -> int:
    """The time on the wall clock at an instant, in whole minutes since it showed 1970-01-01 00:00."""
    shown = instant.astimezone(zone).replace(tzinfo=None, fold=0)
    return (shown - _EPOCH) // _MINUTE


def wall_time(minute: int) -> datetime:
    """The naive time of such a wall minute."""
    return _EPOCH + minute * _MINUTE


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """When a local day begins, in UTC; where clocks skip midnight, that is later than midnight."""
    midnight = datetime.combine(day, time.min)
    shown = instants_of(midnight, zone)
    if shown:
        return shown[0]
    # With the offset that holds after the jump, a skipped time becomes an instant before the jump.
    instant = midnight.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while instant.astimezone(zone).replace(tzinfo=None) < midnight:
        instant += timedelta(minutes=1)
    return instant


def utc_days(days: Iterable[date], zone: ZoneInfo) -> list[str]:
    """The dates in UTC on which moments of these local days are, in order: '2026-03-02'."""
    found: set[date] = set()
    for day in days:
        last = first_instant(day + timedelta(days=1), zone) - _MINUTE
        found |= {first_instant(day, zone).date(), last.date()}
    return [each.isoformat() for each in sorted(found)]

"""The time zones that a clinic can choose, and the country of each."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from zoneinfo import available_timezones

# A clinic may use UTC, although no place has this zone.
UTC_ZONE = "UTC"
# The codes of Unicode's data for the country of UTC, and for the world.
_NO_COUNTRIES = {"ZZ", "001"}


@cache
def _zone_table() -> dict[str, str]:
    """The country of each zone that has a place, from the table that comes with the zones' data."""
    table = files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if line and not line.startswith("#"))
    return {row[2].strip(): row[0] for row in rows}


@cache
def zone_names() -> dict[str, list[str]]:
    """The time zones that a clinic can choose, by region and in alphabetical order; UTC is a region, too."""
    regions: dict[str, list[str]] = {}
    for name in sorted(_zone_table().keys() & available_timezones()):
        regions.setdefault(name.partition("/")[0], []).append(name)
    return {**regions, UTC_ZONE: [UTC_ZONE]}


def country_of_zone(time_zone: str) -> str:
    """The code of the country of a time zone: 'NL' for Europe/Amsterdam; '' if it has none."""
    if time_zone == UTC_ZONE:
        return ""
    return _zone_table().get(time_zone) or _country_of_old_name(time_zone)


def _country_of_old_name(time_zone: str) -> str:
    """The country of a zone whose name has changed. Babel's data take 2 MiB, and few clinics have such a zone."""
    from babel.core import get_global

    name = get_global("zone_aliases").get(time_zone, time_zone)
    country = str(get_global("zone_territories").get(name) or "")
    return "" if country in _NO_COUNTRIES else country

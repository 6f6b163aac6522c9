"""Public holidays of a country or one of its regions, named in the reader's language if known, otherwise in English."""

from __future__ import annotations

from datetime import date
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from webapp.i18n import language

# Holidays further ahead may still be moved or added.
YEARS_AHEAD = 2


class PublicHoliday(NamedTuple):
    """One day and its name; a day with two names has both."""

    day: date
    name: str


def _library() -> Any:
    # The library loads calendars of the whole world, which would slow down all other pages.
    return import_module("holidays")


@cache
def _regions_by_country() -> dict[str, list[str]]:
    found: dict[str, list[str]] = _library().list_supported_countries(include_aliases=False)
    return found


def countries() -> dict[str, str]:
    """The countries whose holidays are known, sorted by their names in the reader's language: 'NL' is 'Netherlands'."""
    return _countries(language().locale)


@cache
def _countries(locale: str) -> dict[str, str]:
    from babel import Locale

    territories = Locale.parse(locale).territories
    names = {code: str(territories.get(code, code)) for code in _regions_by_country()}
    return dict(sorted(names.items(), key=lambda item: item[1]))


@cache
def regions(country: str) -> dict[str, str]:
    """The regions of a country that have their own holidays, by name: 'SCT' is 'Scotland'."""
    codes = _regions_by_country().get(country, [])
    if not codes:
        return {}
    aliases: dict[str, list[str]] = _library().country_holidays(country).get_subdivision_aliases()
    names = {code: (aliases.get(code) or [code])[0] for code in codes}
    return dict(sorted(names.items(), key=lambda item: item[1]))


def public_holidays(country: str, region: str, year: int) -> list[PublicHoliday]:
    """The public holidays of a year, in order; empty for an unknown country.

    For an unknown region, these are the holidays of the whole country.
    """
    if country not in _regions_by_country():
        return []
    library = _library()
    spoken = library.country_holidays(country).supported_languages
    preferred = (language().locale, "en_GB", "en_US")
    named_in = next((code for code in preferred if code in spoken), None)
    found = library.country_holidays(
        country, subdiv=region if region in regions(country) else None, years=year, language=named_in
    )
    return [PublicHoliday(day, name[:120]) for day, name in sorted(found.items()) if day.year == year]

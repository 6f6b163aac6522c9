"""The time zones that a clinic can choose, and the country of each."""

from __future__ import annotations

import pytest

from webapp.core import phones, zones


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("Europe/Amsterdam", "NL"),
        ("America/Buenos_Aires", "AR"),
        ("America/Argentina/Buenos_Aires", "AR"),
        ("Asia/Calcutta", "IN"),
        ("Asia/Kolkata", "IN"),
        ("Europe/Kiev", "UA"),
        ("Europe/Kyiv", "UA"),
        ("US/Pacific", "US"),
        # It is newer than the data of languages.
        ("America/Coyhaique", "CL"),
        ("UTC", ""),
        ("Etc/GMT+3", ""),
    ],
)
def test_a_time_zone_says_the_country(zone: str, country: str) -> None:
    assert zones.country_of_zone(zone) == country
    assert not country or country in phones.countries()


def test_every_zone_of_the_list_is_one_that_can_be_chosen_and_old_names_are_not_there() -> None:
    names = [name for places in zones.zone_names().values() for name in places]
    assert len(names) > 400
    assert {"Europe/Amsterdam", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "UTC"} <= set(names)
    assert not {"Asia/Calcutta", "CET", "US/Eastern", "Etc/GMT+1"} & set(names)

"""Closures and public holidays, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
import sqlalchemy as sa

from tests.cast import NOW, Cast
from webapp.clinic import closures, holidays
from webapp.clinic.closures import AlreadyClosed, CloseDays
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.exceptions import Invalid, NotFound
from webapp.models import AuditEvent, ClinicSettings

BREAK = CloseDays(name="Spring break", starts_on=date(2026, 3, 9), ends_on=date(2026, 3, 11))


def add(cast: Cast, *each: CloseDays) -> list[int]:
    """Add closures and return their ids."""
    return cast.database.write(closures.add, cast.carol, list(each), now=NOW)


def test_a_closure_is_added_changed_and_removed_and_each_leaves_a_row(cast: Cast) -> None:
    [number] = add(cast, BREAK)
    longer = CloseDays(name="Long break", starts_on=BREAK.starts_on, ends_on=date(2026, 3, 13))
    cast.database.write(closures.change, cast.carol, number, longer, seen=fingerprint(BREAK), now=NOW)
    with cast.database.reading() as session:
        assert closures.get_closure(session, number).details == longer
        assert closures.closed_days(session, date(2026, 3, 12), date(2026, 3, 31)) == {
            date(2026, 3, 12),
            date(2026, 3, 13),
        }
    cast.database.write(closures.remove, cast.carol, number, seen=fingerprint(longer), now=NOW)
    with cast.database.reading() as session:
        with pytest.raises(NotFound):
            closures.get_closure(session, number)
        rows = session.execute(
            sa.select(AuditEvent.action, AuditEvent.details).where(AuditEvent.subject_type == "closure")
        ).all()
    assert [row.action for row in rows] == ["closure_created", "closure_changed", "closure_removed"]
    assert rows[1].details == {"from": "2026-03-09", "until": "2026-03-13"}


def test_the_second_of_two_editors_is_shown_the_current_values(cast: Cast) -> None:
    [number] = add(cast, BREAK)
    ours = CloseDays(name="Ours", starts_on=BREAK.starts_on, ends_on=BREAK.ends_on)
    cast.database.write(closures.change, cast.carol, number, ours, seen=fingerprint(BREAK), now=NOW)
    with pytest.raises(EditedMeanwhile) as caught:
        cast.database.write(closures.change, cast.carol, number, BREAK, seen=fingerprint(BREAK), now=NOW)
    assert caught.value.saved == ours
    with pytest.raises(EditedMeanwhile):
        cast.database.write(closures.remove, cast.carol, number, seen=fingerprint(BREAK), now=NOW)


def test_a_closure_is_not_entered_twice(cast: Cast) -> None:
    add(cast, BREAK)
    again = BREAK.model_copy(update={"name": "Easter"})
    with pytest.raises(AlreadyClosed) as refused:
        add(cast, again)
    assert "“Spring break”" in refused.value.message
    # Days may overlap: a closure within a longer one has another name.
    other = again.model_copy(update={"ends_on": date(2026, 3, 10)})
    [number] = add(cast, other)
    with pytest.raises(AlreadyClosed):
        cast.database.write(closures.change, cast.carol, number, again, seen=fingerprint(other), now=NOW)
    renamed = other.model_copy(update={"name": "Two days"})
    cast.database.write(closures.change, cast.carol, number, renamed, seen=fingerprint(other), now=NOW)


def test_of_two_users_who_enter_a_closure_concurrently_one_is_told_that_it_exists(cast: Cast) -> None:
    cast.change(sa.delete(ClinicSettings))

    def enter(_number: int) -> str:
        try:
            add(cast, BREAK)
        except AlreadyClosed:
            return "told"
        return "saved"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(enter, range(2))) == ["saved", "told"]


def test_days_in_the_wrong_order_or_for_years_are_refused(cast: Cast) -> None:
    for last in (date(2026, 3, 8), date(2027, 3, 11)):
        odd = CloseDays(name="Odd", starts_on=BREAK.starts_on, ends_on=last)
        with pytest.raises(Invalid) as refused:
            cast.database.write(closures.add, cast.carol, [BREAK, odd], now=NOW)
        assert refused.value.field == "ends_on"
    with cast.database.reading() as session:
        assert closures.list_ahead(session, date(2026, 3, 2)) == []


def test_a_current_closure_counts_as_upcoming(cast: Cast) -> None:
    christmas = CloseDays(name="Christmas", starts_on=date(2025, 12, 25), ends_on=date(2025, 12, 26))
    add(cast, BREAK, christmas)
    with cast.database.reading() as session:
        names = [
            [each.details.name for each in found]
            for today in (date(2026, 3, 11), date(2026, 3, 12))
            for found in (closures.list_ahead(session, today), closures.list_past(session, today))
        ]
    assert names == [["Spring break"], ["Christmas"], [], ["Spring break", "Christmas"]]


# ------------------------------------------------------------------------------------------- public holidays


def test_countries_and_regions_have_names() -> None:
    assert holidays.countries()["NL"] == "Netherlands"
    names = list(holidays.countries().values())
    assert names == sorted(names)
    assert len(names) > 200
    assert holidays.regions("GB") == {
        "ENG": "England",
        "NIR": "Northern Ireland",
        "SCT": "Scotland",
        "WLS": "Wales",
    }
    assert holidays.regions("XX") == {}


def test_holidays_of_a_region_are_more_than_the_countrys() -> None:
    nation = {each.day for each in holidays.public_holidays("DE", "", 2026)}
    bavaria = {each.day for each in holidays.public_holidays("DE", "BY", 2026)}
    assert bavaria - nation == {date(2026, 1, 6), date(2026, 6, 4), date(2026, 11, 1)}
    assert {each.day for each in holidays.public_holidays("DE", "no region", 2026)} == nation
    found = holidays.public_holidays("NL", "", 2026)
    assert [each.day for each in found] == sorted(each.day for each in found)
    assert ("King's Day", date(2026, 4, 27)) in [(each.name, each.day) for each in found]
    assert holidays.public_holidays("XX", "", 2026) == []

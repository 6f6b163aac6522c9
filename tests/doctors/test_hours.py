"""Periods of working hours and extra hours, as the services read and write them."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from tests.cast import NOW, Cast
from webapp.core.day_hours import Week
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.doctors import extra_hours, hours
from webapp.doctors.extra_hours import ExtraDay
from webapp.doctors.hours import HoursGone, Period, PeriodHours, SaveHours
from webapp.exceptions import Invalid, NotFound
from webapp.models import AuditEvent, WorkingHours

ALWAYS = Period(None, None)
FULL = ((540, 720), (780, 1020))
PRESENT: Week = (FULL, FULL, FULL, FULL, FULL, (), ())
MORNINGS: Week = (((480, 720),),) * 5 + ((), ())
JUNE, LAST_OF_MAY = date(2026, 6, 1), date(2026, 5, 31)


def periods(cast: Cast, doctor: str = "bob") -> dict[str, Week]:
    """The weeks of a doctor by the key of their period."""
    with cast.database.reading() as session:
        return {each.period.key: each.week for each in hours.list_periods(session, cast.doctor_ids[doctor])}


def save(cast: Cast, **values: Any) -> None:
    """Save hours of Bob, which are new and begin in June unless the values say otherwise."""
    given = {"period": None, "valid_from": JUNE, "valid_until": None, "week": MORNINGS, **values}
    cast.database.write(hours.save_hours, cast.bob, cast.doctor_ids["bob"], SaveHours(**given), now=NOW)


def details(cast: Cast) -> list[tuple[str, dict[str, Any]]]:
    """The audit log about Bob, oldest first."""
    query = (
        sa.select(AuditEvent.action, AuditEvent.details)
        .where(AuditEvent.subject_type == "doctor", AuditEvent.subject_id == cast.doctor_ids["bob"])
        .order_by(AuditEvent.id)
    )
    with cast.database.reading() as session:
        return [(row.action, row.details) for row in session.execute(query)]


def week_on(cast: Cast, day: date) -> Week:
    with cast.database.reading() as session:
        return hours.week_on(hours.list_periods(session, cast.doctor_ids["bob"]), day)


@pytest.mark.parametrize(
    ("key", "period"),
    [
        ("always", ALWAYS),
        ("2026-06-01..", Period(JUNE, None)),
        ("..2026-05-31", Period(None, LAST_OF_MAY)),
        ("2026-05-31..2026-06-01", Period(LAST_OF_MAY, JUNE)),
    ],
)
def test_a_period_has_one_address(key: str, period: Period) -> None:
    assert period.key == key
    assert hours.parse_period(key) == period


@pytest.mark.parametrize(
    "key", ["", "..", "2026-06-01", "20260601..", "2026-06-01...", "soon..", "Always", "..2026-13-01"]
)
def test_other_addresses_name_none(key: str) -> None:
    with pytest.raises(NotFound):
        hours.parse_period(key)


def test_new_hours_end_the_current_ones_the_day_before(cast: Cast) -> None:
    save(cast, end_present=True)
    assert periods(cast) == {"..2026-05-31": PRESENT, "2026-06-01..": MORNINGS}
    assert week_on(cast, LAST_OF_MAY) == PRESENT
    assert week_on(cast, JUNE) == MORNINGS
    assert details(cast) == [("hours_changed", {"period": "2026-06-01..", "was": "", "shortened": ["always"]})]
    assert periods(cast, "erin") == {"always": PRESENT}


def test_temporary_hours_are_followed_by_the_current_ones(cast: Cast) -> None:
    save(cast, valid_until=date(2026, 8, 31), end_present=True)
    assert periods(cast) == {
        "..2026-05-31": PRESENT,
        "2026-06-01..2026-08-31": MORNINGS,
        "2026-09-01..": PRESENT,
    }


def remove(cast: Cast, key: str, *, resume: bool = True) -> None:
    period = hours.parse_period(key)
    command = partial(hours.remove_hours, actor=cast.bob, doctor_id=cast.doctor_ids["bob"], period=period, now=NOW)
    cast.database.write(lambda session: command(session, resume=resume))


def test_removing_temporary_hours_brings_back_the_hours_that_they_replaced(cast: Cast) -> None:
    save(cast, valid_until=date(2026, 8, 31), end_present=True)
    remove(cast, "2026-06-01..2026-08-31")
    assert periods(cast) == {"always": PRESENT}
    assert details(cast)[-1] == (
        "hours_changed",
        {"period": "", "was": "2026-06-01..2026-08-31", "shortened": [], "resumed": ["always"]},
    )


def test_removing_new_hours_without_an_end_brings_back_the_hours_before(cast: Cast) -> None:
    save(cast, end_present=True)
    remove(cast, "2026-06-01..")
    assert periods(cast) == {"always": PRESENT}


def test_removing_hours_between_different_ones_lets_the_earlier_go_on_until_the_later(cast: Cast) -> None:
    save(cast, valid_until=date(2026, 8, 31), end_present=True)
    save(cast, period=Period(date(2026, 9, 1), None), valid_from=date(2026, 9, 1), week=MORNINGS)
    remove(cast, "2026-06-01..2026-08-31")
    assert periods(cast) == {"..2026-08-31": PRESENT, "2026-09-01..": MORNINGS}


def test_hours_may_be_removed_without_bringing_others_back(cast: Cast) -> None:
    save(cast, valid_until=date(2026, 8, 31), end_present=True)
    remove(cast, "2026-06-01..2026-08-31", resume=False)
    assert periods(cast) == {"..2026-05-31": PRESENT, "2026-09-01..": PRESENT}
    with cast.database.reading() as session:
        found = hours.list_periods(session, cast.doctor_ids["bob"])
    gap = Period(JUNE, date(2026, 8, 31))
    assert hours.list_gaps(found, NOW.date(), date(2026, 12, 31)) == [gap]
    assert hours.list_gaps(found, NOW.date(), date(2026, 6, 30)) == [Period(JUNE, date(2026, 6, 30))]
    assert hours.list_gaps(found, date(2026, 8, 1), date(2026, 8, 2)) == [Period(date(2026, 8, 1), date(2026, 8, 2))]
    assert hours.list_gaps(found, NOW.date(), LAST_OF_MAY) == []


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ((date(2026, 6, 8), date(2026, 8, 31)), {"..2026-06-07", "2026-06-08..2026-08-31", "2026-09-01.."}),
        ((JUNE, date(2026, 7, 31)), {"..2026-05-31", "2026-06-01..2026-07-31", "2026-08-01.."}),
        ((date(2026, 10, 1), date(2026, 10, 9)), {"..2026-09-30", "2026-10-01..2026-10-09", "2026-10-10.."}),
    ],
)
def test_hours_around_a_period_follow_its_new_dates(cast: Cast, dates: tuple[date, date], expected: set[str]) -> None:
    summer = Period(JUNE, date(2026, 8, 31))
    save(cast, valid_until=summer.valid_until, end_present=True)
    save(cast, period=summer, valid_from=dates[0], valid_until=dates[1], follow=True)
    assert set(periods(cast)) == expected
    assert periods(cast)[Period(*dates).key] == MORNINGS
    assert week_on(cast, date(2026, 12, 1)) == PRESENT


def test_hours_that_add_up_stay_when_others_follow(cast: Cast) -> None:
    evenings: Week = (((1080, 1200),), (), (), (), (), (), ())
    save(cast, valid_from=date(2026, 5, 1), week=evenings)
    save(cast, valid_until=date(2026, 8, 31), end_present=False)
    save(cast, period=Period(JUNE, date(2026, 8, 31)), valid_until=date(2026, 7, 31), follow=True)
    assert set(periods(cast)) == {"always", "2026-05-01..", "2026-06-01..2026-07-31"}


def test_planned_and_past_hours_stay_unchanged(cast: Cast) -> None:
    save(cast, valid_from=None, valid_until=date(2026, 1, 31))
    save(cast, valid_from=date(2026, 9, 1))
    save(cast, end_present=True, week=PRESENT)
    assert set(periods(cast)) == {"..2026-01-31", "..2026-05-31", "2026-06-01..", "2026-09-01.."}


def test_without_replacing_the_hours_add_up(cast: Cast) -> None:
    evenings: Week = (((1080, 1200),), (), (), (), (), (), ())
    save(cast, week=evenings)
    assert periods(cast) == {"always": PRESENT, "2026-06-01..": evenings}
    assert week_on(cast, JUNE)[0] == (*FULL, (1080, 1200))
    save(cast, valid_from=date(2026, 7, 1), week=MORNINGS)
    assert week_on(cast, date(2026, 7, 1))[0] == ((480, 720), (780, 1020), (1080, 1200))


def test_hours_are_changed_in_place_or_given_other_dates(cast: Cast) -> None:
    save(cast, period=ALWAYS, valid_from=None, week=MORNINGS)
    assert periods(cast) == {"always": MORNINGS}
    save(cast, period=ALWAYS, week=MORNINGS)
    assert periods(cast) == {"2026-06-01..": MORNINGS}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"valid_until": LAST_OF_MAY}, "valid_until"),
        ({"week": ((),) * 7}, "monday"),
        ({"valid_from": None}, "valid_from"),
        ({"valid_from": None, "valid_until": JUNE, "end_present": True}, "valid_from"),
    ],
)
def test_invalid_hours_are_refused_at_their_field(cast: Cast, values: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        save(cast, **values)
    assert refused.value.field == field
    assert periods(cast) == {"always": PRESENT}


def test_the_first_hours_of_a_doctor_need_no_first_day(cast: Cast) -> None:
    cast.change(sa.delete(WorkingHours))
    save(cast, valid_from=None, end_present=True)
    assert periods(cast) == {"always": MORNINGS}


def test_the_second_of_two_editors_sees_a_conflict(cast: Cast) -> None:
    seen = fingerprint(PeriodHours(period=ALWAYS, week=PRESENT))
    save(cast, period=ALWAYS, valid_from=None, seen=seen)
    with pytest.raises(EditedMeanwhile) as told:
        save(cast, period=ALWAYS, valid_from=None, week=PRESENT, seen=seen)
    assert told.value.saved == PeriodHours(period=ALWAYS, week=MORNINGS)
    remove = partial(hours.remove_hours, actor=cast.bob, doctor_id=cast.doctor_ids["bob"], period=ALWAYS, now=NOW)
    with pytest.raises(EditedMeanwhile):
        cast.database.write(lambda session: remove(session, seen=seen))
    cast.database.write(lambda session: remove(session))
    assert periods(cast) == {}
    assert details(cast)[-1] == ("hours_changed", {"period": "", "was": "always", "shortened": [], "resumed": []})
    with pytest.raises(HoursGone):
        save(cast, period=ALWAYS, valid_from=None)
    with pytest.raises(HoursGone):
        cast.database.write(lambda session: remove(session))


def test_extra_hours_of_a_day_add_up_and_go_together(cast: Cast) -> None:
    saturday, bob = date(2026, 3, 7), cast.doctor_ids["bob"]

    def add(extra: ExtraDay) -> None:
        cast.database.write(extra_hours.add_extra_hours, cast.bob, bob, extra, now=NOW)

    add(ExtraDay(day=saturday, spans=((540, 720),)))
    add(ExtraDay(day=saturday, spans=((660, 780), (900, 960))))
    add(ExtraDay(day=date(2026, 3, 2), spans=((0, 60),)))
    with cast.database.reading() as session:
        assert extra_hours.list_extra_hours(session, bob, saturday) == [
            ExtraDay(day=saturday, spans=((540, 780), (900, 960)))
        ]
        assert extra_hours.list_extra_hours(session, cast.doctor_ids["erin"], date(2026, 3, 1)) == []
    cast.database.write(extra_hours.remove_extra_hours, cast.bob, bob, saturday, now=NOW)
    with pytest.raises(NotFound):
        cast.database.write(extra_hours.remove_extra_hours, cast.bob, bob, saturday, now=NOW)
    assert details(cast)[1:] == [
        ("extra_hours_added", {"day": "2026-03-07"}),
        ("extra_hours_added", {"day": "2026-03-02"}),
        ("extra_hours_removed", {"day": "2026-03-07"}),
    ]


def test_extra_hours_must_be_in_the_future_and_not_empty(cast: Cast) -> None:
    for extra, field in [
        (ExtraDay(day=date(2026, 3, 1), spans=((540, 720),)), "day"),
        (ExtraDay(day=date(2026, 3, 7), spans=()), "spans"),
    ]:
        with pytest.raises(Invalid) as refused:
            cast.database.write(extra_hours.add_extra_hours, cast.bob, cast.doctor_ids["bob"], extra, now=NOW)
        assert refused.value.field == field

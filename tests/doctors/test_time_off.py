"""Time off, once and weekly, on a wall clock that jumps twice a year."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from tests.cast import NOW, Cast, local
from webapp.core.local_time import first_instant, instants_of
from webapp.doctors import time_off
from webapp.doctors.time_off import AddTimeOff, AlreadyOff, TimeOffRow
from webapp.exceptions import Invalid, NotFound
from webapp.models import AuditEvent, TimeOff

TUESDAY = date(2026, 3, 3)


def add(cast: Cast, **values: Any) -> int:
    """Add time off for Bob, by default on Tuesday 3 March; returns the number of stretches."""
    command = AddTimeOff(**{"from_date": TUESDAY, "until_date": values.get("from_date", TUESDAY), **values})
    return len(cast.database.write(time_off.add_time_off, cast.bob, cast.doctor_ids["bob"], command, now=NOW))


def ahead(cast: Cast, now: datetime = NOW) -> list[TimeOffRow]:
    with cast.database.reading() as session:
        return time_off.list_ahead(session, cast.doctor_ids["bob"], now=now)


def spans(cast: Cast) -> list[tuple[datetime, datetime]]:
    return [(row.starts_at, row.ends_at) for row in ahead(cast)]


def remove(cast: Cast, number: int, scope: time_off.Scope = "one", now: datetime = NOW) -> int:
    return cast.database.write(time_off.remove_time_off, cast.bob, cast.doctor_ids["bob"], number, scope, now=now)


def test_whole_days_and_hours(cast: Cast) -> None:
    assert add(cast, until_date=date(2026, 3, 6), reason=" Congress ") == 1
    add(cast, from_date=date(2026, 3, 9), from_time=time(9, 30), until_time=time(12))
    assert spans(cast) == [
        (local("2026-03-03 00:00"), local("2026-03-07 00:00")),
        (local("2026-03-09 09:30"), local("2026-03-09 12:00")),
    ]
    assert [(row.reason, row.series) for row in ahead(cast)] == [("Congress", None), ("", None)]


def test_time_off_is_not_entered_twice_but_may_overlap(cast: Cast) -> None:
    hours = {"from_time": time(9), "until_time": time(12)}
    add(cast, **hours)
    with pytest.raises(AlreadyOff):
        add(cast, reason="Sent twice", **hours)
    # The first of this series was entered before; the others were not.
    assert add(cast, repeat_until=TUESDAY + timedelta(days=14), **hours) == 3
    with pytest.raises(AlreadyOff):
        add(cast, repeat_until=TUESDAY + timedelta(days=14), **hours)
    assert add(cast, until_date=TUESDAY) == 1


def test_a_weekly_series_keeps_the_wall_clock_when_the_clocks_go_forward(cast: Cast) -> None:
    first = date(2026, 3, 24)
    times = {"from_time": time(9), "until_time": time(12)}
    assert add(cast, from_date=first, repeat_until=date(2026, 4, 7), **times) == 3
    assert spans(cast) == [
        (local(f"2026-{day} 09:00"), local(f"2026-{day} 12:00")) for day in ("03-24", "03-31", "04-07")
    ]
    assert spans(cast)[1][0] - spans(cast)[0][0] == timedelta(days=7, hours=-1)
    series = {row.series for row in ahead(cast)}
    assert len(series) == 1
    assert series != {None}


def test_the_day_of_23_hours_is_off_as_a_whole(cast: Cast) -> None:
    add(cast, from_date=date(2026, 3, 29))
    start, end = spans(cast)[0]
    assert end - start == timedelta(hours=23)


def test_a_time_that_the_clocks_skip_is_refused_at_its_field_also_within_a_series(cast: Cast) -> None:
    for values, field in [
        ({"from_date": date(2026, 3, 29), "from_time": time(2, 30), "until_time": time(5)}, "from_time"),
        ({"from_date": date(2026, 3, 29), "from_time": time(1), "until_time": time(2)}, "until_time"),
        (
            {
                "from_date": date(2026, 3, 22),
                "from_time": time(2, 30),
                "until_time": time(5),
                "repeat_until": date(2026, 4, 5),
            },
            "from_time",
        ),
    ]:
        with pytest.raises(Invalid, match="Sunday 29 March 2026") as refused:
            add(cast, **values)
        assert refused.value.field == field
    assert ahead(cast) == []


def test_a_time_that_occurs_twice_means_the_longer_time_off(cast: Cast) -> None:
    add(cast, from_date=date(2026, 10, 25), from_time=time(2, 30), until_time=time(2, 30))
    start, end = spans(cast)[0]
    assert (start, end - start) == (datetime.fromisoformat("2026-10-25T00:30Z"), timedelta(hours=1))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"from_date": date(2026, 3, 1)}, "from_date"),
        ({"until_date": date(2026, 3, 2)}, "until_date"),
        ({"until_date": date(2027, 3, 4)}, "until_date"),
        ({"from_time": time(9), "until_time": time(9)}, "until_time"),
        ({"repeat_until": date(2026, 3, 2)}, "repeat_until"),
        ({"repeat_until": date(2027, 3, 9)}, "repeat_until"),
        ({"until_date": date(2026, 3, 10), "repeat_until": date(2026, 4, 1)}, "repeat_until"),
    ],
)
def test_invalid_time_off_is_refused_at_its_field(cast: Cast, values: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        add(cast, **values)
    assert refused.value.field == field
    assert ahead(cast) == []


def test_the_bounds_themselves_are_allowed(cast: Cast) -> None:
    add(cast, from_date=date(2026, 3, 2))
    add(cast, until_date=date(2027, 3, 3))
    assert add(cast, repeat_until=date(2027, 3, 8)) == 53
    with pytest.raises(ValidationError):
        AddTimeOff(from_date=date(1999, 12, 31), until_date=TUESDAY)


def test_one_of_a_series_is_removed_or_all_that_are_not_over(cast: Cast) -> None:
    add(cast, repeat_until=date(2026, 3, 31))
    add(cast, from_time=time(9))
    rows = [row for row in ahead(cast) if row.series]
    assert remove(cast, rows[1].id) == 1
    later = local("2026-03-05 12:00")
    assert remove(cast, rows[2].id, "series", now=later) == 3
    left = ahead(cast)
    assert [row.id for row in left if row.series] == [rows[0].id]
    assert len(left) == 2
    with pytest.raises(NotFound):
        remove(cast, rows[0].id, now=later)
    with pytest.raises(NotFound):
        remove(cast, rows[1].id)


def test_removing_one_outside_of_a_series_keeps_the_others(cast: Cast) -> None:
    add(cast)
    add(cast, from_time=time(9))
    assert remove(cast, ahead(cast)[0].id, "series") == 1
    assert len(ahead(cast)) == 1


def test_time_off_of_another_doctor_is_not_removed(cast: Cast) -> None:
    number = cast.add(
        TimeOff(doctor_id=cast.doctor_ids["erin"], starts_at=NOW, ends_at=NOW + timedelta(hours=1), reason="")
    )
    with pytest.raises(NotFound):
        remove(cast, number)


def test_a_removal_that_is_sent_twice_removes_nothing_else(cast: Cast) -> None:
    add(cast)
    [first] = ahead(cast)
    remove(cast, first.id)
    add(cast, from_date=date(2026, 3, 9))
    with pytest.raises(NotFound):
        remove(cast, first.id)
    assert spans(cast) == [(local("2026-03-09 00:00"), local("2026-03-10 00:00"))]


def test_past_time_off_is_listed_with_the_latest_first(cast: Cast) -> None:
    add(cast, repeat_until=date(2026, 3, 31))
    with cast.database.reading() as session:
        past = time_off.list_past(session, cast.doctor_ids["bob"], now=local("2026-03-18 00:00"))
    assert [row.starts_at for row in past] == [
        local("2026-03-17 00:00"),
        local("2026-03-10 00:00"),
        local("2026-03-03 00:00"),
    ]


def test_the_audit_log_has_the_dates_and_not_the_reason(cast: Cast) -> None:
    add(cast, reason="Operation", repeat_until=date(2026, 3, 10))
    remove(cast, ahead(cast)[0].id, "series")
    with cast.database.reading() as session:
        rows = session.execute(sa.select(AuditEvent.action, AuditEvent.details).order_by(AuditEvent.id)).all()
    dates = {"from": "2026-03-03", "until": "2026-03-10", "times": 2}
    assert [tuple(row) for row in rows] == [("time_off_added", dates), ("time_off_removed", dates)]


# Beirut and Havana put their clocks forward at midnight; Samoa left out 30 December 2011.
@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        ("Europe/Amsterdam", date(2026, 3, 29), "2026-03-28T23:00Z"),
        ("Asia/Beirut", date(2026, 3, 29), "2026-03-28T22:00Z"),
        ("America/Havana", date(2026, 3, 8), "2026-03-08T05:00Z"),
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00Z"),
    ],
)
def test_every_day_has_a_beginning(zone: str, day: date, begins: str) -> None:
    assert first_instant(day, ZoneInfo(zone)) == datetime.fromisoformat(begins)


def test_a_wall_clock_shows_a_time_once_twice_or_never() -> None:
    zone = ZoneInfo("Europe/Amsterdam")
    assert len(instants_of(datetime.fromisoformat("2026-03-03T02:30"), zone)) == 1
    assert len(instants_of(datetime.fromisoformat("2026-10-25T02:30"), zone)) == 2
    assert instants_of(datetime.fromisoformat("2026-03-29T02:30"), zone) == []

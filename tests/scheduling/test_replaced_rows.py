"""Rows that SQLite's REPLACE deletes, at a console with SQLite's defaults: no trigger for deletions fires, and foreign
keys are off. PostgreSQL has no REPLACE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from tests.appointment_rows import put
from tests.cast import NOW, Cast, local
from webapp.clinic.schedule_version_models import OF_DOCTOR
from webapp.engines import sqlite_module
from webapp.integrity.problems import find_problems
from webapp.migrations import downgrade, upgrade
from webapp.models import Base, ExtraHours, TimeOff

# The starts of an appointment that is over by any clock, and of one ahead.
OVER, AHEAD = "2026-02-03 10:00", "2090-03-02 10:00"
FEBRUARY = -202602
HOURS = {"start_minute": 600, "end_minute": 660}


# Two SQLite libraries in one process would take each other's locks away.
sqlite3 = sqlite_module()


@contextmanager
def console(cast: Cast) -> Iterator[Any]:
    """A person's own connection to the file."""
    with closing(sqlite3.connect(cast.database.url.database or "")) as connection, connection:
        yield connection


@pytest.fixture
def at_console(sqlite_cast: Cast) -> Callable[..., set[int]]:
    """Runs a statement at a console, and returns which versions it raised."""

    def run(statement: str, *values: object) -> set[int]:
        with console(sqlite_cast) as connection:
            before = _versions(connection)
            connection.execute(statement, values)
            after = _versions(connection)
        return {number for number, version in after.items() if version != before.get(number)}

    return run


def _versions(connection: Any) -> dict[int, int]:
    return dict(connection.execute("SELECT doctor_id, version FROM schedule_versions"))


@pytest.fixture
def two_rows(sqlite_cast: Cast) -> Callable[[str], tuple[int, int]]:
    """The ids of a row of Bob's and a row of Erin's in one of the tables that belong to doctors."""
    cast = sqlite_cast
    for number, slug in enumerate(("bob", "erin")):
        doctor_id = cast.doctor_ids[slug]
        put(cast, AHEAD, doctor=slug, patient="alice" if slug == "bob" else "dave")
        cast.add(ExtraHours(doctor_id=doctor_id, day=local("2026-03-08 09:00").date(), **HOURS))
        start = local(f"2026-03-04 1{number}:00")
        cast.add(TimeOff(doctor_id=doctor_id, starts_at=start, ends_at=local("2026-03-04 15:00")))

    def find(table: str) -> tuple[int, int]:
        columns = Base.metadata.tables[table].c
        with cast.database.reading() as session:
            bob, erin = (
                session.scalars(sa.select(columns.id).where(columns.doctor_id == cast.doctor_ids[slug])).first()
                for slug in ("bob", "erin")
            )
        assert bob
        assert erin
        return bob, erin

    return find


def _copied(table: str, **changed: object) -> str:
    """The columns of a table and a SELECT of a row `id = ?`, with other values for some columns."""
    names = [column.name for column in Base.metadata.tables[table].columns]
    values = ", ".join(str(changed.get(name, name)) for name in names)
    return f"INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} WHERE id = ?"


@pytest.mark.parametrize("table", OF_DOCTOR)
def test_an_insert_that_replaces_another_doctors_row_raises_both_versions(
    sqlite_cast: Cast,
    at_console: Callable[..., set[int]],
    two_rows: Callable[[str], tuple[int, int]],
    table: str,
) -> None:
    bob, erin = two_rows(table)
    # Erin's row of `busy_times` would overlap itself.
    later = {"from_minute": "from_minute + 600", "until_minute": "until_minute + 600"} if table == "busy_times" else {}

    assert at_console(f"REPLACE {_copied(table, id=bob, **later)}", erin) == set(sqlite_cast.doctor_ids.values())


@pytest.mark.parametrize("key", ["id", "rowid"])
@pytest.mark.parametrize("table", OF_DOCTOR)
def test_an_update_that_replaces_another_doctors_row_raises_both_versions(
    sqlite_cast: Cast,
    at_console: Callable[..., set[int]],
    two_rows: Callable[[str], tuple[int, int]],
    table: str,
    key: str,
) -> None:
    bob, erin = two_rows(table)

    # Erin's row of `busy_times` would overlap itself.
    later = ", from_minute = from_minute + 600, until_minute = until_minute + 600" if table == "busy_times" else ""
    raised = at_console(f"UPDATE OR REPLACE {table} SET {key} = ?{later} WHERE id = ?", bob, erin)

    assert raised == set(sqlite_cast.doctor_ids.values())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE OR REPLACE appointments SET id = {over} WHERE id = ?",
        "UPDATE OR REPLACE appointments SET _rowid_ = {over} WHERE id = ?",
        "REPLACE " + _copied("appointments", id="{over}", reference="'NEW'", link_key="'new'"),
    ],
)
def test_replacing_an_appointment_of_a_past_month_raises_the_version_of_its_month(
    sqlite_cast: Cast, at_console: Callable[..., set[int]], statement: str
) -> None:
    over = put(sqlite_cast, OVER, status="completed")
    ahead = put(sqlite_cast, AHEAD, patient="dave", status="cancelled")

    raised = at_console(statement.format(over=over), ahead)

    assert FEBRUARY in raised
    assert list(find_problems(sqlite_cast.database, now=NOW)) == []


@pytest.mark.parametrize("key", ["reference", "link_key"])
def test_an_appointment_cannot_be_replaced_by_its_reference_or_its_link(sqlite_cast: Cast, key: str) -> None:
    """Its time would stay taken, because `busy_times` would not hear of the row that vanished."""
    first, second = put(sqlite_cast, OVER), put(sqlite_cast, AHEAD, patient="dave", status="cancelled")
    other = {"reference": "'NEW'", "link_key": "'new'"} | {key: f"(SELECT {key} FROM appointments WHERE id = {first})"}
    attempts: list[tuple[str, tuple[Any, ...]]] = [
        (f"{verb} {_copied('appointments', id='NULL', status=repr('cancelled'), **other)}", (second,))
        for verb in ("INSERT", "REPLACE", "INSERT OR FAIL")
    ]
    attempts += [(f"UPDATE OR REPLACE appointments SET {key} = {other[key]} WHERE id = ?", (second,))]

    for statement, values in attempts:
        with (
            console(sqlite_cast) as connection,
            pytest.raises(sqlite3.IntegrityError, match="appointments_reference_or_link_taken"),
        ):
            connection.execute(statement, values)
    with console(sqlite_cast) as connection:
        assert connection.execute("SELECT count(*) FROM appointments").fetchone() == (2,)
        # A row may be written again with the keys that it has.
        connection.execute("UPDATE appointments SET reference = reference, link_key = link_key")
        connection.execute(f"REPLACE {_copied('appointments')}", (first,))
    assert list(find_problems(sqlite_cast.database, now=NOW)) == []


def test_the_triggers_go_and_come_back_with_their_migration(sqlite_cast: Cast) -> None:
    def count_triggers() -> int:
        with console(sqlite_cast) as connection:
            return int(connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()[0])

    before = count_triggers()
    downgrade(sqlite_cast.database, "0056")
    with_them = count_triggers()
    downgrade(sqlite_cast.database, "0055")
    assert count_triggers() == with_them - 9
    upgrade(sqlite_cast.database)
    assert count_triggers() == before
    assert list(find_problems(sqlite_cast.database, now=NOW)) == []

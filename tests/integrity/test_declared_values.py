"""`docket check` names values that Docket cannot read, and says what it could not check because of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from tests.appointment_rows import put
from tests.cast import NOW, Cast
from webapp import models
from webapp.database import Base
from webapp.engines import sqlite_module
from webapp.integrity.declared_values import Unreadable, find_unreadable
from webapp.integrity.problems import find_problems
from webapp.integrity.warnings import find_warnings


@contextmanager
def console(cast: Cast) -> Iterator[Any]:
    """A person's own connection to the file, which checks nothing and keeps what it finds."""
    with closing(sqlite_module().connect(str(cast.database.url.database))) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        yield connection


def problems(cast: Cast) -> list[str]:
    list(find_warnings(cast.database, production=True))
    return list(find_problems(cast.database, now=NOW))


# Bytes of another encoding: no text, no number, no date and no JSON.
LATIN_1 = "CAST(X'E9' AS TEXT)"
KEYS = {"id", "doctor_id", "patient_id", "visit_type_id", "appointment_id", "user_id", "reference", "starts_at"}
TABLES = (
    "clinic_settings",
    "visit_types",
    "doctors",
    "patients",
    "users",
    "time_off",
    "appointments",
    "outbox_messages",
)


@pytest.mark.parametrize("name", TABLES)
def test_each_unreadable_value_is_named_and_the_other_checks_go_on(sqlite_cast: Cast, name: str) -> None:
    cast, bob = sqlite_cast, sqlite_cast.doctor_ids["bob"]
    cast.book(cast.dave, "2026-03-04 14:00")
    cast.book(cast.alice, "2026-03-04 10:00", doctor="erin", visit_type=cast.long)
    cast.add(models.TimeOff(doctor_id=bob, starts_at=NOW, ends_at=NOW.replace(hour=20)))
    columns = [column.name for column in Base.metadata.tables[name].columns if column.name not in KEYS]
    broken = ", ".join(f'"{column}" = {LATIN_1}' for column in columns)
    one = f"(SELECT max(rowid) FROM {name})"
    with console(cast) as connection:
        connection.execute(f"UPDATE {name} SET {broken} WHERE rowid = {one}")
        # A problem of another kind.
        connection.execute("UPDATE busy_times SET until_minute = 9999999999999")

    told = problems(cast)

    assert {f"Rows of {name} whose {column} cannot be read: 1." for column in columns} <= set(told)
    assert any("at an impossible time" in line for line in told)


@pytest.mark.parametrize(("statement", "column"), [
    ("UPDATE time_off SET ends_at = '2026-02-31 10:00:00'", "time_off.ends_at"),
    ("UPDATE time_off SET starts_at = 1772000000", "time_off.starts_at"),
    ("UPDATE extra_hours SET day = '2026-3-7'", "extra_hours.day"),
    ("UPDATE extra_hours SET day = '0000-03-07'", "extra_hours.day"),
    ("UPDATE doctors SET languages = 'English' WHERE slug = 'bob'", "doctors.languages"),
    ("UPDATE doctors SET languages = '{}' WHERE slug = 'bob'", "doctors.languages"),
    ("UPDATE doctors SET active = 'yes' WHERE slug = 'bob'", "doctors.active"),
    ("UPDATE doctors SET slot_step = 7.5 WHERE slug = 'bob'", "doctors.slot_step"),
    ("UPDATE patients SET phone = X'00' WHERE name LIKE 'Alice%'", "patients.phone"),
    (f"UPDATE patients SET alert = {LATIN_1} WHERE name LIKE 'Alice%'", "patients.alert"),
])  # fmt: skip
def test_a_value_of_another_kind_is_named(sqlite_cast: Cast, statement: str, column: str) -> None:
    cast, bob = sqlite_cast, sqlite_cast.doctor_ids["bob"]
    cast.add(models.TimeOff(doctor_id=bob, starts_at=NOW, ends_at=NOW.replace(hour=20)))
    cast.add(models.ExtraHours(doctor_id=bob, day=NOW.date(), start_minute=600, end_minute=660))
    with console(cast) as connection:
        connection.execute(statement)
    table, _dot, name = column.partition(".")
    with cast.database.reading() as session:
        assert list(find_unreadable(session)) == [Unreadable(table, name, 1)]
    assert f"Rows of {table} whose {name} cannot be read: 1." in problems(cast)


def test_dates_that_python_does_not_know_are_named(cast: Cast) -> None:
    if cast.database.is_sqlite:
        return
    bob = cast.doctor_ids["bob"]
    cast.add(models.TimeOff(doctor_id=bob, starts_at=NOW, ends_at=NOW.replace(hour=20)))
    with cast.database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE time_off SET ends_at = 'infinity'"))
        connection.execute(sa.text("UPDATE doctors SET languages = '{}' WHERE slug = 'bob'"))
    told = problems(cast)
    assert "Rows of time_off whose ends_at cannot be read: 1." in told
    assert "Rows of doctors whose languages cannot be read: 1." in told


def test_unknown_words_are_named(sqlite_cast: Cast) -> None:
    put(sqlite_cast, "2026-03-03 10:00")
    with console(sqlite_cast) as connection:
        connection.execute("UPDATE appointments SET status = 'planned', previous_status = 'planned'")
        connection.execute("UPDATE visit_types SET suggested_for = 'children' WHERE name = 'Follow-up'")
    told = problems(sqlite_cast)
    assert "SQLite says: CHECK constraint failed in appointments." in told
    assert "Rows of appointments whose previous_status has an unknown word: 1." in told
    assert "Rows of visit_types whose suggested_for has an unknown word: 1." in told


@pytest.mark.parametrize(("column", "value"), [
    ("time_zone", "Europe/Atlantis"),
    ("time_zone", ""),
    ("reminder_days", "often"),
    ("asks_phone", "maybe"),
    ("notice_minutes", 2_000_000_000),
])  # fmt: skip
def test_settings_that_docket_cannot_use_are_named(cast: Cast, column: str, value: object) -> None:
    alice = sa.update(models.Patient).where(models.Patient.id == cast.patient_ids["alice"])
    cast.change(alice.values(email="other@docket.example"))
    cast.change(sa.update(models.ClinicSettings).values({column: value}))
    put(cast, "2026-03-03 10:00")
    told = problems(cast)
    assert f"The clinic’s setting {column} has an unknown value." in told
    assert told[-1].endswith("another email address on the record than on the account.")
    if column == "time_zone":
        assert any(line.startswith("Appointments outside hours could not be checked") for line in told)


def test_deleted_settings_are_a_problem_once_the_clinic_has_hours(cast: Cast) -> None:
    cast.change(sa.delete(models.ClinicSettings))
    assert problems(cast) == ["The clinic’s settings are gone: Docket uses its defaults, even for the time zone."]
    cast.change(sa.delete(models.OpeningHours))
    assert problems(cast) == []


def test_a_row_in_the_way_of_the_trial_is_not_a_missing_guard(cast: Cast) -> None:
    cast.change(sa.insert(models.VisitType).values(id=-1, name="Of a console", minutes=30))
    (told,) = problems(cast)
    assert told.startswith("The guard could not be tried: a row is in the way")

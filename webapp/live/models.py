"""The list of changes for open pages: the doctor and the day of each, and nothing about a person.

Database triggers write it, so that no process and no console can change a day without a row. PostgreSQL also notifies
all listeners when the change is committed; on SQLite the processes poll for changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base, ddl

# The channel of PostgreSQL's notifications. A payload is 'doctor day'.
CHANNEL = "docket_live"
# The values of a row for a change that concerns all doctors, or all days.
ANY_DOCTOR, ANY_DAY = 0, ""

# The tables whose rows concern one doctor, on any day.
OF_DOCTOR = ("working_hours", "extra_hours", "time_off")
# The tables whose rows concern all doctors.
OF_CLINIC = (
    *("clinic_settings", "opening_hours", "closures", "visit_types", "doctors", "doctor_visit_types"),
    *("walk_ins", "told_lists"),
)
# The tables of which pages show only these columns on a day.
COLUMNS = {"patients": ("name", "birth_date", "phone", "email", "alert")}
# Live pages count messages that could not be delivered, and list the calls to make instead; they show no others.
GIVEN_UP = "outbox_messages"
_GIVEN_UP_CHANGES = {
    "update": ("UPDATE OF status", "(OLD.status = 'dead') <> (NEW.status = 'dead')"),
    "delete": ("DELETE", "OLD.status = 'dead'"),
}


class LiveChange(Base):
    """A day of a doctor changed. `day` is a date in UTC, by which a page knows whether it shows it.

    There is no foreign key: a row only has to be read once. The worker deletes all but the newest.
    """

    __tablename__ = "live_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    doctor_id: Mapped[int]
    day: Mapped[str] = mapped_column(sa.String(10))


def sqlite_triggers() -> Iterator[str]:
    """The triggers on SQLite."""
    day = "SELECT {0}.doctor_id, date({0}.starts_at)"
    doctor = "SELECT {0}.doctor_id, ''"
    yield from _sqlite_triggers("appointments", day)
    for table in OF_DOCTOR:
        yield from _sqlite_triggers(table, doctor)
    for table in OF_CLINIC:
        yield from _sqlite_triggers(table, "SELECT 0, ''")
    for table, columns in COLUMNS.items():
        yield _sqlite_trigger(table, "UPDATE", "SELECT 0, ''", f"UPDATE OF {', '.join(columns)}")
    for name, (event, condition) in _GIVEN_UP_CHANGES.items():
        yield _sqlite_trigger(GIVEN_UP, name, "SELECT 0, ''", event, f"WHEN {condition}")


def _sqlite_triggers(table: str, changed: str) -> Iterator[str]:
    for event, rows in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
        # UNION removes duplicate rows.
        yield _sqlite_trigger(table, event, " UNION ".join(dict.fromkeys(changed.format(row) for row in rows)), event)


def _sqlite_trigger(table: str, event: str, changed: str, when: str, condition: str = "") -> str:
    return f"""
    CREATE TRIGGER {table}_live_on_{event.lower()} AFTER {when} ON {table} {condition}
    BEGIN
        INSERT INTO live_changes (doctor_id, day) {changed};
    END
    """


def postgresql_triggers() -> Iterator[str]:
    """The functions and the triggers on PostgreSQL, once a statement: a thousand rows of one day are one change."""
    changed = {
        "day": "SELECT DISTINCT doctor_id, to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM changed",
        "doctor": "SELECT DISTINCT doctor_id, '' FROM changed",
        "clinic": "SELECT 0, ''",
    }
    for whose, query in changed.items():
        yield f"""
    CREATE FUNCTION note_live_change_of_{whose}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO live_changes (doctor_id, day) {query};
        RETURN NULL;
    END $$
    """
    yield f"""
    CREATE FUNCTION tell_live_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('{CHANNEL}', NEW.doctor_id || ' ' || NEW.day);
        RETURN NULL;
    END $$
    """
    yield (
        "CREATE TRIGGER live_changes_told AFTER INSERT ON live_changes FOR EACH ROW EXECUTE FUNCTION tell_live_change()"
    )
    yield from _postgresql_triggers("appointments", "day")
    for table in OF_DOCTOR:
        yield from _postgresql_triggers(table, "doctor")
    for table in OF_CLINIC:
        yield _postgresql_trigger(table, "change", "INSERT OR UPDATE OR DELETE", "", "clinic")
    for table, columns in COLUMNS.items():
        yield _postgresql_trigger(table, "update", f"UPDATE OF {', '.join(columns)}", "", "clinic")
    for name, (event, condition) in _GIVEN_UP_CHANGES.items():
        # Only a trigger of rows has a condition.
        yield (
            f"CREATE TRIGGER {GIVEN_UP}_live_on_{name} AFTER {event} ON {GIVEN_UP}"
            f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION note_live_change_of_clinic()"
        )


def _postgresql_triggers(table: str, whose: str) -> Iterator[str]:
    for name, event, rows in (
        ("insert", "INSERT", "NEW"),
        ("update", "UPDATE", "NEW"),
        # The doctor's day before the change.
        ("leave", "UPDATE", "OLD"),
        ("delete", "DELETE", "OLD"),
    ):
        yield _postgresql_trigger(table, name, event, f" REFERENCING {rows} TABLE AS changed", whose)


def _postgresql_trigger(table: str, name: str, event: str, rows: str, whose: str) -> str:
    return (
        f"CREATE TRIGGER {table}_live_on_{name} AFTER {event} ON {table}{rows}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION note_live_change_of_{whose}()"
    )


for _dialect, _statements in (("sqlite", sqlite_triggers()), ("postgresql", postgresql_triggers())):
    for _statement in _statements:
        # All tables exist by then.
        _made = ddl(_statement.replace("%", "%%")).execute_if(dialect=_dialect)
        sa.event.listen(Base.metadata, "after_create", _made)

"""The guard of doctors' time: a row of `busy_times` is time that is taken, and no two rows of one lane overlap.

The table is derived. Database triggers maintain it from the tables that take time, so a program or a person at a
database console passes the guard as well, unless they change this table itself, which `docket check` finds. A new kind
of row that takes time adds a column and triggers; the guard stays the same.

The guard has two forms with the same meaning. PostgreSQL has an exclusion constraint. SQLite has triggers; a CHECK that
no row is longer than eight hours lets them search a bounded range of an index. They use RAISE(ABORT), which the
conflict clause of an outer statement (INSERT OR IGNORE, INSERT OR REPLACE) cannot weaken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base, ddl, table_of
from webapp.scheduling.models import LONGEST_HOURS, OCCUPIES, OCCUPIES_WORDS, Appointment
from webapp.sql_functions import minute_of

LONGEST_MINUTES = LONGEST_HOURS * 60
OVERLAP = "busy_times_doctor_overlap"
"""The name that both databases give when they refuse to give a doctor's time twice."""


class BusyTime(Base):
    """A span of a doctor's time that is taken, in minutes since 1970-01-01T00:00Z, buffers included.

    Rows of different lanes may overlap: lane 0 is the ordinary one, lane 1 has squeezed-in appointments. `doctor_id`
    has no foreign key here, because the row that takes the time has one. The foreign key to the appointment makes
    SQLite refuse to rebuild that table, which would silently drop the triggers.
    """

    __tablename__ = "busy_times"
    __table_args__ = (
        sa.CheckConstraint(
            f"from_minute < until_minute AND until_minute - from_minute <= {LONGEST_MINUTES}", name="length"
        ),
        # The index covers the queries for free times and those of SQLite's guard.
        sa.Index("ix_busy_times_doctor", "doctor_id", "from_minute", "until_minute", "lane", "appointment_id"),
        sa.Index("ix_busy_times_appointment_id", "appointment_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    doctor_id: Mapped[int]
    lane: Mapped[int] = mapped_column(sa.SmallInteger)
    from_minute: Mapped[int]
    until_minute: Mapped[int]
    appointment_id: Mapped[int | None] = mapped_column(sa.ForeignKey("appointments.id"))


class Source(NamedTuple):
    """A table whose rows take time: it has `id`, `doctor_id`, `lane`, `busy_from` and `busy_until`.

    `column` is the column of `busy_times` that refers to the table. `takes_time` is the condition that a row takes time
    now, in SQL that both databases accept, with {row} in place of the row's name.
    """

    table: str
    column: str
    takes_time: str


APPOINTMENTS = Source("appointments", "appointment_id", f"{{row}}.{OCCUPIES_WORDS}")


def postgresql_guard() -> Iterator[str]:
    """The constraint that refuses an overlap on PostgreSQL."""
    yield f"""
    ALTER TABLE busy_times ADD CONSTRAINT {OVERLAP} EXCLUDE USING gist
    (doctor_id WITH =, lane WITH =, int4range(from_minute, until_minute) WITH &&)
    """


def sqlite_guard() -> Iterator[str]:
    """The triggers that refuse an overlap on SQLite."""
    for event in ("INSERT", "UPDATE"):
        yield f"""
    CREATE TRIGGER {OVERLAP}_on_{event.lower()} BEFORE {event} ON busy_times
    BEGIN
        SELECT RAISE(ABORT, '{OVERLAP}') WHERE EXISTS (
            SELECT 1 FROM busy_times
            WHERE doctor_id = NEW.doctor_id
              AND lane = NEW.lane
              AND from_minute > NEW.from_minute - {LONGEST_MINUTES}
              AND from_minute < NEW.until_minute
              AND until_minute > NEW.from_minute
              AND id IS NOT NEW.id
        );
    END
    """


def sqlite_maintenance_triggers(source: Source) -> Iterator[str]:
    """The triggers that maintain `busy_times` from one table on SQLite.

    INSERT OR REPLACE and UPDATE OR REPLACE delete a row without firing its delete trigger, so the other triggers remove
    any row that the new row's id left behind.
    """
    table, column, takes_time = source
    condition = takes_time.format(row="NEW")
    minute = "CAST(strftime('%s', NEW.{}) AS INTEGER) / 60"
    insertion = f"""
        INSERT INTO busy_times (doctor_id, lane, from_minute, until_minute, {column})
            SELECT NEW.doctor_id, NEW.lane, {minute.format("busy_from")}, {minute.format("busy_until")}, NEW.id
            WHERE {condition};"""
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in ("id", *_TAKEN))
    yield f"""
    CREATE TRIGGER {table}_busy_times_on_insert AFTER INSERT ON {table}
    BEGIN
        DELETE FROM busy_times WHERE {column} = NEW.id;{insertion}
    END
    """
    yield f"""
    CREATE TRIGGER {table}_busy_times_on_update AFTER UPDATE ON {table}
    WHEN ({takes_time.format(row="OLD")}) IS NOT ({condition}) OR {changed}
    BEGIN
        DELETE FROM busy_times WHERE {column} IN (OLD.id, NEW.id);{insertion}
    END
    """
    yield f"""
    CREATE TRIGGER {table}_busy_times_on_delete BEFORE DELETE ON {table}
    BEGIN
        DELETE FROM busy_times WHERE {column} = OLD.id;
    END
    """


def postgresql_maintenance_triggers(source: Source) -> Iterator[str]:
    """The function and the triggers that maintain `busy_times` from one table on PostgreSQL.

    They lock the doctor's row before they take time. Transactions that bypass the service and take no locks then wait
    for each other instead of deadlocking. With ENABLE ALWAYS the triggers also fire in sessions that apply a replica's
    changes.
    """
    table, column, takes_time = source
    minute = "CAST(date_part('epoch', NEW.{}) / 60 AS integer)"
    yield f"""
    CREATE FUNCTION keep_busy_times_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            DELETE FROM busy_times WHERE {column} = OLD.id;
        END IF;
        IF TG_OP <> 'DELETE' AND ({takes_time.format(row="NEW")}) THEN
            PERFORM FROM doctors WHERE id = NEW.doctor_id FOR NO KEY UPDATE;
            INSERT INTO busy_times (doctor_id, lane, from_minute, until_minute, {column})
            VALUES (NEW.doctor_id, NEW.lane, {minute.format("busy_from")}, {minute.format("busy_until")}, NEW.id);
        END IF;
        RETURN OLD;
    END $$
    """
    before, after = (
        ", ".join([*(f"{row}.{name}" for name in ("id", *_TAKEN)), takes_time.format(row=row)])
        for row in ("OLD", "NEW")
    )
    whens = {
        "insert": ("AFTER", ""),
        "update": ("AFTER", f"WHEN (({before}) IS DISTINCT FROM ({after}))"),
        "delete": ("BEFORE", ""),
    }
    for event, (moment, when) in whens.items():
        name = f"{table}_busy_times_on_{event}"
        yield (
            f"CREATE TRIGGER {name} {moment} {event.upper()} ON {table}"
            f" FOR EACH ROW {when} EXECUTE FUNCTION keep_busy_times_of_{table}()"
        )
        yield f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"


# The columns of a source's row that determine which time is taken.
_TAKEN = ("doctor_id", "lane", "busy_from", "busy_until")

_BUSY = table_of(BusyTime).c
CONTENTS = sa.select(_BUSY.doctor_id, _BUSY.lane, _BUSY.from_minute, _BUSY.until_minute, _BUSY.appointment_id)
"""The actual content of `busy_times`."""


def expected() -> sa.Select[*tuple[Any, ...]]:
    """The expected rows of `busy_times`, in the columns of `CONTENTS`, computed from the tables that take time."""
    appointment = table_of(Appointment).c
    return sa.select(
        appointment.doctor_id,
        appointment.lane,
        minute_of(appointment.busy_from),
        minute_of(appointment.busy_until),
        appointment.id,
    ).where(OCCUPIES)


def _create_with_the_table(dialect: str, statements: Iterator[str]) -> None:
    for statement in statements:
        # In such a statement SQLAlchemy reads a single % as the start of a name.
        made = ddl(statement.replace("%", "%%")).execute_if(dialect=dialect)
        sa.event.listen(BusyTime.__table__, "after_create", made)


_create_with_the_table("sqlite", sqlite_guard())
_create_with_the_table("sqlite", sqlite_maintenance_triggers(APPOINTMENTS))
_create_with_the_table("postgresql", postgresql_guard())
_create_with_the_table("postgresql", postgresql_maintenance_triggers(APPOINTMENTS))

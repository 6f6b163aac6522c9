"""The versions of schedules, and the triggers that raise them on both databases.

They fire for every change of these tables, by Docket or by a person at a database console.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Base, ddl

# The tables that a doctor's free times depend on; `doctor_id` names the doctor whom a row concerns.
_HOURS = ("working_hours", "extra_hours", "time_off")
OF_DOCTOR = ("busy_times", *_HOURS)
# The tables that concern all doctors, or describe the doctors themselves.
OF_CLINIC = ("clinic_settings", "opening_hours", "closures", "visit_types", "doctors", "doctor_visit_types")

# The table whose rows belong to months. Changes are noted only for appointments that began longer ago than this, so
# bookings and the desk's work on the day cost nothing more.
OF_MONTH = "appointments"
OVER_FOR_DAYS = 1

CLINIC = 0


class ScheduleVersion(Base):
    """The version of a doctor's schedule or, with the number 0, of the clinic's, or with -202603 of a month in UTC.

    There is no foreign key: a version stays when its doctor is deleted, because the doctor may come back with the id
    from a backup.
    """

    __tablename__ = "schedule_versions"

    doctor_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(sa.BigInteger)


_RAISED_ON_SQLITE = """
        DELETE FROM schedule_versions WHERE doctor_id = {0};
        INSERT INTO schedule_versions (doctor_id, version) VALUES ({0}, random());"""


def sqlite_triggers() -> Iterator[str]:
    """The triggers on SQLite. They delete and insert, because an outer OR IGNORE cannot suppress either."""
    over = f"{{0}}starts_at < datetime('now', '-{OVER_FOR_DAYS} day')"
    month = "-CAST(strftime('%Y%m', {0}starts_at) AS INTEGER)"
    for table in OF_DOCTOR:
        yield from _sqlite_triggers_of_replaced(table, "doctor_id")
    yield from _sqlite_triggers_of_replaced(OF_MONTH, month.format(""), f" AND {over.format('')}")
    for table in (*OF_DOCTOR, *OF_CLINIC):
        for event, rows_changed in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
            changed = [f"{row}.doctor_id" for row in rows_changed] if table in OF_DOCTOR else [str(CLINIC)]
            raised = "".join(_RAISED_ON_SQLITE.format(doctor) for doctor in changed)
            yield f"""
    CREATE TRIGGER {table}_schedule_version_on_{event.lower()} AFTER {event} ON {table}
    BEGIN{raised}
    END
    """
    for event, row in _CHANGES_OF_MONTH:
        yield f"""
    CREATE TRIGGER {OF_MONTH}_schedule_version_on_{event.lower()}_{row.lower()} AFTER {event} ON {OF_MONTH}
    WHEN {over.format(f"{row}.")}
    BEGIN{_RAISED_ON_SQLITE.format(month.format(f"{row}."))}
    END
    """


def _sqlite_triggers_of_replaced(table: str, number: str, condition: str = "") -> Iterator[str]:
    """The triggers for the row that stands under the id that a row gets: REPLACE deletes it without a trigger for
    deletions.

    An UPDATE has no list of columns, because an id that is set by the name rowid is not in it.
    """
    found = f"(SELECT {number} FROM {table} WHERE id = NEW.id{condition})"
    for name, event, when in (("replace", "INSERT", ""), ("replacing_update", "UPDATE", "NEW.id IS NOT OLD.id AND ")):
        yield f"""
    CREATE TRIGGER {table}_schedule_version_on_{name} BEFORE {event} ON {table}
    WHEN {when}EXISTS {found}
    BEGIN{_RAISED_ON_SQLITE.format(found)}
    END
    """


# A moved appointment may leave one month and come into another.
_CHANGES_OF_MONTH = (("INSERT", "NEW"), ("UPDATE", "OLD"), ("UPDATE", "NEW"), ("DELETE", "OLD"))


# Within one transaction a version is raised once: see `postgresql_triggers`.
_FUNCTIONS = (
    """
    CREATE FUNCTION raise_schedule_version(number integer) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT EXISTS (
            SELECT FROM schedule_versions WHERE doctor_id = number AND version >> 20 = txid_current()
        ) THEN
            INSERT INTO schedule_versions (doctor_id, version)
            VALUES (number, (txid_current() << 20) + floor(random() * 1048576)::bigint)
            ON CONFLICT (doctor_id) DO UPDATE SET version = excluded.version;
        END IF;
    END $$
    """,
    """
    CREATE FUNCTION raise_schedule_version_of_doctor() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            PERFORM raise_schedule_version(OLD.doctor_id);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            PERFORM raise_schedule_version(NEW.doctor_id);
        END IF;
        RETURN NULL;
    END $$
    """,
    f"""
    CREATE FUNCTION raise_schedule_version_of_clinic() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM raise_schedule_version({CLINIC});
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION raise_schedule_version_of_old_month() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM raise_schedule_version(-to_char(OLD.starts_at AT TIME ZONE 'UTC', 'YYYYMM')::integer);
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION raise_schedule_version_of_new_month() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM raise_schedule_version(-to_char(NEW.starts_at AT TIME ZONE 'UTC', 'YYYYMM')::integer);
        RETURN NULL;
    END $$
    """,
)


def postgresql_triggers() -> Iterator[str]:
    """The functions and the triggers on PostgreSQL.

    The upper bits of a version are the transaction's number, and within one transaction a version changes only once,
    because updating one row a thousand times leaves a thousand dead rows to read. The clinic's version is raised when
    the transaction commits: its row would otherwise make every change of a doctor, and the trial of the guard, wait
    for each other. With ENABLE ALWAYS the triggers also fire in sessions that apply a replica's changes.
    """
    yield from _FUNCTIONS
    for table in OF_DOCTOR:
        yield from _postgresql_trigger(table, "rows", "INSERT OR UPDATE OR DELETE", "ROW", "doctor")
        # It is no longer known whose rows they were.
        yield from _postgresql_trigger(table, "truncate", "TRUNCATE", "STATEMENT", "clinic")
    for table in OF_CLINIC:
        yield from _postgresql_trigger(table, "rows", "INSERT OR UPDATE OR DELETE", "ROW", "clinic", at_commit=True)
        yield from _postgresql_trigger(table, "truncate", "TRUNCATE", "STATEMENT", "clinic")
    for event, row in _CHANGES_OF_MONTH:
        over = f"WHEN ({row}.starts_at < now() - interval '{OVER_FOR_DAYS} day') "
        name, whose = f"{event}_{row}".lower(), f"{row.lower()}_month"
        yield from _postgresql_trigger(OF_MONTH, name, event, "ROW", whose, when=over)
    yield from _postgresql_trigger(OF_MONTH, "truncate", "TRUNCATE", "STATEMENT", "clinic")


def _postgresql_trigger(
    table: str, name: str, events: str, each: str, whose: str, *, at_commit: bool = False, when: str = ""
) -> Iterator[str]:
    name = f"{table}_schedule_version_on_{name}"
    kind, at = ("CONSTRAINT TRIGGER", "DEFERRABLE INITIALLY DEFERRED ") if at_commit else ("TRIGGER", "")
    yield (
        f"CREATE {kind} {name} AFTER {events} ON {table}"
        f" {at}FOR EACH {each} {when}EXECUTE FUNCTION raise_schedule_version_of_{whose}()"
    )
    yield f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"


for _dialect, _statements in (("sqlite", sqlite_triggers()), ("postgresql", postgresql_triggers())):
    for _statement in _statements:
        # All tables exist by then. In such a statement SQLAlchemy reads a single % as the start of a name.
        _made = ddl(_statement.replace("%", "%%")).execute_if(dialect=_dialect)
        sa.event.listen(Base.metadata, "after_create", _made)

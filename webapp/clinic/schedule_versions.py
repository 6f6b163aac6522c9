"""The state of the schedules that a transaction sees: one version for the clinic, and one for each doctor.

Database triggers give a doctor's schedule a new version whenever data changes that their free times depend on, and the
clinic a new one whenever data changes that concerns all doctors. A month that is over gets a new version when one of
its appointments changes, because reports count these. Neither a program nor a person at a database console can change
free times or reports without a new version, so what a process has computed for a version is valid as long as that
version is current.

A version is a random number instead of a count, because after a rollback or a restored backup the same number must not
stand for other data. If a doctor or the clinic has no row, nothing has changed since versions were introduced; that
also counts as a version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from webapp.database import Base, VersionCache, ddl, table_of
from webapp.engines import begin_with
from webapp.sql_functions import pairs_joined, split_pairs

T = TypeVar("T")

# The tables that a doctor's free times depend on; `doctor_id` names the doctor whom a row concerns.
_HOURS = ("working_hours", "extra_hours", "time_off")
OF_DOCTOR = ("busy_times", *_HOURS)
# The tables that concern all doctors, or describe the doctors themselves.
OF_CLINIC = ("clinic_settings", "opening_hours", "closures", "visit_types", "doctors", "doctor_visit_types")

# The table whose rows belong to months. A change is noted of what began longer ago than this, so bookings and what the
# desk enters on the day cost nothing more.
OF_MONTH = "appointments"
OVER_FOR_DAYS = 1

CLINIC = 0
_NEVER_CHANGED = 0


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
    for table in _HOURS:
        # REPLACE deletes a row without a trigger for deletions; it may have been another doctor's.
        found = f"(SELECT doctor_id FROM {table} WHERE id = NEW.id)"
        yield f"""
    CREATE TRIGGER {table}_schedule_version_on_replace BEFORE INSERT ON {table}
    WHEN EXISTS {found}
    BEGIN{_RAISED_ON_SQLITE.format(found)}
    END
    """
    for table in (*OF_DOCTOR, *OF_CLINIC):
        for event, rows_changed in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
            changed = [f"{row}.doctor_id" for row in rows_changed] if table in OF_DOCTOR else [str(CLINIC)]
            raised = "".join(_RAISED_ON_SQLITE.format(doctor) for doctor in changed)
            yield f"""
    CREATE TRIGGER {table}_schedule_version_on_{event.lower()} AFTER {event} ON {table}
    BEGIN{raised}
    END
    """
    over = f"{{0}}.starts_at < datetime('now', '-{OVER_FOR_DAYS} day')"
    month = "-CAST(strftime('%Y%m', {0}.starts_at) AS INTEGER)"
    for event, row in _CHANGES_OF_MONTH:
        yield f"""
    CREATE TRIGGER {OF_MONTH}_schedule_version_on_{event.lower()}_{row.lower()} AFTER {event} ON {OF_MONTH}
    WHEN {over.format(row)}
    BEGIN{_RAISED_ON_SQLITE.format(month.format(row))}
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


def missing_triggers(session: Session) -> list[str]:
    """The names of the triggers that the database lacks: without them, free times that are kept may be out of date."""
    sqlite = session.connection().dialect.name == "sqlite"
    statements = "\n".join(sqlite_triggers() if sqlite else postgresql_triggers())
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if sqlite
        else "SELECT tgname FROM pg_trigger WHERE tgenabled = 'A'"
    )
    return sorted(
        set(re.findall(r"TRIGGER (\w+_schedule_version_on_\w+)", statements)) - set(session.scalars(sa.text(query)))
    )


# ------------------------------------------------------------------------------------------------- reading

# What a text and the objects that are made of it weigh: see `VersionCache`.
CHARACTERS_OF_WEIGHT = 25

_VERSION = table_of(ScheduleVersion).c


@cache
def _all_versions(dialect: sa.Dialect) -> str:
    return str(sa.select(pairs_joined(_VERSION.doctor_id, _VERSION.version)).compile(dialect=dialect))


class Versions:
    """The versions that one snapshot sees, and what this process has cached for them: values, and whole answers."""

    def __init__(self, versions: Mapping[int, int], cache: VersionCache, answers: VersionCache) -> None:
        self._versions = versions
        self.cache = cache
        self.answers = answers
        self.of_clinic = versions.get(CLINIC, _NEVER_CHANGED)

    def of_doctor(self, doctor_id: int) -> tuple[int, int]:
        """The version of everything that a doctor's free times depend on, including the clinic's part."""
        return self.of_clinic, self._versions.get(doctor_id, _NEVER_CHANGED)

    def of_all_doctors(self) -> tuple[tuple[int, int], ...]:
        """The version of everything that any doctor's free times depend on."""
        return tuple(sorted(pair for pair in self._versions.items() if pair[0] >= CLINIC))

    def of_past(self, first: datetime | None, end: datetime) -> tuple[object, ...]:
        """The version of all appointments from `first` on, or of all, that began before `end`.

        `end` must be over for some time: see `is_over`.
        """
        low, high = 0 if first is None else _month_number(first), _month_number(end)
        of_months = ((number, version) for number, version in self._versions.items() if low <= -number <= high)
        # A table that was emptied at once gave the clinic a new version.
        return self.of_clinic, *sorted(pair for pair in of_months if pair[0] != CLINIC)


def _month_number(instant: datetime) -> int:
    in_utc = instant.astimezone(UTC)
    return in_utc.year * 100 + in_utc.month


def is_over(instant: datetime, *, now: datetime) -> bool:
    """Whether changes of appointments that began before an instant are noted: with a day more, as clocks differ."""
    return instant + timedelta(days=OVER_FOR_DAYS + 1) <= now


def versions_seen(session: Session) -> Versions | None:
    """The versions that this session's snapshot sees; the first call runs one query.

    None in a writing transaction. It sees data that may never be committed, so it neither reads nor fills the cache,
    and reads what it checks from the database.
    """
    cache: VersionCache | None = session.info.get("cache")
    if cache is None:
        return None
    transaction = session.get_transaction()
    snapshot, versions = session.info.get("versions", (None, None))
    if versions is None or snapshot is not transaction:
        text: str = begin_with(session, _all_versions(session.get_bind().dialect)) or ""
        numbers = cache.get("versions", text, lambda: dict(split_pairs(text)))
        versions = Versions(numbers, cache, session.info["answers"])
        session.info["versions"] = session.get_transaction(), versions
    found: Versions = versions
    return found


def kept_for_clinic(session: Session, key: Hashable, read: Callable[[], T]) -> T:
    """The result of `read`, cached until a table that concerns all doctors changes.

    Callers must not modify the value, because other requests share it.
    """
    versions = versions_seen(session)
    return read() if versions is None else versions.cache.get(key, versions.of_clinic, read)


def kept_for_doctor(session: Session, doctor_id: int, key: Hashable, read: Callable[[], T]) -> T:
    """The result of `read`, cached under this key until something that the doctor's schedule depends on changes.

    Callers must not modify the value, because other requests share it.
    """
    versions = versions_seen(session)
    if versions is None:
        return read()
    return versions.cache.get((key, doctor_id), versions.of_doctor(doctor_id), read)


def kept_for_text(session: Session, key: Hashable, text: str, read: Callable[[str], T]) -> T:
    """What `read` makes of a text that was read from the database, made once as long as the text stays the same.

    Callers must not modify the value, because other requests share it.
    """
    versions = versions_seen(session)
    if versions is None:
        return read(text)
    return versions.cache.get(key, text, lambda: read(text), weight=len(text) // CHARACTERS_OF_WEIGHT)


def kept_of_past(
    session: Session,
    key: Hashable,
    start: datetime | None,
    end: datetime,
    count: Callable[[], T],
    weight: Callable[[T], int],
    *,
    now: datetime,
) -> T:
    """What was counted of appointments before `end`, from `start` on or of all, if nothing has changed since.

    Callers must not modify the value, because other requests share it. `weight` is about how many numbers it holds.
    """
    versions = versions_seen(session)
    if versions is None or not is_over(end, now=now):
        return count()
    version = versions.of_past(start, end)
    found: T | None = versions.cache.find(key, version)
    if found is None:
        found = count()
        versions.cache.keep(key, version, found, weight=weight(found))
    return found

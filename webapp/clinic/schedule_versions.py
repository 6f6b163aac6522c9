"""Which state of the schedules a transaction sees: a version of the clinic's, and one of each doctor's.

The database's own triggers give a doctor's schedule another version with every change of what their free times rest
on, and the clinic another one with every change of what concerns all doctors. So no program and no person at a console
can change free times unseen, and what a process worked out for a version holds for as long as that version is the
present one.

A version is a random number and not a count: a transaction that is undone, or a database that is restored, must not
lead to the same number with other contents. A doctor, or the clinic, that has no row has never changed since there
are versions, and that is a version, too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from webapp.database import Base, VersionCache, ddl, rows, table_of

T = TypeVar("T")

# What a doctor's free times rest on, by table: each row concerns the doctor in its column `doctor_id`.
OF_DOCTOR = ("busy_times", "working_hours", "extra_hours", "time_off")
# What concerns all doctors, or says who and what they are.
OF_CLINIC = ("clinic_settings", "opening_hours", "closures", "visit_types", "doctors", "doctor_visit_types")

CLINIC = 0
_NEVER_CHANGED = 0


class ScheduleVersion(Base):
    """The version of a doctor's schedule, or under the number 0 of the clinic's.

    There is no foreign key: a version stays when its doctor goes, for another one may get the same id.
    """

    __tablename__ = "schedule_versions"

    doctor_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(sa.BigInteger)


_RAISED_ON_SQLITE = """
        DELETE FROM schedule_versions WHERE doctor_id = {0};
        INSERT INTO schedule_versions (doctor_id, version) VALUES ({0}, random());"""


def sqlite_triggers() -> Iterator[str]:
    """The triggers on SQLite. They delete and insert, for neither can fall prey to an outer OR IGNORE."""
    for table in (*OF_DOCTOR, *OF_CLINIC):
        for event, rows_changed in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
            changed = [f"{row}.doctor_id" for row in rows_changed] if table in OF_DOCTOR else [str(CLINIC)]
            raised = "".join(_RAISED_ON_SQLITE.format(doctor) for doctor in changed)
            yield f"""
    CREATE TRIGGER {table}_schedule_version_on_{event.lower()} AFTER {event} ON {table}
    BEGIN{raised}
    END
    """


def postgresql_triggers() -> Iterator[str]:
    """The functions and the triggers on PostgreSQL.

    The upper bits of a version are the transaction's number, and within one transaction a version changes once: a
    row that one transaction updates a thousand times has a thousand dead rows before it. ENABLE ALWAYS lets triggers
    fire in sessions that apply a replica's changes, too.
    """
    yield """
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
    """
    yield """
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
    """
    yield f"""
    CREATE FUNCTION raise_schedule_version_of_clinic() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM raise_schedule_version({CLINIC});
        RETURN NULL;
    END $$
    """
    for table in OF_DOCTOR:
        yield from _postgresql_trigger(table, "rows", "INSERT OR UPDATE OR DELETE", "ROW", "doctor")
        # Whose rows they were is then no longer known.
        yield from _postgresql_trigger(table, "truncate", "TRUNCATE", "STATEMENT", "clinic")
    for table in OF_CLINIC:
        yield from _postgresql_trigger(table, "rows", "INSERT OR UPDATE OR DELETE OR TRUNCATE", "STATEMENT", "clinic")


def _postgresql_trigger(table: str, name: str, events: str, each: str, whose: str) -> Iterator[str]:
    name = f"{table}_schedule_version_on_{name}"
    yield (
        f"CREATE TRIGGER {name} AFTER {events} ON {table}"
        f" FOR EACH {each} EXECUTE FUNCTION raise_schedule_version_of_{whose}()"
    )
    yield f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"


for _dialect, _statements in (("sqlite", sqlite_triggers()), ("postgresql", postgresql_triggers())):
    for _statement in _statements:
        # All tables are there by then. In such a statement SQLAlchemy reads a single % as the start of a name.
        _made = ddl(_statement.replace("%", "%%")).execute_if(dialect=_dialect)
        sa.event.listen(Base.metadata, "after_create", _made)


# ------------------------------------------------------------------------------------------------- reading

_VERSION = table_of(ScheduleVersion).c
_ALL = sa.select(
    sa.func.aggregate_strings(sa.cast(_VERSION.doctor_id, sa.String) + " " + sa.cast(_VERSION.version, sa.String), " ")
)


class Versions:
    """The versions that one snapshot sees, and what this process keeps for them."""

    def __init__(self, versions: Mapping[int, int], cache: VersionCache) -> None:
        self._versions = versions
        self.cache = cache
        self.of_clinic = versions.get(CLINIC, _NEVER_CHANGED)

    def of_doctor(self, doctor_id: int) -> tuple[int, int]:
        """The version of all that a doctor's free times rest on, the clinic's part included."""
        return self.of_clinic, self._versions.get(doctor_id, _NEVER_CHANGED)


def versions_seen(session: Session) -> Versions | None:
    """The versions that this session's snapshot sees: one query, the first time.

    None in a transaction that writes. It sees what may never be committed, so it neither reads nor fills what is
    kept, and what it checks it reads from the database.
    """
    cache: VersionCache | None = session.info.get("cache")
    if cache is None:
        return None
    transaction = session.get_transaction()
    snapshot, versions = session.info.get("versions", (None, None))
    if versions is None or snapshot is not transaction:
        text: str = rows(session, _ALL).scalar() or ""
        versions = Versions(cache.get("versions", text, lambda: _parsed(text)), cache)
        session.info["versions"] = session.get_transaction(), versions
    found: Versions = versions
    return found


def _parsed(text: str) -> dict[int, int]:
    numbers = map(int, text.split())
    return dict(zip(numbers, numbers, strict=True))


def kept_for_clinic(session: Session, key: Hashable, read: Callable[[], T]) -> T:
    """What `read` finds in tables that concern all doctors, kept for as long as none of them changes.

    Nobody may change the value: other requests get the same one.
    """
    versions = versions_seen(session)
    return read() if versions is None else versions.cache.get(key, versions.of_clinic, read)

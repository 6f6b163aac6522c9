"""Versions of each doctor's schedule and of the clinic, which triggers change with all data of free times."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

HOURS = ("working_hours", "extra_hours", "time_off")
OF_DOCTOR = ("busy_times", *HOURS)
OF_CLINIC = ("clinic_settings", "opening_hours", "closures", "visit_types", "doctors", "doctor_visit_types")
RAISED_ON_SQLITE = """
        DELETE FROM schedule_versions WHERE doctor_id = {0};
        INSERT INTO schedule_versions (doctor_id, version) VALUES ({0}, random());"""
FUNCTIONS = (
    "raise_schedule_version_of_clinic()",
    "raise_schedule_version_of_doctor()",
    "raise_schedule_version(integer)",
)


def upgrade() -> None:
    op.create_table(
        "schedule_versions",
        sa.Column("doctor_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("doctor_id", name="pk_schedule_versions"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _create_postgresql_functions()
        for table, name, kind, events, each, whose in _postgresql_triggers():
            _run(
                f"CREATE {kind} {name} AFTER {events} ON {table}"
                f" {'DEFERRABLE INITIALLY DEFERRED ' if kind != 'TRIGGER' else ''}"
                f"FOR EACH {each} EXECUTE FUNCTION raise_schedule_version_of_{whose}()"
            )
            _run(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
    else:
        _create_sqlite_triggers()
    # Processes may know free times of "no version", from before these migrations went down or a backup was restored.
    _run(f"INSERT INTO schedule_versions (doctor_id, version) VALUES (0, {secrets.randbelow(2**62)})")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, name, *_rest in _postgresql_triggers():
            _run(f"DROP TRIGGER {name} ON {table}")
        for function in FUNCTIONS:
            _run(f"DROP FUNCTION {function}")
    else:
        for table in (*OF_DOCTOR, *OF_CLINIC):
            for event in ("insert", "update", "delete"):
                _run(f"DROP TRIGGER {table}_schedule_version_on_{event}")
        for table in HOURS:
            _run(f"DROP TRIGGER {table}_schedule_version_on_replace")
    op.drop_table("schedule_versions")


def _run(statement: str) -> None:
    """Run a statement unchanged: SQLAlchemy interprets no percent sign and no colon in it."""
    op.get_bind().exec_driver_sql(statement)


def _create_sqlite_triggers() -> None:
    for table in HOURS:
        found = f"(SELECT doctor_id FROM {table} WHERE id = NEW.id)"
        _run(f"""
    CREATE TRIGGER {table}_schedule_version_on_replace BEFORE INSERT ON {table}
    WHEN EXISTS {found}
    BEGIN{RAISED_ON_SQLITE.format(found)}
    END
    """)
    for table in (*OF_DOCTOR, *OF_CLINIC):
        for event, rows_changed in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
            changed = [f"{row}.doctor_id" for row in rows_changed] if table in OF_DOCTOR else ["0"]
            raised = "".join(RAISED_ON_SQLITE.format(doctor) for doctor in changed)
            _run(f"""
    CREATE TRIGGER {table}_schedule_version_on_{event.lower()} AFTER {event} ON {table}
    BEGIN{raised}
    END
    """)


def _create_postgresql_functions() -> None:
    _run("""
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
    """)
    _run("""
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
    """)
    _run("""
    CREATE FUNCTION raise_schedule_version_of_clinic() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM raise_schedule_version(0);
        RETURN NULL;
    END $$
    """)


def _postgresql_triggers() -> Iterator[tuple[str, str, str, str, str, str]]:
    """For each trigger: table, name, kind, events, ROW or STATEMENT, and whose version it raises."""
    for table in (*OF_DOCTOR, *OF_CLINIC):
        kind, whose = ("TRIGGER", "doctor") if table in OF_DOCTOR else ("CONSTRAINT TRIGGER", "clinic")
        yield table, f"{table}_schedule_version_on_rows", kind, "INSERT OR UPDATE OR DELETE", "ROW", whose
        yield table, f"{table}_schedule_version_on_truncate", "TRIGGER", "TRUNCATE", "STATEMENT", "clinic"

"""Months that are over get a new version when an appointment of theirs changes, for the reports."""

from __future__ import annotations

import secrets

from alembic import op

revision = "0051"
down_revision = "0050"

CHANGES = (("INSERT", "NEW"), ("UPDATE", "OLD"), ("UPDATE", "NEW"), ("DELETE", "OLD"))


def upgrade() -> None:
    # Processes may know figures from before these triggers went away; the clinic's version is a part of every month's.
    _run(f"UPDATE schedule_versions SET version = {secrets.randbelow(2**62)} WHERE doctor_id = 0")
    if op.get_bind().dialect.name == "postgresql":
        _create_on_postgresql()
        return
    for event, row in CHANGES:
        month = f"-CAST(strftime('%Y%m', {row}.starts_at) AS INTEGER)"
        _run(f"""
    CREATE TRIGGER {_name(event, row)} AFTER {event} ON appointments
    WHEN {row}.starts_at < datetime('now', '-1 day')
    BEGIN
        DELETE FROM schedule_versions WHERE doctor_id = {month};
        INSERT INTO schedule_versions (doctor_id, version) VALUES ({month}, random());
    END
    """)


def downgrade() -> None:
    on = ""
    if op.get_bind().dialect.name == "postgresql":
        on = " ON appointments"
        _run(f"DROP TRIGGER appointments_schedule_version_on_truncate{on}")
    for event, row in CHANGES:
        _run(f"DROP TRIGGER {_name(event, row)}{on}")
    if on:
        for row in ("old", "new"):
            _run(f"DROP FUNCTION raise_schedule_version_of_{row}_month()")
    _run("DELETE FROM schedule_versions WHERE doctor_id < 0")


def _create_on_postgresql() -> None:
    for row in ("OLD", "NEW"):
        _run(f"""
    CREATE FUNCTION raise_schedule_version_of_{row.lower()}_month() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM raise_schedule_version(-to_char({row}.starts_at AT TIME ZONE 'UTC', 'YYYYMM')::integer);
        RETURN NULL;
    END $$
    """)
    for event, row in CHANGES:
        _create_always(
            _name(event, row),
            f"AFTER {event} ON appointments FOR EACH ROW WHEN ({row}.starts_at < now() - interval '1 day') "
            f"EXECUTE FUNCTION raise_schedule_version_of_{row.lower()}_month()",
        )
    _create_always(
        "appointments_schedule_version_on_truncate",
        "AFTER TRUNCATE ON appointments FOR EACH STATEMENT EXECUTE FUNCTION raise_schedule_version_of_clinic()",
    )


def _create_always(name: str, definition: str) -> None:
    _run(f"CREATE TRIGGER {name} {definition}")
    _run(f"ALTER TABLE appointments ENABLE ALWAYS TRIGGER {name}")


def _name(event: str, row: str) -> str:
    return f"appointments_schedule_version_on_{event}_{row}".lower()


def _run(statement: str) -> None:
    """Run a statement unchanged: SQLAlchemy interprets no percent sign and no colon in it."""
    op.get_bind().exec_driver_sql(statement)

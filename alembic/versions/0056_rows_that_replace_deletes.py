"""SQLite's REPLACE hides no row that it deletes: its version changes, and an appointment's other keys refuse it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from alembic import op

revision = "0056"
down_revision = "0055"

HOURS = ("working_hours", "extra_hours", "time_off")
MONTH = "-CAST(strftime('%Y%m', starts_at) AS INTEGER)"
OVER = " AND starts_at < datetime('now', '-1 day')"
# The first one has stood on the tables of hours since 0007.
EVENTS = (("replace", "INSERT", ""), ("replacing_update", "UPDATE", "NEW.id IS NOT OLD.id AND "))
KEYS = (("insert", "INSERT", "NEW.id"), ("update", "UPDATE OF reference, link_key", "OLD.id, NEW.id"))


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for name, table, event, when, found in _triggers():
        _run(f"""
    CREATE TRIGGER {name} BEFORE {event} ON {table}
    WHEN {when}EXISTS {found}
    BEGIN
        DELETE FROM schedule_versions WHERE doctor_id = {found};
        INSERT INTO schedule_versions (doctor_id, version) VALUES ({found}, random());
    END
    """)
    for name, event, its_own in KEYS:
        _run(f"""
    CREATE TRIGGER appointments_no_replace_on_{name} BEFORE {event} ON appointments
    BEGIN
        SELECT RAISE(ABORT, 'appointments_reference_or_link_taken') WHERE EXISTS (
            SELECT 1 FROM appointments
            WHERE (reference = NEW.reference OR link_key = NEW.link_key) AND id NOT IN ({its_own})
        );
    END
    """)
    # Processes may know what a row said that was replaced while these triggers were not there. The clinic's version is
    # a part of every other one.
    _run("DELETE FROM schedule_versions WHERE doctor_id = 0")
    _run(f"INSERT INTO schedule_versions (doctor_id, version) VALUES (0, {secrets.randbelow(2**62)})")


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for name, *_rest in _triggers():
        _run(f"DROP TRIGGER {name}")
    for name, *_rest in KEYS:
        _run(f"DROP TRIGGER appointments_no_replace_on_{name}")


def _triggers() -> Iterator[tuple[str, str, str, str, str]]:
    """For each trigger that raises a version: name, table, event, condition, and whose version it is."""
    for table in ("busy_times", *HOURS, "appointments"):
        number, over = (MONTH, OVER) if table == "appointments" else ("doctor_id", "")
        found = f"(SELECT {number} FROM {table} WHERE id = NEW.id{over})"
        for name, event, when in EVENTS[1:] if table in HOURS else EVENTS:
            yield f"{table}_schedule_version_on_{name}", table, event, when, found


def _run(statement: str) -> None:
    """Run a statement unchanged: SQLAlchemy interprets no percent sign and no colon in it."""
    op.get_bind().exec_driver_sql(statement)

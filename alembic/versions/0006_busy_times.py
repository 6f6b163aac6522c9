"""The guard of doctors' time moves to `busy_times`, which triggers fill from what takes time; lanes to squeeze in.

The new guard exists before the table is filled, so filling it proves that no two old appointments overlap; the old
guard is dropped last. Columns are added one by one and never in batch mode, which would drop the triggers.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

OCCUPIES = "status IN ('scheduled', 'confirmed', 'arrived', 'completed')"
LANE = "lane IN (0, 1) AND (lane = 0 OR trim(squeeze_reason) <> '')"
COLUMNS = {
    "squeeze_reason": "VARCHAR(300) DEFAULT '' NOT NULL",
    "lane": f"SMALLINT DEFAULT 0 NOT NULL CONSTRAINT ck_appointments_lane CHECK ({LANE})",
}
TAKEN = ("doctor_id", "lane", "busy_from", "busy_until")
MINUTE = {
    "sqlite": "CAST(strftime('%s', {}) AS INTEGER) / 60",
    "postgresql": "CAST(date_part('epoch', {}) / 60 AS integer)",
}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for name, words in COLUMNS.items():
        _run(f"ALTER TABLE appointments ADD COLUMN {name} {words}")
    op.create_table(
        "busy_times",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("doctor_id", sa.Integer, nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("from_minute", sa.Integer, nullable=False),
        sa.Column("until_minute", sa.Integer, nullable=False),
        sa.Column("appointment_id", sa.Integer),
        sa.PrimaryKeyConstraint("id", name="pk_busy_times"),
        sa.ForeignKeyConstraint(["appointment_id"], ["appointments.id"], name="fk_busy_times_appointment_id"),
        sa.CheckConstraint("from_minute < until_minute AND until_minute - from_minute <= 480", name="length"),
    )
    op.create_index(
        "ix_busy_times_doctor", "busy_times", ["doctor_id", "from_minute", "until_minute", "lane", "appointment_id"]
    )
    op.create_index("ix_busy_times_appointment_id", "busy_times", ["appointment_id"])
    _create_postgresql_guard() if dialect == "postgresql" else _create_sqlite_guard()
    low, high = MINUTE[dialect].format("busy_from"), MINUTE[dialect].format("busy_until")
    _run(
        "INSERT INTO busy_times (doctor_id, lane, from_minute, until_minute, appointment_id)"
        f" SELECT doctor_id, lane, {low}, {high}, id FROM appointments WHERE {OCCUPIES} ORDER BY id"
    )
    _create_postgresql_keepers() if dialect == "postgresql" else _create_sqlite_keepers()
    if dialect == "postgresql":
        _run("ALTER TABLE appointments DROP CONSTRAINT appointments_doctor_overlap")
    else:
        for event in ("insert", "update"):
            _run(f"DROP TRIGGER appointments_doctor_overlap_on_{event}")
    op.drop_index("ix_appointments_doctor_busy", "appointments")


def _run(statement: str) -> None:
    """Run a statement unchanged: SQLAlchemy interprets no percent sign and no colon in it."""
    op.get_bind().exec_driver_sql(statement)


def _create_postgresql_guard() -> None:
    _run(
        "ALTER TABLE busy_times ADD CONSTRAINT busy_times_doctor_overlap EXCLUDE USING gist"
        " (doctor_id WITH =, lane WITH =, int4range(from_minute, until_minute) WITH &&)"
    )


def _create_sqlite_guard() -> None:
    for event in ("INSERT", "UPDATE"):
        _run(f"""
    CREATE TRIGGER busy_times_doctor_overlap_on_{event.lower()} BEFORE {event} ON busy_times
    BEGIN
        SELECT RAISE(ABORT, 'busy_times_doctor_overlap') WHERE EXISTS (
            SELECT 1 FROM busy_times
            WHERE doctor_id = NEW.doctor_id
              AND lane = NEW.lane
              AND from_minute > NEW.from_minute - 480
              AND from_minute < NEW.until_minute
              AND until_minute > NEW.from_minute
              AND id IS NOT NEW.id
        );
    END
    """)


def _create_postgresql_keepers() -> None:
    """One function and three triggers, which fire even in sessions that apply a replica's changes."""
    low, high = MINUTE["postgresql"].format("NEW.busy_from"), MINUTE["postgresql"].format("NEW.busy_until")
    _run(f"""
    CREATE FUNCTION keep_busy_times_of_appointments() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            DELETE FROM busy_times WHERE appointment_id = OLD.id;
        END IF;
        IF TG_OP <> 'DELETE' AND (NEW.{OCCUPIES}) THEN
            PERFORM FROM doctors WHERE id = NEW.doctor_id FOR NO KEY UPDATE;
            INSERT INTO busy_times (doctor_id, lane, from_minute, until_minute, appointment_id)
            VALUES (NEW.doctor_id, NEW.lane, {low}, {high}, NEW.id);
        END IF;
        RETURN OLD;
    END $$
    """)
    before, after = (
        ", ".join([*(f"{row}.{name}" for name in ("id", *TAKEN)), f"{row}.{OCCUPIES}"]) for row in ("OLD", "NEW")
    )
    triggers = {
        "insert": "AFTER INSERT ON appointments FOR EACH ROW",
        "update": f"AFTER UPDATE ON appointments FOR EACH ROW WHEN (({before}) IS DISTINCT FROM ({after}))",
        "delete": "BEFORE DELETE ON appointments FOR EACH ROW",
    }
    for event, when in triggers.items():
        name = f"appointments_busy_times_on_{event}"
        _run(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION keep_busy_times_of_appointments()")
        _run(f"ALTER TABLE appointments ENABLE ALWAYS TRIGGER {name}")


def _create_sqlite_keepers() -> None:
    """Three triggers. REPLACE deletes without firing the trigger for deletions, so the others delete first."""
    low, high = MINUTE["sqlite"].format("NEW.busy_from"), MINUTE["sqlite"].format("NEW.busy_until")
    insertion = f"""
        INSERT INTO busy_times (doctor_id, lane, from_minute, until_minute, appointment_id)
            SELECT NEW.doctor_id, NEW.lane, {low}, {high}, NEW.id
            WHERE NEW.{OCCUPIES};"""
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in ("id", *TAKEN))
    _run(f"""
    CREATE TRIGGER appointments_busy_times_on_insert AFTER INSERT ON appointments
    BEGIN
        DELETE FROM busy_times WHERE appointment_id = NEW.id;{insertion}
    END
    """)
    _run(f"""
    CREATE TRIGGER appointments_busy_times_on_update AFTER UPDATE ON appointments
    WHEN (OLD.{OCCUPIES}) IS NOT (NEW.{OCCUPIES}) OR {changed}
    BEGIN
        DELETE FROM busy_times WHERE appointment_id IN (OLD.id, NEW.id);{insertion}
    END
    """)
    _run("""
    CREATE TRIGGER appointments_busy_times_on_delete BEFORE DELETE ON appointments
    BEGIN
        DELETE FROM busy_times WHERE appointment_id = OLD.id;
    END
    """)


def downgrade() -> None:
    """Restore the old guard first, which refuses while two appointments share a time in different lanes."""
    op.create_index(
        "ix_appointments_doctor_busy",
        "appointments",
        ["doctor_id", "busy_from", "busy_until"],
        sqlite_where=sa.text(OCCUPIES),
        postgresql_where=sa.text(OCCUPIES),
    )
    if op.get_bind().dialect.name == "postgresql":
        _run(
            "ALTER TABLE appointments ADD CONSTRAINT appointments_doctor_overlap EXCLUDE USING gist"
            f" (doctor_id WITH =, tstzrange(busy_from, busy_until, '[)') WITH &&) WHERE ({OCCUPIES})"
        )
    else:
        _create_old_sqlite_guard()
        # The triggers only check rows that change.
        _run(f"UPDATE appointments SET lane = lane WHERE lane > 0 AND {OCCUPIES}")
    for event in ("insert", "update", "delete"):
        on = " ON appointments" if op.get_bind().dialect.name == "postgresql" else ""
        _run(f"DROP TRIGGER appointments_busy_times_on_{event}{on}")
    if op.get_bind().dialect.name == "postgresql":
        _run("DROP FUNCTION keep_busy_times_of_appointments()")
    op.drop_table("busy_times")
    for name in reversed(COLUMNS):
        op.drop_column("appointments", name)


def _create_old_sqlite_guard() -> None:
    for event in ("INSERT", "UPDATE"):
        _run(f"""
    CREATE TRIGGER appointments_doctor_overlap_on_{event.lower()} BEFORE {event} ON appointments
    WHEN NEW.{OCCUPIES}
    BEGIN
        SELECT RAISE(ABORT, 'appointments_doctor_overlap') WHERE EXISTS (
            SELECT 1 FROM appointments
            WHERE doctor_id = NEW.doctor_id
              AND busy_from > datetime(NEW.busy_from, '-8 hours')
              AND busy_from < NEW.busy_until
              AND busy_until > NEW.busy_from
              AND {OCCUPIES}
              AND id IS NOT NEW.id
        );
    END
    """)

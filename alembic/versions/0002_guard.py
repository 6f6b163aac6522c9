"""The guard: the database refuses an overlap for a doctor or a patient, and any change to the audit log."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

OCCUPIES = "status IN ('scheduled', 'confirmed', 'arrived', 'completed')"
OVERLAPS = (
    ("appointments_doctor_overlap", "doctor_id", "busy_from", "busy_until"),
    ("appointments_patient_overlap", "patient_id", "starts_at", "ends_at"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _upgrade_postgresql()
    else:
        _upgrade_sqlite()


def _upgrade_postgresql() -> None:
    # The owner of a database may create this extension; it lets one index hold an id and a range.
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    for name, who, start, end in OVERLAPS:
        op.execute(
            f"ALTER TABLE appointments ADD CONSTRAINT {name} EXCLUDE USING gist"
            f" ({who} WITH =, tstzrange({start}, {end}, '[)') WITH &&) WHERE ({OCCUPIES})"
        )
    op.execute(
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'audit_is_append_only' USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
    )


def _upgrade_sqlite() -> None:
    for name, who, start, end in OVERLAPS:
        for event in ("INSERT", "UPDATE"):
            op.execute(f"""
    CREATE TRIGGER {name}_on_{event.lower()} BEFORE {event} ON appointments
    WHEN NEW.{OCCUPIES}
    BEGIN
        SELECT RAISE(ABORT, '{name}') WHERE EXISTS (
            SELECT 1 FROM appointments
            WHERE {who} = NEW.{who}
              AND {start} > datetime(NEW.{start}, '-8 hours')
              AND {start} < NEW.{end}
              AND {end} > NEW.{start}
              AND {OCCUPIES}
              AND id IS NOT NEW.id
        );
    END
    """)
    for event in ("UPDATE", "DELETE"):
        op.execute(f"""
    CREATE TRIGGER audit_events_no_{event.lower()} BEFORE {event} ON audit_events
    BEGIN SELECT RAISE(ABORT, 'audit_is_append_only'); END
    """)
    # INSERT OR REPLACE deletes without asking the trigger for deletions.
    op.execute("""
    CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
    WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'audit_is_append_only'); END
    """)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, *_ in OVERLAPS:
            op.execute(f"ALTER TABLE appointments DROP CONSTRAINT {name}")
        op.execute("DROP TRIGGER audit_events_append_only ON audit_events")
        op.execute("DROP FUNCTION refuse_audit_change()")
        return
    for name, *_ in OVERLAPS:
        for event in ("insert", "update"):
            op.execute(f"DROP TRIGGER {name}_on_{event}")
    for event in ("update", "delete", "replace"):
        op.execute(f"DROP TRIGGER audit_events_no_{event}")

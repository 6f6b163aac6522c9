"""Records that end: closed until the legal period is over, then erased. The audit log lets go of two things only.

An audit row may lose the network address of a person who was erased, and rows older than the clinic's own limit may go.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

SQLITE_NEW = [
    """
    CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    WHEN NOT (NEW.address = '' AND NEW.id IS OLD.id AND NEW.at IS OLD.at
        AND NEW.actor_user_id IS OLD.actor_user_id AND NEW.actor_role IS OLD.actor_role AND NEW.action IS OLD.action
        AND NEW.subject_type IS OLD.subject_type AND NEW.subject_id IS OLD.subject_id
        AND NEW.visible IS OLD.visible AND NEW.details IS OLD.details)
    BEGIN SELECT RAISE(ABORT, 'audit_is_append_only'); END
    """,
    """
    CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    WHEN NOT EXISTS (
        SELECT 1 FROM clinic_settings
        WHERE keep_audit_years > 0 AND OLD.at < datetime('now', '-' || keep_audit_years || ' years')
    )
    BEGIN SELECT RAISE(ABORT, 'audit_is_append_only'); END
    """,
]
SQLITE_OLD = [
    """
    CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'audit_is_append_only'); END
    """,
    """
    CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'audit_is_append_only'); END
    """,
]
POSTGRESQL_NEW = [
    "DROP TRIGGER audit_events_append_only ON audit_events",
    """
    CREATE FUNCTION refuse_audit_row_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
        IF TG_OP = 'UPDATE' AND NEW.address = '' AND to_jsonb(NEW) - 'address' = to_jsonb(OLD) - 'address' THEN
            RETURN NEW;
        END IF;
        IF TG_OP = 'DELETE' AND EXISTS (
            SELECT 1 FROM clinic_settings
            WHERE keep_audit_years > 0 AND OLD.at < now() - make_interval(years => keep_audit_years)
        ) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'audit_is_append_only' USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_row_change()
    """,
    """
    CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
]
POSTGRESQL_OLD = [
    "DROP TRIGGER audit_events_no_truncate ON audit_events",
    "DROP TRIGGER audit_events_append_only ON audit_events",
    "DROP FUNCTION refuse_audit_row_change()",
    """
    CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
]

SETTINGS = {"keep_records_years": "0", "keep_messages_days": "365", "keep_audit_years": "0"}


def upgrade() -> None:
    for name, default in SETTINGS.items():
        column = sa.Column(name, sa.Integer, nullable=False, server_default=sa.text(default))
        op.add_column("clinic_settings", column)
    op.add_column(
        "clinic_settings", sa.Column("private_notes_in_copy", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("patients", sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("patients", sa.Column("erase_on", sa.Date, nullable=True))
    op.add_column("patients", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_patients_erase_on", "patients", ["erase_on"])
    _change_triggers(SQLITE_NEW, POSTGRESQL_NEW)


def downgrade() -> None:
    _change_triggers(SQLITE_OLD, POSTGRESQL_OLD)
    op.drop_index("ix_patients_erase_on", "patients")
    for name in ("erased_at", "erase_on", "closed_at"):
        op.drop_column("patients", name)
    for name in ("private_notes_in_copy", *reversed(SETTINGS)):
        op.drop_column("clinic_settings", name)


def _change_triggers(sqlite: list[str], postgresql: list[str]) -> None:
    if op.get_bind().dialect.name == "postgresql":
        statements = postgresql
    else:
        names = ("audit_events_no_update", "audit_events_no_delete")
        statements = [*(f"DROP TRIGGER {name}" for name in names), *sqlite]
    for statement in statements:
        op.execute(statement)

"""Open pages hear of messages that were given up, and of those that are tried again."""

from __future__ import annotations

from alembic import op

revision = "0057"
down_revision = "0056"

TABLE = "outbox_messages"
CHANGES = {
    "update": ("UPDATE OF status", "(OLD.status = 'dead') <> (NEW.status = 'dead')"),
    "delete": ("DELETE", "OLD.status = 'dead'"),
}


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for name, (event, condition) in CHANGES.items():
        if postgresql:
            op.execute(
                f"CREATE TRIGGER {TABLE}_live_on_{name} AFTER {event} ON {TABLE}"
                f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION note_live_change_of_clinic()"
            )
        else:
            op.execute(f"""
    CREATE TRIGGER {TABLE}_live_on_{name} AFTER {event} ON {TABLE} WHEN {condition}
    BEGIN
        INSERT INTO live_changes (doctor_id, day) SELECT 0, '';
    END
    """)


def downgrade() -> None:
    on = f" ON {TABLE}" if op.get_bind().dialect.name == "postgresql" else ""
    for name in CHANGES:
        op.execute(f"DROP TRIGGER {TABLE}_live_on_{name}{on}")

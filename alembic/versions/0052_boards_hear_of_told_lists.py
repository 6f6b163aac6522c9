"""Open boards hear of lists of who was told."""

from __future__ import annotations

from alembic import op

revision = "0052"
down_revision = "0051"

TABLES = ("told_lists",)
EVENTS = ("INSERT", "UPDATE", "DELETE")


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in TABLES:
        if postgresql:
            op.execute(
                f"CREATE TRIGGER {table}_live_on_change AFTER INSERT OR UPDATE OR DELETE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION note_live_change_of_clinic()"
            )
            continue
        for event in EVENTS:
            op.execute(f"""
    CREATE TRIGGER {table}_live_on_{event.lower()} AFTER {event} ON {table}
    BEGIN
        INSERT INTO live_changes (doctor_id, day) SELECT 0, '';
    END
    """)


def downgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in TABLES:
        if postgresql:
            op.execute(f"DROP TRIGGER {table}_live_on_change ON {table}")
            continue
        for event in EVENTS:
            op.execute(f"DROP TRIGGER {table}_live_on_{event.lower()}")

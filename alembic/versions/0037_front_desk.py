"""The role of the front desk, whether it needs a second factor, and whether it sees reasons for appointments.

On SQLite the columns of roles and the check are edited in the tables' definitions, as in 0032.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"

BEFORE = "role IN ('patient', 'doctor', 'admin', 'machine')"
AFTER = "role IN ('patient', 'receptionist', 'doctor', 'admin', 'machine')"
NARROW, WIDE = "role VARCHAR(10) NOT NULL", "role VARCHAR(20) NOT NULL"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _edit_definition("users", (NARROW, WIDE), (f"CHECK ({BEFORE})", f"CHECK ({AFTER})"))
        _edit_definition("audit_events", (f"actor_{NARROW}", f"actor_{WIDE}"))
    else:
        # Events of triggers that wait for the end would forbid it, if an earlier migration has changed rows.
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")
        op.execute(
            "ALTER TABLE users ALTER COLUMN role TYPE varchar(20),"
            f" DROP CONSTRAINT ck_users_role, ADD CONSTRAINT ck_users_role CHECK ({AFTER})"
        )
        op.execute("ALTER TABLE audit_events ALTER COLUMN actor_role TYPE varchar(20)")
    op.add_column("sign_in_rules", sa.Column("factor_desk", sa.Boolean, nullable=False, server_default=sa.true()))
    # Until now the front desk worked as admins.
    op.execute("UPDATE sign_in_rules SET factor_desk = factor_admins")
    op.add_column(
        "clinic_settings", sa.Column("desk_sees_reasons", sa.Boolean, nullable=False, server_default=sa.true())
    )


def downgrade() -> None:
    op.drop_column("clinic_settings", "desk_sees_reasons")
    op.drop_column("sign_in_rules", "factor_desk")
    # The older release knows no role that sees as little. An admin can give them another one.
    op.execute("UPDATE users SET role = 'patient', active = false WHERE role = 'receptionist'")
    if op.get_bind().dialect.name == "sqlite":
        # The words that are longer than the column stay: SQLite does not cut them.
        _edit_definition("audit_events", (f"actor_{WIDE}", f"actor_{NARROW}"))
        _edit_definition("users", (WIDE, NARROW), (f"CHECK ({AFTER})", f"CHECK ({BEFORE})"))
        return
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.execute(
        "ALTER TABLE audit_events ALTER COLUMN actor_role TYPE varchar(10)"
        " USING CASE actor_role WHEN 'receptionist' THEN 'front desk' ELSE actor_role END"
    )
    op.execute(
        "ALTER TABLE users ALTER COLUMN role TYPE varchar(10),"
        f" DROP CONSTRAINT ck_users_role, ADD CONSTRAINT ck_users_role CHECK ({BEFORE})"
    )


def _edit_definition(table: str, *edits: tuple[str, str]) -> None:
    """Write the definition of a table anew, and make every connection read it again."""
    master = sa.table("sqlite_master", sa.column("type"), sa.column("name"), sa.column("sql"))
    found = master.c.type == "table", master.c.name == table
    definition = op.get_bind().execute(sa.select(master.c.sql).where(*found)).scalar_one()
    edited = definition
    for old, new in edits:
        if edited.count(old) != 1:
            raise ValueError(f"The table {table} has another definition than Docket gave it: {definition}")
        edited = edited.replace(old, new)
    version = op.get_bind().execute(sa.text("PRAGMA schema_version")).scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    try:
        op.execute(sa.update(master).where(*found).values(sql=edited))
        op.execute(f"PRAGMA schema_version = {version + 1}")
    finally:
        # This connection reads it now, and fails if it makes no sense.
        op.execute("PRAGMA writable_schema = RESET")

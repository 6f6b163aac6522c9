"""Lists of who was told of closures and of other changes.

On SQLite the check is edited in the table's definition, as in 0037.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"

BEFORE = "kind IN ('away', 'cancel', 'message')"
AFTER = "kind IN ('away', 'closure', 'change', 'cancel', 'message')"


def upgrade() -> None:
    _write_check(BEFORE, AFTER)


def downgrade() -> None:
    newer = "SELECT id FROM told_lists WHERE kind IN ('closure', 'change')"
    op.execute(f"DELETE FROM told_lines WHERE list_id IN ({newer})")
    op.execute("DELETE FROM told_lists WHERE kind IN ('closure', 'change')")
    _write_check(AFTER, BEFORE)


def _write_check(old: str, new: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        _edit_definition("told_lists", (f"CHECK ({old})", f"CHECK ({new})"))
        return
    # Events of triggers that wait for the end would forbid it, if an earlier migration has changed rows.
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.execute(
        f"ALTER TABLE told_lists DROP CONSTRAINT ck_told_lists_kind, ADD CONSTRAINT ck_told_lists_kind CHECK ({new})"
    )


def _edit_definition(table: str, *edits: tuple[str, str]) -> None:
    """Replace the definition of a table, and make every connection read it again."""
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

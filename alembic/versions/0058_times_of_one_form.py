"""On SQLite, times that were kept if there was one already get the form of all others: without microseconds.

Older releases stored them as '2026-03-02 07:00:00.000000' when they erased a patient or used up a code.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"

COLUMNS = (("patients", "closed_at"), ("appointments", "links_ended_at"), ("sign_in_codes", "used_at"))
WHOLE_SECONDS = len("2026-03-02 07:00:00")


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for name, column in COLUMNS:
        table = sa.table(name, sa.column(column, sa.Text))
        text = table.c[column]
        op.execute(
            sa.update(table)
            .where(sa.func.length(text) > WHOLE_SECONDS)
            .values({column: sa.func.substr(text, 1, WHOLE_SECONDS)})
        )


def downgrade() -> None:
    """Nothing to do: older releases read both forms."""

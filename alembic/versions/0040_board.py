"""The board: which columns each member of staff wants to see, and the desk's note on an appointment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"

# The check is on the column, because SQLite can add a column with a check but cannot add a check to a table.
CHECK = "CONSTRAINT ck_appointments_desk_note CHECK (length(desk_note) <= 500)"


def upgrade() -> None:
    op.create_table(
        "board_choices",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("specialty", sa.String(100), server_default=sa.text("''"), nullable=False),
        sa.Column("doctors", sa.String(8000), server_default=sa.text("''"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_board_choices_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name="pk_board_choices"),
    )
    op.execute(f"ALTER TABLE appointments ADD COLUMN desk_note VARCHAR(500) DEFAULT '' NOT NULL {CHECK}")


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("ck_appointments_desk_note", "appointments")
    op.drop_column("appointments", "desk_note")
    op.drop_table("board_choices")

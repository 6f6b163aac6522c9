"""Patients and doctors are listed by family name, without regard to accents and capitals.

The text to sort by is kept with each name. It is compared by code points, so that both databases agree.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.core.names import sort_key

revision = "0016"
down_revision = "0015"

TABLES = ("patients", "doctors")
# The names of so many rows are in memory at once.
AT_ONCE = 10_000


def upgrade() -> None:
    _fire_waiting_triggers()
    kind = sa.String(254).with_variant(sa.String(254, collation="C"), "postgresql")
    for name in TABLES:
        op.add_column(name, sa.Column("sort_name", kind, nullable=False, server_default=sa.text("''")))
        _write_keys(sa.table(name, sa.column("id"), sa.column("name"), sa.column("sort_name")))
    _fire_waiting_triggers()
    op.drop_index("ix_patients_name", "patients")
    op.create_index("ix_patients_sort_name", "patients", ["sort_name", "id"])


def downgrade() -> None:
    op.drop_index("ix_patients_sort_name", "patients")
    op.create_index("ix_patients_name", "patients", ["name", "id"])
    for name in reversed(TABLES):
        op.drop_column(name, "sort_name")


def _write_keys(table: sa.TableClause) -> None:
    connection, last = op.get_bind(), 0
    own = sa.update(table).where(table.c.id == sa.bindparam("of")).values(sort_name=sa.bindparam("key"))
    query = sa.select(table.c.id, table.c.name).order_by(table.c.id).limit(AT_ONCE)
    while found := connection.execute(query.where(table.c.id > last)).all():
        connection.execute(own, [{"of": number, "key": sort_key(name)} for number, name in found])
        last = found[-1][0]


def _fire_waiting_triggers() -> None:
    """Events that wait for the end of the transaction forbid PostgreSQL to alter their table."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")

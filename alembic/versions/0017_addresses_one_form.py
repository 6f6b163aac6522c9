"""Each stored e-mail address gets the form that sign-in compares: composed letters, a readable domain.

An address that was pasted with decomposed letters, a curly apostrophe or a punycoded domain was stored as it came, and
its owner could no longer sign in with it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from webapp.core.email_address import normal_email

revision = "0017"
down_revision = "0016"

_USERS = sa.table("users", sa.column("id"), sa.column("email"))
_PATIENTS = sa.table("patients", sa.column("id"), sa.column("email"), sa.column("user_id"))
# The addresses of so many rows are in memory at once.
AT_ONCE = 10_000


def upgrade() -> None:
    connection = op.get_bind()
    taken = sa.select(_USERS.c.id)
    for user_id, address in _other_forms(_USERS):
        # Two accounts whose addresses differ only in form keep them: an operator has to decide whose it is.
        if connection.scalar(taken.where(_USERS.c.email == address)) is None:
            connection.execute(sa.update(_USERS).where(_USERS.c.id == user_id).values(email=address))
            # The record of a patient holds a copy of the account's address.
            copied = sa.update(_PATIENTS).where(_PATIENTS.c.user_id == user_id)
            connection.execute(copied.values(email=address))
    for patient_id, address in _other_forms(_PATIENTS, _PATIENTS.c.user_id.is_(None)):
        connection.execute(sa.update(_PATIENTS).where(_PATIENTS.c.id == patient_id).values(email=address))


def downgrade() -> None:
    """Nothing to do: the older program finds the addresses in this form as well."""


def _other_forms(table: sa.TableClause, *conditions: sa.ColumnElement[bool]) -> list[tuple[int, str]]:
    """The ids of rows whose address has another form, with the form that it should have."""
    connection, last, found = op.get_bind(), 0, []
    query = sa.select(table.c.id, table.c.email).where(*conditions).order_by(table.c.id).limit(AT_ONCE)
    while rows := connection.execute(query.where(table.c.id > last)).all():
        found += [(number, form) for number, address in rows if address and (form := normal_email(address)) != address]
        last = rows[-1][0]
    return found

"""On SQLite the id of a deleted row is not given out again; both databases number on from the highest id ever known.

Adding AUTOINCREMENT changes how ids are chosen, and nothing that is stored in the rows. So the tables are not built
again: their definitions are edited in place, as https://sqlite.org/lang_altertable.html (section 7) describes for such
changes. That takes no time on a large table, and no trigger of the guard is gone for a moment. It is part of the
transaction: if anything fails, the definitions are what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TABLES = (
    "appointments",
    "audit_events",
    "busy_times",
    "closures",
    "doctors",
    "extra_hours",
    "failed_logins",
    "idempotency_keys",
    "opening_hours",
    "outbox_messages",
    "password_links",
    "patients",
    "refresh_tokens",
    "sessions",
    "time_off",
    "users",
    "visit_types",
    "working_hours",
)
# What the audit log and the outbox call the rows of a table.
SUBJECTS = {
    "appointments": "appointment",
    "closures": "closure",
    "doctors": "doctor",
    "patients": "patient",
    "users": "user",
    "visit_types": "visit_type",
}
# How SQLAlchemy writes ids, without and with AUTOINCREMENT, which has to stand at the column.
PLAIN = "\n\tid INTEGER NOT NULL, "
KEY = ", \n\tCONSTRAINT pk_{table} PRIMARY KEY (id)"
NEVER_AGAIN = "\n\tid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "

_MASTER = sa.table("sqlite_master", sa.column("type"), sa.column("name"), sa.column("sql"))

_AUDIT = sa.table(
    "audit_events",
    sa.column("actor_user_id", sa.Integer),
    sa.column("action", sa.String),
    sa.column("subject_type", sa.String),
    sa.column("subject_id", sa.Integer),
    sa.column("details", sa.JSON),
)
_OUTBOX = sa.table("outbox_messages", sa.column("subject_type", sa.String), sa.column("subject_id", sa.Integer))


def upgrade() -> None:
    known = {table: _highest_known(table) for table in TABLES}
    if op.get_bind().dialect.name == "postgresql":
        _raise_sequences(known)
        return
    # SQLite makes the table of the highest ids with the first table that needs it.
    _run("CREATE TABLE first_with_autoincrement (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    _run("DROP TABLE first_with_autoincrement")
    _edit_definitions(_with_autoincrement)
    for table, number in known.items():
        # After a downgrade there may be a number from before, which may be higher.
        before = _scalar(f"SELECT max(seq) FROM sqlite_sequence WHERE name = '{table}'")
        _run(f"DELETE FROM sqlite_sequence WHERE name = '{table}'")
        _run(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {max(number, before)})")


def downgrade() -> None:
    """Leave the highest ids where they are: a later upgrade goes on from them."""
    if op.get_bind().dialect.name == "sqlite":
        _edit_definitions(_without_autoincrement)


def _run(statement: str) -> None:
    """Run a statement unchanged: SQLAlchemy interprets no percent sign and no colon in it."""
    op.get_bind().exec_driver_sql(statement)


def _scalar(query: str | sa.Executable) -> int:
    if isinstance(query, str):
        query = sa.text(query)
    return op.get_bind().execute(query).scalar() or 0


# ------------------------------------------------------------------------------------------------- highest ids


def _highest_known(table: str) -> int:
    """The highest id that a row of this table ever had, as far as the database remembers.

    Answers to repeated API requests name new rows as well, but each of these is in the audit log, too.
    """
    return max(_scalar(query) for query in _ids_of(table))


def _ids_of(table: str) -> Iterator[sa.Select[tuple[int]]]:
    present = sa.select(sa.func.max(sa.column("id"))).select_from(sa.table(table))
    if table == "time_off":
        # The audit log does not name what was removed, but how much: so many ids, at most, are missing at the end.
        yield sa.select(sa.func.coalesce(present.scalar_subquery(), 0) + _times_removed())
        return
    yield present
    if table in SUBJECTS:
        for log in (_AUDIT, _OUTBOX):
            yield sa.select(sa.func.max(log.c.subject_id)).where(log.c.subject_type == SUBJECTS[table])
    if table == "users":
        yield sa.select(sa.func.max(_AUDIT.c.actor_user_id))
    if table == "outbox_messages":
        message = _AUDIT.c.details["message"].as_integer()
        yield sa.select(sa.func.max(message)).where(_AUDIT.c.action.in_(("message_read", "message_sent_again")))


def _times_removed() -> sa.ColumnElement[int]:
    times = sa.func.sum(_AUDIT.c.details["times"].as_integer())
    removed = sa.select(times).where(_AUDIT.c.action == "time_off_removed").scalar_subquery()
    return sa.func.coalesce(removed, 0)


def _raise_sequences(known: dict[str, int]) -> None:
    """PostgreSQL's sequences only rise, unless rows were restored without them."""
    for table, number in known.items():
        sequence = op.get_bind().execute(sa.select(sa.func.pg_get_serial_sequence(table, "id"))).scalar_one()
        latest = _scalar(f"SELECT last_value FROM {sequence}")
        if number > latest:
            op.get_bind().execute(sa.select(sa.func.setval(sequence, number)))


# -------------------------------------------------------------------------------------- SQLite's definitions


def _edit_definitions(edit: Callable[[str, str], str]) -> None:
    """Write the definitions of all tables anew, and make every connection read them again."""
    version = _scalar("PRAGMA schema_version")
    _run("PRAGMA writable_schema = ON")
    try:
        for table in TABLES:
            found = _MASTER.c.type == "table", _MASTER.c.name == table
            definition = op.get_bind().execute(sa.select(_MASTER.c.sql).where(*found)).scalar_one()
            op.execute(sa.update(_MASTER).where(*found).values(sql=edit(table, definition)))
        _run(f"PRAGMA schema_version = {version + 1}")
    finally:
        # This connection reads them now, and fails if they make no sense.
        _run("PRAGMA writable_schema = RESET")


def _with_autoincrement(table: str, definition: str) -> str:
    key = KEY.format(table=table)
    if definition.count(PLAIN) != 1 or definition.count(key) != 1:
        raise ValueError(f"The table {table} has another definition than Docket gave it: {definition}")
    return definition.replace(PLAIN, NEVER_AGAIN).replace(key, "")


def _without_autoincrement(table: str, definition: str) -> str:
    body, end = definition[: definition.rindex(")")].rstrip(), "\n)"
    return body.replace(NEVER_AGAIN, PLAIN) + KEY.format(table=table) + end

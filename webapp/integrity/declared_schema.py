"""Compares the database with what the models declare: its triggers, and rows that refer to other rows.

A person at a database console can drop a trigger, or delete a row to which others refer: SQLite enforces foreign keys
only in connections that ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.orm import Session

from webapp.models import Base

_TRIGGER = re.compile(r"CREATE (?:CONSTRAINT )?TRIGGER (\w+)")
_ALWAYS = re.compile(r"ENABLE ALWAYS TRIGGER (\w+)")
_FUNCTION = re.compile(r"CREATE FUNCTION (\w+)\(.*?AS \$\$(.*)\$\$", re.DOTALL)
_ON_SQLITE = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
_ON_POSTGRESQL = sa.text("""
    SELECT tgname, CAST(tgenabled AS text) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT proname, prosrc FROM pg_proc WHERE pronamespace = CAST(current_schema() AS regnamespace)
""")


class Lost(NamedTuple):
    """Rows of `table` whose `column` refers to rows of `other` that do not exist, and how many."""

    table: str
    column: str
    other: str
    rows: int


def find_faulty_triggers(session: Session) -> list[str]:
    """The names of the triggers, and of their functions on PostgreSQL, that are missing, disabled or changed."""
    dialect = session.get_bind().dialect
    declared = _declared(dialect)
    query = _ON_SQLITE if dialect.name == "sqlite" else _ON_POSTGRESQL
    found = {name: _on_one_line(text) for name, text in session.execute(query)}
    return sorted(name for name, text in declared.items() if found.get(name) != text)


def _declared(dialect: sa.Dialect) -> dict[str, str]:
    """The declared triggers by name: on SQLite their text; on PostgreSQL how they are enabled, and functions' texts."""
    statements = list(_statements(dialect))
    triggers = {found[1]: text for text in statements if (found := _TRIGGER.search(text))}
    if dialect.name == "sqlite":
        return {name: _on_one_line(text) for name, text in triggers.items()}
    always = {found[1] for text in statements if (found := _ALWAYS.search(text))}
    functions = {found[1]: _on_one_line(found[2]) for text in statements if (found := _FUNCTION.search(text))}
    return functions | {name: "A" if name in always else "O" for name in triggers}


def _statements(dialect: sa.Dialect) -> Iterator[str]:
    """The statements with which the models would create their tables, with everything that belongs to them."""
    statements: list[str] = []

    def note(statement: Any, *_more: Any) -> None:
        statements.append(str(statement.compile(dialect=dialect)))

    Base.metadata.create_all(MockConnection(dialect, note), checkfirst=False)
    # In statements of this kind a percent sign is doubled.
    return (text.replace("%%", "%") for text in statements)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def find_lost_references(session: Session) -> Iterator[Lost]:
    """References to rows that do not exist."""
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            # A table may refer to itself.
            other = key.column.table.alias()
            its_id = other.c[key.column.name]
            query = (
                sa.select(sa.func.count())
                .select_from(table.outerjoin(other, key.parent == its_id))
                .where(key.parent.is_not(None), its_id.is_(None))
            )
            if count := session.scalar(query):
                yield Lost(table.name, key.parent.name, key.column.table.name, count)

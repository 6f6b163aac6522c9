"""Compares what the rows hold with what the models declare: values of another kind, texts that cannot be read, and rows
that break a CHECK.

PostgreSQL refuses nearly all of them itself. SQLite stores any value in any column, and a person at a database console
can turn its CHECKs off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_type_hints

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import UtcDateTime
from webapp.models import Base

# How many rows' texts are read together.
TOGETHER = 2000
# Python knows no other years. The texts of SQLite's dates sort like dates.
FIRST, END = "0001-01-01", "9999-12-31"


class Unreadable(NamedTuple):
    """Rows of `table` whose `column` holds a value that is not what the model declares, and how many."""

    table: str
    column: str
    rows: int


def find_unreadable(session: Session) -> Iterator[Unreadable]:
    """Values that are not of their column's kind: no date, JSON of another shape, bytes that are not text."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    for table in Base.metadata.sorted_tables:
        conditions = {column.name: _is_other(column, sqlite=sqlite) for column in table.columns}
        counts = {
            name: sa.func.count().filter(condition).label(name)
            for name, condition in conditions.items()
            if condition is not None
        }
        if counts:
            found = session.execute(sa.select(*counts.values()).select_from(table)).one()
            yield from (
                Unreadable(table.name, name, number) for name, number in zip(counts, found, strict=True) if number
            )
        if sqlite:
            yield from _undecodable(session, table)


def _is_other(column: sa.Column[Any], *, sqlite: bool) -> sa.ColumnElement[bool] | None:
    """The condition that a value is not of the column's kind; None if the database accepts no other value.

    NULL is not looked at: both databases refuse it where it is not allowed.
    """
    value, kind = sa.type_coerce(column, sa.String()), column.type
    if isinstance(kind, sa.JSON):
        return sa.and_(column.is_not(None), _is_other_json(column, sqlite=sqlite))
    if isinstance(kind, (UtcDateTime, sa.Date)):
        if not sqlite:
            # A database knows 'infinity', and years that Python does not.
            return ~sa.func.coalesce(column.between(sa.text(f"'{FIRST}'"), sa.text(f"'{END}'")), sa.true())
        # Only texts in this form are compared correctly.
        form = sa.func.date(value) if isinstance(kind, sa.Date) else sa.func.datetime(value)
        return sa.and_(value.is_not(None), sa.or_(form.is_distinct_from(value), value < FIRST))
    if not sqlite:
        return None
    if isinstance(kind, sa.Boolean):
        return sa.and_(value.is_not(None), sa.type_coerce(column, sa.Integer()).not_in((0, 1)))
    expected = {sa.Integer: "integer", sa.String: "text", sa.LargeBinary: "blob"}
    words = next((word for known, word in expected.items() if isinstance(kind, known)), None)
    return None if words is None else sa.func.typeof(column).not_in((words, "null"))


def _is_other_json(column: sa.Column[Any], *, sqlite: bool) -> sa.ColumnElement[bool]:
    """The condition that a text is not JSON, or that it is JSON of another shape than the model's attribute."""
    shape = "array" if _holds_list(column) else "object"
    shapes = (shape, "null") if column.nullable else (shape,)
    if not sqlite:
        return sa.func.json_typeof(column).not_in(shapes)
    # json_type() refuses to look at a text that is not JSON.
    is_json = sa.and_(sa.func.typeof(column) == "text", sa.func.json_valid(column) == 1)
    return sa.case((is_json, sa.func.json_type(column).not_in(shapes)), else_=sa.true())


def _holds_list(column: sa.Column[Any]) -> bool:
    """Whether the model declares a list for this column, instead of a dictionary."""
    model = next(each.class_ for each in Base.registry.mappers if each.local_table is column.table)
    (declared,) = get_args(get_type_hints(model)[column.name])
    return str(declared).startswith("list")


def _undecodable(session: Session, table: sa.Table) -> Iterator[Unreadable]:
    """Texts that are not UTF-8. They are joined by SQLite, because fetching each would take long."""
    quote = session.get_bind().dialect.identifier_preparer.quote
    names = [column.name for column in table.columns if isinstance(column.type, (sa.String, sa.JSON))]
    if not names:
        return
    texts = ", ".join(f"CAST({quote(name)} AS BLOB) AS {quote(name)}" for name in names)
    rows = f"SELECT rowid AS number, {texts} FROM {table.name} WHERE rowid > ? ORDER BY rowid LIMIT {TOGETHER}"  # noqa: S608
    joined = " || ".join(f"coalesce({quote(name)}, '')" for name in names)
    connection, last, found = session.connection(), -(2**63), Counter[str]()
    while True:
        last_here, text = connection.exec_driver_sql(
            f"SELECT max(number), CAST(group_concat({joined}, char(10)) AS BLOB) FROM ({rows})",  # noqa: S608
            (last,),
        ).one()
        if last_here is None:
            break
        if not _is_text(text):
            for row in connection.exec_driver_sql(rows, (last,)).mappings():
                found.update(name for name in names if not _is_text(row[name]))
        last = last_here
    yield from (Unreadable(table.name, name, number) for name, number in found.items())


def _is_text(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def find_damage(session: Session) -> Iterator[str]:
    """The sentences in which SQLite says that its file is damaged, or that rows break a CHECK or lack a value."""
    if session.get_bind().dialect.name != "sqlite":
        return
    said = Counter(str(line) for line in session.scalars(sa.text("PRAGMA quick_check")))
    del said["ok"]
    for line, number in said.items():
        yield f"{line} ({number} times)" if number > 1 else line

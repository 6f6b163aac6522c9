"""Parts of SQL that PostgreSQL and SQLite write differently. The classes are used like functions in queries."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from webapp.engines import sqlite_module


class minute_of(FunctionElement[int]):  # noqa: N801 - it is used like a function in queries.
    """The minutes from 1970-01-01T00:00Z to an instant in a column, computed by the database.

    Reading many instants as datetimes costs more than the query that finds them.
    """

    type = sa.Integer()
    inherit_cache = True


class pairs_joined(FunctionElement[str]):  # noqa: N801 - it is used like a function in queries.
    """The pairs of whole numbers of each group as one text, such as spans: 'from until from until …', in any order.

    Fetching many rows costs more than finding them; `split_pairs` reads the text.
    """

    type = sa.String()
    inherit_cache = True


class numbers_joined(FunctionElement[str]):  # noqa: N801 - it is used like a function in queries.
    """The whole numbers of each group as one text with spaces between them, in any order."""

    type = sa.String()
    inherit_cache = True


class rows_as_json(FunctionElement[str]):  # noqa: N801 - it is used like a function in queries.
    """The rows of each group as one JSON text: a list of lists, in any order.

    Fetching a thousand rows takes longer, and a process that has cached the same text does not parse it again.
    Without rows it is NULL on PostgreSQL and `NO_ROWS` on SQLite.
    """

    type = sa.String()
    inherit_cache = True


NO_ROWS = "[]"


class row_as_json(FunctionElement[str]):  # noqa: N801 - it is used like a function in queries.
    """Columns of one row as a JSON list."""

    type = sa.String()
    inherit_cache = True


class json_of(FunctionElement[str]):  # noqa: N801 - it is used like a function in queries.
    """The JSON that a subquery finds, as a part of other JSON: SQLite would take it for a text."""

    type = sa.String()
    inherit_cache = True


class planned_once(FunctionElement[Any]):  # noqa: N801 - it is used like a function in queries.
    """A parameter that ends a range, without its value for PostgreSQL's planner.

    PostgreSQL estimates that a range with unknown ends has one row in 200. In a large table that is many more than it
    finds with known ends, so it would plan the query again each time that it runs, which takes longer than reading a
    day. The same estimate makes it read whole tables for a join, so such a query should use subqueries instead.
    """

    inherit_cache = True

    def __init__(self, parameter: sa.BindParameter[Any]) -> None:
        super().__init__(parameter)
        self.type = parameter.type


def fixed(number: int) -> sa.ColumnElement[int]:
    """A number that is written into the statement, for the LIMIT of a hot query.

    Since 3.47, SQLite looks at a LIMIT that is a parameter when it plans a statement, and so plans it again each time
    that it runs, which takes longer than reading a few rows.

    PostgreSQL expects that an unknown LIMIT ends a query after a tenth of its rows, so it plans such a query each time
    for its values. With a number it keeps one plan for all values: only where one plan suits all of them.
    """
    return sa.literal_column(str(number), sa.Integer)


def split_pairs(text: str) -> list[tuple[int, int]]:
    """The pairs in a text made by `pairs_joined`."""
    numbers = map(int, text.split())
    return list(zip(numbers, numbers, strict=True))


def insert_into(table: sa.Table, dialect: str) -> Any:
    """An INSERT to which ON CONFLICT can be added; SQLAlchemy has a separate one for each database.

    Only the module of the database in use is imported: PostgreSQL's takes 2 MiB.
    """
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table)


@compiles(pairs_joined)
def _pairs_in_postgresql(element: pairs_joined, compiler: SQLCompiler, **options: Any) -> str:
    low, high = (compiler.process(column, **options) for column in element.clauses)
    return f"string_agg({low} || ' ' || {high}, ' ')"


@compiles(pairs_joined, "sqlite")
def _pairs_in_sqlite(element: pairs_joined, compiler: SQLCompiler, **options: Any) -> str:
    low, high = (compiler.process(column, **options) for column in element.clauses)
    return f"group_concat({low} || ' ' || {high}, ' ')"


@compiles(numbers_joined)
def _numbers_in_postgresql(element: numbers_joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"string_agg(CAST({compiler.process(element.clauses, **options)} AS text), ' ')"


@compiles(numbers_joined, "sqlite")
def _numbers_in_sqlite(element: numbers_joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)}, ' ')"


@compiles(rows_as_json)
def _rows_in_postgresql(element: rows_as_json, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(json_agg(json_build_array({compiler.process(element.clauses, **options)})) AS text)"


@compiles(rows_as_json, "sqlite")
def _rows_in_sqlite(element: rows_as_json, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **options)}))"


@compiles(row_as_json)
def _row_in_postgresql(element: row_as_json, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_build_array({compiler.process(element.clauses, **options)})"


@compiles(row_as_json, "sqlite")
def _row_in_sqlite(element: row_as_json, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array({compiler.process(element.clauses, **options)})"


@compiles(json_of)
def _json_in_postgresql(element: json_of, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(json_of, "sqlite")
def _json_in_sqlite(element: json_of, compiler: SQLCompiler, **options: Any) -> str:
    return f"json({compiler.process(element.clauses, **options)})"


@compiles(planned_once)
def _planned_once_in_postgresql(element: planned_once, compiler: SQLCompiler, **options: Any) -> str:
    return f"(SELECT {compiler.process(element.clauses, **options)})"


@compiles(planned_once, "sqlite")
def _planned_once_in_sqlite(element: planned_once, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(minute_of)
def _minute_in_postgresql(element: minute_of, compiler: SQLCompiler, **options: Any) -> str:
    # `extract` computes decimal numbers, which takes several times as long.
    return f"CAST(floor(date_part('epoch', {compiler.process(element.clauses, **options)}) / 60) AS INTEGER)"


@compiles(minute_of, "sqlite")
def _minute_in_sqlite(element: minute_of, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.clauses, **options)
    # Older SQLite versions only have the slower way.
    seconds = f"unixepoch({column})" if sqlite_module().sqlite_version_info >= (3, 38) else f"strftime('%s', {column})"
    return f"(CAST({seconds} AS INTEGER) / 60)"

"""The database: types, queries, transactions. The only `commit(` of Docket is in this file.

There are two kinds of transaction. `reading()` sees one consistent snapshot and never blocks. `write()` runs a piece of
work in one transaction and commits before it returns, so acknowledged changes are kept.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.schema import CreateIndex
from sqlalchemy.sql.compiler import DDLCompiler, SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from webapp.deadlines import lift_deadline
from webapp.engines import BUSY_SECONDS, postgresql_engine, sqlite_engine
from webapp.events.publishing import EventHandlers, published_in, session_info
from webapp.exceptions import AppError
from webapp.troubles import UNSURE, DatabaseTrouble, sqlstate, trouble_of

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# PostgreSQL may abort one of two transactions that wait for each other; the work can then be retried. It can also be
# retried if a row that it read, and that it refers to, was deleted meanwhile: it does not find the row again.
RETRYABLE = {"40001", "40P01", "23503"}
ATTEMPTS = 3

# How long SQLite waits for readers that keep the write-ahead log from being cut.
CHECKPOINT_MILLISECONDS = 100

# Text that is compared by code points on both databases, whatever the collation of the database.
SORTED_TEXT = sa.String(254).with_variant(sa.String(254, collation="C"), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant in UTC, with a precision of one second.

    PostgreSQL stores it as timestamptz. SQLite stores the text that its datetime() writes ('2026-12-01 09:30:00'), so
    that triggers and checks can compare it and compute with it.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            from sqlalchemy.dialects.sqlite import DATETIME

            return dialect.type_descriptor(
                DATETIME(  # type: ignore[no-untyped-call]
                    storage_format="%(year)04d-%(month)02d-%(day)02d %(hour)02d:%(minute)02d:%(second)02d"
                )
            )
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("Docket stores aware datetimes only; this one has no time zone.")
        return value.astimezone(UTC).replace(microsecond=0)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class database_now(FunctionElement[datetime]):  # noqa: N801 - it is used like a function in queries.
    """The current instant on the database's clock, which all processes share; their own machines' clocks may differ."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(database_now)
def _now_in_postgresql(_element: database_now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "date_trunc('second', clock_timestamp())"


@compiles(database_now, "sqlite")
def _now_in_sqlite(_element: database_now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "datetime('now')"


class PartialIndex(sa.Index):
    """An index of the rows that meet a condition, which both databases write alike.

    SQLAlchemy's own `postgresql_where` imports all that it knows of PostgreSQL, which takes 2 MiB on SQLite too.
    """

    inherit_cache = True

    def __init__(self, name: str, *columns: str, where: str, unique: bool = False) -> None:
        super().__init__(name, *columns, unique=unique)
        self.where = sa.text(where)


@compiles(CreateIndex)
def _create_index(element: CreateIndex, compiler: DDLCompiler, **options: Any) -> str:
    made: str = compiler.visit_create_index(element, **options)  # type: ignore[no-untyped-call]
    if isinstance(element.element, PartialIndex):
        made += f" WHERE {compiler.sql_compiler.process(element.element.where, literal_binds=True)}"
    return made


def count_up_to(session: Session, query: sa.Select[Any], most: int | None) -> int:
    """How many rows a query has. With `most` it stops after one more than that, because exact numbers cost time."""
    rows_of = query.limit(most + 1 if most is not None else None).subquery()
    return session.scalar(sa.select(sa.func.count()).select_from(rows_of)) or 0


class Base(DeclarativeBase):
    """The base class of every table. Every constraint gets a name: SQLite's batch migrations drop unnamed ones.

    No database gives the id of a deleted row out again, because people, programs and the audit log remember it.
    PostgreSQL's sequences only rise; SQLite has to be asked (AUTOINCREMENT).
    """

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012 - SQLAlchemy reads it from the class.

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        table = cls.__table__
        if isinstance(table, sa.Table) and table.autoincrement_column is not None:
            sa.event.listen(table, "before_create", _never_reuse_ids)


def _never_reuse_ids(table: sa.Table, connection: sa.Connection, **_options: Any) -> None:
    # An option that is set before a table is created loads SQLite's dialect, which PostgreSQL does not need.
    if connection.dialect.name == "sqlite":
        table.kwargs["sqlite_autoincrement"] = True


# The weight of a small value, with its key and its entry in the cache: see `VersionCache`.
LEAST_WEIGHT = 10
BYTES_PER_WEIGHT = 150


class VersionCache:
    """A process's cache between requests: values by key, each with the version of the data that it was computed from.

    A version always names the same state of the data, so a value is never stale: it is not found under another version.
    Each value has a weight, one for each `BYTES_PER_WEIGHT`. If the values weigh more than `most` together, the least
    recently used ones are removed. It is thread-safe.
    """

    def __init__(self, most: int = 200_000) -> None:
        self._most = most
        self._weight = 0
        self._kept: OrderedDict[Hashable, tuple[Hashable, Any, int]] = OrderedDict()
        self._lock = Lock()

    def find(self, key: Hashable, version: Hashable) -> Any | None:
        """The cached value for this version, or None."""
        with self._lock:
            found = self._kept.get(key)
            if found is None or found[0] != version:
                return None
            self._kept.move_to_end(key)
            return found[1]

    def keep(self, key: Hashable, version: Hashable, value: Any, *, weight: int = LEAST_WEIGHT) -> None:
        """Cache a value that was computed from this version; it replaces an older one."""
        weight = max(weight, LEAST_WEIGHT)
        with self._lock:
            if key in self._kept:
                self._weight -= self._kept.pop(key)[2]
            self._kept[key] = (version, value, weight)
            self._weight += weight
            while self._weight > self._most:
                _key, (_version, _value, removed) = self._kept.popitem(last=False)
                self._weight -= removed

    def get(
        self, key: Hashable, version: Hashable, work: Callable[[], T], *, weigh: Callable[[T], int] | None = None
    ) -> T:
        """The value for this version, computed and weighed now unless it is cached."""
        found: T | None = self.find(key, version)
        if found is None:
            found = work()
            self.keep(key, version, found, weight=weigh(found) if weigh else LEAST_WEIGHT)
        return found


class TransactionObserver(Protocol):
    """Observes transactions, for metrics."""

    def committed(self, events: list[str]) -> None:
        """A transaction that published events with these names was committed."""

    def refused(self, rule: str) -> None:
        """A rule with this code refused a change."""


class Database:
    """One database, SQLite or PostgreSQL, and the two ways to use it.

    `handlers` handle the events that are published in its transactions; without handlers, publishing is an error.
    `patience` is how many seconds one statement may take: `PATIENCE` for requests; None for work that takes as long as
    it needs, such as a migration. A request may also not wait beyond its deadline: see `webapp.deadlines`.
    """

    def __init__(self, url: str, handlers: EventHandlers | None = None, *, patience: float | None = None) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = sqlite_engine(self.url, patience) if self.is_sqlite else postgresql_engine(self.url, patience)
        self._cache = VersionCache()
        # The cache of whole answers is smaller, so that they do not push out the values that they are made of.
        self._answers = VersionCache(most=40_000)
        # SQLite's read transactions see one snapshot by default; PostgreSQL's have to ask for it.
        self._reading = self.engine.execution_options(docket_snapshot=True)
        self.session_info = session_info(handlers)
        self.observer: TransactionObserver | None = None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading. Nothing that is written in it is kept.

        Only reading sessions use the cache between requests: see `webapp.clinic.schedule_versions`.
        """
        known = {"cache": self._cache, "answers": self._answers}
        with Session(self._reading, autoflush=False, expire_on_commit=False, info=known) as session:
            yield session

    def stream(self, read: Callable[[Session], tuple[int, Iterator[T]]]) -> tuple[int, Iterator[T]]:
        """A number that is read first, and rows that are read as they are used, both from one snapshot.

        The snapshot and its connection are kept until the rows end, or nothing refers to them any more.
        """
        totals: list[int] = []

        def rows() -> Iterator[T]:
            # Rows are sent as they are read, as long as the client accepts them.
            lift_deadline()
            with self.reading() as session:
                if not self.is_sqlite:
                    session.execute(sa.text("SET LOCAL statement_timeout = 0"))
                total, found = read(session)
                totals.append(total)
                # A started generator is closed with its session, even if it is never used again.
                yield cast("T", None)
                yield from found

        stream = rows()
        next(stream)
        return totals[0], stream

    def write(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(session, …)` in one transaction, commit it, and return its result.

        On SQLite the transaction takes the write lock at its start, so a check inside it cannot become stale. On
        PostgreSQL work that lost to a deadlock, or to a deletion, is retried, at most three times.

        Raises:
            DatabaseTrouble: a lock could not be taken in time, or the database refuses writes or does not answer.
        """
        for attempt in range(1, ATTEMPTS + 1):
            saving = False
            try:
                with Session(self.engine, expire_on_commit=False, info=self.session_info) as session:
                    session.connection(execution_options={"docket_write": True})
                    result = work(session, *args, **kwargs)
                    session.flush()
                    saving = True
                    session.commit()
                if self.observer is not None:
                    self.observer.committed(published_in(session))
                return result
            except AppError as refused:
                if self.observer is not None and refused.status in {409, 422}:
                    self.observer.refused(refused.code)
                raise
            except SQLAlchemyError as error:
                if isinstance(error, DBAPIError) and sqlstate(error) in RETRYABLE and attempt < ATTEMPTS:
                    logger.info("Retrying a transaction after SQLSTATE %s", sqlstate(error))
                    continue
                trouble = trouble_of(error, writing=True)
                if trouble is None:
                    raise
                # If the server disappears during the commit, the change may have been saved or not.
                unsure = saving and not self.is_sqlite and not trouble.answers_reads
                refusal = DatabaseTrouble(UNSURE if unsure else trouble, error)
                refusal.report()
                raise refusal from error
        raise AssertionError("The loop above returns or raises.")

    def empty_log(self) -> bool:
        """Move SQLite's write-ahead log into the file and truncate it, because it may still contain deleted rows.

        False if other connections are in the way: try again later. On PostgreSQL there is nothing to do.
        """
        if not self.is_sqlite:
            return True
        with self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            # Waiting here would make every writer wait.
            driver.execute(f"PRAGMA busy_timeout={CHECKPOINT_MILLISECONDS}")
            try:
                blocked, _pages, _moved = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                driver.execute(f"PRAGMA busy_timeout={1000 * BUSY_SECONDS}")
        return not blocked

    def now(self) -> datetime:
        """The current instant on the database's clock, which is the same for all processes on all machines."""
        with self.reading() as session:
            return session.execute(sa.select(database_now())).scalar_one()

    def dispose(self) -> None:
        """Close all connections, for example before the process ends."""
        self.engine.dispose()


def ddl(statement: str) -> sa.DDL:
    """One data definition statement, for the events of a table."""
    return sa.DDL(statement)  # type: ignore[no-untyped-call]


def table_of(model: type[Base]) -> sa.Table:
    """The table of a mapped class, for hot queries: these read plain tuples, because the ORM doubles their cost."""
    table = model.__table__
    if not isinstance(table, sa.Table):
        raise TypeError(f"{model.__name__} is not mapped to its own table.")
    return table


def rows(session: Session, query: sa.Executable, **values: object) -> CursorResult[*tuple[Any, ...]]:
    """Run a query on tables over the session's connection, without the ORM: for hot queries that are built once.

    The session is not flushed first; callers that have added mapped objects must flush it before.
    """
    return session.connection().execute(query, values)


def seek(
    query: sa.Select[Any], columns: Sequence[Any], here: Sequence[object] | None, *, falling: bool
) -> sa.Select[Any]:
    """The rows beyond the position `here`, in the order of `columns`, or in reverse if `falling`.

    `here` has a value for each of the columns; None reads from the beginning.
    """
    if here is not None:
        place = sa.tuple_(*columns) if len(columns) > 1 else columns[0]
        values = [sa.literal(value, column.type) for value, column in zip(here, columns, strict=True)]
        bound = sa.tuple_(*values) if len(values) > 1 else values[0]
        query = query.where(place < bound if falling else place > bound)
    return query.order_by(*(column.desc() if falling else column.asc() for column in columns))

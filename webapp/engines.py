"""Connections: how SQLite and PostgreSQL are set up, and how long each may keep a request waiting."""

from __future__ import annotations

import importlib
import os
import select
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from webapp.deadlines import NOTICEABLE_SECONDS, Deadline, counted_wait, current_deadline, seconds_left

# Forty threads answer requests, and each may hold one connection for reading and one for writing. With fewer than two
# connections per thread, forty requests could hold all connections and wait for each other. Requests that have to wait
# longer than the timeout are told that we are busy. Connections beyond twenty are closed after use.
POOL = {"pool_size": 20, "max_overflow": 60, "pool_timeout": 5}
CONNECT_SECONDS = 5
IDLE_SECONDS = 60
# How long one statement of a request may take: less than a request may wait in all, so that there is time left for an
# error page.
PATIENCE = 4.0
# How long SQLite waits for another process that writes.
BUSY_SECONDS = 4
# How long a connection may be silent during a statement that has no time limit.
SILENCE_SECONDS = 3600.0
# PostgreSQL's own library notices a network that drops packets by these, and the server notices that we are gone.
TCP = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 5000}
# PostgreSQL lists our connections under this name, by which a restore notices that Docket is running.
APPLICATION = "docket"
SERVER_OPTIONS = (
    f"-c application_name={APPLICATION} -c lock_timeout=3000 -c timezone=UTC "
    # Compiling a query of the reports to machine code took half a second, longer than the query itself.
    "-c jit=off "
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)
# SQLite asks whether it may go on each time it has taken this many steps, about two milliseconds.
STEPS_BETWEEN_LOOKS = 100_000


def postgresql_engine(url: sa.URL, patience: float | None) -> sa.Engine:
    """PostgreSQL with a limit for everything that may wait; the comments explain each setting."""
    milliseconds = 0 if patience is None else round(patience * 1000)
    engine = sa.create_engine(
        url,
        **POOL,
        poolclass=_ImpatientPool,
        hide_parameters=True,
        connect_args={
            "options": f"{SERVER_OPTIONS} -c statement_timeout={milliseconds}",
            # The driver does not begin transactions: `_begin_on_postgresql` does, with the options of each.
            "autocommit": True,
            **TCP,
        },
    )
    event.listen(engine, "checkout", _require_open)
    bounded = _bounded_connections(SILENCE_SECONDS if patience is None else patience + 1)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, arguments: Any, options: dict[str, Any]) -> Any:
        left = seconds_left(CONNECT_SECONDS)
        if left < 1:
            raise OperationalError("", None, Exception("There is no connection, and no time to open one"))
        own = {"connect_timeout": int(left), "cursor_factory": _plain_cursors()}
        return bounded.connect(*arguments, **options | own)

    _begin_with_driver(engine, _begin_on_postgresql)
    engine.dialect.do_rollback = _roll_back_on_postgresql  # type: ignore[assignment,method-assign]
    return engine


def _begin_on_postgresql(driver: Any, options: Mapping[str, Any]) -> Any:
    # For a writing transaction the server decides, because an operator may have made it read-only.
    driver.has_snapshot = options.get("docket_snapshot", False)
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if driver.has_snapshot else "BEGIN"
    first = options.get("docket_first")
    cursor = driver.execute(f"{begin}; {first}" if first else begin, prepare=False)
    if first:
        cursor.nextset()
    return cursor.fetchone()[0] if first else None


def _roll_back_on_postgresql(connection: Any) -> None:
    import psycopg

    driver = connection.dbapi_connection
    status, had_snapshot, driver.has_snapshot = driver.pgconn.transaction_status, driver.has_snapshot, False
    if status == psycopg.pq.TransactionStatus.IDLE:
        # The pool asks for a rollback after the session's own.
        return
    # A snapshot has written nothing. With a rollback, the driver would also drop the statements that the server has
    # prepared, and each request would have its queries parsed and planned again. After an error it should: the server
    # refuses a statement forever if the types of its columns have changed since it was prepared.
    if status == psycopg.pq.TransactionStatus.INTRANS and had_snapshot:
        with suppress(psycopg.Error):
            driver.execute("END", prepare=False)
    else:
        driver.rollback()


def _begin_with_driver(engine: sa.Engine, begin: Callable[[Any, Mapping[str, Any]], Any]) -> None:
    """Begin the engine's transactions with the driver alone, because SQLAlchemy's own work would take longer than the
    driver's.

    `begin` gets the driver's connection and the options of the transaction. It returns the value that the first query
    finds, or None if the options have no first query.
    """

    @event.listens_for(engine, "begin")
    def note_options(connection: sa.Connection) -> None:
        connection.info["docket_options"] = connection.get_execution_options()

    def do_begin(connection: Any) -> None:
        connection.info["docket_first"] = begin(connection.dbapi_connection, connection.info["docket_options"])

    # SQLAlchemy handles errors in this function like errors of statements; it does not do so in the event.
    engine.dialect.do_begin = do_begin  # type: ignore[assignment,method-assign]


def begin_with(session: Session, query: str) -> Any:
    """The single value that a query without parameters finds; the first query of a session is sent together with BEGIN.

    On PostgreSQL each round trip costs about as much as a simple query.
    """
    if session.in_transaction():
        return session.connection().exec_driver_sql(query).scalar()
    return session.connection(execution_options={"docket_first": query}).info.pop("docket_first")


@cache
def _bounded_connections(silence: float) -> Any:
    """Connections that are closed when the server is silent for longer. PostgreSQL's own timeout does not help if the
    query or the answer is lost on the way.
    """
    import psycopg

    class BoundedConnection(psycopg.Connection[Any]):
        has_snapshot = False

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                with counted_wait():
                    return super().wait(gen, interval, seconds_left(timeout or silence))
            except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - it has no other name.
                # It is in the middle of a statement, so it cannot be used again.
                self.pgconn.finish()
                raise psycopg.OperationalError("The server did not answer in time") from error

    return BoundedConnection


@cache
def _plain_cursors() -> Any:
    """A class of cursors that describe a column by its name and type; SQLAlchemy needs nothing else.

    The driver's own cursors create an object for each column of each answer, which can take as long as the query.
    """
    import psycopg

    class PlainCursor(psycopg.Cursor[Any]):
        @property
        def description(self) -> Any:
            found = self.pgresult
            if found is None or found.status != psycopg.pq.ExecStatus.TUPLES_OK:
                return None
            return [
                ((found.fname(place) or b"").decode(), found.ftype(place), None, None, None, None, None)
                for place in range(found.nfields)
            ]

    return PlainCursor


class _ImpatientPool(QueuePool):
    """A pool in which nothing waits beyond its deadline for a connection that others use."""

    # This makes it log like SQLAlchemy's own pool.
    __module__ = QueuePool.__module__

    @property
    def _timeout(self) -> float:
        return seconds_left(self._most)

    @_timeout.setter
    def _timeout(self, most: float) -> None:
        self._most = most

    def _do_get(self) -> ConnectionPoolEntry:
        with counted_wait():
            return super()._do_get()


def _require_open(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Make the pool replace a connection that PostgreSQL has closed, or that a network may have dropped.

    A query would show the same, but costs more than the queries of many pages. A server that closes a connection sends
    a message, and between requests there is nothing else to read. A network drops connections silently, but only idle
    ones.

    Raises:
        DisconnectionError: the connection must be replaced.
    """
    now = monotonic()
    idle = now - record.info.get("used", now)
    record.info["used"] = now
    if connection.closed or idle > IDLE_SECONDS:
        raise DisconnectionError
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    if socket.poll(0):
        raise DisconnectionError


def sqlite_file(url: str | sa.URL) -> Path | None:
    """The file of an SQLite database; None for PostgreSQL and for a database in memory."""
    url = make_url(url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith((":memory:", "file:")):
        return None
    return Path(url.database)


def sqlite_engine(url: sa.URL, patience: float | None) -> sa.Engine:
    """SQLite set up for several processes that all write; the comments explain each setting."""
    if path := sqlite_file(url):
        _make_private(path)
    # Errors include their statement; with its parameters they would write patients' names and reasons to the log.
    engine = sa.create_engine(url, module=sqlite_module(), **POOL, poolclass=_ImpatientPool, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # The driver must not start transactions: it would start them late, and deferred.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={1000 * BUSY_SECONDS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        # NORMAL may lose acknowledged commits in a power failure.
        cursor.execute("PRAGMA synchronous=FULL")
        # Deleted data is overwritten: a patient's name must not stay readable in the file.
        cursor.execute("PRAGMA secure_delete=ON")
        if patience is not None:
            # Each of up to eighty connections has a cache of pages. The default is 2000 KiB; half makes no page slower.
            cursor.execute("PRAGMA cache_size=-1000")
        cursor.close()
        if patience is not None:
            connection.set_progress_handler(_StatementTimeout(patience).is_late, STEPS_BETWEEN_LOOKS)

    event.listen(engine, "handle_error", _open_again)

    _begin_with_driver(engine, _begin_on_sqlite)
    return engine


def _begin_on_sqlite(driver: Any, options: Mapping[str, Any]) -> Any:
    if options.get("docket_write"):
        # A request that has waited before, for another lock, does not wait that long again.
        wait = round(1000 * seconds_left(BUSY_SECONDS))
        with counted_wait():
            driver.execute(f"PRAGMA busy_timeout={wait}")
            driver.execute("BEGIN IMMEDIATE")
    else:
        driver.execute("BEGIN")
    first = options.get("docket_first")
    return driver.execute(first).fetchone()[0] if first else None


def _open_again(context: sa.ExceptionContext) -> None:
    """Make the pool replace its connections when one of them may not write. SQLite opens a file read-only if it cannot
    be written, and the connection stays read-only when that has changed.
    """
    if getattr(context.original_exception, "sqlite_errorname", "").startswith("SQLITE_READONLY"):
        context.is_disconnect = True


class _StatementTimeout:
    """Whether SQLite must interrupt a long statement. SQLite asks every few milliseconds while it computes."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._began = self._asked = 0.0
        self._deadline: Deadline | None = None

    def is_late(self) -> bool:
        """Whether it has computed for one request, without a break, for longer than it may."""
        now, deadline = monotonic(), current_deadline()
        # A busy clinic's requests use one connection one after the other, without any break.
        if deadline is not self._deadline or now - self._asked > NOTICEABLE_SECONDS:
            self._began = now
        self._asked, self._deadline = now, deadline
        if deadline is not None and deadline.left is None:
            return False
        return now - self._began > seconds_left(self._patience)


def _make_private(path: Path) -> None:
    """Create the database file, for its owner only, and its folder. SQLite gives -wal and -shm the file's mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def sqlite_module() -> Any:
    """The newest available SQLite: the pysqlite3 wheel if it is installed, otherwise Python's own."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return importlib.import_module("sqlite3")

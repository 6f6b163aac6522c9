"""The database layer: instants, transactions, retries and the settings that SQLite needs."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from tests.cast import NOW
from tests.postgres import libpq
from webapp.database import ATTEMPTS, Database, UtcDateTime
from webapp.engines import begin_with, sqlite_module
from webapp.exceptions import Unavailable
from webapp.models import FailedLogin, Patient
from webapp.sql_functions import fixed, planned_once
from webapp.troubles import UNREACHABLE, sqlstate, trouble_of


def attempt(name: str, at: datetime = NOW) -> FailedLogin:
    """Some small row."""
    return FailedLogin(account=name, address="", at=at)


def names(database: Database) -> list[str]:
    """The names of the stored rows."""
    with database.reading() as session:
        return list(session.scalars(sa.select(FailedLogin.account).order_by(FailedLogin.id)))


def test_the_first_query_is_sent_together_with_the_begin_of_a_snapshot(database: Database) -> None:
    count = "SELECT count(*) FROM failed_logins"
    sent: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *about: sent.append(about[2]))
    with database.reading() as session:
        assert begin_with(session, count) == 0
        assert sent == [], "It was sent separately."
        database.write(lambda other: other.add(attempt("a")))
        assert begin_with(session, count) == 0
    with database.reading() as session:
        assert begin_with(session, count) == 1


# ----------------------------------------------------------------------------------------------------- instants


def test_an_instant_comes_back_as_the_same_instant_in_utc(database: Database) -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    written = datetime(2026, 3, 3, 9, 30, 15, 999_999, tzinfo=east)
    database.write(lambda session: session.add(attempt("a", written)))
    with database.reading() as session:
        read = session.scalars(sa.select(FailedLogin.at)).one()
    assert read == datetime(2026, 3, 3, 4, 0, 15, tzinfo=UTC)
    assert read.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="no time zone"):
        database.write(lambda session: session.add(attempt("a", datetime(2026, 3, 3))))  # noqa: DTZ001


def test_sqlite_keeps_instants_in_the_form_of_its_own_functions(sqlite_database: Database) -> None:
    sqlite_database.write(lambda session: session.add(attempt("a")))
    with sqlite_database.reading() as session:
        assert session.scalar(sa.text("SELECT at FROM failed_logins")) == "2026-03-02 07:00:00"
        assert session.scalar(sa.text("SELECT at = datetime(at) FROM failed_logins")) == 1


# ------------------------------------------------------------------------------------------------- transactions


def test_work_is_committed_as_a_whole_or_not_at_all(database: Database) -> None:
    def work(session: Session, *, fail: bool) -> str:
        session.add(attempt("one"))
        session.flush()
        session.add(attempt("two"))
        if fail:
            raise LookupError
        return "done"

    with pytest.raises(LookupError):
        database.write(work, fail=True)
    assert names(database) == []
    assert database.write(work, fail=False) == "done"
    assert names(database) == ["one", "two"]


def test_changes_in_a_session_for_reading_are_rolled_back(database: Database) -> None:
    with database.reading() as session, contextlib.suppress(DBAPIError):
        session.add(attempt("one"))
        session.flush()
    assert names(database) == []


def test_a_reader_sees_the_state_at_its_start_and_blocks_no_writer(database: Database) -> None:
    database.write(lambda session: session.add(attempt("one")))
    with database.reading() as reader:
        count = sa.select(sa.func.count(FailedLogin.id))
        assert reader.scalar(count) == 1
        database.write(lambda session: session.add(attempt("two")))
        assert reader.scalar(count) == 1
    assert names(database) == ["one", "two"]


def lost(database: Database, state: str) -> DBAPIError:
    """The error of a database that aborts a transaction with this SQLSTATE."""
    error = psycopg.errors.lookup(state)("made for the test")
    return OperationalError("SELECT 1", {}, error)


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_work_that_lost_to_a_deadlock_is_repeated_three_times_at_most(database: Database, state: str) -> None:
    calls: list[int] = []

    def work(session: Session, losses: int) -> None:
        calls.append(1)
        session.add(attempt("one"))
        session.flush()
        if len(calls) <= losses:
            raise lost(database, state)

    database.write(work, ATTEMPTS - 1)
    assert (len(calls), names(database)) == (ATTEMPTS, ["one"])
    calls.clear()
    with pytest.raises(Unavailable) as caught:
        database.write(work, ATTEMPTS)
    assert (len(calls), caught.value.status) == (ATTEMPTS, 503)
    assert names(database) == ["one"]


def test_work_is_repeated_if_a_row_that_it_refers_to_was_deleted_meanwhile(
    postgresql_url: str, open_database: Callable[[str], Database]
) -> None:
    """SQLite has one writer at a time."""
    database = open_database(postgresql_url)
    new = sa.insert(Patient).values(name="Ann", created_at=NOW).returning(Patient.id)
    number = database.write(lambda session: session.scalars(new).one())
    found: list[int | None] = []

    def link(session: Session) -> None:
        found.append(session.scalar(sa.select(Patient.id).where(Patient.id == number)))
        if found[-1] is not None:
            database.write(lambda other: other.execute(sa.delete(Patient).where(Patient.id == number)))
            session.execute(sa.insert(Patient).values(name="Ben", managed_by_id=number, created_at=NOW))

    database.write(link)
    assert found == [number, None]
    database.dispose()


def test_a_lock_timeout_is_reported_as_busy_and_not_tried_again(database: Database) -> None:
    calls: list[int] = []

    def work(session: Session) -> None:
        calls.append(1)
        raise lost(database, "55P03")

    with pytest.raises(Unavailable):
        database.write(work)
    assert len(calls) == 1


def test_any_other_error_of_the_database_is_raised_unchanged(database: Database) -> None:
    with pytest.raises(IntegrityError):
        database.write(lambda session: session.execute(sa.text("INSERT INTO failed_logins (account) VALUES (NULL)")))
    with pytest.raises(DBAPIError, match="nonsense"):
        database.write(lambda session: session.execute(sa.text("SELECT * FROM nonsense")))


@pytest.fixture
def unshared_database(database_url: str) -> Iterator[Database]:
    """A database whose connections no other test uses."""
    database = Database(database_url)
    yield database
    database.dispose()


def test_a_real_lock_timeout_is_reported_as_busy(unshared_database: Database) -> None:
    database = unshared_database
    short = "PRAGMA busy_timeout=1" if database.is_sqlite else "SET LOCAL lock_timeout = '1ms'"
    lock = "BEGIN IMMEDIATE" if database.is_sqlite else "LOCK TABLE failed_logins"

    if database.is_sqlite:

        @sa.event.listens_for(database.engine, "connect")
        def _impatient(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
            connection.cursor().execute(short)

    def work(session: Session) -> None:
        if not database.is_sqlite:
            session.execute(sa.text(short))
        session.add(attempt("one"))
        session.flush()

    with Session(database.engine) as holder:
        holder.connection(execution_options={"docket_write": True})
        if not database.is_sqlite:
            holder.execute(sa.text(lock))
        with pytest.raises(Unavailable):
            database.write(work)
    database.write(work)
    assert names(database) == ["one"]


def test_a_closed_connection_is_busy_and_a_wrong_query_is_not(database: Database) -> None:
    assert trouble_of(lost(database, "57P01"), writing=False)
    with database.reading() as session, pytest.raises(DBAPIError) as caught:
        session.execute(sa.text("SELECT * FROM nonsense"))
    assert not trouble_of(caught.value, writing=False)
    assert sqlstate(caught.value) == (None if database.is_sqlite else "42P01")


# ------------------------------------------------------------------------------------------------------ settings


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """A fresh SQLite database."""
    database = Database(sqlite_url)
    yield database
    database.dispose()


def test_sqlite_is_set_up_to_keep_what_it_acknowledges(sqlite_database: Database) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 4000}
    with sqlite_database.reading() as session:
        found = {name: session.scalar(sa.text(f"PRAGMA {name}")) for name in wanted}
    assert found == wanted


def test_sqlite_plans_a_statement_with_a_fixed_limit_once(sqlite_database: Database) -> None:
    """SQLite asks the authorizer about the columns of a statement whenever it plans it."""
    planned: list[tuple[object, ...]] = []

    def authorize(*about: object) -> int:
        planned.append(about)
        return 0

    newest = sa.select(FailedLogin.account).order_by(FailedLogin.id.desc()).limit(fixed(2))
    with sqlite_database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.set_authorizer(authorize)
        connection.execute(newest).all()
        assert planned
        planned.clear()
        connection.execute(newest).all()
        assert planned == []
        # It does not return to the pool.
        connection.invalidate()


def test_a_file_that_can_be_written_again_is_reopened(sqlite_database: Database) -> None:
    database = sqlite_database
    disk = {"mode": "rw"}

    @sa.event.listens_for(database.engine, "do_connect")
    def connect(_dialect: object, _record: object, arguments: list[str], options: dict[str, object]) -> object:
        # As SQLite opens a file that it may only read.
        return sqlite_module().connect(f"file:{arguments[0]}?mode={disk['mode']}", uri=True, **options)

    # Beside another connection, because one that only reads cannot begin the write-ahead log.
    other = sqlite_module().connect(str(database.url.database))
    other.execute("SELECT * FROM sqlite_master").fetchall()
    disk["mode"] = "ro"
    with pytest.raises(Unavailable):
        database.write(_count_a_failure)
    disk["mode"] = "rw"
    database.write(_count_a_failure)
    other.close()


def _count_a_failure(session: Session) -> None:
    session.execute(sa.insert(FailedLogin).values(account="a", address="192.0.2.1", judged=True, at=NOW))


@pytest.fixture
def postgresql_database(postgresql_url: str) -> Iterator[Database]:
    """A PostgreSQL database with a separate pool."""
    database = Database(postgresql_url)
    yield database
    database.dispose()


def backend_of(database: Database) -> int:
    """The process id of the server that answers the next session."""
    with database.reading() as session:
        return session.execute(sa.select(sa.func.pg_backend_pid(type_=sa.Integer))).scalar_one()


def test_a_connection_is_used_again(postgresql_database: Database) -> None:
    assert backend_of(postgresql_database) == backend_of(postgresql_database)


def test_the_server_keeps_what_it_prepared_for_reading(postgresql_database: Database) -> None:
    prepared = sa.text("SELECT count(*) FROM pg_prepared_statements")
    for _ in range(8):
        names(postgresql_database)
    with postgresql_database.reading() as session:
        assert session.scalar(prepared)
        session.connection().info["wrong"] = True
        with pytest.raises(DBAPIError):
            session.execute(sa.text("SELECT 1 / 0"))
    # A snapshot that has failed also ends.
    with postgresql_database.reading() as session:
        assert session.connection().info["wrong"]
        assert session.scalar(sa.text("SELECT 1")) == 1


@pytest.mark.parametrize("planned_each_time", [False, True])
def test_the_server_plans_a_range_once_if_it_does_not_know_its_ends(
    postgresql_database: Database, *, planned_each_time: bool
) -> None:
    at = sa.column("at", UtcDateTime())
    ends = [sa.bindparam(name, type_=UtcDateTime()) for name in ("low", "high")]
    low, high = ends if planned_each_time else map(planned_once, ends)
    query = sa.select(sa.func.count()).select_from(sa.table("moments", at)).where(at >= low, at < high)
    with postgresql_database.engine.connect() as connection:
        made = "SELECT now() + n * interval '1 minute' AS at FROM generate_series(1, 100000) AS n"
        for statement in (f"CREATE TEMP TABLE moments AS {made}", "CREATE INDEX ON moments (at)", "ANALYZE moments"):
            connection.execute(sa.text(statement))
        for _ in range(15):
            connection.execute(query, {"low": NOW, "high": NOW + timedelta(minutes=1)})
        plans = "SELECT generic_plans > 0 FROM pg_prepared_statements WHERE statement LIKE '%count(*)%moments%'"
        assert connection.scalar(sa.text(plans)) is not planned_each_time


def test_a_statement_that_the_server_had_prepared_for_other_types_is_prepared_again(
    postgresql_database: Database,
) -> None:
    def read() -> None:
        with postgresql_database.reading() as session:
            session.execute(sa.text("SELECT number FROM things"))

    with psycopg.connect(libpq(str(postgresql_database.url)), autocommit=True) as other:
        other.execute("CREATE TABLE things (number integer)")
        try:
            for _ in range(8):
                read()
            other.execute("ALTER TABLE things ALTER COLUMN number TYPE bigint")
            with pytest.raises(DBAPIError, match="cached plan"):
                read()
            read()
        finally:
            other.execute("DROP TABLE things")


def terminate(database: Database, backend: int) -> None:
    """End a process of the server, and wait until it has ended."""
    with psycopg.connect(libpq(str(database.url)), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])


def test_a_connection_that_the_server_has_closed_is_replaced_unnoticed(postgresql_database: Database) -> None:
    first = backend_of(postgresql_database)
    terminate(postgresql_database, first)
    assert backend_of(postgresql_database) != first
    assert postgresql_database.write(lambda session: session.scalar(sa.text("SELECT 1"))) == 1


def test_a_connection_that_breaks_in_a_snapshot_is_the_databases_trouble(postgresql_database: Database) -> None:
    backend = backend_of(postgresql_database)

    def read_twice() -> None:
        with postgresql_database.reading() as session:
            session.execute(sa.text("SELECT 1"))
            terminate(postgresql_database, backend)
            session.execute(sa.text("SELECT 1"))

    with pytest.raises(OperationalError) as caught:
        read_twice()
    assert trouble_of(caught.value, writing=False) == UNREACHABLE


def test_a_connection_that_was_idle_for_long_is_replaced(
    postgresql_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = backend_of(postgresql_database)
    monkeypatch.setattr("webapp.engines.IDLE_SECONDS", 0)
    assert backend_of(postgresql_database) != first


def test_postgresql_waits_three_seconds_for_a_lock_and_speaks_utc(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    with database.reading() as session:
        assert session.scalar(sa.text("SHOW lock_timeout")) == "3s"
        assert session.scalar(sa.text("SHOW timezone")) == "UTC"
    database.dispose()


def test_a_folder_for_the_database_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a/b/docket.db")
    database.write(lambda session: session.execute(sa.text("CREATE TABLE things (id INTEGER)")))
    folder = tmp_path / "a" / "b"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    assert modes == {"b": 0o700, "docket.db": 0o600, "docket.db-wal": 0o600, "docket.db-shm": 0o600}
    database.dispose()


def test_waiting_too_long_for_a_connection_is_reported_as_busy(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.engines.POOL", {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01})
    database = Database(database_url)
    with database.reading() as session:
        session.execute(sa.text("SELECT 1"))
        with pytest.raises(Unavailable):
            database.write(lambda writing: writing.execute(sa.text("SELECT 1")))
    database.dispose()


def test_forty_requests_may_read_and_write_concurrently(database: Database) -> None:
    with ExitStack() as stack:
        for _ in range(2 * 40):
            stack.enter_context(database.engine.connect())

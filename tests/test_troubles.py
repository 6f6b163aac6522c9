"""A database that is away, locked, full or read-only: the sentences for people, and those for the operator."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.cast import client_for, log_in
from tests.reading import read
from webapp.causes import OncePerMinute, end_minutes
from webapp.database import Database

PROFILE = {"name": "Alice Adams", "birth_date": "1990-05-17", "phone": "+31 6 12345678"}


@pytest.fixture
def alice(own: Database) -> TestClient:
    return log_in(client_for(own), "alice")


@contextmanager
def away(database: Database) -> Iterator[None]:
    """Nothing answers at its address any more."""

    def refuse(*_arguments: object) -> None:
        raise database.engine.dialect.loaded_dbapi.OperationalError("connection failed: Connection refused")

    database.dispose()
    pool = database.engine.pool
    connect, pool._creator = pool._creator, refuse  # type: ignore[assignment]
    yield
    pool._creator = connect


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Another process holds what a write needs."""
    sa.event.listen(database.engine, "begin", lambda connection: _be_impatient(database, connection), insert=True)
    with Session(database.engine) as holder:
        holder.connection(execution_options={"docket_write": True})
        if not database.is_sqlite:
            holder.execute(sa.text("LOCK TABLE users IN EXCLUSIVE MODE"))
        yield


def _be_impatient(database: Database, connection: sa.Connection) -> None:
    wait = "PRAGMA busy_timeout=1" if database.is_sqlite else "SET lock_timeout = '50ms'"
    connection.exec_driver_sql(wait)


@contextmanager
def full(database: Database) -> Iterator[None]:
    """The disk has no room for another row."""
    if not database.is_sqlite:
        run(
            database,
            "CREATE FUNCTION fill() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100', "
            "MESSAGE = 'could not extend file: No space left on device'; END $$ LANGUAGE plpgsql",
        )
        run(database, "CREATE TRIGGER fill BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION fill()")
        yield
        run(database, "DROP FUNCTION fill CASCADE")
        return
    run(database, "CREATE TABLE filled (bytes BLOB)")
    run(database, "CREATE TRIGGER fill BEFORE UPDATE ON users BEGIN INSERT INTO filled VALUES (zeroblob(99999)); END")
    with _said_to_each_connection(database, "PRAGMA max_page_count=1"):
        yield
    run(database, "DROP TRIGGER fill")


def run(database: Database, statement: str) -> None:
    database.write(lambda session: session.execute(sa.text(statement)))


@contextmanager
def read_only(database: Database) -> Iterator[None]:
    """Nothing can be written, as on a disk that was mounted again after an error, or on a standby."""
    words = "PRAGMA query_only=1" if database.is_sqlite else "SET default_transaction_read_only = on"
    with _said_to_each_connection(database, words):
        yield


@contextmanager
def _said_to_each_connection(database: Database, words: str) -> Iterator[None]:
    def say(connection: Any, _record: object) -> None:
        connection.cursor().execute(words)
        if not database.is_sqlite:
            connection.commit()

    database.dispose()
    sa.event.listen(database.engine, "connect", say)
    yield
    sa.event.remove(database.engine, "connect", say)
    database.dispose()


TROUBLES = {
    "away": (away, "Our booking system isn’t answering", "10"),
    "locked": (locked, "We’re very busy", "2"),
    "full": (full, "We can’t save anything right now", "30"),
    "read-only": (read_only, "We can’t save anything right now", "30"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_trouble_is_told_truly_and_logged_once_and_ends_by_itself(
    own: Database, alice: TestClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    trouble, title, retry_after = TROUBLES[name]
    client = alice
    assert client.post("/account/calendar").status_code == 303
    with trouble(own):
        caplog.clear()
        for _ in range(3):
            answer = client.post("/account/calendar/renewal")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, retry_after)
            page = read(answer)
            assert page.h1 == title
            assert answer.headers["x-request-id"] in page.text
            assert "very busy" in page.text or "Nothing has changed." in page.text
        home = client.get("/")
        assert home.status_code == (503 if name == "away" else 200)
        assert client.get("/health/live").status_code == 200
        if name == "away":
            problem = client.get("/api/v1/doctors")
            assert (problem.status_code, problem.headers["retry-after"]) == (503, retry_after)
            assert problem.json()["reference"] == problem.headers["x-request-id"]
        lines = [each.getMessage() for each in caplog.records if each.name.startswith("webapp") and each.levelno > 20]
        assert len(lines) == 1, lines
        assert lines[0].startswith("The database is ")
    assert client.post("/account/calendar/renewal").status_code == 303
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("name", [name for name in TROUBLES if name != "away"])
def test_a_form_that_cannot_be_saved_is_shown_again_with_what_was_typed(
    own: Database, alice: TestClient, name: str
) -> None:
    trouble, _title, retry_after = TROUBLES[name]
    typed = {**PROFILE, "name": "Alice Arnold"}
    with trouble(own):
        answer = alice.post("/account", data=typed)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, retry_after)
        page = read(answer)
        assert page.h1 == "My account"
        assert "very busy" in page.text or "Nothing has changed." in page.text
        assert typed.items() <= page.form("/account").items()
    assert alice.post("/account", data=typed).status_code == 303


def test_the_number_of_equal_errors_is_told_at_the_end_of_the_minute() -> None:
    minutes: list[Any] = []
    said: list[tuple[str, int]] = []
    once = OncePerMinute(later=minutes.append)

    def happens(cause: str) -> bool:
        return once.is_first(cause, lambda cause, more: said.append((cause, more)))

    assert [happens("a"), happens("a"), happens("b"), happens("a")] == [True, False, True, False]
    end_a, end_b = minutes
    end_a()
    end_b()
    assert said == [("a", 2)]
    assert [happens("a"), happens("b")] == [False, True], (
        "A cause that continues has one line a minute; one that has ended begins again."
    )
    minutes[2]()
    assert said == [("a", 2), ("a", 1)]
    minutes[4]()
    assert happens("a")


def test_the_numbers_of_a_minute_are_logged_when_the_process_ends() -> None:
    once = OncePerMinute()
    said: list[tuple[str, int]] = []
    before = set(threading.enumerate())
    for cause in ("a", "a", "a", "b"):
        once.is_first(cause, lambda cause, more: said.append((cause, more)))
    begun = set(threading.enumerate()) - before
    end_minutes()
    assert said == [("a", 2)]
    for thread in begun:
        thread.join(10)
    assert not any(thread.is_alive() for thread in begun), "Nothing is left that would speak later."
    assert said == [("a", 2)]
    assert once.is_first("a", lambda *_more: None)

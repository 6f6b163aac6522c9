"""Health: what an operator, a proxy and `docket check` are told about the database, and how soon."""

from __future__ import annotations

import logging
import threading
from collections import namedtuple
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import take_guard_away
from tests.cast import NOW, client_for
from tests.processes import PATIENCE
from tests.test_troubles import away, locked, read_only
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.health import READY
from webapp.heartbeats import service
from webapp.heartbeats.models import Heartbeat
from webapp.integrity.problems import find_problems
from webapp.migrations import downgrade, is_under_way, upgrade


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A stopped clock for the probes; tests move it."""
    clock = [1000.0]
    monkeypatch.setattr("webapp.health.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("webapp.health.SECONDS_OF_LOOK", PATIENCE)
    return clock


@pytest.fixture
def asked(own: Database, clock: list[float]) -> Callable[[], tuple[int, dict[str, str]]]:
    """A function that asks whether Docket is ready, a second after it was last asked."""
    client = client_for(own)

    def ask() -> tuple[int, dict[str, str]]:
        clock[0] += 1
        answer = client.get("/health/ready")
        return answer.status_code, answer.json()

    return ask


Asked = Callable[[], tuple[int, dict[str, str]]]


def test_a_ready_process_leaves_one_row(own: Database, asked: Asked) -> None:
    assert [asked(), asked()] == [(200, READY), (200, READY)]
    with own.reading() as session:
        (beat,) = service.list_beats(session, "web")
        now = session.scalar(sa.select(sa.func.max(Heartbeat.seen_at)))
    assert beat.name == service.own_name()
    assert beat.seen_at == now
    assert own.write(service.forget_old, now=beat.seen_at + service.RETENTION) == 0
    assert own.write(service.forget_old, now=beat.seen_at + 2 * service.RETENTION) == 1


def test_all_who_ask_within_a_second_share_one_look(own: Database, clock: list[float]) -> None:
    client = client_for(own)
    statements: list[str] = []
    sa.event.listen(own.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    assert client.get("/health/ready").status_code == 200
    looked = len(statements)
    for _ in range(5):
        assert client.get("/health/ready").status_code == 200
    assert len(statements) == looked > 0
    take_guard_away(own)
    clock[0] += 1
    for _ in range(2):
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()) == (503, READY | {"status": "unready", "guard": "missing"})


@pytest.mark.parametrize(("trouble", "word"), [(away, "unreachable"), (locked, "locked"), (read_only, "read-only")])
def test_a_problem_and_its_end_are_reported_immediately(
    own: Database,
    asked: Asked,
    trouble: Callable[[Database], AbstractContextManager[None]],
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert asked()[0] == 200
    with trouble(own), monkeypatch.context() as patch:
        if own.is_sqlite:
            # A look waits as long as it may for the lock of another process.
            patch.setattr("webapp.health.SECONDS_OF_LOOK", 1.1)
        status, answer = asked()
        assert (status, answer["status"], answer["database"]) == (503, "unready", word)
        assert answer.get("guard") in {None, "unknown"}
        if word == "read-only":
            assert "Nothing can be written. The database is read-only: " in "".join(find_problems(own, now=NOW))
    assert asked() == (200, READY)


def test_a_disk_that_is_almost_full_is_not_ready(own: Database, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - it stands for the standard library's own.
    monkeypatch.setattr("webapp.health.shutil.disk_usage", lambda _path: usage(10**9, 10**9 - 4096, 4096))
    if own.is_sqlite:
        assert asked() == (503, READY | {"status": "unready", "database": "disk full"})
    else:
        assert asked() == (200, READY), "The disk of PostgreSQL may be another machine's."


def test_a_migration_under_way_is_said(own: Database, asked: Asked) -> None:
    """Other processes cannot see what it has written, and wait for what it has locked."""
    downgrade(own, "0024")
    assert asked()[1] == {"status": "unready", "database": "connected", "schema": "outdated", "guard": "unknown"}
    seen: list[object] = []

    def look_on(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "CREATE TABLE heartbeats" in statement:
            thread = threading.Thread(target=lambda: seen.append(asked()))
            thread.start()
            thread.join()

    migrating = wired_database(own.url.render_as_string(hide_password=False))
    sa.event.listen(migrating.engine, "before_cursor_execute", look_on)
    upgrade(migrating)
    migrating.dispose()
    answer = {"status": "unready", "database": "connected", "schema": "being upgraded", "guard": "unknown"}
    assert seen == [(503, answer)]
    assert not is_under_way(own)
    assert asked() == (200, READY)


def test_changes_of_health_are_logged_once(own: Database, clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    client = client_for(own)
    logging.getLogger().addHandler(caplog.handler)
    with read_only(own):
        for _ in range(3):
            clock[0] += 1
            client.get("/health/ready")
    clock[0] += 1
    client.get("/health/ready")
    lines = [each.getMessage() for each in caplog.records if each.name == "webapp.health"]
    assert lines == [
        "Health: status unready, database read-only, schema current, guard unknown",
        "Health: status ready, database connected, schema current, guard in place",
    ]


def test_stopping_is_said_before_the_second_is_over(own: Database, clock: list[float]) -> None:
    client = client_for(own)
    assert client.get("/health/ready").status_code == 200
    client.app.state.stopping = True  # type: ignore[attr-defined]
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "stopping"})


def test_liveness_asks_no_database(own: Database) -> None:
    statements: list[str] = []
    sa.event.listen(own.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    client: TestClient = client_for(own)
    assert client.get("/health/live").status_code == 200
    assert not statements

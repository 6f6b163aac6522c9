"""A database that hangs: requests are answered within their deadline, and so are health checks.

The deadlines are shortened, so that the tests are quick; the proportions are the real ones.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.cast import Cast, client_for, log_in
from tests.processes import eventually
from tests.reading import read
from webapp.database import Database
from webapp.deadlines import current_deadline, waiting_at_most
from webapp.engines import PATIENCE
from webapp.event_handlers import wired_database
from webapp.troubles import SLOW, UNSURE, DatabaseTrouble

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(20)",
}


class Network:
    """A network between Docket and PostgreSQL, which stops carrying anything when it is told to."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.carries = threading.Event()
        self.carries.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.carries.set()
        for each in (self.listener, *self.ends):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _address = self.listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self.server)
                self.ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self.carries.wait()
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@pytest.fixture
def network(postgresql_url: str) -> Iterator[Network]:
    folder = sa.make_url(postgresql_url).query["host"]
    network = Network(str(Path(str(folder)) / ".s.PGSQL.5432"))
    yield network
    network.close()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block takes no longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.fixture
def be_impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function that makes requests wait for a tenth of their usual time from then on."""

    def shorten() -> None:
        monkeypatch.setattr("webapp.deadlines.REQUEST_SECONDS", 0.5)
        monkeypatch.setattr("webapp.deadlines.NOTICEABLE_SECONDS", 0.05)
        monkeypatch.setattr("webapp.deadlines.GRACE_SECONDS", 0.05)
        monkeypatch.setattr("webapp.health.SECONDS_OF_LOOK", 0.5)

    return shorten


Open = Callable[..., Database]


@pytest.fixture
def open_own(database: Database) -> Iterator[Open]:
    """Opens another `Database` of the same data, with other bounds or over a network; all are closed at the end."""
    opened: list[Database] = []

    def open_own(*, patience: float = PATIENCE, port: int | None = None) -> Database:
        url = database.url if port is None else database.url.difference_update_query(["host"])
        url = url if port is None else url.set(host="127.0.0.1", port=port)
        opened.append(wired_database(url.render_as_string(hide_password=False), patience=patience))
        return opened[-1]

    yield open_own
    for each in opened:
        each.dispose()


def is_usable(own: Database) -> bool:
    """Whether a statement succeeds; with little patience, a machine that pauses may need another attempt."""
    try:
        own.write(lambda session: session.scalar(sa.text("SELECT 1")))
    except DatabaseTrouble:
        return False
    return True


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_network_that_falls_silent_does_not_hold_requests(
    open_own: Open, cast: Cast, network: Network, be_impatient: Callable[[], None]
) -> None:
    client = log_in(client_for(open_own(port=network.port)), "alice")
    assert client.get("/appointments").status_code == 200
    be_impatient()
    network.carries.clear()
    for path in ("/appointments", "/", "/health", "/health/ready"):
        with within(15):
            answer = client.get(path)
        assert answer.status_code == 503, path
    assert read(client.get("/")).h1 == "Our booking system isn’t answering"
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_change_with_an_unknown_end_is_not_reported_as_failed(open_own: Open, cast: Cast, network: Network) -> None:
    database = open_own(port=network.port)

    def work(session: Session) -> None:
        session.execute(sa.text("UPDATE patients SET name = name"))
        network.carries.clear()
        deadline = current_deadline()
        assert deadline is not None
        deadline.left = 0.5

    with pytest.raises(DatabaseTrouble) as caught, waiting_at_most():
        database.write(work)
    assert caught.value.trouble is UNSURE


def test_a_statement_that_takes_too_long_is_broken_off(open_own: Open) -> None:
    own = open_own(patience=0.2)
    endless = ENDLESS[own.url.get_backend_name()]
    with pytest.raises(DatabaseTrouble) as caught, within(15):
        own.write(lambda session: session.execute(sa.text(endless)).all())
    assert caught.value.trouble is SLOW
    assert eventually(lambda: is_usable(own))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_requests_that_follow_each_other_without_a_break_have_the_whole_time_each(
    open_own: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = open_own(patience=1)
    looks = count(1)
    monkeypatch.setattr("webapp.engines.monotonic", lambda: next(looks) * 0.3)
    # SQLite looks at the clock two or three times meanwhile.
    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT count(*) FROM n"
    for _request in range(6):
        with waiting_at_most():
            assert own.write(lambda session: session.scalar(sa.text(long))) == 20000
    assert next(looks) > 6


def test_a_request_waits_once_for_a_lock(open_own: Open, database: Database, be_impatient: Callable[[], None]) -> None:
    own = open_own()
    with own.reading() as session:
        session.execute(sa.text("SELECT 1"))
    be_impatient()
    lock = "SELECT 1" if own.is_sqlite else "LOCK TABLE patients"
    write = sa.text("UPDATE patients SET name = name")
    with Session(database.engine) as holder:
        holder.connection(execution_options={"docket_write": True})
        holder.execute(sa.text(lock))
        with waiting_at_most(), within(15):
            for _ in range(5):
                with pytest.raises(DatabaseTrouble):
                    own.write(lambda session: session.execute(write))
    own.write(lambda session: session.execute(write))


def test_rows_that_are_sent_as_they_are_read_take_as_long_as_they_need(open_own: Open) -> None:
    own = open_own(patience=1)
    slow = sa.text("SELECT 1" if own.is_sqlite else "SELECT pg_sleep(1.2)")
    with waiting_at_most(0.2):
        total, rows = own.stream(lambda session: (1, iter(session.execute(slow).all())))
        assert (total, len(list(rows))) == (1, 1)

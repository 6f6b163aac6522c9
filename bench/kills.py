"""Servers that are killed with SIGKILL while clients change appointments: nothing that was acknowledged is lost.

Four clients book, move, cancel, restore and squeeze in through the API and the pages, all with the same few doctors and
hours, so that they clash again and again. Two servers answer; one of them is killed at any moment and started again. On
PostgreSQL the database crashes now and then too: one of its processes is killed, so that all connections break and it
recovers from its log.

A client that gets no answer sends the same request to the other server, bookings with their `Idempotency-Key`; then it
reads what became of the change. At the end the database must hold exactly the appointments that were acknowledged, each
as its last acknowledged change left it.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import signal
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple, Self

import sqlalchemy as sa
import uvicorn

from bench.rivals import FORM, JSON, WHY, Field, Person, build_field, count_overlaps
from bench.servers import docket_check
from bench.terminal import progress
from tests.servers import SECRET_KEY, free_port
from webapp.config import Settings
from webapp.database import Database
from webapp.main import create_app
from webapp.models import Appointment

CLIENTS = 4
SERVERS = 2
DAYS = 1
STEP = timedelta(minutes=30)
# Seconds between the moment when both servers answer and the next kill.
SHORTEST, LONGEST = 0.05, 0.4
# On PostgreSQL one in this many kills is for the database.
CRASH_EVERY = 10
# With one of these statuses the server or the database was in trouble, so it does not count as an answer.
IN_TROUBLE = {0, 429, 503}
NO_ANSWER_AFTER = 60.0

KILL_HEADINGS = [
    "database", "servers killed", "database crashed", "acknowledged", "refused", "asked again", "lost", "unknown",
    "overlaps", "check", "took", "",
]  # fmt: skip


@dataclass
class KillTally:
    """The results. `again` counts requests whose answer never came; `lost` and `unknown` must be 0.

    `lost` are appointments that differ from what was acknowledged, `unknown` those that were never acknowledged.
    """

    kills: int = 0
    crashes: int = 0
    acknowledged: int = 0
    refused: int = 0
    again: int = 0
    lost: int = 0
    unknown: int = 0
    overlaps: int = -1
    check: int = -1
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Nothing is lost, and the clients were busy."""
        return not (self.problems or self.lost or self.unknown or self.overlaps or self.check) and self.acknowledged > 0

    def row(self, database: str) -> list[str]:
        """The tally as a row of the table."""
        numbers = (
            self.kills, self.crashes, self.acknowledged, self.refused, self.again, self.lost, self.unknown,
            self.overlaps, self.check,
        )  # fmt: skip
        return [
            database,
            *(f"{number:,}" for number in numbers),
            f"{self.seconds:.0f} s",
            "as promised" if self.is_clean else "NOT AS PROMISED",
        ]


def run(url: str, *, kills: int, patients: int = 80) -> KillTally:
    """Fill an empty database, and kill servers while clients use it."""
    arena = build_field(url, rounds=1, patients=patients)
    tally, began = KillTally(), time.monotonic()
    with Servers(url) as servers:
        stop = threading.Event()
        clients = [Client(arena, servers.ports, stop, number) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            _kill(servers, tally, kills)
        finally:
            stop.set()
            for client in clients:
                client.join(timeout=2 * NO_ANSWER_AFTER)
    tally.seconds = time.monotonic() - began
    _compare(url, clients, tally)
    tally.overlaps = count_overlaps(url)
    tally.check, words = docket_check(url)
    if tally.check:
        tally.problems.append(words)
    return tally


def _kill(servers: Servers, tally: KillTally, kills: int) -> None:
    rng = random.Random(kills)
    for number in range(1, kills + 1):
        time.sleep(rng.uniform(SHORTEST, LONGEST))
        if number % CRASH_EVERY == 0 and servers.crash_database():
            tally.crashes += 1
        else:
            servers.kill(rng.randrange(SERVERS))
            tally.kills += 1
        progress(f"  {number:,} of {kills:,} kills")
    progress("")


# ------------------------------------------------------------------------------------------------------ servers


class Servers:
    """Processes that serve one database. They start as copies of one that has imported everything."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ports = [free_port() for _ in range(SERVERS)]
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._processes: list[ForkServerProcess] = []

    def __enter__(self) -> Self:
        self._processes = [self._start(port) for port in self.ports]
        for port in self.ports:
            _wait_until_alive(port)
        return self

    def __exit__(self, *_error: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    def kill(self, at: int) -> None:
        """Kill one with SIGKILL, start it again, and wait until it answers."""
        self._processes[at].kill()
        self._processes[at].join()
        self._processes[at] = self._start(self.ports[at])
        _wait_until_alive(self.ports[at])

    def crash_database(self) -> bool:
        """Kill a process of PostgreSQL, which then breaks all connections and recovers; False if there is none of ours.

        A server that tests did not start is left alone.
        """
        if self.url.startswith("sqlite") or os.environ.get("TEST_DATABASE_URL"):
            return False
        database = Database(self.url)
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        try:
            with database.reading() as session:
                pids = list(session.scalars(sa.text(query)))
            if pids:
                os.kill(random.Random(pids[0]).choice(pids), signal.SIGKILL)
        finally:
            database.dispose()
        for port in self.ports:
            _wait_until_alive(port, path="/health/ready")
        return bool(pids)

    def _start(self, port: int) -> ForkServerProcess:
        process = self._context.Process(target=_serve, args=(self.url, port), daemon=True)
        process.start()
        return process


def _serve(url: str, port: int) -> None:
    # Thousands of lines about requests; an error of ours shows as a status 500.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    app = create_app(Settings(database_url=url, secret_key=SECRET_KEY, smtp_url="none"))
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)


def _wait_until_alive(port: int, *, path: str = "/health") -> None:
    until = time.monotonic() + NO_ANSWER_AFTER
    while _ask(port, "GET", path, {}, "")[0] != 200:
        assert time.monotonic() < until, f"The server on port {port} does not answer."
        time.sleep(0.02)


def _ask(port: int, method: str, path: str, headers: dict[str, str], body: str) -> tuple[int, str]:
    """Send one request; returns status and text of the answer, and the status 0 if there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body.encode(), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


# ------------------------------------------------------------------------------------------------------ clients


class Known(NamedTuple):
    """An appointment as it was acknowledged last."""

    reference: str
    doctor_id: int
    starts_at: datetime
    status: str
    version: int

    @classmethod
    def of(cls, shown: dict[str, Any]) -> Known:
        """As the API shows it."""
        start = datetime.fromisoformat(shown["starts_at"]).astimezone(UTC)
        return cls(shown["reference"], shown["doctor_id"], start, shown["status"], shown["version"])


class Client(threading.Thread):
    """Makes one change after another until it is told to stop. No other client changes its appointments."""

    def __init__(self, field: Field, ports: list[int], stop: threading.Event, number: int) -> None:
        super().__init__(daemon=True)
        self.known: dict[int, Known] = {}
        self.problems: list[str] = []
        self.acknowledged = self.refused = self.again = 0
        self._field, self._ports, self._stopped = field, ports, stop
        self._rng = random.Random(number)
        self._patients = field.patients[number::CLIENTS]

    def run(self) -> None:
        """Change something, again and again."""
        deeds = [self._book] * 4 + [self._squeeze] * 2 + [self._move] * 3 + [self._cancel] * 2 + [self._undo] * 2
        try:
            while not self._stopped.is_set():
                self._rng.choice(deeds)()
        except Exception as error:  # noqa: BLE001 - whatever it is, the proof must show it.
            self.problems.append(f"A client ended: {error!r}")

    def _book(self) -> None:
        self._send_booking({})

    def _squeeze(self) -> None:
        """At a time that one of its appointments has, if there is one."""
        taken = self._any_of("scheduled")
        if taken is not None:
            known = self.known[taken]
            self._send_booking({"squeeze_reason": WHY}, doctor_id=known.doctor_id, start=known.starts_at)

    def _send_booking(self, more: dict[str, Any], *, doctor_id: int = 0, start: datetime | None = None) -> None:
        body = {
            "doctor_id": doctor_id or self._rng.choice(list(self._field.doctor_ids.values())),
            "visit_type_id": self._field.arena.kinds[30],
            "starts_at": _written(start or self._any_start()),
            "patient_id": self._rng.choice(self._patients).patient_id,
            **more,
        }
        headers = self._api_headers() | {"Idempotency-Key": str(uuid.uuid4())}
        status, text, _again = self._send("POST", "/api/v1/appointments", headers, json.dumps(body))
        if status == 201:
            made = json.loads(text)
            self.known[made["id"]] = Known.of(made)
        self._count(status, {201}, text)

    def _move(self) -> None:
        number = self._any_of("scheduled")
        if number is not None:
            start = self._any_start()
            # At its own time it would stay as it is.
            start += STEP if start == self.known[number].starts_at else timedelta()
            self._change(number, "PATCH", {"starts_at": _written(start)})

    def _cancel(self) -> None:
        number = self._any_of("scheduled")
        if number is not None:
            self._change(number, "DELETE", {})

    def _undo(self) -> None:
        """Restore a cancelled one, as the desk does on its page."""
        number = self._any_of("cancelled")
        if number is None:
            return
        known = self.known[number]
        headers = {"Cookie": self._field.desk.cookie, "Content-Type": FORM}
        path = f"/appointments/{known.reference}/status/undo"
        status, text, again = self._send("POST", path, headers, f"version={known.version}")
        self._settle(number, status, {303}, text, again=again)

    def _change(self, number: int, method: str, body: dict[str, Any]) -> None:
        headers = self._api_headers() | {"If-Match": f'"{self.known[number].version}"'}
        status, text, again = self._send(method, f"/api/v1/appointments/{number}", headers, json.dumps(body))
        self._settle(number, status, {200}, text, again=again)

    def _settle(self, number: int, status: int, good: set[int], text: str, *, again: bool) -> None:
        """Count the answer, and read what became of the appointment."""
        before = self.known[number]
        if not again:
            self._count(status, good, text)
        shown = json.loads(self._send("GET", f"/api/v1/appointments/{number}", self._api_headers(), "")[1])
        self.known[number] = after = Known.of(shown)
        changed = after.version - before.version
        if changed not in ((0, 1) if again else (1,) if status in good else (0,)):
            self.problems.append(f"After {status} the version of {before} is {after.version}.")

    def _count(self, status: int, good: set[int], text: str) -> None:
        if status in good:
            self.acknowledged += 1
        elif status in {409, 412, 422}:
            self.refused += 1
        else:
            self.problems.append(f"An answer with {status}: {text[:200]}")

    def _send(self, method: str, path: str, headers: dict[str, str], body: str) -> tuple[int, str, bool]:
        """Send a request until there is an answer; the last value says whether it was sent more than once."""
        until = time.monotonic() + NO_ANSWER_AFTER
        again = False
        ports = cycle(self._rng.sample(self._ports, len(self._ports)))
        while time.monotonic() < until:
            port = next(ports)
            status, text = _ask(port, method, path, headers | {"Origin": f"http://127.0.0.1:{port}"}, body)
            if status not in IN_TROUBLE:
                return status, text, again
            self.again += not again
            again = True
            time.sleep(0.02)
        raise TimeoutError(f"{method} {path} was not answered.")

    def _api_headers(self) -> dict[str, str]:
        return {"Authorization": self._desk.token, "Content-Type": JSON}

    @property
    def _desk(self) -> Person:
        return self._field.desk

    def _any_of(self, status: str) -> int | None:
        with suppress(IndexError):
            return self._rng.choice([number for number, known in self.known.items() if known.status == status])
        return None

    def _any_start(self) -> datetime:
        return self._field.arena.first + STEP * self._rng.randrange(DAYS * (timedelta(days=1) // STEP))


def _written(start: datetime) -> str:
    return f"{start:%Y-%m-%dT%H:%M:%SZ}"


def _compare(url: str, clients: list[Client], tally: KillTally) -> None:
    """Compare the database with what was acknowledged."""
    known = {number: each for client in clients for number, each in client.known.items()}
    query = sa.select(
        Appointment.id,
        Appointment.reference,
        Appointment.doctor_id,
        Appointment.starts_at,
        Appointment.status,
        Appointment.version,
    )
    database = Database(url)
    with database.reading() as session:
        stored = {row.id: Known(*row[1:]) for row in session.execute(query)}
    database.dispose()
    for client in clients:
        tally.acknowledged += client.acknowledged
        tally.refused += client.refused
        tally.again += client.again
        tally.problems += client.problems
        if client.is_alive():
            tally.problems.append("A client did not end.")
    lost = {number: each for number, each in known.items() if stored.get(number) != each}
    tally.lost, tally.unknown = len(lost), len(stored.keys() - known.keys())
    tally.problems += [f"Acknowledged {each}, stored {stored.get(number)}" for number, each in lost.items()]

"""`python -m bench.live`: how soon open pages hear of a change, and what that costs.

For each database: two `docket serve` processes; a browser's stream on each. A change is made through one of them, and
the other one's stream tells of it. Then 200 boards are open on one process: each asks for its board again, spread as
static/js/live.js does. Finally that process is killed and started again, and the streams come back by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

import sqlalchemy as sa
from itsdangerous import Signer
from sqlalchemy.orm import Session

from bench.servers import empty_database
from bench.terminal import say, table
from tests.cast import _start_session
from tests.postgres import postgres_server
from tests.servers import SECRET_KEY, LiveServer, live_server
from webapp import models
from webapp.core.clock import utc_now
from webapp.database import Database
from webapp.demo.generate import make_demo
from webapp.event_handlers import wired_database
from webapp.migrations import upgrade

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


class Clinic(NamedTuple):
    """A demo clinic with 30 doctors; `day` is a day with appointments, which are changed one after another."""

    database: Database
    day: date
    appointments: list[int]
    cookies: list[str]


class Answer(NamedTuple):
    """An answer over HTTP: its status, the bytes of its body, and the seconds that it took."""

    status: int
    size: int
    seconds: float


def main() -> int:
    """Measure and print; 0 when every change was heard within two seconds."""
    options = _options()
    if options.browsers:
        return _with_browsers(options)
    rows, good = [], True
    for kind in [options.database] if options.database else list(NAMES):
        with _clinic(kind, options) as clinic:
            found = asyncio.run(_measure(clinic, options))
        rows.append([NAMES[kind], *found.values()])
        headings = ["", *found]
        good &= float(found["worst, s"]) < 2
    say(table(headings, rows, title=f"{options.changes} changes; {options.boards} boards open on one process"))
    return 0 if good else 1


def _with_browsers(options: argparse.Namespace) -> int:
    # The browsers are needed for this alone.
    from bench import live_browsers

    rows, good = [], True
    for kind in [options.database] if options.database else list(NAMES):
        with ExitStack() as stack:
            postgres = stack.enter_context(live_browsers.restartable_postgres()) if kind == "postgresql" else None
            clinic = stack.enter_context(_clinic(kind, options, server=postgres.url if postgres else None))
            found = live_browsers.measure(
                clinic.database,
                clinic.cookies,
                f"/board/{clinic.day}",
                clinic.appointments,
                changes=options.changes,
                postgres=postgres,
            )
        rows.append([NAMES[kind], *found.values()])
        headings = ["", *found]
        good &= float(found["worst, s"]) < 2 and found["reloaded"] == "0"
    say(table(headings, rows, title=f"{options.changes} changes; two browsers, each with a separate server"))
    return 0 if good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--database", choices=list(NAMES), help="only this one")
    parser.add_argument("--changes", type=int, default=100, help="changes whose median and worst count (100)")
    parser.add_argument("--boards", type=int, default=200, help="boards that are open at once (200)")
    parser.add_argument("--rounds", type=int, default=5, help="changes while all of them are open (5)")
    parser.add_argument("--browsers", action="store_true", help="measure two real browsers instead of streams")
    return parser.parse_args()


@contextmanager
def _clinic(kind: str, options: argparse.Namespace, *, server: str | None = None) -> Iterator[Clinic]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-live-")))
        if kind == "postgresql" and server is None:
            server = stack.enter_context(postgres_server(durable=True))
        url = stack.enter_context(empty_database(kind, server, folder))
        database = wired_database(url)
        stack.callback(database.dispose)
        upgrade(database)
        today = utc_now().date()
        day = today + timedelta(days=(7 - today.weekday()) % 7 or 7)
        make_demo(
            database,
            today=day,
            doctors=30,
            patients=2000,
            months=1,
            seed=1,
            now=utc_now(),
            progress=lambda _done, _total: None,
        )
        database.write(lambda session: session.execute(sa.update(models.SignInRules).values(factor_admins=False)))
        # Each browser has its own session; an account may have twelve streams.
        secrets = [database.write(_start_desk, number) for number in range(options.boards)]
        signer = Signer(SECRET_KEY, salt="docket.session")
        cookies = [f"docket_session={signer.sign(secret).decode()}" for secret in secrets]
        yield Clinic(database, day, database.write(_unconfirmed, day), cookies)


def _unconfirmed(session: Session, day: date) -> list[int]:
    """The ids of the day's appointments. None is confirmed, so each can be confirmed once."""
    of_day = models.Appointment.starts_at.between(*_bounds(day))
    confirmed = sa.update(models.Appointment).where(of_day, models.Appointment.status == "confirmed")
    session.execute(confirmed.values(status="scheduled"))
    query = sa.select(models.Appointment.id).where(of_day, models.Appointment.status == "scheduled")
    return list(session.scalars(query))


def _start_desk(session: Any, number: int) -> str:
    email = f"desk{number // 10}@docket.example"
    if not number % 10:
        session.add(models.User(email=email, name="Desk", role="receptionist", password_hash="-", created_at=utc_now()))
        session.flush()
    return _start_session(session, name=email.partition("@")[0], now=utc_now())


def _bounds(day: date) -> tuple[Any, Any]:
    noon = utc_now().replace(year=day.year, month=day.month, day=day.day, hour=12, minute=0, second=0)
    return noon - timedelta(hours=6), noon + timedelta(hours=6)


# -------------------------------------------------------------------------------------------------- measuring


async def _measure(clinic: Clinic, options: argparse.Namespace) -> dict[str, str]:
    url = clinic.database.url.render_as_string(hide_password=False)
    with ExitStack() as servers:
        one = servers.enter_context(live_server(url))
        two = servers.enter_context(live_server(url))
        waits = []
        async with _stream(_port(one), clinic.cookies[0]) as here, _stream(_port(two), clinic.cookies[1]) as there:
            await anext(here), await anext(there)
            for number in range(options.changes):
                await asyncio.to_thread(_change, clinic, number)
                committed = time.perf_counter()
                await asyncio.gather(_until_change(here), _until_change(there))
                waits.append(time.perf_counter() - committed)
        found = {"median, s": f"{statistics.median(waits):.3f}", "worst, s": f"{max(waits):.3f}"}
        found |= await _with_boards(clinic, one, options)
    return found


def _port(server: LiveServer) -> int:
    return int(server.url.rpartition(":")[2])


def _change(clinic: Clinic, number: int) -> None:
    """Change one appointment of the day, as a status does."""
    mine = models.Appointment.id == clinic.appointments[number % len(clinic.appointments)]
    counted = sa.update(models.Appointment).where(mine).values(version=models.Appointment.version + 1)
    clinic.database.write(lambda session: session.execute(counted))


async def _with_boards(clinic: Clinic, server: LiveServer, options: argparse.Namespace) -> dict[str, str]:
    port, board = _port(server), f"/board/{clinic.day}"
    before = _memory(server.process.pid)
    async with AsyncStack() as streams:
        opened = [await streams.enter(_stream(port, cookie)) for cookie in clinic.cookies]
        for each in opened:
            await anext(each)
        streamed = _memory(server.process.pid)
        for cookie in clinic.cookies[:3]:
            await _get(port, board, cookie)
        alone = [await _get(port, board, cookie) for cookie in clinic.cookies[:20]]
        cpu, waits, told = [], [], []
        for number in range(options.rounds):
            began_cpu = _cpu(server.process.pid)
            await asyncio.to_thread(_change, clinic, number)
            began = time.perf_counter()
            seen = await asyncio.gather(
                *(_show(port, board, each, cookie) for each, cookie in zip(opened, clinic.cookies, strict=True))
            )
            waits += [at - began for at, _status in seen]
            told += [status for _at, status in seen]
            cpu.append(_cpu(server.process.pid) - began_cpu)
        grown = _memory(server.process.pid)
    return {
        "board, ms": f"{1000 * statistics.median(each.seconds for each in alone):.1f}",
        "board, KB gzip": f"{alone[0].size / 1000:.1f}",
        "CPU a change, s": f"{statistics.median(cpu):.2f}",
        "boards: median, s": f"{statistics.median(waits):.2f}",
        "boards: worst, s": f"{max(waits):.2f}",
        "refused": str(sum(status != 200 for status in told)),
        "KB a stream": f"{(streamed - before) / len(clinic.cookies):.0f}",
        "MiB": f"{grown / 1024:.0f}",
    }


async def _show(port: int, board: str, stream: AsyncIterator[Any], cookie: str) -> tuple[float, int]:
    """Act as a browser does after a change: wait a little, by chance, and ask for the board."""
    await _until_change(stream)
    await asyncio.sleep(0.03 + random.random() * 1.2)
    while True:
        answer = await _get(port, board, cookie)
        if answer.status == 200:
            return time.perf_counter(), answer.status
        await asyncio.sleep(2 + 2 * random.random())


async def _until_change(stream: AsyncIterator[Any]) -> None:
    async for name, _data in stream:
        if name == "change":
            return
    raise RuntimeError("The stream ended.")


# ------------------------------------------------------------------------------------------------------- HTTP


class AsyncStack:
    """Streams that are closed together."""

    def __init__(self) -> None:
        self._entered: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def enter(self, manager: Any) -> Any:
        """Open one more."""
        self._entered.append(manager)
        return await manager.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        for each in self._entered:
            await each.__aexit__(None, None, None)


@asynccontextmanager
async def _stream(port: int, cookie: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET /live HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\ncookie: {cookie}\r\n\r\n"
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head:
        raise RuntimeError(head.decode())
    try:
        yield _events(reader)
    finally:
        writer.close()


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    while line := (await reader.readline()).decode():
        kind, _colon, value = line.strip().partition(": ")
        if kind == "event":
            name = value
        elif kind == "data":
            yield name, json.loads(value)


async def _get(port: int, path: str, cookie: str) -> Answer:
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nhx-request: true\r\ndocket-live: 1\r\naccept-encoding: gzip\r\n"
    writer.write(f"{head}connection: close\r\ncookie: {cookie}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    body = answer.partition(b"\r\n\r\n")[2]
    return Answer(int(answer.split(b" ", 2)[1]), len(body), time.perf_counter() - began)


def _cpu(pid: int) -> float:
    """The processor time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    """The memory of a process, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


if __name__ == "__main__":
    sys.exit(main())

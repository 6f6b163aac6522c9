"""`python -m bench.overload`: four times as many requests as Docket can serve, for some seconds.

`docket serve --workers 2` is first asked as fast as it answers, which tells what it can serve. Then requests come at
four times that rate, independent of earlier answers, as from many visitors. Meanwhile a health check and an
admin ask now and then. Figures: how many were admitted and how long they took; how long a refusal took; the health
checks; the admin; memory of all server processes before, at most, and five seconds later; and how long after the end a
page takes as long as before. The clients share the machine with the servers.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
import uvloop
from itsdangerous import Signer
from sqlalchemy.orm import Session

from bench.data import TINY, postgresql_copy, sqlite_copy
from bench.terminal import say, table
from tests.postgres import postgres_server
from tests.servers import SECRET_KEY, LiveServer, live_server
from webapp import models
from webapp.auth import sessions
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.core.clock import utc_now
from webapp.event_handlers import wired_database
from webapp.serving.ports import listening_processes

AIMS = "aims: admitted p99 ≤ 2,000 ms, refused ≤ 100 ms, live ≤ 500 ms, memory +10 %, normal within 5 s"
PAGES = ("/", "/doctors", "/login", "/api/v1/doctors")
HEADINGS = [
    *("database", "rate/s", "sent", "admitted", "p50", "p99", "refused", "p50", "p99", "failed"),
    *("live p99", "staff ok", "staff p99", "MB", "most", "after", "normal s"),
]


@dataclass
class Answers:
    """The outcomes of the requests of one kind, in milliseconds."""

    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def all(self) -> int:
        return len(self.admitted) + len(self.refused) + self.failed


class Client:
    """Requests over connections that are kept open, as a proxy's are."""

    def __init__(self, port: int, cookie: str = "") -> None:
        self.port = port
        self.cookie = f"cookie: {cookie}\r\n" if cookie else ""
        self.free: deque[Connection] = deque()

    async def ask(self, path: str, answers: Answers) -> int:
        """One request; its status, or 0 if none came."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(60):
                status, ended = await self._exchange(path)
        except (OSError, TimeoutError, ValueError):
            answers.failed += 1
            return 0
        taken = (ended - began) * 1000
        (answers.refused if status == 503 else answers.admitted).append(taken)
        return status

    async def _exchange(self, path: str) -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        connection = self.free.pop() if self.free else None
        # The server may have closed it meanwhile.
        if connection is None or connection.transport.is_closing():
            _transport, connection = await loop.create_connection(Connection, "127.0.0.1", self.port)
        request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n{self.cookie}\r\n"
        answer = await connection.exchange(request.encode())
        self.free.append(connection)
        return answer

    def close(self) -> None:
        """Close what is open."""
        for connection in self.free:
            connection.transport.close()


class Connection(asyncio.Protocol):
    """One connection, with one request at a time. It does little, because its work takes time from the servers."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def exchange(self, request: bytes) -> asyncio.Future[tuple[int, float]]:
        """The status of the answer, and when all of it was there."""
        self._answer: asyncio.Future[tuple[int, float]] = asyncio.get_running_loop().create_future()
        self._received, self._length = bytearray(), 0
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._length and (end := self._received.find(b"\r\n\r\n")) > 0:
            head = bytes(self._received[:end]).lower()
            self._length = end + 4 + int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r")[0])
        if len(self._received) == self._length and not self._answer.done():
            self._answer.set_result((int(self._received[9:12]), time.perf_counter()))

    def connection_lost(self, error: Exception | None) -> None:
        if hasattr(self, "_answer") and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())


def main() -> int:
    """Measure, print, and return 0."""
    options = _options()
    rows = []
    for kind in [options.database] if options.database else ["sqlite", "postgresql"]:
        with _clinic(kind) as url, live_server(url, workers=2, env=SETTINGS) as server:
            rows.append([kind, *uvloop.run(_measure(server, url, options.seconds, options.times))])
            if options.log:
                say(server.output())
    print(table(HEADINGS, rows, title=f"{options.times:g} times what is served, for {options.seconds:g} s"))
    say(AIMS)
    return 0


SETTINGS = {"DOCKET_API_RATE_LIMIT_ANONYMOUS": "10000000/minute", "DOCKET_API_RATE_LIMIT": "10000000/minute"}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--seconds", type=float, default=20, help="how long it is too much (20)")
    parser.add_argument("--times", type=float, default=4, help="how much too much (4)")
    parser.add_argument("--log", action="store_true", help="print the end of the server's log")
    return parser.parse_args()


@contextmanager
def _clinic(kind: str) -> Iterator[str]:
    with ExitStack() as stack:
        if kind == "sqlite":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-bench-")))
            yield stack.enter_context(sqlite_copy(TINY, folder, say))
        else:
            server = stack.enter_context(postgres_server(durable=True))
            yield stack.enter_context(postgresql_copy(TINY, server, say))


async def _measure(server: LiveServer, url: str, seconds: float, times: float) -> list[str]:
    port = int(server.url.rpartition(":")[2])
    visitors, admin = Client(port), Client(port, _admin_cookie(url))
    rate, usual = await _served(visitors)
    before = _memory(port)
    crowd, live, staff, most = Answers(), Answers(), Answers(), [before]
    over = time.perf_counter() + seconds
    await asyncio.gather(
        _crowd(visitors, rate * times, over, crowd),
        _now_and_then(Client(port), "/health/live", 0.1, over, live),
        _now_and_then(admin, "/admin/appointments", 0.25, over, staff),
        _watch(port, over, most),
    )
    normal = await _until_normal(port, usual)
    await asyncio.sleep(max(0.0, 5 - normal))
    after = _memory(port)
    visitors.close()
    return [
        f"{rate:.0f}",
        str(crowd.all),
        *(str(len(crowd.admitted)), *_middle_and_worst(crowd.admitted)),
        *(str(len(crowd.refused)), *_middle_and_worst(crowd.refused)),
        str(crowd.failed + live.failed + staff.failed + len(live.refused)),
        _middle_and_worst(live.admitted)[1],
        f"{len(staff.admitted)}/{staff.all}",
        _middle_and_worst(staff.admitted)[1],
        *(f"{each:.0f}" for each in (before, max(most), after)),
        f"{normal:.1f}",
    ]


def _admin_cookie(url: str) -> str:
    database = wired_database(url)
    try:
        return database.write(_sign_in_admin)
    finally:
        database.dispose()


def _sign_in_admin(session: Session) -> str:
    admins = sa.select(models.User.id).where(models.User.role == "admin").order_by(models.User.id)
    user_id = session.scalars(admins).first()
    assert user_id is not None
    secret = sessions.start_session(session, user_id, address="127.0.0.1", user_agent="bench", now=utc_now())
    return f"{SESSION_COOKIE}={Signer([SECRET_KEY], salt='docket.session').sign(secret).decode()}"


async def _served(visitors: Client) -> tuple[float, float]:
    """How many requests a second are answered, asked by sixteen at a time; and what one alone takes, in ms."""
    answers, over = Answers(), time.perf_counter() + 4

    async def ask_on(number: int) -> None:
        while time.perf_counter() < over:
            await visitors.ask(PAGES[number % len(PAGES)], answers)
            number += 1

    await asyncio.gather(*(ask_on(number) for number in range(4)))
    answers, over = Answers(), time.perf_counter() + 4
    await asyncio.gather(*(ask_on(number) for number in range(16)))
    rate = len(answers.admitted) / 4
    alone = Answers()
    for _number in range(10):
        await visitors.ask("/", alone)
    return rate, statistics.median(alone.admitted)


async def _crowd(visitors: Client, rate: float, over: float, answers: Answers) -> None:
    """Ask at this rate, whether there are answers or not."""
    tasks: set[asyncio.Task[int]] = set()
    began, sent = time.perf_counter(), 0
    while (now := time.perf_counter()) < over:
        while sent < (now - began) * rate:
            task = asyncio.create_task(visitors.ask(PAGES[sent % len(PAGES)], answers))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)


async def _now_and_then(client: Client, path: str, pause: float, over: float, answers: Answers) -> None:
    while time.perf_counter() < over:
        await client.ask(path, answers)
        await asyncio.sleep(pause)


async def _watch(port: int, over: float, seen: list[float]) -> None:
    while time.perf_counter() < over:
        seen.append(_memory(port))
        await asyncio.sleep(0.5)


async def _until_normal(port: int, usual: float) -> float:
    """Seconds until three pages in a row take at most twice what one took before."""
    began, quick = time.perf_counter(), 0
    client = Client(port)
    while quick < 3 and time.perf_counter() - began < 60:
        answers = Answers()
        await client.ask("/", answers)
        quick = quick + 1 if answers.admitted and answers.admitted[0] <= 2 * usual else 0
    client.close()
    return time.perf_counter() - began


def _memory(port: int) -> float:
    """The resident memory of all processes that listen, in MB."""
    pages = sum(int(Path(f"/proc/{each.pid}/statm").read_text().split()[1]) for each in listening_processes(port))
    return pages * 4 / 1024


def _middle_and_worst(taken: list[float]) -> tuple[str, str]:
    """The median and the 99th percentile."""
    if not taken:
        return "", ""
    ordered = sorted(taken)
    return f"{statistics.median(ordered):.0f}", f"{ordered[math.ceil(len(ordered) * 0.99) - 1]:.0f}"


if __name__ == "__main__":
    sys.exit(main())

"""The servers of `make core`: whole processes, the requests that they answer, and the CPU time that these take."""

from __future__ import annotations

import http.client
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.postgres import libpq
from tests.processes import RunningCommand
from tests.servers import docket_environment, free_port

ROOT = Path(__file__).resolve().parent.parent
# The options with which `docket serve` starts it.
OPTIONS = ["--host", "127.0.0.1", "--no-access-log", "--no-server-header", "--no-proxy-headers", "--log-level", "error"]
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
# The least number of requests in a turn, however long they take.
FEWEST = 3


class PageRequest(NamedTuple):
    """The request for one page."""

    address: str
    cookie: str = ""
    fragment: bool = False

    def headers(self) -> dict[str, str]:
        """The headers that a browser sends, without any that would let the server answer "not modified"."""
        cookie = {"Cookie": self.cookie} if self.cookie else {}
        fragment = {"HX-Request": "true"} if self.fragment else {}
        return {"User-Agent": AGENT, "Accept": "text/html,*/*;q=0.8", "Accept-Language": "en-GB"} | cookie | fragment


class Turn(NamedTuple):
    """How many requests were answered, the CPU time of each in milliseconds, and the last answer."""

    requests: int
    cpu_ms: float
    body: bytes


class Memory(NamedTuple):
    """The memory of a process in MiB: all that is resident, and what no other process shares.

    Processes share the code of libraries. A library that only one process uses now, such as libpq, counts as its own.
    """

    resident: float
    own: float


class Served:
    """A server in its own process, and one connection to it."""

    def __init__(self, process: RunningCommand, port: int) -> None:
        self.pid = process.pid
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.start_seconds = cpu_seconds(self.pid)

    def ask_for(self, request: PageRequest, seconds: float) -> Turn:
        """Send one request after another for this many seconds.

        Raises:
            RuntimeError: an answer was not 200.
        """
        headers = request.headers()
        # The server closes a connection that was idle during the turns of the others.
        self._connection.close()
        requests, before, end = 0, cpu_seconds(self.pid), time.perf_counter() + seconds
        while requests < FEWEST or time.perf_counter() < end:
            self._connection.request("GET", request.address, headers=headers)
            answer = self._connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{request.address} was answered with {answer.status}: {body[:300]!r}")
            requests += 1
        return Turn(requests, (cpu_seconds(self.pid) - before) * 1000 / requests, body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def memory(self) -> Memory:
        """The memory of the process, as the kernel counts it now."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]
        mib = {name: int(size.split()[0]) / 1024 for name, _colon, size in (line.partition(":") for line in lines)}
        return Memory(mib["Rss"], mib["Private_Clean"] + mib["Private_Dirty"])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, to the nanosecond, from the kernel's clock of that process."""
    return time.clock_gettime((~pid << 3) | 2)


class Backend:
    """The CPU time of PostgreSQL's processes that serve one of our databases, where they run on this machine."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(libpq(url), autocommit=True)

    def spent(self) -> float:
        """The CPU time so far, in milliseconds."""
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        pids = [pid for (pid,) in self._connection.execute(query).fetchall()]
        return sum(cpu_seconds(pid) for pid in pids if Path(f"/proc/{pid}").exists()) * 1000

    def close(self) -> None:
        """Close the connection, so that the database can be dropped."""
        self._connection.close()


@contextmanager
def serve(factory: str, checkout: Path, env: Mapping[str, str]) -> Iterator[Served]:
    """Serve the application that `factory` makes from the Docket in `checkout`, in one process."""
    with tempfile.TemporaryDirectory(prefix="docket-core-") as folder:
        port = free_port()
        environment = docket_environment("", dict(env)) | {"PYTHONPATH": str(checkout)}
        # The factories are always ours, because the other checkout may not have them.
        ours = ["--app-dir", str(ROOT / "bench"), "--factory", f"core_apps:{factory}"]
        command = [sys.executable, "-m", "uvicorn", *ours, "--port", str(port), *OPTIONS]
        with RunningCommand(command, log=Path(folder) / "log", cwd=Path(folder), env=environment) as process:
            process.wait_until(lambda: _answers(port), seconds=60)
            server = Served(process, port)
            try:
                yield server
            finally:
                server.close()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()

"""Docket as it really runs: `docket serve` as separate processes, reached over HTTP."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.processes import RunningCommand

SECRET_KEY = "made-for-tests-0123456789-abcdefghijklmnop"
# Another process may take the port after we found it and before the server starts.
ATTEMPTS = 3
# The system gives ports from 32768 on to clients and to servers without a wish. Any of these could be given to one of
# the many connections of the other tests before our server starts, which takes a second; of ours none can.
PORTS = range(20_000, 32_000)
# The workers of one run take turns, so that no two have a port in common; runs at the same time begin elsewhere.
WORKER, WORKERS = (
    int(os.environ.get(name, usual).removeprefix("gw"))
    for name, usual in (("PYTEST_XDIST_WORKER", "gw0"), ("PYTEST_XDIST_WORKER_COUNT", "1"))
)
_turns = itertools.count(os.getpid())


@dataclass(frozen=True)
class LiveServer:
    """A running Docket."""

    url: str
    database_url: str
    process: RunningCommand

    def output(self) -> str:
        """The end of its log."""
        return self.process.output()


@contextmanager
def live_server(
    database_url: str,
    *,
    workers: int = 1,
    delivers: bool = False,
    env: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Iterator[LiveServer]:
    """Serve the database, which must be migrated, until the block ends.

    Args:
            delivers: whether a worker runs beside it; most tests do not need one.
            env: settings, for example `{"DOCKET_LOG_FORMAT": "json"}`. No other DOCKET_ settings are passed on.
            port: the port of a server that was there before; else one that is free.
    """
    command = Path(sys.executable).with_name("docket")
    for attempt in range(1, ATTEMPTS + 1):
        at = port or free_port()
        options = ["--host", "127.0.0.1", "--port", str(at), "--workers", str(workers)]
        options.append("--worker" if delivers else "--no-worker")
        # It runs in its own folder, which has no `.env` and no `var/` of the developer.
        folder = Path(tempfile.mkdtemp(prefix="docket-live-"))
        process = RunningCommand(
            [str(command), "serve", *options],
            log=folder / "log",
            cwd=folder,
            env=docket_environment(database_url, env),
            remove=folder,
        )
        url = f"http://127.0.0.1:{at}"
        try:
            process.wait_until(lambda url=url: _is_healthy(url))  # type: ignore[misc]
            break
        except RuntimeError:
            process.stop()
            if attempt == ATTEMPTS or "address already in use" not in process.output().lower():
                raise
    with process:
        yield LiveServer(url, database_url, process)


def docket_environment(database_url: str, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a `docket` command: ours, with exactly these settings.

    Python may keep what it compiles, as in an installed Docket: compiling all of it takes half a second at each start.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DOCKET_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    ours = {"DOCKET_DATABASE_URL": database_url, "DOCKET_SECRET_KEY": SECRET_KEY}
    return inherited | ours | dict(env or {})


def free_port() -> int:
    """A port on this machine that is not in use, and that no other program is given before we use it."""
    ours = PORTS[WORKER % WORKERS :: WORKERS]
    for turn in itertools.islice(_turns, len(ours)):
        port = ours[turn % len(ours)]
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError(f"All ports from {PORTS.start} to {PORTS.stop} are in use.")


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False

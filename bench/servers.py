"""Servers and copies for the races: Docket as it is, servers without its locks, and copies without the guard."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy as sa

from bench.unguarded import drop_guard
from tests.postgres import new_database, postgres_server
from tests.processes import RunningCommand
from tests.servers import docket_environment, free_port, live_server

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def empty_database(kind: str, server: str | None, folder: Path) -> Iterator[str]:
    """The URL of a new database of this kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'arena.db'}"
    else:
        assert server is not None, "A PostgreSQL server is needed."
        with new_database(server) as url:
            yield url


@contextmanager
def temporary_database(kind: str) -> Iterator[str]:
    """The URL of a new database of this kind, removed at the end; PostgreSQL is started for it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-bench-")))
        server = stack.enter_context(postgres_server(durable=True)) if kind == "postgresql" else None
        yield stack.enter_context(empty_database(kind, server, folder))


@contextmanager
def unguarded_copy(url: str, server: str | None, folder: Path) -> Iterator[str]:
    """A copy of a database, with its guard dropped. The original must have no connections."""
    made = sa.engine.make_url(url)
    with ExitStack() as stack:
        if made.get_backend_name() == "sqlite":
            copy = folder / "unguarded.db"
            shutil.copyfile(str(made.database), copy)
            copied = f"sqlite:///{copy}"
        else:
            assert server is not None, "A PostgreSQL server is needed."
            copied = stack.enter_context(new_database(server, template=str(made.database)))
        dropped = drop_guard(copied)
        assert dropped, "There was no guard to take away."
        yield copied


@contextmanager
def docket_servers(url: str, count: int = 2) -> Iterator[list[int]]:
    """Start this many `docket serve` processes with one database; gives their ports."""
    with ExitStack() as stack:
        # They start in parallel, because each start mostly imports modules on one processor.
        with ThreadPoolExecutor(count) as starters:
            servers = list(starters.map(lambda _number: stack.enter_context(live_server(url)), range(count)))
        yield [int(server.url.rsplit(":", 1)[1]) for server in servers]


@contextmanager
def servers_without_locks(url: str, count: int = 2) -> Iterator[list[int]]:
    """Like `docket_servers`, but without the locks of the service: see `bench.unguarded`."""
    with ExitStack() as stack:
        started: list[tuple[int, RunningCommand]] = []
        for _ in range(count):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-unlocked-")))
            port = free_port()
            command = [sys.executable, "-m", "uvicorn", "--factory", "bench.unguarded:create_app"]
            options = ["--app-dir", str(ROOT), "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
            kept = RunningCommand([*command, *options], log=folder / "log", cwd=folder, env=docket_environment(url))
            started.append((port, stack.enter_context(kept)))
        for port, kept in started:
            kept.wait_until(lambda port=port: _is_alive(port), seconds=60)  # type: ignore[misc]
        yield [port for port, _kept in started]


def _is_alive(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def docket_check(url: str) -> tuple[int, str]:
    """Run `docket check` as an operator does; returns its exit code and the last line of its output."""
    command = Path(sys.executable).with_name("docket")
    with tempfile.TemporaryDirectory(prefix="docket-check-") as folder:
        done = subprocess.run(
            [str(command), "check"],
            cwd=folder,
            env=docket_environment(url) | {"PATH": os.environ.get("PATH", "")},
            capture_output=True,
            text=True,
            timeout=300,
        )
    lines = (done.stdout + done.stderr).strip().splitlines()
    return done.returncode, lines[-1] if lines else ""

"""`python -m bench.backups`: backups while a hundred changes a second are made, and whether they lack anything.

Four threads add patients, and note each that was acknowledged. Meanwhile `docket backup` runs as a command, again and
again. Each copy is restored into another database: everything that was acknowledged before its start must be there,
the copy must be one moment, and `docket check` must find nothing new.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bench.data import NOW, SMALL, TINY, postgresql_copy, sqlite_copy
from bench.terminal import say, table
from tests.postgres import new_database, postgres_server
from tests.servers import docket_environment
from webapp.backups.service import restore_backup
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.integrity.problems import find_problems
from webapp.models import Patient
from webapp.troubles import DatabaseTrouble

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
HEADINGS = ["database", "MB", "backup s", "changes/s", "worst ms", "before", "missing", "restore s", "check"]
WRITERS, PER_SECOND = 4, 100


class Writers:
    """Threads that add patients at an even pace."""

    def __init__(self, database: Database) -> None:
        self.acknowledged: list[str] = []
        self.worst, self.refused = 0.0, 0
        self._database = database
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        began, done = time.monotonic(), 0
        while not self._stop.wait(max(0.0, began + done * WRITERS / PER_SECOND - time.monotonic())):
            name, asked = f"Backup {number}-{done}", time.monotonic()
            try:
                self._database.write(_add, name)
                self.acknowledged.append(name)
            except DatabaseTrouble:
                # It was refused, so it may be missing.
                self.refused += 1
            self.worst = max(self.worst, time.monotonic() - asked)
            done += 1


def _add(session: Session, name: str) -> None:
    session.add(Patient(name=name, created_at=NOW))


def main() -> int:
    """Make the backups; 0 if nothing is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.backups", description=__doc__)
    parser.add_argument("--database", choices=list(NAMES), help="only this one")
    parser.add_argument("--rounds", type=int, default=3, help="how many backups of each database")
    parser.add_argument("--tiny", action="store_true", help="a small clinic, to see that the tool works")
    options = parser.parse_args()
    lines: list[list[str]] = []
    good = True
    for kind in [options.database] if options.database else list(NAMES):
        with _databases(kind, tiny=options.tiny) as (url, other):
            database = wired_database(url)
            expected = list(find_problems(database, now=NOW))
            with Writers(database) as writers:
                for number in range(options.rounds):
                    line, whole = _one_round(url, other, writers, f"{number}", expected)
                    lines.append([NAMES[kind], *line])
                    good &= whole
            database.dispose()
            say(
                f"{NAMES[kind]}: {len(writers.acknowledged):,} changes acknowledged, {writers.refused} refused as busy."
            )
    print(table(HEADINGS, lines, title="Backups under a hundred changes a second"))
    say("Nothing is missing." if good else "SOMETHING IS MISSING.")
    return 0 if good else 1


@contextmanager
def _databases(kind: str, *, tiny: bool) -> Iterator[tuple[str, str]]:
    """A clinic, and an empty database of the same kind to restore into."""
    size = TINY if tiny else SMALL
    with ExitStack() as stack:
        if kind == "sqlite":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-backups-")))
            yield stack.enter_context(sqlite_copy(size, folder, say)), f"sqlite:///{folder}/restored.db"
        else:
            server = stack.enter_context(postgres_server(durable=True))
            url = stack.enter_context(postgresql_copy(size, server, say))
            yield url, stack.enter_context(new_database(server))


def _one_round(url: str, other: str, writers: Writers, name: str, expected: list[str]) -> tuple[list[str], bool]:
    """Back up, restore, look; returns a line of the table, and whether all is there."""
    time.sleep(1)
    with tempfile.TemporaryDirectory(prefix="docket-backups-") as folder:
        file = Path(folder) / name
        writers.worst, before, began = 0.0, set(writers.acknowledged), time.monotonic()
        _run_backup(url, file)
        took, worst = time.monotonic() - began, writers.worst
        pace = (len(writers.acknowledged) - len(before)) / took
        restored = wired_database(other)
        began = time.monotonic()
        done = restore_backup(restored, file, replace=True, now=NOW)
        restoring, megabytes = time.monotonic() - began, file.stat().st_size / 1e6
    with restored.reading() as session:
        found = set(session.scalars(sa.select(Patient.name).where(Patient.name.startswith("Backup "))))
        count = session.scalar(sa.select(sa.func.count()).select_from(Patient))
    problems = [each for each in find_problems(restored, now=NOW) if each not in expected]
    restored.dispose()
    missing = len(before - found)
    line = [
        f"{megabytes:.1f}", f"{took:.1f}", f"{pace:.0f}", f"{worst * 1000:.0f}", f"{len(before):,}", f"{missing}",
        f"{restoring:.1f}", f"{len(problems)} problems",
    ]  # fmt: skip
    return line, not missing and not problems and count == done.contents.counts["patients"]


def _run_backup(url: str, file: Path) -> None:
    """The command of an operator, as a separate process."""
    command = [sys.executable, "-c", "from webapp.cli import main; main()", "backup", str(file)]
    made = subprocess.run(command, env=docket_environment(url), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bench.migration`: how long the newest migration takes in a clinic of 600,000 appointments, down and up.

The clinic goes down one revision, up, down and up again. Afterwards the rows must be what they were, and the guard must
be in place and know everything that takes time. (The tests compare the schemas.) The wall time and the CPU time are
printed: for SQLite that of our process, for PostgreSQL that of the server's processes for our connections.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from bench.data import LARGE, TINY, postgresql_copy, sqlite_copy
from bench.subjects import Backends
from bench.terminal import say, table
from tests.postgres import postgres_server
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.integrity.guard_trial import guard_is_in_place
from webapp.migrations import downgrade, upgrade
from webapp.scheduling.busy_times import CONTENTS, expected

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
HEADINGS = ["database", "appointments", "step", "wall s", "CPU s", "MB after"]


def main() -> int:
    """Measure; 0 when every row came back."""
    parser = argparse.ArgumentParser(prog="python -m bench.migration", description=__doc__)
    parser.add_argument("--database", choices=list(NAMES), help="only this one")
    parser.add_argument("--tiny", action="store_true", help="a small clinic, to see that the tool works")
    options = parser.parse_args()
    lines: list[list[str]] = []
    good = True
    for kind in [options.database] if options.database else list(NAMES):
        with _copy(kind, tiny=options.tiny) as url:
            database = wired_database(url)
            found, same = measure(database)
            lines += [[NAMES[kind], *line] for line in found]
            good &= same
            say(f"{NAMES[kind]}: {'every row came back' if same else 'ROWS OR GUARD ARE NOT WHAT THEY WERE'}.")
            database.dispose()
    print(table(HEADINGS, lines, title="The newest migration"))
    return 0 if good else 1


@contextmanager
def _copy(kind: str, *, tiny: bool) -> Iterator[str]:
    size = TINY if tiny else LARGE
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="docket-migration-") as name, sqlite_copy(size, Path(name), say) as url:
            yield url
    else:
        with postgres_server(durable=True) as server, postgresql_copy(size, server, say) as url:
            yield url


def measure(database: Database) -> tuple[list[list[str]], bool]:
    """Go down, up, down and up; returns a line for each step, and whether everything is as it was."""
    before = _state(database)
    lines = []
    for step, work in [("down", _down), ("up", upgrade)] * 2:
        spent = _cpu(database)
        began = time.monotonic()
        work(database)
        wall = time.monotonic() - began
        cpu = _cpu(database) - spent
        lines.append([f"{before[0]:,}", step, f"{wall:.1f}", f"{cpu:.1f}", f"{_megabytes(database):,.0f}"])
    return lines, _state(database) == before and _is_kept(database) and guard_is_in_place(database)


def _down(database: Database) -> None:
    downgrade(database, "-1")


def _state(database: Database) -> tuple[int, list[object]]:
    """The number of appointments, and sums over every column that the migration reads or writes."""
    appointments = "SELECT count(*), sum(id), sum(doctor_id), sum(length(reference)), sum(version) FROM appointments"
    busy = "SELECT count(*), sum(appointment_id), sum(doctor_id), sum(from_minute), sum(until_minute) FROM busy_times"
    with database.reading() as session:
        found = [value for query in (appointments, busy) for value in session.execute(sa.text(query)).one()]
    return int(found[0]), found


def _is_kept(database: Database) -> bool:
    """Whether `busy_times` holds exactly what takes time."""
    with database.reading() as session:
        differences = [sa.except_(expected(), CONTENTS), sa.except_(CONTENTS, expected())]
        return all(session.execute(query).first() is None for query in differences)


def _cpu(database: Database) -> float:
    """Seconds of CPU so far: of our process for SQLite, of the processes that serve our connections for PostgreSQL."""
    return time.process_time() if database.is_sqlite else Backends([database]).spent() / 1000


def _megabytes(database: Database) -> float:
    """The size of the whole database in MB."""
    if database.is_sqlite:
        query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    else:
        query = "SELECT pg_database_size(current_database())"
    with database.reading() as session:
        return int(session.scalar(sa.text(query)) or 0) / 1e6


if __name__ == "__main__":
    sys.exit(main())

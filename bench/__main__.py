"""`make bench`: CPU time per request, compared with the least work that each needs. README.md explains the figures."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.data import LARGE, SMALL, TINY, Size, postgresql_copy, sqlite_copy
from bench.subjects import Backends, Clinic, Subject, measure, opened
from bench.terminal import say, table
from tests.postgres import postgres_server

AIMS = {"calendar": 1.5, "booking": 2.0, "ten times": 1.1}


def main() -> int:
    """Measure and print the table; 0 when everything could be measured, with any figures."""
    options = _options()
    sizes = [TINY] if options.tiny else [SMALL] if options.quick else [SMALL, LARGE]
    kinds = [options.database] if options.database else ["sqlite", "postgresql"]
    for kind in kinds:
        with _databases(kind, sizes) as urls, opened(urls) as clinics:
            say(f"{_NAMES[kind]}: {', '.join(f'{clinic.appointments:,}' for clinic in clinics)} appointments.")
            asyncio.run(_measure_all(kind, clinics, options.rounds, options.requests))
    return 0


_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--database", choices=list(_NAMES), help="only this one")
    parser.add_argument("--rounds", type=int, default=15, help="rounds whose median counts (15)")
    parser.add_argument("--requests", type=int, default=25, help="requests of each kind in a round (25)")
    parser.add_argument("--quick", action="store_true", help="60,000 appointments only")
    parser.add_argument("--tiny", action="store_true", help="a small clinic, to see that the tool works")
    return parser.parse_args()


@contextmanager
def _databases(kind: str, sizes: list[Size]) -> Iterator[list[str]]:
    """A copy of each clinic in a database of this kind."""
    with ExitStack() as stack:
        if kind == "sqlite":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-bench-")))
            yield [stack.enter_context(sqlite_copy(size, folder, say)) for size in sizes]
        else:
            server = stack.enter_context(postgres_server(durable=True))
            yield [stack.enter_context(postgresql_copy(size, server, say)) for size in sizes]


async def _measure_all(kind: str, clinics: list[Clinic], rounds: int, requests: int) -> None:
    """All subjects of all sizes take turns, so that other load on the machine affects all of them alike."""
    groups: list[list[tuple[Subject, ...]]] = []
    for clinic in clinics:
        page, fragment = await clinic.calendar(fragment=False), await clinic.calendar(fragment=True)
        groups.append([page, fragment, clinic.bookings()])
    backends = Backends([clinic.database for clinic in clinics])
    subjects = [subject for group in groups for pair in group for subject in pair]
    await measure(subjects, rounds=rounds, requests=requests, backends=backends)
    rows = [row for clinic, group in zip(clinics, groups, strict=True) for row in _rows(clinic, group)]
    for first, last in zip(groups[0], groups[-1], strict=True):
        if len(groups) > 1:
            rows.append(["", f"{first[0].name}, ten times the data", "", "", *_ratio(last[0], first[0]), "1.1"])
    headings = ["appointments", "request", "ms", "beside ms", "ratio", "middle half", "aim"]
    if backends.known:
        headings.insert(3, "server ms")
        rows = [[*row[:3], "", *row[3:]] if len(row) == 7 else row for row in rows]
    print(table(headings, rows, title=f"{_NAMES[kind]}: CPU time of a request"))


def _rows(clinic: Clinic, group: list[tuple[Subject, ...]]) -> Iterator[list[str]]:
    """A row for each request and each of its baselines."""
    for subject, *baselines in group:
        for baseline in baselines:
            aim = str(AIMS[subject.name.split(",")[0]])
            row = [f"{clinic.appointments:,}", f"{subject.name} / {baseline.name}", _median(subject.own)]
            server = [_median(subject.server)] if any(subject.server) else []
            yield [*row, *server, _median(baseline.own), *_ratio(subject, baseline), aim]


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}"


def _ratio(subject: Subject, baseline: Subject) -> list[str]:
    """The median of the rounds' ratios, and the range of the middle half of them."""
    ratios = sorted(mine / theirs for mine, theirs in zip(subject.own, baseline.own, strict=True))
    quarter = len(ratios) // 4
    return [f"{statistics.median(ratios):.2f}", f"{ratios[quarter]:.2f}–{ratios[-1 - quarter]:.2f}"]


if __name__ == "__main__":
    sys.exit(main())

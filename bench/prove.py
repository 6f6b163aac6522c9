"""`make prove`: no time is given to two patients, and no leave leaves an appointment in it unflagged.

A thousand races for one time on each database; then some with the guard alone, some with the locks alone, and a
control with neither; and leave that races bookings.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bench.contest import Arena, Racers, Tally, build_arena, run_rounds
from bench.leave import LeaveTally
from bench.leave import build as build_leave
from bench.leave import run as race_leave
from bench.servers import docket_check, docket_servers, empty_database, servers_without_locks, unguarded_copy
from bench.terminal import BOLD, GREEN, RED, paint, progress, say, table
from tests.postgres import postgres_server

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
SHOW_EVERY = 100


@dataclass
class Finding:
    """One series of races, with or without the service's locks and the database's guard, and the check after it."""

    kind: str
    locks: bool
    guard: bool
    tally: Tally = field(default_factory=Tally)
    check: int = -1
    seconds: float = 0.0

    @property
    def is_as_promised(self) -> bool:
        """Either protection is enough; without both, the race shows. The check reports a missing guard."""
        raced_well = self.tally.is_clean if self.locks or self.guard else self.tally.double_booked > 0
        return raced_well and self.check == (0 if self.guard else 1)

    @property
    def what(self) -> str:
        """What protected against a second winner."""
        return {
            (True, True): "locks and guard",
            (False, True): "guard alone",
            (True, False): "locks alone",
            (False, False): "neither",
        }[self.locks, self.guard]

    def row(self) -> list[str]:
        """The finding as a row of the table."""
        tally = self.tally
        others = sum(count for status, count in tally.statuses.items() if status not in {303, 409})
        return [
            NAMES[self.kind],
            self.what,
            f"{tally.rounds:,}",
            f"{tally.winners[1]:,}",
            f"{tally.double_booked:,}",
            f"{tally.winners[0]:,}",
            f"{tally.statuses[303]:,}",
            f"{tally.statuses[409]:,}",
            f"{others:,}",
            f"{statistics.median(tally.late) * 1000:.1f}/{max(tally.late) * 1000:.0f}",
            f"{self.check}",
            f"{self.seconds:.0f} s",
            "as promised" if self.is_as_promised else "NOT AS PROMISED",
        ]


HEADINGS = [
    "database", "protected by", "rounds", "one winner", "more", "none", "303", "409", "other",
    "late ms", "check", "took", "",
]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the proofs; 0 when all went as promised."""
    options = _options(arguments)
    kinds = [options.database] if options.database else list(NAMES)
    findings: list[Finding] = []
    with Racers(options.racers) as racers:
        for kind in kinds:
            findings += prove(kind, racers, options.rounds, options.control_rounds)
    leaves = {kind: prove_leave(kind, options.leave_rounds, options.leave_bookings) for kind in kinds}
    print(table(HEADINGS, [finding.row() for finding in findings], title="Races for one time"))
    print(table(LEAVE_HEADINGS, [_leave_row(kind, tally) for kind, tally in leaves.items()], title="Leave that races"))
    for finding in findings:
        for unexpected in finding.tally.unexpected[:3] if finding.locks or finding.guard else []:
            say(paint(f"{NAMES[finding.kind]}, {finding.what}: neither won nor 409: {unexpected}", RED))
    good = all(finding.is_as_promised for finding in findings) and all(tally.is_clean for tally in leaves.values())
    words = (
        "Proved: one winner in every round with locks and guard and with either alone, the race shows without both,"
        " and no appointment in a leave is unflagged."
    )
    say(paint(words, BOLD, GREEN) if good else paint("Not proved: see the table.", BOLD, RED))
    return 0 if good else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.prove", description=__doc__)
    parser.add_argument("--database", choices=list(NAMES), help="only this one")
    parser.add_argument("--rounds", type=int, default=1000, help="races with locks and guard (1000)")
    parser.add_argument("--control-rounds", type=int, help="races with one of them, and with neither (a fifth of that)")
    parser.add_argument("--racers", type=int, default=8, help="patients in a race (8)")
    parser.add_argument("--leave-rounds", type=int, default=20, help="leaves that are entered amid bookings (20)")
    parser.add_argument("--leave-bookings", type=int, default=500, help="bookings that race each leave (500)")
    options = parser.parse_args(arguments)
    options.control_rounds = options.control_rounds or max(1, options.rounds // 5)
    return options


def prove(kind: str, racers: Racers, rounds: int, control_rounds: int) -> Iterator[Finding]:
    """Run the races on one kind of database, and then on a copy of it without the guard."""
    stretches = iter(_stretches(rounds, control_rounds))

    def race(url: str, *, locks: bool, guard: bool) -> Finding:
        finding = Finding(kind, locks, guard)
        stretch = next(stretches)
        say(f"{NAMES[kind]}, {finding.what}: {len(stretch):,} rounds of {len(racers)} against two servers.")
        with (docket_servers if locks else servers_without_locks)(url) as ports:
            finding.seconds = _run(arena, racers, ports, stretch, finding.tally)
        finding.check, words = docket_check(url)
        say(f"  docket check: exit {finding.check}. {words}")
        return finding

    with (
        _server(kind) as server,
        tempfile.TemporaryDirectory(prefix="docket-prove-") as name,
        empty_database(kind, server, Path(name)) as url,
    ):
        arena = build_arena(url, rounds=rounds + 3 * control_rounds)
        yield race(url, locks=True, guard=True)
        yield race(url, locks=False, guard=True)
        with unguarded_copy(url, server, Path(name)) as copy:
            yield race(copy, locks=True, guard=False)
            yield race(copy, locks=False, guard=False)


def _stretches(rounds: int, control_rounds: int) -> list[range]:
    """The numbers of the rounds in each of the four series: no two rounds race for the same hours."""
    starts = [0, *(rounds + number * control_rounds for number in range(4))]
    return [range(start, end) for start, end in pairwise(starts)]


LEAVE_HEADINGS = [
    "database", "leaves", "booked", "before leave", "refused", "asked", "kept", "moved", "cancelled", "unflagged",
    "problems", "",
]  # fmt: skip


def prove_leave(kind: str, rounds: int, bookings: int) -> LeaveTally:
    """Enter leave while bookings race it, on one kind of database."""
    say(f"{NAMES[kind]}: {rounds:,} leaves, each amid {bookings:,} bookings.")
    with (
        _server(kind) as server,
        tempfile.TemporaryDirectory(prefix="docket-leave-") as name,
        empty_database(kind, server, Path(name)) as url,
    ):
        build_leave(url, rounds=rounds)
        return race_leave(url, rounds=rounds, bookings=bookings, tally=LeaveTally())


def _leave_row(kind: str, tally: LeaveTally) -> list[str]:
    return [
        NAMES[kind],
        f"{tally.rounds:,}",
        f"{tally.booked:,}",
        f"{tally.before_leave:,}",
        f"{sum(tally.refused.values()):,}",
        f"{tally.asked:,}",
        *(f"{tally.decided[decision]:,}" for decision in ("keep", "move", "cancel")),
        f"{tally.unflagged:,}",
        f"{len(tally.problems):,}",
        "as promised" if tally.is_clean else "NOT AS PROMISED",
    ]


@contextmanager
def _server(kind: str) -> Iterator[str | None]:
    """A PostgreSQL server with its ordinary durability, where one is needed."""
    if kind == "sqlite":
        yield None
        return
    with postgres_server(durable=True) as server:
        yield server


def _run(arena: Arena, racers: Racers, ports: list[int], rounds: range, tally: Tally) -> float:
    """Race all rounds, adding them to the tally and printing progress; returns the seconds it took."""
    began = time.monotonic()
    for outcomes in run_rounds(arena, racers, ports, rounds):
        tally.add(outcomes)
        spent = time.monotonic() - began
        left = spent / tally.rounds * (len(rounds) - tally.rounds)
        text = f"  {tally.rounds:,} of {len(rounds):,} rounds, {tally.winners[1]:,} with one winner"
        progress(f"{text}, about {left:.0f} s left")
        if tally.rounds % SHOW_EVERY == 0 or tally.rounds == len(rounds):
            progress("")
            say(f"{text}, {tally.double_booked:,} double-booked, {spent:.0f} s")
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())

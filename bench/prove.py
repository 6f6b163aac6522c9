"""`make prove`: no time is given to two patients, and no leave leaves an appointment in it unflagged.

A thousand races for one time on each database, and some among everything that takes time (see `rivals.py`); then some
with the guard alone, some with the locks alone, and a control with neither; leave that races bookings; and servers that
are killed while clients book.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bench import rivals
from bench.contest import Outcome, Racers, Tally
from bench.kills import KILL_HEADINGS, KillTally
from bench.kills import run as race_kills
from bench.leave import LeaveTally
from bench.leave import build as build_leave
from bench.leave import run as race_leave
from bench.rivals import Field, build_field, count_overlaps
from bench.servers import docket_check, docket_servers, empty_database, servers_without_locks, unguarded_copy
from bench.terminal import BOLD, GREEN, RED, paint, progress, say, table
from tests.postgres import postgres_server

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
SHOW_EVERY = 100


@dataclass
class Finding:
    """One series of races, with or without the service's locks and the database's guard, and the check after it.

    `overlaps` are pairs of appointments at the same time in the same lane.
    """

    kind: str
    race: str
    locks: bool
    guard: bool
    tally: Tally = field(default_factory=Tally)
    check: int = -1
    overlaps: int = -1
    seconds: float = 0.0

    @property
    def is_as_promised(self) -> bool:
        """Either protection is enough; without both, the race shows. The check reports a missing guard."""
        protected = self.locks or self.guard
        raced_well = self.tally.is_clean if protected else self.tally.double_booked > 0
        return raced_well and (self.overlaps == 0) == protected and self.check == (0 if self.guard else 1)

    @property
    def what(self) -> str:
        """The protection against a second winner."""
        return {
            (True, True): "locks and guard",
            (False, True): "guard alone",
            (True, False): "locks alone",
            (False, False): "neither",
        }[self.locks, self.guard]

    def row(self) -> list[str]:
        """The finding as a row of the table."""
        tally = self.tally
        won = sum(tally.statuses[status] for status in (200, 201, 303))
        return [
            NAMES[self.kind],
            self.race,
            self.what,
            f"{tally.rounds:,}",
            f"{tally.winners[1]:,}",
            f"{tally.double_booked:,}",
            f"{tally.winners[0]:,}",
            f"{won:,}",
            f"{tally.statuses[409]:,}",
            f"{tally.statuses.total() - won - tally.statuses[409]:,}",
            f"{statistics.median(tally.late) * 1000:.1f}/{max(tally.late) * 1000:.0f}",
            f"{self.overlaps:,}",
            f"{self.check}",
            f"{self.seconds:.0f} s",
            "as promised" if self.is_as_promised else "NOT AS PROMISED",
        ]


HEADINGS = [
    "database", "race", "protected by", "rounds", "one winner", "more", "none", "won", "409", "other",
    "late ms", "overlaps", "check", "took", "",
]  # fmt: skip


class Race(NamedTuple):
    """A kind of race, and the part of the rounds that it gets. `needs_locks`: it is about transactions, not times."""

    name: str
    run: Callable[[Field, str, Racers, list[int], range], Iterator[list[Outcome]]]
    share: float
    needs_locks: bool = False


RACES = (
    Race("bookings", rivals.run_bookings, 1),
    Race("everything", rivals.run_everything, 0.4),
    Race("squeeze-ins", rivals.run_squeeze_ins, 0.1),
    Race("one key", rivals.run_one_key, 0.1, needs_locks=True),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the proofs; 0 when all went as promised."""
    options = _options(arguments)
    kinds = [options.database] if options.database else list(NAMES)
    findings: list[Finding] = []
    with Racers(rivals.RECEPTIONISTS) as racers:
        for kind in kinds:
            findings += prove(kind, racers, options.rounds, options.control_rounds)
    kills = {kind: prove_kills(kind, options.kills) for kind in kinds} if options.kills else {}
    leaves = {kind: prove_leave(kind, options.leave_rounds, options.leave_bookings) for kind in kinds}
    print(table(HEADINGS, [finding.row() for finding in findings], title="Races for one time"))
    print(table(LEAVE_HEADINGS, [_leave_row(kind, tally) for kind, tally in leaves.items()], title="Leave that races"))
    for finding in findings:
        for unexpected in finding.tally.unexpected[:3] if finding.locks or finding.guard else []:
            say(paint(f"{NAMES[finding.kind]}, {finding.what}: neither won nor 409: {unexpected}", RED))
    if kills:
        print(table(KILL_HEADINGS, [tally.row(NAMES[kind]) for kind, tally in kills.items()], title="Killed servers"))
    for tally in kills.values():
        for problem in tally.problems[:5]:
            say(paint(problem, RED))
    good = (
        all(finding.is_as_promised for finding in findings)
        and all(tally.is_clean for tally in leaves.values())
        and all(tally.is_clean for tally in kills.values())
    )
    words = (
        "Proved: one winner in every round with locks and guard and with either alone, the race shows without both,"
        " no appointment in a leave is unflagged, and nothing acknowledged is lost."
    )
    say(paint(words, BOLD, GREEN) if good else paint("Not proved: see the table.", BOLD, RED))
    return 0 if good else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.prove", description=__doc__)
    parser.add_argument("--database", choices=list(NAMES), help="only this one")
    parser.add_argument("--rounds", type=int, default=1000, help="races with locks and guard (1000)")
    parser.add_argument("--control-rounds", type=int, help="races with one of them, and with neither (a fifth of that)")
    parser.add_argument("--leave-rounds", type=int, default=20, help="leaves that are entered amid bookings (20)")
    parser.add_argument("--leave-bookings", type=int, default=500, help="bookings that race each leave (500)")
    parser.add_argument("--kills", type=int, default=100, help="servers that are killed while clients book (100)")
    options = parser.parse_args(arguments)
    options.control_rounds = options.control_rounds or max(1, options.rounds // 5)
    return options


def prove(kind: str, racers: Racers, rounds: int, control_rounds: int) -> Iterator[Finding]:
    """Run the races on one kind of database, and then on a copy of it without the guard."""
    stretches = _stretches()

    def race(url: str, count: int, *, locks: bool, guard: bool) -> list[Finding]:
        found = [Finding(kind, each.name, locks, guard) for each in RACES if locks or not each.needs_locks]
        say(f"{NAMES[kind]}, {found[0].what}: {count:,} rounds and more against two servers.")
        with (docket_servers if locks else servers_without_locks)(url) as ports:
            for finding, each in zip(found, RACES, strict=False):
                stretch = stretches(max(1, round(count * each.share)))
                outcomes = each.run(arena, url, racers, ports, stretch)
                finding.seconds = _run(outcomes, len(stretch), finding)
        check, words = docket_check(url)
        overlaps = count_overlaps(url)
        say(f"  docket check: exit {check}. {words}")
        for finding in found:
            finding.check, finding.overlaps = check, overlaps
        return found

    with (
        _server(kind) as server,
        tempfile.TemporaryDirectory(prefix="docket-prove-") as name,
        empty_database(kind, server, Path(name)) as url,
    ):
        most = sum(each.share for each in RACES) * (rounds + 3 * control_rounds) + 4 * len(RACES)
        arena = build_field(url, rounds=int(most))
        yield from race(url, rounds, locks=True, guard=True)
        yield from race(url, control_rounds, locks=False, guard=True)
        with unguarded_copy(url, server, Path(name)) as copy:
            yield from race(copy, control_rounds, locks=True, guard=False)
            yield from race(copy, control_rounds, locks=False, guard=False)


def _stretches() -> Callable[[int], range]:
    """Gives the numbers of the rounds of one series after another: no two rounds race for the same hours."""
    used = 0

    def next_ones(count: int) -> range:
        nonlocal used
        used += count
        return range(used - count, used)

    return next_ones


LEAVE_HEADINGS = [
    "database", "leaves", "booked", "before leave", "refused", "asked", "kept", "moved", "cancelled", "unflagged",
    "problems", "",
]  # fmt: skip


def prove_kills(kind: str, count: int) -> KillTally:
    """Kill servers while clients book, on one kind of database."""
    say(f"{NAMES[kind]}: {count:,} kills while clients book.")
    with (
        _server(kind) as server,
        tempfile.TemporaryDirectory(prefix="docket-kills-") as name,
        empty_database(kind, server, Path(name)) as url,
    ):
        return race_kills(url, kills=count)


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


def _run(rounds: Iterator[list[Outcome]], count: int, finding: Finding) -> float:
    """Race all rounds, adding them to the tally and printing progress; returns the seconds it took."""
    tally = finding.tally
    began = time.monotonic()
    for outcomes in rounds:
        tally.add(outcomes)
        spent = time.monotonic() - began
        left = spent / tally.rounds * (count - tally.rounds)
        text = f"  {finding.race}: {tally.rounds:,} of {count:,} rounds, {tally.winners[1]:,} with one winner"
        progress(f"{text}, about {left:.0f} s left")
        if tally.rounds % SHOW_EVERY == 0 or tally.rounds == count:
            progress("")
            say(f"{text}, {tally.double_booked:,} double-booked, {spent:.0f} s")
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())

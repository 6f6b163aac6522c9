"""`make stampede`: a demonstration of half a minute. Eight patients press "Book" at the same instant."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.contest import SHAPES, Arena, Racers, Tally, build_arena, run_rounds
from bench.servers import docket_check, docket_servers, empty_database, servers_without_locks, unguarded_copy
from bench.terminal import BOLD, DIM, GREEN, RED, YELLOW, paint, say
from tests.postgres import postgres_server

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
RACERS = 8
ROUNDS = 6
PATIENTS = 40
# Without a visible race the demonstration shows nothing, but it must end: at most this many rounds are added.
MORE_ROUNDS = 14
SCALE = 5


def main() -> int:
    """Run it on both databases; 0 when all went as promised."""
    began = time.monotonic()
    _explain()
    good = True
    with Racers(RACERS) as racers:
        good &= show("sqlite", None, racers)
        with _postgresql() as server:
            if server is None:
                say(paint("There is no PostgreSQL on this machine, so this was SQLite only.", YELLOW))
            else:
                good &= show("postgresql", server, racers)
    say("")
    if good:
        words = "As promised: without the guard one time was given to several patients; with it, to exactly one."
        say(paint(words, BOLD, GREEN))
    else:
        say(paint("That did not go as promised: see above.", BOLD, RED))
    say(paint(f"It took {time.monotonic() - began:.0f} s. A thousand such rounds: make prove", DIM))
    return 0 if good else 1


def _explain() -> None:
    """Explain what follows."""
    say(paint("The stampede", BOLD))
    say("Eight patients want overlapping appointments with one doctor, and all press “Book” at the same instant.")
    say("They are separate processes; two servers share one database. The appointments differ in start and length,")
    say("but each of them holds the same quarter of an hour (│), so only one of the eight can be right:")
    say("")
    for offset, length in sorted(SHAPES):
        bar = [" "] * (120 // SCALE)
        bar[offset // SCALE : (offset + length) // SCALE] = "━" * (length // SCALE)
        bar[30 // SCALE] = "│"
        say(f"    {9 + offset // 60:02d}:{offset % 60:02d}  {''.join(bar).rstrip():<24}  {length} minutes")


def show(kind: str, server: str | None, racers: Racers) -> bool:
    """Run the race without the guard, in a copy, and then with it; returns whether both went as promised."""
    with tempfile.TemporaryDirectory(prefix="docket-stampede-") as name:
        folder = Path(name)
        with empty_database(kind, server, folder) as url:
            arena = build_arena(url, rounds=2 * ROUNDS + MORE_ROUNDS, patients=PATIENTS)
            with unguarded_copy(url, server, folder) as copy, _servers(url, copy) as (guarded, unguarded):
                _title(NAMES[kind], "the guard is taken away, in a copy")
                loose = _race(arena, racers, unguarded, more=MORE_ROUNDS)
                found, words = docket_check(copy)
                _check(found, words)
                _title(NAMES[kind], "Docket as it is")
                tight = _race(arena, racers, guarded, more=0)
                clean, words = docket_check(url)
                _check(clean, words)
    return loose.double_booked > 0 and found == 1 and tight.is_clean and clean == 0


@contextmanager
def _servers(url: str, copy: str) -> Iterator[tuple[list[int], list[int]]]:
    """Start two servers with the guard and one without, which is enough to lose, in parallel; gives their ports."""
    with ExitStack() as stack, ThreadPoolExecutor(2) as starters:
        guarded = starters.submit(lambda: stack.enter_context(docket_servers(url)))
        unguarded = starters.submit(lambda: stack.enter_context(servers_without_locks(copy, count=1)))
        yield guarded.result(), unguarded.result()


def _title(database: str, what: str) -> None:
    say(f"\n{paint(f'{database}: {what}', BOLD)}")
    say(paint("    ● was told “booked”   · was told “just taken”", DIM))


def _race(arena: Arena, racers: Racers, ports: list[int], *, more: int) -> Tally:
    """Run the rounds, one line each; add some where the race has not shown itself yet."""
    tally = Tally()
    races = run_rounds(arena, racers, ports, range(ROUNDS + more))
    for number, outcomes in enumerate(races, start=1):
        winners = tally.add(outcomes)
        unexpected = len(tally.unexpected)
        dots = "●" * winners + "·" * (len(outcomes) - winners)
        if winners == 1:
            words = paint("one appointment", GREEN)
        elif winners:
            words = paint(f"{winners} patients hold the same time", BOLD, RED)
        else:
            words = paint("no patient", YELLOW)
        say(f"    round {number:>2}   {dots}   {words}{f', {unexpected} errors so far' if unexpected else ''}")
        if number >= ROUNDS and (tally.double_booked or not more):
            break
    return tally


def _check(code: int, words: str) -> None:
    say(f"    docket check: {paint(words, GREEN if code == 0 else RED)}")


@contextmanager
def _postgresql() -> Iterator[str | None]:
    """A PostgreSQL server, or None where there is none."""
    server = postgres_server(durable=True)
    try:
        url = server.__enter__()
    except (RuntimeError, OSError) as missing:
        say(paint(f"\n{missing}".splitlines()[1], DIM))
        yield None
        return
    try:
        yield url
    finally:
        server.__exit__(None, None, None)


if __name__ == "__main__":
    sys.exit(main())

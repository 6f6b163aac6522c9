"""The proofs and measuring tools work, at sizes that take seconds; their figures are not tested."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.contest import SHAPES, Outcome, Racers, Tally, build_arena, run_rounds
from bench.data import NOW, TODAY
from bench.servers import docket_check, docket_servers, servers_without_locks, unguarded_copy
from bench.subjects import Backends, Clinic, measure, opened
from bench.terminal import table
from webapp.database import Database
from webapp.demo.generate import make_demo


@pytest.fixture
def racers() -> Iterator[Racers]:
    """Four processes that wait for their task."""
    with Racers(4) as racers:
        yield racers


def test_every_pair_of_appointments_in_a_race_overlaps() -> None:
    spans = [(offset, offset + length) for offset, length in SHAPES]

    assert max(start for start, _ in spans) < min(end for _, end in spans)
    assert len({start for start, _ in spans}) > 1


def test_a_race_has_one_winner_and_the_control_finds_the_race(sqlite_url: str, racers: Racers, tmp_path: Path) -> None:
    arena = build_arena(sqlite_url, rounds=22, patients=20)
    with unguarded_copy(sqlite_url, None, tmp_path) as copy:
        with servers_without_locks(copy, count=1) as ports:
            loose = Tally()
            for outcomes in run_rounds(arena, racers, ports, range(20)):
                if loose.add(outcomes) > 1:
                    break
        found, _words = docket_check(copy)
    with docket_servers(sqlite_url, count=1) as ports:
        tight = Tally()
        for outcomes in run_rounds(arena, racers, ports, range(2)):
            tight.add(outcomes)

    assert loose.double_booked == 1
    assert found == 1
    assert tight.is_clean, tight
    assert tight.statuses == {303: 2, 409: 6}


def test_a_tally_is_clean_only_with_one_winner_and_conflicts() -> None:
    won, lost, broken = (
        Outcome(303, "/appointments/K7QM-2F9X", 0, 0, ""),
        Outcome(409, "", 0, 0, ""),
        Outcome(500, "", 0, 0, ""),
    )

    def clean(*outcomes: Outcome) -> bool:
        tally = Tally()
        tally.add(list(outcomes))
        return tally.is_clean

    assert clean(won, lost, lost)
    assert not clean(won, won, lost)
    assert not clean(lost, lost)
    assert not clean(won, broken)
    assert not clean(won, Outcome(303, "/login", 0, 0, ""))


def test_the_measured_requests_and_their_baselines_answer(database: Database) -> None:
    make_demo(database, today=TODAY, doctors=12, patients=20, months=0, seed=1, now=NOW, progress=lambda *_: None)

    async def run(clinic: Clinic) -> None:
        pairs = [*await clinic.calendar(fragment=False), *await clinic.calendar(fragment=True), *clinic.bookings()]
        await measure(pairs, rounds=1, requests=2, backends=Backends([clinic.database]))
        assert all(len(subject.own) == 1 and subject.own[0] > 0 for subject in pairs)

    with opened([database.url.render_as_string(hide_password=False)]) as clinics:
        # A browser session in the same worker may have left a running loop in this thread.
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(lambda: asyncio.run(run(clinics[0]))).result()
        booked = clinics[0].appointments

    with database.reading() as session:
        now_there = session.connection().exec_driver_sql("SELECT count(*) FROM appointments").scalar_one()
    # One warm-up round and one that counts, with two requests for each of the three kinds of booking.
    assert now_there == booked + 2 * 2 * 3


def test_numbers_in_a_table_are_aligned() -> None:
    assert table(["what", "n"], [["a", "5"], ["b", "10"]]).splitlines() == [
        "",
        "what   n",
        "----  --",
        "a      5",
        "b     10",
    ]

"""The races among everything that takes time, at a size that takes seconds."""

from __future__ import annotations

from bench import rivals
from bench.contest import Racers, Tally
from bench.servers import docket_servers


def test_rivals_of_each_kind_race_for_one_time(sqlite_url: str) -> None:
    """All of this holds for any order of the requests."""
    field = rivals.build_field(sqlite_url, rounds=8, patients=20)
    found = {}
    with Racers(4) as racers, docket_servers(sqlite_url, count=1) as ports:
        for name, run, rounds in (
            ("everything", rivals.run_everything, range(2)),
            ("squeeze-ins", rivals.run_squeeze_ins, range(2, 3)),
            ("one key", rivals.run_one_key, range(3, 4)),
        ):
            tally = found[name] = Tally()
            for outcomes in run(field, sqlite_url, racers, ports, rounds):
                tally.add(outcomes)
    assert {name: (tally.winners, tally.unexpected) for name, tally in found.items()} == {
        "everything": ({1: 2}, []),
        "squeeze-ins": ({1: 1}, []),
        "one key": ({1: 1}, []),
    }
    assert rivals.count_overlaps(sqlite_url) == 0

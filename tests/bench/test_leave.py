"""The race of leave against bookings, on a small scale: real processes on both databases."""

from __future__ import annotations

from bench.leave import LeaveTally, build, run


def test_leave_that_races_bookings_leaves_no_appointment_unflagged(database_url: str) -> None:
    build(database_url, rounds=2, patients=30)
    tally = run(database_url, rounds=2, bookings=60, tally=LeaveTally())

    assert tally.problems == []
    assert tally.unflagged == 0
    assert tally.booked + sum(tally.refused.values()) == 120
    # There was a race: some were booked before the leave, and some were refused because of it.
    assert tally.is_clean, tally

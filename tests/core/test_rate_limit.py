"""Counting requests in a sliding window."""

from __future__ import annotations

from webapp.config import Rate
from webapp.core.rate_limit import SlidingWindow


def test_the_limit_applies_to_each_client_separately() -> None:
    window = SlidingWindow(Rate(3, 60))
    assert [window.count("a", 1.0).allowed for _ in range(4)] == [True, True, True, False]
    assert window.count("b", 1.0) == (True, 2, 59.0)


def test_the_previous_window_counts_in_proportion_to_its_overlap() -> None:
    window = SlidingWindow(Rate(4, 60))
    for _ in range(4):
        window.count("a", 59.0)
    # At the end of a window nothing is forgotten, or a burst on each side of it would pass twice the limit.
    assert not window.count("a", 60.0).allowed
    # After 15 seconds of the new window, two whole requests of the four still count.
    assert [window.count("a", 75.1).allowed for _ in range(3)] == [True, True, False]
    assert window.count("a", 119.0).allowed


def test_after_a_pause_everything_is_forgotten() -> None:
    window = SlidingWindow(Rate(1, 60))
    assert window.count("a", 0.0).allowed
    assert window.count("a", 180.0).allowed


def test_the_returned_wait_is_enough_and_not_too_long() -> None:
    window = SlidingWindow(Rate(5, 60))
    for _ in range(5):
        window.count("a", 30.0)
    assert window.count("a", 70.0).allowed
    refused = window.count("a", 70.0)
    assert not refused.allowed
    assert window.count("a", 70.0 + refused.wait + 0.001).allowed

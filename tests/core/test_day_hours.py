"""Parsing hours as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.core.day_hours import DAY, UnreadableHours, describe_hours, format_hours, parse_hours

MORNING_AND_AFTERNOON = ((540, 720), (780, 1020))


@pytest.mark.parametrize(
    "text",
    [
        "09:00-12:00, 13:00-17:00",
        "9-12, 13-17",
        "9-12 13-17",
        "9-12,13-17,",
        "13-17; 9-12",
        "9:00–12:00 and 13–17",
        "9 — 12 & 13 − 17",
        "9.00-12 / 13h-17h00",
        "0900-1200 1300-1700",
        "9 to 12, 13 until 17",
        "9am-12pm, 1pm - 5 pm",
        " 9AM TO NOON ".replace("NOON", "12PM") + "AND 1PM TILL 5PM",
        "９-１２，１３-１７",
    ],
)
def test_hours_are_read_however_they_are_written(text: str) -> None:
    assert parse_hours(text) == MORNING_AND_AFTERNOON


@pytest.mark.parametrize("text", ["", "  ", "-", "–", "closed", "Closed", "none"])
def test_no_hours_are_a_day_off(text: str) -> None:
    assert parse_hours(text) == ()


def test_a_day_goes_to_midnight_and_halves_of_hours_count() -> None:
    assert parse_hours("0-24") == ((0, DAY),)
    assert parse_hours("9.30-12") == ((570, 720),)
    assert parse_hours("12am-1am") == ((0, 60),)
    assert parse_hours("9-12, 12-13") == ((540, 720), (720, 780))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9-12, 11-13", "09:00-12:00 and 11:00-13:00 overlap"),
        ("12-9", "12-9 ends before it starts"),
        ("9-9", "ends before it starts"),
        ("9-25", "00:00 to 24:00"),
        ("9-24:01", "00:00 to 24:00"),
        ("9:60-12", "00:00 to 24:00"),
        ("13pm-5pm", "1 to 12"),
        ("9", "like 9-12"),
        ("mornings", "like 9-12"),
        ("9-12 or so", "like 9-12"),
        ("9-123", "like 9-12"),
        (", ".join(f"{hour}-{hour}:30" for hour in range(13)), "at most 12"),
    ],
)
def test_text_without_hours_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(UnreadableHours, match=words):
        parse_hours(text)


@given(st.lists(st.integers(0, DAY), max_size=20, unique=True))
def test_formatted_hours_read_back_unchanged(minutes: list[int]) -> None:
    edges = sorted(minutes)
    spans = tuple(zip(edges[::2], edges[1::2], strict=False))
    assert parse_hours(format_hours(spans)) == spans


@given(st.text(max_size=40) | st.text("0123456789:.-–, apmto", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        spans = parse_hours(text)
    except UnreadableHours:
        return
    assert all(0 <= start < end <= DAY for start, end in spans)


def test_hours_are_formatted_for_people() -> None:
    assert describe_hours(MORNING_AND_AFTERNOON) == "09:00\u00a0to\u00a012:00, 13:00\u00a0to\u00a017:00"
    assert describe_hours([]) == ""

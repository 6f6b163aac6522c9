"""Free times as the API's JSON. One answer may hold fifty thousand, so the text is built only once per start.

A start's JSON is the same for every doctor who is free then, except for the doctor's id. It is built once for each
length of appointment, and the doctors' ids are joined into it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from webapp.scheduling.rules import Facts, offered
from webapp.scheduling.slots import Minute, minute_reached
from webapp.scheduling.week_calendar import iso_minute


def starts_between(facts: Facts, since: datetime, until: datetime) -> list[Minute]:
    """The starts that the rules offer in [since, until), in order."""
    starts = list(offered(facts))
    return starts[bisect_left(starts, minute_reached(since)) : bisect_left(starts, minute_reached(until))]


def json_of_one(starts: Iterable[Minute], minutes: int) -> bytes:
    """The free times of one doctor, for appointments of this many minutes."""
    return _array(f"{_times(start, minutes)}}}" for start in starts)


def json_of_many(of_doctors: Sequence[tuple[int, int, Sequence[Minute]]], limit: int | None) -> bytes:
    """The first `limit` free times of many doctors, given as (doctor's id, minutes of the appointment, starts).

    They are ordered by start, then by end, then in the order in which the doctors were given.
    """
    groups: dict[tuple[Minute, int], list[str]] = defaultdict(list)
    for doctor_id, minutes, starts in of_doctors:
        name = str(doctor_id)
        for start in starts:
            groups[start, minutes].append(name)
    ordered = sorted(groups)
    if limit is not None:
        ordered = _keep_first(groups, ordered, limit)
    return _array(_group(start, minutes, groups[start, minutes]) for start, minutes in ordered)


def _keep_first(
    groups: dict[tuple[Minute, int], list[str]], ordered: list[tuple[Minute, int]], limit: int
) -> list[tuple[Minute, int]]:
    """The groups that hold the first `limit` free times; the last group is shortened."""
    kept = []
    for key in ordered:
        if limit <= 0:
            break
        groups[key] = groups[key][:limit]
        limit -= len(groups[key])
        kept.append(key)
    return kept


def _group(start: Minute, minutes: int, doctor_ids: list[str]) -> str:
    text = f'{_times(start, minutes)},"doctor_id":'
    return text + f"}},{text}".join(doctor_ids) + "}"


def _times(start: Minute, minutes: int) -> str:
    """The beginning of the JSON of one free time."""
    return f'{{"starts_at":"{iso_minute(start)}","ends_at":"{iso_minute(start + minutes)}"'


def _array(texts: Iterable[str]) -> bytes:
    return f"[{','.join(texts)}]".encode("ascii")

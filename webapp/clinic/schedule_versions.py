"""The state of the schedules that a transaction sees: one version for the clinic, and one for each doctor.

Database triggers give a doctor's schedule a new version whenever data changes that their free times depend on, and the
clinic a new one whenever data changes that concerns all doctors. A month that is over gets a new version when one of
its appointments changes, because reports count these. Neither a program nor a person at a database console can change
free times or reports without a new version, so what a process has computed for a version is valid as long as that
version is current.

SQLite's REPLACE deletes rows without firing triggers for deletions. Other triggers look for the row that stands under
the new row's id, and no appointment can be replaced by its reference or its link.

A version is a random number instead of a count, because after a rollback or a restored backup the same number must not
stand for other data. If a doctor or the clinic has no row, nothing has changed since versions were introduced; that
also counts as a version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.clinic.schedule_version_models import (
    CLINIC,
    OVER_FOR_DAYS,
    ScheduleVersion,
    postgresql_triggers,
    sqlite_triggers,
)
from webapp.database import BYTES_PER_WEIGHT, LEAST_WEIGHT, VersionCache, table_of
from webapp.engines import begin_with
from webapp.sql_functions import pairs_joined, split_pairs

T = TypeVar("T")

# A letter beyond Latin-1 makes Python store a text with two bytes for each character. Objects take about twice as many
# bytes as Python writes characters for them.
BYTES_PER_CHARACTER = 2
# A text with the objects that are made of it weighs this many times as much as the text.
OBJECTS_OF_TEXT = 3

_NEVER_CHANGED = 0
_VERSION = table_of(ScheduleVersion).c


def missing_triggers(session: Session) -> list[str]:
    """The names of the triggers that the database lacks: without them, free times that are kept may be out of date."""
    sqlite = session.connection().dialect.name == "sqlite"
    statements = "\n".join(sqlite_triggers() if sqlite else postgresql_triggers())
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if sqlite
        else "SELECT tgname FROM pg_trigger WHERE tgenabled = 'A'"
    )
    return sorted(
        set(re.findall(r"TRIGGER (\w+_schedule_version_on_\w+)", statements)) - set(session.scalars(sa.text(query)))
    )


@cache
def _all_versions(dialect: sa.Dialect) -> str:
    return str(sa.select(pairs_joined(_VERSION.doctor_id, _VERSION.version)).compile(dialect=dialect))


class _Numbers(NamedTuple):
    """The versions by doctor, and a digest of those of all doctors and the clinic, without those of months."""

    of_each: Mapping[int, int]
    of_all_doctors: bytes


def _numbers_in(text: str) -> _Numbers:
    numbers = dict(split_pairs(text))
    of_doctors = sorted(pair for pair in numbers.items() if pair[0] >= CLINIC)
    return _Numbers(numbers, hashlib.blake2b(repr(of_doctors).encode(), digest_size=16).digest())


class Versions:
    """The versions that one snapshot sees, and what this process has cached for them: values, and whole answers."""

    def __init__(self, numbers: _Numbers, cache: VersionCache, answers: VersionCache) -> None:
        self._versions, self._all_doctors = numbers
        self.cache = cache
        self.answers = answers
        self.of_clinic = self._versions.get(CLINIC, _NEVER_CHANGED)

    def of_doctor(self, doctor_id: int) -> tuple[int, int]:
        """The version of everything that a doctor's free times depend on, including the clinic's part."""
        return self.of_clinic, self._versions.get(doctor_id, _NEVER_CHANGED)

    def of_all_doctors(self) -> bytes:
        """The version of everything that any doctor's free times depend on.

        It is short however many doctors there are, because cached answers of thousands of states may keep one each.
        """
        return self._all_doctors

    def of_past(self, first: datetime | None, end: datetime) -> tuple[object, ...]:
        """The version of all appointments from `first` on, or of all, that began before `end`.

        `end` must be over for some time: see `is_over`.
        """
        low, high = 0 if first is None else _month_number(first), _month_number(end)
        of_months = ((number, version) for number, version in self._versions.items() if low <= -number <= high)
        # Truncating a table gives the clinic a new version.
        return self.of_clinic, *sorted(pair for pair in of_months if pair[0] != CLINIC)


def _month_number(instant: datetime) -> int:
    in_utc = instant.astimezone(UTC)
    return in_utc.year * 100 + in_utc.month


def is_over(instant: datetime, *, now: datetime) -> bool:
    """Whether triggers note each change of an appointment that began before an instant.

    There is a day between, because the clocks of servers and database differ.
    """
    return instant + timedelta(days=OVER_FOR_DAYS + 1) <= now


def versions_seen(session: Session) -> Versions | None:
    """The versions that this session's snapshot sees; the first call runs one query.

    None in a writing transaction. It sees data that may never be committed, so it neither reads nor fills the cache,
    and reads what it checks from the database.
    """
    cache: VersionCache | None = session.info.get("cache")
    if cache is None:
        return None
    transaction = session.get_transaction()
    snapshot, versions = session.info.get("versions", (None, None))
    if versions is None or snapshot is not transaction:
        text: str = begin_with(session, _all_versions(session.get_bind().dialect)) or ""
        numbers = cache.get("versions", text, lambda: _numbers_in(text))
        versions = Versions(numbers, cache, session.info["answers"])
        session.info["versions"] = session.get_transaction(), versions
    found: Versions = versions
    return found


def weight_of(size: int) -> int:
    """The weight of a value of `size` bytes in a `VersionCache`."""
    return LEAST_WEIGHT + size // BYTES_PER_WEIGHT


def weight_of_text(text: str) -> int:
    """The weight of a text, or of an object that Python writes as this text."""
    return weight_of(BYTES_PER_CHARACTER * len(text))


def cached_for_clinic(session: Session, key: Hashable, read: Callable[[], T]) -> T:
    """The result of `read`, cached until a table that concerns all doctors changes.

    Callers must not modify the value, because other requests share it.
    """
    versions = versions_seen(session)
    return read() if versions is None else versions.cache.get(key, versions.of_clinic, read, weigh=_weight_of_object)


def cached_for_doctor(session: Session, doctor_id: int, key: Hashable, read: Callable[[], T]) -> T:
    """The result of `read`, cached under this key until something that the doctor's schedule depends on changes.

    Callers must not modify the value, because other requests share it.
    """
    versions = versions_seen(session)
    if versions is None:
        return read()
    return versions.cache.get((key, doctor_id), versions.of_doctor(doctor_id), read, weigh=_weight_of_object)


def _weight_of_object(value: object) -> int:
    return weight_of_text(repr(value))


def cached_for_text(session: Session, key: Hashable, text: str, read: Callable[[str], T]) -> T:
    """The result of `read` for a text from the database, cached under this key until the text changes.

    Callers must not modify the value, because other requests share it.
    """
    versions = versions_seen(session)
    if versions is None:
        return read(text)
    weight = OBJECTS_OF_TEXT * weight_of_text(text)
    return versions.cache.get(key, text, lambda: read(text), weigh=lambda _objects: weight)


def cached_for_past(
    session: Session,
    key: Hashable,
    start: datetime | None,
    end: datetime,
    count: Callable[[], T],
    weigh: Callable[[T], int],
    *,
    now: datetime,
) -> T:
    """The cached count of appointments before `end`, from `start` on or from the beginning, if nothing has changed
    since. Callers must not modify the value, because other requests share it. `weigh` returns its weight for the
    cache: about the count of numbers in it.
    """
    versions = versions_seen(session)
    if versions is None or not is_over(end, now=now):
        return count()
    return versions.cache.get(key, versions.of_past(start, end), count, weigh=weigh)

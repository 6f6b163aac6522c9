"""Why a time is not offered, according to the rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.cast import NOW, Cast, assemble
from webapp.core.parsing import typed_instants
from webapp.event_handlers import wired_database
from webapp.exceptions import Invalid, NotFound
from webapp.scheduling.explain import Explanation, explain

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.fixture
def clinic(sqlite_url: str) -> Iterator[Cast]:
    """The cast on SQLite, because the texts do not depend on the kind of database."""
    database = wired_database(sqlite_url)
    yield assemble(database)
    database.dispose()


def why(clinic: Cast, time: str, visit_type: str | None = None, doctor: str = "bob") -> list[Explanation]:
    """Ask why on Monday 2 March."""
    with clinic.database.reading() as session:
        return explain(session, doctor, time, visit_type, now=NOW)


def codes(answer: Explanation) -> list[str]:
    """The codes of the rules that refuse."""
    return [code for code, _ in answer.refusals]


def test_a_free_time_has_no_refusals(clinic: Cast) -> None:
    [answer] = why(clinic, "2026-03-03T09:30")
    assert answer.refusals == []
    assert answer.title == "Dr. Bob Brown, Follow-up, Tuesday 3 March 2026, 09:30 CET:"


def test_every_rule_that_refuses_is_named(clinic: Cast) -> None:
    [answer] = why(clinic, "2026-03-02T08:50", "first visit")
    assert codes(answer) == ["off_grid", "too_soon", "clinic_closed", "outside_working_hours"]
    assert "at least 2 hours ahead" in dict(answer.refusals)["too_soon"]


def test_a_taken_time_is_reported_without_the_patient(clinic: Cast) -> None:
    clinic.book(clinic.alice, "2026-03-03 09:30")
    [answer] = why(clinic, "2026-03-03T09:30")
    assert codes(answer) == ["slot_taken"]
    assert "Alice" not in str(answer)


def test_a_visit_type_can_be_given_by_name_or_by_id(clinic: Cast) -> None:
    by_name, by_id = why(clinic, "2026-03-03T16:30", "FIRST VISIT"), why(clinic, "2026-03-03T16:30", str(clinic.long))
    assert by_name == by_id
    assert codes(why(clinic, "2026-03-03T09:30", "Operation")[0]) == ["visit_type_not_online"]
    assert codes(why(clinic, "2026-03-03T09:30", str(clinic.erins_only))[0]) == ["visit_type_not_offered"]


@pytest.mark.parametrize("name", ["Allergy test", "", "-1", "²", "9" * 30])
def test_an_unknown_visit_type_is_not_found(clinic: Cast, name: str) -> None:
    with pytest.raises(NotFound):
        why(clinic, "2026-03-03T09:30", name)


def test_an_unknown_doctor_is_not_found(clinic: Cast) -> None:
    with pytest.raises(NotFound):
        why(clinic, "2026-03-03T09:30", doctor="nobody")


def test_an_offset_names_the_instant(clinic: Cast) -> None:
    assert why(clinic, "2026-03-03T08:30Z") == why(clinic, "2026-03-03T09:30") == why(clinic, "2026-03-03T13:30+05:00")


def test_a_repeated_time_has_two_answers(clinic: Cast) -> None:
    answers = why(clinic, "2026-10-25T02:30")
    assert [answer.title.rpartition(", ")[2] for answer in answers] == ["02:30 CEST:", "02:30 CET:"]


def test_a_time_that_the_clocks_skip_is_explained(clinic: Cast) -> None:
    with pytest.raises(Invalid, match="the clocks skip it"):
        why(clinic, "2026-03-29T02:30")


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01T09:30", "2026-03-03T25:00", "09:30", "2026-02-29T10:00"])
def test_an_invalid_time_is_explained(text: str) -> None:
    with pytest.raises(Invalid, match="is not a time"):
        typed_instants(text, AMSTERDAM)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00", "0001-01-01T00:00+12:00", "9999-12-31T23:45", "9999-12-31T23:45-12:00"]
)
def test_a_time_at_the_edge_of_the_calendar_is_answered_in_words(clinic: Cast, text: str) -> None:
    with pytest.raises(Invalid):
        why(clinic, text)


def test_written_times_are_instants() -> None:
    assert typed_instants("2026-03-29T03:00", AMSTERDAM) == [datetime(2026, 3, 29, 1, tzinfo=UTC)]
    assert typed_instants("2026-10-25T03:00", AMSTERDAM) == [datetime(2026, 10, 25, 2, tzinfo=UTC)]
    assert typed_instants("2026-10-25T02:00", AMSTERDAM) == [
        datetime(2026, 10, 25, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
    ]

"""A short walk of the tool: cached answers are the answers without caches, and a forgotten version is noticed."""

from __future__ import annotations

import pytest

from bench.walk import Walk
from bench.walk_changes import Change, fill
from bench.walk_mutations import MUTATIONS, drop_trigger, read_mutated, triggers_of
from tests.cast import Cast
from webapp.clinic.schedule_versions import Versions


def test_answers_from_caches_are_those_of_a_process_without_caches(cast: Cast) -> None:
    fill(cast)
    walk = Walk(cast, seed=5)
    assert [str(each) for each in walk.run(6)] == []
    assert walk.asked > 50


def test_a_walk_notices_a_version_that_is_left_out(sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(sqlite_cast)
    monkeypatch.setattr(Versions, "of_doctor", lambda self, _doctor_id: (self.of_clinic, 0))
    walk = Walk(
        sqlite_cast, seed=1, only=Change("working_hours", "update"), among=lambda ask: "/calendar" in ask.address
    )
    assert next(walk.run(20), None) is not None


def test_a_walk_notices_a_trigger_that_is_missing(sqlite_cast: Cast) -> None:
    fill(sqlite_cast)
    triggers = {trigger.name: trigger for trigger in triggers_of(sqlite_cast)}
    assert len(triggers) > 50
    trigger = triggers["visit_types_schedule_version_on_update"]
    drop_trigger(sqlite_cast.database, trigger)
    walk = Walk(sqlite_cast, seed=1, only=trigger.change, among=lambda ask: "/calendar" in ask.address)
    assert next(walk.run(20), None) is not None


def test_each_mutation_changes_one_place_of_the_code() -> None:
    for mutation in MUTATIONS:
        assert read_mutated(mutation)

"""Many decisions at once: the change flags all appointments; small transactions then move and cancel them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.cast import Cast
from tests.visits import put
from webapp import models
from webapp.appointments.impact import decisions, schedule_impact
from webapp.appointments.impact.decisions import AppointmentsAffected, Course, Decision, Decisions, SomeLeft, finish
from webapp.integrity import find_problems

COUNT = 9
WHO = ({"patient": "alice", "doctor": "bob"}, {"patient": "dave", "doctor": "erin"})


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "AT_ONCE", 3)
    monkeypatch.setattr(decisions, "BATCH_SECONDS", 0)
    monkeypatch.setattr(decisions, "PAUSE_SECONDS", 0)


def close(session: Session) -> None:
    """The change: a closure on the day of the appointments."""
    session.add(models.Closure(name="Flood", starts_on=date(2026, 3, 4), ends_on=date(2026, 3, 4)))


def asked(cast: Cast, kind: str) -> dict[str, Decision]:
    """Nine appointments on that day, and the same decision about each: to move to what is proposed, or to cancel."""
    for number in range(COUNT):
        put(cast, f"2026-03-04 {9 + number // 2:02d}:00", **WHO[number % 2])
    with pytest.raises(AppointmentsAffected) as caught:
        cast.database.write(schedule_impact.carry_out, cast.carol, close, doctor_ids=None, now=cast.now)
    each: dict[str, dict[str, Any]] = {
        visit.reference: {"kind": kind, "version": visit.version, "starts_at": visit.proposal}
        for visit in caught.value.visits
    }
    return {reference: Decision.model_validate(values) for reference, values in each.items()}


def standing(cast: Cast) -> list[tuple[str, bool, bool]]:
    """The status of each appointment, whether it is still on that day, and whether it is flagged."""
    visit = models.Appointment
    with cast.database.reading() as session:
        found = session.execute(sa.select(visit.status, visit.starts_at, visit.flagged_why).order_by(visit.id)).all()
    return [(status, starts_at.date() == date(2026, 3, 4), bool(why)) for status, starts_at, why in found]


@pytest.mark.parametrize(("kind", "done"), [("move", ("scheduled", False)), ("cancel", ("cancelled", True))])
def test_many_are_moved_or_cancelled_after_the_change(cast: Cast, kind: str, done: tuple[str, bool]) -> None:
    chosen = Decisions(each=asked(cast, kind))
    schedule_impact.make_change(cast.database, cast.carol, close, doctor_ids=None, now=cast.now, decisions=chosen)
    assert standing(cast) == [(*done, False)] * COUNT
    assert list(find_problems(cast.database, now=cast.now)) == []


def test_until_they_are_moved_they_are_flagged(cast: Cast) -> None:
    """A process that ends in the middle leaves nothing undecided in silence."""
    course, chosen = Course(), Decisions(each=asked(cast, "move"))
    cast.database.write(
        schedule_impact.carry_out,
        cast.carol,
        close,
        doctor_ids=None,
        now=cast.now,
        decisions=chosen,
        course=course,
    )
    assert standing(cast) == [("scheduled", True, True)] * COUNT
    assert list(find_problems(cast.database, now=cast.now)) == []
    first, rest = Course(course.later[:4]), Course(course.later[4:])
    assert finish(cast.database, cast.carol, first, now=cast.now) == 0
    assert sorted(standing(cast)) == [("scheduled", False, False)] * 4 + [("scheduled", True, True)] * 5
    assert finish(cast.database, cast.carol, rest, now=cast.now) == 0
    assert standing(cast) == [("scheduled", False, False)] * COUNT


def test_what_cannot_be_moved_stays_flagged_and_is_reported(cast: Cast) -> None:
    each = asked(cast, "move")
    first, *_others, last = each
    # The last one is to move to the time of the first, who has the same doctor and patient.
    each[last] = each[last].model_copy(update={"starts_at": each[first].starts_at})
    with pytest.raises(SomeLeft, match="1 appointment couldn’t be moved or cancelled"):
        schedule_impact.make_change(
            cast.database, cast.carol, close, doctor_ids=None, now=cast.now, decisions=Decisions(each=each)
        )
    assert sorted(standing(cast)) == [("scheduled", False, False)] * (COUNT - 1) + [("scheduled", True, True)]
    assert list(find_problems(cast.database, now=cast.now)) == []


def test_a_few_are_moved_with_the_change_or_not_at_all(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "AT_ONCE", COUNT)
    each = asked(cast, "move")
    first, *_others, last = each
    each[last] = each[last].model_copy(update={"starts_at": each[first].starts_at})
    with pytest.raises(AppointmentsAffected):
        schedule_impact.make_change(
            cast.database, cast.carol, close, doctor_ids=None, now=cast.now, decisions=Decisions(each=each)
        )
    assert standing(cast) == [("scheduled", True, False)] * COUNT

"""Many decisions at once: the change flags all appointments; small transactions then move and cancel them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.appointment_rows import put
from tests.cast import Cast, local
from webapp import models
from webapp.appointments.impact import decisions, pending_decisions, schedule_impact
from webapp.appointments.impact.decisions import AppointmentsAffected
from webapp.appointments.impact.pending_decisions import _do_some, count_waiting, finish, forget_over, is_any_over
from webapp.appointments.impact.schedule_impact import Work
from webapp.appointments.impact.schemas import Decision, Decisions, ImpactResult
from webapp.appointments.messages import notification_lists
from webapp.integrity.problems import find_problems

COUNT = 9
WHO = ({"patient": "alice", "doctor": "bob"}, {"patient": "dave", "doctor": "erin"})


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "AT_ONCE", 3)
    monkeypatch.setattr(pending_decisions, "BATCH_SECONDS", 0)
    monkeypatch.setattr(pending_decisions, "PAUSE_SECONDS", 0)


def close(session: Session) -> None:
    """The change: a closure on the day of the appointments."""
    session.add(models.Closure(name="Flood", starts_on=date(2026, 3, 4), ends_on=date(2026, 3, 4)))


def asked(cast: Cast, kind: str) -> dict[str, Decision]:
    """Nine appointments on that day, and the same decision about each: to move to what is proposed, or to cancel."""
    for number in range(COUNT):
        put(cast, f"2026-03-04 {9 + number // 2:02d}:00", **WHO[number % 2])
    return all_of(cast, close, kind)


def all_of(cast: Cast, work: Work[object], kind: str) -> dict[str, Decision]:
    """The same decision about each appointment that a change affects."""
    with pytest.raises(AppointmentsAffected) as caught:
        cast.database.write(schedule_impact.carry_out, cast.carol, work, doctor_ids=None, now=cast.now)
    each: dict[str, dict[str, Any]] = {
        appointment.reference: {"kind": kind, "version": appointment.version, "starts_at": appointment.proposal}
        for appointment in caught.value.appointments
    }
    return {reference: Decision.model_validate(values) for reference, values in each.items()}


def states(cast: Cast) -> list[tuple[str, bool, bool]]:
    """The status of each appointment, whether it is still on that day, and whether it is flagged."""
    appointment = models.Appointment
    with cast.database.reading() as session:
        found = session.execute(
            sa.select(appointment.status, appointment.starts_at, appointment.flagged_why).order_by(appointment.id)
        ).all()
    return [(status, starts_at.date() == date(2026, 3, 4), bool(why)) for status, starts_at, why in found]


@pytest.mark.parametrize(("kind", "done"), [("move", ("scheduled", False)), ("cancel", ("cancelled", True))])
def test_many_are_moved_or_cancelled_after_the_change(cast: Cast, kind: str, done: tuple[str, bool]) -> None:
    chosen = Decisions(each=asked(cast, kind))
    schedule_impact.make_change(cast.database, cast.carol, close, doctor_ids=None, now=cast.now, decisions=chosen)
    assert states(cast) == [(*done, False)] * COUNT
    assert list(find_problems(cast.database, now=cast.now)) == []


def decide(cast: Cast, each: dict[str, Decision]) -> ImpactResult:
    """Make the change with these decisions, as a process does that ends before it carries them out."""
    impact = ImpactResult()
    cast.database.write(
        schedule_impact.carry_out,
        cast.carol,
        close,
        doctor_ids=None,
        now=cast.now,
        decisions=Decisions(each=each),
        impact=impact,
    )
    return impact


def waiting(cast: Cast) -> int:
    with cast.database.reading() as session:
        return count_waiting(session, cast.carol)


def test_until_they_are_moved_they_are_flagged_and_can_be_continued(cast: Cast) -> None:
    """After a process ended in the middle, every open appointment is still flagged, and no decision is lost."""
    assert decide(cast, asked(cast, "move")).later == COUNT
    assert states(cast) == [("scheduled", True, True)] * COUNT
    assert list(find_problems(cast.database, now=cast.now)) == []
    for _each in range(4):
        assert cast.database.write(_do_some, cast.carol, now=cast.now).done == 1
    assert sorted(states(cast)) == [("scheduled", False, False)] * 4 + [("scheduled", True, True)] * 5
    assert waiting(cast) == 5
    # A doctor continues their own appointments only.
    assert finish(cast.database, cast.bob, now=cast.now) == 0
    assert 0 < waiting(cast) < 5
    assert finish(cast.database, cast.carol, now=cast.now) == 0
    assert states(cast) == [("scheduled", False, False)] * COUNT
    assert waiting(cast) == 0


def test_a_decision_about_an_appointment_that_changed_meanwhile_is_dropped(cast: Cast) -> None:
    each = asked(cast, "cancel")
    decide(cast, each)
    kept = next(iter(each))
    cast.database.write(
        schedule_impact.settle_flag, cast.carol, kept, "She comes by boat.", each[kept].version + 1, now=cast.now
    )
    assert finish(cast.database, cast.carol, now=cast.now) == 1
    assert sorted(states(cast)) == [("cancelled", True, False)] * (COUNT - 1) + [("scheduled", True, False)]
    assert waiting(cast) == 0


def test_appointments_that_cannot_be_moved_stay_flagged_and_are_counted(cast: Cast) -> None:
    each = asked(cast, "move")
    first, *_others, last = each
    # The last one is to move to the time of the first, who has the same doctor and patient.
    each[last] = each[last].model_copy(update={"starts_at": each[first].starts_at})
    impact = ImpactResult()
    schedule_impact.make_change(
        cast.database, cast.carol, close, doctor_ids=None, now=cast.now, decisions=Decisions(each=each), impact=impact
    )
    assert impact.left == 1
    assert sorted(states(cast)) == [("scheduled", False, False)] * (COUNT - 1) + [("scheduled", True, True)]
    assert list(find_problems(cast.database, now=cast.now)) == []


def test_decisions_about_appointments_that_have_begun_are_deleted(cast: Cast) -> None:
    decide(cast, asked(cast, "cancel"))
    noon = local("2026-03-04 12:00")
    with cast.database.reading() as session:
        assert (is_any_over(session, cast.now), is_any_over(session, noon)) == (False, True)
    cast.database.write(forget_over, now=noon)
    assert waiting(cast) == 3
    assert states(cast) == [("scheduled", True, True)] * COUNT


def test_new_times_are_chosen_after_the_transaction(cast: Cast) -> None:
    """Choosing them for many appointments takes long, and other writers would wait."""
    put(cast, "2026-03-04 09:00")
    with pytest.raises(AppointmentsAffected) as caught:
        cast.database.write(schedule_impact.carry_out, cast.carol, close, doctor_ids=None, now=cast.now)
    assert "appointments" not in vars(caught.value)
    assert [appointment.proposal is not None for appointment in caught.value.appointments] == [True]


def test_a_few_are_moved_with_the_change_or_not_at_all(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "AT_ONCE", COUNT)
    each = asked(cast, "move")
    first, *_others, last = each
    each[last] = each[last].model_copy(update={"starts_at": each[first].starts_at})
    with pytest.raises(AppointmentsAffected):
        schedule_impact.make_change(
            cast.database, cast.carol, close, doctor_ids=None, now=cast.now, decisions=Decisions(each=each)
        )
    assert states(cast) == [("scheduled", True, False)] * COUNT


def test_time_off_has_a_list_of_who_was_told_for_each_day_whether_few_or_many_are_concerned(cast: Cast) -> None:
    def leave(day: int) -> Work[object]:
        span = {"starts_at": local(f"2026-03-0{day} 00:00"), "ends_at": local(f"2026-03-0{day + 1} 00:00")}
        return lambda session: session.add(models.TimeOff(doctor_id=cast.doctor_ids["bob"], **span))

    for day, hours in ((4, 4), (5, 1), (6, 1)):
        for number in range(hours):
            put(cast, f"2026-03-0{day} {9 + number:02d}:00")
        kind = "keep" if day == 6 else "cancel"
        decided = Decisions(each=all_of(cast, leave(day), kind), why="On a course")
        ids = [cast.doctor_ids["bob"]]
        schedule_impact.make_change(
            cast.database, cast.carol, leave(day), doctor_ids=ids, now=cast.now, decisions=decided
        )
    with cast.database.reading() as session:
        found = notification_lists.list_lists(session)
        lines = notification_lists.lines_of(session, cast.carol, [each.id for each in found])
    # Where all are kept, there is nothing to tell.
    assert [(str(each.day), each.words) for each in found] == [
        ("2026-03-05", "On a course"),
        ("2026-03-04", "On a course"),
    ]
    assert [[line.what for line in lines[each.id]] for each in found] == [["cancelled"], ["cancelled"] * 4]
    assert all(len(line.messages) == 1 for each in found for line in lines[each.id])


@pytest.mark.parametrize(("kind", "at_once"), [("closure", False), ("change", True)])
def test_a_closure_and_any_other_change_have_one_list_of_who_was_told(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, kind: str, at_once: bool
) -> None:
    def end_hours(session: Session) -> None:
        session.execute(sa.delete(models.WorkingHours).where(models.WorkingHours.start_minute < 12 * 60))

    monkeypatch.setattr(decisions, "AT_ONCE", COUNT if at_once else 3)
    work: Work[object] = close if kind == "closure" else end_hours
    for number in range(5):
        put(cast, f"2026-03-04 {9 + number // 2:02d}:00", **WHO[number % 2])
    each = all_of(cast, work, "cancel")
    kept = list(each)[-1]
    each[kept] = each[kept].model_copy(update={"kind": "keep"})
    decided = Decisions(each=each, why="Flood")
    cast.database.write(
        schedule_impact.carry_out,
        cast.carol,
        work,
        doctor_ids=None,
        now=cast.now,
        decisions=decided,
        impact=ImpactResult(),
    )

    def told() -> list[tuple[str, str, int | None, list[str]]]:
        with cast.database.reading() as session:
            found = notification_lists.list_lists(session)
            lines = notification_lists.lines_of(session, cast.carol, [of.id for of in found])
        assert all(line.messages for of in found for line in lines[of.id] if line.what != "kept")
        return [(of.kind, of.words, of.doctor_id, sorted(line.what for line in lines[of.id])) for of in found]

    # Appointments whose decisions are not carried out yet are kept, and flagged.
    assert told() == [(kind, "Flood", None, [*["cancelled" if at_once else "kept"] * 4, "kept"])]
    finish(cast.database, cast.carol, now=cast.now)
    assert told() == [(kind, "Flood", None, [*["cancelled"] * 4, "kept"])]

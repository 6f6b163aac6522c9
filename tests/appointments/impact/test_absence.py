"""A doctor is away for the rest of today: decisions about each remaining appointment, on both databases."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import Cast, local, log_in
from tests.reading import read
from webapp import models
from webapp.appointments.impact import absence
from webapp.appointments.impact.absence import AbsenceDecision, NotDecided, RemainingAppointment
from webapp.appointments.impact.alternative_times import Colleague
from webapp.auth.schemas import Actor
from webapp.doctors import service as doctors
from webapp.integrity.problems import find_problems

DAY = "2026-03-02"


@pytest.fixture
def morning(cast: Cast) -> Cast:
    """At 9:10 Bob has not come. Alice, of 9:00, is here; Dave comes at 9:30, and again with Bob at 15:00.

    Erin has patients from 9:00 to 10:00.
    """
    put(cast, f"{DAY} 09:00", status="arrived")
    put(cast, f"{DAY} 09:30", patient="dave")
    put(cast, f"{DAY} 15:00", patient="dave", status="confirmed")
    other = cast.add(models.Patient(name="Olive Other", created_at=cast.now))
    cast.patient_ids["olive"] = other
    put(cast, f"{DAY} 09:00", doctor="erin", patient="olive", minutes=60)
    cast.now = local(f"{DAY} 09:10")
    return cast


def left(cast: Cast, actor: Actor | None = None, day: str = DAY) -> list[RemainingAppointment]:
    """The remaining appointments of Bob's day."""
    with cast.database.reading() as session:
        bob = doctors.get_doctor(session, "bob")
    return absence.list_remaining(cast.database, actor or cast.fiona, bob, date.fromisoformat(day), now=cast.now)


def take_off(cast: Cast, chosen: dict[str, AbsenceDecision], day: str = DAY) -> absence.AbsenceResult:
    """Bob is away; the front desk decides this."""
    bob = cast.doctor_ids["bob"]
    when = date.fromisoformat(day)
    return cast.database.write(absence.take_off, cast.fiona, bob, when, chosen, "Bob is away", now=cast.now)


def rows(cast: Cast) -> list[tuple[object, ...]]:
    """The appointments that were Bob's, in the order in which they were made."""
    of = models.Appointment
    query = sa.select(of.status, of.doctor_id, of.starts_at, of.flagged_why).order_by(of.id).limit(3)
    with cast.database.reading() as session:
        return [tuple(row) for row in session.execute(query)]


def leaves(cast: Cast) -> list[tuple[object, ...]]:
    """All time off."""
    with cast.database.reading() as session:
        return [tuple(row) for row in session.execute(sa.select(models.TimeOff.starts_at, models.TimeOff.ends_at))]


def colleague(each: RemainingAppointment) -> AbsenceDecision:
    """This appointment goes to the colleague that is proposed."""
    assert each.colleague is not None
    return AbsenceDecision("colleague", each.version, each.colleague.starts_at, each.colleague.doctor_id)


def test_each_is_proposed_a_colleagues_time_that_is_not_before_its_own_and_a_later_day(morning: Cast) -> None:
    found = left(morning)
    erin = morning.doctor_ids["erin"]

    def at(time: str) -> Colleague:
        return Colleague(erin, "Dr. Erin Eze", local(f"{DAY} {time}"))

    assert [(each.patient_name, each.arrived, each.colleague) for each in found] == [
        ("Alice Adams", True, at("10:00")),
        ("Dave Dunn", False, at("10:30")),
        ("Dave Dunn", False, at("15:00")),
    ]
    assert all(each.later is not None and each.later >= local("2026-03-03 09:00") for each in found)
    assert [each.colleague for each in left(morning, morning.bob)] == [None] * 3


def test_all_decisions_are_made_together_and_a_patient_who_is_here_stays_arrived(morning: Cast) -> None:
    here, next_one, last = left(morning)
    assert last.later is not None
    later = AbsenceDecision("later", last.version, last.later)
    outcome = take_off(
        morning, {here.reference: colleague(here), next_one.reference: colleague(next_one), last.reference: later}
    )

    assert (outcome.colleague, outcome.later, outcome.cancel, outcome.keep) == (2, 1, 0, 0)
    bob, erin = morning.doctor_ids["bob"], morning.doctor_ids["erin"]
    assert rows(morning) == [
        ("arrived", erin, local(f"{DAY} 10:00"), ""),
        ("scheduled", erin, local(f"{DAY} 10:30"), ""),
        ("scheduled", bob, last.later, ""),
    ]
    assert leaves(morning) == [(local(f"{DAY} 09:10"), local("2026-03-03 00:00"))]
    assert left(morning) == []
    assert list(find_problems(morning.database, now=morning.now)) == []


def test_those_who_are_here_can_be_cancelled_moved_to_another_day_or_kept(morning: Cast) -> None:
    of = models.Appointment
    morning.change(sa.update(of).where(of.status == "arrived").values(arrived_at=morning.now))
    here, next_one, last = left(morning)
    assert here.later is not None
    take_off(
        morning,
        {
            here.reference: AbsenceDecision("later", here.version, here.later),
            next_one.reference: AbsenceDecision("cancel", next_one.version),
            last.reference: AbsenceDecision("keep", last.version),
        },
    )
    bob = morning.doctor_ids["bob"]
    assert rows(morning) == [
        ("scheduled", bob, here.later, ""),
        ("cancelled", bob, local(f"{DAY} 09:30"), ""),
        ("confirmed", bob, local(f"{DAY} 15:00"), "time_off:Bob is away"),
    ]
    with morning.database.reading() as session:
        assert session.scalars(sa.select(of.id).where(of.arrived_at.is_not(None))).all() == []


def test_nothing_happens_while_one_is_undecided_or_its_new_time_is_taken(morning: Cast) -> None:
    here, next_one, last = left(morning)
    cancel = {each.reference: AbsenceDecision("cancel", each.version) for each in (next_one, last)}
    before = rows(morning)
    with pytest.raises(NotDecided) as undecided:
        take_off(morning, cancel)
    put(morning, f"{DAY} 10:00", doctor="erin", patient="olive")
    with pytest.raises(NotDecided) as taken:
        take_off(morning, {**cancel, here.reference: colleague(here)})

    # The page says which one.
    assert undecided.value.problems == {here.reference: "The patient is here. Choose what happens."}
    assert list(taken.value.problems) == [here.reference]
    assert (rows(morning), leaves(morning)) == (before, [])


@pytest.mark.both_databases
def test_the_front_desk_decides_for_all_but_about_those_who_are_here_one_by_one(
    client: TestClient, morning: Cast
) -> None:
    address = "/desk/away/bob"
    log_in(client, "fiona")
    assert address in read(client.get("/board?doctor=bob")).links
    assert f"{address}?day=2026-03-03" in read(client.get("/board/2026-03-03?doctor=bob")).links
    asked = read(client.get(address))
    # Nothing is chosen for all yet.
    assert {each.one("option", value="").text for each in asked.all("select")} == {"Choose"}
    form = asked.form(address) | {"decide-all": "cancel"}
    refused = client.post(address, data=form)
    assert refused.status_code == 409
    page = read(refused)
    assert "1 appointment needs another decision" in page.text
    (here,) = [each for each in left(morning) if each.arrived]
    form = page.form(address) | {"decide-all": "cancel", f"decide-{here.reference}": "colleague"}
    answer = client.post(address, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk/told/1")
    assert [status for status, *_rest in rows(morning)] == ["arrived", "cancelled", "cancelled"]
    assert "1 appointment went to a colleague. 2 appointments were cancelled." in read(client.get("/board")).text


def test_a_later_day_is_taken_off_whole_and_nothing_is_proposed_on_it_by_the_same_doctor(morning: Cast) -> None:
    day = "2026-03-03"
    put(morning, f"{day} 10:00")
    put(morning, f"{day} 14:00", patient="dave")
    first, second = left(morning, day=day)
    assert first.colleague == Colleague(morning.doctor_ids["erin"], "Dr. Erin Eze", local(f"{day} 10:00"))
    assert [each.later is not None and each.later >= local("2026-03-04 09:00") for each in (first, second)] == [
        True
    ] * 2
    take_off(
        morning,
        {first.reference: colleague(first), second.reference: AbsenceDecision("cancel", second.version)},
        day,
    )
    assert leaves(morning) == [(local(f"{day} 00:00"), local("2026-03-04 00:00"))]
    assert left(morning, day=day) == []

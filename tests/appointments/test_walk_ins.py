"""Walk-ins: their order, taking them in through the rules and the guard, undo, and their end; and the desk's pages."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.appointment_rows import put
from tests.cast import Cast, client_for, local, log_in
from tests.reading import read
from webapp import models
from webapp.appointments import joining, separating, walk_ins
from webapp.appointments.booking import service, status_service
from webapp.appointments.exceptions import AlreadyWaiting, WalkInSettled
from webapp.appointments.reassigning import give_to_patient
from webapp.appointments.schemas import Booking, Cancellation, GiveToPatient, Move, UndoStatus
from webapp.appointments.walk_ins import Queue, WalkInView
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.event_handlers import wired_database
from webapp.exceptions import Forbidden
from webapp.integrity.problems import find_problems
from webapp.privacy import own_data, retention
from webapp.scheduling.exceptions import SlotTaken

MORNING = local("2026-03-03 09:20")
LATER = MORNING + timedelta(minutes=7)


def join(cast: Cast, patient: str, **queue: Any) -> int:
    """Let a patient wait."""
    return cast.database.write(walk_ins.join, cast.fiona, cast.patient_ids[patient], Queue(**queue), now=MORNING)


def listed(cast: Cast) -> list[WalkInView]:
    """Today's walk-ins."""
    with cast.database.reading() as session:
        return walk_ins.list_of_day(session, MORNING.date())


def booking(cast: Cast, start: str = "2026-03-03 09:30", squeeze_reason: str = "") -> Booking:
    """An appointment with Bob, of whom staff ask for one sooner than patients may."""
    why = {"override_reason": "Walk-in", "squeeze_reason": squeeze_reason}
    return Booking.model_validate({"doctor": "bob", "visit_type_id": cast.short, "starts_at": local(start), **why})


def row_of(cast: Cast, reference: str) -> models.Appointment:
    """The stored appointment."""
    with cast.database.reading() as session:
        return session.scalars(sa.select(models.Appointment).where(models.Appointment.reference == reference)).one()


def test_urgent_walk_ins_come_first_and_each_patient_waits_once(cast: Cast) -> None:
    join(cast, "alice", doctor="bob")
    with pytest.raises(AlreadyWaiting):
        join(cast, "alice", specialty="Dermatology")
    number = join(cast, "dave", urgent=True, note="Bleeds")
    assert [(view.patient_name, view.doctor_slug, view.urgent) for view in listed(cast)] == [
        ("Dave Dunn", "", True),
        ("Alice Adams", "bob", False),
    ]
    seen = fingerprint(listed(cast)[0].queue)
    cast.database.write(walk_ins.change, cast.fiona, number, Queue(doctor="erin"), seen=seen, now=LATER)
    assert [view.doctor_slug for view in listed(cast)] == ["bob", "erin"]
    # Another receptionist opened the form before that, and would bring the note back.
    with pytest.raises(EditedMeanwhile):
        cast.database.write(walk_ins.change, cast.carol, number, Queue(note="Bleeds"), seen=seen, now=LATER)
    with pytest.raises(Forbidden):
        cast.database.write(walk_ins.leave, cast.bob, number, now=LATER)


def test_one_is_taken_in_once_and_has_waited_since_they_came(cast: Cast) -> None:
    number = join(cast, "alice", doctor="bob", note="Fever")
    reference = cast.database.write(walk_ins.take_in, cast.fiona, number, booking(cast), now=LATER)
    row = row_of(cast, reference)
    assert (row.status, row.arrived_at, row.desk_note, row.lane) == ("arrived", MORNING, "Fever", 0)
    with pytest.raises(WalkInSettled):
        cast.database.write(walk_ins.take_in, cast.fiona, number, booking(cast, "2026-03-03 10:00"), now=LATER)
    (view,) = listed(cast)
    assert (view.status, view.reference) == ("taken", reference)
    cast.database.write(walk_ins.undo, cast.fiona, number, now=LATER)
    assert row_of(cast, reference).status == "cancelled"
    assert listed(cast)[0].status == "waiting"


def test_a_patient_at_the_desk_gets_messages_only_about_another_time(cast: Cast) -> None:
    number = join(cast, "alice", doctor="bob")
    for start, written in (("09:30", []), ("14:00", ["visit_booked", "visit_cancelled"])):
        cast.database.write(walk_ins.take_in, cast.fiona, number, booking(cast, f"2026-03-03 {start}"), now=LATER)
        cast.database.write(walk_ins.undo, cast.fiona, number, now=LATER)
        with cast.database.reading() as session:
            assert set(session.scalars(sa.select(models.OutboxMessage.template))) == set(written)


def test_a_walk_in_with_an_appointment_that_moved_to_another_day_is_not_undone(cast: Cast) -> None:
    number = join(cast, "alice", doctor="bob")
    reference = cast.database.write(walk_ins.take_in, cast.fiona, number, booking(cast), now=LATER)
    cast.database.write(status_service.undo, cast.fiona, reference, UndoStatus(), now=LATER)
    move = Move(starts_at=local("2026-03-05 10:00"))
    cast.database.write(service.move, cast.fiona, reference, move, now=LATER)
    answer = log_in(client_for(cast.database, now=LATER), "fiona").post(f"/desk/walk-ins/{number}/undo")
    assert answer.status_code == 409
    assert "moved to Thursday 5 March at 10:00" in read(answer).text
    assert f"/appointments/{reference}" in read(answer).links
    assert row_of(cast, reference).status == "scheduled"
    cast.database.write(service.cancel, cast.fiona, reference, Cancellation(), now=LATER)
    cast.database.write(walk_ins.undo, cast.fiona, number, now=LATER)

    # An appointment that was booked for another day from the start is given up.
    reference = cast.database.write(walk_ins.take_in, cast.fiona, number, booking(cast, "2026-03-05 11:00"), now=LATER)
    cast.database.write(walk_ins.undo, cast.fiona, number, now=LATER)
    assert row_of(cast, reference).status == "cancelled"


def test_a_walk_in_who_was_taken_in_is_the_patient_of_the_appointment(cast: Cast) -> None:
    number = join(cast, "alice", doctor="bob")
    reference = cast.database.write(walk_ins.take_in, cast.fiona, number, booking(cast), now=LATER)
    right = GiveToPatient(patient_id=cast.patient_ids["dave"])
    cast.database.write(give_to_patient, cast.fiona, reference, right, now=LATER)
    assert listed(cast)[0].patient_name == "Dave Dunn"
    with cast.database.reading() as session:
        # Dave is at the desk: a mail that says when to come would arrive while he is with the doctor.
        assert session.scalars(sa.select(models.OutboxMessage.template)).all() == []
    cast.database.write(walk_ins.undo, cast.fiona, number, now=LATER)
    assert [(view.patient_name, view.status) for view in listed(cast)] == [("Dave Dunn", "waiting")]

    # One who waits while two records are joined, and is taken in then, stays with what was booked.
    twin = cast.add(models.Patient(name="Dave Dunn", created_at=MORNING))
    stays = cast.database.write(joining.join_records, cast.carol, cast.patient_ids["dave"], twin, now=LATER)
    reference = cast.database.write(walk_ins.take_in, cast.fiona, number, booking(cast), now=LATER)
    with cast.database.reading() as session:
        (join_id,) = (each.id for each in separating.list_joins(session, stays, now=LATER))
    cast.database.write(separating.separate_records, cast.carol, stays, join_id, now=LATER)
    assert row_of(cast, reference).patient_id == listed(cast)[0].patient_id == stays


def test_of_receptionists_at_one_instant_one_takes_a_walk_in_in(cast: Cast) -> None:
    """Each of them with another doctor's or another time, so that only the walk-in itself is in the way."""
    number = join(cast, "alice")
    wanted = [booking(cast), booking(cast, "2026-03-03 10:00"), booking(cast, "2026-03-03 11:00")]
    erins = {"doctor": "erin", "visit_type_id": cast.long, "starts_at": local("2026-03-03 13:00")}
    wanted.append(wanted[0].model_copy(update=erins))
    together = Barrier(len(wanted))

    def receptionist(command: Booking) -> str:
        # Each has its own connection, as two processes do.
        database = wired_database(cast.url)
        try:
            together.wait()
            return database.write(walk_ins.take_in, cast.fiona, number, command, now=LATER)
        except WalkInSettled as told:
            return told.code
        finally:
            database.dispose()

    with ThreadPoolExecutor(len(wanted)) as receptionists:
        answers = Counter(receptionists.map(receptionist, wanted))
    assert answers.pop(WalkInSettled.code) == len(wanted) - 1
    (view,) = listed(cast)
    assert (view.status, [view.reference]) == ("taken", [*answers])
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(models.Appointment)) == 1
    assert list(find_problems(cast.database, now=LATER)) == []


def test_a_taken_time_needs_a_squeeze_in_and_a_refusal_leaves_the_patient_waiting(cast: Cast) -> None:
    put(cast, "2026-03-03 09:30", patient="dave")
    number = join(cast, "alice", doctor="bob")
    with pytest.raises(SlotTaken):
        cast.database.write(walk_ins.take_in, cast.fiona, number, booking(cast), now=LATER)
    assert listed(cast)[0].status == "waiting"
    cast.change(sa.update(models.Doctor).where(models.Doctor.slug == "bob").values(squeeze_ins=1))
    squeezed = booking(cast, squeeze_reason="Bleeds")
    reference = cast.database.write(walk_ins.take_in, cast.fiona, number, squeezed, now=LATER)
    assert row_of(cast, reference).lane == 1


def test_a_patient_who_left_can_come_back(cast: Cast) -> None:
    number = join(cast, "alice")
    for _twice in range(2):
        cast.database.write(walk_ins.leave, cast.fiona, number, now=LATER)
    with pytest.raises(WalkInSettled):
        cast.database.write(walk_ins.change, cast.fiona, number, Queue(), seen="", now=LATER)
    join(cast, "alice")
    with pytest.raises(AlreadyWaiting):
        cast.database.write(walk_ins.undo, cast.fiona, number, now=LATER)


def test_walk_ins_follow_their_record_and_end(cast: Cast) -> None:
    twin = cast.add(models.Patient(name="Alice Adams", created_at=MORNING))
    number = join(cast, "alice", note="Fever")
    dave = cast.patient_ids["dave"]
    join(cast, "dave")
    stays = cast.database.write(joining.join_records, cast.carol, cast.patient_ids["alice"], twin, now=LATER)

    def owner(session: Session) -> int:
        return session.scalars(sa.select(models.WalkIn.patient_id).where(models.WalkIn.id == number)).one()

    with cast.database.reading() as session:
        assert owner(session) == stays
        copy = dict(own_data.read_sections(session, own_data.find_subject(session, stays)))
        assert [(row["note"], row["status"]) for row in copy["walk_ins"]] == [("Fever", "waiting")]
        (join_id,) = (each.id for each in separating.list_joins(session, stays, now=LATER))
    gone = cast.database.write(separating.separate_records, cast.carol, stays, join_id, now=LATER)
    with cast.database.reading() as session:
        assert owner(session) == gone
    assert {view.patient_id for view in listed(cast)} == {gone, dave}
    cast.change(sa.update(models.Patient).where(models.Patient.id == dave).values(closed_at=LATER))
    assert {view.patient_id for view in listed(cast)} == {gone}
    retention.run(cast.database, now=MORNING + timedelta(days=32))
    assert listed(cast) == []


def test_the_desk_adds_takes_in_and_undoes_without_a_script(sqlite_cast: Cast) -> None:
    cast = sqlite_cast
    with client_for(cast.database, now=MORNING) as client:
        log_in(client, "fiona")
        page = read(client.get("/desk/booking?walk_in=new"))
        # For a patient at the desk, the page shows the first day with a free time; other days can be requested.
        assert [bool(page.all("h3", id=f"day-{number}")) for number in (1, 2)] == [True, False]
        assert read(client.get("/desk/booking?walk_in=new&from=2026-03-03")).one("h3", id="day-2")
        assert page.one("details", id="queue").attributes.get("open") is not None
        new = {"name": "Nina New", "doctor": "bob", "urgent": "y", "queue": "1"}
        assert client.post("/desk/booking", data={**new, "name": ""}).status_code == 422
        # What was typed before the session ended is shown, and not carried out.
        assert client.post("/desk/booking", data={**new, "unsent": "1"}).status_code == 200
        assert listed(cast) == []
        assert client.post("/desk/booking", data=new).headers["location"] == "/board"
        board = read(client.get("/board"))
        strip = board.one("section", id="walk-ins")
        assert "Nina New" in strip.text
        assert "Urgent" in strip.text
        booked = read(client.get(strip.one("a", class_="button").attributes["href"]))
        assert "Take in Nina New" in booked.text
        # The reason for a time that patients cannot book is known: they came.
        assert booked.one("input", id="override_reason").attributes["value"] == "Walk-in"
        assert not booked.all("small", class_="soon")
        form = {
            each.attributes["name"]: each.attributes.get("value", "") for each in booked.all("input", type="hidden")
        }
        time = booked.one("section", class_="slip").one("button", name="time").attributes["value"]
        data = {**form, "doctor": "bob", "time": time, "override_reason": "Walk-in"}
        answer = client.post("/desk/booking", data=data)
        assert answer.headers["location"].startswith("/board/2026-03-03/appointments/")
        assert "taken in at" in read(client.get("/board")).one("section", id="walk-ins").text
        (view,) = listed(cast)
        assert client.post(f"/desk/walk-ins/{view.id}/undo").headers["location"] == "/board"
        queue = f"/desk/walk-ins/{view.id}"
        sent = {**read(client.get(queue)).form(queue), "doctor": "erin"}
        assert client.post(queue, data=sent).headers["location"] == "/board"
        assert "Nina New is waiting for Dr. Erin" in read(client.get("/board")).text
        late = client.post(queue, data={**sent, "doctor": "bob", "note": "Fever"})
        assert (late.status_code, "Someone else changed this" in read(late).text) == (409, True)
        assert client.post(f"/desk/walk-ins/{view.id}/leave").headers["location"] == "/board"
        assert "left at" in read(client.get("/board")).one("section", id="walk-ins").text
        assert not read(client.get("/board/2026-03-04")).all("section", id="walk-ins")


def test_walk_ins_of_a_doctor_who_is_away_are_on_the_list_and_go_to_a_colleague(sqlite_cast: Cast) -> None:
    cast = sqlite_cast
    number = join(cast, "dave", doctor="bob")
    put(cast, "2026-03-03 11:00")
    with client_for(cast.database, now=MORNING) as client:
        log_in(client, "fiona")
        page = read(client.get("/desk/away/bob"))
        assert f"/desk/walk-ins/{number}" in page.links
        data = {"why": "Ill", "decide-all": "cancel", "listed": page.one("input", name="listed").attributes["value"]}
        told = client.post("/desk/away/bob", data=data).headers["location"]
        assert f"/desk/walk-ins/{number}" in read(client.get(told)).links
        strip = read(client.get("/board")).one("section", id="walk-ins")
        assert "(away)" in strip.text
        take_in = strip.one("a", class_="button").attributes["href"]
        assert "starts_at" not in take_in
        assert "Needs a reason" not in read(client.get(take_in)).text
        seen = read(client.get(f"/desk/walk-ins/{number}")).one("input", name="seen").attributes["value"]
        client.post(f"/desk/walk-ins/{number}", data={"doctor": "erin", "seen": seen})
        assert f"/desk/walk-ins/{number}" not in read(client.get(told)).links
        assert "(away)" not in read(client.get("/board")).one("section", id="walk-ins").text

"""Notification lists: who was told of a change, and how, and who needs a call; on both databases."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, Cast, local, log_in
from tests.reading import HTMX, read
from webapp import models
from webapp.appointments import calls, reassigning
from webapp.appointments.booking import service, status_service
from webapp.appointments.impact import absence
from webapp.appointments.impact.absence import AbsenceDecision
from webapp.appointments.messages import notification_lists
from webapp.appointments.messages.notification_lines import NotificationLineView
from webapp.appointments.schemas import Cancellation, GiveToPatient, UndoStatus
from webapp.auth.schemas import Actor
from webapp.doctors import service as doctors
from webapp.exceptions import NotFound
from webapp.live.feed import version_seen
from webapp.privacy import erasure, retention

DAY = "2026-03-02"


@pytest.fixture
def away(cast: Cast) -> Cast:
    """Bob is away from 9:10 on. Alice, of 9:00, is here, and is cancelled; so is Olive at 10:00, who has only a
    telephone at home. Dave's 11:00 is kept, and his 14:00 and 16:00 are cancelled.
    """
    cast.patient_ids["olive"] = cast.add(models.Patient(name="Olive Other", phone="+31205550101", created_at=cast.now))
    put(cast, f"{DAY} 09:00", status="arrived")
    put(cast, f"{DAY} 10:00", patient="olive")
    for hour in (11, 14, 16):
        put(cast, f"{DAY} {hour}:00", patient="dave")
    cast.now = local(f"{DAY} 09:10")
    with cast.database.reading() as session:
        bob = doctors.get_doctor(session, "bob")
    left = absence.list_remaining(cast.database, cast.fiona, bob, date.fromisoformat(DAY), now=cast.now)
    chosen = {each.reference: AbsenceDecision("cancel", each.version) for each in left}
    kept = next(each for each in left if each.starts_at == local(f"{DAY} 11:00"))
    chosen[kept.reference] = AbsenceDecision("keep", kept.version)
    day = date.fromisoformat(DAY)
    cast.database.write(absence.take_off, cast.fiona, bob.id, day, chosen, "Bob is away", now=cast.now)
    return cast


def lines(cast: Cast, actor: Actor | None = None) -> list[NotificationLineView]:
    """The lines of the first list, in order of time."""
    with cast.database.reading() as session:
        return notification_lists.lines_of(session, actor or cast.fiona, [1])[1]


def open_calls(cast: Cast) -> int:
    with cast.database.reading() as session:
        return notification_lists.count_open_calls(session, cast.fiona, [1])[1]


def version(cast: Cast) -> str:
    """What an open page compares."""
    with cast.database.reading() as session:
        return version_seen(session)


def test_a_call_is_needed_where_the_patient_is_here_or_no_message_reaches_them_in_time(away: Cast) -> None:
    assert [(each.patient_name, each.what, each.why, len(each.messages)) for each in lines(away)] == [
        ("Alice Adams", "cancelled", "here", 0),
        ("Olive Other", "cancelled", "no_address", 0),
        ("Dave Dunn", "kept", "", 0),
        ("Dave Dunn", "cancelled", "", 1),
        ("Dave Dunn", "cancelled", "", 1),
    ]
    messages = models.OutboxMessage
    away.change(sa.update(messages).where(messages.id == lines(away)[3].messages[0].id).values(status="dead"))
    away.change(sa.delete(messages).where(messages.id == lines(away)[4].messages[0].id))
    assert [each.why for each in lines(away)[3:]] == ["failed", "failed"]


def test_an_email_about_an_appointment_that_begins_soon_is_not_enough_but_a_text_is(away: Cast) -> None:
    line, message = models.NotificationLine, models.OutboxMessage
    soon = sa.update(line).where(line.was_at == local(f"{DAY} 14:00"))
    away.change(soon.values(was_at=local(f"{DAY} 11:00"), starts_at=local(f"{DAY} 11:00")))
    told = next(each for each in lines(away) if each.messages)
    assert told.why == "soon"
    away.change(sa.update(message).where(message.id == told.messages[0].id).values(channel="sms"))
    assert next(each for each in lines(away) if each.messages).why == ""


def test_a_tick_counts_from_when_the_list_was_made_and_can_be_undone(away: Cast) -> None:
    olive = lines(away)[1].reference
    # She was called about the same appointment this morning, before Bob was away.
    with away.database.reading() as session:
        made_at = notification_lists.get_list(session, away.fiona, 1).made_at
    away.database.write(calls.tick, away.fiona, olive, now=made_at - timedelta(hours=1))
    assert open_calls(away) == 2
    away.now += timedelta(minutes=5)
    before = version(away)
    away.database.write(calls.tick, away.fiona, olive, since=made_at, now=away.now)
    # Open boards hear of it.
    assert version(away) != before
    assert (lines(away)[1].called_at, lines(away)[1].called_by) == (away.now, "Fiona Fox")
    assert open_calls(away) == 1
    before = version(away)
    away.database.write(calls.untick, away.fiona, olive, now=away.now)
    assert open_calls(away) == 2
    assert version(away) != before


def test_an_undone_change_asks_for_a_call_only_if_the_patient_was_told(away: Cast) -> None:
    olive, mailed = lines(away)[1], lines(away)[3]
    away.now += timedelta(minutes=5)
    away.database.write(status_service.undo, away.fiona, olive.reference, UndoStatus(), now=away.now)
    # She was not called, and comes as booked.
    assert [(each.undone, each.why) for each in lines(away)[:2]] == [(False, "here"), (True, "")]
    assert open_calls(away) == 1

    def redo(minutes: int, reference: str) -> NotificationLineView:
        away.now += timedelta(minutes=minutes)
        away.database.write(status_service.undo, away.fiona, reference, UndoStatus(), now=away.now)
        return next(each for each in lines(away) if each.reference == reference)

    away.database.write(service.cancel, away.fiona, olive.reference, Cancellation(), now=away.now)
    assert open_calls(away) == 2
    away.database.write(calls.tick, away.fiona, olive.reference, since=olive.counts_from, now=away.now)
    assert open_calls(away) == 1
    back = redo(5, olive.reference)
    assert (back.why, back.is_open) == ("undone", True)
    away.database.write(calls.tick, away.fiona, olive.reference, since=back.counts_from, now=away.now)
    assert (lines(away)[1].why, lines(away)[1].is_open) == ("undone", False)
    away.database.write(calls.untick, away.fiona, olive.reference, now=away.now)
    assert open_calls(away) == 2

    # A message told Dave of both, unless the second one is not delivered.
    assert redo(1, mailed.reference).why == ""
    second = models.OutboxMessage.template == "visit_restored"
    away.change(sa.update(models.OutboxMessage).where(second).values(status="dead"))
    assert lines(away)[3].why == "undone"
    # Patients know of their own changes.
    event = {"actor_user_id": away.dave.user_id, "actor_role": "patient", "action": "moved", "at": away.now}
    away.add(models.AuditEvent(subject_type="appointment", subject_id=mailed.id, **event))
    assert lines(away)[3].why == ""


def test_doctors_see_lists_about_their_own_days_and_only_their_own_appointments(away: Cast) -> None:
    of = models.Appointment
    away.change(
        sa.update(of).where(of.patient_id == away.patient_ids["olive"]).values(doctor_id=away.doctor_ids["erin"])
    )
    assert [each.patient_name for each in lines(away, away.bob)].count("Olive Other") == 0
    with away.database.reading() as session:
        assert notification_lists.get_list(session, away.bob, 1).doctor_slug == "bob"
        for actor, number in ((away.erin, 1), (away.fiona, 2)):
            with pytest.raises(NotFound):
                notification_lists.get_list(session, actor, number)


def test_lists_end_after_30_days_and_what_they_say_of_a_person_with_the_person(away: Cast) -> None:
    assert retention.run(away.database, now=away.now + timedelta(days=29)).get("told_lists") is None
    kept = next(each for each in lines(away) if each.what == "kept")
    right = GiveToPatient(patient_id=away.patient_ids["alice"])
    away.database.write(reassigning.give_to_patient, away.fiona, kept.reference, right, now=away.now)
    assert [each.what for each in lines(away)] == ["cancelled"] * 4
    for name in ("olive", "dave"):
        away.database.write(erasure.forget_patient, away.carol, away.patient_ids[name], now=away.now)
    assert [each.patient_name for each in lines(away)] == ["Alice Adams"]
    assert retention.run(away.database, now=away.now + timedelta(days=31))["told_lists"] == 1
    with away.database.reading() as session:
        assert session.scalars(sa.select(models.NotificationLine.appointment_id)).all() == []


def test_the_boards_column_leads_to_the_calls_until_all_are_made(client: TestClient, away: Cast) -> None:
    # The client's clock is stopped at 8:00.
    away.change(sa.update(models.NotificationList).values(made_at=NOW))
    log_in(client, "fiona")
    assert "2 calls to make" in read(client.get(f"/board/{DAY}")).text
    address = "/desk/told/1"
    assert address in read(client.get(f"/board/{DAY}?doctor=bob")).links
    page = read(client.get(address))
    assert "0 of 2 calls made" in page.text
    assert {"tel:+31205550101", "/desk/told"} & set(page.links) == {"tel:+31205550101"}
    for line in (line for line in lines(away) if line.why):
        answer = client.post(f"{address}/{line.reference}")
        assert answer.headers["location"] == f"{address}#call-{line.reference}"
    assert "2 of 2 calls made" in read(client.get(address)).text
    assert address not in read(client.get(f"/board/{DAY}")).links
    lists = read(client.get("/desk/told"))
    assert address in lists.links
    # It is a part of the board.
    assert lists.one("a", aria_current="page").attributes["href"] == "/board"


def test_a_message_that_fails_makes_a_call_on_open_boards_that_ask_again(client: TestClient, away: Cast) -> None:
    away.change(sa.update(models.NotificationList).values(made_at=NOW))
    log_in(client, "fiona")
    again = {**HTMX, "docket-live": "1"}
    # The second answer is cached.
    assert all("2 calls to make" in client.get(f"/board/{DAY}", headers=again).text for _ in range(2))
    of = models.OutboxMessage
    away.change(sa.update(of).where(of.id == lines(away)[-1].messages[0].id).values(status="dead"))
    assert "3 calls to make" in client.get(f"/board/{DAY}", headers=again).text


@pytest.mark.both_databases
def test_the_board_of_a_day_that_was_closed_or_changed_leads_to_its_calls(client: TestClient, away: Cast) -> None:
    away.change(sa.update(models.NotificationList).values(kind="closure", doctor_id=None, day=None, made_at=NOW))
    log_in(client, "fiona")
    assert "moved or cancelled. 2 calls to make" in read(client.get(f"/board/{DAY}")).text
    assert "/desk/told/1" not in read(client.get("/board/2026-03-03")).links
    away.add(models.Closure(name="Flood", starts_on=date(2026, 3, 2), ends_on=date(2026, 3, 2)))
    first = next(line for line in lines(away) if line.why)
    with away.database.reading() as session:
        before = version_seen(session)
    away.database.write(calls.tick, away.fiona, first.reference, now=away.now)
    page = read(client.get(f"/board/{DAY}"))
    assert "Closed: Flood. 1 call to make" in page.text
    assert "/desk/told/1" in page.links
    with away.database.reading() as session:
        # Open boards hear of the tick.
        assert version_seen(session) != before

"""Messages about appointments: their recipients, their texts, and what they leave out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.cast import NOW, Cast, local
from webapp import models
from webapp.appointments.booking import service, status_service
from webapp.appointments.impact import schedule_impact
from webapp.appointments.impact.schemas import Decision, Decisions
from webapp.appointments.schemas import Booking, Cancellation, ChangeStatus, Move, UndoStatus
from webapp.auth.schemas import Actor
from webapp.notifications.models import OutboxMessage
from webapp.notifications.rendering import Rendered, render
from webapp.scheduling.exceptions import SlotTaken

KEYS = ["made-for-tests-0123456789-abcdefghijklmnop"]
SECRETS = ("a rash", "since the summer", "a private word", "Follow-up", "Dermatology", "General practice")


def outbox(cast: Cast, template: str = "") -> list[Any]:
    """The messages that were written, in order, of one template or all."""
    table = OutboxMessage.__table__
    query = sa.select(table).order_by(table.c.id)
    with cast.database.reading() as session:
        found = session.execute(query.where(table.c.template == template) if template else query).all()
    return list(found)


def written(message: Any) -> Rendered:
    """A message as it would be sent."""
    return render(
        message.template,
        message.channel,
        message.recipient,
        message.values,
        base_url="https://docket.test",
        keys=KEYS,
        sender="clinic@docket.test",
    )


def add_child(cast: Cast, **values: Any) -> int:
    """Mia, for whom Alice books."""
    mia = models.Patient(name="Mia Adams", managed_by_id=cast.patient_ids["alice"], created_at=NOW, **values)
    return cast.add(mia)


def book_with_words(cast: Cast, actor: Actor, start: str, **values: Any) -> str:
    """Book an appointment with texts that must stay private."""
    command = Booking(
        doctor="bob",
        visit_type_id=cast.short,
        starts_at=local(start),
        reason="a rash",
        notes="since the summer",
        **values,
    )
    return cast.database.write(service.book, actor, command, now=cast.now)


def test_each_event_sends_the_patient_one_message_that_names_the_actor(cast: Cast) -> None:
    reference = book_with_words(cast, cast.alice, "2026-03-05 09:30")
    move = Move(starts_at=local("2026-03-06 10:00"))
    cast.database.write(service.move, cast.bob, reference, move, now=cast.now)
    cast.database.write(service.cancel, cast.carol, reference, Cancellation(reason="a private word"), now=cast.now)
    cast.database.write(status_service.undo, cast.carol, reference, UndoStatus(), now=cast.now)
    cast.database.write(status_service.change_status, cast.bob, reference, ChangeStatus(status="confirmed"), now=NOW)
    told = outbox(cast)
    assert [(each.template, each.values["by"]) for each in told] == [
        ("visit_booked", "you"),
        ("visit_moved", "clinic"),
        ("visit_cancelled", "clinic"),
        ("visit_restored", "clinic"),
    ]
    assert {each.recipient for each in told} == {"alice@docket.example"}
    assert [written(each).method for each in told] == ["REQUEST", "REQUEST", "CANCEL", "REQUEST"]
    moved = written(told[1])
    assert "Old time: Thursday 5 March 2026, 09:30\n" in moved.text
    assert "New time: Friday 6 March 2026, 10:00" in moved.text
    for each in told:
        for said in (*written(each), str(each.values)):
            assert not [word for word in SECRETS if word in said]


def test_the_visit_type_and_how_to_prepare_are_named_only_where_the_clinic_allows_it(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-05 09:30", visit_type=cast.long)
    cast.change(sa.update(models.VisitType).values(named_in_messages=True))
    cast.book(cast.dave, "2026-03-05 10:30", visit_type=cast.long)
    hidden, named = outbox(cast)
    assert "First visit" not in str(hidden.values)
    assert "medicines" not in str(hidden.values)
    assert "The appointment page explains how." in written(hidden).text
    for said in written(named)[2:4]:
        assert "First visit" in said
        assert "Bring your medicines.\nCome early." in said
    assert "First visit" in written(named).calendar


def test_messages_about_a_childs_appointment_go_to_the_parent_and_name_the_child(cast: Cast) -> None:
    cast.change(sa.update(models.User).values(email_confirmed_at=NOW))
    child = add_child(cast, email="alice@docket.example")
    book_with_words(cast, cast.alice, "2026-03-05 09:30", patient_id=child)
    (message,) = outbox(cast)
    assert message.recipient == "alice@docket.example"
    assert written(message).subject == "Mia Adams’s appointment is booked: Thursday 5 March, 09:30"
    cast.change(sa.update(models.Patient).where(models.Patient.id == child).values(email="mia@docket.example"))
    book_with_words(cast, cast.carol, "2026-03-06 09:30", patient_id=child)
    both = {each.recipient: written(each) for each in outbox(cast)[1:]}
    assert both["alice@docket.example"].subject.startswith("Mia Adams’s appointment")
    assert both["mia@docket.example"].subject.startswith("Your appointment")
    assert "The clinic booked it." in both["mia@docket.example"].text


def test_patients_cannot_send_their_own_text_to_strangers(cast: Cast) -> None:
    # The owner of this address and number is not known, so the number gets nothing.
    cast.change(sa.update(models.User).values(email_confirmed_at=None))
    cast.change(sa.update(models.Patient).values(wants_sms=True, phone="+31612345678"))
    child = add_child(cast)
    cast.change(sa.update(models.Patient).where(models.Patient.id == child).values(name="Win at www.evil.example now"))
    book_with_words(cast, cast.alice, "2026-03-05 09:30", patient_id=child)
    confirmed = sa.update(models.User).where(models.User.id == cast.alice.user_id).values(email_confirmed_at=NOW)
    cast.change(confirmed)
    book_with_words(cast, cast.alice, "2026-03-06 09:30", patient_id=child)
    told = {(each.values["visit"]["starts_at"][:10], each.channel): each for each in outbox(cast)}
    assert {key: "evil" in str((*written(each), each.values)) for key, each in told.items()} == {
        ("2026-03-05", "email"): False,
        ("2026-03-06", "email"): True,
        ("2026-03-06", "sms"): False,
    }
    assert written(told["2026-03-05", "email"]).subject.startswith("W.A.W.N.’s appointment is booked")


def test_patients_without_mail_get_text_messages_in_the_morning(cast: Cast) -> None:
    preferences = {"wants_email": False, "wants_sms": True, "phone": "+31612345678"}
    cast.change(sa.update(models.Patient).values(**preferences))
    cast.now = local("2026-03-04 22:30")
    cast.book(cast.alice, "2026-03-06 09:30")
    (message,) = outbox(cast)
    assert (message.channel, message.recipient) == ("sms", "+31612345678")
    assert message.due_at == local("2026-03-05 09:00")
    text = written(message).text
    assert "Friday 6 March 2026, 09:30, Dr. Bob Brown. https://docket.test/visit/" in text


def test_a_text_message_about_the_next_morning_waits_for_nothing(cast: Cast) -> None:
    cast.change(sa.update(models.Patient).values(wants_sms=True, phone="+31612345678"))
    reference = cast.book(cast.alice, "2026-03-05 09:00")
    night = local("2026-03-04 22:30")
    cast.database.write(service.cancel, cast.carol, reference, Cancellation(), now=night)
    cancelled = next(each for each in outbox(cast, "visit_cancelled") if each.channel == "sms")
    assert cancelled.due_at == night
    # Messages about the patient's own action may come at night, and in the morning it would be too late.
    cast.now = night
    cast.book(cast.dave, "2026-03-05 09:00")
    assert [each.channel for each in outbox(cast, "visit_booked") if each.recipient.startswith("dave")] == ["email"]
    assert not [each for each in outbox(cast, "visit_booked") if each.created_at == night and each.channel == "sms"]


def test_past_appointments_send_no_messages(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-02 10:30")
    later = NOW + timedelta(days=1)
    cast.database.write(service.cancel, cast.carol, reference, Cancellation(), now=later)
    assert [each.template for each in outbox(cast)] == ["visit_booked"]


def test_a_refused_booking_sends_no_message(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-05 09:30")
    with pytest.raises(SlotTaken):
        cast.book(cast.dave, "2026-03-05 09:30")
    assert [each.recipient for each in outbox(cast)] == ["alice@docket.example"]


def test_messages_about_new_leave_have_the_reason_and_a_choice(cast: Cast) -> None:
    moved, cancelled, kept = (cast.book(cast.alice, f"2026-03-{day:02} 09:30") for day in (9, 10, 11))
    decisions = Decisions(
        why="a private word",
        each={
            moved: Decision(kind="move", version=1, starts_at=local("2026-03-16 09:30")),
            cancelled: Decision(kind="cancel", version=1),
            kept: Decision(kind="keep", version=1),
        },
    )
    leave = models.TimeOff(
        doctor_id=cast.doctor_ids["bob"], starts_at=local("2026-03-09 00:00"), ends_at=local("2026-03-12 00:00")
    )
    cast.database.write(
        schedule_impact.carry_out,
        cast.bob,
        lambda session: session.add(leave),
        doctor_ids=[cast.doctor_ids["bob"]],
        now=cast.now,
        decisions=decisions,
    )
    told = {each.template: written(each) for each in outbox(cast)[3:]}
    assert set(told) == {"visit_moved", "visit_cancelled"}
    text = told["visit_moved"].text
    assert "The clinic moved it. The doctor is away." in text
    assert "Old time: Monday 9 March 2026, 09:30" in text
    assert "New time: Monday 16 March 2026, 09:30" in text
    assert "You can move or cancel it online until it starts." in text
    assert "You can move or cancel it online until it starts." in told["visit_moved"].html
    for act in ("confirmation", "reschedule", "cancellation"):
        assert f"/{act}\n" in text
        assert f'/{act}"' in told["visit_moved"].html
    assert "The clinic cancelled it. The doctor is away." in told["visit_cancelled"].text
    assert "a private word" not in str(told)

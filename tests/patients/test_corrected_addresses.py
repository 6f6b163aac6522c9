"""Staff correct the address of a patient: there is one, and messages, links and the sign-in follow it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, SECRET_KEY, Cast, client_for, local, log_in
from tests.reading import read
from webapp.appointments import joining
from webapp.appointments.booking import service as booking
from webapp.appointments.messages import reminders
from webapp.appointments.messages.appointment_messages import BOOKED, Notice, enqueue
from webapp.appointments.messages.recipients import LINK_PURPOSE, short
from webapp.appointments.schemas import Booking
from webapp.auth import feeds
from webapp.auth.exceptions import AddressTaken, NoAddress, StaffAddress
from webapp.auth.passwords import password_links
from webapp.auth.schemas import Actor
from webapp.core.signing import sign
from webapp.exceptions import AppError
from webapp.models import OutboxMessage, PasswordLink, Patient, User, UserSession
from webapp.patients import dependants, records, service
from webapp.patients.schemas import PatientDetails, UpdateProfile

RIGHT = "alice.right@docket.example"


@pytest.fixture
def carol(client: TestClient) -> TestClient:
    """The admin's browser."""
    return log_in(client, "carol")


def correct(
    cast: Cast, email: str | None, *, patient: str = "alice", name: str = "Alice Adams", phone: str = ""
) -> None:
    """Change a record as an admin."""
    details = PatientDetails(name=name, email=email, phone=phone)
    cast.database.write(records.change_patient, cast.carol, cast.patient_ids[patient], details, seen="", now=NOW)


def user_of(cast: Cast, actor: Actor) -> User:
    with cast.database.reading() as session:
        return session.get_one(User, actor.user_id)


def messages(cast: Cast, template: str = "visit_booked") -> list[OutboxMessage]:
    with cast.database.reading() as session:
        query = sa.select(OutboxMessage).where(OutboxMessage.template == template)
        return list(session.scalars(query.order_by(OutboxMessage.id)))


def test_the_form_on_the_record_changes_the_address_of_the_account(carol: TestClient, cast: Cast) -> None:
    number = cast.patient_ids["alice"]
    cast.change(sa.update(User).where(User.id == cast.alice.user_id).values(email_confirmed_at=NOW))
    with client_for(cast.database) as browser:
        log_in(browser, "alice")
        path = f"/admin/patients/{number}/edit"
        form = read(carol.get(path)).form(path)
        assert carol.post(path, data={**form, "email": RIGHT}).status_code == 303
        page = read(carol.get(f"/admin/patients/{number}"))
        assert f"The patient now signs in as {RIGHT}" in page.text
        assert f"{RIGHT} not confirmed" in page.text
        # A browser that was signed in has to sign in with the new address.
        assert browser.get("/account").status_code == 303
    user = user_of(cast, cast.alice)
    assert (user.email, user.email_confirmed_at) == (RIGHT, None)
    (confirm,), (told,) = messages(cast, "confirm_email"), messages(cast, "email_changed")
    assert (confirm.recipient, confirm.values["corrected"]) == (RIGHT, True)
    assert (told.recipient, told.values["waiting"]) == ("alice@docket.example", False)
    assert RIGHT not in str(told.values)


def test_earlier_access_to_the_account_ends(cast: Cast) -> None:
    """A person who reads the wrong mailbox may have asked for a link to set the password, or signed in."""
    alice = cast.alice.user_id
    cast.database.write(password_links.create_password_link, alice, now=NOW, lifetime=timedelta(days=1))
    cast.change(
        sa.update(User).where(User.id == alice).values(new_email="x@docket.example", new_email_until=NOW + timedelta(1))
    )
    cast.database.write(feeds.make_feed, cast.alice, now=NOW)
    with client_for(cast.database) as browser:
        log_in(browser, "alice")
        correct(cast, RIGHT)
    with cast.database.reading() as session:
        assert session.scalars(sa.select(PasswordLink)).all() == []
        assert session.scalars(sa.select(UserSession)).all() == []
        assert feeds.feed_path(session, cast.alice, [SECRET_KEY]) is None
    assert user_of(cast, cast.alice).new_email == ""


@pytest.mark.parametrize(("email", "error"), [
    ("dave@docket.example", AddressTaken),
    ("carol@docket.example", AddressTaken),
    (None, NoAddress),
])  # fmt: skip
def test_an_account_cannot_have_every_address(cast: Cast, email: str | None, error: type[AppError]) -> None:
    with pytest.raises(error) as caught:
        correct(cast, email)
    assert caught.value.field == "email"
    assert user_of(cast, cast.alice).email == "alice@docket.example"
    assert messages(cast, "email_changed") == []


@pytest.mark.parametrize("role", ["doctor", "admin"])
def test_no_account_of_staff_is_taken_over_through_a_record(cast: Cast, role: str) -> None:
    """Dave works here by now, and still has a record: his mailbox opens everything that he may see."""
    cast.change(sa.update(User).where(User.id == cast.dave.user_id).values(role=role))
    with pytest.raises(StaffAddress):
        correct(cast, "carols.own@docket.example", patient="dave", name="Dave Dunn")
    assert user_of(cast, cast.dave).email == "dave@docket.example"
    # Nor is a colleague renamed, on a page or through the API: only the record has another name.
    correct(cast, "dave@docket.example", patient="dave", name="Dave D. Dunn")
    number = cast.patient_ids["dave"]
    form = read(log_in(client_for(cast.database), "fiona").get(f"/admin/patients/{number}/edit"))
    assert "their account keeps its name" in form.text
    with cast.database.reading() as session:
        assert records.get_record(session, number).name == "Dave D. Dunn"
    assert user_of(cast, cast.dave).name == "Dave Dunn"
    other = cast.add(Patient(name="Dave Dane", created_at=NOW))
    picks = {"name": other}
    stays = cast.database.write(joining.join_records, cast.fiona, number, other, picks=picks, now=NOW)
    with cast.database.reading() as session:
        assert records.get_record(session, stays).name == "Dave Dane"
    assert user_of(cast, cast.dave).name == "Dave Dunn"


def test_undelivered_news_reaches_the_right_address_and_old_links_end(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    over = cast.book(cast.alice, "2026-03-04 10:00")
    cast.change(
        sa.update(OutboxMessage)
        .where(OutboxMessage.template == "visit_booked")
        .values(status="dead", finished_at=NOW, last_error="note:There is no such mailbox.")
    )
    (first, second) = messages(cast)
    # One of them is no longer true.
    cast.change(sa.update(OutboxMessage).where(OutboxMessage.id == second.id).values(
        values=second.values | {"visit": second.values["visit"] | {"starts_at": "2026-03-04T08:00:00Z"}}
    ))  # fmt: skip
    correct(cast, RIGHT)
    (again, left) = messages(cast)
    assert (again.recipient, again.status, again.last_error) == (RIGHT, "waiting", "")
    assert again.message_id != first.message_id
    assert again.values["calendar"]["events"][0]["link"][2] == again.values["visit"]["link"]
    assert again.values["visit"]["link"].endswith(short(RIGHT))
    assert (left.recipient, left.status) == ("alice@docket.example", "dead")
    with client_for(cast.database) as mailbox:
        for address, status in (("alice@docket.example", 404), (RIGHT, 200)):
            for each in (reference, over):
                path = f"/visit/{sign([SECRET_KEY], LINK_PURPOSE, [each, address])}"
                assert mailbox.get(path).status_code == status


def test_waiting_reminders_are_written_for_the_new_address(cast: Cast) -> None:
    put(cast, "2026-03-03 10:00")
    cast.change(sa.update(Patient).values(created_at=NOW - timedelta(days=9)))
    cast.change(sa.text("UPDATE appointments SET created_at = '2026-02-01 00:00:00+00:00'"))  # type: ignore[arg-type]
    noon = local("2026-03-02 12:00")
    assert cast.database.write(reminders.enqueue_due, now=noon) == 1
    correct(cast, RIGHT)
    assert messages(cast, "visit_reminder") == []
    assert cast.database.write(reminders.enqueue_due, now=noon) == 1
    assert [each.recipient for each in messages(cast, "visit_reminder")] == [RIGHT]


def test_a_record_without_an_account_and_a_telephone_number_are_followed_too(cast: Cast) -> None:
    cast.patient_ids["kim"] = cast.add(
        Patient(name="Kim Kuiper", email="wrong@docket.example", phone="+31612340111", wants_sms=True, created_at=NOW)
    )
    appointment = put(cast, "2026-03-05 10:00", patient="kim")
    cast.database.write(enqueue, appointment, Notice(BOOKED, cast.carol.done_by), now=NOW)
    correct(cast, "right@docket.example", patient="kim", name="Kim Kuiper", phone="+31612340222")
    assert [(each.channel, each.recipient) for each in messages(cast)] == [
        ("email", "right@docket.example"),
        ("sms", "+31612340222"),
    ]
    correct(cast, None, patient="kim", name="Kim Kuiper")
    assert messages(cast) == []


def test_a_patient_who_changes_their_number_is_followed(cast: Cast) -> None:
    hers = sa.update(Patient).where(Patient.id == cast.patient_ids["alice"])
    cast.change(hers.values(phone="+31612340111", wants_sms=True, wants_email=False))
    cast.book(cast.alice, "2026-03-05 10:00")
    profile = UpdateProfile(name="Alice Adams", phone="+31612340222")
    cast.database.write(service.update_profile, cast.alice, profile, now=NOW)
    assert [(each.channel, each.recipient) for each in messages(cast)] == [("sms", "+31612340222")]


def test_a_childs_number_is_followed_and_the_parents_messages_stay(cast: Cast) -> None:
    child = UpdateProfile(name="Cleo Adams", phone="+31612340111")
    number = cast.database.write(dependants.add_person, cast.alice, child, now=NOW)
    cast.change(sa.update(Patient).where(Patient.id == number).values(wants_sms=True))
    command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local("2026-03-05 10:00"), patient_id=number)
    cast.database.write(booking.book, cast.alice, command, now=NOW)
    change = UpdateProfile(name="Cleo Adams", phone="+31612340222")
    cast.database.write(dependants.change_person, cast.alice, number, change, seen="", now=NOW)
    assert {(each.channel, each.recipient) for each in messages(cast)} == {
        ("email", "alice@docket.example"),
        ("sms", "+31612340222"),
    }

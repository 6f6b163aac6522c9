"""Messages as admins see them: found, read with links that do not work, and sent again while they are still news."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import LETTERHEAD, NOW, SECRET_KEY, Cast, client_for, local, log_in
from tests.reading import Element, read
from webapp.appointments import address_confirmation
from webapp.appointments.booking import service
from webapp.appointments.messages import reminders
from webapp.appointments.schemas import Booking, Cancellation, Move
from webapp.auth import account_mails
from webapp.auth.addresses import confirmation
from webapp.auth.passwords import password_reset
from webapp.auth.schemas import PasswordResetRequest
from webapp.core.formats import iso
from webapp.core.signing import unsign
from webapp.models import AuditEvent, OutboxMessage, Patient, User
from webapp.notifications.outbox import LIFETIME, Message, enqueue
from webapp.staff.messages.previews import DEAD_KEYS

MESSAGES = "/admin/messages"
ERROR = "The mail server refused the message."


@pytest.fixture
def carol(client: TestClient) -> TestClient:
    """The admin's browser."""
    return log_in(client, "carol")


def write(cast: Cast, key: str = "first", **changes: Any) -> int:
    """One message to Alice, with these changes; returns its id."""
    message = Message(key, "email", "alice@docket.example", "password_reset", {}, ("user", cast.alice.user_id))
    cast.database.write(enqueue, message, now=NOW)
    if changes:
        cast.change(sa.update(OutboxMessage).where(OutboxMessage.dedupe_key == key).values(**changes))
    return newest(cast).id


def give_up(cast: Cast, **changes: Any) -> int:
    """Mark all waiting messages as not delivered; returns the newest message's id."""
    waiting = sa.update(OutboxMessage).where(OutboxMessage.status == "waiting")
    cast.change(waiting.values(status="dead", tries=4, last_error=ERROR, finished_at=NOW, **changes))
    return newest(cast).id


def newest(cast: Cast) -> OutboxMessage:
    """The message that was written last."""
    with cast.database.reading() as session:
        return session.scalars(sa.select(OutboxMessage).order_by(OutboxMessage.id.desc()).limit(1)).one()


def stored(cast: Cast, number: int) -> OutboxMessage:
    """The current row of a message."""
    with cast.database.reading() as session:
        return session.get_one(OutboxMessage, number)


def shown(page: Element) -> list[str]:
    """The ids of the messages in the list."""
    return [row.all("a")[0]["href"].rpartition("/")[2] for row in page.all("tr") if row.all("td")]


def actions(cast: Cast, action: str) -> list[tuple[str, int, Any]]:
    """The audit log about messages: about which patient, and which message."""
    query = sa.select(AuditEvent.subject_type, AuditEvent.subject_id, AuditEvent.details)
    with cast.database.reading() as session:
        found = session.execute(query.where(AuditEvent.action == action).order_by(AuditEvent.id))
        return [(kind, number, details["message"]) for kind, number, details in found]


# ------------------------------------------------------------------------------------------------------ the list


def test_a_message_shows_its_kind_recipient_and_state(carol: TestClient, cast: Cast) -> None:
    empty = read(carol.get(MESSAGES))
    assert "No messages yet." in empty.text
    assert "No mail server is set up, so emails are not sent" in empty.text
    reference = cast.book(cast.alice, "2026-03-10 10:00")
    number = give_up(cast)
    page = read(carol.get(MESSAGES))
    row = page.all("tbody")[0].one("tr")
    assert row.one("th").text == "Appointment booked"
    for words in ("alice@docket.example", "Email", "Not delivered", ERROR, "4 attempts", "Today, 08:00"):
        assert words in row.text
    assert [each["href"] for each in row.all("a")] == [f"{MESSAGES}/{number}", f"/appointments/{reference}"]
    assert f"{MESSAGES}/previews" in page.links
    with client_for(cast.database, smtp_url="smtp://mail.example.org") as other:
        assert "No mail server" not in read(log_in(other, "carol").get(MESSAGES)).text


def test_a_notice_of_a_new_browser_is_not_listed_as_a_changed_password(carol: TestClient, cast: Cast) -> None:
    account = cast.carol.user_id
    cast.database.write(account_mails.tell, account, "new_browser", LETTERHEAD, now=NOW, user_agent="Firefox")
    assert read(carol.get(MESSAGES)).all("tbody")[0].one("tr").one("th").text == "Security notice"


@pytest.mark.both_databases
def test_messages_are_found_by_state_channel_and_address(carol: TestClient, cast: Cast) -> None:
    late = NOW - timedelta(minutes=16)
    lease = {"status": "sending", "lease_until": NOW + timedelta(minutes=3)}
    ids = {
        "fresh": write(cast, "fresh"),
        "late": write(cast, "late", due_at=late),
        "failed": write(cast, "failed", last_error=ERROR, due_at=NOW + timedelta(hours=1)),
        "sending": write(cast, "sending", **lease),
        "sent": write(cast, "sent", status="sent", channel="sms", recipient="+31 20 555"),
        "kept": write(cast, "kept", status="kept", recipient="zoe@example.org"),
        "dead": write(cast, "dead", status="dead", recipient="zoe@example.com", finished_at=NOW),
    }
    for query, names in {
        "": [*reversed(ids)],
        "?state=waiting": ["failed", "late", "fresh"],
        "?state=trouble": ["failed", "late"],
        "?state=sending": ["sending"],
        "?state=sent": ["sent"],
        "?state=kept": ["kept"],
        "?state=dead": ["dead"],
        "?state=nonsense": [*reversed(ids)],
        "?channel=sms": ["sent"],
        "?to=ZOE@": ["dead", "kept"],
        "?to=zoe@example.org": ["kept"],
        "?to=%2B31+20": ["sent"],
        "?to=zoe&state=dead": ["dead"],
        "?to=nobody": [],
    }.items():
        assert shown(read(carol.get(MESSAGES + query))) == [str(ids[name]) for name in names], query
    assert "No messages match these filters." in read(carol.get(MESSAGES + "?to=nobody")).text


@pytest.mark.both_databases
def test_messages_about_an_appointment_include_the_reminders_that_name_it(carol: TestClient, cast: Cast) -> None:
    child = cast.add(Patient(name="Cleo Child", managed_by_id=cast.patient_ids["alice"], created_at=NOW))
    start = local("2026-03-09 10:00")
    booking = Booking(doctor="bob", visit_type_id=cast.short, starts_at=start, patient_id=child)
    hers = cast.database.write(service.book, cast.alice, booking, now=NOW)
    other = cast.book(cast.alice, "2026-03-17 10:00")
    cast.database.write(reminders.enqueue_due, now=local("2026-03-08 10:00"))
    assert newest(cast).subject_id == cast.patient_ids["alice"]
    found = shown(read(carol.get(f"{MESSAGES}?reference={hers.lower().replace('-', '')}")))
    assert [stored(cast, int(number)).template for number in found] == ["visit_reminder", "visit_booked"]
    assert len(shown(read(carol.get(f"{MESSAGES}?reference={other}")))) == 1
    assert f"{MESSAGES}?reference={hers}" in read(carol.get(f"/appointments/{hers}")).links
    wrong = carol.get(f"{MESSAGES}?reference=nothing")
    assert wrong.status_code == 422
    assert "A reference looks like K7QM-2F9X." in read(wrong).text
    assert shown(read(carol.get(f"{MESSAGES}?reference=ZZZZ-ZZZZ"))) == []


@pytest.mark.both_databases
def test_all_pages_cost_the_same(carol: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.staff.messages.router.PAGE_SIZE", 3)
    asked: list[str] = []
    sa.event.listen(cast.database.engine, "before_cursor_execute", lambda *each: asked.append(str(each[2])))
    numbers = [write(cast, "m0", recipient="zoe@example.org")]

    def count(query: str) -> int:
        asked.clear()
        carol.get(MESSAGES + query)
        return len(asked)

    # The first request reads everything that the process caches.
    count("?to=zoe")
    before = count("?to=zoe")
    numbers += [write(cast, f"m{number}", recipient=f"zoe{number}@example.org") for number in range(1, 7)]
    assert count("?to=zoe") == before
    first = read(carol.get(MESSAGES + "?to=zoe"))
    assert shown(first) == [str(number) for number in numbers[:3:-1]]
    second = read(carol.get(next(link for link in first.links if "before=" in link)))
    assert shown(second) == [str(number) for number in numbers[3:0:-1]]
    back = next(link for link in second.links if "after=" in link)
    assert shown(read(carol.get(back))) == shown(first)


def test_a_filter_with_too_many_addresses_is_not_searched(
    carol: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.staff.messages.log.MOST_RECIPIENTS", 2)
    for number in range(3):
        write(cast, f"m{number}", recipient=f"zoe{number}@example.org")
    answer = carol.get(f"{MESSAGES}?to=zoe")
    assert answer.status_code == 422
    assert "Too many addresses match." in read(answer).text
    assert len(shown(read(carol.get(f"{MESSAGES}?to=zoe1")))) == 1


# --------------------------------------------------------------------------------------------------- one message


def token(text: str, path: str) -> str:
    """The token in the first link of this kind."""
    return unescape(text).partition(path)[2].partition("/")[0].split('"')[0].split()[0]


def test_a_message_is_read_without_working_links_and_that_is_recorded(carol: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 10:00")
    number = newest(cast).id
    answer = carol.get(f"{MESSAGES}/{number}")
    page = read(answer)
    assert answer.status_code == 200
    assert page.h1 == "Appointment booked"
    assert "The links in this copy do not work" in page.text
    said = said_in_link(cast)
    assert unsign(DEAD_KEYS, "visit", token(page.text, "/visit/")) == said
    address = page.one("iframe")["src"]
    document = carol.get(address)
    assert document.headers["content-security-policy"].startswith("sandbox; ")
    assert unsign(DEAD_KEYS, "visit", token(document.text, "/visit/")) == said
    assert unsign([SECRET_KEY], "visit", token(document.text, "/visit/")) is None
    appointment = newest(cast).subject_id
    assert actions(cast, "message_read") == [("appointment", appointment, number)]
    # Reading the document at another address is recorded, too.
    bare = address.partition("?")[0]
    good = token(address, "?read=")
    # Two bits of a signature's last letter say nothing; all of the one before it do.
    for query in ("", f"?read={good[:-2]}{'A' if good[-2] != 'A' else 'B'}{good[-1]}"):
        assert carol.get(bare + query).status_code == 200
    assert len(actions(cast, "message_read")) == 3
    assert carol.get(f"{MESSAGES}/{number + 1}").status_code == 404
    assert "Viewed a message" in read(carol.get("/admin/audit")).text
    assert "message" not in read(log_in(client_for(cast.database), "alice").get(f"/appointments/{reference}")).text


def said_in_link(cast: Cast) -> object:
    """What the link in the newest message carries."""
    return newest(cast).values["visit"]["link"]


def test_links_of_a_kept_message_work_on_a_developers_machine_alone(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-10 10:00")
    number = newest(cast).id
    cast.change(sa.update(OutboxMessage).values(status="kept", finished_at=NOW))
    with client_for(cast.database) as developers:
        page = read(log_in(developers, "carol").get(f"{MESSAGES}/{number}"))
        link = next(each for each in page.links if "/visit/" in each)
        assert unsign([SECRET_KEY], "visit", token(link, "/visit/")) == said_in_link(cast)
        assert "you can try its links" in page.text
    production: dict[str, Any] = {"environment": "production", "base_url": "http://127.0.0.1"}
    with client_for(cast.database, **production) as client:
        client.base_url = "http://127.0.0.1"
        log_in(client, "carol")
        page = read(client.get(f"{MESSAGES}/{number}"))
        assert unsign(DEAD_KEYS, "visit", token(page.text, "/visit/")) == said_in_link(cast)
        assert not [each for each in page.links if "/visit/" in each]


def test_the_links_of_a_displayed_reset_mail_do_not_work(carol: TestClient, cast: Cast) -> None:
    ask_reset(cast)
    number = newest(cast).id
    page = read(carol.get(f"{MESSAGES}/{number}"))
    assert page.h1 == "New password"
    carols = token(page.text, "/password/reset/")
    assert unsign([SECRET_KEY], password_reset.PURPOSE, carols) is None
    assert "This link" in read(carol.get(f"/password/reset/{carols}")).text


def test_a_text_message_and_one_that_cannot_be_written_out(carol: TestClient, cast: Cast) -> None:
    wants = sa.update(Patient).where(Patient.id == cast.patient_ids["alice"])
    cast.change(wants.values(phone="+31612340101", wants_sms=True, wants_email=False))
    cast.book(cast.alice, "2026-03-10 10:00")
    sms = newest(cast)
    page = read(carol.get(f"{MESSAGES}/{sms.id}"))
    assert "+31612340101" in page.text
    assert not page.all("iframe")
    assert page.all("h2")[-1].text == "Text message"
    assert carol.get(f"{MESSAGES}/{sms.id}/document").status_code == 404
    broken = write(cast, "broken", template="a_template_of_old")
    answer = carol.get(f"{MESSAGES}/{broken}")
    assert answer.status_code == 200
    assert "This message can’t be shown" in read(answer).text
    assert read(answer).h1 == "A template of old"


# ----------------------------------------------------------------------------------------------------- send again


def ask_reset(cast: Cast) -> None:
    """Alice requests a password reset."""
    command = PasswordResetRequest(email="alice@docket.example")
    cast.database.write(password_reset.request_link, command, LETTERHEAD, keys=[SECRET_KEY], address="", now=NOW)


def again(client: TestClient, number: int) -> tuple[int, str]:
    """Press the button; returns the status and the text."""
    answer = client.post(f"{MESSAGES}/{number}/sending")
    return answer.status_code, read(answer).text if answer.status_code != 303 else ""


@pytest.mark.both_databases
def test_an_undelivered_message_waits_again_as_the_same_message(carol: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-10 10:00")
    number = give_up(cast, expires_at=NOW - timedelta(hours=1))
    before = stored(cast, number)
    page = read(carol.get(f"{MESSAGES}/{number}"))
    assert carol.post(f"{MESSAGES}/{number}/sending", data=page.form(f"{MESSAGES}/{number}/sending")).status_code == 303
    assert "The message will be sent again." in read(carol.get(f"{MESSAGES}/{number}")).text
    after = stored(cast, number)
    assert (after.status, after.tries, after.last_error, after.finished_at) == ("waiting", 0, "", None)
    assert (after.due_at, after.expires_at) == (NOW, NOW + LIFETIME)
    assert (after.message_id, after.recipient) == (before.message_id, before.recipient)
    assert actions(cast, "message_sent_again") == [("appointment", after.subject_id, number)]
    status, said = again(carol, number)
    assert status == 409
    assert "was delivered or is being sent" in said
    assert len(actions(cast, "message_sent_again")) == 1
    assert again(carol, number + 1)[0] == 404


def test_a_message_expires_when_its_appointment_begins(carol: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    number = give_up(cast)
    assert again(carol, number)[0] == 303
    assert stored(cast, number).expires_at == local("2026-03-03 10:00")


@pytest.mark.parametrize(("now", "what"), [("2026-03-10 10:00", "has started or is over"), ("2026-03-10 09:59", "")])
def test_a_message_about_a_past_appointment_is_not_sent_again(cast: Cast, now: str, what: str) -> None:
    cast.book(cast.alice, "2026-03-10 10:00")
    number = give_up(cast)
    with client_for(cast.database, now=local(now)) as client:
        log_in(client, "carol")
        status, said = again(client, number)
        assert status == (422 if what else 303)
        assert what in said
        assert stored(cast, number).status == ("dead" if what else "waiting")


def test_a_message_that_is_no_longer_true_is_not_sent(carol: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 10:00")
    booked = give_up(cast)
    to = Move(starts_at=local("2026-03-11 10:00"))
    cast.database.write(service.move, cast.carol, reference, to, now=NOW)
    moved = give_up(cast)
    assert again(carol, booked)[0] == 422
    page = read(carol.get(f"{MESSAGES}/{booked}"))
    assert "It can’t be sent again. The appointment has changed since" in page.text
    assert not page.all("form", action=f"{MESSAGES}/{booked}/sending")
    cast.database.write(service.cancel, cast.carol, reference, Cancellation(), now=NOW)
    cancelled = give_up(cast)
    assert again(carol, moved)[0] == 422
    assert again(carol, cancelled)[0] == 303


def test_a_reminder_can_be_sent_again_while_all_its_appointments_are_active(carol: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-09 09:00")
    second = cast.book(cast.alice, "2026-03-09 14:00")
    cast.change(sa.delete(OutboxMessage))
    cast.database.write(reminders.enqueue_due, now=local("2026-03-08 10:00"))
    number = give_up(cast)
    assert again(carol, number)[0] == 303
    give_up(cast)
    cast.database.write(service.cancel, cast.carol, second, Cancellation(), now=NOW)
    assert "The appointment has changed since" in again(carol, number)[1]


def test_account_mails_can_be_sent_again_while_their_links_are_valid(cast: Cast) -> None:
    ask_reset(cast)
    reset = give_up(cast)
    cast.change(sa.update(User).where(User.id == cast.dave.user_id).values(email_confirmed_at=None))
    cast.database.write(confirmation.send, cast.dave.user_id, cast.dave.email, "Dave", LETTERHEAD, now=NOW)
    confirm = give_up(cast)
    hour = NOW + password_reset.RESET_LIFETIME
    with client_for(cast.database, now=hour - timedelta(minutes=1)) as client:
        log_in(client, "carol")
        assert [again(client, number)[0] for number in (reset, confirm)] == [303, 303]
    assert stored(cast, reset).expires_at == hour
    give_up(cast)
    link: list[object] = [cast.dave.user_id, cast.dave.email]
    cast.database.write(address_confirmation.confirm_address, link, actor=None, address="", now=NOW)
    with client_for(cast.database, now=hour) as client:
        log_in(client, "carol")
        for number, words in ((reset, "valid for an hour"), (confirm, "is already confirmed")):
            status, said = again(client, number)
            assert status == 422
            assert words in said


@pytest.mark.both_databases
def test_all_current_messages_are_sent_again_after_a_question(carol: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-10 10:00")
    gone = cast.book(cast.dave, "2026-03-10 11:00")
    give_up(cast)
    old = write(cast, "old", status="dead", finished_at=NOW - timedelta(days=15))
    cast.database.write(service.cancel, cast.carol, gone, Cancellation(), now=NOW)
    cast.change(sa.update(OutboxMessage).where(OutboxMessage.status == "waiting").values(status="sent"))
    listed = read(carol.get(f"{MESSAGES}?state=dead"))
    assert f"{MESSAGES}/sending" in listed.links
    question = read(carol.get(f"{MESSAGES}/sending"))
    assert "1 undelivered message will be sent again." in question.text
    assert "1 message will not be sent" in question.text
    answer = carol.post(f"{MESSAGES}/sending", data=question.form(f"{MESSAGES}/sending"))
    assert answer.status_code == 303
    assert "1 message will be sent again." in read(carol.get(MESSAGES)).text
    with cast.database.reading() as session:
        left = session.scalars(sa.select(OutboxMessage.id).where(OutboxMessage.status == "dead")).all()
    assert old in left
    assert len(left) == 2
    assert len(actions(cast, "message_sent_again")) == 1
    assert "No messages can be sent again." in read(carol.get(f"{MESSAGES}/sending")).text


def test_a_waiting_message_says_when_it_is_tried_again(carol: TestClient, cast: Cast) -> None:
    later = NOW + timedelta(minutes=20)
    write(cast, "rests", tries=2, last_error=ERROR, due_at=later)
    row = read(carol.get(MESSAGES)).all("tbody")[0].text
    assert "Retrying" in row
    assert "Due: Today, 08:20" in row
    page = read(carol.get(f"{MESSAGES}/{newest(cast).id}"))
    assert iso(later) in [each["datetime"] for each in page.all("time")]
    assert datetime.fromisoformat(page.all("time")[0]["datetime"]) == NOW

"""Delivering the outbox to a real mail server that does what mail servers do; on both databases."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.cast import NOW, SECRET_KEY, Cast, local
from tests.mail_server import mail_server
from tests.processes import PATIENCE
from tests.servers import free_port
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.database import Database
from webapp.notifications import delivery
from webapp.notifications.delivery import Courier, Sender
from webapp.notifications.exceptions import TROUBLES, ServerUnavailable
from webapp.notifications.file_sender import FileSender
from webapp.notifications.mail import MailSender, MailServer
from webapp.notifications.models import OutboxMessage
from webapp.notifications.outbox import LIFETIME, Message, enqueue
from webapp.notifications.rendering import Rendered, render
from webapp.worker import Worker

SENDER = "booking@clinic.example"
CLINIC = {"name": "Harbour Lane Clinic", "address": "", "phone": "", "time_zone": "Europe/Amsterdam"}

Couriers = Callable[..., Courier]


def put(database: Database, recipient: str, *, key: str = "", user_id: int = 1, **more: Any) -> int:
    """Put a message to this recipient into the outbox; its text needs no appointment. Returns its id."""
    values = {"clinic": CLINIC, "name": "Alice", "nonce": "n", **more.pop("values", {})}
    wanted = Message(key or recipient, "email", recipient, "password_reset", values, ("user", user_id), **more)
    assert database.write(enqueue, wanted, now=NOW)
    with database.reading() as session:
        return session.scalars(sa.select(sa.func.max(OutboxMessage.id))).one()


def row(database: Database, number: int) -> Any:
    """The current row of a message in the outbox."""
    with database.reading() as session:
        return session.execute(sa.select(OutboxMessage.__table__).where(OutboxMessage.id == number)).one()


@pytest.fixture
def courier(database: Database) -> Iterator[Callable[..., Courier]]:
    """Makes couriers of e-mails, whose connections are closed at the end."""
    made: list[Courier] = []

    def make(sender: Sender, *, now: Callable[[], datetime] = lambda: NOW, name: str = "w", **more: Any) -> Courier:
        write_out = partial(_write_out, "email")
        made.append(Courier(database, "email", sender, name=name, clock=now, write_out=write_out, **more))
        return made[-1]

    yield make
    for each in made:
        each.sender.close()


def _write_out(channel: str, template: str, recipient: str, values: dict[str, Any]) -> Rendered:
    return render(template, channel, recipient, values, base_url="https://d.test", keys=[SECRET_KEY], sender=SENDER)


def to(port: int, *, timeout: float = PATIENCE) -> MailSender:
    return MailSender(MailServer("smtp", "127.0.0.1", port, "", ""), SENDER, timeout=timeout)


def test_a_server_without_encryption_gets_nothing_where_it_is_required(database: Database, courier: Couriers) -> None:
    put(database, "alice@docket.example")
    with mail_server() as server:
        sender = MailSender(MailServer.from_url(server.url.replace("smtp:", "smtp+starttls:")), SENDER)
        with pytest.raises(ServerUnavailable, match="encryption"):
            courier(sender).deliver_next()
        assert server.mails == []


def test_an_accepted_mail_is_sent_once(database: Database, courier: Couriers) -> None:
    number = put(database, "alice@docket.example")
    with mail_server() as server:
        alices = courier(to(server.port))
        assert alices.deliver_next()
        assert not alices.deliver_next()
    (mail,) = server.mails
    message = row(database, number)
    assert (message.status, message.tries, message.finished_at) == ("sent", 1, NOW)
    assert mail["To"] == "alice@docket.example"
    assert mail["From"] == f"Harbour Lane Clinic <{SENDER}>"
    assert mail["Message-ID"] == f"<{message.message_id}@clinic.example>"
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("450 4.2.1 mailbox busy", "waiting", "The mail server answered: 450 4.2.1 mailbox busy"),
        ("550 5.1.1 no such user", "dead", "The mail server answered: 550 5.1.1 no such user"),
        ("550 5.1.1 no\x00 such\x07 user", "dead", "The mail server answered: 550 5.1.1 no such user"),
        ("421 4.3.2 shutting down", "waiting", "The mail server answered: 421 4.3.2 shutting down"),
        ("hang", "waiting", "The mail server did not answer in time."),
        ("hang up", "waiting", "The mail server closed the connection."),
    ],
)
def test_a_refused_mail_waits_or_is_given_up(
    database: Database, courier: Couriers, answer: str, status: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    number = put(database, "alice@docket.example")
    other = put(database, "dave@docket.example", user_id=2)
    with mail_server(lambda recipient: answer if recipient.startswith("alice") else "") as server:
        sender = to(server.port)
        deliver = courier(sender).deliver_next
        if answer == "hang":
            sender.timeout = 0.5
        if answer.startswith(("421", "hang")):
            with pytest.raises(ServerUnavailable):
                deliver()
        else:
            assert deliver()
        sender.timeout = PATIENCE
        # Other recipients' messages do not wait for hers.
        assert deliver()
        assert not deliver()
    message = row(database, number)
    assert (message.status, TROUBLES.words(message.last_error), message.tries) == (status, said, 1)
    assert message.due_at == (NOW if status == "dead" else NOW + timedelta(seconds=15))
    assert (message.lease_until, message.claimed_by) == (None, "")
    assert row(database, other).status == "sent"
    assert not [line for line in caplog.record_tuples if line[0].startswith("webapp") and "alice" in line[2]]


def test_a_server_that_refuses_the_connection_is_tried_until_it_is_there(database: Database, courier: Couriers) -> None:
    number = put(database, "alice@docket.example")
    now, port = NOW, free_port()
    alices = courier(to(port), now=lambda: now)
    for tries, pause in ((1, 15), (2, 30), (3, 60)):
        with pytest.raises(ServerUnavailable, match="refused the connection"):
            alices.deliver_next()
        assert row(database, number).tries == tries
        assert not alices.deliver_next()
        now += timedelta(seconds=pause)
    with mail_server(port=port) as server:
        assert alices.deliver_next()
    assert len(server.mails) == 1
    message = row(database, number)
    assert (message.status, message.last_error) == ("sent", "")


def test_pauses_grow_to_an_hour() -> None:
    assert [delivery.pause_after(tries).total_seconds() for tries in (1, 2, 5, 9, 60)] == [15, 30, 240, 3600, 3600]


def test_an_outdated_message_is_given_up(database: Database, courier: Couriers) -> None:
    number = put(database, "alice@docket.example", expires_at=NOW + timedelta(seconds=20))
    untried = put(database, "dave@docket.example", user_id=2, due_at=NOW + timedelta(hours=1))
    now = NOW
    alices = courier(to(free_port()), now=lambda: now)
    with pytest.raises(ServerUnavailable):
        alices.deliver_next()
    now += timedelta(seconds=15)
    # The message would expire before the next attempt.
    with pytest.raises(ServerUnavailable):
        alices.deliver_next()
    message = row(database, number)
    assert (message.status, TROUBLES.words(message.last_error)) == ("dead", "The mail server refused the connection.")

    later = NOW + timedelta(hours=1) + LIFETIME
    for when, given_up in ((later - timedelta(seconds=1), 0), (later, 1), (later, 0)):
        with database.reading() as session:
            assert delivery.is_any_expired(session, now=when) is bool(given_up)
        assert database.write(delivery.give_up_expired, now=when) == given_up
    message = row(database, untried)
    assert (message.status, message.finished_at) == ("dead", later)
    assert TROUBLES.words(message.last_error) == "It could not be delivered before it was out of date."


def test_a_message_that_cannot_be_rendered_delays_no_other(
    database: Database, courier: Couriers, caplog: pytest.LogCaptureFixture
) -> None:
    number = put(database, "alice@docket.example", key="broken")
    broken = sa.update(OutboxMessage).values(values={"clinic": CLINIC})
    database.write(lambda session: session.execute(broken))
    put(database, "dave@docket.example", user_id=2)
    with mail_server() as server:
        deliver = courier(to(server.port)).deliver_next
        assert [deliver(), deliver(), deliver()] == [True, True, False]
    assert len(server.mails) == 1
    message = row(database, number)
    said = TROUBLES.words(message.last_error)
    assert (message.status, said) == ("dead", "The message could not be created: TypeError.")
    assert message.tries == 1


def test_a_message_that_cannot_be_rendered_holds_back_no_later_news(database: Database, courier: Couriers) -> None:
    """Else a patient whose confirmation is broken would come to an appointment that was cancelled."""
    broken = put(database, "alice@docket.example", key="booked")
    database.write(lambda session: session.execute(sa.update(OutboxMessage).values(values={"clinic": CLINIC})))
    news = put(database, "alice@docket.example", key="cancelled")
    with mail_server() as server:
        deliver = courier(to(server.port)).deliver_next
        assert [deliver(), deliver(), deliver()] == [True, True, False]
    assert [row(database, each).status for each in (broken, news)] == ["dead", "sent"]


class Surprising:
    """A sender with a bug."""

    outcome = "sent"

    def send(self, recipient: str, message_id: str, message: Rendered) -> None:
        raise ZeroDivisionError

    def close(self) -> None:
        pass


def test_an_unforeseen_error_holds_messages_back_for_three_tries(database: Database, courier: Couriers) -> None:
    number = put(database, "alice@docket.example")
    now = NOW
    deliver = courier(Surprising(), now=lambda: now).deliver_next
    for status in ("waiting", "waiting", "dead"):
        assert deliver()
        assert row(database, number).status == status
        now += timedelta(minutes=1)


def ten_minutes_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock of this machine, though not the database's, ten minutes ahead."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(minutes=10)

    monkeypatch.setattr("webapp.core.clock.datetime", Ahead)


def test_a_worker_whose_clock_is_ahead_takes_no_message_that_another_is_sending(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(secret_key=SECRET_KEY)
    (right, _texts), _ahead = (Worker(database, settings, base_url="https://d.test").couriers for _ in range(2))
    number = put(database, "alice@docket.example", expires_at=utc_now() + LIFETIME)
    claim = partial(delivery.claim, channel="email", lease=right.lease)
    assert database.write(claim, worker="right", now=right.clock()) is not None
    ten_minutes_ahead(monkeypatch)
    ahead = Worker(database, settings, base_url="https://d.test")
    assert not ahead.couriers[0].deliver_next()
    message = row(database, number)
    assert (message.claimed_by, message.tries) == ("right", 1)
    assert abs(message.lease_until - database.now() - delivery.LEASE) < timedelta(seconds=30)
    ahead.do_a_round()
    said = re.search(r"The clock of this machine is (\d+) seconds ahead of the database's\.", caplog.text)
    # Between its two looks at the clocks a second may pass.
    assert said
    assert 570 < int(said[1]) <= 600


def test_a_message_from_a_machine_ahead_of_time_is_due_immediately(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ten_minutes_ahead(monkeypatch)
    values = {"clinic": CLINIC, "name": "Alice", "nonce": "n"}
    for key, due_at in (("now", None), ("later", utc_now() + timedelta(hours=1))):
        message = Message(key, "email", "alice@docket.example", "password_reset", values, ("user", 1), due_at=due_at)
        assert database.write(enqueue, message, now=utc_now())
    with database.reading() as session:
        now, later = session.scalars(sa.select(OutboxMessage.due_at).order_by(OutboxMessage.id))
    assert abs(now - database.now()) < timedelta(seconds=30)
    assert abs(later - database.now() - timedelta(minutes=70)) < timedelta(seconds=30)


def test_messages_about_one_subject_arrive_in_order(database: Database, courier: Couriers) -> None:
    """A later message waits for the earlier ones to the same address about the same subject, and for no others."""
    first = put(database, "alice@docket.example", key="booked")
    second = put(database, "alice@docket.example", key="cancelled")
    elsewhere = put(database, "alice@docket.example", key="other", user_id=2)
    answers = iter(["450 later", "", "", ""])
    now = NOW
    with mail_server(lambda _recipient: next(answers) if not server.mails else "") as server:
        deliver = courier(to(server.port), now=lambda: now).deliver_next
        assert [deliver(), deliver(), deliver()] == [True, True, False]
        assert [row(database, each).status for each in (first, second, elsewhere)] == ["waiting", "waiting", "sent"]
        now += timedelta(seconds=15)
        assert [deliver(), deliver(), deliver()] == [True, True, False]
    ids = [f"<{row(database, each).message_id}@clinic.example>" for each in (elsewhere, first, second)]
    assert server.ids() == ids


def test_a_claim_belongs_to_one_worker_until_its_lease_ends(database: Database, courier: Couriers) -> None:
    number = put(database, "alice@docket.example")
    take = partial(delivery.claim, channel="email", lease=timedelta(minutes=5))
    claimed = database.write(take, worker="first", now=NOW)
    assert claimed is not None
    assert database.write(take, worker="second", now=NOW + timedelta(minutes=5, seconds=-1)) is None
    again = database.write(take, worker="second", now=NOW + timedelta(minutes=5))
    assert again is not None
    assert (again.id, again.tries, again.message_id) == (number, 2, claimed.message_id)
    # The first worker's result comes too late, even if the workers have the same name.
    assert not database.write(delivery.mark, claimed, worker="first", status="dead", now=NOW)
    assert not database.write(delivery.mark, claimed, worker="second", status="dead", now=NOW)
    assert database.write(delivery.mark, again, worker="second", status="sent", now=NOW)
    assert row(database, number).status == "sent"


def test_concurrent_workers_send_each_message_once(database: Database, courier: Couriers) -> None:
    numbers = [put(database, f"p{number}@docket.example", user_id=number) for number in range(24)]
    with mail_server() as server:
        couriers = [courier(to(server.port), name=f"w{number}") for number in range(3)]

        def work(mine: Courier) -> None:
            while mine.deliver_next():
                pass

        threads = [threading.Thread(target=work, args=(mine,)) for mine in couriers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.ids()) == len(set(server.ids())) == 24
    assert {row(database, number).status for number in numbers} == {"sent"}


def test_a_domain_in_any_language_reaches_every_mail_server(database: Database, courier: Couriers) -> None:
    number = put(database, "nora@praxis-müller.example")
    with mail_server() as server:
        courier(to(server.port)).deliver_next()
    assert row(database, number).status == "sent"
    assert server.mails[0]["To"] == "nora@xn--praxis-mller-klb.example"


@pytest.mark.parametrize("any_letter", [False, True])
def test_letters_before_the_at_sign_need_a_server_that_takes_them(
    database: Database, courier: Couriers, any_letter: bool
) -> None:
    number = put(database, "zoë@docket.example")
    with mail_server(any_letter=any_letter) as server:
        courier(to(server.port)).deliver_next()
    message = row(database, number)
    assert message.status == ("sent" if any_letter else "dead")
    if any_letter:
        assert server.mails[0]["To"] == "zoë@docket.example"
    else:
        assert TROUBLES.words(message.last_error) == (
            "The mail server can’t send to this address: there is a letter such as é before the @. "
            "Ask the patient for another address."
        )


def test_a_domain_that_cannot_exist_is_given_up_immediately(database: Database, courier: Couriers) -> None:
    number = put(database, "nora@é_.example")
    with mail_server() as server:
        courier(to(server.port)).deliver_next()
    message = row(database, number)
    assert (message.status, TROUBLES.words(message.last_error)) == (
        "dead",
        "This address does not exist. Check the part after the @.",
    )


@pytest.mark.parametrize("word", ["=?utf-8?q?=0D=0ABcc:_eve@x.example=0D=0A=0D=0A?=", "=?utf-8?b?DQpCY2M6IHgNCg0K?="])
def test_names_cannot_inject_headers(word: str) -> None:
    message = Rendered(word, f"The visit of {word} is booked", "Text\n", "<p>Text</p>", "", "")
    with mail_server() as server, closing(to(server.port)) as sender:
        sender.send("alice@docket.example", "1", message)
        sender.send(f"alice@{word.replace(' ', '')}.example", "2", message)
    for mail in server.mails:
        assert mail.keys() == [
            *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type")
        ]
        assert mail["From"].addresses[0].addr_spec == SENDER
        assert mail["Subject"].strip() == f"The visit of {word.replace('=?', '= ?')} is booked"
        assert mail.get_body(("plain",)).get_content() == "Text\r\n"  # type: ignore[union-attr]
    assert len(server.mails) == 2


def test_a_sent_message_is_marked_even_if_the_database_is_briefly_unavailable(
    database: Database, courier: Couriers
) -> None:
    """Otherwise the same mail would be sent again after its lease."""
    number = put(database, "alice@docket.example")
    away = [True, True]

    def fail(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("UPDATE outbox_messages") and "finished_at" in statement and away:
            away.pop()
            raise sa.exc.OperationalError(statement, None, Exception("the connection was closed"))

    sa.event.listen(database.engine, "before_cursor_execute", fail)
    with mail_server() as server:
        alices = courier(to(server.port))
        assert alices.deliver_next()
        assert not alices.deliver_next()
    assert not away
    assert len(server.mails) == 1
    assert (row(database, number).status, row(database, number).tries) == ("sent", 1)


def test_without_a_server_messages_are_kept_as_files(database: Database, courier: Couriers, tmp_path: Path) -> None:
    number = put(database, "alice@docket.example")
    keeper = FileSender(tmp_path / "kept" / "messages", SENDER)
    assert courier(keeper).deliver_next()
    message = row(database, number)
    assert message.status == "kept"
    (file,) = (tmp_path / "kept" / "messages").iterdir()
    assert file.name == f"{message.message_id}.eml"
    assert file.stat().st_mode & 0o077 == 0
    assert b"To: alice@docket.example" in file.read_bytes()


def test_waiting_for_daytime_does_not_count_as_an_attempt(cast: Cast, courier: Couriers) -> None:
    """A courier that must not send now says when it may, and the message waits until then."""
    number = put(cast.database, "alice@docket.example")
    morning = local("2026-03-03 09:00")

    def earliest(_session: Session, wanted: datetime, _planned: datetime, _expires: datetime) -> datetime:
        return max(wanted, morning)

    now = NOW
    with mail_server() as server:
        deliver = courier(to(server.port), now=lambda: now, earliest=earliest).deliver_next
        assert [deliver(), deliver()] == [True, False]
        message = row(cast.database, number)
        assert (message.status, message.due_at, message.tries) == ("waiting", morning, 0)
        now = morning
        assert [deliver(), deliver()] == [True, False]
    assert row(cast.database, number).tries == 1

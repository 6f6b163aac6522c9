"""The worker as it runs: alone, beside a server, and until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.cast import NOW, SECRET_KEY, Cast, local
from tests.mail_server import MailServer, mail_server
from tests.processes import PATIENCE, RunningCommand, eventually
from tests.servers import docket_environment, live_server
from tests.sms_gateway import sms_gateway
from webapp import models
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.idempotency import service
from webapp.models import IdempotencyKey, OutboxMessage
from webapp.notifications.exceptions import ServerUnavailable
from webapp.worker import Worker, message_destination, unsafe_mail

FROM = "booking@clinic.example"


def messages(cast: Cast) -> list[Any]:
    """The messages in the outbox, in order."""
    query = sa.select(OutboxMessage.__table__).order_by(OutboxMessage.id)
    with cast.database.reading() as session:
        return list(session.execute(query).all())


def is_told(cast: Cast) -> Callable[[], bool]:
    return lambda: all(message.status == "sent" for message in messages(cast))


def book_ahead(cast: Cast, days: int = 10) -> str:
    """An appointment of Alice on a working day, this many days after the real present."""
    cast.now = utc_now()
    day = cast.now + timedelta(days=days)
    day += timedelta(days=max(0, day.weekday() - 4) and 7 - day.weekday())
    return cast.book(cast.alice, f"{day:%Y-%m-%d} 10:00")


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


def settings_for(server: MailServer) -> dict[str, str]:
    return {"DOCKET_SMTP_URL": server.url, "DOCKET_MAIL_FROM": FROM}


def test_docket_worker_sends_a_message_and_stops_on_request(cast: Cast, server: MailServer, tmp_path: Path) -> None:
    reference = book_ahead(cast)
    command = [str(Path(sys.executable).with_name("docket")), "worker"]
    env = docket_environment(cast.url, settings_for(server))
    with RunningCommand(command, log=tmp_path / "log", cwd=tmp_path, env=env) as worker:
        worker.wait_until(is_told(cast))
    assert "Traceback" not in worker.output()
    (mail,) = server.mails
    assert mail["To"] == "alice@docket.example"
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "text/calendar",
        "text/calendar",
    ]
    invitation, file = (part for part in mail.walk() if part.get_content_type() == "text/calendar")
    assert invitation["Content-Type"].params["method"] == "REQUEST"
    assert file.get_filename() == "visit.ics"
    for part in (invitation, file):
        assert part.get_content_charset() == "utf-8"
        said = part.get_payload(decode=True)
        assert isinstance(said, bytes)
        assert b"METHOD:REQUEST" in said
        assert reference.encode() in said
    text = mail.get_body(("plain",))
    assert text is not None
    assert f"Reference: {reference}" in text.get_content()
    assert "http://localhost:8000/visit/" in text.get_content()


def test_docket_serve_delivers_messages_and_leaves_no_process_behind(
    sqlite_cast: Cast, server: MailServer, tmp_path: Path
) -> None:
    """A server that is stopped or killed takes its worker along, which finishes what it has started."""
    cast = sqlite_cast
    for end in (signal.SIGTERM, signal.SIGKILL):
        reference = book_ahead(cast, days=10 if end == signal.SIGTERM else 20)
        with live_server(cast.url, delivers=True, env=settings_for(server)) as live:
            live.process.wait_until(is_told(cast))
            if end == signal.SIGTERM:
                # A worker that dies is replaced.
                for number in _children(live.process.pid):
                    if b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes():
                        os.kill(number, signal.SIGKILL)
                reference = book_ahead(cast, days=15)
                live.process.wait_until(is_told(cast))
            beside = _children(live.process.pid)
            assert beside
            os.kill(live.process.pid, end)
            if end == signal.SIGTERM:
                live.process.wait_for_end()
                assert not [number for number in beside if _is_running(number)]
        text = server.mails[-1].get_body(("plain",))
        assert text is not None
        assert reference in text.get_content()
        # Links lead to the server that runs beside the worker.
        assert f"{live.url.replace('127.0.0.1', 'localhost')}/visit/" in text.get_content()
        assert "Traceback" not in live.output()


def _children(number: int) -> list[int]:
    # Linux lists the children of each thread.
    lists = Path(f"/proc/{number}/task").glob("*/children")
    return [int(child) for listed in lists for child in listed.read_text(encoding="ascii").split()]


def _is_running(number: int) -> bool:
    # An ended process is a Z until its parent asks for its exit code.
    stat = Path(f"/proc/{number}/stat")
    return stat.exists() and stat.read_text(encoding="ascii").rpartition(") ")[2][0] != "Z"


# ------------------------------------------------------------------------------------------------- in this process


def worker_for(cast: Cast, clock: Callable[[], Any], **settings: Any) -> Worker:
    known = Settings(secret_key=SECRET_KEY, mail_from=FROM, **settings)
    return Worker(cast.database, known, base_url="https://d.test", clock=clock)


def test_a_round_writes_reminders_gives_up_and_deletes(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    cast.change(sa.delete(OutboxMessage))
    cast.add(
        IdempotencyKey(
            user_id=cast.alice.user_id, key="k", request_hash="", status=200, headers={}, body="", created_at=NOW
        )
    )
    cast.change(sa.update(models.Appointment).values(created_at=NOW - timedelta(days=30), updated_at=NOW))
    now = local("2026-03-02 10:00")
    worker = worker_for(cast, lambda: now)
    for _ in range(2):
        worker.do_a_round()
        assert [(message.template, message.status) for message in messages(cast)] == [("visit_reminder", "waiting")]
    now = local("2026-03-03 10:00") + service.RETENTION
    worker.do_a_round()
    (reminder,) = messages(cast)
    assert (reminder.status, reminder.finished_at) == ("dead", now)
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(IdempotencyKey)) == 0


def test_no_unexpected_error_stops_the_worker(
    cast: Cast, server: MailServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that ended would go unnoticed, so every error is logged and the work is tried again."""
    monkeypatch.setattr("webapp.worker.LOOK_EVERY", 0.01)
    monkeypatch.setattr("webapp.worker.LONGEST_REST", 0.01)
    cast.book(cast.alice, "2026-03-10 10:00")
    surprises = [True] * 5

    def surprise(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "outbox_messages" in statement and surprises:
            surprises.pop()
            raise ZeroDivisionError("nobody thought of this")

    worker = worker_for(cast, lambda: NOW, smtp_url=server.url)
    sa.event.listen(cast.database.engine, "before_cursor_execute", surprise)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        assert eventually(lambda: not surprises and is_told(cast)())
    finally:
        worker.stopping.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert len(server.mails) == 1
    assert "ZeroDivisionError: nobody thought of this" in caplog.text


def test_text_messages_are_not_sent_at_night(cast: Cast) -> None:
    """What the gateway did not accept in daytime waits for the morning; what is urgent is sent at night."""
    cast.change(sa.update(models.Patient).values(wants_sms=True, wants_email=False, phone="+31612345678"))
    now = local("2026-03-02 19:59")
    cast.now = now
    cast.book(cast.alice, "2026-03-10 10:00")
    with sms_gateway(503, 200) as gateway:
        texts = worker_for(cast, lambda: now, sms_url=gateway.url).couriers[1]
        with pytest.raises(ServerUnavailable):
            texts.deliver_next()
        now += timedelta(minutes=1)
        # The second attempt would be at night.
        assert texts.deliver_next()
        assert not texts.deliver_next()
        (message,) = messages(cast)
        assert (message.status, message.due_at, message.tries) == ("waiting", local("2026-03-03 09:00"), 1)
        # A message planned for the night, because the morning would be too late, is sent then.
        cast.change(sa.update(OutboxMessage).values(due_at=now))
        assert texts.deliver_next()
    assert [message.status for message in messages(cast)] == ["sent"]
    assert {json.loads(posted.body)["to"] for posted in gateway.posted} == {"+31612345678"}


def test_without_servers_messages_are_kept_beside_the_database(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cast.book(cast.alice, "2026-03-10 10:00")
    worker = worker_for(cast, lambda: NOW)
    assert worker.couriers[0].deliver_next()
    (message,) = messages(cast)
    assert message.status == "kept"
    assert (tmp_path / "var" / "messages" / f"{message.message_id}.eml").exists()


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("", True),
        ("smtp://127.0.0.1:1025", True),
        ("smtp://mail.clinic.example", False),
        ("smtp://docket:hunter2@mail.clinic.example", True),
        ("smtp+starttls://mail.clinic.example", True),
        ("smtps://mail.clinic.example", True),
    ],
)
def test_mail_that_may_travel_unencrypted_is_a_warning(url: str, safe: bool) -> None:
    found = unsafe_mail(Settings(secret_key=SECRET_KEY, smtp_url=url))
    assert (found == []) is safe
    assert not any("hunter2" in each for each in found)


def test_the_log_says_where_messages_go_without_secrets_of_the_addresses() -> None:
    servers = Settings(
        secret_key=SECRET_KEY,
        smtp_url="smtp://docket:hunter2@mail.clinic.example",
        sms_url="https://gateway.example/send?key=hunter2",
        sms_body='{"to": "{to}", "text": "{text}"}',
    )
    assert message_destination(servers) == [
        "Emails go to the mail server mail.clinic.example:587, always encrypted, by STARTTLS",
        "Text messages go to the gateway gateway.example",
    ]
    assert [line.split(",")[0] for line in message_destination(Settings(secret_key=SECRET_KEY))] == [
        "Emails are kept as files in var/messages",
        "Text messages are kept as files in var/messages",
    ]

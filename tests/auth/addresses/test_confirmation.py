"""Confirming that the e-mail address of an account belongs to its owner."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, SECRET_KEY, Cast, client_for, log_in
from tests.reading import read
from webapp.core.signing import sign
from webapp.models import AuditEvent, OutboxMessage, User

NINA = {"name": "Nina New", "email": "nina@docket.example", "password": "walrus teapot orbit"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Nothing here depends on the kind of database."""
    return sqlite_url


def mails(cast: Cast) -> list[OutboxMessage]:
    with cast.database.reading() as session:
        return list(session.scalars(sa.select(OutboxMessage).where(OutboxMessage.template == "confirm_email")))


def path_of(said: object, keys: str = SECRET_KEY, purpose: str = "confirm-email") -> str:
    return f"/email/confirm/{sign([keys], purpose, said)}"


def confirmed_at(cast: Cast, user_id: int) -> datetime | None:
    with cast.database.reading() as session:
        return session.scalar(sa.select(User.email_confirmed_at).where(User.id == user_id))


def test_registering_sends_a_link_that_asks_and_confirms_logged_out(client: TestClient, cast: Cast) -> None:
    client.post("/api/v1/auth/register", json=NINA)
    client.post("/login", data=NINA)
    (mail,) = mails(cast)
    user_id = mail.subject_id
    assert (mail.recipient, mail.values["name"]) == ("nina@docket.example", "Nina New")
    path = path_of(mail.values["link"])
    assert "Please confirm your email address" in read(client.get("/account")).text
    with client_for(cast.database) as mailbox:
        page = mailbox.get(path)
        assert read(page).h1 == "Confirm your email address"
        assert (page.headers["referrer-policy"], page.headers["x-robots-tag"]) == ("strict-origin", "noindex")
        # Mail scanners follow links.
        assert confirmed_at(cast, user_id) is None
        answer = mailbox.post(path, data=read(page).form(path))
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "Your email address is confirmed." in read(mailbox.get("/")).text
        assert confirmed_at(cast, user_id) == NOW
        assert read(mailbox.get(path)).h1 == "Your email address is confirmed"
        assert mailbox.post(path).status_code == 303
    text = read(client.get("/account")).text
    assert "You’re signed in as nina@docket.example. Your email address is confirmed." in text
    assert "Send the email again" not in text
    with cast.database.reading() as session:
        event = session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "email_confirmed")).one()
    assert (event.actor_user_id, event.subject_id, event.details) == (user_id, user_id, {"by": "link"})


def test_a_link_does_not_name_the_address_and_ends_after_two_weeks(client: TestClient, cast: Cast) -> None:
    client.post("/api/v1/auth/register", json=NINA)
    client.post("/login", data=NINA)
    (mail,) = mails(cast)
    assert "nina" not in str(mail.values["link"])
    path, end = path_of(mail.values["link"]), NOW + timedelta(days=14)
    for now, status in ((end - timedelta(seconds=1), 200), (end, 404)):
        with client_for(cast.database, now=now) as mailbox:
            assert mailbox.get(path).status_code == status
            assert mailbox.post(path).status_code == (303 if status == 200 else 404)
    # Those that older versions have sent name the address, and confirm nothing else.
    with client_for(cast.database, now=end) as mailbox:
        assert mailbox.get(path_of([mail.subject_id, "nina@docket.example"])).status_code == 200


def test_another_address_purpose_or_key_confirms_nothing(client: TestClient, cast: Cast) -> None:
    alice = cast.alice
    cast.change(sa.update(User).values(email_confirmed_at=None))
    said = [alice.user_id, alice.email]
    cast.change(sa.update(User).where(User.id == cast.dave.user_id).values(active=False))
    for path in (
        path_of([alice.user_id, "old@docket.example"]),
        path_of([cast.dave.user_id, cast.dave.email]),
        path_of(said, purpose="visit"),
        path_of(said, keys="another-key-0123456789-abcdefghijklmnop"),
        path_of({"user": alice.user_id}),
        path_of([str(alice.user_id), alice.email]),
        "/email/confirm/nonsense",
    ):
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code == 404, path
            assert read(answer).h1 == "This link doesn’t work"
    assert confirmed_at(cast, alice.user_id) is None


def test_the_account_sends_the_mail_again_three_times_an_hour(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    cast.change(sa.update(User).where(User.id == cast.alice.user_id).values(email_confirmed_at=None))

    def again(minutes: int) -> int:
        with client_for(cast.database, now=NOW + timedelta(minutes=minutes)) as later:
            later.cookies.update(client.cookies)
            form = read(later.get("/account")).form("/account/email/confirmation")
            return later.post("/account/email/confirmation", data=form).status_code

    assert [again(minutes) for minutes in (0, 5, 10, 15, 60)] == [303, 303, 303, 429, 303]
    assert {mail.recipient for mail in mails(cast)} == {"alice@docket.example"}
    assert len(mails(cast)) == 4
    # There is nothing left to confirm.
    log_in(client, "dave")
    assert client.post("/account/email/confirmation").status_code == 303
    assert len(mails(cast)) == 4

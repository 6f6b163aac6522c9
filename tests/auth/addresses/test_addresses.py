"""Another e-mail address for an account: asked for with the password, confirmed by a link, told to the old address."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, SECRET_KEY, Cast, client_for, log_in
from tests.reading import read
from webapp.appointments import address_confirmation
from webapp.auth.addresses import service as addresses
from webapp.auth.passwords import password_links
from webapp.auth.schemas import Actor
from webapp.core.signing import sign
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError
from webapp.models import AuditEvent, OutboxMessage, PasswordLink, Patient, PatientWord, User

NEW = "alice.new@docket.example"


@pytest.fixture
def alice(client: TestClient) -> TestClient:
    """Alice's browser."""
    return log_in(client, "alice")


def ask(client: TestClient, email: str = NEW, password: str = PASSWORD) -> int:
    """Ask for another address as the account page does."""
    return client.post("/account/email", data={"email": email, "current": password}).status_code


def path_of(user_id: int, email: str) -> str:
    """The link that is sent to an address."""
    return f"/email/confirm/{sign([SECRET_KEY], 'confirm-email', [user_id, email])}"


def user_of(cast: Cast, actor: Actor) -> User:
    with cast.database.reading() as session:
        return session.get_one(User, actor.user_id)


def mails(cast: Cast) -> list[tuple[str, str, str]]:
    """Every message, as template, recipient and status, in order."""
    with cast.database.reading() as session:
        query = sa.select(OutboxMessage.template, OutboxMessage.recipient, OutboxMessage.status)
        return [(row[0], row[1], row[2]) for row in session.execute(query.order_by(OutboxMessage.id))]


def test_the_new_address_counts_once_its_link_is_followed(alice: TestClient, cast: Cast) -> None:
    assert ask(alice, NEW.upper()) == 303
    assert mails(cast) == [
        ("change_email", NEW, "waiting"),
        ("email_changed", "alice@docket.example", "waiting"),
    ]
    user = user_of(cast, cast.alice)
    assert (user.email, user.new_email) == ("alice@docket.example", NEW)
    page = read(alice.get("/account"))
    assert f"To switch to {NEW}, use the link" in page.text
    path = path_of(cast.alice.user_id, NEW)
    with client_for(cast.database) as mailbox:
        assert read(mailbox.get(path)).h1 == "Use this email address?"
        # Mail scanners follow links.
        assert user_of(cast, cast.alice).email == "alice@docket.example"
        assert mailbox.post(path).status_code == 303
        # Following it again does no harm.
        assert mailbox.post(path).status_code == 303
    user = user_of(cast, cast.alice)
    assert (user.email, user.email_confirmed_at, user.new_email) == (NEW, NOW, "")
    with cast.database.reading() as session:
        record = session.get_one(Patient, cast.patient_ids["alice"])
        words = set(session.scalars(sa.select(PatientWord.word).where(PatientWord.patient_id == record.id)))
        actions = list(session.scalars(sa.select(AuditEvent.action).order_by(AuditEvent.id)))
        waiting = session.scalars(sa.select(OutboxMessage.values).where(OutboxMessage.template == "email_changed"))
        assert [values["waiting"] for values in waiting] == [False]
    assert (record.email, words) == (NEW, {"alice", "adams", NEW})
    assert actions == ["email_change_requested", "email_changed"]
    # Alice is still signed in, and signs in with the new address from now on.
    assert f"signed in as {NEW}. Your email address is confirmed." in read(alice.get("/account")).text
    with client_for(cast.database) as browser:
        assert browser.post("/login", data={"email": NEW, "password": PASSWORD}).status_code == 303
        old = {"email": "alice@docket.example", "password": PASSWORD}
        assert browser.post("/login", data=old).status_code == 401


def test_another_password_asks_for_nothing_and_is_throttled(alice: TestClient, cast: Cast) -> None:
    answer = alice.post("/account/email", data={"email": NEW, "current": "a wrong password"})
    assert answer.status_code == 422
    assert "This is not your current password." in read(answer).text
    assert (mails(cast), user_of(cast, cast.alice).new_email) == ([], "")
    assert [ask(alice, password="a wrong password") for _ in range(10)][-1] == 429


@pytest.mark.parametrize(("email", "message"), [
    ("alice@docket.example", "This is already your email address."),
    ("no address", "Enter an email address like"),
    ("", "Enter your new email address."),
])  # fmt: skip
def test_an_address_that_makes_no_sense_is_refused(alice: TestClient, cast: Cast, email: str, message: str) -> None:
    answer = alice.post("/account/email", data={"email": email, "current": PASSWORD})
    assert answer.status_code == 422
    assert message in read(answer).text
    assert mails(cast) == []


def test_staff_change_their_address_in_the_same_way(client: TestClient, cast: Cast) -> None:
    bob = log_in(client, "bob")
    assert ask(bob, "bob.new@docket.example") == 303
    assert bob.post(path_of(cast.bob.user_id, "bob.new@docket.example")).status_code == 303
    assert user_of(cast, cast.bob).email == "bob.new@docket.example"


def test_whether_another_account_has_the_address_only_its_owner_learns(alice: TestClient, cast: Cast) -> None:
    assert ask(alice, "dave@docket.example") == 303
    assert "Another account" not in read(alice.get("/account")).text
    with client_for(cast.database) as mailbox:
        answer = mailbox.post(path_of(cast.alice.user_id, "dave@docket.example"))
    assert answer.status_code == 409
    assert "Another account already has this email address." in read(answer).text
    assert user_of(cast, cast.alice).email == "alice@docket.example"


@pytest.mark.parametrize("by_mail", [True, False])
def test_a_new_password_ends_the_change_of_a_former_user(alice: TestClient, cast: Cast, by_mail: bool) -> None:
    """A stranger may register with another person's address, ask for their own, and wait until the owner has it."""
    token = cast.database.write(
        password_links.create_password_link, cast.alice.user_id, now=NOW, lifetime=timedelta(hours=1)
    )
    theirs = "stranger@docket.example"
    assert ask(alice, theirs) == 303
    new = "walrus teapot orbit"
    if by_mail:
        with client_for(cast.database) as owner:
            assert owner.post(f"/password/reset/{token}", data={"new": new}).status_code == 303
    else:
        assert alice.post("/account/password", data={"current": PASSWORD, "new": new}).status_code == 303
    with client_for(cast.database) as stranger:
        assert stranger.post(path_of(cast.alice.user_id, theirs)).status_code == 404
    user = user_of(cast, cast.alice)
    assert (user.email, user.new_email, user.new_email_until) == ("alice@docket.example", "", None)


def test_a_link_that_is_no_longer_wanted_opens_nothing(alice: TestClient, cast: Cast) -> None:
    links = {email: path_of(cast.alice.user_id, email) for email in ("one@docket.example", "two@docket.example")}
    ask(alice, "one@docket.example")
    ask(alice, "two@docket.example")
    # The mail with the first link is not sent any more.
    assert "one@docket.example" not in {recipient for _template, recipient, _status in mails(cast)}
    assert alice.post(links["one@docket.example"]).status_code == 404
    with client_for(cast.database, now=NOW + addresses.LIFETIME) as late:
        assert late.post(links["two@docket.example"]).status_code == 404
    assert alice.post("/account/email/withdrawal").status_code == 303
    assert alice.post(links["two@docket.example"]).status_code == 404
    assert (user_of(cast, cast.alice).email, user_of(cast, cast.alice).new_email) == ("alice@docket.example", "")
    # A link to the old address opens nothing once the account has another one.
    cast.change(
        sa.update(User).where(User.id == cast.alice.user_id).values(new_email=NEW, new_email_until=NOW + timedelta(1))
    )
    assert alice.post(path_of(cast.alice.user_id, NEW)).status_code == 303
    assert alice.post(path_of(cast.alice.user_id, "alice@docket.example")).status_code == 404


def test_links_that_set_a_password_end_with_the_old_address(alice: TestClient, cast: Cast) -> None:
    """A person who reads the old mailbox could set the password with a link that was sent there."""
    token = cast.database.write(
        password_links.create_password_link, cast.alice.user_id, now=NOW, lifetime=timedelta(days=1)
    )
    with client_for(cast.database) as stranger:
        stranger.post("/password/forgot", data={"email": "alice@docket.example"})
    ask(alice)
    alice.post(path_of(cast.alice.user_id, NEW))
    with cast.database.reading() as session:
        assert session.scalars(sa.select(PasswordLink)).all() == []
    assert "password_reset" not in {template for template, _recipient, _status in mails(cast)}
    assert alice.get(f"/password/reset/{token}").status_code == 404


def test_mailboxes_are_not_flooded(alice: TestClient, cast: Cast) -> None:
    assert [ask(alice, f"mailbox{number}@docket.example") for number in range(4)] == [303, 303, 303, 429]
    assert alice.post("/account/email/confirmation").status_code == 429
    with client_for(cast.database, now=NOW + addresses.WINDOW) as later:
        log_in(later, "alice")
        assert later.post("/account/email/confirmation").status_code == 303
    recipients = [recipient for template, recipient, _status in mails(cast) if template == "change_email"]
    assert recipients == ["mailbox2@docket.example"] * 2


def test_many_accounts_do_not_flood_one_mailbox(cast: Cast) -> None:
    answers = []
    for name in ("alice", "dave", "bob", "erin"):
        with client_for(cast.database) as browser:
            log_in(browser, name)
            answers.append(ask(browser))
    assert answers == [303, 303, 303, 429]
    assert [mail[0] for mail in mails(cast) if mail[1] == NEW] == ["change_email"] * 3


def test_of_two_accounts_that_take_one_address_concurrently_one_gets_it(cast: Cast) -> None:
    for attempt in range(5):
        email = f"shared{attempt}@docket.example"
        until = NOW + timedelta(days=1)
        both = [cast.alice.user_id, cast.dave.user_id]
        cast.change(sa.update(User).where(User.id.in_(both)).values(new_email=email, new_email_until=until))
        start = Barrier(2)

        def confirm(user_id: int, email: str = email, start: Barrier = start) -> str:
            database = wired_database(cast.url)
            try:
                start.wait()
                said = [user_id, email]
                database.write(address_confirmation.confirm_address, said, actor=None, address="", now=NOW)
            except AppError as error:
                return type(error).__name__
            finally:
                database.dispose()
            return "done"

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(confirm, both)) == ["AddressTaken", "done"]
        with cast.database.reading() as session:
            records = {row.user_id: row.email for row in session.scalars(sa.select(Patient))}
            accounts = {row.id: row.email for row in session.scalars(sa.select(User))}
        assert {number: accounts[number] for number in both} == records


def test_one_link_that_is_followed_twice_concurrently_changes_the_address_once(cast: Cast) -> None:
    until = NOW + timedelta(days=1)
    cast.change(sa.update(User).where(User.id == cast.alice.user_id).values(new_email=NEW, new_email_until=until))
    start = Barrier(2)

    def confirm(now: datetime) -> str:
        database = wired_database(cast.url)
        start.wait()
        said = [cast.alice.user_id, NEW]
        email = database.write(address_confirmation.confirm_address, said, actor=None, address="", now=now).email
        database.dispose()
        return email

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(confirm, [NOW, NOW])) == [NEW, NEW]
    with cast.database.reading() as session:
        actions = session.scalars(sa.select(AuditEvent.action).where(AuditEvent.action == "email_changed")).all()
    assert actions == ["email_changed"]

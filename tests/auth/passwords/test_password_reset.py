"""Password reset: the link in the mail, and that the answers do not reveal which accounts exist."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, SECRET_KEY, Cast, client_for, log_in
from tests.reading import read
from webapp.auth import feeds, tokens
from webapp.auth.login_throttle import HOURLY
from webapp.auth.passwords import password_links, password_reset
from webapp.core.signing import sign
from webapp.models import OutboxMessage, PasswordLink, User, UserSession

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
NEW = "walrus teapot orbit"


def mails(cast: Cast) -> list[OutboxMessage]:
    with cast.database.reading() as session:
        query = sa.select(OutboxMessage).where(OutboxMessage.template == "password_reset").order_by(OutboxMessage.id)
        return list(session.scalars(query))


def count(cast: Cast, model: type[PasswordLink | UserSession]) -> int:
    with cast.database.reading() as session:
        return session.scalar(sa.select(sa.func.count(model.id))) or 0


def path_of(mail: OutboxMessage) -> str:
    """The address in the mail, signed as when the mail is written."""
    return f"/password/reset/{sign([SECRET_KEY], 'password', mail.values['nonce'])}"


def ask(client: TestClient, email: str) -> str:
    answer = client.post("/password/forgot", data={"email": email})
    assert (answer.status_code, answer.headers["location"]) == (303, "/password/forgot?sent=1")
    return answer.text


def test_from_the_log_in_page_to_a_new_password_that_ends_every_session(client: TestClient, cast: Cast) -> None:
    with client_for(cast.database) as elsewhere:
        log_in(elsewhere, "alice")
        assert "/password/forgot" in read(client.get("/login")).links
        form = read(client.get("/password/forgot")).form("/password/forgot")
        assert form == {"email": "", "next": ""}
        ask(client, " Alice@Docket.example ")
        assert "within one hour" in read(client.get("/password/forgot?sent=1")).text
        (mail,) = mails(cast)
        assert (mail.recipient, mail.subject_id) == ("alice@docket.example", cast.alice.user_id)
        assert mail.expires_at == NOW + HOUR
        clinic = {
            "name": "Harbour Lane Clinic",
            "address": "18 Harbour Lane",
            "phone": "020 123 4567",
            "phone_link": "+31201234567",
            "time_zone": "Europe/Amsterdam",
        }
        assert mail.values == {"nonce": mail.values["nonce"], "name": "Alice Adams", "clinic": clinic}
        assert "alice@docket.example" in read(client.get(path_of(mail))).text
        answer = client.post(path_of(mail), data={"new": NEW})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert elsewhere.get("/account").status_code == 303
    # The link works once.
    assert client.post(path_of(mail), data={"new": NEW}).status_code == 404
    assert client.post("/login", data={"email": "alice@docket.example", "password": NEW}).status_code == 303


def test_a_password_reset_ends_the_calendar_link(client: TestClient, cast: Cast) -> None:
    with log_in(client_for(cast.database), "alice") as stranger:
        stranger.post("/account/calendar")
    with cast.database.reading() as session:
        feed = feeds.feed_path(session, cast.alice, [SECRET_KEY])
    assert feed is not None
    assert client.get(feed).status_code == 200
    ask(client, "alice@docket.example")
    (mail,) = mails(cast)
    client.post(path_of(mail), data={"new": NEW})
    assert "Your calendar link no longer works" in read(client.get("/login")).text
    assert client.get(feed).status_code == 404


def test_the_link_is_valid_for_an_hour_and_the_database_does_not_hold_it(client: TestClient, cast: Cast) -> None:
    ask(client, "alice@docket.example")
    (mail,) = mails(cast)
    token = path_of(mail).rpartition("/")[2]
    with cast.database.reading() as session:
        assert session.scalars(sa.select(PasswordLink.token_hash)).one() == tokens.hashed(token)
    for moment, status in ((NOW + HOUR - SECOND, 200), (NOW + HOUR, 404)):
        with client_for(cast.database, now=moment) as later:
            answer = later.get(path_of(mail))
        assert answer.status_code == status
        assert (answer.headers["referrer-policy"], answer.headers["x-robots-tag"]) == ("strict-origin", "noindex")
        assert answer.headers["cache-control"] == "no-store"


def test_unknown_and_disabled_accounts_get_the_same_answer_and_no_mail(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(User).where(User.id == cast.dave.user_id).values(active=False))
    answers = {ask(client, f"{name}@docket.example") for name in ("alice", "dave", "nobody")}
    assert len(answers) == 1
    assert [mail.recipient for mail in mails(cast)] == ["alice@docket.example"]
    assert count(cast, PasswordLink) == 1


@pytest.mark.both_databases
def test_the_same_statements_run_for_every_address(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(User).where(User.id == cast.dave.user_id).values(active=False))

    def statements(email: str) -> list[str]:
        seen: list[str] = []

        def note(*args: object) -> None:
            # Statements in savepoints count whether they are kept or rolled back.
            seen.append(str(args[2]).removeprefix("RELEASE ").removeprefix("ROLLBACK TO "))

        sa.event.listen(cast.database.engine, "before_cursor_execute", note)
        ask(client, email)
        sa.event.remove(cast.database.engine, "before_cursor_execute", note)
        return seen

    ask(client, "carol@docket.example")
    known = statements("alice@docket.example")
    assert known == statements("nobody@docket.example") == statements("dave@docket.example")
    assert any("INSERT INTO outbox_messages" in each for each in known)


def test_at_most_three_mails_an_hour_are_sent_and_the_answer_stays_the_same(client: TestClient, cast: Cast) -> None:
    answers = {ask(client, "alice@docket.example") for _ in range(5)}
    assert (len(answers), len(mails(cast))) == (1, 3)
    # All of them work, because after two requests the first mail may be read first.
    assert all(client.get(path_of(mail)).status_code == 200 for mail in mails(cast))
    with client_for(cast.database, now=NOW + HOUR) as later:
        ask(later, "alice@docket.example")
    assert len(mails(cast)) == 4
    assert count(cast, PasswordLink) == 1


def test_the_requests_of_one_network_are_limited(client: TestClient, cast: Cast) -> None:
    for number in range(HOURLY.here):
        ask(client, f"nobody{number}@docket.example")
    answers = [client.post("/password/forgot", data={"email": f"{name}@docket.example"}) for name in ("alice", "x")]
    assert [answer.status_code for answer in answers] == [429, 429]
    assert answers[0].headers["retry-after"] == "3600"
    assert "Wait 1 hour" in read(answers[0]).text
    assert mails(cast) == []
    # Requesting a reset is not a failed sign-in.
    log_in(client, "alice")
    with client_for(cast.database, now=NOW + HOUR) as later:
        ask(later, "alice@docket.example")


def test_an_invalid_address_is_reported_beside_the_field(client: TestClient, cast: Cast) -> None:
    for typed, words in (("", "Enter your email address."), ("alice", "like name@example.org")):
        answer = client.post("/password/forgot", data={"email": typed})
        assert answer.status_code == 422
        assert words in read(answer).text
        assert read(answer).form("/password/forgot") == {"email": typed, "next": ""}


def test_requesting_a_reset_does_not_end_the_link_for_a_first_password(client: TestClient, cast: Cast) -> None:
    first = cast.database.write(
        password_links.create_password_link, cast.dave.user_id, now=NOW, lifetime=password_links.FIRST_PASSWORD_LIFETIME
    )
    ask(client, "dave@docket.example")
    assert client.get(f"/password/reset/{first}").status_code == 200
    (mail,) = mails(cast)
    assert client.post(path_of(mail), data={"new": NEW}).status_code == 303
    assert client.get(f"/password/reset/{first}").status_code == 404
    assert password_reset.RESET_LIFETIME < password_links.FIRST_PASSWORD_LIFETIME

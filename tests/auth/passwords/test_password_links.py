"""Links that set a password once, on both databases; and the page behind them."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import LETTERHEAD, NOW, PASSWORD, Cast, client_for, log_in
from tests.reading import read
from webapp.auth import service, sessions, tokens
from webapp.auth.exceptions import EmailTaken, LinkNotValid
from webapp.auth.passwords import password_links
from webapp.auth.passwords import service as passwords
from webapp.models import AuditEvent, PasswordLink, User, UserSession

WEEK, SECOND = timedelta(days=7), timedelta(seconds=1)
NEW = "walrus teapot orbit"


def make(cast: Cast, user_id: int | None = None) -> str:
    """The token of a new link, by default for Alice."""
    return cast.database.write(
        password_links.create_password_link,
        user_id or cast.alice.user_id,
        now=NOW,
        lifetime=password_links.FIRST_PASSWORD_LIFETIME,
    )


def use(cast: Cast, token: str, *, now: object = NOW) -> None:
    """Set a password with it."""
    cast.database.write(password_links.use_password_link, tokens.hashed(token), "a new hash", LETTERHEAD, now=now)  # type: ignore[arg-type]


def stored(cast: Cast) -> str | None:
    """The hash of Alice's password."""
    with cast.database.reading() as session:
        return session.scalar(sa.select(User.password_hash).where(User.id == cast.alice.user_id))


def test_a_link_sets_the_password_once(cast: Cast) -> None:
    token = make(cast)
    use(cast, token)
    assert stored(cast) == "a new hash"
    with pytest.raises(LinkNotValid) as caught:
        use(cast, token)
    assert caught.value.status == 404
    with cast.database.reading() as session:
        event = session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "password_changed")).one()
        assert (event.subject_type, event.subject_id) == ("user", cast.alice.user_id)
        assert token not in str(event.details)


def test_only_the_hash_of_a_token_is_stored(cast: Cast) -> None:
    token = make(cast)
    with cast.database.reading() as session:
        row = session.execute(sa.select(*PasswordLink.__table__.columns)).one()
    assert row.token_hash == tokens.hashed(token)
    assert token not in str(row)
    with pytest.raises(LinkNotValid), cast.database.reading() as session:
        password_links.find_password_link(session, row.token_hash, now=NOW)


def test_expired_used_replaced_unknown_and_disabled_are_one_answer(cast: Cast) -> None:
    replaced = make(cast)
    used = make(cast)
    use(cast, used)
    expired, disabled = make(cast), make(cast, cast.dave.user_id)
    cast.change(sa.update(User).where(User.id == cast.dave.user_id).values(active=False))
    answers = set()
    for token, now in (
        (replaced, NOW),
        (used, NOW),
        (expired, NOW + WEEK),
        (disabled, NOW),
        ("nobody's", NOW),
        ("", NOW),
    ):
        with pytest.raises(LinkNotValid) as caught:
            use(cast, token, now=now)
        with pytest.raises(LinkNotValid) as seen, cast.database.reading() as session:
            password_links.find_password_link(session, token, now=now)
        answers |= {caught.value.message, seen.value.message}
    assert len(answers) == 1
    use(cast, expired, now=NOW + WEEK - SECOND)


def test_setting_a_password_ends_every_session_of_the_account_and_the_browsers_own(cast: Cast) -> None:
    def sign_in(user_id: int) -> str:
        return cast.database.write(sessions.start_session, user_id, address="", user_agent="", now=NOW)

    hers = [sign_in(cast.alice.user_id) for _ in range(2)]
    browsers, elsewhere = sign_in(cast.carol.user_id), sign_in(cast.carol.user_id)
    cast.database.write(
        password_links.use_password_link,
        tokens.hashed(make(cast)),
        "a new hash",
        LETTERHEAD,
        now=NOW,
        previous=browsers,
    )
    with cast.database.reading() as session:
        left = [
            each
            for each in (*hers, browsers, elsewhere)
            if sessions.find_actor(session, each, address="", now=NOW) is not None
        ]
    assert left == [elsewhere]


def test_of_two_concurrent_uses_of_a_link_one_sets_the_password(cast: Cast) -> None:
    for _ in range(5):
        token = make(cast)

        def attempt(number: int, token: str = token) -> bool:
            try:
                cast.database.write(
                    password_links.use_password_link, tokens.hashed(token), f"hash {number}", LETTERHEAD, now=NOW
                )
            except LinkNotValid:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(attempt, range(4))) == 1


def test_of_links_that_are_created_concurrently_one_remains(cast: Cast) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _number: make(cast), range(8)))
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(PasswordLink.id))) == 1


def test_changing_the_password_in_the_account_ends_the_link(cast: Cast, client: TestClient) -> None:
    token = make(cast)
    log_in(client, "alice")
    answer = client.post("/account/password", data={"current": PASSWORD, "new": NEW})
    assert answer.status_code == 303
    assert client.get(f"/password/reset/{token}").status_code == 404


def test_an_invited_user_can_sign_in_only_after_choosing_a_password(cast: Cast) -> None:
    user_id = cast.database.write(
        service.create_invited_user, cast.carol, "ivy@docket.example", "Ivy Invited", "admin", now=NOW
    )
    token = cast.database.write(
        password_links.create_password_link, user_id, now=NOW, lifetime=password_links.FIRST_PASSWORD_LIFETIME
    )
    with cast.database.reading() as session:
        account = service.find_account(session, "ivy@docket.example")
        event = session.scalars(sa.select(AuditEvent).where(AuditEvent.subject_id == user_id)).one()
    assert account is not None
    assert not any(passwords.verify(guess, account.password_hash)[0] for guess in ("", account.password_hash, PASSWORD))
    assert (event.action, event.actor_user_id, event.actor_role) == ("user_created", cast.carol.user_id, "admin")
    with client_for(cast.database) as client:
        answer = client.post(f"/password/reset/{token}", data={"new": NEW})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert client.post("/login", data={"email": "ivy@docket.example", "password": NEW}).status_code == 303
    with pytest.raises(EmailTaken):
        cast.database.write(service.create_invited_user, cast.carol, "Ivy@docket.example", "Ivy", "admin", now=NOW)


def test_verifying_against_no_password_takes_the_usual_parameters() -> None:
    assert passwords.unusable_hash() != passwords.unusable_hash()
    assert passwords.unusable_hash().split("$")[:4] == passwords.hash_password(PASSWORD).split("$")[:4]
    assert not passwords.verify(PASSWORD, passwords.unusable_hash())[0]


# ---------------------------------------------------------------------------------------------------- pages


def test_the_page_sets_the_password_and_signs_out_everywhere(cast: Cast, client: TestClient) -> None:
    address = f"/password/reset/{make(cast)}"
    log_in(client, "alice")
    page = read(client.get(address))
    assert page.h1 == "Choose a password"
    assert "alice@docket.example" in page.text
    answer = client.post(address, data={**page.form(address), "new": NEW})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    page = read(client.get("/login"))
    assert "Your password is set. You can now sign in." in page.text
    assert client.get("/account").status_code == 303
    assert client.post("/login", data={"email": "alice@docket.example", "password": NEW}).status_code == 303
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(UserSession.id))) == 1


def test_a_weak_password_is_refused_and_the_link_still_works(cast: Cast, client: TestClient) -> None:
    address = f"/password/reset/{make(cast)}"
    for new, words in (
        ("", "Choose a password."),
        ("short", "Use at least 12 characters."),
        ("password1234", "people often use for passwords"),
        ("alice@docket.example", "your name or email address"),
    ):
        answer = client.post(address, data={"new": new})
        assert answer.status_code == 422
        page = read(answer)
        assert words in page.one(id="new-error").text
        assert page.form(address)["new"] == ""
    assert client.post(address, data={"new": NEW}).status_code == 303


def test_an_invalid_link_says_what_to_do(cast: Cast, client: TestClient) -> None:
    used = make(cast)
    client.post(f"/password/reset/{used}", data={"new": NEW})
    client.cookies.clear()
    answers = [client.get(f"/password/reset/{token}") for token in (used, "nobodys", "x" * 100)]
    answers += [client.post(f"/password/reset/{token}", data={"new": new}) for token, new in ((used, NEW), ("x", ""))]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    page = read(answers[0])
    assert page.h1 == "This link doesn’t work"
    assert "call us on 020 123 4567" in page.text
    assert client.get(f"/password/reset/{'x' * 5000}").status_code == 404


def test_the_address_is_neither_cached_nor_sent_as_referrer(cast: Cast, client: TestClient) -> None:
    token = make(cast)
    for answer in (client.get(f"/password/reset/{token}"), client.get("/password/reset/unknown")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "strict-origin"
        page = read(answer)
        assert all(each.startswith(("/", "#", "tel:")) for each in page.links)


@pytest.mark.both_databases
def test_the_token_is_in_no_log_when_something_breaks(
    cast: Cast, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    token = make(cast)
    cast.change(sa.text("ALTER TABLE password_links RENAME TO lost"))  # type: ignore[arg-type]
    try:
        with caplog.at_level(logging.INFO):
            assert client.get(f"/password/reset/{token}").status_code == 500
    finally:
        cast.change(sa.text("ALTER TABLE lost RENAME TO password_links"))  # type: ignore[arg-type]
    # The HTTP client of the tests writes a log, too.
    ours = [record for record in caplog.records if record.name.startswith("webapp")]
    assert any("/password/reset/…" in record.getMessage() for record in ours)
    assert not any(token in logging.Formatter().format(record) for record in ours)

"""Signing in, throttling, and what ends a session, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from tests.cast import LETTERHEAD, NOW, PASSWORD, Cast
from webapp.auth import login_throttle, service, sessions, tokens
from webapp.auth.exceptions import (
    AttemptsUnderWay,
    EmailTaken,
    TooManyLogins,
    TooManyRegistrations,
    WrongCredentials,
    WrongCurrentPassword,
)
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import Actor, ChangePassword, LogIn
from webapp.core import networks
from webapp.exceptions import AppError, Invalid, NotFound
from webapp.models import AuditEvent, FailedLogin, User, UserSession

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
HOME, THIEF, CAFE = "192.0.2.10", "203.0.113.66", "198.51.100.7"


def log_in(
    cast: Cast,
    *,
    email: str = "alice@docket.example",
    password: str = PASSWORD,
    address: str = HOME,
    device: str = "",
    now: datetime = NOW,
) -> str:
    """All steps of a sign-in, as the page takes them; returns the session's secret id."""
    database = cast.database
    command = LogIn(email=email, password=password, address=address, user_agent="Tests", known_device=device)
    attempt = database.write(service.admit_login, command, now=now)
    with database.reading() as session:
        account = service.find_account(session, command.email)
    try:
        verified = service.verify_login(account, command.password)
        return database.write(service.finish_login, attempt, verified, command, now=now)
    except WrongCredentials:
        database.write(login_throttle.mark_failed, attempt)
        raise


def fail(
    cast: Cast,
    times: int = 1,
    *,
    email: str = "alice@docket.example",
    address: str = THIEF,
    device: str = "",
    now: datetime = NOW,
) -> None:
    """Sign in with a wrong password this many times."""
    for _ in range(times):
        with pytest.raises(WrongCredentials):
            log_in(cast, email=email, password="wrong", address=address, device=device, now=now)


def note(
    cast: Cast,
    times: int,
    *,
    email: str = "alice@docket.example",
    address: str = THIEF,
    device: str = "",
    now: datetime = NOW,
) -> None:
    """Record failures without the time for verifying a password."""
    command = LogIn(email=email, password="", address=address, known_device=device)

    def judged(session: Session) -> None:
        login_throttle.mark_failed(session, service.admit_login(session, command, now=now))

    for _ in range(times):
        cast.database.write(judged)


def actor_of(cast: Cast, secret: str, *, now: datetime = NOW, address: str = HOME) -> sessions.SignedIn | None:
    """The actor to whom the secret belongs now."""
    with cast.database.reading() as session:
        return sessions.find_actor(session, secret, address=address, now=now)


def count(cast: Cast, table: type[FailedLogin | UserSession]) -> int:
    """The number of rows."""
    with cast.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


# ------------------------------------------------------------------------------------------------ signing in


def test_the_right_password_signs_in_and_is_no_failure(cast: Cast) -> None:
    signed_in = actor_of(cast, log_in(cast))
    assert signed_in is not None
    actor = signed_in.actor
    assert actor == cast.alice._replace(session_id=actor.session_id, address=HOME)
    assert not signed_in.touch
    assert count(cast, FailedLogin) == 0


def test_an_address_is_the_same_in_any_case_and_with_spaces(cast: Cast) -> None:
    assert log_in(cast, email="  ALICE@Docket.Example ")


def test_unknown_disabled_and_wrong_are_one_answer(cast: Cast) -> None:
    cast.change(sa.update(User).where(User.email == "dave@docket.example").values(active=False))
    answers = []
    for email, password in (
        ("alice@docket.example", "wrong"),
        ("nobody@docket.example", PASSWORD),
        ("dave@docket.example", PASSWORD),
        ("dave@docket.example", "wrong"),
        ("", ""),
    ):
        with pytest.raises(AppError) as caught:
            log_in(cast, email=email, password=password)
        answers.append((type(caught.value), caught.value.status, caught.value.code, caught.value.message))
    assert len(set(answers)) == 1
    assert answers[0][:2] == (WrongCredentials, 401)
    assert count(cast, FailedLogin) == 5


def test_the_record_of_a_failure_names_no_account(cast: Cast) -> None:
    fail(cast)
    with cast.database.reading() as session:
        row = session.execute(sa.select(*FailedLogin.__table__.columns)).one()
    assert "alice" not in str(row)
    assert row.address == THIEF


def test_a_hash_with_old_parameters_is_renewed_at_log_in(cast: Cast) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=32, parallelism=1).hash(PASSWORD)
    mine = User.email == "alice@docket.example"
    cast.change(sa.update(User).where(mine).values(password_hash=old))
    fail(cast)
    with cast.database.reading() as session:
        assert session.scalar(sa.select(User.password_hash).where(mine)) == old
    log_in(cast)
    with cast.database.reading() as session:
        renewed = session.scalar(sa.select(User.password_hash).where(mine))
    assert renewed != old
    assert log_in(cast)
    with cast.database.reading() as session:
        assert session.scalar(sa.select(User.password_hash).where(mine)) == renewed


# ------------------------------------------------------------------------------------------------ throttling


def test_ten_failures_throttle_an_address_for_fifteen_minutes(cast: Cast) -> None:
    fail(cast, 2)
    note(cast, 7, email="somebody@docket.example")
    fail(cast, 1, email="dave@docket.example", now=NOW + 5 * MINUTE)
    for email in ("alice@docket.example", "carol@docket.example", "nobody@docket.example"):
        with pytest.raises(TooManyLogins) as caught:
            log_in(cast, email=email, address=THIEF, now=NOW + 5 * MINUTE)
        assert (caught.value.status, caught.value.retry_after) == (429, 600)
        assert "Wait 10 minutes" in caught.value.message
    with pytest.raises(TooManyLogins):
        log_in(cast, address=THIEF, now=NOW + 15 * MINUTE - SECOND)
    assert log_in(cast, address=THIEF, now=NOW + 15 * MINUTE)


def test_nine_failures_leave_one_more_attempt(cast: Cast) -> None:
    note(cast, 9)
    fail(cast)
    with pytest.raises(TooManyLogins):
        log_in(cast, address=THIEF)
    assert log_in(cast, address=HOME, now=NOW + MINUTE)


def test_a_success_in_between_does_not_reset_the_failures(cast: Cast) -> None:
    note(cast, 9)
    assert log_in(cast, email="dave@docket.example", address=THIEF)
    fail(cast)
    with pytest.raises(TooManyLogins):
        log_in(cast, email="dave@docket.example", address=THIEF)


def test_refused_attempts_do_not_extend_the_wait(cast: Cast) -> None:
    note(cast, 10)
    for minute in range(1, 15):
        with pytest.raises(TooManyLogins):
            log_in(cast, address=THIEF, now=NOW + minute * MINUTE)
    assert log_in(cast, address=THIEF, now=NOW + 15 * MINUTE)


def test_guesses_at_one_account_wait_longer_and_longer_wherever_they_come_from(cast: Cast) -> None:
    for number in range(10):
        note(cast, 1, address=f"203.{number}.113.7")
    now, waits = NOW, []
    for number in range(8):
        with pytest.raises(TooManyLogins) as caught:
            admit(cast, address=f"198.{number}.100.7", now=now)
        waits.append(caught.value.retry_after // 60)
        now += timedelta(seconds=caught.value.retry_after)
        note(cast, 1, address=f"198.{number}.100.7", now=now)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert log_in(cast, address="203.0.113.7", email="dave@docket.example", now=now)
    # The owner's own browser has never waited, and on the next day all browsers get in again.
    assert log_in(cast, device="known", now=now)
    assert log_in(cast, address=HOME, now=now + timedelta(days=1))


def test_three_hundred_networks_get_ten_guesses_at_an_account(cast: Cast) -> None:
    taken = 0
    for number in range(300):
        try:
            note(cast, 1, address=f"10.{number // 250}.{number % 250}.9")
            taken += 1
        except TooManyLogins:
            continue
    assert taken == 10
    assert log_in(cast, device="known")


@pytest.mark.parametrize(("pattern", "limit"), [("2001:db8:1:{:02x}::1", 20), ("2001:db8:1:{:02x}00::1", 60)])
def test_the_networks_of_one_household_or_provider_are_counted_together(
    sqlite_cast: Cast, pattern: str, limit: int
) -> None:
    for number in range(limit):
        note(sqlite_cast, 1, address=pattern.format(number), email=f"{number}@docket.example")
    with pytest.raises(TooManyLogins):
        admit(sqlite_cast, address=pattern.format(limit))
    assert admit(sqlite_cast, address="2001:db8:2::1")


def test_the_api_and_the_pages_are_counted_apart(cast: Cast) -> None:
    command = LogIn(email="nobody@docket.example", password="", address=HOME, by_api=True)
    for _ in range(10):
        cast.database.write(
            lambda session: login_throttle.mark_failed(session, service.admit_login(session, command, now=NOW))
        )
    with pytest.raises(TooManyLogins):
        cast.database.write(service.admit_login, command, now=NOW)
    assert log_in(cast, address=HOME)


def test_a_new_password_by_link_forgets_the_guesses(cast: Cast) -> None:
    note(cast, 10, address="203.0.113.7")
    with pytest.raises(TooManyLogins):
        admit(cast)
    cast.database.write(login_throttle.forget_account, service.account_key("alice@docket.example"))
    assert log_in(cast)


def test_a_known_browser_gets_in_despite_the_failures_of_others(cast: Cast) -> None:
    note(cast, 10, address=HOME)
    with pytest.raises(TooManyLogins):
        log_in(cast, address=HOME)
    assert log_in(cast, address=HOME, device="known")


def test_a_known_browser_is_throttled_by_its_own_failures_alone(cast: Cast) -> None:
    note(cast, 10, address=HOME, device="known")
    with pytest.raises(TooManyLogins):
        log_in(cast, address=CAFE, device="known")
    assert log_in(cast, address=HOME)
    assert log_in(cast, address=HOME, device="another")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.10", "192.0.2.10"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("::ffff:192.0.2.10", "192.0.2.10"),
        ("::ffff:c000:20b", "192.0.2.11"),
        ("64:ff9b::192.0.2.10", "192.0.2.10"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", "testclient"),
        ("x" * 100, "x" * 45),
        ("", ""),
    ],
)
def test_a_network_is_an_ipv4_address_or_a_households_ipv6_prefix(address: str, network: str) -> None:
    assert networks.network_of(address) == network


def test_ipv6_addresses_of_one_household_are_one(cast: Cast) -> None:
    for number in range(10):
        note(cast, 1, address=f"2001:db8:1:2::{number:x}", email=f"{number}@docket.example")
    with pytest.raises(TooManyLogins):
        log_in(cast, address="2001:db8:1:2:aaaa::1")
    assert log_in(cast, address="2001:db8:1:3::1")


def test_failures_that_no_longer_count_are_forgotten(cast: Cast) -> None:
    note(cast, 3)
    note(cast, 1, now=NOW + timedelta(days=1, minutes=1))
    assert count(cast, FailedLogin) == 1


def admit(cast: Cast, *, email: str = "alice@docket.example", address: str = HOME, now: datetime = NOW) -> int:
    """Start an attempt and leave it pending."""
    command = LogIn(email=email, password="", address=address)
    return cast.database.write(service.admit_login, command, now=now)


def test_at_most_ten_attempts_are_pending_and_others_wait_for_seconds(cast: Cast) -> None:
    pending = [admit(cast, email=f"{number}@docket.example") for number in range(10)]
    with pytest.raises(AttemptsUnderWay) as caught:
        log_in(cast)
    assert (caught.value.status, caught.value.retry_after) == (429, 2)
    assert "Try again in a few seconds." in caught.value.message
    cast.database.write(login_throttle.forget, pending[0])
    assert log_in(cast)


def test_failures_and_pending_attempts_are_counted_together(cast: Cast) -> None:
    note(cast, 7, address=HOME)
    pending = [admit(cast) for _ in range(3)]
    with pytest.raises(AttemptsUnderWay):
        admit(cast)
    for attempt in pending:
        cast.database.write(login_throttle.mark_failed, attempt)
    with pytest.raises(TooManyLogins):
        admit(cast)


def test_an_attempt_without_a_result_counts_for_a_minute(cast: Cast) -> None:
    for _ in range(10):
        admit(cast)
    with pytest.raises(AttemptsUnderWay):
        admit(cast, now=NOW + MINUTE - SECOND)
    assert log_in(cast, now=NOW + MINUTE)


def test_of_fifty_concurrent_guesses_at_most_ten_count(cast: Cast) -> None:
    def guess(number: int) -> bool:
        try:
            admit(cast, email=f"{number}@docket.example")
        except AttemptsUnderWay:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(guess, range(50))) == 10


def test_twenty_registrations_of_a_network_an_hour_are_enough(cast: Cast) -> None:
    def register(session: Session) -> None:
        login_throttle.mark_failed(session, login_throttle.admit_registration(session, address=THIEF, now=NOW))

    for _ in range(20):
        cast.database.write(register)
    # A sign-in in between deletes only what no longer counts.
    assert log_in(cast, address=THIEF, now=NOW + 30 * MINUTE)
    with pytest.raises(TooManyRegistrations) as caught:
        cast.database.write(login_throttle.admit_registration, address=THIEF, now=NOW + 45 * MINUTE)
    assert (caught.value.status, caught.value.retry_after) == (429, 900)
    assert "Wait 15 minutes" in caught.value.message
    assert cast.database.write(login_throttle.admit_registration, address=HOME, now=NOW + 45 * MINUTE)
    assert cast.database.write(login_throttle.admit_registration, address=THIEF, now=NOW + 60 * MINUTE)


# -------------------------------------------------------------------------------------------------- sessions


def test_a_session_lasts_thirty_days_and_no_second_longer(cast: Cast) -> None:
    secret = log_in(cast)
    assert actor_of(cast, secret, now=NOW + timedelta(days=30) - SECOND)
    assert actor_of(cast, secret, now=NOW + timedelta(days=30)) is None
    log_in(cast, email="dave@docket.example", now=NOW + timedelta(days=31))
    assert count(cast, UserSession) == 1


def test_an_unknown_secret_belongs_to_no_user(cast: Cast) -> None:
    secret = log_in(cast)
    for wrong in ("", secret[:-1], tokens.hashed(secret)):
        assert actor_of(cast, wrong) is None
    with cast.database.reading() as session:
        assert session.scalar(sa.select(UserSession.id_hash)) == tokens.hashed(secret)


def test_last_seen_is_due_every_five_minutes(cast: Cast) -> None:
    secret = log_in(cast)
    due = [
        getattr(actor_of(cast, secret, now=NOW + after), "touch", None) for after in (5 * MINUTE - SECOND, 5 * MINUTE)
    ]
    assert due == [False, True]
    signed_in = actor_of(cast, secret)
    assert signed_in
    cast.database.write(sessions.touch_session, signed_in.actor.session_id, now=NOW + 5 * MINUTE)
    again = actor_of(cast, secret, now=NOW + 6 * MINUTE)
    assert again
    assert not again.touch


def test_a_disabled_account_is_signed_out_at_the_next_request_of_its_session(cast: Cast) -> None:
    secret = log_in(cast)
    cast.change(sa.update(User).where(User.id == cast.alice.user_id).values(active=False))
    assert actor_of(cast, secret) is None


def test_a_role_is_read_again_at_every_request(cast: Cast) -> None:
    secret = log_in(cast)
    cast.change(sa.update(User).where(User.id == cast.alice.user_id).values(role="admin", name="A."))
    signed_in = actor_of(cast, secret)
    assert signed_in
    assert (signed_in.actor.role, signed_in.actor.name) == ("admin", "A.")


def test_sessions_are_listed_and_ended_by_their_owner_alone(cast: Cast) -> None:
    here, there = log_in(cast), log_in(cast, address=CAFE, now=NOW + MINUTE)
    signed_in = actor_of(cast, here)
    assert signed_in
    actor = signed_in.actor
    with cast.database.reading() as session:
        found = sessions.list_sessions(session, actor, now=NOW + MINUTE)
        assert sessions.list_sessions(session, cast.dave, now=NOW + MINUTE) == []
        assert sessions.list_sessions(session, actor, now=NOW + timedelta(days=31)) == []
    assert [(row.address, row.last_seen_at) for row in found] == [(CAFE, NOW + MINUTE), (HOME, NOW)]
    with pytest.raises(NotFound):
        cast.database.write(sessions.end_session, cast.dave, found[0].id, now=NOW)
    assert actor_of(cast, there)
    cast.database.write(sessions.end_session, actor, found[0].id, now=NOW)
    assert actor_of(cast, there) is None
    assert actor_of(cast, here)
    with pytest.raises(NotFound):
        cast.database.write(sessions.end_session, actor, found[0].id, now=NOW)


# ------------------------------------------------------------------------------------------------- passwords


def test_a_new_password_replaces_the_old_one_and_ends_every_other_session(cast: Cast) -> None:
    here, there, daves = log_in(cast), log_in(cast), log_in(cast, email="dave@docket.example")
    signed_in = actor_of(cast, here)
    assert signed_in
    command = ChangePassword(current=PASSWORD, new="another long sentence here")
    renewed = change_password(cast, signed_in.actor, command).secret
    assert not actor_of(cast, here)
    assert [bool(actor_of(cast, secret)) for secret in (renewed, there, daves)] == [True, False, True]
    fail_with_old = pytest.raises(WrongCredentials)
    with fail_with_old:
        log_in(cast)
    assert log_in(cast, password=command.new)
    with cast.database.reading() as session:
        event = session.execute(sa.select(AuditEvent.action, AuditEvent.subject_id, AuditEvent.details)).one()
    assert event == ("password_changed", cast.alice.user_id, {})


def test_a_pending_login_fails_after_a_new_password_or_disabling(cast: Cast) -> None:
    command = LogIn(email="alice@docket.example", password=PASSWORD, address=HOME)
    mine = sa.update(User).where(User.id == cast.alice.user_id)
    old = PasswordHasher(time_cost=1, memory_cost=32, parallelism=1).hash(PASSWORD)
    new = passwords.hash_password("another long sentence here")
    for values in ({"password_hash": new}, {"active": False}):
        cast.change(mine.values(password_hash=old, active=True))
        attempt = cast.database.write(service.admit_login, command, now=NOW)
        with cast.database.reading() as session:
            account = service.find_account(session, command.email)
        verified = service.verify_login(account, PASSWORD)
        assert verified.renewed_hash
        cast.change(mine.values(**values))
        with pytest.raises(WrongCredentials):
            cast.database.write(service.finish_login, attempt, verified, command, now=NOW)
        assert count(cast, UserSession) == 0
        with cast.database.reading() as session:
            kept = session.scalar(sa.select(User.password_hash).where(User.id == cast.alice.user_id))
        assert kept == values.get("password_hash", old)


def test_of_two_password_changes_the_second_needs_the_new_password(cast: Cast) -> None:
    with cast.database.reading() as session:
        stored = service.stored_hash(session, cast.alice)
    change_password(cast, cast.alice, ChangePassword(current=PASSWORD, new="another long sentence here"))
    attempt = cast.database.write(login_throttle.admit_password_change, cast.alice.user_id, address=HOME, now=NOW)
    with pytest.raises(WrongCurrentPassword):
        cast.database.write(
            service.change_password,
            cast.alice,
            LETTERHEAD,
            attempt_id=attempt,
            verified=stored,
            new_hash="thief",
            now=NOW,
        )


def test_a_log_in_ends_the_session_that_the_browser_had(cast: Cast) -> None:
    command = LogIn(email="alice@docket.example", password=PASSWORD, address=HOME)
    old, elsewhere = log_in(cast, email="dave@docket.example"), log_in(cast)
    attempt = cast.database.write(service.admit_login, command, now=NOW)
    with cast.database.reading() as session:
        verified = service.verify_login(service.find_account(session, command.email), PASSWORD)
    cast.database.write(service.finish_login, attempt, verified, command, now=NOW, previous=old)
    assert actor_of(cast, old) is None
    assert actor_of(cast, elsewhere)


def change_password(cast: Cast, actor: Actor, command: ChangePassword) -> service.ChangedPassword:
    """All steps of a change, as the page takes them."""
    attempt = cast.database.write(login_throttle.admit_password_change, actor.user_id, address=HOME, now=NOW)
    with cast.database.reading() as session:
        stored = service.stored_hash(session, actor)
    new_hash = service.prepare_password_change(stored, actor, command)
    return cast.database.write(
        service.change_password, actor, LETTERHEAD, attempt_id=attempt, verified=stored, new_hash=new_hash, now=NOW
    )


@pytest.mark.parametrize(("current", "new", "expected"), [
    ("wrong", "another long sentence here", WrongCurrentPassword),
    (PASSWORD, "short", Invalid),
    (PASSWORD, "alice@docket.example", Invalid),
])  # fmt: skip
def test_a_password_change_needs_the_old_one_and_a_good_new_one(
    cast: Cast, current: str, new: str, expected: type[AppError]
) -> None:
    command = ChangePassword(current=current, new=new)
    with pytest.raises(expected) as caught:
        change_password(cast, cast.alice, command)
    assert caught.value.field == ("current" if current == "wrong" else "new")


def test_an_address_has_one_account_in_any_case(cast: Cast) -> None:
    about = {"name": "Alice Again", "password_hash": "", "role": "patient"}
    for email in ("alice@docket.example", " ALICE@docket.example"):
        with pytest.raises(EmailTaken) as caught:
            cast.database.write(service.create_user, email=email, now=NOW, **about)  # type: ignore[arg-type]
        assert (caught.value.status, caught.value.field) == (409, "email")

"""Signing in, and booking for the first time, with a code that was sent by e-mail."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.cast import LETTERHEAD, NOW, PASSWORD, SECRET_KEY, Cast, client_for, local, log_in, log_in_by_form
from tests.reading import read
from webapp import models
from webapp.auth.addresses import confirmation
from webapp.auth.pages.sign_in_code_dependencies import CODE_COOKIE
from webapp.auth.schemas import AskForCode
from webapp.auth.service import account_key
from webapp.auth.sign_in import sign_in_codes
from webapp.auth.sign_in.sign_in_codes import AskingBrowser
from webapp.core import signing
from webapp.core.formats import iso
from webapp.notifications.rendering import render

ALICE, NINA = "alice@docket.example", "nina@example.org"
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


def ask(client: TestClient, email: str = ALICE, **more: str) -> None:
    answer = client.post("/login", data={"email": email, "by": "code", **more})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login/code"), answer.text


def mails(cast: Cast) -> list[models.OutboxMessage]:
    with cast.database.reading() as session:
        query = sa.select(models.OutboxMessage).where(models.OutboxMessage.template == "sign_in_code")
        return list(session.scalars(query.order_by(models.OutboxMessage.id)))


def code_in(mail: models.OutboxMessage) -> str:
    """The code as the recipient reads it."""
    written = render(mail.template, mail.channel, mail.recipient, mail.values, base_url="", keys=[SECRET_KEY])
    code = written.subject[:6]
    assert code in written.text
    assert code in written.html
    return code


def last_code(cast: Cast) -> str:
    return code_in(mails(cast)[-1])


def enter(client: TestClient, code: str) -> Any:
    return client.post("/login/code", data={"code": code})


def at(client: TestClient, now: datetime) -> None:
    """Set the clock of a client that keeps its cookies."""
    app = client.app
    assert isinstance(app, FastAPI)
    app.state.clock = lambda: now


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def user_of(cast: Cast, email: str) -> models.User:
    with cast.database.reading() as session:
        return session.scalars(sa.select(models.User).where(models.User.email == email)).one()


# --------------------------------------------------------------------------------------------- signing in


def test_a_code_signs_in_and_confirms_the_address(client: TestClient, cast: Cast) -> None:
    ask(client, " Alice@Docket.example ", next="/appointments")
    page = read(client.get("/login/code"))
    assert ALICE in page.text
    field = page.one("input", name="code")
    assert (field["autocomplete"], field["inputmode"]) == ("one-time-code", "numeric")
    (mail,) = mails(cast)
    assert (mail.recipient, mail.expires_at) == (ALICE, NOW + 10 * MINUTE)
    code = code_in(mail)
    answer = enter(client, f" {code[:3]} {code[3:]} ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/appointments")
    assert client.get("/account").status_code == 200
    assert user_of(cast, ALICE).email_confirmed_at == NOW
    # The code is used up, and the browser waits for no other.
    assert enter(client, code).headers["location"] == "/"


def test_the_database_holds_neither_the_code_nor_a_hash_that_can_be_guessed(client: TestClient, cast: Cast) -> None:
    ask(client)
    code = last_code(cast)
    with cast.database.reading() as session:
        row = session.scalars(sa.select(models.SignInCode)).one()
    kept = {str(value) for value in vars(row).values()} | {str(mails(cast)[0].values)}
    assert not any(code in each for each in kept)
    assert row.code_hash == signing.keyed_hash([SECRET_KEY], "sign-in-code", f"{row.nonce}:{code}")
    assert row.code_hash != signing.keyed_hash(["another key"], "sign-in-code", f"{row.nonce}:{code}")


def test_enter_means_the_password_where_one_was_typed(client: TestClient, cast: Cast) -> None:
    answer = client.post("/login", data={"email": ALICE, "password": "", "by": "enter"})
    assert answer.headers["location"] == "/login/code"
    assert client.post("/login", data={"email": ALICE, "password": PASSWORD, "by": "enter"}).headers["location"] == "/"
    # A password that the browser filled in does not prevent asking for a code.
    assert client.post("/login", data={"email": ALICE, "password": "x", "by": "code"}).status_code == 303
    assert client.post("/login", data={"email": "not an address", "by": "code"}).status_code == 422


def test_a_code_is_valid_for_ten_minutes(client: TestClient, cast: Cast) -> None:
    ask(client)
    code = last_code(cast)
    at(client, NOW + 10 * MINUTE)
    answer = enter(client, code)
    assert answer.status_code == 422
    assert "has expired or has been used. Send another code." in read(answer).text
    # What was typed stays.
    assert read(answer).form("/login/code") == {"code": code}
    at(client, NOW + 10 * MINUTE - SECOND)
    assert enter(client, code).status_code == 303


def test_a_code_is_valid_for_five_tries_and_each_says_what_to_do(client: TestClient, cast: Cast) -> None:
    ask(client)
    code = last_code(cast)
    pages = [read(enter(client, other_than(code))).text for _ in range(5)]
    assert all("This isn’t the code we sent" in page for page in pages[:4])
    assert "wrong code five times" in pages[4]
    assert "wrong code five times" in read(enter(client, code)).text
    client.post("/login/code/again")
    assert enter(client, last_code(cast)).status_code == 303


def test_a_code_works_only_in_the_browser_that_asked_for_it(client: TestClient, cast: Cast) -> None:
    ask(client)
    code = last_code(cast)
    with client_for(cast.database) as other:
        assert enter(other, code).headers["location"] == "/login"
        ask(other)
        assert enter(other, code).status_code == 422
        # A cookie that was not signed by us is no cookie.
        other.cookies.clear()
        other.cookies.set(CODE_COOKIE, signing.sign(["another key"], CODE_COOKIE, ["x", ALICE, ""]))
        assert other.get("/login/code").headers["location"] == "/login"
    assert enter(client, code).status_code == 303


def test_another_code_ends_the_earlier_one(client: TestClient, cast: Cast) -> None:
    ask(client)
    assert client.post("/login/code/again").headers["location"] == "/login/code"
    first, second = (code_in(mail) for mail in mails(cast))
    assert enter(client, first).status_code == 422
    assert enter(client, second).status_code == 303


def test_a_disabled_account_gets_no_code_and_opens_with_none(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.User).where(models.User.email == ALICE).values(active=False))
    ask(client)
    assert mails(cast) == []
    with cast.database.reading() as session:
        nonce = session.scalars(sa.select(models.SignInCode.nonce)).one()
    # Not even the code that was never sent.
    answer = enter(client, sign_in_codes.code_of([SECRET_KEY], nonce))
    assert "This isn’t the code we sent" in read(answer).text


def test_unknown_disabled_and_flooded_addresses_get_the_same_answer(cast: Cast) -> None:
    cast.change(sa.update(models.User).where(models.User.email == "dave@docket.example").values(active=False))
    with client_for(cast.database) as flooder:
        for _ in range(sign_in_codes.MOST_CODES):
            ask(flooder, "carol@docket.example")

    def statements_and_page(email: str) -> tuple[list[str], str]:
        seen: list[str] = []

        def note(*args: object) -> None:
            # Statements in savepoints count whether they are kept or rolled back.
            seen.append(str(args[2]).removeprefix("RELEASE ").removeprefix("ROLLBACK TO "))

        with client_for(cast.database, smtp_url="smtp://localhost") as client:
            sa.event.listen(cast.database.engine, "before_cursor_execute", note)
            ask(client, email)
            sa.event.remove(cast.database.engine, "before_cursor_execute", note)
            answer = enter(client, "000000")
            return seen, f"{answer.status_code} {answer.text.replace(email, 'EMAIL')}"

    statements_and_page("bob@docket.example")
    found = [statements_and_page(f"{name}@docket.example") for name in ("alice", "nobody", "dave", "carol")]
    assert all(each == found[0] for each in found)
    assert any("INSERT INTO outbox_messages" in each for each in found[0][0])


def test_a_mailbox_gets_five_codes_an_hour_but_its_owners_browser_is_counted_apart(cast: Cast) -> None:
    with client_for(cast.database) as own, client_for(cast.database) as stranger:
        log_in_by_form(own, "alice")
        for _ in range(sign_in_codes.MOST_CODES + 2):
            ask(stranger)
        assert len(mails(cast)) == sign_in_codes.MOST_CODES
        # The last one that was sent still works.
        assert enter(stranger, last_code(cast)).status_code == 303
        ask(own)
        assert len(mails(cast)) == sign_in_codes.MOST_CODES + 1
        assert enter(own, last_code(cast)).status_code == 303


def test_repeated_sign_ins_do_not_flood_a_mailbox(sqlite_cast: Cast) -> None:
    """A stranger who registered with the address knows the password, and each sign-in makes the browser known again."""
    for number in range(4):
        asked = AskingBrowser("browser", f"192.0.2.{number}", f"device {number}")
        for _ in range(sign_in_codes.MOST_CODES):
            args = (AskForCode(email="alice@docket.example"), asked, LETTERHEAD)
            sqlite_cast.database.write(sign_in_codes.send, *args, keys=[SECRET_KEY], now=NOW)
    assert len(mails(sqlite_cast)) == sign_in_codes.MOST_OF_KNOWN


def test_the_codes_of_one_network_are_limited(client: TestClient) -> None:
    for number in range(sign_in_codes.OF_NETWORK.here):
        ask(client, f"nobody{number}@docket.example")
    answer = client.post("/login", data={"email": ALICE, "by": "code"})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert "Too many codes have been requested" in read(answer).text
    assert read(answer).form("/login")["email"] == ALICE


def test_wrong_codes_count_as_failed_attempts_of_the_network(client: TestClient, cast: Cast) -> None:
    for number in range(3):
        ask(client, f"nobody{number}@docket.example")
        code = last_code(cast)
        statuses = [enter(client, other_than(code)).status_code for _ in range(5)]
    assert statuses[-1] == 429


def test_after_ten_wrong_codes_for_an_account_only_unknown_browsers_wait(client: TestClient, cast: Cast) -> None:
    log_in_by_form(client, "alice")
    client.post("/logout")
    for number in range(10):
        failed = {"account": account_key(ALICE), "address": f"198.51.{number}.1", "device": sign_in_codes.ENTERING}
        cast.add(models.FailedLogin(**failed, judged=True, at=NOW - SECOND))
    ask(client)
    known = last_code(cast)
    with client_for(cast.database) as stranger:
        ask(stranger)
        answer = enter(stranger, last_code(cast))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "59")
    assert enter(client, known).status_code == 303


def test_an_account_that_another_person_registered_belongs_to_the_owner_of_the_mailbox(cast: Cast) -> None:
    with client_for(cast.database) as stranger, client_for(cast.database) as owner:
        sent = {"name": "Mallory", "email": NINA, "password": PASSWORD}
        assert stranger.post("/api/v1/auth/register", json=sent).status_code == 201
        assert stranger.post("/login", data=sent).status_code == 303
        ask(owner, NINA)
        enter(owner, last_code(cast))
        assert "a password set earlier no longer works" in read(owner.get("/account")).text
        assert stranger.get("/account").status_code == 303
        assert stranger.post("/login", data=sent).status_code == 401
    user = user_of(cast, NINA)
    assert (user.has_password, user.email_confirmed_at) == (False, NOW)


def test_the_browser_that_registered_keeps_its_password(client: TestClient, cast: Cast) -> None:
    sent = {"name": "Nina New", "email": NINA, "password": PASSWORD}
    client.post("/api/v1/auth/register", json=sent)
    client.post("/login", data=sent)
    client.post("/logout")
    ask(client, NINA)
    enter(client, last_code(cast))
    client.post("/logout")
    assert client.post("/login", data=sent).status_code == 303


def test_staff_keep_their_password(client: TestClient, cast: Cast) -> None:
    ask(client, "bob@docket.example")
    assert enter(client, last_code(cast)).headers["location"] == "/schedule"
    assert user_of(cast, "bob@docket.example").has_password


# ------------------------------------------------------------------------------------------ the first booking


def first_visit(cast: Cast) -> str:
    return f"/book?doctor=bob&visit_type={cast.short}&starts_at={iso(local('2026-03-10 10:00'))}"


def prove(client: TestClient, cast: Cast, **more: str) -> None:
    ask(client, NINA, **more)
    assert enter(client, last_code(cast)).headers["location"] == "/register/details"


def test_a_new_patient_books_with_an_address_a_code_and_a_name(client: TestClient, cast: Cast) -> None:
    wanted = first_visit(cast)
    assert client.get(wanted).headers["location"].startswith("/login?next=")
    login = read(client.get(client.get(wanted).headers["location"]))
    assert "Tuesday 10 March, 10:00 with Dr. Bob Brown" in login.text
    client.post("/login", data=login.form("/login") | {"email": NINA, "by": "code"})
    assert "10:00 with Dr. Bob Brown" in read(client.get("/login/code")).text
    assert enter(client, last_code(cast)).headers["location"] == "/register/details"
    page = read(client.get("/register/details"))
    assert "Book Tue 10 Mar, 10:00" in page.text
    assert [each["name"] for each in page.all("input", required="")] == ["name"]
    answer = client.post("/register/details", data={"name": "Nina New", "reason": "My knee"})
    assert answer.status_code == 303
    assert "booked=1" in answer.headers["location"]
    assert "My knee" in read(client.get(answer.headers["location"])).text
    user = user_of(cast, NINA)
    assert (user.name, user.has_password, user.email_confirmed_at) == ("Nina New", False, NOW)
    with cast.database.reading() as session:
        written = set(session.scalars(sa.select(models.OutboxMessage.template)))
    assert confirmation.TEMPLATE not in written


def test_a_time_that_was_taken_meanwhile_loses_nothing(client: TestClient, cast: Cast) -> None:
    prove(client, cast, next=first_visit(cast))
    cast.book(cast.dave, "2026-03-10 10:00")
    assert "can’t be booked any more" in read(client.get("/register/details")).text
    answer = client.post("/register/details", data={"name": "Nina New", "reason": "My knee hurts"})
    page = read(client.get(answer.headers["location"]))
    assert "That time has just been taken" in page.text
    assert "My knee hurts" in page.one("textarea", name="reason").raw
    assert client.get("/account").status_code == 200


def test_a_name_is_needed_and_typed_text_stays(client: TestClient, cast: Cast) -> None:
    prove(client, cast, next=first_visit(cast))
    answer = client.post("/register/details", data={"name": "", "phone": "+31 6 1234 5678", "reason": "My knee"})
    assert answer.status_code == 422
    form = read(answer).form("/register/details")
    assert form == {"name": "", "phone": "+31 6 1234 5678", "birth_date": "", "reason": "My knee"}
    # The page can be left and found again.
    assert client.get("/login/code").headers["location"] == "/register/details"
    at(client, NOW + 2 * timedelta(hours=1))
    answer = client.post("/register/details", data={"name": "Nina New"})
    assert "It’s been too long since you entered the code" in read(answer).text


def test_details_come_after_the_code(client: TestClient, cast: Cast) -> None:
    for method in (client.get, client.post):
        assert method("/register/details").headers["location"] == "/login"
    ask(client, NINA)
    assert client.get("/register/details").headers["location"] == "/login/code"
    assert client.post("/register/details", data={"name": "Nina New"}).status_code == 422
    with cast.database.reading() as session:
        assert session.scalar(sa.select(models.User.id).where(models.User.email == NINA)) is None


def test_the_same_details_sent_twice_make_one_account(client: TestClient, cast: Cast) -> None:
    prove(client, cast)
    cookie = client.cookies[CODE_COOKIE]
    assert client.post("/register/details", data={"name": "Nina New"}).headers["location"] == "/"
    client.cookies.set(CODE_COOKIE, cookie)
    assert client.post("/register/details", data={"name": "Nina New"}).headers["location"] == "/"
    # Later the proof is used up: the next person at this computer cannot use it.
    client.cookies.set(CODE_COOKIE, cookie)
    at(client, NOW + 2 * MINUTE)
    assert client.post("/register/details", data={"name": "Nina New"}).status_code == 422


@pytest.mark.both_databases
def test_the_new_account_joins_the_record_that_the_clinic_made(client: TestClient, cast: Cast) -> None:
    made = cast.add(models.Patient(name="Nina New", email=NINA, phone="", created_at=NOW))
    prove(client, cast)
    client.post("/register/details", data={"name": "Nina New"})
    with cast.database.reading() as session:
        (record,) = session.scalars(sa.select(models.Patient).where(models.Patient.email == NINA))
    assert (record.id, record.user_id) == (made, user_of(cast, NINA).id)


@pytest.mark.parametrize("address", ["/register/details", "/register"])
def test_the_clinic_decides_what_new_patients_are_asked_for(client: TestClient, cast: Cast, address: str) -> None:
    rules = {"asks_phone": "require", "asks_birth_date": "no"}
    cast.change(sa.update(models.ClinicSettings).values(rules))
    prove(client, cast)
    assert set(read(client.get(address)).form(address)) >= {"name", "phone"}
    assert "birth_date" not in read(client.get(address)).form(address)
    sent = {"name": "Nina New", "email": NINA, "password": PASSWORD}
    answer = client.post(address, data=sent)
    assert answer.status_code == 422
    assert "Enter your phone number." in read(answer).text
    assert client.post(address, data=sent | {"phone": "+31 6 1234 5678"}).status_code == 303


# --------------------------------------------------------------------------------- accounts without a password


def sign_up(client: TestClient, cast: Cast) -> None:
    prove(client, cast)
    assert client.post("/register/details", data={"name": "Nina New"}).status_code == 303


def test_an_account_without_a_password_sets_one_shortly_after_signing_in(client: TestClient, cast: Cast) -> None:
    sign_up(client, cast)
    assert "/account/password/first" in read(client.get("/account")).links
    new = {"new": "walrus teapot orbit"}
    assert client.post("/account/password/first", data={"new": "short"}).status_code == 422
    at(client, NOW + 16 * MINUTE)
    answer = client.post("/account/password/first", data=new)
    assert answer.status_code == 422
    assert "sign in with a new code first" in read(answer).text
    # A new code makes it fresh.
    assert client.post("/account/code").headers["location"] == "/login/code"
    assert enter(client, last_code(cast)).headers["location"] == "/account"
    copied = f"docket_session={client.cookies['docket_session']}"
    assert client.post("/account/password/first", data=new).headers["location"] == "/account"
    assert user_of(cast, NINA).has_password
    # A copy of the session that was there before opens nothing, and the owner is told.
    with client_for(cast.database) as thief:
        assert thief.get("/account", headers={"cookie": copied}).status_code == 303
    with cast.database.reading() as session:
        told = sa.select(models.OutboxMessage).where(models.OutboxMessage.template == "account_changed")
        (mail,) = session.scalars(told)
    assert (mail.recipient, mail.values["what"]) == (NINA, "password")
    assert client.get("/account/password/first").headers["location"] == "/account"
    client.post("/logout")
    assert client.post("/login", data={"email": NINA, "password": new["new"]}).status_code == 303


def test_an_account_without_a_password_changes_its_address_shortly_after_signing_in(
    client: TestClient, cast: Cast
) -> None:
    sign_up(client, cast)
    assert set(read(client.get("/account")).form("/account/email")) == {"email"}
    at(client, NOW + 16 * MINUTE)
    answer = client.post("/account/email", data={"email": "new@example.org"})
    assert answer.status_code == 422
    assert "sign in with a new code first" in read(answer).text
    assert user_of(cast, NINA).new_email == ""
    at(client, NOW + 14 * MINUTE)
    assert client.post("/account/email", data={"email": "new@example.org"}).status_code == 303
    assert user_of(cast, NINA).new_email == "new@example.org"


@pytest.mark.parametrize("path", ["/account/data", "/account/deletion"])
def test_a_stolen_session_without_a_password_neither_copies_nor_deletes(
    client: TestClient, cast: Cast, path: str
) -> None:
    sign_up(client, cast)
    at(client, NOW + 16 * MINUTE)
    answer = client.post(path, data={})
    assert answer.status_code == 422
    assert "sign in with a new code first" in read(answer).text
    client.post("/account/code", data={"next": path})
    assert enter(client, last_code(cast)).headers["location"] == path
    assert client.post(path, data={}).status_code in {200, 303}


def test_a_password_is_not_set_over_another(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    client.post("/account/password/first", data={"new": "walrus teapot orbit"})
    client.post("/logout")
    assert client.post("/login", data={"email": ALICE, "password": PASSWORD}).status_code == 303


# --------------------------------------------------------------------------------- development, and clean-up


def test_without_a_mail_server_development_shows_the_code_and_production_never_does(cast: Cast) -> None:
    with client_for(cast.database) as developer:
        ask(developer)
        page = read(developer.get("/login/code"))
        assert page.one("b", id="shown-code").text == last_code(cast)
        assert "No mail server is set up" in page.text
    settings: dict[str, Any] = {"environment": "production", "base_url": "https://docket.test"}
    with client_for(cast.database, **settings) as public:
        public.base_url = "https://docket.test"
        public.headers["origin"] = "https://docket.test"
        ask(public)
        assert last_code(cast) not in public.get("/login/code").text
    with client_for(cast.database, smtp_url="smtp://localhost") as with_mail:
        ask(with_mail)
        assert last_code(cast) not in with_mail.get("/login/code").text


def test_admins_do_not_read_codes_in_the_messages(client: TestClient, cast: Cast) -> None:
    ask(client)
    (mail,) = mails(cast)
    with log_in(client_for(cast.database), "carol") as admin:
        for path in ("/admin/messages", f"/admin/messages/{mail.id}"):
            answer = admin.get(path)
            assert answer.status_code == 200
            assert code_in(mail) not in answer.text


@pytest.mark.both_databases
def test_old_codes_are_deleted(client: TestClient, cast: Cast) -> None:
    ask(client)
    for later, old in ((timedelta(hours=1), False), (timedelta(hours=2), True)):
        with cast.database.reading() as session:
            assert sign_in_codes.is_any_old(session, now=NOW + later) is old
    cast.database.write(sign_in_codes.forget_old, now=NOW + timedelta(hours=2))
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(models.SignInCode.id))) == 0

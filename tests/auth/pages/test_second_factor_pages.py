"""The life of a second factor: set up, used, wrong, replayed, recovered, reset, and required by the clinic."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from typing import cast as typed

import pyotp
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, SECRET_KEY, Cast, client_for, log_in, log_in_by_form
from tests.reading import read
from webapp import models
from webapp.auth import sessions, sign_in_rules
from webapp.auth.second_factor import recovery_codes
from webapp.auth.second_factor import service as second_factor
from webapp.core.sealing import seal, unseal
from webapp.database import Database

SETUP = "/account/factor/new"
MINUTE = timedelta(minutes=1)


class Phone:
    """Carol's authenticator app."""

    def __init__(self, secret: str) -> None:
        self.totp = pyotp.TOTP(secret)

    def code(self, client: TestClient, *, steps: int = 0) -> str:
        """What it shows, some steps later or earlier."""
        now = typed(FastAPI, client.app).state.clock()
        return self.totp.generate_otp(int(now.timestamp()) // 30 + steps)


def after(client: TestClient, time: timedelta) -> TestClient:
    """The same browser, some time later."""
    state = typed(FastAPI, client.app).state
    now = state.clock() + time
    state.clock = lambda: now
    return client


def set_up(client: TestClient) -> tuple[Phone, list[str]]:
    """Set up an app as the page says; the app, and the recovery codes."""
    page = read(client.get(SETUP))
    phone = Phone(page.one(id="setup-key")["value"].replace(" ", ""))
    answer = client.post(SETUP, data={**page.form(SETUP), "code": phone.code(client)})
    assert answer.status_code == 200, read(answer).text
    return phone, [item.text for item in read(answer).one("ol", class_="codes").all("li")]


def password(client: TestClient, name: str = "carol", **more: str) -> str:
    """Sign in with the password, and return where that leads."""
    form = {"email": f"{name}@docket.example", "password": PASSWORD, **more}
    answer = client.post("/login", data=form)
    assert answer.status_code == 303, read(answer).text
    return answer.headers["location"]


def second_step(client: TestClient, code: str, **more: str) -> Any:
    return client.post("/login/factor", data={"code": code, **more})


def told(cast: Cast, name: str = "carol") -> list[str]:
    """The subjects of the mails about this account, in order."""
    mine = models.OutboxMessage.recipient == f"{name}@docket.example"
    query = sa.select(models.OutboxMessage.values).where(mine, models.OutboxMessage.template == "account_changed")
    with cast.database.reading() as session:
        return [values["what"] for values in session.scalars(query.order_by(models.OutboxMessage.id))]


def give_app(cast: Cast, user_id: int) -> Phone:
    """An account that has set up an app."""
    secret = pyotp.random_base32()
    sealed = seal([SECRET_KEY], second_factor.SECRET, secret, now=NOW)
    app = models.AuthenticatorApp(user_id=user_id, secret=sealed, last_step=0, created_at=NOW)
    cast.database.write(lambda session: session.add(app))
    cast.change(sa.update(models.User).where(models.User.id == user_id).values(factor_since=NOW))
    return Phone(secret)


def require(cast: Cast, **values: bool) -> None:
    cast.change(sa.update(models.SignInRules).values(**values))


@pytest.fixture
def carol(client: TestClient) -> TestClient:
    return log_in_by_form(client, "carol")


@pytest.fixture
def other(cast: Cast) -> Iterator[TestClient]:
    with client_for(cast.database) as other:
        yield other


# ------------------------------------------------------------------------------------------------ the life of it


@pytest.mark.both_databases
def test_from_setting_it_up_to_signing_in_with_it(carol: TestClient, cast: Cast, other: TestClient) -> None:
    assert "You haven’t set up an authenticator app." in read(carol.get("/account")).text
    page = read(carol.get(SETUP))
    assert page.one("svg", class_="qr").get("style") is None
    wrong = carol.post(SETUP, data={**page.form(SETUP), "code": "000000"})
    assert wrong.status_code == 401
    # The same picture is shown again, so that scanning it once is enough.
    assert read(wrong).one(id="setup-key")["value"] == page.one(id="setup-key")["value"]
    phone, codes = set_up(carol)
    assert len(set(codes)) == 10
    assert "10 recovery codes are left." in read(carol.get("/account")).text

    after(other, MINUTE)
    assert password(other, next="/admin/audit") == "/login/factor?next=%2Fadmin%2Faudit"
    # The session opens nothing else.
    for address in ("/admin", "/account", SETUP, "/confirm", "/api/v1/auth/me"):
        assert other.get(address).status_code in {303, 401}, address
    assert other.get("/login").headers["location"] == "/login/factor"
    assert "Carol" not in read(other.get("/")).text
    answer = second_step(other, "123456" if phone.code(other) != "123456" else "654321", next="/admin/audit")
    assert answer.status_code == 401
    assert "This code isn’t right" in read(answer).text
    waiting = other.cookies["docket_session"]
    answer = second_step(other, phone.code(other), next="/admin/audit")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/audit")
    assert other.cookies["docket_session"] != waiting
    assert other.get("/admin/audit").status_code == 200
    assert told(cast) == ["new_browser", "app_added", "new_browser"]


def test_a_code_works_once_and_for_a_minute_and_a_half(client: TestClient, cast: Cast, other: TestClient) -> None:
    phone = give_app(cast, cast.carol.user_id)
    code = phone.code(client)
    for browser in (client, other):
        password(browser)
    assert second_step(client, f" {code[:3]} {code[3:]} ").status_code == 303
    assert second_step(other, code).status_code == 401
    # A code older than the used one is refused, too; a later one is not.
    assert second_step(other, phone.code(client, steps=-1)).status_code == 401
    assert second_step(other, phone.code(client, steps=2)).status_code == 401
    assert second_step(other, phone.code(client, steps=1)).status_code == 303


@pytest.mark.parametrize("how", ["password", "code", "a provider"])
def test_every_first_step_leads_to_the_second(client: TestClient, cast: Cast, how: str) -> None:
    give_app(cast, cast.carol.user_id)
    user = cast.carol.user_id
    secret = cast.database.write(sessions.start_session, user, address="", user_agent="", now=NOW, how=how)
    with cast.database.reading() as session:
        assert sessions.find_actor(session, secret, address="", now=NOW) is None
        waiting = sessions.find_session(session, secret, address="", now=NOW)
        events = session.scalars(sa.select(models.SecurityEvent.action)).all()
    assert waiting is not None
    assert waiting.stage == "factor"
    assert "signed_in" not in events


@pytest.mark.both_databases
def test_a_recovery_code_works_once(client: TestClient, cast: Cast, other: TestClient) -> None:
    give_app(cast, cast.carol.user_id)
    first, second = cast.database.write(recovery_codes.renew, cast.carol.user_id, [SECRET_KEY])[:2]
    password(client)
    assert second_step(client, first.upper().replace("-", " ")).status_code == 303
    assert "9 recovery codes are left." in read(client.get("/account")).text
    password(other)
    assert second_step(other, first).status_code == 401
    assert second_step(other, second).status_code == 303
    assert told(cast).count("code_used") == 2
    with cast.database.reading() as session:
        stored = session.scalars(sa.select(models.RecoveryCode.code_hash)).all()
    assert not {first, second} & set(stored)
    # Letters and digits with five bits each.
    assert len(first.replace("-", "")) * 5 >= 112


def test_the_session_that_waits_ends_after_ten_minutes(client: TestClient, cast: Cast) -> None:
    phone = give_app(cast, cast.carol.user_id)
    password(client)
    after(client, 10 * MINUTE)
    assert second_step(client, phone.code(client)).headers["location"] == "/login"


def test_wrong_codes_are_counted_for_the_account(client: TestClient, cast: Cast) -> None:
    phone = give_app(cast, cast.carol.user_id)
    password(client)
    for _attempt in range(10):
        assert second_step(client, "00000a").status_code == 401
    # Another session of the same account starts with the same count.
    password(client)
    answer = second_step(client, phone.code(client))
    assert answer.status_code == 429
    assert "too many wrong attempts" in read(answer).text
    assert int(answer.headers["retry-after"]) > 0


def test_the_secret_cannot_be_read_in_the_database(carol: TestClient, cast: Cast) -> None:
    phone, _codes = set_up(carol)
    with cast.database.reading() as session:
        stored = session.scalars(sa.select(models.AuthenticatorApp.secret)).one()
    assert phone.totp.secret not in stored
    assert unseal([SECRET_KEY], second_factor.SECRET, stored, now=NOW) == phone.totp.secret
    # After a change of the key the old one still opens it.
    keys = [SECRET_KEY, "a new key that signs from now on, 0123456789"]
    assert unseal(keys, second_factor.SECRET, stored, now=NOW) == phone.totp.secret
    assert unseal(keys[1:], second_factor.SECRET, stored, now=NOW) is None


def test_a_setup_is_for_its_own_account_and_for_half_an_hour(carol: TestClient, other: TestClient) -> None:
    page = read(carol.get(SETUP))
    phone = Phone(page.one(id="setup-key")["value"].replace(" ", ""))
    form = page.form(SETUP)
    log_in(other, "bob")
    assert other.post(SETUP, data={**form, "code": phone.code(other)}).status_code == 409
    log_in(after(carol, 31 * MINUTE), "carol")
    answer = carol.post(SETUP, data={**form, "code": phone.code(carol)})
    assert answer.status_code == 409
    assert "Scan the new QR code" in read(answer).text
    assert read(answer).one(id="setup-key")["value"].replace(" ", "") != phone.totp.secret


# ------------------------------------------------------------------------------------------- required by the clinic


@pytest.mark.both_databases
def test_a_required_factor_is_set_up_before_anything_else(client: TestClient, cast: Cast) -> None:
    require(cast, factor_admins=True)
    where = password(client, next="/admin/audit")
    assert where == f"{SETUP}?next=%2Fadmin%2Faudit"
    for address in ("/admin", "/account", "/admin/audit.csv"):
        onward = client.get(address).headers["location"]
        assert client.get(onward).headers["location"].startswith(SETUP), address
    assert client.post("/account", data={"name": "Mallory"}).status_code == 401
    assert "Your clinic requires it" in read(client.get(where)).text
    page = read(client.get(where))
    phone = Phone(page.one(id="setup-key")["value"].replace(" ", ""))
    answer = client.post(SETUP, data={**page.form(SETUP), "code": phone.code(client)})
    assert "/admin/audit" in read(answer).one(class_="sign-in").links
    assert client.get("/admin/audit").status_code == 200
    # The last one cannot be removed.
    client.post("/account/factor/removal")
    assert "Your clinic requires two-step sign-in." in read(client.get("/account")).text


def test_the_requirement_holds_for_one_role_and_for_those_who_are_signed_in(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    address = "/admin/clinic/sign-in"
    form = read(client.get(address)).form(address)
    assert client.post(address, data={**form, "factor_doctors": "y"}).status_code == 303
    assert "Two-step sign-in required Doctors" in read(client.get("/admin/clinic")).text
    with client_for(cast.database) as bob:
        log_in(bob, "bob")
        assert bob.get("/schedule").status_code == 303
        assert bob.get("/login").headers["location"].startswith(SETUP)
        # A session that is older proves itself first: a stolen one must not set up its own app.
        after(bob, 11 * MINUTE)
        assert bob.get(SETUP).headers["location"] == "/confirm?next=%2Faccount%2Ffactor%2Fnew"
        assert bob.post("/confirm", data={"current": PASSWORD, "next": SETUP}).headers["location"] == SETUP
        assert bob.get(SETUP).status_code == 200


def test_a_new_clinic_requires_it(database: Database) -> None:
    with database.reading() as session:
        rules = sign_in_rules.get_rules(session)
    assert (rules.needs_factor("admin"), rules.needs_factor("doctor"), rules.needs_factor("patient")) == (
        True,
        True,
        False,
    )


# --------------------------------------------------------------------------------------- a stolen session, a lost phone


def test_a_stolen_session_cannot_change_factors_nor_what_opens_other_doors(
    carol: TestClient, cast: Cast, other: TestClient
) -> None:
    phone, _codes = set_up(carol)
    stolen = carol.cookies["docket_session"]
    after(other, 20 * MINUTE)
    other.cookies.set("docket_session", stolen, domain="docket.test")
    assert other.get("/admin").status_code == 200
    user, patient = f"/admin/users/{cast.bob.user_id}", f"/admin/patients/{cast.patient_ids['alice']}"
    get = ("/account/factor/new", "/admin/appointments.csv", "/admin/audit.csv")
    post = {
        "/account/factor/new": {"code": "1", "setup": "x"},
        "/account/factor/removal": {},
        "/account/recovery-codes": {},
        "/account/email": {"email": "thief@example.org", "current": PASSWORD},
        "/account/password": {"current": PASSWORD, "new": "walrus teapot orbit"},
        f"{user}/role": {"role": "admin"},
        f"{user}/password-link": {},
        f"{user}/access": {"access": "no"},
        f"{user}/factor/reset": {},
        "/admin/doctors/erin/account": {"email": "thief@example.org"},
        f"{patient}/account": {"active": "no"},
        f"{patient}/edit": {"name": "Alice Adams", "email": "thief@example.org"},
        f"{patient}/data": {"current": PASSWORD},
        f"{patient}/deletion": {"current": PASSWORD, "sure": "yes"},
        "/admin/users": {"name": "New Thief", "email": "thief@example.org", "role": "admin"},
        "/admin/clinic/sign-in": {"idle_minutes": "240", "staff_hours": "24"},
    }
    before = read(other.get("/account")).text
    for address in get:
        assert other.get(address).headers["location"].startswith("/confirm?next="), address
    for address, form in post.items():
        assert other.post(address, data=form).headers["location"].startswith("/confirm"), address
    # The password is not enough, even if the thief knows it.
    assert "current" not in read(other.get("/confirm")).form("/confirm")
    assert other.post("/confirm", data={"current": PASSWORD}).status_code == 422
    assert other.post("/confirm", data={"code": "123456"}).status_code == 401
    assert read(other.get("/account")).text == before
    assert told(cast) == ["new_browser", "app_added"]
    answer = other.post("/confirm", data={"code": phone.code(other), "next": user})
    assert answer.headers["location"] == user
    assert other.cookies["docket_session"] != stolen
    assert "password/reset" in other.post(f"{user}/password-link").text


def test_a_stolen_access_token_moves_no_account_to_another_mailbox(client: TestClient, cast: Cast) -> None:
    tokens = client.post("/api/v1/auth/token", data={"username": "carol@docket.example", "password": PASSWORD}).json()
    place = f"/api/v1/patients/{cast.patient_ids['alice']}"

    def correct(email: str) -> tuple[int, str]:
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        answer = client.patch(place, json={"email": email}, headers=headers)
        return answer.status_code, answer.json().get("code", "")

    assert correct("alice.adams@docket.example") == (200, "")
    after(client, 11 * MINUTE)
    assert correct("thief@example.org") == (403, "not_confirmed")
    # Other changes need no recent proof, and refreshing the token does not count as one.
    assert correct("alice.adams@docket.example") == (200, "")
    tokens = client.post("/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).json()
    assert correct("thief@example.org") == (403, "not_confirmed")


def test_a_user_who_becomes_staff_signs_in_again_with_the_second_factor(client: TestClient, cast: Cast) -> None:
    """A patient's session has asked for none."""
    log_in(client, "alice")
    give_app(cast, cast.alice.user_id)
    token = client.post("/api/v1/auth/token", data={"username": "alice@docket.example", "password": PASSWORD}).json()
    page_of = f"/admin/users/{cast.alice.user_id}"
    with client_for(cast.database) as admin:
        log_in(admin, "carol")
        form = read(admin.get(page_of)).form(f"{page_of}/role")
        assert admin.post(f"{page_of}/role", data={**form, "role": "admin"}).status_code == 303
    assert client.get("/admin").headers["location"] == "/login?next=%2Fadmin"
    refreshed = client.post("/api/v1/auth/refresh", json={"refresh_token": token["refresh_token"]})
    assert refreshed.status_code == 401
    assert password(client, "alice") == "/login/factor"


def test_typed_text_comes_back_after_confirming(client: TestClient) -> None:
    log_in(client, "carol")
    after(client, 15 * MINUTE)
    form = {"name": "Nora Nowak", "email": "nora@example.org", "role": "admin", "doctor": ""}
    asked = client.post("/admin/users", data=form).headers["location"]
    assert asked == "/confirm?next=%2Fcontinue"
    page = read(client.get(asked))
    assert client.post("/confirm", data={**page.form("/confirm"), "current": "wrong"}).status_code == 422
    answer = client.post("/confirm", data={**page.form("/confirm"), "current": PASSWORD})
    kept = read(client.get(answer.headers["location"])).form("/admin/users")
    shown = read(client.post("/admin/users", data=kept)).form("/admin/users")
    assert (shown["name"], shown["email"]) == ("Nora Nowak", "nora@example.org")
    assert client.post("/admin/users", data=shown).status_code == 200


def test_another_admin_resets_a_lost_device(client: TestClient, cast: Cast, other: TestClient) -> None:
    phone = give_app(cast, cast.bob.user_id)
    password(other, "bob")
    second_step(other, phone.code(other))
    assert other.get("/schedule").status_code == 200
    log_in(client, "carol")
    page = f"/admin/users/{cast.bob.user_id}"
    assert client.post(read(client.get(page)).one("form", action=f"{page}/factor/reset")["action"]).status_code == 303
    assert other.get("/schedule").status_code == 303
    assert password(other, "bob") == "/schedule"
    assert told(cast, "bob") == ["new_browser", "factor_reset"]
    with cast.database.reading() as session:
        event = session.scalars(sa.select(models.AuditEvent).where(models.AuditEvent.action == "factor_reset")).one()
        assert (event.actor_user_id, event.subject_id) == (cast.carol.user_id, cast.bob.user_id)
    # Admins cannot reset their own: a stolen session of an admin would.
    give_app(cast, cast.carol.user_id)
    own = f"/admin/users/{cast.carol.user_id}"
    client.post(f"{own}/factor/reset")
    assert "ask another admin" in read(client.get(own)).text


def test_an_app_is_removed_with_its_recovery_codes(carol: TestClient, cast: Cast, other: TestClient) -> None:
    set_up(carol)
    log_in(other, "bob")
    assert carol.post("/account/factor/removal").status_code == 303
    page = read(carol.get("/account"))
    assert "You haven’t set up an authenticator app." in page.text
    assert "recovery code" not in page.text
    assert told(cast)[-1] == "app_removed"
    assert password(carol) == "/admin"
    assert other.get("/schedule").status_code == 200


def test_new_recovery_codes_replace_the_old_ones(carol: TestClient, cast: Cast) -> None:
    _phone, old = set_up(carol)
    answer = carol.post("/account/recovery-codes")
    new = [item.text for item in read(answer).one("ol", class_="codes").all("li")]
    assert len(new) == 10
    assert not set(new) & set(old)
    with cast.database.reading() as session:
        assert recovery_codes.count_left(session, cast.carol.user_id) == 10
    assert told(cast)[-1] == "codes_renewed"


# ------------------------------------------------------------------------------------------------------ the API


def test_a_program_sends_a_code_with_the_password(client: TestClient, cast: Cast) -> None:
    phone = give_app(cast, cast.carol.user_id)
    form = {"username": "carol@docket.example", "password": PASSWORD}
    answer = client.post("/api/v1/auth/token", data=form)
    assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_needed")
    answer = client.post("/api/v1/auth/token", data={**form, "mfa_code": "00000a"})
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_code")
    answer = client.post("/api/v1/auth/token", data={**form, "password": "wrong", "mfa_code": phone.code(client)})
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
    answer = client.post("/api/v1/auth/token", data={**form, "mfa_code": phone.code(client)})
    assert answer.status_code == 200
    token = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert client.get("/api/v1/auth/me", headers=token).status_code == 200


def test_a_program_of_an_account_that_must_set_one_up_is_refused(client: TestClient, cast: Cast) -> None:
    form = {"username": "carol@docket.example", "password": PASSWORD}
    granted = client.post("/api/v1/auth/token", data=form).json()
    require(cast, factor_admins=True)
    answer = client.post("/api/v1/auth/token", data=form)
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_missing")
    # Tokens from before open nothing any more.
    token = {"authorization": f"Bearer {granted['access_token']}"}
    assert client.get("/api/v1/auth/me", headers=token).status_code == 401


def test_patients_have_no_second_step(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    assert client.get(SETUP).status_code == 403
    assert not any("factor" in link for link in read(client.get("/account")).links)

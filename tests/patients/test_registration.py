"""Registering does not reveal who has an account: the page never does, and the API does not if the operator wants
that.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, SECRET_KEY, Cast, client_for
from tests.reading import read
from tests.registering import last_code, register, send_form
from webapp import models
from webapp.auth.service import account_key
from webapp.auth.sign_in import sign_in_codes
from webapp.integrity.problems import find_problems
from webapp.notifications.rendering import render

NINA = {"name": "Nina New", "email": "nina@docket.example", "password": "walrus teapot orbit"}
KNOWN, STAFF, DISABLED = "alice@docket.example", "bob@docket.example", "dave@docket.example"
API = "/api/v1/auth/register"


def all_of(cast: Cast, table: type[models.Base]) -> list[Any]:
    with cast.database.reading() as session:
        return list(session.scalars(sa.select(table).order_by(sa.text("id"))))


def user_of(cast: Cast, email: str) -> models.User | None:
    with cast.database.reading() as session:
        return session.scalars(sa.select(models.User).where(models.User.email == email)).one_or_none()


def disable_dave(cast: Cast) -> None:
    cast.change(sa.update(models.User).where(models.User.email == DISABLED).values(active=False))


def fill(cast: Cast, email: str) -> None:
    """As many codes as an address gets within an hour."""
    for number in range(sign_in_codes.MOST_CODES):
        code = models.SignInCode(
            browser=str(number), account=account_key(email), nonce="-", code_hash="-", mailed=True,
            sent_at=NOW, expires_at=NOW,
        )  # fmt: skip
        cast.add(code)


def subject_of(mail: models.OutboxMessage) -> str:
    written = render(mail.template, mail.channel, mail.recipient, mail.values, base_url="", keys=[SECRET_KEY])
    assert written.subject[:6] in written.text
    return written.subject[6:]


# --------------------------------------------------------------------------------------------- the page


def test_every_address_gets_the_same_answer_and_the_same_page(cast: Cast) -> None:
    disable_dave(cast)
    fill(cast, "carol@docket.example")
    seen = set()
    for email in (NINA["email"], KNOWN, STAFF, DISABLED, "carol@docket.example"):
        # Without a mail server the page of development would show the codes.
        with client_for(cast.database, smtp_url="smtp://mail.example.org") as client:
            answer = client.post("/register", data={**NINA, "email": email})
            headers = {name for name in answer.headers if name != "x-request-id"}
            page = client.get("/login/code")
            shown = read(page).text.replace(email, "EMAIL")
            wrong = client.post("/login/code", data={"code": "000000"})
            said = read(wrong).text.replace(email, "EMAIL")
        seen.add((answer.status_code, answer.text, frozenset(headers), tuple(sorted(client.cookies)), shown, said))
    assert len(seen) == 1
    mailed = [(mail.recipient, mail.values["taken"]) for mail in all_of(cast, models.OutboxMessage)]
    assert mailed == [(NINA["email"], False), (KNOWN, True), (STAFF, True)]


def test_the_account_is_made_with_the_code_and_its_address_is_confirmed(client: TestClient, cast: Cast) -> None:
    send_form(client, {**NINA, "phone": "+31 6 1234 5678", "birth_date": "1984-03-27"})
    assert user_of(cast, NINA["email"]) is None
    (mail,) = all_of(cast, models.OutboxMessage)
    assert subject_of(mail) == " is your code for Harbour Lane Clinic"
    answer = client.post("/login/code", data={"code": last_code(cast)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Welcome. Your account is ready." in read(client.get("/")).text
    user = user_of(cast, NINA["email"])
    assert user is not None
    assert (user.email_confirmed_at, user.has_password) == (NOW, True)
    client.post("/logout")
    assert client.post("/login", data=NINA).status_code == 303
    # The registration is no longer stored.
    assert [code.registration for code in all_of(cast, models.SignInCode)] == [None]
    assert list(find_problems(cast.database, now=NOW)) == []


def test_the_code_of_a_known_address_signs_in_and_changes_nothing(client: TestClient, cast: Cast) -> None:
    before = user_of(cast, KNOWN)
    send_form(client, {**NINA, "email": "ALICE@docket.example"})
    (mail,) = all_of(cast, models.OutboxMessage)
    assert subject_of(mail) == " is your code: you already have an account at Harbour Lane Clinic"
    client.post("/login/code", data={"code": last_code(cast)})
    assert f"You’re signed in as {KNOWN}" in read(client.get("/account")).text
    after = user_of(cast, KNOWN)
    assert before is not None
    assert after is not None
    assert (after.name, after.password_hash) == (before.name, before.password_hash)
    assert [code.registration for code in all_of(cast, models.SignInCode)] == [None]


def test_another_code_completes_the_same_registration(client: TestClient, cast: Cast) -> None:
    send_form(client, NINA)
    app: Any = client.app
    app.state.clock = lambda: NOW + timedelta(minutes=11)
    client.post("/login/code/again")
    assert [bool(code.registration) for code in all_of(cast, models.SignInCode)] == [False, True]
    client.post("/login/code", data={"code": last_code(cast)})
    assert client.post("/login", data=NINA).status_code == 303


def test_another_browser_with_the_same_address_gets_nothing_of_it(client: TestClient, cast: Cast) -> None:
    send_form(client, NINA)
    with client_for(cast.database) as owner:
        owner.post("/login", data={"email": NINA["email"], "by": "code"})
        answer = owner.post("/login/code", data={"code": last_code(cast)})
        assert answer.headers["location"] == "/register/details"


def test_a_clinic_that_asks_for_more_meanwhile_asks_the_person_again(client: TestClient, cast: Cast) -> None:
    send_form(client, NINA)
    cast.change(sa.update(models.ClinicSettings).values(asks_phone="require"))
    answer = client.post("/login/code", data={"code": last_code(cast)})
    assert answer.headers["location"] == "/register/details"


def test_the_record_that_the_clinic_made_joins_a_registration(client: TestClient, cast: Cast) -> None:
    made = cast.add(models.Patient(name="Nina New", email=NINA["email"], phone="", created_at=NOW))
    register(client, cast, NINA)
    with cast.database.reading() as session:
        (record,) = session.scalars(sa.select(models.Patient).where(models.Patient.email == NINA["email"]))
    user = user_of(cast, NINA["email"])
    assert user is not None
    assert (record.id, record.user_id) == (made, user.id)


# ---------------------------------------------------------------------------------------------- the API


@pytest.fixture
def neutral(cast: Cast) -> TestClient:
    """A program's client, where the operator wants the API to tell nothing."""
    return client_for(cast.database, neutral_registration=True)


def test_the_api_tells_nothing_either_where_the_operator_wants_that(neutral: TestClient, cast: Cast) -> None:
    disable_dave(cast)
    fill(cast, "carol@docket.example")
    seen = set()
    for email in (NINA["email"], KNOWN, STAFF, DISABLED, "carol@docket.example"):
        answer = neutral.post(API, json={**NINA, "email": email})
        body = answer.json()
        assert len(body.pop("registration")) == 43
        headers = frozenset(name for name in answer.headers if name != "x-request-id")
        token = neutral.post("/api/v1/auth/token", data={"username": email, "password": NINA["password"]})
        seen.add((answer.status_code, str(body), headers, answer.headers["content-length"], token.status_code))
    assert len(seen) == 1
    assert (answer.status_code, body) == (202, {"status": "confirmation_sent"})


def test_a_program_confirms_a_registration_with_the_code(neutral: TestClient, cast: Cast) -> None:
    asked = neutral.post(API, json=NINA).json()
    sent = {"registration": asked["registration"], "email": NINA["email"], "code": last_code(cast)}
    wrong = neutral.post(f"{API}/confirmation", json=sent | {"code": f"{(int(sent['code']) + 1) % 1_000_000:06}"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_code")
    made = neutral.post(f"{API}/confirmation", json=sent)
    assert made.status_code == 201, made.text
    user = user_of(cast, NINA["email"])
    assert user is not None
    assert (made.json()["id"], made.json()["name"], user.email_confirmed_at) == (user.id, "Nina New", NOW)
    token = neutral.post("/api/v1/auth/token", data={"username": NINA["email"], "password": NINA["password"]})
    assert token.status_code == 200
    # The code works once.
    assert neutral.post(f"{API}/confirmation", json=sent).status_code == 422


def test_only_the_owner_of_the_mailbox_learns_of_the_account_through_the_api(neutral: TestClient, cast: Cast) -> None:
    asked = neutral.post(API, json={**NINA, "email": KNOWN}).json()
    sent = {"registration": asked["registration"], "email": KNOWN, "code": last_code(cast)}
    taken = neutral.post(f"{API}/confirmation", json=sent)
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")


@pytest.mark.both_databases
def test_by_default_programs_get_the_account_immediately(client: TestClient, cast: Cast) -> None:
    assert client.post(API, json=NINA).status_code == 201
    token = client.post("/api/v1/auth/token", data={"username": NINA["email"], "password": NINA["password"]})
    assert token.status_code == 200
    with client_for(cast.database, now=NOW + timedelta(hours=1)) as later:
        assert later.post(API, json={**NINA, "password": PASSWORD}).json()["code"] == "email_taken"
    assert [mail.template for mail in all_of(cast, models.OutboxMessage)] == ["confirm_email", "account_exists"]

"""Patients through the API: registering, managing their own and their dependants' data, and being found by staff."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.api_client import ApiClient
from tests.cast import NOW, Cast, client_for, local, log_in
from webapp import models
from webapp.core.formats import iso
from webapp.patients.search_parser import is_blank

PASSWORD = "walrus teapot orbit"
NEW = {"name": "Zoe Zander", "email": "Zoe@Docket.example", "password": PASSWORD, "birth_date": "1984-03-27"}


def actions(cast: Cast) -> list[str]:
    """The actions in the audit log, in order."""
    with cast.database.reading() as session:
        return list(session.scalars(sa.select(models.AuditEvent.action).order_by(models.AuditEvent.id)))


def code_of(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["code"])


def test_registering_makes_an_account_that_can_sign_in_and_a_mail_to_confirm_it(
    api: TestClient, sqlite_cast: Cast
) -> None:
    anonymous = ApiClient(api)
    made = anonymous.post("/auth/register", NEW)
    assert made.status_code == 201, made.text
    assert made.json() == {
        "id": made.json()["id"],
        "name": "Zoe Zander",
        "email": "zoe@docket.example",
        "role": "patient",
        "patient_id": made.json()["patient_id"],
    }
    assert "set-cookie" not in made.headers
    form = {"username": "zoe@docket.example", "password": PASSWORD}
    token = anonymous.request("POST", "/auth/token", data=form).json()["access_token"]
    me = anonymous.get("/patients/me", headers={"authorization": f"Bearer {token}"}).json()
    assert made.headers["location"] == f"/api/v1/patients/{me['id']}"
    assert (me["id"], me["birth_date"], me["has_account"]) == (made.json()["patient_id"], "1984-03-27", True)
    with sqlite_cast.database.reading() as session:
        assert session.scalars(sa.select(models.OutboxMessage.template)).all() == ["confirm_email"]
    assert code_of(anonymous.post("/auth/register", NEW), 409) == "email_taken"
    for wrong, code in (
        ({"password": "short"}, "password_too_short"),
        ({"password": "zoe zander zoe"}, "password_too_weak"),
        ({"birth_date": "2027-01-01"}, "birth_date"),
        ({"email": "nobody"}, "invalid"),
        ({"name": "1"}, "invalid"),
    ):
        refused = anonymous.post("/auth/register", {**NEW, "email": "other@docket.example", **wrong})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == f"/{next(iter(wrong))}"
        if code in {"password_too_short", "birth_date", "invalid"}:
            assert refused.json()["code"] == code
        assert PASSWORD not in refused.text


def test_programs_send_pasted_text_too(api: TestClient, sqlite_cast: Cast) -> None:
    anonymous = ApiClient(api)
    pasted = {
        "name": "Zoe\u0308\u00a0Zander\u200b",
        "email": "zoe@docket.example\u202c",
        "password": "zoe\u0308 teapot orbit",
    }
    made = anonymous.post("/auth/register", {**NEW, **pasted})
    assert made.status_code == 201, made.text
    assert (made.json()["name"], made.json()["email"]) == ("Zoë Zander", "zoe@docket.example")
    form = {"username": "\u200bzoe@docket.example", "password": "zoë teapot orbit"}
    assert anonymous.request("POST", "/auth/token", data=form).status_code == 200


def test_many_registrations_from_one_network_are_throttled_as_on_the_page(api: TestClient, sqlite_cast: Cast) -> None:
    anonymous = ApiClient(api)
    attempts = [
        {"account": "register", "address": "testclient", "device": "register", "judged": True, "at": NOW}
        for _number in range(20)
    ]
    sqlite_cast.database.write(lambda session: session.execute(sa.insert(models.FailedLogin), attempts))
    refused = anonymous.post("/auth/register", NEW)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 60


def test_patients_manage_their_own_data(api: TestClient, sqlite_cast: Cast) -> None:
    alice = ApiClient(api, "alice")
    me = alice.get("/patients/me")
    assert alice.get("/patients/me", headers={"if-none-match": me.headers["etag"]}).status_code == 304
    assert code_of(alice.request("PATCH", "/patients/me", json={"wants_sms": True}), 422) == "no_phone"
    tag = {"if-match": me.headers["etag"]}
    both = {"phone": "06 1234 5678", "wants_sms": True}
    changed = alice.request("PATCH", "/patients/me", json=both, headers=tag)
    assert changed.json() == {**me.json(), **both, "phone": "+31612345678"}
    assert code_of(alice.request("PATCH", "/patients/me", json={"name": "Al"}, headers=tag), 412)
    # All or nothing: removing the phone number would leave the wish for text messages without one.
    half = alice.request("PATCH", "/patients/me", json={"phone": "", "wants_email": False})
    assert code_of(half, 422) == "no_phone"
    assert alice.get("/patients/me").json() == changed.json()
    own = alice.request("PATCH", f"/patients/{me.json()['id']}", json={"name": "Alice Adamson"})
    assert own.json()["name"] == "Alice Adamson"
    assert alice.get("/auth/me").json()["name"] == "Alice Adamson"
    assert code_of(ApiClient(api, "bob").get("/patients/me"), 403) == "wrong_role"


def test_patients_manage_their_dependants(api: TestClient, sqlite_cast: Cast) -> None:
    alice, dave = ApiClient(api, "alice"), ApiClient(api, "dave")
    made = alice.post("/patients", {"name": "Robin Adams", "birth_date": "2019-05-05", "email": "x@docket.example"})
    assert made.status_code == 201, made.text
    place = made.headers["location"].removeprefix("/api/v1")
    assert made.json()["managed_by_id"] == sqlite_cast.patient_ids["alice"]
    assert made.json()["email"] == "", "Only staff write where messages go."
    assert [each["name"] for each in alice.get("/patients").json()] == ["Alice Adams", "Robin Adams"]
    assert [each["name"] for each in alice.get("/patients?q=rob").json()] == ["Robin Adams"]
    changed = alice.request("PATCH", place, json={"phone": "+31201234561"}, headers={"if-match": made.headers["etag"]})
    assert changed.json()["phone"] == "+31201234561"
    stale = alice.request("PATCH", place, json={"phone": "+31201234562"}, headers={"if-match": made.headers["etag"]})
    assert code_of(stale, 412) == "precondition_failed"
    assert dave.get(place).status_code == dave.request("PATCH", place, json={"name": "Mine"}).status_code == 404
    assert [each["name"] for each in dave.get("/patients?q=adams").json()] == []
    # A person with an account manages their own data.
    user = models.User(email="r@docket.example", name="R", role="patient", password_hash="", created_at=NOW)
    sqlite_cast.add(user)
    mine = models.Patient.id == made.json()["id"]
    sqlite_cast.change(sa.update(models.Patient).where(mine).values(user_id=user.id, email="r@docket.example"))
    assert alice.get(place).json()["email"] == ""
    assert alice.request("PATCH", place, json={"phone": "020 3"}).status_code == 404


@pytest.mark.both_databases
def test_staff_find_read_add_and_change_patients_and_leave_a_trace(client: TestClient, cast: Cast) -> None:
    carol, bob = ApiClient(client, "carol"), ApiClient(client, "bob")
    before = len(actions(cast))
    page = carol.get("/patients?limit=1")
    assert ([each["name"] for each in page.json()], page.headers["x-total-count"]) == (["Alice Adams"], "2")
    assert [each["name"] for each in bob.get("/patients?q=dunn").json()] == ["Dave Dunn"]
    similar = carol.get("/patients?q=dave%20dnun")
    assert ([each["name"] for each in similar.json()], similar.headers["x-total-count"]) == (["Dave Dunn"], "1")
    assert carol.get("/patients?q=%3F%3F").json() == []
    assert carol.get(f"/patients/{cast.patient_ids['dave']}").status_code == 200
    assert carol.get("/patients/999").status_code == 404
    assert actions(cast)[before:] == ["patients_listed", *["patients_searched"] * 3, "patient_read"]

    new = {"name": "Anna Jansen", "birth_date": "1990-01-02", "phone": "020 77", "email": "anna@docket.example"}
    made = carol.post("/patients", new)
    assert made.status_code == 201, made.text
    likely = bob.post("/patients", {"name": "Jansen, Ana", "birth_date": "1990-01-02"})
    assert code_of(likely, 409) == "likely_duplicate"
    assert likely.json()["ids"] == [made.json()["id"]]
    assert bob.post("/patients", {"name": "Jansen, Ana", "birth_date": "1990-01-02", "anyway": True}).status_code == 201
    place = f"/patients/{made.json()['id']}"
    changed = carol.request("PATCH", place, json={"email": ""}, headers={"if-match": made.headers["etag"]})
    assert changed.json() == {**made.json(), "email": ""}
    assert code_of(bob.request("PATCH", place, json={"phone": "1"}), 403) == "wrong_role"
    assert "Anna Jansen" in log_in(client, "carol").get(f"/admin{place}").text


SEARCHES = [
    "dunn",
    "alice",
    "a",
    "20",
    "1990",
    "dave@",
    "dave dnun",
    "?",
    "..",
    "xyzzy",
    "",
    " ",
    "\u200b",
    "\u00ad ",
    "\u0378",
]


@pytest.mark.parametrize("text", SEARCHES)
def test_doctors_list_through_the_api_the_patients_that_their_page_shows(sqlite_cast: Cast, text: str) -> None:
    start = iso(local("2026-03-03 09:30"))
    with client_for(sqlite_cast.database) as client:
        bob = ApiClient(client, "bob")
        log_in(client, "bob")
        page = client.get("/book", params={"doctor": "bob", "visit_type": 1, "starts_at": start, "q": text})
        assert page.status_code == 200
        shown = {int(number) for number in re.findall(r"[?&;]patient=(\d+)", page.text)}
        client.cookies.clear()
        answer = bob.get("/patients", params={"q": text, "limit": 100})
    if not is_blank(text):
        listed = {each["id"] for each in answer.json()}
        assert listed == shown
        assert last_details(sqlite_cast, "patients_searched") == {"patients": sorted(listed)}
    else:
        assert (code_of(answer, 422), shown) == ("search_needed", set())


def last_details(cast: Cast, action: str) -> dict[str, Any]:
    """The details of the last row with this action in the audit log, with the ids in order."""
    query = sa.select(models.AuditEvent.details).where(models.AuditEvent.action == action)
    with cast.database.reading() as session:
        details = session.scalars(query.order_by(models.AuditEvent.id.desc()).limit(1)).one()
    return {name: sorted(ids) for name, ids in details.items()}


def test_admins_correct_the_address_of_a_patients_account(client: TestClient, cast: Cast) -> None:
    carol = ApiClient(client, "carol")
    place = f"/patients/{cast.patient_ids['alice']}"
    assert code_of(carol.request("PATCH", place, json={"email": "dave@docket.example"}), 409) == "email_taken"
    assert code_of(carol.request("PATCH", place, json={"email": ""}), 422) == "no_address"
    assert carol.request("PATCH", place, json={"phone": "020 123 4561"}).json()["email"] == "alice@docket.example"
    assert (
        carol.request("PATCH", place, json={"email": "right@docket.example"}).json()["email"] == "right@docket.example"
    )
    with cast.database.reading() as session:
        assert session.get_one(models.User, cast.alice.user_id).email == "right@docket.example"
    cast.change(sa.update(models.User).where(models.User.id == cast.alice.user_id).values(role="doctor"))
    assert code_of(carol.request("PATCH", place, json={"email": "own@docket.example"}), 409) == "staff_address"

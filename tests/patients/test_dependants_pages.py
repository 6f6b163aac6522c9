"""The pages of a patient's dependants in the account."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import appointment, insert
from tests.cast import NOW, Cast, log_in
from tests.reading import read
from webapp import models
from webapp.patients import dependants

ZOE = {"name": "Zoë Adams", "birth_date": "2019-05-04", "phone": ""}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Forms and their texts do not depend on the kind of database."""
    return sqlite_url


def child_of(cast: Cast, parent: str) -> int:
    """A dependant of one of the cast."""
    return cast.add(models.Patient(name="Zoë Adams", managed_by_id=cast.patient_ids[parent], created_at=NOW))


def test_a_patient_adds_edits_and_removes_a_dependant(client: TestClient) -> None:
    log_in(client, "alice")
    account = read(client.get("/account"))
    assert "You haven’t added anyone yet." in account.text
    assert "/account/people/new" in account.links
    form = read(client.get("/account/people/new")).form("/account/people")
    assert form == {"name": "", "birth_date": "", "phone": "", "seen": ""}
    answer = client.post("/account/people", data={**form, **ZOE})
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    account = read(client.get("/account"))
    assert "You can now book appointments for Zoë Adams." in account.text
    assert "Zoë Adams Born on 4 May 2019" in account.text
    [address] = [link for link in account.links if link.startswith("/account/people/") and link[-1].isdigit()]
    form = read(client.get(address)).form(address)
    seen = form["seen"]
    assert seen
    assert form == {**ZOE, "seen": seen}
    assert client.post(address, data={**form, "name": "Zoë Zimmer"}).status_code == 303
    assert "Zoë Zimmer’s details are saved." in read(client.get("/account")).text
    assert f"{address}/removal" in read(client.get(address)).links
    assert read(client.get(f"{address}/removal")).h1 == "Remove Zoë Zimmer?"
    answer = client.post(f"{address}/removal")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    account = read(client.get("/account"))
    assert "Zoë Zimmer has been removed. You can no longer book for them." in account.text
    assert "You haven’t added anyone yet." in account.text
    assert client.get(address).status_code == 404


def test_invalid_input_is_reported_beside_its_field_and_kept(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    zoe = f"/account/people/{child_of(cast, 'alice')}"
    for address in ("/account/people", zoe):
        for field, value, said in (
            ("name", "", "Enter a name."),
            ("name", "Z", "Enter a name of 2 to 120 characters."),
            ("birth_date", "4/5/2019", "Enter a real date, such as 1984-03-27"),
            ("birth_date", "2026-03-03", "The date of birth can’t be in the future."),
            ("phone", "call me", "Enter a phone number"),
        ):
            answer = client.post(address, data={**ZOE, field: value})
            assert answer.status_code == 422, (address, field, value)
            page = read(answer)
            assert said in page.one(id=f"{field}-error").text
            assert f"#{field}" in page.one("div", role="alert").links
            assert page.form(address) == {**ZOE, "seen": "unseen", field: value}


def test_the_second_to_save_sees_both_versions(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    address = f"/account/people/{child_of(cast, 'alice')}"
    form = read(client.get(address)).form(address)
    assert client.post(address, data={**form, "phone": "+31201234561"}).status_code == 303
    answer = client.post(address, data={**form, "phone": "+31201234562"})
    assert answer.status_code == 409
    page = read(answer)
    assert "Someone else changed this while you were editing." in page.one("div", role="alert").text
    assert page.one(id="phone-theirs").text == "Saved in the meantime: 020 123 4561"
    assert page.form(address)["phone"] == "+31201234562"
    # Now both versions were seen.
    assert client.post(address, data=page.form(address)).status_code == 303


def test_a_dependant_with_appointments_stays_and_the_page_says_whom_to_ask(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    zoe = child_of(cast, "alice")
    insert(cast, appointment(cast, "2026-03-03 09:00") | {"patient_id": zoe})
    answer = client.post(f"/account/people/{zoe}/removal")
    assert answer.status_code == 409
    alert = read(answer).one("div", role="alert").text
    assert "because they’ve had or booked an appointment here" in alert
    assert "020 123 4567" in alert
    assert client.get(f"/account/people/{zoe}").status_code == 200


def test_a_patient_has_at_most_ten_dependants(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    for _ in range(dependants.MOST_PEOPLE):
        child_of(cast, "alice")
    account = read(client.get("/account"))
    assert "/account/people/new" not in account.links
    assert "You can add up to 10 people. To add more, please ask the clinic." in account.text
    answer = client.post("/account/people", data=ZOE)
    assert answer.status_code == 409
    assert "You can book for up to 10 people." in read(answer).one("div", role="alert").text


def test_a_user_signed_out_meanwhile_gets_the_form_back_after_signing_in(client: TestClient) -> None:
    # The address to which the form is sent shows no page.
    answer = client.post("/account/people", data=ZOE, headers={"referer": "http://docket.test/account/people"})
    assert answer.status_code == 401
    assert "/login?next=%2Fcontinue" in read(answer).links


def test_another_users_dependant_looks_like_an_unknown_one(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    theirs = child_of(cast, "dave")
    cast.change(
        sa.update(models.Patient)
        .where(models.Patient.id == cast.patient_ids["dave"])
        .values(managed_by_id=cast.patient_ids["alice"])
    )
    # Dave has an account: Alice sees that she books for him, but he manages his own data.
    account = read(client.get("/account"))
    assert "Dave Dunn" in account.text
    assert f"/account/people/{cast.patient_ids['dave']}" not in account.links
    missing = client.get("/account/people/999999")
    for number in (theirs, cast.patient_ids["dave"], cast.patient_ids["alice"]):
        for path in ("", "/removal"):
            answer = client.get(f"/account/people/{number}{path}")
            assert (answer.status_code, answer.text) == (404, missing.text)
            assert client.post(f"/account/people/{number}{path}", data=ZOE).status_code == 404


def test_staff_have_no_dependants_in_their_account(client: TestClient) -> None:
    log_in(client, "carol")
    assert "People I book for" not in read(client.get("/account")).text

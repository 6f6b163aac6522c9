"""Which messages about appointments a patient wants."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, client_for, log_in
from tests.reading import read
from webapp.models import Patient


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Nothing here depends on the kind of database."""
    return sqlite_url


def preferences(cast: Cast) -> dict[str, tuple[bool, bool]]:
    with cast.database.reading() as session:
        query = sa.select(Patient.name, Patient.wants_email, Patient.wants_sms)
        return {name: (email, sms) for name, email, sms in session.execute(query)}


def test_a_patient_chooses_messages_for_themselves_and_their_dependants(client: TestClient, cast: Cast) -> None:
    alice, dave = cast.patient_ids["alice"], cast.patient_ids["dave"]
    cast.add(Patient(name="Zoe Adams", managed_by_id=alice, created_at=NOW))
    cast.change(sa.update(Patient).where(Patient.id == dave).values(managed_by_id=alice))
    cast.change(sa.update(Patient).where(Patient.id == alice).values(phone="+31612345678"))
    log_in(client, "alice")
    page = read(client.get("/account"))
    assert "We always send password and confirmation emails." in page.text
    assert page.form("/account/messages") == {"wants_email": "y"}
    assert client.post("/account/messages", data={"wants_sms": "y"}).status_code == 303
    assert read(client.get("/account")).form("/account/messages") == {"wants_sms": "y"}
    client.post("/account/people", data={"name": "Max Adams"})
    assert preferences(cast) == {
        "Alice Adams": (False, True),
        "Zoe Adams": (False, True),
        "Max Adams": (False, True),
        # A person with an account chooses there.
        "Dave Dunn": (True, False),
    }


def test_without_messages_the_consequence_is_shown_and_booking_mentions_no_mail(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    client.post("/account/messages", data={})
    assert "You won’t get any messages about your appointments" in read(client.get("/account")).text
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    booked = read(client.get(f"/appointments/{reference}?booked=1"))
    assert booked.h1 == "Your appointment is booked"
    assert "emailed" not in booked.text


def test_text_messages_are_offered_only_where_they_are_sent(cast: Cast) -> None:
    of_alice = sa.update(Patient).where(Patient.id == cast.patient_ids["alice"])
    production: dict[str, Any] = {
        "environment": "production",
        "base_url": "https://docket.test",
        "mail_from": "clinic@docket.test",
    }
    with client_for(cast.database, **production) as client:
        assert "wants_sms" not in log_in(client, "alice").get("/account").text
        # A clinic that has no gateway any more still lets patients turn them off.
        cast.change(of_alice.values(wants_sms=True, phone="+31612345678"))
        assert read(client.get("/account")).form("/account/messages") == {"wants_email": "y", "wants_sms": "y"}
    cast.change(of_alice.values(wants_sms=False))
    with client_for(cast.database, **production, sms_url="https://gateway.example/send") as client:
        assert "wants_sms" in log_in(client, "alice").get("/account").text


def test_text_messages_need_a_telephone_number(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    answer = client.post("/account/messages", data={"wants_sms": "y"})
    assert answer.status_code == 422
    page = read(answer)
    assert page.one(id="wants_sms-error").text.startswith("Error: Add your mobile number under “Your details” first.")
    assert page.form("/account/messages") == {"wants_sms": "y"}
    assert preferences(cast)["Alice Adams"] == (True, False)
    profile = page.form("/account")
    client.post("/account", data={**profile, "phone": "+31612345678"})
    client.post("/account/messages", data={"wants_email": "y", "wants_sms": "y"})
    client.post("/account", data={**profile, "phone": "+31687654321"})
    assert preferences(cast)["Alice Adams"] == (True, True)
    client.post("/account", data={**profile, "phone": ""})
    assert preferences(cast)["Alice Adams"] == (True, False)


def test_staff_have_no_such_choice(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    assert not read(client.get("/account")).all("form", action="/account/messages")

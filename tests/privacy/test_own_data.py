"""A copy of all data about a patient: for the patient, and made by staff on request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, Cast, client_for, log_in
from tests.reading import read
from webapp import models
from webapp.appointments import calls
from webapp.core.formats import iso
from webapp.privacy import own_data

pytestmark = pytest.mark.both_databases

FAMILY = "Zoe Adams"
PRIVACY = Path(__file__).parents[2] / "docs" / "privacy.md"


def fill(cast: Cast) -> str:
    """Alice has a past with the clinic, and books for a child. Returns the reference of her appointment."""
    alice = cast.patient_ids["alice"]
    cast.change(sa.update(models.Patient).where(models.Patient.id == alice).values(phone="+31612345678"))
    child = cast.add(models.Patient(name=FAMILY, managed_by_id=alice, created_at=NOW))
    reference = cast.book(cast.alice, "2026-03-10 09:00")
    words = {"reason": "A sore knee", "notes": "In a wheelchair", "private_note": "Seems tired"}
    cast.change(sa.update(models.Appointment).values(words))
    other = cast.book(cast.alice, "2026-03-12 09:00")
    cast.change(
        sa.update(models.Appointment)
        .where(models.Appointment.reference == other)
        .values(patient_id=child, reason="An earache")
    )
    cast.book(cast.dave, "2026-03-11 09:00")
    return reference


def test_a_patient_gets_everything_as_json_and_nothing_of_others(client: TestClient, cast: Cast) -> None:
    reference = fill(cast)
    log_in(client, "carol").get(f"/appointments/{reference}")
    log_in(client, "alice")
    answer = client.post("/account/data", data={"current": PASSWORD, "format": "json"})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == 'attachment; filename="my-data-2026-03-02.json"'
    found = answer.json()
    assert (found["format"], found["version"]) == (own_data.FORMAT, own_data.VERSION)
    assert found["account"]["email"] == "alice@docket.example"
    assert found["record"]["phone"] == "+31612345678"
    assert [each["name"] for each in found["people"]] == [FAMILY]
    appointments = [(each["patient"], each["reason"], each["notes"]) for each in found["appointments"]]
    assert appointments == [("Alice Adams", "A sore knee", "In a wheelchair"), (FAMILY, "An earache", "")]
    assert {each["to"] for each in found["messages"]} == {"alice@docket.example"}
    assert [each["user_agent"] for each in found["sign_ins"]] == ["testclient"]
    history = [(each["action"], each["by"], each["reference"]) for each in found["history"]]
    assert ("booked", "you", reference) in history
    assert ("appointment_read", "admin", reference) in history
    assert history[-1][:2] == ("patient_data_copied", "you")
    # Working notes of doctors, the names of staff, secrets and other patients are no part of it.
    for absent in ("Seems tired", "Carol", "dave@", "password_hash", "id_hash"):
        assert absent not in answer.text


def test_notes_and_actions_of_the_front_desk_are_in_the_copy_and_every_key_is_documented(
    client: TestClient, cast: Cast
) -> None:
    reference = fill(cast)
    cast.database.write(calls.tick, cast.fiona, reference, now=cast.now)
    wrote = {"override_reason": "Off the grid", "squeeze_reason": "A fever", "desk_note": "Needs a lift"}
    cast.change(sa.update(models.Appointment).where(models.Appointment.reference == reference).values(wrote))
    log_in(client, "alice")
    found = client.post("/account/data", data={"current": PASSWORD, "format": "json"}).json()
    mine = found["appointments"][0]
    assert wrote.items() <= mine.items()
    assert mine["called_at"] == iso(cast.now)
    # A later table, which says when data is deleted, has some of the same names.
    documented = dict(reversed(re.findall(r"^\| `(\w+)` \| (.*) \|$", PRIVACY.read_text(), re.MULTILINE)))
    for section in ("account", "record", "appointments", "history", "messages", "sign_ins"):
        rows = found[section] if isinstance(found[section], list) else [found[section]]
        assert [key for key in rows[0] if f"`{key}`" not in documented[section]] == [], section
    page = read(client.post("/account/data", data={"current": PASSWORD, "format": "page"})).text
    for said in ("Reason for exception Off the grid", "Squeezed in A fever", "Needs a lift", "Called 2 March 2026"):
        assert said in page


def test_the_page_says_the_same_in_words(client: TestClient, cast: Cast) -> None:
    fill(cast)
    log_in(client, "alice")
    answer = client.post("/account/data", data={"current": PASSWORD, "format": "page"})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    page = read(answer)
    for said in ("A sore knee", "In a wheelchair", "An earache", FAMILY, "10 March 2026, 09:00", "Scheduled"):
        assert said in page.text
    assert "Seems tired" not in page.text


def test_the_password_is_asked_again_and_guessing_it_is_counted(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    assert "current" in read(client.get("/account/data")).form("/account/data")
    for _number in range(10):
        answer = client.post("/account/data", data={"current": "wrong", "format": "json"})
        assert answer.status_code in {422, 429}
    assert client.post("/account/data", data={"current": PASSWORD}).status_code == 429
    cast.change(sa.delete(models.FailedLogin))
    # An account that signs in by other means has no password to ask for.
    cast.change(sa.update(models.User).values(has_password=False))
    assert "current" not in read(client.get("/account/data")).form("/account/data")
    assert client.post("/account/data", data={"format": "json"}).status_code == 200


def test_notes_of_all_doctors_are_in_the_copy_if_the_clinic_says_so(client: TestClient, cast: Cast) -> None:
    reference = fill(cast)
    number = sa.select(models.Appointment.id).where(models.Appointment.reference == reference).scalar_subquery()
    note = {"appointment_id": number, "doctor_id": cast.doctor_ids["erin"], "text": "Sleeps badly"}
    cast.change(sa.insert(models.FormerNote).values(note))
    log_in(client, "alice")
    sent = {"current": PASSWORD, "format": "json"}
    assert "Sleeps badly" not in client.post("/account/data", data=sent).text
    cast.change(sa.update(models.ClinicSettings).values(private_notes_in_copy=True))
    found = [
        (each["private_note"], each["former_notes"])
        for each in client.post("/account/data", data=sent).json()["appointments"]
    ]
    assert found == [("Seems tired", ["Sleeps badly"]), ("", [])]
    page = read(client.post("/account/data", data=sent | {"format": "page"}))
    assert "Notes of earlier doctors Sleeps badly" in page.text


def test_staff_make_the_copy_on_request_and_the_log_says_so(cast: Cast) -> None:
    fill(cast)
    address = f"/admin/patients/{cast.patient_ids['alice']}/data"
    with log_in(client_for(cast.database), "carol") as client:
        assert address in read(client.get(f"/admin/patients/{cast.patient_ids['alice']}")).links
        assert client.post(address, data={"current": "wrong"}).status_code == 422
        found = client.post(address, data={"current": PASSWORD, "format": "json"}).json()
        assert found["record"]["name"] == "Alice Adams"
        assert client.post("/admin/patients/999/data", data={"current": PASSWORD}).status_code == 404
    with cast.database.reading() as session:
        rows = session.execute(
            sa.select(models.AuditEvent.actor_user_id, models.AuditEvent.subject_id).where(
                models.AuditEvent.action == "patient_data_copied"
            )
        ).all()
    assert rows == [(cast.carol.user_id, cast.patient_ids["alice"])]


def test_the_copy_is_read_as_it_is_sent(cast: Cast) -> None:
    fill(cast)
    sections = own_data.copy_of(cast.database, cast.patient_ids["alice"])
    name, rows = next(sections)
    assert name == "account"
    assert next(rows)["name"] == "Alice Adams"
    # A reader who stops leaves no snapshot and no connection behind.
    sections.close()  # type: ignore[attr-defined]

"""Visit types through the pages: which doctors offer them, what a change affects, and that nothing typed is lost."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import Cast, local, log_in
from tests.reading import Element, read
from webapp.models import Appointment, VisitType, doctor_visit_types

VACCINATION = {"name": "Vaccination", "minutes": "10", "buffer_before": "0", "buffer_after": "5", "online": "y"}


@pytest.fixture
def carol(client: TestClient) -> TestClient:
    """The admin's browser."""
    return log_in(client, "carol")


def kind(cast: Cast, name: str) -> VisitType | None:
    with cast.database.reading() as session:
        return session.scalar(sa.select(VisitType).where(VisitType.name == name))


def offered_by(cast: Cast, number: int) -> set[int]:
    table = doctor_visit_types.c
    with cast.database.reading() as session:
        return set(session.scalars(sa.select(table.doctor_id).where(table.visit_type_id == number)))


def appointment(cast: Cast, reference: str) -> Any:
    with cast.database.reading() as session:
        return session.execute(sa.select(Appointment).where(Appointment.reference == reference)).scalar_one()


def asked(page: Element) -> dict[str, Any]:
    """The data that the form on the page would send, with each ticked doctor."""
    form = page.one("main").one("form", method="post")
    doctors = [box["value"] for box in form.all("input", name="doctor_ids") if box.get("checked") is not None]
    return {**form.values(), "doctor_ids": doctors}


def test_a_new_visit_type_is_offered_immediately_by_the_ticked_doctors(carol: TestClient, cast: Cast) -> None:
    bob = cast.doctor_ids["bob"]
    empty = asked(read(carol.get("/admin/visit-types/new")))
    assert (empty["buffer_before"], empty["online"], "named_in_messages" in empty) == ("0", "y", False)
    sent = {**VACCINATION, "preparation": "Wear short sleeves.", "doctor_ids": [str(bob)]}
    preview = carol.post("/admin/visit-types", data={**sent, "step": "preview"})
    assert "more times can be booked in the next 90 days." in read(preview).text
    assert kind(cast, "Vaccination") is None
    answer = carol.post("/admin/visit-types", data={**sent, "step": "save"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/visit-types")
    made = kind(cast, "Vaccination")
    assert made is not None
    assert (made.minutes, made.buffer_after, made.online, made.named_in_messages) == (10, 5, True, False)
    assert offered_by(cast, made.id) == {bob}
    assert cast.book(cast.alice, "2026-03-03 09:00", visit_type=made.id)
    row = read(carol.get("/admin/visit-types")).one("a", href=f"/admin/visit-types/{made.id}")
    assert row.text == "Vaccination"


def test_invalid_input_is_reported_and_kept(carol: TestClient, cast: Cast) -> None:
    for field, value, words in (
        ("name", "", "Enter a name, such as Follow-up."),
        ("name", "x", "Enter a name of 2 to 80 characters."),
        ("minutes", "", "Enter how many minutes it takes."),
        ("minutes", "soon", "Enter a whole number, such as 30."),
        ("minutes", "4", "Enter a number of minutes from 5 to 240."),
        ("minutes", "241", "Enter a number of minutes from 5 to 240."),
        ("buffer_before", "121", "Enter minutes from 0 to 120; 0 means no buffer."),
        ("buffer_after", "-1", "Enter minutes from 0 to 120; 0 means no buffer."),
        ("preparation", "x" * 2001, "This is too long. Use up to 2000 characters."),
        ("name", "Operation", "A visit type with this name already exists."),
    ):
        sent = {**VACCINATION, "preparation": "", field: value}
        answer = carol.post("/admin/visit-types", data={**sent, "step": "save"})
        assert answer.status_code == (409 if value == "Operation" else 422), (field, value)
        page = read(answer)
        assert words in page.one(id=f"{field}-error").text
        assert {name: asked(page)[name] for name in sent} == sent
    assert kind(cast, "Vaccination") is None


def test_booked_appointments_keep_their_length(carol: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    address = f"/admin/visit-types/{cast.short}"
    sent = {**asked(read(carol.get(address))), "minutes": "45", "step": "save"}
    assert carol.post(address, data=sent).status_code == 303
    assert appointment(cast, reference).ends_at == local("2026-03-03 10:15")
    assert appointment(cast, reference).flagged_why == ""
    made = kind(cast, "Follow-up")
    assert made is not None
    assert made.minutes == 45


def test_taking_it_from_a_doctor_asks_about_the_appointments_booked_with_them(carol: TestClient, cast: Cast) -> None:
    bobs = cast.book(cast.alice, "2026-03-03 10:00", visit_type=cast.long)
    erins = cast.book(cast.dave, "2026-03-03 10:00", doctor="erin", visit_type=cast.long)
    address = f"/admin/visit-types/{cast.long}"
    erin = [str(cast.doctor_ids["erin"])]
    sent = {**asked(read(carol.get(address))), "doctor_ids": erin, "step": "save"}
    answer = carol.post(address, data=sent)
    assert answer.status_code == 409
    page = read(answer)
    assert "1 appointment is affected" in page.text
    assert "The doctor no longer offers this visit type." in page.text
    assert "No free time to move to." in page.text
    assert offered_by(cast, cast.long) == set(cast.doctor_ids.values())
    again = {**asked(page), "decide-all": "cancel", "step": "save"}
    assert again["doctor_ids"] == erin
    assert carol.post(address, data=again).status_code == 303
    assert (appointment(cast, bobs).status, appointment(cast, erins).status) == ("cancelled", "scheduled")
    assert offered_by(cast, cast.long) == {cast.doctor_ids["erin"]}


@pytest.mark.both_databases
def test_the_second_of_two_editors_is_shown_both(carol: TestClient, cast: Cast) -> None:
    address = f"/admin/visit-types/{cast.long}"
    form = asked(read(carol.get(address)))
    first = {**form, "minutes": "40", "doctor_ids": [str(cast.doctor_ids["erin"])], "step": "save"}
    assert carol.post(address, data=first).status_code == 303
    answer = carol.post(address, data={**form, "name": "Intake", "step": "save"})
    assert answer.status_code == 409
    page = read(answer)
    assert page.one(id="minutes-theirs").text == "Saved in the meantime: 40"
    assert page.one(id="name-theirs").text == "Saved in the meantime: First visit"
    assert page.one(id="doctor_ids-theirs").text == "Saved in the meantime: Dr. Erin Eze"
    assert carol.post(address, data={**asked(page), "step": "save"}).status_code == 303
    made = kind(cast, "Intake")
    assert made is not None
    assert (made.minutes, offered_by(cast, made.id)) == (30, set(cast.doctor_ids.values()))


def test_deactivating_asks_and_reactivating_takes_the_flags_off(carol: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    address = f"/admin/visit-types/{cast.short}/activity"
    # A form without an answer does not mean no.
    assert carol.post(address, data={"step": "save", f"decide-{reference}": "keep"}).status_code == 422
    page = read(carol.get(address))
    assert page.h1 == "Deactivate Follow-up?"
    answer = carol.post(address, data={**page.form(address), "step": "save"})
    assert answer.status_code == 409
    kept = {**read(answer).form(address), f"decide-{reference}": "keep", "step": "save"}
    assert carol.post(address, data=kept).status_code == 303
    assert appointment(cast, reference).flagged_why == "visit_type_not_offered"
    assert "Inactive" in read(carol.get("/admin/visit-types")).text
    page = read(carol.get(address))
    assert page.h1 == "Reactivate Follow-up?"
    # Sending it twice reactivates it once.
    for _ in range(2):
        assert carol.post(address, data={**page.form(address), "step": "save"}).status_code == 303
    assert appointment(cast, reference).flagged_why == ""


def test_a_visit_type_that_does_not_exist_is_not_found(carol: TestClient) -> None:
    for odd in ("9999", "0", "x", "2147483648"):
        for page in ("", "/activity"):
            assert carol.get(f"/admin/visit-types/{odd}{page}").status_code == 404
            assert carol.post(f"/admin/visit-types/{odd}{page}").status_code == 404

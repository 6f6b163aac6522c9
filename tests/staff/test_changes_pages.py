"""Staff change the reason of an appointment in place, and the patient it is for."""

from __future__ import annotations

import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import Cast, log_in
from tests.reading import read
from webapp import models
from webapp.appointments import reassigning
from webapp.appointments.schemas import GiveToPatient

TEN = "2026-03-05 10:00"


def test_the_reason_is_edited_in_place(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    address = f"/appointments/{reference}/reason"
    log_in(client, "carol")
    assert address in read(client.get(f"/appointments/{reference}")).links
    beside = f"/board/2026-03-05/appointments/{reference}"
    (edit,) = [link for link in read(client.get(beside)).links if link.startswith(address)]
    form = read(client.get(edit)).form(address)
    # A form that does not say what it saw has seen nothing.
    assert client.post(address, data={"reason": "Unseen"}).status_code == 409
    assert client.post(address, data={**form, "reason": "A sore knee"}).headers["location"] == beside
    assert "A sore knee" in read(client.get(f"/appointments/{reference}")).text
    late = client.post(address, data={**form, "reason": "Another"})
    assert late.status_code == 409
    assert "Another" in late.text
    # Before it is replaced, the reader sees what the other person wrote.
    assert "A sore knee" in late.text


def test_the_front_desk_changes_no_reason_that_it_does_not_see(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    log_in(client, "fiona")
    assert client.get(f"/appointments/{reference}/reason").status_code == 200
    cast.change(sa.update(models.ClinicSettings).values(desk_sees_reasons=False))
    assert client.get(f"/appointments/{reference}/reason").status_code == 403
    assert f"/appointments/{reference}/reason" not in read(client.get(f"/appointments/{reference}")).links


def test_the_right_patient_is_searched_and_chosen(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    address = f"/appointments/{reference}/patient"
    log_in(client, "carol")
    form = read(client.get(address)).form(address)
    page = read(client.post(address, data={**form, "q": "dunn"}))
    (radio,) = page.all("input", name="patient")
    nobody = client.post(address, data={**page.form(address), "step": "give"})
    assert (nobody.status_code, "Choose the patient first." in nobody.text) == (422, True)
    answer = client.post(address, data={**page.form(address), "patient": radio["value"], "step": "give"})
    assert answer.status_code == 303
    page = read(client.get(answer.headers["location"]))
    assert page.h1 == "Dave Dunn"
    assert "Moved to Dave Dunn’s record by you" in page.text


def test_the_history_names_no_earlier_patient_as_the_next_ones_family(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    command = GiveToPatient(patient_id=cast.patient_ids["dave"])
    cast.database.write(reassigning.give_to_patient, cast.carol, reference, command, now=cast.now)
    log_in(client, "dave")
    history = read(client.get(f"/appointments/{reference}")).text
    assert "Booked by another patient" in history
    assert "Moved to Dave Dunn’s record by the clinic" in history
    assert "the person who books for" not in history
    assert "Alice" not in history

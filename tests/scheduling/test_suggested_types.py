"""The visit type of free times: pages name it with the times, and the clinic chooses it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import Cast, local, log_in
from tests.reading import Element, read
from webapp import models
from webapp.clinic.models import VisitType
from webapp.core.formats import iso

NINE, TEN = "2026-03-03 09:00", "2026-03-03 10:00"


@pytest.fixture(autouse=True)
def first_visits_are_for_new_patients(cast: Cast) -> None:
    for number, patients in ((cast.short, "returning"), (cast.long, "new")):
        cast.change(sa.update(VisitType).where(VisitType.id == number).values(suggested_for=patients))


def offers(page: Element) -> list[str]:
    return [item.one("p", class_="offer").text for item in page.all("li", class_="doctor")]


def chosen_type(page: Element) -> str:
    return next(radio["value"] for radio in page.all("input", name="visit_type") if radio.get("checked") is not None)


def was_with(cast: Cast, doctor: str, *, status: str = "completed") -> None:
    """Alice had an appointment two weeks ago."""
    put(cast, "2026-02-16 10:00", doctor=doctor, status=status)


def test_times_on_cards_name_their_visit_type_and_visitors_get_the_first_visit(client: TestClient, cast: Cast) -> None:
    page = read(client.get("/"))
    assert offers(page) == ["First visit · 30 minutes"] * 2
    assert f"visit_type={cast.long}" in page.one("section", class_="slip").one("a")["href"]
    assert "First visit" in page.one("section", class_="slip").text
    assert chosen_type(read(client.get("/doctors/bob"))) == str(cast.long)


def test_patients_who_have_seen_a_doctor_get_the_follow_up_only_there(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    cast.book(cast.alice, TEN)
    assert chosen_type(read(client.get("/doctors/bob"))) == str(cast.long)
    was_with(cast, "bob")
    names = [item.one("h3").text for item in read(client.get("/")).all("li", class_="doctor")]
    found = dict(zip(names, offers(read(client.get("/"))), strict=True))
    assert found == {"Dr. Bob Brown": "Follow-up · 15 minutes", "Dr. Erin Eze": "First visit · 30 minutes"}
    assert chosen_type(read(client.get("/doctors/bob"))) == str(cast.short)
    # Staff see what suits the patient for whom they look.
    log_in(client, "carol")
    assert chosen_type(read(client.get("/doctors/bob"))) == str(cast.long)
    for_alice = read(client.get(f"/doctors/bob?patient={cast.patient_ids['alice']}"))
    assert chosen_type(for_alice) == str(cast.short)


@pytest.mark.parametrize("status", ["cancelled", "no_show"])
def test_a_patient_who_did_not_come_is_new(client: TestClient, cast: Cast, status: str) -> None:
    was_with(cast, "bob", status=status)
    assert chosen_type(read(log_in(client, "alice").get("/doctors/bob"))) == str(cast.long)


@pytest.mark.both_databases
def test_the_clinics_choice_applies_immediately(client: TestClient, cast: Cast) -> None:
    assert offers(read(client.get("/"))) == ["First visit · 30 minutes"] * 2
    log_in(client, "carol")
    form = read(client.get(f"/admin/visit-types/{cast.long}")).form(f"/admin/visit-types/{cast.long}")
    assert form["suggested_for"] == "new"
    sent = {
        **form,
        "suggested_for": "none",
        "step": "save",
        "doctor_ids": [str(number) for number in cast.doctor_ids.values()],
    }
    answer = client.post(f"/admin/visit-types/{cast.long}", data=sent, follow_redirects=False)
    assert answer.status_code == 303
    with cast.database.reading() as session:
        assert session.scalar(sa.select(VisitType.suggested_for).where(VisitType.id == cast.long)) == "none"
    client.cookies.clear()
    # Bob's only type that is for others is Follow-up, so the shortest of the rest is shown.
    assert offers(read(client.get("/"))) == ["First visit · 30 minutes"] * 2
    cast.change(sa.update(VisitType).where(VisitType.id == cast.buffered).values(suggested_for="everyone"))
    assert sorted(offers(read(client.get("/")))) == ["First visit · 30 minutes", "Skin procedure · 45 minutes"]


def test_the_booking_page_changes_the_visit_type_and_keeps_typed_text(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    page = read(client.get(f"/book?doctor=bob&visit_type={cast.long}&starts_at={iso(local(TEN))}"))
    names = [option.text for option in page.one("select", name="visit_type").all("option")]
    assert names == ["Follow-up, 15 minutes", "First visit, 30 minutes", "Skin procedure, 45 minutes"]
    sent = {**page.form("/appointments"), "visit_type": str(cast.short), "reason": "A rash"}
    # Even the button that books shows another type first.
    for step in ({"step": "look"}, {}):
        answer = client.post("/appointments", data={**sent, **step})
        assert answer.status_code == 200
        shown = read(answer)
        assert "15 minutes, until 10:15" in shown.one("section", class_="slip").text
        form = shown.form("/appointments")
        assert (form["visit_type"], form["shown_type"], form["reason"]) == (str(cast.short),) * 2 + ("A rash",)
    assert client.post("/appointments", data=form, follow_redirects=False).status_code == 303
    with cast.database.reading() as session:
        assert session.scalars(sa.select(models.Appointment.visit_type_id)).all() == [cast.short]


def test_a_type_that_does_not_fit_offers_the_nearest_times(client: TestClient, cast: Cast) -> None:
    cast.book(cast.dave, "2026-03-03 10:15")
    log_in(client, "alice")
    page = read(client.get(f"/book?doctor=bob&visit_type={cast.short}&starts_at={iso(local(TEN))}"))
    sent = {**page.form("/appointments"), "visit_type": str(cast.long), "reason": "A rash", "step": "look"}
    answer = client.post("/appointments", data=sent)
    assert answer.status_code == 409
    shown = read(answer)
    sentence = "First visit takes 30 minutes, which isn’t free at 10:00. Choose another time or visit type."
    assert sentence in shown.text
    assert "Someone else booked" not in shown.text
    near = [button["value"] for button in shown.all("button", name="alternative")]
    assert iso(local("2026-03-03 09:45")) in near
    form = {**shown.form("/appointments"), "alternative": iso(local("2026-03-03 09:45"))}
    assert client.post("/appointments", data=form, follow_redirects=False).status_code == 303
    with cast.database.reading() as session:
        booked = sa.select(models.Appointment.visit_type_id, models.Appointment.reason).order_by(models.Appointment.id)
        assert session.execute(booked).all()[-1] == (cast.long, "A rash")

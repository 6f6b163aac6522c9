"""The form of a change that affects appointments: the choice for all, those not shown, and from when to propose."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import appointment, insert, put
from tests.cast import Cast, local, log_in
from tests.reading import read
from webapp import models
from webapp.appointments.impact import decisions
from webapp.staff import impact_pages

ADDRESS = "/admin/closures"
CLOSURE = {"name": "Flood", "starts_on": "2026-03-04", "ends_on": "2026-03-05", "step": "save"}


@pytest.fixture
def crowded(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """Twelve appointments on the two days, of which a page lists five."""
    monkeypatch.setattr(impact_pages, "SHOWN", 5)
    for number in range(12):
        patient = cast.add(models.Patient(name=f"Pat {chr(65 + number)}", created_at=cast.now))
        row = appointment(cast, f"2026-03-04 {9 + number // 4:02d}:{number % 4 * 15:02d}", minutes=15)
        insert(cast, row | {"patient_id": patient, "reference": f"AAAA-{number:04d}"})
    return cast


@pytest.mark.both_databases
def test_a_choice_for_all_decides_about_appointments_that_are_not_shown(client: TestClient, crowded: Cast) -> None:
    log_in(client, "carol")
    asked = client.post(ADDRESS, data=CLOSURE)
    page = read(asked)
    assert asked.status_code == 409
    assert "12 appointments are affected" in page.text
    assert len([field for field in page.all("select") if (field.get("name") or "").startswith("decide-")]) == 5
    assert "And 7 more." in page.text
    form = page.form(ADDRESS) | {"decide-all": "keep", "decide-AAAA-0000": "cancel", "step": "save"}
    assert client.post(ADDRESS, data=form).status_code == 303
    with crowded.database.reading() as session:
        appointment = models.Appointment
        found = session.execute(
            sa.select(appointment.status, sa.func.count()).group_by(appointment.status, appointment.flagged_why)
        ).all()
    assert sorted((status, count) for status, count in found) == [("cancelled", 1), ("scheduled", 11)]


def test_deciding_about_those_that_are_shown_is_not_enough(client: TestClient, crowded: Cast) -> None:
    log_in(client, "carol")
    page = read(client.post(ADDRESS, data=CLOSURE))
    each = {f"decide-AAAA-{number:04d}": "cancel" for number in range(5)}
    assert client.post(ADDRESS, data=page.form(ADDRESS) | each | {"step": "save"}).status_code == 409


@pytest.mark.both_databases
def test_moving_all_keeps_those_who_have_arrived(client: TestClient, crowded: Cast) -> None:
    appointment = models.Appointment
    here = {"reference": "AAAA-0000", "status": "arrived"}
    crowded.change(
        sa.update(appointment).where(appointment.reference == here["reference"]).values(status=here["status"])
    )
    log_in(client, "carol")
    page = read(client.post(ADDRESS, data=CLOSURE))
    assert "The patient has arrived." in page.text
    assert "Patients who have already arrived keep their appointment" in page.text
    field = page.one(name="decide-AAAA-0000")
    assert [option.get("value") for option in field.all("option")] == ["", "keep"]
    answer = client.post(ADDRESS, data=page.form(ADDRESS) | {"decide-all": "move", "step": "save"})
    assert answer.status_code == 303
    with crowded.database.reading() as session:
        found = session.execute(
            sa.select(appointment.status, appointment.moved_by_clinic, appointment.flagged_why)
        ).all()
    assert sorted(map(tuple, found)) == [("arrived", False, "closure"), *[("scheduled", True, "")] * 11]


def test_asking_for_times_from_today_shows_them_before_anything_is_moved(client: TestClient, cast: Cast) -> None:
    put(cast, "2026-03-02 16:00", minutes=15)
    closed = CLOSURE | {"starts_on": "2026-03-03", "ends_on": "2026-03-06"}
    put(cast, "2026-03-03 09:00", minutes=15, patient="dave")
    log_in(client, "carol")
    page = read(client.post(ADDRESS, data=closed))
    assert "Proposed: Monday 9 March, 09:00." in page.text
    form = page.form(ADDRESS)
    assert form["proposals-from"] == "next_working_day"
    answer = client.post(ADDRESS, data=form | {"proposals-from": "today", "decide-all": "move", "step": "save"})
    assert answer.status_code == 409
    page = read(answer)
    assert "Proposed: Monday 2 March, 16:30." in page.text
    form = page.form(ADDRESS)
    assert (form["proposals-from"], form["decide-all"]) == ("today", "move")
    assert client.post(ADDRESS, data=form | {"step": "save"}).status_code == 303
    with cast.database.reading() as session:
        starts = session.scalars(sa.select(models.Appointment.starts_at).order_by(models.Appointment.starts_at))
        assert starts.all() == [local("2026-03-02 16:00"), local("2026-03-02 16:30")]


@pytest.mark.both_databases
def test_the_page_names_appointments_that_could_not_be_moved_after_the_change(
    client: TestClient, crowded: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "AT_ONCE", 0)
    log_in(client, "carol")
    form = read(client.post(ADDRESS, data=CLOSURE)).form(ADDRESS)
    # The second is to move to the time of the first.
    first, second, *others = form["listed"].split()
    second = "|".join([*second.split("|")[:2], first.split("|")[2]])
    form["listed"] = " ".join([first, second, *others])
    answer = client.post(ADDRESS, data=form | {"decide-all": "move", "step": "save"})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/decisions?of=")
    page = read(client.get(answer.headers["location"]))
    assert "1 appointment needs a decision" in page.text
    assert {"/admin/appointments?flagged=1", "/admin/closures"} <= set(page.links)
    assert "The closure is saved." in page.text
    with crowded.database.reading() as session:
        flags = session.scalars(sa.select(models.Appointment.flagged_why).where(models.Appointment.flagged_why != ""))
        assert flags.all() == ["closure"]


@pytest.mark.both_databases
def test_the_page_says_how_far_the_decisions_are_and_continues_them(
    client: TestClient, crowded: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "AT_ONCE", 0)
    log_in(client, "carol")
    form = read(client.post(ADDRESS, data=CLOSURE)).form(ADDRESS) | {"decide-all": "cancel", "step": "save"}

    def die(*_arguments: object, **_more: object) -> None:
        """The process ends before it carries out anything."""

    with monkeypatch.context() as death:
        death.setattr(impact_pages, "finish", die)
        progress = client.post(ADDRESS, data=form).headers["location"]
    page = read(client.get(progress))
    assert page.h1 == "0 of 12 done"
    assert page.one("section", id="decisions")["hx-get"] == progress
    assert "12 decisions about appointments are not carried out yet" in read(client.get("/admin")).text
    answer = client.post("/decisions", data=page.form("/decisions"))
    assert answer.status_code == 303
    page = read(client.get(answer.headers["location"]))
    assert page.h1 == "All done"
    assert "needs a decision" not in page.text
    assert "/admin/closures" in page.links
    with crowded.database.reading() as session:
        assert set(session.scalars(sa.select(models.Appointment.status))) == {"cancelled"}

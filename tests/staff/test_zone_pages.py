"""The time zone through the pages: asked for first, named with hours, and corrected with or without new clock times."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, Cast, local, log_in, promised
from tests.reading import Element, read
from webapp.clinic.service import Clinic, get_clinic
from webapp.integrity.problems import find_problems
from webapp.models import Appointment, ClinicSettings, OutboxMessage

ADDRESS = "/admin/clinic/time-zone"
# Appointments keep their instants.
INSTANT = {"appointments": "instant", "step": "save"}


@pytest.fixture
def carol(client: TestClient) -> TestClient:
    """The admin's browser."""
    return log_in(client, "carol")


def clinic_of(cast: Cast) -> Clinic:
    with cast.database.reading() as session:
        return get_clinic(session)


def row(cast: Cast, reference: str) -> Any:
    with cast.database.reading() as session:
        return session.scalars(sa.select(Appointment).where(Appointment.reference == reference)).one()


def asked(page: Element) -> dict[str, str]:
    """The data that the form on the page would send."""
    return page.one("main").one("form", method="post").values()


def told(cast: Cast) -> list[tuple[str, str, str, str]]:
    """The messages about moved appointments: to whom, and both times on the clock of the clinic."""
    clock = clinic_of(cast).zone

    def on_clock(text: str) -> str:
        return f"{datetime.fromisoformat(text).astimezone(clock):%H:%M}"

    query = sa.select(OutboxMessage.template, OutboxMessage.recipient, OutboxMessage.values)
    with cast.database.reading() as session:
        found = session.execute(query.order_by(OutboxMessage.recipient)).all()
    return [
        (template, to.partition("@")[0], on_clock(values["before"]), on_clock(values["visit"]["starts_at"]))
        for template, to, values in found
    ]


@pytest.mark.both_databases
def test_appointments_keep_their_instants_and_their_patients_are_told(carol: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:15"), cast.book(cast.dave, "2026-03-03 11:00")
    put(cast, "2026-03-04 11:00", status="cancelled")
    cast.change(sa.delete(OutboxMessage))
    form = asked(read(carol.get(ADDRESS))) | INSTANT | {"time_zone": "Europe/London"}
    answer = carol.post(ADDRESS, data=form)
    assert told(cast) == [("visit_moved", "alice", "10:15", "09:15"), ("visit_moved", "dave", "11:00", "10:00")]
    # Patients whom no message reaches have to be called.
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk/told/1")
    listed = read(carol.get("/desk/told/1")).text
    assert "Moved to Tuesday 3 March at 09:15, Dr. Bob Brown" in listed
    assert "Email: waiting" in listed
    assert list(find_problems(cast.database, now=NOW)) == []


@pytest.mark.both_databases
def test_a_wrong_time_zone_is_corrected_and_appointments_keep_their_clock_times(carol: TestClient, cast: Cast) -> None:
    first, second = cast.book(cast.alice, "2026-03-03 09:00"), cast.book(cast.dave, "2026-03-03 09:15")
    cancelled = put(cast, "2026-03-04 10:00", status="cancelled")
    past = put(cast, "2026-02-24 10:00", status="completed")
    summer = put(cast, "2026-07-07 10:00", patient="dave")
    cast.change(sa.delete(OutboxMessage))
    form = asked(read(carol.get(ADDRESS))) | {"time_zone": "America/New_York"}
    page = read(carol.post(ADDRESS, data={**form, "step": "preview"}))
    assert "3 appointments keep their clock times. Patients are not told" in page.text
    assert "No appointments are affected." in page.text
    assert row(cast, first).starts_at == local("2026-03-03 09:00")
    assert carol.post(ADDRESS, data={**form, "step": "save"}).status_code == 303
    new_york = ZoneInfo("America/New_York")
    with cast.database.reading() as session:
        found = {row.id: row for row in session.scalars(sa.select(Appointment))}
    on_clock = {row.reference: f"{row.starts_at.astimezone(new_york):%d %H:%M}" for row in found.values()}
    assert (on_clock[first], on_clock[second]) == ("03 09:00", "03 09:15")
    assert {found[number].starts_at.astimezone(new_york).hour for number in (summer, cancelled)} == {10}
    assert found[past].starts_at == local("2026-02-24 10:00")
    assert row(cast, first).flagged_why == ""
    assert told(cast) == []
    assert list(find_problems(cast.database, now=NOW)) == []


def test_clock_times_that_meet_at_one_instant_are_named_and_nothing_is_changed(carol: TestClient, cast: Cast) -> None:
    # In Amsterdam 02:15 comes twice that night, and in Tunis once.
    first, again = put(cast, "2026-10-25 00:15"), put(cast, "2026-10-25 05:00", patient="dave")
    night = {first: "2026-10-25T00:15:00Z", again: "2026-10-25T01:15:00Z"}
    for number, text in night.items():
        start = datetime.fromisoformat(text)
        times = {"starts_at": start, "ends_at": start + timedelta(minutes=15), "promised_minute": promised(start)}
        times |= {"busy_from": times["starts_at"], "busy_until": times["ends_at"]}
        cast.change(sa.update(Appointment).where(Appointment.id == number).values(**times))
    form = asked(read(carol.get(ADDRESS))) | {"time_zone": "Africa/Tunis"}
    answer = carol.post(ADDRESS, data={**form, "step": "save"})
    assert answer.status_code == 409
    assert "can’t keep their clock times: TEST-" in read(answer).text
    assert clinic_of(cast).time_zone == "Europe/Amsterdam"


def test_patients_are_told_nothing_where_the_clock_shows_the_same(carol: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    cast.change(sa.delete(OutboxMessage))
    form = asked(read(carol.get(ADDRESS))) | INSTANT | {"time_zone": "Europe/Paris"}
    assert carol.post(ADDRESS, data=form).status_code == 303
    assert told(cast) == []


def test_a_patient_who_is_moved_by_a_decision_is_told_once(carol: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:00")
    cast.change(sa.delete(OutboxMessage))
    form = asked(read(carol.get(ADDRESS))) | INSTANT | {"time_zone": "Europe/London"}
    page = read(carol.post(ADDRESS, data=form))
    assert carol.post(ADDRESS, data={**asked(page), "decide-all": "cancel", "step": "save"}).status_code == 303
    with cast.database.reading() as session:
        assert session.scalars(sa.select(OutboxMessage.template)).all() == ["visit_cancelled"]


def test_a_new_clinic_is_asked_for_its_time_zone_first_and_hours_name_it(carol: TestClient, cast: Cast) -> None:
    cast.change(sa.update(ClinicSettings).values(zone_confirmed=False))
    first = read(carol.get("/admin")).all("h3")[0].text
    assert first == "Set the clinic’s time zone"
    assert "The time zone is not confirmed: Amsterdam time" in read(carol.get("/admin/clinic")).text
    page = read(carol.get(ADDRESS))
    assert "All times are Amsterdam time until you choose another one." in page.text
    # The same zone, confirmed.
    assert carol.post(ADDRESS, data={**asked(page), "step": "save"}).status_code == 303
    assert "Set the clinic’s time zone" not in read(carol.get("/admin")).text
    assert clinic_of(cast).zone_confirmed
    for place in (
        "clinic/opening-hours",
        "closures",
        "closures/new",
        "doctors/bob/hours",
        "doctors/bob/hours/new",
        "doctors/bob/hours/extra",
        "doctors/bob/time-off/new",
        "clinic/reminders",
    ):
        page = read(carol.get(f"/admin/{place}"))
        assert "All times are Amsterdam time." in page.text, place
        assert ADDRESS in page.links, place
    log_in(carol, "bob")
    assert ADDRESS not in read(carol.get("/schedule/hours")).links

"""The pages of time off, and the appointments that it affects."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, client_for, local, log_in
from tests.reading import Element, read
from webapp.doctors import time_off
from webapp.doctors.time_off import TimeOffRow
from webapp.integrity.problems import find_problems
from webapp.models import Appointment, AuditEvent, TimeOff

OWN, BOBS = "/schedule/time-off", "/admin/doctors/bob/time-off"
NEW = f"{OWN}/new"
TUESDAY = {"from_date": "2026-03-03", "whole_days": "y"}


def ahead(cast: Cast) -> list[TimeOffRow]:
    """Bob's time off that is not over."""
    with cast.database.reading() as session:
        return time_off.list_ahead(session, cast.doctor_ids["bob"], now=NOW)


def appointment(cast: Cast, reference: str) -> Appointment:
    with cast.database.reading() as session:
        return session.scalars(sa.select(Appointment).where(Appointment.reference == reference)).one()


def problems(cast: Cast) -> list[str]:
    return list(find_problems(cast.database, now=NOW))


def errors(page: Element) -> set[str]:
    """The ids of the error messages beside fields."""
    return {each["id"] for each in page.all("p", class_="error")}


@pytest.fixture
def bob(client: TestClient) -> TestClient:
    return log_in(client, "bob")


def test_a_doctor_enters_time_off_and_sees_it(cast: Cast, bob: TestClient) -> None:
    assert "No upcoming time off." in read(bob.get(OWN)).text
    form = read(bob.get(NEW)).form(NEW)
    assert form["whole_days"]
    answer = bob.post(
        NEW, data={**form, "from_date": "2026-03-09", "until_date": "2026-03-11", "reason": "Congress", "step": "save"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, OWN)
    page = read(bob.get(OWN))
    assert "Monday 9 March 2026 to Wednesday 11 March 2026" in page.text
    assert "Congress" in page.text
    assert [(row.starts_at, row.ends_at) for row in ahead(cast)] == [
        (local("2026-03-09 00:00"), local("2026-03-12 00:00"))
    ]


def test_a_block_of_time_comes_filled_in_from_the_address(cast: Cast, bob: TestClient) -> None:
    form = read(bob.get(f"{NEW}?from=2026-03-03T09:30&until=2026-03-03T10:15")).form(NEW)
    assert "whole_days" not in form
    assert [form[name] for name in ("from_date", "from_time", "until_date", "until_time")] == [
        "2026-03-03",
        "09:30",
        "2026-03-03",
        "10:15",
    ]
    answer = bob.post(NEW, data={**form, "step": "save"})
    # They continue on the day on which they blocked the time.
    assert (answer.status_code, answer.headers["location"]) == (303, "/schedule/2026-03-03")
    assert "Tuesday 3 March 2026, 09:30 to 10:15" in read(bob.get(OWN)).text
    form = read(bob.get(f"{NEW}?from=2026-03-03")).form(NEW)
    assert form["whole_days"]
    assert form["from_date"] == "2026-03-03"
    assert read(bob.get(f"{NEW}?from=soon&until=later")).form(NEW)["from_date"] == ""


def test_an_admin_enters_and_removes_it_for_a_doctor(cast: Cast, client: TestClient) -> None:
    log_in(client, "carol")
    assert read(client.get(BOBS)).h1 == "Time off for Dr. Bob Brown"
    answer = client.post(f"{BOBS}/new", data={**TUESDAY, "from_date": "2026-04-01", "step": "save"})
    assert (answer.status_code, answer.headers["location"]) == (303, BOBS)
    address = f"{BOBS}/{ahead(cast)[0].id}/removal"
    assert address in read(client.get(BOBS)).links
    assert client.post(address, data={"step": "save"}).status_code == 303
    assert ahead(cast) == []
    with cast.database.reading() as session:
        rows = session.scalars(sa.select(AuditEvent).where(AuditEvent.subject_type == "doctor")).all()
    assert {(row.action, row.subject_id, row.actor_user_id) for row in rows} == {
        ("time_off_added", cast.doctor_ids["bob"], cast.carol.user_id),
        ("time_off_removed", cast.doctor_ids["bob"], cast.carol.user_id),
    }
    assert client.get(address).status_code == 404


def test_a_weekly_series_is_entered_shown_and_removed_in_parts(cast: Cast, bob: TestClient) -> None:
    times = {"from_date": "2026-03-24", "from_time": "09:00", "until_time": "12.00", "repeat_until": "2026-04-07"}
    assert bob.post(NEW, data={**times, "step": "save"}).status_code == 303
    rows = ahead(cast)
    assert [row.starts_at for row in rows] == [local(f"2026-{day} 09:00") for day in ("03-24", "03-31", "04-07")]
    page = read(bob.get(OWN))
    assert "Tuesday 31 March 2026, 09:00 to 12:00" in page.text
    assert page.text.count("weekly") == 3
    address = f"{OWN}/{rows[1].id}/removal"
    form = read(bob.get(address)).form(address)
    assert form["scope"] == "one"
    bob.post(address, data={**form, "step": "save"})
    assert [row.id for row in ahead(cast)] == [rows[0].id, rows[2].id]
    bob.post(f"{OWN}/{rows[2].id}/removal", data={"scope": "series", "step": "save"})
    assert ahead(cast) == []


def test_past_time_off_is_folded_away_and_cannot_be_removed(cast: Cast, bob: TestClient) -> None:
    hour = timedelta(hours=1)
    bobs = cast.doctor_ids["bob"]
    over = cast.add(TimeOff(doctor_id=bobs, starts_at=NOW - 2 * hour, ends_at=NOW - hour, reason="Dentist"))
    page = read(bob.get(OWN))
    assert "Dentist" in page.one("details").text
    assert bob.get(f"{OWN}/{over}/removal").status_code == 404
    assert bob.post(f"{OWN}/{over}/removal", data={"step": "save"}).status_code == 404


def test_past_time_off_is_listed_to_its_end(cast: Cast, bob: TestClient) -> None:
    day, bobs = timedelta(days=1), cast.doctor_ids["bob"]
    rows = [
        {"doctor_id": bobs, "starts_at": NOW - number * day, "ends_at": NOW - (number - 1) * day}
        for number in range(2, 62)
    ]
    cast.database.write(lambda session: session.execute(sa.insert(TimeOff), rows))
    assert len(read(bob.get(OWN)).one("details").all("tr")) == 1 + 60


def test_a_doctor_removes_nothing_of_another_doctor(cast: Cast, client: TestClient) -> None:
    hour = timedelta(hours=1)
    number = cast.add(TimeOff(doctor_id=cast.doctor_ids["bob"], starts_at=NOW + hour, ends_at=NOW + 2 * hour))
    log_in(client, "erin")
    assert client.post(f"{OWN}/{number}/removal", data={"step": "save"}).status_code == 404
    log_in(client, "carol")
    assert client.post(f"/admin/doctors/erin/time-off/{number}/removal", data={"step": "save"}).status_code == 404
    assert len(ahead(cast)) == 1


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"whole_days": "y"}, {"from_date-error"}),
        ({"from_date": "soon", "whole_days": "y"}, {"from_date-error"}),
        ({"from_date": "2026-03-01", "whole_days": "y"}, {"from_date-error"}),
        ({"from_date": "2026-03-03"}, {"from_time-error", "until_time-error"}),
        ({"from_date": "2026-03-03", "from_time": "9", "until_time": "25:00"}, {"from_time-error", "until_time-error"}),
        ({"from_date": "2026-03-03", "from_time": "10:00", "until_time": "09:00"}, {"until_time-error"}),
        ({"from_date": "2026-03-29", "from_time": "02:30", "until_time": "04:00"}, {"from_time-error"}),
        ({**TUESDAY, "from_time": "10:00", "until_time": "10:30"}, {"whole_days-error"}),
        ({**TUESDAY, "until_date": "2026-03-02"}, {"until_date-error"}),
        ({**TUESDAY, "repeat_until": "2028-01-01"}, {"repeat_until-error"}),
        ({**TUESDAY, "reason": "x" * 121}, {"reason-error"}),
    ],
)
def test_invalid_time_off_is_reported_beside_its_field(
    cast: Cast, bob: TestClient, typed: dict[str, str], wrong: set[str]
) -> None:
    answer = bob.post(NEW, data={**typed, "step": "save"})
    assert answer.status_code == 422
    page = read(answer)
    assert errors(page) == wrong
    values = page.form(NEW)
    assert {name: values[name] for name in typed} == typed
    assert ahead(cast) == []


def test_a_preview_of_time_off_saves_nothing(cast: Cast, bob: TestClient) -> None:
    reference = cast.book(cast.alice, "2026-03-03 09:30")
    answer = bob.post(NEW, data={**TUESDAY, "step": "preview"})
    assert answer.status_code == 200
    page = read(answer)
    assert "and 0 no longer" not in page.text
    assert "Alice Adams" in page.text
    assert page.form(NEW)["from_date"] == "2026-03-03"
    assert ahead(cast) == []
    assert appointment(cast, reference).flagged_why == ""


@pytest.mark.parametrize("decision", ["keep", "move", "cancel"])
def test_leave_over_an_appointment_asks_for_a_decision(cast: Cast, bob: TestClient, decision: str) -> None:
    reference = cast.book(cast.alice, "2026-03-03 09:30")
    asked = bob.post(NEW, data={**TUESDAY, "reason": "Course", "step": "save"})
    assert asked.status_code == 409
    page = read(asked)
    assert "Alice Adams" in page.text
    assert "The doctor is away." in page.text
    assert "Proposed: Wednesday 4 March, 09:00." in page.text
    assert page.form(NEW)["reason"] == "Course"
    assert ahead(cast) == []
    undecided = bob.post(NEW, data={**page.form(NEW), "step": "save"})
    assert undecided.status_code == 409
    data = {**page.form(NEW), f"decide-{reference}": decision, "why": "Bob is on a course.", "step": "save"}
    assert bob.post(NEW, data=data).status_code == 303
    stored = appointment(cast, reference)
    assert len(ahead(cast)) == 1
    assert problems(cast) == []
    if decision == "keep":
        assert stored.flagged_why == "time_off:Bob is on a course."
        assert stored.starts_at == local("2026-03-03 09:30")
    elif decision == "move":
        assert stored.starts_at == local("2026-03-04 09:00")
        assert stored.flagged_why == ""
    else:
        assert stored.status == "cancelled"


@pytest.mark.both_databases
def test_a_booking_between_listing_and_saving_needs_a_decision_too(cast: Cast, bob: TestClient) -> None:
    early = cast.book(cast.alice, "2026-03-03 09:30")
    page = read(bob.post(NEW, data={**TUESDAY, "step": "save"}))
    late = cast.book(cast.dave, "2026-03-03 14:00")
    again = bob.post(NEW, data={**page.form(NEW), "decide-all": "keep", "step": "save"})
    assert again.status_code == 409
    page = read(again)
    assert "Dave Dunn" in page.text
    assert ahead(cast) == []
    assert appointment(cast, early).flagged_why == ""
    assert bob.post(NEW, data={**page.form(NEW), "decide-all": "keep", "step": "save"}).status_code == 303
    assert all(appointment(cast, reference).flagged_why for reference in (early, late))
    assert problems(cast) == []


def test_removing_time_off_unflags_the_appointments_that_it_flagged(cast: Cast, bob: TestClient) -> None:
    reference = cast.book(cast.alice, "2026-03-03 09:30")
    page = read(bob.post(NEW, data={**TUESDAY, "step": "save"}))
    bob.post(NEW, data={**page.form(NEW), "decide-all": "keep", "step": "save"})
    address = f"{OWN}/{ahead(cast)[0].id}/removal"
    page = read(bob.get(address))
    assert "Tuesday 3 March 2026" in page.text
    assert not page.all("input", name="scope")
    assert bob.post(address, data={**page.form(address), "step": "preview"}).status_code == 200
    assert appointment(cast, reference).flagged_why
    assert bob.post(address, data={**page.form(address), "step": "save"}).status_code == 303
    assert appointment(cast, reference).flagged_why == ""
    assert problems(cast) == []


def test_time_off_that_two_people_remove_is_gone_for_the_second(cast: Cast, bob: TestClient) -> None:
    bob.post(NEW, data={**TUESDAY, "step": "save"})
    number = ahead(cast)[0].id
    with client_for(cast.database) as office:
        log_in(office, "carol")
        assert office.post(f"{BOBS}/{number}/removal", data={"step": "save"}).status_code == 303
    answer = bob.post(f"{OWN}/{number}/removal", data={"step": "save"})
    assert answer.status_code == 404
    assert "It may have been removed" in read(answer).text

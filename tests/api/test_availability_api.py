"""Free times through the API: exactly those that can be booked, for each kind of client, in each format of times."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.api_client import ApiClient
from tests.appointment_rows import put
from tests.cast import AMSTERDAM, NOW, Cast, client_for, local
from webapp import models
from webapp.clinic.service import get_clinic
from webapp.core.formats import iso
from webapp.doctors import lateness
from webapp.doctors.lateness import RunLate
from webapp.doctors.service import list_doctors
from webapp.scheduling.facts import BookingRequest, free_times, load_facts
from webapp.scheduling.slots import to_datetime


def starts(answer: Any) -> list[str]:
    """The day and the wall-clock time of each start in an answer."""
    assert answer.status_code == 200, answer.text
    return [f"{datetime.fromisoformat(each['starts_at']).astimezone(AMSTERDAM):%d %H:%M}" for each in answer.json()]


def test_both_lists_hold_what_the_calendars_offer(client: TestClient, cast: Cast) -> None:
    put(cast, "2026-03-03 10:00", before=5, after=10)
    put(cast, "2026-03-04 14:00", doctor="erin", patient="dave")
    first, last = local("2026-03-02 12:00").date(), local("2026-04-06 12:00").date()
    with cast.database.reading() as session:
        requests = [
            BookingRequest(doctor, kind) for doctor in list_doctors(session) if (kind := doctor.visit_type(None))
        ]
        facts = load_facts(session, get_clinic(session), requests, first, last, now=NOW)
    expected = [
        {
            "starts_at": iso(to_datetime(time.start)),
            "ends_at": iso(to_datetime(time.start + request.visit_type.minutes)),
            "doctor_id": request.doctor.id,
        }
        for request in requests
        for time in free_times(facts[request.doctor.id])
    ]
    anonymous = ApiClient(client)
    found = anonymous.get(f"/availability?from={first}&to={last}").json()
    key = ("starts_at", "ends_at", "doctor_id")
    assert found == sorted(expected, key=lambda each: tuple(each[name] for name in key))
    few = anonymous.get(f"/availability?from={first}&to={last}&limit=5")
    assert (few.json(), few.headers["x-total-count"]) == (found[:5], str(len(found)))
    for request in requests:
        its = anonymous.get(f"/doctors/{request.doctor.id}/availability?from={first}&to={last}").json()
        mine = [each for each in found if each["doctor_id"] == request.doctor.id]
        assert its == [{name: each[name] for name in ("starts_at", "ends_at")} for each in mine]


def test_days_are_the_clinics_and_instants_need_an_offset(api: TestClient, sqlite_cast: Cast) -> None:
    bob = f"/doctors/{sqlite_cast.doctor_ids['bob']}/availability"
    anonymous = ApiClient(api)
    day = starts(anonymous.get(f"{bob}?from=2026-03-03&to=2026-03-03"))
    assert (day[0], day[-1], len(day)) == ("03 09:00", "03 16:45", 28)
    # A plus that is not escaped arrives as a space.
    for since in ("2026-03-03T09:30:00%2B01:00", "2026-03-03T09:30:00+01:00", "2026-03-03T08:30Z"):
        assert starts(anonymous.get(f"{bob}?from={since}&to=2026-03-03T09:00:30Z")) == [
            "03 09:30",
            "03 09:45",
            "03 10:00",
        ]
    assert starts(anonymous.get(f"{bob}?from=2026-03-03T09:00:01%2B01:00&to=2026-03-03T08:15Z")) == []
    week = starts(anonymous.get(bob))
    assert (week[0], week[-1]) == ("02 10:00", "06 16:45"), "From now on, for seven days."


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("from=2026-03-03T09:00:00", "invalid"),
        ("from=tomorrow", "invalid"),
        ("from=0001-01-01", "invalid"),
        ("from=2026-02-30", "invalid"),
        ("to=2026-13-01T00:00:00Z", "invalid"),
        ("from=2026-03-05&to=2026-03-03", "wrong_order"),
        ("from=2026-03-05&to=2026-12-31", "window_too_long"),
        ("visit_type_id=0", "invalid"),
    ],
)
def test_an_invalid_window_is_refused(api: TestClient, query: str, code: str) -> None:
    for path in ("/availability", "/doctors/1/availability"):
        refused = ApiClient(api).get(f"{path}?{query}")
        assert (refused.status_code, refused.json()["code"]) == (422, code)


def test_which_appointments_block_a_time(api: TestClient, sqlite_cast: Cast) -> None:
    cast = sqlite_cast
    put(cast, "2026-03-03 10:00", doctor="erin", minutes=30)
    bob = f"/doctors/{cast.doctor_ids['bob']}/availability?from=2026-03-03&to=2026-03-03"
    zoe = cast.add(models.Patient(name="Zoe", managed_by_id=cast.patient_ids["alice"], created_at=NOW))

    def free_at_ten(name: str, patient: int | None = None) -> bool:
        asked = ApiClient(api, name).get(f"{bob}&patient_id={patient}" if patient else bob)
        return "03 10:00" in starts(asked)

    assert free_at_ten("")
    assert free_at_ten("dave")
    assert not free_at_ten("alice")
    assert free_at_ten("alice", zoe)
    assert free_at_ten("carol")
    assert not free_at_ten("carol", cast.patient_ids["alice"])
    assert ApiClient(api).get(f"{bob}&patient_id={zoe}").status_code == 401
    assert ApiClient(api, "dave").get(f"{bob}&patient_id={zoe}").status_code == 404
    assert ApiClient(api, "carol").get(f"{bob}&patient_id=999").status_code == 404


def test_filters_kinds_and_doctors_who_take_no_bookings(api: TestClient, sqlite_cast: Cast) -> None:
    cast, anonymous, carol = sqlite_cast, ApiClient(api), ApiClient(api, "carol")
    bob, erin = cast.doctor_ids["bob"], cast.doctor_ids["erin"]

    def doctors(query: str) -> set[int]:
        return {each["doctor_id"] for each in anonymous.get(f"/availability?{query}").json()}

    assert doctors("") == {bob, erin}
    assert doctors("specialty=Dermatology") == {erin}
    assert doctors("language=Igbo") == {erin}
    assert doctors(f"visit_type_id={cast.short}") == {bob}
    assert doctors("visit_type_id=999") == set()
    # Visit types that patients cannot book online are offered only to staff.
    by_phone = f"/doctors/{bob}/availability?visit_type_id={cast.by_phone}"
    assert starts(anonymous.get(by_phone)) == []
    assert starts(carol.get(by_phone)) != []
    assert starts(anonymous.get(f"/doctors/{bob}/availability?visit_type_id={cast.erins_only}")) == []
    assert anonymous.get(f"/doctors/{bob}/availability?visit_type_id=999").status_code == 404
    cast.change(sa.update(models.VisitType).where(models.VisitType.id != cast.erins_only).values(online=False))
    assert anonymous.get(f"/doctors/{bob}/availability").json() == []
    cast.change(sa.update(models.Doctor).where(models.Doctor.id == bob).values(active=False))
    assert (
        anonymous.get(f"/doctors/{bob}/availability").status_code == anonymous.get(f"/doctors/{bob}").status_code == 404
    )
    assert carol.get(f"/doctors/{bob}/availability").json() == []
    assert carol.get(f"/doctors/{bob}").json()["active"] is False
    assert [each["id"] for each in anonymous.get("/doctors").json()] == [erin]
    assert [each["id"] for each in carol.get("/doctors").json()] == [bob, erin]


def test_staff_are_told_that_a_doctor_is_late_today(api: TestClient, sqlite_cast: Cast) -> None:
    bob = f"/doctors/{sqlite_cast.doctor_ids['bob']}"
    fiona, guest = ApiClient(api, "fiona"), ApiClient(api)
    before = fiona.get(bob)
    assert before.json()["late_minutes"] == 0
    sqlite_cast.database.write(lateness.run_late, sqlite_cast.fiona, "bob", RunLate(minutes=20), now=NOW)
    known = {"if-none-match": before.headers["etag"]}
    assert fiona.get(bob, headers=known).json()["late_minutes"] == 20
    assert {each["slug"]: each["late_minutes"] for each in fiona.get("/doctors").json()} == {"bob": 20, "erin": 0}
    assert [each["late_minutes"] for each in guest.get("/doctors").json()] == [0, 0]


def test_doctors_are_found_and_read(api: TestClient, sqlite_cast: Cast) -> None:
    anonymous = ApiClient(api)

    def names(query: str) -> list[str]:
        return [each["slug"] for each in anonymous.get(f"/doctors?{query}").json()]

    assert names("q=DERMA") == names("q=Erin%20eze") == names("language=Igbo") == ["erin"]
    assert names(f"visit_type_id={sqlite_cast.short}") == names("specialty=General%20practice") == ["bob"]
    assert names("limit=1&skip=1") == ["erin"]
    assert names("q=%3F%3F%3F") == ["bob", "erin"]
    assert anonymous.get("/doctors?q=%00").status_code == 400
    place = f"/doctors/{sqlite_cast.doctor_ids['bob']}"
    bob = anonymous.get(place)
    assert bob.json()["visit_types"][0] == {
        "id": sqlite_cast.short,
        "name": "Follow-up",
        "minutes": 15,
        "buffer_before": 0,
        "buffer_after": 0,
        "preparation": "",
        "online": True,
        "suggested_for": "none",
    }
    assert anonymous.get(place, headers={"if-none-match": bob.headers["etag"]}).status_code == 304
    assert anonymous.get("/doctors/999").status_code == anonymous.get("/doctors/9999999999").status_code == 404


def test_the_hour_that_comes_twice_is_two_instants_and_the_skipped_one_none(sqlite_cast: Cast) -> None:
    cast = sqlite_cast
    bob = cast.doctor_ids["bob"]
    for day in ("2026-10-25", "2026-03-29"):
        cast.add(models.ExtraHours(doctor_id=bob, day=local(f"{day} 12:00").date(), start_minute=90, end_minute=210))
    for now, day, hours in (
        (local("2026-10-20 08:00"), "2026-10-25", ["23:30", "00:00", "00:30", "01:00", "01:30", "02:00", "02:15"]),
        (NOW, "2026-03-29", ["00:30", "01:00", "01:15"]),
    ):
        answer = ApiClient(client_for(cast.database, now=now)).get(f"/doctors/{bob}/availability?from={day}&to={day}")
        found = [each["starts_at"][11:16] for each in answer.json()]
        assert [each for each in hours if each in found] == hours
        assert (found[0], found[-1]) == (hours[0], hours[-1])

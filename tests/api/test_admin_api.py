"""Changes by admins and doctors through the API: each resource's life, and the appointments that a change affects."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.api_client import ApiClient
from tests.appointment_rows import put
from tests.cast import Cast, assemble, client_for, local
from webapp import models
from webapp.appointments.impact import decisions
from webapp.core.formats import iso
from webapp.database import Database

BREAK = {"name": "Spring break", "starts_on": "2026-03-09", "ends_on": "2026-03-11"}


@pytest.fixture
def carol(api: TestClient) -> ApiClient:
    """The admin."""
    return ApiClient(api, "carol")


def pointers(answer: Any) -> list[str]:
    """The members of the body that the problem document is about."""
    assert answer.status_code == 422, answer.text
    return [each["pointer"] for each in answer.json()["errors"]]


def decide(problem: Any, kind: str, why: str = "") -> dict[str, Any]:
    """The same decision for each appointment that the problem lists; a move is to the proposed time."""
    assert problem.status_code == 409, problem.text
    assert problem.json()["code"] == "visits_affected"
    each = {
        appointment["reference"]: {
            "kind": kind,
            "version": appointment["version"],
            **({"starts_at": appointment["proposal"]} if kind == "move" else {}),
        }
        for appointment in problem.json()["visits"]
    }
    return {"decisions": {"each": each, "why": why}}


def stored(cast: Cast, appointment_id: int) -> Any:
    """An appointment as it is stored."""
    row = models.Appointment
    with cast.database.reading() as session:
        return session.execute(
            sa.select(row.status, row.flagged_why, row.starts_at, row.version).where(row.id == appointment_id)
        ).one()


# ------------------------------------------------------------------------------------------ lives of resources


def test_the_life_of_a_closure(api: TestClient, carol: ApiClient) -> None:
    anonymous = ApiClient(api)
    assert anonymous.get("/closures").json() == []
    made = carol.post("/closures", BREAK, headers={"idempotency-key": "once"})
    again = carol.post("/closures", BREAK, headers={"idempotency-key": "once"})
    assert (made.status_code, again.status_code) == (201, 201)
    assert made.json() == again.json() == {"id": made.json()["id"], **BREAK}
    place = made.headers["location"].removeprefix("/api/v1")
    read = anonymous.get(place)
    assert read.headers["etag"] == made.headers["etag"]
    assert anonymous.get(place, headers={"if-none-match": read.headers["etag"]}).status_code == 304

    old = {"if-match": read.headers["etag"]}
    changed = carol.request("PATCH", place, json={"name": "Holiday"}, headers=old)
    assert changed.status_code == 200
    assert changed.json() == {**made.json(), "name": "Holiday"}
    stale = carol.request("PUT", place, json=BREAK, headers=old)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert carol.request("DELETE", place, headers=old).status_code == 412
    assert carol.request("PUT", place, json=BREAK).json() == made.json()
    assert anonymous.get("/closures").headers["x-total-count"] == "1"
    assert carol.request("DELETE", place).json() == {"message": "The closure is removed."}
    assert anonymous.get(place).status_code == carol.request("DELETE", place).status_code == 404


def test_the_life_of_a_visit_type(api: TestClient, carol: ApiClient, sqlite_cast: Cast) -> None:
    anonymous, bob = ApiClient(api), sqlite_cast.doctor_ids["bob"]
    assert anonymous.get("/visit-types").headers["x-total-count"] == "5"
    made = carol.post("/visit-types", {"name": "Vaccination", "minutes": 10, "doctor_ids": [bob]})
    assert made.status_code == 201
    place = made.headers["location"].removeprefix("/api/v1")
    assert anonymous.get(place).json() == made.json()
    assert made.json()["doctor_ids"] == [bob]
    patched = carol.request("PATCH", place, json={"minutes": 15, "active": False}).json()
    assert patched == {**made.json(), "minutes": 15, "active": False}
    assert anonymous.get(place).status_code == 404
    assert carol.get(place).json() == patched
    assert (len(anonymous.get("/visit-types").json()), len(carol.get("/visit-types").json())) == (5, 6)
    replaced = carol.request("PUT", place, json={"name": "Vaccination", "minutes": 10})
    assert replaced.json() == {**made.json(), "doctor_ids": []}
    taken = carol.request("PATCH", place, json={"name": "First visit"})
    assert (taken.status_code, taken.json()["code"]) == (409, "visit_type_name_taken")
    assert pointers(carol.request("PATCH", place, json={"doctor_ids": [999]})) == ["/doctor_ids"]
    assert pointers(carol.post("/visit-types", {"name": "x", "minutes": 4})) == ["/name", "/minutes"]


def test_the_clinic_is_changed_a_part_at_a_time(api: TestClient, carol: ApiClient) -> None:
    anonymous = ApiClient(api)
    before = anonymous.get("/clinic")
    old = {"if-match": before.headers["etag"]}
    changed = carol.request("PATCH", "/clinic", json={"name": "Quay Clinic", "horizon_days": 60}, headers=old)
    assert changed.json() == {**before.json(), "name": "Quay Clinic", "horizon_days": 60}
    assert anonymous.get("/clinic").headers["etag"] == changed.headers["etag"] != before.headers["etag"]
    assert carol.request("PATCH", "/clinic", json={"name": "Mine"}, headers=old).status_code == 412
    wrong = {"time_zone": "Mars/Olympus", "horizon_days": 0, "phone": None}
    assert pointers(carol.request("PATCH", "/clinic", json=wrong)) == ["/horizon_days"]
    assert pointers(carol.request("PATCH", "/clinic", json={"time_zone": "Mars/Olympus"})) == ["/time_zone"]

    week = {"opening_hours": [{"weekday": "saturday", "start": "10:00", "end": "24:00"}]}
    tried = carol.request("PUT", "/clinic/opening-hours?preview=true", json=week).json()
    assert (tried["gained"], tried["visits"], tried["lost"] > 0) == (0, [], True)
    assert anonymous.get("/clinic").json()["opening_hours"] == before.json()["opening_hours"]
    assert carol.request("PUT", "/clinic/opening-hours", json=week).json() == week
    assert anonymous.get("/clinic/opening-hours").json() == week
    over = [{"weekday": "monday", "start": start, "end": "12:00"} for start in ("09:00", "11:00")]
    assert pointers(carol.request("PUT", "/clinic/opening-hours", json={"opening_hours": over})) == ["/opening_hours"]


def test_with_a_new_time_zone_appointments_keep_their_clock_times_or_their_instants(
    carol: ApiClient, sqlite_cast: Cast
) -> None:
    number = put(sqlite_cast, "2026-03-03 10:00")
    ten_in = {name: datetime(2026, 3, 3, 10, tzinfo=ZoneInfo(name)) for name in ("Europe/London", "Europe/Moscow")}
    assert carol.request("PATCH", "/clinic", json={"time_zone": "Europe/London"}).status_code == 200
    assert stored(sqlite_cast, number).starts_at == ten_in["Europe/London"]
    keeping = {"time_zone": "Europe/Moscow", "appointments": "instant"}
    assert carol.request("PATCH", "/clinic", json=keeping).status_code == 200
    assert stored(sqlite_cast, number).starts_at == ten_in["Europe/London"]
    with sqlite_cast.database.reading() as session:
        (told,) = session.scalars(sa.select(models.OutboxMessage.template))
        (hour,) = session.scalars(sa.select(models.Appointment.promised_minute % 1440 / 60))
    assert (told, hour) == ("visit_moved", 13)
    assert pointers(carol.request("PATCH", "/clinic", json={"appointments": "both"})) == ["/appointments"]


def test_the_life_of_a_doctor(api: TestClient, carol: ApiClient, sqlite_cast: Cast) -> None:
    new = {"name": "Dr. Fay Fox", "specialty": "Cardiology", "visit_type_ids": [sqlite_cast.short], "tint": 4}
    made = carol.post("/doctors", new, headers={"idempotency-key": "fay"})
    assert carol.post("/doctors", new, headers={"idempotency-key": "fay"}).json() == made.json()
    assert made.status_code == 201
    place = made.headers["location"].removeprefix("/api/v1")
    assert made.json() | {"slug": "fay-fox", "active": True, "slot_step": 30} == made.json()
    assert [kind["name"] for kind in made.json()["visit_types"]] == ["Follow-up"]

    old = {"if-match": made.headers["etag"]}
    patched = carol.request("PATCH", place, json={"room": "Room 9", "active": False}, headers=old)
    assert patched.json() == {**made.json(), "room": "Room 9", "active": False}
    assert carol.request("PATCH", place, json={"room": "Room 1"}, headers=old).status_code == 412
    replaced = carol.request("PUT", place, json={"name": "Dr. Fay Fox", "specialty": "Cardiology"}).json()
    assert replaced == {**made.json(), "visit_types": []}
    with sqlite_cast.database.reading() as session:
        saved = session.execute(
            sa.select(models.Doctor.tint, models.Doctor.position).where(models.Doctor.slug == "fay-fox")
        ).one()
    assert tuple(saved) == (4, 3), "Replacing a doctor does not need colour and place."
    wrong = {"name": "x", "slot_step": 1, "visit_type_ids": [2**40]}
    assert set(pointers(carol.post("/doctors", wrong))) == {"/name", "/specialty", "/slot_step", "/visit_type_ids/0"}
    assert pointers(carol.request("PATCH", place, json={"visit_type_ids": [999]})) == ["/visit_type_ids"]
    assert carol.request("PATCH", "/doctors/999", json={}).status_code == 404


def test_the_life_of_working_hours(api: TestClient, sqlite_cast: Cast) -> None:
    bob = ApiClient(api, "bob")
    address = f"/doctors/{sqlite_cast.doctor_ids['bob']}/hours"
    [always] = bob.get(address).json()
    assert (always["id"], always["valid_from"], len(always["hours"])) == ("always", None, 10)
    assert always["hours"][1] == {"weekday": "monday", "start": "13:00", "end": "17:00"}

    summer = {
        "valid_from": "2026-06-01",
        "valid_until": "2026-08-31",
        "hours": [{"weekday": "friday", "start": "08:00", "end": "12:00"}],
    }
    made = bob.post(address, {**summer, "end_present": True})
    assert made.json() == {"id": "2026-06-01..2026-08-31", **summer}
    assert [each["id"] for each in bob.get(address).json()] == [
        "..2026-05-31",
        "2026-06-01..2026-08-31",
        "2026-09-01..",
    ]
    place = made.headers["location"].removeprefix("/api/v1")
    assert bob.get(place).headers["etag"] == made.headers["etag"]
    july = {**summer, "valid_from": "2026-07-01"}
    moved = bob.request("PUT", place, json=july, headers={"if-match": made.headers["etag"]})
    assert moved.json() == {"id": "2026-07-01..2026-08-31", **july}
    place = f"{address}/{moved.json()['id']}"
    assert bob.request("DELETE", place, headers={"if-match": made.headers["etag"]}).status_code == 412
    assert pointers(bob.request("PUT", place, json={**july, "valid_until": "2026-06-01"})) == ["/valid_until"]
    assert pointers(bob.request("PUT", place, json={**july, "hours": []})) == ["/hours"]
    odd = [{"weekday": "someday", "start": "9", "end": "12:00"}]
    assert pointers(bob.post(address, {"hours": odd})) == ["/hours/0/start", "/hours/0/weekday"]
    assert bob.request("DELETE", place).status_code == 200
    assert bob.get(place).status_code == bob.get(f"{address}/2026-13-01..").status_code == 404


def test_the_life_of_extra_hours(api: TestClient, carol: ApiClient, sqlite_cast: Cast) -> None:
    address = f"/doctors/{sqlite_cast.doctor_ids['bob']}/extra-hours"
    saturday = {"day": "2026-03-07", "hours": [{"start": "10:00", "end": "12:00"}]}
    tried = carol.post(f"{address}?preview=true", saturday)
    assert (tried.status_code, tried.json()["lost"], tried.json()["gained"] > 0) == (200, 0, True)
    assert carol.get(address).json() == []
    made = carol.post(address, saturday)
    assert (made.status_code, made.json()) == (201, saturday)
    more = {"day": "2026-03-07", "hours": [{"start": "14:00", "end": "15:00"}]}
    assert carol.post(address, more).json() == {**saturday, "hours": saturday["hours"] + more["hours"]}  # type: ignore[operator]
    place = made.headers["location"].removeprefix("/api/v1")
    assert carol.get(place).json() == carol.get(address).json()[0]
    assert carol.request("DELETE", place, json={}).json() == {"message": "The extra hours are removed."}
    assert carol.request("DELETE", place).status_code == 404
    assert pointers(carol.post(address, {**saturday, "day": "2026-03-01"})) == ["/day"]
    assert carol.get(f"{address}/soon").status_code == 404


def test_past_rows_can_be_read_and_are_counted(api: TestClient, sqlite_cast: Cast) -> None:
    bob = sqlite_cast.doctor_ids["bob"]
    for weeks in range(1, 56):
        start = local("2026-03-02 09:00") - timedelta(weeks=weeks)
        sqlite_cast.add(models.Closure(name="Break", starts_on=start.date(), ends_on=start.date()))
        sqlite_cast.add(models.TimeOff(doctor_id=bob, starts_at=start, ends_at=start + timedelta(hours=1)))
    carol = ApiClient(api, "carol")
    for path in ("/closures", f"/doctors/{bob}/time-off"):
        latest, earliest = (carol.get(f"{path}?over=true&skip={skip}&limit=5") for skip in (0, 50))
        assert latest.headers["x-total-count"] == earliest.headers["x-total-count"] == "55"
        assert len(latest.json()) == len(earliest.json()) == 5, path


def test_the_life_of_time_off(api: TestClient, sqlite_cast: Cast) -> None:
    bob = ApiClient(api, "bob")
    address = f"/doctors/{sqlite_cast.doctor_ids['bob']}/time-off"
    whole = bob.post(address, {"starts_on": "2026-03-28", "ends_on": "2026-03-29", "reason": "Moving house"})
    assert whole.status_code == 201
    assert (whole.json()["starts_at"], whole.json()["ends_at"]) == ("2026-03-27T23:00:00Z", "2026-03-29T22:00:00Z")
    # The hour from 02:00 occurs twice that night; exactly the second one is meant.
    night = {"starts_at": "2026-10-25T02:00:00+01:00", "ends_at": "2026-10-25T01:45:00Z"}
    twice = bob.post(address, night).json()
    assert (twice["starts_at"], twice["ends_at"]) == ("2026-10-25T01:00:00Z", "2026-10-25T01:45:00Z")

    weekly = {"starts_at": "2026-03-24T09:00:00+01:00", "ends_at": "2026-03-24T10:00:00+01:00"}
    first = bob.post(address, {**weekly, "repeat_until": "2026-04-07"}).json()
    series = [each for each in bob.get(address).json() if each["series"] == first["series"]]
    assert [each["starts_at"] for each in series] == [
        "2026-03-24T08:00:00Z",
        "2026-03-31T07:00:00Z",
        "2026-04-07T07:00:00Z",
    ]
    assert bob.request("DELETE", f"{address}/{first['id']}?scope=series").status_code == 200
    assert bob.get(f"{address}/{first['id']}").status_code == 404
    assert bob.get(address).headers["x-total-count"] == "2"

    assert pointers(bob.post(address, {})) == ["/starts_at"]
    assert pointers(bob.post(address, {**weekly, "ends_on": "2026-03-24"})) == ["/starts_on"]
    assert pointers(bob.post(address, {**weekly, "ends_at": weekly["starts_at"]})) == ["/ends_at"]
    assert pointers(bob.post(address, {"starts_on": "2026-03-01"})) == ["/starts_on"]
    assert pointers(bob.post(address, {"starts_at": "2026-03-24T09:00:00", "ends_at": weekly["ends_at"]})) == [
        "/starts_at"
    ]


# ------------------------------------------------------------------------------------------- affected appointments

WORKDAYS = ("monday", "tuesday", "thursday", "friday")
NOT_WEDNESDAY = [{"weekday": day, "start": "09:00", "end": "17:00"} for day in WORKDAYS]
CHANGES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "closure": ("POST", "/closures", {"name": "Flood", "starts_on": "2026-03-04", "ends_on": "2026-03-04"}),
    "opening hours": ("PUT", "/clinic/opening-hours", {"opening_hours": NOT_WEDNESDAY}),
    "time off": ("POST", "/doctors/{bob}/time-off", {"starts_on": "2026-03-04"}),
    "hours": ("PUT", "/doctors/{bob}/hours/always", {"hours": NOT_WEDNESDAY}),
    "no hours": ("DELETE", "/doctors/{bob}/hours/always", {}),
    "doctor": ("PATCH", "/doctors/{bob}", {"active": False}),
    "visit type": ("PATCH", "/visit-types/{long}", {"doctor_ids": []}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_affected_appointment_remains_without_a_decision(carol: ApiClient, sqlite_cast: Cast, change: str) -> None:
    cast = sqlite_cast
    kept, cancelled = put(cast, "2026-03-04 09:30"), put(cast, "2026-03-04 10:00", patient="dave")
    method, path, body = CHANGES[change]
    address = path.format(bob=cast.doctor_ids["bob"], long=cast.long)
    tried = carol.request(method, f"{address}?preview=true", json=body)
    assert (tried.status_code, tried.json()["lost"] > 0) == (200, True)
    asked = carol.request(method, address, json=body)
    assert asked.json()["visits"] == tried.json()["visits"]
    assert [(appointment["id"], appointment["patient_name"]) for appointment in asked.json()["visits"]] == [
        (kept, "Alice Adams"),
        (cancelled, "Dave Dunn"),
    ]
    decided = decide(asked, "cancel", "The clinic moves house.")
    mine = next(iter(decided["decisions"]["each"]))
    decided["decisions"]["each"][mine]["kind"] = "keep"
    half = {"decisions": {"each": {mine: decided["decisions"]["each"][mine]}}}
    assert carol.request(method, address, json={**body, **half}).status_code == 409
    assert stored(cast, kept).version == stored(cast, cancelled).version == 1

    done = carol.request(method, address, json={**body, **decided})
    assert done.status_code in (200, 201), done.text
    assert stored(cast, kept).flagged_why.endswith("The clinic moves house.")
    assert stored(cast, cancelled).status == "cancelled"


@pytest.mark.parametrize(("method", "path"), [("POST", "/closures"), ("PUT", "/doctors/{bob}/hours/always")])
def test_many_appointments_are_cancelled_once_the_change_is_made(
    carol: ApiClient, sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    monkeypatch.setattr(decisions, "AT_ONCE", 0)
    cast = sqlite_cast
    first, second = put(cast, "2026-03-04 09:30"), put(cast, "2026-03-04 10:00", patient="dave")
    body = next(body for _method, its_path, body in CHANGES.values() if its_path == path)
    address = path.format(bob=cast.doctor_ids["bob"])
    decided = decide(carol.request(method, address, json=body), "cancel")
    done = carol.request(method, address, json={**body, **decided})
    assert done.status_code in (200, 201), done.text
    assert [
        (stored(cast, appointment).status, stored(cast, appointment).flagged_why) for appointment in (first, second)
    ] == [("cancelled", "")] * 2


def test_a_header_says_how_many_appointments_could_not_be_moved(
    carol: ApiClient, sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "AT_ONCE", 0)
    first, second = put(sqlite_cast, "2026-03-04 09:30"), put(sqlite_cast, "2026-03-04 10:00")
    body = next(body for _method, its_path, body in CHANGES.values() if its_path == "/closures")
    decided = decide(carol.request("POST", "/closures", json=body), "move")
    each = decided["decisions"]["each"]
    for chosen in each.values():
        chosen["starts_at"] = next(iter(each.values()))["starts_at"]
    done = carol.request("POST", "/closures", json={**body, **decided})
    assert (done.status_code, done.headers["appointments-left"]) == (201, "1")
    assert sorted(stored(sqlite_cast, appointment).flagged_why for appointment in (first, second)) == ["", "closure"]


def test_appointments_are_moved_with_the_change_or_neither_is_done(database: Database) -> None:
    cast = assemble(database)
    appointment = put(cast, "2026-03-04 09:30")
    body = {"starts_at": iso(local("2026-03-04 09:00")), "ends_at": iso(local("2026-03-04 12:00"))}
    with client_for(database) as client:
        bob = ApiClient(client, "bob")
        address = f"/doctors/{cast.doctor_ids['bob']}/time-off"
        asked = bob.post(address, body, headers={"idempotency-key": "away"})
        assert bob.post(address, body, headers={"idempotency-key": "away"}).json() == asked.json()
        into_it = decide(asked, "move")
        [reference] = into_it["decisions"]["each"]
        into_it["decisions"]["each"][reference]["starts_at"] = body["starts_at"]
        refused = bob.post(address, {**body, **into_it})
        assert refused.json()["visits"][0]["problem"] != ""
        assert bob.get(address).json() == []
        made = bob.post(address, {**body, **decide(refused, "move")}, headers={"idempotency-key": "away-moved"})
        assert made.status_code == 201, made.text
        assert bob.get(address).json() == [made.json()]
    proposal = asked.json()["visits"][0]["proposal"]
    assert iso(stored(cast, appointment).starts_at) == proposal
    assert stored(cast, appointment).starts_at - local("2026-03-04 12:00") < timedelta(hours=2)


# ------------------------------------------------------------------------------------------------- permissions


ADMINS_ALONE: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/doctors"): {"name": "Dr. Fay Fox", "specialty": "Cardiology"},
    ("PUT", "/doctors/{bob}"): {"name": "Dr. Bob Brown", "specialty": "Cardiology"},
    ("PATCH", "/doctors/{bob}"): {"room": "Room 1"},
    ("POST", "/visit-types"): {"name": "Vaccination", "minutes": 10},
    ("PUT", "/visit-types/{long}"): {"name": "First visit", "minutes": 30},
    ("PATCH", "/visit-types/{long}"): {"minutes": 25},
    ("POST", "/closures"): BREAK,
    ("PUT", "/closures/1"): BREAK,
    ("PATCH", "/closures/1"): {"name": "Holiday"},
    ("DELETE", "/closures/1"): {},
    ("PUT", "/clinic/opening-hours"): {"opening_hours": []},
    ("PATCH", "/clinic"): {"name": "Mine"},
}
OF_A_DOCTOR: dict[tuple[str, str], dict[str, Any]] = {
    ("GET", "/doctors/{bob}/hours"): {},
    ("GET", "/doctors/{bob}/hours/always"): {},
    ("POST", "/doctors/{bob}/hours"): {"hours": NOT_WEDNESDAY},
    ("PUT", "/doctors/{bob}/hours/always"): {"hours": NOT_WEDNESDAY},
    ("DELETE", "/doctors/{bob}/hours/always"): {},
    ("GET", "/doctors/{bob}/extra-hours"): {},
    ("POST", "/doctors/{bob}/extra-hours"): {"day": "2026-03-07", "hours": [{"start": "10:00", "end": "12:00"}]},
    ("GET", "/doctors/{bob}/extra-hours/2026-03-07"): {},
    ("DELETE", "/doctors/{bob}/extra-hours/2026-03-07"): {},
    ("GET", "/doctors/{bob}/time-off"): {},
    ("POST", "/doctors/{bob}/time-off"): {"starts_on": "2026-03-09"},
    ("GET", "/doctors/{bob}/time-off/1"): {},
    ("DELETE", "/doctors/{bob}/time-off/1"): {},
}


def test_admins_change_the_clinic_and_doctors_their_own_times(api: TestClient, sqlite_cast: Cast) -> None:
    anonymous, alice, erin = ApiClient(api), ApiClient(api, "alice"), ApiClient(api, "erin")
    for (method, path), body in (ADMINS_ALONE | OF_A_DOCTOR).items():
        address = path.format(bob=sqlite_cast.doctor_ids["bob"], long=sqlite_cast.long)
        sent = {} if method == "GET" else {"json": body}
        assert anonymous.request(method, address, **sent).status_code == 401, path
        for user, code in ((alice, "wrong_role"), (erin, "another_doctor")):
            refused = user.request(method, address, **sent)
            expected = "wrong_role" if (method, path) in ADMINS_ALONE else code
            assert (refused.status_code, refused.json()["code"]) == (403, expected), path
    own = f"/doctors/{sqlite_cast.doctor_ids['erin']}/time-off"
    bobs = ApiClient(api, "bob").post(f"/doctors/{sqlite_cast.doctor_ids['bob']}/time-off", {"starts_on": "2026-03-09"})
    assert erin.get(f"{own}/{bobs.json()['id']}").status_code == 404
    assert ApiClient(api, "carol").get(f"/doctors/999{own[-9:]}").status_code == 404

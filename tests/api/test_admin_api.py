"""What admins and doctors change through the API: each resource's life, and the visits that a change would strand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api_client import ApiClient
from tests.cast import Cast, assemble, client_for
from webapp.database import Database

BREAK = {"name": "Spring break", "starts_on": "2026-03-09", "ends_on": "2026-03-11"}


@pytest.fixture
def sqlite_cast(sqlite_url: str) -> Iterator[Cast]:
    """The cast on SQLite alone, for what no SQL is special to."""
    database = Database(sqlite_url)
    yield assemble(database)
    database.dispose()


@pytest.fixture
def api(sqlite_cast: Cast) -> Iterator[TestClient]:
    """The API of that clinic."""
    with client_for(sqlite_cast.database) as client:
        yield client


@pytest.fixture
def carol(api: TestClient) -> ApiClient:
    """The admin."""
    return ApiClient(api, "carol")


def pointers(answer: Any) -> list[str]:
    """The members of the body that a refusal is about."""
    assert answer.status_code == 422, answer.text
    return [each["pointer"] for each in answer.json()["errors"]]


# ------------------------------------------------------------------------------------------ lives of resources


def test_the_life_of_a_closure(api: TestClient, carol: ApiClient) -> None:
    anybody = ApiClient(api)
    assert anybody.get("/closures").json() == []
    made = carol.post("/closures", BREAK, headers={"idempotency-key": "once"})
    again = carol.post("/closures", BREAK, headers={"idempotency-key": "once"})
    assert (made.status_code, again.status_code) == (201, 201)
    assert made.json() == again.json() == {"id": made.json()["id"], **BREAK}
    place = made.headers["location"].removeprefix("/api/v1")
    read = anybody.get(place)
    assert read.headers["etag"] == made.headers["etag"]
    assert anybody.get(place, headers={"if-none-match": read.headers["etag"]}).status_code == 304

    old = {"if-match": read.headers["etag"]}
    changed = carol.request("PATCH", place, json={"name": "Holiday"}, headers=old)
    assert changed.status_code == 200
    assert changed.json() == {**made.json(), "name": "Holiday"}
    stale = carol.request("PUT", place, json=BREAK, headers=old)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert carol.request("DELETE", place, headers=old).status_code == 412
    assert carol.request("PUT", place, json=BREAK).json() == made.json()
    assert anybody.get("/closures").headers["x-total-count"] == "1"
    assert carol.request("DELETE", place).json() == {"message": "The closure is removed."}
    assert anybody.get(place).status_code == carol.request("DELETE", place).status_code == 404


def test_the_life_of_a_visit_type(api: TestClient, carol: ApiClient, sqlite_cast: Cast) -> None:
    anybody, bob = ApiClient(api), sqlite_cast.doctor_ids["bob"]
    assert anybody.get("/visit-types").headers["x-total-count"] == "5"
    made = carol.post("/visit-types", {"name": "Vaccination", "minutes": 10, "doctor_ids": [bob]})
    assert made.status_code == 201
    place = made.headers["location"].removeprefix("/api/v1")
    assert anybody.get(place).json() == made.json()
    assert made.json()["doctor_ids"] == [bob]
    patched = carol.request("PATCH", place, json={"minutes": 15, "active": False}).json()
    assert patched == {**made.json(), "minutes": 15, "active": False}
    assert anybody.get(place).status_code == 404
    assert carol.get(place).json() == patched
    assert (len(anybody.get("/visit-types").json()), len(carol.get("/visit-types").json())) == (5, 6)
    replaced = carol.request("PUT", place, json={"name": "Vaccination", "minutes": 10})
    assert replaced.json() == {**made.json(), "doctor_ids": []}
    taken = carol.request("PATCH", place, json={"name": "First visit"})
    assert (taken.status_code, taken.json()["code"]) == (409, "visit_type_name_taken")
    assert pointers(carol.request("PATCH", place, json={"doctor_ids": [999]})) == ["/doctor_ids"]
    assert pointers(carol.post("/visit-types", {"name": "x", "minutes": 4})) == ["/name", "/minutes"]


def test_the_clinic_is_changed_a_part_at_a_time(api: TestClient, carol: ApiClient) -> None:
    anybody = ApiClient(api)
    before = anybody.get("/clinic")
    old = {"if-match": before.headers["etag"]}
    changed = carol.request("PATCH", "/clinic", json={"name": "Quay Clinic", "horizon_days": 60}, headers=old)
    assert changed.json() == {**before.json(), "name": "Quay Clinic", "horizon_days": 60}
    assert anybody.get("/clinic").headers["etag"] == changed.headers["etag"] != before.headers["etag"]
    assert carol.request("PATCH", "/clinic", json={"name": "Mine"}, headers=old).status_code == 412
    wrong = {"time_zone": "Mars/Olympus", "horizon_days": 0, "phone": None}
    assert pointers(carol.request("PATCH", "/clinic", json=wrong)) == ["/horizon_days"]
    assert pointers(carol.request("PATCH", "/clinic", json={"time_zone": "Mars/Olympus"})) == ["/time_zone"]

    week = {"opening_hours": [{"weekday": "saturday", "start": "10:00", "end": "24:00"}]}
    tried = carol.request("PUT", "/clinic/opening-hours?preview=true", json=week).json()
    assert (tried["gained"], tried["visits"], tried["lost"] > 0) == (0, [], True)
    assert anybody.get("/clinic").json()["opening_hours"] == before.json()["opening_hours"]
    assert carol.request("PUT", "/clinic/opening-hours", json=week).json() == week
    assert anybody.get("/clinic/opening-hours").json() == week
    over = [{"weekday": "monday", "start": start, "end": "12:00"} for start in ("09:00", "11:00")]
    assert pointers(carol.request("PUT", "/clinic/opening-hours", json={"opening_hours": over})) == ["/opening_hours"]

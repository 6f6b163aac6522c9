"""An appointment's life through the API: booked, listed, read, moved, changed and cancelled, on both databases."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.api_client import ApiClient
from tests.appointment_rows import appointment, put
from tests.cast import NOW, Cast, assemble, client_for, local, log_in
from tests.processes import PATIENCE
from tests.servers import live_server
from webapp import models
from webapp.core.formats import iso
from webapp.event_handlers import wired_database

NEW = {"name": "Zoe Zander", "email": "zoe@docket.example", "password": "walrus teapot orbit"}


def at(text: str) -> str:
    """A time on the clinic's wall clock, with the clinic's offset, as API clients send it."""
    return local(text).isoformat()


def code_of(answer: Any, status: int) -> str:
    """The code of a problem document, which must have this status and the right shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["title"]
    return str(problem["code"])


def last_audit(cast: Cast) -> Any:
    """The newest row of the audit log."""
    with cast.database.reading() as session:
        return session.execute(
            sa.select(models.AuditEvent.action, models.AuditEvent.details).order_by(models.AuditEvent.id.desc())
        ).first()


def test_the_whole_life_of_a_booking(client: TestClient, cast: Cast) -> None:
    anonymous = ApiClient(client)
    registered = anonymous.post("/auth/register", NEW)
    assert registered.status_code == 201, registered.text
    assert "password" not in registered.text
    form = {"username": NEW["email"], "password": NEW["password"]}
    tokens = anonymous.request("POST", "/auth/token", data=form).json()
    zoe = ApiClient(client)
    zoe.headers = {"authorization": f"Bearer {tokens['access_token']}"}
    bob = next(each for each in anonymous.get("/doctors").json() if each["slug"] == "bob")
    times = anonymous.get(f"/doctors/{bob['id']}/availability?from=2026-03-03&to=2026-03-03").json()
    wanted = {"doctor_id": bob["id"], "starts_at": times[2]["starts_at"], "reason": "A rash", "notes": "Since Friday"}

    booked = zoe.post("/appointments", wanted)
    assert booked.status_code == 201, booked.text
    made = booked.json()
    place = f"/appointments/{made['id']}"
    assert booked.headers["location"] == f"/api/v1{place}"
    assert booked.headers["etag"] == '"1"'
    assert made == {
        "id": made["id"],
        "reference": made["reference"],
        "doctor_id": bob["id"],
        "patient_id": registered.json()["patient_id"],
        "visit_type_id": cast.short,
        **times[2],
        "status": "scheduled",
        "reason": "A rash",
        "notes": "Since Friday",
        "confidential": False,
        "moved_by_clinic": False,
        "squeeze_reason": "",
        "arrived_at": None,
        "version": 1,
        "created_at": iso(NOW),
        "updated_at": iso(NOW),
    }
    assert times[2] not in anonymous.get(f"/doctors/{bob['id']}/availability?from=2026-03-03&to=2026-03-03").json()
    assert zoe.get(place).json() == made
    assert zoe.get("/appointments").json() == [made]
    assert zoe.get(place, headers={"if-none-match": '"1"'}).status_code == 304

    moved = zoe.request("PATCH", place, json={"starts_at": at("2026-03-04 10:15")}, headers={"if-match": '"1"'})
    assert (moved.status_code, moved.json()["starts_at"], moved.json()["version"]) == (200, "2026-03-04T09:15:00Z", 2)
    assert code_of(zoe.request("PATCH", place, json={"reason": "?"}, headers={"if-match": '"1"'}), 412)
    whole = {"doctor_id": bob["id"], "starts_at": moved.json()["starts_at"], "reason": "A cough"}
    saved = zoe.request("PUT", place, json=whole, headers={"if-match": moved.headers["etag"]}).json()
    assert (saved["reason"], saved["notes"], saved["status"]) == ("A cough", "Since Friday", "scheduled")

    assert zoe.request("DELETE", place).json() == {"message": "The appointment is cancelled."}
    assert zoe.get(place).json()["status"] == "cancelled"
    assert code_of(zoe.request("DELETE", place), 409) == "not_active"
    assert code_of(zoe.request("PATCH", place, json={"reason": "?"}), 409) == "not_active"
    assert zoe.get("/appointments?status=scheduled").json() == []


def test_a_taken_time_is_reported_with_the_three_nearest_free_ones(client: TestClient, cast: Cast) -> None:
    alice, dave = ApiClient(client, "alice"), ApiClient(client, "dave")
    wanted = {"doctor_id": cast.doctor_ids["bob"], "starts_at": at("2026-03-03 10:00")}
    assert alice.post("/appointments", wanted).status_code == 201
    refused = dave.post("/appointments", wanted, headers={"idempotency-key": "taken"})
    assert code_of(refused, 409) == "slot_taken"
    assert refused.json()["alternatives"] == [
        {"starts_at": iso(local(f"2026-03-03 {start}")), "ends_at": iso(local(f"2026-03-03 {end}"))}
        for start, end in (("09:30", "09:45"), ("09:45", "10:00"), ("10:15", "10:30"))
    ]
    for alternative in refused.json()["alternatives"]:
        assert alternative in dave.get(f"/doctors/{wanted['doctor_id']}/availability?to=2026-03-03").json()
    assert dave.post("/appointments", wanted, headers={"idempotency-key": "taken"}).json() == refused.json()
    # The patient's own appointment conflicts, too, and so does the margin around it.
    erin = {"doctor_id": cast.doctor_ids["erin"], "starts_at": at("2026-03-03 10:30")}
    busy = alice.post("/appointments", erin)
    assert code_of(busy, 409) == "patient_gap"
    assert len(busy.json()["alternatives"]) == 3
    # A move is refused likewise, and the rest of the request is not done either.
    other = dave.post("/appointments", {**wanted, "starts_at": at("2026-03-03 15:00")}).json()
    both = {"starts_at": wanted["starts_at"], "reason": "Changed"}
    moved = dave.request("PATCH", f"/appointments/{other['id']}", json=both)
    assert code_of(moved, 409) == "slot_taken"
    assert len(moved.json()["alternatives"]) == 3
    assert dave.get(f"/appointments/{other['id']}").json() == other


@pytest.mark.both_databases
def test_a_refusal_by_the_guard_lists_alternatives_too(client: TestClient, cast: Cast) -> None:
    # If the rules were wrong, the database would refuse the row and abort the transaction.
    row = appointment(cast, "2026-03-03 10:00", minutes=15)
    inserting: list[str] = []

    def be_faster(connection: sa.Connection, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("INSERT INTO appointments") and not inserting:
            inserting.append(statement)
            connection.execute(sa.insert(models.Appointment).values(row))
            inserting.clear()

    sa.event.listen(cast.database.engine, "before_cursor_execute", be_faster)
    wanted = {"doctor_id": cast.doctor_ids["bob"], "starts_at": at("2026-03-03 10:00")}
    dave = ApiClient(client, "dave")
    for headers in ({}, {"idempotency-key": "guard"}):
        refused = dave.post("/appointments", wanted, headers=headers)
        assert code_of(refused, 409) == "slot_taken"
        assert len(refused.json()["alternatives"]) == 3


@pytest.mark.both_databases
@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "after"}], ids=["without a key", "with a key"])
def test_alternatives_are_sought_when_others_can_write_again(
    headers: dict[str, str], client: TestClient, cast: Cast
) -> None:
    alice, dave = ApiClient(client, "alice"), ApiClient(client, "dave")
    wanted = {"doctor_id": cast.doctor_ids["bob"], "starts_at": at("2026-03-03 10:00")}
    taken = alice.post("/appointments", wanted)
    assert taken.status_code == 201
    events: list[str] = []
    engine = cast.database.engine

    def on_end(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("docket_write"):
            events.append("end of writing")

    def on_read(connection: sa.Connection, _cursor: Any, statement: str, *_more: Any) -> None:
        if "busy_times" in statement:
            written = connection.get_execution_options().get("docket_write")
            events.append("in writing" if written else "reading")

    sa.event.listen(engine, "rollback", on_end)
    sa.event.listen(engine, "before_cursor_execute", on_read)
    try:
        refused = dave.post("/appointments", wanted, headers=headers)
    finally:
        sa.event.remove(engine, "rollback", on_end)
        sa.event.remove(engine, "before_cursor_execute", on_read)
    assert len(refused.json()["alternatives"]) == 3
    assert "reading" in events
    assert "in writing" not in events[events.index("end of writing") :]
    # The refusal with a key is stored with its alternatives, even if other times become free later.
    alice.request("DELETE", f"/appointments/{taken.json()['id']}")
    again = dave.post("/appointments", wanted, headers=headers)
    assert (again.status_code, again.json().get("alternatives")) == (
        (409, refused.json()["alternatives"]) if headers else (201, None)
    )


REFUSED = {
    "2026-03-07 10:00": "clinic_closed",
    "2026-03-03 08:59": "off_grid",
    "2026-03-03 10:07": "off_grid",
    "2026-03-02 07:45": "in_the_past",
    "2026-03-02 09:15": "too_soon",
    "2026-03-03 12:00": "outside_working_hours",
    "2026-09-01 10:00": "too_far_ahead",
}


def test_every_refusal_has_the_code_and_the_sentence_of_its_rule(api: TestClient, sqlite_cast: Cast) -> None:
    alice, bob = ApiClient(api, "alice"), sqlite_cast.doctor_ids["bob"]
    for time, code in REFUSED.items():
        refused = alice.post("/appointments", {"doctor_id": bob, "starts_at": at(time)})
        assert code_of(refused, 422) == code
        assert refused.json()["errors"][0]["pointer"] == "/starts_at"
    fine = {"doctor_id": bob, "starts_at": at("2026-03-03 10:00")}
    assert code_of(alice.post("/appointments", {**fine, "visit_type_id": sqlite_cast.erins_only}), 422)
    assert code_of(alice.post("/appointments", {**fine, "visit_type_id": sqlite_cast.by_phone}), 422)
    for wrong in ({"starts_at": "2026-03-03T10:00:00"}, {"reason": "x" * 501}, {"notes": "x" * 1001}, {"doctor_id": 0}):
        refused = alice.post("/appointments", {**fine, **wrong})
        assert code_of(refused, 422) == "invalid"
        assert [each["pointer"] for each in refused.json()["errors"]] == [f"/{name}" for name in wrong]
    for unknown in ({"doctor_id": 999}, {"visit_type_id": 999}, {"patient_id": sqlite_cast.patient_ids["dave"]}):
        assert code_of(alice.post("/appointments", {**fine, **unknown}), 404) == "not_found"
    assert code_of(ApiClient(api, "carol").post("/appointments", fine), 403) == "not_a_patient"


@pytest.mark.both_databases
def test_lists_are_filtered_counted_and_paged(client: TestClient, cast: Cast) -> None:
    numbers = [put(cast, f"2026-03-0{day} 1{hour}:00", minutes=15) for day in (3, 4, 5) for hour in (0, 4)]
    put(cast, "2026-03-04 09:00", patient="dave", doctor="erin")
    put(cast, "2026-03-06 09:00", patient="dave", status="cancelled")

    def ids(name: str, query: str = "") -> list[int]:
        return [each["id"] for each in ApiClient(client, name).get(f"/appointments{query}").json()]

    assert ids("alice") == numbers
    assert ids("alice", "?from=2026-03-04&to=2026-03-04") == numbers[2:4]
    assert ids("alice", "?from=2026-03-04T14:00:00%2B01:00&to=2026-03-05T13:00:00Z") == numbers[3:5]
    assert ids("alice", f"?doctor_id={cast.doctor_ids['erin']}") == []
    assert len(ids("bob")) == 7
    assert len(ids("erin")) == 1
    assert len(ids("carol", "?limit=100")) == 8
    assert len(ids("carol", "?status=cancelled")) == 1
    assert ids("carol", f"?patient_id={cast.patient_ids['alice']}") == numbers
    page = ApiClient(client, "alice").get("/appointments?skip=2&limit=2&status=scheduled")
    assert [each["id"] for each in page.json()] == numbers[2:4]
    assert page.headers["x-total-count"] == "6"
    links = dict(reversed(each.split("; ")) for each in page.headers["link"].split(", "))
    following = links['rel="next"'].strip("<>").removeprefix("/api/v1")
    assert re.fullmatch(r"/appointments\?status=scheduled&cursor=[\w-]+&limit=2", following)
    assert [each["id"] for each in ApiClient(client, "alice").get(following).json()] == numbers[4:6]
    assert links['rel="prev"'] == "</api/v1/appointments?status=scheduled&skip=0&limit=2>"
    for wrong in ("limit=101", "limit=0", "skip=-1", "from=2026-03-03T09:00:00", "status=lost", "from=1999-01-01"):
        assert code_of(ApiClient(client, "alice").get(f"/appointments?{wrong}"), 422) == "invalid"


def test_staff_change_the_status_and_their_reading_is_recorded(api: TestClient, sqlite_cast: Cast) -> None:
    alice, bob, carol = (ApiClient(api, name) for name in ("alice", "bob", "carol"))
    cast = sqlite_cast
    number = put(cast, "2026-03-03 10:00", minutes=15)
    place = f"/appointments/{number}"
    for status in ("confirmed", "completed", "scheduled"):
        assert code_of(alice.request("PATCH", place, json={"status": status}), 403) == "status_not_yours"
    confirmed = bob.request("PATCH", place, json={"status": "confirmed"})
    assert confirmed.json()["status"] == "confirmed"
    assert code_of(bob.request("PATCH", place, json={"status": "completed"}), 422) == "status_not_possible"
    assert code_of(bob.request("PATCH", place, json={"status": "scheduled"}), 422) == "status_not_possible"
    # Sending the unchanged status back is not a change of status.
    whole = {"doctor_id": cast.doctor_ids["bob"], "starts_at": at("2026-03-03 10:00"), "status": "confirmed"}
    assert alice.request("PUT", place, json=whole).json()["version"] == confirmed.json()["version"]
    again = alice.request("PUT", place, json={**whole, "starts_at": at("2026-03-03 11:00")})
    assert again.json()["status"] == "scheduled"

    assert carol.get(place).status_code == 200
    assert last_audit(cast).action == "appointment_read"
    assert carol.get("/appointments").status_code == 200
    assert last_audit(cast) == ("appointments_listed", {"appointments": [number]})
    alice.request("PATCH", place, json={"reason": "A secret rash"})
    assert last_audit(cast) == ("words_changed", {"changed": "reason"})
    cast.change(sa.update(models.Appointment).values(private_note="Between doctors"))
    assert "Between doctors" not in bob.get(place).text + carol.get(place).text + bob.get("/appointments").text
    assert "Reason or notes changed by you" in _page_of(cast, number)


def _page_of(cast: Cast, number: int) -> str:
    with cast.database.reading() as session:
        reference = session.scalar(sa.select(models.Appointment.reference).where(models.Appointment.id == number))
    return str(log_in(client_for(cast.database), "alice").get(f"/appointments/{reference}").text)


def test_only_staff_can_override_a_rule_with_a_reason(api: TestClient, sqlite_cast: Cast) -> None:
    for_dave = {"doctor_id": sqlite_cast.doctor_ids["bob"], "patient_id": sqlite_cast.patient_ids["dave"]}
    saturday = {**for_dave, "starts_at": at("2026-03-07 10:00"), "override_reason": "An emergency"}
    assert code_of(ApiClient(api, "dave").post("/appointments", saturday), 422) == "clinic_closed"
    made = ApiClient(api, "carol").post("/appointments", saturday)
    assert made.status_code == 201, made.text
    late = ApiClient(api, "dave").request("PATCH", f"/appointments/{made.json()['id']}", json={"status": "cancelled"})
    assert late.json()["status"] == "cancelled"


def test_staff_squeeze_an_appointment_in_and_patients_do_not_read_why(api: TestClient, sqlite_cast: Cast) -> None:
    put(sqlite_cast, "2026-03-03 10:00")
    bob, dave = sqlite_cast.doctor_ids["bob"], sqlite_cast.patient_ids["dave"]
    urgent = {"doctor_id": bob, "patient_id": dave, "starts_at": at("2026-03-03 10:00"), "squeeze_reason": "A fever"}
    refused = ApiClient(api, "carol").post("/appointments", urgent)
    assert code_of(refused, 409) == "squeeze_in_not_allowed"
    assert len(refused.json()["alternatives"]) == 3
    sqlite_cast.change(sa.update(models.Doctor).values(squeeze_ins=1))
    assert code_of(ApiClient(api, "dave").post("/appointments", urgent), 409) == "slot_taken"
    made = ApiClient(api, "carol").post("/appointments", urgent)
    assert (made.status_code, made.json()["squeeze_reason"]) == (201, "A fever"), made.text
    place = f"/appointments/{made.json()['id']}"
    assert ApiClient(api, "dave").get(place).json()["squeeze_reason"] == ""
    put(sqlite_cast, "2026-03-03 11:00")
    there = {"starts_at": at("2026-03-03 11:00")}
    assert code_of(ApiClient(api, "carol").request("PATCH", place, json=there), 409) == "slot_taken"
    moved = ApiClient(api, "carol").request("PATCH", place, json={**there, "squeeze_reason": "Later"})
    assert moved.json()["squeeze_reason"] == "Later", moved.text


def test_staff_change_doctor_and_visit_type(api: TestClient, sqlite_cast: Cast) -> None:
    place = f"/appointments/{put(sqlite_cast, '2026-03-03 10:00')}"
    erin = sqlite_cast.doctor_ids["erin"]
    assert code_of(ApiClient(api, "bob").request("PATCH", place, json={"doctor_id": erin}), 403)
    carol = ApiClient(api, "carol")
    changed = carol.request("PATCH", place, json={"doctor_id": erin, "visit_type_id": sqlite_cast.long})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["doctor_id"], changed.json()["visit_type_id"]) == (erin, sqlite_cast.long)
    refused = carol.request("PATCH", place, json={"visit_type_id": sqlite_cast.short})
    assert code_of(refused, 422) == "visit_type_not_offered"


def test_another_doctor_or_kind_is_a_new_booking_and_an_empty_change_none(api: TestClient, sqlite_cast: Cast) -> None:
    alice = ApiClient(api, "alice")
    number = put(sqlite_cast, "2026-03-03 10:00")
    place = f"/appointments/{number}"
    present = {"doctor_id": sqlite_cast.doctor_ids["bob"], "starts_at": at("2026-03-03 10:00")}
    for other in ({"doctor_id": sqlite_cast.doctor_ids["erin"]}, {"visit_type_id": sqlite_cast.short}):
        for method, body in (("PUT", {**present, **other}), ("PATCH", other)):
            refused = alice.request(method, place, json=body)
            assert code_of(refused, 422) == "new_booking"
            assert refused.json()["errors"][0]["pointer"] == f"/{next(iter(other))}"
    assert code_of(alice.request("PATCH", place, json={"colour": "red"}), 422) == "nothing_to_change"
    for nothing in ({}, {"doctor_id": present["doctor_id"]}, {"starts_at": None}):
        assert code_of(alice.request("PUT", place, json=nothing), 422) == "nothing_to_change"
    soon = put(sqlite_cast, "2026-03-02 14:00", patient="dave")
    too_late = ApiClient(api, "dave").request("DELETE", f"/appointments/{soon}")
    assert code_of(too_late, 422) == "too_late_to_change"
    # Texts do not depend on the time, so they can still be changed.
    said = ApiClient(api, "dave").request("PATCH", f"/appointments/{soon}", json={"notes": "On crutches"})
    assert said.json()["notes"] == "On crutches"


@pytest.mark.parametrize("part", [
    {"starts_at": "2026-03-04T10:15:00+01:00"},
    {"reason": "A cough"},
    {"notes": ""},
    {"status": "scheduled", "notes": "On crutches", "reason": None},
    {"status": "cancelled"},
])  # fmt: skip
def test_missing_members_of_a_put_stay_unchanged(client: TestClient, cast: Cast, part: dict[str, Any]) -> None:
    alice = ApiClient(client, "alice")
    wanted = {
        "doctor_id": cast.doctor_ids["bob"],
        "starts_at": at("2026-03-03 10:00"),
        "reason": "A rash",
        "notes": "!",
    }
    made = alice.post("/appointments", wanted)
    place, old = f"/appointments/{made.json()['id']}", {"if-match": made.headers["etag"]}
    saved = alice.request("PUT", place, json=part, headers=old)
    assert saved.status_code == 200, saved.text
    moved = {"starts_at": "2026-03-04T09:15:00Z", "ends_at": "2026-03-04T09:30:00Z"} if "starts_at" in part else {}
    named = {name: value for name, value in part.items() if value is not None}
    assert saved.json() == {**made.json(), **named, **moved, "version": 2}
    assert code_of(alice.request("PUT", place, json=part, headers=old), 412) == "precondition_failed"


def test_an_appointment_that_the_clinic_moved_may_be_cancelled_until_it_starts(
    api: TestClient, sqlite_cast: Cast
) -> None:
    number = put(sqlite_cast, "2026-03-03 10:00")
    moved = ApiClient(api, "carol").request(
        "PATCH", f"/appointments/{number}", json={"starts_at": at("2026-03-02 10:30")}
    )
    assert moved.json()["moved_by_clinic"] is True
    assert ApiClient(api, "alice").request("DELETE", f"/appointments/{number}").status_code == 200


def test_a_change_of_an_outdated_version_is_412(api: TestClient, sqlite_cast: Cast) -> None:
    number = put(sqlite_cast, "2026-03-03 10:00")
    alice, place = ApiClient(api, "alice"), f"/appointments/{number}"

    def overtake(connection: sa.Connection) -> None:
        # Another change happens after the version was read and before the lock is taken.
        if connection.get_execution_options().get("docket_write"):
            connection.exec_driver_sql("UPDATE appointments SET version = version + 1")

    sa.event.listen(sqlite_cast.database.engine, "begin", overtake)
    assert code_of(alice.request("DELETE", place, headers={"if-match": '"1"'}), 412) == "precondition_failed"
    body = {"reason": "A rash"}
    assert code_of(alice.request("PATCH", place, json=body, headers={"if-match": '"1"'}), 412) == "precondition_failed"


def test_a_booking_over_a_real_connection(sqlite_url: str) -> None:
    database = wired_database(sqlite_url)
    cast = assemble(database)
    database.dispose()

    def ask(method: str, path: str, body: Any = None, token: str = "", form: bool = False) -> tuple[int, Any]:
        data = (urlencode(body) if form else json.dumps(body)).encode() if body is not None else None
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        headers = {"content-type": kind, **({"authorization": f"Bearer {token}"} if token else {})}
        request = Request(f"{server.url}/api/v1{path}", data, headers, method=method)
        try:
            with urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, json.load(error)

    with live_server(sqlite_url) as server:
        assert ask("POST", "/auth/register", NEW)[0] == 201
        form = {"username": NEW["email"], "password": NEW["password"]}
        token = ask("POST", "/auth/token", form, form=True)[1]["access_token"]
        until = (datetime.now(UTC) + timedelta(days=14)).date()
        bob = cast.doctor_ids["bob"]
        free = ask("GET", f"/doctors/{bob}/availability?to={until}")[1]
        wanted = {"doctor_id": bob, "starts_at": free[-1]["starts_at"]}
        status, made = ask("POST", "/appointments", wanted, token)
        assert (status, made["status"]) == (201, "scheduled")
        assert ask("POST", "/appointments", wanted, token)[0] == 409
        assert ask("PATCH", f"/appointments/{made['id']}", {"reason": "A rash"}, token)[1]["version"] == 2
        assert ask("GET", "/appointments", token=token)[1][0]["reason"] == "A rash"
        assert ask("DELETE", f"/appointments/{made['id']}", token=token)[0] == 200
        assert ask("GET", f"/appointments/{made['id']}")[0] == 401
        assert token not in server.output()

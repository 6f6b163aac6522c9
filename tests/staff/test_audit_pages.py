"""The audit log as an admin reads it: who did what to whom, in words."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, local, log_in
from tests.reading import Element, read
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.models import AuditEvent, Patient, User
from webapp.patients.search_index import keep_words
from webapp.staff.audit.words import ACTIONS, action_words

WEBAPP = Path(__file__).resolve().parents[2] / "webapp"


@pytest.fixture
def carol(client: TestClient) -> TestClient:
    """The admin's browser."""
    return log_in(client, "carol")


def record(
    cast: Cast, actor: Actor | None, action: str, subject: tuple[str, int], *, at: str = "2026-03-02 07:30"
) -> None:
    """Write one row, as a request from the front desk would."""
    cast.database.write(
        audit.record,
        action,
        subject=subject,
        actor_user_id=actor.user_id if actor else None,
        actor_role=actor.role if actor else "system",
        now=local(at),
        address="192.0.2.7",
    )


def lines(page: Element) -> list[list[str]]:
    """The cells of the list, row by row."""
    return [[cell.text for cell in row.all("td")] for row in page.one("tbody").all("tr")] if page.all("tbody") else []


def recorded(page: Element) -> list[tuple[str, str]]:
    """Who did what, without reading the log itself."""
    return [(who, did) for _when, who, did, _what, _from in lines(page) if did != "Viewed the audit log"]


def test_a_row_shows_actor_action_subject_time_and_address(cast: Cast, carol: TestClient) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:00")
    record(cast, cast.bob, "patient_read", ("patient", cast.patient_ids["alice"]))
    record(cast, None, "clinic_changed", ("clinic", 1))
    record(cast, cast.carol, "something_new", ("robot", 5), at="2026-02-27 23:59")
    record(cast, cast.carol, "doctor_changed", ("doctor", cast.doctor_ids["bob"]), at="2026-02-27 23:58")
    page = read(carol.get("/admin/audit"))
    assert lines(page) == [
        [
            "Today, 08:00",
            "Alice Adams patient",
            "Booked an appointment",
            f"Appointment {reference} of Alice Adams",
            "not recorded",
        ],
        ["Today, 07:30", "Docket", "Changed the clinic’s settings", "The clinic", "192.0.2.7"],
        ["Today, 07:30", "Dr. Bob Brown doctor", "Viewed a patient’s record", "Alice Adams", "192.0.2.7"],
        ["27 February 2026, 23:59", "Carol Clark admin", "Something new", "Robot 5", "192.0.2.7"],
        ["27 February 2026, 23:58", "Carol Clark admin", "Changed a doctor’s details", "Dr. Bob Brown", "192.0.2.7"],
    ]
    patient = f"/admin/patients/{cast.patient_ids['alice']}"
    for href in (f"/appointments/{reference}", patient, "/admin/doctors/bob", "/admin/clinic"):
        assert href in page.links
        assert carol.get(href).status_code == 200


@pytest.mark.both_databases
def test_reading_and_exporting_the_log_leave_rows(cast: Cast, carol: TestClient) -> None:
    number = cast.patient_ids["alice"]
    carol.get("/admin/audit")
    carol.get(f"/admin/audit?patient={number}")
    carol.get(f"/admin/audit.csv?patient={number}")
    with cast.database.reading() as session:
        query = sa.select(AuditEvent.action, AuditEvent.subject_type, AuditEvent.subject_id, AuditEvent.actor_user_id)
        found = [tuple(row) for row in session.execute(query.order_by(AuditEvent.id))]
    me = cast.carol.user_id
    assert found == [
        ("audit_read", "audit", 0, me),
        ("audit_read", "patient", number, me),
        ("audit_exported", "patient", number, me),
    ]


@pytest.mark.both_databases
def test_a_patients_rows_are_those_of_record_appointments_and_account(cast: Cast, carol: TestClient) -> None:
    alice, dave = cast.patient_ids["alice"], cast.patient_ids["dave"]
    cast.book(cast.alice, "2026-03-10 09:00")
    cast.book(cast.dave, "2026-03-10 10:00")
    record(cast, cast.bob, "patient_read", ("patient", alice))
    record(cast, cast.bob, "patient_read", ("patient", dave))
    record(cast, cast.alice, "profile_changed", ("user", cast.alice.user_id))
    # The doctor with the same id is another person.
    record(cast, cast.carol, "doctor_changed", ("doctor", alice))
    hers = {
        ("Alice Adams patient", "Booked an appointment"),
        ("Dr. Bob Brown doctor", "Viewed a patient’s record"),
        ("Alice Adams patient", "Changed their own details"),
    }
    for text in ("alice", "Adams+Alice", str(alice), "alice@docket.example"):
        page = read(carol.get(f"/admin/audit?patient={text}"))
        found = recorded(page)
        assert set(found) == hers, text
        assert len(found) == 3
    assert recorded(read(carol.get("/admin/audit?patient=nobody"))) == []


@pytest.mark.both_databases
def test_when_several_patients_fit_one_can_be_chosen(cast: Cast, carol: TestClient) -> None:
    def another(session: sa.orm.Session) -> int:
        patient = Patient(name="Alice Other", created_at=NOW)
        session.add(patient)
        session.flush()
        keep_words(session, patient.id, name=patient.name, email="", phone="")
        return patient.id

    other = cast.database.write(another)
    record(cast, cast.bob, "patient_read", ("patient", other))
    record(cast, cast.bob, "patient_read", ("patient", cast.patient_ids["alice"]))
    page = read(carol.get("/admin/audit?patient=alice&action=patient_read"))
    assert "2 patients match" in page.text
    assert len(recorded(page)) == 2
    href = f"/admin/audit?patient={other}&action=patient_read"
    assert href in page.links
    assert [line[3] for line in lines(read(carol.get(href)))] == ["Alice Other"]


@pytest.mark.both_databases
def test_filters_by_person_action_day_and_address(cast: Cast, carol: TestClient) -> None:
    record(cast, cast.bob, "patient_read", ("patient", 1), at="2026-02-27 00:00")
    record(cast, cast.bob, "schedule_read", ("doctor", 1), at="2026-02-27 23:59")
    record(cast, cast.erin, "patient_read", ("patient", 2), at="2026-02-28 00:00")
    bob, erin = "Dr. Bob Brown doctor", "Dr. Erin Eze doctor"
    for query, expected in (
        ("who=bob", [(bob, "Viewed a schedule"), (bob, "Viewed a patient’s record")]),
        ("who=erin%40docket.example", [(erin, "Viewed a patient’s record")]),
        ("who=nobody", []),
        ("action=patient_read", [(erin, "Viewed a patient’s record"), (bob, "Viewed a patient’s record")]),
        ("action=nonsense", []),
        ("first=2026-02-28", [(erin, "Viewed a patient’s record")]),
        ("last=2026-02-27&who=bob&action=schedule_read", [(bob, "Viewed a schedule")]),
        ("first=2026-02-27&last=2026-02-27&action=patient_read", [(bob, "Viewed a patient’s record")]),
        ("first=2026-03-01&last=2026-02-01", []),
        ("address=192.0.2.8", []),
        ("address=192.0.2.7&action=schedule_read", [(bob, "Viewed a schedule")]),
    ):
        assert recorded(read(carol.get(f"/admin/audit?{query}"))) == expected, query


def test_an_invalid_filter_is_reported_beside_its_field(cast: Cast, carol: TestClient) -> None:
    answer = carol.get("/admin/audit?first=yesterday&who=bob")
    assert answer.status_code == 422
    page = read(answer)
    assert "Enter a real date" in page.one(id="first-error").text
    assert page.one("input", id="first")["value"] == "yesterday"
    assert page.one("input", id="who")["value"] == "bob"
    for path in ("/admin/audit", "/admin/audit.csv"):
        for name, day in (("first", "0001-01-01"), ("last", "9999-12-31")):
            answer = carol.get(f"{path}?{name}={day}")
            assert answer.status_code == 422
            assert "Enter a date between 2000 and 2100." in read(answer).one(id=f"{name}-error").text
    for number in range(101):
        cast.add(
            User(email=f"x{number}@docket.example", name="Xaver", role="patient", password_hash="", created_at=NOW)
        )
    for path in ("/admin/audit", "/admin/audit.csv"):
        answer = carol.get(f"{path}?who=xaver")
        assert answer.status_code == 422
        assert "Too many people match." in read(answer).one(id="who-error").text


@pytest.mark.both_databases
def test_the_log_has_pages_that_keep_the_filters(cast: Cast, carol: TestClient) -> None:
    for number in range(120):
        record(
            cast, cast.bob, "patient_read", ("robot", number), at=f"2026-02-2{number // 60 + 1} 10:{number % 60:02d}"
        )
    first = read(carol.get("/admin/audit?who=bob&action=patient_read"))
    second = read(carol.get(first.one("a", rel="next")["href"]))
    third = read(carol.get(second.one("a", rel="next")["href"]))
    seen = [line[3] for page in (first, second, third) for line in lines(page)]
    assert seen == [f"Robot {number}" for number in range(119, -1, -1)]
    assert not third.all("a", rel="next")
    assert lines(read(carol.get(third.one("a", rel="prev")["href"]))) == lines(second)


@pytest.mark.both_databases
def test_the_export_holds_the_filtered_rows_and_no_formula(cast: Cast, carol: TestClient) -> None:
    cast.change(sa.update(User).where(User.id == cast.alice.user_id).values(name="=HYPERLINK(A1)"))
    record(cast, cast.alice, "patient_read", ("patient", cast.patient_ids["alice"]))
    record(cast, cast.bob, "patient_read", ("patient", cast.patient_ids["dave"]))
    page = read(carol.get("/admin/audit?who=alice"))
    href = next(each for each in page.links if each.startswith("/admin/audit.csv"))
    answer = carol.get(href)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit-log-2026-03-02.csv"'
    assert answer.headers["cache-control"] == "no-store"
    table = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert table == [
        ["When (UTC)", "Day", "Time", "Who", "Role", "Action", "Item", "IP address"],
        [
            "2026-03-02T06:30:00Z",
            "2026-03-02",
            "07:30",
            "'=HYPERLINK(A1)",
            "patient",
            "Viewed a patient’s record",
            "Alice Adams",
            "192.0.2.7",
        ],
        ["End of the list: 1 row"],
    ]


def test_the_export_holds_every_row_however_many_there_are(cast: Cast, carol: TestClient) -> None:
    rows = [
        {
            "at": local("2026-02-20 10:00") + timedelta(seconds=number // 3),
            "actor_user_id": cast.bob.user_id,
            "actor_role": "doctor",
            "action": "patient_read",
            "subject_type": "robot",
            "subject_id": number,
            "details": {},
        }
        for number in range(10_101)
    ]
    cast.database.write(lambda session: session.execute(sa.insert(AuditEvent), rows))
    page = read(carol.get("/admin/audit?who=bob"))
    assert "Export as CSV (more than 10,000 rows)" in page.text
    answer = carol.get(next(each for each in page.links if each.startswith("/admin/audit.csv")))
    assert answer.headers["x-total-count"] == "10101"
    table = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row[6] for row in table[1:-1]] == [f"Robot {number}" for number in range(10_100, -1, -1)]
    few = read(carol.get("/admin/audit?who=carol"))
    # Reading the log and its export are in the log.
    assert "Export as CSV (2 rows)" in few.text


def test_a_name_that_very_many_patients_have_is_not_cut_short(cast: Cast, carol: TestClient) -> None:
    def add(session: Session) -> None:
        for number in range(21):
            patient = Patient(name=f"Xaver {number}", created_at=NOW)
            session.add(patient)
            session.flush()
            keep_words(session, patient.id, name=patient.name, email="", phone="")

    cast.database.write(add)
    for path in ("/admin/audit", "/admin/audit.csv"):
        answer = carol.get(f"{path}?patient=xaver")
        assert answer.status_code == 422
        assert "More than 20 patients match." in read(answer).one(id="patient-error").text


def test_every_recorded_action_has_a_text() -> None:
    """A new action needs a text here."""
    files = [path for path in sorted(WEBAPP.rglob("*.py")) if path != WEBAPP / "staff" / "audit" / "words.py"]
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)
    calls = re.findall(r"\b_?record(?:_unseen)?\(\s*session,\s*(?:[\w.]+,\s*)?\"([a-z_]+)\"", source)
    assert {"role_changed", "password_changed", "note_changed"} <= set(calls)
    assert set(calls) - set(ACTIONS) == set()
    # The filter offers only actions that occur.
    assert [action for action in ACTIONS if f'"{action}"' not in source] == []
    assert action_words("never_heard_of") == "Never heard of"


def test_the_log_shows_nothing_of_the_details_but_roles(cast: Cast, carol: TestClient) -> None:
    cast.database.write(
        audit.record,
        "role_changed",
        subject=("user", cast.bob.user_id),
        actor_user_id=cast.carol.user_id,
        actor_role="admin",
        now=NOW,
        details={"from": "doctor", "to": "admin", "reason": "a secret illness"},
    )
    page = read(carol.get("/admin/audit"))
    assert lines(page)[0][2] == "Changed a role: doctor to admin"
    assert "illness" not in page.text

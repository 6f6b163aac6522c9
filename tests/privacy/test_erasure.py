"""Deleting a patient: their name is in no table, in no file and not in the bytes of SQLite's files."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.api_client import ApiClient
from tests.appointment_rows import appointment, insert, put
from tests.cast import NOW, PASSWORD, Cast, client_for, local, log_in
from tests.languages import PSEUDO, speak, wide
from tests.reading import read
from webapp import models, worker
from webapp.appointments.messages import clinic_messages, reminders
from webapp.auth.service import account_key
from webapp.config import Settings
from webapp.database import Database
from webapp.engines import sqlite_file
from webapp.i18n import ENGLISH
from webapp.integrity.problems import find_problems
from webapp.notifications import file_sender
from webapp.patients import duplicates, search
from webapp.privacy import erasure
from webapp.worker import Worker

pytestmark = pytest.mark.both_databases

# Words that name her or say anything about her health. Each occurs nowhere else.
MARKS = ("Xanthippe", "Quellwasser", "quellwasser@", "612349876", "1987-06-05", "Kniescheibe", "Rollstuhl", "Gicht")
HER = {"name": "Xanthippe Quellwasser", "phone": "+31612349876", "birth_date": date(1987, 6, 5)}
EMAIL = "quellwasser@docket.example"


def all_text(database: Database) -> str:
    """Every value of every table."""
    with database.reading() as session:
        return "\n".join(
            repr(tuple(row))
            for table in models.Base.metadata.sorted_tables
            for row in session.execute(sa.select(table))
        )


def raw_bytes(database: Database) -> bytes:
    """The bytes of SQLite's files; nothing on PostgreSQL, whose files only its server reads."""
    path = sqlite_file(database.url)
    return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*")) if path else b""


def words_left(text: str | bytes) -> list[str]:
    searched = text if isinstance(text, bytes) else text.encode()
    return [mark for mark in MARKS if mark.encode() in searched]


@pytest.fixture
def kept_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of messages that are kept as files."""
    folder = tmp_path / "messages"
    for module in (file_sender, worker):
        monkeypatch.setattr(module, "FOLDER", folder)
    return folder


def meet(cast: Cast) -> int:
    """A patient who has left words in every table that has any. Returns her id; she is Alice's account, renamed."""
    alice = cast.patient_ids["alice"]
    cast.change(
        sa.update(models.User).where(models.User.id == cast.alice.user_id).values(name=HER["name"], email=EMAIL)
    )
    cast.change(
        sa.update(models.Patient)
        .where(models.Patient.id == alice)
        .values(**HER, email=EMAIL, wants_sms=True, alert="Rollstuhl", desk_note="Gicht")
    )
    with client_for(cast.database) as client:
        her = log_in(client, "quellwasser")
        # Saving the profile writes the words of the search, and notes a second record of her.
        twin = cast.add(models.Patient(**HER, created_at=NOW))
        details = {"name": HER["name"], "phone": HER["phone"], "birth_date": "1987-06-05"}
        assert her.post("/account", data=details).status_code == 303
        cast.database.write(duplicates.note_pair, alice, twin, now=NOW)
        cast.change(sa.delete(models.Patient).where(models.Patient.id == twin))
        slot = {"doctor": "bob", "visit_type": str(cast.short), "reason": "Kniescheibe", "notes": "Rollstuhl"}
        for start in ("2026-03-10 09:00", "2026-03-11 09:00", "2026-03-12 09:00"):
            sent = {**slot, "starts_at": local(start).strftime("%Y-%m-%dT%H:%M:%SZ")}
            assert her.post("/appointments", data=sent).status_code == 303
    appointments = models.Appointment
    of_her = appointments.patient_id == alice
    cast.change(
        sa.update(appointments)
        .where(of_her)
        .values(private_note="Gicht", override_reason="Kniescheibe", booked_by=cast.alice.user_id)
    )
    erin = sa.literal(cast.doctor_ids["erin"])
    former = sa.select(appointments.id, erin, sa.literal("Gicht")).where(of_her)
    cast.change(sa.insert(models.FormerNote).from_select(["appointment_id", "doctor_id", "text"], former))
    past = {"starts_at": local("2026-02-10 09:00"), "ends_at": local("2026-02-10 09:15")}
    busy = {"busy_from": past["starts_at"], "busy_until": past["ends_at"]}
    first = sa.select(sa.func.min(appointments.id)).where(of_her).scalar_subquery()
    minute = int(local("2026-02-10 10:00").timestamp()) // 60
    cast.change(
        sa.update(appointments)
        .where(appointments.id == first)
        .values(**past, **busy, promised_minute=minute, status="completed")
    )
    cast.add(models.FailedLogin(account=account_key(EMAIL), address="192.0.2.7", judged=True, at=NOW))
    typed = [["name", "Xanthippe Quellwasser"], ["reason", "Kniescheibe"]]
    cast.add(models.Draft(key_hash="k", account="", action="/x", address="/x", fields=typed, created_at=NOW))
    answer = '{"patient": {"name": "Xanthippe Quellwasser"}, "reason": "Kniescheibe"}'
    cast.add(
        models.IdempotencyKey(
            user_id=cast.carol.user_id,
            key="k",
            request_hash="h",
            status=201,
            headers={},
            body=answer,
            created_at=NOW,
        )
    )
    return alice


def run_worker(cast: Cast) -> None:
    """Deliver everything that is due, and do one round of the rest."""
    settings = Settings(database_url=str(cast.database.url), secret_key="k" * 40)
    busy = Worker(cast.database, settings, base_url="http://docket.test", clock=lambda: NOW + timedelta(hours=4))
    for courier in busy.couriers:
        while courier.deliver_next():
            pass
    busy.do_a_round()


def test_nothing_that_names_her_is_left(cast: Cast, kept_files: Path) -> None:
    patient_id = meet(cast)
    run_worker(cast)
    before = all_text(cast.database)
    assert set(words_left(before)) >= {"Xanthippe", "quellwasser@", "Kniescheibe", "Rollstuhl", "Gicht"}
    files = b"".join(path.read_bytes() for path in kept_files.iterdir())
    assert b"quellwasser@" in files
    assert not cast.database.is_sqlite or "Kniescheibe" in words_left(raw_bytes(cast.database))
    with client_for(cast.database) as client:
        her = log_in(client, "quellwasser")
        assert "Kniescheibe" not in read(her.get("/account/deletion")).text
        assert her.post("/account/deletion", data={"current": "wrong"}).status_code == 422
        gone = her.post("/account/deletion", data={"current": PASSWORD})
        assert (gone.status_code, gone.headers["location"]) == (303, "/")
        assert her.get("/account").status_code == 303
    run_worker(cast)
    cast.database.empty_log()
    assert words_left(all_text(cast.database)) == []
    assert words_left(raw_bytes(cast.database)) == []
    assert list(kept_files.iterdir()) == []
    # The clinic's side still adds up.
    with cast.database.reading() as session:
        rows = session.execute(
            sa.select(models.Appointment.status, models.Appointment.cancellation_code).where(
                models.Appointment.patient_id == patient_id
            )
        )
        assert sorted(row.status for row in rows) == ["cancelled", "cancelled", "completed"]
        record = session.get_one(models.Patient, patient_id)
        assert (record.name, record.sort_name, record.user_id, record.erased_at) == ("", "", None, NOW)
        addresses = sa.select(models.AuditEvent.address).where(models.AuditEvent.actor_user_id == cast.alice.user_id)
        assert set(session.scalars(addresses)) == {""}
        assert not search.search_patients(session, "").patients or all(
            row.id != patient_id for row in search.search_patients(session, "").patients
        )
    assert list(find_problems(cast.database, now=NOW)) == []


def test_the_audit_log_keeps_the_actions_and_names_no_person(cast: Cast) -> None:
    meet(cast)
    cast.database.write(erasure.forget_patient, cast.alice, cast.patient_ids["alice"], now=NOW)
    with log_in(client_for(cast.database), "carol") as client:
        page = read(client.get(f"/admin/audit?patient={cast.patient_ids['alice']}"))
        assert "Deleted a patient’s data" in page.text
        assert "Booked an appointment" in page.text
        assert "Deleted account" in page.text
        record = read(client.get(f"/admin/patients/{cast.patient_ids['alice']}"))
        assert "Only the times of their appointments are left" in record.text
        assert f"/book?patient={cast.patient_ids['alice']}" not in record.links


def test_instead_of_the_deleted_name_all_read_words_in_their_language(cast: Cast) -> None:
    """Past appointments stay. Doctors and the front desk see them in many places."""
    put(cast, "2026-02-27 09:00", status="completed")
    row = appointment(cast, "2026-02-26 09:00")
    insert(cast, row)
    reference = row["reference"]
    patient_id = cast.patient_ids["alice"]
    cast.database.write(erasure.forget_patient, cast.alice, patient_id, now=NOW)
    of_doctor = ["/schedule/2026-02-27", "/schedule/week/2026-W09", "/schedule/2026-02-27/sheet"]
    of_all = [
        "/board/2026-02-27",
        f"/board/2026-02-26/appointments/{reference}",
        "/board/week/2026-W09/sheets",
        "/admin/appointments?from=2026-02-26&until=2026-02-27",
        "/admin/appointments.csv?from=2026-02-26&until=2026-02-27",
        f"/appointments/{reference}",
        f"/admin/patients/{patient_id}",
        f"/admin/audit?patient={patient_id}",
        f"/admin/appointments/why?patient={patient_id}",
    ]
    for person, addresses in (("bob", of_doctor), ("carol", of_all)):
        with log_in(client_for(cast.database), person) as client:
            for language, words in ((ENGLISH, "Deleted patient"), (PSEUDO, wide("Deleted patient"))):
                speak(client, language)
                for address in addresses:
                    assert words in client.get(address).text, address
    api = ApiClient(client_for(cast.database), "carol")
    assert api.get(f"/patients/{patient_id}").json()["name"] == "Deleted patient"


def test_the_law_may_keep_a_record_until_a_day(client: TestClient, cast: Cast) -> None:
    alice = meet(cast)
    cast.change(sa.update(models.ClinicSettings).values(keep_records_years=10))
    log_in(client, "quellwasser")
    assert "10 February 2036" in read(client.get("/account/deletion")).text
    assert client.post("/account/deletion", data={"current": PASSWORD}).status_code == 303
    with cast.database.reading() as session:
        record = session.get_one(models.Patient, alice)
        assert (record.name, record.erase_on, record.user_id) == (HER["name"], date(2036, 2, 10), None)
        assert search.search_patients(session, "Quellwasser").patients == []
    with log_in(client_for(cast.database), "carol") as staff:
        page = read(staff.get(f"/admin/patients/{alice}"))
        assert "10 February 2036" in page.text
        # Locked: neither booked for nor changed.
        form = {"name": "Another Name", "seen": ""}
        assert staff.post(f"/admin/patients/{alice}/edit", data=form).status_code == 409
        slot = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": "2026-03-20T09:00:00Z"}
        assert staff.post("/appointments", data={**slot, "patient": str(alice)}).status_code == 404
        assert staff.post(f"/admin/patients/{alice}/deletion", data={"current": PASSWORD}).status_code == 409
    assert cast.database.write(erasure.erase_due, now=local("2036-02-09 12:00")) == 0
    assert cast.database.write(erasure.erase_due, now=local("2036-02-10 12:00")) == 1
    assert words_left(all_text(cast.database)) == []


def test_dependants_stay_with_the_clinic_unless_they_are_ticked(client: TestClient, cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    stays, goes = (cast.add(models.Patient(name=name, managed_by_id=alice, created_at=NOW)) for name in ("Al", "Bo"))
    log_in(client, "alice")
    assert client.post("/account/deletion", data={"current": PASSWORD, "people": [str(goes)]}).status_code == 303
    with cast.database.reading() as session:
        query = sa.select(models.Patient.id, models.Patient.name, models.Patient.managed_by_id)
        found = {row.id: (row.name, row.managed_by_id) for row in session.execute(query)}
    assert (found[stays], found[goes]) == (("Al", None), ("", None))


def test_strangers_and_colleagues_cannot_be_deleted(client: TestClient, cast: Cast) -> None:
    alice, dave = cast.patient_ids["alice"], cast.patient_ids["dave"]
    log_in(client, "alice")
    client.post("/account/deletion", data={"current": PASSWORD, "people": [str(dave)]})
    with cast.database.reading() as session:
        assert session.get_one(models.Patient, dave).name == "Dave Dunn"
        assert session.get_one(models.Patient, alice).name == ""
    # Dave now works at the clinic.
    cast.change(sa.update(models.User).where(models.User.id == cast.dave.user_id).values(role="admin"))
    with log_in(client_for(cast.database), "carol") as staff:
        answer = staff.post(f"/admin/patients/{dave}/deletion", data={"current": PASSWORD})
        assert answer.status_code == 409
        assert "works at the clinic" in read(answer).text


def test_late_appointments_are_cancelled_too_and_a_shared_address_stays(cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    reference = cast.book(cast.alice, "2026-03-02 15:00")
    cast.change(sa.update(models.ClinicSettings).values(notice_minutes=0))
    mother = cast.add(models.Patient(name="Her Mother", email="alice@docket.example", created_at=NOW))
    cast.add(
        models.OutboxMessage(
            dedupe_key="mother",
            message_id="mother",
            channel="email",
            recipient="alice@docket.example",
            template="visit_reminder",
            values={},
            subject_type="patient",
            subject_id=mother,
            status="sent",
            due_at=NOW,
            expires_at=NOW,
            created_at=NOW,
        )
    )
    with log_in(client_for(cast.database), "carol") as staff:
        address = f"/admin/patients/{alice}/deletion"
        assert "15:00" in read(staff.get(address)).text
        assert staff.post(address, data={"current": PASSWORD}).headers["location"] == "/admin/patients"
    with cast.database.reading() as session:
        appointment = session.scalars(
            sa.select(models.Appointment).where(models.Appointment.reference == reference)
        ).one()
        assert appointment.status == "cancelled"
        assert list(session.scalars(sa.select(models.OutboxMessage.dedupe_key))) == ["mother"]


def test_messages_to_her_mother_about_both_of_them_are_deleted_too(cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    cast.change(sa.update(models.User).values(email_confirmed_at=NOW))
    child = cast.add(models.Patient(name=HER["name"], managed_by_id=alice, created_at=NOW))
    ids = [put(cast, "2026-03-09 10:00"), put(cast, "2026-03-09 11:00")]
    cast.change(sa.update(models.Appointment).where(models.Appointment.id == ids[1]).values(patient_id=child))
    cast.database.write(clinic_messages.send, cast.fiona, ids, "The lift is broken.", once="1", now=NOW)
    cast.database.write(reminders.enqueue_due, now=local("2026-03-08 10:00"))
    cast.change(sa.update(models.OutboxMessage).values(status="sent"))
    sent = sa.select(models.OutboxMessage.template).order_by(models.OutboxMessage.template)
    with cast.database.reading() as session:
        assert list(session.scalars(sent)) == ["clinic_message", "visit_reminder"]
    cast.database.write(erasure.forget_patient, cast.carol, child, now=NOW)
    with cast.database.reading() as session:
        assert list(session.scalars(sent)) == []
    assert words_left(all_text(cast.database)) == []


def test_the_audit_log_refuses_every_other_change(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-10 09:00")
    cast.change(sa.update(models.AuditEvent).values(address=""))
    refused = (
        sa.update(models.AuditEvent).values(address="192.0.2.1"),
        sa.update(models.AuditEvent).values(address="", action="read"),
        sa.update(models.AuditEvent).values(address="", details={}),
        sa.update(models.AuditEvent).values(address="", actor_user_id=None),
        sa.delete(models.AuditEvent),
    )
    for statement in refused:
        with pytest.raises(sa.exc.IntegrityError, match="audit_is_append_only"):
            cast.change(statement)
    # Rows of this year stay with any limit; the clock is the database's.
    cast.change(sa.update(models.ClinicSettings).values(keep_audit_years=1))
    cast.add(
        models.AuditEvent(
            at=NOW.replace(year=2015), actor_role="system", action="old", subject_type="x", subject_id=1, details={}
        )
    )
    cast.change(sa.delete(models.AuditEvent).where(models.AuditEvent.action == "old"))
    with pytest.raises(sa.exc.IntegrityError, match="audit_is_append_only"):
        cast.change(sa.update(models.AuditEvent).values(address="192.0.2.1"))

"""The alert and the note about a patient: shown wherever staff see the patient, never to others, and never in the audit
log.
"""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, PASSWORD, Cast, log_in
from tests.reading import read
from webapp import models
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.patients import notes
from webapp.patients.schemas import PatientNotes

KNOWN = PatientNotes(alert="wheelchair", desk_note="Her sister Mia drives her.")


def test_staff_meet_the_alert_and_the_patient_does_not(client: TestClient, cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    put(cast, "2026-03-03 09:00", patient="alice")
    with cast.database.reading() as session:
        reference = session.scalars(sa.select(models.Appointment.reference)).one()
    address = f"/admin/patients/{alice}/notes"
    log_in(client, "fiona")
    form = read(client.get(f"{address}?back=/board")).form(address)
    answer = client.post(address, data=form | KNOWN.model_dump())
    assert (answer.status_code, answer.headers["location"]) == (303, "/board")
    assert client.post(address, data={"alert": "x" * 81}).status_code == 422
    pages = ("/board/2026-03-03", f"/board/2026-03-03/appointments/{reference}", "/board/2026-03-03/sheets")
    booking = (f"/desk/booking?patient={alice}", f"/appointments/{reference}", f"/admin/patients/{alice}")
    # On the board it is a sign, and part of the name of the link.
    for path in (*pages, *booking):
        assert "wheelchair" in client.get(path).text, path
    assert (
        "wheelchair"
        in read(
            client.post("/desk/booking", data={"q": "Alice"}, headers={"hx-request": "true", "hx-target": "found"})
        ).text
    )
    log_in(client, "bob")
    for path in ("/schedule/2026-03-03", f"/appointments/{reference}", "/schedule/2026-03-03/sheet"):
        assert "wheelchair" in read(client.get(path)).text, path
    assert read(client.get(address)).form(address)["desk_note"] == KNOWN.desk_note
    # Another doctor's patient does not exist for her.
    log_in(client, "erin")
    assert client.get(address).status_code == client.post(address, data=form).status_code == 404
    log_in(client, "alice")
    assert "wheelchair" not in client.get(f"/appointments/{reference}").text
    copy = json.loads(client.post("/account/data", data={"current": PASSWORD, "format": "json"}).text)
    assert (copy["record"]["alert"], copy["record"]["desk_note"]) == (KNOWN.alert, KNOWN.desk_note)


def test_a_note_is_not_overwritten_unseen_nor_told_to_the_audit_log(cast: Cast) -> None:
    alice, empty = cast.patient_ids["alice"], fingerprint(PatientNotes())
    cast.database.write(notes.write_notes, cast.fiona, alice, KNOWN, seen=empty, now=NOW)
    late = PatientNotes(alert="speaks Polish")
    with pytest.raises(EditedMeanwhile):
        cast.database.write(notes.write_notes, cast.carol, alice, late, seen=empty, now=NOW)
    with cast.database.reading() as session:
        assert notes.get_notes(session, alice) == KNOWN
        event = session.scalars(sa.select(models.AuditEvent)).one()
        assert (event.action, event.details) == ("patient_notes_changed", {})
        # Open boards heard of it.
        assert session.scalars(sa.select(models.LiveChange.doctor_id)).all()[-1] == 0

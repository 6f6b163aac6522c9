"""Sheets to be printed: what is on them, for whom, and that each doctor has one."""

from __future__ import annotations

from datetime import date
from typing import Any

import sqlalchemy as sa

from tests.appointment_rows import appointment, insert
from tests.cast import Cast, client_for, log_in
from tests.reading import read
from webapp import models
from webapp.auth.schemas import Actor
from webapp.clinic.service import get_clinic
from webapp.staff.sheets.sheets import Sheet, list_sheets

TUESDAY = date(2026, 3, 3)


def sheets(cast: Cast, actor: Actor, last: date = TUESDAY, doctor_id: int | None = None) -> list[Sheet]:
    with cast.database.reading() as session:
        return list_sheets(session, actor, get_clinic(session), TUESDAY, last, doctor_id=doctor_id)


def add(cast: Cast, start: str, *, confidential: bool = False, **details: Any) -> None:
    insert(cast, appointment(cast, start, **details) | {"reason": "a rash", "confidential": confidential})


def test_each_doctor_has_a_sheet_with_the_appointments_of_the_clinics_day(cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    cast.change(sa.update(models.Patient).where(models.Patient.id == alice).values(phone="+31201234567"))
    ella = models.Patient(name="Ella", managed_by_id=alice, birth_date=date(2019, 5, 3), created_at=cast.now)
    cast.patient_ids["ella"] = cast.add(ella)
    # In UTC the first is on Monday; the last is no longer on this day.
    add(cast, "2026-03-03 00:15", patient="ella")
    add(cast, "2026-03-03 10:00", patient="ella", confidential=True)
    add(cast, "2026-03-03 09:00", doctor="erin", status="confirmed")
    add(cast, "2026-03-03 11:00", doctor="erin", status="cancelled")
    add(cast, "2026-03-04 00:00", patient="dave")
    bob, erin = sheets(cast, cast.carol)
    assert (bob.doctor, bob.room, erin.doctor) == ("Dr. Bob Brown", "Room 3", "Dr. Erin Eze")
    ((day, lines),) = bob.days
    assert (day, [(line.patient_name, line.phone) for line in lines]) == (
        TUESDAY,
        # Her mother does not know of the second.
        [("Ella", "+31201234567"), ("Ella", "")],
    )
    assert lines[0].birth_date == date(2019, 5, 3)
    assert [line.reason for line in erin.days[0].lines] == ["a rash"]
    (week,) = sheets(cast, cast.bob, date(2026, 3, 8), doctor_id=cast.doctor_ids["bob"])
    assert [each.day.day for each in week.days] == [3, 4]


def test_the_desk_reads_reasons_unless_the_clinic_hides_them(sqlite_cast: Cast) -> None:
    add(sqlite_cast, "2026-03-03 09:00")
    desk = sqlite_cast.carol._replace(role="receptionist")
    assert sheets(sqlite_cast, desk)[0].days[0].lines[0].reason == "a rash"
    sqlite_cast.change(sa.update(models.ClinicSettings).values(desk_sees_reasons=False))
    assert sheets(sqlite_cast, desk)[0].days[0].lines[0].reason == ""
    assert sheets(sqlite_cast, sqlite_cast.bob)[0].days[0].lines[0].reason == "a rash"


def test_pages_lead_to_the_sheets_and_reading_them_is_logged(sqlite_cast: Cast) -> None:
    add(sqlite_cast, "2026-03-03 09:00")
    add(sqlite_cast, "2026-03-03 09:00", doctor="erin", patient="dave")
    with client_for(sqlite_cast.database) as client:
        log_in(client, "carol")
        read(client.get("/board/2026-03-03")).one("a", id="sheets", href="/board/2026-03-03/sheets")
        page = read(client.get("/board/2026-03-03/sheets"))
        assert [each.text for each in page.one("main").all("h2")] == ["Dr. Bob Brown", "Dr. Erin Eze"]
        page = read(client.get("/board/week/2026-W10/sheets?doctor=erin"))
        assert [each.text for each in page.one("main").all("h2")] == ["Dr. Erin Eze"]
        log_in(client, "bob")
        for path in ("/schedule/2026-03-03/sheet", "/schedule/week/2026-W10/sheet"):
            page = read(client.get(path))
            assert [each.text for each in page.one("main").all("h2")] == ["Dr. Bob Brown"], path
        assert "nothing to print" in read(client.get("/schedule/2026-03-05/sheet")).text
        assert client.get("/schedule/2026-02-30/sheet").status_code == 404
    with sqlite_cast.database.reading() as session:
        log = session.scalars(sa.select(models.AuditEvent).where(models.AuditEvent.action == "appointments_listed"))
        assert [len(each.details["appointments"]) for each in log][:2] == [2, 1]

"""A doctor who is running late: what the desk and the doctor say, and what patients read."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa

from tests.appointment_rows import put
from tests.cast import Cast, client_for, local, log_in
from tests.reading import read
from webapp import models
from webapp.doctors import lateness, service
from webapp.doctors.lateness import RunLate
from webapp.exceptions import NotFound

LATE = "/desk/late/bob"
MORNING = local("2026-03-03 09:20")
SENTENCE = "Dr. Bob Brown is running about 20 minutes late."


def minutes_on(cast: Cast, day: date) -> int:
    with cast.database.reading() as session:
        return lateness.late_by(service.get_doctor(session, "bob"), day)


def test_a_doctor_is_late_for_one_day(cast: Cast) -> None:
    cast.database.write(lateness.run_late, cast.fiona, "bob", RunLate(minutes=20), now=MORNING)
    assert [minutes_on(cast, date(2026, 3, day)) for day in (2, 3, 4)] == [0, 20, 0]
    cast.database.write(lateness.run_late, cast.bob, "bob", RunLate(minutes=35), now=MORNING)
    assert minutes_on(cast, date(2026, 3, 3)) == 35
    with pytest.raises(NotFound):
        cast.database.write(lateness.run_late, cast.erin, "bob", RunLate(minutes=10), now=MORNING)
    cast.database.write(lateness.run_late, cast.bob, "bob", RunLate(minutes=0), now=MORNING)
    assert minutes_on(cast, date(2026, 3, 3)) == 0
    actions = sa.select(models.AuditEvent.details).where(models.AuditEvent.action == "ran_late")
    with cast.database.reading() as session:
        assert [details["minutes"] for details in session.scalars(actions.order_by(models.AuditEvent.id))] == [
            20,
            35,
            0,
        ]


def test_the_desk_says_it_and_patients_of_the_day_read_it(sqlite_cast: Cast) -> None:
    cast = sqlite_cast
    number, tomorrow = put(cast, "2026-03-03 10:00"), put(cast, "2026-03-04 10:00")
    with cast.database.reading() as session:
        mine, later = (session.get_one(models.Appointment, each).reference for each in (number, tomorrow))
    with client_for(cast.database, now=MORNING) as client:
        log_in(client, "fiona")
        refused = client.post(LATE, data={"minutes": "481"})
        assert refused.status_code == 422
        form = read(refused).all("form", action=LATE)[-1]
        assert (form.one("input")["value"], form.one("p", id="minutes-error").text) == (
            "481",
            "Error: Enter a number of minutes from 0 to 480.",
        )
        assert client.post(LATE, data={"minutes": ""}).status_code == 422
        assert client.post(LATE, data={"minutes": "20"}).headers["location"] == "/board"
        board = read(client.get("/board"))
        assert SENTENCE in board.text
        assert board.one("section", id="column-bob").one("a", class_="late").text == "20 min late"
        assert not read(client.get("/board/2026-03-04")).all("a", class_="late")
    with client_for(cast.database, now=MORNING) as client:
        assert "20 min late" in read(log_in(client, "bob").get("/schedule")).text
    with client_for(cast.database, now=MORNING) as client:
        log_in(client, "alice")
        assert SENTENCE in read(client.get(f"/appointments/{mine}")).text
        assert SENTENCE not in read(client.get(f"/appointments/{later}")).text

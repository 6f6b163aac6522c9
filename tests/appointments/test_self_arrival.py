"""Patients who say that they are here after scanning the poster: when they may, and that a guess tells nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import SECRET_KEY, Cast, client_for, local, log_in
from tests.reading import read
from webapp import models
from webapp.appointments.booking import self_arrival
from webapp.appointments.exceptions import NoSuchAppointment, NotHereYet
from webapp.appointments.messages.recipients import LINK_PURPOSE
from webapp.clinic import poster
from webapp.clinic.service import get_clinic
from webapp.core.signing import sign
from webapp.exceptions import Forbidden

START = "2026-03-03 10:00"
ARRIVAL = local("2026-03-03 09:40")


def reference_of(cast: Cast, number: int) -> str:
    """The public reference of an appointment."""
    with cast.database.reading() as session:
        return session.get_one(models.Appointment, number).reference


def arrive(cast: Cast, reference: str, *, now: datetime = ARRIVAL, scanned: bool = True) -> None:
    """Alice says that she is here."""
    at = now if scanned else None
    cast.database.write(self_arrival.arrive, cast.alice, reference, scanned_at=at, now=now)


def status_of(cast: Cast, reference: str) -> tuple[str, datetime | None]:
    """The appointment's status, and when the patient came."""
    with cast.database.reading() as session:
        found = sa.select(models.Appointment).where(models.Appointment.reference == reference)
        row = session.scalars(found).one()
        return row.status, row.arrived_at


def test_a_patient_arrives_on_the_day_and_not_too_early(cast: Cast) -> None:
    number = put(cast, START)
    mine, theirs = reference_of(cast, number), reference_of(cast, put(cast, "2026-03-03 11:00", patient="dave"))
    for now, said in (
        (local("2026-03-02 10:00"), "This appointment is on Tuesday 3 March."),
        (local("2026-03-03 07:59"), "You’re early: you can say that you’re here from 08:00."),
        (local("2026-03-04 10:00"), "This appointment was on Tuesday 3 March."),
    ):
        with pytest.raises(NotHereYet, match=said):
            arrive(cast, mine, now=now)
    with pytest.raises(NotHereYet, match="Scan the poster"):
        arrive(cast, mine, scanned=False)
    with pytest.raises(NoSuchAppointment):
        arrive(cast, theirs)
    with pytest.raises(Forbidden):
        cast.database.write(self_arrival.arrive, cast.fiona, mine, scanned_at=ARRIVAL, now=ARRIVAL)
    for minutes in (0, 5):
        arrive(cast, mine, now=ARRIVAL + timedelta(minutes=minutes))
    assert status_of(cast, mine) == ("arrived", ARRIVAL)


@pytest.mark.parametrize(("status", "said"), [("cancelled", "is cancelled"), ("completed", "is over")])
def test_an_appointment_that_does_not_take_place_says_so(sqlite_cast: Cast, status: str, said: str) -> None:
    reference = reference_of(sqlite_cast, put(sqlite_cast, START, status=status))
    with pytest.raises(NotHereYet, match=said):
        arrive(sqlite_cast, reference)


def test_from_the_poster_to_the_waiting_room(sqlite_cast: Cast) -> None:
    cast = sqlite_cast
    first, second = (reference_of(cast, put(cast, f"2026-03-03 {at}")) for at in ("10:00", "10:30"))
    link = f"/visit/{sign([SECRET_KEY], LINK_PURPOSE, [first, 'alice@docket.example'])}"
    with client_for(cast.database, now=ARRIVAL) as client:
        log_in(client, "carol")
        assert "There is no poster yet." in read(client.get("/admin/clinic/poster")).text
        client.post("/admin/clinic/poster", data={"renew": "1"})
        assert "The poster is ready." in read(client.get("/admin/clinic/poster")).text
        code = read(client.get("/admin/clinic/poster")).one("svg", class_="poster-code")
        path = code.attributes["aria-label"].partition("/here/")[2]
    with client_for(cast.database, now=ARRIVAL) as client:
        assert "I’m here" not in read(client.get(link)).text
        assert client.post(f"{link}/here").status_code == 422
        old = client.get("/here/another-key")
        assert (old.status_code, read(old).h1) == (404, "This poster is no longer valid")
        # A scan of the old poster counts for nothing.
        assert client.post(f"{link}/here").status_code == 422
        assert client.get(f"/here/{path}").status_code == 200
        assert read(client.get(link)).one("form", action=f"{link}/here").one("button").text == "I’m here"
        assert client.post(f"{link}/here").headers["location"] == link
        assert read(client.get(link)).text.count("The front desk knows that you’re here.") == 1
        log_in(client, "alice")
        page = read(client.get(f"/appointments/{second}"))
        assert page.one("form", action=f"/appointments/{second}/here")
        # A new code makes scans of the old poster invalid.
        cast.database.write(poster.renew, cast.carol, now=ARRIVAL)
        assert client.post(f"/appointments/{second}/here").status_code == 422
    assert status_of(cast, first)[0] == "arrived"
    assert status_of(cast, second)[0] == "scheduled"


def test_a_scan_counts_for_half_an_hour(sqlite_cast: Cast) -> None:
    sqlite_cast.database.write(poster.renew, sqlite_cast.carol, now=ARRIVAL)
    with sqlite_cast.database.reading() as session:
        clinic = get_clinic(session)
    note = poster.seal_scan([SECRET_KEY], clinic, now=ARRIVAL)
    found = [
        poster.scanned_at([SECRET_KEY], clinic, each, now=ARRIVAL + timedelta(minutes=minutes))
        for each, minutes in ((note, 29), (note, 30), (note, -1), (note[:-2], 1), ("", 1))
    ]
    assert found == [ARRIVAL, None, None, None, None]


def test_guessing_does_not_tell_who_is_a_patient(sqlite_cast: Cast) -> None:
    """Answers are the same, whether such an appointment exists or not; `bench.guesses` measures the time."""
    cast = sqlite_cast
    cast.change(sa.update(models.ClinicSettings).values(poster_key="a-key"))
    real = reference_of(cast, put(cast, START))
    with client_for(cast.database, now=ARRIVAL) as client:
        client.get("/here/a-key")
        for guess in ("/appointments/{}", "/appointments/{}/here", "/visit/{}", "/visit/{}/here"):
            assert _answers(client, guess, real) == _answers(client, guess, "ZZZZ-ZZZZ")
        log_in(client, "dave")
        for guess in ("/appointments/{}", "/appointments/{}/here"):
            assert _answers(client, guess, real) == _answers(client, guess, "ZZZZ-ZZZZ")


def _answers(client: TestClient, guess: str, reference: str) -> tuple[int, str]:
    address = guess.format(reference)
    answer = client.post(address) if address.endswith("/here") else client.get(address)
    said = answer.text + answer.headers.get("location", "")
    return answer.status_code, said.replace(reference, "").replace(reference.lower(), "")

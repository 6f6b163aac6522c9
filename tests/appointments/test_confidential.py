"""A confidential appointment does not exist for the person who books for the patient, wherever they look."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, Cast, client_for, local, log_in
from tests.reading import read
from webapp import models
from webapp.appointments.booking import service
from webapp.appointments.calendars.feed import list_events
from webapp.appointments.messages import reminders
from webapp.appointments.schemas import Booking, Cancellation
from webapp.clinic.service import get_clinic

HERS = "zoe@docket.example"


@pytest.fixture
def child(cast: Cast) -> int:
    """Alice's daughter, with an address of her own and her mother's telephone number."""
    alice = cast.patient_ids["alice"]
    texts = {"phone": "+31612345678", "wants_sms": True}
    cast.change(sa.update(models.Patient).where(models.Patient.id == alice).values(texts))
    return cast.add(models.Patient(name="Zoe Adams", email=HERS, managed_by_id=alice, created_at=NOW, **texts))


def book(cast: Cast, child: int, start: str, *, confidential: bool) -> str:
    command = Booking(
        doctor="bob", visit_type_id=cast.short, starts_at=local(start), patient_id=child, confidential=confidential
    )
    return cast.database.write(service.book, cast.carol, command, now=NOW)


def recipients(cast: Cast) -> set[str]:
    with cast.database.reading() as session:
        return set(session.scalars(sa.select(models.OutboxMessage.recipient)))


def test_a_guardian_finds_it_nowhere(client: TestClient, cast: Cast, child: int) -> None:
    hidden = book(cast, child, "2026-03-10 09:00", confidential=True)
    seen = book(cast, child, "2026-03-11 09:00", confidential=False)
    log_in(client, "alice")
    listed = client.get("/appointments").text
    assert seen in listed
    assert hidden not in listed
    for path in ("", "/cancellation", "/reschedule", ".ics"):
        assert client.get(f"/appointments/{seen}{path}").status_code == 200
        assert client.get(f"/appointments/{hidden}{path}").status_code == 404
    copy = client.post("/account/data", data={"current": PASSWORD, "format": "json"}).text
    assert (seen in copy, hidden in copy) == (True, False)
    with cast.database.reading() as session:
        events = list_events(session, cast.alice, get_clinic(session), base_url="http://docket.test", now=NOW)
    assert len(events) == 1
    login = {"grant_type": "password", "username": "alice@docket.example", "password": PASSWORD}
    with client_for(cast.database) as program:
        token = program.post("/api/v1/auth/token", data=login).json()["access_token"]
        answer = program.get("/api/v1/appointments", headers={"authorization": f"Bearer {token}"})
    assert (seen in answer.text, hidden in answer.text) == (True, False)


def test_the_patient_and_staff_see_it(cast: Cast, child: int) -> None:
    hidden = book(cast, child, "2026-03-10 09:00", confidential=True)
    own_account = sa.update(models.Patient).where(models.Patient.id == child).values(user_id=cast.dave.user_id)
    cast.change(sa.update(models.Patient).where(models.Patient.id == cast.patient_ids["dave"]).values(user_id=None))
    cast.change(own_account)
    for name in ("dave", "bob", "carol"):
        with log_in(client_for(cast.database), name) as client:
            page = client.get(f"/appointments/{hidden}")
            assert page.status_code == 200
            assert ("Confidential" in read(page).text) == (name != "dave")


def test_no_message_reaches_an_address_of_the_guardian(cast: Cast, child: int) -> None:
    hidden = book(cast, child, "2026-03-09 09:00", confidential=True)
    assert recipients(cast) == {HERS}
    cast.database.write(reminders.enqueue_due, now=local("2026-03-08 10:00"))
    cast.database.write(service.cancel, cast.carol, hidden, Cancellation(), now=NOW)
    assert recipients(cast) == {HERS}
    # Without an address that is hers alone, nobody is told.
    cast.change(sa.update(models.Patient).where(models.Patient.id == child).values(email="alice@docket.example"))
    cast.change(sa.delete(models.OutboxMessage))
    book(cast, child, "2026-03-10 09:00", confidential=True)
    assert recipients(cast) == set()
    book(cast, child, "2026-03-11 09:00", confidential=False)
    assert recipients(cast) == {"alice@docket.example", "+31612345678"}


def test_only_staff_make_an_appointment_confidential(client: TestClient, cast: Cast, child: int) -> None:
    form = {"doctor": "bob", "visit_type": str(cast.short), "patient": str(child), "confidential": "y", "step": "book"}
    starts = {"starts_at": local("2026-03-10 09:00").strftime("%Y-%m-%dT%H:%M:%SZ")}
    log_in(client, "alice")
    assert client.post("/appointments", data={**form, **starts}).status_code == 303
    later = {"starts_at": local("2026-03-11 09:00").strftime("%Y-%m-%dT%H:%M:%SZ")}
    with log_in(client_for(cast.database), "carol") as staff:
        assert staff.post("/appointments", data={**form, **later}).status_code == 303

    def marked(session: Session) -> list[bool]:
        query = sa.select(models.Appointment.confidential).order_by(models.Appointment.starts_at)
        return list(session.scalars(query))

    with cast.database.reading() as session:
        assert marked(session) == [False, True]

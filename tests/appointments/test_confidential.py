"""A confidential appointment does not exist for the person who books for the patient, wherever they look."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.api_client import bearer
from tests.cast import NOW, PASSWORD, SECRET_KEY, Cast, client_for, local, log_in
from tests.reading import read
from webapp import models
from webapp.appointments import confidentiality
from webapp.appointments.booking import service
from webapp.appointments.calendars.feed import list_events
from webapp.appointments.messages import clinic_messages, reminders
from webapp.appointments.messages.recipients import LINK_PURPOSE
from webapp.appointments.schemas import Booking, Cancellation, ChangeConfidentiality
from webapp.clinic.service import get_clinic
from webapp.core.signing import sign
from webapp.scheduling.exceptions import PatientBusy, SlotTaken

HERS = "zoe@docket.example"


@pytest.fixture
def child(cast: Cast) -> int:
    """Alice's daughter, with her own address and her mother's telephone number."""
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
    cast.database.write(lambda session: own_account(session, cast, child))
    for name in ("dave", "bob", "carol"):
        with log_in(client_for(cast.database), name) as client:
            page = client.get(f"/appointments/{hidden}")
            assert page.status_code == 200
            assert "Confidential" in read(page).text


def test_no_message_reaches_an_address_of_the_guardian(cast: Cast, child: int) -> None:
    hidden = book(cast, child, "2026-03-09 09:00", confidential=True)
    assert recipients(cast) == {HERS}
    cast.database.write(reminders.enqueue_due, now=local("2026-03-08 10:00"))
    cast.database.write(service.cancel, cast.carol, hidden, Cancellation(), now=NOW)
    assert recipients(cast) == {HERS}
    # Without an address that is hers alone, no mail is sent.
    cast.change(sa.update(models.Patient).where(models.Patient.id == child).values(email="alice@docket.example"))
    cast.change(sa.delete(models.OutboxMessage))
    book(cast, child, "2026-03-10 09:00", confidential=True)
    assert recipients(cast) == set()
    book(cast, child, "2026-03-11 09:00", confidential=False)
    assert recipients(cast) == {"alice@docket.example", "+31612345678"}


def test_words_of_the_clinic_that_wait_do_not_reach_the_guardian_either(cast: Cast, child: int) -> None:
    reference = book(cast, child, "2026-03-10 09:00", confidential=False)
    night = local("2026-03-08 23:00")
    cast.change(sa.delete(models.OutboxMessage))
    with cast.database.reading() as session:
        number = session.scalars(sa.select(models.Appointment.id)).one()
    cast.database.write(clinic_messages.send, cast.carol, [number], "Come by the back door.", once="1", now=night)
    assert "+31612345678" in recipients(cast)
    command = ChangeConfidentiality(confidential=True)
    cast.database.write(confidentiality.set_confidential, cast.carol, reference, command, now=night)
    assert recipients(cast) == {HERS}


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


def test_staff_set_and_remove_it_later(client: TestClient, cast: Cast, child: int) -> None:
    reference = book(cast, child, "2026-03-10 09:00", confidential=False)
    sent = sa.update(models.OutboxMessage).where(models.OutboxMessage.recipient == "alice@docket.example")
    cast.change(sent.values(status="sent", finished_at=NOW))
    path = f"/appointments/{reference}"
    log_in(client, "alice")
    assert client.get(path).status_code == 200
    with log_in(client_for(cast.database), "carol") as staff:
        form = read(staff.get(path)).form(f"{path}/confidential")
        said = read(staff.post(f"{path}/confidential", data={**form, "confidential": "yes"}, follow_redirects=True))
        assert "Alice Adams doesn’t see this appointment any more. 1 message was sent to them before" in said.text
        assert client.get(path).status_code == 404
        # Messages that were waiting for Alice do not arrive any more; Zoe has her own.
        assert recipients(cast) == {"alice@docket.example", HERS}
        stale = staff.post(f"{path}/confidential", data={**form, "confidential": "no"})
        assert stale.status_code == 409
        form = read(staff.get(path)).form(f"{path}/confidential")
        staff.post(f"{path}/confidential", data={**form, "confidential": "no"})
    assert client.get(path).status_code == 200
    # The history that Alice reads does not mention it.
    assert "onfidential" not in client.get(path).text
    with cast.database.reading() as session:
        actions = sa.select(models.AuditEvent.action).order_by(models.AuditEvent.id)
        assert {"made_confidential", "shown_to_guardian"} <= set(session.scalars(actions))


def test_links_in_messages_to_the_guardian_end(cast: Cast, child: int) -> None:
    reference = book(cast, child, "2026-03-10 09:00", confidential=False)
    with cast.database.reading() as session:
        said = {each.recipient: each.values for each in session.scalars(sa.select(models.OutboxMessage))}
    tokens = {to: sign([SECRET_KEY], LINK_PURPOSE, values["visit"]["link"]) for to, values in said.items()}

    def opens() -> set[str]:
        with client_for(cast.database) as visitor:
            return {to for to, token in tokens.items() if visitor.get(f"/visit/{token}").status_code == 200}

    assert opens() == {"alice@docket.example", "+31612345678", HERS}
    hide = ChangeConfidentiality(confidential=True)
    cast.database.write(confidentiality.set_confidential, cast.bob, reference, hide, now=NOW)
    assert opens() == {HERS}


def test_through_the_api_only_staff_change_it(cast: Cast, child: int) -> None:
    cast.database.write(lambda session: own_account(session, cast, child))
    reference = book(cast, child, "2026-03-10 09:00", confidential=False)
    number = sa.select(models.Appointment.id).where(models.Appointment.reference == reference)
    with cast.database.reading() as session:
        path = f"/api/v1/appointments/{session.scalar(number)}"
    answers = {}
    for name in ("alice", "dave", "carol"):
        with client_for(cast.database) as program:
            answer = program.patch(path, json={"confidential": True}, headers=bearer(program, name))
            answers[name] = answer.status_code
    assert answers == {"alice": 403, "dave": 403, "carol": 200}
    assert answer.json()["confidential"] is True
    with client_for(cast.database) as program:
        assert program.get(path, headers=bearer(program, "alice")).status_code == 404


def test_patients_with_an_account_hide_what_they_book_for_themselves(cast: Cast, child: int) -> None:
    cast.database.write(lambda session: own_account(session, cast, child))
    with log_in(client_for(cast.database), "dave") as zoe:
        page = read(zoe.get(f"/book?doctor=bob&visit_type={cast.short}&starts_at=2026-03-10T08:00:00Z"))
        assert "Alice Adams books for you" in page.text
        sent = zoe.post("/appointments", data={**page.form("/appointments"), "confidential": "y"})
        path = sent.headers["location"]
        assert "Confidential" in read(zoe.get(path)).text
    with log_in(client_for(cast.database), "alice") as alice:
        assert alice.get(path).status_code == 404
        own = alice.get(f"/book?doctor=bob&visit_type={cast.short}&starts_at=2026-03-11T08:00:00Z")
        assert "Confidential" not in own.text


def test_a_guardian_who_wants_the_same_time_reads_nothing_about_it(cast: Cast, child: int) -> None:
    book(cast, child, "2026-03-10 09:00", confidential=True)
    command = Booking(doctor="erin", starts_at=local("2026-03-10 09:00"), patient_id=child)
    with pytest.raises(SlotTaken, match="not free any more"):
        cast.database.write(service.book, cast.alice, command, now=NOW)
    with log_in(client_for(cast.database), "alice") as alice:
        slot = f"doctor=erin&starts_at={command.starts_at:%Y-%m-%dT%H:%M:%SZ}&patient={child}"
        assert "another appointment" not in read(alice.get(f"/book?{slot}")).text
    # She gets messages about an appointment that she knows of.
    book(cast, child, "2026-03-11 09:00", confidential=False)
    later = command.model_copy(update={"starts_at": local("2026-03-11 09:00")})
    with pytest.raises(PatientBusy):
        cast.database.write(service.book, cast.alice, later, now=NOW)


def own_account(session: Session, cast: Cast, child: int) -> None:
    """Give Alice's daughter the account that Dave signs in with."""
    for number, account in ((cast.patient_ids["dave"], None), (child, cast.dave.user_id)):
        session.execute(sa.update(models.Patient).where(models.Patient.id == number).values(user_id=account))

"""Every way to become a patient is an event."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.cast import NOW, Cast, password_hash
from tests.recorded_events import record_events
from webapp.auth.exceptions import EmailTaken
from webapp.auth.schemas import Actor
from webapp.events.kinds import DoneBy, Event, PatientJoined
from webapp.models import Patient
from webapp.patients import dependants, records, service
from webapp.patients.exceptions import LikelyDuplicate
from webapp.patients.schemas import PatientDetails, Register, UpdateProfile
from webapp.staff.users import service as users
from webapp.staff.users.service import ChangeRole

ZOE = PatientDetails(name="Zoë Visser", phone="020 123 4567")


@pytest.fixture
def heard(sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The published events, in order."""
    return record_events(sqlite_cast.database, monkeypatch)


def by(actor: Actor) -> DoneBy:
    return DoneBy(actor.user_id, actor.role, actor.name)


def test_a_registration_is_an_action_of_the_patient(sqlite_cast: Cast, heard: list[Event]) -> None:
    command = Register(name="Finn Fox", email="finn@docket.example", password="a long sentence for tests")
    user_id = sqlite_cast.database.write(service.register, command, password_hash(), now=NOW)
    with sqlite_cast.database.reading() as session:
        number = session.scalars(sa.select(Patient.id).where(Patient.user_id == user_id)).one()
    assert heard == [PatientJoined(by=DoneBy(user_id, "patient", "Finn Fox"), patient_id=number)]
    with pytest.raises(EmailTaken):
        sqlite_cast.database.write(service.register, command, password_hash(), now=NOW)
    assert len(heard) == 1


def test_staff_add_a_patient(sqlite_cast: Cast, heard: list[Event]) -> None:
    cast, alice = sqlite_cast, sqlite_cast.patient_ids["alice"]
    number = cast.database.write(records.create_patient, cast.carol, ZOE, managed_by=alice, now=NOW)
    assert heard == [PatientJoined(by=by(cast.carol), patient_id=number, managed_by=alice)]
    with pytest.raises(LikelyDuplicate):
        cast.database.write(records.create_patient, cast.carol, ZOE, now=NOW)
    cast.database.write(records.change_patient, cast.carol, number, ZOE, seen="", now=NOW)
    assert len(heard) == 1


def test_a_patient_adds_a_person_to_book_for(sqlite_cast: Cast, heard: list[Event]) -> None:
    cast = sqlite_cast
    number = cast.database.write(dependants.add_person, cast.alice, UpdateProfile(name="Mia Adams"), now=NOW)
    assert heard == [PatientJoined(by=by(cast.alice), patient_id=number, managed_by=cast.patient_ids["alice"])]


def test_an_account_that_becomes_a_patients_gets_its_record_once(sqlite_cast: Cast, heard: list[Event]) -> None:
    cast = sqlite_cast
    for role in ("patient", "admin", "patient"):
        command = ChangeRole(role=role)
        cast.database.write(users.change_role, cast.carol, cast.bob.user_id, command, seen="", now=NOW)
    with cast.database.reading() as session:
        number = session.scalars(sa.select(Patient.id).where(Patient.user_id == cast.bob.user_id)).one()
    assert heard == [PatientJoined(by=by(cast.carol), patient_id=number)]

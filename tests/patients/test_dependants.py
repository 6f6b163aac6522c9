"""The people for whom a patient books: added, changed and removed only by that patient."""

from __future__ import annotations

import threading
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from tests.appointment_rows import appointment, insert
from tests.cast import NOW, Cast
from tests.processes import PATIENCE
from webapp.auth.schemas import Actor
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.exceptions import Invalid
from webapp.models import AuditEvent, Patient, PatientWord
from webapp.patients import dependants, records
from webapp.patients.exceptions import HasRecord, NoSuchPatient, RecordClosed, TooManyPeople
from webapp.patients.schemas import PatientDetails, UpdateProfile

ZOE = UpdateProfile(name="Zoë Adams", phone="+31201234561", birth_date=date(2019, 5, 4))


def add(cast: Cast, actor: Actor, command: UpdateProfile = ZOE) -> int:
    """Add a dependant as the pages do."""
    return cast.database.write(dependants.add_person, actor, command, now=NOW)


def words(cast: Cast, patient_id: int) -> set[str]:
    """The words by which a patient is found."""
    with cast.database.reading() as session:
        return set(session.scalars(sa.select(PatientWord.word).where(PatientWord.patient_id == patient_id)))


def test_a_patient_adds_and_changes_a_dependant_who_is_then_found(cast: Cast) -> None:
    zoe = add(cast, cast.alice)
    with cast.database.reading() as session:
        assert dependants.list_people(session, cast.alice) == [
            (zoe, "Zoë Adams", date(2019, 5, 4), "+31201234561", False, None)
        ]
        assert dependants.list_people(session, cast.dave) == dependants.list_people(session, cast.carol) == []
        seen = fingerprint(dependants.profile_of(dependants.get_person(session, cast.alice, zoe)))
    assert words(cast, zoe) == {"zoe", "adams", "#16543210213"}
    command = UpdateProfile(name="Zoë Zimmer", birth_date=date(2019, 5, 4))
    cast.database.write(dependants.change_person, cast.alice, zoe, command, seen=seen, now=NOW)
    assert words(cast, zoe) == {"zoe", "zimmer"}
    with pytest.raises(EditedMeanwhile) as caught:
        cast.database.write(dependants.change_person, cast.alice, zoe, ZOE, seen=seen, now=NOW)
    assert caught.value.saved == command
    with cast.database.reading() as session:
        events = session.execute(sa.select(AuditEvent.action, AuditEvent.actor_role).order_by(AuditEvent.id)).all()
    assert events == [("patient_created", "patient"), ("patient_changed", "patient")]


def test_the_clinics_details_stay_when_the_parent_changes_the_name(cast: Cast) -> None:
    zoe = add(cast, cast.alice)
    theirs = PatientDetails(name="Zoë Adams", email="zoe@docket.example")
    cast.database.write(records.change_patient, cast.carol, zoe, theirs, seen="", now=NOW)
    cast.database.write(dependants.change_person, cast.alice, zoe, ZOE, seen="", now=NOW)
    with cast.database.reading() as session:
        assert session.get_one(Patient, zoe).email == "zoe@docket.example"
    assert words(cast, zoe) == {"zoe", "adams", "#16543210213", "zoe@docket.example"}


def test_strangers_and_dependants_with_an_account_cannot_be_changed(cast: Cast) -> None:
    zoe = add(cast, cast.alice)
    alice, dave = cast.patient_ids["alice"], cast.patient_ids["dave"]
    cast.database.write(records.link_person, cast.carol, alice, dave, now=NOW)
    for actor, number in ((cast.dave, zoe), (cast.alice, dave), (cast.alice, alice), (cast.alice, 999_999)):
        with pytest.raises(NoSuchPatient), cast.database.reading() as session:
            dependants.get_person(session, actor, number)
        with pytest.raises(NoSuchPatient):
            cast.database.write(dependants.change_person, actor, number, ZOE, seen="", now=NOW)
        with pytest.raises(NoSuchPatient):
            cast.database.write(dependants.remove_person, actor, number, now=NOW)
    with pytest.raises(NoSuchPatient):
        add(cast, cast.carol)
    # A stranger does not learn that a record is closed.
    cast.change(sa.update(Patient).where(Patient.id == zoe).values(closed_at=NOW))
    with pytest.raises(NoSuchPatient):
        cast.database.write(dependants.remove_person, cast.dave, zoe, now=NOW)
    with pytest.raises(RecordClosed):
        cast.database.write(dependants.remove_person, cast.alice, zoe, now=NOW)


def test_a_date_of_birth_in_the_future_is_refused(cast: Cast) -> None:
    unborn = ZOE.model_copy(update={"birth_date": NOW.date() + timedelta(days=1)})
    with pytest.raises(Invalid):
        add(cast, cast.alice, unborn)
    zoe = add(cast, cast.alice)
    with pytest.raises(Invalid):
        cast.database.write(dependants.change_person, cast.alice, zoe, unborn, seen="", now=NOW)


def test_there_are_ten_at_most_also_when_two_are_added_concurrently(cast: Cast) -> None:
    people = [ZOE.model_copy(update={"name": f"Zoë {letter}"}) for letter in "ABCDEFGHIJKL"]
    for person in people[: dependants.MOST_PEOPLE - 1]:
        add(cast, cast.alice, person)
    start, outcomes = threading.Barrier(2), []

    def add_one(person: UpdateProfile) -> None:
        start.wait(PATIENCE)
        try:
            add(cast, cast.alice, person)
            outcomes.append("added")
        except TooManyPeople:
            outcomes.append("refused")

    threads = [threading.Thread(target=add_one, args=[person]) for person in people[-2:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(outcomes) == ["added", "refused"]
    with cast.database.reading() as session:
        assert len(dependants.list_people(session, cast.alice)) == dependants.MOST_PEOPLE
    # The limit applies to each patient separately.
    add(cast, cast.dave)


def test_a_dependant_without_appointments_is_removed_and_leaves_only_the_audit_rows(cast: Cast) -> None:
    zoe = add(cast, cast.alice)
    cast.database.write(dependants.remove_person, cast.alice, zoe, now=NOW)
    with cast.database.reading() as session:
        assert session.get(Patient, zoe) is None
        assert session.scalars(sa.select(AuditEvent.action)).all() == ["patient_created", "patient_removed"]
    assert words(cast, zoe) == set()
    assert add(cast, cast.dave) > zoe, "the audit rows would seem to be about the next person"


@pytest.mark.parametrize("status", ["scheduled", "cancelled", "completed"])
def test_a_dependant_with_appointments_of_any_status_is_not_removed(cast: Cast, status: str) -> None:
    zoe = add(cast, cast.alice)
    insert(cast, appointment(cast, "2026-03-03 09:00", status=status) | {"patient_id": zoe})
    with pytest.raises(HasRecord, match="Ask the clinic"):
        cast.database.write(dependants.remove_person, cast.alice, zoe, now=NOW)
    with cast.database.reading() as session:
        assert [person.id for person in dependants.list_people(session, cast.alice)] == [zoe]
        assert "patient_removed" not in session.scalars(sa.select(AuditEvent.action)).all()
    assert words(cast, zoe) == {"zoe", "adams", "#16543210213"}

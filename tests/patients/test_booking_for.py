"""For whom a user may book, and the lock that a booking takes on the patient."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.cast import NOW, Cast
from tests.processes import PATIENCE
from webapp.auth.schemas import Actor
from webapp.models import Patient, PatientWord
from webapp.patients import service
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.schemas import PatientChoice, Register, UpdateProfile


def child_of(cast: Cast, parent: str, name: str) -> int:
    """A person without an account, for whom one of the cast books."""
    return cast.add(Patient(managed_by_id=cast.patient_ids[parent], name=name, created_at=NOW))


def words_of(cast: Cast, patient_id: int) -> set[str]:
    """The words by which the patient is found."""
    with cast.database.reading() as session:
        return set(session.scalars(sa.select(PatientWord.word).where(PatientWord.patient_id == patient_id)))


def test_the_patient_comes_first_and_then_the_dependants_by_name(cast: Cast) -> None:
    zoe, aaron = child_of(cast, "alice", "Zoe Adams"), child_of(cast, "alice", "Aaron Adams")
    child_of(cast, "dave", "Dora Dunn")
    with cast.database.reading() as session:
        assert service.bookable_patients(session, cast.alice) == [
            PatientChoice(cast.patient_ids["alice"], "Alice Adams", is_self=True),
            PatientChoice(aaron, "Aaron Adams", is_self=False),
            PatientChoice(zoe, "Zoe Adams", is_self=False),
        ]
        assert service.bookable_patients(session, cast.bob) == []
        assert service.bookable_patients(session, cast.carol) == []


def test_patients_book_only_for_themselves_and_their_dependants(cast: Cast) -> None:
    zoe, dora = child_of(cast, "alice", "Zoe Adams"), child_of(cast, "dave", "Dora Dunn")

    def lock(actor: Actor, patient_id: int | None) -> int | None:
        return cast.database.write(service.lock_bookable_patient, actor, patient_id)

    own = cast.patient_ids["alice"]
    assert lock(cast.alice, None) == own
    assert lock(cast.alice, own) == own
    assert lock(cast.alice, zoe) == zoe
    for strangers in (cast.patient_ids["dave"], dora, 999_999):
        with pytest.raises(NoSuchPatient):
            lock(cast.alice, strangers)
    for staff in (cast.bob, cast.carol):
        assert lock(staff, None) is None
        assert lock(staff, dora) == dora
        with pytest.raises(NoSuchPatient):
            lock(staff, 999_999)


def test_the_lock_waits_and_then_looks_again(cast: Cast) -> None:
    """When a child is unlinked while a booking for it waits, the booking is refused."""
    zoe = child_of(cast, "alice", "Zoe Adams")
    unlinked, go_on = threading.Event(), threading.Event()
    outcome: list[object] = []

    def unlink(session: Session) -> None:
        session.execute(sa.update(Patient).where(Patient.id == zoe).values(managed_by_id=None))
        unlinked.set()
        go_on.wait(PATIENCE)

    def book() -> None:
        try:
            outcome.append(cast.database.write(service.lock_bookable_patient, cast.alice, zoe))
        except NoSuchPatient as refusal:
            outcome.append(refusal.code)

    first = threading.Thread(target=cast.database.write, args=(unlink,))
    first.start()
    second = threading.Thread(target=book)
    try:
        assert unlinked.wait(PATIENCE)
        second.start()
        second.join(0.3)
        assert outcome == [], "The second went on without the lock."
    finally:
        go_on.set()
    for thread in (first, second):
        thread.join(PATIENCE)
    assert outcome == ["not_found"]


def test_a_registered_patient_is_found_by_name_address_and_telephone(cast: Cast) -> None:
    command = Register(name="Zoë de Vries-Ørn", email="Zoe@docket.example", password="unused", phone="+31201234512")
    user_id = cast.database.write(service.register, command, "a hash", now=NOW)
    with cast.database.reading() as session:
        patient_id = session.scalars(sa.select(Patient.id).where(Patient.user_id == user_id)).one()
    assert words_of(cast, patient_id) == {"zoe", "de", "vries", "orn", "zoe@docket.example", "#21543210213"}


def test_a_changed_profile_is_found_by_its_new_words_alone(cast: Cast) -> None:
    cast.database.write(
        service.update_profile, cast.alice, UpdateProfile(name="Alice Zimmer", phone="+31201234599"), now=NOW
    )
    assert words_of(cast, cast.patient_ids["alice"]) == {"alice", "zimmer", "alice@docket.example", "#99543210213"}
    before = words_of(cast, cast.patient_ids["dave"])
    # Staff have no patient record, and no words.
    cast.database.write(service.update_profile, cast.bob, UpdateProfile(name="Dr. Bob Zimmer"), now=NOW)
    assert words_of(cast, cast.patient_ids["dave"]) == before

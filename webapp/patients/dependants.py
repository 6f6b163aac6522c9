"""The people a patient books for, such as a child or a parent, as that patient manages them."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.core.optimistic_lock import require_unchanged
from webapp.events.kinds import PatientJoined
from webapp.events.publishing import publish
from webapp.patients.addresses import announce_changes
from webapp.patients.duplicates import note_duplicates
from webapp.patients.exceptions import HasRecord, NoSuchPatient, TooManyPeople
from webapp.patients.guardianship import require_known_birth_date, require_same_birth_date
from webapp.patients.message_preferences import take_over_message_preferences
from webapp.patients.models import Patient, link_is_active
from webapp.patients.records import PERSON_COLUMNS, add_patient, contact_of, lock_details, write_details
from webapp.patients.schemas import PatientDetails, Person, UpdateProfile
from webapp.patients.service import checked, find_own_patient, lock_own_patient

MOST_PEOPLE = 10


def list_people(session: Session, actor: Actor) -> list[Person]:
    """The people whom the actor books for, by name."""
    own = find_own_patient(session, actor)
    if own is None:
        return []
    query = sa.select(*PERSON_COLUMNS).where(Patient.managed_by_id == own, link_is_active())
    return [Person(*row) for row in session.execute(query.order_by(Patient.sort_name, Patient.id))]


def get_person(session: Session, actor: Actor, patient_id: int) -> Person:
    """A person whom the actor books for and whose data the actor manages.

    Raises:
        NoSuchPatient: the actor does not book for them, or they have an account and manage their own data.
    """
    found = next((person for person in list_people(session, actor) if person.id == patient_id), None)
    if found is None or found.has_account:
        raise NoSuchPatient
    return found


def add_person(session: Session, actor: Actor, command: UpdateProfile, *, now: datetime) -> int:
    """Add a person, without an account, for whom the actor will book; return the id.

    Adding the same person twice has the same effect as once: the form was sent twice.

    Raises:
        Invalid: the birth date or the phone is not possible. TooManyPeople. NoSuchPatient: the actor is no patient.
    """
    command = checked(session, command, now=now)
    require_known_birth_date(session, command.birth_date)
    # Of two forms that are sent at the same moment, the second counts the first.
    own = lock_own_patient(session, actor)
    if own is None:
        raise NoSuchPatient
    people = list_people(session, actor)
    for person in people:
        if profile_of(person) == command:
            return person.id
    if len(people) >= MOST_PEOPLE:
        raise TooManyPeople(most=MOST_PEOPLE)
    details = PatientDetails(name=command.name, birth_date=command.birth_date, phone=command.phone)
    patient_id = add_patient(session, details, managed_by=own, now=now)
    take_over_message_preferences(session, own, patient_id)
    note_duplicates(session, patient_id, now=now)
    _record(session, actor, "patient_created", patient_id, now=now)
    publish(session, PatientJoined(by=actor.done_by, patient_id=patient_id, managed_by=own), now=now)
    return patient_id


def change_person(
    session: Session, actor: Actor, patient_id: int, command: UpdateProfile, *, seen: str, now: datetime
) -> None:
    """Change the data of a person whom the actor books for.

    Raises:
        NoSuchPatient, Invalid. EditedMeanwhile: the clinic, or another browser, saved first.
    """
    saved = _lock_person(session, actor, patient_id)
    command = checked(session, command, saved=saved.phone, now=now)
    require_unchanged(profile_of(saved), seen, wanted=command)
    require_same_birth_date(session, patient_id, command.birth_date)
    details = PatientDetails.model_construct(**command.model_dump(), email=saved.email)
    write_details(session, patient_id, details)
    announce_changes(session, actor.done_by, patient_id, contact_of(saved), contact_of(details), now=now)
    note_duplicates(session, patient_id, now=now)
    _record(session, actor, "patient_changed", patient_id, now=now)


def remove_person(session: Session, actor: Actor, patient_id: int, *, now: datetime) -> None:
    """Remove a person whom the actor books for, as long as they have no appointments.

    Raises:
        NoSuchPatient: the actor does not book for them, or they have an account. HasRecord: they have appointments.
    """
    _lock_person(session, actor, patient_id)
    try:
        # Appointments belong to a room above, so the database's foreign keys check for them.
        session.execute(sa.delete(Patient).where(Patient.id == patient_id))
    except IntegrityError as error:
        raise HasRecord from error
    _record(session, actor, "patient_removed", patient_id, now=now)


def profile_of(saved: PatientDetails | Person) -> UpdateProfile:
    """The part of a person's data that the patient who books for them may change."""
    return UpdateProfile.model_construct(name=saved.name, phone=saved.phone, birth_date=saved.birth_date)


def _lock_person(session: Session, actor: Actor, patient_id: int) -> PatientDetails:
    # Also before the lock: a stranger's record is not locked, and no error tells its state.
    get_person(session, actor, patient_id)
    saved = lock_details(session, patient_id)
    get_person(session, actor, patient_id)
    return saved


def _record(session: Session, actor: Actor, action: str, patient_id: int, *, now: datetime) -> None:
    audit.record_by(session, actor, action, subject=("patient", patient_id), now=now)

"""Patients' records as staff keep them: with or without an account, and who books for whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.audit import service as audit
from webapp.auth import roles
from webapp.auth.addresses import service as addresses
from webapp.auth.addresses.service import AccountAddress
from webapp.auth.exceptions import NoAddress
from webapp.auth.models import User
from webapp.auth.schemas import Actor, Role
from webapp.clinic.service import get_clinic
from webapp.core.names import sort_key
from webapp.core.optimistic_lock import require_unchanged
from webapp.events.kinds import PatientJoined
from webapp.events.publishing import publish
from webapp.exceptions import Conflict, Invalid
from webapp.i18n import gettext as _
from webapp.patients import notes
from webapp.patients.addresses import announce_changes
from webapp.patients.duplicates import likely_duplicates, note_duplicates, settle_pair
from webapp.patients.exceptions import LikelyDuplicate, ManagedAlready, NoSuchPatient, RecordClosed
from webapp.patients.guardianship import renew_ends
from webapp.patients.models import NO_LINK, Patient, link_is_active
from webapp.patients.names import name_shown
from webapp.patients.schemas import Account, Contact, PatientDetails, PatientNotes, PatientRecord, Person, RecordDetails
from webapp.patients.search_index import keep_words
from webapp.patients.service import checked

PERSON_COLUMNS = (
    Patient.id,
    Patient.name,
    Patient.birth_date,
    Patient.phone,
    Patient.user_id.is_not(None),
    Patient.managed_until,
)


def get_record(session: Session, patient_id: int) -> PatientRecord:
    """One patient as staff see them.

    Raises:
        NoSuchPatient: the patient does not exist.
    """
    manager = aliased(Patient)
    query: Any = (
        sa.select(Patient, User, manager)
        .outerjoin(User, User.id == Patient.user_id)
        .outerjoin(manager, sa.and_(manager.id == Patient.managed_by_id, link_is_active()))
        .where(Patient.id == patient_id)
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise NoSuchPatient
    patient, user, by = row
    people = (
        sa.select(*PERSON_COLUMNS)
        .where(Patient.managed_by_id == patient_id, link_is_active())
        .order_by(Patient.sort_name, Patient.id)
    )
    return PatientRecord(
        id=patient.id,
        name=name_shown(patient.name),
        birth_date=patient.birth_date,
        phone=patient.phone,
        email=patient.email,
        created_at=patient.created_at,
        account=_account(user) if user is not None else None,
        manager=Person(by.id, by.name, by.birth_date, by.phone, by.user_id is not None) if by is not None else None,
        people=[Person(*person) for person in session.execute(people)],
        closed_at=patient.closed_at,
        erase_on=patient.erase_on,
        alert=patient.alert,
        desk_note=patient.desk_note,
    )


def _account(user: User) -> Account:
    return Account(
        user.id, user.email, user.active, cast(Role, user.role), bool(user.email_confirmed_at), user.new_email
    )


def note_reading(session: Session, actor: Actor, patient_id: int, *, now: datetime) -> None:
    """Log that a member of staff opened a patient's record."""
    _record(session, actor, "patient_read", patient_id, now=now)


def note_listing(
    session: Session, actor: Actor, patient_ids: Sequence[int], *, searched: bool = True, now: datetime
) -> None:
    """Log which patients a member of staff saw in a list or search, without the search text, which may be a person's
    name.
    """
    action = "patients_searched" if searched else "patients_listed"
    audit.record_list_read(session, actor, action, "patients", patient_ids, now=now)


def create_patient(
    session: Session,
    actor: Actor,
    details: PatientDetails,
    *,
    managed_by: int | None = None,
    anyway: bool = False,
    now: datetime,
) -> int:
    """Add a patient without an account and return the id; `managed_by` is the patient who books for them.

    Raises:
        Invalid: the birth date or the phone number is not possible. NoSuchPatient: no patient has the id `managed_by`.
        LikelyDuplicate: the patient may have a record already, and staff did not say `anyway`.
    """
    details = checked(session, details, now=now)
    # Of two clicks at the same instant, the second finds the patient whom the first has added.
    session.execute(sa.select(User.id).where(User.id == actor.user_id).with_for_update(key_share=True))
    if managed_by is not None:
        lock_details(session, managed_by)
    if not anyway and (found := likely_duplicates(session, details)):
        raise LikelyDuplicate(found)
    patient_id = add_patient(session, details, managed_by=managed_by, now=now)
    note_duplicates(session, patient_id, now=now)
    _record(session, actor, "patient_created", patient_id, now=now, details={"managed_by": managed_by})
    publish(session, PatientJoined(by=actor.done_by, patient_id=patient_id, managed_by=managed_by), now=now)
    return patient_id


def find_just_added(session: Session, actor: Actor, details: PatientDetails, *, now: datetime) -> int | None:
    """The patient whom the actor added with the same details a moment ago: then the form was sent twice."""
    try:
        wanted = checked(session, details, now=now)
    except Invalid:
        # Details that are refused were never saved.
        return None
    added = (
        sa.select(Patient.id, Patient.name, Patient.birth_date, Patient.phone, Patient.email)
        .where(
            Patient.id.in_(audit.done_a_moment_ago(actor, "patient_created", now=now)),
            Patient.closed_at.is_(None),
        )
        .order_by(Patient.id)
    )
    found = (row.id for row in session.execute(added) if saved_details(*row[1:]) == wanted)
    return next(found, None)


def change_patient(
    session: Session, actor: Actor, patient_id: int, details: PatientDetails, *, seen: str, now: datetime
) -> None:
    """Change a patient's data. `seen` is the fingerprint of the state that the form showed.

    The e-mail address of a patient with an account is the account's: see `addresses.correct`.

    Raises:
        NoSuchPatient. Invalid: the birth date or the phone number is not possible.
        EditedMeanwhile: another user saved first. NoAddress, StaffAddress, AddressTaken: the account cannot have this
        address.
    """
    account = _lock_account_of(session, patient_id)
    saved = lock_details(session, patient_id)
    details = checked(session, details, saved=saved.phone, now=now)
    require_unchanged(saved, seen, wanted=details)
    _change(session, actor, patient_id, account, saved, details, now=now)


def change_record(
    session: Session, actor: Actor, patient_id: int, record: RecordDetails, *, seen: str, now: datetime
) -> None:
    """Change a patient's data together with the notes of staff about them.

    Raises:
        See `change_patient` and `notes.write_notes`.
    """
    account = _lock_account_of(session, patient_id)
    details, known = lock_details(session, patient_id), notes.get_notes(session, patient_id)
    saved = saved_record(details, known)
    record = record.model_copy(update=dict(checked(session, record, saved=saved.phone, now=now)))
    require_unchanged(saved, seen, wanted=record)
    if any(getattr(details, name) != getattr(record, name) for name in PatientDetails.model_fields):
        _change(session, actor, patient_id, account, details, record, now=now)
    wanted = PatientNotes(alert=record.alert, desk_note=record.desk_note)
    if wanted != known:
        notes.write_notes(session, actor, patient_id, wanted, seen="", now=now)


def _change(
    session: Session,
    actor: Actor,
    patient_id: int,
    account: AccountAddress | None,
    saved: PatientDetails,
    details: PatientDetails,
    *,
    now: datetime,
) -> None:
    if account is not None:
        _correct_address(session, actor, account, details.email, now=now)
    write_details(session, patient_id, details)
    announce_changes(
        session, actor.done_by, patient_id, contact_of(saved, account), contact_of(details, account), now=now
    )
    note_duplicates(session, patient_id, now=now)
    changed = [name for name in PatientDetails.model_fields if getattr(saved, name) != getattr(details, name)]
    _record(session, actor, "patient_changed", patient_id, now=now, details={"changed": changed})


def _lock_account_of(session: Session, patient_id: int) -> AccountAddress | None:
    """Lock the account of a patient, if there is one: accounts are locked before patients."""
    user_id = session.scalar(sa.select(Patient.user_id).where(Patient.id == patient_id))
    return addresses.lock_address(session, user_id) if user_id is not None else None


def _correct_address(
    session: Session, actor: Actor, account: AccountAddress, email: str | None, *, now: datetime
) -> None:
    if not email:
        raise NoAddress
    if email != account.email:
        addresses.correct(session, actor, account, email, get_clinic(session).letterhead, now=now)


def contact_of(details: PatientDetails, account: AccountAddress | None = None) -> Contact:
    """The contact details in these data; the address of an account is left out, because it is not part of them."""
    return Contact("" if account is not None else details.email or "", details.phone)


def tell_apart(session: Session, actor: Actor, patient_id: int, other_id: int, *, now: datetime) -> None:
    """Store that two records, which were noted as a pair, are of two people.

    Raises:
        NoSuchPatient: the pair was not noted, or one of the records is gone.
    """
    settle_pair(session, patient_id, other_id, now=now)
    _record(session, actor, "patients_told_apart", patient_id, now=now, details={"record": other_id})


def link_person(session: Session, actor: Actor, manager_id: int, patient_id: int, *, now: datetime) -> None:
    """Let one patient book for another existing patient, and see their appointments.

    Raises:
        NoSuchPatient: one of them does not exist. Invalid: both are the same.
        ManagedAlready: another patient books for that person. Conflict: the two would book for each other.
    """
    if manager_id == patient_id:
        raise Invalid(_("Patients can always book for themselves. Choose another person."))
    # A link that has ended does not count, even before the worker has removed it.
    manager = sa.case((link_is_active(), Patient.managed_by_id)).label("managed_by_id")
    both = sa.select(Patient.id, manager).where(Patient.id.in_((manager_id, patient_id)), Patient.closed_at.is_(None))
    locked = both.order_by(Patient.id).with_for_update(key_share=True)
    managed_by = {row.id: row.managed_by_id for row in session.execute(locked)}
    if len(managed_by) < 2:
        raise NoSuchPatient
    present = managed_by[patient_id]
    if present is not None and present != manager_id:
        raise ManagedAlready(name=get_record(session, present).name)
    if managed_by[manager_id] == patient_id:
        raise Conflict(_("That person already books for this patient. Remove that link first."))
    if present is None:
        link = {"managed_by_id": manager_id, "managed_since": now, "managed_until": None, "managed_told_at": None}
        session.execute(sa.update(Patient).where(Patient.id == patient_id).values(link))
        renew_ends(session, [patient_id])
    _record(session, actor, "patient_linked", patient_id, now=now, details={"managed_by": manager_id})


def unlink_person(session: Session, actor: Actor, manager_id: int, patient_id: int, *, now: datetime) -> None:
    """End the link of a guardian to a patient. Both patients and their appointments stay.

    Raises:
        NoSuchPatient: the one does not book for the other.
    """
    unlinked = session.execute(
        sa.update(Patient)
        .where(Patient.id == patient_id, Patient.managed_by_id == manager_id)
        .values(NO_LINK)
        .returning(Patient.id)
    )
    if unlinked.one_or_none() is None:
        raise NoSuchPatient
    _record(session, actor, "patient_unlinked", patient_id, now=now, details={"managed_by": manager_id})


def set_account_active(session: Session, actor: Actor, patient_id: int, *, active: bool, now: datetime) -> None:
    """Disable a patient's account, which ends all its sessions, or enable it again.

    Raises:
        NoSuchPatient: the patient does not exist. Conflict: they have no account. LastAdmin: it is the only admin's.
    """
    account = get_record(session, patient_id).account
    if account is None:
        raise Conflict(_("This patient has no account."))
    change = roles.enable_account if active else roles.disable_account
    change(session, actor, account.user_id, now=now)


# ----------------------------------------------------------------------- shared with the patients' own pages


def add_patient(session: Session, details: PatientDetails, *, managed_by: int | None, now: datetime) -> int:
    """Insert a patient without an account, and the words to find them by; returns the id."""
    email = details.email or ""
    patient = Patient(
        managed_by_id=managed_by,
        managed_since=now if managed_by is not None else None,
        name=details.name,
        birth_date=details.birth_date,
        phone=details.phone,
        email=email,
        created_at=now,
    )
    session.add(patient)
    session.flush()
    renew_ends(session, [patient.id])
    keep_words(session, patient.id, name=details.name, email=email, phone=details.phone)
    return patient.id


def lock_details(session: Session, patient_id: int) -> PatientDetails:
    """Lock a patient and read their data.

    Raises:
        NoSuchPatient: the patient does not exist. RecordClosed: the record is locked until it is erased.
    """
    query = sa.select(Patient.name, Patient.birth_date, Patient.phone, Patient.email, Patient.closed_at)
    row = session.execute(query.where(Patient.id == patient_id).with_for_update(key_share=True)).one_or_none()
    if row is None:
        raise NoSuchPatient
    if row.closed_at is not None:
        raise RecordClosed
    return saved_details(row.name, row.birth_date, row.phone, row.email)


def saved_details(name: str, birth_date: date | None, phone: str, email: str) -> PatientDetails:
    """A patient's data from the database. It is not validated again, since older rules may have accepted it."""
    return PatientDetails.model_construct(name=name, birth_date=birth_date, phone=phone, email=email or None)


def saved_record(details: PatientDetails, known: PatientNotes) -> RecordDetails:
    """A patient's data as `saved_details` reads it, with the notes of staff about the patient."""
    return RecordDetails.model_construct(**dict(details), **dict(known))


def write_details(session: Session, patient_id: int, details: PatientDetails) -> None:
    """Write a patient's data, the name in their account as well, and the words to find them by."""
    email = details.email or ""
    user_id = session.scalar(
        sa.update(Patient)
        .where(Patient.id == patient_id)
        .values(
            name=details.name,
            sort_name=sort_key(details.name),
            birth_date=details.birth_date,
            phone=details.phone,
            email=email,
        )
        .returning(Patient.user_id)
    )
    if user_id is not None:
        write_account_name(session, user_id, details.name)
    renew_ends(session, [patient_id])
    keep_words(session, patient_id, name=details.name, email=email, phone=details.phone)


def write_account_name(session: Session, user_id: int, name: str) -> None:
    """Write the name on a patient's record into their account. Members of staff choose their own name there."""
    session.execute(sa.update(User).where(User.id == user_id, User.role == "patient").values(name=name))


def _record(
    session: Session,
    actor: Actor,
    action: str,
    patient_id: int,
    *,
    now: datetime,
    details: dict[str, Any] | None = None,
) -> None:
    """Write a row about a patient's record to the audit log."""
    audit.record_by(
        session,
        actor,
        action,
        subject=("patient", patient_id),
        now=now,
        details={name: value for name, value in (details or {}).items() if value is not None},
    )

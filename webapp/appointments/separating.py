"""Separates two records that were joined by mistake, as long as Docket keeps the earlier state of both.

Everything that was moved goes back, unless it has been given to another record since. Bookings and texts from after the
joining stay with the record that stayed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.exceptions import NoSuchJoin
from webapp.appointments.models import WalkIn
from webapp.audit import service as audit
from webapp.auth.models import User
from webapp.auth.schemas import Actor
from webapp.core.names import sort_key
from webapp.notifications import outbox as notifications
from webapp.patients import duplicates
from webapp.patients.guardianship import renew_ends
from webapp.patients.models import NO_LINK, JoinedRecord, Patient
from webapp.patients.records import write_account_name
from webapp.patients.schemas import JoinSnapshot, RecordSnapshot
from webapp.patients.search_index import keep_words
from webapp.scheduling.models import Appointment

# How long two records can be separated again.
REVERSIBLE = timedelta(days=30)
# These columns get their earlier values back, unless they were changed after the records were joined.
RETURNED = ("name", "birth_date", "phone", "email", "wants_email", "wants_sms", "alert", "desk_note", "created_at")


class Join(NamedTuple):
    """Two records that were joined. `until` is how long they can be separated again; `name` was on the other record."""

    id: int
    stays_id: int
    gone_id: int
    joined_at: datetime
    kept: JoinSnapshot

    @property
    def until(self) -> datetime:
        """When it becomes too late to separate them."""
        return self.joined_at + REVERSIBLE

    @property
    def name(self) -> str:
        """The name on the record that is gone."""
        return self.kept.gone.name


def list_joins(session: Session, patient_id: int, *, now: datetime) -> list[Join]:
    """The records that were joined to this one and can be separated from it, the newest first."""
    query = sa.select(JoinedRecord).where(
        JoinedRecord.stays_id == patient_id, JoinedRecord.joined_at > now - REVERSIBLE
    )
    return [_join(row) for row in session.scalars(query.order_by(JoinedRecord.id.desc()))]


def get_join(session: Session, patient_id: int, join_id: int, *, now: datetime) -> Join:
    """One join of a patient's records.

    Raises:
        NoSuchJoin: it does not exist, was undone, or is too long ago.
    """
    found = next((join for join in list_joins(session, patient_id, now=now) if join.id == join_id), None)
    if found is None:
        raise NoSuchJoin
    return found


def separate_records(session: Session, actor: Actor, patient_id: int, join_id: int, *, now: datetime) -> int:
    """Separate two records again; returns the id of the one that was deleted.

    Raises:
        NoSuchJoin: see `get_join`; or the record is locked until it is erased.
    """
    stays = _lock(session, patient_id)
    # Of two requests at the same moment, the second finds nothing.
    join = get_join(session, patient_id, join_id, now=now)
    session.execute(sa.delete(JoinedRecord).where(JoinedRecord.id == join_id))
    kept, gone_id = join.kept, join.gone_id
    gives_account = kept.account is not None and stays.user_id == kept.account
    _add(session, gone_id, kept.gone)
    values = _returned(stays, kept, gives_account=gives_account)
    _update(session, sa.update(Patient).where(Patient.id == patient_id).values(values))
    if gives_account:
        _give_account(session, stays.user_id, gone_id, kept)
    _move_back(session, patient_id, gone_id, kept)
    if stays.managed_by_id == kept.after.managed_by_id != kept.before.managed_by_id:
        _update(session, sa.update(Patient).where(Patient.id == patient_id).values(NO_LINK))
        _link_again(session, patient_id, kept.before)
    _link_again(session, gone_id, kept.gone)
    for number in (patient_id, gone_id):
        row = session.execute(sa.select(Patient.name, Patient.email, Patient.phone).where(Patient.id == number)).one()
        keep_words(session, number, name=row.name, email=row.email, phone=row.phone)
    renew_ends(session, [patient_id, gone_id, *kept.people])
    duplicates.note_pair(session, patient_id, gone_id, now=now)
    duplicates.settle_pair(session, patient_id, gone_id, now=now)
    for number, other in ((patient_id, gone_id), (gone_id, patient_id)):
        audit.record_by(
            session, actor, "patients_parted", subject=("patient", number), now=now, details={"record": other}
        )
    return gone_id


def _join(row: JoinedRecord) -> Join:
    return Join(row.id, row.stays_id, row.gone_id, row.joined_at, JoinSnapshot.model_validate(row.kept))


def _lock(session: Session, patient_id: int) -> Any:
    """Lock the record and its account, which comes first everywhere, and read it."""
    owner = sa.select(Patient.user_id).where(Patient.id == patient_id)
    session.execute(sa.select(User.id).where(User.id.in_(owner)).with_for_update(key_share=True))
    columns = [getattr(Patient, name) for name in ("user_id", *RETURNED, *NO_LINK)]
    query = sa.select(*columns).where(Patient.id == patient_id, Patient.closed_at.is_(None)).with_for_update()
    row = session.execute(query).one_or_none()
    if row is None:
        raise NoSuchJoin
    return row


def _add(session: Session, gone_id: int, gone: RecordSnapshot) -> None:
    """Create the other record again, without its account and its link."""
    values: dict[str, Any] = {name: getattr(gone, name) for name in RETURNED}
    session.execute(sa.insert(Patient).values({**values, "id": gone_id, "sort_name": sort_key(gone.name)}))


def _returned(stays: Any, kept: JoinSnapshot, *, gives_account: bool) -> dict[str, Any]:
    """The values that the record that stayed gets back."""
    values = {
        name: getattr(kept.before, name) for name in RETURNED if getattr(stays, name) == getattr(kept.after, name)
    }
    if gives_account:
        # The address belongs to the account, which leaves the record.
        values |= {"user_id": None, "email": kept.before.email}
    return {**values, "sort_name": sort_key(values.get("name", stays.name))}


def _give_account(session: Session, user_id: int, gone_id: int, kept: JoinSnapshot) -> None:
    user = session.execute(sa.select(User.email, User.name).where(User.id == user_id)).one()
    if user.name == kept.after.name:
        write_account_name(session, user_id, kept.gone.name)
    _update(session, sa.update(Patient).where(Patient.id == gone_id).values(user_id=user_id, email=user.email))


def _move_back(session: Session, stays_id: int, gone_id: int, kept: JoinSnapshot) -> None:
    mine = Appointment.patient_id == stays_id, Appointment.id.in_(kept.appointments)
    _update(session, sa.update(Appointment).where(*mine).values(patient_id=gone_id))
    notifications.change_subject(session, "patient", stays_id, gone_id, only=kept.messages)
    # A walk-in who was taken in goes with the appointment, which may have been booked since.
    theirs = sa.select(Appointment.id).where(Appointment.patient_id == gone_id)
    own = sa.or_(WalkIn.appointment_id.is_(None), WalkIn.appointment_id.in_(theirs))
    waited = WalkIn.patient_id == stays_id, WalkIn.id.in_(kept.walk_ins), own
    _update(session, sa.update(WalkIn).where(*waited).values(patient_id=gone_id))
    people = Patient.managed_by_id == stays_id, Patient.id.in_(kept.people)
    _update(session, sa.update(Patient).where(*people).values(managed_by_id=gone_id))


def _link_again(session: Session, person_id: int, record: RecordSnapshot) -> None:
    """Let the person who booked for this one do so again, unless they are gone or this one books for them."""
    theirs = sa.select(Patient.id).where(
        Patient.id == record.managed_by_id,
        Patient.closed_at.is_(None),
        Patient.managed_by_id.is_distinct_from(person_id),
    )
    if session.scalar(theirs) is not None:
        link = {name: getattr(record, name) for name in NO_LINK}
        _update(session, sa.update(Patient).where(Patient.id == person_id).values(link))


def _update(session: Session, statement: sa.Update) -> None:
    session.execute(statement.execution_options(synchronize_session=False))

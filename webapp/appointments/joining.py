"""Joining two records of one person into one, with everything that belongs to them.

The record that stays is the one without an account: the clinic made it first, and its history is longer. The account,
its appointments, the people it books for, and its messages move to it; then the other record is deleted. The database's
guard decides whether that is possible: no patient can have two appointments at one time.

An account joins a record by itself only if the person has proved two things at once: that the mailbox is theirs, whose
address the clinic wrote on the record, and that the account is theirs. Otherwise anyone could register with another
person's address, and wait until that person confirms it by mistake. The names must match, too, because families share
addresses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.appointments.exceptions import RecordsChanged, RecordsClash, TwoAccounts
from webapp.appointments.models import WalkIn
from webapp.audit import service as audit
from webapp.auth.models import User
from webapp.auth.schemas import Actor
from webapp.core.names import sort_key
from webapp.doctors.models import Doctor
from webapp.exceptions import Conflict
from webapp.notifications import outbox as notifications
from webapp.patients import duplicates
from webapp.patients.exceptions import NoSuchPatient, RecordClosed
from webapp.patients.models import NO_LINK, JoinedRecord, Patient
from webapp.patients.records import write_account_name
from webapp.patients.schemas import JoinSnapshot, RecordSnapshot
from webapp.patients.search_index import keep_words
from webapp.scheduling.checks import guarded
from webapp.scheduling.models import OCCUPYING, Appointment


class Record(NamedTuple):
    """One record, under its lock."""

    id: int
    user_id: int | None
    managed_by_id: int | None
    managed_since: datetime | None
    managed_until: datetime | None
    managed_told_at: datetime | None
    name: str
    birth_date: date | None
    phone: str
    email: str
    wants_email: bool
    wants_sms: bool
    alert: str
    desk_note: str
    created_at: datetime


# The details that staff can choose.
PICKED = ("name", "birth_date", "phone", "email")


class Difference(NamedTuple):
    """A detail in which two records differ; `wins` is the id of the record whose detail stays unless staff choose."""

    name: str
    first: Any
    second: Any
    wins: int


class Clash(NamedTuple):
    """Two appointments at one time, one of each record. Instants are UTC."""

    first: str
    first_at: datetime
    first_doctor: str
    second: str
    second_at: datetime
    second_doctor: str


class ConfirmedAccount(NamedTuple):
    """A patient's account whose address is confirmed, with its record."""

    user_id: int
    email: str
    record: Record


_COLUMNS = tuple(getattr(Patient, name) for name in Record._fields)


def find_waiting_record(session: Session, user_id: int) -> Record | None:
    """The record that the clinic made for the person of this account before, if there is exactly one.

    It has no account, the account's confirmed address, the same name, and no other birth date; and staff have not said
    that it is another person's.
    """
    account = _confirmed_account(session, user_id)
    if account is None:
        return None
    own = account.record
    same = (each for each in _with_address(session, account) if _is_same(each, own))
    found = [each for each in same if not duplicates.is_settled(session, each.id, own.id)]
    return found[0] if len(found) == 1 else None


def note_records_with_address(session: Session, user_id: int, *, now: datetime) -> None:
    """Show staff the records that have this account's confirmed address: they may be the same person, or a family."""
    account = _confirmed_account(session, user_id)
    if account is None:
        return
    for each in _with_address(session, account)[: duplicates.MOST_PAIRS]:
        if not duplicates.differ(each.birth_date, account.record.birth_date):
            duplicates.note_pair(session, each.id, account.record.id, now=now)


def join_waiting_record(session: Session, actor: Actor, *, now: datetime) -> bool:
    """Let the actor's account join the record that waits for it; returns whether it did.

    The caller has made sure that the actor has followed the link that was sent to the address. Where appointments of
    the two records clash, nothing changes: staff are shown the pair.
    """
    record = find_waiting_record(session, actor.user_id)
    account = _confirmed_account(session, actor.user_id)
    if record is None or account is None:
        return False
    try:
        both = _lock_both(session, record.id, account.record.id)
    except (NoSuchPatient, RecordClosed):
        # Another browser, or staff, joined them at the same moment, or closed one.
        return False
    # One of them may have been changed meanwhile.
    if not _is_same(*both) or both[0].user_id is not None or both[0].email != account.email:
        return False
    try:
        _merge(session, *both, {}, now=now)
    except RecordsClash:
        return False
    _record(session, actor, *both, now=now)
    return True


def join_records(
    session: Session,
    actor: Actor,
    first: int,
    second: int,
    *,
    picks: Mapping[str, int] | None = None,
    seen: str = "",
    now: datetime,
) -> int:
    """Join two records, because staff say that they are of one person; returns the id of the one that stays.

    `picks` names, for details that differ, the record whose detail wins. `seen` is what staff saw (see `compare`).

    Raises:
        NoSuchPatient: a record is gone, or both ids name the same record. RecordClosed: one is locked until it is
            erased. TwoAccounts: both have an account. RecordsClash: they have appointments at the same time.
            RecordsChanged: they are not what staff compared.
    """
    low, high = _lock_both(session, *sorted((first, second)))
    stays, goes = _in_order(low, high)
    if stays.user_id is not None:
        raise TwoAccounts
    if seen and seen != _fingerprint(low, high):
        raise RecordsChanged
    _merge(session, stays, goes, picks or {}, now=now)
    _record(session, actor, stays, goes, now=now)
    return stays.id


def compare(session: Session, first: int, second: int) -> tuple[list[Difference], str]:
    """The differences of two records, and a fingerprint of both.

    Raises:
        NoSuchPatient: one of them is gone. RecordClosed: one is locked until it is erased.
    """
    one, other = _read_both(session, sa.select(Patient.closed_at, *_COLUMNS), first, second)
    stays, goes = _in_order(*sorted((one, other)))
    own = _own(stays, goes)
    wins = {"name": stays, "birth_date": stays, "phone": own, "email": own}
    if goes.user_id is not None:
        # The address of an account stays the account's.
        del wins["email"]
    choices = [
        Difference(name, getattr(one, name), getattr(other, name), record.id)
        for name, record in wins.items()
        if getattr(one, name) and getattr(other, name) and getattr(one, name) != getattr(other, name)
    ]
    return choices, _fingerprint(*sorted((one, other)))


def find_clashes(session: Session, first: int, second: int) -> list[Clash]:
    """The appointments of two records that are at one time, as the guard of patients' time sees them."""
    one, other = aliased(Appointment), aliased(Appointment)
    by_one, by_other = aliased(Doctor), aliased(Doctor)
    query = (
        sa.select(one.reference, one.starts_at, by_one.name, other.reference, other.starts_at, by_other.name)
        .join(other, sa.and_(other.starts_at < one.ends_at, other.ends_at > one.starts_at))
        .join(by_one, by_one.id == one.doctor_id)
        .join(by_other, by_other.id == other.doctor_id)
        .where(one.patient_id == first, other.patient_id == second)
        .where(one.status.in_(OCCUPYING), other.status.in_(OCCUPYING))
        .order_by(one.starts_at, other.starts_at)
    )
    return [Clash(*row) for row in session.execute(query)]


def _in_order(low: Record, high: Record) -> tuple[Record, Record]:
    """The record that stays, and the one that goes: the one with an account, else the younger one."""
    return (high, low) if low.user_id is not None else (low, high)


def _fingerprint(low: Record, high: Record) -> str:
    return hashlib.blake2b(repr((low, high)).encode(), digest_size=12).hexdigest()


def _confirmed_account(session: Session, user_id: int) -> ConfirmedAccount | None:
    query = sa.select(User.email, *_COLUMNS).where(
        User.id == user_id,
        Patient.user_id == User.id,
        User.role == "patient",
        User.active.is_(True),
        User.email_confirmed_at.is_not(None),
    )
    row = session.execute(query).one_or_none()
    return ConfirmedAccount(user_id, row[0], Record(*row[1:])) if row else None


def _with_address(session: Session, account: ConfirmedAccount) -> list[Record]:
    query = sa.select(*_COLUMNS).where(
        Patient.email == account.email, Patient.user_id.is_(None), Patient.closed_at.is_(None)
    )
    return [Record(*row) for row in session.execute(query.order_by(Patient.id))]


def _is_same(record: Record, own: Record) -> bool:
    """Whether two records are certainly of one person, who has proved to have the address on both."""
    if record.managed_by_id == own.id or own.managed_by_id == record.id:
        return False
    if duplicates.differ(record.birth_date, own.birth_date):
        return False
    known = record.birth_date is not None and own.birth_date is not None
    names = duplicates.alike if known else duplicates.same_name
    return names(record.name, own.name)


def _lock_both(session: Session, first: int, second: int) -> tuple[Record, Record]:
    """Lock their accounts, then the two records in the order of their ids, and read them again.

    Accounts are locked before patients everywhere, and one that joins a record takes over its name.
    """
    owners = sa.select(Patient.user_id).where(Patient.id.in_((first, second)))
    session.execute(sa.select(User.id).where(User.id.in_(owners)).order_by(User.id).with_for_update(key_share=True))
    query = sa.select(Patient.closed_at, *_COLUMNS).order_by(Patient.id).with_for_update()
    return _read_both(session, query, first, second)


def _read_both(session: Session, query: Any, first: int, second: int) -> tuple[Record, Record]:
    rows = session.execute(query.where(Patient.id.in_((first, second)))).all()
    if len(rows) < 2:
        raise NoSuchPatient
    if any(row.closed_at is not None for row in rows):
        raise RecordClosed
    found = {row.id: Record(*row[1:]) for row in rows}
    return found[first], found[second]


def _merge(session: Session, stays: Record, goes: Record, picks: Mapping[str, int], *, now: datetime) -> None:
    """Move everything of one locked record to another, and delete it.

    Raises:
        RecordsClash: the guard refuses an appointment. Nothing has changed.
    """
    try:
        with session.begin_nested(), guarded():
            theirs = sa.update(Appointment).where(Appointment.patient_id == goes.id).values(patient_id=stays.id)
            appointments = _moved(session, theirs.returning(Appointment.id))
    except Conflict as error:
        raise RecordsClash from error
    managed = sa.update(Patient).where(Patient.managed_by_id == goes.id).values(managed_by_id=stays.id)
    people = _moved(session, managed.returning(Patient.id))
    messages = notifications.change_subject(session, "patient", goes.id, stays.id)
    walk_ins = _move_walk_ins(session, goes.id, stays.id)
    duplicates.move_pairs(session, goes.id, stays.id)
    joined = _joined(stays, goes, picks)
    if _books_for(session, stays.id, joined["managed_by_id"]):
        # A person whom this one books for cannot book for this one as well.
        joined |= NO_LINK
    # An account belongs to one record at any time.
    _update(session, sa.update(Patient).where(Patient.id == goes.id).values(user_id=None))
    _update(session, sa.update(Patient).where(Patient.id == stays.id).values(joined))
    session.execute(sa.delete(Patient).where(Patient.id == goes.id).execution_options(synchronize_session=False))
    if goes.user_id is not None:
        write_account_name(session, goes.user_id, joined["name"])
    keep_words(session, stays.id, name=joined["name"], email=joined["email"], phone=joined["phone"])
    kept = JoinSnapshot(
        gone=_snapshot(goes),
        before=_snapshot(stays),
        after=_snapshot(stays._replace(**{name: joined[name] for name in Record._fields if name in joined})),
        account=goes.user_id,
        appointments=appointments,
        people=people,
        messages=messages,
        walk_ins=walk_ins,
    )
    row = {"stays_id": stays.id, "gone_id": goes.id, "joined_at": now, "kept": kept.model_dump(mode="json")}
    session.execute(sa.insert(JoinedRecord).values(row))


def _move_walk_ins(session: Session, before: int, after: int) -> list[int]:
    """Give a record's walk-ins to another one. Of two that wait on the same day, the other record's stays."""
    waits = sa.select(WalkIn.day).where(WalkIn.patient_id == after, WalkIn.status == "waiting")
    twice = WalkIn.patient_id == before, WalkIn.status == "waiting", WalkIn.day.in_(waits)
    session.execute(sa.delete(WalkIn).where(*twice).execution_options(synchronize_session=False))
    theirs = sa.update(WalkIn).where(WalkIn.patient_id == before).values(patient_id=after)
    return _moved(session, theirs.returning(WalkIn.id))


def _snapshot(record: Record) -> RecordSnapshot:
    return RecordSnapshot.model_construct(**{name: getattr(record, name) for name in RecordSnapshot.model_fields})


def _moved(session: Session, statement: Any) -> list[int]:
    """The ids of the rows that a statement changes."""
    return list(session.scalars(statement.execution_options(synchronize_session=False)))


def _books_for(session: Session, person_id: int, other_id: int | None) -> bool:
    query = sa.select(Patient.id).where(Patient.id == other_id, Patient.managed_by_id == person_id)
    return session.scalar(query) is not None


def _own(stays: Record, goes: Record) -> Record:
    """The record that the person keeps: what they wrote in their account is newer than what the clinic wrote."""
    return goes if goes.user_id is not None else stays


def _joined(stays: Record, goes: Record, picks: Mapping[str, int]) -> dict[str, Any]:
    """The combined data of the record that stays."""
    managed = stays if stays.managed_by_id is not None else goes
    linked = managed.managed_by_id is not None and managed.managed_by_id not in {stays.id, goes.id}
    own, picked = _own(stays, goes), {stays.id: stays, goes.id: goes}
    details: dict[str, Any] = {
        "name": stays.name,
        "birth_date": stays.birth_date or goes.birth_date,
        "phone": own.phone or stays.phone or goes.phone,
        "email": own.email or stays.email or goes.email,
    }
    for name, number in picks.items():
        if name in details and number in picked and not (name == "email" and goes.user_id is not None):
            details[name] = getattr(picked[number], name) or details[name]
    return {
        **details,
        "sort_name": sort_key(details["name"]),
        "created_at": min(stays.created_at, goes.created_at),
        "user_id": goes.user_id,
        **({name: getattr(managed, name) for name in NO_LINK} if linked else NO_LINK),
        "wants_email": own.wants_email,
        "wants_sms": own.wants_sms and bool(details["phone"]),
        "alert": _both(stays.alert, goes.alert, ", ", most=80),
        "desk_note": _both(stays.desk_note, goes.desk_note, "\n", most=1000),
    }


def _both(first: str, second: str, between: str, *, most: int) -> str:
    """Both texts joined, unless one contains the other; cut if they are too long."""
    if second in first or first in second:
        return max(first, second, key=len)
    return f"{first}{between}{second}"[:most]


def _update(session: Session, statement: sa.Update) -> None:
    session.execute(statement.execution_options(synchronize_session=False))


def _record(session: Session, actor: Actor, stays: Record, goes: Record, *, now: datetime) -> None:
    details = {"record": goes.id}
    audit.record_by(session, actor, duplicates.JOINED, subject=("patient", stays.id), now=now, details=details)

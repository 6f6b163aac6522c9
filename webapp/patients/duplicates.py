"""Whether one person has two records: under another spelling of the name, or with the same contact details.

Pairs of records that may be of one person are noted for staff, who decide. The person who registers does not learn of
them, because anyone can register with anyone's details.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from webapp.audit.models import AuditEvent
from webapp.database import rows, table_of
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.models import Patient, PossibleDuplicate
from webapp.patients.schemas import PatientDetails
from webapp.patients.search import fits
from webapp.patients.search_index import name_words
from webapp.patients.search_parser import Span, Term, phone_term
from webapp.sql_functions import insert_into

# Of 100: 'Jansen, Anna' and 'Ana Janssen' score higher, 'Anna Jansen' and 'Anna Visser' lower.
SIMILAR = 80
MOST_PAIRS = 5
# The score if one name leaves out a part of the other: 'Anna Maria Jansen' and 'Anna Jansen', but not 'Anna'.
FEWEST_WORDS = 2

# The action in the audit log that joined two records; its details name the one that is gone.
JOINED = "patients_joined"

_PAIRS = table_of(PossibleDuplicate)
COUNT_PAIRS = sa.select(sa.func.count()).select_from(_PAIRS).where(_PAIRS.c.settled_at.is_(None))


class Candidate(NamedTuple):
    """A record that may be of the same person. `is_reached`: it has the same telephone number or e-mail address."""

    id: int
    name: str
    birth_date: date | None
    is_reached: bool


def likely_duplicates(session: Session, details: PatientDetails) -> list[int]:
    """The ids of patients with the same birth date and a similar name, or the same telephone or e-mail address."""
    return [
        each.id
        for each in _candidates(session, details)
        if each.is_reached or (each.birth_date == details.birth_date and alike(each.name, details.name))
    ][:MOST_PAIRS]


def note_duplicates(session: Session, patient_id: int, *, now: datetime) -> None:
    """Note, for staff, which other records may be of the same person as this one.

    A family shares a number or an address, so contact details alone do not count: the names must be alike, too, unless
    the birth dates differ. Pairs that staff have settled stay settled, and two accounts are two people.
    """
    query = sa.select(Patient.name, Patient.birth_date, Patient.phone, Patient.email, Patient.user_id)
    row = session.execute(query.where(Patient.id == patient_id)).one()
    details = PatientDetails.model_construct(
        name=row.name, birth_date=row.birth_date, phone=row.phone, email=row.email or None
    )
    found = [
        each.id
        for each in _candidates(session, details, without_account=row.user_id is not None)
        if each.id != patient_id
        and alike(each.name, row.name)
        and not differ(each.birth_date, row.birth_date)
        and (each.is_reached or each.birth_date is not None)
    ][:MOST_PAIRS]
    for other in found:
        note_pair(session, patient_id, other, now=now)


def note_pair(session: Session, first: int, second: int, *, now: datetime) -> bool:
    """Note two records that may be of one person, unless they were noted before; False if one of them is gone.

    On PostgreSQL another transaction may have joined or erased a record since it was read. The lock lasts as long as
    this transaction, and only keeps the records from being deleted.
    """
    low, high = sorted((first, second))
    query = sa.select(Patient.id).where(Patient.id.in_((low, high))).order_by(Patient.id)
    if len(session.scalars(query.with_for_update(read=True, key_share=True)).all()) < 2:
        return False
    insert = insert_into(_PAIRS, session.connection().dialect.name).values(patient_id=low, other_id=high, noted_at=now)
    session.execute(insert.on_conflict_do_nothing())
    return True


def move_pairs(session: Session, goes: int, stays: int) -> None:
    """Move the pairs of one record to another that takes its place; settled pairs stay settled."""
    query = sa.select(PossibleDuplicate).where(
        (PossibleDuplicate.patient_id == goes) | (PossibleDuplicate.other_id == goes)
    )
    for pair in session.scalars(query).all():
        third = pair.other_id if pair.patient_id == goes else pair.patient_id
        is_noted = third != stays and note_pair(session, third, stays, now=pair.noted_at)
        if is_noted and pair.settled_at is not None:
            settle_pair(session, third, stays, now=pair.settled_at)


def settle_pair(session: Session, first: int, second: int, *, now: datetime) -> None:
    """Store that two records are of two people.

    Raises:
        NoSuchPatient: the pair was not noted, or one of the records is gone.
    """
    settled = session.execute(
        sa.update(PossibleDuplicate)
        .where(*_is_pair(first, second))
        .values(settled_at=now)
        .returning(PossibleDuplicate.patient_id)
    )
    if settled.one_or_none() is None:
        raise NoSuchPatient


def is_settled(session: Session, first: int, second: int) -> bool:
    """Whether staff have said that these two records are of two people."""
    settled = sa.select(PossibleDuplicate.settled_at).where(*_is_pair(first, second))
    return session.scalar(settled) is not None


def is_pair(session: Session, first: int, second: int) -> bool:
    """Whether these two records were noted as a pair."""
    return session.scalar(sa.select(PossibleDuplicate.noted_at).where(*_is_pair(first, second))) is not None


def joined_before(session: Session, first: int, second: int) -> int | None:
    """The remaining one of two joined records; None if they were not joined."""
    found = list(session.scalars(sa.select(Patient.id).where(Patient.id.in_((first, second)))))
    if len(found) != 1:
        return None
    gone = first if found[0] == second else second
    joined = sa.select(AuditEvent.details).where(
        AuditEvent.subject_type == "patient", AuditEvent.subject_id == found[0], AuditEvent.action == JOINED
    )
    return found[0] if any(details.get("record") == gone for details in session.scalars(joined)) else None


def records_within(session: Session, patient_ids: Sequence[int]) -> list[int]:
    """These records, and those that were joined to them and are gone: the audit log is about their ids, too."""
    found, looked_at = list(patient_ids), 0
    while looked_at < len(found):
        joined = sa.select(AuditEvent.details).where(
            AuditEvent.subject_type == "patient",
            AuditEvent.subject_id.in_(found[looked_at:]),
            AuditEvent.action == JOINED,
        )
        looked_at = len(found)
        named = {details["record"] for details in session.scalars(joined)} - set(found)
        # Records that were separated again do not belong to it.
        there = set(session.scalars(sa.select(Patient.id).where(Patient.id.in_(named))))
        found += sorted(named - there)
    return found


class Pair(NamedTuple):
    """Two records that may be of one person, with what staff compare first."""

    patient_id: int
    name: str
    birth_date: date | None
    other_id: int
    other_name: str
    other_birth_date: date | None
    same_phone: bool
    same_email: bool
    noted_at: datetime


_OTHER = aliased(Patient)


def list_pairs(session: Session, *, limit: int, skip: int = 0) -> list[Pair]:
    """The pairs that staff have not settled, the newest first."""
    query = (
        sa.select(
            Patient.id,
            Patient.name,
            Patient.birth_date,
            _OTHER.id,
            _OTHER.name,
            _OTHER.birth_date,
            sa.and_(Patient.phone == _OTHER.phone, Patient.phone != ""),
            sa.and_(Patient.email == _OTHER.email, Patient.email != ""),
            PossibleDuplicate.noted_at,
        )
        .join(Patient, Patient.id == PossibleDuplicate.patient_id)
        .join(_OTHER, _OTHER.id == PossibleDuplicate.other_id)
        .where(PossibleDuplicate.settled_at.is_(None))
        .order_by(PossibleDuplicate.noted_at.desc(), Patient.id, _OTHER.id)
    )
    return [Pair(*row) for row in session.execute(query.offset(skip).limit(limit))]


def count_pairs(session: Session) -> int:
    """How many pairs staff have not settled."""
    return rows(session, COUNT_PAIRS).scalar() or 0


def others_of(session: Session, patient_id: int) -> list[tuple[int, str]]:
    """The records, as id and name, that may be of the same person as this one."""
    pair = PossibleDuplicate
    other = sa.case((pair.patient_id == patient_id, pair.other_id), else_=pair.patient_id)
    query = (
        sa.select(Patient.id, Patient.name)
        .join(pair, Patient.id == other)
        .where(sa.or_(pair.patient_id == patient_id, pair.other_id == patient_id), pair.settled_at.is_(None))
        .order_by(Patient.id)
    )
    return [(row.id, row.name) for row in session.execute(query)]


# ------------------------------------------------------------------------------------------------ comparing


def same_name(first: str, second: str) -> bool:
    """Whether two names differ in accents, case, order, hyphens, or names between at most."""
    one, other = name_words(first), name_words(second)
    fewer, more = sorted((one, other), key=len)
    return one == other or (len(fewer) >= FEWEST_WORDS and fewer <= more)


def alike(first: str, second: str) -> bool:
    """Whether two names can be of one person: the same, or with typing mistakes."""
    # See `search.py` for why it is imported here.
    from rapidfuzz import fuzz

    one, other = (" ".join(sorted(name_words(name))) for name in (first, second))
    return same_name(first, second) or fuzz.ratio(one, other) >= SIMILAR


def differ(first: date | None, second: date | None) -> bool:
    """Whether two birth dates are both known, and not the same."""
    return first is not None and second is not None and first != second


def _candidates(session: Session, details: PatientDetails, *, without_account: bool = False) -> list[Candidate]:
    """The records with the same birth date, telephone number or e-mail address, by id."""
    reached = [Term((), exact=(details.email,))] if details.email else []
    if details.phone:
        reached.append(phone_term(details.phone))
    born = [Term((), born=Span(details.birth_date, details.birth_date))] if details.birth_date else []
    if not (reached or born):
        return []
    is_reached = fits(*reached) if reached else sa.false()
    query = sa.select(Patient.id, Patient.name, Patient.birth_date, is_reached).where(Patient.closed_at.is_(None))
    if without_account:
        query = query.where(Patient.user_id.is_(None))
    found = session.execute(query.where(fits(*reached, *born)).order_by(Patient.id))
    return [Candidate(*row) for row in found]


def _is_pair(first: int, second: int) -> tuple[sa.ColumnElement[bool], ...]:
    low, high = sorted((first, second))
    return PossibleDuplicate.patient_id == low, PossibleDuplicate.other_id == high

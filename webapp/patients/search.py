"""Finds patients by a name, a birth date, a telephone number or an e-mail address. Everything in the text must match.
Words of names and addresses are looked up by their beginning in the word index, telephone numbers by their end (see
`search_index.py`) or by their first digits. Only where nothing matches, words with a typing mistake or two are tried;
the closest come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from webapp.auth.models import User
from webapp.clinic.service import get_clinic
from webapp.core.pagination import FIRST_PAGE, Cursor, PageEnds, cut
from webapp.database import rows, seek, table_of
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.models import Patient, PatientWord
from webapp.patients.names import shown_name_column
from webapp.patients.search_index import PHONE
from webapp.patients.search_parser import ParsedSearch, Span, Term, understand

PAGE_SIZE = 20
# How many of the words that are close to a typed one are looked up.
CLOSE_WORDS = 60
# Sorts after every word of the index.
LAST = "\U0010ffff"

_WORDS = table_of(PatientWord).c
_OWNERS: Any = sa.select(_WORDS.patient_id)


class bytewise(FunctionElement[str]):  # noqa: N801 - queries use it like a function.
    """A text that is compared by code points, independent of the database's collation."""

    type = sa.String()
    inherit_cache = True


@compiles(bytewise)
def _bytewise_in_postgresql(element: bytewise, compiler: SQLCompiler, **options: Any) -> str:
    return f'{compiler.process(element.clauses, **options)} COLLATE "C"'


@compiles(bytewise, "sqlite")
def _bytewise_in_sqlite(element: bytewise, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


class PatientRow(NamedTuple):
    """A patient as lists show them. `managed_by` is the name of the patient who books for them, if any.

    `alert` is for staff only.
    """

    id: int
    name: str
    birth_date: date | None
    phone: str
    email: str
    user_id: int | None
    active: bool | None
    managed_by: str | None
    alert: str = ""

    @property
    def has_account(self) -> bool:
        """Whether they can sign in themselves, unless the account is disabled."""
        return self.user_id is not None


class PatientsFound(NamedTuple):
    """One page of patients. `similar` means that nothing matched exactly and these are close.

    `beside` holds the ids of the patients from which the pages before and after continue.
    """

    patients: list[PatientRow]
    similar: bool = False
    beside: PageEnds[int] = PageEnds()


_MANAGER = aliased(Patient)
_ROWS: Any = (
    sa.select(
        Patient.id,
        shown_name_column(),
        Patient.birth_date,
        Patient.phone,
        Patient.email,
        Patient.user_id,
        User.active,
        _MANAGER.name,
        Patient.alert,
    )
    .outerjoin(User, User.id == Patient.user_id)
    .outerjoin(_MANAGER, _MANAGER.id == Patient.managed_by_id)
)


def search_patients(
    session: Session,
    text: str,
    *,
    cursor: Cursor[int] = FIRST_PAGE,
    limit: int = PAGE_SIZE,
) -> PatientsFound:
    """One page of the patients that match everything in `text`, by name; an empty text matches all.

    The cursor's place is the id of a patient.
    """
    typed = _understood(session, text)
    if typed.is_nothing:
        return PatientsFound([])
    conditions = _certain(typed)
    names = [fits(term) for term in typed.words]
    found = _page(session, [*conditions, *names], cursor, limit=limit)
    if found.patients or cursor.place:
        return found
    return _similar(session, typed, conditions, limit=limit)


class PatientIdsFound(NamedTuple):
    """The ids of some of the patients found, in order, and how many were found in all; `goes_on` if more follow."""

    ids: list[int]
    total: int
    goes_on: bool = False


def search_part(
    session: Session, text: str, *, among: sa.Select[int] | None, after: int | None, skip: int, limit: int
) -> PatientIdsFound:
    """The patients that match everything in `text`, for programs, which count and skip.

    They are in order of their names, or the closest first if nothing matches exactly.

    The part begins after the patient with the id `after`.

    Raises:
        NoSuchPatient: there is no such patient any more, or not among those.
    """
    typed = _understood(session, text)
    if typed.is_nothing:
        return PatientIdsFound([], 0)
    conditions = _certain(typed, among)
    fitting = [*conditions, *(fits(term) for term in typed.words)]
    total = session.scalar(sa.select(sa.func.count(Patient.id)).where(*fitting)) or 0
    if total:
        here = None if after is None else (_place_of(session, after, among), after)
        query = seek(sa.select(Patient.id).where(*fitting), (Patient.sort_name, Patient.id), here, falling=False)
        ids = list(session.scalars(query.offset(skip).limit(limit + 1)))
        return PatientIdsFound(ids[:limit], total, goes_on=len(ids) > limit)
    similar = [patient.id for patient in _similar(session, typed, conditions, limit=PAGE_SIZE).patients]
    if after in similar:
        skip += similar.index(after) + 1
    return PatientIdsFound(similar[skip : skip + limit], len(similar), goes_on=skip + limit < len(similar))


def _place_of(session: Session, patient_id: int, among: sa.Select[int] | None) -> str:
    """The place of a patient by name.

    Only patients who may be found have a place. Otherwise names of others could be guessed by comparing with their
    places.
    """
    query = sa.select(Patient.sort_name).where(Patient.id == patient_id)
    place = session.scalar(query if among is None else query.where(Patient.id.in_(among)))
    if place is None:
        raise NoSuchPatient
    return place


def patients_by_id(session: Session, ids: list[int]) -> list[PatientRow]:
    """These patients, by name; those that do not exist are left out."""
    found = session.execute(_ROWS.where(Patient.id.in_(ids)).order_by(Patient.sort_name, Patient.id))
    return [PatientRow(*row) for row in found]


def _understood(session: Session, text: str) -> ParsedSearch:
    """The parsed text. Only a number that may be whole, or begins as people dial, is read for the clinic's country."""
    typed = understand(text)
    return understand(text, get_clinic(session).home_country) if typed.as_dialled else typed


def _certain(typed: ParsedSearch, among: sa.Select[int] | None = None) -> list[sa.ColumnElement[bool]]:
    """Conditions that hold even for similar names: birth dates, telephone numbers, addresses, and who may be found.

    No search finds a closed record.
    """
    conditions = [Patient.closed_at.is_(None), *(fits(term) for term in typed.numbers)]
    if typed.birth_dates:
        conditions.append(sa.or_(*map(_born_within, typed.birth_dates)))
    if among is not None:
        conditions.append(Patient.id.in_(among))
    return conditions


def fits(*terms: Term) -> sa.ColumnElement[bool]:
    """Patients whose words match a reading of one of the terms; all parts of a reading must match."""
    found = [ids for term in terms for ids in _matching_ids(term)]
    # One list of ids, which both databases read first. With OR, PostgreSQL would read all patients.
    return Patient.id.in_(sa.union_all(*found) if len(found) > 1 else found[0])


def _matching_ids(term: Term) -> Iterator[sa.Select[int]]:
    """The queries that find the ids of the patients who match a term."""
    yield from map(_owners, term.readings)
    if term.exact:
        yield _OWNERS.where(_WORDS.word.in_(term.exact))
    number = bytewise(Patient.phone)
    for first in term.begins:
        yield sa.select(Patient.id).where(number >= first, number < first + LAST)
    if term.born is not None:
        yield sa.select(Patient.id).where(_born_within(term.born))


def _owners(reading: Sequence[str]) -> sa.Select[int]:
    """The ids of the patients who have a word that begins with each of these parts."""
    first, *others = reading
    with_others = [_WORDS.patient_id.in_(_OWNERS.where(_begins(part))) for part in others]
    query: sa.Select[int] = _OWNERS.where(_begins(first), *with_others)
    return query


def _born_within(span: Span) -> sa.ColumnElement[bool]:
    return Patient.birth_date.between(span.first, span.last)


def _begins(part: str) -> sa.ColumnElement[bool]:
    """The words that begin with this text, as a range of the index."""
    word = bytewise(_WORDS.word)
    return sa.and_(word >= part, word < part + LAST)


def _page(
    session: Session, conditions: list[sa.ColumnElement[bool]], cursor: Cursor[int], *, limit: int
) -> PatientsFound:
    """One page by name and id; one row more than it shows is read, to know whether the list goes on."""
    # Select the ids first: joining the data of all matching patients would cost more than everything else.
    here = None
    if cursor.place is not None:
        here = (session.scalar(sa.select(Patient.sort_name).where(Patient.id == cursor.place)) or "", cursor.place)
    order = (Patient.sort_name, Patient.id)
    # The limit is a parameter, so PostgreSQL plans each search for its words. A plan for all words would read patients
    # in the order of their names, to the end if few match.
    chosen = seek(sa.select(Patient.id).where(*conditions), order, here, falling=cursor.backwards).limit(limit + 1)
    query = seek(_ROWS.where(Patient.id.in_(chosen)), order, None, falling=cursor.backwards)
    shown, beside = cut([PatientRow(*row) for row in session.execute(query)], cursor, limit, lambda row: row.id)
    return PatientsFound(shown, beside=beside)


# ------------------------------------------------------------------------------------------ typing mistakes


def _similar(
    session: Session, typed: ParsedSearch, conditions: list[sa.ColumnElement[bool]], *, limit: int
) -> PatientsFound:
    """The patients whose names are closest to the typed one, when none matches; the other terms must match."""
    names = [part for term in typed.words for part in term.name_parts]
    mistakable = [name for name in names if _allowed_mistakes(name)]
    if not mistakable or any(not term.name_parts for term in typed.words):
        return PatientsFound([])
    vocabulary = _vocabulary(session)
    close = {name: _close_words(name, vocabulary) for name in mistakable}
    if not all(close.values()):
        return PatientsFound([])
    # Words too short to contain a mistake must match as they are.
    certain = [Patient.id.in_(_OWNERS.where(_begins(name))) for name in names if name not in close]
    looked_up = {word for words in close.values() for word in words}
    # A join, because SQLite reads all patients of a subquery first, however few have these words.
    query = sa.select(_WORDS.patient_id, _WORDS.word).join_from(PatientWord, Patient)
    query = query.where(_WORDS.word.in_(looked_up), *conditions, *certain)
    # Patients without a close word for each typed one have no distance.
    best: dict[int, dict[str, int]] = {}
    for patient_id, word in rows(session, query):
        mistakes = best.setdefault(patient_id, {})
        for name, words in close.items():
            if word in words:
                mistakes[name] = min(words[word], mistakes.get(name, words[word]))
    distances = {number: sum(each.values()) for number, each in best.items() if len(each) == len(close)}
    closest = sorted(distances, key=lambda number: (distances[number], number))[:limit]
    if not closest:
        return PatientsFound([])
    patients = patients_by_id(session, closest)
    patients.sort(key=lambda patient: distances[patient.id])
    return PatientsFound(patients, similar=True)


def _allowed_mistakes(name: str) -> int:
    """How many letters may be wrong, missing, added or swapped: none in a very short word, two in a long one."""
    if len(name) < 3:
        return 0
    return 1 if len(name) < 6 else 2


def _vocabulary(session: Session) -> list[str]:
    """Every word that occurs in a name, once: without telephone numbers, which sort first, and e-mail addresses."""
    # As a range, telephone numbers are not even read: they are a fourth of all words.
    query = sa.select(_WORDS.word).where(bytewise(_WORDS.word) > PHONE + LAST, ~_WORDS.word.like("%@%")).distinct()
    return list(rows(session, query).scalars())


def _close_words(name: str, vocabulary: list[str]) -> dict[str, int]:
    """The words nearest to a name, each with its number of mistakes; words that begin with it count as equal to it."""
    # It takes 3.5 MiB, and most searches find a name as it was typed.
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    close: dict[str, int] = {}
    most = _allowed_mistakes(name)
    for word, mistakes, _place in process.extract(
        name, vocabulary, scorer=OSA.distance, score_cutoff=most, limit=CLOSE_WORDS
    ):
        close[word] = int(mistakes)
    for word in vocabulary:
        if word.startswith(name):
            close[word] = 0
    return close

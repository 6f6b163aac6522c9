"""Whether a new patient has a record already, under another spelling or with the same contact details."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core.text import plain
from webapp.patients.models import Patient
from webapp.patients.schemas import PatientDetails
from webapp.patients.search import fits
from webapp.patients.search_parser import Term, phone_term

# Of 100: 'Jansen, Anna' and 'Ana Janssen' score higher, 'Anna Jansen' and 'Anna Visser' lower.
SIMILAR = 80
MOST = 5


def likely_duplicates(session: Session, details: PatientDetails) -> list[int]:
    """The ids of patients with the same birth date and a similar name, or the same telephone or e-mail address."""
    reached = [Term((), exact=(details.email,))] if details.email else []
    if details.phone:
        reached.append(phone_term(details.phone))
    conditions = [fits(term) for term in reached]
    if details.birth_date:
        conditions.append(Patient.birth_date == details.birth_date)
    if not conditions:
        return []
    query = sa.select(Patient.id, Patient.name, Patient.birth_date, sa.or_(sa.false(), *map(fits, reached)))
    found = [
        number
        for number, name, birth_date, is_reached in session.execute(query.where(sa.or_(*conditions)))
        if is_reached or (birth_date == details.birth_date and _similar(name, details.name))
    ]
    return sorted(found)[:MOST]


def _similar(first: str, second: str) -> bool:
    # See `search.py` for why it is imported here.
    from rapidfuzz import fuzz

    return fuzz.token_sort_ratio(plain(first), plain(second)) >= SIMILAR

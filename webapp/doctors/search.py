"""Finds doctors by typed words: names, specialties, visit types, profiles, and synonyms.

Case and accents are ignored. Each typed word must begin a word in the texts about the doctor, or occur in their name or
specialty. If some of the words occur only in a visit type, the search is for free times of that type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.clinic.schedule_versions import cached_for_clinic
from webapp.clinic.search_words import words_by_subject
from webapp.clinic.service import get_clinic
from webapp.core.text import plain
from webapp.doctors import service
from webapp.doctors.search_terms import TERMS
from webapp.doctors.service import DoctorRow

# These words do not help to choose a doctor.
_FILLERS = frozenset(
    {"a", "an", "and", "the", "for", "my", "me", "of", "i", "need", "to", "see", "with"}
    | {"doctor", "doctors", "dr", "appointment", "visit", "specialist"}
)
_BREAKS = re.compile(r"[^\w\s’'ʼ‘`´]+|_")
# Of a word this long a plural s may be missing.
_PLURAL = 4


class DoctorWords(NamedTuple):
    """The words about a doctor: `name` holds name and specialty as one text, `kinds` the words of visit types by id.

    `shown` are words on the clinic's pages, without the synonyms of a specialty or a visit type.
    """

    name: str
    shown: frozenset[str]
    own: frozenset[str]
    profile: frozenset[str]
    kinds: dict[int, frozenset[str]]


class DoctorMatch(NamedTuple):
    """A doctor was found; `kinds` are the ids of the visit types that the words ask for, empty if they ask for none."""

    kinds: frozenset[int]


def words_of(text: str) -> list[str]:
    """The typed words, without those that do not help."""
    return [word for word in _split(text) if word not in _FILLERS]


def find(session: Session, doctor: DoctorRow, words: Sequence[str]) -> DoctorMatch | None:
    """Whether a search for these words finds the doctor, and for which visit types."""
    if not words:
        return DoctorMatch(frozenset())
    about = _index(session)[doctor.id]
    missing = [word for word in words if word not in about.name and not _begins(word, about.own)]
    if not missing:
        return DoctorMatch(frozenset())
    kinds = frozenset(number for number, known in about.kinds.items() if all(_begins(word, known) for word in missing))
    if kinds:
        return DoctorMatch(kinds)
    known = about.profile.union(*about.kinds.values())
    return DoctorMatch(frozenset()) if all(_begins(word, known) for word in missing) else None


def suggestions(session: Session) -> list[str]:
    """Suggestions while typing: specialties and visit types, in alphabetical order."""
    return cached_for_clinic(session, "search suggestions", lambda: _suggestions(session))


def did_you_mean(session: Session, text: str) -> str | None:
    """The text with its unknown words replaced by the most similar ones on the clinic's pages, or left out.

    None if that changes nothing.
    """
    from difflib import get_close_matches

    index = _index(session).values()
    known = {word for about in index for word in _all_words(about)}
    longer = sorted({word for about in index for word in about.shown if len(word) > 2})
    words = words_of(text)
    better = [
        word if _begins(word, known) else next(iter(get_close_matches(word, longer, 1, 0.7)), "") for word in words
    ]
    return " ".join(filter(None, better)) if any(better) and better != words else None


def _suggestions(session: Session) -> list[str]:
    listed = service.list_doctors(session)
    kinds = {kind.name for doctor in listed for kind in doctor.visit_types if kind.online}
    return sorted({doctor.specialty for doctor in listed} | kinds)


def _index(session: Session) -> dict[int, DoctorWords]:
    return cached_for_clinic(session, "searched words", lambda: _read_index(session))


def _read_index(session: Session) -> dict[int, DoctorWords]:
    own_words = words_by_subject(get_clinic(session).search_words)
    return {doctor.id: _searched(doctor, own_words) for doctor in service.list_doctors(session, inactive=True)}


def _searched(doctor: DoctorRow, own_words: dict[str, str]) -> DoctorWords:
    online = [kind for kind in doctor.visit_types if kind.online]
    names = (doctor.name, doctor.specialty, *(kind.name for kind in online))
    return DoctorWords(
        name=plain(f"{doctor.name} {doctor.specialty}"),
        shown=frozenset(word for name in names for word in _split(name)),
        own=frozenset((*_split(doctor.name), *_words_with_synonyms(doctor.specialty, own_words, people=True))),
        profile=frozenset((*_split(doctor.bio), *(word for each in doctor.languages for word in _split(each)))),
        kinds={kind.id: frozenset(_words_with_synonyms(kind.name, own_words)) for kind in online},
    )


def _words_with_synonyms(name: str, own_words: dict[str, str], *, people: bool = False) -> Iterable[str]:
    """The words of a specialty or a visit type, and its synonyms."""
    words = _split(name)
    text = f" {' '.join(words)} "
    for terms in TERMS:
        if any(f" {beginning}" in text for beginning in terms.beginnings):
            words += [*terms.words.split(), *(terms.people.split() if people else ())]
    return [*words, *_split(own_words.get(plain(name).strip(), ""))]


def _split(text: str) -> list[str]:
    return plain(_BREAKS.sub(" ", text)).split()


def _begins(word: str, known: Iterable[str]) -> bool:
    """Whether the word, or its singular, begins one of the known ones."""
    singular = word[:-1] if len(word) >= _PLURAL and word.endswith("s") else word
    return any(each.startswith(word) or each == singular for each in known)


def _all_words(about: DoctorWords) -> set[str]:
    return {*about.own, *about.profile, *(word for words in about.kinds.values() for word in words)}

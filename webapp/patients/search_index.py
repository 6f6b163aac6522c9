"""The words that patients are found by, in a separate index.

A patient is found by any words of the name in any order, by the beginning of an e-mail address, and by the end of a
telephone number, because people leave out country codes and zeros. Spelling mistakes are searched among the distinct
words, which are far fewer than the patients.
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core.email_address import normal_email
from webapp.core.text import plain
from webapp.database import table_of
from webapp.patients.models import PatientWord

_WORDS = table_of(PatientWord)
# No word of a name begins with this sign; it marks a telephone number, written from its end.
PHONE = "#"


def name_words(name: str) -> set[str]:
    """The words of a name: lower case, without accents, split at hyphens."""
    return {word for part in re.split(r"[\s\-]+", name) if (word := plain(part))}


def phone_word(phone: str) -> str:
    """A telephone number's digits from the last to the first, marked as such; '' where there is no number."""
    digits = "".join(letter for letter in phone if letter.isascii() and letter.isdigit())
    return f"{PHONE}{digits[::-1]}" if digits else ""


def words_of(name: str, email: str, phone: str) -> set[str]:
    """All the words of one patient."""
    return {word for word in (*name_words(name), normal_email(email), phone_word(phone)) if word}


def keep_words(session: Session, patient_id: int, *, name: str, email: str, phone: str) -> None:
    """Write a patient's words again. Every change of a patient does this in the same transaction."""
    session.execute(sa.delete(PatientWord).where(PatientWord.patient_id == patient_id))
    found = [{"word": word, "patient_id": patient_id} for word in sorted(words_of(name, email, phone))]
    if found:
        session.execute(sa.insert(_WORDS), found)

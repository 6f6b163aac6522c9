"""Passwords that a guesser tries first: made of words about the clinic, the program, the person or the calendar.

Only the part besides such words counts. Digits and signs around a word, and digits in place of letters, do not count,
because programs that guess passwords try these, too. `reason_to_refuse` says in words what is wrong, because "too easy"
does not tell people what to do instead.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from webapp.i18n import gettext as _

# How many letters a password must have besides these words.
OWN_LEAST = 4
SHORTEST_WORD = 3
SHORTEST_RUN = 4

PROGRAM_WORDS = """
    docket demo demos test tests admin administrator user patient doctor clinic praxis praktijk appointment
    login signin password passwort wachtwoord motdepasse contrasena secret welcome welkom willkommen bienvenue
    letmein changeme change
"""
# English, Dutch, German, French and Spanish.
CALENDAR_WORDS = """
    spring summer autumn fall winter lente zomer herfst fruhling sommer printemps ete automne hiver primavera
    verano otono invierno january february march april may june july august september october november december
    januari februari maart mei juni juli augustus oktober januar februar marz mai dezember janvier fevrier mars
    avril juin juillet aout septembre octobre novembre decembre enero febrero marzo abril mayo junio julio
    agosto septiembre octubre noviembre diciembre monday tuesday wednesday thursday friday saturday sunday
    maandag dinsdag woensdag donderdag vrijdag zaterdag zondag montag dienstag mittwoch donnerstag freitag
    samstag sonntag lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miercoles jueves viernes
    sabado domingo today season year month week
"""
KEYBOARDS = (
    *("qwertyuiop", "asdfghjkl", "zxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn", "qwertzuiop", "yxcvbnm"),
    *("1234567890", "0987654321", "abcdefghijklmnopqrstuvwxyz", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol"),
)
# Stolen passwords, and words and names by how often they are used, as zxcvbn carries them.
LISTS = ("passwords", "english_wikipedia", "us_tv_and_film", "female_names", "male_names", "surnames")
LOOK_ALIKES = str.maketrans("01345789@$!€", "oieastbgasie")
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_NO_LETTERS = re.compile(r"[\W\d_]")


def reason_to_refuse(password: str, *, about: Sequence[str], clinic: Sequence[str]) -> str:
    """A sentence that says what this password is made of; '' if the password has enough besides such words.

    `about` are texts about the person, such as name and e-mail address, `clinic` those about the clinic.
    """
    reasons = (
        (_words(about), _("This password is made of your name or email address.")),
        (_words(clinic), _("This password is made of the clinic’s name or address.")),
        (PROGRAM_WORDS.split(), _("This password is made of words that people often use for passwords here.")),
        (CALENDAR_WORDS.split(), _("This password is made of a season, month, day or year.")),
    )
    everything = [word for words, _reason in reasons for word in words]
    for letters in _readings(password):
        if not _is_merely(letters, everything):
            continue
        main = max(reasons, key=lambda reason: len(letters) - len(_without(letters, reason[0])))
        if len(_without(letters, main[0])) < len(letters):
            return main[1]
        return _("This password follows a pattern on the keyboard.")
    if _follows_keys(password):
        return _("This password follows a pattern on the keyboard.")
    if _is_common(password):
        return _("This password is on lists of stolen passwords, or one common word with numbers or symbols around it.")
    return ""


def _words(texts: Iterable[str]) -> list[str]:
    """The words in these texts, and the texts as one word each."""
    found = {_letters_of(part) for text in texts for part in (text, *re.split(r"[\W\d_]+", text))}
    return [word for word in found if len(word) >= SHORTEST_WORD]


def _letters_of(text: str) -> str:
    return _NO_LETTERS.sub("", _plain(text))


def _plain(text: str) -> str:
    """The text in lower case without accents, which guessers leave out or add."""
    return "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))


def _readings(password: str) -> Iterator[str]:
    """The letters of a password without runs of keys: unchanged, and with digits and signs read as letters."""
    kept = _without_runs(_plain(password))
    yield _NO_LETTERS.sub("", kept)
    yield _NO_LETTERS.sub("", _AROUND.sub("", kept).translate(LOOK_ALIKES))


def _is_merely(letters: str, words: Iterable[str]) -> bool:
    left = _without(letters, words)
    return len(left) < OWN_LEAST and len(left) < len(letters)


def _without(letters: str, words: Iterable[str]) -> str:
    for word in sorted(words, key=len, reverse=True):
        letters = letters.replace(word, "")
    return letters


def _follows_keys(password: str) -> bool:
    kept = _without_runs(_plain(password))
    return len(kept) < len(password) and len(_NO_LETTERS.sub("", kept)) < OWN_LEAST


def _without_runs(text: str) -> str:
    """The text without four or more keys in a row, in either direction, and without one sign many times."""
    text = re.sub(r"(.)\1{2,}", "", text)
    kept, place = [], 0
    while place < len(text):
        length = _run_at(text, place)
        if length < SHORTEST_RUN:
            kept.append(text[place])
            length = 1
        place += length
    return "".join(kept)


def _run_at(text: str, place: int) -> int:
    """How many signs from `place` on are neighbours on a keyboard, in their order."""
    longest = 0
    for row in _rows():
        length = 0
        while place + length < len(text) and text[place : place + length + 1] in row:
            length += 1
        longest = max(longest, length)
    return longest


@cache
def _rows() -> tuple[str, ...]:
    return tuple(each for row in KEYBOARDS for each in (row, row[::-1]))


def _is_common(password: str) -> bool:
    """Whether a list of stolen passwords or frequent words contains it, unchanged or without the digits and signs
    around it.
    """
    folded = password.casefold()
    # Imported here, because the lists take time and memory that only a new password needs.
    from zxcvbn.matching import RANKED_DICTIONARIES

    bare = _AROUND.sub("", folded)
    tried = {folded, bare, bare.translate(LOOK_ALIKES)}
    # zxcvbn keeps the words of its last user among them.
    return any(word in RANKED_DICTIONARIES[name] for name in LISTS for word in tried if word)

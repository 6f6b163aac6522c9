"""Text as people type and paste it: invisible characters are removed, and letters are compared without accents.

Programs, phones and web pages add invisible signs to what is copied: marks of direction, zero-width spaces, soft
hyphens, spaces that do not break. `tidy` is for all text, `tidy_line` for names and other text of one line, `bare` for
numbers, codes, references and addresses. Forms (`core/forms.py`), bodies of the API (`core/api.py`) and addresses of
pages (`core/routing.py`) are tidied in one place each, so this also covers new fields. Passwords have other rules
(`auth/passwords/service.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal

# The names of fields with passwords and other proofs: they are neither shown again nor kept.
PASSWORDS = frozenset({"password", "current", "new", "code", "setup", "passkey"})
# Letters that cannot be decomposed into a plain letter and an accent; and marks that people type in different ways.
PLAIN_LETTERS = str.maketrans(
    {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae"} | dict.fromkeys("’‘'ʼʻ`´", "")
)

# Characters that look like a space, and breaks of lines and paragraphs that only some programs know.
_SPACES = "\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Soft hyphens, zero-width spaces, embeddings and isolates of direction, and signs that Unicode took out of use.
_UNSEEN = "\u00ad\u180e\u200b\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
# Marks of direction and joiners mean something inside a text, but nothing at its ends.
_MARKS = "\u061c\u200c\u200d\u200e\u200f"
_JOINERS = "\u200c\u200d"
_SPACE, _NOT_SEEN = re.compile(f"[{_SPACES}]"), re.compile(f"[{_UNSEEN}]")
_BLANKS = re.compile(r"[ \t]+")
# No language puts more marks on a letter. Unicode's own limit for streams of text (UAX #15) is the same.
_MOST_MARKS = 30
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")


def normalized(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
    """The text in a normal form, with at most `_MOST_MARKS` marks on a letter.

    Python sorts the marks of one letter in a time that grows with the square of their number: a form of a megabyte
    would hold up the whole process for hours.
    """
    if len(text) > _MOST_MARKS and not text.isascii():
        text = "".join(_without_more_marks(text))
    return unicodedata.normalize(form, text)


def _without_more_marks(text: str) -> Iterator[str]:
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= _MOST_MARKS:
            yield letter


def tidy(text: str) -> str:
    """The text in NFC, with ordinary spaces and without invisible signs; its lines stay as they are."""
    if text.isascii():
        return text
    seen = _NOT_SEEN.sub("", _SPACE.sub(" ", text))
    return normalized("NFC", seen.strip(_MARKS))


def tidy_line(text: str) -> str:
    """A name or a heading in NFC: one space between words, none around them, and no marks of direction."""
    seen = "".join(letter for letter in tidy(text) if letter in _JOINERS or unicodedata.category(letter) != "Cf")
    return _BLANKS.sub(" ", seen).strip(" " + _JOINERS)


def bare(text: str) -> str:
    """A number, a code or an address in NFC, without invisible signs, and with plain hyphens."""
    text = text.strip()
    if text.isascii():
        return text
    seen = "".join(letter for letter in _SPACE.sub(" ", text) if unicodedata.category(letter) != "Cf")
    return normalized("NFC", _DASHES.sub("-", seen)).strip()


def tidy_json(body: Any) -> Any:
    """Tidy all texts of a body of JSON in place, passwords excepted."""
    if isinstance(body, str):
        return tidy(body)
    # A loop instead of recursion, because a body may be nested deeper than Python's recursion limit.
    parts = [body]
    while parts:
        part = parts.pop()
        places: Any = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for place, value in list(places):
            if isinstance(value, str) and place not in PASSWORDS:
                part[place] = tidy(value)
            elif isinstance(value, (dict, list)):
                parts.append(value)
    return body


def plain(text: str) -> str:
    """Lower case without accents, so that a search ignores both."""
    decomposed = normalized("NFKD", text.casefold().translate(PLAIN_LETTERS))
    return "".join(letter for letter in decomposed if letter.isalnum() or letter == " ")

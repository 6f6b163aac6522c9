"""Parses the text of a search for patients into birth dates, telephone numbers, and words.

A birth date may be incomplete: a year, or a month and a year. Four digits may also be the end of a telephone number, so
a year alone is read as both.
"""

from __future__ import annotations

import calendar
import re
from contextlib import suppress
from datetime import date
from typing import NamedTuple

from webapp.core import phones
from webapp.core.email_address import normal_email
from webapp.core.text import bare, plain
from webapp.patients.search_index import PHONE, name_words, phone_word

# A text with more or longer words was probably pasted by accident.
MAX_LETTERS = 120
MAX_WORDS = 8
FEWEST_DIGITS = 3
# A telephone number with at least this many digits may begin with a country code, of one to three digits.
WITH_COUNTRY_CODE = 9
# A number with at least this many digits may be whole.
WITHOUT_COUNTRY_CODE = 6

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_YEAR = re.compile(r"(?:19|20)\d\d", re.ASCII)
_YEAR_MONTH = re.compile(r"(?<!\S)((?:19|20)\d\d)[-/.](\d{1,2})(?!\S)", re.ASCII)
_MONTH_YEAR = re.compile(r"(?<!\S)(\d{1,2})[-/.]((?:19|20)\d\d)(?!\S)", re.ASCII)
_NAMED_MONTH_YEAR = re.compile(rf"(?<!\S){_MONTH}\.?,?[ -]((?:19|20)\d\d)(?!\S)", re.IGNORECASE)
_SHORT = re.compile(r"(?<!\S)(\d{1,2})([-/.])(\d{1,2})\2(\d{2})(?!\S)", re.ASCII)
_YEAR_FIRST = re.compile(r"(?<!\S)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\S)", re.ASCII)
_DAY_FIRST = re.compile(r"(?<!\S)(\d{1,2})([-/. ])(\d{1,2})\2(\d{4})(?!\S)", re.ASCII)
_DAY_MONTH = re.compile(rf"(?<!\S)(\d{{1,2}})(?:st|nd|rd|th)?[ -]{_MONTH}\.?,?[ -](\d{{4}})(?!\S)", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"(?<!\S){_MONTH}\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})(?!\S)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<!\S)[+(]?\d[\d ()/.\-]*\d(?!\S)", re.ASCII)


class Span(NamedTuple):
    """Days from the first to the last, both included: one birth date, or all of a month or a year."""

    first: date
    last: date


class Term(NamedTuple):
    """One part of the typed text, with all its possible readings.

    A reading matches where each of its parts begins a word of the patient; `exact` are whole words that match as well.
    `name_parts` are the words of the term where it can be a name; these may contain mistakes. `born` are the birth
    dates that it can mean, `begins` the first digits of the telephone numbers that it can mean, in E.164.
    """

    readings: tuple[tuple[str, ...], ...]
    exact: tuple[str, ...] = ()
    name_parts: tuple[str, ...] = ()
    born: Span | None = None
    begins: tuple[str, ...] = ()


class ParsedSearch(NamedTuple):
    """Everything that was typed. `birth_dates` are the readings of the one date in it.

    `as_dialled`: it has a number that depends on the country, because it may be whole or begins with a zero.
    """

    text: str
    birth_dates: tuple[Span, ...]
    numbers: tuple[Term, ...]
    words: tuple[Term, ...]
    as_dialled: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether the text contains nothing that can be searched for, such as '???'."""
        return bool(self.text) and not (self.birth_dates or self.numbers or self.words)


def is_blank(text: str) -> bool:
    """Whether the text is empty without its invisible signs: a search for it would match everyone."""
    return not understand(text).text


def understand(text: str, country: str = "") -> ParsedSearch:
    """Parse a search text: a date first, then a telephone number as this country dials it, and the rest as words."""
    readable = "".join(letter if letter.isprintable() else " " for letter in bare(text)[:MAX_LETTERS])
    birth_dates, rest = _take_date(" ".join(readable.split()))
    numbers, as_dialled = [], False
    for number in _NUMBER.findall(rest):
        digits = sum(letter.isdigit() for letter in number)
        if digits >= FEWEST_DIGITS:
            as_dialled = as_dialled or digits >= WITHOUT_COUNTRY_CODE or number.lstrip("(").startswith("0")
            born = _year(int(number)) if _YEAR.fullmatch(number) else None
            numbers.append(phone_term(number, country)._replace(born=born))
            rest = rest.replace(number, " ", 1)
    words = [word_term(word) for word in re.split(r"[\s,;]+", rest)[:MAX_WORDS] if word]
    found = tuple(term for term in words if term.readings)
    return ParsedSearch(text.strip(), birth_dates, tuple(numbers), found, as_dialled)


def word_term(word: str) -> Term:
    """A word of a name, or the beginning of an e-mail address, or either."""
    lowered = word.lower()
    if "@" in word:
        return Term(((normal_email(word),),))
    parts = tuple(sorted(name_words(word)))
    readings = [parts] if parts else []
    if parts and lowered != plain(word):
        readings.append((lowered,))
    return Term(tuple(readings), name_parts=parts if all(part.isalpha() for part in parts) else ())


def phone_term(number: str, country: str = "") -> Term:
    """The end of a telephone number, with or without country code and zeros on either side, or its beginning.

    '+31 20 123 4567' matches the stored '020 123 4567', and the other way round. In some countries another digit than
    the zero comes before the area code, so the number is also read as this country dials it.
    """
    national = number.replace("(0)", "")
    digits = "".join(letter for letter in national if letter.isascii() and letter.isdigit()).lstrip("0")
    readings, exact = [(phone_word(digits) or PHONE + "0",)], []
    if country and len(digits) >= WITHOUT_COUNTRY_CODE and (whole := phones.dialled_as(number, country)):
        readings.append((phone_word(whole),))
    if len(digits) >= WITH_COUNTRY_CODE:
        for code in (1, 2, 3):
            own = phone_word(digits[code:].lstrip("0"))
            exact += [own, f"{own}0"]
            # For a number that is stored as '+31 (0)20 123 4567', whose digits include the zero.
            readings.append((f"{own}0{digits[:code][::-1]}",))
    return Term(tuple(readings), exact=tuple(exact), begins=phones.beginnings(national, country))


def _take_date(text: str) -> tuple[tuple[Span, ...], str]:
    """The readings of the first date in a text, and the text without it."""
    found, rest = _take_day(text)
    return (tuple(Span(day, day) for day in found), rest) if found else _take_month(text)


def _take_month(text: str) -> tuple[tuple[Span, ...], str]:
    """The readings of the first month of a year in a text, and the text without it."""
    if match := _YEAR_MONTH.search(text):
        year, month = int(match[1]), int(match[2])
    elif match := _MONTH_YEAR.search(text):
        year, month = int(match[2]), int(match[1])
    elif match := _NAMED_MONTH_YEAR.search(text):
        year, month = int(match[2]), _month(match[1])
    else:
        return (), text
    if not 1 <= month <= len(MONTHS):
        return (), text
    span = Span(date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1]))
    return (span,), f"{text[: match.start()]} {text[match.end() :]}".strip()


def _year(year: int) -> Span:
    return Span(date(year, 1, 1), date(year, 12, 31))


def _take_day(text: str) -> tuple[tuple[date, ...], str]:
    if match := _YEAR_FIRST.search(text):
        year, month, day = (int(part) for part in match.groups())
        found = _dates((year, month, day))
    elif match := _DAY_FIRST.search(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        # The day comes first, unless only the month-first reading is a date.
        found = _dates((year, second, first)) or _dates((year, first, second))
    elif match := _DAY_MONTH.search(text):
        found = _dates((int(match[3]), _month(match[2]), int(match[1])))
    elif match := _MONTH_DAY.search(text):
        found = _dates((int(match[3]), _month(match[1]), int(match[2])))
    elif match := _SHORT.search(text):
        first, second = int(match[1]), int(match[3])
        years = [century + int(match[4]) for century in (1900, 2000)]
        found = _dates(*((year, second, first) for year in years)) or _dates(*((year, first, second) for year in years))
    else:
        return (), text
    if not found:
        return (), text
    return found, f"{text[: match.start()]} {text[match.end() :]}".strip()


def _dates(*candidates: tuple[int, int, int]) -> tuple[date, ...]:
    """Those of the candidates, as year, month and day, that are in the calendar."""
    found = []
    for year, month, day in candidates:
        with suppress(ValueError):
            found.append(date(year, month, day))
    return tuple(found)


def _month(name: str) -> int:
    return MONTHS.index(name[:3].lower()) + 1

"""The parts of a person's name that Docket needs: the initials, and the position in sorted lists.

A name is one text, as its owner writes it. These rules read it:

- Titles before it and after it are no part of it: "Dr.", "Prof.", "mw.", "Jr.", "PhD".
- "Berg, Anna van der" has the family name before the comma.
- Names in Chinese, Japanese or Korean letters have the family name first.
- Else the last word is the family name, with the words before it that belong to it, such as "van der". These count in
  the order if the first of them has a capital, as Belgians and Americans write it: Anna Van den Berg is under V, and
  Anna van den Berg under B, as in the Netherlands.

A family name of two words without a hyphen cannot be distinguished from a second given name: such a name is sorted
under its last word.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from webapp.core.text import PLAIN_LETTERS, normalized


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TITLES = _words(
    "dr prof drs ir ing mr mrs ms miss mx sir dame mevr mw dhr fr hr herr frau mag dott dottssa sr sra srta m mme mlle"
    " doctor professor rev"
)
_AFTER = _words("jr sr ii iii iv md phd msc bsc ma mph rn facs frcp dds do")
_PARTICLES = _words(
    "van der den de het 't ter ten te von vom zu zum zur dem di da del della dei dal la le les du des dos das do e y"
    " af av bin ibn bint al el ben st"
)
_FAMILY_FIRST = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# More than any key needs: a name has at most 120 letters, of which few become two.
KEY_LETTERS = 254
_KEY_LETTERS = PLAIN_LETTERS | str.maketrans(
    {"þ": "th", "ð": "d", "œ": "oe", "ŧ": "t", "ħ": "h", "ŋ": "n"} | dict.fromkeys("-\u2010\u2011\u2013", " ")
)


class Parts(NamedTuple):
    """A name without its titles, each part as it is written; any may be ''."""

    given: str
    particles: str
    family: str


def parts_of(name: str) -> Parts:
    """Take a name apart by the rules above."""
    before, comma, after = name.partition(",")
    if comma and without_titles(after):
        given = without_titles(after)
        own = _run(given, len(given))
        return Parts(" ".join(given[:own]), " ".join(given[own:]), " ".join(without_titles(before)))
    words = without_titles(before)
    if not words:
        return Parts("", "", name.strip())
    if len(words) > 1 and _FAMILY_FIRST.search(words[0]):
        return Parts(" ".join(words[1:]), "", words[0])
    first = _run(words, len(words) - 1)
    particles, family = words[first:-1], words[-1:]
    if particles and particles[0][:1].isupper():
        particles, family = [], words[first:]
    return Parts(" ".join(words[:first]), " ".join(particles), " ".join(family))


def sort_key_of_new(row: Any) -> str:
    """The key of a row that is inserted, as the default of its column; an update of the name writes the key, too."""
    return sort_key(str(row.get_current_parameters()["name"]))


def without_titles(name: str) -> list[str]:
    """The words of a name without the titles before and after it."""
    words = name.split()
    while len(words) > 1 and words[0].casefold().replace(".", "") in TITLES:
        words.pop(0)
    while len(words) > 2 and words[-1].casefold().replace(".", "") in _AFTER:
        words.pop()
    return words


def initials(name: str) -> list[str]:
    """The first letter of each word of a name, titles left out."""
    return [word[0].upper() for word in without_titles(name.replace(",", " "))] or [name.strip()[:1].upper()]


def before_stop(text: str) -> str:
    """A name at the end of a sentence, whose full stop it may have already, as 'Sam Davis Jr.' has."""
    return text.removesuffix(".")


def sort_key(name: str) -> str:
    """The text by whose code points names are sorted: family name first, without accents, in lower case."""
    parts = parts_of(name)
    # Two spaces sort all members of a family before longer family names with the same beginning.
    return "  ".join(_key(part) for part in (parts.family, parts.given, parts.particles) if part)[:KEY_LETTERS]


def _run(words: list[str], end: int) -> int:
    """The index at which the particles before the word at `end` begin."""
    first = end
    while first > 0 and words[first - 1].casefold().replace("’", "'") in _PARTICLES:
        first -= 1
    # "Al Pacino" and "El Greco" begin with no particle, but with a name.
    return 1 if first == 0 and words[0][:1].isupper() and len(words) > 1 else first


def _key(text: str) -> str:
    decomposed = normalized("NFKD", text.casefold().translate(_KEY_LETTERS))
    return " ".join("".join(letter for letter in decomposed if letter.isalnum() or letter == " ").split())

"""The clinic's own words for its specialties and visit types, by which patients find them.

They are one text with a line for each: 'Dermatology: skin, moles, rash'.
"""

from __future__ import annotations

from webapp.core.text import plain


def lines_of(text: str) -> list[tuple[str, str]]:
    """The lines as pairs: the specialty or visit type, and the words for it. Empty lines do not count.

    Raises:
        ValueError: a line has no name, no colon, or no words.
    """
    pairs = []
    for line in text.splitlines():
        name, _colon, words = line.partition(":")
        if not line.strip():
            continue
        if not name.strip() or not words.strip(" ,"):
            raise ValueError("Write each line as a name, a colon and words.")
        pairs.append((name.strip(), words.strip()))
    return pairs


def readable_lines(text: str) -> str:
    """The text without empty lines and spaces around its parts.

    Raises:
        ValueError: a line cannot be read.
    """
    return "\n".join(f"{name}: {words}" for name, words in lines_of(text))


def words_by_subject(text: str) -> dict[str, str]:
    """The words for each specialty or visit type, by its plain name. Lines that cannot be read are left out."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _colon, words = line.partition(":")
        if subject := plain(name).strip():
            found[subject] = f"{found.get(subject, '')} {words.strip()}".strip()
    return found

"""Plain letters, for addresses and for searching."""

from __future__ import annotations

import unicodedata

# Letters that do not come apart into a plain letter and its accent; and marks that nobody types alike.
PLAIN_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "’": "", "'": ""})


def plain(text: str) -> str:
    """Lower case without accents, so that a search forgives both."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(PLAIN_LETTERS))
    return "".join(letter for letter in decomposed if letter.isalnum() or letter == " ")

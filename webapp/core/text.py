"""Plain letters, for addresses and for searching."""

from __future__ import annotations

import unicodedata

# Letters that cannot be decomposed into a plain letter and an accent; and marks that people type in different ways.
PLAIN_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "’": "", "'": ""})


def plain(text: str) -> str:
    """Lower case without accents, so that a search ignores both."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(PLAIN_LETTERS))
    return "".join(letter for letter in decomposed if letter.isalnum() or letter == " ")

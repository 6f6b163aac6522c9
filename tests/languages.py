"""A pseudo-language for tests: every letter of a message is wide, so that untranslated text can be recognised.

Babel's own words are Greek in it. ASCII letters on a page are then data, or a text that was not translated for its
reader.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from gettext import NullTranslations
from typing import Any

from starlette.testclient import TestClient

from tests.reading import Element
from webapp.i18n import Language

# Babel needs the patterns of dates unchanged. Placeholders and HTML in a message stay unchanged, too.
_PATTERN = re.compile(r"[EMdy ]+")
_KEPT = re.compile(r"%\(\w+\)[sd]|%%|<[^>]*>|&\w+;")
_WIDE = {letter: letter + 0xFEE0 for letter in (*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1))}
# Attributes that users read, or that screen readers read out, beside the text.
READ_ATTRIBUTES = (
    "title",
    "aria-label",
    "placeholder",
    "alt",
    "label",
    "data-offline",
    "data-slow",
    "data-busy",
    "data-broken",
)
_WORD = re.compile(r"[A-Za-z]{2,}")
_ADDRESS = re.compile(r"\bhttps?://\S+")


def wide(message: str) -> str:
    """The message in the pseudo-language."""
    if _PATTERN.fullmatch(message):
        return message
    kept = _KEPT.findall(message)
    parts = [part.translate(_WIDE) for part in _KEPT.split(message)]
    return "".join(part + place for part, place in zip(parts, [*kept, ""], strict=True))


class Wide(NullTranslations):
    """A catalogue that translates every message."""

    def gettext(self, message: str) -> str:
        return wide(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return wide(msgid1 if n == 1 else msgid2)


PSEUDO = Language("xx", "el_GR", Wide())


def speak(client: TestClient, language: Language) -> None:
    """Let the application behind this client use this language for all requests."""
    app: Any = client.app
    app.state.language_of = lambda _scope: language


def untranslated(page: Element) -> list[str]:
    """The pieces of a page with untranslated words: data, or forgotten texts."""
    return [piece for piece in pieces(page) if has_words(piece)]


def has_words(text: str) -> bool:
    """Whether a text has untranslated words."""
    return _WORD.search(_ADDRESS.sub("", text)) is not None


def without(texts: Iterable[str], data: Collection[str]) -> list[str]:
    """The texts that still have such words after removing the `data` from them, the longest first."""
    found = sorted(set(texts))
    everything = "\n".join(found)
    inside = sorted((each for each in data if len(each) > 1 and each in everything), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, inside)) or "(?!)")
    return [text for text in found if has_words(pattern.sub(" ", _ADDRESS.sub("", text)))]


def pieces(element: Element) -> Iterator[str]:
    """Every text of a page, and every attribute that is read, except in parts that are marked as another language."""
    if element.name in {"script", "style"} or element.get("lang") not in {None, PSEUDO.tag}:
        return
    for name in READ_ATTRIBUTES:
        value = element.get(name)
        if value:
            yield value
    if element.name == "meta" and element.get("name") == "description":
        yield element["content"]
    for child in element.children:
        if isinstance(child, Element):
            yield from pieces(child)
        elif child.strip():
            yield " ".join(child.split())

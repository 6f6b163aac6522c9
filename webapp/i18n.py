"""The reader's language, and Docket's sentences, each translated when it is read.

Every sentence is marked in the code. `gettext` (imported as `_`) translates immediately, so it belongs inside
functions. In a module or a class, `lazy_gettext` (imported as `_l`) makes a `Sentence`, which is translated each time
that it is read. A context variable holds the reader's language. Middleware sets it for each request, and it travels
into worker threads; a message is rendered in the language of its recipient.

Python's own gettext() looks for catalogues on the disk at every call, so this module holds the catalogues.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from gettext import NullTranslations
from typing import Any, NamedTuple, cast

from markupsafe import Markup, escape


class Language(NamedTuple):
    """A language that Docket speaks.

    `tag` is its name in pages, such as 'en'; `locale` is Babel's name for it, which gives the formats and names of
    dates.
    """

    tag: str
    locale: str
    translations: NullTranslations


ENGLISH = Language("en", "en_GB", NullTranslations())

_reader: ContextVar[Language] = ContextVar("reader", default=ENGLISH)


def language() -> Language:
    """The reader's language."""
    return _reader.get()


def language_tag() -> str:
    """The reader's language as pages name it: 'en'."""
    return _reader.get().tag


@contextmanager
def speaking(spoken: Language) -> Iterator[None]:
    """Use this language until the end of the block, in this thread or task."""
    token = _reader.set(spoken)
    try:
        yield
    finally:
        _reader.reset(token)


def gettext(message: str) -> str:
    """The message in the reader's language."""
    return _reader.get().translations.gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    """The message for this number, in the reader's language."""
    return _reader.get().translations.ngettext(singular, plural, n)


class Sentence:
    """A marked sentence, translated each time that it is read: by str(), in an f-string, by %, in a template.

    It is deliberately no str. A str would stay untranslated in join(), in JSON and in the methods of str; a Sentence
    fails there, and mypy reports it.
    """

    __slots__ = ("message",)

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return gettext(self.message)

    def __html__(self) -> Markup:
        return escape(gettext(self.message))

    def __format__(self, spec: str) -> str:
        return format(gettext(self.message), spec)

    def __mod__(self, values: Any) -> str:
        text: str = gettext(self.message) % values
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sentence) and other.message == self.message

    def __hash__(self) -> int:
        return hash(self.message)

    def __repr__(self) -> str:
        return f"Sentence({self.message!r})"


def lazy_gettext(message: str) -> Sentence:
    """Mark a sentence in a module or a class."""
    return Sentence(message)


def lazy_form_text(message: str | Sentence) -> str:
    """Mark a sentence of a form field: WTForms declares a str, but only uses str() and %."""
    return cast(str, message if isinstance(message, Sentence) else Sentence(message))

"""Parts of pages that a process draws once for each state of what they show."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from webapp.clinic.schedule_versions import versions_seen
from webapp.clinic.service import Clinic
from webapp.database import LEAST_WEIGHT
from webapp.i18n import language_tag

# The weight of a drawn part: see `VersionCache`.
LETTERS_OF_WEIGHT = 75


def drawn(session: Session, key: Hashable, state: object, draw: Callable[[], str]) -> str:
    """What `draw` makes in the reader's language, or what this process made of the same state before.

    `state` has everything that is drawn, so that the part can never be out of date. A part that comes under the same
    `key` in another state takes the place of the one before.
    """
    versions = versions_seen(session)
    if versions is None:
        return draw()
    key = (key, language_tag())
    found: str | None = versions.cache.find(key, state)
    if found is None:
        found = draw()
        versions.cache.keep(key, state, found, weight=LEAST_WEIGHT + len(found) // LETTERS_OF_WEIGHT)
    return found


class Draw(Protocol):
    """Draws a part of a page with a macro, once for each state of its values."""

    def __call__(self, macro: Callable[..., str], *values: object, place: Hashable = None) -> str:
        """The part; `place` tells apart those that one macro draws on the page."""


def drawer(session: Session, clinic: Clinic, page: Hashable, *, now: datetime) -> Draw:
    """A function that draws parts of a page. Their macros use only values, the clinic's clock and today's date."""
    clock = (clinic.zone, clinic.today(now))

    def draw(macro: Callable[..., str], *values: object, place: Hashable = None) -> str:
        return drawn(session, (page, macro, place), (values, clock), lambda: macro(*values))

    return draw

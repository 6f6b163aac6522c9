"""Parts of pages that a process draws once for each state of what they show."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from sqlalchemy.orm import Session

from webapp.clinic.schedule_versions import versions_seen
from webapp.i18n import language_tag

# What a drawn part weighs: see `VersionCache`.
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
        versions.cache.keep(key, state, found, weight=len(found) // LETTERS_OF_WEIGHT)
    return found

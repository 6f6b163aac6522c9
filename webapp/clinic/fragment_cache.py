"""A cache of rendered fragments: a process renders a part of a page once for each state of its data."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from webapp.clinic.schedule_versions import Versions, versions_seen, weight_of_text
from webapp.clinic.service import Clinic
from webapp.i18n import language_tag


def cached_fragment(session: Session, key: Hashable, state: object, render: Callable[[], str]) -> str:
    """The fragment in the reader's language, rendered now unless it is cached for this state.

    `state` holds all data that the fragment shows, so a cached fragment is never out of date. The cache has one
    fragment for each `key` and language; a new state replaces it.
    """
    return _cached(versions_seen(session), (key, language_tag()), state, render)


def _cached(versions: Versions | None, key: Hashable, state: object, render: Callable[[], str]) -> str:
    if versions is None:
        return render()
    # The state is often larger than the fragment.
    return versions.cache.get(key, state, render, weigh=lambda text: weight_of_text(text + repr(state)))


class FragmentCache(Protocol):
    """Renders a fragment with a template's macro, once for each state of the macro's values."""

    def __call__(self, macro: Callable[..., str], *values: object, place: Hashable = None) -> str:
        """The fragment. If a page calls one macro several times, `place` distinguishes the calls."""


def fragment_cache(session: Session, clinic: Clinic, page: Hashable, *, now: datetime) -> FragmentCache:
    """The cache for the fragments of a page. Its macros may use only their values, the clinic's time zone and today's
    date.
    """
    versions, language, clock = versions_seen(session), language_tag(), (clinic.zone, clinic.today(now))

    def cached(macro: Callable[..., str], *values: object, place: Hashable = None) -> str:
        return _cached(versions, (page, macro, place, language), (values, clock), lambda: macro(*values))

    return cached

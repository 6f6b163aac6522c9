"""Security events with the names of people, for admins who ask who tried to get in."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.audit import queries as log
from webapp.audit.queries import CountedEvent, SecurityFilter
from webapp.auth import queries as accounts
from webapp.core.pagination import Cursor
from webapp.i18n import gettext as _
from webapp.staff.audit.words import WAYS, security_words


class SecurityEntry(NamedTuple):
    """One row in words. `href` leads to the account, if it is known; `about` is a way of signing in or the pattern of a
    page.
    """

    id: int
    at: datetime
    who: str
    href: str | None
    did: str
    about: str
    network: str
    times: int


def list_entries(session: Session, wanted: SecurityFilter, *, cursor: Cursor[int], limit: int) -> list[SecurityEntry]:
    """Rows from a cursor in words, always with the same two queries."""
    found = log.list_security_events(session, wanted, cursor=cursor, limit=limit)
    people = accounts.names_of(session, [event.actor_user_id for event in found if event.actor_user_id])
    return [_in_words(event, people.get(event.actor_user_id)) for event in found]


def _in_words(event: CountedEvent, person: accounts.UserName | None) -> SecurityEntry:
    unknown = _("Deleted account") if event.actor_user_id else _("Unknown person")
    return SecurityEntry(
        id=event.id,
        at=event.last_at,
        who=person.name if person else unknown,
        href=f"/admin/users/{event.actor_user_id}" if person else None,
        did=security_words(event.action),
        about=str(WAYS.get(event.about, event.about)),
        network=event.network,
        times=event.times,
    )

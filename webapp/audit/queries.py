"""Reading the audit log, the newest first. This module knows only ids; the rooms above know their names.

Rows are ordered by time, and by id within a second. An index holds this order, so a page costs the same however long
the log is, and dates only limit the range of the index. The rows about one patient, or by one user, are found by
other indexes, and are few enough to be sorted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit.models import AuditEvent, SecurityEvent
from webapp.core.pagination import FIRST_PAGE, Cursor
from webapp.database import count_up_to, seek, table_of

CHUNK = 500

_EVENT = table_of(AuditEvent).c
_SEEN = table_of(SecurityEvent).c


class EventFilter(NamedTuple):
    """Which rows. None matches every row, and an empty sequence no row.

    `actors` are ids of users. `subjects` are kinds of rows, each with its ids or a query that finds them. `since` is
    included, `until` is not.
    """

    actors: Sequence[int] | None = None
    subjects: Sequence[tuple[str, Sequence[int] | sa.Select[int]]] | None = None
    action: str = ""
    since: datetime | None = None
    until: datetime | None = None
    address: str = ""


class LoggedEvent(NamedTuple):
    """One row of the log."""

    id: int
    at: datetime
    actor_user_id: int | None
    actor_role: str
    action: str
    subject_type: str
    subject_id: int
    details: dict[str, object]
    address: str


def list_events(
    session: Session, wanted: EventFilter, *, cursor: Cursor[int] = FIRST_PAGE, limit: int
) -> list[LoggedEvent]:
    """Rows of the log from a cursor, in reading order: the newest first, unless backwards."""
    query = sa.select(*(_EVENT[name] for name in LoggedEvent._fields)).where(*_conditions(wanted))
    here = None
    if cursor.place is not None:
        at = session.scalar(sa.select(_EVENT.at).where(_EVENT.id == cursor.place))
        if at is None:
            return []
        here = (at, cursor.place)
    query = seek(query, (_EVENT.at, _EVENT.id), here, falling=not cursor.backwards)
    return [LoggedEvent(*row) for row in session.execute(query.limit(limit))]


def count_events(session: Session, wanted: EventFilter, *, most: int | None = None) -> int:
    """How many rows match; with `most`, one more than that stands for any greater number."""
    return count_up_to(session, sa.select(_EVENT.id).where(*_conditions(wanted)), most)


def all_events(session: Session, wanted: EventFilter) -> Iterator[list[LoggedEvent]]:
    """All rows that match, the newest first, in batches as the database finds them."""
    query = sa.select(*(_EVENT[name] for name in LoggedEvent._fields)).where(*_conditions(wanted))
    query = seek(query, (_EVENT.at, _EVENT.id), None, falling=True).execution_options(yield_per=CHUNK)
    for rows in session.execute(query).partitions():
        yield [LoggedEvent(*row) for row in rows]


def _conditions(wanted: EventFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.actors is not None:
        found.append(_EVENT.actor_user_id.in_(wanted.actors))
    if wanted.subjects is not None:
        # The condition selects ids of rows, which the index of subjects finds first. Next to an order by time, a
        # planner that misjudges such a condition would read the whole log.
        parts = [
            sa.select(_EVENT.id).where(_EVENT.subject_type == kind, _EVENT.subject_id.in_(ids))
            for kind, ids in wanted.subjects
        ]
        found.append(_EVENT.id.in_(sa.union_all(*parts)) if parts else sa.false())
    if wanted.action:
        found.append(_EVENT.action == wanted.action)
    if wanted.since is not None:
        found.append(_EVENT.at >= wanted.since)
    if wanted.until is not None:
        found.append(_EVENT.at < wanted.until)
    if wanted.address:
        found.append(_EVENT.address == wanted.address)
    return found


def find_action_time(
    session: Session,
    actions: Sequence[str],
    *,
    actor_user_id: int | None,
    subject: tuple[str, int] | None,
    since: datetime,
    ago: int,
) -> datetime | None:
    """When the `ago`-th last of these actions happened (1 is the last); None if there were fewer.

    They are the actions of an account or, without `actor_user_id`, of clients without an account on `subject`.
    """
    conditions = [_EVENT.actor_user_id.is_(None) if actor_user_id is None else _EVENT.actor_user_id == actor_user_id]
    if subject is not None:
        conditions += [_EVENT.subject_type == subject[0], _EVENT.subject_id == subject[1]]
    query = sa.select(_EVENT.at).where(*conditions, _EVENT.action.in_(actions), _EVENT.at > since)
    return session.scalar(query.order_by(_EVENT.id.desc()).offset(ago - 1).limit(1))


class SecurityFilter(NamedTuple):
    """Which security events; None and '' match every one. `since` is included, `until` is not."""

    actors: Sequence[int] | None = None
    action: str = ""
    since: datetime | None = None
    until: datetime | None = None
    network: str = ""


class CountedEvent(NamedTuple):
    """An event that happened `times` times in the minute from `minute` on, the last time at `last_at`."""

    id: int
    minute: datetime
    last_at: datetime
    action: str
    actor_user_id: int
    about: str
    network: str
    times: int


def list_security_events(
    session: Session, wanted: SecurityFilter, *, cursor: Cursor[int], limit: int
) -> list[CountedEvent]:
    """Security events from a cursor, in reading order: the newest first, unless backwards."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.actors is not None:
        conditions.append(_SEEN.actor_user_id.in_(wanted.actors))
    if wanted.action:
        conditions.append(_SEEN.action == wanted.action)
    if wanted.since is not None:
        conditions.append(_SEEN.minute >= wanted.since)
    if wanted.until is not None:
        conditions.append(_SEEN.minute < wanted.until)
    if wanted.network:
        conditions.append(_SEEN.network == wanted.network)
    here = None
    if cursor.place is not None:
        minute = session.scalar(sa.select(_SEEN.minute).where(_SEEN.id == cursor.place))
        if minute is None:
            return []
        here = (minute, cursor.place)
    columns = [_SEEN["count" if name == "times" else name] for name in CountedEvent._fields]
    query = sa.select(*columns).where(*conditions)
    query = seek(query, (_SEEN.minute, _SEEN.id), here, falling=not cursor.backwards)
    return [CountedEvent(*row) for row in session.execute(query.limit(limit))]

"""Reading the outbox, newest message first. Modules above this one know whom the messages are about.

A page costs the same however many messages there are: the newest are found by their ids, and rare ones by a separate
index. Results of other conditions are first looked up as ids; combined with the order by id, a planner that guesses
wrong would scan the whole outbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.core.pagination import Cursor
from webapp.database import UtcDateTime, rows, seek, table_of
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.notifications.models import DEAD, KEPT, SMS, UNDELIVERED, OutboxMessage
from webapp.sql_functions import fixed

# If a message waits longer than this, no worker runs, or its mail server cannot be reached.
LATE = timedelta(minutes=15)
# The highest code point: all texts that begin with a prefix sort before the prefix followed by this.
LAST = "\U0010ffff"
TROUBLE = "trouble"

_MESSAGE = table_of(OutboxMessage).c
_UNDELIVERED_IDS = sa.select(_MESSAGE.id).where(UNDELIVERED)


class NoSuchMessage(NotFound):
    """There is no message with this id, or not for this reader."""

    def __init__(self) -> None:
        super().__init__(_("Message not found."))


class About(NamedTuple):
    """Messages about one subject; with `naming`, those whose values contain this word."""

    subject_type: str
    subject_id: int
    naming: str = ""


class MessageFilter(NamedTuple):
    """A selection of messages. None disables a filter, and an empty sequence matches nothing.

    `state` is a message's status, or 'trouble': not delivered yet, and failed once or late.
    """

    state: str = ""
    channel: str = ""
    recipients: Sequence[str] | None = None
    about: Sequence[About] | None = None
    templates: Sequence[str] | None = None


class MessageRow(NamedTuple):
    """One message in a list."""

    id: int
    channel: str
    recipient: str
    template: str
    subject_type: str
    subject_id: int
    status: str
    due_at: datetime
    tries: int
    last_error: str
    created_at: datetime
    finished_at: datetime | None


class StoredMessage(NamedTuple):
    """One message in full, with the values that it is rendered from."""

    id: int
    message_id: str
    channel: str
    recipient: str
    template: str
    values: dict[str, Any]
    subject_type: str
    subject_id: int
    status: str
    due_at: datetime
    expires_at: datetime
    tries: int
    lease_until: datetime | None
    last_error: str
    created_at: datetime
    finished_at: datetime | None


class Standstill(NamedTuple):
    """Since when overdue messages have been waiting, and the last error; '' if none was tried."""

    since: datetime
    last_error: str


def list_messages(
    session: Session, wanted: MessageFilter, *, cursor: Cursor[int], now: datetime, limit: int
) -> list[MessageRow]:
    """Messages from a cursor on, newest first, or oldest first for a cursor that reads backwards."""
    query = sa.select(*(_MESSAGE[name] for name in MessageRow._fields)).where(*_conditions(wanted, now))
    here = None if cursor.place is None else (cursor.place,)
    query = seek(query, (_MESSAGE.id,), here, falling=not cursor.backwards)
    return [MessageRow(*row) for row in session.execute(query.limit(limit))]


def find_recipients(session: Session, beginning: str, *, limit: int) -> list[str]:
    """Up to `limit` recipients whose address has this prefix."""
    address = _MESSAGE.recipient
    query = sa.select(address).distinct().where(address >= beginning, address < beginning + LAST).order_by(address)
    return list(session.scalars(query.limit(limit)))


def get_message(session: Session, number: int) -> StoredMessage:
    """One message.

    Raises:
        NotFound: no message has this id.
    """
    row = session.execute(_STORED.where(_MESSAGE.id == number)).one_or_none()
    if row is None:
        raise NoSuchMessage
    return StoredMessage(*row)


def list_dead(session: Session, *, since: datetime, limit: int) -> list[StoredMessage]:
    """Of the newest `limit` messages that were given up, those given up after `since`, newest first."""
    newest = sa.select(_MESSAGE.id).where(DEAD).order_by(_MESSAGE.id.desc()).limit(limit)
    query = _STORED.where(_MESSAGE.id.in_(newest), DEAD, _MESSAGE.finished_at > since).order_by(_MESSAGE.id.desc())
    return [StoredMessage(*row) for row in session.execute(query)]


# Built once, at their first use.
@cache
def count_dead(most: int) -> sa.Select[*tuple[Any, ...]]:
    """The query that counts how many of the newest `most` messages that were given up were given up after `since`."""
    newest = sa.select(_MESSAGE.finished_at).where(DEAD).order_by(_MESSAGE.id.desc()).limit(fixed(most)).subquery()
    since = sa.bindparam("since", type_=UtcDateTime)
    return sa.select(sa.func.count()).select_from(newest).where(newest.c.finished_at > since)


@cache
def _oldest_late() -> sa.Select[*tuple[Any, ...]]:
    late, now = sa.bindparam("late", type_=UtcDateTime), sa.bindparam("now", type_=UtcDateTime)
    # A parameter would make SQLite compare its value with the condition of the partial index at each run.
    unclaimed = sa.or_(_MESSAGE.status == sa.literal_column("'waiting'"), _MESSAGE.lease_until <= now)
    failing = sa.and_(_MESSAGE.last_error != "", _MESSAGE.created_at <= late)
    return (
        sa.select(sa.case((_MESSAGE.due_at <= late, _MESSAGE.due_at), else_=_MESSAGE.created_at))
        .where(UNDELIVERED, unclaimed, sa.or_(_MESSAGE.due_at <= late, failing))
        .order_by(_MESSAGE.due_at)
        .limit(fixed(1))
    )


def find_standstill(session: Session, *, now: datetime) -> Standstill | None:
    """Whether messages are late, or have been failing for a while; None if everything is well."""
    since = rows(session, _oldest_late(), now=now, late=now - LATE).scalar()
    if since is None:
        return None
    failed = sa.select(_MESSAGE.last_error).where(UNDELIVERED, _MESSAGE.last_error != "")
    return Standstill(since, session.scalar(failed.order_by(_MESSAGE.due_at.desc()).limit(1)) or "")


_STORED = sa.select(*(_MESSAGE[name] for name in StoredMessage._fields))


def _conditions(wanted: MessageFilter, now: datetime) -> list[sa.ColumnElement[bool]]:
    found: list[Any] = []
    if wanted.state == "dead":
        found.append(DEAD)
    elif wanted.state == "kept":
        found.append(KEPT)
    elif wanted.state == TROUBLE:
        found += [_MESSAGE.id.in_(_UNDELIVERED_IDS), sa.or_(_MESSAGE.last_error != "", _MESSAGE.due_at <= now - LATE)]
    elif wanted.state in {"waiting", "sending"}:
        found += [_MESSAGE.id.in_(_UNDELIVERED_IDS), _MESSAGE.status == wanted.state]
    elif wanted.state:
        found.append(_MESSAGE.status == wanted.state)
    if wanted.channel:
        found.append(SMS if wanted.channel == "sms" else _MESSAGE.channel == wanted.channel)
    if wanted.templates is not None:
        found.append(_MESSAGE.template.in_(wanted.templates))
    if wanted.recipients is not None:
        found.append(_MESSAGE.id.in_(sa.select(_MESSAGE.id).where(_MESSAGE.recipient.in_(wanted.recipients))))
    if wanted.about is not None:
        parts = [sa.select(_MESSAGE.id).where(*_is_about(each)) for each in wanted.about]
        found.append(_MESSAGE.id.in_(sa.union_all(*parts)) if parts else sa.false())
    return found


def _is_about(about: About) -> list[sa.ColumnElement[bool]]:
    """The index finds the few messages about the subject; only these are searched for the word."""
    found = [_MESSAGE.subject_type == about.subject_type, _MESSAGE.subject_id == about.subject_id]
    if about.naming:
        found.append(sa.cast(_MESSAGE["values"], sa.Text).contains(about.naming, autoescape=True))
    return found

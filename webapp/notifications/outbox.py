"""Writing messages into the outbox, and withdrawing those that are no longer needed.

A message is a row in the same transaction as the change that it reports: either both are kept or neither. The caller
decides on recipient, template and values; this module knows no domain.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import database_now, rows, table_of
from webapp.notifications.models import UNDELIVERED, OutboxMessage
from webapp.sql_functions import insert_into

Channel = Literal["email", "sms"]
# After this time a message that could not be delivered is no longer news.
LIFETIME = timedelta(days=3)
# Stands for the address of a calendar event's page, which is signed when the message is rendered.
LINK = "{link}"
# Statements with more parameters take longer to parse than to run.
KEYS_AT_ONCE = 500
# A message in one of these states reaches its recipient, or will.
REACHES = ("waiting", "sending", "sent")


class Message(NamedTuple):
    """One message. `recipient` is an e-mail address or a telephone number.

    `values` is JSON: instants are text such as '2026-12-01T09:30:00Z', and nothing in it is secret. `due_at` is the
    earliest time to send it (None: now), `expires_at` the time after which it is given up (None: in three days).
    """

    dedupe_key: str
    channel: Channel
    recipient: str
    template: str
    values: dict[str, Any]
    subject: tuple[str, int]
    due_at: datetime | None = None
    expires_at: datetime | None = None


_OUTBOX = table_of(OutboxMessage)
# A message that is due now must also be due on the database's clock: the clock of this machine may be ahead.
_WRITTEN_AT = sa.bindparam("written_at", type_=_OUTBOX.c.due_at.type)
_EARLIER: dict[str, Any] = {"sqlite": sa.func.min, "postgresql": sa.func.least}
_GIVEN = [column for column in _OUTBOX.columns if column.name not in {"id", "due_at", "lease_until", "finished_at"}]


@cache
def _insert(dialect: str, *, waits: bool) -> Any:
    given = {column.name: sa.bindparam(f"the_{column.name}", type_=column.type) for column in _GIVEN}
    due_at = _WRITTEN_AT if waits else _EARLIER[dialect](_WRITTEN_AT, database_now())
    new = insert_into(_OUTBOX, dialect).values(given | {"due_at": due_at})
    return new.on_conflict_do_nothing().returning(_OUTBOX.c.id)


def enqueue(session: Session, message: Message, *, now: datetime) -> bool:
    """Put a message into the outbox; False if the outbox has or had one with the same key."""
    due_at = message.due_at or now
    values = {
        "dedupe_key": message.dedupe_key,
        "message_id": uuid.uuid4().hex,
        "channel": message.channel,
        "recipient": message.recipient,
        "template": message.template,
        "values": message.values,
        "subject_type": message.subject[0],
        "subject_id": message.subject[1],
        "status": "waiting",
        "expires_at": message.expires_at or due_at + LIFETIME,
        "tries": 0,
        "claimed_by": "",
        "last_error": "",
        "created_at": now,
    }
    insert = _insert(session.connection().dialect.name, waits=message.due_at is not None)
    given = {f"the_{name}": value for name, value in values.items()}
    return rows(session, insert, written_at=due_at, **given).scalar() is not None


def keys_in_outbox(session: Session, dedupe_keys: Collection[str]) -> set[str]:
    """Which of these keys belong to messages in the outbox, sent or not."""
    keys = sorted(dedupe_keys)
    found: set[str] = set()
    for first in range(0, len(keys), KEYS_AT_ONCE):
        asked = keys[first : first + KEYS_AT_ONCE]
        found.update(session.scalars(sa.select(_OUTBOX.c.dedupe_key).where(_OUTBOX.c.dedupe_key.in_(asked))))
    return found


def sent_since(session: Session, recipient: str, template: str, since: datetime) -> list[datetime]:
    """When messages with this template were written for a recipient after `since`, oldest first."""
    query = sa.select(OutboxMessage.created_at).where(
        OutboxMessage.recipient == recipient, OutboxMessage.template == template, OutboxMessage.created_at > since
    )
    return list(session.scalars(query.order_by(OutboxMessage.created_at)))


def count_sent_to(session: Session, recipient: str, since: datetime) -> int:
    """How many messages of any kind were written for a recipient after `since`."""
    query = sa.select(sa.func.count(OutboxMessage.id)).where(
        OutboxMessage.recipient == recipient, OutboxMessage.created_at > since
    )
    return session.scalar(query) or 0


def sent_about(session: Session, subject: tuple[str, int], template: str, since: datetime) -> list[datetime]:
    """When messages with this template were written about a subject after `since`, oldest first."""
    query = sa.select(OutboxMessage.created_at).where(
        OutboxMessage.subject_type == subject[0],
        OutboxMessage.subject_id == subject[1],
        OutboxMessage.template == template,
        OutboxMessage.created_at > since,
    )
    return list(session.scalars(query.order_by(OutboxMessage.created_at)))


def portions(ids: Collection[int]) -> list[list[int]]:
    """These ids in portions that are small enough for a query."""
    known = sorted(ids)
    return [known[at : at + KEYS_AT_ONCE] for at in range(0, len(known), KEYS_AT_ONCE)]


def recipients_of(session: Session, ids: Collection[int]) -> dict[int, str]:
    """The recipients of these messages by id; messages that were withdrawn or deleted are left out."""
    found: dict[int, str] = {}
    for some in portions(ids):
        query = sa.select(OutboxMessage.id, OutboxMessage.recipient).where(OutboxMessage.id.in_(some))
        found |= {row.id: row.recipient for row in session.execute(query)}
    return found


# Many appointments may change in one transaction, and building a statement takes longer than running it.
_KEYS = _OUTBOX.c.dedupe_key.like(sa.bindparam("keys", type_=sa.String), escape="/")
_ABOUT = (
    sa.select(_OUTBOX.c.id)
    .where(
        _OUTBOX.c.subject_type == sa.bindparam("subject_type", type_=sa.String),
        _OUTBOX.c.subject_id == sa.bindparam("subject_id", type_=sa.Integer),
        _KEYS,
    )
    .order_by(_OUTBOX.c.id)
)
_WITHDRAWN = sa.delete(_OUTBOX).where(
    sa.or_(
        sa.and_(
            _OUTBOX.c.subject_type == sa.bindparam("subject_type", type_=sa.String),
            _OUTBOX.c.subject_id.in_(sa.bindparam("subject_ids", expanding=True)),
        ),
        _OUTBOX.c.recipient.in_(sa.bindparam("recipients", expanding=True)),
    ),
    _OUTBOX.c.template == sa.bindparam("template", type_=sa.String),
    _KEYS,
    _OUTBOX.c.status == "waiting",
)


def _like(beginning: str) -> str:
    """The pattern, for LIKE, of the keys with this beginning."""
    return re.sub("([/%_])", r"/\1", beginning) + "%"


def ids_about(session: Session, subject: tuple[str, int], keys_beginning: str) -> list[int]:
    """The ids of the messages about a subject whose keys have this prefix, in the order in which they were written."""
    subject_type, subject_id = subject
    found = rows(session, _ABOUT, subject_type=subject_type, subject_id=subject_id, keys=_like(keys_beginning))
    return list(found.scalars())


def withdraw_to(session: Session, recipient: str, *, subject: tuple[str, int]) -> None:
    """Withdraw waiting messages about a subject to a recipient, for example with links that open nothing any more."""
    session.execute(
        sa.delete(OutboxMessage).where(
            OutboxMessage.recipient == recipient,
            OutboxMessage.subject_type == subject[0],
            OutboxMessage.subject_id == subject[1],
            OutboxMessage.status == "waiting",
        )
    )


def change_subject(
    session: Session, subject_type: str, before: int, after: int, *, only: Collection[int] | None = None
) -> list[int]:
    """Change the subject of messages, because two subjects became one; with `only`, just those with these ids.

    Returns the ids of the messages.
    """
    which = [OutboxMessage.subject_type == subject_type, OutboxMessage.subject_id == before]
    if only is not None:
        which.append(OutboxMessage.id.in_(only))
    moved = sa.update(OutboxMessage).where(*which).values(subject_id=after).returning(OutboxMessage.id)
    return list(session.scalars(moved.execution_options(synchronize_session=False)))


def withdraw(
    session: Session,
    template: str,
    *,
    subject_type: str,
    subject_ids: Collection[int],
    recipients: Collection[str],
    keys_beginning: str,
) -> None:
    """Withdraw waiting messages about one of these subjects or to one of these recipients, because they are no longer
    true. Their keys can be used again.
    """
    rows(
        session,
        _WITHDRAWN,
        template=template,
        subject_type=subject_type,
        subject_ids=list(subject_ids),
        recipients=list(recipients),
        keys=_like(keys_beginning),
    )


_ANY_WAITING = (
    sa.select(_OUTBOX.c.id).where(UNDELIVERED, _OUTBOX.c.template == sa.bindparam("template", type_=sa.String)).limit(1)
)


def is_any_waiting(session: Session, template: str) -> bool:
    """Whether a message of this kind is waiting: quicker than withdrawing a message that does not exist."""
    return rows(session, _ANY_WAITING, template=template).first() is not None


def send_again(session: Session, number: int, *, expires_at: datetime, now: datetime) -> bool:
    """Let a message that was given up be tried again until `expires_at`; False if it is not given up any more.

    It keeps its Message-ID, so a recipient who already got it does not see it twice.
    """
    revived = session.execute(
        sa.update(OutboxMessage)
        .where(OutboxMessage.id == number, OutboxMessage.status == "dead")
        .values(
            status="waiting",
            due_at=now,
            expires_at=expires_at,
            tries=0,
            claimed_by="",
            lease_until=None,
            last_error="",
            finished_at=None,
        )
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    )
    return revived.one_or_none() is not None

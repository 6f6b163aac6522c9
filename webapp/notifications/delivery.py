"""Delivers the messages in the outbox: claim a message for a while, send it, record the result.

Each step is a separate transaction, so no message is lost when a worker dies: a claim that was not marked in time can
be taken by any worker. If a worker dies between sending and marking, it is unknown whether the server took the message;
only then is it sent twice, with the same Message-ID.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from webapp.causes import cause_of, report
from webapp.database import Database, rows, table_of
from webapp.exceptions import Unavailable
from webapp.notifications.exceptions import NotAccepted, PermanentRefusal, ServerUnavailable, TemporaryRefusal
from webapp.notifications.models import UNDELIVERED, OutboxMessage
from webapp.notifications.outbox import Channel
from webapp.notifications.rendering import Rendered

logger = logging.getLogger(__name__)

# Longer than any sender may take for one message; see the timeouts in mail.py and sms.py.
LEASE = timedelta(minutes=5)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
# An unforeseen error may pass; after this many tries the message no longer holds up later ones.
TRIES_AFTER_SURPRISES = 3
# The length of the column.
MOST_OF_A_REASON = 300


class ClaimedMessage(NamedTuple):
    """A message that this worker may send. `planned_for` is when it was to be sent; `tries` includes this one."""

    id: int
    message_id: str
    recipient: str
    template: str
    values: dict[str, Any]
    planned_for: datetime
    expires_at: datetime
    tries: int


class Sender(Protocol):
    """Hands messages of one channel over for delivery."""

    # The status of a message after it was taken: 'sent', or 'kept' in a file.
    outcome: str

    def send(self, recipient: str, message_id: str, message: Rendered) -> None:
        """Hand one message over; returns when it was accepted.

        Raises:
            Undelivered: it was not accepted.
        """

    def close(self) -> None:
        """Close connections until the next message."""


# ------------------------------------------------------------------------------------------ claiming and marking

_OUTBOX = table_of(OutboxMessage)
_EARLIER = _OUTBOX.alias("earlier")
# Messages about one appointment are sent in the order of events: "cancelled" never before "booked".
HAS_EARLIER = sa.exists().where(
    _EARLIER.c.subject_type == _OUTBOX.c.subject_type,
    _EARLIER.c.subject_id == _OUTBOX.c.subject_id,
    _EARLIER.c.recipient == _OUTBOX.c.recipient,
    _EARLIER.c.id < _OUTBOX.c.id,
    _EARLIER.c.status.in_(("waiting", "sending")),
)
_NOW = sa.bindparam("now", type_=_OUTBOX.c.due_at.type)
_CLAIMABLE = sa.or_(_OUTBOX.c.status == sa.literal_column("'waiting'"), _OUTBOX.c.lease_until <= _NOW)
_NEXT = (
    sa.select(_OUTBOX.c.id, _OUTBOX.c.due_at)
    .where(
        UNDELIVERED,
        _OUTBOX.c.channel == sa.bindparam("channel"),
        _OUTBOX.c.due_at <= _NOW,
        _OUTBOX.c.expires_at > _NOW,
        _CLAIMABLE,
        ~HAS_EARLIER,
    )
    .order_by(_OUTBOX.c.due_at, _OUTBOX.c.id)
    .limit(1)
)
# Several workers claim at once. SQLite has one writer at a time; on PostgreSQL each skips what another one has locked.
_NEXT_TO_CLAIM = _NEXT.with_for_update(skip_locked=True, of=_OUTBOX)


def is_any_due(session: Session, channel: Channel, *, now: datetime) -> bool:
    """Whether there is a message to claim. It only reads, so an idle worker does not block bookings."""
    return rows(session, _NEXT, channel=channel, now=now).first() is not None


def claim(session: Session, channel: Channel, *, worker: str, lease: timedelta, now: datetime) -> ClaimedMessage | None:
    """Claim the next due message for this worker until the lease ends; None if no message is due."""
    found = rows(session, _NEXT_TO_CLAIM, channel=channel, now=now).first()
    if found is None:
        return None
    row = session.execute(
        sa.update(_OUTBOX)
        .where(_OUTBOX.c.id == found.id)
        .values(status="sending", claimed_by=worker, lease_until=now + lease, tries=_OUTBOX.c.tries + 1)
        .returning(
            _OUTBOX.c.id,
            _OUTBOX.c.message_id,
            _OUTBOX.c.recipient,
            _OUTBOX.c.template,
            _OUTBOX.c["values"],
            _OUTBOX.c.due_at,
            _OUTBOX.c.expires_at,
            _OUTBOX.c.tries,
        )
    ).one()
    return ClaimedMessage(*row)


def mark(
    session: Session, claimed: ClaimedMessage, /, *, worker: str, status: str, now: datetime, **values: object
) -> bool:
    """Record the result for a message; False if the lease is over and another worker has claimed it."""
    finished = {} if status == "waiting" else {"finished_at": now}
    marked = session.execute(
        sa.update(_OUTBOX)
        .where(_OUTBOX.c.id == claimed.id, _OUTBOX.c.status == "sending", _OUTBOX.c.claimed_by == worker)
        .where(_OUTBOX.c.tries == claimed.tries)
        .values(status=status, claimed_by="", lease_until=None, **finished, **values)
        .returning(_OUTBOX.c.id)
    )
    return marked.first() is not None


def give_up_expired(session: Session, *, now: datetime) -> int:
    """Give up expired messages; returns how many. One that is being sent is left alone until its lease ends."""
    given_up = session.execute(
        sa.update(_OUTBOX)
        .where(UNDELIVERED, _OUTBOX.c.expires_at <= now)
        .where(sa.or_(_OUTBOX.c.status == "waiting", _OUTBOX.c.lease_until <= now))
        .values(
            status="dead",
            claimed_by="",
            lease_until=None,
            finished_at=now,
            last_error=sa.case((_OUTBOX.c.last_error == "", "old_news"), else_=_OUTBOX.c.last_error),
        )
        .returning(_OUTBOX.c.id)
    )
    return len(given_up.all())


def is_any_expired(session: Session, *, now: datetime) -> bool:
    """Whether `give_up_expired` would give up anything. It only reads."""
    query = sa.select(_OUTBOX.c.id).where(UNDELIVERED, _OUTBOX.c.expires_at <= now).limit(1)
    return session.execute(query).first() is not None


def pause_after(tries: int) -> timedelta:
    """How long to wait after this many tries: 15 seconds at first, doubled each time, up to an hour."""
    return min(FIRST_PAUSE * (1 << min(tries - 1, 20)), LONGEST_PAUSE)


# ------------------------------------------------------------------------------------------------------- courier


class Courier:
    """Delivers the messages of one channel, one after the other.

    `write_out` renders a template with its values. `earliest` returns the earliest time to send a message: it gets the
    session, the time that is wanted, when the message was planned for and when it expires. `clock` is the database's,
    unless a test has another one: a worker whose own clock is ahead would take messages that others are sending.
    """

    def __init__(
        self,
        database: Database,
        channel: Channel,
        sender: Sender,
        *,
        name: str,
        clock: Callable[[], datetime],
        write_out: Callable[[str, str, dict[str, Any]], Rendered],
        earliest: Callable[[Session, datetime, datetime, datetime], datetime] | None = None,
        lease: timedelta = LEASE,
    ) -> None:
        self.database = database
        self.channel: Channel = channel
        self.sender = sender
        self.name = f"{name}/{channel}"
        self.clock = clock
        self.write_out = write_out
        self.earliest = earliest
        self.lease = lease

    def deliver_next(self) -> bool:
        """Deliver the next due message; False if no message is due.

        Raises:
            ServerUnavailable: the server accepts no messages now; this one waits for its next try.
        """
        now = self.clock()
        with self.database.reading() as session:
            if not is_any_due(session, self.channel, now=now):
                return False
        claimed = self.database.write(self._claim, now=self.clock())
        if claimed is None:
            return False
        wait_until = self._wait_until(claimed)
        if wait_until is not None:
            self._mark(claimed, status="waiting", due_at=wait_until, tries=claimed.tries - 1)
            return True
        try:
            self.send(claimed)
        except PermanentRefusal as refusal:
            self._give_up(claimed, refusal.why)
        except NotAccepted as trouble:
            self._put_off(claimed, trouble.why)
            if isinstance(trouble, ServerUnavailable):
                raise
        else:
            self.mark_accepted(claimed)
        return True

    def send(self, claimed: ClaimedMessage) -> None:
        """Render a message and hand it over."""
        try:
            message = self.write_out(claimed.template, claimed.recipient, claimed.values)
        except Exception as error:
            # It would fail again in the same way, and hold back later messages about the same appointment. An admin
            # sees it, and can send it again when a new release has fixed the error.
            self._report_failure(claimed, "cannot be rendered", error)
            raise PermanentRefusal("not_written_out", type(error).__name__) from error
        try:
            self.sender.send(claimed.recipient, claimed.message_id, message)
        except NotAccepted:
            raise
        except Exception as error:
            self._report_failure(claimed, "cannot be handed over", error)
            kind = TemporaryRefusal if claimed.tries < TRIES_AFTER_SURPRISES else PermanentRefusal
            raise kind("not_written_out", type(error).__name__) from error

    def _report_failure(self, claimed: ClaimedMessage, what: str, error: Exception) -> None:
        cause = f"{claimed.template} {what}: {cause_of(error)}"
        report(logger, logging.ERROR, cause, "Message %d (%s) %s", claimed.id, claimed.template, what, error=error)

    def mark_accepted(self, claimed: ClaimedMessage) -> None:
        """Record that a message was handed over."""
        self._mark(claimed, status=self.sender.outcome, last_error="")

    def _claim(self, session: Session, *, now: datetime) -> ClaimedMessage | None:
        return claim(session, self.channel, worker=self.name, lease=self.lease, now=now)

    def _wait_until(self, claimed: ClaimedMessage) -> datetime | None:
        """When a due message may be sent, if not now."""
        now = self.clock()
        earliest = self._earliest(claimed, now)
        return earliest if earliest > now else None

    def _earliest(self, claimed: ClaimedMessage, wanted: datetime) -> datetime:
        if self.earliest is None:
            return wanted
        with self.database.reading() as session:
            return self.earliest(session, wanted, claimed.planned_for, claimed.expires_at)

    def _put_off(self, claimed: ClaimedMessage, why: str) -> None:
        due_at = self._earliest(claimed, self.clock() + pause_after(claimed.tries))
        if due_at >= claimed.expires_at:
            self._give_up(claimed, why)
            return
        logger.info("Message %d (%s) will be retried after try %d", claimed.id, claimed.template, claimed.tries)
        self._mark(claimed, status="waiting", due_at=due_at, last_error=why[:MOST_OF_A_REASON])

    def _give_up(self, claimed: ClaimedMessage, why: str) -> None:
        logger.warning("Message %d (%s) was given up after try %d", claimed.id, claimed.template, claimed.tries)
        self._mark(claimed, status="dead", last_error=why[:MOST_OF_A_REASON])

    def _mark(self, claimed: ClaimedMessage, **values: Any) -> None:
        """Mark a message; while the database is away, retry until the lease ends.

        Without the mark, a sent message would be sent again.
        """
        until = time.monotonic() + self.lease.total_seconds()
        pause = 0.1
        while True:
            try:
                ours = self.database.write(mark, claimed, worker=self.name, now=self.clock(), **values)
            except (Unavailable, SQLAlchemyError):
                if time.monotonic() + pause > until:
                    raise
                time.sleep(pause)
                pause = min(pause * 2, 10)
            else:
                if not ours:
                    logger.warning("Message %d was claimed by another worker before it was marked", claimed.id)
                return

"""Sends undelivered messages again, if they are still true.

A message that would contradict the clinic's data is not sent: about an appointment that is over, or was moved or
cancelled since, or with a link that is no longer valid. Newer messages say what is true now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.messages.appointment_messages import CANCELLED, LATE
from webapp.auth.addresses import confirmation
from webapp.auth.addresses import service as addresses
from webapp.auth.models import User
from webapp.auth.passwords import link_delivery, password_reset
from webapp.auth.schemas import Actor
from webapp.auth.sign_in import sign_in_codes
from webapp.exceptions import Conflict, Invalid
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.notifications import outbox as notifications
from webapp.notifications import queries as outbox
from webapp.notifications.outbox import LIFETIME
from webapp.notifications.queries import StoredMessage
from webapp.scheduling.models import ACTIVE, Appointment
from webapp.staff.messages.log import get_message, record

# At most this many recently failed messages are sent again together, the newest first.
MOST_AT_ONCE = 200
LATELY = timedelta(days=14)
# Messages with a link or code that expires, and what to do when it has.
EXPIRED = {
    password_reset.TEMPLATE: _l("Its link was valid for an hour and has expired. They can request a new one."),
    sign_in_codes.TEMPLATE: _l("Its code was valid for ten minutes and has expired. They can request a new one."),
    link_delivery.INVITATION: _l("Its link no longer works. Create a new one on the page of the account."),
}


class NotGivenUp(Conflict):
    """The message was sent, or another request has sent it again already."""

    code = "not_given_up"

    def __init__(self) -> None:
        super().__init__(_("This message can’t be sent again: it was delivered or is being sent."))


class MessageOutdated(Invalid):
    """The message is about something that is over or no longer true."""

    code = "no_news_any_more"


class RetryLimit(NamedTuple):
    """Until when a message may be tried again; None: not at all, for the reason `why`."""

    until: datetime | None
    why: str = ""


class RetryResult(NamedTuple):
    """How many messages were sent again, and how many were left out because they are no longer true."""

    again: int
    left: int


def send_again(session: Session, actor: Actor, number: int, *, now: datetime) -> None:
    """Send one message again.

    Raises:
        NotFound: no message has this id. NotGivenUp: 409. MessageOutdated: 422.
    """
    message = get_message(session, actor, number)
    if message.status != "dead":
        raise NotGivenUp
    limit = find_limits(session, [message], now=now)[number]
    if limit.until is None:
        raise MessageOutdated(limit.why)
    if not _revive(session, actor, message, limit.until, now=now):
        raise NotGivenUp


def send_all_again(session: Session, actor: Actor, *, now: datetime) -> RetryResult:
    """Send the messages again that failed lately and are still true."""
    found = list_lately_dead(session, now=now)
    limits = find_limits(session, found, now=now)
    untils = [(message, limits[message.id].until) for message in found]
    again = sum(until is not None and _revive(session, actor, message, until, now=now) for message, until in untils)
    return RetryResult(again, len(found) - again)


def count_resendable(session: Session, *, now: datetime) -> RetryResult:
    """The number of messages that `send_all_again` would send, and leave out."""
    limits = find_limits(session, list_lately_dead(session, now=now), now=now).values()
    again = sum(limit.until is not None for limit in limits)
    return RetryResult(again, len(limits) - again)


def list_lately_dead(session: Session, *, now: datetime) -> list[StoredMessage]:
    """The messages that are sent again together."""
    return outbox.list_dead(session, since=now - LATELY, limit=MOST_AT_ONCE)


def _revive(session: Session, actor: Actor, message: StoredMessage, until: datetime, *, now: datetime) -> bool:
    if not notifications.send_again(session, message.id, expires_at=until, now=now):
        return False
    record(session, actor, "message_sent_again", message, now=now)
    return True


# ------------------------------------------------------------------------------------------ what is still true


class _Known(NamedTuple):
    """The facts to compare with: appointments by reference, as start and status; and addresses of accounts.

    These are unconfirmed addresses, and those that owners of accounts want instead of their present ones.
    """

    appointments: dict[str, tuple[datetime, str]]
    unconfirmed: set[tuple[int, str]]
    wanted: set[tuple[int, str]]


def find_limits(session: Session, messages: Sequence[StoredMessage], *, now: datetime) -> dict[int, RetryLimit]:
    """Which of the messages may be tried again, by id; three queries for any number of messages."""
    references = {said for message in messages for said, _start in _appointments_named(message)}
    appointments = sa.select(Appointment.reference, Appointment.starts_at, Appointment.status).where(
        Appointment.reference.in_(references)
    )
    links = {confirmation.TEMPLATE, addresses.TO_NEW}
    accounts = {each.subject_id for each in messages if each.template in links}
    unconfirmed = sa.select(User.id, User.email).where(User.id.in_(accounts), User.email_confirmed_at.is_(None))
    wanted = sa.select(User.id, User.new_email).where(User.id.in_(accounts), User.new_email_until > now)
    known = _Known(
        {row.reference: (row.starts_at, row.status) for row in session.execute(appointments)} if references else {},
        {(row.id, row.email) for row in session.execute(unconfirmed)} if accounts else set(),
        {(row.id, row.new_email) for row in session.execute(wanted)} if accounts else set(),
    )
    return {message.id: _limit_of(message, known, now) for message in messages}


def _limit_of(message: StoredMessage, known: _Known, now: datetime) -> RetryLimit:
    if message.template in EXPIRED:
        is_over = message.expires_at <= now
        return RetryLimit(None, str(EXPIRED[message.template])) if is_over else RetryLimit(message.expires_at)
    if message.template == confirmation.TEMPLATE and (message.subject_id, message.recipient) not in known.unconfirmed:
        return RetryLimit(None, _("The address is already confirmed, or the account has a different one now."))
    if message.template == addresses.TO_NEW and (message.subject_id, message.recipient) not in known.wanted:
        return RetryLimit(None, _("The link in it no longer works. They can request a new one in their account."))
    if message.template == LATE:
        return RetryLimit(None, _("It’s out of date. The appointment page shows how late the doctor is now."))
    said = list(_appointments_named(message))
    for reference, starts_at in said:
        if starts_at <= now:
            return RetryLimit(None, _("The appointment has started or is over."))
        start, status = known.appointments.get(reference, (None, ""))
        is_true = status == "cancelled" if message.template == CANCELLED else status in ACTIVE
        if start != starts_at or not is_true:
            return RetryLimit(None, _("The appointment has changed since then, so the message is out of date."))
    return RetryLimit(min([now + LIFETIME, *(starts_at for _reference, starts_at in said)]))


def _appointments_named(message: StoredMessage) -> Iterable[tuple[str, datetime]]:
    """The appointments that a message names: reference and start."""
    one = message.values.get("visit")
    for appointment in [one] if one else message.values.get("visits", []):
        yield appointment["reference"], datetime.fromisoformat(appointment["starts_at"])

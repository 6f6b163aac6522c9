"""Changing the e-mail address of an account, which is also where all its messages go.

The owner asks for another address and proves who they are with the password. The new address takes effect once the link
that was sent to it is followed; until then the old one stays. Admins correct the address of a patient, for example one
with a typing mistake: it takes effect immediately, because the patient cannot be reached otherwise, but is not
confirmed. In both cases a mail goes to the old address, and the links that were sent to it stop working.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import former_users, login_throttle, service
from webapp.auth.addresses import confirmation
from webapp.auth.exceptions import (
    AddressTaken,
    SameAddress,
    StaffAddress,
    TooManyConfirmations,
    WrongCurrentPassword,
)
from webapp.auth.models import User, UserSession
from webapp.auth.passwords import password_links
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import Actor, Role
from webapp.auth.tokens import new_secret
from webapp.events.kinds import AccountAddressChanged, DoneBy
from webapp.events.publishing import publish
from webapp.notifications import outbox as notifications
from webapp.notifications.outbox import Message

# To the new address, with a link; and to the old one, so that a change by someone else is noticed.
TO_NEW, TO_OLD = "change_email", "email_changed"
LIFETIME = timedelta(days=7)
MOST_REQUESTS, WINDOW = 3, timedelta(hours=1)


class AccountAddress(NamedTuple):
    """An account's address under the account's lock, and the one that its owner wants instead ('': none)."""

    user_id: int
    name: str
    email: str
    role: Role
    new_email: str


class WantedAddress(NamedTuple):
    """The address that the owner of an account wants, and until when its link works."""

    email: str
    until: datetime


def lock_address(session: Session, user_id: int) -> AccountAddress:
    """Lock an account and read its address. Doctors are locked before this, patients after it."""
    query = sa.select(User.id, User.name, User.email, User.role, User.new_email).where(User.id == user_id)
    row = session.execute(query.with_for_update(key_share=True)).one()
    return AccountAddress(row.id, row.name, row.email, cast(Role, row.role), row.new_email)


def wanted_address(session: Session, user_id: int, *, now: datetime) -> WantedAddress | None:
    """The address that waits for its owner to confirm it; None if no address waits, or its link has expired."""
    query = sa.select(User.new_email, User.new_email_until).where(
        User.id == user_id, User.new_email != "", User.new_email_until > now
    )
    row = session.execute(query).one_or_none()
    return WantedAddress._make(row) if row else None


def require_password(stored: str, current: str) -> None:
    """Verify the password of someone who changes the address; this is slow and needs no database.

    Raises:
        WrongCurrentPassword.
    """
    if not passwords.verify(current, stored)[0]:
        raise WrongCurrentPassword


def request_change(
    session: Session,
    actor: Actor,
    email: str,
    letterhead: dict[str, str],
    *,
    attempt_id: int,
    verified: str,
    now: datetime,
) -> None:
    """Ask for another address: send its link, and tell the present address. An earlier request ends.

    The answer does not say whether the address has an account already: only its owner, who follows the link, finds out.
    `verified` is the hash of the password that was verified.

    Raises:
        WrongCurrentPassword: the password was changed meanwhile. SameAddress. TooManyConfirmations: three times within
            the hour.
    """
    if not service.still_verified(session, actor.user_id, verified):
        raise WrongCurrentPassword
    login_throttle.forget(session, attempt_id)
    account = lock_address(session, actor.user_id)
    if email == account.email:
        raise SameAddress
    _require_few(session, actor.user_id, email, now=now)
    _withdraw_link(session, account)
    until = now + LIFETIME
    session.execute(sa.update(User).where(User.id == actor.user_id).values(new_email=email, new_email_until=until))
    _send_link(session, account.user_id, email, letterhead, until, now=now)
    _tell_old(session, account, letterhead, waiting=True, now=now)
    audit.record_by(session, actor, "email_change_requested", subject=("user", actor.user_id), now=now)


def send_link_again(session: Session, actor: Actor, letterhead: dict[str, str], *, now: datetime) -> str:
    """Send the link to the wanted address again, and return that address; '' if the change was given up.

    Raises:
        TooManyConfirmations: it was sent three times within the hour.
    """
    account = lock_address(session, actor.user_id)
    wanted = wanted_address(session, actor.user_id, now=now)
    if wanted is None:
        return ""
    _require_few(session, actor.user_id, wanted.email, now=now)
    until = now + LIFETIME
    session.execute(sa.update(User).where(User.id == account.user_id).values(new_email_until=until))
    _send_link(session, account.user_id, wanted.email, letterhead, until, now=now)
    return wanted.email


def give_up_change(session: Session, actor: Actor, *, now: datetime) -> None:
    """Keep the present address: the link to the wanted one ends."""
    account = lock_address(session, actor.user_id)
    if account.new_email:
        _withdraw_link(session, account)
        session.execute(sa.update(User).where(User.id == account.user_id).values(new_email="", new_email_until=None))
        audit.record_by(session, actor, "email_change_given_up", subject=("user", actor.user_id), now=now)


def replace(
    session: Session, account: AccountAddress, letterhead: dict[str, str], *, address: str, now: datetime
) -> None:
    """Let the wanted address of a locked account replace the present one: its owner has just followed the link.

    Links to set a password that were sent to the old address end. The sessions stay: the password started the change.

    Raises:
        AddressTaken: another account has the address by now.
    """
    _write(session, account, account.new_email, confirmed_at=now)
    _tell_old(session, account, letterhead, waiting=False, now=now)
    audit.record(
        session,
        "email_changed",
        subject=("user", account.user_id),
        actor_user_id=account.user_id,
        actor_role=account.role,
        now=now,
        details={"by": "link"},
        address=address,
    )
    by = DoneBy(account.user_id, account.role, account.name)
    publish(session, AccountAddressChanged(by=by, user_id=account.user_id, before=account.email), now=now)


def correct(
    session: Session, actor: Actor, account: AccountAddress, email: str, letterhead: dict[str, str], *, now: datetime
) -> None:
    """Correct the address of a patient's account, as an admin. The account signs in with it from now on.

    A stranger who reads the old mailbox may have signed in with a link from it. So all sessions end as well, and so
    do the address of the calendar and the passkeys.

    Raises:
        StaffAddress: the account belongs to someone who works here. AddressTaken: another account has the address.
    """
    if account.role != "patient":
        raise StaffAddress
    _withdraw_link(session, account)
    _write(session, account, email, confirmed_at=None)
    session.execute(sa.delete(UserSession).where(UserSession.user_id == account.user_id))
    session.execute(sa.update(User).where(User.id == account.user_id).values(calendar_secret=""))
    former_users.end_passkeys(session, account.user_id)
    confirmation.send(session, account.user_id, email, account.name, letterhead, corrected=True, now=now)
    _tell_old(session, account, letterhead, waiting=False, now=now)
    subject = ("user", account.user_id)
    audit.record_by(session, actor, "email_changed", subject=subject, now=now, details={"by": "staff"})
    event = AccountAddressChanged(by=actor.done_by, user_id=account.user_id, before=account.email)
    publish(session, event, now=now)


def _write(session: Session, account: AccountAddress, email: str, *, confirmed_at: datetime | None) -> None:
    try:
        with session.begin_nested():
            session.execute(
                sa.update(User)
                .where(User.id == account.user_id)
                .values(email=email, email_confirmed_at=confirmed_at, new_email="", new_email_until=None)
            )
    except IntegrityError as error:
        raise AddressTaken from error
    password_links.delete_password_links(session, account.user_id)
    notifications.withdraw_to(session, account.email, subject=("user", account.user_id))


def _require_few(session: Session, user_id: int, email: str, *, now: datetime) -> None:
    """Limit the mails that one account sends, and those that a mailbox gets from many accounts; its owner may have no
    account.
    """
    # A link that was withdrawn before it was sent leaves only the mail to the old address behind.
    written = [notifications.sent_about(session, ("user", user_id), each, now - WINDOW) for each in (TO_NEW, TO_OLD)]
    written.append(notifications.sent_since(session, email, TO_NEW, now - WINDOW))
    recent = max(written, key=len)
    if len(recent) >= MOST_REQUESTS:
        until = recent[-MOST_REQUESTS] + WINDOW
        raise TooManyConfirmations(retry_after=max(1, int((until - now).total_seconds())))


def _withdraw_link(session: Session, account: AccountAddress) -> None:
    """A link that has not been sent yet is not sent any more."""
    if account.new_email:
        notifications.withdraw_to(session, account.new_email, subject=("user", account.user_id))


def _send_link(
    session: Session, user_id: int, email: str, letterhead: dict[str, str], until: datetime, *, now: datetime
) -> None:
    message = Message(
        dedupe_key=f"{TO_NEW}:{user_id}:{new_secret()}",
        channel="email",
        recipient=email,
        template=TO_NEW,
        values={
            "user_id": user_id,
            "link": confirmation.link_of(user_id, email, now=now),
            "email": email,
            "clinic": letterhead,
        },
        subject=("user", user_id),
        expires_at=min(until, now + notifications.LIFETIME),
    )
    notifications.enqueue(session, message, now=now)


def _tell_old(
    session: Session, account: AccountAddress, letterhead: dict[str, str], *, waiting: bool, now: datetime
) -> None:
    """Tell the present address. The mail does not name the new one: this mailbox may be a stranger's."""
    message = Message(
        dedupe_key=f"{TO_OLD}:{account.user_id}:{new_secret()}",
        channel="email",
        recipient=account.email,
        template=TO_OLD,
        values={"waiting": waiting, "clinic": letterhead},
        subject=("user", account.user_id),
    )
    notifications.enqueue(session, message, now=now)

"""Throttles guessing: log-ins, current passwords, registrations, password resets.

An attempt is admitted before its password is checked, and is pending until it is judged: a successful one is deleted,
a failed one stays as a failure. Attempts are admitted one at a time, and only while failures and pending attempts
together are fewer than the limit. So a bucket (a network, an account, a browser) never has more than ten failures in
fifteen minutes, however many clients guess at once; only an attempt that takes longer than a minute to judge can add
one more. Users with correct passwords are turned away for seconds at most, not for minutes.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.exceptions import AttemptsUnderWay, TooManyLogins, TooManyRegistrations, TooManyResets
from webapp.auth.models import FailedLogin
from webapp.exceptions import TooManyAttempts

THROTTLE_WINDOW = timedelta(minutes=15)
THROTTLE_LIMIT = 10
REGISTER_WINDOW = timedelta(hours=1)
REGISTER_LIMIT = 20
RESET_LIMIT = 20
# A process that crashed leaves its attempts pending; after this time they no longer count.
PENDING_FOR = timedelta(seconds=60)

# Stored in the place of a known browser's hash, so that the counts of log-ins leave these rows out.
REGISTERING, CHANGING, RESETTING = "register", "password", "reset"
# Any number that no other part of Docket locks in PostgreSQL.
ADMISSION_LOCK = 7_304_915_522
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def admit_login(session: Session, *, account: str, address: str, device: str, now: datetime) -> int:
    """Admit an attempt to log in and return its row's id, unless one of three counts is full.

    A browser that has signed in to this account before is counted apart, so that strangers cannot lock a patient out by
    guessing. The account's count turns away only networks that have failed on that account themselves: the owner can
    log in from home while someone else is guessing.

    Raises:
        TooManyLogins: ten failures in fifteen minutes. AttemptsUnderWay: with the pending ones there may be.
    """
    _one_at_a_time(session)
    network = network_of(address)
    on_account = FailedLogin.account == account
    if device:
        _require_room(session, FailedLogin.device == device, now=now)
    else:
        _require_room(session, FailedLogin.address == network, FailedLogin.device == "", now=now)
        failed_here = sa.select(FailedLogin.id).where(
            on_account,
            FailedLogin.address == network,
            FailedLogin.judged.is_(True),
            FailedLogin.at > now - THROTTLE_WINDOW,
        )
        if session.scalar(failed_here.limit(1)) is not None:
            _require_room(session, on_account, FailedLogin.device == "", now=now)
    return _note(session, FailedLogin(account=account, address=network, device=device, at=now), now=now)


def admit_password_change(session: Session, user_id: int, *, address: str, now: datetime) -> int:
    """Admit a signed-in user's attempt to enter the current password, like a log-in, and return the attempt's id.

    Raises:
        TooManyLogins, AttemptsUnderWay: as for a log-in; shown next to the field of the current password.
    """
    _one_at_a_time(session)
    account = f"{CHANGING}:{user_id}"
    try:
        _require_room(session, FailedLogin.account == account, now=now)
    except TooManyAttempts as error:
        error.field = "current"
        raise
    attempt = FailedLogin(account=account, address=network_of(address), device=CHANGING, at=now)
    return _note(session, attempt, now=now)


def admit_registration(session: Session, *, address: str, now: datetime) -> int:
    """Admit a registration before its slow work starts, and return the attempt's id.

    Raises:
        TooManyRegistrations: twenty in an hour from this network. AttemptsUnderWay: with the pending ones there may be.
    """
    _one_at_a_time(session)
    network = network_of(address)
    of_network = (FailedLogin.address == network, FailedLogin.device == REGISTERING)
    try:
        _require_room(session, *of_network, now=now, window=REGISTER_WINDOW, limit=REGISTER_LIMIT)
    except TooManyLogins as error:
        raise TooManyRegistrations(retry_after=error.retry_after) from error
    return _note(session, FailedLogin(account=REGISTERING, address=network, device=REGISTERING, at=now), now=now)


def note_reset(session: Session, *, address: str, now: datetime) -> None:
    """Count a request for a password reset link. Other such requests wait until this one is committed.

    Raises:
        TooManyResets: twenty in an hour from this network, for any accounts.
    """
    _one_at_a_time(session)
    network = network_of(address)
    of_network = (FailedLogin.address == network, FailedLogin.device == RESETTING)
    try:
        _require_room(session, *of_network, now=now, window=REGISTER_WINDOW, limit=RESET_LIMIT)
    except TooManyLogins as error:
        raise TooManyResets(retry_after=error.retry_after) from error
    # The row names no account: a user who forgot the password has not failed to log in.
    attempt = FailedLogin(account=RESETTING, address=network, device=RESETTING, judged=True, at=now)
    _note(session, attempt, now=now)


def judge(session: Session, attempt_id: int) -> None:
    """Mark the attempt as failed; it counts from when it began."""
    session.execute(sa.update(FailedLogin).where(FailedLogin.id == attempt_id).values(judged=True))


def forget(session: Session, attempt_id: int) -> None:
    """Delete the attempt: it did not fail."""
    session.execute(sa.delete(FailedLogin).where(FailedLogin.id == attempt_id))


def network_of(address: str) -> str:
    """The network to count by: an IPv4 address itself, or the /64 of an IPv6 address, which one household or host owns.

    An IPv4 address that is written as IPv6 (mapped, or through NAT64) counts as that IPv4 address.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:45]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    if parsed in NAT64:
        return str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF))
    return str(ipaddress.ip_network((int(parsed), 64), strict=False).network_address)


def _one_at_a_time(session: Session) -> None:
    """Wait until other admissions have ended. On SQLite, writers wait for each other anyway."""
    if session.connection().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(ADMISSION_LOCK)))


def _require_room(
    session: Session,
    *bucket: sa.ColumnElement[bool],
    now: datetime,
    window: timedelta = THROTTLE_WINDOW,
    limit: int = THROTTLE_LIMIT,
) -> None:
    failed = sa.select(FailedLogin.at).where(*bucket, FailedLogin.judged.is_(True), FailedLogin.at > now - window)
    failures = session.scalars(failed.order_by(FailedLogin.at.desc()).limit(limit)).all()
    if len(failures) >= limit:
        until = failures[-1] + window
        raise TooManyLogins(retry_after=max(1, int((until - now).total_seconds())))
    pending = sa.select(sa.func.count(FailedLogin.id)).where(
        *bucket, FailedLogin.judged.is_(False), FailedLogin.at > now - PENDING_FOR
    )
    if len(failures) + (session.scalar(pending) or 0) >= limit:
        raise AttemptsUnderWay


def _note(session: Session, attempt: FailedLogin, *, now: datetime) -> int:
    """Insert the attempt, delete those that no longer count, and return its id."""
    session.execute(
        sa.delete(FailedLogin).where(
            sa.or_(
                FailedLogin.at < now - REGISTER_WINDOW,
                sa.and_(FailedLogin.at < now - THROTTLE_WINDOW, FailedLogin.device.not_in((REGISTERING, RESETTING))),
            )
        )
    )
    session.add(attempt)
    session.flush()
    return attempt.id

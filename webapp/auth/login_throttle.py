"""Throttles guessing: sign-ins, codes, current passwords, registrations, password resets.

An attempt is admitted before its password is checked, and is pending until it is judged: a successful one is deleted,
a failed one stays as a failure. Attempts are admitted one at a time, and only while failures and pending attempts
together are fewer than the limit. So a bucket (a network, an account, a browser) never has more failures than its
limit, however many clients guess at the same time; only an attempt that takes longer than a minute to judge can add one
more. Users with correct passwords are turned away for seconds at most, not for minutes.

Networks are counted three times, because a guesser may own many addresses: see `core.networks`. An account is counted
over all networks: after ten failures in a day, browsers that do not know the account wait longer after each further
one, up to an hour. A browser that has signed in to the account before is counted apart, so no stranger can lock its
owner out; and a new password, set by a link, forgets the failures. Pages and API are counted separately, so that a page
of another site that makes browsers call the API locks no network out of our pages.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import security_events
from webapp.audit.security_events import ObservedEvent
from webapp.auth.exceptions import AttemptsUnderWay, TooManyLogins, TooManyRegistrations, TooManyResets
from webapp.auth.models import FailedLogin
from webapp.core.networks import networks_of
from webapp.database import Database
from webapp.exceptions import TooManyAttempts

P = ParamSpec("P")
T = TypeVar("T")


class AttemptLimits(NamedTuple):
    """How many attempts count in a window: of an address, of a household's /56, and of a /48 or an IPv4 /24."""

    window: timedelta
    here: int
    site: int
    region: int


THROTTLE_WINDOW = timedelta(minutes=15)
THROTTLE_LIMIT = 10
REGISTER_WINDOW = timedelta(hours=1)
REGISTER_LIMIT = 20
LOGINS = AttemptLimits(THROTTLE_WINDOW, THROTTLE_LIMIT, 20, 60)
HOURLY = AttemptLimits(REGISTER_WINDOW, REGISTER_LIMIT, 40, 120)
# The failures of an account count for a day; after ten, each one more doubles the wait: 1, 2, 4 … minutes.
ACCOUNT_WINDOW = timedelta(days=1)
LONGEST_WAIT = timedelta(hours=1)
# A process that crashed leaves its attempts pending; after this time they no longer count.
PENDING_FOR = timedelta(seconds=60)

# Stored in the place of a known browser's hash, so that the counts of sign-ins leave these rows out.
REGISTERING, CHANGING, RESETTING, SIGN_ON = "register", "password", "reset", "sso"
# Sign-ins by unknown clients: on our pages, and through the API.
PAGES, API = "", "api"
# The event's code for a failure, and how the user tried to sign in.
FAILURES = {REGISTERING: "registration_failed", CHANGING: "password_check_failed"}
# Any number that no other part of Docket locks in PostgreSQL.
ADMISSION_LOCK = 7_304_915_522


def admitted(
    database: Database,
    admit: Callable[Concatenate[Session, P], T],
    seen: ObservedEvent,
    now: datetime,
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run an admission in its own transaction. A refusal is recorded as `seen`, committed, and raised.

    Raises:
        TooManyAttempts: as the admission does.
    """

    def work(session: Session) -> T | TooManyAttempts:
        try:
            return admit(session, *args, **kwargs)
        except TooManyAttempts as refusal:
            security_events.record(session, seen, now=now)
            return refusal

    found = database.write(work)
    if isinstance(found, TooManyAttempts):
        raise found
    return found


def admit_login(
    session: Session, *, account: str, address: str, device: str, now: datetime, client: str = PAGES
) -> int:
    """Admit an attempt to sign in and return its row's id, unless one of the counts is full.

    `device` is the hash of a browser that has signed in to this account before, else ''. `client` is `PAGES` or `API`.

    Raises:
        TooManyLogins: too many failures. AttemptsUnderWay: with the pending ones there may be.
    """
    _one_at_a_time(session)
    if device:
        _require_room(session, FailedLogin.device == device, now=now)
    else:
        _require_room_of_networks(session, client, LOGINS, address=address, now=now)
        _require_wait(session, account, (PAGES, API), now=now)
    return _note(session, account=account, address=address, device=device or client, now=now)


def admit_guess(session: Session, kind: str, *, account: str, address: str, now: datetime) -> int:
    """Admit a guess at another secret of an account, such as a code, like a sign-in; return the attempt's id.

    `kind` is a short word for the secret; each kind is counted separately.

    Raises:
        TooManyLogins, AttemptsUnderWay: as for a sign-in.
    """
    _one_at_a_time(session)
    _require_room_of_networks(session, kind, LOGINS, address=address, now=now)
    _require_wait(session, account, (kind,), now=now)
    return _note(session, account=account, address=address, device=kind, now=now)


def admit_sign_on(session: Session, *, address: str, now: datetime) -> int:
    """Admit the answer of an identity provider before it is checked, and return the attempt's id.

    Raises:
        TooManyLogins, AttemptsUnderWay: as for a sign-in, of this network; it is not known yet whose account it is.
    """
    _one_at_a_time(session)
    _require_room_of_networks(session, SIGN_ON, LOGINS, address=address, now=now)
    return _note(session, account=SIGN_ON, address=address, device=SIGN_ON, now=now)


def admit_password_change(session: Session, user_id: int, *, address: str, now: datetime) -> int:
    """Admit a signed-in user's attempt to enter the current password, like a sign-in, and return the attempt's id.

    Raises:
        TooManyLogins, AttemptsUnderWay: as for a sign-in; shown next to the field of the current password.
    """
    _one_at_a_time(session)
    account = f"{CHANGING}:{user_id}"
    try:
        _require_room(session, FailedLogin.account == account, now=now)
    except TooManyAttempts as error:
        error.field = "current"
        raise
    return _note(session, account=account, address=address, device=CHANGING, now=now)


def admit_registration(session: Session, *, address: str, now: datetime) -> int:
    """Admit a registration before its slow work starts, and return the attempt's id.

    Raises:
        TooManyRegistrations: too many in an hour from this network. AttemptsUnderWay: with the pending ones there may
            be.
    """
    _one_at_a_time(session)
    try:
        _require_room_of_networks(session, REGISTERING, HOURLY, address=address, now=now)
    except TooManyLogins as error:
        raise TooManyRegistrations(retry_after=error.retry_after) from error
    return _note(session, account=REGISTERING, address=address, device=REGISTERING, now=now)


def note_reset(session: Session, *, address: str, now: datetime) -> int:
    """Count a request for a password reset link. Other such requests wait until this one is committed.

    Raises:
        TooManyResets: too many in an hour from this network, for any accounts.
    """
    return note_request(session, RESETTING, address=address, now=now)


def note_request(
    session: Session,
    kind: str,
    *,
    bounds: AttemptLimits = HOURLY,
    refused: Callable[..., TooManyAttempts] = TooManyResets,
    address: str,
    now: datetime,
) -> int:
    """Count a request for a message with a link or a code, of a network; it cannot fail, so it is judged already.

    Raises:
        TooManyAttempts: the error that `refused` makes of `retry_after`: too many in an hour from this network.
    """
    _one_at_a_time(session)
    try:
        _require_room_of_networks(session, kind, bounds, address=address, now=now)
    except TooManyLogins as error:
        raise refused(retry_after=error.retry_after) from error
    # The row names no account: a user who forgot the password has not failed to sign in.
    return _note(session, account=kind, address=address, device=kind, judged=True, now=now)


def mark_failed(session: Session, attempt_id: int, *, user_id: int = 0) -> None:
    """Mark the attempt as failed; it counts from its beginning. `user_id` is the account that was tried, if known."""
    failed = sa.update(FailedLogin).where(FailedLogin.id == attempt_id, FailedLogin.judged.is_(False))
    columns = (FailedLogin.account, FailedLogin.address, FailedLogin.device, FailedLogin.at)
    row = session.execute(failed.values(judged=True).returning(*columns)).one_or_none()
    if row is None:
        return
    action = FAILURES.get(row.device, "sign_in_failed")
    kind, _separator, changing = row.account.partition(":")
    if kind == CHANGING:
        user_id = int(changing)
    named = user_id or kind in {REGISTERING, SIGN_ON}
    seen = ObservedEvent(action, user_id, "" if named else row.account, _security_kind(row.device), row.address)
    security_events.record(session, seen, now=row.at)


def count(session: Session, attempt_id: int) -> None:
    """Let the attempt count, although it did not fail: a registration that made an account."""
    session.execute(sa.update(FailedLogin).where(FailedLogin.id == attempt_id).values(judged=True))


def forget(session: Session, attempt_id: int) -> None:
    """Delete the attempt: it did not fail."""
    session.execute(sa.delete(FailedLogin).where(FailedLogin.id == attempt_id))


def forget_account(session: Session, account: str) -> None:
    """Delete the failures of an account, because its owner has just proved that the mailbox is theirs."""
    session.execute(sa.delete(FailedLogin).where(FailedLogin.account == account, FailedLogin.judged.is_(True)))


def _security_kind(device: str) -> str:
    """The kind of an attempt, for the security events: the hash of a known browser is not a kind."""
    if device in {CHANGING, REGISTERING}:
        return ""
    return device if 0 < len(device) < 64 else "password"


def _one_at_a_time(session: Session) -> None:
    """Wait until other admissions have ended. On SQLite, writers wait for each other anyway."""
    if session.connection().dialect.name == "postgresql":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(ADMISSION_LOCK)))


def _require_room_of_networks(
    session: Session, kind: str, bounds: AttemptLimits, *, address: str, now: datetime
) -> None:
    networks = networks_of(address)
    for column, network, limit in (
        (FailedLogin.address, networks.here, bounds.here),
        (FailedLogin.site, networks.site, bounds.site),
        (FailedLogin.region, networks.region, bounds.region),
    ):
        # A name instead of an IP address, as in tests, has no wider networks.
        if network or column is FailedLogin.address:
            bucket = (column == network, FailedLogin.device == kind)
            _require_room(session, *bucket, now=now, window=bounds.window, limit=limit)


def _require_wait(session: Session, account: str, kinds: tuple[str, ...], *, now: datetime) -> None:
    """Make unknown browsers wait longer after each failure on this account, wherever the failures came from."""
    bucket = (FailedLogin.account == account, FailedLogin.device.in_(kinds))
    query = sa.select(sa.func.count(FailedLogin.id), sa.func.max(FailedLogin.at)).where(
        *bucket, FailedLogin.judged.is_(True), FailedLogin.at > now - ACCOUNT_WINDOW
    )
    failures, last = session.execute(query).one()
    waits = _wait_after(failures)
    if waits and last + waits > now:
        raise TooManyLogins(retry_after=max(1, int((last + waits - now).total_seconds())))
    pending = _count_pending(session, *bucket, now=now)
    if pending and failures + pending >= THROTTLE_LIMIT:
        raise AttemptsUnderWay


def _wait_after(failures: int) -> timedelta:
    """How long after the last failure on an account the next attempt is admitted."""
    if failures < THROTTLE_LIMIT:
        return timedelta(0)
    return min(LONGEST_WAIT, timedelta(minutes=1 << min(failures - THROTTLE_LIMIT, 6)))


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
    if len(failures) + _count_pending(session, *bucket, now=now) >= limit:
        raise AttemptsUnderWay


def _count_pending(session: Session, *bucket: sa.ColumnElement[bool], now: datetime) -> int:
    pending = sa.select(sa.func.count(FailedLogin.id)).where(
        *bucket, FailedLogin.judged.is_(False), FailedLogin.at > now - PENDING_FOR
    )
    return session.scalar(pending) or 0


def _note(session: Session, *, account: str, address: str, device: str, judged: bool = False, now: datetime) -> int:
    """Insert the attempt, delete those that no longer count, and return its id."""
    session.execute(sa.delete(FailedLogin).where(FailedLogin.at < now - ACCOUNT_WINDOW))
    here, site, region = networks_of(address)
    attempt = FailedLogin(account=account, address=here, site=site, region=region, device=device, judged=judged, at=now)
    session.add(attempt)
    session.flush()
    return attempt.id

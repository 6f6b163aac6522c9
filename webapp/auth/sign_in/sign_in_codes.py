"""Signing in without a password: a code of six digits goes to the e-mail address, and is typed where it was asked for.

A code is valid for ten minutes and five tries, works once, and only in the browser that asked for it. A browser has one
valid code for an address: asking again ends the earlier one. Whether an account has the address is not revealed: every
address gets a code, and one without an account then creates it. A disabled account, and an address that has been sent
enough codes, get the same answer after the same work; the message is written and rolled back.

A registration with a password is kept with its code, and creates the account when the code is entered. Where the
address has an account already, the same code signs in to it instead, and what was typed is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth import login_throttle
from webapp.auth.exceptions import TooManyCodes
from webapp.auth.login_throttle import AttemptLimits
from webapp.auth.models import SignInCode, User
from webapp.auth.schemas import AskForCode
from webapp.auth.service import account_key
from webapp.auth.tokens import hashed, new_secret
from webapp.core import signing
from webapp.database import UtcDateTime
from webapp.notifications import outbox as notifications
from webapp.notifications.outbox import Message

TEMPLATE, PURPOSE = "sign_in_code", "sign-in-code"
DIGITS = 6
LIFETIME, MOST_TRIES = timedelta(minutes=10), 5
# Protects a mailbox from being flooded, and an account from guesses: five codes of five tries in an hour. Browsers that
# have signed in to the account before are counted apart, so that strangers cannot use up the codes of its owner. Each
# sign-in makes a browser known again, also the browser of a stranger who registered with the address, so all known
# browsers together have a limit, too.
MOST_CODES, MOST_OF_KNOWN, WINDOW = 5, 10, timedelta(hours=1)
# Requests that networks may send in an hour: an address, a household, a provider's region.
OF_NETWORK = AttemptLimits(WINDOW, 30, 60, 180)
# The kinds of these requests, and of entering a code, in the counts of attempts.
SENDING, ENTERING = "code-sent", "code"
# How long a browser that has entered a code may take to create an account.
PROOF_LIFETIME = timedelta(hours=1)
# A form that is sent twice at the same moment creates one account.
SENT_TWICE = timedelta(minutes=1)

Verdict = Literal["right", "wrong", "worn_out", "expired"]


class AskingBrowser(NamedTuple):
    """The browser that asks: its random id, and its device if that is known to the account."""

    browser: str
    address: str
    device: str = ""


def send(
    session: Session,
    command: AskForCode,
    asked: AskingBrowser,
    letterhead: dict[str, str],
    *,
    keys: Sequence[str],
    now: datetime,
    registration: dict[str, Any] | None = None,
) -> None:
    """Send a code to this address, unless its account is disabled or it has been sent enough codes.

    `registration` is stored with the code; without it, the browser's earlier registration for this address is kept.

    Raises:
        TooManyCodes: too many codes were requested from this network.
    """
    login_throttle.note_request(
        session, SENDING, bounds=OF_NETWORK, refused=TooManyCodes, address=asked.address, now=now
    )
    account, browser = account_key(command.email), hashed(asked.browser)
    user = session.execute(sa.select(User.id, User.active).where(User.email == command.email)).one_or_none()
    enough = _is_enough(session, account, asked.device, now=now)
    mailed = not enough and (user is None or user.active)
    _end_last(session, browser, account, really=mailed, now=now)
    waited = take_registration(session, asked.browser, command.email)
    nonce = new_secret()
    code = SignInCode(
        browser=browser,
        account=account,
        device=asked.device,
        nonce=nonce,
        code_hash=_code_hash(keys, nonce, code_of(keys, nonce)),
        mailed=mailed,
        sent_at=now,
        expires_at=now + LIFETIME,
        registration=registration or waited,
    )
    session.add(code)
    session.flush()
    message = _message_with(code, command.email, None if user is None else user.id, letterhead)
    _mail(session, message, really=mailed, now=now)


def _message_with(code: SignInCode, email: str, user_id: int | None, letterhead: dict[str, str]) -> Message:
    """The mail with this code. It says so if someone registers with the address of an account."""
    return Message(
        dedupe_key=f"{TEMPLATE}:{code.id}",
        channel="email",
        recipient=email,
        template=TEMPLATE,
        values={
            "nonce": code.nonce,
            "taken": code.registration is not None and user_id is not None,
            "clinic": letterhead,
        },
        subject=("sign_in_code", code.id) if user_id is None else ("user", user_id),
        expires_at=code.expires_at,
    )


def _end_last(session: Session, browser: str, account: str, *, really: bool, now: datetime) -> None:
    """End the browser's last code for this account. If no other one is sent it stays valid, and the work takes as
    long.
    """
    mine = SignInCode.browser == browser, SignInCode.account == account, SignInCode.expires_at > now
    session.execute(sa.update(SignInCode).where(*mine, sa.literal(really)).values(expires_at=now))


def _mail(session: Session, message: Message, *, really: bool, now: datetime) -> None:
    """Write the message; if none may be sent, it is written and rolled back, because that takes the same time."""
    with session.begin_nested() as trial:
        notifications.enqueue(session, message, now=now)
        if not really:
            trial.rollback()


def _is_enough(session: Session, account: str, device: str, *, now: datetime) -> bool:
    """Whether this browser, and others of its kind, have been sent as many codes for the account as an hour allows."""
    recent = sa.select(
        sa.func.count(SignInCode.id),
        sa.func.count(SignInCode.id).filter(SignInCode.device == device),
    ).where(
        SignInCode.account == account,
        SignInCode.device != "" if device else SignInCode.device == "",
        SignInCode.mailed.is_(True),
        SignInCode.sent_at > now - WINDOW,
    )
    alike, here = session.execute(recent).one()
    return bool(here >= MOST_CODES or alike >= MOST_OF_KNOWN)


def code_of(keys: Sequence[str], nonce: str) -> str:
    """The code that belongs to a nonce: only its mail shows it, and the page where development has no mail server."""
    return signing.number_of(keys, PURPOSE, nonce, digits=DIGITS)


def shown_code(session: Session, browser: str, email: str, *, keys: Sequence[str], now: datetime) -> str | None:
    """The browser's valid code for this address, for development without a mail server."""
    row = _find_live(session, browser, email, now=now)
    return code_of(keys, row.nonce) if row is not None and row.mailed else None


def enter(session: Session, browser: str, email: str, code: str, *, keys: Sequence[str], now: datetime) -> Verdict:
    """Use up the browser's valid code for this address, if this is it; otherwise count a try.

    The verdict is an answer and not an error, because the try must be kept.
    """
    row = _find_live(session, browser, email, now=now)
    if row is None:
        last = sa.select(SignInCode.tries).where(*_of(browser, email)).order_by(SignInCode.id.desc()).limit(1)
        return "worn_out" if (session.scalar(last) or 0) >= MOST_TRIES else "expired"
    mine = sa.update(SignInCode).where(SignInCode.id == row.id, *_live(browser, email, now))
    # A code may have been sent with an older key, so all accepted keys are tried.
    hashes = [_code_hash([key], row.nonce, code) for key in keys]
    # A code that was not sent can only have been guessed.
    known = (SignInCode.code_hash.in_(hashes), SignInCode.mailed.is_(True))
    spent = mine.where(*known).values(proved_at=now, expires_at=now)
    if session.execute(spent.returning(SignInCode.id)).one_or_none() is not None:
        return "right"
    tries = session.scalar(mine.values(tries=SignInCode.tries + 1).returning(SignInCode.tries))
    return "worn_out" if tries is not None and tries >= MOST_TRIES else "wrong"


def take_registration(session: Session, browser: str, email: str) -> dict[str, Any] | None:
    """The data that this browser typed for a new account with this address; it is deleted by this."""
    kept = sa.select(SignInCode.registration).where(*_of(browser, email), SignInCode.registration.is_not(None))
    found = session.scalar(kept.order_by(SignInCode.id.desc()).limit(1))
    session.execute(sa.update(SignInCode).where(*_of(browser, email)).values(registration=None))
    return found


def admit(session: Session, *, email: str, device: str, address: str, now: datetime) -> int:
    """Admit an attempt to enter a code, and return its id. A browser that is known to the account never waits long.

    Raises:
        TooManyLogins, AttemptsUnderWay: as for a sign-in.
    """
    account = account_key(email)
    if device:
        return login_throttle.admit_login(session, account=account, address=address, device=device, now=now)
    return login_throttle.admit_guess(session, ENTERING, account=account, address=address, now=now)


def find_proof(session: Session, browser: str, email: str, *, now: datetime) -> int | None:
    """The code with which this browser has proved its access to the mailbox, if it may still create an account."""
    return session.scalar(sa.select(SignInCode.id).where(*_proof(browser, email, now)).limit(1))


def use_proof(session: Session, browser: str, email: str, *, now: datetime) -> bool:
    """Use up the proof, which is good for one account; returns whether there was one."""
    used = sa.update(SignInCode).where(*_proof(browser, email, now))
    earlier = sa.func.coalesce(SignInCode.used_at, sa.literal(now, UtcDateTime()))
    return bool(session.execute(used.values(used_at=earlier).returning(SignInCode.id)).all())


def is_any_old(session: Session, *, now: datetime) -> bool:
    """Whether a code neither opens nor counts for anything any more."""
    return session.scalar(sa.select(SignInCode.id).where(SignInCode.sent_at <= _old(now)).limit(1)) is not None


def forget_old(session: Session, *, now: datetime) -> None:
    """Delete the codes that neither open nor count for anything any more."""
    session.execute(sa.delete(SignInCode).where(SignInCode.sent_at <= _old(now)))


def _old(now: datetime) -> datetime:
    return now - max(WINDOW, LIFETIME + PROOF_LIFETIME)


def _code_hash(keys: Sequence[str], nonce: str, code: str) -> str:
    return signing.keyed_hash(keys, PURPOSE, f"{nonce}:{code}")


def _of(browser: str, email: str) -> tuple[sa.ColumnElement[bool], ...]:
    return SignInCode.browser == hashed(browser), SignInCode.account == account_key(email)


def _find_live(session: Session, browser: str, email: str, *, now: datetime) -> sa.Row[int, str, bool] | None:
    """The valid code; one that was sent comes before those that were only stored."""
    query = sa.select(SignInCode.id, SignInCode.nonce, SignInCode.mailed).where(*_live(browser, email, now))
    return session.execute(query.order_by(SignInCode.mailed.desc(), SignInCode.id.desc()).limit(1)).one_or_none()


def _live(browser: str, email: str, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        *_of(browser, email),
        SignInCode.expires_at > now,
        SignInCode.proved_at.is_(None),
        SignInCode.tries < MOST_TRIES,
    )


def _proof(browser: str, email: str, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    unused = sa.or_(SignInCode.used_at.is_(None), SignInCode.used_at > now - SENT_TWICE)
    return *_of(browser, email), SignInCode.proved_at > now - PROOF_LIFETIME, unused

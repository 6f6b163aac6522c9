"""The second factor of staff: a code of an authenticator app, or a recovery code. Passkeys are in `passkeys`.

Wrong codes count like wrong passwords, but separately (`login_throttle`): after ten of them for an account in a day,
each further one makes the next wait longer.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import account_mails, login_throttle, sessions
from webapp.auth.exceptions import FactorRequired, TooManyLogins, TooManyProofs, WrongFactor
from webapp.auth.models import AuthenticatorApp, Passkey, User, UserSession
from webapp.auth.schemas import Actor
from webapp.auth.second_factor import recovery_codes
from webapp.auth.sign_in_rules import get_rules
from webapp.core.sealing import seal, unseal
from webapp.exceptions import NotFound, NotSignedIn
from webapp.i18n import gettext as _

STEP, DIGITS = 30, 6
# Clocks of telephones are not exact, and typing takes time, so the codes of the step before and after are valid, too.
DRIFT = (0, -1, 1)
KIND = "factor"
SECRET, SETUP = "authenticator-app", "authenticator-setup"
SETUP_WITHIN = timedelta(minutes=30)
Proof = Literal["app", "recovery", "passkey"]


class AppSetup(NamedTuple):
    """An app that is being set up: its secret, and the same sealed, for the form that comes back with a code."""

    secret: str
    sealed: str

    @property
    def spaced(self) -> str:
        """The secret in groups of four, to be typed."""
        return " ".join(self.secret[at : at + 4] for at in range(0, len(self.secret), 4))


class Factors(NamedTuple):
    """The second factors of an account: since when it has an app, how many passkeys, and how many unused recovery
    codes.
    """

    app_since: datetime | None
    passkeys: int
    codes_left: int


def get_factors(session: Session, user_id: int) -> Factors:
    """The second factors of an account."""
    app_since = session.scalar(sa.select(AuthenticatorApp.created_at).where(AuthenticatorApp.user_id == user_id))
    passkeys = session.scalar(sa.select(sa.func.count(Passkey.id)).where(Passkey.user_id == user_id))
    return Factors(app_since, passkeys or 0, recovery_codes.count_left(session, user_id))


def begin_setup(keys: Sequence[str], user_id: int, *, now: datetime) -> AppSetup:
    """A new secret for an app. Nothing is stored until the app has shown a code."""
    import pyotp

    secret = pyotp.random_base32()
    return AppSetup(secret, seal(keys, SETUP, json.dumps([user_id, secret]), now=now))


def read_setup(keys: Sequence[str], user_id: int, sealed: str, *, now: datetime) -> AppSetup | None:
    """The setup that a form carries; None if it is another account's, or was begun half an hour ago."""
    text = unseal(keys, SETUP, sealed, now=now, within=SETUP_WITHIN)
    owner, secret = json.loads(text) if text else (None, "")
    return AppSetup(secret, sealed) if owner == user_id else None


def setup_address(secret: str, email: str, clinic: str) -> str:
    """The address that an app reads from the picture."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=clinic.replace(":", " "))


def add_app(
    session: Session,
    actor: Actor,
    setup: AppSetup,
    code: str,
    letterhead: dict[str, str],
    *,
    keys: Sequence[str],
    now: datetime,
) -> list[str]:
    """Store the app, which has shown a right code, in the place of an older one; end all other sessions.

    Returns new recovery codes if this is the account's first factor, else none.

    Raises:
        WrongFactor: the app does not show this code now.
    """
    step = _step_of(setup.secret, code, now=now)
    if step is None:
        raise WrongFactor
    lock(session, actor.user_id)
    session.execute(sa.delete(AuthenticatorApp).where(AuthenticatorApp.user_id == actor.user_id))
    sealed = seal(keys, SECRET, setup.secret, now=now)
    session.add(AuthenticatorApp(user_id=actor.user_id, secret=sealed, last_step=step, created_at=now))
    session.flush()
    return note_added(session, actor, "app_added", letterhead, keys=keys, now=now)


def note_added(
    session: Session,
    actor: Actor,
    what: Literal["app_added", "passkey_added"],
    letterhead: dict[str, str],
    *,
    keys: Sequence[str],
    now: datetime,
    name: str = "",
) -> list[str]:
    """Complete adding a factor: mail and audit; for staff also end other sessions, and make recovery codes for the
    first factor.
    """
    first = session.scalar(sa.select(User.factor_since).where(User.id == actor.user_id)) is None
    _write_since(session, actor.user_id, now=now)
    _end_others(session, actor)
    audit.record_by(session, actor, "factor_added", subject=("user", actor.user_id), now=now, details={"what": what})
    account_mails.tell(session, actor.user_id, what, letterhead, now=now, name=name)
    return recovery_codes.renew(session, actor.user_id, keys) if first and actor.is_staff else []


def remove_app(session: Session, actor: Actor, letterhead: dict[str, str], *, now: datetime) -> None:
    """Remove the actor's app.

    Raises:
        NotFound: there is no such factor. FactorRequired: it is the only factor, and the clinic requires one.
    """
    lock(session, actor.user_id)
    mine = sa.delete(AuthenticatorApp).where(AuthenticatorApp.user_id == actor.user_id)
    if session.scalar(mine.returning(AuthenticatorApp.user_id)) is None:
        raise NotFound(_("There is no authenticator app any more."))
    note_removed(session, actor, "app_removed", letterhead, now=now)


def note_removed(
    session: Session,
    actor: Actor,
    what: Literal["app_removed", "passkey_removed"],
    letterhead: dict[str, str],
    *,
    now: datetime,
    name: str = "",
) -> None:
    """Complete removing a factor: mail, audit, and the end of the recovery codes if it was the last one.

    Raises:
        FactorRequired: it was the last one, and the clinic requires one.
    """
    if not _write_since(session, actor.user_id, now=now):
        if get_rules(session).needs_factor(actor.role):
            raise FactorRequired
        recovery_codes.forget(session, actor.user_id)
    _end_others(session, actor)
    audit.record_by(session, actor, "factor_removed", subject=("user", actor.user_id), now=now, details={"what": what})
    account_mails.tell(session, actor.user_id, what, letterhead, now=now, name=name)


def renew_codes(
    session: Session, actor: Actor, letterhead: dict[str, str], *, keys: Sequence[str], now: datetime
) -> list[str]:
    """New recovery codes in the place of the old ones."""
    lock(session, actor.user_id)
    codes = recovery_codes.renew(session, actor.user_id, keys)
    audit.record_by(session, actor, "recovery_codes_renewed", subject=("user", actor.user_id), now=now)
    account_mails.tell(session, actor.user_id, "codes_renewed", letterhead, now=now)
    return codes


def admit_proof(session: Session, user_id: int, *, address: str, now: datetime) -> int:
    """Admit an attempt to prove the second factor, and return its id.

    Raises:
        TooManyProofs: too many wrong ones. AttemptsUnderWay: with the pending ones there may be.
    """
    try:
        return login_throttle.admit_guess(session, KIND, account=f"{KIND}:{user_id}", address=address, now=now)
    except TooManyLogins as error:
        raise TooManyProofs(retry_after=error.retry_after) from error


def prove(
    session: Session,
    user_id: int,
    code: str,
    letterhead: dict[str, str],
    *,
    keys: Sequence[str],
    address: str,
    now: datetime,
) -> Proof | None:
    """Use up a code of the app or a recovery code. None: it is wrong, which counts, so the caller must commit it.

    Raises:
        TooManyProofs, AttemptsUnderWay: see `admit_proof`.
    """
    attempt = admit_proof(session, user_id, address=address, now=now)
    proof = _use_code(session, user_id, code, keys, now=now)
    if proof is None:
        login_throttle.mark_failed(session, attempt, user_id=user_id)
        return None
    login_throttle.forget(session, attempt)
    if proof == "recovery":
        left = recovery_codes.count_left(session, user_id)
        account_mails.tell(session, user_id, "code_used", letterhead, now=now, left=left)
    return proof


def finish_sign_in(session: Session, actor: Actor, *, how: Proof, address: str, user_agent: str, now: datetime) -> str:
    """Open the session for which the actor's waiting one has been proven, and return its secret id.

    Raises:
        NotSignedIn: the waiting one has ended meanwhile.
    """
    waiting = sa.delete(UserSession).where(UserSession.id == actor.session_id, UserSession.waits.is_(True))
    if session.scalar(waiting.returning(UserSession.id)) is None:
        raise NotSignedIn(_("Sign in to see this page."))
    return sessions.start_session(
        session, actor.user_id, address=address, user_agent=user_agent, now=now, how=how, proven=True
    )


def reset(session: Session, user_id: int, letterhead: dict[str, str], *, now: datetime) -> bool:
    """Remove every factor of a locked account and end its sessions; False if it had none. The caller writes the audit.

    Its owner signs in with the password, and sets a factor up again where the clinic requires one.
    """
    for model in (AuthenticatorApp, Passkey):
        session.execute(sa.delete(model).where(model.user_id == user_id))
    recovery_codes.forget(session, user_id)
    mine = sa.update(User).where(User.id == user_id, User.factor_since.is_not(None))
    had_factor = session.scalar(mine.values(factor_since=None).returning(User.id)) is not None
    if had_factor:
        session.execute(sa.delete(UserSession).where(UserSession.user_id == user_id))
        account_mails.tell(session, user_id, "factor_reset", letterhead, now=now)
    return had_factor


def _use_code(session: Session, user_id: int, code: str, keys: Sequence[str], *, now: datetime) -> Proof | None:
    plain = "".join(code.split())
    if len(plain) != DIGITS:
        return "recovery" if recovery_codes.spend(session, user_id, code, keys, now=now) else None
    sealed = session.scalar(sa.select(AuthenticatorApp.secret).where(AuthenticatorApp.user_id == user_id))
    secret = unseal(keys, SECRET, sealed, now=now) if sealed else None
    step = _step_of(secret, plain, now=now) if secret else None
    if secret is None or step is None:
        return None
    # A code works once, also for two requests at the same moment.
    unused = sa.update(AuthenticatorApp).where(AuthenticatorApp.user_id == user_id, AuthenticatorApp.last_step < step)
    # Sealed again, so that it moves to a new key before the old one is removed.
    values = {"last_step": step, "secret": seal(keys, SECRET, secret, now=now)}
    used = session.scalar(unused.values(values).returning(AuthenticatorApp.user_id))
    return "app" if used is not None else None


def _step_of(secret: str, code: str, *, now: datetime) -> int | None:
    """The time step to which a code belongs, if the app shows it about now."""
    import pyotp

    plain = "".join(code.split()).encode()
    totp, present = pyotp.TOTP(secret), int(now.timestamp()) // STEP
    steps = [present + by for by in DRIFT]
    fitting = [step for step in steps if hmac.compare_digest(totp.generate_otp(step).encode(), plain)]
    return fitting[0] if fitting else None


def lock(session: Session, user_id: int) -> None:
    """Take the lock of an account, before its factors change."""
    session.execute(sa.select(User.id).where(User.id == user_id).with_for_update(key_share=True))


def _write_since(session: Session, user_id: int, *, now: datetime) -> bool:
    """Update `factor_since` from the existing factors, and return whether there is one."""
    factors = get_factors(session, user_id)
    if factors.app_since is None and not factors.passkeys:
        session.execute(sa.update(User).where(User.id == user_id).values(factor_since=None))
        return False
    mine = sa.update(User).where(User.id == user_id, User.factor_since.is_(None))
    session.execute(mine.values(factor_since=now))
    return True


def _end_others(session: Session, actor: Actor) -> None:
    """End other sessions of staff: a stolen one must not continue without the new factor, or with the removed one."""
    if not actor.is_staff:
        return
    others = UserSession.user_id == actor.user_id, UserSession.id != actor.session_id
    session.execute(sa.delete(UserSession).where(*others))

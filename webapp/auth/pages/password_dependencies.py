"""Asking a signed-in user for the password again, before something that a stolen session must not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from webapp.audit.security_events import ObservedEvent
from webapp.auth import login_throttle
from webapp.auth import service as auth
from webapp.auth.addresses import service as addresses
from webapp.auth.exceptions import WrongCurrentPassword
from webapp.auth.schemas import Actor
from webapp.auth.sign_in import first_password
from webapp.core.networks import network_of
from webapp.core.web import Page
from webapp.exceptions import AppError


@contextmanager
def counted_attempt(page: Page, actor: Actor) -> Iterator[int]:
    """Admit an attempt to prove the current password, and judge it: a wrong one counts like one at the sign-in."""
    seen = ObservedEvent("password_check_throttled", actor.user_id, network=network_of(page.address))
    page.close()
    attempt = login_throttle.admitted(
        page.database,
        login_throttle.admit_password_change,
        seen,
        page.now,
        actor.user_id,
        address=page.address,
        now=page.now,
    )
    try:
        yield attempt
    except WrongCurrentPassword:
        page.write(login_throttle.mark_failed, attempt)
        raise
    except AppError:
        page.write(login_throttle.forget, attempt)
        raise


def require_password(page: Page, actor: Actor, typed: str) -> None:
    """Require the actor's current password, or a very recent sign-in if the account has no password.

    Raises:
        WrongCurrentPassword: it is wrong. TooManyLogins, AttemptsUnderWay: see `login_throttle`. StaleSession: the
            account has no password, and signed in too long ago.
    """
    if not auth.has_password(page.session, actor.user_id):
        first_password.require_fresh(page.session, actor, now=page.now)
        return
    prove_password(page, actor, typed)


def prove_password(page: Page, actor: Actor, typed: str) -> None:
    """Require the current password of an account that has one.

    Raises:
        WrongCurrentPassword: it is wrong. TooManyLogins, AttemptsUnderWay: see `login_throttle`.
    """
    stored = auth.stored_hash(page.session, actor)
    with counted_attempt(page, actor) as attempt:
        addresses.require_password(stored, typed)
        page.write(login_throttle.forget, attempt)

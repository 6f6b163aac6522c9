"""Accounts at identity providers that open accounts here.

An identity is an issuer and its name for a person, never an e-mail address, because addresses change hands. Only the
first sign-in may find its account by address, and only if both sides have verified the mailbox: the provider says that
it has verified the address, and the account here has confirmed it, or was made by an admin for that address and has no
password yet. Otherwise a stranger could register with another person's address, and that person would then sign in to
the stranger's account. An account has one identity of each issuer: a second person who was given a colleague's old
address does not get the colleague's account.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth import account_mails, login_throttle
from webapp.auth.models import LinkedIdentity, SpentSignOn, User
from webapp.auth.schemas import Actor
from webapp.auth.single_sign_on.oidc import Identity
from webapp.auth.single_sign_on.sign_on_exceptions import SignOnRefused
from webapp.auth.tokens import hashed
from webapp.core.email_address import normal_email
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.identity_providers import OidcProvider

Letterhead = dict[str, str]
# How long a person may take at the provider.
LIFETIME = timedelta(minutes=10)
SIGN_ON_RETENTION = 2 * LIFETIME


class Linked(NamedTuple):
    """An identity of an account, for its owner. `provider` is its name in the settings."""

    id: int
    provider: str
    issuer: str
    email: str
    last_used_at: datetime


def admit(session: Session, state: str, *, address: str, now: datetime) -> int | None:
    """Admit the answer to this sign-in, once, and return the attempt's id; None: it was taken before.

    Raises:
        TooManyLogins, AttemptsUnderWay.
    """
    attempt = login_throttle.admit_sign_on(session, address=address, now=now)
    session.execute(sa.delete(SpentSignOn).where(SpentSignOn.at <= now - SIGN_ON_RETENTION))
    try:
        with session.begin_nested():
            session.add(SpentSignOn(state_hash=hashed(state), at=now))
            session.flush()
    except IntegrityError:
        login_throttle.mark_failed(session, attempt)
        return None
    return attempt


def find_account(session: Session, identity: Identity, provider: OidcProvider) -> int | None:
    """The account that this identity opens, or may be linked to because both sides have proved the address.

    Raises:
        SignOnRefused: the account with this address may not be found by it.
    """
    theirs = (LinkedIdentity.issuer == identity.issuer, LinkedIdentity.subject == identity.subject)
    linked = session.scalar(sa.select(LinkedIdentity.user_id).where(*theirs))
    if linked is not None:
        return linked
    if not provider.links_by_email or not identity.email:
        raise SignOnRefused("unverified", provider.shown)
    columns = (User.id, User.role, User.active, User.email_confirmed_at, User.has_password)
    found = session.execute(sa.select(*columns).where(User.email == normal_email(identity.email))).one_or_none()
    if found is None:
        return None
    invited = found.role != "patient" and not found.has_password
    if found.active and found.email_confirmed_at is None and not invited:
        raise SignOnRefused("unconfirmed", provider.shown)
    return int(found.id)


def note_use(
    session: Session,
    user_id: int,
    identity: Identity,
    provider: OidcProvider,
    letterhead: Letterhead,
    now: datetime,
) -> None:
    """Note that the identity signs in to this account, which the caller has locked; the first time, link it.

    Raises:
        SignOnRefused: the account has another identity of this issuer, or the identity another account.
    """
    used = sa.update(LinkedIdentity).where(
        LinkedIdentity.issuer == identity.issuer,
        LinkedIdentity.subject == identity.subject,
        LinkedIdentity.user_id == user_id,
    )
    shown = {"last_used_at": now, "provider": provider.name, "email": _shown_email(identity)}
    if session.scalar(used.values(shown).returning(LinkedIdentity.id)) is None:
        _add(session, user_id, identity, provider, letterhead, now)


def link(
    session: Session,
    actor: Actor,
    identity: Identity,
    provider: OidcProvider,
    letterhead: Letterhead,
    *,
    now: datetime,
) -> None:
    """Link an identity to the actor's own account.

    A person who registered with another person's address must not keep a way in when that person takes the account
    over, so the address must be confirmed.

    Raises:
        SignOnRefused: it is not confirmed, the account has another identity of this issuer, or the identity another
            account, or the provider is not for the actor's role.
    """
    mine = sa.select(User.email_confirmed_at, User.role).where(User.id == actor.user_id)
    account = session.execute(mine.with_for_update(key_share=True)).one()
    if account.email_confirmed_at is None:
        raise SignOnRefused("unconfirmed", provider.shown)
    if account.role not in provider.roles:
        raise SignOnRefused("role", provider.shown)
    note_use(session, actor.user_id, identity, provider, letterhead, now)


def unlink(
    session: Session, actor: Actor, identity_id: int, letterhead: Letterhead, shown: str, *, now: datetime
) -> None:
    """Remove one of the actor's own identities; `shown` is the name of its provider.

    Raises:
        NotFound: it is not the actor's, or is gone.
    """
    mine = sa.delete(LinkedIdentity).where(LinkedIdentity.id == identity_id, LinkedIdentity.user_id == actor.user_id)
    provider = session.scalar(mine.returning(LinkedIdentity.provider))
    if provider is None:
        raise NotFound(_("That account is already unlinked."))
    subject, details = ("user", actor.user_id), {"provider": provider}
    audit.record_by(session, actor, "identity_unlinked", subject=subject, now=now, details=details)
    account_mails.tell(session, actor.user_id, "identity_unlinked", letterhead, now=now, name=shown)


def list_linked(session: Session, user_id: int) -> list[Linked]:
    """The identities that open an account, the oldest first."""
    columns = (
        LinkedIdentity.id,
        LinkedIdentity.provider,
        LinkedIdentity.issuer,
        LinkedIdentity.email,
        LinkedIdentity.last_used_at,
    )
    found = session.execute(sa.select(*columns).where(LinkedIdentity.user_id == user_id).order_by(LinkedIdentity.id))
    return [Linked(*row) for row in found]


def _add(
    session: Session,
    user_id: int,
    identity: Identity,
    provider: OidcProvider,
    letterhead: Letterhead,
    now: datetime,
) -> None:
    taken = sa.select(LinkedIdentity.id).where(
        LinkedIdentity.issuer == identity.issuer, LinkedIdentity.subject == identity.subject
    )
    if session.scalar(taken) is not None:
        raise SignOnRefused("taken", provider.shown)
    try:
        with session.begin_nested():
            row = LinkedIdentity(
                user_id=user_id,
                provider=provider.name,
                issuer=identity.issuer,
                subject=identity.subject,
                email=_shown_email(identity),
                created_at=now,
                last_used_at=now,
            )
            session.add(row)
            session.flush()
    except IntegrityError as error:
        raise SignOnRefused("other", provider.shown) from error
    role = session.scalars(sa.select(User.role).where(User.id == user_id)).one()
    audit.record(
        session,
        "identity_linked",
        subject=("user", user_id),
        actor_user_id=user_id,
        actor_role=role,
        now=now,
        details={"provider": provider.name},
    )
    account_mails.tell(session, user_id, "identity_linked", letterhead, now=now, name=provider.shown)


def _shown_email(identity: Identity) -> str:
    said = identity.claims.get("email")
    return said[:254] if isinstance(said, str) else ""

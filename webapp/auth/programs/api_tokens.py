"""API tokens let a program act without a person's password. Admins make them, and can end them at any time.

A token is `docket_`, a readable handle of eight characters, `_`, 256 random bits, and a short checksum.
It is shown once; we store its hash. Its fixed beginning lets scanners find it where it does not belong, and the handle
says which one it is. The checksum is no secret: with it the rate limit can tell our tokens from invented ones without
the database.

The actor has the role `machine` and sees what admins see, but every request must be within the scopes of the token:
see `scopes`.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.models import ApiToken, User
from webapp.auth.passwords import service as passwords
from webapp.auth.programs.scopes import SCOPES, Scope
from webapp.auth.schemas import MACHINE, Actor, PersonName
from webapp.auth.tokens import hashed, new_secret
from webapp.core import signing
from webapp.core.networks import network_of
from webapp.database import table_of
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.notifications import outbox as notifications
from webapp.notifications.outbox import Message

PREFIX = "docket_"
TEMPLATE = "api_token_made"
PURPOSE = "api-token"
MOST_DAYS, USUAL_DAYS = 365, 90
USED_EVERY = timedelta(minutes=5)
# An expired token stays in the list for this long, so that an admin sees why a program is refused.
TOKEN_RETENTION = timedelta(days=30)
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_SHAPE = re.compile(r"docket_(?P<handle>[a-z0-9]{8})_(?P<secret>[A-Za-z0-9_-]{43})(?P<check>[0-9a-f]{8})")


class MakeToken(BaseModel):
    """A token for a program: its name, what it may do, and for how many days."""

    name: PersonName
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(SCOPES))]
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = USUAL_DAYS


class CreatedToken(NamedTuple):
    """A new token, which is shown this once, and until when it is valid."""

    token: str
    expires_at: datetime


class TokenRow(NamedTuple):
    """A token as admins see it. `made_by` is the name of an admin, '' if the account is gone."""

    id: int
    name: str
    handle: str
    scopes: tuple[str, ...]
    made_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    last_network: str


class FoundToken(NamedTuple):
    """A token in a request: the actor, its scopes, whether it has expired, and whether its use should be recorded."""

    id: int
    actor: Actor
    scopes: tuple[str, ...]
    expired: bool
    unnoted: bool


def looks_like_api_token(text: str) -> bool:
    """Whether a bearer token is meant to be an API token."""
    return text.startswith(PREFIX)


def handle_of(keys: Sequence[str], token: str) -> str:
    """The handle of a token that we made, valid or not; '' for an invented one. It reads no database."""
    parts = _SHAPE.fullmatch(token)
    if parts is None:
        return ""
    checks = (_check([key], parts["handle"], parts["secret"]) for key in keys)
    return parts["handle"] if any(hmac.compare_digest(check, parts["check"]) for check in checks) else ""


def make_token(
    session: Session,
    actor: Actor,
    command: MakeToken,
    keys: Sequence[str],
    letterhead: dict[str, str],
    *,
    now: datetime,
) -> CreatedToken:
    """Create a token, and tell all admins by mail."""
    handle, secret = "".join(secrets.choice(_LETTERS) for _letter in range(8)), new_secret()
    token = f"{PREFIX}{handle}_{secret}{_check(keys[-1:], handle, secret)}"
    user = User(
        # No mail can reach this name, and no person can prove that it is theirs.
        email=f"{handle}@token.invalid",
        name=command.name,
        password_hash=passwords.unusable_hash(),
        role=MACHINE,
        active=False,
        created_at=now,
        has_password=False,
    )
    session.add(user)
    session.flush()
    scopes = [scope for scope in SCOPES if scope in command.scopes]
    expires_at = now + timedelta(days=command.days)
    row = ApiToken(
        user_id=user.id,
        handle=handle,
        token_hash=hashed(token),
        scopes=" ".join(scopes),
        made_by=actor.user_id,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    details = {"scopes": scopes, "days": command.days}
    audit.record_by(session, actor, "api_token_made", subject=("user", user.id), now=now, details=details)
    said = {"by": actor.name, "name": command.name, "scopes": scopes, "days": command.days, "clinic": letterhead}
    _tell_admins(session, row.id, said, now=now)
    return CreatedToken(token, expires_at)


# The list reads the token's own account too.
_MAKERS_NAME = sa.select(User.name).where(User.id == ApiToken.made_by).correlate(ApiToken).scalar_subquery()
_LISTED: Any = sa.select(
    ApiToken.id,
    User.name,
    ApiToken.handle,
    ApiToken.scopes,
    sa.func.coalesce(_MAKERS_NAME, ""),
    ApiToken.created_at,
    ApiToken.expires_at,
    ApiToken.last_used_at,
    ApiToken.last_network,
).join(User, User.id == ApiToken.user_id)


def list_tokens(session: Session) -> list[TokenRow]:
    """All tokens that have not been revoked, the newest first."""
    return [_row(each) for each in session.execute(_LISTED.order_by(ApiToken.id.desc()))]


def get_token(session: Session, token_id: int) -> TokenRow:
    """One token.

    Raises:
        NotFound: there is no such token, or it was revoked.
    """
    row = session.execute(_LISTED.where(ApiToken.id == token_id)).one_or_none()
    if row is None:
        raise NotFound(_("This token doesn’t exist any more."))
    return _row(row)


def revoke_token(session: Session, actor: Actor, token_id: int, *, now: datetime) -> None:
    """End a token: its next request is refused.

    Raises:
        NotFound: there is no such token, or it was revoked already.
    """
    ended = sa.delete(ApiToken).where(ApiToken.id == token_id).returning(ApiToken.user_id)
    user_id = session.scalar(ended)
    if user_id is None:
        raise NotFound(_("This token doesn’t exist any more."))
    audit.record_by(session, actor, "api_token_revoked", subject=("user", user_id), now=now)


def find_token(session: Session, token: str, *, address: str, now: datetime) -> FoundToken | None:
    """The token and its actor, read afresh at every request; None for one that was revoked or never made."""
    query = (
        sa.select(ApiToken.id, ApiToken.scopes, ApiToken.expires_at, ApiToken.last_used_at, User.id, User.name)
        .join(User, User.id == ApiToken.user_id)
        .where(ApiToken.token_hash == hashed(token))
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    token_id, scopes, expires_at, last_used_at, user_id, name = row
    actor = Actor(user_id, 0, name, "", MACHINE, address)
    unnoted = last_used_at is None or now - last_used_at >= USED_EVERY
    return FoundToken(token_id, actor, tuple(scopes.split()), expires_at <= now, unnoted)


def note_use(session: Session, actor: Actor, token_id: int, *, now: datetime) -> None:
    """Store when and from which network a token was used, at most every five minutes; the audit log has each day."""
    tokens = table_of(ApiToken)
    before = session.scalar(sa.select(tokens.c.last_used_at).where(tokens.c.id == token_id))
    due = sa.or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at <= now - USED_EVERY)
    used = sa.update(tokens).where(tokens.c.id == token_id, due)
    used = used.values(last_used_at=now, last_network=network_of(actor.address))
    if not session.connection().execute(used).rowcount:
        return
    if before is None or before.date() != now.date():
        audit.record_by(session, actor, "api_token_used", subject=("user", actor.user_id), now=now)


def _check(keys: Sequence[str], handle: str, secret: str) -> str:
    return signing.keyed_hash(keys, PURPOSE, f"{handle}_{secret}")[:8]


def _row(row: Any) -> TokenRow:
    number, name, handle, scopes, *others = row
    return TokenRow(number, name, handle, tuple(scopes.split()), *others)


def _tell_admins(session: Session, token_id: int, values: dict[str, object], *, now: datetime) -> None:
    """A mail to each admin who can sign in: one of them may know that this token should not exist."""
    admins = sa.select(User.id, User.email).where(
        User.role == "admin", User.active.is_(True), User.has_password.is_(True)
    )
    for admin in session.execute(admins.order_by(User.id)):
        message = Message(
            dedupe_key=f"{TEMPLATE}:{token_id}:{admin.id}",
            channel="email",
            recipient=admin.email,
            template=TEMPLATE,
            values=values,
            subject=("user", admin.id),
        )
        notifications.enqueue(session, message, now=now)

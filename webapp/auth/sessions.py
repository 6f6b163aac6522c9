"""Sessions: opening them, finding their owner and what they open, and ending them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import security_events
from webapp.audit import service as audit
from webapp.auth.models import SignInRules, User, UserSession
from webapp.auth.schemas import Actor, Role, SessionRow
from webapp.auth.sign_in_rules import COLUMNS, NEW_CLINIC, StaffRules, get_rules, unended
from webapp.auth.tokens import hashed, new_secret
from webapp.database import rows, table_of
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

SESSION_LIFETIME = timedelta(days=30)
LAST_SEEN_EVERY = timedelta(minutes=5)
# A session of staff ends by its last-seen time, so that must be more exact.
STAFF_SEEN_EVERY = timedelta(minutes=1)
# How long a session waits for the second factor, and for how long a proof allows the most dangerous changes.
FACTOR_WITHIN = CONFIRMED_FOR = timedelta(minutes=10)


def forget_session(session: Session, secret: str) -> None:
    """End the session with this secret id, if there is one: the browser that held it starts another."""
    if secret:
        session.execute(sa.delete(UserSession).where(UserSession.id_hash == hashed(secret)))


def start_session(
    session: Session,
    user_id: int,
    *,
    address: str,
    user_agent: str,
    now: datetime,
    how: str = "password",
    proven: bool = False,
    elsewhere: bool = False,
) -> str:
    """Open a session for a user and return its random id, which only the cookie will hold.

    `how` says for the security events what proved the user: see `security_events.signed_in`. Staff who have a second
    factor get a session that waits for it, unless it is `proven` already, here or `elsewhere` by a provider that the
    clinic trusts. The clinic's rules limit how long their sessions last.
    """
    session.execute(sa.delete(UserSession).where(UserSession.expires_at < now))
    seen = sa.update(User).where(User.id == user_id).values(last_seen_at=now)
    role, factor_since = session.execute(seen.returning(User.role, User.factor_since)).one()
    waits = role != "patient" and factor_since is not None and not (proven or elsewhere)
    lifetime = SESSION_LIFETIME if role == "patient" else get_rules(session).lifetime
    secret = new_secret()
    session.add(
        UserSession(
            id_hash=hashed(secret),
            user_id=user_id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + (FACTOR_WITHIN if waits else lifetime),
            address=address[:45],
            user_agent=user_agent[:255],
            waits=waits,
            factor_at=None if waits else now,
            factor_elsewhere=elsewhere,
        )
    )
    session.flush()
    if not waits:
        security_events.signed_in(session, user_id, how=how, address=address, now=now)
    return secret


def renew_session(session: Session, session_id: int) -> str:
    """Give a session another secret id and return it: a copy of the old one opens nothing any more."""
    secret = new_secret()
    mine = sa.update(UserSession).where(UserSession.id == session_id)
    session.execute(mine.values(id_hash=hashed(secret)))
    return secret


Stage = Literal["open", "factor", "enrol"]


class SignedIn(NamedTuple):
    """The actor of a request, and whether the session's last-seen time is due to be written.

    `stage` says what the session opens: everything (open); only the page that asks for the second factor (factor); or
    only the pages that set one up (enrol), because the clinic requires one and the account has none. `factor_at` is
    when the actor last proved who they are; `has_factor`: by a second factor.
    """

    actor: Actor
    touch: bool
    stage: Stage
    factor_at: datetime | None
    has_factor: bool

    def is_confirmed(self, now: datetime) -> bool:
        """Whether the actor has just proved who they are, so that the most dangerous changes are allowed."""
        return self.factor_at is not None and now - self.factor_at < CONFIRMED_FOR


# Built once, and from tables instead of mapped classes: every request of a signed-in user runs it.
_SESSION, _USER, _RULES = table_of(UserSession).c, table_of(User).c, table_of(SignInRules).c
_SIGNED_IN = (
    sa.select(
        _SESSION.id,
        _SESSION.created_at,
        _SESSION.last_seen_at,
        _SESSION.waits,
        _SESSION.factor_at,
        _SESSION.factor_elsewhere,
        _USER.id,
        _USER.name,
        _USER.email,
        _USER.role,
        _USER.factor_since,
        *(_RULES[name] for name in StaffRules.model_fields),
    )
    .select_from(
        table_of(UserSession)
        .join(table_of(User), _USER.id == _SESSION.user_id)
        .outerjoin(table_of(SignInRules), _RULES.id == 1)
    )
    .where(
        _SESSION.id_hash == sa.bindparam("id_hash"),
        _SESSION.expires_at > sa.bindparam("now"),
        _USER.active.is_(True),
    )
)


def find_actor(session: Session, secret: str, *, address: str, now: datetime) -> SignedIn | None:
    """The owner of this session id, read afresh at every request.

    None if it has ended, its user is disabled, or it opens only the pages of the second factor.
    """
    found = find_session(session, secret, address=address, now=now)
    return found if found is not None and found.stage == "open" else None


def find_session(session: Session, secret: str, *, address: str, now: datetime) -> SignedIn | None:
    """The session with this id, also one that waits for a second factor, or whose owner must set one up."""
    return _find(session, hashed(secret), address=address, now=now, of_page=True)


def find_actor_of_session(session: Session, session_hash: str, *, address: str, now: datetime) -> SignedIn | None:
    """The owner of an access token, which knows the session only by its hash. It has no idle time."""
    found = _find(session, session_hash, address=address, now=now, of_page=False)
    return found if found is not None and found.stage == "open" else None


def _find(session: Session, session_hash: str, *, address: str, now: datetime, of_page: bool) -> SignedIn | None:
    row = rows(session, _SIGNED_IN, id_hash=session_hash, now=now).one_or_none()
    if row is None:
        return None
    session_id, created_at, last_seen_at, waits, factor_at, elsewhere, *account = row
    user_id, name, email, role, factor_since, *rules = account
    unseen, has_factor = now - last_seen_at, False
    stage: Stage = "open"
    if role != "patient":
        saved = dict(zip(COLUMNS, rules, strict=True))
        of_staff = NEW_CLINIC if rules[0] is None else StaffRules.model_construct(**saved)
        if of_page and (unseen >= of_staff.idle or now - created_at >= of_staff.lifetime):
            return None
        has_factor = factor_since is not None
        enrols = not has_factor and not elsewhere and of_staff.needs_factor(role)
        stage = "factor" if waits else "enrol" if enrols else "open"
    elif waits:
        return None
    actor = Actor(user_id, session_id, name, email, cast(Role, role), address)
    touch = unseen >= (LAST_SEEN_EVERY if role == "patient" else STAFF_SEEN_EVERY)
    return SignedIn(actor, touch and not waits, stage, factor_at, has_factor)


def note_proof(session: Session, session_id: int, *, now: datetime) -> str:
    """Note that the owner of a session has just proved who they are, and return its new secret id."""
    session.execute(sa.update(UserSession).where(UserSession.id == session_id).values(factor_at=now))
    return renew_session(session, session_id)


def touch_session(session: Session, session_id: int, *, now: datetime) -> None:
    """Store that a session, and so its account, was just used."""
    used = sa.update(UserSession).where(UserSession.id == session_id).values(last_seen_at=now)
    user_id = session.scalar(used.returning(UserSession.user_id))
    session.execute(sa.update(User).where(User.id == user_id).values(last_seen_at=now))


def end_session(session: Session, actor: Actor, session_id: int, *, now: datetime) -> None:
    """End one of the actor's own sessions: this one, or that of another browser.

    Raises:
        NotFound: it is not the actor's, or it has ended already.
    """
    ended = session.execute(
        sa.delete(UserSession)
        .where(UserSession.id == session_id, UserSession.user_id == actor.user_id)
        .returning(UserSession.id)
    )
    if ended.one_or_none() is None:
        raise NotFound(_("That device is already signed out."))
    security_events.signed_out(session, actor.user_id, address=actor.address, now=now)


def end_other_sessions(session: Session, actor: Actor, *, now: datetime) -> int:
    """End all sessions of the actor but this one, and return how many there were."""
    others = UserSession.user_id == actor.user_id, UserSession.id != actor.session_id
    ended = len(session.execute(sa.delete(UserSession).where(*others).returning(UserSession.id)).all())
    if ended:
        subject, details = ("user", actor.user_id), {"count": ended}
        audit.record_by(session, actor, "sessions_ended", subject=subject, now=now, details=details)
        security_events.signed_out(session, actor.user_id, address=actor.address, now=now)
    return ended


def is_session(session: Session, session_id: int) -> bool:
    """Whether this session exists, of any account."""
    return session.scalar(sa.select(UserSession.id).where(UserSession.id == session_id)) is not None


def list_sessions(session: Session, actor: Actor, *, now: datetime) -> list[SessionRow]:
    """The actor's signed-in browsers, the most recently used first."""
    query = (
        sa.select(
            UserSession.id,
            UserSession.user_agent,
            UserSession.address,
            UserSession.created_at,
            UserSession.last_seen_at,
        )
        .where(UserSession.user_id == actor.user_id, unended(session, now=now))
        .order_by(UserSession.last_seen_at.desc(), UserSession.id.desc())
    )
    return [SessionRow(*row) for row in session.execute(query)]

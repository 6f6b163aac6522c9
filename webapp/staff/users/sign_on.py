"""Signing in with an identity provider: whose account it is, what the provider says about its role, and a session.

It is in a room above those of doctors and patients, because a role from a claim ends the tie of an account to a doctor,
and an account that becomes a patient's needs a record. The provider decides the role at every sign-in, if the clinic's
settings map values of a claim to roles. It never makes a doctor, because it cannot say which one, and never takes the
role of the last admin: the clinic would be locked out by a mistake in a directory. A person without any of the values
is refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import Session

from webapp.auth import roles, sessions
from webapp.auth import service as auth
from webapp.auth.models import User
from webapp.auth.passwords import service as passwords
from webapp.auth.roles import LockedAccount
from webapp.auth.schemas import Actor, Role
from webapp.auth.single_sign_on import identities
from webapp.auth.single_sign_on.oidc import Identity
from webapp.auth.single_sign_on.sign_on_exceptions import SignOnRefused
from webapp.clinic.service import get_clinic
from webapp.core.email_address import normal_email
from webapp.doctors.models import Doctor
from webapp.exceptions import Invalid
from webapp.identity_providers import OidcProvider
from webapp.patients import service as patients
from webapp.patients.schemas import NewPatient, Origin
from webapp.staff.users import service as users


def sign_in(
    session: Session, identity: Identity, provider: OidcProvider, origin: Origin, *, now: datetime
) -> str | SignOnRefused:
    """Open a session for the person whom the provider has signed in, and return its secret id. If their new role may
    not sign in this way, they get the role nevertheless; so that refusal is returned, not raised.

    Raises:
        SignOnRefused: the identity opens no account here.
    """
    role = role_of(identity.claims, provider)
    user_id = identities.find_account(session, identity, provider)
    if user_id is None:
        user_id = _create(session, identity, provider, role or "patient", now=now)
    account = roles.lock_account(session, None, user_id)
    if not account.active:
        raise SignOnRefused("disabled", provider.shown)
    if role is None and account.role not in provider.roles:
        raise SignOnRefused("role", provider.shown)
    # This comes before any change, because the account may belong to another person with the same address.
    identities.note_use(session, user_id, identity, provider, get_clinic(session).letterhead, now)
    if _take_role(session, account, role, provider, origin, now=now) not in provider.roles:
        return SignOnRefused("role", provider.shown)
    if identity.email and normal_email(identity.email) == account.email:
        unconfirmed = sa.update(User).where(User.id == user_id, User.email_confirmed_at.is_(None))
        session.execute(unconfirmed.values(email_confirmed_at=now))
    sessions.forget_session(session, origin.previous)
    return sessions.start_session(
        session,
        user_id,
        address=origin.address,
        user_agent=origin.user_agent,
        now=now,
        how=provider.name,
        elsewhere=provider.trusts_second_factor and identity.two_factors,
    )


def role_of(claims: dict[str, Any], provider: OidcProvider) -> Role | None:
    """The highest role that the provider's claim gives; None if the clinic uses no claim.

    Raises:
        SignOnRefused: the clinic uses a claim, and it gives no role.
    """
    if not provider.role_claim:
        return None
    said: Any = claims.get(provider.role_claim)
    if said is None:
        # Keycloak nests its roles: realm_access.roles
        said = claims
        for part in provider.role_claim.split("."):
            said = said.get(part) if isinstance(said, dict) else None
    values = said if isinstance(said, list) else [said]
    known = provider.role_values
    given = {known[value] for value in values if isinstance(value, str) and value in known}
    for role in reversed(get_args(Role)):
        if role in given:
            found: Role = role
            return found
    raise SignOnRefused("no_role", provider.shown)


def _create(session: Session, identity: Identity, provider: OidcProvider, role: Role, *, now: datetime) -> int:
    if not provider.creates_accounts:
        raise SignOnRefused("stranger", provider.shown)
    if role not in provider.roles:
        raise SignOnRefused("role", provider.shown)
    if role == "doctor":
        raise SignOnRefused("no_doctor", provider.shown)
    try:
        # The same bounds of name and address as in a form.
        new = NewPatient(name=identity.name or identity.email.partition("@")[0], email=identity.email)
        if role == "patient":
            return patients.register_without_password(session, new, now=now)
    except (ValidationError, Invalid) as error:
        raise SignOnRefused("asks_more", provider.shown) from error
    return auth.create_user(
        session,
        email=new.email,
        name=new.name,
        password_hash=passwords.unusable_hash(),
        role=role,
        now=now,
        has_password=False,
    )


def _take_role(
    session: Session,
    account: LockedAccount,
    role: Role | None,
    provider: OidcProvider,
    origin: Origin,
    *,
    now: datetime,
) -> Role:
    """Give the account the role that the provider says, and return the role that it has then."""
    if role is None or role == account.role or (account.is_last_admin and role != "admin"):
        return account.role
    if role == "doctor":
        raise SignOnRefused("no_doctor", provider.shown)
    roles.set_role(session, None, account, role, by=provider.shown, now=now)
    session.execute(sa.update(Doctor).where(Doctor.user_id == account.user_id).values(user_id=None))
    if role == "patient":
        owner = Actor(account.user_id, 0, account.name, account.email, role, origin.address)
        users.require_record(session, owner, account, now=now)
    return role

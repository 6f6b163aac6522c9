"""Ends the remaining access of a former user of a patient's account, after its owner has taken it over.

A stranger may have registered with another person's e-mail address, or read a mailbox whose address was a typing
mistake. Passwords and sessions end when the owner takes the account over. So do the passkeys and the identity providers
that the stranger may have added, because they need neither.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import LinkedIdentity, Passkey, User


def end_passkeys(session: Session, user_id: int) -> bool:
    """Remove every passkey and linked identity of a patient's account, and return whether there was a passkey.

    Staff are not changed.
    """
    is_patient = sa.select(User.id).where(User.id == user_id, User.role == "patient")
    session.execute(sa.delete(LinkedIdentity).where(LinkedIdentity.user_id.in_(is_patient)))
    ended = sa.delete(Passkey).where(Passkey.user_id.in_(is_patient)).returning(Passkey.id)
    if not session.scalars(ended).all():
        return False
    session.execute(sa.update(User).where(User.id == user_id).values(factor_since=None))
    return True

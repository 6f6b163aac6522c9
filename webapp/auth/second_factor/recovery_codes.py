"""Recovery codes: ten random codes, each of which replaces the second factor once.

They have 120 random bits, so a fast hash is enough: guessing is hopeless even for a thief of the database and the key.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.models import RecoveryCode
from webapp.core.sealing import derived_key

NUMBER_OF_CODES = 10
# In letters and digits that are not mistaken for one another: 24 of them, in groups of four.
BYTES = 15
_UNTYPED = re.compile(r"[\s-]")


def renew(session: Session, user_id: int, keys: Sequence[str]) -> list[str]:
    """Make new codes and return them, which is the only time they can be read. The old ones end."""
    codes = [base64.b32encode(secrets.token_bytes(BYTES)).decode().lower() for _number in range(NUMBER_OF_CODES)]
    forget(session, user_id)
    session.execute(
        sa.insert(RecoveryCode), [{"user_id": user_id, "code_hash": _hash(keys[-1], code)} for code in codes]
    )
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def spend(session: Session, user_id: int, code: str, keys: Sequence[str], *, now: datetime) -> bool:
    """Use a code up; False if it is not one of this account's, or was used before."""
    plain = _UNTYPED.sub("", code).lower()
    mine = sa.update(RecoveryCode).where(
        RecoveryCode.user_id == user_id,
        RecoveryCode.code_hash.in_([_hash(key, plain) for key in keys]),
        RecoveryCode.used_at.is_(None),
    )
    return session.scalar(mine.values(used_at=now).returning(RecoveryCode.id)) is not None


def count_left(session: Session, user_id: int) -> int:
    """How many codes of this account are unused."""
    unused = RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None)
    return session.scalar(sa.select(sa.func.count(RecoveryCode.id)).where(*unused)) or 0


def forget(session: Session, user_id: int) -> None:
    """Delete all codes of this account."""
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


def _hash(key: str, code: str) -> str:
    return hmac.digest(derived_key(key, "recovery-code"), code.encode(), "sha256").hex()

"""The poster at the clinic, whose QR code says only where it hangs.

Who has scanned it lately may say that they are here, on the page of their own appointment. A new key ends all posters
that hang, and what was scanned from them, for example because someone has published a picture of one.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.schemas import Actor
from webapp.clinic.models import ClinicSettings
from webapp.clinic.service import Clinic
from webapp.clinic.settings import lock_settings, record_change
from webapp.core.signing import sign, unsign

# How long after the poster was scanned a patient may say that they are here.
FRESH = timedelta(minutes=30)
_PURPOSE = "poster"


def renew(session: Session, actor: Actor, *, now: datetime) -> None:
    """Give the poster a new key: the first one, or another one, which ends the former."""
    _save(session, actor, secrets.token_urlsafe(16), now=now)


def end(session: Session, actor: Actor, *, now: datetime) -> None:
    """Let no poster work any more."""
    _save(session, actor, "", now=now)


def is_of(clinic: Clinic, key: str) -> bool:
    """Whether this is the key of the poster that hangs now."""
    return bool(clinic.poster_key) and hmac.compare_digest(clinic.poster_key.encode(), key.encode())


def seal_scan(keys: Sequence[str], clinic: Clinic, *, now: datetime) -> str:
    """A signed note that the poster was scanned now; it says nothing about who did."""
    return sign(keys, _PURPOSE, [clinic.poster_key, int(now.timestamp())])


def scanned_at(keys: Sequence[str], clinic: Clinic, note: str, *, now: datetime) -> datetime | None:
    """When the poster that hangs now was scanned; None if the note is not ours, or that is too long ago."""
    match unsign(keys, _PURPOSE, note):
        case [str(key), int(second)] if is_of(clinic, key):
            at = datetime.fromtimestamp(second, UTC)
            return at if at <= now < at + FRESH else None
    return None


def _save(session: Session, actor: Actor, key: str, *, now: datetime) -> None:
    lock_settings(session)
    session.execute(sa.update(ClinicSettings).where(ClinicSettings.id == 1).values(poster_key=key))
    record_change(session, actor, ["poster_key"], now=now)

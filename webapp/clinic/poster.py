"""The poster at the clinic, whose QR code proves only that the client is at the clinic. Patients who have just scanned
it may say that they are here, on the page of their own appointment. A new key makes all earlier posters and their scans
invalid, for example if a picture of one was published.
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
SCAN_LIFETIME = timedelta(minutes=30)
_PURPOSE = "poster"


def renew(session: Session, actor: Actor, *, now: datetime) -> None:
    """Give the poster a new key: its first one, or one that makes earlier posters invalid."""
    _save(session, actor, secrets.token_urlsafe(16), now=now)


def end(session: Session, actor: Actor, *, now: datetime) -> None:
    """Make all posters invalid."""
    _save(session, actor, "", now=now)


def is_of(clinic: Clinic, key: str) -> bool:
    """Whether this is the key of the present poster."""
    return bool(clinic.poster_key) and hmac.compare_digest(clinic.poster_key.encode(), key.encode())


def seal_scan(keys: Sequence[str], clinic: Clinic, *, now: datetime) -> str:
    """A signed note that the poster was scanned now; it does not say by whom."""
    return sign(keys, _PURPOSE, [clinic.poster_key, int(now.timestamp())])


def scanned_at(keys: Sequence[str], clinic: Clinic, note: str, *, now: datetime) -> datetime | None:
    """When the present poster was scanned; None if the note is not ours, or too old."""
    match unsign(keys, _PURPOSE, note):
        case [str(key), int(second)] if is_of(clinic, key):
            at = datetime.fromtimestamp(second, UTC)
            return at if at <= now < at + SCAN_LIFETIME else None
    return None


def _save(session: Session, actor: Actor, key: str, *, now: datetime) -> None:
    lock_settings(session)
    session.execute(sa.update(ClinicSettings).where(ClinicSettings.id == 1).values(poster_key=key))
    record_change(session, actor, ["poster_key"], now=now)

"""Secrets that we must be able to read again: they are sealed (encrypted) with keys of the settings before they are
stored.

A copy of the database alone does not reveal them. The signing key seals, and all keys unseal, so that the key can be
changed. `keys` are `Settings.secret_keys`, with the signing key last.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

# The library for encryption is large, and most processes never need it: it is imported where it is used.


def derived_key(secret: str, purpose: str) -> bytes:
    """A key for this purpose only, so that a value made for one purpose is worthless for another."""
    return hmac.digest(secret.encode(), f"docket.{purpose}".encode(), "sha256")


def seal(keys: Sequence[str], purpose: str, text: str, *, now: datetime) -> str:
    """The text, sealed for this purpose."""
    return _fernet(keys, purpose).encrypt_at_time(text.encode(), int(now.timestamp())).decode()


def unseal(
    keys: Sequence[str], purpose: str, sealed: str, *, now: datetime, within: timedelta | None = None
) -> str | None:
    """The text that was sealed, or None: none of our keys sealed it for this purpose, or longer ago than `within`."""
    from cryptography.fernet import InvalidToken

    fernet = _fernet(keys, purpose)
    try:
        if within is None:
            return fernet.decrypt(sealed.encode()).decode()
        seconds = int(within.total_seconds())
        return fernet.decrypt_at_time(sealed.encode(), ttl=seconds, current_time=int(now.timestamp())).decode()
    except InvalidToken:
        return None


def _fernet(keys: Sequence[str], purpose: str) -> MultiFernet:
    from cryptography.fernet import Fernet, MultiFernet

    derived = [base64.urlsafe_b64encode(derived_key(key, f"seal.{purpose}")) for key in reversed(keys)]
    return MultiFernet([Fernet(key) for key in derived])

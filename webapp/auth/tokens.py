"""Random secrets that are given to a client, and the hashes that we store of them."""

from __future__ import annotations

import hashlib
import secrets


def new_secret() -> str:
    """A random value of 256 bits, safe in cookies and addresses."""
    return secrets.token_urlsafe(32)


def hashed(value: str) -> str:
    """SHA-256 in hex: enough for random values, and for values that must only not be readable in the database."""
    return hashlib.sha256(value.encode()).hexdigest()

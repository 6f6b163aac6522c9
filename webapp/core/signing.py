"""Values that travel in links and come back unchanged: signed with the first of our keys, verified with any.

A client can read the value of its token, so it is an id or an address that they know, never a secret.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer


def sign(keys: Sequence[str], purpose: str, value: Any) -> str:
    """A token, safe in addresses, that carries `value` for this `purpose` only. `keys` are `Settings.secret_keys`."""
    token: str = _serializer(keys, purpose).dumps(value)
    return token


def unsign(keys: Sequence[str], purpose: str, token: str) -> Any:
    """The value of the token, or None when none of our keys signed it for this purpose."""
    try:
        return _serializer(keys, purpose).loads(token)
    except BadSignature:
        return None


def keyed_hash(keys: Sequence[str], purpose: str, value: str) -> str:
    """A hash of `value` that cannot be computed without our signing key: for values that are easily guessed."""
    return _keyed(keys[-1], purpose, value).hexdigest()


def number_of(keys: Sequence[str], purpose: str, nonce: str, *, digits: int) -> str:
    """A number of `digits` digits that follows from a nonce and our signing key, and from neither of them alone."""
    drawn = int.from_bytes(_keyed(keys[-1], purpose, nonce).digest(), "big")
    return str(drawn % 10**digits).zfill(digits)


def _keyed(key: str, purpose: str, value: str) -> hmac.HMAC:
    derived = hmac.new(key.encode(), f"docket.{purpose}".encode(), hashlib.sha256).digest()
    return hmac.new(derived, value.encode(), hashlib.sha256)


def _serializer(keys: Sequence[str], purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(
        list(keys), salt=f"docket.{purpose}", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
    )

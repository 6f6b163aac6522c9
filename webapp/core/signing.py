"""Values that travel in links and come back unchanged: signed with the first of our keys, verified with any.

The holder of a token can read its value, so it is an id or an address that they know, never a secret.
"""

from __future__ import annotations

import hashlib
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


def _serializer(keys: Sequence[str], purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(
        list(keys), salt=f"docket.{purpose}", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
    )

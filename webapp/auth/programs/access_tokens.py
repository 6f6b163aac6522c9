"""Access tokens of the API: JWTs that live for minutes. Each belongs to a session, which every request looks up.

They are signed with keys that are derived from `DOCKET_SECRET_KEY`, and name their key in `kid`, so that the key can
be changed while tokens are in use. A token names its session by the session's hash. A cookie cannot be made from
that hash, and the token is worthless once the session has ended.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

ACCESS_LIFETIME = timedelta(minutes=15)
ALGORITHM = "HS256"
AUDIENCE = "docket-api"
_LONG_AGO = timedelta(days=365)


class Claims(NamedTuple):
    """The content of a token: its user, and the hash of its session."""

    user_id: int
    session_hash: str


def make_access_token(keys: Sequence[str], user_id: int, session_hash: str, *, now: datetime) -> str:
    """Create a token for a session. `keys` are `Settings.secret_keys`: the last one signs."""
    key = _derived(keys[-1])
    claims = {
        "sub": str(user_id),
        "sid": session_hash,
        "aud": AUDIENCE,
        "iat": int(now.timestamp()),
        "exp": int((now + ACCESS_LIFETIME).timestamp()),
    }
    # The library brings all of cryptography with it: 9 MiB that a clinic without programs never needs.
    import jwt

    return jwt.encode(claims, key, ALGORITHM, headers={"kid": _name_of(key)})


def is_expired(keys: Sequence[str], token: str, *, now: datetime) -> bool:
    """Whether one of our keys signed the token and it has expired: then it is an old token and no forgery."""
    return read_access_token(keys, token, now=now - _LONG_AGO) is not None


def read_access_token(keys: Sequence[str], token: str, *, now: datetime) -> Claims | None:
    """The claims of a token that one of our keys signed and that has not expired; None for any other token."""
    import jwt

    by_name = {_name_of(key): key for key in map(_derived, keys)}
    try:
        key = by_name.get(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            return None
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            # We compare the time with `now` ourselves; the library would read the clock.
            options={"require": ["sub", "sid", "exp", "iat"], "verify_exp": False, "verify_iat": False},
        )
        if int(claims["exp"]) <= now.timestamp():
            return None
        return Claims(int(claims["sub"]), str(claims["sid"]))
    except (jwt.InvalidTokenError, ValueError, TypeError):
        return None


@cache
def load() -> None:
    """Load the library that reads tokens. It takes a tenth of a second, so the event loop has a thread do it."""
    import jwt  # noqa: F401


def is_loaded() -> bool:
    """Whether `load` was called before."""
    return load.cache_info().currsize > 0


def _derived(secret: str) -> bytes:
    """A key for tokens only, so that nothing else that the secret signs can pass for a token."""
    return hmac.digest(secret.encode(), b"docket.access-token", "sha256")


def _name_of(key: bytes) -> str:
    return hashlib.sha256(b"kid" + key).hexdigest()[:12]

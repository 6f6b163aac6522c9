"""Access tokens: which are accepted, during a change of keys and when they are forged."""

from __future__ import annotations

import asyncio
import hmac
import sys
from datetime import timedelta
from typing import Any

import jwt
import pytest

from tests.cast import NOW, Cast, client_for
from webapp.auth.programs import access_tokens
from webapp.auth.programs.access_tokens import ACCESS_LIFETIME, AUDIENCE, Claims, make_access_token, read_access_token

OLD, NEW = "the-old-key-0123456789-abcdefghijklmnop", "the-new-key-9876543210-ponmlkjihgfedcba"
OURS = hmac.digest(NEW.encode(), b"docket.access-token", "sha256")
SECOND = timedelta(seconds=1)


def test_a_token_outlives_a_change_of_keys_as_long_as_its_key_is_still_listed() -> None:
    token = make_access_token([OLD], 7, "hash", now=NOW)
    # The last one signs, and all of them verify.
    assert read_access_token([OLD, NEW], token, now=NOW) == Claims(7, "hash")
    assert read_access_token([NEW], token, now=NOW) is None
    after = make_access_token([OLD, NEW], 7, "hash", now=NOW)
    assert read_access_token([NEW], after, now=NOW) == Claims(7, "hash")
    assert jwt.get_unverified_header(token)["kid"] != jwt.get_unverified_header(after)["kid"]


class ImportWatch:
    """A finder of modules that notes, for each import of the library, whether its thread runs an event loop."""

    def __init__(self) -> None:
        self.on_the_loop: list[bool] = []

    def find_spec(self, name: str, *_where: object) -> None:
        """Return None, so that Python's other finders find the module."""
        if name == "jwt":
            try:
                self.on_the_loop.append(bool(asyncio.get_running_loop()))
            except RuntimeError:
                self.on_the_loop.append(False)


def test_the_library_is_not_loaded_on_the_event_loop(sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading takes a tenth of a second, in which the event loop could answer no request."""
    watch = ImportWatch()
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
    monkeypatch.delitem(sys.modules, "jwt")
    access_tokens.load.cache_clear()
    with client_for(sqlite_cast.database) as client:
        answer = client.get("/api/v1/appointments", headers={"authorization": "Bearer one.two.three"})
    assert answer.status_code == 401
    assert watch.on_the_loop == [False]


def test_a_token_ends_by_our_clock() -> None:
    token = make_access_token([NEW], 7, "hash", now=NOW)
    assert read_access_token([NEW], token, now=NOW + ACCESS_LIFETIME - SECOND) is not None
    assert read_access_token([NEW], token, now=NOW + ACCESS_LIFETIME) is None


@pytest.mark.parametrize(
    ("key", "algorithm", "changes"),
    [
        ("", "none", {}),
        # Only one algorithm counts, also where our own key has signed.
        (None, "HS384", {}),
        # The setting itself is not a signing key of tokens.
        (NEW, "HS256", {}),
        (OLD, "HS256", {}),
        (None, "HS256", {"aud": "others"}),
        (None, "HS256", {"sid": None}),
        (None, "HS256", {"exp": None}),
        (None, "HS256", {"exp": "soon"}),
        (None, "HS256", {"sub": "alice"}),
    ],
)
@pytest.mark.filterwarnings("ignore:The HMAC key is")
def test_forged_tokens_are_refused(key: str | None, algorithm: str, changes: dict[str, Any]) -> None:
    """Each token has the name of our key; where no key is given, it is signed with ours but has another content."""
    kid = jwt.get_unverified_header(make_access_token([NEW], 7, "hash", now=NOW))["kid"]
    start, end = int(NOW.timestamp()), int((NOW + ACCESS_LIFETIME).timestamp())
    said = {"sub": "7", "sid": "hash", "aud": AUDIENCE, "iat": start, "exp": end, **changes}
    claims = {name: value for name, value in said.items() if value is not None}
    signing_key = OURS if key is None else key
    token = jwt.encode(claims, signing_key, algorithm, headers={"kid": kid})
    assert read_access_token([NEW], token, now=NOW) is None


def test_the_same_token_without_changes_is_accepted() -> None:
    token = make_access_token([NEW], 7, "hash", now=NOW)
    claims = jwt.decode(token, OURS, ["HS256"], audience=AUDIENCE, options={"verify_exp": False, "verify_iat": False})
    assert set(claims) == {"sub", "sid", "aud", "iat", "exp"}
    assert read_access_token([NEW], token, now=NOW) == Claims(7, "hash")

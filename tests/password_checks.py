"""Which passwords are compared with which stored hashes: each comparison takes about 25 ms."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pytest
from argon2 import PasswordHasher

from webapp.auth.passwords import service as passwords


class Verification(NamedTuple):
    """A password that was compared with a stored hash."""

    password: str
    stored: str


def noted_verifications(monkeypatch: pytest.MonkeyPatch) -> list[Verification]:
    """All verifications from now on, which are made as before."""
    verified, usual = [], passwords.hasher

    class Noting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - it is the library's.
            verified.append(Verification(str(password), str(hash)))
            return super().verify(hash, password)

    monkeypatch.setattr(passwords, "hasher", Noting(usual.time_cost, usual.memory_cost, usual.parallelism))
    return verified

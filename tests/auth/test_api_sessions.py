"""Refresh tokens: each is used once, even with concurrent requests, and old ones are deleted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from tests.cast import NOW, Cast
from webapp.auth import api_sessions, service
from webapp.auth.api_sessions import Granted
from webapp.auth.exceptions import RefreshTokenNotValid
from webapp.models import RefreshToken, UserSession

THIEVES = 4


def sign_in(cast: Cast) -> Granted:
    """Alice's first pair of tokens."""
    user = cast.alice.user_id
    secret = cast.database.write(service.start_session, user, address="", user_agent="", now=NOW)
    return cast.database.write(api_sessions.grant, user, secret, now=NOW)


def test_of_many_concurrent_uses_of_a_token_one_succeeds_and_the_session_ends(cast: Cast) -> None:
    token = sign_in(cast).refresh_token
    together = Barrier(THIEVES)

    def use(_thief: int) -> str | None:
        together.wait()
        try:
            granted = cast.database.write(api_sessions.rotate, token, now=NOW)
        except RefreshTokenNotValid:
            return None
        return granted.refresh_token if granted else None

    with ThreadPoolExecutor(THIEVES) as threads:
        served = [new for new in threads.map(use, range(THIEVES)) if new]
    assert len(served) == 1
    # The second use is detected, so the first token pair is revoked as well.
    with pytest.raises(RefreshTokenNotValid):
        cast.database.write(api_sessions.rotate, served[0], now=NOW)
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(UserSession.id))) == 0


def test_old_tokens_of_a_long_session_are_deleted(cast: Cast) -> None:
    first = token = sign_in(cast).refresh_token
    for days in (1, 20, 32):
        granted = cast.database.write(api_sessions.rotate, token, now=NOW + timedelta(days=days))
        assert granted is not None
        token = granted.refresh_token
    with cast.database.reading() as session:
        used = session.scalars(sa.select(RefreshToken.used_at).order_by(RefreshToken.id)).all()
    assert used == [NOW + timedelta(days=20), NOW + timedelta(days=32), None]
    with pytest.raises(RefreshTokenNotValid):
        cast.database.write(api_sessions.rotate, first, now=NOW + timedelta(days=32))
    assert cast.database.write(api_sessions.rotate, token, now=NOW + timedelta(days=33)) is not None

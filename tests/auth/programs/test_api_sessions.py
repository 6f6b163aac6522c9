"""Refresh tokens: each is used once, even with concurrent requests, and old ones are deleted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from tests.cast import NOW, Cast
from webapp.auth import sessions
from webapp.auth.exceptions import RefreshTokenNotValid
from webapp.auth.programs import api_sessions
from webapp.auth.programs.api_sessions import GrantedTokens
from webapp.models import RefreshToken, UserSession

THIEVES = 4


def sign_in(cast: Cast) -> GrantedTokens:
    """Alice's first pair of tokens."""
    user = cast.alice.user_id
    secret = cast.database.write(sessions.start_session, user, address="", user_agent="", now=NOW)
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


def test_a_session_ends_a_month_after_the_password_however_often_it_is_refreshed(cast: Cast) -> None:
    token = sign_in(cast).refresh_token
    for days in (1, 20, 29):
        granted = cast.database.write(api_sessions.rotate, token, now=NOW + timedelta(days=days))
        assert granted is not None
        token = granted.refresh_token
    with pytest.raises(RefreshTokenNotValid):
        cast.database.write(api_sessions.rotate, token, now=NOW + timedelta(days=30))
    # The next session that begins deletes it, with all its tokens.
    cast.database.write(
        sessions.start_session, cast.dave.user_id, address="", user_agent="", now=NOW + timedelta(days=31)
    )
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(RefreshToken.id))) == 0


def test_a_program_of_staff_has_no_idle_time(cast: Cast) -> None:
    user = cast.carol.user_id
    secret = cast.database.write(sessions.start_session, user, address="", user_agent="", now=NOW)
    granted = cast.database.write(api_sessions.grant, user, secret, now=NOW)
    again = cast.database.write(api_sessions.rotate, granted.refresh_token, now=NOW + timedelta(days=2))
    assert again is not None
    with cast.database.reading() as session:
        later = NOW + timedelta(days=2, hours=1)
        assert sessions.find_actor_of_session(session, again.session_hash, address="", now=later) is not None

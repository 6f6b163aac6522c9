"""The streams of a process: their messages, their number, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, Cast, log_in
from tests.processes import PATIENCE
from webapp import models
from webapp.auth import sessions
from webapp.exceptions import Unavailable
from webapp.live import feed, hub
from webapp.live.hub import Hub, Stream, StreamOwner, StreamsOff

Run = Callable[[Callable[[Hub], Awaitable[None]]], None]
DAY = "2026-03-03"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(hub, "CHECK_SECONDS", 0.02)


@pytest.fixture
def run(cast: Cast) -> Run:
    """Runs a test in an event loop, with a hub for three streams."""

    def run(test: Callable[[Hub], Awaitable[None]]) -> None:
        opened = Hub(cast.database, most=3, clock=lambda: NOW, stopping=lambda: False)

        async def main() -> None:
            try:
                async with asyncio.timeout(PATIENCE):
                    await test(opened)
            finally:
                opened.close()

        # In the process of the browser tests, the main thread has a running event loop already.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(main())).result()

    return run


_sessions = count(1000)


def viewer(cast: Cast, name: str = "bob") -> StreamOwner:
    """One of the cast with a new session."""
    user_id = getattr(cast, name).user_id
    secret = cast.database.write(sessions.start_session, user_id, address="", user_agent="", now=NOW)
    with cast.database.reading() as session:
        found = sessions.find_session(session, secret, address="", now=NOW)
    assert found is not None
    return StreamOwner(user_id, found.actor.session_id)


async def told(stream: Stream) -> bytes:
    """What the client of a stream is told next; b'' at its end."""
    async for message in stream.messages(lambda: b"beat"):
        return message
    return b""


def test_every_stream_is_told_of_a_change(cast: Cast, run: Run) -> None:
    async def test(opened: Hub) -> None:
        streams = [await opened.join(viewer(cast)), await opened.join(viewer(cast, "carol"))]
        await asyncio.to_thread(put, cast, f"{DAY} 10:00")
        for stream in streams:
            message = await told(stream)
            assert message.startswith(b'event: change\ndata: {"version":"')
            assert message.endswith(f'"changes":[[{cast.doctor_ids["bob"]},"{DAY}"]]}}\n\n'.encode())
            opened.leave(stream)
        assert len(opened) == 0

    run(test)


@pytest.mark.parametrize("how", ["signed out", "disabled", "idle", "needs a factor"])
def test_a_stream_ends_with_its_session(cast: Cast, run: Run, how: str) -> None:
    async def test(opened: Hub) -> None:
        bobs, carols = viewer(cast), viewer(cast, "carol")
        stream, other = await opened.join(bobs), await opened.join(carols)
        mine = models.UserSession.id == bobs.session_id
        ends: dict[str, sa.Delete | sa.Update] = {
            "needs a factor": sa.update(models.SignInRules).values(factor_doctors=True),
            "signed out": sa.delete(models.UserSession).where(mine),
            "disabled": sa.update(models.User).where(models.User.id == bobs.user_id).values(active=False),
            "idle": sa.update(models.UserSession).where(mine).values(last_seen_at=NOW.replace(hour=1)),
        }
        await asyncio.to_thread(cast.change, ends[how])
        assert await told(stream) == b""
        assert not other.is_over

    run(test)


def test_a_user_who_only_watches_is_warned_before_the_session_ends(cast: Cast, run: Run) -> None:
    async def test(opened: Hub) -> None:
        watching = viewer(cast)
        stream, other = await opened.join(watching), await opened.join(viewer(cast, "carol"))

        async def last_seen(minutes_ago: int) -> None:
            mine = sa.update(models.UserSession).where(models.UserSession.id == watching.session_id)
            await asyncio.to_thread(cast.change, mine.values(last_seen_at=NOW - timedelta(minutes=minutes_ago)))

        await last_seen(27)
        assert await told(stream) == b"event: ending\ndata: {}\n\n"
        await last_seen(1)
        assert await told(stream) == b"event: staying\ndata: {}\n\n"
        assert not other.is_over
        assert other._waiting == []

    run(test)


@pytest.mark.both_databases
def test_only_acts_of_the_user_and_no_automatic_requests_keep_a_session(client: TestClient, cast: Cast) -> None:
    log_in(client, "fiona")
    session = models.UserSession
    earlier = cast.now - timedelta(minutes=20)
    cast.change(sa.update(session).values(last_seen_at=earlier))

    def last_seen() -> datetime:
        with cast.database.reading() as reading:
            return reading.execute(sa.select(session.last_seen_at)).scalar_one()

    for path in ("/board", "/decisions", "/admin/appointments", "/schedule"):
        client.get(path, headers={"docket-live": "1", "hx-request": "true"})
    client.get("/live", headers={"accept": "text/event-stream"})
    assert last_seen() == earlier
    assert client.post("/live").status_code == 204
    assert last_seen() == cast.now


def test_there_is_a_bound_for_streams_and_for_what_waits(cast: Cast, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # Streams of no session, which the next check would end.
    monkeypatch.setattr(hub, "CHECK_SECONDS", PATIENCE)

    async def test(opened: Hub) -> None:
        first = await opened.join(StreamOwner(1, 1))
        await opened.join(StreamOwner(2, 2))
        monkeypatch.setattr(hub, "MOST_OF_ONE_ACCOUNT", 1)
        with pytest.raises(Unavailable):
            await opened.join(StreamOwner(2, 3))
        await opened.join(StreamOwner(3, 3))
        with pytest.raises(Unavailable):
            await opened.join(StreamOwner(4, 4))
        assert len(opened) == 3
        for _number in range(hub.MOST_WAITING + 1):
            first.give(b"change", b"everything")
        assert await told(first) == b"everything"
        opened._most = 0
        with pytest.raises(StreamsOff):
            await opened.join(StreamOwner(5, 5))

    run(test)


def test_a_stopping_server_and_a_lost_database_end_all_streams(cast: Cast, run: Run) -> None:
    async def test(opened: Hub) -> None:
        stream = await opened.join(viewer(cast))
        opened._stopping = lambda: True
        assert await told(stream) == b""
        with pytest.raises(Unavailable):
            await opened.join(viewer(cast))
        opened.leave(stream)
        opened._stopping = lambda: False
        # It listens again for the next one. The viewers cannot be looked up any more.
        stream = await opened.join(viewer(cast))
        await asyncio.to_thread(cast.change, sa.DDL("ALTER TABLE sessions RENAME TO lost"))  # type: ignore[no-untyped-call, arg-type]
        assert await told(stream) == b""
        await asyncio.to_thread(cast.change, sa.DDL("ALTER TABLE lost RENAME TO sessions"))  # type: ignore[no-untyped-call, arg-type]

    run(test)

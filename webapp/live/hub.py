"""The open streams of one process, and the thread that learns of changes for all of them. The thread runs while there
are streams, and a little longer, because every new page closes a stream and opens another. If the thread loses its
connection, all streams end; the pages say so, and connect again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple

from webapp.causes import report
from webapp.database import Database
from webapp.exceptions import Unavailable
from webapp.i18n import gettext as _
from webapp.live.feed import EVERYTHING, FeedLost, News, listening
from webapp.live.viewers import time_left
from webapp.troubles import cause_in_words

logger = logging.getLogger(__name__)

# A stream without news sends a sign of life. Pages and proxies treat a stream that is silent for longer as lost.
BEAT_SECONDS = 15.0
# The time between two checks that the owners of streams are still signed in.
CHECK_SECONDS = 10.0
# People who only watch are told before they are signed out: requests that a page makes by itself keep no session alive.
WARNED_BEFORE = timedelta(minutes=3)
# How long the thread goes on listening without streams, and how long a new stream waits for it to listen.
LINGER_SECONDS = 10.0
SECONDS_TO_LISTEN = 3.0
# A browser needs one stream, whatever the number of its tabs.
MOST_OF_ONE_ACCOUNT = 12
# A client that does not read gets one message instead of these.
MOST_WAITING = 20


class StreamsOff(Exception):
    """The settings allow no streams."""


class StreamOwner(NamedTuple):
    """The owner of a stream."""

    user_id: int
    session_id: int


class Stream:
    """The messages that wait for one client. Only the event loop's thread uses it."""

    def __init__(self, owner: StreamOwner) -> None:
        self.owner = owner
        self.is_over = False
        self._is_warned = False
        self._waiting: list[bytes] = []
        self._news = asyncio.Event()

    def give(self, message: bytes, instead: bytes) -> None:
        """Add a message; if too many are waiting, one message replaces them all."""
        self._waiting.append(message)
        if len(self._waiting) > MOST_WAITING:
            self._waiting = [instead]
        self._news.set()

    def warn(self, left: timedelta) -> None:
        """Tell the client that its session ends soon, or no longer does; `left` is the time until then."""
        ends_soon = left <= WARNED_BEFORE
        if ends_soon != self._is_warned:
            self._is_warned = ends_soon
            self._waiting.append(event("ending" if ends_soon else "staying", {}))
            self._news.set()

    def end(self) -> None:
        """Send no more messages."""
        self.is_over = True
        self._news.set()

    async def messages(self, beat: Callable[[], bytes]) -> AsyncIterator[bytes]:
        """The messages to send, until the stream ends; `beat` while there is no news."""
        while not self.is_over:
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                yield beat()
                continue
            self._news.clear()
            waiting, self._waiting = self._waiting, []
            if waiting and not self.is_over:
                yield b"".join(waiting)


class Hub:
    """All streams of a process. Only the event loop's thread calls it; `stopping` says whether the server stops."""

    def __init__(
        self, database: Database, *, most: int, clock: Callable[[], datetime], stopping: Callable[[], bool]
    ) -> None:
        self._database = database
        self._most = most
        self._clock = clock
        self._stopping = stopping
        self._streams: set[Stream] = set()
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._streams)

    async def join(self, owner: StreamOwner) -> Stream:
        """Open a stream, which gets every change that is committed from now on.

        Raises:
            StreamsOff: the settings allow none.
            Unavailable: there are too many, the server stops, or the database is away.
        """
        if self._most == 0:
            raise StreamsOff
        of_account = Counter(each.owner.user_id for each in self._streams)[owner.user_id]
        if self._stopping() or len(self._streams) >= self._most or of_account >= MOST_OF_ONE_ACCOUNT:
            raise Unavailable(_("Live updates aren’t available right now."))
        stream = Stream(owner)
        self._streams.add(stream)
        try:
            await self._listen()
        except BaseException:
            self.leave(stream)
            raise
        return stream

    def leave(self, stream: Stream) -> None:
        """The client has gone."""
        self._streams.discard(stream)

    def close(self) -> None:
        """Stop listening, and wait until the connection is closed."""
        if self._listener is not None and self._thread is not None:
            self._listener.is_over = True
            self._thread.join(SECONDS_TO_LISTEN)

    async def _listen(self) -> None:
        listener = self._listener
        if listener is None or listener.is_over or listener.loop is not asyncio.get_running_loop():
            listener = self._listener = _Listener(self, self._database, self._clock)
            self._thread = threading.Thread(target=listener.run, name="docket live", daemon=True)
            self._thread.start()
        try:
            async with asyncio.timeout(SECONDS_TO_LISTEN):
                await listener.listens.wait()
        except TimeoutError:
            listener.is_over = True
        if listener.is_over:
            raise Unavailable(_("Live updates aren’t available right now."))

    # ------------------------------------------------------------------------------- called by the listener

    def tell(self, news: News) -> None:
        """Tell all clients."""
        message = event("change", {"version": news.version, "changes": news.changes})
        instead = event("change", {"version": news.version, "changes": [EVERYTHING]})
        for stream in self._streams:
            stream.give(message, instead)

    def end_all(self) -> None:
        """End all streams: the server stops, or no longer learns of changes."""
        for stream in self._streams:
            stream.end()

    def update_sessions(self, asked: set[int], left: Mapping[int, timedelta]) -> None:
        """End the streams of sessions that have ended, and warn those that end soon."""
        for stream in self._streams:
            session_id = stream.owner.session_id
            if session_id in left:
                stream.warn(left[session_id])
            elif session_id in asked:
                stream.end()

    def sessions(self) -> set[int]:
        """The sessions of all clients; any thread may ask."""
        return {stream.owner.session_id for stream in list(self._streams)}

    @property
    def is_stopping(self) -> bool:
        """Whether the server stops."""
        return self._stopping()


class _Listener:
    """The thread. It calls the hub in the event loop in which it was made."""

    def __init__(self, hub: Hub, database: Database, clock: Callable[[], datetime]) -> None:
        self.loop = asyncio.get_running_loop()
        self.listens = asyncio.Event()
        self.is_over = False
        self._hub, self._database, self._clock = hub, database, clock
        self._used = self._checked = monotonic()

    def run(self) -> None:
        """Listen until the server stops, all streams have been gone for a while, or the database is away."""
        # Without an event loop there are no streams.
        with suppress(RuntimeError):
            try:
                with listening(self._database) as all_news:
                    next(all_news)
                    self._call(self.listens.set)
                    for news in all_news:
                        if not self._goes_on(news):
                            break
            except FeedLost as lost:
                what = cause_in_words(lost.__cause__ or lost)
                report(logger, logging.WARNING, "live", "Pages are not told of changes: %s", what)
            finally:
                self.is_over = True
                self._call(self.listens.set)
                self._call(self._hub.end_all)

    def _goes_on(self, news: News) -> bool:
        if news.changes:
            self._call(self._hub.tell, news)
        now = monotonic()
        if len(self._hub):
            self._used = now
        if now - self._checked >= CHECK_SECONDS:
            self._checked = now
            self._check_sessions()
        is_needed = now - self._used < LINGER_SECONDS and not self.loop.is_closed()
        return is_needed and not self.is_over and not self._hub.is_stopping

    def _check_sessions(self) -> None:
        asked = self._hub.sessions()
        if not asked:
            return
        with self._database.reading() as session:
            left = time_left(session, asked, now=self._clock())
        self._call(self._hub.update_sessions, asked, left)

    def _call(self, work: Callable[..., object], *arguments: Any) -> None:
        """Call this in the event loop.

        Raises:
            RuntimeError: the event loop has ended.
        """
        self.loop.call_soon_threadsafe(work, *arguments)


def event(name: str, data: object) -> bytes:
    """A message of the stream."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()

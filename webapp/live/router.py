"""The stream that tells open pages of staff that something changed. It says which day of which doctor, and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from webapp.auth.dependencies import signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page
from webapp.exceptions import Forbidden
from webapp.i18n import gettext as _
from webapp.live.feed import version_seen
from webapp.live.hub import Hub, Stream, StreamOwner, StreamsOff, event

router = Router()

# The last header is for nginx, which would otherwise buffer some kilobytes of messages.
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@router.get("/live")
async def live(page: CurrentPage) -> Response:
    """Server-sent events: `hello` with the current version, `change` with what changed, and `beat`; staff.

    `ending` says that the session ends soon because its owner only watches, `staying` that it does not any more.
    """
    owner, zone = await run_in_threadpool(_owner_of, page)
    clock = partial(_time_in, zone, page.request.app.state.clock)
    hub: Hub = page.request.app.state.live
    try:
        stream = await hub.join(owner)
    except StreamsOff:
        # This status stops a browser from connecting again.
        return Response(status_code=204)
    try:
        # The version is read after the stream was opened, so that no change in between is missed.
        hello = await run_in_threadpool(_hello, page, hub, clock)
    except BaseException:
        hub.leave(stream)
        raise
    messages = _messages(hub, stream, hello, partial(_beat, clock))
    return StreamingResponse(messages, headers=HEADERS, media_type="text/event-stream")


@router.post("/live")
def stay(page: CurrentPage) -> Response:
    """Stay signed in: the button proves that the user is there, which the requests of an open page do not; staff."""
    _owner_of(page)
    return Response(status_code=204)


def _owner_of(page: Page) -> tuple[StreamOwner, ZoneInfo]:
    """The member of staff who asks, and the clinic's time zone.

    Raises:
        NotSignedIn, Forbidden.
    """
    actor = signed_in(page)
    if not actor.is_staff:
        raise Forbidden(_("Sign in with another account, or ask the clinic for access."))
    zone = current_clinic(page).zone
    page.close()
    return StreamOwner(actor.user_id, actor.session_id), zone


def _time_in(zone: ZoneInfo, now: Callable[[], datetime]) -> str:
    return formats.clock(now(), zone)


def _hello(page: Page, hub: Hub, clock: Callable[[], str]) -> bytes:
    version = version_seen(page.session)
    page.close()
    # Many pages that learn of the same change reload one after another, not all at the same moment.
    return b"retry: 2000\n" + event("hello", {"version": version, "time": clock(), "streams": len(hub)})


def _beat(clock: Callable[[], str]) -> bytes:
    return event("beat", {"time": clock()})


async def _messages(hub: Hub, stream: Stream, hello: bytes, beat: Callable[[], bytes]) -> AsyncIterator[bytes]:
    try:
        yield hello
        async for message in stream.messages(beat):
            yield message
    finally:
        hub.leave(stream)

"""Health checks: is the process alive, and can it do its work? They are public and reveal nothing else."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from threading import Lock
from typing import Any

import sqlalchemy as sa
from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from webapp.causes import note_cause, report
from webapp.clinic.schedule_versions import missing_triggers
from webapp.core.routing import Router
from webapp.database import Database
from webapp.deadlines import waiting_at_most
from webapp.engines import sqlite_file
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.integrity.guard_trial import prove
from webapp.migrations import find_revision, is_under_way, is_unknown, newest_revision, schema_problem
from webapp.troubles import FULL, SLOW, UNREACHABLE, DatabaseTrouble, trouble_of

logger = logging.getLogger(__name__)

router = Router()

HealthAnswer = dict[str, str]

READY: HealthAnswer = {"status": "ready", "database": "connected", "schema": "current", "guard": "in place"}
REACHED: HealthAnswer = {"status": "healthy", "database": "connected"}
# A load balancer may ask a thousand times a second; the database is asked once.
SECONDS_BETWEEN_LOOKS = 1.0
# How long a look may wait for the database, and how long an answer may take in all.
SECONDS_OF_LOOK, SECONDS_OF_ANSWER = 2.5, 3.5
# With less room than this beside an SQLite database, the next changes may not be kept.
LEAST_BYTES = 4 * 1024 * 1024


class DatabaseProbe:
    """Checks the database for all health checks, at most once a second, with its own threads, because all threads of
    the pages may be waiting for the database.
    """

    def __init__(self, look: Callable[[], HealthAnswer], *, late: HealthAnswer) -> None:
        self._look, self._late = look, late
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="health")
        self._lock = Lock()
        self._answer = late
        self._looked_at = -math.inf

    async def ask(self) -> HealthAnswer:
        """The state of the database, at most a second old, or that it does not answer in time."""
        if self._is_fresh():
            return self._answer
        loop, context = asyncio.get_running_loop(), copy_context()
        looking = loop.run_in_executor(self._threads, context.run, self._look_or_share)
        try:
            return await asyncio.wait_for(looking, SECONDS_OF_ANSWER)
        except TimeoutError:
            return self._late

    def _is_fresh(self) -> bool:
        return time.monotonic() < self._looked_at + SECONDS_BETWEEN_LOOKS

    def _look_or_share(self) -> HealthAnswer:
        with self._lock:
            if not self._is_fresh():
                with waiting_at_most(SECONDS_OF_LOOK):
                    answer = self._look()
                if answer.get("status") != self._answer.get("status") or answer != self._answer:
                    tell = logger.info if answer in (READY, REACHED) else logger.warning
                    tell("Health: %s", ", ".join(f"{name} {word}" for name, word in answer.items()))
                self._answer, self._looked_at = answer, time.monotonic()
            return self._answer


@router.get("/health/live")
async def live() -> JSONResponse:
    """The process answers. This needs no thread, because a process whose threads are all busy is still alive."""
    return JSONResponse({"status": "healthy"})


@router.get("/health/accepting")
async def accepting(request: Request) -> JSONResponse:
    """Whether a proxy may send new requests here; 503 from the moment when this server is told to stop.

    It checks nothing else: if the database is away, all servers are unready, and an error page helps people more than a
    proxy without servers.
    """
    if getattr(request.app.state, "stopping", False):
        return _answered({"status": "stopping"}, well=False)
    return JSONResponse({"status": "accepting"})


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Figures for Prometheus, for clients that have the token of the settings. Without a token there is no such page.

    Raises:
        NotFound: the settings have no token, or the client has another.
    """
    token: str = request.app.state.settings.metrics_token
    given = request.headers.get("authorization", "").partition(" ")[2]
    if not token or not hmac.compare_digest(given.encode(), token.encode()):
        raise NotFound(_("Page not found."))
    from webapp.metrics import CONTENT_TYPE, exposition

    return Response(exposition(request.app.state.database), headers={"content-type": CONTENT_TYPE})


@router.get("/health")
async def health(request: Request) -> JSONResponse:
    """The process answers and reaches its database; 503 when it does not."""
    answer = await _probe(request.app.state, "reaching", _reach, "unhealthy").ask()
    return _answered(answer, well=answer == REACHED)


@router.get("/health/ready")
async def ready(request: Request) -> JSONResponse:
    """The database keeps what is written, has this version's schema, and refuses an overlap; else 503."""
    if getattr(request.app.state, "stopping", False):
        return _answered({"status": "stopping"}, well=False)
    answer = await _probe(request.app.state, "readiness", _prove, "unready").ask()
    return _answered(answer, well=answer == READY)


def _answered(answer: HealthAnswer, *, well: bool) -> JSONResponse:
    if not well:
        # The probe logs each change, and not each time that it is asked.
        note_cause(answer["status"])
    return JSONResponse(answer, 200 if well else 503)


def _probe(state: Any, name: str, look: Callable[[Database], HealthAnswer], status: str) -> DatabaseProbe:
    """The application's probe of this name; all are made in the one thread of the event loop."""
    if not hasattr(state, name):
        setattr(
            state, name, DatabaseProbe(partial(look, state.database), late={"status": status, "database": SLOW.name})
        )
    found: DatabaseProbe = getattr(state, name)
    return found


def _reach(database: Database) -> HealthAnswer:
    try:
        with database.reading() as session:
            session.execute(sa.text("SELECT 1"))
    except SQLAlchemyError as error:
        return {"status": "unhealthy", "database": _name_of(error)}
    return REACHED


def _prove(database: Database) -> HealthAnswer:
    try:
        revision = find_revision(database)
        under_way = is_under_way(database)
    except SQLAlchemyError as error:
        return {"status": "unready", "database": _name_of(error)}
    if revision != newest_revision():
        # The answer is public, so the revisions are only in the log.
        report(logger, logging.WARNING, "wrong schema", "%s", schema_problem(revision))
        schema = "newer" if is_unknown(revision) else "being upgraded" if under_way else "outdated"
        return {"status": "unready", "database": "connected", "schema": schema, "guard": "unknown"}
    try:
        guarded = prove(database, "web").guarded and _knows_changes(database)
    except (SQLAlchemyError, DatabaseTrouble) as error:
        if under_way:
            return {"status": "unready", "database": "connected", "schema": "being upgraded", "guard": "unknown"}
        return {"status": "unready", "database": _name_of(error), "schema": "current", "guard": "unknown"}
    if not guarded:
        return {"status": "unready", "database": "connected", "schema": "current", "guard": "missing"}
    path = sqlite_file(database.url)
    if path is not None and shutil.disk_usage(path.parent).free < LEAST_BYTES:
        # On a full disk SQLite can still write until it has to extend a file.
        return READY | {"status": "unready", "database": FULL.name}
    return READY


def _name_of(error: SQLAlchemyError | DatabaseTrouble) -> str:
    """The name of the problem, as in the log."""
    if isinstance(error, DatabaseTrouble):
        return error.trouble.name
    return (trouble_of(error, writing=False) or UNREACHABLE).name


def _knows_changes(database: Database) -> bool:
    """Whether the database has all triggers by which this process learns that free times have changed."""
    with database.reading() as session:
        return not missing_triggers(session)

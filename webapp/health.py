"""Health checks: is the process alive, and can it do its work? They are public and reveal nothing else."""

from __future__ import annotations

import logging
import time

import sqlalchemy as sa
from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse

from webapp.clinic.schedule_versions import missing_triggers
from webapp.core.routing import Router
from webapp.database import Database
from webapp.exceptions import AppError
from webapp.integrity import guard_is_in_place
from webapp.migrations import find_revision, is_unknown, newest_revision, what_is_wrong

logger = logging.getLogger(__name__)

router = Router()

READY = {"status": "ready", "database": "connected", "schema": "current", "guard": "in place"}
KEPT_SECONDS = 15


@router.get("/health/live")
async def live() -> JSONResponse:
    """The process answers. No thread is needed to say so: they may all be busy, and the process is alive still."""
    return JSONResponse({"status": "healthy"})


@router.get("/health/accepting")
async def accepting(request: Request) -> JSONResponse:
    """Whether a proxy may send new requests here; 503 from the moment when this server is told to stop.

    It looks at nothing else: with the database away every server is unready, and a page that says so helps people more
    than a proxy that knows no server.
    """
    if getattr(request.app.state, "stopping", False):
        return JSONResponse({"status": "stopping"}, status_code=503)
    return JSONResponse({"status": "accepting"})


@router.get("/health")
def health(request: Request) -> JSONResponse:
    """The process answers and reaches its database; 503 when it does not."""
    database: Database = request.app.state.database
    try:
        with database.reading() as session:
            session.execute(sa.text("SELECT 1"))
    except SQLAlchemyError:
        return JSONResponse({"status": "unhealthy", "database": "unreachable"}, status_code=503)
    return JSONResponse({"status": "healthy", "database": "connected"})


@router.get("/health/ready")
def ready(request: Request) -> JSONResponse:
    """The database is reached, has this version's schema, and refuses an overlap; else 503."""
    state = request.app.state
    if getattr(state, "stopping", False):
        return JSONResponse({"status": "stopping"}, status_code=503)
    now = time.monotonic()
    # Testing the guard takes the write lock, so a good result is cached for a while; a bad one never is.
    if now < getattr(state, "ready_until", now):
        return JSONResponse(READY)
    answer = _look(state.database)
    if answer != READY:
        return JSONResponse(answer, status_code=503)
    state.ready_until = now + KEPT_SECONDS
    return JSONResponse(READY)


def _look(database: Database) -> dict[str, str]:
    try:
        revision = find_revision(database)
        current = revision == newest_revision()
        guarded = current and guard_is_in_place(database) and _knows_changes(database)
    except (SQLAlchemyError, AppError):
        return {"status": "unready", "database": "unreachable"}
    if guarded:
        return READY
    if not current:
        # The answer is public: the revisions are for those who read the log.
        logger.warning("%s", what_is_wrong(revision))
    return {
        "status": "unready",
        "database": "connected",
        "schema": "current" if current else "newer" if is_unknown(revision) else "outdated",
        "guard": "missing",
    }


def _knows_changes(database: Database) -> bool:
    """Whether the database has all triggers by which this process learns that free times have changed."""
    with database.reading() as session:
        return not missing_triggers(session)

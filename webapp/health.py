"""Health: is the process alive, and can it do its work? Everybody may ask; the answers tell nothing else."""

from __future__ import annotations

import sqlalchemy as sa
from fastapi import APIRouter, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse

from webapp.database import Database
from webapp.integrity import guard_is_in_place
from webapp.migrations import is_current

router = APIRouter()


@router.get("/health/live")
def live() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "healthy"})


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
    database: Database = request.app.state.database
    try:
        current = is_current(database)
        answer = {
            "database": "connected",
            "schema": "current" if current else "outdated",
            "guard": "in place" if current and guard_is_in_place(database) else "missing",
        }
    except SQLAlchemyError:
        return JSONResponse({"status": "unready", "database": "unreachable"}, status_code=503)
    is_ready = answer["schema"] == "current" and answer["guard"] == "in place"
    return JSONResponse({"status": "ready" if is_ready else "unready", **answer}, status_code=200 if is_ready else 503)

"""What the servers of `make core` serve; a module of its own, so that they import nothing else of the tool."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, Response


def bare_app() -> FastAPI:
    """FastAPI, a `def` route and a small text."""
    app = FastAPI()

    @app.get("/")
    def page() -> Response:
        return PlainTextResponse("Docket")

    return app


def docket_app() -> FastAPI:
    """Docket, whose clock stands still on the day that the measured clinics live on."""
    from webapp.main import create_app

    app = create_app()
    app.state.clock = lambda: datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
    return app

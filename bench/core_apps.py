"""The applications that `make core` serves, in their own module so that the servers import nothing else of the tool."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, Response


def bare_app() -> FastAPI:
    """FastAPI with one `def` route that returns a small text."""
    app = FastAPI()

    @app.get("/")
    def page() -> Response:
        return PlainTextResponse("Docket")

    return app


def docket_app() -> FastAPI:
    """Docket, with its clock stopped on the day of the measured clinics."""
    from webapp.main import create_app

    app = create_app()
    app.state.clock = lambda: datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
    return app

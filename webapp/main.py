"""Putting the application together. Nothing happens at import: `uvicorn --factory webapp.main:create_app`."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import date, datetime
from functools import cache, lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from webapp.auth.access_tokens import read_access_token
from webapp.auth.dependencies import current_actor
from webapp.auth.login_throttle import network_of
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import default_clinic
from webapp.config import Settings, resource_folder
from webapp.core import formats
from webapp.core.api import API_PREFIX, EXPOSED_HEADERS, is_api, problem_response, require_readable_body
from webapp.core.clock import utc_now
from webapp.core.codes import REASONS
from webapp.core.errors import error_page
from webapp.core.i18n import ENGLISH, Language
from webapp.core.i18n import gettext as _
from webapp.core.language_middleware import LanguageMiddleware
from webapp.core.logging import configure_logging
from webapp.core.rate_limit import RateLimitMiddleware
from webapp.core.routing import Gate
from webapp.core.security import MAX_BODY_BYTES, SecurityMiddleware
from webapp.core.templates import template_environment
from webapp.core.web import Page, VersionedStatic
from webapp.database import Database, is_busy
from webapp.demo import DEMO_ACCOUNTS, DEMO_PASSWORD
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError, Unavailable
from webapp.notifications.exceptions import TROUBLES
from webapp.routes import API_ROUTERS, ROUTERS, methods_of
from webapp.scheduling.booking_preview import describe_destination
from webapp.staff.menu import staff_places

# The clinic's zone and local date for the page that this thread is rendering.
_rendering: ContextVar[tuple[ZoneInfo, date]] = ContextVar("rendering")


def create_app(settings: Settings | None = None, database: Database | None = None) -> FastAPI:
    """The application, for settings from the environment unless they are given."""
    settings = settings or Settings()
    database = database or wired_database(settings.database_url)
    configure_logging(settings.log_format)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        _spare_collector()
        yield
        database.dispose()

    app = FastAPI(
        title="Docket",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # Such a redirect would name the host that the request names, which may be anybody's.
        redirect_slashes=False,
        lifespan=lifespan,
        routes=[*_api_routes(), *_page_routes()],
    )
    app.openapi = partial(_describe_api, app)  # type: ignore[method-assign]
    app.state.settings = settings
    app.state.database = database
    app.state.clock = utc_now
    app.state.language_of = _language_of
    app.state.templates = _templates()
    app.state.page_context = _page_context
    app.state.describe = describe_destination
    app.state.demo_accounts = _demo_accounts
    app.state.letterhead = _letterhead
    app.mount("/static", VersionedStatic(directory=resource_folder("static")), name="static")
    _handle_errors(app)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BODY_BYTES)
    _count_requests(app, settings)
    app.add_middleware(
        SecurityMiddleware,
        base_url=settings.base_url,
        error_response=_error_response,
    )
    # Around what answers unexpected errors, for other sites' pages read these, too.
    _open_api(app, settings)
    app.add_middleware(LanguageMiddleware, language_of=lambda scope: app.state.language_of(scope))
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    return app


def _spare_collector() -> None:
    """Let the garbage collector pass over what lives as long as the process, and look less often at what is young.

    A request makes thousands of objects, hardly any of them in a circle; by default every 700 of them are a reason to
    look, and now and then at everything that was imported, which takes a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def api_to_describe() -> FastAPI:
    """The API's routes alone. Nothing can be asked of them, for there are neither settings nor a database."""
    app = FastAPI(routes=_api_routes())
    app.openapi = partial(_describe_api, app)  # type: ignore[method-assign]
    return app


def _describe_api(app: FastAPI) -> dict[str, Any]:
    """The description of the API, whose words and examples are loaded by the first request for it."""
    from webapp.openapi import describe_api

    return describe_api(app)


# FastAPI works out what an included router's routes need when the first request comes, which takes it a tenth of a
# second. Routes hold nothing of the application that they serve, so all applications of a process share them.
@cache
def _api_routes() -> list[BaseRoute]:
    gates = [
        Gate(
            [router],
            prefix=API_PREFIX,
            dependencies=[Depends(require_readable_body)],
            generate_unique_id_function=lambda route: route.name,
        )
        for router in API_ROUTERS
    ]
    # One look sends a page past the whole API.
    api = APIRouter()
    api.include_router(Gate(gates))
    return api.routes


@cache
def _page_routes() -> list[BaseRoute]:
    pages = APIRouter()
    for router in ROUTERS:
        pages.include_router(Gate([router]), include_in_schema=False)
    return pages.routes


def _language_of(_scope: Scope) -> Language:
    """The language to answer a request in. There is only one yet."""
    return ENGLISH


def _count_requests(app: FastAPI, settings: Settings) -> None:
    """Count the API's requests, for each account and each network."""

    def client_of(request: Request) -> tuple[str, str]:
        scheme, _space, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            claims = read_access_token(settings.secret_keys, token, now=app.state.clock())
            if claims is not None:
                return "account", str(claims.user_id)
        return "network", network_of(request.client.host if request.client else "")

    async def too_many(_request: Request, error: Exception) -> Response:
        return problem_response(error)

    app.add_middleware(
        RateLimitMiddleware,
        limits={"account": settings.api_rate_limit, "network": settings.api_rate_limit_anonymous},
        client_of=client_of,
        error_response=too_many,
    )


def _open_api(app: FastAPI, settings: Settings) -> None:
    """Let pages of other sites that the settings name use the API, without cookies."""
    if settings.cors_origins:
        app.add_middleware(
            ApiCorsMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"],
            expose_headers=EXPOSED_HEADERS,
            max_age=600,
        )


class ApiCorsMiddleware(CORSMiddleware):
    """CORS for the API alone: our pages are nobody else's to read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_api(Request(scope)):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _page_context(page: Page) -> dict[str, Any]:
    """What every page needs; when the database is away, an error page still has a frame to stand in."""
    try:
        clinic, actor = current_clinic(page), current_actor(page)
    except SQLAlchemyError:
        clinic, actor = default_clinic(), None
    _rendering.set((clinic.zone, clinic.today(page.now)))
    return {
        "clinic": clinic,
        "actor": actor,
        "path": page.request.url.path,
        "flash": page.flash,
    }


def _letterhead(page: Page) -> dict[str, str]:
    """Who writes, for messages of rooms below the clinic."""
    return current_clinic(page).letterhead


def _demo_accounts(page: Page) -> list[tuple[str, str, str]] | None:
    """The accounts to show on the log-in page, which is done only over demo data."""
    if not current_clinic(page).demo:
        return None
    return [(who, email, DEMO_PASSWORD) for who, email in DEMO_ACCOUNTS]


@lru_cache
def _templates() -> jinja2.Environment:
    """Jinja with the filters that show instants in the clinic's zone, made once: compiling templates takes long.

    Macros are imported without a page's context, so the zone of the page being rendered is kept beside it.
    """
    environment = template_environment()

    def in_clinic_zone(show: Callable[[datetime, ZoneInfo], str]) -> Callable[[datetime], str]:
        return lambda instant: show(instant, _rendering.get()[0])

    for show in (
        formats.clock,
        formats.day_long,
        formats.day_full,
        formats.weekday_long,
        formats.weekday_short,
        formats.day_number,
        formats.month_short,
    ):
        environment.filters[show.__name__] = in_clinic_zone(show)
    environment.filters["moment"] = lambda instant: formats.moment(
        instant, _rendering.get()[0], today=_rendering.get()[1]
    )
    environment.globals["staff_places"] = staff_places
    environment.filters["iso"] = formats.iso
    environment.filters["minutes"] = formats.minutes
    environment.filters["reason"] = REASONS.words
    environment.filters["trouble"] = TROUBLES.words
    return environment


def _handle_errors(app: FastAPI) -> None:
    """Every error becomes a page or a fragment in the look of the house, or problem details, with its true status."""

    def on_app_error(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            # The libraries below us name the methods of the first route that fits the address, and no others.
            error = HTTPException(405, headers={"allow": ", ".join(methods_of(request.url.path))})
        return problem_response(error) if is_api(request) else error_page(Page(request), error)

    def on_database_error(request: Request, error: Exception) -> Response:
        if isinstance(error, PoolTimeoutError) or (isinstance(error, DBAPIError) and is_busy(error)):
            return on_app_error(request, Unavailable(_("Docket is very busy. Please try again in a moment.")))
        raise error

    for kind in (AppError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, on_app_error)
    for database_error in (DBAPIError, PoolTimeoutError):
        app.add_exception_handler(database_error, on_database_error)


async def _error_response(request: Request, error: Exception, reference: str | None) -> Response:
    if is_api(request):
        return problem_response(error, reference=reference)
    return await run_in_threadpool(partial(error_page, Page(request), error, reference=reference))

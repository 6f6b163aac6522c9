"""Assembles the application. Nothing happens at import: `uvicorn --factory webapp.main:create_app`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from webapp import page_context
from webapp.audit.continuing_reads import ContinuingReads
from webapp.audit.security_events import ObservedEvent
from webapp.audit.traces import Traces
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.auth.pages.draft_dependencies import keep_unsent_form, set_draft_cookie
from webapp.auth.programs import access_tokens
from webapp.auth.programs.api_tokens import handle_of
from webapp.auth.single_sign_on.oidc import OidcClient
from webapp.causes import end_minutes
from webapp.clinic.schedule_versions import versions_seen
from webapp.clinic.service import default_clinic
from webapp.config import Settings, resource_folder
from webapp.core.admission_middleware import AdmissionMiddleware
from webapp.core.api import API_PREFIX, EXPOSED_HEADERS, is_api
from webapp.core.api_problems import problem_response
from webapp.core.clock import utc_now
from webapp.core.compression_middleware import CompressionMiddleware
from webapp.core.errors import error_page
from webapp.core.language_middleware import LanguageMiddleware
from webapp.core.logging import configure_logging
from webapp.core.networks import network_of
from webapp.core.proxy_middleware import ProxyNoticeMiddleware, UnknownProxy
from webapp.core.rate_limit import RateLimitMiddleware
from webapp.core.request_log_middleware import RequestLogMiddleware, RequestObserver
from webapp.core.routing import LazyRouteGroup, RouteGroup, RouteIndex, methods_of
from webapp.core.security import HEADERS, HSTS, MAX_BODY_BYTES, SecurityMiddleware
from webapp.core.static_files import VersionedStatic
from webapp.core.trace_middleware import RefusalMiddleware, TraceMiddleware, note_refusal
from webapp.core.web import Page, cookie_name
from webapp.database import Database
from webapp.deadlines import waiting_at_most
from webapp.engines import PATIENCE
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError, Unavailable
from webapp.i18n import ENGLISH, Language
from webapp.i18n import gettext as _
from webapp.live.hub import Hub
from webapp.routes import ROUTERS
from webapp.scheduling.booking_preview import describe_destination
from webapp.serving.memory import return_memory, tune_garbage_collector
from webapp.troubles import DatabaseTrouble, trouble_from

# The longest time for which the event loop waits until a thread lets it run; Python's own is five times that. Under
# load the loop accepts, answers or refuses everything that needs no thread.
SWITCH_SECONDS = 0.001

# An error page needs the clinic and who is signed in.
SECONDS_FOR_ERROR_PAGE = 0.8


def create_app(settings: Settings | None = None, database: Database | None = None) -> FastAPI:
    """Create the application with these settings, by default from the environment."""
    settings = settings or Settings()
    database = database or wired_database(settings.database_url, patience=PATIENCE)
    configure_logging(settings.log_format)

    traces = Traces(database)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tune_garbage_collector()
        return_memory()
        sys.setswitchinterval(SWITCH_SECONDS)
        yield
        app.state.live.close()
        traces.flush()
        database.dispose()
        end_minutes()

    app = FastAPI(
        title="Docket",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # It would send addresses and forms, with their secrets, to whatever the environment names.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        # Such a redirect would use the request's Host header, which the client chooses.
        redirect_slashes=False,
        lifespan=lifespan,
        routes=[_api_routes(), *_page_routes()],
    )
    app.openapi = partial(_describe_api, app)  # type: ignore[method-assign]
    _set_state(app, settings, database, traces)
    app.mount("/static", VersionedStatic(directory=resource_folder("static")), name="static")
    _handle_errors(app)
    _add_middleware(app, settings, traces)
    return app


def _set_state(app: FastAPI, settings: Settings, database: Database, traces: Traces) -> None:
    """Set the application's state, which requests and middleware read; tests replace the clock."""
    app.state.settings = settings
    app.state.database = database
    app.state.clock = utc_now
    app.state.traces = traces
    app.state.continuing_reads = ContinuingReads()
    app.state.stopping = False
    app.state.live = Hub(
        database, most=settings.live_streams, clock=lambda: app.state.clock(), stopping=lambda: app.state.stopping
    )
    app.state.oidc_clients = {provider.name: OidcClient(provider) for provider in settings.oidc_providers}
    app.state.versions_seen = versions_seen
    app.state.language_of = _language_of
    app.state.templates = page_context.templates()
    app.state.page_context = page_context.values_of
    app.state.describe = describe_destination
    app.state.demo_accounts = page_context.demo_accounts
    app.state.letterhead = page_context.letterhead
    app.state.keep_unsent_form = keep_unsent_form
    app.state.set_draft_cookie = set_draft_cookie


def _add_middleware(app: FastAPI, settings: Settings, traces: Traces) -> None:
    """Add the middleware; a layer that is added later is further outside."""
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BODY_BYTES)
    app.add_middleware(CompressionMiddleware)
    _count_requests(app, settings)
    app.add_middleware(
        SecurityMiddleware,
        base_url=settings.base_url,
        api_origins=settings.cors_origins,
        error_response=_error_response,
        hosts=settings.known_hosts,
    )
    app.add_middleware(
        AdmissionMiddleware,
        session_cookie=cookie_name(SESSION_COOKIE, settings),
        busy_response=_busy_response,
    )
    # Outermost, so that pages of other sites can also read answers to unexpected errors.
    _open_api(app, settings)
    app.add_middleware(RefusalMiddleware, refused=partial(_note_refused, app))
    app.add_middleware(LanguageMiddleware, language_of=lambda scope: app.state.language_of(scope))
    app.state.unknown_proxy = UnknownProxy()
    app.add_middleware(ProxyNoticeMiddleware, notice=app.state.unknown_proxy)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    # Every answer is logged, from any layer.
    app.add_middleware(RequestLogMiddleware, observer=_observer(app))
    app.add_middleware(TraceMiddleware, traces=traces)


def _observer(app: FastAPI) -> RequestObserver | None:
    """The observer that counts requests, if the settings ask for metrics."""
    settings: Settings = app.state.settings
    if not settings.metrics_port and not settings.metrics_token:
        return None
    from webapp.metrics import MetricsObserver

    return MetricsObserver(app.state.database, lambda: len(app.state.live))


def api_to_describe() -> FastAPI:
    """An application with the API's routes alone, to describe them. It has neither settings nor a database."""
    app = FastAPI(routes=[_api_routes()])
    app.openapi = partial(_describe_api, app)  # type: ignore[method-assign]
    return app


def _describe_api(app: FastAPI) -> dict[str, Any]:
    """The description of the API. Its texts and examples are loaded when it is first requested."""
    from webapp.openapi.description import describe_api

    return describe_api(app)


# Routes hold no state of the application, so all applications of a process share them.
@cache
def _api_routes() -> LazyRouteGroup:
    # Few clinics use the API, which takes a tenth of a start and 3 MiB.
    return LazyRouteGroup(f"{API_PREFIX}/", _import_api)


def _import_api() -> list[BaseRoute]:
    from webapp.api_routes import API_ROUTERS

    return [RouteGroup(router.routes) for router in API_ROUTERS]


@cache
def _page_routes() -> list[BaseRoute]:
    return [RouteIndex([RouteGroup(router.routes) for router in ROUTERS])]


def _language_of(_scope: Scope) -> Language:
    """The language of the answer to a request. There is only one so far."""
    return ENGLISH


def _count_requests(app: FastAPI, settings: Settings) -> None:
    """Count the API's requests for each account, each API token and each network. The first of them imports the API."""

    async def client_of(request: Request) -> tuple[str, str]:
        if not _api_routes().is_imported:
            await run_in_threadpool(_api_routes().import_now)
        scheme, _space, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if handle := handle_of(settings.secret_keys, token):
                return "account", handle
            if not access_tokens.is_loaded():
                await run_in_threadpool(access_tokens.load)
            claims = access_tokens.read_access_token(settings.secret_keys, token, now=app.state.clock())
            if claims is not None:
                return "account", str(claims.user_id)
        return "network", network_of(request.client.host if request.client else "")

    async def too_many(request: Request, error: Exception) -> Response:
        note_refusal(request, error)
        return problem_response(error)

    app.add_middleware(
        RateLimitMiddleware,
        limits={"account": settings.api_rate_limit, "network": settings.api_rate_limit_anonymous},
        client_of=client_of,
        error_response=too_many,
    )


# Names of refusals in the security events, by code. All other 403s are refused pages.
_REFUSALS = {
    "foreign_origin": "origin_refused",
    "token_expired": "token_expired",
    "token_ended": "token_ended",
    "invalid_token": "token_forged",
    "invalid_refresh_token": "refresh_refused",
    "link_not_valid": "link_refused",
    "address_not_confirmable": "link_refused",
    "visit_link_over": "link_refused",
    "no_such_feed": "link_refused",
    "too_many_requests": "requests_throttled",
}


def _note_refused(app: FastAPI, request: Request, code: str, status: int) -> None:
    """Count a request that was refused for security, with the pattern of its route and not with its address."""
    action = _REFUSALS.get(code) or ("page_refused" if status == 403 else "")
    if action:
        route = getattr(request.scope.get("route"), "path", "")
        user_id: int = getattr(request.state, "user_id", 0)
        network = network_of(request.client.host if request.client else "")
        app.state.traces.saw(ObservedEvent(action, user_id, about=route, network=network), now=app.state.clock())


def _open_api(app: FastAPI, settings: Settings) -> None:
    """Allow pages of the other sites in the settings to use the API, without cookies."""
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
    """CORS for the API only: other sites may not read our pages."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_api(Request(scope)):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _handle_errors(app: FastAPI) -> None:
    """Turn every error into a page, a fragment or problem details, with the right status."""

    def on_app_error(request: Request, error: Exception) -> Response:
        note_refusal(request, error)
        if isinstance(error, HTTPException) and error.status_code == 405:
            # FastAPI names only the methods of the first route that matches the address.
            methods = sorted(methods_of(app.routes, request.url.path))
            error = HTTPException(405, headers={"allow": ", ".join(methods)})
        return _answer_to_error(request, error)

    def on_database_error(request: Request, error: SQLAlchemyError) -> Response:
        trouble = trouble_from(error)
        if trouble is None:
            raise error
        trouble.report()
        return _answer_to_error(request, trouble)

    for kind in (AppError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, on_app_error)
    for database_error in (DBAPIError, PoolTimeoutError):
        app.add_exception_handler(database_error, on_database_error)  # type: ignore[arg-type]


def _answer_to_error(request: Request, error: Exception) -> Response:
    """An error as problem details for programs, and as a page for people."""
    if is_api(request):
        return problem_response(error)
    page = Page(request)
    if isinstance(error, DatabaseTrouble) and not error.trouble.answers_reads:
        # Asking the database again would only take as long once more.
        page.known |= {"clinic": getattr(request.app.state, "last_clinic", None) or default_clinic(), "actor": None}
    # The failed request may have used all its time.
    with waiting_at_most(SECONDS_FOR_ERROR_PAGE):
        return error_page(page, error)


def _busy_response(request: Request) -> Response:
    """The answer to a request that is refused unread: it needs no thread and no database."""
    if is_api(request):
        response = problem_response(Unavailable(_("The booking system is very busy. Please try again in a moment.")))
    else:
        page = request.app.state.templates.get_template("core/errors/busy.html").render()
        response = HTMLResponse(page, 503)
    # No other layer sees this answer.
    for name, value in (HEADERS | {"cache-control": "no-store"}).items():
        response.headers.setdefault(name, value)
    if request.app.state.settings.secure_cookies:
        response.headers["strict-transport-security"] = HSTS
    return response


async def _error_response(request: Request, error: Exception) -> Response:
    if is_api(request):
        return problem_response(error)
    return await run_in_threadpool(_answer_to_error, request, error)

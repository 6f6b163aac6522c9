"""Routers, and finding the route of a request without trying every route."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from functools import cached_property
from threading import RLock
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute

# Starlette matches the path without the root under which a proxy serves us.
from starlette._utils import get_route_path
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, compile_path, get_name
from starlette.types import Receive, Scope, Send

from webapp.causes import note_route
from webapp.core.text import bare
from webapp.core.web import Page, close_page

_NAME_OF_GROUP = re.compile(r"\(\?P<\w+>")
_completing = RLock()


class CachingEndpoint(ABC):
    """An endpoint that may know the answer before FastAPI has read the request's parameters, which takes longer than
    finding a cached answer.
    """

    @abstractmethod
    def __call__(self, page: Page, **parameters: Any) -> Response:
        """Answer the request."""

    @abstractmethod
    async def find_cached_answer(self, request: Request) -> Response | None:
        """The cached answer to this request; with None the endpoint is called."""


class LazyRoute(APIRoute):
    """A route whose handler FastAPI analyses at its first request.

    For one route that takes about a millisecond; for all of them it takes 150 ms and 3 MiB, which few processes need.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **declared: Any) -> None:
        """Keep what matching needs. FastAPI's router gives all its arguments by name."""
        methods: Collection[str] = declared["methods"]
        self.path = path
        self.endpoint = endpoint
        self.name = get_name(endpoint) if declared["name"] is None else declared["name"]
        self.methods = set(methods)
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self._declared: dict[str, Any] | None = declared

    def __getattr__(self, name: str) -> Any:
        """Complete the route when an attribute is needed that it does not have yet."""
        # A request and the API's description may do so at the same moment.
        if not name.startswith("__"):
            with _completing:
                declared = self.__dict__.pop("_declared", None)
                if declared is not None:
                    super().__init__(self.path, self.endpoint, **declared)
                if name in self.__dict__:
                    return self.__dict__[name]
        raise AttributeError(name)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, which also closes the page; a dependency that yields would do that more slowly."""
        handle = super().get_route_handler()
        endpoint = self.endpoint if isinstance(self.endpoint, CachingEndpoint) else None

        async def handle_and_close(request: Request) -> Response:
            try:
                answer = await endpoint.find_cached_answer(request) if endpoint is not None else None
                return answer if answer is not None else await handle(request)
            finally:
                await close_page(request)

        return handle_and_close

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path, and remove invisible signs from its parts, which a copied reference or link may contain."""
        match, child_scope = super().matches(scope)
        parts = child_scope.get("path_params", {})
        if not get_route_path(scope).isascii():
            child_scope["path_params"] = {
                name: bare(part) if isinstance(part, str) else part for name, part in parts.items()
            }
        return match, child_scope


class Router(APIRouter):
    """The routes of some pages; the API's description does not have them."""

    def __init__(self) -> None:
        super().__init__(route_class=LazyRoute, include_in_schema=False)


class RouteGroup(BaseRoute):
    """Routes that are tried only for paths that match their common pattern: one comparison replaces many. Trying all
    routes one after another takes longer than most pages.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self.routes = list(routes)
        self._pattern = re.compile("|".join(_patterns(self.routes)))

    def may_match(self, path: str) -> bool:
        """Whether one of the routes may have this path."""
        return self._pattern.match(path) is not None

    def candidates(self, path: str) -> Sequence[BaseRoute]:
        """The routes to try for this path."""
        return self.routes if self.may_match(path) else ()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether one of the routes matches the request; the first that also takes its method is preferred."""
        found: tuple[Match, Scope] = Match.NONE, {}
        for route in self.candidates(get_route_path(scope)):
            match, child_scope = route.matches(scope)
            if match == Match.FULL:
                return match, child_scope
            if match == Match.PARTIAL and found[0] == Match.NONE:
                found = match, child_scope
        return found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the route that matched, which FastAPI keeps in the scope."""
        route = scope["route"]
        note_route(route.path_format)
        await route.handle(scope, receive, send)


class RouteIndex(RouteGroup):
    """Groups of routes by first segment. A path is tried only in groups that have a route with its first segment."""

    def __init__(self, groups: Sequence[RouteGroup]) -> None:
        self.routes = list(groups)
        self._groups: dict[str, list[RouteGroup]] = {}
        for group in groups:
            for segment in {_first_segment(route.path) for route in all_routes([group]) if isinstance(route, APIRoute)}:
                if "{" in segment:
                    raise ValueError("The first segment of a path in an index must be fixed, not a parameter.")
                self._groups.setdefault(segment, []).append(group)

    def candidates(self, path: str) -> Sequence[RouteGroup]:
        """The groups to try for this path."""
        return self._groups.get(_first_segment(path), ())

    def may_match(self, path: str) -> bool:
        """Whether one of the groups may have this path."""
        return any(group.may_match(path) for group in self.candidates(path))


class LazyRouteGroup(RouteGroup):
    """The routes for all paths with one prefix. They are imported at the first request for such a path.

    A thread may import them before, so that the event loop does not have to.
    """

    def __init__(self, prefix: str, import_routes: Callable[[], Sequence[BaseRoute]]) -> None:
        self._prefix = prefix
        self._import_routes = import_routes

    @cached_property
    def routes(self) -> list[BaseRoute]:  # type: ignore[override]
        """The routes; the first use imports them."""
        return list(self._import_routes())

    @property
    def is_imported(self) -> bool:
        """Whether the routes are imported already."""
        return "routes" in vars(self)

    def import_now(self) -> None:
        """Import the routes."""
        _ = self.routes

    def may_match(self, path: str) -> bool:
        """Whether the path has the prefix."""
        return path.startswith(self._prefix)


def methods_of(routes: Sequence[BaseRoute], path: str) -> set[str]:
    """The methods that a path accepts: those of all matching routes."""
    taken: set[str] = set()
    for route in routes:
        if isinstance(route, RouteGroup):
            taken |= methods_of(route.candidates(path), path)
        elif isinstance(route, APIRoute) and route.path_regex.match(path):
            taken |= route.methods or set()
    return taken | ({"HEAD"} if "GET" in taken else set())


def all_routes(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """All routes without groups: each group is replaced by its routes."""
    for route in routes:
        if isinstance(route, RouteGroup):
            yield from all_routes(route.routes)
        else:
            yield route


def _first_segment(path: str) -> str:
    """'admin' of '/admin/users'."""
    return path[1:].partition("/")[0]


def _patterns(routes: Sequence[BaseRoute]) -> Iterator[str]:
    for route in all_routes(routes):
        if not isinstance(route, APIRoute):
            raise TypeError(f"{route!r} has no path.")
        yield _NAME_OF_GROUP.sub("(?:", route.path_regex.pattern)

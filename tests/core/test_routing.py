"""Routes that are completed at their first request, and groups of routes."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from webapp.api_routes import API_ROUTERS
from webapp.core.routing import LazyRoute, LazyRouteGroup, RouteGroup, RouteIndex, Router, all_routes, methods_of
from webapp.routes import ROUTERS


def small_app() -> tuple[FastAPI, list[Any]]:
    router, other = Router(), Router()

    @router.get("/things/{number}")
    def thing(number: int) -> int:
        return number

    @router.post("/things/{name}")
    def change(name: str) -> str:
        return name

    @other.get("/things/{name}/parts")
    def parts(name: str, first: int = 0) -> list[str]:
        return [name][first:]

    return FastAPI(routes=[RouteIndex([RouteGroup(router.routes), RouteGroup(other.routes)])]), [
        *router.routes,
        *other.routes,
    ]


def test_a_route_is_completed_by_its_own_first_request_alone() -> None:
    app, routes = small_app()
    with TestClient(app) as client:
        assert client.get("/things/1").json() == 1
        assert ["dependant" in vars(route) for route in routes] == [True, False, False]
        assert client.get("/things/x").status_code == 422
        assert client.get("/things/1/parts", params={"first": 1}).json() == []
        assert ["dependant" in vars(route) for route in routes] == [True, False, True]


def test_groups_prefer_the_route_that_takes_the_method() -> None:
    app, _routes = small_app()
    with TestClient(app) as client:
        assert client.post("/things/lamp").json() == "lamp"
        assert client.put("/things/lamp").status_code == 405
        assert client.get("/elsewhere").status_code == 404


def test_an_index_finds_the_same_groups_in_the_same_order() -> None:
    groups = [RouteGroup(router.routes) for router in ROUTERS]
    index = RouteIndex(groups)
    for route in all_routes(groups):
        path = str(getattr(route, "path", "")).replace("{", "").replace("}", "")
        found = [group for group in index.candidates(path) if group.may_match(path)]
        assert found == [group for group in groups if group.may_match(path)], path
    assert not index.may_match("/elsewhere/admin")
    for address in ("/{any_word}", "/feed-{key}.ics"):
        router = Router()
        router.get(address)(lambda: None)
        with pytest.raises(ValueError, match="must be fixed"):
            RouteIndex([RouteGroup(router.routes)])


def test_a_lazy_group_imports_its_routes_at_the_first_request_for_one_of_them() -> None:
    _app, routes = small_app()
    imported: list[Any] = []

    def import_routes() -> list[Any]:
        imported.extend(routes)
        return routes

    late = LazyRouteGroup("/things/", import_routes)
    with TestClient(FastAPI(routes=[late])) as client:
        assert client.get("/elsewhere").status_code == 404
        assert methods_of([late], "/elsewhere") == set()
        assert imported == []
        assert client.get("/things/1").json() == 1
        assert client.get("/things/1/others").status_code == 404
        assert methods_of([late], "/things/1") == {"GET", "HEAD", "POST"}
        assert imported == routes


def test_a_route_that_two_threads_complete_concurrently_is_complete_for_both() -> None:
    for _attempt in range(20):
        _app, (route, *_others) = small_app()
        seen: list[Any] = []
        barrier = Barrier(2)

        def look(route: LazyRoute = route, barrier: Barrier = barrier, seen: list[Any] = seen) -> None:
            barrier.wait()
            seen.append(route.app)

        threads = [Thread(target=look) for _thread in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 2
        assert seen[0] is seen[1]


def test_an_attribute_that_no_route_has_is_missing() -> None:
    _app, (route, *_others) = small_app()
    with pytest.raises(AttributeError, match="colour"):
        route.colour  # noqa: B018 - reading it is the test.


# Without this, a handler that FastAPI cannot read would be found at its first request only.
@pytest.mark.parametrize("router", [*ROUTERS, *API_ROUTERS], ids=lambda router: router.routes[0].path)
def test_all_routes_can_be_completed(router: Router) -> None:
    for route in all_routes(router.routes):
        assert isinstance(route, APIRoute)
        assert route.dependant.call is route.endpoint

"""Shared parts of the JSON API: its routes, what their requests may hold, answers, parts of a list."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import UTC
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, Field, PlainSerializer, TypeAdapter
from starlette.responses import Response

from webapp.core import formats
from webapp.core.api_problems import UnsupportedMediaType
from webapp.core.parsing import MAX_ID
from webapp.core.routing import LazyRoute
from webapp.core.strict_types import Whole
from webapp.core.text import tidy_json
from webapp.core.web import Page
from webapp.exceptions import BadRequest
from webapp.i18n import gettext as _

API_PREFIX = "/api/v1"
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
# Response headers that scripts of other sites may read.
EXPOSED_HEADERS = (
    "Appointments-Left", "ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy",
    "Retry-After", "X-Total-Count",
)  # fmt: skip
MAX_SKIP = 100_000
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")

Id = Annotated[Whole, Field(ge=1, le=MAX_ID)]
QueryId = Annotated[int, Query(ge=1, le=MAX_ID)]
Moment = Annotated[
    AwareDatetime,
    PlainSerializer(lambda value: formats.iso(value.astimezone(UTC)), return_type=str, when_used="json"),
    Field(examples=["2026-12-01T09:30:00Z"], json_schema_extra={"format": "date-time"}),
]
"""An instant in an answer: always in UTC, written with Z."""


def is_api(request: Request) -> bool:
    """Whether the request is for the API, whose clients cannot use an error page."""
    # Read the raw path: building a URL object costs as much as many a query.
    path: str = request.scope["path"]
    return path.startswith("/api/") or path == "/api"


# ------------------------------------------------------------------------------------------------- requests


async def require_readable_body(request: Request) -> None:
    """Require a body of JSON, or of a form where OAuth wants one, whose text can be stored.

    Raises:
        UnsupportedMediaType: the body is something else. BadRequest: it holds a NUL or a lone surrogate.
    """
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if request.url.path == f"{API_PREFIX}/auth/token":
        # FastAPI has read the form by now, so its body is gone.
        if kind != FORM_TYPE:
            raise UnsupportedMediaType(_("Send the body as %(kind)s.") % {"kind": FORM_TYPE})
        return
    body = await request.body()
    if not body:
        return
    if kind != JSON_TYPE:
        raise UnsupportedMediaType(_("Send the body as %(kind)s.") % {"kind": JSON_TYPE})
    # JSON is UTF-8. The library also takes UTF-16 and UTF-32, in which every sign of JSON contains a NUL.
    if b"\x00" in body or (b"\\u" in body and not _is_storable(json.loads(body))):
        raise BadRequest(_("The body contains a NUL or an incomplete character."))


class _TidyRequest(Request):
    """A request whose body of JSON comes without the invisible signs of pasted text."""

    async def json(self) -> Any:
        """The body, tidied; it is read once."""
        return tidy_json(await super().json())


class _ApiRoute(LazyRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_tidied(request: Request) -> Response:
            return await handle(_TidyRequest(request.scope, request.receive))

        return handle_tidied


def require_single_values(request: Request) -> None:
    """Require that a parameter is given once, unless it takes several values: otherwise all but one would be ignored.

    Raises:
        RequestValidationError: it is given more often; the problem names it.
    """
    names = Counter(name for name, _value in request.query_params.multi_items())
    repeated = {name for name, times in names.items() if times > 1}
    if not repeated:
        return
    sentence = _("Give this parameter only once.")
    problems = [
        {"type": "repeated", "loc": ("query", field.alias), "msg": sentence}
        for field in _query_parameters(request.scope["route"].dependant)
        if field.alias in repeated and not _takes_several(field.field_info.annotation)
    ]
    if problems:
        raise RequestValidationError(problems)


async def _require_readable(request: Request) -> None:
    """The two requirements of every route in one dependency: FastAPI's part of each costs more than its work."""
    await require_readable_body(request)
    require_single_values(request)


def _query_parameters(dependant: Any) -> Iterator[Any]:
    """The query parameters of a route, those of its dependencies included."""
    yield from dependant.query_params
    for each in dependant.dependencies:
        yield from _query_parameters(each)


def _takes_several(kind: Any) -> bool:
    return any(get_origin(each) is list for each in (kind, *get_args(kind)))


class ApiRouter(APIRouter):
    """Some routes of the API, below its prefix. Their names are the operations' ids in its description."""

    def __init__(self, *, prefix: str = "", tags: list[str | Enum] | None = None) -> None:
        super().__init__(
            prefix=API_PREFIX + prefix,
            tags=tags,
            dependencies=[Depends(_require_readable)],
            generate_unique_id_function=lambda route: route.name,
            route_class=_ApiRoute,
        )


def storable(value: str) -> str:
    """Return the text if both databases can store it.

    Raises:
        ValueError: it holds a NUL or a lone surrogate.
    """
    if not _is_storable(value):
        raise ValueError("Text must not contain a NUL or an incomplete character.")
    return value


def _is_storable(value: Any) -> bool:
    # A loop instead of recursion, because a body may be nested deeper than Python's recursion limit.
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, str):
            if _NO_TEXT.search(part):
                return False
        elif isinstance(part, dict):
            parts += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            parts += part
    return True


# -------------------------------------------------------------------------------------------------- answers


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def dump(kind: Any, value: Any) -> str:
    """A value as JSON, in the shape of a model or of a list of models."""
    return _adapter(kind).dump_json(value).decode()


def answer(
    page: Page, kind: Any, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request of the API; it closes the reading session."""
    page.close()
    return Response(dump(kind, value), status, headers, JSON_TYPE)


class Paging(NamedTuple):
    """Which part of a list: how many items are skipped, and at most how many follow."""

    skip: int
    limit: int


def _paging(
    skip: Annotated[int, Query(ge=0, le=MAX_SKIP, description="Number of items to skip.")] = 0,
    limit: Annotated[int, Query(ge=1, le=100, description="Maximum number of items to return.")] = 10,
) -> Paging:
    return Paging(skip, limit)


AskedPaging = Annotated[Paging, Depends(_paging)]

LIST_HEADERS: dict[str, Any] = {
    "X-Total-Count": {"description": "Total number of items.", "schema": {"type": "integer", "minimum": 0}},
    "Link": {
        "description": "RFC 8288 links to the `first`, `prev`, `next` and `last` part of the list.",
        "schema": {"type": "string"},
    },
}

LOCATION_HEADER: dict[str, Any] = {
    "Location": {"description": "The address of the new resource.", "schema": {"type": "string"}}
}


def answer_list(
    page: Page,
    kind: Any,
    items: Sequence[Any],
    *,
    total: int,
    paging: Paging,
    following: Mapping[str, str] | None = None,
) -> Response:
    """A part of a list as a plain array; headers hold the total and the addresses of the other parts.

    `following` selects the next part, if `skip` does not.
    """
    headers = {"x-total-count": str(total)}
    if links := _links(page.request, total, paging, following):
        headers["link"] = links
    return answer(page, list[kind], items, headers=headers)


def part_of(items: Sequence[Any], paging: Paging) -> Sequence[Any]:
    """The requested part of a list that is short enough to be read whole."""
    return items[paging.skip : paging.skip + paging.limit]


def _links(request: Request, total: int, paging: Paging, following: Mapping[str, str] | None) -> str:
    from_cursor = "cursor" in request.query_params
    skips = {"first": 0, "last": max(0, (total - 1) // paging.limit * paging.limit)}
    if paging.skip > 0 and not from_cursor:
        skips["prev"] = max(0, paging.skip - paging.limit)
    if paging.skip + paging.limit < total and not from_cursor and following is None:
        skips["next"] = paging.skip + paging.limit
    # There is no link to a part that `skip` cannot reach.
    parts = {name: {"skip": str(skip)} for name, skip in skips.items() if skip <= MAX_SKIP}
    if following is not None:
        parts["next"] = dict(following)
    kept = [each for each in request.query_params.multi_items() if each[0] not in {"skip", "limit", "cursor"}]

    def address(part: Mapping[str, str]) -> str:
        return f"{request.url.path}?{urlencode([*kept, *part.items(), ('limit', str(paging.limit))])}"

    return ", ".join(f'<{address(part)}>; rel="{name}"' for name, part in parts.items())

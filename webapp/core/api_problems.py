"""Problems: the API's answers to failed requests, as RFC 9457's `application/problem+json`.

A problem's `code` is stable and for programs, its `detail` is a sentence for people, and `errors` names the members of
the request that are wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from webapp.causes import request_id
from webapp.core.errors import headers_of
from webapp.exceptions import AppError
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l

PROBLEM_TYPE = "application/problem+json"
# Codes for errors of libraries, which have neither a code nor a sentence for people.
UNNAMED = {
    400: ("bad_request", _l("The request can’t be read.")),
    404: ("not_found", _l("Nothing exists at this address.")),
    405: ("method_not_allowed", _l("This address does not support this method: see the Allow header.")),
    413: ("too_large", _l("The body is too large.")),
    500: ("error", _l("Something went wrong on our side. Nothing you sent caused this.")),
}
# Before version 3.13, Python has older phrases for these than RFC 9110.
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


class FieldProblem(BaseModel):
    """An invalid member of the request."""

    detail: Annotated[str, Field(description="What is wrong with it, for people.")]
    code: Annotated[str, Field(description="What is wrong with it, for programs.")]
    pointer: Annotated[
        str | None, Field(description="Its place in the body, as a JSON Pointer.", examples=["/starts_at"])
    ] = None
    parameter: Annotated[str | None, Field(description="The name of the parameter or header.", examples=["limit"])] = (
        None
    )


class Problem(BaseModel):
    """RFC 9457 problem details. Some kinds of problem have further members."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(description="The kind of problem; `about:blank` means that `status` says it all.")]
    title: Annotated[str, Field(description="What the status means, in a few words.")]
    status: Annotated[int, Field(description="The HTTP status.", examples=[422])]
    detail: Annotated[str, Field(description="What happened and what would help, for people.")]
    code: Annotated[str, Field(description="What happened, for programs; stable.", examples=["clinic_closed"])]
    errors: Annotated[list[FieldProblem], Field(description="The invalid members of the request.")] = []
    reference: Annotated[str | None, Field(description="The id of this request in the log.")] = None


class UnsupportedMediaType(AppError):
    """The body has a media type that this address does not read."""

    status = 415
    code = "unsupported_media_type"


def problem_response(error: Exception) -> Response:
    """Any error as problem details, with its headers, and with the request's id if the fault is ours."""
    if isinstance(error, RequestValidationError):
        status, code, detail, errors = _validation(error)
    elif isinstance(error, AppError):
        status, code, detail = error.status, error.code, error.message
        errors = [FieldProblem(detail=detail, code=code, pointer=f"/{error.field}")] if error.field else []
    elif isinstance(error, HTTPException):
        status, errors = error.status_code, []
        code, detail = _unnamed(status)
    else:
        status, errors, (code, detail) = 500, [], _unnamed(500)
    body = {
        "type": "about:blank",
        "title": TITLES.get(status, HTTPStatus(status).phrase),
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [each.model_dump(exclude_none=True) for each in errors],
        **(error.members if isinstance(error, AppError) else {}),
        **({"reference": reference} if status >= 500 and (reference := request_id()) else {}),
    }
    headers = headers_of(error)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(json.dumps(body, ensure_ascii=False), status, headers, PROBLEM_TYPE)


def _unnamed(status: int) -> tuple[str, str]:
    """The code and the sentence for an error of a library."""
    code, sentence = UNNAMED.get(status, ("error", None))
    return code, str(sentence or HTTPStatus(status).phrase)


def _validation(error: RequestValidationError) -> tuple[int, str, str, list[FieldProblem]]:
    """Status, code, sentence and field problems of a request whose shape does not match the route."""
    problems = error.errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        return 400, "json_invalid", _("The body is not valid JSON."), []
    if all(problem["loc"][0] == "path" for problem in problems):
        return 404, *_unnamed(404), []
    fields: dict[tuple[str | None, str | None], FieldProblem] = {}
    for each in (_field(problem, error.body) for problem in problems):
        # For a member of several possible types there is an error for each type; the first is the usual one.
        fields.setdefault((each.pointer, each.parameter), each)
    return 422, "invalid", _("The request is invalid: see errors."), [*fields.values()]


def _field(problem: Mapping[str, Any], body: Any) -> FieldProblem:
    place, *rest = problem["loc"]
    detail = str(problem["msg"]).removeprefix("Value error, ")
    if place == "body":
        pointer = "".join(
            f"/{str(part).replace('~', '~0').replace('/', '~1')}"
            for part in _members(rest, body, missing=problem["type"] == "missing")
        )
        return FieldProblem(detail=detail, code=problem["type"], pointer=pointer)
    return FieldProblem(detail=detail, code=problem["type"], parameter=str(rest[0]) if rest else str(place))


def _members(place: Sequence[int | str], body: Any, *, missing: bool) -> Iterator[int | str]:
    """Those parts of pydantic's place of an error that lead through the body: it also names alternatives of a type."""
    for number, part in enumerate(place, 1):
        if (isinstance(body, dict) and part in body) or (
            isinstance(body, list) and isinstance(part, int) and part < len(body)
        ):
            body = body[part]  # type: ignore[index]
            yield part
        elif missing and number == len(place):
            yield part


def problems(*statuses: int, **why: str) -> dict[int | str, dict[str, Any]]:
    """The problems that a route can answer with, for its `responses`.

    `why` has a sentence for a status whose phrase says too little: `problems(404, s409="The time is taken.")`.
    """
    sentences = {int(name.removeprefix("s")): sentence for name, sentence in why.items()}
    return {
        status: {
            "description": sentences.get(status, HTTPStatus(status).phrase),
            "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*statuses, *sentences})
    }


def problem_listing(status: int, why: str, **items: dict[str, str]) -> dict[int | str, dict[str, Any]]:
    """The problem of a route that has additional lists: `items` holds the schema of the items of each such member."""
    members = {name: {"type": "array", "items": schema} for name, schema in items.items()}
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}], "properties": members}
    return {status: {"description": why, "content": {PROBLEM_TYPE: {"schema": schema}}}}

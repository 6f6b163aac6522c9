"""The description of the API, in OpenAPI 3.1: FastAPI's own, plus what applies to all addresses.

Routes describe only what is specific to them. The answers that any request may get, the headers that come with them,
and whether a sign-in is needed are added here once, so that no route can forget them.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from webapp.appointments.schemas import AppointmentStatus
from webapp.auth.programs.api_access import MaybeCaller
from webapp.auth.programs.scopes import SCOPES, scope_of
from webapp.auth.schemas import Role
from webapp.core.api import API_PREFIX, JSON_TYPE
from webapp.core.api_hours import Weekday
from webapp.core.api_problems import PROBLEM_TYPE, Problem
from webapp.core.routing import all_routes
from webapp.openapi.examples import PLACES, example_of, problem_example

DESCRIPTION = """
Appointment booking for clinics, under the same rules as Docket's pages.

**Signing in.** `POST /api/v1/auth/token` gives an access token for an email address and a password; send it as
`Authorization: Bearer …`. It is valid for 15 minutes: the refresh token gets the next pair. Signing out, setting a new
password and disabling the account end both immediately. People who are signed in on the web pages can also read with
their cookie.

**Programs** need no person's password: an admin creates an API token under Users, with a name, scopes and an end, and
the program sends it as `Authorization: Bearer docket_…`. Each operation names the scope that it needs. Without it the
answer is 403 with the code `scope_missing` and the `scope`; operations that name none are for people. Requests and
`Idempotency-Key`s are counted and kept for each token.

**Times** are sent with an offset and returned in UTC; `GET /api/v1/clinic` names the clinic's time zone. A free time
is listed if and only if booking it would succeed.

**Lists** are plain arrays. `skip` and `limit` choose a part; the headers `X-Total-Count` and `Link` describe the rest.
To read a whole list, follow the `next` links to the end. To send several values for a parameter that takes them,
repeat it, as in `?status=scheduled&status=confirmed`.

**Errors** are problem details (RFC 9457): a `status`, a stable `code` for programs, a sentence for people, and in
`errors` the invalid members of the request. Resources that you may not see answer 404, like those that do not exist.

**Retrying** a request that creates something is safe with an `Idempotency-Key`.

**Concurrent changes:** send the `ETag` you received as `If-Match`. The answer is 412 if the resource has changed since.
With `If-None-Match`, a resource that has not changed is not sent again.

**Changes that affect appointments**, such as a closure, are refused with a list of these appointments until
`decisions` says what to do with each. `?preview=true` returns the effect of a change and saves nothing.
""".strip()

TAGS = {
    "Signing in": "Accounts and tokens.",
    "Clinic": "Name, time zone, opening hours, rules and closures.",
    "Visit types": "Visit types, their length and who offers them.",
    "Doctors": "The doctors of the clinic.",
    "Free times": "The times that can be booked, with one doctor or with any.",
    "Appointments": "Book, read, move and cancel appointments.",
    "Patients": "Patients' own records and those of people they book for; all patients for staff.",
    "Doctors' times": "Weekly hours, extra hours and time off. Access: the doctor, admins.",
}

# Literals that several models share, each under its own name.
ENUMS: dict[str, tuple[Any, str]] = {
    "VisitStatus": (
        AppointmentStatus,
        "The status of an appointment; no-shows and cancelled appointments do not block time.",
    ),
    "Role": (Role, "The kind of account."),
    "Weekday": (Weekday, "A day of the week."),
}

# Problems with the same meaning everywhere: a name, a sentence, and whether any request can get it.
PROBLEMS: dict[int, tuple[str, str]] = {
    400: ("Unreadable", "The request cannot be read."),
    401: ("NotSignedIn", "You are not signed in, or the token has expired."),
    403: ("NotAllowed", "Your account does not have access, or your API token lacks the scope."),
    404: ("NotThere", "It does not exist, or you have no access to it."),
    409: ("Clash", "It conflicts with existing data."),
    412: ("ChangedMeanwhile", "The resource has changed since the `ETag` in `If-Match`."),
    413: ("TooLarge", "The body is too large."),
    415: ("OtherKindOfBody", "This content type is not accepted here."),
    422: ("Refused", "The request is invalid, or a rule refuses it; see `code` and `errors`."),
    429: ("TooMany", "Too many requests: wait for the number of seconds in `Retry-After`."),
    500: ("OurError", "Internal error."),
    503: ("Busy", "Docket is busy: try again after `Retry-After`."),
}
ALWAYS = (400, 429, 500, 503)
WITH_BODY = (413, 415, 422)
# FastAPI's texts for answers without a description.
SUCCESS = {"200": "Success.", "201": "Created."}
STATUS_PHRASES = {"Successful Response", *(status.phrase for status in HTTPStatus)}

HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {
        "description": "The version of the answer, for `If-Match` and `If-None-Match`.",
        "schema": {"type": "string"},
        "example": '"3"',
        "required": True,
    },
    "ETag-Unless-Preview": {
        "description": "The version of the answer, for `If-Match` and `If-None-Match`; not sent with `preview`.",
        "schema": {"type": "string"},
        "example": '"3"',
    },
    "Idempotency-Replayed": {
        "description": "`true` if this answer repeats an earlier one for the same `Idempotency-Key`.",
        "schema": {"type": "string", "const": "true"},
    },
    "Link": {
        "description": "RFC 8288 links to the `first`, `prev`, `next` and `last` part of the list.",
        "schema": {"type": "string"},
        "example": '</api/v1/appointments?skip=10&limit=10>; rel="next"',
        "required": True,
    },
    "Location": {
        "description": "The address of the new resource.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/api/v1/appointments/1",
        "required": True,
    },
    "RateLimit": {
        "description": "Requests left (`r`), and seconds until there are more (`t`).",
        "schema": {"type": "string"},
        "example": '"account";r=1199;t=60',
    },
    "RateLimit-Policy": {
        "description": "Requests allowed (`q`) per number of seconds (`w`), for an account or a network.",
        "schema": {"type": "string"},
        "example": '"account";q=1200;w=60',
    },
    "Retry-After": {
        "description": "Seconds to wait before sending the request again.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 20,
        "required": True,
    },
    "WWW-Authenticate": {
        "description": "How to sign in.",
        "schema": {"type": "string", "const": "Bearer"},
        "required": True,
    },
    "X-Total-Count": {
        "description": "Total number of items.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 42,
        "required": True,
    },
}
COUNTED = ("RateLimit", "RateLimit-Policy")
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "An `ETag` you received: the answer is 304 if nothing has changed.",
    "schema": {"type": "string"},
}


def describe_api(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an application, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="Docket",
            version="1.0",
            summary="Book, move and cancel appointments, and run the clinic.",
            description=DESCRIPTION,
            routes=list(all_routes(app.routes)),
            servers=[{"url": "/", "description": "This clinic's Docket."}],
            tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        )
        for_everybody = {
            route.operation_id or route.name
            for route in all_routes(app.routes)
            if isinstance(route, APIRoute) and _asks_maybe(route)
        }
        app.openapi_schema = _completed(document, for_everybody)
    return app.openapi_schema


def _asks_maybe(route: APIRoute) -> bool:
    """Whether signing in is optional, and signed-in callers see more."""
    asked = get_args(MaybeCaller)[1].dependency
    return any(each.call is asked for each in route.dependant.dependencies)


def _completed(document: dict[str, Any], for_everybody: set[str]) -> dict[str, Any]:
    components = document["components"]
    schemas = components["schemas"]
    _names, made = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    schemas.update(made["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["headers"] = HEADERS
    components["responses"] = {name: _problem(status, text) for status, (name, text) in PROBLEMS.items()}
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    _offer_tokens(document)
    for operation in operations:
        _complete(operation, for_everybody)
    _tidy(document)
    _name_enums(schemas, document["paths"])
    _keep_used(document, "responses")
    _keep_used(document, "schemas")
    for operation in operations:
        _exemplify(operation, schemas)
    components["schemas"] = dict(sorted(schemas.items()))
    return document


def _offer_tokens(document: dict[str, Any]) -> None:
    """Add to each operation that needs a caller the scope that an API token needs for it."""
    scopes = ", ".join(f"`{scope}`" for scope in SCOPES)
    document["components"]["securitySchemes"]["token"] = {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "docket_<handle>_<secret>",
        "description": f"An API token, which an admin creates for a program. Its scopes are some of {scopes}.",
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            scope = scope_of(method.upper(), path.removeprefix(API_PREFIX))
            if scope is not None and operation.get("security"):
                operation["security"].append({"token": [scope]})
                operation["responses"].setdefault("403", {"$ref": f"#/components/responses/{PROBLEMS[403][0]}"})


# ------------------------------------------------------------------------------------------- one operation


def _complete(operation: dict[str, Any], for_everybody: set[str]) -> None:
    answers, parameters = operation["responses"], operation.setdefault("parameters", [])
    security = operation.setdefault("security", [])
    if operation["operationId"] in for_everybody:
        security[:] = [{}, *filter(None, security)]
    # FastAPI's own 422 has another shape than ours.
    refusable = "422" in answers
    if JSON_TYPE in answers.get("422", {}).get("content", {}):
        del answers["422"]
    wanted = [*ALWAYS, *([401] if security else []), *([422] if refusable else [])]
    wanted += WITH_BODY if "requestBody" in operation else ()
    for status in wanted:
        answers.setdefault(str(status), {"$ref": f"#/components/responses/{PROBLEMS[status][0]}"})
    if "304" in answers:
        parameters.append(IF_NONE_MATCH)
    for parameter in parameters:
        _describe(parameter)
    asked = {parameter["name"] for parameter in parameters}
    for status, described in answers.items():
        answers[status] = _answer(status, described, asked)
    operation["responses"] = dict(sorted(answers.items()))


def _describe(parameter: dict[str, Any]) -> None:
    """Describe the parts of addresses, and remove null from the types of parameters: they are given or not."""
    schema = parameter["schema"]
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
    if kinds:
        schema.update({"anyOf": kinds} if len(kinds) > 1 else kinds[0])
    # The parameter itself already has the description.
    schema.pop("description", None)
    if parameter["in"] == "path":
        parameter["description"], parameter["example"] = PLACES[parameter["name"]]


def _answer(status: str, described: dict[str, Any], asked: set[str]) -> dict[str, Any]:
    if "$ref" in described:
        return described
    number = int(status)
    if PROBLEM_TYPE in described.get("content", {}):
        name, text = PROBLEMS[number]
        plain = described["content"][PROBLEM_TYPE]["schema"] == {"$ref": "#/components/schemas/Problem"}
        if plain and described["description"] in {HTTPStatus(number).phrase, text}:
            return {"$ref": f"#/components/responses/{name}"}
        described["headers"] = _headers(*_headers_of(number))
        return described
    if described["description"] in STATUS_PHRASES:
        described["description"] = SUCCESS[status]
    own = [*described.get("headers", {}), *(["ETag"] if number == 304 else [])]
    replayed = ["Idempotency-Replayed"] if "Idempotency-Key" in asked and number == 201 else []
    described["headers"] = _headers(*own, *replayed, *COUNTED)
    if number == 200 and "preview" in asked and "ETag" in own:
        described["headers"]["ETag"] = {"$ref": "#/components/headers/ETag-Unless-Preview"}
    return described


def _problem(status: int, text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {PROBLEM_TYPE: {"schema": schema, "example": problem_example(status)}}
    return {"description": text, "headers": _headers(*_headers_of(status)), "content": content}


def _headers_of(status: int) -> tuple[str, ...]:
    own = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
    return *own.get(status, ()), *COUNTED


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _exemplify(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Add an example to every body and every answer."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content.setdefault("example", example_of(content["schema"], schemas))
    for status, answer in operation["responses"].items():
        for kind, content in answer.get("content", {}).items():
            schema = content["schema"]
            if kind == PROBLEM_TYPE:
                more = {
                    name: example_of(part, schemas, member=name) for name, part in schema.get("properties", {}).items()
                }
                content["example"] = problem_example(int(status), more)
            else:
                content["example"] = example_of(schema, schemas)


# ----------------------------------------------------------------------------------------- the whole document


def _tidy(part: Any) -> None:
    """Remove what carries no information: titles made from a member's name, and fractions of whole numbers."""
    if isinstance(part, list):
        for each in part:
            _tidy(each)
    if not isinstance(part, dict):
        return
    for name, value in part.items():
        if name in {"properties", "schema", "items"}:
            for schema in value.values() if name == "properties" else (value,):
                schema.pop("title", None)
        if name in {"minimum", "maximum"} and isinstance(value, float) and value.is_integer():
            part[name] = int(value)
        _tidy(value)


def _name_enums(schemas: dict[str, Any], paths: dict[str, Any]) -> None:
    """Replace enums that occur in many places by one named schema."""
    names = {get_args(kind): name for name, (kind, _told) in ENUMS.items()}

    def replace(part: Any) -> None:
        for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            if isinstance(value, dict) and (name := names.get(tuple(value.get("enum", ())))):
                del value["enum"], value["type"]
                value["$ref"] = f"#/components/schemas/{name}"
            else:
                replace(value)

    replace(schemas)
    replace(paths)
    for name, (kind, text) in ENUMS.items():
        schemas[name] = {"title": name, "description": text, "type": "string", "enum": list(get_args(kind))}


def _keep_used(document: dict[str, Any], kind: str) -> None:
    """Remove components that nothing refers to, and those that only these refer to."""
    components = document["components"][kind]
    while unused := [name for name in components if f'"#/components/{kind}/{name}"' not in json.dumps(document)]:
        for name in unused:
            del components[name]

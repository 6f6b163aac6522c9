"""The description of the API, in OpenAPI 3.1: FastAPI's own, and what holds for every address of ours."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from webapp.core.api import Problem, problems

DESCRIPTION = """
Appointment booking for clinics, under the same rules as Docket's pages.

- **Times** go in and come out with an offset; answers are in UTC. `GET /clinic` names the clinic's time zone.
- **Lists** are plain arrays with `skip` and `limit`; the headers `X-Total-Count` and `Link` say what else there is.
- **Errors** are problem details (RFC 9457) with a stable `code` and a sentence.
- **Repeating a request** that creates something is safe with an `Idempotency-Key`.
- **Changing** what somebody else may change, too: send the `ETag` that you read as `If-Match`.
"""
# What any request can be answered with, whatever its address.
ALWAYS = problems(
    s400="The request cannot be read.",
    s429="Too many requests: wait as long as `Retry-After` says.",
    s500="An error on our side.",
    s503="Docket is busy: try again after `Retry-After`.",
)
WITH_BODY = problems(
    s413="The body is larger than any that we take.",
    s415="The body is of another kind than the address takes.",
)
REFUSED = problems(s422="The request has not the right shape, or a rule refuses it; `code` and `errors` say which.")


def describe_api(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an application, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="Docket",
            version="1",
            summary="Book, move and cancel visits; run the clinic.",
            description=DESCRIPTION.strip(),
            routes=app.routes,
        )
        _complete(document)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    _names, made = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    schemas.update(made["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            more = ALWAYS | (WITH_BODY if "requestBody" in operation else {})
            if "422" in answers:
                own = answers["422"].get("content", {})
                if "application/json" in own:
                    answers.pop("422")
                more = REFUSED | more
            for status, described in more.items():
                answers.setdefault(str(status), described)
            operation["responses"] = dict(sorted(answers.items()))

"""Problems name the members of the body that they are about, by JSON Pointers that lead there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.testclient import TestClient

from tests.api_client import API, ApiClient
from tests.cast import Cast
from webapp.api_routes import API_ROUTERS

# `test_docs.py` compares it with what Docket says of itself.
RECORDED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
# Values that are right in shape for some members, and wrong by a rule.
UNLIKELY: tuple[Any, ...] = (-1, [], "1999-01-01")
# Values that are wrong for almost every member, in ways in which its type has parts.
ODD: tuple[Any, ...] = (
    5, -1, True, "", "?", "x" * 3000, [], [5], [{}], {}, {"each": {"a/b~c": {}}}, {"each": {"A": {"kind": "move"}}},
    {"each": {"A": 5}, "why": 5}, [{"weekday": 9, "hours": [{"from": 5}]}], [{"weekday": 1, "hours": 5}],
)  # fmt: skip


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference names."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][name] if name else schema
    return found


def bodies() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Method, path, members and example of each operation that takes JSON."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content:
                alternatives = content["schema"].get("anyOf", [content["schema"]])
                yield method.upper(), path, resolved(alternatives[0])["properties"], content.get("example", {})


def leads_to_a_member(pointer: str, body: Any, members: dict[str, Any]) -> bool:
    """Whether a pointer leads to something in the body, or to a member that is missing there."""
    first, *rest = pointer.removeprefix("/").split("/")
    if first not in members:
        return pointer == ""
    here = body.get(first)
    for token in (token.replace("~1", "/").replace("~0", "~") for token in rest):
        if isinstance(here, dict):
            here = here.get(token)
        elif isinstance(here, list) and token.isdigit():
            here = here[int(token)]
        else:
            return False
    return True


def test_every_pointer_leads_to_a_member_of_the_body(api: TestClient) -> None:
    carol, wrong, seen = ApiClient(api, "carol"), set(), 0
    for method, path, members, example in bodies():
        address = re.sub(r"{\w+_id}", "1", path.removeprefix(API)).replace("{period}", "always")
        tried = [dict.fromkeys(members, odd) for odd in ODD]
        tried += [{**example, name: value} for name in members for value in UNLIKELY]
        for body in tried:
            answer = carol.request(method, address, json=body)
            problems = answer.json()["errors"] if answer.status_code >= 400 else []
            pointers = [each["pointer"] for each in problems if "pointer" in each]
            assert len(pointers) == len(set(pointers)), answer.text
            seen += len(pointers)
            wrong |= {(method, path, each) for each in pointers if not leads_to_a_member(each, body, members)}
    assert wrong == set()
    assert seen > 1000


@pytest.mark.parametrize("email", ["bad", "a@", 5])
def test_a_member_that_may_be_several_things_is_named_once(api: TestClient, sqlite_cast: Cast, email: object) -> None:
    answer = ApiClient(api, "carol").request(
        "PATCH", f"/patients/{sqlite_cast.patient_ids['alice']}", json={"email": email}
    )
    assert answer.status_code == 422
    [problem] = answer.json()["errors"]
    assert problem["pointer"] == "/email"


def body_models() -> set[type[BaseModel]]:
    """Every model that the API reads from a body, also those inside others."""
    found: set[type[BaseModel]] = set()

    def add(kind: Any) -> None:
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in found:
            found.add(kind)
            for member in kind.model_fields.values():
                add(member.annotation)
        for part in get_args(kind):
            add(part)

    for router in API_ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.body_field is not None:
                add(route.body_field.field_info.annotation)
    return found


def test_members_of_bodies_take_numbers_and_booleans_only_as_such() -> None:
    models = body_models()
    assert len(models) > 20
    for model in models:
        for name, member in model.model_fields.items():
            annotation: Any = Annotated[member.annotation, *member.metadata] if member.metadata else member.annotation
            kind = TypeAdapter[Any](annotation)
            for value in (0, 1, 30, False, True, "1", "30", 1.0, 30.0):
                try:
                    taken = kind.validate_python(value)
                except ValidationError:
                    continue
                assert type(taken) is type(value), f"{model.__name__}.{name} takes {value!r} for {taken!r}."

"""The API's description: complete, correct, recorded, and displayed without other hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31
from starlette.testclient import TestClient

from tests.reading import read
from tests.test_access import routes_of
from webapp.auth.programs.scopes import scope_of
from webapp.cli import run
from webapp.core.api import API_PREFIX
from webapp.main import api_to_describe
from webapp.openapi.router import document_text
from webapp.scheduling.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "docs" / "openapi.json"
# The first test compares it with what Docket says of itself.
DOCUMENT: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
OPERATIONS = {
    operation["operationId"]: operation for methods in DOCUMENT["paths"].values() for operation in methods.values()
}


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """A part of the document, or the component that it refers to."""
    while "$ref" in part:
        kind, name = part["$ref"].removeprefix("#/components/").split("/")
        part = DOCUMENT["components"][kind][name]
    return part


def is_valid(example: Any, schema: dict[str, Any]) -> None:
    """Check that the example is valid for the schema.

    Raises:
        jsonschema_rs.ValidationError: it is not.
    """
    rooted = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(rooted, validate_formats=True).validate(example)


def contents_of(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All bodies that an operation accepts or answers with."""
    for part in (operation.get("requestBody", {}), *map(resolved, operation["responses"].values())):
        yield from part.get("content", {}).values()


# ------------------------------------------------------------------------------------------- the document


def test_the_api_is_the_recorded_one() -> None:
    command = ".venv/bin/docket openapi > docs/openapi.json"
    described = json.loads(document_text(api_to_describe()))
    assert described == DOCUMENT, f"The API is another one now. If that is meant, record it: {command}"
    assert RECORDED.read_text(encoding="utf-8") == document_text(api_to_describe()), command


def test_the_command_prints_it_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["openapi"]) == 0
    assert json.loads(capsys.readouterr().out) == DOCUMENT
    assert list(tmp_path.iterdir()) == []


def test_it_is_served_and_read_again_only_when_it_changed(api: TestClient) -> None:
    answer = api.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json() == DOCUMENT
    again = api.get("/openapi.json", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_it_is_openapi_and_all_of_its_schemas_are_json_schema() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    jsonschema_rs.validator_for(OPENAPI_31).validate(DOCUMENT)
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_every_address_of_the_api_is_described(api: TestClient) -> None:
    app: Any = api.app
    routes = {(method, path) for method, path in routes_of(app.routes) if path.startswith(API_PREFIX)}
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == routes


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_described_completely(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["summary"]
    # The last paragraph says who may do it.
    assert len(operation["description"]) > 20
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert {"400", "429", "500", "503"} <= operation["responses"].keys()
    if operation["security"]:
        assert "401" in operation["responses"]
    if "requestBody" in operation:
        assert {"413", "415", "422"} <= operation["responses"].keys()
    for parameter in operation["parameters"]:
        assert parameter["description"]
        if parameter["in"] == "path":
            assert "404" in operation["responses"]
            is_valid(parameter["example"], parameter["schema"])
        if parameter["name"] == "If-Match":
            assert "412" in operation["responses"]
    for content in contents_of(operation):
        is_valid(content["example"], content["schema"])
    for status, answer in operation["responses"].items():
        headers = resolved(answer)["headers"]
        assert {"RateLimit", "RateLimit-Policy"} <= headers.keys()
        assert ("Retry-After" in headers) == (status in {"429", "503"})


def test_writes_need_a_token_and_readers_may_use_a_cookie() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            asked = [each for each in operation["security"] if "token" not in each]
            scope = scope_of(method.upper(), path.removeprefix(API_PREFIX))
            of_tokens = [{"token": [scope]}] if asked and scope else []
            assert [each for each in operation["security"] if "token" in each] == of_tokens
            assert not of_tokens or "403" in operation["responses"]
            if method == "get":
                assert asked in ([], [{"password": []}, {"session": []}], [{}, {"password": []}, {"session": []}])
            else:
                assert asked in ([], [{"password": []}])
    assert {} in OPERATIONS["list_free_times"]["security"]
    assert {} not in OPERATIONS["list_appointments"]["security"]
    assert OPERATIONS["sign_in_for_tokens"]["security"] == OPERATIONS["read_clinic"]["security"] == []


def test_every_schema_has_a_description_and_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema["description"], name
        assert f'"#/components/schemas/{name}"' in text, name


def test_a_taken_time_is_described_with_the_nearest_free_ones() -> None:
    clash = OPERATIONS["book_appointment"]["responses"]["409"]["content"]["application/problem+json"]["example"]
    assert clash["code"] == "slot_taken"
    assert clash["alternatives"]


@pytest.mark.parametrize("name", ["book_appointment", "replace_appointment", "change_appointment"])
def test_the_codes_of_all_rules_are_described(name: str) -> None:
    answers = OPERATIONS[name]["responses"]
    for rule in RULES:
        assert f"`{rule.code}`" in answers["409" if rule.clash else "422"]["description"]
    # The example has a body with the wrong shape, and is exactly what such a request is answered with.
    assert answers["422"]["content"]["application/problem+json"]["example"]["code"] == "invalid"


# ------------------------------------------------------------------------------------------- its pages


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_are_public_and_load_nothing_from_other_hosts(api: TestClient, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 200
    page = read(answer)
    for element in (*page.all("script"), *page.all("link")):
        address = element.get("src") or element["href"]
        assert address.startswith("/static/")
        assert api.get(address).status_code == 200
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]

"""The line that each request leaves in the log, and the id by which it is found again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest
from starlette.testclient import TestClient

from tests.cast import Cast, client_for, log_in
from webapp.core.logging import JsonFormatter, TextFormatter

REFERENCE = "K7QM-2F9X"


@pytest.fixture
def client(sqlite_cast: Cast) -> Iterator[TestClient]:
    """A request is logged in the same way on both databases."""
    with client_for(sqlite_cast.database) as client:
        yield client


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The lines of requests."""
    return [record for record in caplog.records if record.name == "webapp.requests"]


@pytest.mark.parametrize(
    ("method", "address", "line"),
    [
        ("GET", f"/appointments/{REFERENCE}?from=alice@docket.example", "GET /appointments/{reference} 404"),
        ("HEAD", "/doctors/bob?q=pregnant", "HEAD /doctors/{slug} 200"),
        ("GET", "/visit/very-secret-token", "GET /visit/{token} 404"),
        ("GET", "/alice-adams", "GET unknown 404"),
        ("DELETE", "/login", "DELETE unknown 403"),
        ("GET", "/static/css/tokens.css", "GET /static/{file} 200"),
        ("GET", "/api/v1/doctors/1", "GET /api/v1/doctors/{doctor_id} 200"),
    ],
)
def test_a_line_names_the_route_and_no_person(
    client: TestClient, caplog: pytest.LogCaptureFixture, method: str, address: str, line: str
) -> None:
    caplog.set_level(logging.INFO)
    log_in(client, "alice")
    caplog.clear()
    client.request(method, address, headers={"origin": "https://elsewhere.example"})
    (record,) = logged(caplog)
    assert record.getMessage().startswith(f"{line} in ")
    told = json.loads(JsonFormatter().format(record))
    assert f"{told['method']} {told['route']} {told['status']}" == line
    assert 0 < told["ms"] < 60_000
    assert set(told) == {"time", "level", "logger", "message", "method", "route", "status", "ms"}


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("5f3c9a1e-7b1d-4c3e-9d00-0123456789ab", True),
        ("0AF7651916CD43DD8448EB211C80319C", True),
        ("", False),
        ("alice-adams", False),
        ("abc", False),
        ("a" * 65, False),
        ("12345678\x85forged", False),
    ],
)
def test_an_id_is_taken_from_a_proxy_if_it_is_one(client: TestClient, given: str, taken: bool) -> None:
    answer = client.get("/login", headers={b"x-request-id": given.encode("latin-1")})
    assert (answer.headers["x-request-id"] == given) is taken
    assert len(answer.headers["x-request-id"]) >= 8


def test_every_line_that_a_request_writes_has_its_id(sqlite_cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    client = client_for(sqlite_cast.database)
    app = client.app

    def chatter() -> None:
        logging.getLogger("webapp.anything").info("said on the way")

    app.add_api_route("/chatter", chatter)  # type: ignore[attr-defined]
    number = client.get("/chatter").headers["x-request-id"]
    lines = capsys.readouterr().err.splitlines()
    ours = [line for line in lines if line.endswith(f" [{number}]")]
    assert ["said on the way" in line for line in ours] == [True, False], lines


def test_times_have_their_offset_from_utc() -> None:
    record = logging.LogRecord("webapp", logging.INFO, __file__, 1, "x", (), None)
    for formatter in (TextFormatter(), JsonFormatter()):
        told = datetime.fromisoformat(formatter.formatTime(record))
        assert told.tzinfo is not None
        assert abs(told.timestamp() - record.created) < 0.001

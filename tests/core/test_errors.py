"""Errors as pages and as fragments."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.testclient import TestClient

from tests.cast import Cast, client_for, log_in
from tests.reading import HTMX, read, read_fragment
from webapp.core.errors import words_for
from webapp.core.logging import JsonFormatter
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError, BadRequest, Conflict, Forbidden, Invalid, NotFound, TooManyAttempts, Unavailable


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Errors look the same with each kind of database."""
    return sqlite_url


@pytest.fixture
def failing(client: TestClient) -> TestClient:
    """A clinic with a page for every kind of error."""
    app: Any = client.app
    misfortunes: dict[str, Exception] = {
        "bad-request": BadRequest("It is garbled."),
        "forbidden": Forbidden("It is not for you."),
        "not-found": NotFound("It is not there."),
        "conflict": Conflict("It has changed."),
        "invalid": Invalid("It is not possible."),
        "too-many": TooManyAttempts("It is too much.", retry_after=42),
        "unavailable": Unavailable("It is busy."),
        "broken": RuntimeError("a secret of the house"),
        "pool": PoolTimeoutError(),
        "locked": OperationalError("SELECT 1", {}, Exception("database is locked")),
        "database": OperationalError("SELECT 1", {}, Exception("no such table: a secret of the house")),
    }

    def fail(name: str) -> None:
        raise misfortunes[name]

    app.add_api_route("/misfortune/{name}", fail)
    return client


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("bad-request", 400, "It is garbled."),
        ("forbidden", 403, "It is not for you."),
        ("not-found", 404, "It is not there."),
        ("conflict", 409, "It has changed."),
        ("invalid", 422, "It is not possible."),
        ("too-many", 429, "It is too much."),
        ("unavailable", 503, "It is busy."),
        ("broken", 500, "This is our fault, not yours."),
        ("pool", 503, "The booking system is very busy. Please try again in a moment."),
        ("locked", 503, "The booking system is very busy. Please try again in a moment."),
        ("database", 500, "This is our fault, not yours."),
    ],
)
def test_every_error_is_a_page_and_a_fragment_with_its_status(
    failing: TestClient, name: str, status: int, words: str
) -> None:
    whole = failing.get(f"/misfortune/{name}")
    assert whole.status_code == status
    page = read(whole)
    assert page.h1 == words_for(status)[0]
    assert words in page.text
    assert "a secret of the house" not in whole.text
    assert page.one("nav", id="menu")
    assert "/" in page.one("section", id="fragment").links
    part = failing.get(f"/misfortune/{name}", headers=HTMX)
    assert part.status_code == status
    fragment = read_fragment(part, "fragment")
    assert fragment.one("h2").text == words_for(status)[0]
    assert words in fragment.text
    assert fragment["role"] == "alert"


def test_throttled_and_busy_answers_say_how_long_to_wait(failing: TestClient) -> None:
    assert failing.get("/misfortune/too-many").headers["retry-after"] == "42"
    assert failing.get("/misfortune/unavailable").headers["retry-after"] == "2"


def test_an_unexpected_error_shows_the_id_of_its_request_which_is_in_the_log(
    failing: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    references = set()
    for headers in ({}, HTMX):
        answer = failing.get("/misfortune/broken", headers=headers)
        reference = read(answer).one("section", id="fragment").one("b").text
        assert answer.headers["x-request-id"] == reference
        references.add(reference)
    problem = failing.get("/api/v1/nowhere")
    assert "reference" not in problem.json(), "Only where the fault is ours."
    assert len(references) == 2
    assert len(lines_of(caplog, "webapp.core.security")) == 1, "Each cause is told once a minute."
    assert "/misfortune/broken" in caplog.text
    assert "a secret of the house" in caplog.text
    requests = [vars(record)["request"] for record in caplog.records if record.name == "webapp.requests"]
    assert [each.get("cause", "").partition(" ")[0] for each in requests] == ["RuntimeError", "RuntimeError", ""]


def lines_of(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    """What a logger said."""
    return [record.getMessage() for record in caplog.records if record.name == name]


def test_the_menu_of_an_error_page_knows_who_is_signed_in(client: TestClient) -> None:
    page = read(log_in(client, "alice").get("/nowhere"))
    assert "Alice Adams" in page.one("nav", id="menu").text


@pytest.mark.parametrize(
    ("who", "words", "href"),
    [("alice", "Find a time", "/"), ("bob", "My day", "/schedule"), ("carol", "Overview", "/admin")],
)
def test_an_error_leads_to_the_first_page_of_the_readers_role(
    client: TestClient, who: str, words: str, href: str
) -> None:
    shown = read(log_in(client, who).get("/nowhere")).one("section", id="fragment").one("a")
    assert (shown.text, shown["href"]) == (words, href)


def test_a_visitor_is_redirected_to_the_login_and_back(client: TestClient) -> None:
    answer = client.get("/appointments?show=past&page=2")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fappointments%3Fshow%3Dpast%26page%3D2"
    htmx = client.get("/appointments", headers=HTMX)
    assert (htmx.status_code, htmx.headers["hx-redirect"]) == (204, "/login?next=%2Fappointments")


def test_a_write_without_a_session_is_answered_with_a_login_link(client: TestClient) -> None:
    answer = client.post("/account", data={"name": "Mallory"})
    assert answer.status_code == 401
    page = read(answer)
    assert page.h1 == "Please sign in"
    assert page.one("section", id="fragment").links[0] == "/login?next=%2Fcontinue"
    assert "You’ve been signed out, so nothing has changed." in page.text


def test_the_login_link_leads_back_to_the_page_of_the_form(client: TestClient) -> None:
    own = str(client.base_url)
    for referer, login in (
        (
            f"{own}/appointments/K7QM-2F9X/reschedule?week=2026-W11",
            "%2Fappointments%2FK7QM-2F9X%2Freschedule%3Fweek%3D2026-W11",
        ),
        (f"{own}/account", "%2Faccount"),
        (f"{own}/login?next=/account", ""),
        (f"{own}//evil.example/", ""),
        ("https://evil.example/account", ""),
        ("/account", ""),
        ("http://[", ""),
        ("", ""),
    ):
        answer = client.post("/account", headers={"referer": referer})
        assert answer.status_code == 401
        links = read(answer).one("section", id="fragment").links
        assert links[0] == (f"/login?next={login}" if login else "/login"), referer


def test_a_method_that_is_not_known_is_a_page_too(client: TestClient) -> None:
    answer = client.get("/logout")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert read(answer).h1 == "This page can’t be opened"


def test_without_a_database_there_is_still_an_error_page(tmp_path: Any) -> None:
    # The path of the database is a folder.
    (tmp_path / "docket.db").mkdir()
    database = wired_database(f"sqlite:///{tmp_path}/docket.db")
    with client_for(database) as client:
        for path in ("/", "/doctors/bob", "/login"):
            answer = client.get(path)
            assert answer.status_code in {500, 503}, path
            assert read(answer).one("nav", id="menu")
        assert client.get("/nowhere").status_code == 404
        health = client.get("/health")
        assert (health.status_code, health.json()) == (503, {"status": "unhealthy", "database": "unreachable"})
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200


def test_an_unmigrated_database_is_alive_and_not_ready(tmp_path: Any) -> None:
    with client_for(wired_database(f"sqlite:///{tmp_path}/empty.db")) as client:
        assert client.get("/health").status_code == 200
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"], ready.json()["schema"]) == (503, "unready", "outdated")
        assert client.get("/").status_code == 500


def test_a_healthy_application_says_so(cast: Cast, client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "healthy", "database": "connected"}
    assert client.get("/health/ready").json() == {
        "status": "ready",
        "database": "connected",
        "schema": "current",
        "guard": "in place",
    }


def test_errors_are_named_as_facts_with_a_status_and_a_code() -> None:
    kinds = list(AppError.__subclasses__())
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        assert 400 <= kind.status < 600
        assert kind.code != AppError.code


def test_a_line_of_the_machine_log_is_one_object() -> None:
    record = logging.LogRecord("docket", logging.ERROR, __file__, 1, "It %s\nagain", ("broke",), None)
    entry = json.loads(JsonFormatter().format(record))
    assert (entry["level"], entry["logger"], entry["message"]) == ("ERROR", "docket", "It broke\nagain")
    record.exc_info = (RuntimeError, RuntimeError("why\nindeed"), None)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "RuntimeError: why" in json.loads(line)["exception"]

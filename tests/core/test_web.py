"""Pages, fragments, redirects, flashes and addresses."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, client_for, log_in
from tests.reading import HTMX, read
from webapp.core.pagination import paginate
from webapp.core.security import is_clean_text
from webapp.core.templates import asset, template_environment
from webapp.core.urls import with_query
from webapp.core.web import local_path


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """These tests do not depend on the kind of database."""
    return sqlite_url


def test_a_local_path_stays_and_everything_else_is_the_default() -> None:
    for address in ("/", "/book?doctor=bob&starts_at=2026-03-03T09:00:00Z", "/a//b", "/?next=//evil.example", "/a:b"):
        assert local_path(address) == address
    for address in ("", "a", "//a", "/\\a", "http://a", "///a", "/\ta", "http://["):
        assert local_path(address, default="/home") == "/home"


@given(st.text())
def test_no_text_leads_to_another_host(address: str) -> None:
    path = local_path(address)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert "\\" not in path
    assert not any(ord(letter) < 32 for letter in path)


@given(st.binary())
def test_the_check_for_clean_text_accepts_any_bytes(encoded: bytes) -> None:
    clean = is_clean_text(encoded)
    assert not (clean and b"%00" in encoded)


def test_empty_values_are_left_out_of_an_address() -> None:
    assert with_query("/a", b=None, c="", d=0, e="x y&") == "/a?d=0&e=x+y%26"
    assert with_query("/a", b=None) == "/a"


def test_the_pages_of_a_list_know_their_neighbours() -> None:
    assert paginate("/a", 1, 0, 10) == (1, 1, None, None)
    assert paginate("/a", 1, 10, 10) == (1, 1, None, None)
    assert paginate("/a", 1, 11, 10) == (1, 2, None, "/a?page=2")
    assert paginate("/a", 2, 21, 10, show="past") == (2, 3, "/a?show=past", "/a?show=past&page=3")
    assert paginate("/a", 3, 21, 10) == (3, 3, "/a?page=2", None)


def test_templates_are_escaped_and_undefined_variables_are_errors() -> None:
    environment = template_environment()
    assert environment.from_string("{{ name }}").render(name="<b>") == "&lt;b&gt;"
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ missing }}").render()
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{% if missing %}{% endif %}").render()


def test_the_address_of_a_static_file_changes_with_its_content() -> None:
    assert asset("css/base.css").startswith("/static/css/base.css?v=")
    assert asset("css/base.css") != asset("css/tokens.css").replace("tokens", "base")


def test_only_a_files_own_version_is_kept_for_long(client: TestClient) -> None:
    own = asset("css/base.css")
    assert "immutable" in client.get(own).headers["cache-control"]
    for other in ("/static/css/base.css", "/static/css/base.css?v=", "/static/css/base.css?v=1", f"{own}&x=1"):
        assert client.get(other).headers["cache-control"] == "no-cache"


def test_every_header_shows_the_name_of_the_clinic_to_all_screens(client: TestClient) -> None:
    for name, path in (("", "/"), ("alice", "/account"), ("carol", "/admin")):
        brand = read((log_in(client, name) if name else client).get(path)).one("a", class_="brand")
        shown = brand.one("span", class_="clinic")
        assert (shown.text, shown.get("class")) == ("Harbour Lane Clinic", "clinic")


# ------------------------------------------------------------------------------------------------ flashes


def test_a_message_is_shown_on_the_next_page_once(client: TestClient) -> None:
    log_in(client, "alice")
    client.post("/account", data={"name": "Alice Adams"})
    # A fragment in between does not consume it.
    assert "Your details are saved." not in client.get("/doctors", headers=HTMX).text
    assert "Your details are saved." in read(client.get("/account")).one("div", role="status").text
    assert "Your details are saved." not in client.get("/account").text


def test_a_message_that_we_did_not_sign_is_not_shown(client: TestClient) -> None:
    for forged in ("x", "WyJvayIsICJoaSJd.aaaa.bbbb", "é".encode().decode("latin-1")):
        answer = client.get("/login", headers={b"cookie": f"docket_flash={forged}".encode()})
        assert answer.status_code == 200
        assert not read(answer).all("div", role="status")


def test_a_page_with_a_message_is_not_cached(client: TestClient) -> None:
    """A page with a message must not answer later requests from the browser's cache."""
    log_in(client, "alice")
    client.post("/logout")
    first = client.get("/")
    assert "You are signed out." in first.text
    again = client.get("/", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 200
    assert "You are signed out." not in again.text


# ------------------------------------------------------------------------------------------------- pages


def test_every_page_has_one_heading_a_title_a_language_and_a_way_to_skip(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    paths = ["/", "/doctors", "/doctors/bob", "/login", "/register", "/nowhere"]
    private = ["/account", "/appointments", f"/appointments/{reference}", f"/appointments/{reference}/cancellation"]
    answers = [client.get(path) for path in paths]
    log_in(client, "alice")
    answers += [client.get(path) for path in private]
    titles = set()
    for answer in answers:
        page = read(answer)
        assert page.h1
        assert page.one("html")["lang"] == "en"
        assert page.one(
            "title",
        ).text.endswith("· Harbour Lane Clinic")
        titles.add(page.one("title").text)
        assert page.one("a", class_="skip")["href"] == f"#{page.one('main')['id']}"
        ids = [element["id"] for element in page.all() if element.get("id")]
        assert len(ids) == len(set(ids))
        for label in page.all("label"):
            if label.get("for"):
                assert label["for"] in ids
        for element in page.all():
            for described in (element.get("aria-describedby") or "").split():
                assert described in ids
            labelled = element.get("aria-labelledby")
            assert labelled is None or labelled in ids
    # The first page and the list of doctors are the same page.
    assert len(titles) == len(answers) - 1


ADMINS_PLACES = [
    "/admin",
    "/board",
    "/desk/booking",
    *(f"/admin/{part}" for part in ("appointments", "patients", "messages", "reports", "doctors", "visit-types")),
    *(f"/admin/{part}" for part in ("clinic", "closures", "users", "audit")),
]
DESKS_PLACES = ["/board", "/desk/booking", "/admin/appointments", "/admin/patients", "/admin/messages"]


def test_the_menu_marks_the_current_page_and_fits_the_role(cast: Cast) -> None:
    for name, places in (
        ("alice", ["/", "/appointments", "/account"]),
        ("bob", ["/schedule", "/desk/booking", "/schedule/hours", "/schedule/time-off", "/doctors", "/account"]),
        ("fiona", [*DESKS_PLACES, "/doctors", "/account"]),
        ("carol", [*ADMINS_PLACES, "/doctors", "/account"]),
    ):
        with client_for(cast.database, now=NOW) as client:
            log_in(client, name)
            for path in ("/account", "/account/factor/new"):
                menu = read(client.get(path)).one("nav", id="menu")
                assert menu.links == places
                assert menu.one("a", aria_current="page")["href"] == "/account"
            assert menu.one("form")["action"] == "/logout"


def test_every_form_has_a_method_and_an_address(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    log_in(client, "alice")
    for path in ("/", "/doctors/bob", "/account", f"/appointments/{reference}/cancellation"):
        for form in read(client.get(path)).all("form"):
            assert form["method"] in {"get", "post"}
            assert form["action"].startswith("/")
            assert form.all("button", type="submit")


def test_the_connection_of_a_page_that_fails_is_free_again(client: TestClient, cast: Cast) -> None:
    for path in ("/doctors/nobody", "/schedule", "/api/v1/doctors/99"):
        assert client.get(path).status_code in {303, 404}
        pool: Any = cast.database.engine.pool
        assert pool.checkedout() == 0

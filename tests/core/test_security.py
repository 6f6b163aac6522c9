"""Rules for every request and response: origin, headers, limits, clean text, and a log without secrets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import PASSWORD, Cast, assemble, client_for, local, log_in
from tests.reading import HTMX, read
from webapp import models
from webapp.core.formats import iso
from webapp.core.logging import JsonFormatter, TextFormatter
from webapp.core.security import CONTENT_SECURITY_POLICY, HEADERS, MAX_BODY_BYTES
from webapp.core.web import MAX_FIELDS
from webapp.database import Database

ALICE = {"email": "alice@docket.example", "password": PASSWORD}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Most of this does not depend on the kind of database; tests that do say so."""
    return sqlite_url


@pytest.fixture
def bare(client: TestClient) -> TestClient:
    """A client that sends no origin with its requests."""
    del client.headers["origin"]
    return client


# ---------------------------------------------------------------------------------------------- origin


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://docket.test.evil.example"}, 403),
        ({"origin": "http://evil.example/docket.test"}, 403),
        ({"origin": "http://docket.test@evil.example"}, 403),
        ({"origin": "http://docket.test:81"}, 403),
        ({"origin": "docket.test"}, 403),
        ({"origin": "http://["}, 403),
        ({"referer": "http://docket.test/login"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"origin": "http://docket.test"}, 303),
        ({"origin": "https://docket.test"}, 303),
        ({"origin": "HTTP://Docket.TEST"}, 303),
    ],
)
def test_a_form_is_accepted_only_from_our_own_pages(bare: TestClient, headers: dict[str, str], status: int) -> None:
    answer = bare.post("/login", data=ALICE, headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert "This form wasn’t sent from our own pages." in read(answer).text
        assert "set-cookie" not in answer.headers


def test_every_write_asks_where_it_comes_from(client: TestClient) -> None:
    log_in(client, "alice")
    del client.headers["origin"]
    for path in (
        "/login",
        "/logout",
        "/register",
        "/account",
        "/account/password",
        "/account/sessions/1/end",
        "/appointments",
        "/appointments/K7QM-2F9X/cancellation",
        "/appointments/K7QM-2F9X/reschedule",
        "/nowhere",
    ):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert client.request(method, path).status_code == 403, (method, path)
    assert client.get("/account").status_code == 200


def test_the_address_in_the_settings_is_our_own_behind_a_proxy(cast: Cast) -> None:
    with client_for(cast.database, base_url="https://booking.example") as client:
        for origin, status in (
            ("https://booking.example", 303),
            ("https://docket.test", 303),
            ("http://booking.example", 403),
            ("http://docket.test", 403),
            ("https://evil.example", 403),
        ):
            assert client.post("/login", data=ALICE, headers={"origin": origin}).status_code == status


def test_two_origins_are_none(bare: TestClient) -> None:
    twice = [(b"origin", b"http://docket.test"), (b"origin", b"http://docket.test")]
    for more in ([], [(b"sec-fetch-site", b"same-origin")]):
        assert bare.post("/login", data=ALICE, headers=[*twice, *more]).status_code == 403


# ------------------------------------------------------------------------------------ headers, everywhere


class Boom(Exception):
    """An unexpected error."""


@pytest.fixture
def answers(client: TestClient) -> dict[str, httpx2.Response]:
    """One answer of every kind."""
    app: Any = client.app

    def boom() -> None:
        raise Boom

    app.add_api_route("/boom", boom)
    return {
        "page": client.get("/"),
        "fragment": client.get("/doctors", headers=HTMX),
        "unchanged": client.get("/", headers={"if-none-match": client.get("/").headers["etag"]}),
        "json": client.get("/health"),
        "static": client.get("/static/css/base.css"),
        "static missing": client.get("/static/nothing.css"),
        "trailing slash": client.get("/doctors/"),
        "led to the sign-in": client.get("/account"),
        "signed out": client.post("/logout"),
        "bad request": client.get("/?q=%00"),
        "not signed in": client.post("/account"),
        "forbidden": client.post("/login", headers={"origin": "null"}),
        "not found": client.get("/nowhere"),
        "method not allowed": client.delete("/doctors"),
        "too large": client.post("/login", content=b"a" * (MAX_BODY_BYTES + 1), headers=FORM),
        "invalid": client.post("/login", data={}),
        "broken": client.get("/boom"),
        "broken fragment": client.get("/boom", headers=HTMX),
        "head": client.head("/doctors"),
        "options": client.options("/doctors"),
    }


def test_every_answer_carries_every_header(answers: dict[str, httpx2.Response]) -> None:
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "page": 200,
        "fragment": 200,
        "unchanged": 304,
        "json": 200,
        "static": 200,
        "static missing": 404,
        "trailing slash": 404,
        "led to the sign-in": 303,
        "signed out": 303,
        "bad request": 400,
        "not signed in": 401,
        "forbidden": 403,
        "not found": 404,
        "method not allowed": 405,
        "too large": 413,
        "invalid": 422,
        "broken": 500,
        "broken fragment": 500,
        "head": 200,
        "options": 405,
    }
    for name, answer in answers.items():
        for header, value in HEADERS.items():
            assert answer.headers.get(header) == value, (name, header)
        assert "cache-control" in answer.headers, name
        assert "strict-transport-security" not in answer.headers, name
        assert "server" not in answer.headers, name


def test_every_error_is_a_page_of_ours_and_is_not_kept(answers: dict[str, httpx2.Response]) -> None:
    for name, answer in answers.items():
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "text/html; charset=utf-8", name
            assert answer.headers["cache-control"] == "no-store", name
        if answer.status_code >= 400 and name not in {"broken fragment", "options"}:
            assert read(answer).one("h1"), name


def test_the_policy_allows_nothing_inline_and_nothing_foreign() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
    assert "*" not in CONTENT_SECURITY_POLICY
    parts = CONTENT_SECURITY_POLICY.split("; ")
    none = {"default-src 'none'", "object-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"}
    assert {*none, "form-action 'self'", "script-src 'self'"} <= set(parts)


def test_over_https_hsts_is_sent(cast: Cast) -> None:
    with client_for(cast.database, base_url="https://docket.test") as client:
        for path in ("/", "/nowhere", "/static/css/base.css"):
            assert client.get(path).headers["strict-transport-security"].startswith("max-age=31536000")


def test_signing_out_empties_the_browsers_cache(cast: Cast) -> None:
    with client_for(cast.database, base_url="https://docket.test") as client:
        answer = log_in(client, "alice").post("/logout", headers={"origin": "https://docket.test"})
        assert answer.headers["clear-site-data"] == '"cache", "storage"'
        assert "clear-site-data" not in client.get("/login").headers


def test_the_method_trace_is_not_known(client: TestClient) -> None:
    for path in ("/", "/login", "/static/css/base.css", "/api/v1/doctors", "/health"):
        answer = client.request("TRACE", path, headers={"x-secret": "abc"})
        assert answer.status_code in {403, 405}, path
        assert "abc" not in answer.text, path


def test_folders_list_nothing_and_no_file_outside_is_read(client: TestClient) -> None:
    for path in ("/static", "/static/", "/static/css/", "/static/../pyproject.toml", "/static/%2e%2e/pyproject.toml"):
        answer = client.get(path)
        assert answer.status_code in {404, 405}, path
    for path in ("/.git/config", "/.env", "/var/docket.db", "/pyproject.toml"):
        assert client.get(path).status_code == 404, path


def test_every_text_names_its_charset(client: TestClient) -> None:
    kinds = {
        "/": "text/html; charset=utf-8",
        "/static/css/base.css": "text/css; charset=utf-8",
        "/static/js/copy.js": "text/javascript; charset=utf-8",
        "/api/v1/doctors": "application/json",
        "/nothing": "text/html; charset=utf-8",
    }
    assert {path: client.get(path).headers["content-type"] for path in kinds} == kinds


def test_no_page_holds_inline_styles_scripts_or_anything_foreign(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    cast.book(cast.dave, "2026-03-11 09:30")
    taken = f"doctor=bob&visit_type={cast.short}&starts_at={iso(local('2026-03-11 09:30'))}"
    public = ["/", "/doctors", "/doctors/bob", "/login", "/register", "/nowhere", "/logout"]
    private = [
        f"/book?doctor=bob&visit_type={cast.long}&starts_at=2026-03-05T09:00:00Z",
        f"/book?{taken}",
        "/book?doctor=bob&starts_at=2026-03-07T09:00:00Z",
        "/appointments",
        "/appointments?show=past",
        f"/appointments/{reference}?booked=1",
        f"/appointments/{reference}/cancellation",
        f"/appointments/{reference}/reschedule",
        f"/appointments/{reference}/reschedule?starts_at=2026-03-05T09:00:00Z",
        "/account",
    ]
    pages = {path: client.get(path) for path in public}
    log_in(client, "alice")
    pages |= {path: client.get(path) for path in private}
    pages["registered badly"] = client.post("/register", data={})
    with client_for(cast.database) as doctor:
        pages["/schedule"] = log_in(doctor, "bob").get("/schedule/2026-03-10")
    for path, answer in pages.items():
        page = read(answer)
        assert not page.all("style"), path
        for script in page.all("script"):
            assert script["src"].startswith("/static/"), path
            assert script.raw == "", path
        for element in page.all():
            assert not [name for name in element.attributes if name == "style" or name.startswith("on")], path
            for attribute in ("href", "src", "action"):
                value = element.get(attribute) or "/"
                assert value.startswith(("/", "#", "tel:")), (path, value)
                assert not value.startswith("//"), (path, value)


# ------------------------------------------------------------------------------------------- redirects


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        " //evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "evil.example",
        "@evil.example",
        "/\r\nLocation: https://evil.example",
        "/\u2028x\r",
        "http://[",
        "//[",
        "/@evil.example\\",
        "",
    ],
)
def test_signing_in_never_redirects_to_another_site(client: TestClient, address: str) -> None:
    answer = client.post("/login", data={**ALICE, "next": address})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    # The same holds for users who are already signed in.
    assert client.get("/login", params={"next": address}).headers["location"] == "/"


@pytest.mark.parametrize("path", ["/doctors/", "/doctors/bob/", "/static", "/health/", "/appointments/"])
def test_no_redirect_names_the_host_that_a_request_names(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"host": "evil.example"})
    assert answer.status_code == 404
    assert "evil.example" not in answer.text + str(answer.headers)


def test_an_address_of_ours_may_hold_any_letter(client: TestClient) -> None:
    answer = client.post("/login", data={**ALICE, "next": "/doctors?q=Ω é %C3%A9#ß"})
    assert answer.headers["location"] == "/doctors?q=%CE%A9%20%C3%A9%20%C3%A9#%C3%9F"


# ----------------------------------------------------------------------------------- clean text and limits


@pytest.mark.parametrize("dirt", ["%00", "%ff", "%c3", "%ed%a0%80", "%f8%88%80%80%80", "a%00b"])
def test_addresses_that_are_not_clean_text_are_refused(client: TestClient, dirt: str) -> None:
    log_in(client, "alice")
    for path in (
        f"/{dirt}",
        f"/doctors/{dirt}",
        f"/?q={dirt}",
        f"/?{dirt}=1",
        f"/doctors/bob?week={dirt}",
        f"/appointments/{dirt}",
        f"/book?doctor={dirt}",
        f"/login?next={dirt}",
        f"/static/{dirt}",
    ):
        assert client.get(path).status_code in {400, 404}, path
        assert client.get(path, headers=HTMX).status_code in {400, 404}, path


@pytest.mark.parametrize("path", ["/login", "/register", "/account", "/account/password", "/appointments"])
def test_forms_that_are_not_clean_text_are_refused(client: TestClient, path: str) -> None:
    log_in(client, "alice")
    for body in (b"name=%00", b"name=a%00b", b"name=%ff", b"%00=1", b"name=\x00", b"name=\xff", b"name=%ed%a0%80"):
        answer = client.post(path, content=body, headers=FORM)
        assert answer.status_code == 400, body
        assert read(answer).one("h1")


def test_letters_of_every_script_are_accepted(database_cast: Cast) -> None:
    name = "Ωмега 王 🦷 שלום ẞ"
    with client_for(database_cast.database) as client:
        log_in(client, "alice")
        assert client.post("/account", data={"name": name}).status_code == 303
        assert read(client.get("/account")).form("/account")["name"] == name


@pytest.fixture(params=["sqlite_url", "postgresql_url"])
def database_cast(request: pytest.FixtureRequest, open_database: Callable[[str], Database]) -> Iterator[Cast]:
    """The cast, on each kind of database."""
    database = open_database(request.getfixturevalue(request.param))
    yield assemble(database)
    database.dispose()


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(client: TestClient) -> None:
    def drip() -> Iterator[bytes]:
        yield b"reason="
        for _ in range(200):
            yield b"a" * 50_000

    for content in (b"reason=" + b"a" * 10_000_000, drip()):
        answer = client.post("/appointments", content=content, headers=FORM)
        assert answer.status_code == 413
        page = read(answer)
        assert page.h1 == "That’s too much text"
    fragment = client.post("/appointments", content=b"a" * (MAX_BODY_BYTES + 1), headers={**FORM, **HTMX})
    assert fragment.status_code == 413
    assert read(fragment).one("section", id="fragment")


def test_a_length_that_is_no_number_breaks_nothing(client: TestClient) -> None:
    for length in ("x", "-1", "١٢", "9" * 5000):
        answer = client.post(
            "/login",
            content=b"a=b",
            headers=[(b"content-type", FORM["content-type"].encode()), (b"content-length", length.encode())],
        )
        assert 400 <= answer.status_code < 500, length[:9]


@pytest.mark.parametrize("length", [501, 5_000, 100_000])
def test_a_long_reason_comes_back_to_be_shortened(client: TestClient, cast: Cast, length: int) -> None:
    log_in(client, "alice")
    form = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": iso(local("2026-03-05 10:00"))}
    typed = {"reason": "é" + "a" * (length - 1), "notes": "Wheelchair"}
    answer = client.post("/appointments", data={**form, **typed})
    assert answer.status_code == 422
    page = read(answer)
    assert "This is too long. Use up to 500 characters." in page.one(id="reason-error").text
    kept = page.form("/appointments")
    assert kept["reason"] == typed["reason"]
    assert kept["notes"] == "Wheelchair"


def test_line_breaks_count_once_as_they_do_in_the_browser(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    form = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": iso(local("2026-03-05 10:00"))}
    typed = {"reason": "a\r\n" * 250, "notes": "b\r\n" * 500}
    assert client.post("/appointments", data={**form, **typed}).status_code == 303


def test_more_fields_than_any_form_has_are_refused(client: TestClient) -> None:
    for data in (
        {f"field{number}": "" for number in range(MAX_FIELDS + 1)},
        {"email": ["alice@docket.example"] * 1000},
    ):
        answer = client.post("/login", data=data)
        assert answer.status_code in {400, 413}
        assert read(answer).one("h1")


@pytest.mark.parametrize("path", ["/login", "/register", "/appointments", "/account"])
def test_a_form_is_sent_as_our_pages_send_forms(client: TestClient, path: str) -> None:
    log_in(client, "alice")
    for sent in (
        {"files": {"email": b"alice@docket.example"}},
        {"json": ALICE},
        {"content": b"email=a", "headers": {"content-type": "text/plain"}},
        {"content": b"email=a"},
        {"content": b"--x\r\n\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}},
    ):
        answer = client.post(path, **sent)
        assert answer.status_code == 400, sent
        assert read(answer).one("h1")


def test_no_form_at_all_is_an_empty_form(client: TestClient) -> None:
    assert client.post("/login").status_code == 422


def test_fields_sent_twice_break_nothing(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    body = f"doctor=bob&doctor=erin&visit_type={cast.short}&visit_type=x&starts_at=2026-03-05T09:00:00Z&starts_at="
    assert client.post("/appointments", content=body.encode(), headers=FORM).status_code < 500


# ------------------------------------------------------------------------------------------------ methods


def test_head_is_get_without_the_body(client: TestClient) -> None:
    for path in ("/", "/doctors/bob", "/login", "/health", "/static/css/base.css", "/nowhere", "/account"):
        looked, got = client.head(path), client.get(path)
        assert looked.status_code == got.status_code, path
        assert looked.content == b"", path
        for header in ("content-type", "cache-control", "etag", "location", "content-length"):
            assert looked.headers.get(header) == got.headers.get(header), (path, header)


def test_a_method_that_a_page_does_not_know_says_which_it_knows(client: TestClient) -> None:
    for method in ("OPTIONS", "DELETE", "PUT", "PATCH", "POST", "TRACE", "BREW"):
        answer = client.request(method, "/doctors")
        assert answer.status_code == 405, method
        assert "GET" in answer.headers["allow"]
    assert client.get("/logout").status_code == 405


# ------------------------------------------------------------------------------------- escaping and the log


def test_user_input_is_text_and_never_markup(client: TestClient, cast: Cast) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=y>"
    cast.change(sa.update(models.Patient).values(name=evil))
    cast.change(sa.update(models.User).where(models.User.id == cast.alice.user_id).values(name=evil))
    cast.change(sa.update(models.Doctor).values(name=evil, bio=evil, room=evil, specialty=evil, languages=[evil]))
    cast.change(sa.update(models.VisitType).where(models.VisitType.id == cast.short).values(name=evil))
    cast.change(sa.update(models.VisitType).values(preparation=evil))
    cast.change(sa.update(models.ClinicSettings).values(name=evil, address=evil, phone=evil))
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    cast.change(sa.update(models.Appointment).values(reason=evil, notes=evil, cancellation_reason=evil))
    log_in(client, "alice")
    pages = [
        client.get(path)
        for path in (
            "/",
            f"/doctors?q={evil}",
            "/doctors/bob",
            "/doctors/bob?week=<script>alert(1)</script>",
            f"/book?doctor=bob&visit_type={cast.short}&starts_at=2026-03-05T09:00:00Z",
            "/appointments",
            f"/appointments/{reference}",
            f"/appointments/{reference}/reschedule",
            f"/appointments/{reference}/cancellation",
            "/account",
            "/<script>alert(1)</script>",
        )
    ]
    slot = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": "2026-03-05T09:01:00Z"}
    pages.append(client.post("/appointments", data={**slot, "reason": evil, "notes": evil}))
    with client_for(cast.database) as doctor:
        pages.append(log_in(doctor, "bob").get("/schedule/2026-03-10"))
        pages.append(doctor.get(f"/appointments/{reference}"))
    with client_for(cast.database) as anonymous:
        pages.append(anonymous.post("/login", data={"email": evil, "password": "x", "next": evil}))
        pages.append(anonymous.post("/register", data={"name": evil, "email": evil, "phone": evil, "next": evil}))
    for answer in pages:
        page = read(answer)
        assert "<script>alert" not in answer.text, answer.url
        assert not page.all("img"), answer.url
        assert all(script["src"].startswith("/static/") for script in page.all("script"))
    assert [each.raw for each in read(pages[6]).all("dd", class_="preserve")] == [evil, evil]


def test_postgresqls_details_of_a_row_are_not_logged() -> None:
    row = "Failing row contains (1, a private\nillness, x)."
    error = RuntimeError(f"value too long\nDETAIL:  {row}\nHINT:  Shorten it.\n[SQL: INSERT]")
    record = logging.LogRecord("docket", logging.ERROR, __file__, 1, "It broke", (), (RuntimeError, error, None))
    # Another handler formatted the record first and stored the text.
    logging.Formatter().format(record)
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record)
        assert "private" not in line
        assert "illness" not in line
        for kept in ("RuntimeError: value too long", "HINT:  Shorten it.", "[SQL: INSERT]"):
            assert kept in line


def test_an_address_is_one_line_in_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    app: Any = client.app

    def boom() -> None:
        raise Boom

    app.add_api_route("/boom/{rest:path}", boom)
    logging.getLogger().addHandler(caplog.handler)
    assert client.get("/boom/%1b%20forged").status_code == 500
    logging.getLogger().removeHandler(caplog.handler)
    assert r"GET '/boom/\x1b forged'" in caplog.text


SECRETS = ("walrus teapot orbit", "a very private illness", "an interpreter for Klingon")


def test_the_log_holds_no_password_no_reason_and_no_cookie(
    database_cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    reference = database_cast.book(database_cast.alice, "2026-03-10 09:30")
    with client_for(database_cast.database) as client:
        # By now Docket has set up its own logging.
        logging.getLogger().addHandler(caplog.handler)
        caplog.set_level(logging.DEBUG)
        app: Any = client.app

        def fail() -> None:
            # A failing statement with personal text among its values.
            database_cast.database.write(
                lambda session: session.execute(
                    sa.text("INSERT INTO nothing (reason, password) VALUES (:reason, :password)"),
                    {"reason": SECRETS[1], "password": SECRETS[0]},
                )
            )

        app.add_api_route("/fail", fail, methods=["POST"])
        log_in(client, "alice")
        cookie = client.cookies["docket_session"]
        client.post("/login", data={"email": "alice@docket.example", "password": SECRETS[0]})
        client.post("/account/password", data={"current": SECRETS[0], "new": SECRETS[0]})
        slot = {"doctor": "bob", "visit_type": "999", "starts_at": iso(local("2026-03-05 10:00"))}
        client.post("/appointments", data={**slot, "reason": SECRETS[1], "notes": SECRETS[2]})
        slot["visit_type"] = str(database_cast.short)
        assert client.post("/appointments", data={**slot, "reason": SECRETS[1], "notes": SECRETS[2]}).status_code == 303
        client.post(f"/appointments/{reference}/cancellation", data={"reason": SECRETS[1]})
        client.cookies.delete("docket_flash")
        broken = client.post("/fail")
        assert broken.status_code == 500
    log = caplog.text
    assert "Unexpected error at POST" in log
    for secret in (*SECRETS, PASSWORD, cookie, cookie.rsplit(".", 1)[0]):
        assert secret not in log
    assert SECRETS[1] not in broken.text


@pytest.mark.parametrize("path", ["/api/v1/auth/token", "/api/v1/auth/refresh", "/api/v1/auth/register"])
@pytest.mark.parametrize("headers", [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site"},
])  # fmt: skip
def test_pages_of_other_sites_cannot_try_passwords_through_the_api(
    sqlite_cast: Cast, path: str, headers: dict[str, str]
) -> None:
    with client_for(sqlite_cast.database, cors_origins="https://app.example") as client:
        del client.headers["origin"]
        answer = client.post(path, json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
        for allowed in ({}, {"origin": "https://app.example"}, {"sec-fetch-site": "none"}):
            assert client.post(path, json={}, headers=allowed).status_code in {415, 422}, allowed
    with sqlite_cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(models.FailedLogin)) == 0

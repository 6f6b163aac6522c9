"""Signing in and out, and what ends a session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, Cast, client_for, log_in, log_in_by_form
from tests.password_checks import noted_verifications
from tests.reading import HTMX, read
from tests.registering import register
from webapp import models
from webapp.auth import sessions
from webapp.auth.passwords import service as passwords
from webapp.exceptions import NotFound, Unavailable

ALICE = {"email": "alice@docket.example", "password": PASSWORD}


def is_signed_in(client: TestClient) -> bool:
    return client.get("/account").status_code == 200


def cookie_header(client: TestClient, answer_headers: list[str], name: str) -> list[str]:
    """The parts of the Set-Cookie header for `name`, in lower case."""
    (header,) = [each for each in answer_headers if each.startswith(f"{name}=")]
    return [part.strip().lower() for part in header.split(";")]


# ------------------------------------------------------------------------------------------- signing in


def test_signing_in_leads_to_the_start_page_of_the_role(cast: Cast) -> None:
    for name, home in (("alice", "/"), ("bob", "/schedule"), ("carol", "/admin")):
        with client_for(cast.database) as client:
            answer = client.post("/login", data={"email": f"{name}@docket.example", "password": PASSWORD})
            assert answer.status_code == 303
            assert answer.headers["location"] == home
            assert answer.headers["cache-control"] == "no-store"
            assert client.get(home).status_code == 200
            # A signed-in user does not sign in again.
            for page in ("/login", "/register"):
                assert client.get(page).headers["location"] == home


def test_a_password_has_no_date(cast: Cast) -> None:
    with client_for(cast.database, now=NOW + timedelta(days=3650)) as client:
        log_in_by_form(client, "alice")
        assert client.get("/account").status_code == 200


def test_signing_in_by_htmx_redirects(client: TestClient) -> None:
    answer = client.post("/login", data={**ALICE, "next": "/appointments"}, headers=HTMX)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/appointments")


def test_an_email_address_is_known_in_any_case_and_with_spaces(client: TestClient) -> None:
    answer = client.post("/login", data={**ALICE, "email": "  Alice@DOCKET.example "})
    assert answer.status_code == 303


def test_an_empty_form_names_the_missing_fields(client: TestClient) -> None:
    answer = client.post("/login", data={"email": "", "password": ""})
    assert answer.status_code == 422
    summary = read(answer).one("div", role="alert")
    assert summary.links == ["#email", "#password"]
    assert "Enter your email address." in summary.text


def test_known_and_unknown_addresses_get_the_same_answer(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.User).where(models.User.email == "dave@docket.example").values(active=False))
    pages = []
    for email, password in (
        ("alice@docket.example", "wrong"),
        ("nobody@docket.example", "wrong"),
        ("dave@docket.example", PASSWORD),
        ("not an address", "wrong"),
    ):
        answer = client.post("/login", data={"email": email, "password": password})
        assert answer.status_code == 401, email
        assert "set-cookie" not in answer.headers
        pages.append(answer.text.replace(email, "EMAIL"))
    assert len(set(pages)) == 1
    assert "The email address or password is wrong." in pages[0]


def test_an_unknown_address_costs_a_verification_like_a_known_one(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = noted_verifications(monkeypatch)
    client.post("/login", data={"email": "nobody@docket.example", "password": "wrong"})
    client.post("/login", data={"email": "alice@docket.example", "password": "wrong"})
    unknown, known = verified
    assert unknown.stored.split("$")[:4] == known.stored.split("$")[:4]


def test_a_password_that_is_too_long_is_wrong_for_every_account(client: TestClient) -> None:
    pages = []
    for email in ("alice@docket.example", "nobody@docket.example"):
        answer = client.post("/login", data={"email": email, "password": "x" * 5000})
        assert answer.status_code == 401, email
        pages.append(answer.text.replace(email, "EMAIL"))
    assert pages[0] == pages[1]


def test_a_busy_database_is_reported_in_the_form_and_to_api_clients(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_args: object, **_more: object) -> None:
        raise Unavailable("Docket is very busy right now.")

    monkeypatch.setattr(cast.database, "write", busy)
    for address, sent in (("/login", ALICE), ("/register", {**ALICE, "name": "Nina New"})):
        answer = client.post(address, data=sent)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert read(answer).form(address)["email"] == ALICE["email"]


def test_no_connection_is_held_during_a_write_or_a_slow_hash(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def watched(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **more: Any) -> Any:
            held.append((getattr(args[0], "__name__", work.__name__), cast.database.engine.pool.checkedout()))  # type: ignore[attr-defined]
            return work(*args, **more)

        return run

    monkeypatch.setattr(cast.database, "write", watched(cast.database.write))
    monkeypatch.setattr(passwords, "verify", watched(passwords.verify))
    monkeypatch.setattr(passwords, "hash_password", watched(passwords.hash_password))
    client.post("/login", data={**ALICE, "password": "wrong"})
    log_in_by_form(client, "alice")
    cookie = f"docket_session={client.cookies['docket_session']}"
    with client_for(cast.database, now=NOW + timedelta(minutes=6)) as later:
        assert later.get("/account", headers={"cookie": cookie}).status_code == 200
    for current in ("wrong", PASSWORD):
        client.post("/account/password", data={"current": current, "new": "walrus teapot orbit"})
    client.post("/logout")
    client.post("/register", data={"name": "Nina New", "email": "n@docket.example", "password": "walrus teapot orbit"})
    names = {name for name, _count in held}
    assert {"mark_failed", "finish_login", "touch_session", "change_password", "ask_for_code"} <= names
    assert [each for each in held if each[1]] == []


def test_a_last_seen_time_that_cannot_be_written_is_no_error(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(client, "alice")
    cookie = f"docket_session={client.cookies['docket_session']}"

    def fails(*_args: object, **_more: object) -> None:
        raise Unavailable("Busy.")

    with client_for(cast.database, now=NOW + timedelta(minutes=6)) as later:
        monkeypatch.setattr(cast.database, "write", fails)
        assert later.get("/account", headers={"cookie": cookie}).status_code == 200


# --------------------------------------------------------------------------------------------- throttling


def fail(client: TestClient, email: str, times: int) -> None:
    for _ in range(times):
        assert client.post("/login", data={"email": email, "password": "wrong"}).status_code == 401


def test_ten_wrong_passwords_make_the_next_wait(client: TestClient, cast: Cast) -> None:
    fail(client, "alice@docket.example", 10)
    answer = client.post("/login", data=ALICE)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "900"
    page = read(answer)
    assert "There have been too many wrong passwords. Wait 15 minutes, then try again." in page.text
    assert page.form("/login")["email"] == "alice@docket.example"
    # A refused attempt does not extend the wait.
    with client_for(cast.database, now=NOW + timedelta(minutes=14, seconds=59)) as later:
        answer = later.post("/login", data=ALICE)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert "Wait 1 minutes" not in answer.text
    with client_for(cast.database, now=NOW + timedelta(minutes=15)) as later:
        assert later.post("/login", data=ALICE).status_code == 303


def test_during_many_sign_ins_a_user_waits_for_seconds(client: TestClient, cast: Cast) -> None:
    cast.change(sa.delete(models.FailedLogin))
    for number in range(10):
        cast.add(models.FailedLogin(account=f"{number}", address="testclient", at=NOW))
    answer = client.post("/login", data=ALICE)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert "Many people are signing in right now. Try again in a few seconds." in answer.text
    with client_for(cast.database, now=NOW + timedelta(minutes=1)) as later:
        assert later.post("/login", data=ALICE).status_code == 303


def test_right_passwords_do_not_count(client: TestClient) -> None:
    fail(client, "alice@docket.example", 9)
    assert client.post("/login", data=ALICE).status_code == 303
    client.cookies.clear()
    assert client.post("/login", data=ALICE).status_code == 303


def test_a_victim_still_gets_in_from_a_browser_that_was_there_before(client: TestClient) -> None:
    log_in_by_form(client, "alice")
    device = client.cookies["docket_device"]
    client.cookies.clear()
    fail(client, "alice@docket.example", 10)
    assert client.post("/login", data=ALICE).status_code == 429
    client.cookies.set("docket_device", device)
    assert client.post("/login", data=ALICE).status_code == 303


def test_throttling_one_address_does_not_affect_another(cast: Cast) -> None:
    with client_for(cast.database, trusted_proxies="*") as client:
        for number in range(9):
            client.headers["x-forwarded-for"] = f"192.0.2.{number}"
            fail(client, "alice@docket.example", 1)
        client.headers["x-forwarded-for"] = "198.51.100.7"
        assert client.post("/login", data=ALICE).status_code == 303


# ------------------------------------------------------------------------------------------------ cookies


def test_the_session_cookie_is_out_of_reach_for_scripts_and_other_sites(client: TestClient) -> None:
    answer = client.post("/login", data=ALICE)
    for name in ("docket_session", "docket_device"):
        parts = cookie_header(client, answer.headers.get_list("set-cookie"), name)
        assert {"httponly", "samesite=lax", "path=/"} <= set(parts)
        assert "secure" not in parts
        assert not any(part.startswith("domain=") for part in parts)
    assert "max-age=2592000" in cookie_header(client, answer.headers.get_list("set-cookie"), "docket_session")


def test_over_https_cookies_are_bound_to_this_host(cast: Cast) -> None:
    with client_for(cast.database, base_url="https://docket.test") as client:
        client.base_url = "https://docket.test"
        client.headers["origin"] = "https://docket.test"
        answer = client.post("/login", data=ALICE)
        for name in ("__Host-docket_session", "__Host-docket_device"):
            parts = cookie_header(client, answer.headers.get_list("set-cookie"), name)
            assert {"secure", "httponly", "samesite=lax", "path=/"} <= set(parts)
            assert not any(part.startswith("domain=") for part in parts)
        assert is_signed_in(client)
        left = client.post("/logout")
        parts = cookie_header(client, left.headers.get_list("set-cookie"), "__Host-docket_session")
        assert {"secure", "httponly", "samesite=lax", "path=/", "max-age=0"} <= set(parts)
        assert not is_signed_in(client)


def test_a_cookie_that_we_did_not_sign_is_ignored(client: TestClient) -> None:
    log_in(client, "alice")
    good = client.cookies["docket_session"]
    client.cookies.clear()
    for forged in ("", "x", good[:-1], good.rsplit(".", 1)[0], "a" + good, good.replace(".", ".."), "é", "a" * 5000):
        answer = client.get("/account", headers={b"cookie": f"docket_session={forged}".encode()})
        assert answer.status_code == 303, forged
        assert answer.headers["location"].startswith("/login")
    assert client.get("/account", headers={"cookie": f"docket_session={good}"}).status_code == 200


def test_the_database_does_not_hold_what_the_cookie_holds(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    secret = client.cookies["docket_session"].rsplit(".", 1)[0]
    with cast.database.reading() as session:
        stored = session.scalars(sa.select(models.UserSession.id_hash)).one()
    assert secret not in stored


def test_each_sign_in_is_a_separate_session(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    first = client.cookies["docket_session"]
    with client_for(cast.database) as other:
        log_in(other, "alice")
        assert other.cookies["docket_session"] != first


# -------------------------------------------------------------------------------------- what ends a session


def test_signing_out_ends_the_session_for_good(client: TestClient) -> None:
    log_in(client, "alice")
    kept = client.cookies["docket_session"]
    answer = client.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "You are signed out." in read(client.get("/")).text
    assert not is_signed_in(client)
    # A copied cookie is useless.
    client.cookies.set("docket_session", kept)
    assert not is_signed_in(client)
    assert client.post("/logout").status_code == 303


def test_signing_out_in_two_tabs_concurrently_is_no_error(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(client, "alice")

    def ended(*_args: object, **_more: object) -> None:
        raise NotFound("That device is already signed out.")

    monkeypatch.setattr(sessions, "end_session", ended)
    answer = client.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    parts = cookie_header(client, answer.headers.get_list("set-cookie"), "docket_session")
    assert "max-age=0" in parts


@pytest.mark.parametrize("address", ["/login", "/register"])
def test_signing_in_again_ends_the_session_before(client: TestClient, cast: Cast, address: str) -> None:
    log_in(client, "dave")
    kept = client.cookies["docket_session"]
    if address == "/login":
        assert client.post(address, data=ALICE).status_code == 303
    else:
        register(client, cast, {**ALICE, "email": "nina@docket.example", "name": "Nina New"})
    assert is_signed_in(client)
    client.cookies.set("docket_session", kept)
    client.cookies.clear()
    assert client.get("/account", headers={"cookie": f"docket_session={kept}"}).status_code == 303


def test_a_disabled_account_is_signed_out_at_the_next_request(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    cast.change(sa.update(models.User).where(models.User.id == cast.alice.user_id).values(active=False))
    assert not is_signed_in(client)
    assert client.post("/account", data={"name": "Mallory"}).status_code == 401


def test_a_changed_password_signs_out_every_other_device_at_the_next_request(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    with client_for(cast.database) as other:
        log_in(other, "alice")
        new = "walrus teapot orbit"
        answer = client.post("/account/password", data={"current": PASSWORD, "new": new})
        assert answer.status_code == 303
        assert not is_signed_in(other)
        assert is_signed_in(client)
        assert other.post("/login", data=ALICE).status_code == 401
        assert other.post("/login", data={**ALICE, "password": new}).status_code == 303


def test_a_session_ends_after_thirty_days(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    cookie = f"docket_session={client.cookies['docket_session']}"
    for days, seconds, status in ((30, -1, 200), (30, 0, 303)):
        with client_for(cast.database, now=NOW + timedelta(days=days, seconds=seconds)) as later:
            assert later.get("/account", headers={"cookie": cookie}).status_code == status


def test_a_change_of_role_counts_at_the_next_request(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    assert client.get("/schedule").status_code == 200
    cast.change(sa.update(models.User).where(models.User.id == cast.bob.user_id).values(role="patient"))
    assert client.get("/schedule").status_code == 403


# ---------------------------------------------------------------------------------------------- the page


def test_demo_accounts_are_shown_only_over_demo_data(client: TestClient, cast: Cast) -> None:
    assert "docket-demo-2026" not in client.get("/login").text
    cast.change(sa.update(models.ClinicSettings).values(demo=True))
    page = read(client.get("/login"))
    for words in ("patient@docket.example", "doctor@docket.example", "admin@docket.example", "docket-demo-2026"):
        assert words in page.text

"""Signing in to the API: tokens that end with their session, refresh tokens for single use, limits, and CORS."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from starlette.testclient import TestClient

from tests.api_client import API, ApiClient, bearer
from tests.cast import NOW, PASSWORD, Cast, client_for, log_in
from webapp import models

FORM = {"username": "alice@docket.example", "password": PASSWORD}


def grant(client: TestClient) -> dict[str, Any]:
    """A fresh pair of tokens for Alice."""
    answer = client.post(f"{API}/auth/token", data=FORM)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return dict(answer.json())


def who(client: TestClient, tokens: dict[str, Any]) -> Any:
    """The API's answer to "who am I?" with these tokens."""
    return client.get(f"{API}/auth/me", headers={"authorization": f"Bearer {tokens['access_token']}"})


def test_a_token_identifies_the_user_until_it_expires(api: TestClient, sqlite_cast: Cast) -> None:
    client, cast = api, sqlite_cast
    tokens = grant(client)
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
    me = {"id": cast.alice.user_id, "name": "Alice Adams", "email": "alice@docket.example", "role": "patient"}
    assert who(client, tokens).json() == me
    assert who(client_for(cast.database, now=NOW + timedelta(minutes=14)), tokens).status_code == 200
    late = who(client_for(cast.database, now=NOW + timedelta(minutes=15)), tokens)
    assert (late.status_code, late.json()["code"]) == (401, "invalid_token")
    assert late.headers["www-authenticate"] == "Bearer"
    for wrong in ("", "x", f"{tokens['access_token']}x", tokens["refresh_token"]):
        assert who(client, {"access_token": wrong}).status_code == 401
    assert client.get(f"{API}/auth/me").status_code == 401
    assert client.post(f"{API}/auth/token", data={**FORM, "password": "wrong"}).json()["code"] == "wrong_credentials"
    assert client.post(f"{API}/auth/token", json=FORM).status_code in {415, 422}


def test_logout_a_new_password_and_disabling_end_tokens_immediately(client: TestClient, cast: Cast) -> None:
    def refresh(tokens: dict[str, Any]) -> int:
        return client.post(f"{API}/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).status_code

    leaving, staying = grant(client), grant(client)
    out = client.post(f"{API}/auth/logout", headers={"authorization": f"Bearer {leaving['access_token']}"})
    assert out.status_code == 200
    assert (who(client, leaving).status_code, refresh(leaving)) == (401, 401)
    assert who(client, staying).status_code == 200

    page = log_in(client_for(cast.database), "alice")
    new = {"current": PASSWORD, "new": "walrus teapot orbit", "repeat": "walrus teapot orbit"}
    assert page.post("/account/password", data=new).status_code == 303
    assert (who(client, staying).status_code, refresh(staying)) == (401, 401)

    again = client.post(f"{API}/auth/token", data={**FORM, "password": new["new"]}).json()
    assert who(client, again).status_code == 200
    mine = models.User.id == cast.alice.user_id
    cast.change(sa.update(models.User).where(mine).values(active=False))
    assert (who(client, again).status_code, refresh(again)) == (401, 401)


def test_a_refresh_token_is_used_once_and_a_copy_ends_the_session(client: TestClient) -> None:
    first = grant(client)
    second = client.post(f"{API}/auth/refresh", json={"refresh_token": first["refresh_token"]}).json()
    assert who(client, first).status_code == who(client, second).status_code == 200
    copied = client.post(f"{API}/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert copied.status_code == 401
    assert who(client, first).status_code == who(client, second).status_code == 401
    newest = client.post(f"{API}/auth/refresh", json={"refresh_token": second["refresh_token"]})
    assert newest.status_code == 401


def test_guessing_through_the_api_and_the_page_is_counted_together(api: TestClient) -> None:
    for number in range(10):
        if number % 2:
            api.post(f"{API}/auth/token", data={**FORM, "password": "wrong"})
        else:
            api.post("/login", data={"email": FORM["username"], "password": "wrong"})
    refused = api.post(f"{API}/auth/token", data=FORM)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


def test_tokens_are_in_no_log(api: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = grant(api)
    who(api, tokens)
    api.get(f"{API}/appointments", headers={"authorization": f"Bearer {tokens['access_token']}x"})
    pair = api.post(f"{API}/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).json()
    for secret in (*tokens.values(), *pair.values()):
        if len(str(secret)) > 20:
            assert str(secret) not in caplog.text
    assert PASSWORD not in caplog.text


# The previous window counts less the longer it is over.
@time_machine.travel(NOW + timedelta(milliseconds=300), tick=False)
def test_too_many_requests_are_429_with_headers_that_say_when(sqlite_cast: Cast) -> None:
    client = client_for(sqlite_cast.database, api_rate_limit="3/minute", api_rate_limit_anonymous="2/minute")
    # Signing in counts as an anonymous request.
    alice = bearer(client, "alice")
    assert client.get(f"{API}/clinic").headers["ratelimit-policy"] == '"network";q=2;w=60'
    refused = client.get(f"{API}/clinic")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) == 60
    left = [client.get(f"{API}/clinic", headers=alice) for _number in range(4)]
    assert [answer.status_code for answer in left] == [200, 200, 200, 429]
    assert left[0].headers["ratelimit-policy"] == '"account";q=3;w=60'
    assert left[0].headers["ratelimit"].startswith('"account";r=2;')
    assert client.get("/login").status_code == 200, "Pages are not counted."


def test_other_sites_may_use_the_api_only_if_the_settings_allow_it(sqlite_cast: Cast) -> None:
    origin = {"origin": "https://clinic.example"}
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    closed = client_for(sqlite_cast.database)
    assert "access-control-allow-origin" not in closed.get(f"{API}/clinic", headers=origin).headers
    opened = client_for(sqlite_cast.database, cors_origins="https://clinic.example")
    ask = opened.options(f"{API}/appointments", headers={**origin, **asks})
    assert ask.status_code == 200
    assert ask.headers["access-control-allow-origin"] == "https://clinic.example"
    read = opened.get(f"{API}/clinic", headers=origin)
    assert "ETag" in read.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in read.headers
    assert "access-control-allow-origin" not in opened.get("/login", headers=origin).headers
    other = opened.get(f"{API}/clinic", headers={"origin": "https://evil.example"})
    assert other.headers.get("access-control-allow-origin") is None
    # Errors outside of any route are readable as well.
    large = opened.post(f"{API}/auth/register", content=b"x" * 3_000_000, headers=origin)
    sqlite_cast.database.write(lambda session: session.execute(sa.text("ALTER TABLE doctors RENAME TO away")))
    broken = opened.get(f"{API}/doctors", headers=origin)
    assert (large.status_code, broken.status_code) == (413, 500)
    for answer in (large, broken):
        assert answer.headers["access-control-allow-origin"] == "https://clinic.example"


@pytest.mark.parametrize("depth", [1, 900])
def test_text_that_cannot_be_stored_is_found_at_any_depth(api: TestClient, depth: int) -> None:
    json_type = {"content-type": "application/json"}
    for text, status in ((r"\u0041", 422), (r"A\u0000", 400), (r"\ud83d", 400)):
        body = '{"username":' * depth + f'"{text}"' + "}" * depth
        answer = api.post(f"{API}/auth/refresh", content=body, headers=json_type)
        assert answer.status_code == status, answer.text
        for encoding in ("utf-16", "utf-16-be", "utf-32"):
            other = api.post(f"{API}/auth/refresh", content=body.encode(encoding), headers=json_type)
            assert other.status_code == 400, "JSON is UTF-8; in another encoding NULs could hide."


def test_every_kind_of_error_is_a_problem_document(api: TestClient, sqlite_cast: Cast) -> None:
    alice = ApiClient(api, "alice")
    where = "/appointments"
    body = {"doctor_id": sqlite_cast.doctor_ids["bob"]}
    kind = {"content-type": "text/plain"}
    asked = {
        400: alice.request("POST", where, content=b"{", headers={"content-type": "application/json"}),
        401: ApiClient(api).get(where),
        403: alice.request("PATCH", "/clinic", json={}),
        404: alice.get("/nothing"),
        405: alice.request("DELETE", where),
        413: alice.request("POST", where, content=b"x" * 3_000_000, headers={"content-type": "application/json"}),
        415: alice.request("POST", where, content=b"{}", headers=kind),
        422: alice.post(where, body),
    }
    for status, answer in asked.items():
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert answer.json()["code"]
    titles = {status: answer.json()["title"] for status, answer in asked.items() if status in {413, 422}}
    assert titles == {413: "Content Too Large", 422: "Unprocessable Content"}, "RFC 9110's, on every Python."
    assert asked[405].headers["allow"]

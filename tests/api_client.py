"""A client of the API: signed in by password, with an access token in each request."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from tests.cast import PASSWORD, SECRET_KEY, Cast
from webapp.auth.programs.api_tokens import MakeToken, make_token
from webapp.auth.programs.scopes import Scope

API = "/api/v1"


def bearer(client: TestClient, name: str) -> dict[str, str]:
    """The header with a new access token of one of the cast."""
    form = {"username": f"{name}@docket.example", "password": PASSWORD}
    answer = client.post(f"{API}/auth/token", data=form)
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


def make_api_token(cast: Cast, *scopes: Scope, name: str = "Laboratory system", days: int = 90) -> str:
    """A new API token, made by Carol."""
    wanted = MakeToken(name=name, scopes=list(scopes), days=days)
    return cast.database.write(make_token, cast.carol, wanted, [SECRET_KEY], {}, now=cast.now).token


def token_header(cast: Cast, *scopes: Scope) -> dict[str, str]:
    """The header with a new API token."""
    return {"authorization": f"Bearer {make_api_token(cast, *scopes)}"}


class ApiClient:
    """A client of the API, for one of the cast or anonymous. Addresses omit `/api/v1`."""

    def __init__(self, client: TestClient, name: str = "") -> None:
        self.client = client
        self.headers = bearer(client, name) if name else {}

    def request(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Send a request; returns the response of the HTTP client."""
        return self.client.request(method, f"{API}{path}", headers={**self.headers, **(headers or {})}, **more)

    def get(self, path: str, **more: Any) -> Any:
        """Send a GET request."""
        return self.request("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        """Send a POST request."""
        return self.request("POST", path, json=body, **more)

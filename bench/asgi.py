"""Requests sent straight into the application, so that no socket and no client is measured."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from fastapi import FastAPI

HOST = "docket.test"
ORIGIN = f"http://{HOST}"


class Answer(NamedTuple):
    """The answer of the application."""

    status: int
    location: str
    body: bytes


class PreparedRequest(NamedTuple):
    """A request, ready to be sent."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""


def get(path: str, cookie: str, *, query: str = "", fragment: bool = False) -> PreparedRequest:
    """A GET request for a page or, with HTMX's header, for a fragment."""
    extra = [(b"hx-request", b"true")] if fragment else []
    return PreparedRequest("GET", path, query.encode(), _headers(cookie) + extra)


def post(path: str, cookie: str, form: dict[str, str]) -> PreparedRequest:
    """A POST request with a form, sent as a browser sends it from one of our pages."""
    body = urlencode(form).encode()
    extra = [
        (b"origin", ORIGIN.encode()),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", str(len(body)).encode()),
    ]
    return PreparedRequest("POST", path, b"", _headers(cookie) + extra, body)


def _headers(cookie: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"host", HOST.encode()),
        (b"cookie", cookie.encode()),
        (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        (b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8"),
        (b"accept-language", b"en-GB,en;q=0.5"),
    ]


async def send(app: FastAPI, ask: PreparedRequest, *, client: str = "127.0.0.1") -> Answer:
    """Send the request from this address and return the answer."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": ask.path,
        "raw_path": ask.path.encode(),
        "query_string": ask.query,
        "root_path": "",
        "headers": ask.headers,
        "client": (client, 50_000),
        "server": (HOST, 80),
        "state": {},
    }
    unread = [{"type": "http.request", "body": ask.body, "more_body": False}]
    messages: list[Any] = []

    async def receive() -> Any:
        return unread.pop() if unread else {"type": "http.disconnect"}

    async def collect(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, collect)
    headers = dict(messages[0]["headers"])
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return Answer(messages[0]["status"], headers.get(b"location", b"").decode(), body)

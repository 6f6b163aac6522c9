"""Hosts that are not ours, and proxies that the settings do not name."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.responses import PlainTextResponse
from starlette.types import Message

from tests.cast import Cast, client_for, log_in_by_form
from webapp.auth.models import UserSession
from webapp.core import proxy_middleware
from webapp.core.proxy_middleware import ProxyNoticeMiddleware, UnknownProxy

PRODUCTION: dict[str, Any] = {"environment": "production", "base_url": "https://docket.test"}


@pytest.mark.parametrize("path", ["/", "/login", "/api/v1/doctors", "/static/css/base.css", "/nothing"])
def test_only_the_clinics_own_name_is_answered(path: str, cast: Cast) -> None:
    with client_for(cast.database, **PRODUCTION) as client:
        assert client.get(path).status_code != 421
        assert client.get(path, headers={"host": "Docket.Test:8000"}).status_code != 421
        for host in ("evil.example", "docket.test.evil.example", "", "127.0.0.1"):
            assert client.get(path, headers={"host": host}).status_code == 421, host


def test_checks_are_asked_for_by_address(cast: Cast) -> None:
    with client_for(cast.database, **PRODUCTION) as client:
        for path in ("/health", "/health/live", "/health/accepting", "/health/ready"):
            assert client.get(path, headers={"host": "10.0.0.5:8000"}).status_code == 200, path


def test_development_is_reached_by_any_name(cast: Cast) -> None:
    with client_for(cast.database, base_url="https://clinic.example") as client:
        assert client.get("/login", headers={"host": "192.168.1.7:8000"}).status_code == 200


@pytest.mark.parametrize(("trusted", "counts"), [((), False), (("10.0.0.1",), False), (("*",), True)])
def test_only_a_trusted_proxy_says_where_a_request_comes_from(
    trusted: tuple[str, ...], counts: bool, sqlite_cast: Cast
) -> None:
    with client_for(sqlite_cast.database, trusted_proxies=trusted) as client:
        client.headers["x-forwarded-for"] = "203.0.113.9"
        log_in_by_form(client, "alice")
    with sqlite_cast.database.reading() as session:
        assert session.scalar(sa.select(UserSession.address)) == ("203.0.113.9" if counts else "testclient")


@pytest.mark.parametrize(
    ("peer", "forwarded", "noticed"),
    [
        ("10.0.0.6", "203.0.113.9", True),
        ("127.0.0.1", "203.0.113.9", True),
        # A trusted proxy's header was applied: the client is one of the forwarded addresses.
        ("10.0.0.9", "10.0.0.9, 10.0.0.6", False),
        # Anyone on the internet can send the header.
        ("8.8.8.8", "1.2.3.4", False),
        ("10.0.0.6", None, False),
        ("testclient", "203.0.113.9", False),
    ],
)
def test_a_proxy_that_is_not_named_is_noticed(
    peer: str, forwarded: str | None, noticed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    notice = UnknownProxy()
    app = ProxyNoticeMiddleware(PlainTextResponse("ok"), notice=notice)
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []

    async def ask() -> None:
        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(_message: Message) -> None:
            return

        for _number in range(3):
            await app({"type": "http", "method": "GET", "headers": headers, "client": (peer, 1)}, receive, send)

    # In a thread: where browser tests ran in this process, its main thread has a loop already.
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(ask())).result()
    assert (bool(notice.address), len(caplog.records)) == (noticed, int(noticed))


def test_a_proxy_that_was_put_right_is_forgotten_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    notice, now = UnknownProxy(), [0.0]
    monkeypatch.setattr(proxy_middleware, "monotonic", lambda: now[0])
    notice.note("10.0.0.6")
    assert notice.address == "10.0.0.6"
    now[0] = 3601
    assert notice.address == ""

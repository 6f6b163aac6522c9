"""The stream as browsers get it: from `docket serve`, one process hearing what another one did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from itsdangerous import Signer

from tests.appointment_rows import put
from tests.cast import Cast, _start_session
from tests.processes import PATIENCE
from tests.servers import SECRET_KEY, live_server
from webapp.core.clock import utc_now
from webapp.live.feed import version_seen


def events(answer: HTTPResponse) -> Iterator[tuple[str, Any]]:
    """The events of a stream as they come, with their data."""
    name = ""
    while line := answer.readline().decode():
        kind, _colon, value = line.strip().partition(": ")
        if kind == "event":
            name = value
        elif kind == "data":
            yield name, json.loads(value)


def test_a_stream_of_a_running_server(sqlite_cast: Cast) -> None:
    database = sqlite_cast.database
    secret = database.write(_start_session, name="bob", now=utc_now())
    cookie = f"docket_session={Signer(SECRET_KEY, salt='docket.session').sign(secret).decode()}"
    with (
        live_server(str(database.url)) as server,
        closing(HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=PATIENCE)) as connection,
    ):
        connection.request(
            "GET", "/live", headers={"cookie": cookie, "accept": "text/event-stream", "accept-encoding": "gzip"}
        )
        answer = connection.getresponse()
        headers = {name: answer.getheader(name) for name in ("content-type", "cache-control", "content-encoding")}
        assert headers == {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            "content-encoding": None,
        }
        heard = events(answer)
        name, hello = next(heard)
        with database.reading() as session:
            assert (name, hello["version"], hello["streams"]) == ("hello", version_seen(session), 1)
        put(sqlite_cast, "2026-03-03 10:00")
        # A stream may last for hours; it is logged when it begins.
        assert "GET /live 200" in server.output()
        name, change = next(heard)
        assert (name, change["changes"]) == ("change", [[sqlite_cast.doctor_ids["bob"], "2026-03-03"]])
        server.process.stop()
        # The server ended the stream, and did not wait for it.
        assert list(heard) == []
        assert not [word for word in ("WARNING", "ERROR", "Traceback", "Cancel") if word in server.output()]

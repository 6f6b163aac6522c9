"""What one connection may take, over real sockets. Times are short here, so that no test waits for long."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from typing import NamedTuple

import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.processes import PATIENCE
from webapp.serving.connections import BoundedProtocol, ConnectionLimits


class Served(NamedTuple):
    """A small application behind our protocol."""

    port: int
    server: uvicorn.Server
    cut: SimpleQueue[str]

    def connect(self) -> socket.socket:
        """A connection that fails after a while, instead of waiting forever."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def exchange(self, *pieces: bytes) -> bytes:
        """Everything that is answered to these pieces until the server closes the connection."""
        with self.connect() as client:
            for piece in pieces:
                client.sendall(piece)
            return read_all(client)


PATIENT = ConnectionLimits(linger_seconds=0.1, connections=5)


class Patient(BoundedProtocol):
    """No time ends in a test, however slow the machine is."""

    bounds = PATIENT


class Restless(BoundedProtocol):
    """A connection that is silent is closed soon."""

    bounds = PATIENT._replace(silent_seconds=0.3, idle_seconds=0.3)


class Hasty(BoundedProtocol):
    """A request that does not come in time is cut off soon."""

    bounds = PATIENT._replace(head_seconds=0.3, body_seconds=0.6, pause_seconds=0.3, last_body_seconds=0.2)


@contextmanager
def serving(protocol: type[BoundedProtocol]) -> Iterator[Served]:
    """A small application behind this protocol, served from a thread."""
    cut = SimpleQueue[str]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            cut.put(request.url.path)
            return
        await PlainTextResponse(f"{request.url.path} {len(body)}")(scope, receive, send)

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, ws="none"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    yield Served(listening.getsockname()[1], server, cut)
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server that waits."""
    with serving(Patient) as served:
        yield served


@pytest.fixture(scope="module")
def restless() -> Iterator[Served]:
    """A server that does not wait for silent connections."""
    with serving(Restless) as served:
        yield served


@pytest.fixture(scope="module")
def hasty() -> Iterator[Served]:
    """A server that does not wait for slow requests."""
    with serving(Hasty) as served:
        yield served


def read_all(client: socket.socket) -> bytes:
    """What is received until the server closes the connection."""
    received = b""
    while True:
        try:
            piece = client.recv(65536)
        except ConnectionResetError:
            return received
        if not piece:
            return received
        received += piece


def head(path: str = "/", *fields: str) -> bytes:
    """The head of a request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "host: localhost", *fields, "", ""]).encode()


CLOSE = "connection: close"


def test_an_ordinary_request_is_answered(served: Served) -> None:
    assert served.exchange(head("/a", CLOSE)).endswith(b"/a 0")
    body = b"x" * 200_000
    post = head("/b", CLOSE, f"content-length: {len(body)}").replace(b"GET", b"POST") + body
    assert served.exchange(post).endswith(b"/b 200000")


@pytest.mark.parametrize(
    "request_head",
    [
        head("/", "cookie: " + "x" * 40_000),
        head("/" + "x" * 40_000),
        head("/", *(f"x-{number}: 1" for number in range(150))),
        b"GET / HTTP/1.1\r\n" + b"x-y: 1\r\n" * 20_000,
    ],
    ids=["a long field", "a long address", "many fields", "without an end"],
)
def test_a_long_head_is_refused(served: Served, request_head: bytes) -> None:
    assert served.exchange(request_head).startswith(b"HTTP/1.1 431 ")


def test_an_endless_head_is_cut_off_early(served: Served) -> None:
    sent = 0
    with served.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nx: ")
        with suppress(OSError):
            for _number in range(1000):
                client.sendall(b"y" * 65536)
                sent += 65536
    # Buffers of the system on both sides take some before the connection is closed.
    assert sent < 20 * 2**20


def test_half_a_head_is_answered_408(hasty: Served) -> None:
    assert hasty.exchange(b"GET / HTTP/1.1\r\nhost: x").startswith(b"HTTP/1.1 408 ")


def test_a_head_that_comes_drop_by_drop_is_cut_off(hasty: Served) -> None:
    since = time.monotonic()
    with hasty.connect() as client:
        client.settimeout(0.05)
        client.sendall(b"GET / HTTP/1.1\r\n")
        answer = b""
        while not answer and time.monotonic() < since + PATIENCE:
            client.sendall(b"x: y\r\n")
            try:
                answer = client.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("first", [b"", head()], ids=["at first", "after a request"])
@pytest.mark.parametrize("noise", [b"", b"\r\n"], ids=["quiet", "line breaks"])
def test_a_silent_connection_is_closed_without_a_word(restless: Served, first: bytes, noise: bytes) -> None:
    with restless.connect() as client:
        client.sendall(first)
        received = b""
        while first and not received.endswith(b"/ 0"):
            piece = client.recv(65536)
            assert piece, "It is closed before it answers."
            received += piece
        client.sendall(noise)
        assert read_all(client) == b""


@pytest.mark.parametrize("pieces", [1, 200], ids=["a pause", "drop by drop"])
def test_a_slow_body_is_cut_off_quietly(hasty: Served, pieces: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), hasty.connect() as client:
        client.settimeout(0.02)
        client.sendall(head("/slow", "content-length: 1000").replace(b"GET", b"POST"))
        answer = b""
        for _piece in range(pieces):
            client.sendall(b"x")
            try:
                answer = client.recv(65536)
                break
            except TimeoutError:
                continue
        client.settimeout(PATIENCE)
        answer = answer or client.recv(65536)
        assert (answer[:13], read_all(client)) == (b"HTTP/1.1 408 ", b"")
    # The application hears of it a moment after the client.
    assert hasty.cut.get(timeout=PATIENCE) == "/slow"
    assert [record for record in caplog.records if record.name.startswith(("uvicorn", "webapp"))] == []


def test_noise_is_not_logged(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    assert served.exchange(b"\x16\x03\x01 no HTTP\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    upgrade = head("/", CLOSE + ", upgrade", "upgrade: websocket")
    assert served.exchange(upgrade).endswith(b"/ 0")
    assert caplog.records == []


def test_fields_after_a_body_are_not_kept(served: Served) -> None:
    trailers = b"x-y: 1\r\n" * 500
    post = head("/t", CLOSE, "transfer-encoding: chunked").replace(b"GET", b"POST")
    assert served.exchange(post + b"1\r\nx\r\n0\r\n" + trailers + b"\r\n").endswith(b"/t 1")


def test_requests_ahead_of_their_answers_are_few(served: Served) -> None:
    assert served.exchange(head("/p") * 3 + head("/last", CLOSE)).count(b"HTTP/1.1 200") == 4
    assert served.exchange(head("/p") * 5000).count(b"HTTP/1.1 200") < 20


def test_a_new_connection_takes_the_place_of_the_quietest(served: Served) -> None:
    with ExitStack() as stack:
        quiet = [stack.enter_context(served.connect()) for _number in range(8)]
        # The newest five may stay; a request is answered all the same.
        assert served.exchange(head("/in", CLOSE)).endswith(b"/in 0")
        assert len(served.server.server_state.connections) <= 6
        assert read_all(quiet[0]) == b""

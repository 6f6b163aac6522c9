"""A real HTTP gateway for text messages, with answers that a test chooses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Posted(NamedTuple):
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    body: str


class Gateway:
    """The requests, in order; `statuses` are the answers to give, the last one repeatedly."""

    def __init__(self, statuses: list[int]) -> None:
        self.statuses = statuses
        self.posted: list[Posted] = []
        self.url = ""

    def answer(self) -> int:
        """The status of the next answer."""
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@contextmanager
def sms_gateway(*statuses: int) -> Iterator[Gateway]:
    """A gateway on a port of this machine, until the block ends; by default it answers 200."""
    gateway = Gateway(list(statuses) or [200])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            gateway.posted.append(Posted(self.path, headers, body))
            self.send_response(gateway.answer())
            self.send_header("location", "http://127.0.0.1:1/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}/messages"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

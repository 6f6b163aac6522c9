"""`docket serve` as processes that are stopped or killed while people use them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from subprocess import DEVNULL
from typing import Self

import click
import pytest

from tests.processes import eventually
from tests.servers import LiveServer, docket_environment, free_port, live_server
from webapp.commands import serving
from webapp.serving.ports import ListeningProcess, are_left_behind, listening_processes


def port_of(server: LiveServer) -> int:
    """The port that a server listens on."""
    return int(server.url.rpartition(":")[2])


class Visitors:
    """Threads that open a new connection for each request, as proxies without reuse do, and count the outcomes.

    A refused connection is no loss: a proxy asks another server. A request that was taken and not answered is one.
    More of them than a process answers at a time would be told, when it pauses, that it is busy.
    """

    def __init__(self, port: int, *, count: int = 2) -> None:
        self.port = port
        self.outcomes: Counter[str] = Counter()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _number in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
            try:
                connection.connect()
            except OSError:
                self.outcomes["refused"] += 1
                self._over.wait(0.02)
                continue
            try:
                connection.request("GET", "/login")
                outcome = str(connection.getresponse().status)
            except (OSError, HTTPException) as error:
                outcome = type(error).__name__
            finally:
                connection.close()
            self.outcomes[outcome] += 1
            self._over.wait(0.02)


def test_a_server_that_stops_says_so_and_answers_everything_that_it_took(sqlite_url: str) -> None:
    # The test ends the delay when it has seen enough, because no short one is long enough for every machine.
    with live_server(sqlite_url, workers=2, env={"DOCKET_SHUTDOWN_DELAY": "60"}) as server:
        port = port_of(server)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=120) as slow,
            closing(HTTPConnection("127.0.0.1", port, timeout=120)) as kept,
        ):
            slow.sendall(SLOW_FORM)
            assert readiness(kept) == (200, None)
            # If it is closed, the next request must fail: over a new connection it could reach the other process.
            kept.auto_open = 0
            with Visitors(port) as visitors:
                assert eventually(lambda: visitors.outcomes["200"] > 40)
                os.kill(server.process.pid, signal.SIGTERM)
                # The processes stop one after the other; the connection that a proxy keeps belongs to one of them. The
                # answer that says so is the last one on this connection.
                assert eventually(lambda: readiness(kept) == (503, "close"))
                assert eventually(lambda: status(port, "/health/accepting") == 503)
                assert (status(port, "/health/live"), status(port, "/login")) == (200, 200)
                assert visitors.outcomes["refused"] == 0
                # Ctrl-C reaches all processes of a server. Those that stop already wait no longer for a proxy.
                os.killpg(server.process.pid, signal.SIGINT)
                assert eventually(lambda: visitors.outcomes["refused"] > 5)
            # A client that sends a form for too long is cut off.
            assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        server.process.wait_for_end()
    assert set(visitors.outcomes) == {"200", "refused"}, visitors.outcomes
    assert not [word for word in ("WARNING", "ERROR", "Traceback") if word in server.output()], server.output()


SLOW_FORM = b"POST /login HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\ncontent-length: 500\r\n\r\nemail="


def readiness(kept: HTTPConnection) -> tuple[int, str | None]:
    """The status of `/health/ready` over a connection that is kept, and what its answer says about the connection."""
    kept.request("GET", "/health/ready")
    answer = kept.getresponse()
    answer.read()
    return answer.status, answer.getheader("connection")


def status(port: int, path: str) -> int:
    """The status of an answer; 0 if no connection is accepted or answered."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Finding processes needs /proc.")
def test_a_process_that_dies_is_replaced_and_all_end_with_the_main_one(sqlite_url: str, tmp_path: Path) -> None:
    port = free_port()
    command = [str(Path(sys.executable).with_name("docket")), "serve", "--no-worker", "--workers=2", f"--port={port}"]
    with closing(HTTPConnection("127.0.0.1", port, timeout=120)) as kept:
        # Not kept like other servers, because their keeper kills what a main process leaves behind.
        with subprocess.Popen(
            command, env=docket_environment(sqlite_url), cwd=tmp_path, stdout=DEVNULL, stderr=DEVNULL
        ) as main:
            try:
                assert eventually(lambda: len(listening_processes(port)) == 3 and status(port, "/health/live") == 200)
                # One of them that dies is replaced.
                killed = next(holder.pid for holder in listening_processes(port) if holder.pid != main.pid)
                os.kill(killed, signal.SIGKILL)
                assert eventually(lambda: len({holder.pid for holder in listening_processes(port)} - {killed}) == 3)
                assert readiness(kept) == (200, None)
            finally:
                # Also when the test fails: otherwise it would wait for the end of a server that nothing ends.
                main.kill()
        # Those that are left behind notice one after the other, and may answer until then. One that has said that it
        # stops is not ready again; only the connection that it holds surely leads to it.
        kept.auto_open = 0
        seen: list[int] = []

        def is_gone() -> bool:
            try:
                seen.append(readiness(kept)[0])
            except (OSError, HTTPException):
                return True
            return False

        assert eventually(is_gone)
    assert seen == sorted(seen)
    assert set(seen) <= {200, 503}
    assert eventually(lambda: status(port, "/health/ready") == 0)
    # A service manager starts it again at once; the new one waits until the port is free.
    serving.listen_at("127.0.0.1", port).close()
    assert listening_processes(port) == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Finding processes needs /proc.")
def test_a_taken_port_is_named_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(click.ClickException, match=rf"It is used by process {os.getpid()}: .*python"):
            serving.listen_at("127.0.0.1", port)


def test_only_processes_without_their_main_one_are_waited_for() -> None:
    child, main = (
        ListeningProcess(2, "python -c from multiprocessing.spawn import spawn_main"),
        ListeningProcess(1, "python docket serve"),
    )
    assert are_left_behind([child])
    assert are_left_behind([child, ListeningProcess(3, "")]), "One that ends has no command any more."
    assert not are_left_behind([main, child])
    assert not are_left_behind([])

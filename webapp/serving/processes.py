"""The processes of `docket serve`: one, or several that share a socket, and how they stop without losing a request.

A process that is told to stop first says so under `/health/ready`, so that proxies send nothing new. After the delay of
the settings it accepts every waiting connection, closes the socket, and answers its requests.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import multiprocessing
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from time import monotonic, sleep
from types import FrameType

import uvicorn

from webapp.config import Settings
from webapp.core.logging import configure_logging
from webapp.serving.connections import BoundedProtocol
from webapp.serving.ports import are_left_behind, listening_processes

logger = logging.getLogger(__name__)

# The connections that may wait for a process that is busy.
BACKLOG = 2048
# Open files: connections, and those of the database.
FILES = 4096
# Accepted requests have this long to be answered.
SECONDS_TO_FINISH = 10
# A process that dies right at its start must not keep the machine busy with restarts.
SECONDS_BETWEEN = 1.0
# The processes of a killed server release its port when they notice; a new server waits this long for that.
SECONDS_TO_BIND = 10.0
# The wait if no listening process is visible; other users' processes never are.
SECONDS_TO_VANISH = 2
# The longest round trip of a handshake that has begun.
SECONDS_OF_HANDSHAKES = 0.1

_SO_ATTACH_FILTER = 26
# A filter as for tcpdump: drop the packets that open a connection (SYN is the second bit of the 14th byte of a TCP
# header), let all others pass.
_NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


def listen(host: str, port: int) -> socket.socket:
    """The socket of this address. The processes of a server that was just killed get a moment to release it.

    Raises:
        OSError: another program uses it, or it is no address of this machine.
    """
    began = seen = monotonic()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        try:
            return socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError:
            holders = listening_processes(port)
            if holders and not are_left_behind(holders):
                raise
            now = monotonic()
            # The last of them may have ended since the attempt.
            seen = now if holders else seen
            if now > min(began + SECONDS_TO_BIND, seen + SECONDS_TO_VANISH):
                raise
        sleep(0.1)


def serve(listening: socket.socket, *, workers: int) -> None:
    """Answer on this socket until the process is told to stop."""
    configure_logging(Settings().log_format)
    if workers == 1:
        allow_open_files()
        with suppress(KeyboardInterrupt):
            GracefulServer(_config(), delay=Settings().shutdown_delay).run(sockets=[listening])
    else:
        Supervisor(listening, workers).run()


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which stops in steps so that nothing is lost."""

    def __init__(self, config: uvicorn.Config, *, delay: float, supervised: bool = False) -> None:
        super().__init__(config)
        self.delay = delay
        self.supervised = supervised

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop. Of several processes, only the main one acts on Ctrl-C, and tells the others."""
        if sig == signal.SIGINT:
            # A server that is stopped by hand has no proxy.
            self.delay = 0
            if self.supervised:
                return
        if self.supervised and not self.started:
            # It has accepted nothing yet, and others would wait while it starts.
            os._exit(0)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Report that we stop, wait until proxies know, accept waiting connections, close the socket, finish."""
        self.config.loaded_app.state.stopping = True
        # From now on connections are closed after their answers.
        self.server_state.draining = True  # type: ignore[attr-defined]
        since = monotonic()
        while monotonic() < since + self.delay and not self.force_exit:
            await asyncio.sleep(0.05)
        await self._take_waiting(sockets or [])
        await super().shutdown(sockets)

    async def _take_waiting(self, sockets: list[socket.socket]) -> None:
        """Accept the connections that wait at our sockets, because closing a socket resets them."""
        loop = asyncio.get_running_loop()
        ignoring = [_ignore_new_at(each) for each in sockets]
        if any(ignoring):
            # Connections whose handshake is under way reach the queue.
            await asyncio.sleep(SECONDS_OF_HANDSHAKES)
        accepted = [connection for each in sockets for connection in _waiting_at(each)]
        for server in self.servers:
            server.close()

        def protocol() -> asyncio.Protocol:
            return BoundedProtocol(self.config, self.server_state, self.lifespan.state, loop)

        for connection in accepted:
            await loop.connect_accepted_socket(protocol, connection)


def _waiting_at(listening: socket.socket) -> Iterator[socket.socket]:
    # asyncio has made it non-blocking.
    while True:
        try:
            connection, _address = listening.accept()
        except OSError:
            return
        connection.setblocking(False)
        yield connection


def _ignore_new_at(listening: socket.socket) -> bool:
    """Ignore further connections at a socket that is about to be closed; only Linux can.

    Otherwise a client could come between our last look at the queue and the end of the socket, and be reset with the
    request that it has sent. A client that is ignored asks again within a second, and is then refused.
    """
    if sys.platform != "linux":
        return False
    program = b"".join(struct.pack("HBBI", *step) for step in _NO_SYN)
    buffer = ctypes.create_string_buffer(program)
    filtering = struct.pack("HL", len(_NO_SYN), ctypes.addressof(buffer))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filtering)
    except OSError:
        return False
    return True


def _config() -> uvicorn.Config:
    return uvicorn.Config(
        "webapp.main:create_app",
        factory=True,
        http=BoundedProtocol,
        ws="none",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )


def allow_open_files() -> None:
    """Let this process have as many open files as its connections need, if the system permits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


# ------------------------------------------------------------------------------------------------ several processes


class Supervisor:
    """The main process of several: it starts them, replaces those that die, and tells them to stop."""

    def __init__(self, listening: socket.socket, workers: int) -> None:
        self._listening = listening
        self._workers: list[SpawnProcess] = []
        self._count = workers
        self._stop: signal.Signals | None = None
        self._woken, self._wake = multiprocessing.Pipe(duplex=False)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        former = {each: signal.signal(each, self._on_signal) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._workers = [self._start() for _number in range(self._count)]
            while self._stop is None:
                ended = wait([self._woken, *(each.sentinel for each in self._workers)])
                if self._woken not in ended:
                    self._replace_dead()
        finally:
            self._finish()
            for each, handler in former.items():
                signal.signal(each, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stop = signal.Signals(number)
        self._wake.send_bytes(b"stop")

    def _start(self) -> SpawnProcess:
        process = multiprocessing.get_context("spawn").Process(
            target=_serve_in_worker, args=(self._listening,), name="docket serve"
        )
        process.start()
        return process

    def _replace_dead(self) -> None:
        for place, process in enumerate(self._workers):
            if not process.is_alive():
                logger.error("A server process ended with exit code %s; starting another one", process.exitcode)
                self._woken.poll(SECONDS_BETWEEN)
                if self._stop is None:
                    self._workers[place] = self._start()

    def _finish(self) -> None:
        # As long as one process holds the socket, connections are accepted; the last one to close it accepts them all.
        self._listening.close()
        delay = Settings().shutdown_delay
        for process in self._workers:
            if process.is_alive():
                process.terminate()
        until = monotonic() + delay + SECONDS_TO_FINISH + 2
        for process in self._workers:
            process.join(max(0.0, until - monotonic()))
            process.kill()


def _serve_in_worker(listening: socket.socket) -> None:
    # Ctrl-C reaches all processes, and the main one tells the others when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_open_files()
    server = GracefulServer(_config(), delay=Settings().shutdown_delay, supervised=True)
    threading.Thread(target=_stop_without_parent, args=(server,), daemon=True).start()
    server.run(sockets=[listening])


def _stop_without_parent(server: GracefulServer) -> None:
    """End this process when the main one is gone, for any reason: otherwise it would go on serving, and hold the
    port.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    wait([parent.sentinel])
    if not server.started:
        os._exit(1)
    logger.error("The main process is gone, so this one stops")
    server.delay = 0
    server.should_exit = True
    sleep(SECONDS_TO_FINISH + 2)
    os._exit(1)

"""Our Caddyfile with a real Caddy, while the servers behind it are replaced one after the other."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections import Counter
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.image import ROOT
from tests.processes import RunningCommand
from tests.servers import free_port, live_server

CADDY = shutil.which("caddy")
SETTINGS = {"DOCKET_SHUTDOWN_DELAY": "3", "DOCKET_TRUSTED_PROXIES": "127.0.0.1"}


@pytest.mark.skipif(CADDY is None, reason="There is no Caddy on this machine.")
def test_servers_are_replaced_and_no_form_is_lost(sqlite_url: str, tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    over = threading.Event()
    with ExitStack() as stack:
        servers = [stack.enter_context(live_server(sqlite_url, env=SETTINGS)) for _number in range(2)]
        port = free_port()
        services = " ".join(server.url.removeprefix("http://") for server in servers)
        env = os.environ | {"PORT": str(port), "WEB_SERVICES": services, "FRONT_NETWORK": "127.0.0.1/32"}
        env |= {"XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        command = [str(CADDY), "run", "--config", str(ROOT / "deploy" / "Caddyfile"), "--adapter", "caddyfile"]
        caddy = stack.enter_context(RunningCommand(command, log=tmp_path / "log", cwd=tmp_path, env=env))
        caddy.wait_until(lambda: send(port) == "422")

        def keep_sending() -> None:
            while not over.is_set():
                outcomes[send(port)] += 1

        threads = [threading.Thread(target=keep_sending) for _number in range(2)]
        for thread in threads:
            thread.start()
        # The first one stops; the second one answers everything meanwhile.
        os.kill(servers[0].process.pid, signal.SIGTERM)
        servers[0].process.wait_for_end()
        over.set()
        for thread in threads:
            thread.join()
    assert set(outcomes) == {"422"}, outcomes
    assert outcomes["422"] > 20


def send(port: int) -> str:
    """The status of the answer to a form that is refused for what it says, or the error of the connection."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
        connection.request("POST", "/login", "email=&password=", headers)
        return str(connection.getresponse().status)
    except (OSError, HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()

"""Two real browsers, each with a separate server process: one shows the changes that the other makes.

The receptionist in one browser confirms an appointment on the board, in turns in the one and the other. Both machines'
clocks are the same one, so the time from the press to the other board's change is read off in the pages. Then a server
is killed and started again, and on PostgreSQL the database too: the boards catch up without a reload.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as NotInTime

from tests.browser_path import browser_path
from tests.postgres import Programs, _answers, _readable, candidates, unprivileged_user
from tests.processes import RunningCommand
from tests.servers import LiveServer, live_server
from webapp import models
from webapp.database import Database

WAIT_MS = 30_000
# How long the database is away.
DOWN_SECONDS = 3
PANEL = "reference => document.querySelector(`#appointment-${reference} > a`).click()"
PRESS = (
    "reference => { document.querySelector(`#panel-of-${reference} [data-panel-key=c]`).click(); return Date.now(); }"
)
WATCH = """reference => {
  window.seen = new Promise((resolve) => {
    const look = () => document.getElementById(`appointment-${reference}`)?.dataset.status === "confirmed";
    const watching = new MutationObserver(() => {
      if (look()) { watching.disconnect(); resolve(Date.now()); }
    });
    watching.observe(document.body, { subtree: true, childList: true, attributes: true });
  });
}"""


class Desk:
    """A browser that shows the board of a day, and the server that it asks."""

    def __init__(self, browser: Browser, database_url: str, cookie: str, board: str) -> None:
        self.database_url = database_url
        self._stack = ExitStack()
        self.server = self._serve()
        context = browser.new_context(base_url=self.server.url, viewport={"width": 1280, "height": 900})
        name, _equals, value = cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": self.server.url}])
        self.page: Page = context.new_page()
        self.page.goto(board)
        self.is_live()
        self.page.evaluate("window.kept = true")

    def _serve(self, port: int | None = None) -> LiveServer:
        return self._stack.enter_context(live_server(self.database_url, port=port))

    def is_live(self) -> None:
        """Wait until the board says that it hears of changes, and no longer that it has lost the connection."""
        expect(self.page.locator("[data-as-of]").first).to_have_text("Live", timeout=WAIT_MS)
        expect(self.page.locator("#connection")).to_be_hidden(timeout=WAIT_MS)

    def watch(self, reference: str) -> None:
        """Note when the board shows this appointment as confirmed."""
        self.page.evaluate(WATCH, reference)

    def seen(self) -> float:
        """When it did, in milliseconds; waits for it."""
        return float(self.page.evaluate("window.seen"))

    def confirm(self, reference: str) -> float:
        """Confirm the appointment with its button; when that was pressed."""
        self.page.evaluate(PANEL, reference)
        self.page.locator(f"#panel-of-{reference} [data-panel-key=c]").wait_for(timeout=5_000)
        return float(self.page.evaluate(PRESS, reference))

    def was_not_reloaded(self) -> bool:
        """Whether this is still the page that was opened first."""
        return bool(self.page.evaluate("window.kept === true"))

    def kill_server(self) -> int:
        """Kill the server with SIGKILL; its port."""
        os.kill(self.server.process.pid, signal.SIGKILL)
        self._stack.close()
        return int(self.server.url.rpartition(":")[2])

    def start_server(self, port: int) -> float:
        """Start it again; when it was ready."""
        self.server = self._serve(port)
        return time.time() * 1000

    def close(self) -> None:
        """Stop the server."""
        self._stack.close()


def measure(
    database: Database,
    cookies: list[str],
    board: str,
    appointments: list[int],
    *,
    changes: int,
    postgres: Postgres | None,
) -> dict[str, str]:
    """Confirm `changes` appointments, and interrupt; the figures."""
    url = database.url.render_as_string(hide_password=False)
    with database.reading() as session:
        query = sa.select(models.Appointment.reference).where(models.Appointment.id.in_(appointments))
        references = iter(session.scalars(query).all())
    with ExitStack() as stack:
        chromium = stack.enter_context(sync_playwright()).chromium
        desks = []
        for cookie in cookies[:2]:
            browser = chromium.launch(executable_path=str(browser_path()))
            stack.callback(browser.close)
            desks.append(Desk(browser, url, cookie, board))
            stack.callback(desks[-1].close)
        one, two = desks
        waits = []
        for number in range(changes):
            actor, watcher = (one, two) if number % 2 else (two, one)
            waits.append(_change(actor, watcher, next(references)))
        found = {"browsers: median, s": f"{statistics.median(waits):.2f}", "worst, s": f"{max(waits):.2f}"}
        found["server killed: caught up, s"] = f"{_kill(one, two, next(references)):.2f}"
        found["database restarted: caught up, s"] = (
            f"{_restart(one, two, references, postgres):.2f}" if postgres is not None else "–"
        )
        found["reloaded"] = str(sum(not desk.was_not_reloaded() for desk in desks))
    return found


def _change(actor: Desk, watcher: Desk, reference: str) -> float:
    watcher.watch(reference)
    pressed = actor.confirm(reference)
    return (watcher.seen() - pressed) / 1000


def _kill(actor: Desk, watcher: Desk, reference: str) -> float:
    """Seconds from the server's being ready again until its board shows what was done meanwhile."""
    watcher.watch(reference)
    port = watcher.kill_server()
    expect(watcher.page.locator("#connection")).to_be_visible(timeout=WAIT_MS)
    actor.confirm(reference)
    ready = watcher.start_server(port)
    taken = (watcher.seen() - ready) / 1000
    watcher.is_live()
    return max(taken, 0.0)


def _restart(actor: Desk, watcher: Desk, references: Iterator[str], postgres: Postgres) -> float:
    """Seconds from the first change that succeeds after the database's restart until the other board shows it."""
    postgres.stop()
    time.sleep(DOWN_SECONDS)
    postgres.start()
    for reference in references:
        watcher.watch(reference)
        actor.watch(reference)
        # The first presses may be refused, and the page says so.
        with suppress(NotInTime, AssertionError):
            pressed = actor.confirm(reference)
            expect(actor.page.locator(f"#appointment-{reference}")).to_have_attribute("data-status", "confirmed")
            taken = (watcher.seen() - pressed) / 1000
            actor.is_live()
            watcher.is_live()
            return taken
    raise AssertionError("Nothing could be changed after the restart.")


class Postgres:
    """A PostgreSQL server that can be stopped and started again."""

    def __init__(self, programs: Programs, home: Path) -> None:
        self._programs, self._home = programs, home
        self._user = unprivileged_user()
        if self._user:
            os.chown(home, self._user.pw_uid, self._user.pw_gid)
            self._programs = _readable(programs, home, self._user)
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        subprocess.run(
            [str(self._programs.folder / "initdb"), "--pgdata", str(home / "data"), *options],
            user=self._user.pw_name if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
            cwd=home,
            check=True,
            capture_output=True,
        )
        self.url = f"postgresql://postgres@/postgres?host={home}"
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = ["listen_addresses=", f"unix_socket_directories={self._home}", "max_connections=200"]
        self._kept = RunningCommand(
            [
                str(self._programs.folder / "postgres"),
                *("-D", str(self._home / "data")),
                *(f"--{setting}" for setting in settings),
            ],
            log=self._home / "log",
            cwd=self._home,
            user=self._user.pw_name if self._user else None,
            stop_signal="SIGINT",
        )
        self._kept.wait_until(lambda: _answers(self.url), seconds=60)

    def stop(self) -> None:
        """Stop as an operator does (fast shutdown)."""
        self._kept.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._kept.stop()


@contextmanager
def restartable_postgres() -> Iterator[Postgres]:
    """A new server on this machine, in a temporary folder."""
    home = Path(tempfile.mkdtemp(prefix="docket-postgres-", dir="/tmp"))
    try:
        with Postgres(next(candidates()), home) as postgres:
            yield postgres
    finally:
        shutil.rmtree(home, ignore_errors=True)

"""A running Docket for the browser, and its users.

The server has the real clock: tests take their times from the page, from `Clinic.today` or from `Clinic.free_time`.
Whenever they run, it is morning in the clinic, so that today began hours ago and does not end during a test.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from tests.browser.shared_server import SharedServer
from tests.cast import PASSWORD, Cast, assemble, assembled, password_hash
from tests.postgres import new_database
from tests.servers import live_server
from webapp import models
from webapp.auth.schemas import Actor
from webapp.event_handlers import wired_database

# The pages are on this machine, which may be slow; a longer wait means that something is broken.
expect.set_options(timeout=30_000)
# With EVERY_DATABASE=1, all tests that name no database run on each kind of it.
EVERY_DATABASE = ["sqlite", "postgresql"] if os.environ.get("EVERY_DATABASE") else []
# The browser's requests pass through a proxy of ours where a test needs another client address.
SETTINGS = {"DOCKET_TRUSTED_PROXIES": "127.0.0.1"}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@dataclass
class Clinic:
    """The clinic of the tests, with a real server."""

    url: str
    cast: Cast
    names: Iterator[str] = field(default_factory=lambda: (f"Pat {chr(65 + number)}." for number in itertools.count()))

    def new_patient(self) -> Actor:
        """A patient that no other test uses."""
        name = next(self.names)
        email = f"{name.lower().replace(' ', '').strip('.')}@docket.example"
        now = datetime.now(UTC)
        user = models.User(
            email=email,
            name=name,
            role="patient",
            password_hash=password_hash(),
            created_at=now,
            email_confirmed_at=now,
        )
        user_id = self.cast.add(user)
        self.cast.add(models.Patient(user_id=user_id, name=name, email=email, created_at=now))
        return Actor(user_id, 0, name, email, "patient")

    @property
    def today(self) -> date:
        """The day in the clinic."""
        return datetime.now(self.cast.zone).date()

    def free_time(self, *, days: int, hour: int = 10, minute: int = 0) -> str:
        """A time on the clinic's wall clock, this many working days after the next one: no two numbers share a day."""
        day = self.today
        while days >= 0:
            day += timedelta(days=1)
            days -= day.weekday() < 5
        return f"{day:%Y-%m-%d} {hour:02d}:{minute:02d}"


@pytest.fixture(scope="module")
def clinic_settings() -> dict[str, str]:
    """Additional settings of the clinic. A module that overrides this fixture gets its own server."""
    return {}


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[SharedServer]:
    """A server for all tests on SQLite that need no additional settings."""
    path = Path(shutil.copyfile(sqlite_template, tmp_path_factory.mktemp("browser") / "docket.db"))
    with live_server(f"sqlite:///{path}", env=SETTINGS) as server:
        yield SharedServer(server.url, path)


@pytest.fixture(scope="module", params=EVERY_DATABASE or ["sqlite"])
def clinic(request: pytest.FixtureRequest, clinic_settings: dict[str, str]) -> Iterator[Clinic]:
    """One running clinic for the tests of a module, on SQLite or on the kind of database that a test names."""
    with ExitStack() as stack:
        if request.param == "sqlite" and not clinic_settings:
            shared: SharedServer = request.getfixturevalue("shared_server")
            shared.fill_from(request.getfixturevalue("sqlite_template_with_cast"))
            database = wired_database(shared.database_url)
            stack.callback(database.dispose)
            cast, at = assembled(database), shared.url
        else:
            url = stack.enter_context(_empty_database(request))
            database = wired_database(url)
            stack.callback(database.dispose)
            cast = assemble(database)
            at = stack.enter_context(live_server(url, env=SETTINGS | clinic_settings)).url
        move_to_the_morning(cast)
        yield Clinic(at, cast)


def move_to_the_morning(cast: Cast) -> None:
    """Move the clinic to a time zone where it is between eight and nine, and which keeps its clocks."""
    cast.now = datetime.now(UTC).replace(microsecond=0)
    east = (8 - cast.now.hour + 12) % 24 - 12
    cast.zone = ZoneInfo(f"Etc/GMT{-east:+d}")
    cast.change(sa.update(models.ClinicSettings).values(time_zone=cast.zone.key, country="NL"))


@contextmanager
def _empty_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database without rows, of the kind that a test names."""
    if request.param == "postgresql":
        template = request.getfixturevalue("postgres_template")
        with new_database(request.getfixturevalue("postgres_url"), template=template) as url:
            yield url
    else:
        path = request.getfixturevalue("tmp_path_factory").mktemp("browser") / "docket.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"


class Complaints:
    """Everything that a browser complained about: errors in the console, and failed requests."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def listen(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self.heard.append(f"script: {error.error}"))
        context.on("requestfailed", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        # The console also reports pages with the status 404 or 409; tests ask for these on purpose.
        is_status = message.text.startswith("Failed to load resource: the server responded with a status of")
        # HTMX also says so of a request that ends because the user leaves the page. `_request` knows which it was.
        is_end = message.text.startswith(("htmx:afterRequest", "htmx:sendError", "htmx:sendAbort"))
        if message.type in {"error", "warning"} and not is_status and not is_end:
            self.heard.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        # Requests that end because the user leaves the page are fine.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.heard.append(f"request: {request.url} {request.failure}")


@pytest.fixture
def open_browser(browser: Browser, clinic: Clinic) -> Iterator[Callable[..., Page]]:
    """Open a new browser window, empty or on a page; the options are Playwright's.

    At the end no window may have complained, except those that were opened with `may_complain`.
    """
    complaints = Complaints()
    contexts: list[BrowserContext] = []

    def open_window(at: str | None = None, *, may_complain: bool = False, **options: Any) -> Page:
        context = browser.new_context(base_url=clinic.url, locale="en-GB", reduced_motion="reduce", **options)
        if not may_complain:
            complaints.listen(context)
        contexts.append(context)
        page = context.new_page()
        if at is not None:
            page.goto(at)
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert complaints.heard == []


def sign_in(page: Page, email: str, *, at: str | None = None) -> None:
    """Sign in with what the form sends, without loading its pages; the tests of the main flow use the form.

    Args:
        at: the page that is opened then.
    """
    answer = page.context.request.post(
        "/login",
        form={"email": email, "password": PASSWORD},
        headers={"sec-fetch-site": "same-origin"},
        max_redirects=0,
    )
    assert answer.status == 303, answer.text()
    if at is not None:
        page.goto(at)

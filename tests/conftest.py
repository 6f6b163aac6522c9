"""The fixtures of all tests: fresh databases of both kinds, a browser, a running server."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from argon2 import PasswordHasher
from sqlalchemy.engine import make_url
from starlette.testclient import TestClient

from tests.browser_path import ARGUMENTS, browser_path
from tests.cast import Cast, assemble, assembled, client_for
from tests.postgres import ReusedDatabase, new_database, postgres_server
from tests.sharing import SharedEngines
from webapp.auth.passwords import service as passwords
from webapp.causes import forget_causes
from webapp.core.logging import TextFormatter
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.migrations import upgrade
from webapp.serving.memory import tune_garbage_collector

# A developer's settings must not affect the tests.
for setting in [name for name in os.environ if name.startswith("DOCKET_")]:
    del os.environ[setting]
# If this is set, the dozens of servers and commands that the tests start compile all of Docket each time, and pytest
# prepares every test file again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


# With EVERY_DATABASE=1, tests of pages run on each kind of database.
EVERY_DATABASE = bool(os.environ.get("EVERY_DATABASE"))

# The files that take longest, the longest first.
LONG = (
    "test_staff_pages.py",
    "test_every_page.py",
    "test_main_flow.py",
    "test_sign_in_life.py",
    "test_calls.py",
    "test_access.py",
    "test_migrations.py",
    "test_new_clinic.py",
    "test_languages.py",
    "test_containers.py",
    "test_schema.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that all workers end at about the same time; one server after the other."""
    items[:] = [item for item in items if _is_needed(item)]
    files = list(dict.fromkeys(item.path for item in items))
    long = [path for name in LONG for path in files if path.name == name]
    places = {path: place for place, path in enumerate(dict.fromkeys([*long, *files]))}

    def place_of(item: pytest.Item) -> tuple[int, str]:
        called = getattr(item, "callspec", None)
        return places[item.path], called.params.get("clinic", "") if called else ""

    items.sort(key=place_of)


def _is_needed(item: pytest.Item) -> bool:
    """Whether a test tells more than others do. Tests of the rules run on both databases, those of pages on SQLite.

    Pages ask the database what the services ask, and `tests.test_access` opens each of them on PostgreSQL as well.
    Tests of pages that ask more than these, such as filters and lists in pages, have the mark `both_databases`.
    """
    called = getattr(item, "callspec", None)
    is_page = "client" in getattr(item, "fixturenames", ())
    if called is None or called.params.get("database_url") != "postgresql" or not is_page:
        return True
    chosen = any(mark.args[0] == "database_url" for mark in item.iter_markers("parametrize"))
    return EVERY_DATABASE or chosen or item.get_closest_marker("both_databases") is not None


@pytest.fixture(scope="session", autouse=True)
def _one_loop() -> Iterator[None]:
    """All clients of this worker share one event loop with its threads, instead of starting one for each request."""
    with start_blocking_portal() as portal:
        TestClient.portal = portal
        yield
        TestClient.portal = None
        # Requests that no test waits for any more.
        portal.call(portal.stop, True)


@pytest.fixture(scope="session", autouse=True)
def _garbage_collected_once() -> Iterator[None]:
    """A process collects its garbage when its application starts. The tests of one process start a thousand."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("webapp.main.tune_garbage_collector", cache(tune_garbage_collector))
        yield


@pytest.fixture(scope="session", autouse=True)
def usual_hashes() -> Iterator[PasswordHasher]:
    """How Docket hashes passwords. The tests use cheap parameters; hashes with the usual ones are verified as usual."""
    usual = passwords.hasher
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(passwords, "hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield usual


@pytest.fixture(autouse=True)
def _a_minute_of_its_own() -> Iterator[None]:
    """What a test logs does not depend on the tests before it, and nothing is logged when it is over."""
    forget_causes()
    yield
    forget_causes()


@pytest.fixture(autouse=True)
def _usual_logging() -> Iterator[None]:
    """An application sends what its process logs to standard error, from INFO on. The next test begins without that.

    Otherwise, what a test hears would depend on the tests before it, and the place where they wrote is closed.
    """
    yield
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in [each for each in root.handlers if isinstance(each.formatter, TextFormatter)]:
        root.removeHandler(handler)


# ------------------------------------------------------------------------------------------- databases


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server on which databases may be created. Each worker of a parallel run has its own."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database on that server. It must have no connections while it is copied."""
    with new_database(postgres_url) as url:
        _migrate(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file."""
    path = tmp_path_factory.mktemp("template") / "docket.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def sqlite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the SQLite file that the tests of this worker use in turn."""
    return tmp_path_factory.mktemp("sqlite")


@pytest.fixture(scope="session")
def sqlite_template_with_cast(sqlite_template: Path) -> Path:
    """A copy of that file in which the cast is assembled."""
    path = shutil.copyfile(sqlite_template, sqlite_template.with_name("cast.db"))
    database = wired_database(f"sqlite:///{path}")
    assemble(database)
    database.dispose()
    return path


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, sqlite_folder: Path) -> str:
    """A fresh, migrated SQLite database; with the cast, if the test has that."""
    with_cast = not {"cast", "sqlite_cast"}.isdisjoint(request.fixturenames)
    template: Path = request.getfixturevalue("sqlite_template_with_cast" if with_cast else "sqlite_template")
    for left in sqlite_folder.glob("docket.db*"):
        left.unlink()
    path = shutil.copyfile(template, sqlite_folder / "docket.db")
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def reused_postgresql(postgres_url: str, postgres_template: str) -> Iterator[ReusedDatabase]:
    """The database that the tests of this worker use in turn."""
    reused = ReusedDatabase(postgres_url, postgres_template)
    yield reused
    reused.close()


@pytest.fixture
def postgresql_url(reused_postgresql: ReusedDatabase, shared_engines: SharedEngines) -> Iterator[str]:
    """An empty, migrated PostgreSQL database."""
    url = reused_postgresql.url()
    yield url
    reused_postgresql.tidy(may_stay=shared_engines.processes(url))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database; the test runs once on each kind, a test of pages only where it says so."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def shared_engines() -> Iterator[SharedEngines]:
    """The engines that the tests of this worker share."""
    shared = SharedEngines()
    yield shared
    shared.dispose()


@pytest.fixture(scope="session")
def open_database(shared_engines: SharedEngines) -> Callable[[str], Database]:
    """A function that opens a database as the tests of this worker share it: see `tests.sharing`."""
    return shared_engines.open


@pytest.fixture
def database(database_url: str, shared_engines: SharedEngines) -> Iterator[Database]:
    """A `Database` for that database."""
    database = shared_engines.open(database_url)
    yield database
    shared_engines.let_go(database)


def _migrate(url: str) -> None:
    database = wired_database(url)
    try:
        upgrade(database)
    finally:
        # Closing the last connection to SQLite moves everything into the one file that is copied.
        database.dispose()


# --------------------------------------------------------------------------------------------- browser


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """pytest-playwright's options for starting a browser, with the one on this machine."""
    path = browser_path()
    if path is None:
        pytest.fail("There is no browser for the tests: make browser gets one.")
    return {**browser_type_launch_args, "executable_path": str(path), "args": list(ARGUMENTS)}


@pytest.fixture(scope="session")
def base_url() -> None:
    """No base URL, because tests open pages by full address. (The plugin's own fixture warns under pytest 9.)"""


# ------------------------------------------------------------------------------------------- the people


@pytest.fixture
def cast(database: Database) -> Cast:
    """The clinic of the tests with its people, on each kind of database."""
    return assembled(database) if database.is_sqlite else assemble(database)


@pytest.fixture
def own(cast: Cast) -> Iterator[Database]:
    """The database of the cast with its own connections, whose settings a test may change."""
    database = wired_database(cast.url)
    yield database
    database.dispose()


@pytest.fixture
def sqlite_cast(sqlite_url: str, open_database: Callable[[str], Database]) -> Iterator[Cast]:
    """The cast on SQLite alone, for tests that do not depend on the database."""
    database = open_database(sqlite_url)
    yield assembled(database)
    database.dispose()


@pytest.fixture
def client(cast: Cast) -> Iterator[TestClient]:
    """Docket's pages of that clinic, signed out."""
    with client_for(cast.database) as client:
        yield client

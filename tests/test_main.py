"""What a server process keeps in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.servers import docket_environment

ROOT = Path(__file__).resolve().parent.parent

# The modules at its start, and after a visitor has looked at two pages; and whether the event loop's thread imports the
# API.
LOADED = """
import sys
import threading
from webapp.main import create_app
app = create_app()
print(*sys.modules)

from starlette.testclient import TestClient
from webapp.models import Base
Base.metadata.create_all(app.state.database.engine)
with TestClient(app) as client:
    client.get("/").raise_for_status()
    assert client.get("/doctors/anna-novak").status_code == 404
    print(*(name for name, module in sys.modules.items() if module is not None))

    importing = []

    def note(event, values):
        if event == "import" and values[0] == "webapp.api_routes":
            importing.append(threading.get_ident())

    sys.addaudithook(note)
    client.get("/api/v1/clinic").raise_for_status()
    print(client.portal.call(threading.get_ident) in importing, len(importing))
"""

# The modules that `docket serve` imports in the process that starts the others.
STARTING = """
import sys
import webapp.cli
import webapp.serving.processes
import webapp.serving.worker_beside
from webapp import database, migrations
print(*sys.modules)
"""

# Like a server that checks three passwords, in the threads in which it does so. Memory is in MiB.
PASSWORDS = """
import asyncio
from pathlib import Path
from starlette.concurrency import run_in_threadpool
from webapp.auth.passwords.service import hash_password
from webapp.main import create_app

def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 / 1024

async def serve():
    app = create_app()
    async with app.router.lifespan_context(app):
        before = memory()
        for _password in range(3):
            await run_in_threadpool(hash_password, "correct horse battery staple")
        print(memory() - before)

asyncio.run(serve())
"""


def answer_of(program: str, tmp_path: Path) -> str:
    environment = docket_environment(f"sqlite:///{tmp_path}/docket.db")
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def test_a_server_starts_without_what_few_requests_use(tmp_path: Path) -> None:
    # Together these take half as much time and memory as everything else that a server imports.
    seldom_used = {
        "alembic",
        "babel",
        "cryptography",
        "css_inline",
        "difflib",
        "holidays",
        "httpx2",
        "icalendar",
        "jwt",
        "phonenumbers",
        "prometheus_client",
        "psycopg",
        "pyotp",
        "rapidfuzz",
        "segno",
        "smtplib",
        "sqlalchemy.dialects.postgresql",
        "statistics",
        "webapp.api_routes",
        "webapp.openapi.description",
        "webapp.openapi.examples",
        "webauthn",
        "zxcvbn",
    }
    at_start, after_a_page, imported_by_loop = answer_of(LOADED, tmp_path).splitlines()
    assert seldom_used.isdisjoint(at_start.split())
    # The client of the test brings some of the others.
    of_no_page = {"alembic", "babel", "sqlalchemy.dialects.postgresql", "webapp.api_routes"}
    assert of_no_page.isdisjoint(after_a_page.split())
    # It takes a tenth of a second, in which the event loop answers others.
    assert imported_by_loop == "False 1"


def test_a_process_that_starts_others_has_neither_pages_nor_what_a_worker_needs(tmp_path: Path) -> None:
    of_others = {"fastapi", "jinja2", "webapp.main", "webapp.models", "webapp.worker"}
    assert of_others.isdisjoint(answer_of(STARTING, tmp_path).split())


def test_a_server_gives_the_memory_for_checking_passwords_back(tmp_path: Path) -> None:
    # Each check takes 19 MiB.
    assert float(answer_of(PASSWORDS, tmp_path)) < 8

"""`make availability`: every doctor's free times over the API, compared with routes that only send the same bytes.

One request asks for 30 days of all 200 doctors in a clinic of about 600,000 appointments. Docket reads hours, leave
and busy times from the database, asks the rules, and writes the JSON. The first baseline is a bare FastAPI route that
returns the same bytes from memory; the second one leaves it to FastAPI to make them from a list of dictionaries.
Times are CPU time of our process in milliseconds, as in `make bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from starlette.responses import Response

from bench import asgi
from bench.data import NOW, TODAY, postgresql_copy, sqlite_copy
from bench.lists import LARGE, TINY
from bench.subjects import Backends
from bench.terminal import say, table
from tests.postgres import postgres_server
from tests.servers import SECRET_KEY
from webapp.config import Settings
from webapp.core.api import API_PREFIX
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.main import create_app

DAYS = 30
PATH = f"{API_PREFIX}/availability"
MANY = "1000000/minute"
HEADINGS = [
    "database",
    "free times",
    "KB",
    "queries",
    "ms",
    "server ms",
    "bare ms",
    "ratio",
    "FastAPI ms",
    "ratio to it",
]


class Comparison:
    """Docket with one clinic, and the two applications that it is compared with."""

    def __init__(self, database: Database, *, days: int = DAYS) -> None:
        self.database = database
        settings = Settings(
            database_url=database.url.render_as_string(hide_password=False),
            secret_key=SECRET_KEY,
            api_rate_limit_anonymous=MANY,
        )
        self.app = create_app(settings, database)
        self.app.state.clock = lambda: NOW
        until = TODAY + timedelta(days=days - 1)
        self.ask = asgi.get(PATH, "", query=f"from={TODAY}&to={until}")
        self.queries = 0
        sa.event.listen(database.engine, "before_cursor_execute", self._count)

    def _count(self, *_cursor: object) -> None:
        self.queries += 1

    async def measure(self, rounds: int) -> list[str]:
        """Let the three answer in turns, after one round as warm-up; returns the row of the table from column two."""
        body = (await asgi.send(self.app, self.ask)).body
        apps = {"docket": self.app, "bare": _sending(body), "fastapi": _serialising(json.loads(body))}
        backends = Backends([self.database])
        spent: dict[str, list[float]] = {name: [] for name in apps}
        server: list[float] = []
        for number in range(rounds + 1):
            for name, app in apps.items():
                self.queries = 0
                theirs, ours = backends.spent(), time.process_time()
                answer = await asgi.send(app, self.ask)
                ours, theirs = (time.process_time() - ours) * 1000, backends.spent() - theirs
                if answer.status != 200 or answer.body != body:
                    raise RuntimeError(f"{name} answered {answer.status} with other bytes: {answer.body[:300]!r}")
                if number:
                    spent[name].append(ours)
                if name == "docket":
                    queries = self.queries
                    server += [theirs] if number else []
        docket, bare, fastapi = (statistics.median(spent[name]) for name in apps)
        return [
            f"{body.count(b'doctor_id'):,}",
            f"{len(body) / 1000:,.0f}",
            str(queries),
            f"{docket:.1f}",
            f"{statistics.mean(server):.1f}",
            f"{bare:.2f}",
            f"{docket / bare:.0f}",
            f"{fastapi:.1f}",
            f"{docket / fastapi:.2f}",
        ]


def _sending(body: bytes) -> FastAPI:
    """An application whose route returns bytes that it holds in memory."""
    app = FastAPI()

    @app.get(PATH)
    def send() -> Response:
        return Response(body, media_type="application/json")

    return app


def _serialising(found: list[dict[str, Any]]) -> FastAPI:
    """An application whose route returns values that it holds in memory; FastAPI turns them into bytes."""
    app = FastAPI()

    @app.get(PATH, response_model=None)
    def send() -> list[dict[str, Any]]:
        return found

    return app


def main() -> int:
    """Measure and print the table; 0 when everything could be measured, with any figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.availability", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--rounds", type=int, default=15, help="rounds whose median counts (15)")
    parser.add_argument("--tiny", action="store_true", help="a small clinic, to see that the tool works")
    options = parser.parse_args()
    rows = []
    for kind in [options.database] if options.database else ["sqlite", "postgresql"]:
        with _opened(kind, tiny=options.tiny) as database:
            rows.append([kind, *asyncio.run(Comparison(database).measure(options.rounds))])
    print(table(HEADINGS, rows, title=f"CPU time of GET {PATH}, {DAYS} days of all doctors"))
    return 0


@contextmanager
def _opened(kind: str, *, tiny: bool) -> Iterator[Database]:
    """The clinic in a database of this kind, removed at the end."""
    size = TINY if tiny else LARGE
    with tempfile.TemporaryDirectory(prefix="docket-availability-") as folder:
        if kind == "sqlite":
            with sqlite_copy(size, Path(folder), say) as url:
                yield from _connected(url)
        else:
            with postgres_server(durable=True) as server, postgresql_copy(size, server, say) as url:
                yield from _connected(url)


def _connected(url: str) -> Iterator[Database]:
    database = wired_database(url)
    try:
        yield database
    finally:
        database.dispose()


if __name__ == "__main__":
    sys.exit(main())

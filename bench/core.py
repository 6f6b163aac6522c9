"""`make core`: what a page costs compared with a bare FastAPI page, with whole servers that take turns.

Each server is its own process with one worker: a bare page, and Docket with one clinic and with one that has ten
times the data, on SQLite and on PostgreSQL. With `--checkout`, another checkout of the code, for example yesterday's,
serves copies of the same clinics in the same run. README.md explains every figure.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from itsdangerous import Signer
from sqlalchemy.orm import Session

from bench.core_servers import Backend, PageRequest, Served, serve
from bench.data import NOW, TODAY, Size, kept_file, postgresql_copy
from bench.terminal import progress, say, table
from tests.postgres import postgres_server
from tests.servers import SECRET_KEY
from webapp import migrations, models
from webapp.auth import sessions
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.core.api import API_PREFIX
from webapp.event_handlers import wired_database

ROOT = Path(__file__).resolve().parent.parent

SIZES = {
    "one": Size("56,000", 20, 2_000, 24),
    "ten": Size("560,000", 20, 2_000, 240),
    "wide": Size("560,000 of 200 doctors", 200, 20_000, 24),
    "tiny": Size("tiny", 12, 20, 0),
}
DAY, MONTH = TODAY + timedelta(days=8), TODAY + timedelta(days=29)

# The most that a page may cost, as a multiple of the bare one.
AIMS = {
    "landing": 15,
    "profile": 7,
    "calendar": 7,
    "one doctor, one day": 4,
    "all doctors, 30 days": 12,
    "my appointments": 9,
    "a doctor's day": 12,
    "overview": 30,
}


@dataclass
class Contestant:
    """One server, its requests, and what each page took in each round, in milliseconds of CPU."""

    name: str
    server: Served
    page_requests: dict[str, PageRequest]
    backend: Backend | None = None
    clinic: str = ""
    own: dict[str, list[float]] = field(default_factory=dict)
    theirs: dict[str, list[float]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)

    def take_turn(self, page: str, seconds: float, *, counts: bool) -> None:
        """Ask for one page repeatedly, for this many seconds."""
        before = self.backend.spent() if self.backend else 0.0
        turn = self.server.ask_for(self.page_requests[page], seconds)
        if counts:
            after = self.backend.spent() if self.backend else 0.0
            self.own.setdefault(page, []).append(turn.cpu_ms)
            self.theirs.setdefault(page, []).append((after - before) / turn.requests)
            self.bodies[page] = turn.body


def main() -> int:
    """Measure and print the tables; 0 when everything could be measured, with any figures."""
    options = _options()
    checkouts = {"": ROOT} | ({"other ": options.checkout.resolve()} if options.checkout else {})
    pages = [page for page in AIMS if not options.only or any(word in page for word in options.only)]
    with ExitStack() as stack:
        bare = stack.enter_context(_bare(pages))
        contestants = [
            stack.enter_context(_contestant(f"{prefix}{kind} {size}", kind, SIZES[size], checkout))
            for kind in ([options.database] if options.database else ["sqlite", "postgresql"])
            for size in options.sizes.split(",")
            for prefix, checkout in checkouts.items()
        ]
        for number in range(options.rounds + 1):
            for page in pages:
                progress(f"Round {number} of {options.rounds}: {page}")
                for each in (bare, *contestants):
                    each.take_turn(page, options.seconds, counts=number > 0)
        progress("")
        _print(bare, contestants, pages)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.core", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--sizes", default="one,ten", help=f"clinics, of {', '.join(SIZES)} (one,ten)")
    parser.add_argument("--checkout", type=Path, help="another checkout of Docket, served beside this one")
    parser.add_argument("--only", action="append", help="only pages with this in their name; may come again")
    parser.add_argument("--seconds", type=float, default=0.2, help="how long a server answers at a turn (0.2)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds whose median counts (5)")
    return parser.parse_args()


# ------------------------------------------------------------------------------------------ contestants


@contextmanager
def _bare(pages: Sequence[str]) -> Iterator[Contestant]:
    """A FastAPI application with one `def` route that returns a small text."""
    with serve("bare_app", ROOT, {}) as server:
        yield Contestant("bare page", server, {page: PageRequest("/") for page in pages})


@contextmanager
def _contestant(name: str, kind: str, size: Size, checkout: Path) -> Iterator[Contestant]:
    """Docket, as it is in this checkout, serving a copy of this clinic."""
    with _clinic(kind, size, checkout) as url:
        page_requests = _prepare(url)
        environment = {
            "DOCKET_DATABASE_URL": url,
            "DOCKET_SECRET_KEY": SECRET_KEY,
            "DOCKET_API_RATE_LIMIT_ANONYMOUS": "1000000/minute",
        }
        with serve("docket_app", checkout, environment) as server:
            backend = Backend(url) if kind == "postgresql" else None
            try:
                yield Contestant(name, server, page_requests, backend, clinic=f"{kind} {size.name}")
            finally:
                if backend:
                    backend.close()


@contextmanager
def _clinic(kind: str, size: Size, checkout: Path) -> Iterator[str]:
    """A copy of this clinic that the code in `checkout` can serve."""
    with ExitStack() as stack:
        if kind == "sqlite":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-core-")))
            copy = folder / "clinic.db"
            # Each checkout creates its own file, because the pages of a downgraded file are in disorder, which is slow.
            shutil.copyfile(_file_of(size, checkout), copy)
            yield f"sqlite:///{copy}"
        else:
            kept_file(size, say)
            server = stack.enter_context(postgres_server(durable=True))
            url = stack.enter_context(postgresql_copy(size, server, say))
            _migrate_to(url, checkout)
            yield url


def _file_of(size: Size, checkout: Path) -> Path:
    """The SQLite file of this clinic that the code in `checkout` makes."""
    if checkout == ROOT:
        return kept_file(size, say)
    code = f"from bench.data import Size, kept_file; print(kept_file(Size{tuple(size)!r}, lambda _words: None))"
    say(f"{checkout} makes its clinic of {size.name} appointments, unless it has it.")
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, env=environment, stdout=subprocess.PIPE, check=True
    )
    return Path(made.stdout.decode().strip())


def _migrate_to(url: str, checkout: Path) -> None:
    """Downgrade the copy to the newest migration that the checkout knows."""
    known = {_revision(file) for file in (checkout / "alembic" / "versions").glob("*.py")}
    ours = [_revision(file) for file in sorted((ROOT / "alembic" / "versions").glob("*.py"))]
    newest = [revision for revision in ours if revision in known][-1]
    if newest != ours[-1]:
        database = wired_database(url)
        migrations.downgrade(database, newest)
        # The planner has no statistics about indexes that were made again, and might read whole tables.
        database.write(lambda session: session.execute(sa.text("ANALYZE")))
        database.dispose()


def _revision(file: Path) -> str:
    found = re.search(r'^revision\b.*?=\s*"([^"]+)"', file.read_text(), re.MULTILINE)
    assert found is not None, f"{file} has no revision."
    return found[1]


def _prepare(url: str) -> dict[str, PageRequest]:
    """Sign in a patient, a doctor and an admin; returns the request for each page of this clinic."""
    database = wired_database(url)
    try:
        return database.write(_page_requests)
    finally:
        database.dispose()


def _page_requests(session: Session) -> dict[str, PageRequest]:
    cookies = {role: _cookie(session, role) for role in ("patient", "doctor", "admin")}
    slug, doctor_id = session.execute(
        sa.select(models.Doctor.slug, models.Doctor.id).order_by(models.Doctor.id).limit(1)
    ).one()
    week = f"{NOW + timedelta(days=7):%G-W%V}"
    return {
        "landing": PageRequest("/"),
        "profile": PageRequest(f"/doctors/{slug}?week={week}"),
        "calendar": PageRequest(f"/doctors/{slug}/calendar?week={week}", cookies["patient"], fragment=True),
        "one doctor, one day": PageRequest(f"{API_PREFIX}/doctors/{doctor_id}/availability?from={DAY}&to={DAY}"),
        "all doctors, 30 days": PageRequest(f"{API_PREFIX}/availability?from={TODAY}&to={MONTH}"),
        "my appointments": PageRequest("/appointments", cookies["patient"]),
        "a doctor's day": PageRequest(f"/schedule/{DAY}", cookies["doctor"]),
        "overview": PageRequest("/admin", cookies["admin"]),
    }


def _cookie(session: Session, role: str) -> str:
    """The cookie of a new session of the first account with this role."""
    users = sa.select(models.User.id).where(models.User.role == role).order_by(models.User.id)
    user_id = session.scalars(users).first()
    assert user_id is not None, f"The clinic has no {role}."
    secret = sessions.start_session(session, user_id, address="127.0.0.1", user_agent="bench", now=NOW)
    return f"{SESSION_COOKIE}={Signer([SECRET_KEY], salt='docket.session').sign(secret).decode()}"


# ------------------------------------------------------------------------------------------ the figures


def _print(bare: Contestant, contestants: Sequence[Contestant], pages: Sequence[str]) -> None:
    """Print the ratios of the pages, then their milliseconds, then the start-up time and memory of each process."""
    names = [each.name for each in contestants]
    ratios = [[page, *(_ratio(each, bare, page) for each in contestants), str(AIMS[page])] for page in pages]
    print(table(["page", *names, "aim"], ratios, title="CPU beside the bare page"))
    spent = [
        [
            page,
            f"{len(contestants[0].bodies[page]) / 1000:,.1f}",
            *(_spent(each, page) for each in [bare, *contestants]),
        ]
        for page in pages
    ]
    print(table(["page", "KB", bare.name, *names], spent, title="ms of CPU a request (and PostgreSQL's own)"))
    processes = [
        [each.name, f"{each.server.start_seconds:.2f}", *(f"{mib:.0f}" for mib in each.server.memory())]
        for each in (bare, *contestants)
    ]
    print(table(["process", "s of CPU to start", "MiB at the end", "of it its own"], processes))
    for page in pages:
        for each in contestants:
            first = next(other for other in contestants if other.clinic == each.clinic)
            if each.bodies[page] != first.bodies[page]:
                print(f"{each.name} answers {page} with other bytes than {first.name}.")
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}.")


def _ratio(mine: Contestant, bare: Contestant, page: str) -> str:
    """The median of the page's rounds divided by that of all turns of the bare page, which are spread over the run."""
    turns = [ms for rounds in bare.own.values() for ms in rounds]
    return f"{statistics.median(mine.own[page]) / statistics.median(turns):.1f}"


def _spent(mine: Contestant, page: str) -> str:
    server = f" + {statistics.mean(mine.theirs[page]):.2f}" if mine.backend else ""
    return f"{statistics.median(mine.own[page]):.2f}{server}"


if __name__ == "__main__":
    sys.exit(main())

"""`make lists`: how long the staff pages take in a large clinic compared with a small one, and their queries.

The large clinic has 200 doctors, 50,000 patients and about 600,000 appointments; the small one has the same doctors, a
tenth of the patients and a fifteenth of the appointments. Times are CPU time of our process in milliseconds, as in
`make bench`; PostgreSQL's own time is in *server ms*. A page that takes as long in both does not grow with its table.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from itsdangerous import Signer
from sqlalchemy.orm import Session

from bench import asgi
from bench.data import NOW, Size, postgresql_copy, sqlite_copy
from bench.subjects import Backends
from bench.terminal import say, table
from tests.postgres import postgres_server
from tests.servers import SECRET_KEY
from webapp import models
from webapp.auth import sessions
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.config import Settings
from webapp.event_handlers import wired_database
from webapp.main import create_app

SMALL = Size("40,000, 5,000 patients", 200, 5_000, 1)
LARGE = Size("600,000, 50,000 patients", 200, 50_000, 27)
TINY = Size("tiny", 12, 20, 0)

ADMIN_PAGES = (
    ("/admin", ""),
    ("/admin/appointments", ""),
    ("/admin/appointments", "from=2020-01-01"),
    ("/admin/appointments", "from=2020-01-01&status=no_show"),
    ("/admin/appointments", "from=2020-01-01&doctor={slug}"),
    ("/admin/appointments", "from=2020-01-01&doctor={slug}&status=cancelled"),
    ("/admin/appointments", "from=2020-01-01&patient={patient}"),
    ("/admin/appointments", "from=2020-01-01&flagged=1"),
    ("/admin/appointments", "from=2020-01-01&sort=booked"),
    ("/admin/patients", ""),
    ("/admin/patients", "q={patient}"),
    ("/admin/patients", "q={mistyped}"),
    ("/admin/doctors", ""),
    ("/admin/users", ""),
    ("/admin/reports", ""),
    ("/admin/reports", "by=doctor"),
    ("/admin/audit", ""),
    ("/admin/audit", "action=cancelled"),
)
DOCTOR_PAGES = (("/schedule", ""), ("/schedule/week/{week}", ""))


class StaffedClinic:
    """One clinic, with a signed-in admin and a signed-in doctor."""

    def __init__(self, url: str) -> None:
        self.database = wired_database(url)
        self.settings = Settings(database_url=url, secret_key=SECRET_KEY)
        self.app = create_app(self.settings, self.database)
        self.app.state.clock = lambda: NOW
        self.queries = 0
        sa.event.listen(self.database.engine, "before_cursor_execute", self._count)
        self.url_values = self.database.write(_url_values)
        self.cookies = {role: self._cookie(role) for role in ("admin", "doctor")}
        with self.database.reading() as session:
            self.appointments = session.scalar(sa.select(sa.func.count(models.Appointment.id))) or 0

    def _count(self, *_cursor: object) -> None:
        self.queries += 1

    def _cookie(self, role: str) -> str:
        """The session cookie of the first account with this role."""
        secret = self.database.write(_sign_in, role)
        return f"{SESSION_COOKIE}={Signer(self.settings.secret_keys, salt='docket.session').sign(secret).decode()}"

    def pages(self) -> Iterator[tuple[str, asgi.PreparedRequest]]:
        """Every measured page: its name and its request."""
        for role, pages in (("admin", ADMIN_PAGES), ("doctor", DOCTOR_PAGES)):
            for path, query in pages:
                name = f"{path}?{query}" if query else path
                query = query.format(**self.url_values)
                yield name, asgi.get(path.format(**self.url_values), self.cookies[role], query=query)


def _sign_in(session: Session, role: str) -> str:
    user_id = session.scalars(
        sa.select(models.User.id).where(models.User.role == role).order_by(models.User.id)
    ).first()
    assert user_id is not None
    return sessions.start_session(session, user_id, address="127.0.0.1", user_agent="bench", now=NOW)


def _url_values(session: Session) -> dict[str, str]:
    """The values in the addresses: a doctor, a patient's name, the same name with a typing mistake, and a week."""
    slug = session.scalars(sa.select(models.Doctor.slug).order_by(models.Doctor.id)).first()
    name = session.scalars(sa.select(models.Patient.name).order_by(models.Patient.id.desc())).first()
    assert slug
    assert name
    last = name.split()[-1].lower()
    mistyped = f"{last[:2]}{last[3:2:-1]}{last[2]}{last[4:]}" if len(last) > 4 else f"{last}x"
    week = f"{NOW + timedelta(days=7):%G-W%V}"
    return {"slug": slug, "patient": name.replace(" ", "+"), "mistyped": mistyped, "week": week}


async def measure(clinics: list[StaffedClinic], rounds: int) -> list[list[str]]:
    """Let all pages of all clinics take turns; returns a row for each page."""
    backends = Backends([clinic.database for clinic in clinics])
    pages = [list(clinic.pages()) for clinic in clinics]
    spent: dict[tuple[str, int], list[tuple[float, float, int]]] = {}
    for number in range(rounds + 1):
        for of_page in zip(*pages, strict=True):
            for at, (name, ask) in enumerate(of_page):
                clinics[at].queries = 0
                theirs, ours = backends.spent(), time.process_time()
                answer = await asgi.send(clinics[at].app, ask)
                ours, theirs = (time.process_time() - ours) * 1000, backends.spent() - theirs
                if answer.status != 200:
                    raise RuntimeError(f"{name} answered {answer.status}: {answer.body[:300]!r}")
                if number:
                    spent.setdefault((name, at), []).append((ours, theirs, clinics[at].queries))
    rows = []
    for name, _ask in pages[0]:
        of_clinics = [spent[name, at] for at in range(len(clinics))]
        own = [statistics.median(each[0] for each in found) for found in of_clinics]
        server = [statistics.mean(each[1] for each in found) for found in of_clinics]
        numbers = [f"{max(each[2] for each in found)}" for found in of_clinics]
        rows.append(
            [
                name,
                *(f"{each:.1f}" for each in own),
                f"{own[-1] / own[0]:.2f}",
                *(f"{each:.1f}" for each in server),
                " / ".join(numbers),
            ]
        )
    return rows


def main() -> int:
    """Measure and print the tables; 0 when everything could be measured, with any figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--rounds", type=int, default=7, help="rounds whose median counts (7)")
    parser.add_argument("--tiny", action="store_true", help="a small clinic, to see that the tool works")
    options = parser.parse_args()
    sizes = [TINY] if options.tiny else [SMALL, LARGE]
    for kind in [options.database] if options.database else ["sqlite", "postgresql"]:
        with _opened(kind, sizes) as clinics:
            rows = asyncio.run(measure(clinics, options.rounds))
            counts = [f"{clinic.appointments:,}" for clinic in clinics]
            server = [f"server ms, {count}" for count in counts]
            headings = ["page", *(f"ms, {count}" for count in counts), "ratio", *server, "queries"]
            print(table(headings, rows, title=f"{kind}: CPU time of the pages of staff"))
    return 0


@contextmanager
def _opened(kind: str, sizes: list[Size]) -> Iterator[list[StaffedClinic]]:
    """The clinics in databases of this kind, removed at the end."""
    with ExitStack() as stack:
        if kind == "sqlite":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-lists-")))
            urls = [stack.enter_context(sqlite_copy(size, folder, say)) for size in sizes]
        else:
            server = stack.enter_context(postgres_server(durable=True))
            urls = [stack.enter_context(postgresql_copy(size, server, say)) for size in sizes]
        clinics = [StaffedClinic(url) for url in urls]
        for clinic in clinics:
            stack.callback(clinic.database.dispose)
        yield clinics


if __name__ == "__main__":
    sys.exit(main())

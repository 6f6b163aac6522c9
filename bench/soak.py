"""`python -m bench.soak`: a quarter of an hour of mixed use, after which memory and open files must be what they were.

`docket serve --workers 2` answers visitors who look around, patients who book and cancel on pages, the front desk with
its board, lists and searches, an admin, boards that stay open for a while, and people who do wrong: unknown addresses
and wrong passwords. The first part of the time fills caches; from its end to the end of all, the memory and the
descriptors of the server processes may grow by five per cent.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx2
import sqlalchemy as sa
from itsdangerous import Signer
from sqlalchemy.orm import Session

from bench.overload import SETTINGS, _clinic
from bench.terminal import progress, say, table
from tests.reading import Element, read
from tests.servers import SECRET_KEY, live_server
from webapp import models
from webapp.auth import sessions
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.core.clock import utc_now
from webapp.event_handlers import wired_database
from webapp.serving.ports import listening_processes

MOST_GROWTH = 0.05
LOOK_EVERY = 5.0
HEADINGS = ["database", "answers", "booked", "503", "5xx", "MB", "MB later", "", "files", "files later", ""]


class Load(NamedTuple):
    """The resources of the server processes: resident memory in MB, and open descriptors."""

    memory: float
    files: int


class Person:
    """A browser with the session of one of several people, or without one."""

    def __init__(self, url: str, cookies: list[str], seen: Counter[str], seed: int) -> None:
        self.client = httpx2.Client(base_url=url, headers={"origin": url}, timeout=60)
        self.cookies = cookies
        self.seen = seen
        self.choice = random.Random(seed)

    def change(self) -> None:
        """Let another of these people use the browser: each of them may book only a few times in a day."""
        self.client.headers["cookie"] = self.choice.choice(self.cookies)

    def open(self, address: str) -> Element:
        """Open a page."""
        return read(self._counted(self.client.get(address)))

    def send(self, address: str, fields: dict[str, str]) -> str:
        """Send a form; the address that it leads to, or ''."""
        return self._counted(self.client.post(address, data=fields)).headers.get("location", "")

    def follow(self, page: Element, start: str) -> Element | None:
        """Follow one of the links that begin so, if there is any."""
        links = [link for link in page.links if link.startswith(start)]
        return self.open(self.choice.choice(links)) if links else None

    def _counted(self, answer: httpx2.Response) -> httpx2.Response:
        self.seen["answers"] += 1
        if answer.status_code >= 500:
            self.seen["503" if answer.status_code == 503 else "5xx"] += 1
        return answer


def visit(person: Person) -> None:
    """A visitor looks for a doctor, and does something wrong."""
    for address in ("/", "/login", "/doctors", "/api/v1/doctors"):
        person.open(address) if not address.startswith("/api") else person.client.get(address).read()
    if (profile := person.follow(person.open("/doctors"), "/doctors/")) is not None:
        person.follow(profile, "/doctors/")
    person.open(f"/nothing/{person.choice.random()}")
    person.send("/login", {"email": f"x{person.choice.random()}@docket.example", "password": "a wrong password"})


def book_and_cancel(person: Person) -> None:
    """A patient books a time, looks at it, and cancels it."""
    profile = person.follow(person.open("/doctors"), "/doctors/")
    times = [link for link in profile.links if link.startswith("/book")] if profile is not None else []
    # The last of the week, because a time within the notice could not be cancelled.
    page = person.open(times[-1]) if times else None
    fields = page.form("/appointments") if page is not None and page.all("form", action="/appointments") else {}
    address = urlsplit(person.send("/appointments", fields)).path if fields else ""
    person.open("/appointments")
    if address.startswith("/appointments/"):
        person.seen["booked"] += 1
        person.open(address)
        # A time within the notice is the clinic's to cancel.
        form = person.open(f"{address}/cancellation").all("form", action=f"{address}/cancellation")
        if form:
            person.send(f"{address}/cancellation", form[0].values())


def work_at_desk(person: Person) -> None:
    """The front desk looks at the board, searches and opens lists."""
    for address in ("/board", "/admin/appointments", "/desk/booking", "/admin/patients?q=an", "/desk/calls"):
        page = person.open(address)
        person.follow(page, "/board/")


def administer(person: Person) -> None:
    """An admin opens the overview, the reports and settings."""
    for address in ("/admin", "/admin/reports", "/admin/clinic", "/admin/audit", "/admin/messages", "/admin/hours"):
        person.open(address)


def watch_board(person: Person) -> None:
    """A board is open for some seconds, and closed without a word."""
    until = time.monotonic() + person.choice.uniform(0.5, 5)
    with person.client.stream("GET", "/live", headers={"accept": "text/event-stream"}) as answer:
        person.seen["answers"] += 1
        for _line in answer.iter_lines():
            if time.monotonic() > until:
                return


def main() -> int:
    """Measure and print; 0 when nothing has grown by more than it may, and no answer was an error."""
    options = _options()
    rows, good = [], True
    for kind in [options.database] if options.database else ["sqlite", "postgresql"]:
        with _clinic(kind) as url, live_server(url, workers=2, env=SETTINGS) as server:
            seen, first, last = _use(server.url, url, options.minutes)
        growth = [later / before - 1 for before, later in zip(first, last, strict=True)]
        rows.append([
            kind,
            *(f"{seen[what]:,}" for what in ("answers", "booked", "503", "5xx")),
            *(f"{first.memory:.0f}", f"{last.memory:.0f}", f"{growth[0]:+.1%}"),
            *(str(first.files), str(last.files), f"{growth[1]:+.1%}"),
        ])  # fmt: skip
        good &= max(growth) <= MOST_GROWTH and not seen["5xx"]
    say(table(HEADINGS, rows, title=f"{options.minutes:g} minutes of mixed use with two processes"))
    return 0 if good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--minutes", type=float, default=15, help="how long (15)")
    return parser.parse_args()


def _use(address: str, url: str, minutes: float) -> tuple[Counter[str], Load, Load]:
    """Use the server, and look at what it holds: after the first third, and in the last minutes."""
    cookies = _cookies(url)
    seen: Counter[str] = Counter()
    stop, port = threading.Event(), int(address.rpartition(":")[2])
    parts: list[tuple[Callable[[Person], None], list[str]]] = [
        (visit, [""]), (visit, [""]), (book_and_cancel, cookies["patient"]), (book_and_cancel, cookies["patient"]),
        (work_at_desk, cookies["receptionist"]), (administer, cookies["admin"]),
        (watch_board, cookies["receptionist"]), (watch_board, cookies["admin"]),
    ]  # fmt: skip
    people = [
        threading.Thread(target=_go_on, args=(act, Person(address, theirs, seen, number), stop), daemon=True)
        for number, (act, theirs) in enumerate(parts)
    ]
    for each in people:
        each.start()
    looks: list[Load] = []
    end = time.monotonic() + 60 * minutes
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(LOOK_EVERY, left))
        looks.append(_load(port))
        progress(f"{left / 60:.1f} minutes left; {seen['answers']:,} answers, {looks[-1]}")
    stop.set()
    for each in people:
        each.join(timeout=60)
    progress("")
    third = max(len(looks) // 3, 1)
    tenth = max(len(looks) // 10, 1)
    return seen, _mean(looks[third : third + tenth] or looks[-1:]), _mean(looks[-tenth:])


def _go_on(act: Callable[[Person], None], person: Person, stop: threading.Event) -> None:
    while not stop.is_set():
        person.change()
        try:
            act(person)
        except httpx2.HTTPError as error:
            person.seen[f"{type(error).__name__}"] += 1
    person.client.close()


def _mean(looks: list[Load]) -> Load:
    return Load(sum(each.memory for each in looks) / len(looks), round(sum(each.files for each in looks) / len(looks)))


def _load(port: int) -> Load:
    folders = [Path(f"/proc/{each.pid}") for each in listening_processes(port)]
    pages = sum(int((folder / "statm").read_text().split()[1]) for folder in folders)
    return Load(pages * 4 / 1024, sum(len(list((folder / "fd").iterdir())) for folder in folders))


def _cookies(url: str) -> dict[str, list[str]]:
    """The cookies of new sessions, one for each account of a role."""
    database = wired_database(url)
    try:
        return database.write(_sign_in)
    finally:
        database.dispose()


def _sign_in(session: Session) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    session.execute(sa.update(models.SignInRules).values(factor_admins=False))
    for role in ("patient", "receptionist", "admin"):
        users = sa.select(models.User.id).where(models.User.role == role).order_by(models.User.id)
        for user_id in session.scalars(users).all():
            secret = sessions.start_session(session, user_id, address="127.0.0.1", user_agent="bench", now=utc_now())
            cookie = Signer([SECRET_KEY], salt="docket.session").sign(secret).decode()
            found.setdefault(role, []).append(f"{SESSION_COOKIE}={cookie}")
    return found


if __name__ == "__main__":
    sys.exit(main())

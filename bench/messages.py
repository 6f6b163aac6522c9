"""`make messages`: messages arrive, once, whatever happens to workers, servers and the mail server.

Four proofs on each database, with a real mail server: workers that are killed at each step; two workers at once; a
server that is killed amid bookings; and mail servers that refuse, put off and hang, while patients book.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from bench import mortal
from bench.contest import build_arena
from bench.houses import docket_check, empty_database
from bench.mortal import AFTER_SEND, BEFORE_MARK, MAIL_FROM, STEPS
from bench.terminal import BOLD, GREEN, RED, paint, say, table
from bench.visitors import Visitor, place_of, time_bookings
from tests.mail_server import MailServer, mail_server
from tests.postgres import postgres_server
from tests.processes import Kept
from tests.servers import SECRET_KEY, docket_environment, free_port, live_server
from webapp.appointments.booking import service
from webapp.appointments.schemas import Booking
from webapp.auth.schemas import Actor
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.event_handlers import wired_database
from webapp.models import OutboxMessage, Patient, User
from webapp.notifications.exceptions import ServerAway
from webapp.worker import Worker

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
# What the mail server does while patients book; with 550 every second patient's address is unknown.
TROUBLES = {"taken": "", "refused": "", "421": "421 go away", "450": "450 later", "550": "550 no such user",
            "hang": "hang"}  # fmt: skip
# What these are compared with: bookings of patients who want no messages, and messages that nobody delivers.
UNTOLD, UNDELIVERED = "nobody is told", "undelivered"
LONGEST = 1.0
# The first answers of a process take longer, whatever they are about.
WARM_UP = 30


class House:
    """One database with its clinic, and what the proofs ask of it. Bookings are numbered through."""

    def __init__(self, url: str, *, bookings: int) -> None:
        self.url = url
        self.arena = build_arena(url, rounds=bookings // 12 + 1)
        self.database = wired_database(url)
        self.booked = 0

    def numbers(self, count: int) -> range:
        """That many numbers of bookings that nobody had yet."""
        self.booked += count
        return range(self.booked - count, self.booked)

    def want_messages(self, *, wanted: bool) -> None:
        """Whether patients want e-mails."""
        self.database.write(lambda session: session.execute(sa.update(Patient).values(wants_email=wanted)))

    def messages(self) -> list[Any]:
        """All messages in the outbox."""
        with self.database.reading() as session:
            return list(session.execute(sa.select(OutboxMessage.__table__)).all())

    def forget_messages(self) -> None:
        """Empty the outbox."""
        self.database.write(lambda session: session.execute(sa.delete(OutboxMessage)))

    def deliver_all(self, server: MailServer) -> None:
        """Deliver what waits, on a clock that jumps ahead over leases and pauses."""
        ahead = timedelta()
        settings = Settings(smtp_url=server.url, secret_key=SECRET_KEY, mail_from=MAIL_FROM)
        worker = Worker(self.database, settings, base_url="http://127.0.0.1", clock=lambda: utc_now() + ahead)
        mail = worker.couriers[0]
        while any(message.status in {"waiting", "sending"} for message in self.messages()):
            ahead += timedelta(minutes=61)
            try:
                while mail.deliver_next():
                    pass
            except ServerAway as away:
                say(f"  {away}")
        mail.sender.close()


@contextmanager
def house(kind: str, *, bookings: int) -> Iterator[House]:
    """A house over a fresh database of this kind."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server(durable=True)) if kind == "postgresql" else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-messages-")))
        made = House(stack.enter_context(empty_database(kind, server, folder)), bookings=bookings)
        stack.callback(made.database.dispose)
        yield made


class Finding(NamedTuple):
    """One line of the table: what was tried, what came of it, and whether that is what is promised."""

    kind: str
    tried: str
    messages: int
    arrived: int
    repeated: int
    dead: int
    lost: int
    notes: str
    good: bool

    def row(self) -> list[str]:
        """The line's cells."""
        numbers = (self.messages, self.arrived, self.repeated, self.dead, self.lost)
        words = "as promised" if self.good else "NOT AS PROMISED"
        return [NAMES[self.kind], self.tried, *(f"{each:,}" for each in numbers), self.notes, words]


HEADINGS = ["database", "tried", "messages", "arrived", "again", "dead", "lost", "", ""]


def count(kind: str, tried: str, made: House, server: MailServer, *, notes: str = "") -> Finding:
    """What became of all messages: those that arrived, arrived again, were given up, and were lost."""
    arrivals = Counter(message_id.strip("<>").partition("@")[0] for message_id in server.ids())
    messages = made.messages()
    lost = [
        m for m in messages if (m.status == "sent") != (m.message_id in arrivals) or m.status in {"waiting", "sending"}
    ]
    dead = sum(message.status == "dead" for message in messages)
    repeated = sum(arrived - 1 for arrived in arrivals.values())
    return Finding(kind, tried, len(messages), len(arrivals), repeated, dead, len(lost), notes, not lost)


# ---------------------------------------------------------------------------------------------------- the proofs


def prove_kills(kind: str, made: House, rounds: int) -> Iterator[Finding]:
    """Workers that die at each step, and one that comes after them."""
    # Each worker begins as a copy of a process that has imported everything.
    context = get_context("forkserver")
    context.set_forkserver_preload([mortal.__name__])
    for step in STEPS:
        made.forget_messages()
        book_all(made, made.numbers(rounds))
        with mail_server() as server:
            workers = [context.Process(target=mortal.live, args=(step, made.url, server.url)) for _ in range(rounds)]
            for worker in workers:
                worker.start()
                worker.join()
            died = {worker.exitcode for worker in workers} == {-signal.SIGKILL}
            made.deliver_all(server)
            found = count(kind, f"kill -9 at {step}", made, server)
            expected = rounds if step in {AFTER_SEND, BEFORE_MARK} else 0
            yield found._replace(good=found.good and died and found.repeated == expected)


def prove_two_workers(kind: str, made: House, messages: int) -> Finding:
    """Two `docket worker` over one outbox, and nobody is killed."""
    made.forget_messages()
    book_all(made, made.numbers(messages))
    with mail_server() as server, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(worker_process(made.url, server))
        wait_for(lambda: all(message.status == "sent" for message in made.messages()), seconds=300)
        stack.close()
        found = count(kind, "two workers", made, server)
    return found._replace(good=found.good and found.repeated == 0)


def prove_server_kills(kind: str, made: House, bookings: int) -> Finding:
    """`docket serve`, killed with -9 again and again amid bookings: each that was acknowledged is told of once."""
    made.forget_messages()
    acknowledged: list[str] = []
    numbers = iter(made.numbers(bookings))
    lock, over = threading.Lock(), threading.Event()
    places = {"port": 0}

    def book() -> None:
        visitor = Visitor(made.arena, 0)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            visitor.port = places["port"]
            try:
                reference = visitor.book(number)
            except (OSError, http.client.HTTPException):
                up.wait(60)
                continue
            acknowledged.append(reference)
        visitor.close()
        over.set()

    up, kills, every = threading.Event(), 0, max(1, bookings // 12)
    with mail_server() as server:
        env = {"DOCKET_SMTP_URL": server.url, "DOCKET_MAIL_FROM": MAIL_FROM}
        threads = [threading.Thread(target=book) for _ in range(4)]
        while not over.is_set():
            with live_server(made.url, delivers=True, env=env) as live:
                places["port"] = int(live.url.rsplit(":", 1)[1])
                up.set()
                for thread in threads:
                    if not thread.ident:
                        thread.start()
                enough = every * (kills + 1)
                wait_for(partial(_is_enough, acknowledged, enough, over), seconds=60)
                if over.is_set():
                    break
                up.clear()
                os.kill(live.process.pid, signal.SIGKILL)
                kills += 1
        for thread in threads:
            thread.join()
        made.deliver_all(server)
        # A mail that came twice has one Message-ID: its worker was killed along with the server.
        told = Counter(
            reference for reference, _id in {(reference_in(mail), mail["Message-ID"]) for mail in server.mails}
        )
        found = count(kind, f"kill -9 of the server, {kills} times", made, server)
    wrong = [reference for reference in acknowledged if told[reference] != 1]
    notes = f"{len(acknowledged)} acknowledged, {len(wrong)} not told once"
    return found._replace(notes=notes, good=found.good and not wrong and kills > 0 and len(acknowledged) > 0)


def _is_enough(acknowledged: list[str], enough: int, over: threading.Event) -> bool:
    return over.is_set() or len(acknowledged) >= enough


def prove_troubles(kind: str, made: House, *, rounds: int, bookings: int) -> Iterator[Finding]:
    """How long booking takes while the mail server does what mail servers do, beside that of undelivered messages."""
    took: dict[str, list[float]] = {name: [] for name in (UNTOLD, UNDELIVERED, *TROUBLES)}
    medians: dict[str, list[float]] = {name: [] for name in took}
    findings: dict[str, Finding] = {}
    for number in range(rounds):
        for name in random.Random(number).sample(list(took), len(took)):
            made.forget_messages()
            made.want_messages(wanted=name != UNTOLD)
            times = _time_bookings(kind, made, name, bookings, findings)
            took[name] += times
            medians[name].append(statistics.median(times))
    for name, found in findings.items():
        ratio = statistics.median(a / b for a, b in zip(medians[name], medians[UNDELIVERED], strict=True))
        median, worst = statistics.median(took[name]) * 1000, max(took[name])
        notes = f"median {median:.1f} ms, {ratio:.2f} of that undelivered; worst {worst * 1000:.0f} ms"
        if name == UNDELIVERED:
            plain = statistics.median(took[UNTOLD]) * 1000
            notes = f"median {median:.1f} ms, where nobody is told {plain:.1f} ms; worst {worst * 1000:.0f} ms"
        good = found.good and worst < LONGEST and (name != "550" or found.dead > 0)
        yield found._replace(notes=notes, good=good)


def _time_bookings(kind: str, made: House, name: str, bookings: int, findings: dict[str, Finding]) -> list[float]:
    """Seconds that each booking took under one kind of trouble; what became of the messages goes into `findings`."""
    trouble = TROUBLES.get(name, "")
    healed = threading.Event()

    def verdict(recipient: str) -> str:
        unknown = name == "550" and int("".join(filter(str.isdigit, recipient)) or 0) % 2
        return trouble if (unknown or (name != "550" and not healed.is_set())) else ""

    with mail_server(verdict) as server:
        port = free_port() if name == "refused" else server.port
        env = {"DOCKET_SMTP_URL": f"smtp://127.0.0.1:{port}", "DOCKET_MAIL_FROM": MAIL_FROM}
        with live_server(made.url, delivers=name in TROUBLES, env=env) as live:
            port = int(live.url.rsplit(":", 1)[1])
            # The mail server is in this process, so whoever counts the time is in another one.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as clock:
                clock.submit(time_bookings, made.arena, port, made.numbers(WARM_UP)).result()
                if name in TROUBLES:
                    wait_for(lambda: any(message.tries for message in made.messages()), seconds=60)
                times = clock.submit(time_bookings, made.arena, port, made.numbers(bookings)).result()
            server.let_go()
        healed.set()
        made.deliver_all(server)
        if name != UNTOLD:
            findings[name] = count(kind, f"booking: {name}", made, server)
    return times


# ------------------------------------------------------------------------------------------------------- helpers


def book_all(made: House, numbers: range) -> None:
    """Book these visits while nobody delivers anything."""
    with made.database.reading() as session:
        people = session.execute(sa.select(User.id, User.name, User.email).order_by(User.id)).all()
    for number in numbers:
        person = people[number % len(people)]
        actor = Actor(person.id, 0, person.name, person.email, "patient")
        doctor, starts_at = place_of(made.arena, number)
        wanted = Booking(doctor=doctor, visit_type_id=made.arena.kinds[30], starts_at=datetime.fromisoformat(starts_at))
        made.database.write(service.book, actor, wanted, now=utc_now())


@contextmanager
def worker_process(url: str, server: MailServer) -> Iterator[Kept]:
    """A `docket worker`."""
    folder = Path(tempfile.mkdtemp(prefix="docket-worker-"))
    env = docket_environment(url, {"DOCKET_SMTP_URL": server.url, "DOCKET_MAIL_FROM": MAIL_FROM})
    command = [str(Path(sys.executable).with_name("docket")), "worker"]
    with Kept(command, log=folder / "log", cwd=folder, env=env, remove=folder) as kept:
        yield kept


def reference_in(mail: Any) -> str:
    """The reference of the visit that a mail tells of."""
    text = mail.get_body(("plain",)).get_content()
    return str(text.partition("Reference: ")[2].split()[0])


def wait_for(done: Callable[[], bool], *, seconds: float) -> None:
    """Look again and again whether it is done."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"It was not done in {seconds:g} s.")
        time.sleep(0.01)


def main(arguments: list[str] | None = None) -> int:
    """Run the proofs; 0 when everything went as promised."""
    parser = argparse.ArgumentParser(prog="python -m bench.messages", description=__doc__)
    parser.add_argument("--database", choices=list(NAMES), help="only this one")
    parser.add_argument("--kills", type=int, default=25, help="workers that die at each step (25)")
    parser.add_argument("--messages", type=int, default=500, help="messages for two workers (500)")
    parser.add_argument("--bookings", type=int, default=500, help="bookings amid which the server is killed (500)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each trouble of the mail server (5)")
    parser.add_argument("--timed", type=int, default=100, help="bookings that are timed in each (100)")
    options = parser.parse_args(arguments)
    began = datetime.now().astimezone()
    say(f"Messages, from {began:%d %B %Y, %H:%M}.")
    total = (
        options.kills * 4
        + options.messages
        + options.bookings
        + options.rounds * (len(TROUBLES) + 2) * (options.timed + WARM_UP)
    )
    findings: list[Finding] = []
    checks: list[int] = []
    for kind in [options.database] if options.database else NAMES:
        with house(kind, bookings=total) as made:
            findings += prove_kills(kind, made, options.kills)
            findings.append(prove_two_workers(kind, made, options.messages))
            findings.append(prove_server_kills(kind, made, options.bookings))
            findings += prove_troubles(kind, made, rounds=options.rounds, bookings=options.timed)
            code, words = docket_check(made.url)
            checks.append(code)
            say(f"{NAMES[kind]}: docket check: exit {code}. {words}")
    say(table(HEADINGS, [finding.row() for finding in findings], title="Messages"))
    good = all(finding.good for finding in findings) and not any(checks)
    say(paint("Proved." if good else "Not proved: see the table.", BOLD, GREEN if good else RED))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

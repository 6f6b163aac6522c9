"""`make messages`: messages arrive, once, whatever happens to workers, servers and the mail server.

Four proofs on each database, with a real mail server: workers that are killed at each step, two workers at once, a
server that is killed during bookings, and mail servers that refuse, delay and hang while patients book.
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

from bench import crashing_worker
from bench.booking_client import BookingClient, place_of, time_bookings
from bench.contest import build_arena
from bench.crashing_worker import AFTER_SEND, BEFORE_MARK, MAIL_FROM, STEPS
from bench.servers import docket_check, empty_database
from bench.terminal import BOLD, GREEN, RED, paint, say, table
from tests.mail_server import MailServer, mail_server
from tests.postgres import postgres_server
from tests.processes import RunningCommand
from tests.servers import SECRET_KEY, docket_environment, free_port, live_server
from webapp.appointments.booking import service
from webapp.appointments.schemas import Booking
from webapp.auth.schemas import Actor
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.event_handlers import wired_database
from webapp.models import OutboxMessage, Patient, User
from webapp.notifications.exceptions import ServerUnavailable
from webapp.worker import Worker

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
# The behaviour of the mail server while patients book; with 550 the addresses of every second patient are unknown.
TROUBLES = {"taken": "", "refused": "", "421": "421 go away", "450": "450 later", "550": "550 no such user",
            "hang": "hang"}  # fmt: skip
# These are compared with bookings of patients who want no messages, and with messages that no worker delivers.
NO_MESSAGES, UNDELIVERED = "no messages", "undelivered"
LONGEST = 1.0
# The first requests to a process take longer.
WARM_UP = 30


class ClinicUnderTest:
    """One database with its clinic, and what the proofs ask of it. Bookings have consecutive numbers."""

    def __init__(self, url: str, *, bookings: int) -> None:
        self.url = url
        self.arena = build_arena(url, rounds=bookings // 12 + 1)
        self.database = wired_database(url)
        self.booked = 0

    def numbers(self, count: int) -> range:
        """Numbers for this many bookings; none of them was used before."""
        self.booked += count
        return range(self.booked - count, self.booked)

    def want_messages(self, *, wanted: bool) -> None:
        """Set whether patients want e-mails."""
        self.database.write(lambda session: session.execute(sa.update(Patient).values(wants_email=wanted)))

    def messages(self) -> list[Any]:
        """All messages in the outbox."""
        with self.database.reading() as session:
            return list(session.execute(sa.select(OutboxMessage.__table__)).all())

    def forget_messages(self) -> None:
        """Empty the outbox."""
        self.database.write(lambda session: session.execute(sa.delete(OutboxMessage)))

    def deliver_all(self, server: MailServer) -> None:
        """Deliver all waiting messages, on a clock that jumps ahead past leases and pauses."""
        ahead = timedelta()
        settings = Settings(smtp_url=server.url, secret_key=SECRET_KEY, mail_from=MAIL_FROM)
        worker = Worker(self.database, settings, base_url="http://127.0.0.1", clock=lambda: utc_now() + ahead)
        mail = worker.couriers[0]
        while any(message.status in {"waiting", "sending"} for message in self.messages()):
            ahead += timedelta(minutes=61)
            try:
                while mail.deliver_next():
                    pass
            except ServerUnavailable as away:
                say(f"  {away}")
        mail.sender.close()


@contextmanager
def clinic_under_test(kind: str, *, bookings: int) -> Iterator[ClinicUnderTest]:
    """A clinic in a fresh database of this kind."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server(durable=True)) if kind == "postgresql" else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docket-messages-")))
        clinic = ClinicUnderTest(stack.enter_context(empty_database(kind, server, folder)), bookings=bookings)
        stack.callback(clinic.database.dispose)
        yield clinic


class Finding(NamedTuple):
    """One line of the table: what was tried, what happened, and whether that is what is promised."""

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
        """The cells of the line."""
        numbers = (self.messages, self.arrived, self.repeated, self.dead, self.lost)
        words = "as promised" if self.good else "NOT AS PROMISED"
        return [NAMES[self.kind], self.tried, *(f"{each:,}" for each in numbers), self.notes, words]


HEADINGS = ["database", "tried", "messages", "arrived", "again", "dead", "lost", "", ""]


def count(kind: str, tried: str, clinic: ClinicUnderTest, server: MailServer, *, notes: str = "") -> Finding:
    """Count the messages that arrived, arrived again, were given up, and were lost."""
    arrivals = Counter(message_id.strip("<>").partition("@")[0] for message_id in server.ids())
    messages = clinic.messages()
    lost = [
        m for m in messages if (m.status == "sent") != (m.message_id in arrivals) or m.status in {"waiting", "sending"}
    ]
    dead = sum(message.status == "dead" for message in messages)
    repeated = sum(arrived - 1 for arrived in arrivals.values())
    return Finding(kind, tried, len(messages), len(arrivals), repeated, dead, len(lost), notes, not lost)


# ---------------------------------------------------------------------------------------------------- the proofs


def prove_kills(kind: str, clinic: ClinicUnderTest, rounds: int) -> Iterator[Finding]:
    """Workers that crash at each step, followed by one that does not."""
    # Each worker starts as a copy of a process that has imported everything.
    context = get_context("forkserver")
    context.set_forkserver_preload([crashing_worker.__name__])
    for step in STEPS:
        clinic.forget_messages()
        book_all(clinic, clinic.numbers(rounds))
        with mail_server() as server:
            workers = [
                context.Process(target=crashing_worker.run, args=(step, clinic.url, server.url)) for _ in range(rounds)
            ]
            for worker in workers:
                worker.start()
                worker.join()
            died = {worker.exitcode for worker in workers} == {-signal.SIGKILL}
            clinic.deliver_all(server)
            found = count(kind, f"kill -9 at {step}", clinic, server)
            expected = rounds if step in {AFTER_SEND, BEFORE_MARK} else 0
            yield found._replace(good=found.good and died and found.repeated == expected)


def prove_two_workers(kind: str, clinic: ClinicUnderTest, messages: int) -> Finding:
    """Two `docket worker` with one outbox; neither is killed."""
    clinic.forget_messages()
    book_all(clinic, clinic.numbers(messages))
    with mail_server() as server, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(worker_process(clinic.url, server))
        wait_for(lambda: all(message.status == "sent" for message in clinic.messages()), seconds=300)
        stack.close()
        found = count(kind, "two workers", clinic, server)
    return found._replace(good=found.good and found.repeated == 0)


def prove_server_kills(kind: str, clinic: ClinicUnderTest, bookings: int) -> Finding:
    """`docket serve` is killed again and again during bookings: each acknowledged one is announced in one message."""
    clinic.forget_messages()
    acknowledged: list[str] = []
    numbers = iter(clinic.numbers(bookings))
    lock, over = threading.Lock(), threading.Event()
    places = {"port": 0}

    def book() -> None:
        client = BookingClient(clinic.arena, 0)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            client.port = places["port"]
            try:
                reference = client.book(number)
            except (OSError, http.client.HTTPException):
                up.wait(60)
                continue
            acknowledged.append(reference)
        client.close()
        over.set()

    up, kills, every = threading.Event(), 0, max(1, bookings // 12)
    with mail_server() as server:
        env = {"DOCKET_SMTP_URL": server.url, "DOCKET_MAIL_FROM": MAIL_FROM}
        threads = [threading.Thread(target=book) for _ in range(4)]
        while not over.is_set():
            with live_server(clinic.url, delivers=True, env=env) as live:
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
        clinic.deliver_all(server)
        # A mail that arrived twice has one Message-ID: its worker was killed along with the server.
        told = Counter(
            reference for reference, _id in {(reference_in(mail), mail["Message-ID"]) for mail in server.mails}
        )
        found = count(kind, f"kill -9 of the server, {kills} times", clinic, server)
    wrong = [reference for reference in acknowledged if told[reference] != 1]
    notes = f"{len(acknowledged)} acknowledged, {len(wrong)} not told once"
    return found._replace(notes=notes, good=found.good and not wrong and kills > 0 and len(acknowledged) > 0)


def _is_enough(acknowledged: list[str], enough: int, over: threading.Event) -> bool:
    return over.is_set() or len(acknowledged) >= enough


def prove_troubles(kind: str, clinic: ClinicUnderTest, *, rounds: int, bookings: int) -> Iterator[Finding]:
    """How long a booking takes with each trouble of the mail server, compared with undelivered messages."""
    took: dict[str, list[float]] = {name: [] for name in (NO_MESSAGES, UNDELIVERED, *TROUBLES)}
    medians: dict[str, list[float]] = {name: [] for name in took}
    findings: dict[str, Finding] = {}
    for number in range(rounds):
        for name in random.Random(number).sample(list(took), len(took)):
            clinic.forget_messages()
            clinic.want_messages(wanted=name != NO_MESSAGES)
            times = _time_bookings(kind, clinic, name, bookings, findings)
            took[name] += times
            medians[name].append(statistics.median(times))
    for name, found in findings.items():
        ratio = statistics.median(a / b for a, b in zip(medians[name], medians[UNDELIVERED], strict=True))
        median, worst = statistics.median(took[name]) * 1000, max(took[name])
        notes = f"median {median:.1f} ms, {ratio:.2f} of that undelivered; worst {worst * 1000:.0f} ms"
        if name == UNDELIVERED:
            plain = statistics.median(took[NO_MESSAGES]) * 1000
            notes = f"median {median:.1f} ms, without messages {plain:.1f} ms; worst {worst * 1000:.0f} ms"
        good = found.good and worst < LONGEST and (name != "550" or found.dead > 0)
        yield found._replace(notes=notes, good=good)


def _time_bookings(
    kind: str, clinic: ClinicUnderTest, name: str, bookings: int, findings: dict[str, Finding]
) -> list[float]:
    """The seconds of each booking with one kind of trouble; the count of the messages is added to `findings`."""
    trouble = TROUBLES.get(name, "")
    healed = threading.Event()

    def verdict(recipient: str) -> str:
        unknown = name == "550" and int("".join(filter(str.isdigit, recipient)) or 0) % 2
        return trouble if (unknown or (name != "550" and not healed.is_set())) else ""

    with mail_server(verdict) as server:
        port = free_port() if name == "refused" else server.port
        env = {"DOCKET_SMTP_URL": f"smtp://127.0.0.1:{port}", "DOCKET_MAIL_FROM": MAIL_FROM}
        with live_server(clinic.url, delivers=name in TROUBLES, env=env) as live:
            port = int(live.url.rsplit(":", 1)[1])
            # The mail server runs in this process, so another process measures the time.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as clock:
                clock.submit(time_bookings, clinic.arena, port, clinic.numbers(WARM_UP)).result()
                if name in TROUBLES:
                    wait_for(lambda: any(message.tries for message in clinic.messages()), seconds=60)
                times = clock.submit(time_bookings, clinic.arena, port, clinic.numbers(bookings)).result()
            server.let_go()
        healed.set()
        clinic.deliver_all(server)
        if name != NO_MESSAGES:
            findings[name] = count(kind, f"booking: {name}", clinic, server)
    return times


# ------------------------------------------------------------------------------------------------------- helpers


def book_all(clinic: ClinicUnderTest, numbers: range) -> None:
    """Book these appointments while no worker delivers messages."""
    with clinic.database.reading() as session:
        people = session.execute(sa.select(User.id, User.name, User.email).order_by(User.id)).all()
    for number in numbers:
        person = people[number % len(people)]
        actor = Actor(person.id, 0, person.name, person.email, "patient")
        doctor, starts_at = place_of(clinic.arena, number)
        wanted = Booking(
            doctor=doctor, visit_type_id=clinic.arena.kinds[30], starts_at=datetime.fromisoformat(starts_at)
        )
        clinic.database.write(service.book, actor, wanted, now=utc_now())


@contextmanager
def worker_process(url: str, server: MailServer) -> Iterator[RunningCommand]:
    """A running `docket worker`."""
    folder = Path(tempfile.mkdtemp(prefix="docket-worker-"))
    env = docket_environment(url, {"DOCKET_SMTP_URL": server.url, "DOCKET_MAIL_FROM": MAIL_FROM})
    command = [str(Path(sys.executable).with_name("docket")), "worker"]
    with RunningCommand(command, log=folder / "log", cwd=folder, env=env, remove=folder) as kept:
        yield kept


def reference_in(mail: Any) -> str:
    """The reference of the appointment that a mail is about."""
    text = mail.get_body(("plain",)).get_content()
    return str(text.partition("Reference: ")[2].split()[0])


def wait_for(done: Callable[[], bool], *, seconds: float) -> None:
    """Wait until `done()` is true, or raise TimeoutError."""
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
        with clinic_under_test(kind, bookings=total) as clinic:
            findings += prove_kills(kind, clinic, options.kills)
            findings.append(prove_two_workers(kind, clinic, options.messages))
            findings.append(prove_server_kills(kind, clinic, options.bookings))
            findings += prove_troubles(kind, clinic, rounds=options.rounds, bookings=options.timed)
            code, words = docket_check(clinic.url)
            checks.append(code)
            say(f"{NAMES[kind]}: docket check: exit {code}. {words}")
    say(table(HEADINGS, [finding.row() for finding in findings], title="Messages"))
    good = all(finding.good for finding in findings) and not any(checks)
    say(paint("Proved." if good else "Not proved: see the table.", BOLD, GREEN if good else RED))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

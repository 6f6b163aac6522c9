"""`python -m bench.waits`: how long other writers wait while many appointments are moved or cancelled at once.

A closure affects thousands of appointments of several doctors, and each is decided on as the pages do it: the list is
made, then all are moved, or all are cancelled. Meanwhile other processes book with the same doctors and note how long
each booking takes. No booking should take longer than `LIMIT` seconds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bench.contest import build_arena
from bench.terminal import say, table
from tests.postgres import new_database, postgres_server
from webapp import models
from webapp.appointments.booking import service
from webapp.appointments.impact import schedule_impact
from webapp.appointments.impact.decisions import AppointmentsAffected
from webapp.appointments.impact.schemas import Decision, Decisions
from webapp.appointments.schemas import Booking
from webapp.auth.schemas import Actor
from webapp.core.clock import utc_now
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError
from webapp.integrity.problems import find_problems

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
LIMIT = 0.5
BOOKERS = 2
# Seconds between two bookings of one process.
PAUSE = 0.02
PATIENTS = 300
Kind = Literal["move", "cancel"]


class Waits(NamedTuple):
    """How long the list and the decisions took, and how long bookings took meanwhile, longest last."""

    kind: Kind
    decided: int
    listing: float
    deciding: float
    while_listing: list[float]
    while_deciding: list[float]
    problems: list[str]

    @property
    def longest(self) -> float:
        """The longest booking."""
        return max([*self.while_listing, *self.while_deciding], default=0.0)


def main() -> int:
    """Measure and print the table; 0 when no booking took longer than the limit, and no data are wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.waits", description=__doc__)
    parser.add_argument("--database", choices=list(NAMES), help="only this one")
    parser.add_argument("--count", type=int, default=1800, help="appointments to decide on (1800)")
    options = parser.parse_args()
    rows, good = [], True
    for name in [options.database] if options.database else list(NAMES):
        for kind in ("move", "cancel"):
            with _empty(name) as url:
                found = measure(url, kind, options.count)
            good &= found.longest <= LIMIT and not found.problems
            rows.append([
                NAMES[name], kind, str(found.decided), f"{found.listing:.2f}", _longest(found.while_listing),
                f"{found.deciding:.2f}", _longest(found.while_deciding), str(len(found.while_deciding)),
            ])  # fmt: skip
            for problem in found.problems[:5]:
                say(problem)
    headings = [
        "database",
        "decision",
        "appointments",
        "list s",
        "longest booking",
        "decide s",
        "longest booking",
        "of",
    ]
    print(table(headings, rows, title="Bookings while many appointments are decided on"))
    return 0 if good else 1


def _longest(waits: list[float]) -> str:
    return f"{max(waits, default=0.0):.2f}"


@contextmanager
def _empty(name: str) -> Iterator[str]:
    if name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="docket-waits-") as folder:
            yield f"sqlite:///{Path(folder) / 'docket.db'}"
    else:
        with postgres_server(durable=True) as server, new_database(server) as url:
            yield url


def measure(url: str, kind: Kind, count: int) -> Waits:
    """Fill a clinic, and decide on `count` appointments while others book."""
    build_arena(url, rounds=1, patients=PATIENTS)
    database = wired_database(url)
    first = (utc_now() + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
    database.write(_fill, count, first)
    admin = Actor(0, 0, "Admin", "", "admin")
    last = first.date() + timedelta(days=4)

    def close(session: Session) -> None:
        session.add(models.Closure(name="Flood", starts_on=first.date(), ends_on=last))

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.waits"])
    with context.Manager() as manager:
        taken, stop = manager.list(), context.Event()
        bookers = [context.Process(target=_book, args=(url, number, stop, taken)) for number in range(BOOKERS)]
        for booker in bookers:
            booker.start()
        while len(taken) < 4 * BOOKERS:
            time.sleep(0.05)
        began = time.monotonic()
        chosen = Decisions(each=_affected(database, admin, close, kind))
        listed = time.monotonic()
        schedule_impact.make_change(database, admin, close, doctor_ids=None, now=utc_now(), decisions=chosen)
        decided = time.monotonic()
        stop.set()
        for booker in bookers:
            booker.join(timeout=60)
        during = [(at, took) for at, took in taken if at + took > began and at < decided]
        problems = list(find_problems(database, now=utc_now()))
    database.dispose()
    return Waits(
        kind,
        len(chosen.each),
        listed - began,
        decided - listed,
        [took for at, took in during if at < listed],
        [took for at, took in during if at >= listed],
        problems,
    )


def _affected(database: Database, admin: Actor, close: object, kind: Kind) -> dict[str, Decision]:
    try:
        schedule_impact.make_change(database, admin, close, doctor_ids=None, now=utc_now())  # type: ignore[arg-type]
    except AppointmentsAffected as affected:
        return {
            each.reference: Decision(
                kind="cancel" if kind == "cancel" or each.proposal is None else "move",
                version=each.version,
                starts_at=None if kind == "cancel" else each.proposal,
            )
            for each in affected.appointments
        }
    raise AssertionError("The closure affects appointments.")


def _fill(session: Session, count: int, first: datetime) -> None:
    """Appointments of half an hour with all doctors, from `first` on, five days long."""
    doctors = list(session.scalars(sa.select(models.Doctor.id).order_by(models.Doctor.id)))
    kind = session.scalars(sa.select(models.VisitType.id).where(models.VisitType.minutes == 30)).one()
    extra = [
        models.Doctor(slug=f"more{n}", name=f"Dr. More {n}", specialty="Races", slot_step=30, languages=["English"])
        for n in range(max(0, -(-count // 240) + 1 - len(doctors)))
    ]
    session.add_all(extra)
    session.flush()
    for doctor in extra:
        session.execute(sa.insert(models.doctor_visit_types).values(doctor_id=doctor.id, visit_type_id=kind))
        session.add_all(
            models.WorkingHours(doctor_id=doctor.id, weekday=day, start_minute=0, end_minute=1440) for day in range(7)
        )
    doctors += [doctor.id for doctor in extra]
    patients = list(session.scalars(sa.select(models.Patient.id).order_by(models.Patient.id)))
    half, now, rows = timedelta(minutes=30), utc_now(), []
    for number in range(count):
        start = first + half * (number // len(doctors))
        rows.append(
            {
                "reference": f"WAIT-{number:04d}",
                "doctor_id": doctors[number % len(doctors)],
                "patient_id": patients[number % len(patients)],
                "visit_type_id": kind,
                "status": "scheduled",
                "starts_at": start,
                "ends_at": start + half,
                "busy_from": start,
                "busy_until": start + half,
                "promised_minute": int(start.timestamp()) // 60,
                "created_at": now,
                "updated_at": now,
            }
        )
    session.execute(sa.insert(models.Appointment), rows)


def _book(url: str, number: int, stop: Event, taken: list[tuple[float, float]]) -> None:
    """Book one time after another, far from the closure, until told to stop; note when and how long each took."""
    database = wired_database(url)
    with database.reading() as session:
        users = list(session.scalars(sa.select(models.Patient.user_id).where(models.Patient.user_id.is_not(None))))[
            number::BOOKERS
        ]
        slug = list(session.scalars(sa.select(models.Doctor.slug).order_by(models.Doctor.id)))[number]
    start = (utc_now() + timedelta(days=20)).replace(hour=0, minute=0, second=0, microsecond=0)
    at = 0
    while not stop.is_set():
        actor = Actor(users[at % len(users)] or 0, 0, "Racer", "", "patient")
        began = time.monotonic()
        try:
            command = Booking(doctor=slug, starts_at=start + timedelta(minutes=30 * (at % 480)))
            database.write(service.book, actor, command, now=utc_now())
        except AppError:
            # Moved appointments may be there already; the locks were taken all the same.
            pass
        taken.append((began, time.monotonic() - began))
        at += 1
        time.sleep(PAUSE)
    database.dispose()


if __name__ == "__main__":
    sys.exit(main())

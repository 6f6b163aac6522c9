"""Races for one time: eight patients at once, each in its own process, over HTTP against two servers.

The clinic of the races is open day and night, and its rules never refuse a booking: when a booking is refused, the time
was taken. Each round has three hours to itself, so that no patient's appointment of another round is in the way.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, NamedTuple, Self
from urllib.parse import urlencode

import sqlalchemy as sa
from itsdangerous import Signer
from sqlalchemy.orm import Session

from tests.servers import SECRET_KEY
from webapp import models
from webapp.auth import service as auth
from webapp.auth import sessions
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.core.clock import utc_now
from webapp.event_handlers import wired_database
from webapp.migrations import upgrade

PATIENTS = 200
DOCTORS = ("Dr. Ada Lund", "Dr. Ben Okoro", "Dr. Chen Wei", "Dr. Dina Haddad")
LENGTHS = (30, 45, 60, 90)
# Minutes after the start of the stretch, and the length. Each of these covers the minutes from 30 to 45, so every pair
# overlaps although the starts differ: code that compares only starts would accept three of them.
SHAPES = ((0, 45), (15, 30), (30, 30), (0, 60), (15, 60), (30, 90), (0, 90), (15, 45))
STRETCH = timedelta(hours=3)
# How many seconds before the instant the racers get their tasks; by then each of them is connected.
HEADSTART = 0.05


class Arena(NamedTuple):
    """The clinic of the races: the patients' cookies, the doctors' slugs, visit types by length, the first stretch."""

    cookies: list[str]
    slugs: list[str]
    kinds: dict[int, int]
    first: datetime


def build_arena(url: str, *, rounds: int, patients: int = PATIENTS) -> Arena:
    """Migrate an empty database and fill it with doctors, visit types of four lengths, and signed-in patients."""
    database = wired_database(url)
    try:
        upgrade(database)
        return database.write(_build, rounds, patients)
    finally:
        database.dispose()


def _build(session: Session, rounds: int, patients: int) -> Arena:
    now = utc_now()
    session.execute(sa.delete(models.ClinicSettings))
    settings = models.ClinicSettings(id=1, name="The arena", time_zone="UTC")
    # The rules are wide, so that only another appointment can be the reason of a refusal.
    settings.notice_minutes, settings.max_active_visits = 0, 100
    settings.horizon_days = rounds * int(STRETCH.total_seconds()) // 86_400 + 30
    session.add(settings)
    kinds = {length: models.VisitType(name=f"{length} minutes", minutes=length) for length in LENGTHS}
    session.add_all(kinds.values())
    doctors = [
        models.Doctor(slug=name.split()[1].lower(), name=name, specialty="Races", slot_step=15, languages=["English"])
        for name in DOCTORS
    ]
    session.add_all(doctors)
    session.flush()
    for weekday in range(7):
        session.add(models.OpeningHours(weekday=weekday, start_minute=0, end_minute=1440))
        for doctor in doctors:
            hours = models.WorkingHours(doctor_id=doctor.id, weekday=weekday, start_minute=0, end_minute=1440)
            session.add(hours)
    links = [{"doctor_id": doctor.id, "visit_type_id": kind.id} for doctor in doctors for kind in kinds.values()]
    session.execute(sa.insert(models.doctor_visit_types), links)
    cookies = [_new_patient(session, number, now) for number in range(patients)]
    first = (now + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
    return Arena(
        cookies, [doctor.slug for doctor in doctors], {length: kind.id for length, kind in kinds.items()}, first
    )


def _new_patient(session: Session, number: int, now: datetime) -> str:
    """Create an account that has a session but no usable password; returns the session cookie."""
    email = f"racer{number}@docket.example"
    user_id = auth.create_user(session, email=email, name=f"Racer {number}", password_hash="!", role="patient", now=now)
    # One that is not confirmed could book only one appointment.
    session.execute(sa.update(models.User).where(models.User.id == user_id).values(email_confirmed_at=now))
    session.add(models.Patient(user_id=user_id, name=f"Racer {number}", email=email, created_at=now))
    secret = sessions.start_session(session, user_id, address="127.0.0.1", user_agent="bench", now=now)
    return f"{SESSION_COOKIE}={Signer([SECRET_KEY], salt='docket.session').sign(secret).decode()}"


class Outcome(NamedTuple):
    """How one attempt ended; `text` only where it is neither a success nor a conflict. Times in seconds."""

    status: int
    location: str
    late: float
    took: float
    text: str


@dataclass
class Tally:
    """The results of a series of rounds."""

    rounds: int = 0
    winners: Counter[int] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    late: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def add(self, outcomes: list[Outcome]) -> int:
        """Count one round; returns its number of winners."""
        winners = sum(_has_won(each) for each in outcomes)
        self.rounds += 1
        self.winners[winners] += 1
        for each in outcomes:
            self.statuses[each.status] += 1
            self.late.append(each.late)
            self.took.append(each.took)
            if not _has_won(each) and each.status != 409:
                self.unexpected.append(f"{each.status}: {each.text}")
        return winners

    @property
    def double_booked(self) -> int:
        """Rounds in which one time was given more than once."""
        return sum(count for winners, count in self.winners.items() if winners > 1)

    @property
    def is_clean(self) -> bool:
        """Exactly one winner in every round, and 409 for all others."""
        return not self.unexpected and set(self.winners) == {1}


def _has_won(outcome: Outcome) -> bool:
    """Whether a page led to the appointment, or the API answered with it."""
    return outcome.status in {200, 201} or (outcome.status == 303 and outcome.location.startswith("/appointments/"))


class Racers:
    """Processes that wait for their task, one for each racer."""

    def __init__(self, count: int) -> None:
        script = str(Path(__file__).with_name("racer.py"))
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-S", "-E", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(count)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for process in self._processes:
            _open(process.stdin).close()
        for process in self._processes:
            process.wait(timeout=70)
            _open(process.stdout).close()

    def __len__(self) -> int:
        return len(self._processes)

    def race(self, tasks: Sequence[Mapping[str, str | int]]) -> list[Outcome]:
        """Send all requests at the same instant; returns one outcome for each. There may be more racers than these."""
        racing = self._processes[: len(tasks)]
        at = time.monotonic() + HEADSTART
        for process, task in zip(racing, tasks, strict=True):
            print(json.dumps({**task, "at": at}), file=_open(process.stdin), flush=True)
        return [Outcome(**json.loads(_open(process.stdout).readline())) for process in racing]


def _open(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def run_rounds(arena: Arena, racers: Racers, ports: list[int], rounds: range) -> Iterator[list[Outcome]]:
    """Race for one stretch after another, with other patients and another doctor each time."""
    rng = random.Random(rounds.start)
    count = min(len(racers), len(SHAPES))
    for number in rounds:
        start = arena.first + number * STRETCH
        doctor = arena.slugs[number % len(arena.slugs)]
        cookies = rng.sample(arena.cookies, count)
        shapes = list(SHAPES[:count])
        rng.shuffle(shapes)
        tasks: list[dict[str, str | int]] = []
        for at, (cookie, (offset, length)) in enumerate(zip(cookies, shapes, strict=True)):
            form = {
                "doctor": doctor,
                "visit_type": arena.kinds[length],
                "starts_at": f"{start + timedelta(minutes=offset):%Y-%m-%dT%H:%M:%SZ}",
                "reason": "A race",
                "notes": "",
            }
            tasks.append({"port": ports[at % len(ports)], "cookie": cookie, "body": urlencode(form)})
        yield racers.race(tasks)

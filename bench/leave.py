"""Leave that is entered while hundreds of bookings race it: afterwards no appointment in it may be unflagged.

Several processes book through the service layer, each on its own connections, while the doctor's leave is entered as
the pages enter it: the affected appointments are listed, each is decided on, and the leave is saved. When another
booking was made in between, the list is made again. After each round the database itself is asked.
"""

from __future__ import annotations

import logging
import multiprocessing
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.synchronize import Barrier, Event
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bench.contest import build_arena
from webapp import models
from webapp.appointments.booking import service
from webapp.appointments.impact import schedule_impact
from webapp.appointments.impact.decisions import AppointmentsAffected
from webapp.appointments.impact.schemas import Decision, Decisions
from webapp.appointments.schemas import Booking
from webapp.auth import service as auth
from webapp.auth.schemas import Actor
from webapp.core.clock import utc_now
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError
from webapp.integrity.problems import find_problems

BOOKERS = 4
STEP = timedelta(minutes=30)
SPREAD_DAYS = 12
LEAVE_DAYS = 6
# Seconds between two bookings of one process.
PAUSE = 0.02
# The part of its bookings that each process makes after the leave was entered.
LATE_PART = 4


class Round(NamedTuple):
    """One round: the doctor, the first midnight of its days, and the users and starts of its bookings."""

    doctor: str
    doctor_id: int
    first: datetime
    bookings: list[tuple[int, datetime]]


class Gates(NamedTuple):
    """Where the processes of a round wait for each other: all `start` together, and each keeps its last bookings until
    the leave is `entered`, so that on the slowest machine some still meet the leave."""

    start: Barrier
    entered: Event


@dataclass
class LeaveTally:
    """The results of a series of rounds. `asked` counts how often the list of affected appointments was made."""

    rounds: int = 0
    booked: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    before_leave: int = 0
    asked: int = 0
    decided: Counter[str] = field(default_factory=Counter)
    unflagged: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """No appointment lies unflagged in a leave, `docket check` agrees, and there was a race at all."""
        return not self.unflagged and not self.problems and self.refused["time_off"] > 0 and self.before_leave > 0


def build(url: str, *, rounds: int, patients: int = 200) -> None:
    """Make a clinic for the races, with a doctor for each round so that rounds do not affect each other."""
    build_arena(url, rounds=1, patients=patients)
    database = wired_database(url)
    try:
        database.write(_add_doctors, rounds)
        database.write(_add_admin)
    finally:
        database.dispose()


def _add_doctors(session: Session, rounds: int) -> None:
    kind = session.scalars(sa.select(models.VisitType.id).where(models.VisitType.minutes == 30)).one()
    for number in range(rounds):
        doctor = models.Doctor(
            slug=f"leave{number}", name=f"Dr. Leave {number}", specialty="Races", slot_step=30, languages=["English"]
        )
        session.add(doctor)
        session.flush()
        session.execute(sa.insert(models.doctor_visit_types).values(doctor_id=doctor.id, visit_type_id=kind))
        for weekday in range(7):
            session.add(models.WorkingHours(doctor_id=doctor.id, weekday=weekday, start_minute=0, end_minute=1440))


def _add_admin(session: Session) -> None:
    email = "admin@docket.example"
    auth.create_user(session, email=email, name="Admin", password_hash="!", role="admin", now=utc_now())


def run(url: str, *, rounds: int, bookings: int, tally: LeaveTally) -> LeaveTally:
    """Race the rounds, one after another."""
    database = wired_database(url)
    # Processes start as copies of one that has imported everything: importing takes longer than their work.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    try:
        users = _patients(database)
        for number in range(rounds):
            race = _plan(database, number, users, bookings)
            gates = Gates(context.Barrier(BOOKERS + 1), context.Event())
            with context.Manager() as manager:
                answers = manager.list()
                bookers = [
                    context.Process(target=_book, args=(url, race.doctor, race.bookings[at::BOOKERS], gates, answers))
                    for at in range(BOOKERS)
                ]
                for booker in bookers:
                    booker.start()
                _enter_leave(database, race, gates, tally)
                for booker in bookers:
                    booker.join(timeout=300)
                for answer in answers:
                    if answer == "booked":
                        tally.booked += 1
                    else:
                        tally.refused[answer] += 1
            tally.rounds += 1
            tally.unflagged += _unflagged(database, race)
        tally.problems += list(find_problems(database, now=utc_now()))
    finally:
        database.dispose()
    return tally


def _patients(database: Database) -> list[int]:
    with database.reading() as session:
        return list(session.scalars(sa.select(models.Patient.user_id).where(models.Patient.user_id.is_not(None))))


def _plan(database: Database, number: int, users: list[int], bookings: int) -> Round:
    """Plan the bookings of a round: starts spread over the days in random order, half of them in the leave."""
    rng = random.Random(number)
    first = (utc_now() + timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)
    per_day = timedelta(days=1) // STEP
    starts = [first + STEP * at for at in range(SPREAD_DAYS * per_day)]
    rng.shuffle(starts)
    slug = f"leave{number}"
    with database.reading() as session:
        doctor_id = session.scalars(sa.select(models.Doctor.id).where(models.Doctor.slug == slug)).one()
    planned = [(users[at % len(users)], start) for at, start in enumerate(starts[:bookings])]
    return Round(slug, doctor_id, first, planned)


def _book(url: str, doctor: str, planned: list[tuple[int, datetime]], gates: Gates, answers: list[str]) -> None:
    """Make one planned booking after another; the outcome of each is added to `answers`."""
    # A database that is busy for too long is an outcome, which is counted; here its warning would only be printed.
    logging.getLogger("webapp").setLevel(logging.ERROR)
    database = wired_database(url)
    outcomes: list[str] = []
    gates.start.wait(timeout=120)
    early = len(planned) - len(planned) // LATE_PART
    for at, (user_id, start) in enumerate(planned):
        if at == early:
            gates.entered.wait(timeout=120)
        actor = Actor(user_id, 0, "Racer", "", "patient")
        try:
            command = Booking(doctor=doctor, starts_at=start)
            database.write(service.book, actor, command, now=utc_now())
            outcomes.append("booked")
        except AppError as refusal:
            outcomes.append(refusal.code)
        # Without a pause, each new list of the process that enters the leave would miss another booking.
        time.sleep(PAUSE)
    answers.extend(outcomes)
    database.dispose()


def _enter_leave(database: Database, race: Round, gates: Gates, tally: LeaveTally) -> None:
    """Wait until a third is booked, then enter the leave, again until every appointment in it is decided on."""
    with database.reading() as session:
        admin_id = session.scalars(sa.select(models.User.id).where(models.User.role == "admin")).one()
    admin = Actor(admin_id, 0, "Admin", "", "admin")
    leave = (race.first + timedelta(days=2), race.first + timedelta(days=2 + LEAVE_DAYS))
    work = partial(_write_leave, race.doctor_id, leave)
    gates.start.wait(timeout=120)
    while _booked(database, race.doctor_id) < len(race.bookings) // 3:
        time.sleep(0.005)
    tally.before_leave += _booked(database, race.doctor_id)
    decisions = Decisions(why="Leave was entered late.")
    while True:
        tally.asked += 1
        try:
            database.write(
                schedule_impact.carry_out, admin, work, doctor_ids=[race.doctor_id], now=utc_now(), decisions=decisions
            )
        except AppointmentsAffected as affected:
            decisions.each.update(_decide(affected))
        else:
            break
    gates.entered.set()
    tally.decided.update(decision.kind for decision in decisions.each.values())


def _write_leave(doctor_id: int, leave: tuple[datetime, datetime], session: Session) -> None:
    session.add(models.TimeOff(doctor_id=doctor_id, starts_at=leave[0], ends_at=leave[1], reason="Leave"))


def _decide(affected: AppointmentsAffected) -> dict[str, Decision]:
    """A third is kept, a third moved where there is a free time, a third cancelled; those that cannot move are kept."""
    decided = {}
    for at, appointment in enumerate(affected.appointments):
        kind = ("keep", "move", "cancel")[at % 3]
        if kind == "move" and (appointment.proposal is None or appointment.problem):
            kind = "keep"
        starts_at = appointment.proposal if kind == "move" else None
        decided[appointment.reference] = Decision.model_validate(
            {"kind": kind, "version": appointment.version, "starts_at": starts_at}
        )
    return decided


def _booked(database: Database, doctor_id: int) -> int:
    with database.reading() as session:
        query = sa.select(sa.func.count()).where(models.Appointment.doctor_id == doctor_id)
        return session.scalar(query) or 0


def _unflagged(database: Database, race: Round) -> int:
    """How many appointments lie inside a leave of their doctor without a flag, asked in plain SQL."""
    appointment, leave = models.Appointment, models.TimeOff
    query = (
        sa.select(sa.func.count())
        .select_from(appointment)
        .join(leave, leave.doctor_id == appointment.doctor_id)
        .where(
            appointment.doctor_id == race.doctor_id,
            appointment.status.in_(("scheduled", "confirmed", "arrived", "completed")),
            appointment.starts_at < leave.ends_at,
            appointment.ends_at > leave.starts_at,
            appointment.flagged_why == "",
        )
    )
    with database.reading() as session:
        return session.scalar(query) or 0

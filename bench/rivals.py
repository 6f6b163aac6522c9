"""Races of everything that takes a doctor's time: bookings on pages and through the API, moves, undone cancellations.

In each round of `run_everything` all kinds of changes want one time: patients book on pages and through the API, staff
override a rule, appointments are moved from another time and from another doctor, and a cancelled one is restored. In
`run_squeeze_ins` the time is taken already, and receptionists squeeze urgent appointments in where one is allowed. In
`run_one_key` one request of the API is sent many times with the same `Idempotency-Key`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import sqlalchemy as sa
from itsdangerous import Signer
from sqlalchemy.orm import Session

from bench.contest import SHAPES, STRETCH, Arena, Outcome, Racers, build_arena, run_rounds
from tests.servers import SECRET_KEY
from webapp import models
from webapp.appointments.booking import service
from webapp.appointments.schemas import Booking, Cancellation
from webapp.auth import service as auth
from webapp.auth import sessions
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.auth.programs.access_tokens import make_access_token
from webapp.auth.schemas import Actor
from webapp.auth.tokens import hashed
from webapp.core.clock import utc_now
from webapp.database import Database
from webapp.event_handlers import wired_database

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
RECEPTIONISTS = 20
COPIES = 8
WHY = "A race"
# Minutes after the start of a stretch at which appointments wait that will move: all of the race's own are before.
WAITING = (120, 150)

Task = dict[str, str | int]


class Person(NamedTuple):
    """A person who is signed in: on pages by a cookie, and in the API as the user of a session."""

    cookie: str
    user_id: int
    session_hash: str
    patient_id: int

    @property
    def token(self) -> str:
        """A new access token: an older one may have expired."""
        return f"Bearer {make_access_token([SECRET_KEY], self.user_id, self.session_hash, now=utc_now())}"


class Field(NamedTuple):
    """The arena with a front desk; each doctor allows one squeeze-in at a time."""

    arena: Arena
    desk: Person
    patients: list[Person]
    doctor_ids: dict[str, int]


def build_field(url: str, *, rounds: int, patients: int = 200) -> Field:
    """Migrate an empty database and fill it."""
    arena = build_arena(url, rounds=rounds, patients=patients)
    database = wired_database(url)
    try:
        return database.write(_add_desk, arena)
    finally:
        database.dispose()


def _add_desk(session: Session, arena: Arena) -> Field:
    now = utc_now()
    session.execute(sa.delete(models.SignInRules))
    session.add(models.SignInRules(id=1, factor_doctors=False, factor_admins=False))
    session.flush()
    session.execute(sa.update(models.Doctor).values(squeeze_ins=1))
    user_id = auth.create_user(
        session, email="desk@docket.example", name="The desk", password_hash="!", role="admin", now=now
    )
    secret = sessions.start_session(session, user_id, address="127.0.0.1", user_agent="bench", now=now)
    desk = Person(f"{SESSION_COOKIE}={_signer().sign(secret).decode()}", user_id, hashed(secret), 0)
    owners = {row.id_hash: row.user_id for row in session.scalars(sa.select(models.UserSession))}
    records = dict(
        session.execute(
            sa.select(models.Patient.user_id, models.Patient.id).where(models.Patient.user_id.is_not(None))
        ).all()
    )
    patients = []
    for cookie in arena.cookies:
        session_hash = hashed(_signer().unsign(cookie.partition("=")[2]).decode())
        patients.append(Person(cookie, owners[session_hash], session_hash, records[owners[session_hash]]))
    doctor_ids = dict(session.execute(sa.select(models.Doctor.slug, models.Doctor.id)).all())
    return Field(arena, desk, patients, doctor_ids)


def _signer() -> Signer:
    return Signer([SECRET_KEY], salt="docket.session")


@dataclass(frozen=True)
class Round:
    """One stretch of hours with one doctor, and what is prepared in it."""

    field: Field
    database: Database
    number: int

    @property
    def start(self) -> datetime:
        """The first minute of the stretch."""
        return self.field.arena.first + self.number * STRETCH

    @property
    def doctor(self) -> str:
        """The doctor whose time is wanted."""
        return self._slug(0)

    @property
    def other_doctor(self) -> str:
        """Another one."""
        return self._slug(1)

    def _slug(self, further: int) -> str:
        slugs = self.field.arena.slugs
        return slugs[(self.number + further) % len(slugs)]

    def at(self, minutes: int) -> str:
        """An instant of the stretch as requests write it."""
        return f"{self.start + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"

    def book(self, person: Person, minutes: int, *, doctor: str | None = None) -> models.Appointment:
        """Book half an hour through the service, before the race."""
        desk = Actor(self.field.desk.user_id, 0, "The desk", "", "admin")
        command = Booking(
            doctor=doctor or self.doctor,
            visit_type_id=self.field.arena.kinds[30],
            starts_at=self.start + timedelta(minutes=minutes),
            patient_id=person.patient_id,
        )
        reference = self.database.write(service.book, desk, command, now=utc_now())
        with self.database.reading() as session:
            return session.scalars(sa.select(models.Appointment).where(models.Appointment.reference == reference)).one()

    def cancel(self, reference: str) -> None:
        """Cancel it again."""
        desk = Actor(self.field.desk.user_id, 0, "The desk", "", "admin")
        self.database.write(service.cancel, desk, reference, Cancellation(), now=utc_now())


def _page_booking(race: Round, person: Person, shape: tuple[int, int]) -> Task:
    offset, length = shape
    form = {"doctor": race.doctor, "visit_type": race.field.arena.kinds[length], "starts_at": race.at(offset)}
    return {"cookie": person.cookie, "body": urlencode(form | {"reason": WHY, "notes": ""})}


def _api_booking(race: Round, person: Person, shape: tuple[int, int], **more: object) -> Task:
    offset, length = shape
    body = {
        "doctor_id": race.field.doctor_ids[race.doctor],
        "visit_type_id": race.field.arena.kinds[length],
        "starts_at": race.at(offset),
        **more,
    }
    return {"path": "/api/v1/appointments", "type": JSON, "token": person.token, "body": json.dumps(body)}


def _override(race: Round, person: Person, _shape: tuple[int, int]) -> Task:
    """The desk books off the grid, which needs a reason."""
    more = {"patient_id": person.patient_id, "override_reason": WHY}
    return _api_booking(race, race.field.desk, (31, 30), **more)


def _api_change(who: Person, appointment_id: int, **changes: object) -> Task:
    path = f"/api/v1/appointments/{appointment_id}"
    return {"method": "PATCH", "path": path, "type": JSON, "token": who.token, "body": json.dumps(changes)}


def _api_move(race: Round, person: Person, _shape: tuple[int, int]) -> Task:
    waiting = race.book(person, WAITING[0])
    return _api_change(person, waiting.id, starts_at=race.at(15))


def _page_move(race: Round, person: Person, _shape: tuple[int, int]) -> Task:
    waiting = race.book(person, WAITING[1])
    path = f"/appointments/{waiting.reference}/reschedule"
    return {"path": path, "cookie": person.cookie, "body": urlencode({"starts_at": race.at(30), "version": "1"})}


def _to_this_doctor(race: Round, person: Person, _shape: tuple[int, int]) -> Task:
    """The desk gives an appointment at that time to the doctor; it was another doctor's."""
    waiting = race.book(person, 30, doctor=race.other_doctor)
    return _api_change(race.field.desk, waiting.id, doctor_id=race.field.doctor_ids[race.doctor])


def _undo(race: Round, person: Person, _shape: tuple[int, int]) -> Task:
    """The desk restores an appointment that was cancelled."""
    cancelled = race.book(person, 30)
    race.cancel(cancelled.reference)
    path = f"/appointments/{cancelled.reference}/status/undo"
    return {"path": path, "cookie": race.field.desk.cookie, "body": urlencode({"version": "2"})}


RIVALS: tuple[Callable[[Round, Person, tuple[int, int]], Task], ...] = (
    _page_booking,
    _api_booking,
    _undo,
    _to_this_doctor,
    _api_move,
    _override,
    _page_move,
    _api_booking,
)


def run_everything(field: Field, url: str, racers: Racers, ports: list[int], rounds: range) -> Iterator[list[Outcome]]:
    """Race for one stretch after another; with fewer racers than kinds, the kinds take turns."""
    rng = random.Random(rounds.start)

    def tasks(race: Round) -> list[Task]:
        count = min(len(racers), len(RIVALS))
        kinds = [RIVALS[(race.number * count + at) % len(RIVALS)] for at in range(count)]
        shapes = rng.sample(SHAPES, count)
        # One by one, because those that wait are booked before the race.
        people = rng.sample(field.patients, count)
        made = [kind(race, person, shape) for kind, person, shape in zip(kinds, people, shapes, strict=True)]
        rng.shuffle(made)
        return made

    yield from _run(field, url, racers, ports, rounds, tasks)


def run_squeeze_ins(field: Field, url: str, racers: Racers, ports: list[int], rounds: range) -> Iterator[list[Outcome]]:
    """Receptionists squeeze urgent appointments in at one taken time, on pages and through the API."""
    rng = random.Random(rounds.start)

    def tasks(race: Round) -> list[Task]:
        receptionists = min(len(racers), RECEPTIONISTS)
        taken, *urgent = rng.sample(field.patients, receptionists + 1)
        race.book(taken, 30)
        return [_squeeze(race, person, on_page=at % 2 == 0) for at, person in enumerate(urgent)]

    for outcomes in _run(field, url, racers, ports, rounds, tasks):
        yield [_told_why(outcome) for outcome in outcomes]


def _squeeze(race: Round, person: Person, *, on_page: bool) -> Task:
    if not on_page:
        return _api_booking(race, race.field.desk, (30, 30), patient_id=person.patient_id, squeeze_reason=WHY)
    task = _page_booking(race, race.field.desk, (30, 30))
    sent = {"patient": person.patient_id, "squeeze_reason": WHY, "step": "squeeze"}
    return task | {"body": f"{task['body']}&{urlencode(sent)}"}


def run_one_key(field: Field, url: str, racers: Racers, ports: list[int], rounds: range) -> Iterator[list[Outcome]]:
    """One request of one patient, sent many times at once with one key: all must get the same answer."""
    rng = random.Random(rounds.start)

    def tasks(race: Round) -> list[Task]:
        task = _api_booking(race, rng.choice(field.patients), rng.choice(SHAPES))
        return [task | {"key": f"race-{race.number}"}] * min(len(racers), COPIES)

    for outcomes in _run(field, url, racers, ports, rounds, tasks):
        yield _as_one(outcomes)


def run_bookings(field: Field, _url: str, racers: Racers, ports: list[int], rounds: range) -> Iterator[list[Outcome]]:
    """The plain race: patients book on pages."""
    return run_rounds(field.arena, racers, ports, rounds)


def _run(
    field: Field, url: str, racers: Racers, ports: list[int], rounds: range, tasks: Callable[[Round], list[Task]]
) -> Iterator[list[Outcome]]:
    """Prepare and race each round, half of it at one server and half at the other."""
    database = wired_database(url)
    try:
        for number in rounds:
            made = tasks(Round(field, database, number))
            yield racers.race([{**task, "port": ports[at % len(ports)]} for at, task in enumerate(made)])
    finally:
        database.dispose()


def _told_why(outcome: Outcome) -> Outcome:
    """The outcome, or one that counts as unexpected if the API refused for another reason than the full lane."""
    if outcome.status != 409 or not outcome.text or '"squeeze_in_full"' in outcome.text:
        return outcome
    return outcome._replace(status=0)


def _as_one(outcomes: list[Outcome]) -> list[Outcome]:
    """One outcome instead of those of all copies if they got the same appointment."""
    is_repeated = len({(each.status, each.text) for each in outcomes}) == 1
    return outcomes[:1] if is_repeated else outcomes


def count_overlaps(url: str) -> int:
    """How many pairs of appointments take time of one doctor in one lane at once, asked in plain SQL."""
    one, other = (sa.orm.aliased(models.Appointment) for _ in range(2))
    occupying = ("scheduled", "confirmed", "arrived", "completed")
    pairs = (
        sa.select(sa.func.count())
        .select_from(one)
        .join(
            other,
            sa.and_(
                other.doctor_id == one.doctor_id,
                other.lane == one.lane,
                other.id > one.id,
                other.busy_from < one.busy_until,
                other.busy_until > one.busy_from,
            ),
        )
        .where(one.status.in_(occupying), other.status.in_(occupying))
    )
    database = Database(url)
    try:
        with database.reading() as session:
            found: Any = session.scalar(pairs)
            return int(found)
    finally:
        database.dispose()

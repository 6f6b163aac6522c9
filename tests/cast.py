"""The people of the tests, in a small clinic in Amsterdam, and helpers with which tests use Docket.

Alice is a patient, and Dave is one who has no right to her data. Bob is a doctor with 15-minute steps, Erin is
another with 30-minute steps. Carol is the admin, and Fiona works at the front desk. It is Monday 2 March 2026, 08:00 in
Amsterdam, unless a test says otherwise; the clocks go forward on Sunday 29 March.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, cast
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from fastapi import FastAPI
from itsdangerous import Signer
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.client import QuickClient
from tests.snapshot import Snapshot
from webapp import models
from webapp.appointments.booking import service
from webapp.appointments.schemas import Booking
from webapp.auth import sessions
from webapp.auth.dependencies import SESSION_COOKIE
from webapp.auth.passwords import service as passwords
from webapp.auth.schemas import Actor, Role
from webapp.config import Settings
from webapp.core.local_time import wall_minute
from webapp.core.web import cookie_name
from webapp.database import Database
from webapp.main import create_app
from webapp.patients import search_index

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NOW = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
PASSWORD = "a long sentence for tests"
ORIGIN = "http://docket.test"
LETTERHEAD = {"name": "Harbour Lane Clinic", "phone": "", "address": "", "time_zone": "Europe/Amsterdam"}
SECRET_KEY = "made-for-tests-0123456789-abcdefghijklmnop"


def promised(starts_at: datetime) -> int:
    """The wall minute that the clinic's clock shows at an instant, as appointments keep it."""
    return wall_minute(starts_at, AMSTERDAM)


def local(text: str) -> datetime:
    """The instant in UTC of a time on the wall clock of Amsterdam, for example '2026-03-03 09:30'."""
    return datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM).astimezone(UTC)


@lru_cache
def password_hash() -> str:
    """The hash of the password of all users, computed once because that takes long."""
    return passwords.hash_password(PASSWORD)


@dataclass
class Cast:
    """The users as actors, and the ids of rows that tests need."""

    database: Database
    alice: Actor
    dave: Actor
    bob: Actor
    erin: Actor
    carol: Actor
    fiona: Actor
    patient_ids: dict[str, int]
    doctor_ids: dict[str, int]
    short: int
    long: int
    buffered: int
    erins_only: int
    by_phone: int
    now: datetime = field(default=NOW)
    zone: ZoneInfo = AMSTERDAM

    @property
    def url(self) -> str:
        """The URL of the database, for connections that are not the cast's, such as those of another process."""
        return self.database.url.render_as_string(hide_password=False)

    def local(self, text: str) -> datetime:
        """The instant in UTC of a time on the clinic's wall clock, for example '2026-03-03 09:30'."""
        return datetime.fromisoformat(text).replace(tzinfo=self.zone).astimezone(UTC)

    def book(self, actor: Actor, start: str, *, doctor: str = "bob", visit_type: int | None = None) -> str:
        """Book as the pages do; returns the reference. `start` is on the clinic's wall clock."""
        command = Booking(doctor=doctor, visit_type_id=visit_type or self.short, starts_at=self.local(start))
        return self.database.write(service.book, actor, command, now=self.now)

    def add(self, row: Any) -> int:
        """Insert one row and return its id."""

        def work(session: Session) -> int:
            session.add(row)
            session.flush()
            number: int = row.id
            return number

        return self.database.write(work)

    def change(self, statement: sa.Insert | sa.Update | sa.Delete) -> None:
        """Run one statement, for example a change of the clinic's settings."""
        self.database.write(lambda session: session.execute(statement))


# The cast and its rows, for each kind of database: the ORM builds them once in a process.
_assembled: dict[str, tuple[Cast, Snapshot]] = {}


def assemble(database: Database) -> Cast:
    """Fill a migrated, empty database with the clinic and its people."""
    kind = database.url.get_backend_name()
    if kind not in _assembled:
        made = database.write(_assemble, database)
        with database.reading() as session:
            _assembled[kind] = made, Snapshot.take(session)
    else:
        database.write(_assembled[kind][1].put)
    return assembled(database)


def assembled(database: Database) -> Cast:
    """The cast of a database that is a copy of one that `assemble` filled."""
    known = _assembled[database.url.get_backend_name()][0]
    # Tests may add people to these.
    patient_ids, doctor_ids = dict(known.patient_ids), dict(known.doctor_ids)
    return replace(known, database=database, patient_ids=patient_ids, doctor_ids=doctor_ids)


def _assemble(session: Session, database: Database) -> Cast:
    session.add(
        models.ClinicSettings(
            id=1,
            name="Harbour Lane Clinic",
            address="18 Harbour Lane",
            phone="+31201234567",
            zone_confirmed=True,
        )
    )
    session.add(models.SignInRules(id=1, factor_doctors=False, factor_desk=False, factor_admins=False))
    for weekday in range(5):
        session.add(models.OpeningHours(weekday=weekday, start_minute=9 * 60, end_minute=17 * 60))
    kinds = {
        "short": models.VisitType(name="Follow-up", minutes=15),
        "long": models.VisitType(name="First visit", minutes=30, preparation="Bring your medicines.\nCome early."),
        "buffered": models.VisitType(name="Skin procedure", minutes=45, buffer_before=5, buffer_after=10),
        "erins_only": models.VisitType(name="Allergy test", minutes=30),
        "by_phone": models.VisitType(name="Operation", minutes=60, online=False),
    }
    session.add_all(kinds.values())
    people: dict[str, tuple[str, Role]] = {
        "alice": ("Alice Adams", "patient"),
        "dave": ("Dave Dunn", "patient"),
        "bob": ("Dr. Bob Brown", "doctor"),
        "erin": ("Dr. Erin Eze", "doctor"),
        "carol": ("Carol Clark", "admin"),
        "fiona": ("Fiona Fox", "receptionist"),
    }
    users = {
        key: models.User(
            email=f"{key}@docket.example",
            name=name,
            role=role,
            password_hash=password_hash(),
            created_at=NOW,
            email_confirmed_at=NOW,
        )
        for key, (name, role) in people.items()
    }
    session.add_all(users.values())
    session.flush()
    patients = {
        key: models.Patient(user_id=users[key].id, name=users[key].name, email=users[key].email, created_at=NOW)
        for key in ("alice", "dave")
    }
    doctors = {
        "bob": models.Doctor(
            slug="bob",
            user_id=users["bob"].id,
            name="Dr. Bob Brown",
            specialty="General practice",
            languages=["English"],
            bio="A family doctor.",
            room="Room 3",
            slot_step=15,
            position=1,
        ),
        "erin": models.Doctor(
            slug="erin",
            user_id=users["erin"].id,
            name="Dr. Erin Eze",
            specialty="Dermatology",
            languages=["English", "Igbo"],
            bio="Looks after skin.",
            room="Room 5",
            tint=2,
            slot_step=30,
            position=2,
        ),
    }
    session.add_all([*patients.values(), *doctors.values()])
    session.flush()
    for patient in patients.values():
        search_index.keep_words(session, patient.id, name=patient.name, email=patient.email, phone="")
    offers = {"bob": ("short", "long", "buffered", "by_phone"), "erin": ("long", "erins_only")}
    for key, doctor in doctors.items():
        for weekday in range(5):
            for start, end in ((9, 12), (13, 17)):
                session.add(
                    models.WorkingHours(
                        doctor_id=doctor.id, weekday=weekday, start_minute=start * 60, end_minute=end * 60
                    )
                )
        for kind in offers[key]:
            session.execute(
                sa.insert(models.doctor_visit_types).values(doctor_id=doctor.id, visit_type_id=kinds[kind].id)
            )
    actors = {key: Actor(user.id, 0, user.name, user.email, people[key][1]) for key, user in users.items()}
    return Cast(
        database=database,
        alice=actors["alice"],
        dave=actors["dave"],
        bob=actors["bob"],
        erin=actors["erin"],
        carol=actors["carol"],
        fiona=actors["fiona"],
        patient_ids={key: patient.id for key, patient in patients.items()},
        doctor_ids={key: doctor.id for key, doctor in doctors.items()},
        short=kinds["short"].id,
        long=kinds["long"].id,
        buffered=kinds["buffered"].id,
        erins_only=kinds["erins_only"].id,
        by_phone=kinds["by_phone"].id,
    )


def client_for(database: Database, *, now: datetime = NOW, **settings: Any) -> TestClient:
    """An HTTP client that acts as a browser, with the clock stopped at `now`. It does not follow redirects."""
    # A test client waits for the end of an answer, and a stream has none.
    settings = {"smtp_url": "none", "live_streams": 0, **settings}
    app = create_app(_settings(database_url=str(database.url), secret_key=SECRET_KEY, **settings), database)
    app.state.clock = lambda: now
    # Traces of reading are written after each answer, instead of once a second.
    app.state.traces.every = 0
    return QuickClient(app, base_url=ORIGIN, headers={"origin": ORIGIN}, follow_redirects=False)


def _settings(**values: Any) -> Settings:
    try:
        return _read_settings(**values).model_copy()
    except TypeError:
        # A list is no key of a cache.
        return Settings(**values)


@lru_cache
def _read_settings(**values: Any) -> Settings:
    """Looking each setting up in the environment takes half as long as all of the application."""
    return Settings(**values)


def another(client: TestClient) -> TestClient:
    """A client of the same application with separate cookies, like another browser."""
    return QuickClient(client.app, base_url=ORIGIN, headers={"origin": ORIGIN}, follow_redirects=False)


def log_in(client: TestClient, name: str) -> TestClient:
    """Sign in one of the cast with a new session, without the slow check of the password."""
    state = cast(FastAPI, client.app).state
    session_of = partial(_start_session, name=name, now=state.clock())
    secret = state.database.write(session_of)
    signed = Signer(state.settings.secret_keys, salt="docket.session").sign(secret).decode()
    # Of this host, as browsers store it: otherwise a renewed cookie would stand beside this one.
    client.cookies.set(cookie_name(SESSION_COOKIE, state.settings), signed, domain=client.base_url.host)
    return client


def _start_session(session: Session, *, name: str, now: datetime) -> str:
    query = sa.select(models.User.id).where(models.User.email == f"{name}@docket.example", models.User.active.is_(True))
    user_id = session.scalars(query).one()
    return sessions.start_session(session, user_id, address="testclient", user_agent="testclient", now=now)


def log_in_by_form(client: TestClient, name: str) -> TestClient:
    """Sign in one of the cast through the form, for tests of signing in itself."""
    answer = client.post("/login", data={"email": f"{name}@docket.example", "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return client

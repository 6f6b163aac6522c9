"""Demo data: a believable clinic, the same for the same seed and day, through the real guard, in one transaction."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from gettext import gettext as _
from itertools import islice
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.availability import Wish, load_facts
from webapp.appointments.models import Appointment
from webapp.appointments.service import REFERENCE_ALPHABET
from webapp.appointments.slots import day_number, to_datetime, to_minute
from webapp.audit.models import AuditEvent
from webapp.auth import passwords
from webapp.auth.models import User
from webapp.clinic.models import ClinicSettings, Closure, OpeningHours, VisitType
from webapp.clinic.service import get_clinic
from webapp.core import formats
from webapp.database import Base, Database
from webapp.demo import hours
from webapp.demo.cast import DemoDoctor, make_doctors
from webapp.demo.catalogue import KINDS
from webapp.demo.diary import Attendance, Planner, Visit
from webapp.demo.people import Person, groups_of, make_people
from webapp.doctors import service as doctors_service
from webapp.doctors.models import Doctor, ExtraHours, TimeOff, WorkingHours, doctor_visit_types
from webapp.exceptions import Conflict, Invalid
from webapp.patients.models import Patient

logger = logging.getLogger(__name__)

PASSWORD = "docket-demo-2026"  # noqa: S105 - it is printed on the login page.
# With a fixed salt the rows are the same every time. Nothing is lost: everybody knows the password.
_SALT = b"docket-demo-data"

MOST_DOCTORS, MOST_PATIENTS, MOST_MONTHS = 200, 100_000, 120
ZONE = "Europe/Amsterdam"
CLINIC = {
    "name": "Oosterkade Clinic",
    "address": "Oosterkade 18, 1019 ZX Amsterdam",
    "phone": "+31 20 014 7200",
    "time_zone": ZONE,
    "demo": True,
}
CHUNK = 2_000
PLANNED_PERCENT = 30
MADE = "demo_made"

Progress = Callable[[int, int], None]


class DemoSummary(NamedTuple):
    """What the database holds now, and whether this run put it there."""

    created: bool
    doctors: int
    patients: int
    visit_types: int
    appointments: int


class HoldsOtherData(Conflict):
    """The database is somebody's own, or holds demo data of another size; demo data never mixes with it."""

    code = "holds_other_data"


class _Order(NamedTuple):
    """What somebody asked for."""

    today: date
    doctors: int
    patients: int
    months: int
    seed: int

    @property
    def first(self) -> date:
        """The first day of the history."""
        return hours.months_before(self.today, self.months)

    @property
    def last(self) -> date:
        """The last day that has visits."""
        return self.today + timedelta(days=hours.DAYS_AHEAD)

    @property
    def midnight(self) -> datetime:
        """When `today` begins. All rows were written by then, so none comes from the future."""
        return _midnight(self.today)


def make_demo(
    database: Database,
    *,
    today: date,
    doctors: int = 12,
    patients: int = 200,
    months: int = 3,
    seed: int = 1,
    now: datetime,  # noqa: ARG001 - writes are told the time, but these rows must be the same at any hour.
    progress: Progress,
) -> DemoSummary:
    """Fill an empty database with a clinic, its people and their visits, in one transaction.

    The same seed, day and sizes give the same rows. Where the database holds that demo data already, nothing
    changes and the summary says so, on later days too. `progress` is called with the per cent that is done,
    and 100.

    Raises:
        HoldsOtherData: there are accounts, doctors, patients or visits that are not this demo's.
        Invalid: a size is out of bounds.
    """
    order = _Order(today, doctors, patients, months, seed)
    _require_sensible(order)
    password_hash = passwords.context.handler("argon2").using(salt=_SALT).hash(PASSWORD)
    summary = database.write(_make, order, password_hash, progress)
    progress(100, 100)
    return summary


def is_empty(database: Database) -> bool:
    """Whether nobody uses this database yet: no accounts, doctors, patients or visits."""
    with database.reading() as session:
        return not _holds_anything(session)


def _require_sensible(order: _Order) -> None:
    for name, value, low, high in (
        (_("doctors"), order.doctors, 1, MOST_DOCTORS),
        (_("patients"), order.patients, 1, MOST_PATIENTS),
        (_("months"), order.months, 0, MOST_MONTHS),
    ):
        if not low <= value <= high:
            message = _("Demo data needs %(low)d to %(high)d %(name)s.")
            raise Invalid(message % {"low": low, "high": high, "name": name}, field=name)


def _holds_anything(session: Session) -> bool:
    tables = (User, Doctor, Patient, Appointment)
    return any(session.scalar(sa.select(sa.exists(sa.select(table.id)))) for table in tables)


def _make(session: Session, order: _Order, password_hash: str, progress: Progress) -> DemoSummary:
    if session.get_bind().dialect.name == "postgresql":
        # Two runs at once: the second waits, and then finds what the first has made.
        session.execute(sa.text("LOCK TABLE clinic_settings IN SHARE ROW EXCLUSIVE MODE"))
    if _holds_anything(session):
        _require_same(session, order)
        return _summary(session, created=False)
    _Maker(session, order, password_hash, progress).make()
    return _summary(session, created=True)


def _require_same(session: Session, order: _Order) -> None:
    """Refuse unless what is there was made by the same order, on this day or an earlier one."""
    if not get_clinic(session).demo:
        raise HoldsOtherData(_("This database is in use. Demo data is only made in an empty one."))
    made = session.scalar(sa.select(AuditEvent.details).where(AuditEvent.action == MADE))
    wanted = _details(order)
    different = [name for name in ("doctors", "patients", "months", "seed") if made and made[name] != wanted[name]]
    if made and different:
        held = ", ".join(f"{name} {made[name]}" for name in different)
        message = _("This database holds demo data already, but with %(held)s. Use an empty database for another set.")
        raise HoldsOtherData(message % {"held": held})


def _details(order: _Order) -> dict[str, Any]:
    return {**order._asdict(), "today": order.today.isoformat()}


def _summary(session: Session, *, created: bool) -> DemoSummary:
    counts = (session.scalar(sa.select(sa.func.count(table.id))) for table in (Doctor, Patient, VisitType, Appointment))
    return DemoSummary(created, *(count or 0 for count in counts))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(ZONE)).astimezone(UTC)


class _Maker:
    """One run. It gives the ids itself, so that they are the same whatever a sequence has seen before."""

    def __init__(self, session: Session, order: _Order, password_hash: str, progress: Progress) -> None:
        self._session = session
        self._order = order
        self._password_hash = password_hash
        self._progress = progress
        self._rng = random.Random(order.seed)  # noqa: S311 - it must be predictable.

    def make(self) -> None:
        """Write everything, top down: the clinic, its doctors, the patients, the visits, what was done."""
        self._progress(0, 100)
        closed = self._make_clinic()
        cast = make_doctors(self._order.doctors, self._rng)
        people = make_people(self._order.patients, self._rng, first_day=self._order.first)
        doctor_users, patient_users = self._make_accounts(cast, people)
        self._make_doctors(cast, doctor_users, closed)
        patient_ids = self._make_patients(people, patient_users)
        visits = self._plan(cast, people)
        self._make_visits(visits, patient_ids, patient_users)

    def _add(self, model: type[Base], rows: Sequence[dict[str, Any]]) -> list[int]:
        """Insert the rows, number them and return the numbers."""
        table = cast(sa.Table, model.__table__)
        first = (self._session.scalar(sa.select(sa.func.max(table.c.id))) or 0) + 1
        ids = list(range(first, first + len(rows)))
        self._insert(table, ({"id": number, **row} for number, row in zip(ids, rows, strict=True)))
        self._continue_after(table, first + len(rows) - 1)
        return ids

    def _insert(self, table: sa.Table, rows: Iterator[dict[str, Any]]) -> Iterator[int]: ...

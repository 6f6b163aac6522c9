"""The changes of `bench.walk`: by the services, and by plain SQL as a person at a console would."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests.appointment_rows import appointment
from tests.cast import AMSTERDAM, Cast, local
from webapp.appointments import walk_ins
from webapp.appointments.booking import service, status_service
from webapp.appointments.schemas import Booking, Cancellation, ChangeStatus, Move, UndoStatus
from webapp.appointments.walk_ins import Queue
from webapp.clinic.schedule_version_models import OF_CLINIC, OF_DOCTOR
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.exceptions import AppError
from webapp.models import Appointment, Base, Closure, ExtraHours, TimeOff
from webapp.staff.board import choices

Event = Literal["insert", "update", "delete"]

_TABLES = Base.metadata.tables
# All tables that pages with cached parts show.
CHANGED = (*OF_DOCTOR, *OF_CLINIC, "appointments", "patients", "walk_ins")
# Columns whose values cannot be made from the present one by a small step.
_VALUES: dict[str, tuple[Any, ...]] = {
    "time_zone": ("Europe/Amsterdam", "Europe/London", "Asia/Kolkata", "America/New_York"),
    "country": ("", "NL", "GB"),
    "status": ("scheduled", "confirmed", "arrived", "completed", "no_show", "cancelled", "waiting", "left"),
    "slot_step": (5, 15, 20, 30, 40, 45, 90, 240),
    "languages": (["English"], ["English", "Dutch"], []),
    "suggested_for": ("new", "returning", "everyone", "none"),
    "asks_birth_date": ("no", "ask", "require"),
    "asks_phone": ("no", "ask", "require"),
    "reminder_days": ("", "1", "7,1"),
    "phone": ("", "+31201234567", "+442079460000"),
    "emergency_phone": ("", "112", "999"),
    "specialty": ("", "General practice", "Dermatology"),
    "first_specialty": ("", "General practice", "Dermatology"),
    "search_words": ("", "General practice: cough", "First visit: new"),
    "horizon_days": (1, 5, 30, 90),
    "notice_minutes": (0, 45, 120, 1440),
    "late_minutes": (0, 10, 35),
    "cancellation_code": ("",),
    "flagged_why": ("", "time_off"),
    "previous_status": (None, "scheduled", "confirmed"),
}
# Other values of these would name rows or documents that do not exist.
_KEPT = {"id", "privacy_document", "imprint_document", "consent_document", "link_key", "poster_key", "series"}
# A row is tried at most this many times, until the constraints accept it.
_TRIES = 20


class Change(NamedTuple):
    """A kind of change by plain SQL."""

    table: str
    event: Event


class Scene(NamedTuple):
    """Where and when a change happens. The same seed makes the same change; `only` chooses its kind."""

    url: str
    seed: int
    now: datetime
    only: Change | None = None


def make_change(people: dict[str, Any], scene: Scene) -> str:
    """Make one change at random, and say what it was. `people` are the members of a `Cast` without its database.

    The changes are made in another process than those that are compared, so they have their own connection.
    """
    pick = random.Random(scene.seed)
    database = wired_database(scene.url)
    try:
        if scene.only is None and pick.random() < 0.5:
            return _by_service(Cast(database=database, **people), pick, scene.now)
        change = scene.only or Change(pick.choice(CHANGED), pick.choice(get_args(Event)))
        return _by_sql(database, change, pick)
    finally:
        database.dispose()


def fill(cast: Cast) -> None:
    """Appointments of some days with both doctors and patients, and a row in each table that changes."""
    hours = ((9, "bob", "alice"), (11, "bob", "dave"), (14, "erin", "dave"), (15, "erin", "alice"))
    rows = [
        appointment(cast, f"2026-{day} {hour:02d}:00", doctor=doctor, patient=patient)
        for day in ("01-13", "01-20", "02-10", "03-02", "03-03", "03-04", "03-05")
        for hour, doctor, patient in hours
    ]
    cast.change(sa.insert(Appointment).values(rows))
    bob, minutes = cast.doctor_ids["bob"], {"start_minute": 17 * 60, "end_minute": 18 * 60}
    cast.add(ExtraHours(doctor_id=bob, day=date(2026, 3, 3), **minutes))
    cast.add(
        TimeOff(doctor_id=bob, starts_at=local("2026-03-03 14:00"), ends_at=local("2026-03-03 15:00"), reason="Dentist")
    )
    cast.add(Closure(name="Works", starts_on=date(2026, 3, 4), ends_on=date(2026, 3, 4)))
    cast.database.write(walk_ins.join, cast.fiona, cast.patient_ids["dave"], Queue(doctor="bob"), now=cast.now)


# ---------------------------------------------------------------------------------------------------- services


def _by_service(cast: Cast, pick: random.Random, now: datetime) -> str:
    deed = pick.choice((_book, _book, _move, _cancel, _mark, _mark, _undo, _wait, _choose))
    try:
        return f"{deed.__name__[1:]}: {deed(cast, pick, now)}"
    except AppError as refused:
        return f"{deed.__name__[1:]} was refused: {refused.code}"


def _start(pick: random.Random, now: datetime) -> datetime:
    wall = now.astimezone(AMSTERDAM).replace(minute=0, second=0, microsecond=0)
    return (wall + timedelta(days=pick.randint(0, 3))).replace(
        hour=pick.randint(9, 16), minute=pick.choice((0, 15, 30))
    )


def _book(cast: Cast, pick: random.Random, now: datetime) -> str:
    actor = pick.choice((cast.alice, cast.dave, cast.fiona))
    command = Booking(
        doctor=pick.choice(("bob", "erin")),
        visit_type_id=pick.choice((cast.short, cast.long, cast.buffered)),
        starts_at=_start(pick, now),
        patient_id=pick.choice(list(cast.patient_ids.values())) if actor.is_staff else None,
        override_reason="Urgent" if actor.is_staff else "",
    )
    return cast.database.write(service.book, actor, command, now=now)


def _chosen(cast: Cast, pick: random.Random) -> tuple[str, int]:
    with cast.database.reading() as session:
        found = session.execute(sa.select(Appointment.reference, Appointment.version).order_by(Appointment.id)).all()
    reference, version = pick.choice(found)
    return reference, version


def _move(cast: Cast, pick: random.Random, now: datetime) -> str:
    reference, version = _chosen(cast, pick)
    command = Move(
        starts_at=_start(pick, now),
        doctor_id=pick.choice((None, *cast.doctor_ids.values())),
        version=version,
        override_reason="Urgent",
    )
    cast.database.write(service.move, cast.carol, reference, command, now=now)
    return reference


def _cancel(cast: Cast, pick: random.Random, now: datetime) -> str:
    reference, version = _chosen(cast, pick)
    cast.database.write(service.cancel, cast.carol, reference, Cancellation(version=version), now=now)
    return reference


def _mark(cast: Cast, pick: random.Random, now: datetime) -> str:
    reference, version = _chosen(cast, pick)
    status = pick.choice(("confirmed", "arrived", "completed", "no_show"))
    command = ChangeStatus.model_validate({"status": status, "version": version})
    cast.database.write(status_service.change_status, cast.carol, reference, command, now=now)
    return f"{reference} {status}"


def _undo(cast: Cast, pick: random.Random, now: datetime) -> str:
    reference, version = _chosen(cast, pick)
    cast.database.write(status_service.undo, cast.carol, reference, UndoStatus(version=version), now=now)
    return reference


def _wait(cast: Cast, pick: random.Random, now: datetime) -> str:
    queue = Queue(doctor=pick.choice(("", "bob", "erin")))
    number = cast.database.write(
        walk_ins.join, cast.fiona, pick.choice(list(cast.patient_ids.values())), queue, now=now
    )
    return str(number)


def _choose(cast: Cast, pick: random.Random, now: datetime) -> str:  # noqa: ARG001 - the time does not matter.
    slugs = pick.choice(([], ["bob"], ["erin"]))
    cast.database.write(choices.choose, cast.fiona, slugs=slugs)
    return f"columns of {slugs}"


# --------------------------------------------------------------------------------------------------- plain SQL


def _by_sql(database: Database, change: Change, pick: random.Random) -> str:
    """One statement in its own transaction; constraints may refuse some until one is accepted."""
    table = _TABLES[change.table]
    for _try in range(_TRIES):
        try:
            with Session(database.engine) as session:
                session.connection(execution_options={"docket_write": True})
                words = _STATEMENTS[change.event](session, table, pick)
                session.commit()
        except DBAPIError:
            continue
        if words:
            return words
    return f"no {change.event} of {table.name} was accepted"


def _row(session: Session, table: sa.Table, pick: random.Random) -> dict[str, Any] | None:
    found = session.execute(sa.select(table).order_by(*table.primary_key)).mappings().all()
    return dict(pick.choice(found)) if found else None


def _this(table: sa.Table, row: dict[str, Any]) -> sa.ColumnElement[bool]:
    return sa.and_(*(column == row[column.name] for column in table.primary_key))


def _update(session: Session, table: sa.Table, pick: random.Random) -> str:
    row = _row(session, table, pick)
    column = pick.choice([column for column in table.columns if column.name not in _KEPT])
    if row is None:
        return ""
    value = _other_value(session, column, row[column.name], pick)
    session.execute(sa.update(table).where(_this(table, row)).values({column.name: value}))
    return f"{table.name}.{column.name} {row[column.name]!r} becomes {value!r}"


def _delete(session: Session, table: sa.Table, pick: random.Random) -> str:
    row = _row(session, table, pick)
    # Without settings a clinic has defaults, which is another test; and a walk needs its people.
    if row is None or table.name in {"clinic_settings", "patients", "doctors"}:
        return ""
    session.execute(sa.delete(table).where(_this(table, row)))
    return f"a row of {table.name} is deleted: {row}"


def _insert(session: Session, table: sa.Table, pick: random.Random) -> str:
    """A copy of a row in which some values are others."""
    row = _row(session, table, pick)
    if row is None:
        return ""
    row.pop("id", None)
    if table.name == "appointments":
        ahead = timedelta(days=pick.randint(0, 3), minutes=15 * pick.randint(0, 20))
        row |= {name: row[name] + ahead for name in ("starts_at", "ends_at", "busy_from", "busy_until")}
        row |= {"promised_minute": row["promised_minute"] + int(ahead.total_seconds()) // 60}
        row |= {"reference": f"W{pick.randint(1, 10**7)}", "link_key": None}
    else:
        unique = [column for column in table.columns if column.unique and column.name not in _KEPT]
        for column in {*unique, pick.choice([column for column in table.columns if column.name not in _KEPT])}:
            row[column.name] = _other_value(session, column, row[column.name], pick)
    session.execute(sa.insert(table).values(row))
    return f"a row of {table.name} is added: {row}"


def _other_value(session: Session, column: sa.Column[Any], value: Any, pick: random.Random) -> Any:
    if column.name in _VALUES:
        return pick.choice(_VALUES[column.name])
    if column.foreign_keys:
        other = next(iter(column.foreign_keys)).column
        ids = session.scalars(sa.select(other).order_by(other)).all()
        return pick.choice([*ids, None] if column.nullable else ids)
    return None if value is None else _STEPS[type(value)](value, pick)


def _later(value: datetime, pick: random.Random) -> datetime:
    return value + timedelta(minutes=pick.choice((-60, -30, -15, -5, 5, 15, 30, 60, 1440)))


# How a value of each type becomes another one; a value that is missing stays so.
_STEPS: dict[type, Callable[[Any, random.Random], Any]] = {
    bool: lambda value, _pick: not value,
    int: lambda value, pick: value + pick.choice((-60, -30, -5, -1, 1, 5, 30, 60)),
    str: lambda value, pick: pick.choice(("", f"{value} x", f"{value}y")),
    date: lambda value, pick: value + timedelta(days=pick.choice((-7, -1, 1, 7))),
    datetime: _later,
}
_STATEMENTS: dict[Event, Callable[[Session, sa.Table, random.Random], str]] = {
    "insert": _insert,
    "update": _update,
    "delete": _delete,
}

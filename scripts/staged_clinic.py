"""The demo clinic of the screenshots: with what a demo lacks, and the names by which `scripts.pages` finds things."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.servers import SECRET_KEY, docket_environment, live_server
from webapp import accounts, models
from webapp.appointments import walk_ins
from webapp.appointments.joining import join_records
from webapp.appointments.messages import notification_lists
from webapp.appointments.walk_ins import Queue
from webapp.auth.addresses import confirmation
from webapp.auth.schemas import Actor
from webapp.clinic import poster
from webapp.core.clock import utc_now
from webapp.core.signing import sign
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.patients import duplicates

DESK = Actor(1, 0, "Admin", "", "admin")


@contextmanager
def demo_clinic() -> Iterator[tuple[str, dict[str, object]]]:
    """A server with fresh demo data; gives its address, and what the addresses of `scripts.pages` name."""
    with tempfile.TemporaryDirectory(prefix="docket-pictures-") as folder:
        url = f"sqlite:///{folder}/docket.db"
        command = str(Path(sys.executable).with_name("docket"))
        for arguments in (["db", "upgrade"], ["demo"]):
            subprocess.run([command, *arguments], env=docket_environment(url), cwd=folder, check=True)
        names = staged(wired_database(url))
        with live_server(url) as server:
            yield server.url, names


def staged(database: Database) -> dict[str, object]:
    """Add what a demo clinic lacks, and find what the addresses name."""
    now = utc_now()
    monday = next_monday()
    extra, leave = monday + timedelta(days=12), monday + timedelta(days=60)
    link = accounts.make_password_link(database, "doctor2@docket.example", now=now)
    return database.write(_add_rows, extra, leave, now=now) | {
        "monday": monday,
        "week": f"{monday:%G-W%V}",
        "first": now.date() + timedelta(days=7),
        "last": now.date() + timedelta(days=9),
        "extra_day": extra,
        "period": f"{leave}..",
        "password_link": link.rpartition("/")[2],
        "email_link": sign(
            [SECRET_KEY], confirmation.PURPOSE, confirmation.link_of(1, "admin@docket.example", now=now)
        ),
    }


def _add_rows(session: Session, extra: date, leave: date, *, now: datetime) -> dict[str, object]:
    rows: dict[str, Any] = {
        "child": models.Patient(name="Ella Weiss", managed_by_id=1, birth_date=date(2019, 5, 3), created_at=now),
        "twin": models.Patient(name="", created_at=now),
        "rosa": models.Patient(name="Rosa Bos", birth_date=date(1990, 5, 3), created_at=now),
        "rose": models.Patient(name="Rose Bos", birth_date=date(1990, 5, 3), created_at=now),
        "period": models.WorkingHours(doctor_id=1, weekday=0, start_minute=540, end_minute=720, valid_from=leave),
        "extra": models.ExtraHours(doctor_id=1, day=extra, start_minute=540, end_minute=720),
    }
    third = session.get_one(models.Patient, 3)
    rows["twin"].name, rows["twin"].birth_date = third.name, third.birth_date
    session.add_all(rows.values())
    session.flush()
    duplicates.note_pair(session, 3, rows["twin"].id, now=now)
    pair = rows["rosa"].id, rows["rose"].id
    duplicates.note_pair(session, *pair, now=now)
    stays = join_records(session, DESK, *pair, now=now)
    appointment, flagged = session.scalars(
        sa.select(models.Appointment)
        .where(models.Appointment.doctor_id == 1, models.Appointment.starts_at > now + timedelta(days=2))
        .where(models.Appointment.status == "scheduled")
        .order_by(models.Appointment.starts_at)
    ).fetchmany(2)
    flagged.flagged_why = "time_off"
    poster.renew(session, DESK, now=now)
    day = flagged.starts_at.date()
    list_id = notification_lists.begin(session, DESK, "away", doctor_id=1, day=day, now=now)
    notification_lists.note(session, list_id, flagged.id, "kept", was_at=flagged.starts_at)
    queue = Queue(doctor="amara-okafor", urgent=True, note="Cut on the hand")
    return {
        "child": rows["child"].id,
        "twin": rows["twin"].id,
        "joined": stays,
        "join": session.scalar(sa.select(models.JoinedRecord.id)),
        "time_off": session.scalar(sa.select(models.TimeOff.id).where(models.TimeOff.doctor_id == 1)),
        "walk_in": walk_ins.join(session, DESK, 3, queue, now=now - timedelta(minutes=17)),
        "notification_list": list_id,
        "poster_key": session.scalar(sa.select(models.ClinicSettings.poster_key)),
        "appointment_of_doctor": appointment.reference,
        "flagged": flagged.reference,
    }


def next_monday() -> date:
    """A working day with appointments, so that the screenshots do not depend on the weekday of today."""
    today = utc_now().date()
    return today + timedelta(days=7 - today.weekday())

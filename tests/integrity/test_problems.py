"""`docket check` finds every problem, reports it in a sentence, and reports nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.appointment_rows import put, take_guard_away
from tests.cast import NOW, Cast, local
from webapp.engines import sqlite_module
from webapp.integrity.problems import find_problems
from webapp.integrity.warnings import find_warnings
from webapp.models import (
    Appointment,
    Closure,
    ExtraHours,
    OpeningHours,
    OutboxMessage,
    Patient,
    TimeOff,
    WorkingHours,
)
from webapp.notifications.outbox import Message, enqueue


def problems(cast: Cast) -> list[str]:
    """The problems that are found, without the references."""
    return [problem.split(" ", 2)[2] for problem in find_problems(cast.database, now=NOW)]


def test_a_clinic_that_books_through_the_service_has_no_problems(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    cast.book(cast.dave, "2026-03-03 14:00", visit_type=cast.buffered)
    cast.add(ExtraHours(doctor_id=cast.doctor_ids["erin"], day=date(2026, 3, 7), start_minute=600, end_minute=660))
    cast.book(cast.alice, "2026-03-07 10:00", doctor="erin", visit_type=cast.long)
    assert problems(cast) == []


@pytest.mark.parametrize(("start", "minutes", "codes"), [
    ("2026-03-03 08:30", 30, ["clinic_closed", "outside_working_hours"]),
    ("2026-03-03 16:45", 30, ["clinic_closed", "outside_working_hours"]),
    ("2026-03-03 11:45", 30, ["outside_working_hours"]),
    ("2026-03-03 16:30", 30, []),
    ("2026-06-30 20:00", 30, ["clinic_closed", "outside_working_hours"]),
])  # fmt: skip
def test_an_upcoming_appointment_outside_hours_is_reported(
    cast: Cast, start: str, minutes: int, codes: list[str]
) -> None:
    put(cast, start, minutes=minutes)
    expected = [f"of Dr. Bob Brown breaks the rule {code} and is not flagged." for code in codes]
    assert sorted(problems(cast)) == sorted(expected)


def test_appointments_in_later_leave_and_closures_are_reported(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    cast.book(cast.alice, "2026-03-04 10:00", doctor="erin", visit_type=cast.long)
    off = {"starts_at": local("2026-03-03 10:14"), "ends_at": local("2026-03-03 11:00")}
    cast.add(TimeOff(doctor_id=cast.doctor_ids["bob"], **off))
    cast.add(Closure(name="Works", starts_on=date(2026, 3, 4), ends_on=date(2026, 3, 4)))
    assert problems(cast) == [
        "of Dr. Bob Brown breaks the rule time_off and is not flagged.",
        "of Dr. Erin Eze breaks the rule closure and is not flagged.",
    ]


def test_appointments_in_removed_hours_are_reported(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    cast.change(sa.delete(WorkingHours).where(WorkingHours.weekday == 1))
    assert problems(cast) == ["of Dr. Bob Brown breaks the rule outside_working_hours and is not flagged."]
    cast.change(sa.delete(OpeningHours))
    assert len(problems(cast)) == 2


def test_past_or_cancelled_appointments_are_no_problem(cast: Cast) -> None:
    put(cast, "2026-03-01 23:00")
    put(cast, "2026-03-03 23:00", status="cancelled")
    put(cast, "2026-03-03 23:00", status="no_show")
    assert problems(cast) == []


def test_buffers_outside_hours_are_no_problem(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:00", visit_type=cast.buffered)
    cast.book(cast.alice, "2026-03-03 16:15", visit_type=cast.buffered)
    assert problems(cast) == []


def test_every_appointment_that_overlaps_an_earlier_one_is_reported_once(cast: Cast) -> None:
    take_guard_away(cast.database)
    for start in ("2026-03-03 10:00", "2026-03-03 10:10", "2026-03-03 10:20", "2026-03-03 11:00"):
        put(cast, start, patient="dave")
    put(cast, "2026-03-03 10:00", status="cancelled")
    put(cast, "2026-03-03 09:45", doctor="erin", patient="dave")
    told = found_besides_triggers(cast)
    assert "guard is missing" in told[0]
    doctor = cast.doctor_ids["bob"]
    patient = cast.patient_ids["dave"]
    assert sorted(problem.split(" ", 2)[2] for problem in told[1:]) == sorted(
        [f"overlaps an earlier one of doctor {doctor}."] * 2 + [f"overlaps an earlier one of patient {patient}."] * 3
    )
    cast.change(sa.delete(Appointment))
    assert len(found_besides_triggers(cast)) == 1


def found_besides_triggers(cast: Cast) -> list[str]:
    """The problems, without the names of missing triggers: SQLite's guard is made of these."""
    return [problem for problem in find_problems(cast.database, now=NOW) if not problem.startswith("The trigger")]


def test_undelivered_messages_are_reported_without_their_address(cast: Cast) -> None:
    hour = timedelta(hours=1)
    late: dict[str, Any] = {"due_at": NOW - hour - timedelta(seconds=1)}
    states: dict[str, dict[str, Any]] = {
        "lost": late,
        "due": {"due_at": NOW - hour},
        "abandoned": {**late, "status": "sending", "lease_until": NOW - hour - timedelta(seconds=1)},
        "in hand": {**late, "status": "sending", "lease_until": NOW - hour},
        "sent": {**late, "status": "sent"},
        "dead": {**late, "status": "dead"},
        "put off": {"due_at": NOW + hour},
        # It is not sent before the one that was postponed.
        "behind it": late,
    }
    for number, (key, changes) in enumerate(states.items()):
        subject = ("user", number - (key == "behind it"))
        message = Message(key, "email", "alice@docket.example", f"about {key}", {}, subject)
        cast.database.write(enqueue, message, now=NOW)
        cast.change(sa.update(OutboxMessage).where(OutboxMessage.dedupe_key == key).values(**changes))
    told = list(find_problems(cast.database, now=NOW))
    assert [problem.split("(")[1] for problem in told] == [
        f"about {key}) was due at 2026-03-02 05:59 UTC and has not been delivered." for key in ("lost", "abandoned")
    ]
    assert "Messages that could not be delivered: 1. /admin/messages?state=dead shows them." in find_warnings(
        cast.database, production=True
    )


def test_a_record_with_another_address_than_its_account_is_reported(cast: Cast) -> None:
    cast.change(sa.update(Patient).where(Patient.id == cast.patient_ids["alice"]).values(email="typo@docket.example"))
    assert problems(cast) == ["has another email address on the record than on the account."]


@pytest.mark.parametrize(
    "name", ["audit_events_no_update", "appointments_live_on_update", "appointments_busy_times_on_update"]
)
def test_each_missing_trigger_is_reported(sqlite_cast: Cast, name: str) -> None:
    sqlite_cast.database.write(lambda session: session.execute(sa.text(f"DROP TRIGGER {name}")))
    assert f"or function {name} is missing, disabled or changed." in problems(sqlite_cast)


def test_a_trigger_that_does_less_is_reported(cast: Cast) -> None:
    def weaken(session: Session) -> str:
        if not cast.database.is_sqlite:
            # Nothing would take time any more.
            function = "CREATE OR REPLACE FUNCTION keep_busy_times_of_appointments() RETURNS trigger LANGUAGE plpgsql"
            session.execute(sa.text(f"{function} AS $$ BEGIN RETURN OLD; END $$"))
            return "keep_busy_times_of_appointments"
        name = "appointments_busy_times_on_update"
        query = sa.text("SELECT sql FROM sqlite_master WHERE name = :name")
        text = session.execute(query, {"name": name}).scalar_one()
        session.execute(sa.text(f"DROP TRIGGER {name}"))
        # Moves would keep the old time.
        session.connection().exec_driver_sql(text.replace("AFTER UPDATE ON", "AFTER UPDATE OF status ON"))
        return name

    name = cast.database.write(weaken)
    assert f"or function {name} is missing, disabled or changed." in problems(cast)


@pytest.mark.parametrize(("table", "name", "column"), [
    ("doctors", "bob", "doctor_id"),
    ("patients", "alice", "patient_id"),
])  # fmt: skip
def test_appointments_that_lost_their_doctor_or_patient_are_reported(
    sqlite_cast: Cast, table: str, name: str, column: str
) -> None:
    put(sqlite_cast, "2026-03-03 10:00")
    number = (sqlite_cast.doctor_ids | sqlite_cast.patient_ids)[name]
    # A console does not enforce foreign keys unless it is asked to.
    console = sqlite_module().connect(str(sqlite_cast.database.url.database))
    console.execute(f"DELETE FROM {table} WHERE id = {number}")
    console.commit()
    console.close()
    assert f"appointments whose {column} refers to no row of {table}: 1." in problems(sqlite_cast)

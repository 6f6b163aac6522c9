"""Everything that takes a doctor's time has a row in `busy_times`, however it was written; no two rows share a lane and
time.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.appointment_rows import GUARDS, appointment, insert, put
from tests.cast import NOW, Cast, assemble, local
from webapp.appointments.booking import service, status_service
from webapp.appointments.schemas import Cancellation, Move, UndoStatus
from webapp.clinic.service import get_clinic
from webapp.database import Database, UtcDateTime
from webapp.doctors import service as doctors
from webapp.integrity.guard_trial import guard_is_in_place
from webapp.integrity.problems import find_problems
from webapp.models import Appointment, BusyTime, Patient
from webapp.scheduling import checks
from webapp.scheduling.busy_times import (
    CONTENTS,
    Source,
    expected,
    postgresql_maintenance_triggers,
    sqlite_maintenance_triggers,
)
from webapp.scheduling.exceptions import SlotTaken
from webapp.scheduling.viewer import Viewer

TEN = "2026-03-03 10:00"


def busy(cast: Cast) -> list[tuple[int, ...]]:
    """The rows of the table, after checking that they are exactly the expected ones."""
    with cast.database.reading() as session:
        held = sorted(tuple(row) for row in session.execute(CONTENTS))
        assert held == sorted(tuple(row) for row in session.execute(expected()))
    return held


def spans(cast: Cast) -> list[str]:
    """The stretches of time in it, on the clock of the day in UTC."""
    return [
        f"{low // 60 % 24:02d}:{low % 60:02d}-{high // 60 % 24:02d}:{high % 60:02d}"
        for _, _, low, high, _ in busy(cast)
    ]


def run(database: Database, *statements: str) -> None:
    """Run statements as an operator at the database's console does, in one transaction."""
    with database.engine.connect().execution_options(docket_write=True) as connection, connection.begin():
        for statement in statements:
            connection.exec_driver_sql(statement)


def execute(cast: Cast, statement: sa.Insert | sa.Update) -> None:
    """Run one statement in one transaction."""
    cast.database.write(lambda session: session.execute(statement))


@pytest.fixture
def sqlite_without_keys(sqlite_url: str) -> Iterator[Cast]:
    """The cast on a SQLite database whose connections do not enforce foreign keys, which is SQLite's default."""
    database = Database(sqlite_url)

    @sa.event.listens_for(database.engine, "connect")
    def forget(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        connection.cursor().execute("PRAGMA foreign_keys=OFF")

    yield assemble(database)
    database.dispose()


# ---------------------------------------------------------------------------------------- filled by the database


def test_each_use_case_keeps_the_table(cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN, visit_type=cast.buffered)
    assert spans(cast) == ["08:55-09:55"]
    cast.database.write(service.move, cast.alice, reference, Move(starts_at=local("2026-03-03 14:00")), now=NOW)
    assert spans(cast) == ["12:55-13:55"]
    cast.database.write(service.cancel, cast.bob, reference, Cancellation(), now=NOW)
    assert spans(cast) == []
    cast.database.write(status_service.undo, cast.bob, reference, UndoStatus(), now=NOW)
    assert spans(cast) == ["12:55-13:55"]
    held = busy(cast)
    cast.change(sa.update(Appointment).values(status="completed", notes="Words take no time"))
    assert busy(cast) == held
    cast.change(sa.update(Appointment).values(doctor_id=cast.doctor_ids["erin"]))
    assert [row[0] for row in busy(cast)] == [cast.doctor_ids["erin"]]
    cast.change(sa.update(Appointment).values(status="no_show"))
    assert spans(cast) == []


def test_changing_texts_does_not_rewrite_the_table(cast: Cast) -> None:
    put(cast, TEN)
    with cast.database.reading() as session:
        before = session.scalars(sa.select(BusyTime.id)).all()
    cast.change(sa.update(Appointment).values(notes="Please ring twice", status="confirmed"))
    with cast.database.reading() as session:
        assert session.scalars(sa.select(BusyTime.id)).all() == before


def test_an_appointment_that_is_deleted_frees_its_time(cast: Cast) -> None:
    number = put(cast, TEN)
    cast.change(sa.delete(Appointment).where(Appointment.id == number))
    assert busy(cast) == []
    put(cast, TEN, patient="dave")


def test_the_guard_is_on_the_table_itself(cast: Cast) -> None:
    put(cast, TEN)
    put(cast, "2026-03-03 10:30", patient="dave")
    doctor, lane, low, high, number = busy(cast)[0]
    taken = {"doctor_id": doctor, "lane": lane, "from_minute": low + 10, "until_minute": high, "appointment_id": number}
    for statement in (
        sa.insert(BusyTime).values(taken),
        sa.update(BusyTime).where(BusyTime.appointment_id == number).values(until_minute=high + 1),
    ):
        with pytest.raises(IntegrityError, match=GUARDS["doctor"]):
            execute(cast, statement)
    for wrong in ({"until_minute": low + 481}, {"until_minute": low}):
        with pytest.raises(IntegrityError, match="ck_busy_times_length"):
            cast.change(sa.update(BusyTime).where(BusyTime.from_minute > low).values(from_minute=low, lane=7, **wrong))


def test_conflict_clauses_of_sqlite_do_not_weaken_the_guard(sqlite_cast: Cast) -> None:
    number = put(sqlite_cast, TEN)
    other = appointment(sqlite_cast, "2026-03-03 10:15", patient="dave")
    for clause in ("OR REPLACE", "OR IGNORE", "OR FAIL"):
        statement = sa.insert(Appointment).prefix_with(clause).values(other)
        with pytest.raises(IntegrityError, match=GUARDS["doctor"]):
            execute(sqlite_cast, statement)
    same = appointment(sqlite_cast, "2026-03-03 10:15") | {"id": number}
    execute(sqlite_cast, sa.insert(Appointment).prefix_with("OR REPLACE").values(same))
    assert spans(sqlite_cast) == ["09:15-09:45"]


def test_rows_replaced_on_sqlite_leave_no_double_time(sqlite_without_keys: Cast) -> None:
    """Replacing deletes without firing the trigger for deletions, and here no foreign key prevents it."""
    cast = sqlite_without_keys
    number, other = put(cast, TEN), put(cast, "2026-03-03 12:00", patient="dave", status="cancelled")
    run(cast.database, f"UPDATE OR REPLACE appointments SET id = {number}, status = 'arrived' WHERE id = {other}")
    assert spans(cast) == ["11:00-11:30"]
    cast.change(sa.delete(Appointment))
    assert busy(cast) == []


def test_a_replica_of_postgresql_keeps_the_table(postgresql_url: str) -> None:
    """The triggers fire in a session that applies another server's changes or loads a copy as a replica."""
    database = Database(postgresql_url)
    number = put(cast := assemble(database), TEN, status="cancelled")
    change = f"UPDATE appointments SET status = 'scheduled' WHERE id = {number}"
    run(database, "SET LOCAL session_replication_role = replica", change)
    assert spans(cast) == ["09:00-09:30"]
    database.dispose()


# ------------------------------------------------------------------------------------------------------- lanes


def test_in_the_other_lane_times_overlap_with_a_reason_and_inside_a_lane_never(cast: Cast) -> None:
    put(cast, TEN)
    put(cast, "2026-03-03 10:15", patient="dave", squeezed="A child with a fever")
    assert [row[1] for row in busy(cast)] == [0, 1]
    another = insert_patient(cast)
    for squeezed in ("", "One more"):
        with pytest.raises(IntegrityError, match=GUARDS["doctor"]):
            insert(cast, appointment(cast, "2026-03-03 10:20", squeezed=squeezed) | {"patient_id": another})
    for lane, reason in ((1, ""), (1, "  "), (4, "A fifth lane"), (-1, "Below"), (None, "None")):
        with pytest.raises(IntegrityError):
            insert(cast, appointment(cast, "2026-03-03 15:00") | {"lane": lane, "squeeze_reason": reason})
    with pytest.raises(IntegrityError, match=GUARDS["doctor"]):
        cast.change(sa.update(Appointment).where(Appointment.lane == 1).values(lane=0))
    with pytest.raises(IntegrityError, match="ck_appointments_lane"):
        cast.change(sa.update(Appointment).where(Appointment.lane == 1).values(squeeze_reason=""))
    # The patient can be in one place only, in any lane.
    with pytest.raises(IntegrityError, match=GUARDS["patient"]):
        put(cast, TEN, doctor="erin", squeezed="At two places")
    assert list(find_problems(cast.database, now=NOW)) == []


def test_time_beside_a_squeezed_appointment_is_not_free(cast: Cast) -> None:
    cast.book(cast.alice, TEN)
    put(cast, TEN, patient="dave", minutes=15, squeezed="A child with a fever")
    cast.change(sa.update(Appointment).where(Appointment.lane == 0).values(status="cancelled"))
    with pytest.raises(SlotTaken):
        cast.book(cast.alice, TEN)
    cast.change(sa.update(Appointment).where(Appointment.lane == 1).values(status="cancelled"))
    cast.book(cast.alice, TEN)


def insert_patient(cast: Cast) -> int:
    """Insert a patient; returns the id."""
    return cast.add(Patient(name="Frank Fox", created_at=NOW))


# ------------------------------------------------------------------------------ other things that take time

TRAININGS = Source("trainings", "training_id", "{row}.title <> '' AND {row}.cancelled_at IS NULL")


def make_trainings(database: Database) -> sa.Table:
    """A table of this test that takes doctors' time, created as a migration would: the guard is unchanged."""
    metadata = sa.MetaData()
    table = sa.Table(
        TRAININGS.table,
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("title", sa.String(80), nullable=False),
        sa.Column("doctor_id", sa.Integer, nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("busy_from", UtcDateTime, nullable=False),
        sa.Column("busy_until", UtcDateTime, nullable=False),
        sa.Column("cancelled_at", UtcDateTime),
    )
    metadata.create_all(database.engine)
    run(
        database,
        f"ALTER TABLE busy_times ADD COLUMN {TRAININGS.column} INTEGER REFERENCES {TRAININGS.table} (id)",
        *(sqlite_maintenance_triggers if database.is_sqlite else postgresql_maintenance_triggers)(TRAININGS),
    )
    return table


def test_a_table_that_comes_later_takes_time_through_the_same_guard(cast: Cast) -> None:
    put(cast, TEN)
    table = make_trainings(cast.database)

    def train(start: str, end: str) -> None:
        row = {"title": "First aid", "doctor_id": cast.doctor_ids["bob"]}
        row |= {"busy_from": local(start), "busy_until": local(end)}
        execute(cast, sa.insert(table).values(row))

    with pytest.raises(IntegrityError, match=GUARDS["doctor"]):
        train("2026-03-03 10:29", "2026-03-03 12:00")
    train("2026-03-03 10:30", "2026-03-03 12:00")
    with pytest.raises(IntegrityError, match=GUARDS["doctor"]):
        put(cast, "2026-03-03 11:00", patient="dave")
    # The rules know it before the guard is asked, also while an appointment moves.
    assert refused_by(cast, "2026-03-03 11:00") == ["slot_taken"]
    moving = put(cast, "2026-03-03 14:00", patient="dave")
    assert refused_by(cast, "2026-03-03 11:00", moving=moving) == ["slot_taken"]
    assert refused_by(cast, "2026-03-03 14:15", moving=moving) == []

    one = table.update()
    with pytest.raises(IntegrityError, match=GUARDS["doctor"]):
        cast.change(one.values(busy_from=local("2026-03-03 10:15")))
    cast.change(one.values(cancelled_at=NOW))
    cast.book(cast.dave, "2026-03-03 11:00")
    with pytest.raises(IntegrityError, match=GUARDS["doctor"]):
        cast.change(one.values(cancelled_at=None))
    cast.change(one.values(cancelled_at=None, busy_until=local("2026-03-03 11:00")))
    cast.change(table.delete())
    put(cast, "2026-03-03 10:30")
    assert guard_is_in_place(cast.database)
    assert spans(cast) == ["09:00-09:30", "09:30-10:00", "10:00-10:15", "13:00-13:30"]


def refused_by(cast: Cast, start: str, *, moving: int | None = None) -> list[str]:
    """The codes of the rules that refuse a short appointment with Bob, or moving one there."""
    with cast.database.reading() as session:
        request = checks.find_booking_request(session, doctors.get_doctor(session, "bob"), cast.short)
        found = checks.find_refusals(
            session, get_clinic(session), request, local(start), now=NOW, viewer=Viewer(moving=moving)
        )
        return [refusal.code for refusal in found]


# ------------------------------------------------------------------------------------------------- concurrency

RACERS = 8


def test_of_concurrent_writers_without_the_service_one_gets_the_time(cast: Cast) -> None:
    """They ask no rules and take no locks."""
    patients = [insert_patient(cast) for _ in range(RACERS)]
    start = Barrier(RACERS)

    def write(number: int, hour: int) -> str:
        row = appointment(cast, f"2026-03-03 {hour:02d}:{number * 3:02d}") | {"patient_id": patients[number]}
        start.wait()
        try:
            with cast.database.engine.connect().execution_options(docket_write=True) as connection, connection.begin():
                connection.execute(sa.insert(Appointment).values(row))
        except DBAPIError as error:
            return "refused" if GUARDS["doctor"] in str(error.orig) else str(error.orig)
        return "taken"

    with ThreadPoolExecutor(RACERS) as pool:
        for hour in range(8, 20):
            outcomes = sorted(pool.map(write, range(RACERS), [hour] * RACERS))
            assert outcomes == ["refused"] * (RACERS - 1) + ["taken"]
    assert len(busy(cast)) == 12


# Two patients, each with the hours that are taken for them, in this order.
CROSSING = (("alice", (10, 11)), ("dave", (11, 10)))


def test_crossing_writers_without_the_service_wait_and_do_not_deadlock(postgresql_url: str) -> None:
    """PostgreSQL's triggers take the doctor's lock. SQLite has one writer at a time anyway."""
    database = Database(postgresql_url)
    cast = assemble(database)
    one, other = (
        [appointment(cast, f"2026-03-03 {hour}:00", patient=name) for hour in hours] for name, hours in CROSSING
    )
    begun = Event()

    def write_the_other() -> None:
        with database.engine.begin() as connection:
            for row in other:
                connection.execute(sa.insert(Appointment).values(row))
                begun.set()

    with ThreadPoolExecutor(1) as pool:
        with database.engine.begin() as connection:
            connection.execute(sa.insert(Appointment).values(one[0]))
            crossing = pool.submit(write_the_other)
            while not begun.is_set() and not crossing.done() and not is_waited_for(database):
                pass
            connection.execute(sa.insert(Appointment).values(one[1]))
        with pytest.raises(IntegrityError, match=GUARDS["doctor"]):
            crossing.result()
    assert len(busy(cast)) == 2
    database.dispose()


def is_waited_for(database: Database) -> bool:
    """Whether a transaction waits for another one's lock."""
    with database.reading() as session:
        return bool(session.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


# ----------------------------------------------------------------------------------------- readiness and check


def test_readiness_misses_each_trigger_that_keeps_the_table(cast: Cast) -> None:
    for name in (f"appointments_busy_times_on_{event}" for event in ("insert", "update", "delete")):
        if cast.database.is_sqlite:
            with cast.database.reading() as session:
                again = str(session.scalar(sa.text(f"SELECT sql FROM sqlite_master WHERE name = '{name}'")))
            run(cast.database, f"DROP TRIGGER {name}")
        else:
            again = f"ALTER TABLE appointments ENABLE ALWAYS TRIGGER {name}"
            run(cast.database, f"ALTER TABLE appointments DISABLE TRIGGER {name}")
        assert not guard_is_in_place(cast.database), name
        run(cast.database, again)
        assert guard_is_in_place(cast.database)


def test_the_check_reports_unguarded_time_and_time_that_nothing_takes(cast: Cast) -> None:
    number = put(cast, TEN, before=5)
    later = put(cast, "2026-03-03 15:00", patient="dave")
    bob = cast.doctor_ids["bob"]
    assert list(find_problems(cast.database, now=NOW)) == []
    cast.change(sa.delete(BusyTime).where(BusyTime.appointment_id == number))
    cast.change(sa.update(BusyTime).where(BusyTime.appointment_id == later).values(lane=1))
    place = f"with doctor {bob} in lane"
    missing, moved, ghost = list(find_problems(cast.database, now=NOW))
    first = f"The time of appointment {number}, 2026-03-03 08:55 to 09:30 UTC {place} 0,"
    assert {missing, moved} == {
        f"{time} is not guarded: busy_times has no row for it."
        for time in (first, f"The time of appointment {later}, 2026-03-03 14:00 to 14:30 UTC {place} 0,")
    }
    assert ghost == (
        f"The time of appointment {later}, 2026-03-03 14:00 to 14:30 UTC {place} 1,"
        " is taken in busy_times, but not by a matching appointment."
    )
    cast.change(sa.update(BusyTime).values(lane=0, appointment_id=None))
    told = list(find_problems(cast.database, now=NOW))
    assert f"The time of no appointment, 2026-03-03 14:00 to 14:30 UTC {place} 0," in told[-1]

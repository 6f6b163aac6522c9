"""Publishing: which handlers are called, in which order and transaction, and what is refused."""

from __future__ import annotations

import ast
from dataclasses import FrozenInstanceError
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.cast import NOW
from webapp import models
from webapp.database import Database
from webapp.event_handlers import wired_database
from webapp.events import kinds
from webapp.events.kinds import EVENTS, AppointmentEvent, DoneBy, Event, PatientJoined, ScheduleChanged
from webapp.events.publishing import (
    EventHandlers,
    NotWired,
    PublishedByHandler,
    Subscription,
    on,
    publish,
    session_info,
)

ROOT = Path(__file__).resolve().parents[2]
JOINED = PatientJoined(by=DoneBy(1, "patient", "Alice Adams"), patient_id=7)


@pytest.fixture
def wired(database: Database, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Gives the database the test's own handlers instead of the application's."""
    return Wire(database, monkeypatch)


class Wire:
    """The database, and a way to set its handlers."""

    def __init__(self, database: Database, patch: pytest.MonkeyPatch) -> None:
        self.database, self._patch = database, patch

    def __call__(self, *subscriptions: Subscription) -> None:
        self._patch.setattr(self.database, "session_info", session_info(EventHandlers(*subscriptions)))

    def publish(self, event: Event) -> None:
        """Publish in its own transaction."""
        self.database.write(publish, event, now=NOW)

    def written(self) -> list[str]:
        """What the handlers of these tests have written."""
        with self.database.reading() as session:
            return list(session.scalars(sa.select(models.VisitType.name).order_by(models.VisitType.id)))


def write_row(session: Session, event: PatientJoined, /, *, now: datetime) -> None:
    """A handler that writes one row."""
    session.add(models.VisitType(name=f"Patient {event.patient_id}", minutes=30))


def refuse(_session: Session, _event: Event, /, *, now: datetime) -> None:
    """A handler that fails."""
    raise ZeroDivisionError


def test_handlers_of_a_kind_are_called_in_the_order_of_wiring_with_event_and_time(wired: Wire) -> None:
    calls: list[tuple[str, Event, datetime]] = []

    def first(_session: Session, event: PatientJoined, /, *, now: datetime) -> None:
        calls.append(("first", event, now))

    def second(_session: Session, event: Event, /, *, now: datetime) -> None:
        calls.append(("second", event, now))

    def other(_session: Session, event: ScheduleChanged, /, *, now: datetime) -> None:
        calls.append(("other", event, now))

    wired(on(ScheduleChanged, other), on(PatientJoined, first), on(PatientJoined, second))
    wired.publish(JOINED)
    assert calls == [("first", JOINED, NOW), ("second", JOINED, NOW)]


def test_more_handlers_follow_those_that_are_there(wired: Wire) -> None:
    calls: list[int] = []

    def called(number: int) -> Subscription:
        def handler(_session: Session, _event: Event, /, *, now: datetime) -> None:
            calls.append(number)

        return on(PatientJoined, handler)

    handlers = EventHandlers(called(1))
    wired.database.write(lambda session: handlers.followed_by(called(2)).handle(session, JOINED, now=NOW))
    wired.database.write(lambda session: handlers.handle(session, JOINED, now=NOW))
    assert calls == [1, 2, 1]


def test_rows_of_handlers_are_kept_with_the_transaction(wired: Wire) -> None:
    wired(on(PatientJoined, write_row))
    wired.publish(JOINED)
    assert wired.written() == ["Patient 7"]


def test_a_transaction_that_is_undone_takes_what_handlers_wrote_with_it(wired: Wire) -> None:
    wired(on(PatientJoined, write_row))

    def publish_and_fail(session: Session) -> None:
        publish(session, JOINED, now=NOW)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wired.database.write(publish_and_fail)
    assert wired.written() == []


def test_a_savepoint_that_is_undone_takes_what_handlers_wrote_with_it(wired: Wire) -> None:
    wired(on(PatientJoined, write_row))

    def publish_and_take_back(session: Session) -> None:
        publish(session, JOINED, now=NOW)
        with session.begin_nested() as savepoint:
            publish(session, PatientJoined(by=JOINED.by, patient_id=8), now=NOW)
            savepoint.rollback()

    wired.database.write(publish_and_take_back)
    assert wired.written() == ["Patient 7"]


def test_the_error_of_a_handler_undoes_everything(wired: Wire) -> None:
    wired(on(PatientJoined, write_row), on(PatientJoined, refuse))
    with pytest.raises(ZeroDivisionError):
        wired.publish(JOINED)
    assert wired.written() == []


def test_a_handler_publishes_nothing_itself(wired: Wire) -> None:
    def chain(session: Session, event: PatientJoined, /, *, now: datetime) -> None:
        publish(session, ScheduleChanged(by=event.by, what="closures"), now=now)

    wired(on(PatientJoined, write_row), on(PatientJoined, chain))
    with pytest.raises(PublishedByHandler, match="PatientJoined published ScheduleChanged"):
        wired.publish(JOINED)
    assert wired.written() == []


def test_after_a_handler_that_failed_the_session_publishes_again(wired: Wire) -> None:
    wired(on(PatientJoined, write_row), on(ScheduleChanged, refuse))

    def survive(session: Session) -> None:
        with pytest.raises(ZeroDivisionError):
            publish(session, ScheduleChanged(by=JOINED.by, what="closures"), now=NOW)
        publish(session, JOINED, now=NOW)

    wired.database.write(survive)
    assert wired.written() == ["Patient 7"]


# -------------------------------------------------------------------------------------------------- wiring


def test_a_database_without_handlers_refuses_to_publish(database_url: str) -> None:
    database = Database(database_url)
    try:
        with pytest.raises(NotWired, match="PatientJoined"):
            database.write(publish, JOINED, now=NOW)
    finally:
        database.dispose()


def test_a_session_for_reading_refuses_to_publish(database: Database) -> None:
    with database.reading() as session, pytest.raises(NotWired):
        publish(session, JOINED, now=NOW)


def test_every_process_opens_its_database_with_the_handlers() -> None:
    opening = {
        str(path.relative_to(ROOT))
        for folder in ("webapp", "bench", "scripts")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Database")
    }
    # The controls of the proof drop the guard through a plain database, two proofs look at what was stored, and a
    # process that starts others reads the version of the schema.
    plain = {"bench/unguarded.py", "bench/rivals.py", "bench/kills.py", "webapp/commands/serving.py"}
    assert opening == {"webapp/event_handlers.py", *plain}


def test_the_applications_handlers_are_those_of_its_database(sqlite_url: str) -> None:
    database = wired_database(sqlite_url)
    try:
        database.write(publish, JOINED, now=NOW)
    finally:
        database.dispose()


# --------------------------------------------------------------------------------------------------- events


def test_every_kind_is_listed() -> None:
    found = {each for each in vars(kinds).values() if isinstance(each, type) and issubclass(each, Event)}
    assert found - {Event, AppointmentEvent} == set(EVENTS)


def test_events_are_values_that_cannot_be_changed() -> None:
    same = PatientJoined(by=DoneBy(1, "patient", "Alice Adams"), patient_id=7)
    assert {JOINED, same} == {JOINED}
    with pytest.raises(FrozenInstanceError):
        same.patient_id = 8  # type: ignore[misc]

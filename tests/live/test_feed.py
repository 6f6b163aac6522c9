"""The changes that pages learn of: every change of a day, from any process, and only committed ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.appointment_rows import appointment, put
from tests.cast import NOW, Cast, client_for, log_in
from webapp import models
from webapp.event_handlers import wired_database
from webapp.live import feed
from webapp.live.feed import EVERYTHING, ChangedDay, News, listening, version_seen
from webapp.live.models import COLUMNS, OF_CLINIC, OF_DOCTOR
from webapp.notifications.outbox import Message, enqueue

Hear = Callable[[], tuple[ChangedDay, ...]]
DAY, OTHER_DAY = "2026-03-03", "2026-03-04"


@pytest.fixture
def hear(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hear]:
    """Listens as another process does; says what it hears next, and that this is the version which is read then."""
    monkeypatch.setattr(feed, "TICK_SECONDS", 0.01)
    other = wired_database(cast.url)
    with listening(other) as all_news:
        assert next(all_news) == News((), "")

        def hear_next() -> tuple[ChangedDay, ...]:
            news = next(each for each in all_news if each.changes)
            assert news.version == version(cast)
            return news.changes

        yield hear_next
    other.dispose()


def version(cast: Cast) -> str:
    """The version that a page sees now."""
    with cast.database.reading() as session:
        return version_seen(session)


def test_other_processes_hear_which_day_of_which_doctor_changed(cast: Cast, hear: Hear) -> None:
    bob, erin = cast.doctor_ids["bob"], cast.doctor_ids["erin"]
    appointment_id = put(cast, f"{DAY} 10:00")
    assert hear() == (ChangedDay(bob, DAY),)
    its = sa.update(models.Appointment).where(models.Appointment.id == appointment_id)
    cast.change(its.values(status="arrived"))
    assert hear() == (ChangedDay(bob, DAY),)
    # Moved to another doctor's other day: both change.
    there = appointment(cast, f"{OTHER_DAY} 10:00", doctor="erin")
    cast.change(its.values(there))
    assert hear() == (ChangedDay(bob, DAY), ChangedDay(erin, OTHER_DAY))
    cast.change(sa.delete(models.Appointment).where(models.Appointment.id == appointment_id))
    assert hear() == (ChangedDay(erin, OTHER_DAY),)


def test_changes_of_other_things_than_appointments_are_heard_too(cast: Cast, hear: Hear) -> None:
    bob = cast.doctor_ids["bob"]
    cast.change(sa.insert(models.TimeOff).values(doctor_id=bob, starts_at=NOW, ends_at=NOW + timedelta(hours=1)))
    assert hear() == (ChangedDay(bob, ""),)
    cast.change(sa.delete(models.WorkingHours).where(models.WorkingHours.doctor_id == bob))
    assert hear() == (ChangedDay(bob, ""),)
    cast.change(sa.update(models.ClinicSettings).values(name="Harbour Clinic"))
    assert hear() == (EVERYTHING,)
    cast.change(sa.update(models.Patient).where(models.Patient.id == cast.patient_ids["alice"]).values(phone="+316"))
    assert hear() == (EVERYTHING,)


def test_messages_that_are_given_up_or_tried_again_are_heard(cast: Cast, hear: Hear) -> None:
    """The overview counts them, and the board shows the calls to make instead."""
    cast.database.write(enqueue, Message("one", "email", "a@docket.example", "news", {}, ("user", 1)), now=NOW)
    message = sa.update(models.OutboxMessage)
    before = version(cast)
    cast.change(message.values(status="sending"))
    cast.change(message.values(status="waiting", last_error="busy"))
    assert version(cast) == before
    cast.change(message.values(status="dead"))
    assert hear() == (EVERYTHING,)
    cast.change(message.values(status="waiting"))
    assert hear() == (EVERYTHING,)
    cast.change(message.values(status="dead"))
    assert hear() == (EVERYTHING,)
    cast.change(sa.delete(models.OutboxMessage))
    assert hear() == (EVERYTHING,)


def test_changes_that_are_rolled_back_or_on_no_day_are_not_heard(cast: Cast, hear: Hear) -> None:
    before = version(cast)

    def give_up(session: Session) -> None:
        session.execute(sa.delete(models.WorkingHours))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cast.database.write(give_up)
    cast.change(sa.update(models.User).values(last_seen_at=NOW))
    assert version(cast) == before
    put(cast, f"{DAY} 10:00")
    assert hear() == (ChangedDay(cast.doctor_ids["bob"], DAY),)
    assert version(cast) != before


def test_a_change_that_is_committed_while_the_feed_reads_is_heard_next(
    sqlite_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite shows each statement what was committed last; PostgreSQL's notifications are each of one change."""
    monkeypatch.setattr(feed, "TICK_SECONDS", 0.01)
    statements: list[str] = []

    def follow(statement: str) -> None:
        if "live_changes" in statement:
            statements.append(statement)
            if len(statements) == 2:
                put(sqlite_cast, f"{OTHER_DAY} 10:00")

    bob, other = sqlite_cast.doctor_ids["bob"], wired_database(sqlite_cast.url)
    sa.event.listen(other.engine, "connect", lambda connection, _record: connection.set_trace_callback(follow))
    with listening(other) as all_news:
        next(all_news)
        statements.clear()
        put(sqlite_cast, f"{DAY} 10:00")
        heard = [news for news in islice(all_news, 20) if news.changes]
    other.dispose()
    assert [news.changes for news in heard] == [(ChangedDay(bob, DAY),), (ChangedDay(bob, OTHER_DAY),)]
    # The page that was told of the first change knows that it does not show the second one.
    assert heard[0].version != heard[1].version == version(sqlite_cast)


def test_many_changes_in_one_transaction_are_heard_as_one(
    cast: Cast, hear: Hear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_AT_ONCE", 1)
    cast.change(sa.delete(models.WorkingHours))
    assert hear() == (EVERYTHING,)


def test_the_worker_keeps_the_newest_and_the_version_stays(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"doctor_id": 1, "day": DAY}] * (feed.KEPT + 10)
    cast.database.write(lambda session: session.execute(sa.insert(models.LiveChange), rows))
    before = version(cast)
    with cast.database.reading() as session:
        assert feed.is_any_old(session, now=NOW)
    cast.database.write(feed.forget_old)
    with cast.database.reading() as session:
        assert not feed.is_any_old(session, now=NOW)
        assert session.scalar(sa.select(sa.func.count(models.LiveChange.id))) == feed.NEWEST
    assert version(cast) == before


# Tables about the reader and their choices, which only the reader changes.
OF_THE_READER = {"users", "sessions", "sign_in_rules", "board_choices", "security_events"}
OF_VERSIONS = {"live_changes", "schedule_versions"}


def test_everything_that_a_day_shows_is_watched(sqlite_cast: Cast) -> None:
    put(sqlite_cast, f"{DAY} 10:00")
    read: set[str] = set()

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().startswith("SELECT"):
            read.update(re.findall(r"\b(?:FROM|JOIN) (\w+)", statement))

    sa.event.listen(sqlite_cast.database.engine, "before_cursor_execute", note)
    with client_for(sqlite_cast.database) as client:
        assert log_in(client, "bob").get(f"/schedule/{DAY}").status_code == 200
        assert log_in(client, "carol").get(f"/board/{DAY}").status_code == 200
    # These follow from appointments and time off.
    # A line of a notification list is written together with the list, or with the appointment that changed.
    watched = {"appointments", "busy_times", "told_lines", *OF_DOCTOR, *OF_CLINIC, *COLUMNS}
    assert read - OF_THE_READER - OF_VERSIONS <= watched

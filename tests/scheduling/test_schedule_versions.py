"""Schedules that a process caches are always current, for every kind of change in any process."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.appointment_rows import appointment, put
from tests.cast import AMSTERDAM, NOW, Cast, assemble, local
from tests.servers import LiveServer, live_server
from webapp.appointments.booking import service
from webapp.appointments.schemas import Cancellation
from webapp.clinic.fragment_cache import cached_fragment
from webapp.clinic.schedule_version_models import CLINIC, OF_CLINIC, OF_DOCTOR, ScheduleVersion
from webapp.clinic.schedule_versions import missing_triggers, versions_seen
from webapp.clinic.service import Clinic, get_clinic
from webapp.database import Database, VersionCache
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow, VisitTypeRow
from webapp.event_handlers import wired_database
from webapp.integrity.guard_trial import guard_is_in_place
from webapp.integrity.problems import find_problems
from webapp.migrations import downgrade, upgrade
from webapp.models import Base, ClinicSettings, Closure, Doctor, TimeOff, WorkingHours
from webapp.scheduling.busy_times import _TAKEN
from webapp.scheduling.facts import BookingRequest, free_times, load_facts
from webapp.scheduling.promised_hours import find_broken
from webapp.scheduling.slots import to_datetime
from webapp.scheduling.viewer import ANYONE, Viewer

Free = dict[int, list[int]]

TABLES = Base.metadata.tables
TUESDAY = date(2026, 3, 3)


def _new_rows(cast: Cast) -> dict[str, dict[str, Any]]:
    """A row for each table that free times depend on; the clinic's settings have one already."""
    bob, hours = cast.doctor_ids["bob"], {"start_minute": 600, "end_minute": 660}
    return {
        "busy_times": {"doctor_id": bob, "lane": 0, "from_minute": 29_600_000, "until_minute": 29_600_030},
        "working_hours": {"doctor_id": bob, "weekday": 6, **hours},
        "extra_hours": {"doctor_id": bob, "day": date(2026, 3, 8), **hours},
        "time_off": {"doctor_id": bob, "starts_at": local("2026-03-04 09:00"), "ends_at": local("2026-03-04 10:00")},
        "opening_hours": {"weekday": 6, **hours},
        "closures": {"name": "Works", "starts_on": TUESDAY, "ends_on": TUESDAY},
        "visit_types": {"name": "Check-up", "minutes": 20},
        "doctors": {"slug": "fay", "name": "Dr. Fay Fox", "specialty": "Skin", "languages": []},
        "doctor_visit_types": {"doctor_id": bob, "visit_type_id": cast.erins_only},
    }


def _version(session: Session, doctor_id: int) -> int | None:
    query = sa.select(ScheduleVersion.version).where(ScheduleVersion.doctor_id == doctor_id)
    return session.scalar(query.execution_options(populate_existing=True))


@pytest.fixture
def versions(cast: Cast) -> Callable[[Any, int], bool]:
    """Runs a statement in its own transaction, and returns whether Bob's version, or the clinic's, has changed."""

    def changes(statement: Any, doctor_id: int) -> bool:
        with cast.database.reading() as session:
            before = _version(session, doctor_id)
        cast.database.write(lambda session: session.execute(statement))
        with cast.database.reading() as session:
            return _version(session, doctor_id) != before

    return changes


@pytest.mark.parametrize("name", [*OF_DOCTOR, *OF_CLINIC])
def test_every_change_that_affects_free_times_changes_the_version(
    cast: Cast, versions: Callable[[Any, int], bool], name: str
) -> None:
    table, whose = TABLES[name], cast.doctor_ids["bob"] if name in OF_DOCTOR else CLINIC
    row = _new_rows(cast).get(name)
    if row is None:
        mine: sa.ColumnElement[bool] = sa.true()
    else:
        assert versions(sa.insert(table).values(row), whose)
        mine = sa.and_(*(table.c[key] == value for key, value in row.items() if key != "languages"))

    for column in table.columns:
        if column.name not in (row or {}):
            assert versions(sa.update(table).where(mine).values({column.name: column}), whose), column.name
    for key in row or {}:
        assert versions(sa.update(table).where(mine).values({key: table.c[key]}), whose), key
    if row is not None:
        assert versions(sa.delete(table).where(mine), whose)


def test_every_change_of_the_time_that_an_appointment_takes_changes_the_version(
    cast: Cast, versions: Callable[[Any, int], bool]
) -> None:
    table, bob, step = TABLES["appointments"], cast.doctor_ids["bob"], timedelta(minutes=5)
    row = appointment(cast, "2026-03-04 09:30")
    changes: list[dict[str, Any]] = [
        {"busy_from": row["busy_from"] - step},
        {"busy_until": row["busy_until"] + step},
        {"squeeze_reason": "Urgent", "lane": 1},
        {"doctor_id": cast.doctor_ids["erin"]},
        {"doctor_id": bob},
        {"status": "cancelled"},
        {"status": "scheduled"},
        {"status": "no_show"},
        {"status": "arrived"},
    ]
    decisive = {"status", *_TAKEN}
    assert decisive <= {name for change in changes for name in change}
    assert versions(sa.insert(table).values(row), bob)
    for change in changes:
        assert versions(sa.update(table).values(change), bob), change
    # The rest says nothing about time, and bookings need not wait for it.
    for column in table.columns:
        if column.name not in {*decisive, "starts_at", "ends_at", "promised_minute"}:
            assert not versions(sa.update(table).values({column.name: column}), bob), column.name
    assert versions(sa.delete(table), bob)


def test_emptying_a_table_changes_the_version_too(postgresql_cast: Cast) -> None:
    """TRUNCATE fires no trigger for rows; SQLite has no such statement."""
    database = postgresql_cast.database
    for name in (*OF_DOCTOR, *OF_CLINIC, "appointments"):
        with database.reading() as session:
            before = _version(session, CLINIC)
        database.write(Session.execute, sa.text(f"TRUNCATE {name} CASCADE"))
        with database.reading() as session:
            assert _version(session, CLINIC) != before, name


def test_a_change_of_an_appointment_that_is_over_changes_the_version_of_its_months(
    cast: Cast, versions: Callable[[Any, int], bool]
) -> None:
    """The database's own clock says what is over; bookings and changes of what is to come are not noted."""
    table, march, april = TABLES["appointments"], -202603, -202604
    # In UTC it is still in March.
    row = appointment(cast, "2026-04-01 00:30")
    assert versions(sa.insert(table).values(row), march)
    assert versions(sa.update(table).values(desk_note="Late"), march)
    moved = appointment(cast, "2026-04-02 09:00")
    assert versions(sa.update(table).values({name: moved[name] for name in row if name != "reference"}), march)
    assert versions(sa.update(table).values(status="no_show"), april)
    assert versions(sa.delete(table), april)
    put(cast, "2090-03-02 09:00")
    with cast.database.reading() as session:
        assert _version(session, -209003) is None


def test_moving_a_row_to_another_doctor_changes_both_versions(cast: Cast, versions: Callable[[Any, int], bool]) -> None:
    hours = sa.update(WorkingHours).where(WorkingHours.doctor_id == cast.doctor_ids["bob"])

    assert versions(hours.values(doctor_id=cast.doctor_ids["erin"]), cast.doctor_ids["bob"])
    assert versions(
        sa.update(WorkingHours).values(doctor_id=cast.doctor_ids["bob"]),
        cast.doctor_ids["erin"],
    )


def test_a_change_that_is_undone_leaves_the_version(cast: Cast) -> None:
    def undone(session: Session) -> None:
        session.add(Closure(name="Works", starts_on=TUESDAY, ends_on=TUESDAY))
        session.flush()
        if not cast.database.is_sqlite:
            # There it changes when the transaction commits.
            session.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))
        assert _version(session, CLINIC) != before
        raise KeyError

    with cast.database.reading() as session:
        before = _version(session, CLINIC)
    with pytest.raises(KeyError):
        cast.database.write(undone)
    with cast.database.reading() as session:
        assert _version(session, CLINIC) == before


def test_nothing_else_is_read_for_free_times(cast: Cast) -> None:
    """A query that reads another table fails here until that table has triggers."""
    read: set[str] = set()
    words = {name: f" {name}." for name in TABLES}

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        read.update(name for name, word in words.items() if word in statement.replace("(", " "))

    sa.event.listen(cast.database.engine, "before_cursor_execute", note)
    _free(cast.database, NOW)

    # Of appointments and patients only the viewer's are read, at every request.
    assert read - {"schedule_versions", "patients", "appointments"} <= {*OF_DOCTOR, *OF_CLINIC}
    assert {"busy_times", "working_hours", "clinic_settings", "doctors"} <= read


# ------------------------------------------------------------------------------------------ cached and computed


def _free_in(session: Session, now: datetime, viewer: Viewer, first: date, last: date) -> Free:
    clinic = get_clinic(session)
    wishes = [
        BookingRequest(doctor, kind) for doctor in doctors.list_doctors(session) for kind in doctor.visit_types[:1]
    ]
    facts = load_facts(session, clinic, wishes, first, last, now=now, viewer=viewer)
    return {number: [time.start for time in free_times(about)] for number, about in facts.items()}


def _free(database: Database, now: datetime, viewer: Viewer = ANYONE, first: date = TUESDAY, days: int = 10) -> Free:
    """The free times in a session for reading, which are cached, after comparing them with those in one for writing."""
    last = first + timedelta(days=days)
    with database.reading() as session:
        kept = _free_in(session, now, viewer, first, last)
    assert kept == database.write(_free_in, now, viewer, first, last)
    return kept


def test_the_time_and_the_viewer_are_applied_to_cached_schedules(cast: Cast) -> None:
    alice = Viewer(user_id=cast.alice.user_id)
    cast.book(cast.alice, "2026-03-05 10:00", doctor="erin", visit_type=cast.long)
    bob = cast.doctor_ids["bob"]
    early = _free(cast.database, NOW)
    late = _free(cast.database, NOW + timedelta(days=1, hours=5))

    assert 0 < len(late[bob]) < len(early[bob])
    assert len(_free(cast.database, NOW, alice)[bob]) < len(early[bob])
    assert _free(cast.database, NOW, Viewer(by_staff=True)) == early
    # The horizon is 90 days, and moves with the days.
    assert not _free(cast.database, NOW, first=date(2026, 6, 15))[bob]
    assert _free(cast.database, NOW + timedelta(days=20), first=date(2026, 6, 15))[bob]


@pytest.mark.parametrize("first", [date(2026, 3, 27), date(2026, 10, 23)])
def test_days_on_which_the_clocks_change_are_cached_correctly(cast: Cast, first: date) -> None:
    before = datetime.combine(first, datetime.min.time(), UTC) - timedelta(days=5)
    kept = _free(cast.database, before, first=first)
    assert kept == _free(cast.database, before, first=first)

    cast.change(sa.update(ClinicSettings).values(time_zone="America/New_York"))

    moved = _free(cast.database, before, first=first)
    assert moved[cast.doctor_ids["bob"]][0] - kept[cast.doctor_ids["bob"]][0] in {300, 360}


def test_every_kind_of_change_is_seen_immediately(cast: Cast) -> None:
    bob = cast.doctor_ids["bob"]
    seen = [_free(cast.database, NOW)[bob]]
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    seen.append(_free(cast.database, NOW)[bob])
    cast.add(TimeOff(doctor_id=bob, starts_at=local("2026-03-06 09:00"), ends_at=local("2026-03-06 12:00")))
    seen.append(_free(cast.database, NOW)[bob])
    cast.change(sa.update(ClinicSettings).values(notice_minutes=2 * 24 * 60))
    seen.append(_free(cast.database, NOW)[bob])
    cast.add(Closure(name="Works", starts_on=date(2026, 3, 9), ends_on=date(2026, 3, 9)))
    seen.append(_free(cast.database, NOW)[bob])
    cast.change(sa.update(Doctor).where(Doctor.id == bob).values(active=False))

    sizes = [len(times) for times in seen]
    assert sizes == sorted(set(sizes), reverse=True)
    assert bob not in _free(cast.database, NOW)
    assert reference


def test_a_change_after_the_versions_were_read_is_in_no_answer_of_that_snapshot(cast: Cast) -> None:
    """Otherwise free times after the change would be cached for the version before it, or the other way round."""
    bob, days = cast.doctor_ids["bob"], (NOW, ANYONE, TUESDAY, TUESDAY)
    with cast.database.reading() as session:
        before = _free_in(session, *days)
    start = before[bob][0]
    booked = to_datetime(start).astimezone(AMSTERDAM)
    with cast.database.reading() as session, cast.database.reading() as other:
        session.info["cache"] = other.info["cache"] = VersionCache()
        versions_seen(session)
        cast.book(cast.alice, f"{booked:%Y-%m-%d %H:%M}")
        assert start not in _free_in(other, *days)[bob]
        assert _free_in(session, *days) == before
        session.rollback()
        assert start not in _free_in(session, *days)[bob]
    assert start not in _free(cast.database, NOW, days=0)[bob]


# --------------------------------------------------------------------------------------------- two processes


@pytest.fixture
def other_process(cast: Cast) -> Iterator[LiveServer]:
    """A server in another process, with the same database."""
    with live_server(cast.url) as server:
        yield server


def test_a_time_booked_in_one_process_is_no_longer_offered_in_another(cast: Cast, other_process: LiveServer) -> None:
    address = f"{other_process.url}/api/v1/doctors/{cast.doctor_ids['bob']}/availability"

    def offered() -> list[str]:
        with urllib.request.urlopen(f"{address}?from={day}&to={day}") as answer:
            return [time["starts_at"] for time in json.loads(answer.read())]

    # The clock of the other process is the real one.
    cast.now = datetime.now(UTC).replace(microsecond=0)
    day = cast.now.date() + timedelta(days=7 + (7 - cast.now.weekday()) % 7)
    first = offered()
    assert first == offered()
    start = datetime.fromisoformat(first[0]).astimezone(AMSTERDAM)

    reference = cast.book(cast.alice, f"{start:%Y-%m-%d %H:%M}")
    assert first[0] not in offered()

    command = Cancellation(version=1)
    cast.database.write(service.cancel, cast.alice, reference, command, now=cast.now)
    assert offered() == first


# ------------------------------------------------------------------------------------------------- what must not happen


def test_a_schedule_of_the_old_time_zone_is_not_kept_for_the_new_one(cast: Cast) -> None:
    """A page may have read the clinic before another admin changed its zone, and read free times after."""
    with cast.database.reading() as session:
        before = get_clinic(session)
    cast.change(sa.update(ClinicSettings).values(time_zone="Europe/London"))
    with cast.database.reading() as session:
        _starts_on_tuesday(session, cast, before)
    with cast.database.reading() as session:
        kept = _starts_on_tuesday(session, cast, get_clinic(session))
    fresh = wired_database(cast.url)
    with fresh.reading() as session:
        assert kept == _starts_on_tuesday(session, cast, get_clinic(session))
    fresh.dispose()


def test_an_appointment_that_is_open_again_may_have_a_broken_promise(cast: Cast) -> None:
    """An undone completion changes no time that is taken, and so no version."""
    row = appointment(cast, "2026-03-02 09:00", status="completed")
    cast.change(sa.insert(TABLES["appointments"]).values(row | {"promised_minute": row["promised_minute"] + 60}))

    def broken() -> int:
        with cast.database.reading() as session:
            return find_broken(session, get_clinic(session), now=NOW)[0]

    assert broken() == 0
    cast.change(sa.update(TABLES["appointments"]).values(status="arrived"))
    assert broken() == 1


def _starts_on_tuesday(session: Session, cast: Cast, clinic: Clinic) -> list[int]:
    request = BookingRequest(*_bob_and_default_type(session))
    facts = load_facts(session, clinic, [request], TUESDAY, TUESDAY, now=NOW)
    return [time.start for time in free_times(facts[cast.doctor_ids["bob"]])]


def _bob_and_default_type(session: Session) -> tuple[DoctorRow, VisitTypeRow]:
    bob = doctors.get_doctor(session, "bob")
    kind = bob.visit_type(None)
    assert kind is not None
    return bob, kind


def test_no_version_comes_back_after_the_migration_went_down_and_up(cast: Cast) -> None:
    with cast.database.reading() as session:
        before = versions_seen(session)
    downgrade(cast.database, "0006")
    upgrade(cast.database)
    with cast.database.reading() as session:
        after = versions_seen(session)
    bob = cast.doctor_ids["bob"]
    assert before is not None
    assert after is not None
    assert after.of_doctor(bob) != before.of_doctor(bob)


def test_a_missing_trigger_is_reported(cast: Cast) -> None:
    with cast.database.reading() as session:
        assert missing_triggers(session) == []
    name = "working_hours_schedule_version_on_" + ("update" if cast.database.is_sqlite else "rows")
    on = "" if cast.database.is_sqlite else " ON working_hours"
    cast.database.write(lambda session: session.execute(sa.text(f"DROP TRIGGER {name}{on}")))
    with cast.database.reading() as session:
        assert missing_triggers(session) == [name]
    assert any(name in problem for problem in find_problems(cast.database, now=NOW))


@pytest.fixture
def postgresql_cast(postgresql_url: str, open_database: Callable[[str], Database]) -> Iterator[Cast]:
    """The cast on PostgreSQL alone: SQLite has one writer at a time."""
    database = open_database(postgresql_url)
    yield assemble(database)
    database.dispose()


def test_changes_of_two_doctors_do_not_wait_for_each_other(postgresql_cast: Cast) -> None:
    """The clinic's version is one row: it is taken when a transaction commits, not before."""
    doctor = TABLES["doctors"]
    database = postgresql_cast.database

    def change_bob(session: Session) -> bool:
        session.execute(sa.update(doctor).where(doctor.c.slug == "bob").values(bio="New"))
        database.write(lambda other: other.execute(sa.update(doctor).where(doctor.c.slug == "erin").values(bio="New")))
        return guard_is_in_place(database)

    assert database.write(change_bob)


def test_the_cache_is_limited_by_weight() -> None:
    cache = VersionCache(most=25)
    cache.keep("a", 1, "first", weight=10)
    cache.keep("b", 1, "second", weight=10)
    assert cache.find("a", 1) == "first"
    cache.keep("c", 1, "third", weight=10)
    assert [cache.find(key, 1) for key in "abc"] == ["first", None, "third"]
    cache.keep("a", 2, "again", weight=15)
    assert [cache.find(key, 2) for key in "ac"] == ["again", None]
    assert cache.find("c", 1) == "third"
    # Each key takes memory, even that of a value without any.
    for number in range(3):
        cache.keep(number, 1, "", weight=0)
    assert [cache.find(number, 1) for number in range(3)] == [None, "", ""]


def test_a_fragment_weighs_as_much_as_its_text_and_its_state(sqlite_cast: Cast) -> None:
    """Most of a cached fragment may be the data that it was made of, such as notes that it does not show."""
    with sqlite_cast.database.reading() as session:
        cache = session.info["cache"] = VersionCache(most=1000)

        def cached(key: str, state: object, text: str = "") -> bool:
            """Whether the fragment was cached before."""
            made: list[str] = []

            def render() -> str:
                made.append(key)
                return text

            cached_fragment(session, key, state, render)
            return not made

        assert not cached("small", 1)
        assert cached("small", 1)
        note = "n" * 100_000
        for key, state, text in (("long text", 1, note), ("large state", ("a note", [note]), "")):
            assert not cached(key, state, text)
            assert not cached(key, state, text)
        assert cache._weight <= 1000

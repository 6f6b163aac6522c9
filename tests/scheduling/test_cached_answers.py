"""Pages and lists of free times that are made once for all visitors: which clients get them, and for how long."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, local, log_in
from tests.reading import HTMX
from webapp import models
from webapp.clinic.schedule_version_models import OF_CLINIC, OF_DOCTOR, ScheduleVersion
from webapp.clinic.service import get_clinic
from webapp.database import Database, VersionCache
from webapp.doctors import service as doctors
from webapp.scheduling.facts import BookingRequest, load_facts

PAGES = [
    "/",
    "/doctors/bob?week=2026-W10",
    "/doctors/bob/calendar?week=2026-W10",
    "/api/v1/availability?from=2026-03-02&to=2026-03-06",
    "/api/v1/doctors/{bob}/availability?from=2026-03-02&to=2026-03-06",
]
TABLES = {table.name for table in models.Base.metadata.sorted_tables}


@contextmanager
def tables_read(database: Database) -> Iterator[set[str]]:
    """The tables that the block's queries name; the versions' query is sent together with BEGIN, and not seen."""
    read: set[str] = set()

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        read.update(
            name for name in TABLES if f" {name}." in statement.replace("(", " ") or f"FROM {name}" in statement
        )

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield read
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)


def text_of(client: TestClient, path: str, cast: Cast, **headers: str) -> str:
    answer = client.get(path.format(bob=cast.doctor_ids["bob"]), headers=headers)
    assert answer.status_code == 200
    return answer.text


# The triggers that raise the versions are each database's own.
@pytest.mark.both_databases
@pytest.mark.parametrize("path", PAGES)
def test_visitors_get_one_answer_until_the_schedule_changes_or_the_time_passes(
    path: str, client: TestClient, cast: Cast
) -> None:
    with tables_read(cast.database) as read:
        first = text_of(client, path, cast)
    # A route that reads another table may not keep its answers until that table raises the versions. Of appointments
    # and patients only the reader's are read, and a visitor has none.
    assert read - {"appointments", "patients"} <= {*OF_DOCTOR, *OF_CLINIC}
    with tables_read(cast.database) as read:
        assert text_of(client, path, cast) == first
    assert read == set()

    cast.book(cast.alice, "2026-03-02 10:00")
    taken = text_of(client, path, cast)
    assert taken != first
    cast.database.write(lambda session: session.execute(sa.delete(models.Appointment)))
    assert text_of(client, path, cast) == first

    # 10:00 is too soon from a second after 8:00 on.
    app: Any = client.app
    app.state.clock = lambda: NOW + timedelta(hours=1)
    later = text_of(client, path, cast)
    app.state.clock = lambda: NOW + timedelta(hours=2, seconds=1)
    assert text_of(client, path, cast) != later


@pytest.mark.parametrize("path", PAGES[:3])
def test_an_answer_of_the_last_minute_of_a_day_is_not_one_of_the_next_day(
    path: str, client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = client.app
    midnight = local("2026-03-03 00:00")
    shown = []
    for now in (midnight - timedelta(seconds=30), midnight):
        app.state.clock = lambda now=now: now
        shown.append(text_of(client, path, cast))
        with monkeypatch.context() as emptied:
            for name in ("_cache", "_answers"):
                emptied.setattr(app.state.database, name, VersionCache())
            assert text_of(client, path, cast) == shown[-1]
    # The first whole minute that is not past is the same.
    assert shown[0] != shown[1]


def test_answers_for_visitors_are_only_for_visitors(client: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00", doctor="erin", visit_type=cast.long)
    path = PAGES[1]
    visitors = text_of(client, path, cast)
    part = text_of(client, path.replace("?", "/calendar?"), cast, **HTMX)
    assert "<html" in text_of(client, path.replace("?", "/calendar?"), cast)
    assert "<html" not in part
    # A cookie of another site on the same host means nothing, but its page is rendered again.
    assert text_of(client, path, cast, cookie="other=1") == visitors
    log_in(client, "alice")
    own = text_of(client, path, cast)
    assert "Alice" in own
    assert own.count('class="slot"') < visitors.count('class="slot"')
    client.cookies.clear()
    assert text_of(client, path, cast) == visitors


@pytest.mark.both_databases
def test_readers_see_what_a_new_process_would_show_them(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = client.app
    readers = [log_in(client, "alice"), log_in(TestClient(app, base_url=str(client.base_url)), "dave")]

    def shown() -> list[str]:
        return [text_of(reader, PAGES[2], cast, **HTMX) for reader in readers]

    seen = []
    for change in (
        lambda: None,
        # Too soon for patients from half a minute later on.
        lambda: setattr(app.state, "clock", lambda: NOW + timedelta(seconds=30)),
        lambda: cast.book(cast.alice, "2026-03-03 10:00", doctor="erin", visit_type=cast.long),
        lambda: cast.book(cast.dave, "2026-03-04 11:00"),
        lambda: cast.change(sa.update(models.VisitType).values(name="Chat").where(models.VisitType.id == cast.short)),
        lambda: cast.change(sa.update(models.Appointment).values(status="cancelled")),
    ):
        change()
        kept = shown()
        assert shown() == kept
        with monkeypatch.context() as emptied:
            emptied.setattr(app.state.database, "_cache", VersionCache())
            assert shown() == kept
        seen.append(kept)
    first, later, of_alice, of_dave, renamed, last = seen
    assert first[0] == first[1] != later[0]
    assert of_alice[0] != of_alice[1] == later[1]
    assert of_dave[1] not in (of_alice[1], of_dave[0])
    assert "Chat" in renamed[0]
    assert last[0] == last[1]


@pytest.mark.both_databases
def test_a_warning_ends_to_the_second_when_an_appointment_has_begun(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.ClinicSettings).values(max_active_visits=1, notice_minutes=0))
    cast.book(cast.alice, "2026-03-03 10:00")
    app: Any = client.app
    log_in(client, "alice")
    begins = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
    warned = []
    for now in (begins - timedelta(seconds=30), begins):
        app.state.clock = lambda now=now: now
        warned.append("See my appointments" in text_of(client, PAGES[1], cast))
    assert warned == [True, False]


def test_clients_with_a_token_get_no_cached_answer(client: TestClient, cast: Cast) -> None:
    assert text_of(client, PAGES[3], cast) == text_of(client, PAGES[3], cast)
    assert client.get(PAGES[3], headers={"authorization": "Bearer forged"}).status_code == 401


def test_a_long_address_counts_like_a_long_answer(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = client.app
    # Room for an empty list and an address of usual length.
    room = VersionCache(most=20)
    monkeypatch.setattr(app.state.database, "_answers", room)
    path = f"{PAGES[3]}&specialty=None"
    text_of(client, path, cast)
    assert len(room._kept) == 1
    text_of(client, f"{path}&more={'x' * 3000}", cast)
    assert len(room._kept) == 0


def test_what_a_cached_answer_keeps_does_not_grow_with_the_number_of_doctors(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = client.app
    kept = VersionCache()
    monkeypatch.setattr(app.state.database, "_answers", kept)
    sizes = []
    for few in (True, False):
        if not few:
            rows = [{"doctor_id": 1000 + number, "version": number} for number in range(200)]
            cast.change(sa.insert(ScheduleVersion).values(rows))
        text_of(client, f"{PAGES[3]}&specialty={few}", cast)
        state = list(kept._kept.values())[-1][0]
        sizes.append(len(pickle.dumps(state)))
    # Each state that visitors have seen may stay in the cache with one of their answers.
    assert sizes[0] == sizes[1]


def test_a_schedule_without_free_times_weighs_as_much_as_its_hours(cast: Cast) -> None:
    """Anyone may ask for any days, and for those of doctors who see no patients."""
    cast.change(sa.delete(models.WorkingHours))
    weights = []
    for days in (30, 60):
        kept = VersionCache()
        with cast.database.reading() as session:
            session.info["cache"] = kept
            clinic, bob = get_clinic(session), doctors.get_doctor(session, "bob")
            before = kept._weight
            first = date(2026, 3, 2)
            request = BookingRequest(bob, bob.visit_types[0])
            load_facts(session, clinic, [request], first, first + timedelta(days=days), now=NOW)
        weights.append(kept._weight - before)
    # The clinic is open on 22 of the first 30 days.
    assert weights[0] > 22
    assert weights[1] > weights[0] + 20


@pytest.mark.parametrize("path", PAGES)
def test_only_an_answer_with_a_tag_is_not_sent_again(path: str, client: TestClient, cast: Cast) -> None:
    path = path.format(bob=cast.doctor_ids["bob"])
    tag = client.get(path).headers.get("etag", "none")
    expected = 200 if tag == "none" else 304
    # The second time the answer is kept.
    assert [client.get(path, headers={"if-none-match": tag}).status_code for _ in range(2)] == [expected] * 2

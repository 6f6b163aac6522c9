"""Pages and lists of free times that are made once for all visitors: which clients get them, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, log_in
from tests.reading import HTMX
from webapp import models
from webapp.clinic.schedule_version_models import OF_CLINIC, OF_DOCTOR
from webapp.database import Database, VersionCache

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
    """The tables that the block's queries name; the versions' query comes along with BEGIN."""
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


def test_what_visitors_get_is_for_them_alone(client: TestClient, cast: Cast) -> None:
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


def test_who_sends_a_token_gets_no_kept_answer(client: TestClient, cast: Cast) -> None:
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


@pytest.mark.parametrize("path", PAGES)
def test_only_an_answer_with_a_tag_is_not_sent_again(path: str, client: TestClient, cast: Cast) -> None:
    path = path.format(bob=cast.doctor_ids["bob"])
    tag = client.get(path).headers.get("etag", "none")
    expected = 200 if tag == "none" else 304
    # The second time the answer is kept.
    assert [client.get(path, headers={"if-none-match": tag}).status_code for _ in range(2)] == [expected] * 2

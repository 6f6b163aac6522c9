"""Reading the audit log page by page, with every filter, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from tests.cast import NOW, Cast
from webapp.audit import queries
from webapp.audit import service as audit
from webapp.audit.queries import EventFilter, LoggedEvent
from webapp.core.pagination import cursor_of
from webapp.models import Appointment, AuditEvent

MINUTE = timedelta(minutes=1)


def fill(cast: Cast, count: int = 12) -> None:
    """Rows of two people about two subjects, three of them within one minute."""
    for number in range(count):
        cast.database.write(
            audit.record,
            ("booked", "moved", "patient_read")[number % 3],
            subject=("appointment" if number % 2 else "patient", number % 4),
            actor_user_id=number % 2 + 1,
            actor_role="patient",
            now=NOW + number // 3 * MINUTE,
            address=f"192.0.2.{number % 5}",
        )


def read(
    cast: Cast, wanted: EventFilter, before: int | None = None, after: int | None = None, limit: int = 99
) -> list[int]:
    """The ids of the rows that a filter finds."""
    with cast.database.reading() as session:
        cursor = cursor_of(before=after, after=before)
        found = [event.id for event in queries.list_events(session, wanted, cursor=cursor, limit=limit)]
    return found[::-1] if cursor.backwards else found


def test_each_filter_works_alone_and_all_work_together(cast: Cast) -> None:
    fill(cast)
    with cast.database.reading() as session:
        every = queries.list_events(session, EventFilter(), limit=99)
    assert [event.id for event in every] == sorted((event.id for event in every), reverse=True)
    assert len(every) == 12
    since, until = NOW + MINUTE, NOW + 3 * MINUTE
    about = [("patient", [0]), ("appointment", [1, 3])]
    cases: list[tuple[EventFilter, Callable[[LoggedEvent], bool]]] = [
        (EventFilter(actors=[2]), lambda event: event.actor_user_id == 2),
        (EventFilter(actors=[]), lambda event: False),
        (EventFilter(action="moved"), lambda event: event.action == "moved"),
        (EventFilter(address="192.0.2.3"), lambda event: event.address == "192.0.2.3"),
        (EventFilter(since=since, until=until), lambda event: since <= event.at < until),
        (EventFilter(subjects=about), lambda event: event.subject_type == "appointment" or event.subject_id == 0),
        (EventFilter(subjects=[]), lambda event: False),
        (
            EventFilter(actors=[1], subjects=about, action="booked", since=since, until=until),
            lambda event: (
                event.id in {ours.id for ours in every if ours.subject_id == 0 and ours.action == "booked"}
                and since <= event.at < until
            ),
        ),
    ]
    for wanted, fits in cases:
        assert read(cast, wanted) == [event.id for event in every if fits(event)], wanted


def test_the_ids_of_subjects_may_come_from_a_query(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-10 09:00")
    cast.book(cast.dave, "2026-03-10 10:00")
    hers = sa.select(Appointment.id).where(Appointment.patient_id == cast.patient_ids["alice"])
    assert len(read(cast, EventFilter(subjects=[("appointment", hers)]))) == 1


def test_pages_meet_without_a_gap_also_within_one_second(cast: Cast) -> None:
    fill(cast, 20)
    every = read(cast, EventFilter())
    for size in (1, 2, 3, 7):
        down: list[int] = []
        while page := read(cast, EventFilter(), before=down[-1] if down else None, limit=size):
            down += page
        assert down == every
        up: list[int] = [every[-1]]
        while page := read(cast, EventFilter(), after=up[0], limit=size):
            up = page + up
        assert up == every
    assert read(cast, EventFilter(), before=999) == read(cast, EventFilter(), after=999) == []


def test_rows_that_were_written_late_are_in_their_place(cast: Cast) -> None:
    fill(cast, 3)
    cast.add(AuditEvent(at=NOW - MINUTE, actor_role="system", action="booked", subject_type="patient", subject_id=1))
    every = read(cast, EventFilter())
    assert every[-1] == max(every)
    assert read(cast, EventFilter(), before=every[-2]) == [every[-1]]

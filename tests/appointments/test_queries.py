"""Reading one appointment: for whom it exists, and what a stranger's costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.appointment_rows import appointment, insert
from tests.cast import NOW, Cast
from webapp import models
from webapp.appointments import queries
from webapp.appointments.exceptions import NoSuchAppointment
from webapp.auth.schemas import Actor
from webapp.core.clock import utc_now

UNKNOWN = "ZZZZ-ZZZZ"


def exists(session: Session, actor: Actor, reference: str) -> bool:
    """Whether the appointment exists for this actor."""
    try:
        queries.get_appointment(session, actor, reference)
    except NoSuchAppointment:
        return False
    return True


def test_one_appointment_exists_for_the_same_actors_as_in_lists(cast: Cast) -> None:
    ends = {"zoe": None, "yan": utc_now() + timedelta(days=1), "xia": utc_now() - timedelta(days=1)}
    for name, until in ends.items():
        alice = cast.patient_ids["alice"]
        child = models.Patient(name=name, managed_by_id=alice, managed_until=until, created_at=NOW)
        cast.patient_ids[name] = cast.add(child)
    by_id = {}
    for number, patient in enumerate(("alice", "dave", *ends)):
        for day, (doctor, confidential) in enumerate([("bob", False), ("erin", False), ("bob", True)]):
            row = appointment(cast, f"2026-03-{day + 10} {10 + number}:00", doctor=doctor, patient=patient)
            by_id[insert(cast, row | {"confidential": confidential})] = row["reference"]
    by_link = cast.alice._replace(appointment_id=min(by_id))
    counts = []
    for actor in (cast.alice, cast.dave, cast.bob, cast.erin, cast.carol, cast.fiona, by_link):
        with cast.database.reading() as session:
            ids = session.scalars(sa.select(models.Appointment.id).where(queries.visible_to(actor))).all()
            found = {reference for reference in by_id.values() if exists(session, actor, reference)}
        assert found == {by_id[each] for each in ids}
        counts.append(len(found))
    # Alice's own, and of two of three children those that are not confidential.
    assert counts == [3 + 2 + 2, 3, 10, 5, 15, 15, 1]


def test_a_strangers_appointment_costs_sqlite_as_much_as_one_that_does_not_exist(cast: Cast) -> None:
    """Its time must not tell that it exists."""
    if not cast.database.is_sqlite:
        return
    reference = cast.book(cast.alice, "2026-03-10 10:00")
    for actor in (cast.dave, cast.erin):
        with cast.database.reading() as session:
            theirs, none = (_steps(session, actor, each) for each in (reference, UNKNOWN))
        # The steps that find the row and compare its owner. Of a page's two milliseconds, one step takes a 10,000th.
        assert none < theirs < none + 15


def _steps(session: Session, actor: Actor, reference: str) -> int:
    """How many steps SQLite takes to find that the appointment does not exist for the actor."""
    driver: Any = session.connection().connection.driver_connection
    steps: list[None] = []
    assert not exists(session, actor, reference)
    driver.set_progress_handler(lambda: steps.append(None), 1)
    try:
        assert not exists(session, actor, reference)
    finally:
        driver.set_progress_handler(None, 1)
    return len(steps)

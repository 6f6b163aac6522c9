"""How often a patient may book and move online, so that patients do not get too many messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.cast import Cast, local
from webapp import models
from webapp.appointments.booking import booking_limit, service
from webapp.appointments.exceptions import TooManyChanges
from webapp.appointments.schemas import Cancellation, Move
from webapp.auth.schemas import NO_ACCOUNT, Actor


@pytest.fixture(autouse=True)
def _few(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booking_limit, "TIMES", 1)
    cast.change(sa.update(models.ClinicSettings).values(max_active_visits=3))


def refused(action: Callable[[], object]) -> int:
    with pytest.raises(TooManyChanges) as refusal:
        action()
    assert refusal.value.status == 429
    return refusal.value.retry_after


def test_bookings_and_moves_by_patients_are_limited(cast: Cast) -> None:
    def move(reference: str, start: str, actor: Actor = cast.alice) -> None:
        cast.database.write(service.move, actor, reference, Move(starts_at=local(start)), now=cast.now)

    first = cast.book(cast.alice, "2026-03-05 09:30")
    cast.database.write(service.cancel, cast.alice, first, Cancellation(), now=cast.now)
    second = cast.book(cast.alice, "2026-03-05 09:30")
    cast.now += timedelta(hours=1)
    move(second, "2026-03-05 10:30")
    assert refused(lambda: move(second, "2026-03-05 11:00")) == 23 * 60 * 60
    assert refused(lambda: cast.book(cast.alice, "2026-03-06 09:30")) == 23 * 60 * 60
    with cast.database.reading() as session:
        written = sa.select(sa.func.count(models.OutboxMessage.id))
        assert session.scalar(written) == 4, "Two were booked, one cancelled, one moved."
    # The limit applies neither to the clinic nor to other patients, and cancelling is always possible.
    move(second, "2026-03-05 11:00", cast.carol)
    cast.book(cast.dave, "2026-03-06 09:30")
    cast.database.write(service.cancel, cast.alice, second, Cancellation(), now=cast.now)
    cast.now += timedelta(hours=23, seconds=1)
    cast.book(cast.alice, "2026-03-09 09:30")


def test_the_limit_applies_to_links_too(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 09:30")
    with cast.database.reading() as session:
        number = session.scalars(sa.select(models.Appointment.id)).one()
    patient = cast.patient_ids["alice"]
    holder = Actor(NO_ACCOUNT, 0, "Alice", "alice@docket.example", "patient", appointment_id=number, patient_id=patient)
    for start in ("10:00", "10:30", "11:00"):
        command = Move(starts_at=local(f"2026-03-05 {start}"))
        cast.database.write(service.move, holder, reference, command, now=cast.now)
    again = Move(starts_at=local("2026-03-05 11:30"))
    refused(lambda: cast.database.write(service.move, holder, reference, again, now=cast.now))
    cast.book(cast.alice, "2026-03-06 09:30")

"""Staff who look patients up leave a trace in the audit log, also on the way to a booking."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import Cast, log_in
from webapp import models


def actions(cast: Cast) -> list[tuple[str, str, int]]:
    """The rows of the audit log about looking patients up, and about whom."""
    event = models.AuditEvent
    query = (
        sa.select(event.action, event.subject_type, event.subject_id)
        .where(event.action.in_(("patients_searched", "patient_read")))
        .order_by(event.id)
    )
    with cast.database.reading() as session:
        return [(action, kind, number) for action, kind, number in session.execute(query)]


@pytest.mark.parametrize("who", ["bob", "carol"])
def test_searching_for_a_patient_to_book_for_is_recorded(client: TestClient, cast: Cast, who: str) -> None:
    log_in(client, who)
    slot = "/book?doctor=bob&starts_at=2026-03-03T09:00:00Z"
    assert client.get(slot).status_code == 200
    assert actions(cast) == []
    assert "Alice Adams" in client.get(f"{slot}&q=alice").text
    assert actions(cast) == [("patients_searched", "user", getattr(cast, who).user_id)]


def test_opening_the_booking_of_a_patient_is_recorded(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    alice = cast.patient_ids["alice"]
    slot = f"/book?doctor=bob&starts_at=2026-03-03T09:00:00Z&patient={alice}"
    assert "Alice Adams" in client.get(slot).text
    assert actions(cast) == [("patient_read", "patient", alice)]


def test_an_unknown_patient_leaves_no_row(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    answer = client.get("/book?doctor=bob&starts_at=2026-03-03T09:00:00Z&patient=999999")
    assert answer.status_code == 404
    assert actions(cast) == []


def test_the_admins_search_is_recorded_and_the_plain_list_is_not(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    client.get("/admin/patients")
    assert actions(cast) == []
    client.get("/admin/patients?q=alise")
    assert [action for action, _kind, _number in actions(cast)] == ["patients_searched"]

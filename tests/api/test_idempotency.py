"""`Idempotency-Key`: the same request sent ten times at once, later, and to a new process books once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.api_client import ApiClient, bearer
from tests.cast import NOW, Cast, client_for, local
from webapp import models
from webapp.core.formats import iso
from webapp.idempotency.service import RETENTION, forget_old_answers

pytestmark = pytest.mark.both_databases

CLIENTS = 10
KEY = {"idempotency-key": "6f1f5a0e-2f0e-4b57-9d4f-3d2c9f6a1c11"}


def wanted(cast: Cast, time: str = "2026-03-03 10:00") -> dict[str, object]:
    """The body of a booking."""
    return {"doctor_id": cast.doctor_ids["bob"], "starts_at": iso(local(time)), "reason": "A rash"}


def count(cast: Cast) -> int:
    """The number of appointments."""
    with cast.database.reading() as session:
        return session.scalar(sa.select(sa.func.count(models.Appointment.id))) or 0


def test_ten_clients_with_one_key_book_one_appointment_and_get_the_same_answer(cast: Cast) -> None:
    # Two applications, like two processes, share only the database.
    processes = [client_for(cast.database) for _process in range(2)]
    token = bearer(processes[0], "alice")
    alices = [ApiClient(processes[number % 2]) for number in range(CLIENTS)]
    for alice in alices:
        alice.headers = token
        # FastAPI builds its routes at the first request; many threads must not do so at once.
        assert alice.get("/appointments").json() == []
    together = Barrier(CLIENTS)

    def book(alice: ApiClient) -> tuple[int, str, str, str]:
        together.wait()
        answer = alice.post("/appointments", wanted(cast), headers=KEY)
        return answer.status_code, answer.text, answer.headers["location"], answer.headers["etag"]

    with ThreadPoolExecutor(CLIENTS) as threads:
        answers = set(threads.map(book, alices))
    [(status, _body, _location, _tag)] = answers
    assert status == 201
    assert count(cast) == 1
    # Also after a restart.
    later = ApiClient(client_for(cast.database, now=NOW + timedelta(hours=1)), "alice")
    again = later.post("/appointments", wanted(cast), headers=KEY)
    assert (again.status_code, again.text, again.headers["location"], again.headers["etag"]) in answers
    assert again.headers["idempotency-replayed"] == "true"
    assert count(cast) == 1


def test_a_key_is_for_one_request_of_one_user_for_a_day(api: TestClient, sqlite_cast: Cast) -> None:
    alice, dave, cast = ApiClient(api, "alice"), ApiClient(api, "dave"), sqlite_cast
    first = alice.post("/appointments", wanted(cast), headers=KEY)
    other = alice.post("/appointments", wanted(cast, "2026-03-03 11:00"), headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = alice.post("/patients", {"name": "Robin Adams"}, headers=KEY)
    assert elsewhere.json()["code"] == "idempotency_key_reused"
    # Another user's key is a different key, and a refusal is stored like any other answer.
    refused = dave.post("/appointments", wanted(cast), headers=KEY)
    assert refused.json()["code"] == "slot_taken"
    alice.request("DELETE", f"/appointments/{first.json()['id']}")
    again = dave.post("/appointments", wanted(cast), headers=KEY)
    assert (again.status_code, again.json()) == (409, refused.json())
    assert dave.post("/appointments", wanted(cast)).status_code == 201
    for wrong in ("", "x" * 256, "a b"):
        assert alice.post("/appointments", wanted(cast), headers={"idempotency-key": wrong}).status_code == 422

    tomorrow = NOW + RETENTION + timedelta(minutes=1)
    fresh = ApiClient(client_for(cast.database, now=tomorrow), "alice").post(
        "/appointments", wanted(cast, "2026-03-05 10:00"), headers=KEY
    )
    assert fresh.status_code == 201
    cast.database.write(forget_old_answers, now=tomorrow)
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(models.IdempotencyKey.id))) == 1


def test_a_temporary_refusal_is_not_stored(api: TestClient, sqlite_cast: Cast) -> None:
    """A request for which the database was too busy can be sent again with its key."""
    alice, failing = ApiClient(api, "alice"), [True]

    def draw_twice(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("INSERT INTO appointments") and failing:
            failing.clear()
            error = "UNIQUE constraint failed: appointments.reference"
            raise sa.exc.IntegrityError(statement, None, Exception(error))

    sa.event.listen(sqlite_cast.database.engine, "before_cursor_execute", draw_twice)
    busy = alice.post("/appointments", wanted(sqlite_cast), headers=KEY)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
    assert alice.post("/appointments", wanted(sqlite_cast), headers=KEY).status_code == 201

"""The API does what its description says: a bounded part of `make schema`, the same requests each time.

Every operation is requested, with fewer of the values at the edges of its schema than in `make schema`.
"""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from bench.schema import explore, furnish
from tests.api_client import ApiClient
from tests.cast import Cast, assemble
from webapp.event_handlers import wired_database


@pytest.mark.parametrize(
    ("who", "kind", "phases"),
    [
        ("admin", "sqlite", ("coverage",)),
        ("admin", "postgresql", ("examples", "fuzzing")),
        ("patient", "sqlite", ("examples", "fuzzing")),
    ],
)
def test_every_answer_is_as_described(
    request: pytest.FixtureRequest, who: str, kind: str, phases: tuple[str, ...]
) -> None:
    database = wired_database(request.getfixturevalue(f"{kind}_url"))
    cast = assemble(database)
    furnish(cast)
    found = explore(cast, who, phases=phases, examples=1, beyond=False, if_match="*", sparse=True)
    database.dispose()
    assert found.failures == {}, found.words()
    # The explorer worked: something was created, and there was no server error.
    assert found.statuses[201]
    assert max(found.statuses) < 500


# ------------------------------------------------------------------------------- what it found earlier


def test_a_start_that_is_in_another_century_in_utc_is_refused(api: TestClient, sqlite_cast: Cast) -> None:
    sqlite_cast.book(sqlite_cast.alice, "2026-03-04 09:30")
    body = {"doctor_id": sqlite_cast.doctor_ids["bob"], "starts_at": "2000-01-01T00:00:00+01:00"}
    assert ApiClient(api, "alice").request("PUT", "/appointments/1", json=body).status_code == 422


@pytest.mark.parametrize("born", [0, "0", 1700006400, "1700006400", True])
def test_a_number_is_not_accepted_as_a_day(api: TestClient, born: object) -> None:
    answer = ApiClient(api, "alice").post("/patients", {"name": "Robin Adams", "birth_date": born})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/birth_date")


def test_a_value_that_is_no_boolean_changes_nothing(api: TestClient) -> None:
    carol = ApiClient(api, "carol")
    assert carol.request("PATCH", "/doctors/1", json={"active": 0}).status_code == 422
    assert carol.request("PATCH", "/clinic", json={"notice_minutes": False}).status_code == 422


def test_the_methods_of_all_routes_at_an_address_are_allowed(api: TestClient) -> None:
    answer = ApiClient(api).request("OPTIONS", "/closures/1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, PUT")

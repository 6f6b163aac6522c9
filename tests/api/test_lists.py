"""Lists of the API: their links lead to the end, and no part of what was asked is ignored."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.api_client import ApiClient
from tests.appointment_rows import put
from tests.cast import NOW, Cast
from webapp import models

pytestmark = pytest.mark.both_databases


def links_of(answer: Any) -> dict[str, str]:
    """The addresses in the header `Link`, by what they lead to."""
    found = re.findall(r'<(/api/v1)?([^>]+)>; rel="(\w+)"', answer.headers["link"])
    return {name: address for _prefix, address, name in found}


def walk(client: ApiClient, address: str) -> list[int]:
    """The ids in a list, read to its end by following its links."""
    ids: list[int] = []
    while address:
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        ids += [each["id"] for each in answer.json()]
        address = links_of(answer).get("next", "")
    return ids


def test_the_links_lead_to_the_end_of_a_list_that_is_too_long_to_skip_through(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.core.api.MAX_SKIP", 3)
    days = [f"2026-03-{day:02d} 10:00" for day in (3, 4, 5, 6, 9, 10, 11)]
    # Two at one instant: the id decides about their order.
    numbers = [put(cast, day) for day in days] + [put(cast, days[-1], doctor="erin", patient="dave")]
    carol = ApiClient(client, "carol")
    assert walk(carol, "/appointments?limit=1") == walk(carol, "/appointments?limit=3&skip=0") == numbers
    assert walk(ApiClient(client, "alice"), "/appointments?limit=2") == numbers[:-1]
    first = carol.get("/appointments?limit=3&skip=3")
    # No link leads to where skipping is refused.
    assert set(links_of(first)) == {"first", "prev", "next"}
    put(cast, "2026-03-03 09:00", patient="dave")
    cast.change(sa.delete(models.Appointment).where(models.Appointment.id == numbers[5]))
    assert walk(carol, links_of(first)["next"]) == numbers[6:], "one more before and one gone move nothing"

    for number in range(5):
        cast.add(models.Patient(name=f"Zoe Zimmer {number}", created_at=NOW))
    everyone = [each["id"] for each in carol.get("/patients?limit=100").json()]
    assert walk(carol, "/patients?limit=2") == everyone
    assert walk(carol, "/patients?q=alise&limit=1") == [cast.patient_ids["alice"]]


def test_a_cursor_that_names_no_place_is_refused(client: TestClient, cast: Cast) -> None:
    carol = ApiClient(client, "carol")
    for path in ("/appointments", "/patients"):
        for cursor in ("x", "%C3%A9", "bm9wbGFjZQ", "OTk5OTk"):
            refused = carol.get(f"{path}?cursor={cursor}")
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["parameter"] == "cursor"


def test_the_place_of_a_stranger_is_no_place(client: TestClient, cast: Cast) -> None:
    """A patient who may choose their own name could otherwise find out another's letter by letter."""
    alice = ApiClient(client, "alice")
    for number in (cast.patient_ids["dave"], 99_999):
        cursor = base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")
        refused = alice.get(f"/patients?cursor={cursor}")
        assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "cursor")
    own = base64.urlsafe_b64encode(str(cast.patient_ids["alice"]).encode()).decode().rstrip("=")
    assert alice.get(f"/patients?cursor={own}").json() == []


def test_a_filter_takes_several_values_and_any_other_parameter_one(client: TestClient, cast: Cast) -> None:
    kept, arrived, erins = put(cast, "2026-03-03 10:00"), put(cast, "2026-03-04 10:00", status="arrived"), 0
    erins = put(cast, "2026-03-05 10:00", doctor="erin", patient="dave")
    gone = put(cast, "2026-03-06 10:00", status="cancelled")
    carol, bob, erin = ApiClient(client, "carol"), cast.doctor_ids["bob"], cast.doctor_ids["erin"]

    def ids(query: str) -> list[int]:
        return [each["id"] for each in carol.get(f"/appointments?{query}").json()]

    assert ids("status=arrived&status=cancelled") == [arrived, gone]
    assert ids(f"doctor_id={bob}&doctor_id={erin}") == [kept, arrived, erins, gone]
    assert ids(f"doctor_id={bob}&doctor_id={erin}&status=scheduled") == [kept, erins]
    alice, dave = cast.patient_ids["alice"], cast.patient_ids["dave"]
    assert ids(f"patient_id={alice}&patient_id={dave}&visit_type_id={cast.long}&visit_type_id=9") == [
        kept, arrived, erins, gone,
    ]  # fmt: skip
    mine = ApiClient(client, "alice").get("/appointments?status=scheduled&status=cancelled&limit=1")
    assert [each["id"] for each in mine.json()] == [kept]
    assert links_of(mine)["next"].startswith("/appointments?status=scheduled&status=cancelled&cursor=")

    for query in ("limit=1&limit=2", "from=2026-03-03&from=2026-03-04", "skip=0&skip=1"):
        refused = carol.get(f"/appointments?{query}")
        assert refused.status_code == 422
        assert [each["parameter"] for each in refused.json()["errors"]] == [query.partition("=")[0]]
    for path in (f"/doctors/{bob}/availability?to=2026-03-04&to=2026-03-05", "/patients?q=a&q=b", "/doctors?q=a&q=b"):
        assert carol.get(path).status_code == 422

"""Figures for Prometheus: what they count, and who may read them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.cast import Cast, client_for, log_in
from webapp.config import Settings
from webapp.core.clock import utc_now
from webapp.exceptions import Conflict
from webapp.health import READY
from webapp.heartbeats.service import beat
from webapp.models import OutboxMessage

TOKEN = "a-long-token-for-the-tests"


def figures_of(text: str) -> dict[str, float]:
    """The lines of an exposition."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_figures_count_what_happens_and_name_no_one(cast: Cast) -> None:
    client = log_in(client_for(cast.database, metrics_token=TOKEN), "alice")

    def read() -> dict[str, float]:
        answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        assert not re.search("alice|adams|docket.example", answer.text, re.IGNORECASE)
        return figures_of(answer.text)

    before = read()
    assert client.get("/doctors/bob").status_code == 200
    assert client.get("/appointments/K7QM-2F9X").status_code == 404
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    with pytest.raises(Conflict):
        cast.book(cast.dave, "2026-03-03 10:00")
    cast.database.write(beat, "worker")
    due = sa.update(OutboxMessage).values(due_at=utc_now() - timedelta(minutes=10))
    cast.change(due)
    after = read()

    def more(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert more('docket_requests_total{method="GET",route="/doctors/{slug}",status="200"}') == 1
    assert more('docket_requests_total{method="GET",route="/appointments/{reference}",status="404"}') == 1
    assert more('docket_request_seconds_count{route="/doctors/{slug}"}') == 1
    assert more('docket_changes_total{event="AppointmentBooked"}') == 1
    assert sum(more(name) for name in after if name.startswith("docket_refusals_total{")) == 1
    assert after["docket_database_up"] == after["docket_workers"] == 1
    assert after["docket_worker_silent_seconds"] < 60
    assert after['docket_outbox_messages{state="due"}'] == 1
    assert 600 <= after["docket_outbox_oldest_seconds"] < 700
    assert not any(reference in name for name in after)


def test_figures_are_not_public(sqlite_cast: Cast) -> None:
    carol = log_in(client_for(sqlite_cast.database), "carol")
    assert carol.get("/metrics", headers={"authorization": "Bearer "}).status_code == 404
    client = client_for(sqlite_cast.database, metrics_token=TOKEN)
    for given in ({}, {"authorization": "Bearer "}, {"authorization": f"Bearer {TOKEN}x"}):
        assert client.get("/metrics", headers=given).status_code == 404
    assert client.get("/health/ready").json() == READY


@pytest.mark.parametrize(
    ("port", "place"),
    [("", None), ("9100", ("127.0.0.1", 9100)), ("10.0.0.5:9100", ("10.0.0.5", 9100)), ("[::1]:9100", ("::1", 9100))],
)
def test_the_port_of_figures_is_for_this_machine_unless_it_says_more(port: str, place: tuple[str, int] | None) -> None:
    assert Settings(metrics_port=port).metrics_place == place


@pytest.mark.parametrize("wrong", [{"metrics_port": "0"}, {"metrics_port": "x"}, {"metrics_token": "short"}])
def test_an_impossible_port_and_a_short_token_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"must be like|at least 20"):
        Settings(**wrong)  # type: ignore[arg-type]

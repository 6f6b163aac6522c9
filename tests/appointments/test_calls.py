"""Whom the front desk calls before a day, and the ticks of calls that are made, on both databases."""

from __future__ import annotations

from datetime import date

import pytest
from starlette.testclient import TestClient

from tests.appointment_rows import appointment, insert, put
from tests.cast import Cast, local, log_in
from tests.reading import read
from webapp import models
from webapp.appointments import calls
from webapp.appointments.booking import service
from webapp.appointments.calls import CallLine
from webapp.appointments.exceptions import NoSuchAppointment
from webapp.appointments.schemas import Move
from webapp.clinic.service import get_clinic

DAY = "2026-03-03"


def lines(cast: Cast, day: str = DAY) -> list[CallLine]:
    """The calls of a day."""
    with cast.database.reading() as session:
        return calls.list_calls(session, get_clinic(session), date.fromisoformat(day))


@pytest.fixture
def tomorrow(cast: Cast) -> list[str]:
    """Tomorrow: Dave, confirmed, for the first time; Alice, who has been here, twice, once confirmed; Olive, who has
    only a telephone at home. The references of the rows that are listed, in order.
    """
    put(cast, "2026-02-24 09:00", status="completed")
    olive = models.Patient(name="Olive Other", phone="+31205550101", created_at=cast.now)
    cast.patient_ids["olive"] = cast.add(olive)
    rows = [
        appointment(cast, f"{DAY} 09:00", patient="dave", status="confirmed"),
        appointment(cast, f"{DAY} 10:00"),
        appointment(cast, f"{DAY} 11:00", status="confirmed"),
        appointment(cast, f"{DAY} 15:00", patient="olive"),
        appointment(cast, f"{DAY} 16:00", patient="olive", status="cancelled"),
    ]
    for row in rows:
        insert(cast, row)
    return [rows[3]["reference"], rows[0]["reference"], rows[1]["reference"]]


def test_patients_without_messages_come_first_then_newcomers_then_unconfirmed_ones(
    cast: Cast, tomorrow: list[str]
) -> None:
    assert [(each.reference, each.why) for each in lines(cast)] == [
        *zip(tomorrow, ("unreachable", "first", "unconfirmed"), strict=True)
    ]
    assert lines(cast)[0].phone == "+31205550101"
    assert lines(cast, "2026-03-04") == []


def test_a_tick_says_who_called_until_it_is_undone_or_the_appointment_moves(cast: Cast, tomorrow: list[str]) -> None:
    reference = tomorrow[0]
    for actor in (cast.fiona, cast.carol):
        cast.database.write(calls.tick, actor, reference, now=cast.now)
    assert (lines(cast)[0].called_at, lines(cast)[0].called_by) == (cast.now, "Fiona Fox")
    hour_later = Move(starts_at=local(f"{DAY} 16:00"))
    cast.database.write(service.move, cast.fiona, reference, hour_later, now=cast.now)
    assert lines(cast)[0].called_at is None
    cast.database.write(calls.tick, cast.carol, reference, now=cast.now)
    assert lines(cast)[0].called_by == "Carol Clark"
    cast.database.write(calls.untick, cast.fiona, reference, now=cast.now)
    assert lines(cast)[0].called_at is None
    with pytest.raises(NoSuchAppointment):
        cast.database.write(calls.tick, cast.erin, reference, now=cast.now)


def test_the_front_desk_ticks_a_call_and_takes_it_back(client: TestClient, cast: Cast, tomorrow: list[str]) -> None:
    address = f"/desk/calls/{DAY}"
    log_in(client, "fiona")
    assert address in read(client.get(f"/board/{DAY}")).links
    page = read(client.get(address))
    assert "0 of 3 calls made" in page.text
    assert "tel:+31205550101" in page.links
    answer = client.post(f"{address}/{tomorrow[0]}", data={})
    assert answer.headers["location"] == f"{address}#call-{tomorrow[0]}"
    assert "1 of 3 calls made" in read(client.get(address)).text
    client.post(f"{address}/{tomorrow[0]}", data={"undo": "1"})
    assert "0 of 3 calls made" in read(client.get(address)).text

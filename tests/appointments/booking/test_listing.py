"""All appointments of the clinic: filters, orders, and keyset pagination."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa

from tests import appointment_rows
from tests.cast import NOW, Cast, local
from webapp import models
from webapp.appointments.booking import listing
from webapp.appointments.booking.listing import (
    AppointmentFilter,
    AppointmentPage,
    AppointmentPlace,
    AppointmentRow,
    Order,
    parse_place,
)
from webapp.core.pagination import Cursor


def read_page(cast: Cast, wanted: AppointmentFilter, **about: Any) -> AppointmentPage:
    with cast.database.reading() as session:
        return listing.list_appointments(session, wanted, **about)


def put_week(cast: Cast) -> list[int]:
    """Twelve appointments of two patients with two doctors, booked in another order than that of their times."""
    numbers = []
    bobs: dict[str, Any] = {"doctor": "bob", "patient": "alice"}
    erins: dict[str, Any] = {"doctor": "erin", "patient": "dave"}
    hours = ((9, bobs), (10, erins), (11, {**bobs, "patient": "dave"}), (13, bobs))
    for day in range(2, 5):
        for hour, whose in hours:
            row = appointment_rows.appointment(cast, f"2026-03-{day:02d} {hour:02d}:00", **whose)
            row["created_at"] = NOW - timedelta(hours=hour, days=day % 3)
            numbers.append(appointment_rows.insert(cast, row))
    return numbers


def walk(cast: Cast, wanted: AppointmentFilter, *, limit: int) -> tuple[list[int], list[int]]:
    """The ids of all rows, page by page to the end, and page by page back to the beginning."""
    forth: list[AppointmentRow] = []
    page = read_page(cast, wanted, limit=limit)
    assert page.beside.before is None
    forth += page.rows
    while page.beside.after is not None:
        page = read_page(cast, wanted, cursor=Cursor(page.beside.after), limit=limit)
        assert page.beside.before is not None
        forth += page.rows
    back = list(page.rows)
    while page.beside.before is not None:
        page = read_page(cast, wanted, cursor=Cursor(page.beside.before, backwards=True), limit=limit)
        back = [*page.rows, *back]
    return [line.id for line in forth], [line.id for line in back]


ORDERED: dict[Order, Any] = {
    "time": lambda line: (line.starts_at, line.id),
    "-time": lambda line: (-line.starts_at.timestamp(), -line.id),
    "booked": lambda line: (-line.created_at.timestamp(), -line.id),
}


@pytest.mark.parametrize("order", ORDERED)
@pytest.mark.parametrize("limit", [1, 5, 11, 12])
def test_pages_forth_and_back_show_every_row_once_and_in_order(cast: Cast, order: Order, limit: int) -> None:
    numbers = put_week(cast)
    wanted = AppointmentFilter(since=local("2026-03-01 00:00"), order=order)
    forth, back = walk(cast, wanted, limit=limit)
    assert forth == back
    assert sorted(forth) == sorted(numbers)
    lines = read_page(cast, wanted).rows
    assert [line.id for line in lines] == forth
    assert all(ORDERED[order](one) < ORDERED[order](other) for one, other in pairwise(lines))


@pytest.mark.parametrize("order", ORDERED)
def test_rows_at_the_same_time_are_ordered_by_id(cast: Cast, order: Order) -> None:
    for doctor, patient in (("bob", "alice"), ("erin", "dave")):
        appointment_rows.put(cast, "2026-03-03 09:00", doctor=doctor, patient=patient)
    forth, back = walk(cast, AppointmentFilter(order=order), limit=1)
    assert forth == back
    assert len(forth) == 2


@pytest.mark.parametrize("few", [{"patient_ids": "both"}, {"flagged": True}])
@pytest.mark.parametrize("order", ORDERED)
def test_small_results_that_are_fetched_whole_have_the_same_pages(
    cast: Cast, few: dict[str, Any], order: Order
) -> None:
    numbers = put_week(cast)
    cast.change(sa.update(models.Appointment).values(flagged_why="Time off was entered"))
    if "patient_ids" in few:
        few = {"patient_ids": list(cast.patient_ids.values())}
    forth, back = walk(cast, AppointmentFilter(**few, order=order), limit=5)
    assert forth == back == walk(cast, AppointmentFilter(order=order), limit=50)[0]
    assert sorted(forth) == sorted(numbers)


def test_filters_leave_out_what_does_not_fit(cast: Cast) -> None:
    put_week(cast)
    bob, dave = cast.doctor_ids["bob"], cast.patient_ids["dave"]
    first = sa.select(sa.func.min(models.Appointment.id)).scalar_subquery()
    cast.change(sa.update(models.Appointment).where(models.Appointment.id == first).values(status="completed"))
    cast.change(sa.update(models.Appointment).where(models.Appointment.doctor_id != bob).values(flagged_why="Leave"))
    for wanted, count in (
        (AppointmentFilter(), 12),
        (AppointmentFilter(since=local("2026-03-03 00:00")), 8),
        (AppointmentFilter(since=local("2026-03-03 00:00"), until=local("2026-03-04 00:00")), 4),
        (AppointmentFilter(until=local("2026-03-02 09:00")), 0),
        (AppointmentFilter(doctor_ids=[bob]), 9),
        (AppointmentFilter(doctor_ids=[0]), 0),
        (AppointmentFilter(statuses=["completed"]), 1),
        (AppointmentFilter(statuses=["scheduled"]), 11),
        (AppointmentFilter(visit_type_ids=[cast.long]), 12),
        (AppointmentFilter(visit_type_ids=[cast.short]), 0),
        (AppointmentFilter(patient_ids=[dave]), 6),
        (AppointmentFilter(patient_ids=[]), 0),
        (AppointmentFilter(flagged=True), 3),
        (AppointmentFilter(flagged=True, patient_ids=[dave], doctor_ids=[bob]), 0),
        (AppointmentFilter(doctor_ids=[bob], patient_ids=[dave], since=local("2026-03-04 00:00")), 1),
    ):
        assert len(read_page(cast, wanted).rows) == count, wanted


def test_a_reference_is_found_despite_other_filters(cast: Cast) -> None:
    put_week(cast)
    reference = read_page(cast, AppointmentFilter()).rows[3].reference
    [line] = read_page(
        cast, AppointmentFilter(reference=reference, statuses=["cancelled"], since=local("2030-01-01 00:00"))
    ).rows
    assert line.reference == reference


def test_a_row_shows_patient_doctor_and_time(cast: Cast) -> None:
    appointment_rows.put(cast, "2026-03-03 09:00", patient="dave")
    [line] = read_page(cast, AppointmentFilter()).rows
    assert (line.patient_name, line.doctor_name, line.visit_type_name) == ("Dave Dunn", "Dr. Bob Brown", "First visit")
    assert (line.starts_at, line.status, line.flagged_why) == (local("2026-03-03 09:00"), "scheduled", "")


def test_a_page_costs_one_query(cast: Cast) -> None:
    put_week(cast)
    asked = []
    sa.event.listen(cast.database.engine, "before_cursor_execute", lambda *about: asked.append(about[2]))
    for wanted in (
        AppointmentFilter(),
        AppointmentFilter(patient_ids=[1, 2]),
        AppointmentFilter(flagged=True),
        AppointmentFilter(order="booked"),
    ):
        asked.clear()
        read_page(cast, wanted, limit=3)
        assert len([text for text in asked if "appointments" in text]) == 1


def test_an_export_has_all_rows_in_batches_from_one_snapshot(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = put_week(cast)
    monkeypatch.setattr(listing, "CHUNK", 5)
    total, batches = listing.export(cast.database, AppointmentFilter())
    first = next(batches)
    # One comes behind the others, and one of them goes, while the export is under way.
    appointment_rows.put(cast, "2026-03-20 10:00")
    cast.change(sa.delete(models.Appointment).where(models.Appointment.id == numbers[-2]))
    assert [row.id for piece in (first, *batches) for row in piece] == numbers
    assert total == len(numbers) == 12
    total, batches = listing.export(cast.database, AppointmentFilter(statuses=["cancelled"]))
    assert (total, list(batches)) == (0, [])
    assert listing.export(cast.database, AppointmentFilter(patient_ids=[]))[0] == 0


def test_an_export_that_is_broken_off_gives_its_connection_back(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    put_week(cast)
    monkeypatch.setattr(listing, "CHUNK", 5)
    pool = cast.database.engine.pool
    assert isinstance(pool, sa.QueuePool)
    before = pool.checkedout()
    for read in (0, 1):
        _total, batches = listing.export(cast.database, AppointmentFilter())
        assert len([next(batches) for _ in range(read)]) == read
        assert pool.checkedout() == before + 1
        del batches
        assert pool.checkedout() == before


def test_a_place_is_written_and_read() -> None:
    place = AppointmentPlace(local("2026-03-03 09:00"), 17)
    assert parse_place(str(place)) == place
    for odd in (
        "",
        "x",
        ".",
        "17",
        "2026-03-03T08:00:00Z",
        "2026-03-03T08:00:00Z.",
        "2026-03-03T08:00:00Z.x",
        "2026-03-03T08:00:00Z.-1",
        "2026-03-03T08:00:00Z.9999999999",
        "2026-02-30T08:00:00Z.1",
        "2026-03-03T08:00:00.1",
        "2026-03-03T08:00:00Z.١",
        "9999-12-31T23:59:59Z.1",
        "0001-01-01T00:00:00Z.1",
    ):
        assert parse_place(odd) is None, odd


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (AppointmentFilter(doctor_ids=[1], statuses=["cancelled"], since=NOW), "ix_appointments_doctor_starts"),
        (AppointmentFilter(statuses=["cancelled"], since=NOW), "ix_appointments_undone_starts"),
        (AppointmentFilter(order="booked", since=NOW), "ix_appointments_created"),
    ],
    ids=["of a doctor", "of all doctors", "as booked"],
)
def test_a_page_is_read_and_counted_by_the_index_that_leads_to_it(
    sqlite_cast: Cast, wanted: AppointmentFilter, index: str
) -> None:
    """PostgreSQL chooses by statistics, which so small a table does not have."""
    cast, sent = sqlite_cast, list[tuple[str, Any]]()
    sa.event.listen(cast.database.engine, "before_cursor_execute", lambda *about: sent.append(about[2:4]))
    with cast.database.reading() as session:
        listing.list_appointments(session, wanted)
        if wanted.statuses:
            listing.count_appointments(session, wanted)
        plans = [
            str(session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
            for statement, parameters in list(sent)
        ]
    plans = [plan for plan in plans if "appointments" in plan]
    assert plans
    assert all(index in plan and plan.count("SCAN appointments") <= 1 for plan in plans), plans

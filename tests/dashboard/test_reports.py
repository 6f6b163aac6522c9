"""The reports: figures that were computed by hand, with months of the clinic's zone and a change of its clocks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from tests.appointment_rows import appointment, insert, put
from tests.cast import Cast, client_for, local, log_in
from tests.reading import Element, read
from webapp import models
from webapp.clinic.service import get_clinic
from webapp.dashboard import report_schemas
from webapp.dashboard.report_schemas import GroupCounts, NextFree, Report, ReportQuery
from webapp.dashboard.reports import make_report, middle_of, months_later
from webapp.event_handlers import wired_database

# A Wednesday. Until the day before, two months are asked for; in March the clocks go forward.
NOW = local("2026-04-15 08:00")
ASKED = ReportQuery(date(2026, 3, 1), date(2026, 4, 30))


def add(cast: Cast, start: str, *, by: int | None = None, created: str = "", changed: str = "", **details: Any) -> None:
    """One appointment, with the account that booked it, and when it was booked and last changed."""
    code = details.pop("cancellation_code", "")
    row = appointment(cast, start, **details) | {"booked_by": by, "cancellation_code": code}
    for name, text in (("created_at", created), ("updated_at", changed)):
        row |= {name: local(text)} if text else {}
    insert(cast, row)


def fill(cast: Cast) -> None:
    """The appointments, and what is special about the hours."""
    alice, carol = cast.alice.user_id, cast.carol.user_id
    add(cast, "2026-03-02 09:00", status="completed", created="2026-02-28 09:00", by=alice)
    add(cast, "2026-03-03 09:00", status="no_show", created="2026-03-02 10:00", by=carol, before=5, after=10)
    cancelled: dict[str, Any] = {"status": "cancelled", "by": alice}
    add(cast, "2026-03-04 09:00", changed="2026-03-03 12:00", **cancelled)
    add(cast, "2026-03-05 09:00", changed="2026-03-01 12:00", **cancelled)
    add(cast, "2026-03-06 09:00", changed="2026-03-05 20:00", cancellation_code="time_off", **cancelled)
    # In UTC this is still in March, and not quite ten days after it was booked.
    add(cast, "2026-04-01 00:30", patient="dave", created="2026-03-22 00:30")
    # Today does not count yet.
    add(cast, "2026-04-15 09:00")
    add(cast, "2026-01-15 10:00", doctor="erin", patient="dave", status="completed", created="2026-01-10 10:00")
    add(cast, "2026-02-20 10:00", doctor="erin", patient="dave", status="completed")
    bob, erin = cast.doctor_ids["bob"], cast.doctor_ids["erin"]
    # The clocks skip one of these six hours.
    cast.add(models.ExtraHours(doctor_id=bob, day=date(2026, 3, 29), start_minute=0, end_minute=360))
    cast.add(models.TimeOff(doctor_id=bob, starts_at=local("2026-03-10 10:00"), ends_at=local("2026-03-11 14:00")))
    cast.add(models.TimeOff(doctor_id=erin, starts_at=local("2026-04-15 00:00"), ends_at=local("2026-04-18 00:00")))
    cast.add(models.Closure(name="Spring", starts_on=date(2026, 3, 16), ends_on=date(2026, 3, 16)))
    lunch = {"valid_from": date(2026, 3, 9), "valid_until": date(2026, 3, 22)}
    cast.add(models.WorkingHours(doctor_id=bob, weekday=0, start_minute=720, end_minute=780, **lunch))
    # The clinic is closed on Saturdays.
    cast.add(models.WorkingHours(doctor_id=bob, weekday=5, start_minute=540, end_minute=720))


def report(cast: Cast, **changes: Any) -> Report:
    with cast.database.reading() as session:
        return make_report(session, get_clinic(session), ASKED._replace(**changes), now=NOW)


DAY = 7 * 60
# Bob counts from Monday 2 March: 22 working days, five hours on the Sunday, ten hours off, a closure, one lunch hour.
BOB_MARCH = 22 * DAY + 300 - 600 - DAY + 60
ERIN_MARCH = 22 * DAY - DAY
APRIL = 10 * DAY


def test_figures_are_those_that_were_computed_by_hand(cast: Cast) -> None:
    fill(cast)
    found = report(cast)
    march, april = (row.figures for row in found.rows)
    assert [row.name for row in found.rows] == [date(2026, 3, 1), date(2026, 4, 1)]
    assert march.counts == GroupCounts(booked=2, seen=1, no_shows=1, late=1, minutes=75, by_patient=1, by_desk=1)
    assert april.counts == GroupCounts(booked=1, minutes=30)
    assert (march.offered, april.offered) == (BOB_MARCH + ERIN_MARCH, 2 * APRIL)
    assert (march.lead, april.lead, found.total.lead) == (1, 9, 2)
    assert (march.new_patients, april.new_patients) == (1, 0)
    assert found.total.counts == march.counts.plus(april.counts)
    assert found.total.utilisation == pytest.approx(105 / (BOB_MARCH + ERIN_MARCH + 2 * APRIL))
    assert (found.total.unrecorded, found.total.by_unknown, april.by_unknown) == (1, 1, 1)
    # The same days two months earlier: until 14 February.
    assert (found.before.counts, found.before.new_patients) == (GroupCounts(booked=1, seen=1), 1)
    assert found.third_next == [NextFree("Dr. Bob Brown", 0), NextFree("Dr. Erin Eze", 5)]


def test_doctors_and_types_have_lines_and_are_filters(cast: Cast) -> None:
    fill(cast)
    cast.change(sa.update(models.Doctor).where(models.Doctor.slug == "erin").values(active=False))
    (bob,) = report(cast, by="doctor").rows
    assert (bob.name, bob.figures.counts.booked) == ("Dr. Bob Brown", 3)
    assert bob.figures.offered == BOB_MARCH + APRIL
    # Erin takes no bookings any more: she counts until her last appointment, in February.
    (kind,) = report(cast, by="visit_type").rows
    assert (kind.name, kind.figures.offered) == ("First visit", BOB_MARCH + APRIL)
    erin = report(cast, doctor_id=cast.doctor_ids["erin"])
    assert (erin.total.counts.booked, erin.before.counts.booked, erin.total.offered) == (0, 1, 0)
    # She counts from her first appointment on, 15 January.
    cold = report(cast, first=date(2026, 1, 1), last=date(2026, 1, 31), doctor_id=cast.doctor_ids["erin"])
    assert (cold.total.offered, cold.total.lead, cold.total.new_patients) == (12 * DAY, 5, 1)
    assert report(cast, visit_type_id=cast.short).total.counts == GroupCounts()


def test_months_that_are_over_are_counted_again_only_when_they_change(cast: Cast) -> None:
    fill(cast)
    ran: list[str] = []
    sa.event.listen(cast.database.engine, "before_cursor_execute", lambda *each: ran.append(each[2]))
    bob, carol, appointments = cast.doctor_ids["bob"], cast.carol.user_id, models.Appointment

    def reports(cast: Cast) -> list[Report]:
        return [report(cast), report(cast, by="doctor"), report(cast, by="visit_type", doctor_id=bob)]

    before = reports(cast)
    ran.clear()
    assert reports(cast) == before
    assert sum("created_at" in statement for statement in ran) == 3, "only April is counted again"
    for change in (
        sa.update(appointments).where(appointments.status == "no_show").values(status="completed"),
        sa.update(models.User).where(models.User.id == carol).values(role="machine"),
        sa.update(appointments).where(appointments.booked_by == carol).values(booked_by=None),
        sa.delete(appointments).where(appointments.starts_at == local("2026-01-15 10:00")),
        # So Alice was not new in March.
        sa.insert(appointments).values(appointment(cast, "2025-12-01 10:00", status="completed")),
        sa.update(models.ClinicSettings).values(change_until_minutes=0),
    ):
        cast.change(change)
        fresh = replace(cast, database=wired_database(cast.url))
        after = reports(cast)
        assert after == reports(fresh)
        assert after != before
        fresh.database.dispose()
        before = after


def test_medians_and_months_at_their_borders() -> None:
    assert report_schemas.median(Counter()) is None
    assert report_schemas.median(Counter({3: 1, 1: 1})) == 2
    assert report_schemas.median(Counter({0: 2, 7: 2, 9: 1})) == 7
    assert middle_of([None, 4, None]) is None
    assert middle_of([0, 4, None]) == 4
    assert middle_of([]) is None
    assert months_later(date(2026, 3, 31), -1) == date(2026, 2, 28)
    assert months_later(date(2026, 12, 31), 2) == date(2027, 2, 28)


def page_of(cast: Cast, query: str = "", status: int = 200) -> Element:
    with log_in(client_for(cast.database, now=NOW), "carol") as client:
        answer = client.get(f"/admin/reports?{query}")
        assert answer.status_code == status
        return read(answer)


def test_the_page_shows_the_last_twelve_months_with_definitions(cast: Cast) -> None:
    fill(cast)
    page = page_of(cast)
    figures = {each.one("dt").text: [one.text for one in each.all("dd")] for each in page.all("dl")[0].all("div")}
    assert figures["Booked"][0] == "5"
    assert figures["Late cancellations"] == [
        "1",
        "Cancelled less than 24 hours before the start. Those by the clinic, such as for time off, don’t count.",
    ]
    assert all(len(each) >= 2 for each in figures.values())
    # There was nothing before January; four months are asked for.
    lines = [each.one("th").text for each in page.all("tbody")[0].all("tr")]
    assert lines == ["January 2026", "February 2026", "March 2026", "April 2026", "Total"]
    assert len(page.all("svg", role="img")) == 2
    two = page_of(cast, "from=2026-03&until=2026-04&by=doctor&doctor=bob")
    assert [each.one("th").text for each in two.all("tbody")[0].all("tr")] == ["Dr. Bob Brown", "Total"]


def test_the_file_has_plain_numbers(sqlite_cast: Cast) -> None:
    fill(sqlite_cast)
    with log_in(client_for(sqlite_cast.database, now=NOW), "carol") as client:
        answer = client.get("/admin/reports.csv?from=2026-03&until=2026-04")
    assert answer.headers["x-total-count"] == "2"
    heading, march, april, end = answer.text.removeprefix("\ufeff").splitlines()
    assert heading.startswith("Month,Booked,Seen,No-shows,Late cancellations,Booked minutes,Offered minutes,")
    assert end == "End of the list: 2 rows"
    assert march == f"2026-03,2,1,1,1,75,{BOB_MARCH + ERIN_MARCH},1,1,1,1,0,0"
    assert april == f"2026-04,1,0,0,0,30,{2 * APRIL},9,0,0,0,0,0"


def test_a_clinic_without_a_past_and_a_period_that_ends_before_it_begins(sqlite_cast: Cast) -> None:
    put(sqlite_cast, "2026-04-15 09:00")
    assert "No figures yet" in page_of(sqlite_cast).text
    put(sqlite_cast, "2026-01-15 09:00", status="completed")
    page = page_of(sqlite_cast, "from=2026-03&until=2026-02", status=422)
    assert "Choose the first month or a later one." in page.text
    assert page_of(sqlite_cast, "from=1999-13&until=x&doctor=nobody&visit_type=999&by=moon").all("dl")

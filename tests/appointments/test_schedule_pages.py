"""The doctor's day."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import Cast, client_for, local, log_in
from tests.reading import read
from webapp import models


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The same pages over the same queries; one kind of database is enough."""
    return sqlite_url


def test_the_day_shows_the_doctors_own_visits_in_order_of_time(client: TestClient, cast: Cast) -> None:
    second = cast.book(cast.dave, "2026-03-03 14:00", visit_type=cast.long)
    first = cast.book(cast.alice, "2026-03-03 09:30")
    cast.book(cast.alice, "2026-03-03 11:00", doctor="erin", visit_type=cast.erins_only)
    cast.book(cast.alice, "2026-03-04 09:30")
    cast.change(
        sa.update(models.Appointment).where(models.Appointment.reference == first).values(reason="My <i>knee</i>")
    )
    cast.change(
        sa.update(models.Patient)
        .where(models.Patient.id == cast.patient_ids["alice"])
        .values(birth_date=date(1984, 3, 4))
    )
    answer = log_in(client, "bob").get("/schedule/2026-03-03")
    assert answer.headers["cache-control"] == "no-store"
    page = read(answer)
    assert page.h1 == "Tuesday 3 March 2026"
    assert "Dr. Bob Brown, Room 3" in page.text
    visits = page.all("article", class_="visit")
    assert [visit.links for visit in visits] == [[f"/appointments/{first}"], [f"/appointments/{second}"]]
    # Alice turns 42 on the next day.
    assert visits[0].one("h3").text == "Alice Adams 41 years"
    assert "09:30 to 09:45, Follow-up" in visits[0].text
    assert "My <i>knee</i>" in visits[0].text
    assert "2 visits · finishes 14:30" in page.text


def test_the_other_doctor_sees_another_day(client: TestClient, cast: Cast) -> None:
    cast.book(cast.dave, "2026-03-03 14:00")
    page = read(log_in(client, "erin").get("/schedule/2026-03-03"))
    assert "No visits on this day" in page.text
    assert "Dave Dunn" not in page.text


def test_today_has_a_line_where_now_is(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    cast.book(cast.dave, "2026-03-03 14:00")
    with client_for(cast.database, now=local("2026-03-03 12:10")) as client:
        log_in(client, "bob")
        page = read(client.get("/schedule"))
        rows = page.one("ol", class_="agenda").text
        assert rows.index("Alice Adams") < rows.index("Now") < rows.index("Dave Dunn")
        assert page.one("a", aria_current="date").text == "Today"
        assert not read(client.get("/schedule/2026-03-04")).all("a", aria_current="date")
    with client_for(cast.database, now=local("2026-03-03 18:00")) as client:
        rows = read(log_in(client, "bob").get("/schedule")).one("ol", class_="agenda").text
        assert rows.index("Dave Dunn") < rows.index("Now")


def test_a_cancelled_visit_stays_in_sight_and_does_not_count(client: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    gone = cast.book(cast.dave, "2026-03-03 16:00")
    cast.change(sa.update(models.Appointment).where(models.Appointment.reference == gone).values(status="cancelled"))
    page = read(log_in(client, "bob").get("/schedule/2026-03-03"))
    assert "1 visit · 1 cancelled · finishes 09:45" in page.text
    assert [visit["data-status"] for visit in page.all("article", class_="visit")] == ["scheduled", "cancelled"]


def test_days_are_joined_by_links(client: TestClient) -> None:
    page = read(log_in(client, "bob").get("/schedule"))
    days = page.one("nav", aria_label="Days")
    assert days.links == ["/schedule/2026-03-01", "/schedule", "/schedule/2026-03-03"]


def test_a_closed_day_says_why(client: TestClient, cast: Cast) -> None:
    cast.add(models.Closure(name="King’s Day", starts_on=date(2026, 4, 27), ends_on=date(2026, 4, 27)))
    page = read(log_in(client, "bob").get("/schedule/2026-04-27"))
    assert "Closed: King’s Day" in page.text


def test_a_day_of_23_or_25_hours_holds_all_its_visits(client: TestClient, cast: Cast) -> None:
    for day in (date(2026, 3, 29), date(2026, 10, 25)):
        cast.add(models.ExtraHours(doctor_id=cast.doctor_ids["bob"], day=day, start_minute=0, end_minute=1440))
    cast.change(sa.update(models.ClinicSettings).values(horizon_days=365, patient_gap_minutes=0))
    for start in ("2026-03-29 00:00", "2026-03-29 23:45", "2026-10-25 00:00", "2026-10-25 23:45"):
        cast.book(cast.alice, start)
    log_in(client, "bob")
    for shown in ("2026-03-29", "2026-10-25"):
        page = read(client.get(f"/schedule/{shown}"))
        assert len(page.all("article", class_="visit")) == 2, shown
    assert len(read(client.get("/schedule/2026-03-28")).all("article", class_="visit")) == 0


def test_a_day_that_does_not_exist_is_not_found(client: TestClient) -> None:
    log_in(client, "bob")
    for odd in ("2026-02-30", "x", "2026-13-01", "0001-01-01", "9999-12-31", "2026-03-03T10:00"):
        answer = client.get(f"/schedule/{odd}")
        assert answer.status_code == 404, odd
        assert "There is no such day in the calendar." in read(answer).text


def test_only_doctors_have_a_day(client: TestClient, cast: Cast) -> None:
    assert client.get("/schedule").headers["location"] == "/login?next=%2Fschedule"
    for name in ("alice", "carol"):
        with client_for(cast.database) as other:
            assert log_in(other, name).get("/schedule").status_code == 403
            assert other.get("/schedule/2026-03-03").status_code == 403


def test_a_doctors_account_without_a_doctor_is_told_so(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.Doctor).values(user_id=None))
    answer = log_in(client, "bob").get("/schedule")
    assert answer.status_code == 404
    assert "Your account is not tied to a doctor yet" in read(answer).text

"""The calendar as staff see it: times within the patients' notice can be booked, and no day is called full for them."""

from __future__ import annotations

import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import Cast, client_for, local, log_in
from tests.reading import Element, read
from webapp import models
from webapp.core.formats import iso

TODAY = "Monday 2 March"


def column(page: Element, name: str = TODAY) -> Element:
    days = [item for item in page.all("li") if item.get("data-day") and item.one("h3").text.startswith(name)]
    assert len(days) == 1
    return days[0]


def slots(day: Element) -> list[str]:
    return [slot.text for slot in day.all("a", class_="slot")]


def fill_from(cast: Cast, hour: int) -> None:
    """Book Bob out today from this hour to the end of the day."""
    for half in range(hour * 2, 34):
        put(cast, f"2026-03-02 {half // 2:02d}:{half % 2 * 30:02d}", patient="dave")


def test_times_within_the_notice_are_offered_to_staff_and_marked(client: TestClient, cast: Cast) -> None:
    fill_from(cast, 10)
    address = f"/doctors/bob?visit_type={cast.short}&week=2026-W10"
    assert "Fully booked" in column(read(client.get(address))).text
    assert slots(column(read(client.get(address)))) == []
    day = column(read(log_in(client, "carol").get(f"{address}&patient={cast.patient_ids['alice']}")))
    assert slots(day) == ["09:00", "09:15", "09:30", "09:45"]
    assert "Short notice, staff only" in day.text
    assert "Fully booked" not in day.text
    first = day.all("a", class_="slot")[0]
    assert first["aria-label"] == "09:00, Monday 2 March, within the minimum notice"
    page = read(client.get(first["href"]))
    assert "That is less than the minimum notice of 2 hours." in page.text
    sent = {**page.form("/appointments"), "override_reason": "She is in pain", "step": "book"}
    assert client.post("/appointments", data=sent, follow_redirects=False).status_code == 303
    with cast.database.reading() as session:
        booked = sa.select(models.Appointment.starts_at).where(
            models.Appointment.patient_id == cast.patient_ids["alice"]
        )
        assert session.scalars(booked).all() == [local("2026-03-02 09:00")]


def test_the_calendar_opens_on_a_week_that_has_such_times_alone(client: TestClient, cast: Cast) -> None:
    fill_from(cast, 10)
    for day in range(3, 7):
        for half in range(18, 34):
            put(cast, f"2026-03-{day:02d} {half // 2:02d}:{half % 2 * 30:02d}", patient="dave")
    page = read(log_in(client, "bob").get(f"/doctors/bob?visit_type={cast.short}"))
    assert slots(column(page)) == ["09:00", "09:15", "09:30", "09:45"]
    assert "Fully booked" in column(page, "Tuesday 3 March").text


def test_a_day_that_is_full_for_staff_too_says_so(client: TestClient, cast: Cast) -> None:
    fill_from(cast, 9)
    day = column(read(log_in(client, "carol").get(f"/doctors/bob?visit_type={cast.short}&week=2026-W10")))
    assert (slots(day), "Fully booked" in day.text) == ([], True)


def test_staff_move_an_appointment_to_a_time_within_the_notice(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    page = read(log_in(client, "carol").get(f"/appointments/{reference}/reschedule?week=2026-W10"))
    assert "Short notice, staff only" in column(page).text
    assert slots(column(page))[:2] == ["09:00", "09:15"]


def test_no_time_that_has_passed_is_among_them(cast: Cast) -> None:
    """At 09:20 the first time of a grid of 15 minutes is 09:30."""
    client = log_in(client_for(cast.database, now=local("2026-03-02 09:20")), "carol")
    day = column(read(client.get(f"/doctors/bob?visit_type={cast.short}&week=2026-W10")))
    assert slots(day)[0] == "09:30"
    assert iso(local("2026-03-02 09:30")) in day.all("a", class_="slot")[0]["href"]


def test_a_doctor_sees_the_times_of_colleagues_but_books_only_their_own(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    page = read(client.get("/doctors"))
    assert "You can only book patients with yourself." in page.text
    own, other = (
        next(card for card in page.all("li", class_="doctor") if name in card.text) for name in ("Brown", "Eze")
    )
    assert len(slots(own)) > 0
    assert (slots(other), len(other.all("span", class_="slot")) > 0) == ([], True)
    links = {href for href in page.links if href.startswith("/book")}
    assert links
    assert all("doctor=bob" in href for href in links)
    assert client.get(min(links)).status_code < 400
    colleague = read(client.get("/doctors/erin"))
    assert "You can only book patients with yourself." in colleague.text
    assert [href for href in colleague.links if href.startswith("/book")] == []
    assert "You can only book" not in read(client.get("/doctors/bob")).text
    log_in(client, "carol")
    assert "You can only book" not in read(client.get("/doctors")).text

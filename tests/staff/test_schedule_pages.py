"""The doctor's day and week."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from typing import cast as cast_to

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.appointment_rows import appointment, insert, put
from tests.cast import Cast, client_for, local, log_in
from tests.reading import HTMX, Element, read, read_fragment
from webapp import models
from webapp.clinic.service import Clinic, get_clinic
from webapp.doctors import service as doctors
from webapp.scheduling.slots import Span
from webapp.staff.schedule.schedule_week import load_schedule_week

# The code with which SQLite asks whether a statement may read a column.
SQLITE_READ = 20


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """tests/appointments/booking/test_schedule_queries.py tests the queries on both databases."""
    return sqlite_url


def day_of(cast: Cast, day: str = "2026-03-03", *, now: str = "2026-03-02 08:00") -> Element:
    """Bob's day, opened at this time of the clinic's wall clock."""
    with client_for(cast.database, now=local(now)) as client:
        return read(log_in(client, "bob").get(f"/schedule/{day}"))


def lines(page: Element) -> list[str]:
    """The day's time line: the time and the text beside it, without the badge and the buttons."""
    found = []
    for line in page.one("ol", class_="agenda").all("li"):
        card, time = line.all("article"), "".join(each.text for each in line.all("time")[:1])
        words = card[0].one("h3").text if card else line.text.removeprefix(time).strip()
        found.append(f"{time} {words}".strip())
    return found


def change_appointment(cast: Cast, reference: str, **values: Any) -> None:
    cast.change(sa.update(models.Appointment).where(models.Appointment.reference == reference).values(values))


def test_the_day_is_a_time_line_of_appointments_gaps_breaks_and_buffers(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    cast.book(cast.dave, "2026-03-03 14:00", visit_type=cast.buffered)
    assert lines(day_of(cast)) == [
        "09:00 Free 30 minutes Book Block",
        "09:30 Alice Adams",
        "09:45 Free 2 hours 15 minutes Book Block",
        "12:00 Break, until 13:00",
        "13:00 Free 55 minutes Book Block",
        "13:55 5 min buffer",
        "14:00 Dave Dunn",
        "14:45 10 min buffer",
        "14:55 Free 2 hours 5 minutes Book Block",
    ]


def test_a_card_shows_the_patient_and_the_reason(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 09:30")
    change_appointment(
        cast,
        reference,
        reason="My <i>knee</i>",
        notes="A wheelchair",
        private_note="Ask about sport",
        flagged_why="time_off",
        override_reason="Agreed by telephone",
    )
    born = sa.update(models.Patient).where(models.Patient.id == cast.patient_ids["alice"])
    cast.change(born.values(birth_date=date(1984, 3, 4)))
    cast.book(cast.alice, "2026-03-03 11:00", doctor="erin", visit_type=cast.erins_only)
    answer = log_in(client, "bob").get("/schedule/2026-03-03")
    assert answer.headers["cache-control"] == "no-store"
    page = read(answer)
    assert page.h1 == "Tuesday 3 March 2026"
    assert "Dr. Bob Brown · Room 3 · 1 appointment · finishes 09:45" in page.text
    card = page.one("article", class_="appointment")
    assert f"/appointments/{reference}" in card.links
    # Alice is 42 the day after.
    assert card.one("h3").text == "Alice Adams 41 years"
    for words in (
        "Follow-up, 15 min · first appointment",
        "My <i>knee</i>",
        "To arrange: A wheelchair",
        "Your note: Ask about sport",
        "Needs a decision: The doctor is away.",
        "Exception: Agreed by telephone",
    ):
        assert words in card.text


def test_the_first_appointment_is_the_first_that_counts_with_this_doctor(cast: Cast) -> None:
    put(cast, "2026-02-10 10:00", status="no_show")
    put(cast, "2026-02-11 10:00", doctor="erin", status="completed")
    cast.book(cast.alice, "2026-03-03 09:30")
    cast.book(cast.alice, "2026-03-03 11:00")
    first, second = day_of(cast).all("article", class_="appointment")
    assert "first appointment" in first.text
    assert "first appointment" not in second.text


def test_the_other_doctor_sees_another_day(client: TestClient, cast: Cast) -> None:
    cast.book(cast.dave, "2026-03-03 14:00")
    page = read(log_in(client, "erin").get("/schedule/2026-03-03"))
    assert "No appointments on this day" in page.text
    assert "Dave Dunn" not in page.text


def test_gaps_lead_to_booking_and_to_blocking_them(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:15")
    page = day_of(cast, now="2026-03-03 09:05")
    agenda = page.one("ol", class_="agenda")
    links = [link for link in agenda.links if not link.startswith(("/appointments", "/admin/patients"))]
    # A 15-minute appointment cannot begin before 09:15, and that is taken.
    assert links == [
        "/schedule/time-off/new?from=2026-03-03T09%3A05&until=2026-03-03T09%3A15",
        "/book?doctor=bob&starts_at=2026-03-03T08%3A30%3A00Z",
        "/schedule/time-off/new?from=2026-03-03T09%3A30&until=2026-03-03T12%3A00",
        "/book?doctor=bob&starts_at=2026-03-03T12%3A00%3A00Z",
        "/schedule/time-off/new?from=2026-03-03T13%3A00&until=2026-03-03T17%3A00",
    ]
    assert "Free" not in " ".join(lines(day_of(cast, now="2026-03-04 09:00")))


def test_hours_extra_hours_closures_and_leave_make_the_gaps(cast: Cast) -> None:
    bob = cast.doctor_ids["bob"]
    cast.add(models.ExtraHours(doctor_id=bob, day=date(2026, 3, 3), start_minute=18 * 60, end_minute=19 * 60))
    leave = {"starts_at": local("2026-03-03 15:00"), "ends_at": local("2026-03-03 18:30")}
    cast.add(models.TimeOff(doctor_id=bob, reason="Teaching", **leave))
    put(cast, "2026-03-03 20:00", patient="dave")
    assert lines(day_of(cast)) == [
        "09:00 Free 3 hours Book Block",
        "12:00 Break, until 13:00",
        "13:00 Free 2 hours Book Block",
        "15:00 Time off: Teaching, until 18:30",
        "18:30 Free 30 minutes Book Block",
        "20:00 Dave Dunn",
    ]
    cast.add(models.Closure(name="Spring day", starts_on=date(2026, 3, 3), ends_on=date(2026, 3, 3)))
    page = day_of(cast)
    assert lines(page) == ["15:00 Time off: Teaching, until 18:30", "20:00 Dave Dunn"]
    assert "Closed: Spring day" in page.text
    cast.change(sa.update(models.TimeOff).values(ends_at=local("2026-03-04 00:00")))
    assert lines(day_of(cast))[0] == "15:00 Time off: Teaching, rest of the day"


def test_leave_of_several_days_is_shown_once_a_day(cast: Cast) -> None:
    leave = {"starts_at": local("2026-03-02 12:00"), "ends_at": local("2026-03-05 10:00")}
    cast.add(models.TimeOff(doctor_id=cast.doctor_ids["bob"], **leave))
    assert lines(day_of(cast)) == ["Time off, all day"]


def test_now_is_a_line_at_its_place_and_splits_a_gap(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    cast.book(cast.dave, "2026-03-03 14:00")
    page = day_of(cast, now="2026-03-03 10:10")
    assert lines(page) == [
        "09:30 Alice Adams",
        "10:10 Now",
        "10:10 Free 1 hour 50 minutes Book Block",
        "12:00 Break, until 13:00",
        "13:00 Free 1 hour Book Block",
        "14:00 Dave Dunn",
        "14:15 Free 2 hours 45 minutes Book Block",
    ]
    assert page.one("a", id="day-today")["aria-current"] == "date"
    assert lines(day_of(cast, now="2026-03-03 18:00"))[-1] == "18:00 Now"
    assert not [line for line in lines(day_of(cast, "2026-03-04", now="2026-03-03 10:10")) if "Now" in line]


def test_the_current_appointment_is_outlined_and_lateness_is_shown(cast: Cast) -> None:
    first, second = put(cast, "2026-03-03 09:30"), cast.book(cast.dave, "2026-03-03 10:00")
    page = day_of(cast, now="2026-03-03 10:05")
    assert page.one("article", class_="live")["id"] == f"appointment-{second}"
    cast.change(sa.update(models.Appointment).where(models.Appointment.id == first).values(status="arrived"))
    page = day_of(cast, now="2026-03-03 10:05")
    assert "Alice" in page.one("article", class_="live").text
    assert "10:05 Now, 5 minutes behind" in lines(page)


def test_past_appointments_are_folded_and_a_cancelled_one_says_why(cast: Cast) -> None:
    for hour, status in (("09", "completed"), ("10", "no_show"), ("11", "cancelled")):
        row = appointment(cast, f"2026-03-03 {hour}:00", status=status)
        insert(cast, {**row, "reason": "Something private", "cancellation_reason": "A cold" * (status == "cancelled")})
    page = day_of(cast, now="2026-03-03 12:30")
    cards = page.all("article", class_="folded")
    assert [card["data-status"] for card in cards] == ["completed", "no_show", "cancelled"]
    assert "Something private" not in page.text
    assert "A cold" in cards[2].text


@pytest.mark.parametrize(
    ("status", "now", "expected"),
    [
        ("scheduled", "2026-03-02 10:00", ["Confirm", "Move", "Cancel", "Private note", "Patient’s alert and note"]),
        ("confirmed", "2026-03-02 10:00", ["Move", "Cancel", "Private note", "Patient’s alert and note"]),
        (
            "scheduled",
            "2026-03-03 09:00",
            ["Arrived", "Confirm", "Move", "Cancel", "Private note", "Patient’s alert and note"],
        ),
        (
            "scheduled",
            "2026-03-03 10:10",
            ["Arrived", "Seen", "Confirm", "No-show", "Move", "Cancel", "Private note", "Patient’s alert and note"],
        ),
        ("arrived", "2026-03-03 10:10", ["Seen", "Private note", "Patient’s alert and note"]),
        # Doctors write their note when the patient has left.
        ("completed", "2026-03-03 10:40", ["Private note for Alice Adams"]),
    ],
)
def test_each_status_has_its_one_tap_action(cast: Cast, status: str, now: str, expected: list[str]) -> None:
    row = appointment(cast, "2026-03-03 10:00", status=status)
    insert(cast, row)
    card = day_of(cast, now=now).one("article", class_="appointment")
    links = [each for each in card.all() if each.name in {"button", "a"} and "button" in (each.get("class") or "")]
    assert [each.text or each.get("aria-label") for each in links] == expected


def test_the_next_patient_is_on_top_with_their_earlier_appointments(cast: Cast) -> None:
    old = appointment(cast, "2026-02-10 10:00", status="completed", patient="dave")
    insert(cast, {**old, "private_note": "Sleeps badly"})
    put(cast, "2026-02-11 10:00", status="completed", patient="dave", doctor="erin")
    cast.book(cast.alice, "2026-03-03 09:30")
    cast.book(cast.dave, "2026-03-03 10:00")
    assert "First patient, 09:30 Alice Adams" in day_of(cast).one("section", class_="coming").text.replace("AA ", "")
    slip = day_of(cast, now="2026-03-03 09:40").one("section", class_="coming")
    assert "Next patient, 10:00" in slip.text
    assert slip.one("h2").text == "Dave Dunn"
    assert [each["href"] for each in slip.one("ul", class_="earlier").all("a")] == [f"/appointments/{old['reference']}"]
    assert "First visit, seen Sleeps badly" in slip.text
    assert not day_of(cast, now="2026-03-03 11:00").all("section", class_="coming")
    assert not day_of(cast, now="2026-03-04 08:00").all("section", class_="coming")


def totals(page: Element) -> dict[str, str]:
    card = page.one("section", class_="totals")
    return dict(zip((each.text for each in card.all("dt")), (each.text for each in card.all("dd")), strict=True))


def test_the_day_in_numbers(cast: Cast) -> None:
    for start, status in (
        ("09:00", "completed"),
        ("09:30", "no_show"),
        ("10:00", "cancelled"),
        ("10:30", "scheduled"),
        ("11:00", "arrived"),
        ("13:30", "scheduled"),
        ("16:30", "confirmed"),
    ):
        put(cast, f"2026-03-03 {start}", status=status)
    page = day_of(cast, now="2026-03-03 11:20")
    assert "6 appointments · finishes 17:00" in page.text
    assert totals(page) == {
        "Seen": "1 of 6",
        "Arrived": "1",
        "Still to come": "2",
        "Not marked yet": "1",
        "No-shows": "1",
        "Cancelled": "1",
        "Free": "3 hours 30 minutes in 3 gaps",
    }
    assert "Free" not in totals(day_of(cast, now="2026-03-04 08:00"))
    assert "Seen" not in totals(day_of(cast, now="2026-03-02 08:00"))


def test_the_strip_counts_the_appointments_of_the_weeks_days(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    cast.book(cast.dave, "2026-03-03 10:30")
    put(cast, "2026-03-05 10:00", status="cancelled")
    strip = day_of(cast).one("nav", class_="weekdays")
    assert [link.text for link in strip.all("a")] == [
        "Mon 2 0 booked",
        "Tue 3 2 booked",
        "Wed 4 0 booked",
        "Thu 5 0 booked",
        "Fri 6 0 booked",
    ]
    assert strip.one("a", aria_current="date")["href"] == "/schedule/2026-03-03"
    put(cast, "2026-03-07 10:00", patient="dave")
    assert [link.text[:5] for link in day_of(cast).one("nav", class_="weekdays").all("a")][-1] == "Sat 7"


def test_days_are_joined_by_links_and_a_date_leads_to_its_day(client: TestClient) -> None:
    page = read(log_in(client, "bob").get("/schedule"))
    days = page.one("nav", aria_label="Days")
    assert days.links == ["/schedule/2026-03-01", "/schedule", "/schedule/2026-03-03"]
    assert page.form("/schedule", "get") == {"day": "2026-03-02"}
    answer = client.get("/schedule?day=2026-04-01")
    assert (answer.status_code, answer.headers["location"]) == (303, "/schedule/2026-04-01")
    assert client.get("/schedule?day=").status_code == 200
    assert client.get("/schedule?day=//elsewhere.example").status_code == 404


def test_htmx_gets_the_day_alone(client: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    log_in(client, "bob")
    day = read_fragment(client.get("/schedule/2026-03-03", headers=HTMX), "day")
    said = day["data-announce"].replace("\u00a0", " ")
    assert said == "Tuesday 3 March 2026. Dr. Bob Brown · Room 3 · 1 appointment · finishes 09:45"
    assert day["data-title"] == "Tuesday 3 March 2026, Dr. Bob Brown · Harbour Lane Clinic"
    week = read_fragment(client.get("/schedule/week/2026-W10", headers=HTMX), "week")
    assert "Alice Adams" in week.text


def test_opening_a_day_or_a_week_is_recorded(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob").get("/schedule/2026-03-03")
    client.get("/schedule/week/2026-W11")
    with cast.database.reading() as session:
        query = sa.select(models.AuditEvent).where(models.AuditEvent.action == "schedule_read")
        events = session.scalars(query.order_by(models.AuditEvent.id)).all()
    assert [event.details for event in events] == [
        {"day": "2026-03-03", "appointments": []},
        {"week": "2026-W11", "appointments": []},
    ]
    assert {(event.subject_type, event.subject_id) for event in events} == {("doctor", cast.doctor_ids["bob"])}
    assert {event.actor_user_id for event in events} == {cast.bob.user_id}


def test_a_reading_that_goes_on_is_recorded_once_and_is_no_use_of_the_session(client: TestClient, cast: Cast) -> None:
    automatic = {**HTMX, "docket-live": "1"}
    opened_at, seen = cast.now, []
    state = cast_to(FastAPI, client.app).state
    log_in(client, "bob").get("/schedule/2026-03-03")

    def ask_again(minutes: int) -> None:
        state.clock = lambda: opened_at + timedelta(minutes=minutes)
        seen.append(client.get("/schedule/2026-03-03", headers=automatic).status_code)

    ask_again(1)
    cast.book(cast.alice, "2026-03-03 09:30")
    ask_again(2)
    ask_again(29)
    # The clinic's idle time is half an hour.
    ask_again(31)
    assert seen == [200, 200, 200, 204]
    with cast.database.reading() as session:
        query = sa.select(models.AuditEvent.details).where(models.AuditEvent.action == "schedule_read")
        shown = [details["appointments"] for details in session.scalars(query.order_by(models.AuditEvent.id))]
    assert [len(each) for each in shown] == [0, 1]


def count_queries(cast: Cast, client: TestClient, address: str) -> int:
    """The number of statements that one request sends to the database."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    sa.event.listen(cast.database.engine, "before_cursor_execute", note)
    try:
        assert client.get(address).status_code == 200
    finally:
        sa.event.remove(cast.database.engine, "before_cursor_execute", note)
    return len(sent)


@pytest.mark.both_databases
def test_the_number_of_queries_does_not_grow_with_the_day(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    addresses = ("/schedule/2026-03-03", "/schedule/week/2026-W10")
    cast.book(cast.alice, "2026-03-03 09:30")

    def count_when_cached() -> list[int]:
        # The first requests read everything that the process caches. A booking changes the doctor's version.
        for address in addresses:
            client.get(address)
        return [count_queries(cast, client, address) for address in addresses]

    few = count_when_cached()
    for number in range(12):
        put(cast, f"2026-03-03 {10 + number // 2}:{number % 2 * 30:02d}", patient="dave")
        put(cast, f"2026-03-0{4 + number % 2} {10 + number // 2}:30", patient="dave")
    many = count_when_cached()
    # The user, and appointments with the week in outline, the next patient’s past and the last change; the audit row.
    # The versions are read together with BEGIN.
    assert few == many == [3, 3]


@pytest.mark.parametrize(
    ("name", "address"), [("bob", "/schedule/2026-03-03"), ("carol", "/admin"), ("fiona", "/board")]
)
def test_sqlite_plans_the_statements_of_a_page_once(cast: Cast, client: TestClient, name: str, address: str) -> None:
    """SQLite asks the authorizer about each column that a statement reads, whenever it plans it."""
    planned: list[str] = []

    def authorize(action: int, _first: str | None, column: str | None, *_rest: str | None) -> int:
        if action == SQLITE_READ:
            planned.append(column or "")
        return 0

    cast.book(cast.alice, "2026-03-03 09:30")
    log_in(client, name)
    # Present connections have planned some statements; new ones plan none before they have an authorizer.
    cast.database.dispose()
    sa.event.listen(cast.database.engine, "connect", lambda driver, _record: driver.set_authorizer(authorize))
    assert client.get(address).status_code == 200
    assert planned
    client.get(address)
    planned.clear()
    assert client.get(address).status_code == 200
    assert planned == []


@pytest.mark.both_databases
def test_a_cached_day_is_never_shown_after_a_change(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    references = [cast.book(who, f"2026-03-03 {time}") for who, time in ((cast.alice, "09:30"), (cast.dave, "14:00"))]
    appointments = sa.update(models.Appointment).where(models.Appointment.reference.in_(references))
    patients = sa.update(models.Patient).where(models.Patient.id.in_(cast.patient_ids.values()))

    def shown() -> list[str]:
        drawn, kept = client.get("/schedule/2026-03-03"), client.get("/schedule/2026-03-03")
        assert drawn.text == kept.text
        day = read(kept)
        return [each.text for each in (*day.all("article", class_="appointment"), day.one("section", class_="coming"))]

    before = shown()
    for change, word in (
        (patients.values(name="Zoë Zander"), "Zoë Zander"),
        (patients.values(birth_date=date(1999, 1, 1)), "27 years"),
        (patients.values(alert="Deaf"), "Deaf"),
        (sa.update(models.VisitType).where(models.VisitType.id == cast.short).values(name="Check"), "Check, 15 min"),
        (appointments.values(reason="Fever"), "Fever"),
        (appointments.values(notes="Stairs"), "To arrange: Stairs"),
        (appointments.values(desk_note="Paid"), "Note for staff: Paid"),
        (appointments.values(private_note="Calm"), "Your note: Calm"),
        (appointments.values(flagged_why="time_off"), "Needs a decision:"),
        (appointments.values(override_reason="Urgent"), "Exception: Urgent"),
        (appointments.values(status="confirmed"), "Confirmed"),
        (appointments.values(status="arrived", arrived_at=cast.now - timedelta(minutes=7)), "waiting 7 min"),
    ):
        cast.change(change)
        after = shown()
        assert all(word in text for text in after), (word, after)
        assert all(word not in text for text in before), (word, before)
        before = after


def test_the_next_patients_earlier_appointments_are_always_those_of_now(client: TestClient, cast: Cast) -> None:
    """A day reads them with its appointments, for the patient who was next when it was last shown."""
    log_in(client, "bob")
    old = [
        appointment(cast, f"2026-02-{day} 10:00", patient=who, status="completed")
        for day, who in ((10, "alice"), (11, "dave"))
    ]
    for row, note in zip(old, ("Sleeps badly", "Limps"), strict=True):
        insert(cast, {**row, "private_note": note})
    first = cast.book(cast.alice, "2026-03-03 09:30")
    cast.book(cast.dave, "2026-03-03 10:00")

    def coming() -> str:
        return read(client.get("/schedule/2026-03-03")).one("section", class_="coming").text

    for _again in range(2):
        assert "Alice Adams" in coming()
        assert "Sleeps badly" in coming()
    change_appointment(cast, old[0]["reference"], private_note="Sleeps well")
    assert "Sleeps well" in coming()
    change_appointment(cast, old[0]["reference"], doctor_id=cast.doctor_ids["erin"])
    assert "earlier appointment" not in coming()
    change_appointment(cast, first, status="cancelled")
    for _again in range(2):
        assert "Dave Dunn" in coming()
        assert "Limps" in coming()
    change_appointment(cast, first, status="scheduled")
    assert "Alice Adams" in coming()
    assert "Limps" not in coming()


def test_hours_that_are_read_in_an_old_time_zone_are_not_shown_in_the_new_one(cast: Cast) -> None:
    """A request that changes something has read the clinic before; meanwhile an admin may have changed the zone."""

    def hours(clinic: Clinic) -> Span:
        with cast.database.reading() as session:
            doctor = doctors.get_doctor(session, "bob")
            week = load_schedule_week(session, cast.bob, clinic, doctor, date(2026, 3, 2), now=cast.now)
            return week.hours[date(2026, 3, 3)][0]

    def present_clinic() -> Clinic:
        with cast.database.reading() as session:
            return get_clinic(session)

    before = present_clinic()
    cast.change(sa.update(models.ClinicSettings).values(time_zone="America/New_York"))
    in_amsterdam = hours(before)
    assert hours(present_clinic()) == (in_amsterdam[0] + 360, in_amsterdam[1] + 360)


def test_a_day_that_is_shown_minute_by_minute_keeps_no_more_parts(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 14:00")
    client = log_in(client_for(cast.database, now=local("2026-03-03 10:00")), "bob")
    app: Any = client.app
    kept = []
    for minute in range(3):
        app.state.clock = lambda minute=minute: local("2026-03-03 10:02") + timedelta(minutes=minute)
        assert client.get("/schedule/2026-03-03").status_code == 200
        kept.append(len(cast.database._cache._kept))
    assert kept[1:] == kept[:1] * 2


def test_a_day_of_23_or_25_hours_holds_all_its_appointments(client: TestClient, cast: Cast) -> None:
    for day in (date(2026, 3, 29), date(2026, 10, 25)):
        cast.add(models.ExtraHours(doctor_id=cast.doctor_ids["bob"], day=day, start_minute=0, end_minute=1440))
    cast.change(sa.update(models.ClinicSettings).values(horizon_days=365, patient_gap_minutes=0))
    for start in ("2026-03-29 00:00", "2026-03-29 23:45", "2026-10-25 00:00", "2026-10-25 23:45"):
        cast.book(cast.alice, start)
    log_in(client, "bob")
    for shown, free in (("2026-03-29", "22 hours 30 minutes"), ("2026-10-25", "24 hours 30 minutes")):
        page = read(client.get(f"/schedule/{shown}"))
        assert len(page.all("article", class_="appointment")) == 2, shown
        assert totals(page)["Free"] == f"{free} in 1 gap"
    assert len(read(client.get("/schedule/2026-03-28")).all("article", class_="appointment")) == 0


def test_a_day_that_does_not_exist_is_not_found(client: TestClient) -> None:
    log_in(client, "bob")
    for odd in ("2026-02-30", "x", "2026-13-01", "0001-01-01", "9999-12-31", "2026-03-03T10:00"):
        answer = client.get(f"/schedule/{odd}")
        assert answer.status_code == 404, odd
        assert "This day does not exist." in read(answer).text
    for odd in ("2026-W54", "2026", "x", "0001-W01", "2026-03-03"):
        answer = client.get(f"/schedule/week/{odd}")
        assert answer.status_code == 404, odd
        assert "This week does not exist." in read(answer).text


def test_the_ends_of_the_calendar_can_be_opened(client: TestClient) -> None:
    log_in(client, "bob")
    for edge in ("2000-01-01", "2100-12-31", "week/2000-W01", "week/2100-W52"):
        assert client.get(f"/schedule/{edge}").status_code == 200, edge


# ---------------------------------------------------------------------------------------------------- the week


def test_the_week_has_a_column_for_each_day(client: TestClient, cast: Cast) -> None:
    first = cast.book(cast.alice, "2026-03-03 09:30")
    second = cast.book(cast.dave, "2026-03-05 14:00", visit_type=cast.long)
    change_appointment(cast, second, status="confirmed", flagged_why="time_off")
    cast.add(models.Closure(name="Spring day", starts_on=date(2026, 3, 4), ends_on=date(2026, 3, 4)))
    leave = {"starts_at": local("2026-03-06 12:00"), "ends_at": local("2026-03-06 15:00")}
    cast.add(models.TimeOff(doctor_id=cast.doctor_ids["bob"], reason="Course", **leave))
    page = read(log_in(client, "bob").get("/schedule/week/2026-W10"))
    assert page.h1 == "2 to 6 March 2026"
    assert page.one("nav", aria_label="Weeks").links == [
        "/schedule/week/2026-W09",
        "/schedule/week/2026-W10",
        "/schedule/week/2026-W11",
    ]
    days = [each for each in page.one("ol", class_="week").children if isinstance(each, Element)]
    assert [day.links[0] for day in days] == [f"/schedule/2026-03-0{number}" for number in range(2, 7)]
    assert [bool(day.all("a", aria_current="date")) for day in days] == [True, False, False, False, False]
    assert "09:00 to 12:00, 13:00 to 17:00" in days[0].text
    assert "No appointments" in days[0].text
    assert days[1].links[1:] == [f"/appointments/{first}"]
    assert "09:30 Alice Adams Follow-up, scheduled" in days[1].text
    assert "Closed: Spring day" in days[2].text
    assert "14:00 Dave Dunn First visit, confirmed Needs a decision" in days[3].text
    assert "12:00 Time off: Course, until 15:00" in days[4].text


def places(page: Element) -> dict[str, list[int]]:
    """By the first two words of each appointment and leave: hour, row of that hour, length in hours and rows."""
    lines = page.one("ol", class_="week").all("li", data_kind="appointment") + page.all("li", data_kind="off")
    of = [{part[0]: int(part[1:]) for part in line["class"].split()[1:]} for line in lines]
    return {
        " ".join(line.text.split()[:2]): [classes.get(letter, 0) for letter in "hruv"]
        for line, classes in zip(lines, of, strict=True)
    }


def test_the_same_time_is_in_the_same_row_on_each_day_of_the_week(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    cast.book(cast.dave, "2026-03-05 10:00", visit_type=cast.long)
    cast.book(cast.alice, "2026-03-05 13:30")
    leave = {"starts_at": local("2026-03-06 12:00"), "ends_at": local("2026-03-06 15:00")}
    cast.add(models.TimeOff(doctor_id=cast.doctor_ids["bob"], reason="Course", **leave))
    with client_for(cast.database, now=local("2026-03-02 08:00")) as client:
        page = read(log_in(client, "bob").get("/schedule/week/2026-W10"))
    clock = page.one("div", class_="clock").all("span")
    assert [hour.text for hour in clock] == [f"{hour:02}:00" for hour in range(9, 17)]
    assert page.one("div", class_="scale")["class"] == "scale card t8"
    assert places(page) == {
        "10:00 Alice": [1, 0, 0, 3],
        "10:00 Dave": [1, 0, 0, 6],
        "13:30 Alice": [4, 6, 0, 3],
        "12:00 Time": [3, 0, 3, 0],
    }
    monday = page.one("ol", class_="week").all("li")[0]
    assert [line.text for line in monday.all("li")] == [
        "09:00 Free 3 hours",
        "12:00 Break",
        "13:00 Free 4 hours",
    ]


def test_a_week_over_two_months_names_both(client: TestClient) -> None:
    page = read(log_in(client, "bob").get("/schedule/week/2026-W14"))
    assert page.h1 == "30 March to 3 April 2026"


# ---------------------------------------------------------------------------------------------------- who


def test_only_doctors_have_a_day(client: TestClient, cast: Cast) -> None:
    assert client.get("/schedule").headers["location"] == "/login?next=%2Fschedule"
    for name in ("alice", "carol"):
        with client_for(cast.database) as other:
            assert log_in(other, name).get("/schedule").status_code == 403
            assert other.get("/schedule/2026-03-03").status_code == 403
            assert other.get("/schedule/week/2026-W10").status_code == 403


def test_a_doctors_account_without_a_doctor_is_explained(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.Doctor).values(user_id=None))
    answer = log_in(client, "bob").get("/schedule")
    assert answer.status_code == 404
    assert "Your account is not linked to a doctor yet" in read(answer).text

"""Appointments in users' own calendars: one as a file, all of them as a private feed, without private details."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.calendars import Component, read_calendar
from tests.cast import NOW, ORIGIN, SECRET_KEY, Cast, assemble, client_for, local, log_in, promised
from tests.reading import read
from webapp import models
from webapp.appointments import queries
from webapp.appointments.booking import service
from webapp.appointments.calendars import ical
from webapp.appointments.schemas import Booking, Cancellation, Move
from webapp.auth import feeds
from webapp.clinic.service import get_clinic
from webapp.core.signing import sign
from webapp.database import Database

REASON, NOTES = "A rash that itches", "Brings an interpreter"


@pytest.fixture
def cast(sqlite_cast: Cast) -> Cast:
    """The clinic on one kind of database; the feed's query is tested on both."""
    return sqlite_cast


@pytest.fixture
def server_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server in a time zone that is neither the clinic's nor the reader's."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Pacific/Auckland")
        time.tzset()
        yield "NZST"
    time.tzset()


def appointment(cast: Cast, starts_at: datetime, *, reference: str, patient: str = "alice", **changes: object) -> int:
    """An appointment with Bob at any instant, even where the rules refuse it."""
    ends_at = starts_at + timedelta(minutes=15)
    values = {
        "reference": reference,
        "doctor_id": cast.doctor_ids["bob"],
        "patient_id": cast.patient_ids[patient],
        "visit_type_id": cast.short,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "promised_minute": promised(starts_at),
        "busy_from": starts_at,
        "busy_until": ends_at,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return cast.add(models.Appointment(**values | changes))


def feed_of(client: TestClient) -> str:
    """The path of the signed-in user's calendar feed, as the account page shows it."""
    client.post("/account/calendar")
    address: str = read(client.get("/account")).one("input", id="feed")["value"]
    assert address.startswith(f"{ORIGIN}/calendar/")
    return address.removeprefix(ORIGIN)


def file_of(client: TestClient, reference: str) -> Component:
    """The calendar file of an appointment."""
    answer = client.get(f"/appointments/{reference}.ics")
    assert answer.status_code == 200, answer.text
    return read_calendar(answer.text)


# ----------------------------------------------------------------------------------------- three time zones

# Days on which the clocks change, and one between: the instant, the clinic's wall clock, and the wall clock of a reader
# in Tokyo.
INSTANTS = {
    "America/New_York": [
        ("2026-03-08T06:30Z", "01:30", "15:30"),
        ("2026-03-08T07:00Z", "03:00", "16:00"),
        ("2026-07-01T13:00Z", "09:00", "22:00"),
        ("2026-11-01T05:30Z", "01:30 EDT", "14:30"),
        ("2026-11-01T06:30Z", "01:30 EST", "15:30"),
        ("2026-11-01T14:00Z", "09:00", "23:00"),
    ],
    "Europe/Amsterdam": [
        ("2026-03-29T00:30Z", "01:30", "09:30"),
        ("2026-03-29T01:00Z", "03:00", "10:00"),
        ("2026-07-01T07:00Z", "09:00", "16:00"),
        ("2026-10-25T00:30Z", "02:30 CEST", "09:30"),
        ("2026-10-25T01:30Z", "02:30 CET", "10:30"),
        ("2026-10-25T08:00Z", "09:00", "17:00"),
    ],
    # Here the clocks change by half an hour, and summer ends in April.
    "Australia/Lord_Howe": [
        ("2026-04-04T14:45Z", "01:45 UTC+11", "23:45"),
        ("2026-04-04T15:15Z", "01:45 UTC+10:30", "00:15"),
        ("2026-07-01T22:30Z", "09:00", "07:30"),
        ("2026-10-03T15:15Z", "01:45", "00:15"),
        ("2026-10-03T15:30Z", "02:30", "00:30"),
    ],
    "Asia/Kolkata": [("2026-03-29T03:30Z", "09:00", "12:30"), ("2026-10-25T03:30Z", "09:00", "12:30")],
}


def named_by(client: TestClient, reference: str, number: int, feed: Component) -> dict[str, datetime]:
    """The instant at which an appointment starts, as each page and file says it."""
    page = read(client.get(f"/appointments/{reference}")).one("p", class_="time").all("time")[0]
    file = file_of(client, reference)
    (event,) = [event for event in feed.events if event["URL"].endswith(reference)]
    said = client.get(f"/api/v1/appointments/{number}").json()["starts_at"]
    return {
        "page": datetime.fromisoformat(page["datetime"]),
        "file": file.starts_at(file.event),
        "feed": feed.starts_at(event),
        "api": datetime.fromisoformat(said),
    }


def test_every_page_and_file_says_the_same_instant_in_all_zones(database: Database, server_zone: str) -> None:
    cast = assemble(database)
    assert server_zone in time.tzname
    reader = ZoneInfo("Asia/Tokyo")
    with client_for(cast.database) as client:
        log_in(client, "alice")
        path = feed_of(client)
        for zone, instants in INSTANTS.items():
            cast.change(sa.delete(models.Appointment))
            cast.change(sa.update(models.ClinicSettings).values(time_zone=zone))
            numbers = {
                f"AAAA-{place:04d}": appointment(cast, datetime.fromisoformat(text), reference=f"AAAA-{place:04d}")
                for place, (text, _clinics, _readers) in enumerate(instants)
            }
            feed = read_calendar(client.get(path).text)
            for (reference, number), (text, clinics, readers) in zip(numbers.items(), instants, strict=True):
                meant = datetime.fromisoformat(text)
                named = named_by(client, reference, number, feed)
                assert set(named.values()) == {meant}, (zone, text, named)
                page = read(client.get(f"/appointments/{reference}"))
                assert page.one("p", class_="time").all("time")[0].text == clinics, (zone, text)
                # What the reader's calendar makes of the file.
                assert f"{named['file'].astimezone(reader):%H:%M}" == readers


# -------------------------------------------------------------------------------------------------- one appointment


def test_the_file_has_time_and_place_but_not_the_reason(cast: Cast) -> None:
    command = Booking(
        doctor="bob", visit_type_id=cast.short, starts_at=local("2026-03-05 09:30"), reason=REASON, notes=NOTES
    )
    reference = cast.database.write(service.book, cast.alice, command, now=NOW)
    with client_for(cast.database, base_url="https://booking.docket.example") as client:
        client.base_url = "https://booking.docket.example"
        client.headers["origin"] = "https://booking.docket.example"
        answer = log_in(client, "alice").get(f"/appointments/{reference}.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="visit-{reference}.ics"'
    for unsaid in (REASON, NOTES, "Follow-up", "General practice", "Alice"):
        assert unsaid not in answer.text
    found = read_calendar(answer.text)
    address = f"https://booking.docket.example/appointments/{reference}"
    assert found.all("METHOD") == []
    assert found.event.text("SUMMARY") == "Appointment: Dr. Bob Brown"
    assert found.event.text("LOCATION") == "18 Harbour Lane, Room 3"
    assert found.event["URL"] == address
    said = f"Harbour Lane Clinic\nReference: {reference}\nPhone: 020 123 4567\nView appointment: {address}"
    assert found.event.text("DESCRIPTION") == said
    assert (found.event["STATUS"], found.event["CLASS"]) == ("CONFIRMED", "PRIVATE")
    assert found.event.inside("VALARM")[0]["TRIGGER"] == "-PT2H"
    assert found.starts_at(found.event) == local("2026-03-05 09:30")


def test_a_visit_type_is_named_only_where_the_clinic_lets_messages_name_it(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 09:30")
    cast.change(sa.update(models.VisitType).where(models.VisitType.id == cast.short).values(named_in_messages=True))
    with client_for(cast.database) as client:
        found = file_of(log_in(client, "alice"), reference)
    assert found.event.text("SUMMARY") == "Follow-up: Dr. Bob Brown"


def test_a_moved_and_a_cancelled_appointment_is_the_same_event_with_a_later_sequence(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 09:30")
    move = Move(starts_at=local("2026-03-06 10:00"))
    with client_for(cast.database) as client:
        log_in(client, "alice")
        booked = file_of(client, reference)
        later = NOW + timedelta(minutes=5)
        cast.database.write(service.move, cast.alice, reference, move, now=later)
        moved = file_of(client, reference)
        cast.database.write(service.cancel, cast.alice, reference, Cancellation(), now=later + timedelta(minutes=5))
        cancelled = file_of(client, reference)
    files = (booked, moved, cancelled)
    assert len({file.event["UID"] for file in files}) == 1
    assert [file.event["SEQUENCE"] for file in files] == ["0", "1", "2"]
    assert [file.event["STATUS"] for file in files] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
    assert moved.starts_at(moved.event) == local("2026-03-06 10:00")
    assert [file.event["DTSTAMP"] for file in files] == ["20260302T070000Z", "20260302T070500Z", "20260302T071000Z"]


def test_the_event_is_the_same_wherever_docket_is_reached(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 09:30")
    with cast.database.reading() as session:
        view = queries.get_appointment(session, cast.alice, reference)
        clinic = get_clinic(session)
    events = [ical.event_of(view, clinic, base_url=base) for base in ("", "http://one", "https://two")]
    assert len({event.uid for event in events}) == 1
    signed = ical.event_of(view, clinic, base_url="https://two", href="https://two/visit/abc")
    assert signed.url == "https://two/visit/abc"
    assert "https://two/visit/abc" in signed.description


def test_staff_get_initials(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 09:30")
    with client_for(cast.database) as client:
        assert file_of(log_in(client, "bob"), reference).event.text("SUMMARY") == "Appointment: A.A."
    with client_for(cast.database) as client:
        summary = file_of(log_in(client, "carol"), reference).event.text("SUMMARY")
        assert summary == "Appointment: Dr. Bob Brown, for A.A."
    query = sa.select(sa.func.count()).where(models.AuditEvent.action == "appointment_read")
    with cast.database.reading() as session:
        assert session.scalar(query) == 2


def test_the_page_links_to_the_file_while_the_appointment_is_upcoming(cast: Cast) -> None:
    # It is too late to move or cancel the appointment, but not to save it in a calendar.
    near = cast.book(cast.alice, "2026-03-02 16:00")
    gone = cast.book(cast.alice, "2026-03-05 09:30")
    cast.database.write(service.cancel, cast.alice, gone, Cancellation(), now=NOW)
    with client_for(cast.database) as client:
        log_in(client, "alice")
        page = read(client.get(f"/appointments/{near}"))
        assert f"/appointments/{near}.ics" in page.links
        assert f"/appointments/{near}/cancellation" not in page.links
        assert f"/appointments/{gone}.ics" not in read(client.get(f"/appointments/{gone}")).links


# --------------------------------------------------------------------------------------------------- the feed


def test_a_feed_needs_no_login_and_contains_what_its_owner_may_see(database: Database) -> None:
    cast = assemble(database)
    child = cast.add(models.Patient(name="Zoe Adams", managed_by_id=cast.patient_ids["alice"], created_at=NOW))
    appointment(cast, NOW + timedelta(days=3), reference="AAAA-0001")
    appointment(cast, NOW + timedelta(days=4), reference="AAAA-0002", patient_id=child)
    appointment(cast, NOW + timedelta(days=5), reference="AAAA-0003", patient="dave")
    appointment(cast, NOW - timedelta(days=59), reference="AAAA-0004", status="completed")
    appointment(cast, NOW - timedelta(days=61), reference="AAAA-0005", status="completed")
    appointment(cast, NOW + timedelta(days=6), reference="AAAA-0006", status="cancelled")
    long_ago = NOW - timedelta(days=15)
    appointment(cast, NOW + timedelta(days=7), reference="AAAA-0007", status="cancelled", updated_at=long_ago)
    with client_for(database) as client:
        paths = {}
        for name in ("alice", "bob"):
            paths[name] = feed_of(log_in(client, name))
            client.cookies.clear()
        found = {name: read_calendar(client.get(path).text) for name, path in paths.items()}
    assert [(event["URL"][-4:], event.text("SUMMARY"), event["STATUS"]) for event in found["alice"].events] == [
        ("0004", "Appointment: Dr. Bob Brown", "CONFIRMED"),
        ("0001", "Appointment: Dr. Bob Brown", "CONFIRMED"),
        ("0002", "Appointment: Dr. Bob Brown, for Zoe Adams", "CONFIRMED"),
        ("0006", "Appointment: Dr. Bob Brown", "CANCELLED"),
    ]
    assert [(event["URL"][-4:], event.text("SUMMARY")) for event in found["bob"].events] == [
        ("0004", "Appointment: A.A."),
        ("0001", "Appointment: A.A."),
        ("0002", "Appointment: Z.A."),
        ("0003", "Appointment: D.D."),
        ("0006", "Appointment: A.A."),
    ]
    assert not any(event.inside("VALARM") for event in found["bob"].events)
    assert found["alice"]["NAME"] == "Harbour Lane Clinic"


def test_a_feed_is_not_sent_again_until_something_changes(cast: Cast) -> None:
    with client_for(cast.database) as client:
        path = feed_of(log_in(client, "alice"))
        client.cookies.clear()
        first = client.get(path)
        tag = first.headers["etag"]
        assert first.headers["content-type"] == "text/calendar; charset=utf-8"
        assert first.headers["cache-control"] == "private, no-cache"
        assert "set-cookie" not in first.headers
        known = client.get(path, headers={"if-none-match": f'"other", W/{tag}'})
        assert (known.status_code, known.text, known.headers["etag"]) == (304, "", tag)
        cast.book(cast.alice, "2026-03-05 09:30")
        changed = client.get(path, headers={"if-none-match": tag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != tag
        assert len(read_calendar(changed.text).events) == 1


def test_a_feed_costs_as_many_queries_for_one_appointment_as_for_fifty(cast: Cast) -> None:
    statements: list[str] = []

    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    with client_for(cast.database) as client:
        path = feed_of(log_in(client, "bob"))
        client.cookies.clear()
        counts = []
        for number in range(50):
            appointment(cast, NOW + timedelta(hours=number), reference=f"AAAA-{number:04d}")
            if number in {0, 49}:
                statements.clear()
                sa.event.listen(cast.database.engine, "before_cursor_execute", note)
                assert len(read_calendar(client.get(path).text).events) == number + 1
                sa.event.remove(cast.database.engine, "before_cursor_execute", note)
                counts.append(len([text for text in statements if text.startswith("SELECT")]))
    # The owner and the appointments; the versions are read together with BEGIN, and the clinic is cached.
    assert counts == [2, 2]


def test_a_feed_address_ends_when_it_is_renewed_or_removed_or_its_owner_is_disabled(cast: Cast) -> None:
    with client_for(cast.database) as client:
        log_in(client, "alice")
        first = feed_of(client)
        # Requested twice, it stays the same.
        assert feed_of(client) == first
        assert client.get("/account/calendar/renewal").status_code == 200
        assert client.get(first).status_code == 200
        assert client.post("/account/calendar/renewal").headers["location"] == "/account#calendar"
        second = feed_of(client)
        assert client.get(first).status_code == 404
        assert client.get(second).status_code == 200
        cast.change(sa.update(models.User).where(models.User.id == cast.alice.user_id).values(active=False))
        assert client.get(second).status_code == 404
        cast.change(sa.update(models.User).values(active=True))
        client.post("/account/calendar/removal")
        assert client.get(second).status_code == 404
        assert client.get("/account/calendar/removal").status_code == 404
        assert "Create calendar link" in read(client.get("/account")).text
    with cast.database.reading() as session:
        rows = session.execute(
            sa.select(models.AuditEvent.action, models.AuditEvent.details)
            .where(models.AuditEvent.action.startswith("calendar"))
            .order_by(models.AuditEvent.id)
        ).all()
    assert [tuple(row) for row in rows] == [
        ("calendar_feed_made", {}),
        ("calendar_feed_renewed", {}),
        ("calendar_feed_removed", {}),
    ]


def test_only_tokens_signed_for_this_purpose_are_accepted(cast: Cast) -> None:
    user = cast.alice.user_id
    with client_for(cast.database) as client:
        path = feed_of(log_in(client, "alice"))
        with cast.database.reading() as session:
            secret = session.scalar(sa.select(models.User.calendar_secret).where(models.User.id == user))
        tokens = [
            path.removeprefix("/calendar/").removesuffix(".ics")[:-1],
            sign([SECRET_KEY], "confirm-email", [user, secret]),
            sign(["another-key-that-is-not-ours-0123456789"], feeds.PURPOSE, [user, secret]),
            # The anonymous client has no secret, and Carol has no appointments.
            sign([SECRET_KEY], feeds.PURPOSE, [cast.dave.user_id, ""]),
            sign([SECRET_KEY], feeds.PURPOSE, [cast.carol.user_id, ""]),
            "nothing",
        ]
        assert {client.get(f"/calendar/{token}.ics").status_code for token in tokens} == {404}
        assert client.get(path).status_code == 200

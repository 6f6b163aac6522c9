"""One tap changes the status, another undoes that; the private note; the appointment's page for staff."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import appointment, insert, put
from tests.cast import Cast, client_for, local, log_in
from tests.reading import HTMX, Element, read, read_fragment
from webapp import models

DAY = "/schedule/2026-03-03"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The services behind the pages are tested on both kinds of database; one is enough for the pages."""
    return sqlite_url


@pytest.fixture
def reference(cast: Cast) -> str:
    """Alice's appointment with Bob, on Tuesday at ten."""
    return cast.book(cast.alice, "2026-03-03 10:00")


@pytest.fixture
def bob(cast: Cast) -> TestClient:
    """Bob's browser, in the middle of that appointment."""
    return log_in(client_for(cast.database, now=local("2026-03-03 10:05")), "bob")


def status_of(cast: Cast, reference: str) -> str:
    with cast.database.reading() as session:
        query = sa.select(models.Appointment.status).where(models.Appointment.reference == reference)
        return session.scalars(query).one()


def send(client: TestClient, page: Element, action: str, **more: str) -> str:
    """Send the first form on the page that goes to `action`, without scripts; returns the redirect's address."""
    form = page.all("form", action=action)[0]
    answer = client.post(action, data=form.values() | more)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_a_tap_without_scripts_comes_back_to_the_appointment_in_the_day(
    bob: TestClient, cast: Cast, reference: str
) -> None:
    page = read(bob.get(DAY))
    back = send(bob, page, f"/appointments/{reference}/status", status="arrived")
    assert back == f"{DAY}?changed={reference}#appointment-{reference}"
    page = read(bob.get(back))
    assert page.one("article", id=f"appointment-{reference}")["data-status"] == "arrived"
    said = page.one("div", class_="said")
    assert said.one("p").text == "Alice Adams: arrived"
    back = send(bob, said, f"/appointments/{reference}/status/undo")
    assert status_of(cast, reference) == "scheduled"
    assert "Alice Adams: scheduled" in read(bob.get(back)).one("div", class_="said").text


def test_htmx_swaps_the_day_and_says_what_changed(bob: TestClient, reference: str) -> None:
    form = read(bob.get(DAY)).all("form", action=f"/appointments/{reference}/status")[0]
    assert form["hx-post"] == form["action"]
    answer = bob.post(form["action"], data=form.values() | {"status": "arrived"}, headers=HTMX)
    assert answer.status_code == 200
    day = read_fragment(answer, "day")
    assert day["data-announce"] == "Alice Adams: arrived"
    # The focus moves to the next action for the same appointment.
    action = day.one("button", id=f"act-{reference}")
    assert action.text == "Seen"
    assert action.get("data-focus") is not None
    assert day.one("div", class_="said").one("button").text == "Undo"


def test_an_outdated_button_changes_nothing_and_says_so(bob: TestClient, cast: Cast, reference: str) -> None:
    form = read(bob.get(DAY)).all("form", action=f"/appointments/{reference}/status")[0]
    sent = form.values() | {"status": "arrived"}
    assert bob.post(form["action"], data=sent).status_code == 303
    answer = bob.post(form["action"], data=sent | {"status": "no_show"})
    assert answer.status_code == 409
    assert DAY in read(answer).links
    answer = bob.post(form["action"], data=sent | {"status": "no_show"}, headers=HTMX)
    assert answer.status_code == 409
    day = read_fragment(answer, "day")
    assert "This appointment has changed since you opened it." in day.one("div", role="alert").text
    assert status_of(cast, reference) == "arrived"


def test_undoing_when_the_time_was_given_away_is_a_conflict(bob: TestClient, cast: Cast, reference: str) -> None:
    send(bob, read(bob.get(DAY)), f"/appointments/{reference}/status", status="no_show")
    put(cast, "2026-03-03 10:00", patient="dave")
    form = read(bob.get(DAY)).one("form", action=f"/appointments/{reference}/status/undo")
    answer = bob.post(form["action"], data=form.values(), headers=HTMX)
    assert answer.status_code == 409
    assert "so this one can’t be restored" in read_fragment(answer, "day").one("div", role="alert").text
    assert status_of(cast, reference) == "no_show"


def test_an_unknown_status_is_refused(bob: TestClient, cast: Cast, reference: str) -> None:
    for status in ("", "cancelled", "scheduled", "asleep"):
        answer = bob.post(f"/appointments/{reference}/status", data={"status": status, "back": DAY})
        assert answer.status_code == 422, status
        assert "This status does not exist." in read(answer).text
    assert bob.post("/appointments/ZZZZ-ZZZZ/status", data={"status": "arrived"}).status_code == 404
    assert status_of(cast, reference) == "scheduled"


def test_redirects_stay_on_our_pages(bob: TestClient, reference: str) -> None:
    address = f"/appointments/{reference}"
    for odd in ("https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", ""):
        form = read(bob.get(address)).form(f"{address}/status")
        answer = bob.post(f"{address}/status", data=form | {"status": "arrived", "back": odd})
        assert answer.headers["location"] == address
        send(bob, read(bob.get(address)), f"{address}/status/undo")


def test_an_admin_changes_the_status_on_the_appointments_page(cast: Cast, reference: str) -> None:
    carol = log_in(client_for(cast.database, now=local("2026-03-03 10:05")), "carol")
    page = read(carol.get(f"/appointments/{reference}"))
    # The appointment links back to its day, and to the patient.
    assert any(link.startswith("/board/2026-03-03#appointment-") for link in page.links)
    assert f"/admin/patients/{cast.patient_ids['alice']}" in page.links
    buttons = [button["value"] for button in page.one("form", action=f"/appointments/{reference}/status").all("button")]
    assert buttons == ["arrived", "completed", "confirmed", "no_show"]
    back = send(carol, page, f"/appointments/{reference}/status", status="completed")
    assert back == f"/appointments/{reference}"
    page = read(carol.get(back))
    assert "Alice Adams: seen." in page.one("div", role="status").text
    assert "Marked “Seen” by you" in page.text
    send(carol, page, f"/appointments/{reference}/status/undo")
    assert "Changed back to “Scheduled” by you" in read(carol.get(f"/appointments/{reference}")).text


def test_the_patient_reads_the_status_and_has_no_such_buttons(bob: TestClient, cast: Cast, reference: str) -> None:
    send(bob, read(bob.get(DAY)), f"/appointments/{reference}/status", status="arrived")
    with client_for(cast.database) as client:
        page = read(log_in(client, "alice").get(f"/appointments/{reference}"))
    assert "Marked “Arrived” by Dr. Bob Brown" in page.text
    assert not page.all("form", action=f"/appointments/{reference}/status")
    assert not page.all("form", action=f"/appointments/{reference}/status/undo")


# ---------------------------------------------------------------------------------------------------- the appointment


def test_staff_see_the_patient_and_earlier_appointments(bob: TestClient, cast: Cast, reference: str) -> None:
    old = appointment(cast, "2026-02-10 10:00", status="completed")
    insert(cast, {**old, "private_note": "Sleeps badly"})
    patient = sa.update(models.Patient).where(models.Patient.id == cast.patient_ids["alice"])
    cast.change(patient.values(birth_date=date(1984, 3, 3), phone="020 555 0101"))
    noted = sa.update(models.Appointment).where(models.Appointment.reference == reference)
    cast.change(noted.values(private_note="Ask about sport", flagged_why="time_off"))
    page = read(bob.get(f"/appointments/{reference}"))
    assert DAY in page.links
    assert "tel:0205550101" in page.links
    assert "mailto:alice@docket.example" in page.links
    for words in ("42 years", "Ask about sport", "Sleeps badly", "Needs a decision: The doctor is away."):
        assert words in page.text
    assert f"/appointments/{old['reference']}" in page.links
    decide = f"/appointments/{reference}/flag"
    assert decide in page.links
    assert bob.get(decide).status_code == 200
    with client_for(cast.database) as client:
        page = read(log_in(client, "carol").get(f"/appointments/{reference}"))
    assert "42 years" in page.text
    assert decide in page.links
    assert f"/appointments/{old['reference']}" in page.links
    for words in ("Ask about sport", "Sleeps badly", "note"):
        assert words not in page.text
    with client_for(cast.database) as client:
        page = read(log_in(client, "alice").get(f"/appointments/{reference}"))
    for words in ("42 years", "Ask about sport", "Sleeps badly", "The doctor is away.", "Earlier"):
        assert words not in page.text


def readings(cast: Cast) -> list[tuple[str, int | None]]:
    with cast.database.reading() as session:
        query = sa.select(models.AuditEvent.actor_role, models.AuditEvent.actor_user_id)
        read_it = query.where(models.AuditEvent.action == "appointment_read").order_by(models.AuditEvent.id)
        found = session.execute(read_it).all()
    return [(role, user_id) for role, user_id in found]


def test_opening_an_appointment_as_staff_is_recorded(bob: TestClient, cast: Cast, reference: str) -> None:
    with client_for(cast.database) as client:
        log_in(client, "alice").get(f"/appointments/{reference}")
    assert readings(cast) == []
    bob.get(f"/appointments/{reference}")
    with client_for(cast.database) as client:
        log_in(client, "erin").get(f"/appointments/{reference}")
        log_in(client, "carol").get(f"/appointments/{reference}")
    assert readings(cast) == [("doctor", cast.bob.user_id), ("admin", cast.carol.user_id)]


# ---------------------------------------------------------------------------------------------------- the note


def test_an_action_that_shows_a_day_is_recorded_as_reading(bob: TestClient, cast: Cast, reference: str) -> None:
    action = f"/appointments/{reference}/status"
    # The form may name any other day, and the action may fail: that day's reasons and notes are shown in any case.
    answer = bob.post(action, data={"status": "x", "back": "/schedule/2026-03-05"}, headers=HTMX)
    assert answer.status_code == 422
    with cast.database.reading() as session:
        query = sa.select(models.AuditEvent.details).where(models.AuditEvent.action == "schedule_read")
        assert session.scalars(query).all() == [{"day": "2026-03-05", "appointments": []}]


def test_a_note_is_written_and_leads_back(bob: TestClient, reference: str) -> None:
    address = f"/appointments/{reference}/note"
    page = read(bob.get(f"{address}?back={DAY}"))
    assert page.h1 == "Private note"
    assert "Alice Adams, Tuesday 3 March 2026, 10:00, Follow-up" in page.text
    assert send(bob, page, address, private_note="Worried.\r\nAsk again.") == DAY
    assert "Your note: Worried. Ask again." in read(bob.get(DAY)).text
    assert read(bob.get(address)).form(address)["private_note"] == "Worried.\nAsk again."


def test_a_note_that_is_too_long_is_kept_to_be_shortened(bob: TestClient, reference: str) -> None:
    address = f"/appointments/{reference}/note"
    send(bob, read(bob.get(address)), address, private_note="x" * 2000)
    answer = bob.post(address, data=read(bob.get(address)).form(address) | {"private_note": "x" * 2001})
    assert answer.status_code == 422
    page = read(answer)
    assert "This is too long. Use up to 2000 characters." in page.one("div", role="alert").text
    assert page.form(address)["private_note"] == "x" * 2001


def test_the_second_window_is_shown_both_notes(bob: TestClient, reference: str) -> None:
    address = f"/appointments/{reference}/note"
    first, second = read(bob.get(address)), read(bob.get(address))
    send(bob, first, address, private_note="Mine")
    answer = bob.post(address, data=second.form(address) | {"private_note": "Mine, later"})
    assert answer.status_code == 409
    page = read(answer)
    assert page.form(address)["private_note"] == "Mine, later"
    assert "Saved in the meantime: Mine" in page.text
    send(bob, page, address)
    assert read(bob.get(address)).form(address)["private_note"] == "Mine, later"


def test_staff_read_seen_where_the_patient_reads_completed(bob: TestClient, cast: Cast, reference: str) -> None:
    alice, carol = (log_in(client_for(cast.database, now=local("2026-03-03 10:05")), who) for who in ("alice", "carol"))
    send(carol, read(carol.get(f"/appointments/{reference}")), f"/appointments/{reference}/status", status="completed")
    for staff in (bob, carol):
        page = read(staff.get(f"/appointments/{reference}"))
        assert page.one("span", class_="badge").text == "Seen"
        assert "completed" not in page.text.lower()
    page = read(alice.get(f"/appointments/{reference}"))
    assert page.one("span", class_="badge").text == "Completed"
    assert "“Completed”" in page.text

"""Booking through the pages: from a free time to the appointment, and what happens when the time was just taken."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests import registering
from tests.appointment_rows import appointment, insert, put
from tests.cast import PASSWORD, Cast, client_for, local, log_in
from tests.reading import HTMX, Element, read
from webapp import models
from webapp.core.formats import iso
from webapp.exceptions import Unavailable

TEN = "2026-03-03 10:00"


def book_address(cast: Cast, start: str = TEN, *, visit_type: int | None = None) -> str:
    return f"/book?doctor=bob&visit_type={visit_type or cast.short}&starts_at={iso(local(start))}"


def appointments(cast: Cast) -> list[models.Appointment]:
    with cast.database.reading() as session:
        return list(session.scalars(sa.select(models.Appointment).order_by(models.Appointment.id)))


def link_named(page: Element, words: str) -> str:
    return next(link["href"] for link in page.all("a") if link.text == words)


# ------------------------------------------------------------------------------------------ the summary


def test_the_booking_page_sums_up_the_appointment(client: TestClient, cast: Cast) -> None:
    answer = log_in(client, "alice").get(book_address(cast, visit_type=cast.long))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    page = read(answer)
    appointment = page.one("section", aria_label="Your appointment").text
    for words in (
        "Tuesday 3 March 2026",
        "10:00",
        "30 minutes, until 10:30",
        "Dr. Bob Brown",
        "First visit",
        "18 Harbour Lane, Room 3",
        "Bring your medicines.",
    ):
        assert words in appointment
    assert "This appointment is for Alice Adams" in page.text
    assert page.one("button", class_="primary").text == "Book Tue 3 Mar, 10:00"
    # At 08:00 on the day before, 26 hours ahead, two hours are left for changing the appointment.
    assert "You can move or cancel it until Monday 2 March at 10:00." in page.text
    assert page.form("/appointments") == {
        "doctor": "bob",
        "visit_type": str(cast.long),
        "shown_type": str(cast.long),
        "starts_at": "2026-03-03T09:00:00Z",
        "reason": "",
        "notes": "",
    }


def test_an_appointment_that_is_soon_says_that_it_cannot_be_changed(client: TestClient, cast: Cast) -> None:
    page = read(log_in(client, "alice").get(book_address(cast, "2026-03-02 10:00")))
    assert "To change this appointment after booking, please call us: it’s within 24 hours." in page.text


def test_every_free_time_that_is_shown_leads_to_a_page_that_offers_to_book_it(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    found = read(client.get("/"))
    calendar = read(client.get("/doctors/erin?week=2026-W11"))
    shown = [slot["href"] for page in (found, calendar) for slot in page.all("a", class_="slot")]
    assert len(shown) > 20
    for href in shown[::7]:
        page = read(client.get(href))
        assert page.one("button", class_="primary").text.startswith("Book "), href


def test_an_instant_may_come_with_any_offset(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    for same in ("2026-03-03T10:00:00+01:00", "2026-03-03T14:30:00+05:30", "2026-03-03T09:00Z"):
        page = read(client.get("/book", params={"doctor": "bob", "visit_type": cast.short, "starts_at": same}))
        assert page.form("/appointments")["starts_at"] == "2026-03-03T09:00:00Z", same


def test_without_a_visit_type_the_doctors_first_is_meant(client: TestClient, cast: Cast) -> None:
    page = read(log_in(client, "alice").get("/book?doctor=bob&starts_at=2026-03-03T09:00:00Z"))
    assert "Follow-up" in page.one("section", aria_label="Your appointment").text


# --------------------------------------------------------------------------------------------- booking


def test_booking_leads_to_the_appointment_and_says_so_once(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    form = read(client.get(book_address(cast))).form("/appointments")
    answer = client.post("/appointments", data={**form, "reason": " My knee \r\nhurts ", "notes": "Wheelchair"})
    assert answer.status_code == 303
    (booked,) = appointments(cast)
    assert answer.headers["location"] == f"/appointments/{booked.reference}?booked=1"
    assert (booked.reason, booked.notes) == ("My knee \nhurts", "Wheelchair")
    assert (booked.starts_at, booked.ends_at) == (local(TEN), local("2026-03-03 10:15"))
    assert (booked.status, booked.version, booked.booked_by) == ("scheduled", 1, cast.alice.user_id)

    first = client.get(answer.headers["location"])
    assert first.headers["cache-control"] == "no-store"
    page = read(first)
    assert page.h1 == "Your appointment is booked"
    assert "We’ve emailed the details to alice@docket.example." in page.text
    assert booked.reference in page.text
    assert "Tuesday 3 March 2026" in page.text
    assert "My knee hurts" in page.text
    assert f"/appointments/{booked.reference}/reschedule" in page.links
    assert f"/appointments/{booked.reference}/cancellation" in page.links
    later = read(client.get(f"/appointments/{booked.reference}"))
    assert later.h1 == "Your appointment with Dr. Bob Brown"
    assert "Booked by you" in later.text


def test_booking_by_htmx_redirects_to_the_appointment(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    form = read(client.get(book_address(cast))).form("/appointments")
    answer = client.post("/appointments", data=form, headers=HTMX)
    assert answer.status_code == 204
    (booked,) = appointments(cast)
    assert answer.headers["hx-redirect"] == f"/appointments/{booked.reference}?booked=1"


def test_the_confirmation_is_shown_only_for_an_active_appointment(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    cast.change(sa.update(models.Appointment).values(status="cancelled"))
    page = read(client.get(f"/appointments/{reference}?booked=1"))
    assert page.h1 == "Your appointment with Dr. Bob Brown is cancelled"
    assert f"/doctors/bob?visit_type={cast.short}" in page.links


def test_a_reference_is_understood_in_any_case(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    assert log_in(client, "alice").get(f"/appointments/{reference.lower()}").status_code == 200
    # As some programs copy it: with a hyphen that does not break, and invisible marks.
    pasted = "\u202a" + reference.replace("-", "\u2011") + "\u202c\u00a0"
    assert client.get(f"/appointments/{pasted}").status_code == 200


# ---------------------------------------------------------------------------------- signing in on the way


def test_a_signed_out_patient_signs_in_and_returns_to_exactly_the_slot(client: TestClient, cast: Cast) -> None:
    wanted = book_address(cast)
    to_login = client.get(wanted)
    assert to_login.status_code == 303
    assert urlsplit(to_login.headers["location"]).path == "/login"
    assert parse_qs(urlsplit(to_login.headers["location"]).query) == {"next": [wanted]}
    page = read(client.get(to_login.headers["location"]))
    assert "Next, you’ll book: Tuesday 3 March, 10:00 with Dr. Bob Brown" in page.text
    form = page.form("/login")
    answer = client.post("/login", data={**form, "email": "alice@docket.example", "password": PASSWORD})
    assert answer.status_code == 303
    assert answer.headers["location"] == wanted


def test_a_wrong_password_on_the_way_does_not_lose_the_slot(client: TestClient, cast: Cast) -> None:
    wanted = book_address(cast)
    form = read(client.get("/login", params={"next": wanted})).form("/login")
    wrong = client.post("/login", data={**form, "email": "alice@docket.example", "password": "no"})
    assert wrong.status_code == 401
    page = read(wrong)
    assert page.form("/login")["next"] == wanted
    assert page.form("/login")["email"] == "alice@docket.example"
    assert page.form("/login")["password"] == ""
    assert "with Dr. Bob Brown" in page.text


def test_a_new_patient_registers_on_the_way_and_returns_to_exactly_the_slot(client: TestClient, cast: Cast) -> None:
    wanted = book_address(cast)
    to_login = client.get(wanted)
    login = read(client.get(to_login.headers["location"]))
    (register,) = [href for href in login.links if href.startswith("/register?next=")]
    page = read(client.get(register))
    assert "with Dr. Bob Brown" in page.text
    form = page.form("/register")
    assert form["next"] == wanted
    mine = {"name": "Nina New", "email": "Nina@Docket.example", "password": "walrus teapot orbit"}
    answer = registering.register(client, cast, {**form, **mine})
    assert answer.status_code == 303
    assert answer.headers["location"] == wanted
    booking = read(client.get(wanted))
    assert "Welcome. Your account is ready." in booking.text
    assert "This appointment is for Nina New" in booking.text
    answer = client.post("/appointments", data=booking.form("/appointments"))
    assert answer.status_code == 303
    assert read(client.get(answer.headers["location"])).h1 == "Your appointment is booked"


def test_registering_and_signing_in_lead_to_each_other_with_the_slot(client: TestClient, cast: Cast) -> None:
    wanted = book_address(cast)
    page = read(client.get("/register", params={"next": wanted}))
    (login,) = [href for href in page.links if href.startswith("/login?next=")]
    assert read(client.get(login)).form("/login")["next"] == wanted


def test_sending_the_form_after_the_session_ended_asks_to_sign_in(client: TestClient, cast: Cast) -> None:
    form = read(log_in(client, "alice").get(book_address(cast))).form("/appointments")
    cast.change(sa.delete(models.UserSession))
    answer = client.post("/appointments", data=form)
    assert answer.status_code == 401
    page = read(answer)
    # The address to return to names the appointment and nothing that was typed.
    (login,) = [href for href in page.links if href.startswith("/login?")]
    assert parse_qs(urlsplit(login).query) == {"next": [book_address(cast).replace(":", "%3A")]}
    assert "Tuesday 3 March, 10:00 with Dr. Bob Brown" in read(client.get(login)).text
    assert "You’ve been signed out, so nothing has changed." in page.text
    assert appointments(cast) == []


# -------------------------------------------------------------------------------- nothing typed is lost


def busy(*_args: object, **_kwargs: object) -> None:
    """What a service does when the database is busy."""
    raise Unavailable("Docket is very busy right now.")


def test_a_busy_database_loses_nothing_typed_and_may_be_tried_again(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(client, "alice")
    form = {**read(client.get(book_address(cast))).form("/appointments"), "reason": "My knee", "notes": "A lift"}
    with monkeypatch.context() as patched:
        patched.setattr("webapp.appointments.booking.service.book", busy)
        answer = client.post("/appointments", data=form)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    page = read(answer)
    assert "Docket is very busy right now." in page.one("div", role="alert").text
    assert page.form("/appointments") == form
    assert page.one("button", class_="primary").text == "Book Tue 3 Mar, 10:00"
    assert client.post("/appointments", data=page.form("/appointments")).status_code == 303


def test_a_form_without_a_valid_appointment_still_shows_the_typed_text(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    whole = read(client.get(book_address(cast))).form("/appointments")
    for wrong, status, way_on in (
        ({"starts_at": ""}, 422, "/doctors/bob"),
        ({"starts_at": "x"}, 422, "/doctors/bob"),
        ({"visit_type": "abc"}, 422, "/doctors/bob"),
        ({"visit_type": "999"}, 404, "/doctors/bob"),
        ({"doctor": "nobody"}, 404, "/"),
    ):
        answer = client.post("/appointments", data={**whole, **wrong, "reason": "My <b>knee</b>", "notes": "A lift"})
        assert answer.status_code == status, wrong
        page = read(answer)
        assert [field.raw.strip() for field in page.all("textarea")] == ["My <b>knee</b>", "A lift"], wrong
        assert page.one("section", id="fragment").links[0] == way_on
    assert appointments(cast) == []


def test_an_account_without_a_patients_record_books_nothing(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.Patient).where(models.Patient.name == "Alice Adams").values(user_id=None))
    log_in(client, "alice")
    for answer in (
        client.get(book_address(cast)),
        client.post("/appointments", data={"doctor": "bob", "starts_at": "2026-03-03T09:00:00Z"}),
    ):
        assert answer.status_code == 403
        assert "You are signed in as staff." in read(answer).text


# -------------------------------------------------------------------------- a child, or a parent


def child_of_alice(cast: Cast) -> int:
    """Leo, who has no account and for whom Alice books."""
    alice = cast.patient_ids["alice"]
    return cast.add(models.Patient(name="Leo Adams", managed_by_id=alice, created_at=cast.now))


def test_a_patient_without_dependants_is_not_asked_for_the_patient(client: TestClient, cast: Cast) -> None:
    page = read(log_in(client, "alice").get(book_address(cast)))
    assert not page.all("input", name="patient")
    assert "This appointment is for Alice Adams" in page.text


def test_a_parent_chooses_the_patient_and_books_for_the_child(client: TestClient, cast: Cast) -> None:
    leo = child_of_alice(cast)
    log_in(client, "alice")
    page = read(client.get(book_address(cast)))
    assert page.form("/appointments")["patient"] == str(cast.patient_ids["alice"])
    page = read(client.get(f"{book_address(cast)}&patient={leo}"))
    form = page.form("/appointments")
    assert form["patient"] == str(leo)
    answer = client.post("/appointments", data=form)
    assert answer.status_code == 303
    (booked,) = appointments(cast)
    assert (booked.patient_id, booked.booked_by) == (leo, cast.alice.user_id)
    first = read(client.get(answer.headers["location"]))
    assert first.h1 == "Leo Adams’s appointment is booked"
    assert "Booked by you" in first.text
    assert read(client.get(f"/appointments/{booked.reference}")).h1 == "Leo Adams’s appointment with Dr. Bob Brown"
    assert "Leo Adams, Dr. Bob Brown" in read(client.get("/appointments")).text
    # The doctor reads the patient's name.
    with client_for(cast.database) as doctors:
        text = read(log_in(doctors, "bob").get(f"/appointments/{booked.reference}")).text
    assert "Booked by the person who books for Leo Adams" in text


@pytest.mark.both_databases
def test_a_strangers_child_cannot_be_booked_for(client: TestClient, cast: Cast) -> None:
    leo = child_of_alice(cast)
    log_in(client, "dave")
    assert client.get(f"{book_address(cast)}&patient={leo}").status_code == 404
    sent = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": iso(local(TEN)), "patient": str(leo)}
    answer = client.post("/appointments", data={**sent, "reason": "My knee"})
    assert answer.status_code == 404
    # Nothing that was typed is lost, and no other person is booked in the child's place.
    assert read(answer).one("textarea").raw.strip() == "My knee"
    assert appointments(cast) == []


def test_the_parents_own_appointment_does_not_prevent_booking_for_the_child(client: TestClient, cast: Cast) -> None:
    leo = child_of_alice(cast)
    cast.book(cast.alice, TEN, doctor="erin", visit_type=cast.long)
    log_in(client, "alice")
    answer = client.get(book_address(cast))
    assert answer.status_code == 409
    page = read(answer)
    assert "You already have an appointment at that time." in page.text
    # The form can still be sent, for Leo.
    form = {**page.form("/appointments"), "patient": str(leo)}
    assert page.one("button", class_="primary").text == "Book Tue 3 Mar, 10:00"
    assert client.post("/appointments", data=form).status_code == 303
    assert [each.patient_id for each in appointments(cast)] == [cast.patient_ids["alice"], leo]


def test_the_refusal_of_a_child_is_about_the_child(client: TestClient, cast: Cast) -> None:
    leo = child_of_alice(cast)
    log_in(client, "alice")
    sent = {"doctor": "bob", "visit_type": str(cast.short), "patient": str(leo)}
    at_ten = {"starts_at": iso(local(TEN))}
    assert client.post("/appointments", data={**sent, **at_ten}).status_code == 303
    for start, words in (
        ("2026-03-03 10:30", "Leo Adams has another appointment close to that time."),
        ("2026-03-03 10:15", "Leo Adams has another appointment close to that time."),
    ):
        answer = client.post("/appointments", data={**sent, "starts_at": iso(local(start))})
        assert (answer.status_code, words in read(answer).text) == (409, True), start
    # Returning leads to the child's appointment, and the parent reads that it is their own booking.
    (booked,) = appointments(cast)
    again = client.get(f"{book_address(cast)}&patient={leo}")
    assert (again.status_code, again.headers["location"]) == (303, f"/appointments/{booked.reference}")
    for answer in (
        client.get(book_address(cast)),
        client.post("/appointments", data={**sent, "patient": "", **at_ten}),
    ):
        page = read(answer)
        assert (answer.status_code, page.h1) == (409, "Choose another time")
        said = page.one("section", id="taken-time").text
        assert "Leo Adams has an appointment on Tuesday 3 March at 10:00," in said
        assert "Someone else" not in said
        assert len(page.all("button", name="alternative")) == 3
    # Others read only that the time is taken.
    stranger = read(log_in(client, "dave").get(book_address(cast)))
    assert "That time has just been taken" in stranger.text
    assert "Leo" not in stranger.text


def test_the_calendar_keeps_the_child_along_the_way(client: TestClient, cast: Cast) -> None:
    leo = child_of_alice(cast)
    cast.book(cast.alice, TEN, doctor="erin", visit_type=cast.long)
    log_in(client, "alice")
    own, childs = (
        [slot["href"] for slot in read(client.get(f"/doctors/bob?week=2026-W10{more}")).all("a", class_="slot")]
        for more in ("", f"&patient={leo}")
    )
    assert all(f"&patient={leo}&starts_at=" in href for href in childs)
    assert not any(href.endswith("2026-03-03T09:00:00Z") for href in own)
    assert any(href.endswith("2026-03-03T09:00:00Z") for href in childs)
    # A stranger's id in the address changes nothing.
    log_in(client, "dave")
    assert f"patient={leo}" not in client.get(f"/doctors/bob?week=2026-W10&patient={leo}").text


def test_a_parent_moves_and_cancels_the_childs_appointment(client: TestClient, cast: Cast) -> None:
    leo = child_of_alice(cast)
    log_in(client, "alice")
    sent = {"doctor": "bob", "visit_type": str(cast.short), "patient": str(leo)}
    client.post("/appointments", data={**sent, "starts_at": iso(local("2026-03-10 09:30"))})
    (booked,) = appointments(cast)
    path = f"/appointments/{booked.reference}"
    assert read(client.get(f"{path}/reschedule")).h1 == "Move Leo Adams’s appointment"
    moved = {"starts_at": iso(local("2026-03-11 14:00")), "version": "1"}
    assert client.post(f"{path}/reschedule", data=moved).status_code == 303
    page = read(client.get(f"{path}/cancellation"))
    assert page.h1 == "Cancel Leo Adams’s appointment on Wednesday 11 March at 14:00?"
    assert "You don’t have to say." in page.text
    assert client.post(f"{path}/cancellation", data={"version": "2"}).status_code == 303
    assert appointments(cast)[0].status == "cancelled"


# ---------------------------------------------------------------------------------- the time was just taken


def test_when_the_time_was_just_taken_nothing_typed_is_lost_and_one_press_books_another(
    client: TestClient, cast: Cast
) -> None:
    log_in(client, "alice")
    form = read(client.get(book_address(cast))).form("/appointments")
    typed = {"reason": 'My <b>knee</b> & "ankle"\n\nsince May', "notes": "\nAn interpreter"}
    cast.book(cast.dave, TEN)
    answer = client.post("/appointments", data={**form, **typed})
    assert answer.status_code == 409
    page = read(answer)
    faster = page.one("section", id="taken-time")
    assert faster.one("h2").text == "That time has just been taken"
    assert page.h1 == "Choose another time"
    assert "Someone else booked Tuesday 3 March at 10:00 while you were choosing." in faster.text
    kept = page.form("/appointments")
    assert kept["reason"] == typed["reason"]
    assert kept["notes"] == typed["notes"]
    # The three nearest times are buttons; the taken time is struck out and has none.
    buttons = page.all("button", name="alternative")
    assert [button["value"] for button in buttons] == [
        "2026-03-03T08:30:00Z",
        "2026-03-03T08:45:00Z",
        "2026-03-03T09:15:00Z",
    ]
    assert [button.text.split(" ", 3)[-1] for button in buttons] == [
        "March 09:30 30 minutes earlier",
        "March 09:45 15 minutes earlier",
        "March 10:15 15 minutes later",
    ]
    assert not page.all("button", class_="primary")
    assert page.one("section", aria_label="Your appointment").get("data-gone") is not None
    assert all(button in page.one("form", action="/appointments").all("button") for button in buttons)

    pressed = client.post("/appointments", data={**kept, "alternative": buttons[1]["value"]})
    assert pressed.status_code == 303
    mine = appointments(cast)[-1]
    assert (mine.starts_at, mine.patient_id) == (local("2026-03-03 09:45"), cast.patient_ids["alice"])
    assert (mine.reason, mine.notes) == (typed["reason"], "An interpreter")


def test_an_alternative_can_be_taken_as_well_and_others_are_offered(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    cast.book(cast.dave, TEN)
    cast.change(sa.update(models.ClinicSettings).values(patient_gap_minutes=0))
    cast.book(cast.dave, "2026-03-03 10:15")
    form = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": iso(local(TEN)), "reason": "Knee"}
    answer = client.post("/appointments", data={**form, "alternative": iso(local("2026-03-03 10:15"))})
    assert answer.status_code == 409
    page = read(answer)
    assert "Someone else booked Tuesday 3 March at 10:15" in page.text
    assert page.form("/appointments")["reason"] == "Knee"
    assert [button["value"] for button in page.all("button", name="alternative")] == [
        "2026-03-03T08:45:00Z",
        "2026-03-03T09:30:00Z",
        "2026-03-03T09:45:00Z",
    ]


def test_a_shared_link_to_a_taken_time_offers_others_immediately(client: TestClient, cast: Cast) -> None:
    cast.book(cast.dave, TEN)
    answer = log_in(client, "alice").get(book_address(cast))
    assert answer.status_code == 409
    assert len(read(answer).all("button", name="alternative")) == 3


def test_a_buffer_that_overlaps_the_appointment_counts_as_taken_too(client: TestClient, cast: Cast) -> None:
    cast.book(cast.dave, TEN, visit_type=cast.buffered)
    # Dave's appointment ends at 10:45 and keeps Bob busy until 10:55.
    answer = log_in(client, "alice").get(book_address(cast, "2026-03-03 10:45"))
    assert answer.status_code == 409


def test_a_conflict_with_the_patients_own_appointment_is_explained_without_buttons(
    client: TestClient, cast: Cast
) -> None:
    cast.book(cast.alice, TEN, doctor="erin", visit_type=cast.long)
    log_in(client, "alice")
    for start, words in (
        (TEN, "You already have an appointment at that time."),
        ("2026-03-03 10:45", "Leave at least 30 minutes between appointments."),
    ):
        form = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": iso(local(start)), "reason": "Knee"}
        answer = client.post("/appointments", data=form)
        assert answer.status_code == 409
        page = read(answer)
        assert words in page.text
        assert page.form("/appointments")["reason"] == "Knee"
        assert not page.all("button", name="alternative")
        assert "Choose another time" in page.text
    # Exactly thirty minutes are enough.
    form["starts_at"] = iso(local("2026-03-03 11:00"))
    assert client.post("/appointments", data=form).status_code == 303


def test_a_refusal_by_the_guard_has_the_same_text(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.scheduling.checks.require_bookable", lambda *_args, **_kwargs: [])
    log_in(client, "alice")
    cast.book(cast.dave, TEN)
    form = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": iso(local(TEN)), "reason": "Knee"}
    answer = client.post("/appointments", data=form)
    assert answer.status_code == 409
    assert read(answer).one("section", id="taken-time")
    assert len(appointments(cast)) == 1


def test_ten_appointments_are_the_most_that_can_be_booked_online(client: TestClient, cast: Cast) -> None:
    for day in (*range(9, 14), *range(16, 21)):
        cast.book(cast.alice, f"2026-03-{day:02d} 09:00")
    log_in(client, "alice")
    form = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": iso(local(TEN)), "reason": "Knee"}
    for answer in (client.get(book_address(cast)), client.post("/appointments", data=form)):
        assert answer.status_code == 422
        assert "You have 10 upcoming appointments, which is the most you can book online." in read(answer).text


# -------------------------------------------------------------------------------- the list and one appointment


def test_the_list_shows_upcoming_and_past_appointments(client: TestClient, cast: Cast) -> None:
    first = cast.book(cast.alice, "2026-03-10 09:30")
    second = cast.book(cast.alice, "2026-03-05 14:00", doctor="erin", visit_type=cast.long)
    cancelled = cast.book(cast.alice, "2026-03-06 14:00")
    cast.change(
        sa.update(models.Appointment).where(models.Appointment.reference == cancelled).values(status="cancelled")
    )
    foreign = cast.book(cast.dave, "2026-03-12 09:30")
    log_in(client, "alice")
    answer = client.get("/appointments")
    assert answer.headers["cache-control"] == "no-store"
    ahead = read(answer)
    appointments = ahead.one("ol", class_="appointments")
    assert appointments.links == [f"/appointments/{second}", f"/appointments/{first}"]
    assert "Thursday 5 March, 14:00" in appointments.text
    # A cancelled appointment whose day is still to come is not past.
    past = read(client.get("/appointments?show=past"))
    assert cancelled not in past.text
    gone = read(client.get("/appointments?show=cancelled"))
    assert gone.one("ol", class_="appointments").links == [f"/appointments/{cancelled}"]
    assert "Cancelled" in gone.one("ol", class_="appointments").text
    assert foreign not in ahead.text + past.text + gone.text


def test_an_appointment_moves_to_the_past_when_it_is_over(cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    for now, show in ((local("2026-03-03 10:14"), "upcoming"), (local("2026-03-03 10:15"), "past")):
        with client_for(cast.database, now=now) as client:
            page = read(log_in(client, "alice").get(f"/appointments?show={show}"))
            assert page.one("ol", class_="appointments").links == [f"/appointments/{reference}"]


def test_an_empty_list_says_what_to_do(client: TestClient) -> None:
    log_in(client, "alice")
    assert "No upcoming appointments" in read(client.get("/appointments")).text
    assert "No past appointments" in read(client.get("/appointments?show=past")).text
    assert "No cancelled appointments" in read(client.get("/appointments?show=cancelled")).text


@pytest.mark.both_databases
def test_a_long_list_has_pages(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.ClinicSettings).values(max_active_visits=100))
    references = [
        cast.book(cast.alice, f"2026-03-{day:02d} {hour:02d}:00") for day in (9, 10, 11, 12, 13) for hour in (9, 10, 11)
    ]
    log_in(client, "alice")
    first = read(client.get("/appointments"))
    assert first.one("ol", class_="appointments").links == [f"/appointments/{each}" for each in references[:10]]
    assert "Page 1 of 2" in first.text
    assert not first.all("a", rel="prev")
    assert first.one("a", rel="next")["href"] == "/appointments?page=2"
    second = read(client.get("/appointments?page=2"))
    assert second.one("ol", class_="appointments").links == [f"/appointments/{each}" for each in references[10:]]
    assert second.one("a", rel="prev")["href"] == "/appointments"
    assert not second.all("a", rel="next")
    # Invalid page numbers break nothing.
    for odd in ("0", "-1", "x", "1e3", "٣"):
        assert read(client.get("/appointments", params={"page": odd})).one("ol", class_="appointments"), odd
    # A page beyond the last one is the last page.
    for far in (3, 50, 999999999):
        assert read(client.get(f"/appointments?page={far}")).text == second.text
    # Links between pages of past appointments lead to past appointments.
    cast.change(sa.update(models.Appointment).values(status="completed"))
    past = read(client.get("/appointments?show=past"))
    assert past.one("a", rel="next")["href"] == "/appointments?show=past&page=2"


def test_past_and_cancelled_appointments_can_be_booked_again(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    ahead, gone = cast.book(cast.alice, "2026-03-10 09:30"), cast.book(cast.alice, "2026-03-12 09:30")
    client.post(f"/appointments/{gone}/cancellation", data={"version": "1"})
    for status in ("completed", "no_show"):
        put(cast, f"2026-02-{26 if status == 'completed' else 27} 10:00", status=status)
    assert "Book again" not in read(client.get(f"/appointments/{ahead}")).text
    over = [href for href in read(client.get("/appointments?show=past")).links if href.startswith("/appointments/")]
    again = {href: link_named(read(client.get(href)), "Book again") for href in [*over, f"/appointments/{gone}"]}
    kinds = [cast.long, cast.long, cast.short]
    assert list(again.values()) == [f"/doctors/bob?visit_type={kind}" for kind in kinds]
    for href in again.values():
        assert read(client.get(href)).all("a", class_="slot")
    # Staff book again for the same patient.
    with client_for(cast.database) as desk:
        page = read(log_in(desk, "carol").get(f"/appointments/{gone}"))
        href = link_named(page, "Book again")
        assert href == f"/doctors/bob?visit_type={cast.short}&patient={cast.patient_ids['alice']}"
        slot = read(desk.get(href)).all("a", class_="slot")[0]["href"]
        assert read(desk.get(slot)).h1 == "Book for Alice Adams"


def test_a_time_that_clocks_show_twice_is_told_apart(client: TestClient, cast: Cast) -> None:
    row = appointment(cast, "2026-10-25 02:30")
    insert(cast, row)
    log_in(client, "alice")
    assert "Sunday 25 October, 02:30 CEST" in read(client.get("/appointments")).text
    assert "02:30 CEST to 02:00 CET" in read(client.get(f"/appointments/{row['reference']}")).text


def test_adding_to_a_calendar_comes_before_cancelling(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    log_in(client, "alice")
    for query in ("", "?booked=1"):
        page = read(client.get(f"/appointments/{reference}{query}"))
        assert [
            link["href"].removeprefix(f"/appointments/{reference}")
            for link in page.one("div", class_="actions").all("a")
        ] == [
            ".ics",
            "/reschedule",
            "/cancellation",
        ]


def test_an_appointment_shows_its_history(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    moved = {"starts_at": iso(local("2026-03-11 14:00")), "version": "1"}
    assert client.post(f"/appointments/{reference}/reschedule", data=moved).status_code == 303
    assert client.post(f"/appointments/{reference}/cancellation", data={"version": "2"}).status_code == 303
    page = read(client.get(f"/appointments/{reference}"))
    assert [item.one("b").text for item in page.one("ol", class_="steps").all("li")] == [
        "Booked by you",
        "Moved by you from Tuesday 10 March at 09:30 to Wednesday 11 March at 14:00",
        "Cancelled by you",
    ]
    # The doctor reads the same, with the patient's name.
    with client_for(cast.database) as doctors:
        page = read(log_in(doctors, "bob").get(f"/appointments/{reference}"))
    assert page.h1 == "Alice Adams"
    assert "Booked by Alice Adams" in page.text


def test_the_doctor_and_the_admin_read_the_appointment_too(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    cast.change(sa.update(models.Appointment).values(reason="My knee"))
    for reader in ("bob", "carol"):
        with client_for(cast.database) as client:
            page = read(log_in(client, reader).get(f"/appointments/{reference}"))
            assert page.h1 == "Alice Adams"
            assert "What the patient told us" in page.text
            assert "My knee" in page.text


def test_staff_read_an_appointment_as_staff(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30", visit_type=cast.long)
    for reader, preparation, day in (("alice", True, False), ("bob", False, True), ("carol", False, False)):
        with client_for(cast.database) as client:
            page = read(log_in(client, reader).get(f"/appointments/{reference}?booked=1"))
            assert ("How to prepare" in page.text) is preparation
            assert ("/schedule/2026-03-10" in page.links) is day
            assert ("Your appointment is booked" in page.text) is (reader == "alice")


def test_when_it_is_too_late_the_appointment_shows_the_limit_and_the_clinics_number(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    with client_for(cast.database, now=local("2026-03-09 09:30")) as client:
        log_in(client, "alice")
        page = read(client.get(f"/appointments/{reference}"))
        assert f"/appointments/{reference}/cancellation" in page.links
        assert "You can move or cancel it until Monday 9 March at 09:30." in page.text
    with client_for(cast.database, now=local("2026-03-09 09:31")) as client:
        log_in(client, "alice")
        page = read(client.get(f"/appointments/{reference}"))
        assert f"/appointments/{reference}/cancellation" not in page.links
        assert f"/appointments/{reference}/reschedule" not in page.links
        sentence = "It is too late to change this appointment online. The deadline was Monday 9 March at 09:30."
        assert f"{sentence} Please call 020 123 4567." in page.text
        assert page.links.count("tel:+31201234567") == 2
        for path in ("cancellation", "reschedule"):
            asked = client.get(f"/appointments/{reference}/{path}")
            assert asked.status_code == 422
            assert sentence in read(asked).text
        sent = client.post(f"/appointments/{reference}/cancellation", data={"version": "1"})
        assert sent.status_code == 422
        assert sentence in read(sent).text
    assert appointments(cast)[0].status == "scheduled"


def test_the_page_of_an_appointment_that_the_clinic_moved_allows_changes_until_it_starts(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    cast.change(sa.update(models.Appointment).values(moved_by_clinic=True))
    with client_for(cast.database, now=local("2026-03-10 09:29")) as client:
        log_in(client, "alice")
        page = read(client.get(f"/appointments/{reference}"))
        assert "You can move or cancel it until it starts." in page.text
        assert f"/appointments/{reference}/reschedule" in page.links
        form = read(client.get(f"/appointments/{reference}/cancellation")).form(
            f"/appointments/{reference}/cancellation"
        )
        assert client.post(f"/appointments/{reference}/cancellation", data=form).status_code == 303
    assert appointments(cast)[0].status == "cancelled"


def test_coming_back_after_booking_leads_to_the_appointment(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    log_in(client, "alice")
    start = local("2026-03-10 09:30").strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = client.get(f"/book?doctor=bob&visit_type={cast.short}&starts_at={start}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/appointments/{reference}")

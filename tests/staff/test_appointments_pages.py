"""Staff book, move and cancel for patients; admins list the clinic's appointments and ask why a time is not offered."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, date, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests import appointment_rows
from tests.cast import NOW, Cast, client_for, local, log_in
from tests.reading import HTMX, Element, read, read_fragment
from webapp import models
from webapp.appointments.booking import listing
from webapp.core.formats import iso
from webapp.patients import search_index

TEN = "2026-03-03 10:00"
WHY = "Her mother is in the waiting room"


def book_address(cast: Cast, start: str = TEN, *, patient: str | None = "alice", kind: int | None = None) -> str:
    whom = f"&patient={cast.patient_ids[patient]}" if patient else ""
    return f"/book?doctor=bob&visit_type={kind or cast.short}&starts_at={iso(local(start))}{whom}"


def appointments(cast: Cast) -> list[models.Appointment]:
    with cast.database.reading() as session:
        return list(session.scalars(sa.select(models.Appointment).order_by(models.Appointment.id)))


def events(cast: Cast, action: str) -> list[models.AuditEvent]:
    with cast.database.reading() as session:
        query = sa.select(models.AuditEvent).where(models.AuditEvent.action == action)
        return list(session.scalars(query.order_by(models.AuditEvent.id)))


def look(client: TestClient, address: str, status: int = 200) -> Element:
    answer = client.get(address)
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return read(answer)


# ------------------------------------------------------------------------------------------ choosing a patient


@pytest.mark.parametrize("who", ["bob", "carol"])
def test_without_a_patient_staff_choose_one_first(client: TestClient, cast: Cast, who: str) -> None:
    log_in(client, who)
    page = look(client, book_address(cast, patient=None))
    assert page.h1 == "Who is this appointment for?"
    assert "10:00" in page.one("section", aria_label="Appointment").text
    form = page.form("/book", "get")
    page = read(client.get("/book", params={**form, "q": "adams"}))
    (link,) = [href for href in page.links if "patient=" in href]
    query = parse_qs(urlsplit(link).query)
    assert (query["patient"], query["doctor"]) == ([str(cast.patient_ids["alice"])], ["bob"])
    assert look(client, link).h1 == "Book for Alice Adams"


def test_an_empty_result_is_said_and_typing_mistakes_are_tolerated(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    address = book_address(cast, patient=None)
    assert "No patients found" in look(client, f"{address}&q=zzzzzz").text
    similar = look(client, f"{address}&q=Adasm")
    assert "Did you mean one of these?" in similar.text
    assert "Alice Adams" in similar.text


def test_doctors_see_no_appointments_of_the_patients_they_search(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.dave, "2026-03-04 10:00", doctor="erin", visit_type=cast.long)
    log_in(client, "bob")
    text = client.get(f"{book_address(cast, patient=None)}&q=dave").text
    assert "Dave Dunn" in text
    assert reference not in text
    assert "Erin" not in text


def test_a_doctor_adds_a_patient_on_the_way_and_comes_back_to_the_appointment(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    (link,) = [href for href in look(client, book_address(cast, patient=None)).links if "patients/new" in href]
    form = look(client, link).form("/schedule/patients/new")
    bad = client.post("/schedule/patients/new", data={**form, "name": "N", "phone": "call me"})
    assert bad.status_code == 422
    assert read(bad).form("/schedule/patients/new")["phone"] == "call me"
    typed = {"name": "Nina New", "birth_date": "2001-02-03", "phone": "020 555 0101"}
    answer = client.post("/schedule/patients/new", data={**form, **typed})
    assert answer.status_code == 303
    page = look(client, answer.headers["location"])
    assert page.h1 == "Book for Nina New"
    assert "Born on 3 February 2001" in page.text
    assert "10:00" in page.one("section", aria_label="Appointment").text
    # An existing patient is shown before a second record is created.
    again = client.post("/schedule/patients/new", data={**form, **typed, "name": "Zoe Viser"})
    assert again.status_code == 409
    (there,) = [href for href in read(again).links if href.startswith("/book?")]
    assert look(client, there).h1 == "Book for Nina New"


def test_an_address_with_an_unknown_patient_is_not_found(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    assert client.get(f"{book_address(cast, patient=None)}&patient=999999").status_code == 404
    for odd in ("x", "-1", "9" * 30):
        assert client.get(f"{book_address(cast, patient=None)}&patient={odd}").status_code == 404, odd
    for odd in ("&next=https://evil.example/", "&next=/account", ""):
        log_in(client, "bob")
        form = read(client.get(f"/schedule/patients/new?x=1{odd}")).form("/schedule/patients/new")
        answer = client.post(
            "/schedule/patients/new", data={**form, "name": f"Nina {'ABCD'[len(odd) % 4]}ew{len(odd)}x"}
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/schedule")


# ------------------------------------------------------------------------------------------- booking


@pytest.mark.parametrize("who", ["bob", "carol"])
def test_staff_book_for_a_patient(client: TestClient, cast: Cast, who: str) -> None:
    log_in(client, who)
    page = look(client, book_address(cast))
    assert page.h1 == "Book for Alice Adams"
    assert page.one("button", class_="primary").text == "Book Tue 3 Mar, 10:00"
    assert not page.all("input", name="override_reason")
    form = page.form("/appointments")
    answer = client.post("/appointments", data={**form, "reason": "Knee", "notes": "Wheelchair", "step": "book"})
    assert answer.status_code == 303
    (booked,) = appointments(cast)
    assert answer.headers["location"] == f"/appointments/{booked.reference}?booked=1"
    actor = {"bob": cast.bob, "carol": cast.carol}[who]
    assert (booked.patient_id, booked.booked_by) == (cast.patient_ids["alice"], actor.user_id)
    assert (booked.reason, booked.notes, booked.override_reason) == ("Knee", "Wheelchair", "")
    assert "Booked. Tell the patient:" in look(client, answer.headers["location"]).text
    assert events(cast, "rule_overridden") == []


def test_staff_book_types_that_patients_book_by_telephone(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    calendar = read(
        client.get(f"/doctors/bob?week=2026-W11&visit_type={cast.by_phone}&patient={cast.patient_ids['dave']}")
    )
    assert "Operation" in calendar.one("form", class_="kinds").text
    slot = calendar.all("a", class_="slot")[0]["href"]
    assert f"&patient={cast.patient_ids['dave']}&starts_at=" in slot
    form = look(client, slot).form("/appointments")
    assert client.post("/appointments", data=form).status_code == 303
    assert appointments(cast)[0].visit_type_id == cast.by_phone
    # The forms of the calendar and the links to other weeks keep the patient, too.
    assert calendar.one("form", class_="kinds").values()["patient"] == str(cast.patient_ids["dave"])
    assert f"patient={cast.patient_ids['dave']}" in calendar.one("a", id="calendar-next")["href"]


@pytest.mark.both_databases
def test_overriding_a_rule_needs_a_reason(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    page = look(client, book_address(cast, "2026-03-03 12:10"))
    notice = page.one("section", role="alert").text
    assert "That is not one of this doctor’s start times: appointments start every 15 minutes." in notice
    assert "The doctor is not working for the whole appointment." in notice
    assert page.one("button", class_="primary").text == "Book anyway"
    form = {**page.form("/appointments"), "reason": "Knee"}
    for empty in ("", "   "):
        refused = client.post("/appointments", data={**form, "override_reason": empty})
        assert refused.status_code == 422
        again = read(refused)
        assert "Give a reason for the exception." in again.text
        assert again.form("/appointments")["reason"] == "Knee"
    too_long = client.post("/appointments", data={**form, "override_reason": "a" * 201})
    assert too_long.status_code == 422
    assert read(too_long).form("/appointments")["override_reason"] == "a" * 201
    assert appointments(cast) == []
    assert client.post("/appointments", data={**form, "override_reason": WHY}).status_code == 303
    (booked,) = appointments(cast)
    assert (booked.override_reason, booked.starts_at) == (WHY, local("2026-03-03 12:10"))
    (event,) = events(cast, "rule_overridden")
    assert event.details == {"rules": ["off_grid", "outside_working_hours"]}


def test_a_reason_is_kept_only_if_a_rule_was_overridden(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    form = look(client, book_address(cast)).form("/appointments")
    assert client.post("/appointments", data={**form, "override_reason": WHY}).status_code == 303
    assert appointments(cast)[0].override_reason == ""


def test_an_overlap_can_never_be_overridden(client: TestClient, cast: Cast) -> None:
    cast.book(cast.dave, TEN)
    cast.book(cast.alice, TEN, doctor="erin", visit_type=cast.long)
    log_in(client, "carol")
    for patient, words_ in (
        ("alice", "The patient already has an appointment at that time."),
        ("dave", "The doctor has another appointment at that time."),
    ):
        page = look(client, book_address(cast, patient=patient), 409)
        assert words_ in page.one("section", role="alert").text
        assert [each.text for each in page.all("button", class_="primary")] == ["Choose another time"]
        assert not page.all("input", name="override_reason")
        form = {**page.form("/appointments"), "override_reason": WHY, "reason": "Knee"}
        answer = client.post("/appointments", data=form)
        assert answer.status_code == 409
        assert read(answer).form("/appointments")["reason"] == "Knee"
    assert len(appointments(cast)) == 2


def test_the_nearest_times_of_a_taken_one_book_with_all_that_was_typed(client: TestClient, cast: Cast) -> None:
    cast.book(cast.dave, TEN)
    log_in(client, "bob")
    page = look(client, book_address(cast), 409)
    buttons = page.all("button", name="alternative")
    assert len(buttons) == 3
    sent = {**page.form("/appointments"), "reason": "Knee", "alternative": buttons[1]["value"]}
    assert client.post("/appointments", data=sent).status_code == 303
    mine = appointments(cast)[-1]
    assert (iso(mine.starts_at), mine.reason, mine.patient_id) == (
        sent["alternative"],
        "Knee",
        cast.patient_ids["alice"],
    )


def test_another_time_is_shown_before_it_is_booked_and_nothing_typed_is_lost(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    form = {**look(client, book_address(cast)).form("/appointments"), "reason": "Knee", "notes": "A lift"}
    changed = {**form, "date": "2026-03-04", "time": "11:30", "visit_type": str(cast.long)}
    # The new time is shown first, with the button that shows it and with the one that books.
    for step in ("look", "book"):
        answer = client.post("/appointments", data={**changed, "step": step})
        assert answer.status_code == 200
        page = read(answer)
        assert "Wednesday 4 March 2026 11:30 30 minutes" in page.one("section", aria_label="Appointment").text
        kept = page.form("/appointments")
        assert (kept["reason"], kept["notes"], kept["starts_at"]) == ("Knee", "A lift", "2026-03-04T10:30:00Z")
    assert appointments(cast) == []
    assert client.post("/appointments", data={**kept, "step": "book"}).status_code == 303
    (booked,) = appointments(cast)
    assert (booked.starts_at, booked.visit_type_id, booked.reason) == (local("2026-03-04 11:30"), cast.long, "Knee")


def test_an_invalid_date_or_time_is_reported_beside_it(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    form = {**look(client, book_address(cast)).form("/appointments"), "reason": "Knee"}
    for wrong, words_ in (
        ({"date": "2026-02-30"}, "Enter a real date"),
        ({"time": "25:00"}, "Enter a time, such as 09:30."),
        ({"date": "2026-03-29", "time": "02:30"}, "the clocks skip it"),
        ({"date": "1850-01-01"}, "is too far away"),
    ):
        answer = client.post("/appointments", data={**form, **wrong, "step": "look"})
        assert answer.status_code == 422, wrong
        page = read(answer)
        assert words_ in page.text
        assert page.form("/appointments")["reason"] == "Knee"
    assert appointments(cast) == []


def test_an_hour_that_comes_twice_is_chosen_by_its_zone(cast: Cast) -> None:
    cast.add(
        models.ExtraHours(doctor_id=cast.doctor_ids["bob"], day=date(2026, 10, 25), start_minute=120, end_minute=180)
    )
    with client_for(cast.database, now=datetime(2026, 10, 5, 7, 0, tzinfo=UTC)) as client:
        log_in(client, "carol")
        address = (
            f"/book?doctor=bob&visit_type={cast.short}&patient={cast.patient_ids['alice']}&date=2026-10-25&time=02:30"
        )
        page = look(client, address)
        assert "this time happens twice: 02:30 CEST (shown here), 02:30 CET" in page.text
        (second,) = [a["href"] for a in page.all("a") if a.text == "02:30 CET"]
        assert client.post("/appointments", data=look(client, second).form("/appointments")).status_code == 303
    assert iso(appointments(cast)[0].starts_at) == "2026-10-25T01:30:00Z"


def test_a_doctor_books_with_no_other_doctor(client: TestClient, cast: Cast) -> None:
    log_in(client, "erin")
    assert client.get(book_address(cast)).status_code == 403
    sent = {
        "doctor": "bob",
        "visit_type": cast.short,
        "starts_at": iso(local(TEN)),
        "patient": cast.patient_ids["alice"],
    }
    assert client.post("/appointments", data=sent).status_code == 403
    # Starting from a gap in the day, without a doctor or a visit type in the address, it is their own first one.
    page = look(client, f"/book?starts_at={iso(local(TEN))}&patient={cast.patient_ids['alice']}")
    assert "Dr. Erin Eze" in page.one("section", aria_label="Appointment").text


def test_a_busy_form_without_a_patient_asks_for_the_patient(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    sent = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": iso(local(TEN))}
    answer = client.post("/appointments", data=sent)
    assert (answer.status_code, read(answer).h1) == (422, "Who is this appointment for?")


# ------------------------------------------------------------------------------- moving and cancelling


def test_staff_move_to_any_time_with_a_reason_for_overriding_a_rule(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "bob")
    page = look(client, path)
    assert page.h1 == "Move Alice Adams’s appointment"
    present = {"doctor": str(cast.doctor_ids["bob"]), "visit_type": str(cast.short)}
    assert page.form(path, "get") == {**present, "date": "2026-03-10", "time": "09:30"}
    page = look(client, f"{path}?date=2026-03-11&time=12:10")
    assert "The doctor is not working" in page.one("section", role="alert").text
    form = page.form(path)
    kept = {"doctor": "", "visit_type": ""}
    assert form == {**kept, "starts_at": "2026-03-11T11:10:00Z", "version": "1", "override_reason": ""}
    refused = client.post(path, data=form)
    assert refused.status_code == 422
    assert "Give a reason for the exception." in read(refused).text
    assert client.post(path, data={**form, "override_reason": WHY}).status_code == 303
    (moved,) = appointments(cast)
    assert (moved.starts_at, moved.override_reason) == (local("2026-03-11 12:10"), WHY)
    # The reason is removed by a move back to a time that no rule refuses.
    form = look(client, f"{path}?date=2026-03-11&time=14:00").form(path)
    assert client.post(path, data={**form, "override_reason": WHY}).status_code == 303
    assert appointments(cast)[0].override_reason == ""


def test_staff_cannot_move_onto_another_appointment_and_see_the_nearest_times(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    cast.book(cast.dave, "2026-03-11 14:00")
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "carol")
    taken = {"starts_at": iso(local("2026-03-11 14:00")), "version": "1", "override_reason": WHY}
    for answer in (client.get(path, params={"date": "2026-03-11", "time": "14:00"}), client.post(path, data=taken)):
        assert answer.status_code == 409
        page = read(answer)
        assert "The doctor has another appointment at that time." in page.text
        assert len(page.one("section", id="taken-time").all("a", class_="slot")) == 3
        assert not page.all("section", aria_labelledby="new-time")
    assert appointments(cast)[0].starts_at == local("2026-03-10 09:30")


def test_an_appointment_changed_by_another_user_is_shown_as_changed(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    cast.book(cast.dave, "2026-03-11 14:00")
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "carol")
    for start in ("2026-03-11 14:00", "2026-03-11 12:10", "2026-03-12 10:00"):
        sent = {"starts_at": iso(local(start)), "version": "7", "override_reason": WHY}
        answer = client.post(path, data=sent)
        assert answer.status_code == 409, start
        assert "This appointment has changed since you opened it." in read(answer).text, start


def test_patients_have_no_field_for_any_time(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "alice")
    page = look(client, f"{path}?date=2026-03-11&time=12:10")
    assert not page.all("form", action=path)
    sent = {"starts_at": iso(local("2026-03-11 12:10")), "version": "1", "override_reason": WHY}
    assert client.post(path, data=sent).status_code == 422


def test_a_move_to_an_invalid_time_is_reported(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "carol")
    for query, words_ in (
        ("date=2026-03-29&time=02:30", "the clocks skip it"),
        ("date=2026-02-30&time=10:00", "Enter a real date"),
        ("date=2026-03-11&time=x", "Enter a time, such as 09:30."),
    ):
        assert words_ in look(client, f"{path}?{query}", 422).text, query
    same = {"starts_at": iso(local("2026-03-10 09:30")), "version": "1"}
    assert "already at that time" in read(client.post(path, data=same)).text


def test_the_page_says_who_reads_the_reason_of_a_cancellation(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    path = f"/appointments/{reference}/cancellation"
    log_in(client, "carol")
    page = look(client, path)
    assert "The patient, anyone who books for them, the doctor and the front desk can see this." in page.text
    assert client.post(path, data={**page.form(path), "reason": "The doctor is ill"}).status_code == 303
    assert appointments(cast)[0].status == "cancelled"


# ------------------------------------------------------------------------------------------- the list


def rows_of(page: Element) -> list[str]:
    """The rows of the list, such as '2 March, 10:00, Dave Dunn'."""
    found = []
    for body in page.all("tbody"):
        title = [cell.text for cell in body.all("th", scope="rowgroup")]
        day = re.findall(r"\d+ [A-Z][a-z]+(?= \d{4})", title[0])[0] if title else ""
        for row in body.all("tr"):
            if row.get("id"):
                found.append(", ".join([*([day] if day else []), row.one("th").text, row.all("td")[1].text]))
    return found


def put_some(cast: Cast) -> None:
    """Three appointments with Bob: yesterday, today and next week; and one with Erin, which is flagged."""
    appointment_rows.put(cast, "2026-03-01 10:00", status="completed")
    appointment_rows.put(cast, "2026-03-02 10:00", patient="dave", status="confirmed")
    appointment_rows.put(cast, "2026-03-09 10:00")
    appointment_rows.put(cast, "2026-03-10 10:00", doctor="erin", patient="dave")
    erins = models.Appointment.doctor_id == cast.doctor_ids["erin"]
    cast.change(sa.update(models.Appointment).where(erins).values(flagged_why="Erin is away then"))


def test_the_list_begins_now_and_its_rows_lead_to_the_appointments(client: TestClient, cast: Cast) -> None:
    put_some(cast)
    for time in ("06:30", "07:50"):
        appointment_rows.put(cast, f"2026-03-02 {time}", doctor="erin")
    log_in(client, "carol")
    page = look(client, "/admin/appointments")
    assert page.h1 == "Appointments"
    # It is 08:00; who was expected ten minutes ago may only be late.
    upcoming = ["2 March, 07:50, Alice Adams", "2 March, 10:00, Dave Dunn"]
    later = ["9 March, 10:00, Alice Adams", "10 March, 10:00, Dave Dunn"]
    assert rows_of(page) == [*upcoming, *later]
    assert "4 appointments" in page.one("h2", id="appointments-title").text
    assert "Today · Monday 2 March 2026" in page.all("tbody")[0].text
    earlier = page.one("a", class_="earlier")
    assert earlier.text == "1 earlier today"
    assert rows_of(look(client, earlier["href"])) == ["2 March, 06:30, Alice Adams", *upcoming, *later]
    leads = {link.text: link["href"] for link in page.all("tbody")[0].all("a")}
    assert look(client, leads["Dave Dunn"]).h1 == "Dave Dunn"
    assert look(client, leads["10:00"]).h1 == "Dave Dunn"
    assert leads["Dr. Bob Brown"] == "/board/2026-03-02?doctor=bob"


@pytest.mark.both_databases
def test_a_row_offers_what_can_be_done_now_and_leads_back_to_itself(client: TestClient, cast: Cast) -> None:
    for time, status in (("07:50", "scheduled"), ("10:00", "confirmed"), ("11:00", "arrived"), ("12:00", "cancelled")):
        appointment_rows.put(cast, f"2026-03-02 {time}", status=status)
    appointment_rows.put(cast, "2026-03-03 09:00")
    log_in(client, "fiona")
    page = look(client, "/admin/appointments?doctor=bob")
    offered = {
        row.one("th").text: [
            each.text for each in row.one("td", class_="row-actions").all() if each.name in {"a", "button"}
        ]
        for row in page.all("tr")
        if row.get("id")
    }
    assert list(offered.values()) == [
        ["Arrived", "No-show", "Move", "Cancel"],
        ["Arrived", "Move", "Cancel"],
        [],
        [],
        ["Confirm", "Move", "Cancel"],
    ]
    (first, *_others) = [row for row in page.all("tr") if row.get("id")]
    form = first.one("form")
    answer = client.post(form["action"], data=form.values() | {"status": "arrived"})
    assert answer.headers["location"] == f"/admin/appointments?doctor=bob#{first['id']}"
    undone = next(row for row in look(client, "/admin/appointments").all("tr") if row.get("id") == first["id"])
    assert undone.all("form")[-1]["action"].endswith("/status/undo")


def chosen(page: Element) -> list[str]:
    """The references that can be chosen in the list."""
    return [box["value"] for box in page.all("input", form="selection")]


@pytest.mark.both_databases
def test_chosen_appointments_are_confirmed_after_a_preview(client: TestClient, cast: Cast) -> None:
    put_some(cast)
    log_in(client, "fiona")
    page = look(client, "/admin/appointments?chosen=all")
    boxes = page.all("input", form="selection")
    assert len(boxes) == 3
    assert all(box.get("checked") is not None for box in boxes)
    # A list of the past has nothing to choose, and no bar for it.
    past = look(client, "/admin/appointments?from=2026-03-01&until=2026-03-01")
    assert (chosen(past), past.all("form", id="selection"), "Choose all" in past.text) == ([], [], False)
    asked = "&".join(f"chosen={reference}" for reference in chosen(page))
    preview = look(client, f"/admin/appointments/selection?action=confirm&{asked}&back=/admin/appointments")
    assert "2 appointments will be confirmed" in preview.text
    assert "It’s already confirmed." in preview.text
    form = preview.form("/admin/appointments/selection")
    sent = {**form, "chosen": [each["value"] for each in preview.all("input", name="chosen")]}
    # Another person cancels one of them meanwhile.
    late = str(sent["chosen"][1]).partition(".")[0]
    mine = models.Appointment.reference == late
    cast.change(sa.update(models.Appointment).where(mine).values(status="cancelled", version=2))
    answer = client.post("/admin/appointments/selection", data=sent)
    assert answer.status_code == 409
    assert "1 appointment is confirmed." in read(answer).text
    assert [each.status for each in appointments(cast)] == ["completed", "confirmed", "confirmed", "cancelled"]
    assert len(events(cast, "confirmed")) == 1
    # Sent again, even twice in one form, it has the same effect as once.
    again = client.post("/admin/appointments/selection", data={**sent, "chosen": [sent["chosen"][0]] * 2})
    assert again.headers["location"] == "/admin/appointments"
    assert "1 appointment is confirmed." in look(client, "/admin/appointments").text
    assert len(events(cast, "confirmed")) == 1


@pytest.mark.both_databases
def test_a_selection_without_appointments_or_with_an_unknown_action_changes_nothing(
    client: TestClient, cast: Cast
) -> None:
    log_in(client, "fiona")
    assert "Choose appointments in the list first." in look(client, "/admin/appointments/selection?action=confirm").text
    look(client, "/admin/appointments/selection?action=erase&chosen=AAAA-0001", 404)
    many = "&".join(["chosen=AAAA-0001"] * 201)
    assert "at most 200" in look(client, f"/admin/appointments/selection?action=confirm&{many}", 422).text
    sent = {"action": "confirm", "chosen": [f"AAAA-{number:04d}.1" for number in range(201)]}
    assert "at most 200" in client.post("/admin/appointments/selection", data=sent).text


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("query", "days"),
    [
        ("from=2026-03-01", ["1 March", "2 March", "9 March", "10 March"]),
        ("until=2026-03-02", ["1 March", "2 March"]),
        ("from=2026-03-02&until=2026-03-02", ["2 March"]),
        ("doctor=erin", ["10 March"]),
        ("doctor=nobody", []),
        ("status=confirmed", ["2 March"]),
        ("unconfirmed=y", ["9 March", "10 March"]),
        ("flagged=1", ["10 March"]),
        ("patient=Dave", ["2 March", "10 March"]),
        ("patient=Adasm", ["9 March"]),
        ("patient=zzzzz", []),
        ("sort=-time", ["10 March", "9 March", "2 March"]),
        ("from=2026-03-01&status=cancelled", []),
    ],
)
def test_filters_in_the_address(client: TestClient, cast: Cast, query: str, days: list[str]) -> None:
    put_some(cast)
    log_in(client, "carol")
    page = look(client, f"/admin/appointments?{query}")
    assert [row.partition(",")[0] for row in rows_of(page)] == days


@pytest.mark.both_databases
def test_a_reference_a_telephone_number_and_a_kind_find_appointments(client: TestClient, cast: Cast) -> None:
    put_some(cast)

    def keep(session: Any) -> None:
        phone = "020 555 0199"
        search_index.keep_words(
            session, cast.patient_ids["dave"], name="Dave Dunn", email="dave@docket.example", phone=phone
        )

    cast.database.write(keep)
    log_in(client, "carol")
    old = appointments(cast)[0].reference
    assert len(rows_of(look(client, f"/admin/appointments?patient={old.lower()}"))) == 1
    assert len(rows_of(look(client, "/admin/appointments?patient=5550199"))) == 2
    assert len(rows_of(look(client, f"/admin/appointments?visit_type={cast.long}"))) == 3
    assert len(rows_of(look(client, f"/admin/appointments?visit_type={cast.short}"))) == 0


@pytest.mark.both_databases
def test_odd_filters_break_nothing(client: TestClient, cast: Cast) -> None:
    put_some(cast)
    log_in(client, "carol")
    for odd in (
        "sort=x",
        "status=x",
        "visit_type=x",
        "visit_type=-1",
        "before=x",
        "after=x.1",
        "page=9",
        "patient=%00",
        "patient=" + "a" * 5000,
        "doctor=" + "b" * 5000,
        "after=2026-03-02T09:00:00Z.99999999999",
        "sort=-time&after=9999-12-31T23:59:59Z.1",
    ):
        assert client.get(f"/admin/appointments?{odd}").status_code in {200, 400}, odd
    wrong = look(client, "/admin/appointments?from=2026-02-30", 422)
    assert "Enter a real date" in wrong.text
    assert len(rows_of(wrong)) == 3
    for far in ("until=9999-12-31", "from=0001-01-01", "until=2101-01-01"):
        assert "Enter a date between 2000 and 2100." in look(client, f"/admin/appointments?{far}", 422).text
    assert len(rows_of(look(client, "/admin/appointments?from=2000-01-01&until=2100-12-31"))) == 4


@pytest.mark.both_databases
def test_long_lists_have_pages_that_keep_the_filters(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "list_appointments", partial(listing.list_appointments, limit=2))
    for day in range(9, 14):
        appointment_rows.put(cast, f"2026-03-{day:02d} 10:00")
    log_in(client, "carol")
    page = look(client, "/admin/appointments?doctor=bob&sort=-time")
    seen = rows_of(page)
    while page.all("a", rel="next"):
        onward = page.one("a", rel="next")["href"]
        assert "doctor=bob" in onward
        assert "sort=-time" in onward
        page = look(client, onward)
        seen += rows_of(page)
    assert [row.split()[0] for row in seen] == ["13", "12", "11", "10", "9"]
    back = look(client, page.one("a", rel="prev")["href"])
    assert rows_of(back) == seen[2:4]
    # Rows may be gone since; there is a way back.
    cast.change(sa.update(models.Appointment).values(doctor_id=cast.doctor_ids["erin"]))
    gone = look(client, onward)
    assert "Back to the first page" in gone.text


def test_the_list_is_a_fragment_for_htmx(client: TestClient, cast: Cast) -> None:
    put_some(cast)
    log_in(client, "carol")
    whole = look(client, "/admin/appointments?doctor=bob")
    part = read_fragment(client.get("/admin/appointments?doctor=bob", headers=HTMX), "appointment-list")
    assert part.links == whole.one("section", id="appointment-list").links


def test_the_most_used_days_are_one_click_away(client: TestClient, cast: Cast) -> None:
    put_some(cast)
    log_in(client, "carol")
    page = look(client, "/admin/appointments?doctor=bob")
    jumps = {link.text: link["href"] for link in page.one("nav", aria_label="Days").all("a")}
    assert jumps["Today"] == "/admin/appointments?from=2026-03-02&until=2026-03-02&doctor=bob"
    assert jumps["Tomorrow"] == "/admin/appointments?from=2026-03-03&until=2026-03-03&doctor=bob"
    assert jumps["This week"] == "/admin/appointments?from=2026-03-02&until=2026-03-08&doctor=bob"
    shown = look(client, jumps["Today"]).one("nav", aria_label="Days").one("a", aria_current="true")
    assert shown.text == "Today"


@pytest.mark.both_databases
def test_the_export_is_the_filtered_list_without_formulas_and_leaves_a_trace(client: TestClient, cast: Cast) -> None:
    put_some(cast)
    reasons = {"override_reason": "By the doctor", "squeeze_reason": "A fever"}
    monday = models.Appointment.starts_at == local("2026-03-09 10:00")
    cast.change(sa.update(models.Appointment).where(monday).values(reasons))
    formula, number = '=cmd|" /C calc"!A0', "+32 470 12 34 56"
    cast.change(sa.update(models.Patient).where(models.Patient.name == "Dave Dunn").values(name=formula, phone=number))
    log_in(client, "carol")
    page = look(client, "/admin/appointments?from=2026-03-01")
    assert "Export as CSV (4 rows)" in page.text
    (link,) = [href for href in page.links if ".csv" in href]
    answer = client.get(link)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="appointments-2026-03-02.csv"' in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-total-count"] == "4"
    table = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert table[0][:3] == ["Starts (UTC)", "Day", "Time"]
    assert [row[1] for row in table[1:-1]] == ["2026-03-01", "2026-03-02", "2026-03-09", "2026-03-10"]
    # A file without this line is incomplete.
    assert table[-1] == ["End of the list: 4 rows"]
    assert table[2][5] == f"'{formula}"
    assert table[2][7] == number
    assert table[4][11] == "Erin is away then"
    # Why a rule was overridden, and why it was squeezed in.
    assert (table[0][-2:], table[3][-2:]) == (["Exception", "Squeezed in"], ["By the doctor", "A fever"])
    assert len(events(cast, "appointments_exported")) == 1


@pytest.mark.both_databases
def test_an_export_is_refused_where_it_would_lack_patients(client: TestClient, cast: Cast) -> None:
    def add(session: Session) -> None:
        for number in range(101):
            patient = models.Patient(name=f"Xaver {number}", created_at=NOW)
            session.add(patient)
            session.flush()
            search_index.keep_words(session, patient.id, name=patient.name, email="", phone="")

    cast.database.write(add)
    log_in(client, "carol")
    answer = client.get("/admin/appointments.csv?patient=xaver")
    assert answer.status_code == 422
    assert "More than 100 patients match." in read(answer).text
    assert client.get("/admin/appointments.csv?patient=xaver+1").status_code == 200


def test_staff_who_open_the_patients_list_are_redirected_to_their_own(cast: Cast) -> None:
    for who, where in (("carol", "/admin/appointments"), ("bob", "/schedule")):
        with client_for(cast.database) as client:
            answer = log_in(client, who).get("/appointments")
            assert (answer.status_code, answer.headers["location"]) == (303, where)


# ------------------------------------------------------------------------------------- where a booking begins


def test_addresses_that_began_a_booking_lead_to_the_desks_own_page(client: TestClient, cast: Cast) -> None:
    log_in(client, "fiona")
    patient = cast.patient_ids["alice"]
    named = f"doctor=bob&visit_type={cast.by_phone}&patient={patient}"
    for address, query in (("/admin/appointments/new", named), ("/book", f"patient={patient}")):
        answer = client.get(f"{address}?{query}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/desk/booking?{query}")
        assert "Alice Adams" in look(client, answer.headers["location"]).text


# ------------------------------------------------------------------------------------------------ why not?


def ask(client: TestClient, **query: Any) -> Element:
    return read(client.get("/admin/appointments/why", params={"doctor": "bob", **query}))


@pytest.mark.both_databases
def test_every_rule_that_refuses_leads_to_where_it_is_set(client: TestClient, cast: Cast) -> None:
    bob = cast.doctor_ids["bob"]
    cast.add(models.TimeOff(doctor_id=bob, starts_at=local("2026-03-04 09:00"), ends_at=local("2026-03-04 17:00")))
    cast.add(models.Closure(name="Inventory", starts_on=date(2026, 3, 5), ends_on=date(2026, 3, 5)))
    reference = cast.book(cast.dave, TEN)
    log_in(client, "carol")
    for day, time, more, place in (
        ("2026-03-04", "10:00", {}, "/admin/doctors/bob/time-off"),
        ("2026-03-05", "10:00", {}, "/admin/closures"),
        ("2026-03-03", "10:00", {}, f"/appointments/{reference}"),
        ("2026-03-06", "12:00", {}, "/admin/doctors/bob/hours"),
        ("2026-03-07", "12:00", {}, "/admin/clinic/opening-hours"),
        ("2026-03-06", "10:01", {}, "/admin/doctors/bob"),
        ("2026-03-02", "09:00", {}, "/admin/clinic/rules"),
        ("2026-08-03", "09:00", {}, "/admin/clinic/rules"),
        ("2026-03-06", "10:00", {"visit_type": cast.by_phone}, "/admin/visit-types"),
        ("2026-03-06", "10:00", {"visit_type": cast.erins_only}, "/admin/doctors/bob"),
    ):
        page = ask(client, date=day, time=time, **more)
        assert place in page.one("section", aria_labelledby="answer-1").links, (day, time)
        assert "can’t be booked" in page.text


def test_a_time_that_is_offered_can_be_booked_from_the_answer(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    page = ask(client, date="2026-03-03", time="10:00", visit_type=cast.short)
    assert "This time can be booked." in page.text
    (book,) = [href for href in page.links if href.startswith("/book?")]
    assert look(client, book).h1 == "Who is this appointment for?"


@pytest.mark.both_databases
def test_a_patients_other_appointments_count_where_a_patient_is_named(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN, doctor="erin", visit_type=cast.long)
    log_in(client, "carol")
    assert "This time can be booked" in ask(client, date="2026-03-03", time="10:00").text
    alice = cast.patient_ids["alice"]
    for time, words_ in (
        ("10:00", "already has an appointment"),
        ("10:45", "another appointment less than 30 minutes away"),
    ):
        page = ask(client, date="2026-03-03", time=time, patient=alice)
        assert words_ in page.text
        assert f"/appointments/{reference}" in page.links
        assert "Other appointments of Alice Adams are taken into account." in page.text
    assert "This time can be booked" in ask(client, date="2026-03-03", time="11:00", patient=alice).text


def test_an_hour_that_comes_twice_has_two_answers_and_one_that_is_skipped_has_none(
    client: TestClient, cast: Cast
) -> None:
    log_in(client, "carol")
    page = ask(client, date="2026-10-25", time="02:30")
    assert [title.text.rpartition(", ")[2] for title in page.all("h2", class_="title")] == ["02:30 CEST", "02:30 CET"]
    skipped = client.get("/admin/appointments/why?doctor=bob&date=2026-03-29&time=02:30")
    assert skipped.status_code == 422
    assert "the clocks skip it" in read(skipped).text


def test_a_doctor_who_takes_no_bookings_can_be_asked_about_too(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.Doctor).where(models.Doctor.slug == "bob").values(active=False))
    log_in(client, "carol")
    page = ask(client, date="2026-03-03", time="10:00")
    assert "This doctor is not taking bookings at the moment." in page.text
    assert "/admin/doctors/bob" in page.links


def test_an_incomplete_question_is_answered_with_the_missing_fields(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    assert not look(client, "/admin/appointments/why").all(role="alert")
    for query, words_ in (
        ("doctor=bob", "Enter the date."),
        ("doctor=bob&date=2026-03-03", "Enter the time."),
        ("date=2026-03-03&time=10:00", "Choose a doctor."),
        ("doctor=nobody&date=2026-03-03&time=10:00", "Choose a doctor."),
        ("doctor=bob&date=x&time=10:00", "Enter a real date"),
        ("doctor=bob&date=2026-03-03&time=10:00&visit_type=999", "Visit type not found."),
    ):
        assert words_ in look(client, f"/admin/appointments/why?{query}", 422).text, query


def test_a_printed_list_says_of_which_clinic_days_and_doctor_it_is(cast: Cast) -> None:
    with client_for(cast.database) as client:
        page = read(log_in(client, "carol").get("/admin/appointments?from=2026-03-03&until=2026-03-04&doctor=bob"))
    words = "Harbour Lane Clinic · From Tuesday 3 March 2026 · To Wednesday 4 March 2026 · Dr. Bob Brown"
    assert page.one("p", class_="print-only").text == words

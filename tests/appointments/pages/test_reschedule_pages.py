"""Moving and cancelling through the pages."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import Cast, client_for, local, log_in
from tests.reading import HTMX, read, read_fragment
from webapp import models
from webapp.core.formats import iso
from webapp.exceptions import Unavailable

OLD = "2026-03-10 09:30"
NEW = "2026-03-11 14:00"


def appointment(cast: Cast, reference: str) -> models.Appointment:
    with cast.database.reading() as session:
        return session.scalars(sa.select(models.Appointment).where(models.Appointment.reference == reference)).one()


# ---------------------------------------------------------------------------------------------- moving


def test_moving_starts_with_the_free_times_of_the_same_doctor_and_visit_type(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD, visit_type=cast.long)
    path = f"/appointments/{reference}/reschedule"
    answer = log_in(client, "alice").get(path)
    assert answer.headers["cache-control"] == "no-store"
    page = read(answer)
    assert page.h1 == "When would you like to come instead?"
    assert "First visit with Dr. Bob Brown. Nothing changes until you confirm." in page.text
    assert "Tuesday 10 March 2026" in page.one("section", aria_labelledby="old-time").text
    assert not page.all("section", aria_labelledby="new-time")
    hrefs = [slot["href"] for slot in page.all("a", class_="slot")]
    assert hrefs
    assert all(href.startswith(f"{path}?starts_at=") for href in hrefs)
    assert not page.all("form", class_="kinds")


def test_the_calendar_of_a_move_opens_on_the_week_of_the_appointment(client: TestClient, cast: Cast) -> None:
    path = f"/appointments/{cast.book(cast.alice, '2026-03-18 09:30')}/reschedule"
    log_in(client, "alice")

    def title() -> str:
        return read(client.get(path)).one("h2", id="calendar-title").text

    assert title() == "16 to 20 March 2026"
    # If nothing is free in that week, the next free time comes first.
    cast.add(
        models.TimeOff(
            doctor_id=cast.doctor_ids["bob"],
            starts_at=local("2026-03-02 00:00"),
            ends_at=local("2026-03-21 00:00"),
        )
    )
    assert title() == "23 to 27 March 2026"


def test_the_calendar_of_a_move_is_a_fragment_for_htmx(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "alice")
    whole = read(client.get(f"{path}?week=2026-W12"))
    onward = whole.one("a", id="calendar-next")
    assert onward["href"] == onward["hx-get"] == f"{path}?week=2026-W13"
    part = read_fragment(client.get(f"{path}?week=2026-W12", headers=HTMX), "calendar")
    assert part.links == whole.one("section", id="calendar").links


def test_an_appointment_does_not_block_its_own_move(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD, visit_type=cast.long)
    page = read(log_in(client, "alice").get(f"/appointments/{reference}/reschedule?week=2026-W11"))
    # A quarter of an hour later overlaps only the appointment that is being moved.
    assert any(iso(local("2026-03-10 09:45")) in href for href in page.links)


def test_a_chosen_time_is_shown_beside_the_old_one_and_changes_nothing(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "alice")
    page = read(client.get(path, params={"starts_at": iso(local(NEW))}))
    assert page.h1 == "Is this the right time?"
    assert "Tuesday 10 March 2026 09:30" in page.one("section", aria_labelledby="old-time").text
    assert "Wednesday 11 March 2026 14:00" in page.one("section", aria_labelledby="new-time").text
    assert page.one("button", class_="primary").text == "Move to Wed 11 Mar, 14:00"
    assert page.form(path) == {"starts_at": "2026-03-11T13:00:00Z", "version": "1"}
    # The chosen time is marked in the calendar, which shows its week.
    (chosen,) = page.one("section", id="calendar").all("a", aria_current="true")
    assert chosen.text == "14:00"
    assert (
        "You can move or cancel it until Tuesday 10 March at 14:00."
        in page.one("section", aria_labelledby="new-time").text
    )
    assert appointment(cast, reference).starts_at == local(OLD)


def test_moving_to_a_time_that_is_soon_warns_that_it_is_final(client: TestClient, cast: Cast) -> None:
    path = f"/appointments/{cast.book(cast.alice, OLD)}/reschedule"
    page = read(log_in(client, "alice").get(path, params={"starts_at": iso(local("2026-03-02 14:00"))}))
    said = "If you move to this time and need another change, please call us: it’s within 24 hours."
    assert said in page.one("section", aria_labelledby="new-time").text
    # The time limit does not apply to staff.
    for staff in ("bob", "carol"):
        answer = log_in(client, staff).get(path, params={"starts_at": iso(local("2026-03-02 14:00"))})
        assert answer.status_code == 200
        assert said not in read(answer).text


def test_confirming_moves_the_appointment_and_keeps_everything_else(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD, visit_type=cast.buffered)
    cast.change(sa.update(models.Appointment).values(reason="Knee", status="confirmed"))
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "alice")
    form = read(client.get(path, params={"starts_at": iso(local(NEW))})).form(path)
    answer = client.post(path, data=form)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/appointments/{reference}"
    page = read(client.get(f"/appointments/{reference}"))
    assert "The appointment is moved." in page.text
    assert "Wednesday 11 March 2026" in page.text
    moved = appointment(cast, reference)
    assert (moved.starts_at, moved.ends_at) == (local(NEW), local("2026-03-11 14:45"))
    assert (moved.busy_from, moved.busy_until) == (local("2026-03-11 13:55"), local("2026-03-11 14:55"))
    assert (moved.reason, moved.status, moved.version) == ("Knee", "scheduled", 2)
    # The old time is free again, and the next page does not repeat the message.
    assert any(iso(local(OLD)) in href for href in read(client.get("/doctors/bob?week=2026-W11")).links)
    assert "The appointment is moved." not in read(client.get(f"/appointments/{reference}")).text


def test_moving_by_htmx_redirects_to_the_appointment(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    log_in(client, "alice")
    moved = {"starts_at": iso(local(NEW)), "version": "1"}
    answer = client.post(f"/appointments/{reference}/reschedule", data=moved, headers=HTMX)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, f"/appointments/{reference}")


def test_when_the_time_was_just_taken_the_old_time_stays_and_the_nearest_are_offered(
    client: TestClient, cast: Cast
) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "alice")
    form = read(client.get(path, params={"starts_at": iso(local(NEW))})).form(path)
    cast.book(cast.dave, NEW)
    for answer in (client.post(path, data=form), client.get(path, params={"starts_at": iso(local(NEW))})):
        assert answer.status_code == 409
        page = read(answer)
        faster = page.one("section", id="taken-time")
        assert "Someone else booked Wednesday 11 March at 14:00 while you were choosing." in faster.text
        others = [link["href"] for link in faster.all("a", class_="slot")]
        assert others == [f"{path}?starts_at=2026-03-11T{time}%3A00Z" for time in ("12%3A30", "12%3A45", "13%3A15")]
        assert page.h1 == "When would you like to come instead?"
    assert appointment(cast, reference).starts_at == local(OLD)
    # One of them shows the old and new times side by side, and moves.
    form = read(client.get(others[2])).form(path)
    assert client.post(path, data=form).status_code == 303
    assert appointment(cast, reference).starts_at == local("2026-03-11 14:15")


def test_a_time_that_breaks_a_rule_is_refused_with_its_reason(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "alice")
    for start, words in (
        ("2026-03-14 10:00", "The clinic is not open"),
        ("2026-03-11 09:01", "one of this doctor’s start times"),
        ("2026-03-01 10:00", "That time has passed."),
        ("2026-03-02 09:00", "Appointments must be booked at least 2 hours ahead"),
        ("2026-03-11 12:00", "The doctor is not working"),
    ):
        when = iso(local(start))
        for answer in (
            client.get(path, params={"starts_at": when}),
            client.post(path, data={"starts_at": when, "version": "1"}),
        ):
            assert answer.status_code == 422, start
            page = read(answer)
            assert words in page.text
            assert not page.all("section", aria_labelledby="new-time")
    assert appointment(cast, reference).starts_at == local(OLD)


def test_the_current_time_is_no_move(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    log_in(client, "alice")
    sent = {"starts_at": iso(local(OLD)), "version": "1"}
    answer = client.post(f"/appointments/{reference}/reschedule", data=sent)
    assert answer.status_code == 422
    assert "Your appointment is already at that time." in read(answer).text


def test_an_invalid_time_is_refused_and_the_calendar_stays(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "alice")
    for odd in ("x", "2026-03-11", "2026-03-11T14:00:00", "2026-02-30T14:00:00Z", "9999-12-31T23:59:00Z", "١"):
        for answer in (
            client.get(path, params={"starts_at": odd}),
            client.post(path, data={"starts_at": odd, "version": "1"}),
        ):
            assert answer.status_code == 422, odd
            assert read(answer).all("a", class_="slot"), odd


def test_an_appointment_changed_meanwhile_is_shown_again_before_it_moves(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}/reschedule"
    log_in(client, "alice")
    stale = read(client.get(path, params={"starts_at": iso(local(NEW))})).form(path)
    assert client.post(path, data={"starts_at": iso(local("2026-03-12 09:00")), "version": "1"}).status_code == 303
    answer = client.post(path, data=stale)
    assert answer.status_code == 409
    page = read(answer)
    assert "This appointment has changed since you opened it." in page.text
    assert "Thursday 12 March 2026 09:00" in page.one("section", aria_labelledby="old-time").text
    assert appointment(cast, reference).starts_at == local("2026-03-12 09:00")


# ------------------------------------------------------------------------------------------- cancelling


def test_cancelling_asks_first(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}/cancellation"
    answer = log_in(client, "alice").get(path)
    assert answer.headers["cache-control"] == "no-store"
    page = read(answer)
    assert page.h1 == "Cancel your appointment on Tuesday 10 March at 09:30?"
    assert page.form(path) == {"reason": "", "version": "1"}
    assert f"/appointments/{reference}" in page.one("form", action=path).links
    assert appointment(cast, reference).status == "scheduled"


def test_confirming_cancels_with_the_reason_and_frees_the_time(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}/cancellation"
    log_in(client, "alice")
    answer = client.post(path, data={**read(client.get(path)).form(path), "reason": "I am well again"})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/appointments/{reference}"
    page = read(client.get(f"/appointments/{reference}"))
    assert "The appointment is cancelled." in page.text
    assert f"{path}" not in page.links
    assert f"/appointments/{reference}/reschedule" not in page.links
    with client_for(cast.database) as doctors:
        seen = read(log_in(doctors, "bob").get(f"/appointments/{reference}")).text
    assert "Why it was cancelled I am well again" in seen
    cancelled = appointment(cast, reference)
    assert (cancelled.status, cancelled.cancellation_reason, cancelled.version) == ("cancelled", "I am well again", 2)
    cast.book(cast.dave, OLD)


def test_cancelling_by_htmx_redirects_to_the_appointment(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    log_in(client, "alice")
    answer = client.post(f"/appointments/{reference}/cancellation", data={"version": "1"}, headers=HTMX)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, f"/appointments/{reference}")


def test_a_reason_that_is_too_long_is_kept_and_nothing_is_cancelled(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}/cancellation"
    log_in(client, "alice")
    answer = client.post(path, data={"version": "1", "reason": "a" * 501})
    assert answer.status_code == 422
    page = read(answer)
    assert page.form(path)["reason"] == "a" * 501
    assert "This is too long. Use up to 500 characters." in page.text
    assert page.one("title").text.startswith("Problem: Cancel the appointment")
    assert appointment(cast, reference).status == "scheduled"


def test_an_appointment_changed_meanwhile_is_shown_again_before_it_is_cancelled(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}/cancellation"
    log_in(client, "alice")
    moved = {"starts_at": iso(local(NEW)), "version": "1"}
    assert client.post(f"/appointments/{reference}/reschedule", data=moved).status_code == 303
    answer = client.post(path, data={"version": "1", "reason": "Better"})
    assert answer.status_code == 409
    page = read(answer)
    assert "This appointment has changed since you opened it." in page.text
    assert page.h1 == "Cancel your appointment on Wednesday 11 March at 14:00?"
    assert page.form(path) == {"reason": "Better", "version": "2"}
    assert client.post(path, data=page.form(path)).status_code == 303


def test_cancelled_or_past_appointments_can_neither_move_nor_be_cancelled(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    log_in(client, "alice")
    for status in ("cancelled", "completed", "no_show"):
        cast.change(sa.update(models.Appointment).values(status=status))
        for path in ("cancellation", "reschedule"):
            address = f"/appointments/{reference}/{path}"
            sent = {"starts_at": iso(local(NEW)), "version": "1"}
            asked = client.get(address)
            assert (asked.status_code, asked.headers["location"]) == (303, f"/appointments/{reference}"), (status, path)
            answer = client.post(address, data=sent)
            if (status, path) == ("cancelled", "cancellation"):
                # It is as the form wants it.
                assert (answer.status_code, answer.headers["location"]) == (303, f"/appointments/{reference}")
                continue
            assert answer.status_code == 409, (status, path)
            assert "This appointment can no longer be changed" in read(answer).text
        assert appointment(cast, reference).status == status


def test_a_form_of_any_shape_on_an_appointment_that_is_over_is_a_conflict_without_a_button(
    client: TestClient, cast: Cast
) -> None:
    reference = cast.book(cast.alice, OLD)
    log_in(client, "alice")
    cast.change(sa.update(models.Appointment).values(status="cancelled"))
    for path, sent in (
        ("cancellation", {"version": "1", "reason": "a" * 501}),
        ("cancellation", {"version": "1", "reason": "I am well again"}),
        ("reschedule", {"version": "1", "starts_at": "x"}),
        ("reschedule", {}),
    ):
        address = f"/appointments/{reference}/{path}"
        answer = client.post(address, data=sent)
        assert answer.status_code == 409, sent
        page = read(answer)
        assert "This appointment can no longer be changed" in page.text
        assert not page.all("form", action=address)
        assert [field.raw.strip() for field in page.all("textarea")] == [
            sent[name] for name in sent if name == "reason"
        ]


def test_when_the_time_limit_passes_while_typing_the_text_is_shown(cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    with client_for(cast.database, now=local("2026-03-09 09:31")) as client:
        log_in(client, "alice")
        sent = {"version": "1", "reason": "I am well again"}
        answer = client.post(f"/appointments/{reference}/cancellation", data=sent)
    assert answer.status_code == 422
    page = read(answer)
    assert "It is too late to change this appointment online" in page.text
    assert page.one("textarea").raw.strip() == "I am well again"
    assert f"/appointments/{reference}" in page.links
    assert appointment(cast, reference).status == "scheduled"


def test_a_busy_database_keeps_the_choice_and_the_text(
    client: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_args: object, **_kwargs: object) -> None:
        raise Unavailable("Docket is very busy right now.")

    reference = cast.book(cast.alice, OLD)
    log_in(client, "alice")
    monkeypatch.setattr("webapp.appointments.booking.service.cancel", busy)
    monkeypatch.setattr("webapp.appointments.booking.service.move", busy)
    for path, sent in (
        ("cancellation", {"reason": "I am well again", "version": "1"}),
        ("reschedule", {"starts_at": iso(local(NEW)), "version": "1"}),
    ):
        address = f"/appointments/{reference}/{path}"
        answer = client.post(address, data=sent)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        page = read(answer)
        assert "Docket is very busy right now." in page.text
        assert page.form(address) == sent


def test_staff_may_move_and_cancel_when_it_is_too_late_for_the_patient(cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    path = f"/appointments/{reference}"
    with client_for(cast.database, now=local("2026-03-10 08:00")) as client:
        log_in(client, "bob")
        page = read(client.get(path))
        assert f"{path}/cancellation" in page.links
        moved = {"starts_at": iso(local("2026-03-10 11:00")), "version": "1"}
        assert client.post(f"{path}/reschedule", data=moved).status_code == 303
        assert client.post(f"{path}/cancellation", data={"version": "2"}).status_code == 303
        assert "Cancelled by you" in read(client.get(path)).text
    with client_for(cast.database) as client:
        assert "Cancelled by Dr. Bob Brown" in read(log_in(client, "alice").get(path)).text


def test_coming_back_to_the_present_time_leads_to_the_appointment(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    answer = log_in(client, "alice").get(f"/appointments/{reference}/reschedule?starts_at={iso(local(OLD))}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/appointments/{reference}")


def test_staff_read_whose_appointment_they_change(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    log_in(client, "carol")
    for path in ("cancellation", "reschedule"):
        assert "Alice Adams" in read(client.get(f"/appointments/{reference}/{path}")).h1


# ------------------------------------------------------------------------- another doctor, another visit type


def test_staff_give_an_appointment_to_another_doctor_at_the_same_time(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    address = f"/appointments/{reference}/reschedule"
    log_in(client, "carol")
    erin = str(cast.doctor_ids["erin"])
    form = read(client.get(address)).form(address, "get")
    assert (form["doctor"], form["visit_type"]) == (str(cast.doctor_ids["bob"]), str(cast.short))
    # Erin does not offer this visit type: her first one is proposed, with its own length.
    page = read(client.get(address, params={**form, "doctor": erin}))
    assert page.h1 == "Change Alice Adams’s appointment"
    new = page.one("section", aria_labelledby="new-time").text
    assert "Dr. Erin Eze" in new
    assert "30 minutes, until 10:30" in new
    assert any(f"?doctor={erin}&visit_type={cast.long}&starts_at=" in link for link in page.links)
    answer = client.post(address, data=page.form(address))
    assert answer.status_code == 303, answer.text
    page = read(client.get(answer.headers["location"]))
    assert "Given to Dr. Erin Eze by you (before: Dr. Bob Brown)" in page.text
    assert "Visit type changed to “First visit” by you (before: “Follow-up”)" in page.text
    # The same form sent twice changes nothing more.
    assert client.post(address, data={**form, "doctor": erin, "visit_type": str(cast.long)}).status_code in {303, 422}


def test_a_colleagues_taken_time_offers_the_nearest_with_the_colleague(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 10:00", visit_type=cast.long)
    cast.book(cast.dave, "2026-03-05 10:00", doctor="erin", visit_type=cast.long)
    log_in(client, "carol")
    answer = client.get(f"/appointments/{reference}/reschedule", params={"doctor": cast.doctor_ids["erin"]})
    assert answer.status_code == 409
    page = read(answer)
    near = page.one("section", id="taken-time")
    assert "Nearest free times with Dr. Erin Eze" in near.text
    assert all(f"doctor={cast.doctor_ids['erin']}" in link for link in near.links)


def test_doctors_change_the_type_but_not_the_doctor_and_patients_neither(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    address = f"/appointments/{reference}/reschedule"
    log_in(client, "bob")
    page = read(client.get(address, params={"visit_type": cast.long}))
    assert [option["value"] for option in page.one("select", name="doctor").all("option")] == [
        str(cast.doctor_ids["bob"])
    ]
    assert client.post(address, data=page.form(address)).status_code == 303
    assert client.get(address, params={"doctor": cast.doctor_ids["erin"]}).status_code == 403
    log_in(client, "alice")
    page = read(
        client.get(address, params={"doctor": cast.doctor_ids["erin"], "starts_at": iso(local("2026-03-06 10:00"))})
    )
    form = page.form(address)
    assert "doctor" not in form
    assert client.post(address, data={**form, "doctor": str(cast.doctor_ids["erin"])}).status_code == 303
    with cast.database.reading() as session:
        doctor_id = session.scalar(sa.select(models.Appointment.doctor_id))
    assert doctor_id == cast.doctor_ids["bob"]

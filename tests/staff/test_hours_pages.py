"""The pages of working hours and extra hours: a doctor's own, and any doctor's for an admin."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, Cast, client_for, local, log_in
from tests.reading import Element, read
from webapp.core.day_hours import Week
from webapp.doctors import hours
from webapp.integrity.problems import find_problems
from webapp.models import Appointment, AuditEvent, Doctor, WorkingHours

OWN, BOBS = "/schedule/hours", "/admin/doctors/bob/hours"
WEEK = "09:00-12:00, 13:00-17:00"


def texts(page: Element) -> dict[str, str]:
    """The hours of each day in the form."""
    return {name: value for name, value in page.values().items() if name.endswith("day") and name != "day"}


def saved(cast: Cast, doctor: str = "bob") -> dict[str, Week]:
    """The weeks of a doctor by period."""
    with cast.database.reading() as session:
        return {each.period.key: each.week for each in hours.list_periods(session, cast.doctor_ids[doctor])}


def appointment(cast: Cast, reference: str) -> Appointment:
    with cast.database.reading() as session:
        return session.scalars(sa.select(Appointment).where(Appointment.reference == reference)).one()


def problems(cast: Cast) -> list[str]:
    return list(find_problems(cast.database, now=NOW))


@pytest.fixture
def bob(client: TestClient) -> TestClient:
    return log_in(client, "bob")


def test_doctors_read_their_own_hours_and_admins_those_of_any_doctor(cast: Cast, client: TestClient) -> None:
    log_in(client, "bob")
    page = read(client.get(OWN))
    assert page.h1 == "Working hours"
    assert "09:00 to 12:00, 13:00 to 17:00" in page.one("dl").text.replace("\u00a0", " ")
    assert "Monday to Friday: " in page.text
    assert {f"{OWN}/new", f"{OWN}/always", f"{OWN}/extra", "/schedule/time-off"} <= set(page.links)
    log_in(client, "carol")
    page = read(client.get(BOBS))
    assert page.h1 == "Working hours of Dr. Bob Brown"
    assert {f"{BOBS}/new", f"{BOBS}/always", "/admin/doctors/bob", "/admin/doctors/bob/time-off"} <= set(page.links)


def test_an_admin_keeps_the_hours_of_a_doctor_who_takes_no_bookings(cast: Cast, client: TestClient) -> None:
    cast.change(sa.update(Doctor).where(Doctor.slug == "bob").values(active=False))
    log_in(client, "carol")
    assert "is not taking bookings" in read(client.get(BOBS)).text
    form = read(client.get(f"{BOBS}/always")).form(f"{BOBS}/always")
    answer = client.post(f"{BOBS}/always", data={**form, "friday": "", "step": "save"})
    assert (answer.status_code, answer.headers["location"]) == (303, BOBS)
    assert saved(cast)["always"][4] == ()
    with cast.database.reading() as session:
        row = session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "hours_changed")).one()
    assert (row.actor_user_id, row.actor_role) == (cast.carol.user_id, "admin")
    assert client.get("/admin/doctors/nobody/hours").status_code == 404


def test_a_doctor_without_hours_is_shown_what_to_do(cast: Cast, bob: TestClient) -> None:
    cast.change(sa.delete(WorkingHours))
    assert "No working hours yet" in read(bob.get(OWN)).text
    form = read(bob.get(f"{OWN}/new")).form(f"{OWN}/new")
    assert "end_present" not in form
    answer = bob.post(f"{OWN}/new", data={**form, "monday": "9-12 and 13-17", "step": "save"})
    assert answer.status_code == 303
    assert saved(cast) == {"always": (((540, 720), (780, 1020)), (), (), (), (), (), ())}


def test_the_form_for_new_hours_starts_with_the_current_ones_and_ends_them_the_day_before(
    cast: Cast, bob: TestClient
) -> None:
    form = read(bob.get(f"{OWN}/new")).form(f"{OWN}/new")
    assert form["monday"] == WEEK
    assert form["saturday"] == ""
    assert form["end_present"]
    without_day = bob.post(f"{OWN}/new", data={**form, "step": "save"})
    assert without_day.status_code == 422
    page = read(without_day)
    assert page.one("input", name="valid_from")["aria-invalid"] == "true"
    assert page.one("a", href="#valid_from")
    answer = bob.post(f"{OWN}/new", data={**form, "valid_from": "2026-06-01", "monday": "8-12", "step": "save"})
    assert answer.status_code == 303
    assert set(saved(cast)) == {"..2026-05-31", "2026-06-01.."}
    page = read(bob.get(OWN))
    assert "From 1 June 2026" in page.text
    assert "Until 31 May 2026 Current" in page.text


def test_hours_of_one_day_name_it_once(cast: Cast, bob: TestClient) -> None:
    cast.change(sa.update(WorkingHours).values(valid_from=date(2026, 3, 2), valid_until=date(2026, 3, 2)))
    text = read(bob.get(OWN)).text
    assert "2 March 2026 Current" in text
    assert "2 March 2026 to" not in text


def test_past_hours_are_folded_away(cast: Cast, bob: TestClient) -> None:
    cast.change(sa.update(WorkingHours).values(valid_until=date(2026, 3, 1)))
    page = read(bob.get(OWN))
    assert "Until 1 March 2026" in page.one("details").text
    assert "No current or upcoming hours" in page.text


def test_a_day_is_copied_to_others_without_saving_anything(cast: Cast, bob: TestClient) -> None:
    address = f"{OWN}/always"
    form = read(bob.get(address)).form(address)
    typed = {**form, "monday": "8-13", "saturday": "nine", "copy_from": "monday", "copy_to": "weekdays"}
    page = read(bob.post(address, data={**typed, "step": "copy"}))
    shown = texts(page)
    assert [shown[day] for day in ("monday", "friday", "saturday", "sunday")] == ["08:00-13:00"] * 2 + ["nine", ""]
    assert page.one("p", id="saturday-error")
    page = read(bob.post(address, data={**typed, "copy_to": "all", "step": "copy"}))
    assert set(texts(page).values()) == {"08:00-13:00"}
    assert not page.all("p", class_="error")
    assert saved(cast)["always"][0] == ((540, 720), (780, 1020))


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("monday", "12-9", "ends before it starts"),
        ("tuesday", "9-12, 11-13", "overlap"),
        ("sunday", "always", "Enter hours like"),
        ("valid_until", "31 May", "real date"),
        ("valid_until", "2199-01-01", "between 2000 and 2100"),
    ],
)
def test_invalid_input_is_reported_beside_its_field(
    cast: Cast, bob: TestClient, field: str, typed: str, words: str
) -> None:
    address = f"{OWN}/always"
    form = read(bob.get(address)).form(address)
    for step in ("save", "preview"):
        answer = bob.post(address, data={**form, field: typed, "wednesday": "10-11", "step": step})
        assert answer.status_code == 422
        page = read(answer)
        assert words in page.one("p", id=f"{field}-error").text
        assert page.one("input", name=field)["value"] == typed
        assert page.one("input", name="wednesday")["value"] == "10:00-11:00"
        assert page.one("title").text.startswith("Problem")
    assert set(saved(cast)) == {"always"}


def test_a_preview_says_what_changes_and_saves_nothing(cast: Cast, bob: TestClient) -> None:
    address = f"{OWN}/always"
    form = read(bob.get(address)).form(address)
    answer = bob.post(address, data={**form, "friday": "9-12", "step": "preview"})
    assert answer.status_code == 200
    page = read(answer)
    assert "can no longer be booked in the next 90 days." in page.text
    assert "No appointments are affected." in page.text
    assert texts(page)["friday"] == "09:00-12:00"
    assert saved(cast)["always"][4] == ((540, 720), (780, 1020))


@pytest.mark.parametrize("decision", ["keep", "move", "cancel"])
def test_hours_that_affect_an_appointment_ask_for_a_decision(cast: Cast, client: TestClient, decision: str) -> None:
    reference = cast.book(cast.alice, "2026-03-06 14:00")
    log_in(client, "carol")
    address = f"{BOBS}/always"
    form = read(client.get(address)).form(address)
    asked = client.post(address, data={**form, "friday": "9-12", "step": "save"})
    assert asked.status_code == 409
    page = read(asked)
    assert "Alice Adams" in page.text
    assert "The doctor is not working at that time." in page.text
    assert saved(cast)["always"][4] == ((540, 720), (780, 1020))
    answer = client.post(
        address, data={**page.form(address), f"decide-{reference}": decision, "why": "Fewer hours", "step": "save"}
    )
    assert answer.status_code == 303
    stored = appointment(cast, reference)
    assert saved(cast)["always"][4] == ((540, 720),)
    assert bool(stored.flagged_why) is (decision == "keep")
    assert (stored.status == "cancelled") is (decision == "cancel")
    assert (stored.starts_at != local("2026-03-06 14:00")) is (decision == "move")
    assert problems(cast) == []


def test_the_second_of_two_editors_sees_both_and_decides(cast: Cast, client: TestClient) -> None:
    log_in(client, "bob")
    address = f"{OWN}/always"
    form = read(client.get(address)).form(address)
    with client_for(cast.database) as office:
        log_in(office, "carol")
        theirs = read(office.get(f"{BOBS}/always")).form(f"{BOBS}/always")
        office.post(f"{BOBS}/always", data={**theirs, "monday": "10-12", "step": "save"})
    answer = client.post(address, data={**form, "tuesday": "8-12", "step": "save"})
    assert answer.status_code == 409
    page = read(answer)
    assert "Someone else changed this" in page.text
    assert "10:00-12:00" in page.one("p", id="monday-theirs").text
    assert WEEK in page.one("p", id="tuesday-theirs").text
    assert {each["id"] for each in page.all("p", class_="theirs")} == {"monday-theirs", "tuesday-theirs"}
    assert texts(page)["tuesday"] == "08:00-12:00"
    assert client.post(address, data={**page.form(address), "step": "save"}).status_code == 303
    assert saved(cast)["always"][:2] == (((540, 720), (780, 1020)), ((480, 720),))


def test_when_the_hours_were_removed_meanwhile_nothing_typed_is_lost(cast: Cast, bob: TestClient) -> None:
    address = f"{OWN}/always"
    form = read(bob.get(address)).form(address)
    cast.change(sa.delete(WorkingHours))
    answer = bob.post(address, data={**form, "monday": "8-12", "step": "save"})
    assert answer.status_code == 409
    assert "Someone else has removed these hours" in read(answer).text
    assert texts(read(answer))["monday"] == "08:00-12:00"
    assert bob.get(address).status_code == 404


def test_removing_hours_asks_first_also_about_appointments(cast: Cast, bob: TestClient) -> None:
    reference = cast.book(cast.alice, "2026-03-06 14:00")
    address = f"{OWN}/always/removal"
    page = read(bob.get(address))
    assert page.h1 == "Remove these hours?"
    assert saved(cast)
    asked = bob.post(address, data={**page.form(address), "step": "save"})
    assert asked.status_code == 409
    assert "Alice Adams" in read(asked).text
    answer = bob.post(address, data={**read(asked).form(address), "decide-all": "keep", "step": "save"})
    assert answer.status_code == 303
    assert saved(cast) == {}
    assert appointment(cast, reference).flagged_why
    assert problems(cast) == []
    assert bob.get(address).status_code == 404


TEMPORARY = {"valid_from": "2026-03-09", "valid_until": "2026-03-13", "end_present": "y", "monday": "8-10"}


def test_removing_temporary_hours_offers_the_hours_that_they_replaced(cast: Cast, bob: TestClient) -> None:
    assert bob.post(f"{OWN}/new", data={**TEMPORARY, "step": "save"}).status_code == 303
    address = f"{OWN}/2026-03-09..2026-03-13/removal"
    page = read(bob.get(address))
    assert "Until 8 March 2026" in page.text
    form = page.form(address)
    assert form["resume"]
    assert bob.post(address, data={**form, "step": "save"}).status_code == 303
    assert list(saved(cast)) == ["always"]


def test_days_without_hours_are_named_on_the_page_of_hours(cast: Cast, bob: TestClient) -> None:
    bob.post(f"{OWN}/new", data={**TEMPORARY, "step": "save"})
    address = f"{OWN}/2026-03-09..2026-03-13/removal"
    form = read(bob.get(address)).form(address)
    form.pop("resume")
    assert "No working hours on these days" not in read(bob.get(OWN)).text
    assert bob.post(address, data={**form, "step": "save"}).status_code == 303
    page = read(bob.get(OWN))
    assert "No working hours on these days" in page.text
    assert "9 March 2026 to 13 March 2026" in page.text


def test_other_dates_of_temporary_hours_move_the_hours_around_them(cast: Cast, bob: TestClient) -> None:
    assert "follow" not in read(bob.get(f"{OWN}/always")).form(f"{OWN}/always")
    bob.post(f"{OWN}/new", data={**TEMPORARY, "step": "save"})
    address = f"{OWN}/2026-03-09..2026-03-13"
    form = read(bob.get(address)).form(address)
    assert form["follow"]
    assert bob.post(address, data={**form, "valid_until": "2026-03-20", "step": "save"}).status_code == 303
    assert list(saved(cast)) == ["..2026-03-08", "2026-03-09..2026-03-20", "2026-03-21.."]


def test_removing_hours_that_were_changed_meanwhile_asks_again(cast: Cast, bob: TestClient) -> None:
    address = f"{OWN}/always/removal"
    form = read(bob.get(address)).form(address)
    cast.change(sa.delete(WorkingHours).where(WorkingHours.weekday > 0))
    answer = bob.post(address, data={**form, "step": "save"})
    assert answer.status_code == 409
    page = read(answer)
    assert "Someone else changed these hours" in page.text
    assert "Monday to Friday" not in page.text
    assert bob.post(address, data={**page.form(address), "step": "save"}).status_code == 303


def test_extra_hours_are_added_shown_and_removed(cast: Cast, bob: TestClient) -> None:
    address = f"{OWN}/extra"
    form = read(bob.get(f"{address}?day=2026-03-07")).form(address)
    assert form["day"] == "2026-03-07"
    assert bob.post(address, data={**form, "spans": "9-11", "step": "preview"}).status_code == 200
    answer = bob.post(address, data={**form, "spans": "9-11", "step": "save"})
    assert (answer.status_code, answer.headers["location"]) == (303, OWN)
    assert f"{address}/2026-03-07/removal" in read(bob.get(OWN)).links
    reference = cast.book(cast.alice, "2026-03-07 10:00")
    removal = f"{address}/2026-03-07/removal"
    page = read(bob.get(removal))
    assert "Saturday 7 March 2026" in page.text
    asked = bob.post(removal, data={**page.form(removal), "step": "save"})
    assert asked.status_code == 409
    answer = bob.post(removal, data={**read(asked).form(removal), f"decide-{reference}": "cancel", "step": "save"})
    # Bob sees who was told of a change of his own hours.
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk/told/1")
    assert "Appointments affected by a change: Dr. Bob Brown, Saturday 7 March" in read(bob.get("/desk/told/1")).text
    assert appointment(cast, reference).status == "cancelled"
    assert bob.get(removal).status_code == 404
    assert problems(cast) == []


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"day": "2026-03-01", "spans": "9-12"}, "day"),
        ({"day": "", "spans": "9-12"}, "day"),
        ({"day": "soon", "spans": "9-12"}, "day"),
        ({"day": "2026-03-07", "spans": ""}, "spans"),
        ({"day": "2026-03-07", "spans": "closed"}, "spans"),
        ({"day": "2026-03-07", "spans": "12-9"}, "spans"),
    ],
)
def test_invalid_extra_hours_are_refused(bob: TestClient, typed: dict[str, str], field: str) -> None:
    answer = bob.post(f"{OWN}/extra", data={**typed, "step": "save"})
    assert answer.status_code == 422
    page = read(answer)
    assert page.one("p", id=f"{field}-error")
    assert page.one("input", name="day")["value"] == typed["day"]


@pytest.mark.parametrize(
    "path", ["hours/tomorrow", "hours/2026-06-01..", "hours/extra/soon/removal", "hours/extra/2026-03-09/removal"]
)
def test_addresses_of_unknown_hours_are_not_found(bob: TestClient, path: str) -> None:
    assert bob.get(f"/schedule/{path}").status_code == 404

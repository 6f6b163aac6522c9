"""The clinic's settings through the pages: what they change, and a new clinic from an empty database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, ORIGIN, Cast, client_for, local, log_in, password_hash
from tests.languages import PSEUDO, speak, wide
from tests.reading import Element, read
from webapp.clinic import settings
from webapp.clinic.service import Clinic, get_clinic
from webapp.clinic.settings import OpeningWeek
from webapp.database import Database
from webapp.i18n import ENGLISH, speaking
from webapp.models import Appointment, SignInRules, TimeOff, User
from webapp.staff.messages.previews import KINDS, write_example

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")


@pytest.fixture
def carol(client: TestClient) -> TestClient:
    """The admin's browser."""
    return log_in(client, "carol")


def clinic_of(database: Database) -> Clinic:
    with database.reading() as session:
        return get_clinic(session)


def week_of(database: Database) -> OpeningWeek:
    with database.reading() as session:
        return settings.get_opening_hours(session)


def appointment(cast: Cast, reference: str) -> Any:
    with cast.database.reading() as session:
        return session.execute(sa.select(Appointment).where(Appointment.reference == reference)).scalar_one()


def asked(page: Element) -> dict[str, str]:
    """The data that the form on the page would send."""
    return page.one("main").one("form", method="post").values()


def test_the_overview_shows_every_setting_and_leads_to_it(carol: TestClient) -> None:
    page = read(carol.get("/admin/clinic"))
    for words in ("Harbour Lane Clinic", "09:00 to 17:00", "24 hours", "At most 10", "Amsterdam time"):
        assert words in page.text
    for place in ("details", "opening-hours", "rules", "time-zone"):
        assert f"/admin/clinic/{place}" in page.links
    assert "To do before patients can book" not in page.text


# ------------------------------------------------------------------------------------------ name and address


def test_name_and_address_are_changed_and_invalid_input_is_kept(carol: TestClient, cast: Cast) -> None:
    address = "/admin/clinic/details"
    form = asked(read(carol.get(address)))
    answer = carol.post(address, data={**form, "name": "", "phone": "call us"})
    assert answer.status_code == 422
    page = read(answer)
    assert page.one(id="name-error").text.endswith("Enter the clinic’s name.")
    assert asked(page)["phone"] == "call us"
    answer = carol.post(address, data={**form, "phone": "call us"})
    assert "Enter a phone number" in read(answer).one(id="phone-error").text
    sent = {**form, "name": "Quay <Clinic>", "address": "2 Quay, 1011 Amsterdam", "phone": "+31 20 123 4561"}
    assert carol.post(address, data=sent).status_code == 303
    assert "Quay <Clinic>, 2 Quay, 1011 Amsterdam" in read(carol.get("/")).text
    # An admin with the old form is told so, and sees both versions.
    answer = carol.post(address, data={**form, "phone": "+31 20 123 4562"})
    assert answer.status_code == 409
    assert read(answer).one(id="name-theirs").text == "Saved in the meantime: Quay <Clinic>"
    assert clinic_of(cast.database).phone == "+31201234561"


# ------------------------------------------------------------------------------------------------- the rules


def test_rules_have_units_and_bounds(carol: TestClient, cast: Cast) -> None:
    address = "/admin/clinic/rules"
    form = asked(read(carol.get(address)))
    shown = {name: form[name] for name in form if name != "seen"}
    assert shown == {
        "notice_minutes": "2",
        "notice_unit": "hours",
        "horizon_days": "90",
        "change_until_minutes": "24",
        "change_until_unit": "hours",
        "max_active_visits": "10",
        "patient_gap_minutes": "30",
        "patient_gap_unit": "minutes",
    }
    for field, value, words in (
        ("notice_minutes", "", "Enter a whole number, 0 or more."),
        ("notice_minutes", "x", "Enter a whole number, such as 30."),
        ("notice_minutes", "337", "Enter a notice of at most 14 days."),
        ("horizon_days", "0", "Enter a number of days from 1 to 730."),
        ("change_until_minutes", "-1", "Enter a deadline of at most 14 days."),
        ("max_active_visits", "101", "Enter a number from 1 to 100."),
        ("patient_gap_minutes", "1441", "Enter a gap of at most 1 day."),
    ):
        answer = carol.post(address, data={**form, field: value, "step": "save"})
        assert answer.status_code == 422, (field, value)
        assert words in read(answer).one(id=f"{field}-error").text
        assert asked(read(answer))[field] == value
    sent = {**form, "notice_minutes": "3", "notice_unit": "days", "patient_gap_minutes": "0", "step": "save"}
    assert carol.post(address, data=sent).status_code == 303
    saved = clinic_of(cast.database)
    assert (saved.notice_minutes, saved.patient_gap_minutes, saved.horizon_days) == (4320, 0, 90)
    form = asked(read(carol.get(address)))
    assert (form["notice_minutes"], form["notice_unit"]) == ("3", "days")


def test_a_nearer_horizon_shows_its_effect_and_asks_about_no_appointment(carol: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-04-14 10:00")
    address = "/admin/clinic/rules"
    form = {**asked(read(carol.get(address))), "horizon_days": "14"}
    page = read(carol.post(address, data={**form, "step": "preview"}))
    assert "can no longer be booked in the next 90 days." in page.text
    assert "No appointments are affected." in page.text
    assert carol.post(address, data={**form, "step": "save"}).status_code == 303
    assert clinic_of(cast.database).horizon_days == 14
    assert appointment(cast, reference).flagged_why == ""


def test_a_shorter_notice_opens_times(carol: TestClient) -> None:
    address = "/admin/clinic/rules"
    form = {**asked(read(carol.get(address))), "notice_minutes": "0"}
    page = read(carol.post(address, data={**form, "step": "preview"}))
    # It is 08:00: with two hours of notice no appointment can begin from 09:00 to 10:00. Bob has four short and four
    # long ones that could, and four buffered ones; Erin has two of each of her two types.
    assert "16 more times can be booked in the next 90 days." in page.text


# ----------------------------------------------------------------------------------------------- reminders


def test_reminders_are_read_checked_and_saved(carol: TestClient, cast: Cast) -> None:
    address = "/admin/clinic/reminders"
    assert "7 days and 1 day before" in read(carol.get("/admin/clinic")).text
    form = asked(read(carol.get(address)))
    assert (form["reminder_days"], form["daytime"]) == ("7, 1", "09:00-20:00")
    for field, value, words in (
        ("reminder_days", "a week", "Enter at most 5 numbers of days, each from 1 to 60, such as 7, 1."),
        ("reminder_days", "61", "Enter at most 5 numbers of days, each from 1 to 60, such as 7, 1."),
        ("reminder_days", "1 2 3 4 5 6", "Enter at most 5 numbers of days, each from 1 to 60, such as 7, 1."),
        ("daytime", "", "Enter hours, such as 09:00-20:00."),
        ("daytime", "9-12, 13-20", "Enter a single period, such as 09:00-20:00."),
        ("daytime", "20-9", "20-9 ends before it starts."),
        ("tell_late_hours", "13", "Enter a number of hours from 0 to 12."),
    ):
        answer = carol.post(address, data={**form, field: value})
        assert answer.status_code == 422, (field, value)
        assert words in read(answer).one(id=f"{field}-error").text
    changed = {**form, "reminder_days": "1 and 14", "daytime": "8:30 - 18", "tell_late_hours": "2"}
    assert carol.post(address, data=changed).status_code == 303
    clinic = clinic_of(cast.database)
    assert (clinic.reminder_days, clinic.daytime_from, clinic.daytime_until) == ("14,1", 510, 1080)
    assert clinic.tell_late_hours == 2
    assert "Appointments in the next 2 hours" in read(carol.get("/admin/clinic")).text
    # Another admin had the form open meanwhile.
    answer = carol.post(address, data={**form, "reminder_days": "3"})
    assert answer.status_code == 409
    assert "14, 1" in read(answer).text
    assert carol.post(address, data={**asked(read(answer)), "reminder_days": ""}).status_code == 303
    assert clinic_of(cast.database).reminder_days == ""
    assert "Never" in read(carol.get("/admin/clinic")).text


# ------------------------------------------------------------------------------------------- opening hours


@pytest.mark.both_databases
def test_opening_hours_are_copied_previewed_and_saved(carol: TestClient, cast: Cast) -> None:
    address = "/admin/clinic/opening-hours"
    form = asked(read(carol.get(address)))
    assert (form["monday"], form["saturday"]) == ("09:00-17:00", "")
    copied = {**form, "monday": "10-12, 13-16", "copy_from": "monday", "copy_to": "weekdays", "step": "copy"}
    page = read(carol.post(address, data=copied))
    assert {asked(page)[day] for day in WEEKDAYS} == {"10:00-12:00, 13:00-16:00"}
    assert week_of(cast.database).days[0] == ((540, 1020),)
    answer = carol.post(address, data={**asked(page), "friday": "whenever", "step": "save"})
    assert answer.status_code == 422
    assert asked(read(answer))["friday"] == "whenever"
    preview = read(carol.post(address, data={**asked(page), "step": "preview"}))
    assert "can no longer be booked in the next 90 days." in preview.text
    assert carol.post(address, data={**asked(page), "step": "save"}).status_code == 303
    assert week_of(cast.database).days == (((600, 720), (780, 960)),) * 5 + ((), ())


def test_shorter_opening_hours_ask_about_appointments_outside(carol: TestClient, cast: Cast) -> None:
    early, late = cast.book(cast.alice, "2026-03-03 09:00"), cast.book(cast.dave, "2026-03-03 16:45")
    address = "/admin/clinic/opening-hours"
    form = asked(read(carol.get(address)))
    sent = {**form, "tuesday": "9-16", "step": "save"}
    answer = carol.post(address, data=sent)
    assert answer.status_code == 409
    page = read(answer)
    assert "1 appointment is affected" in page.text
    assert "The clinic is closed at that time." in page.text
    assert carol.post(address, data={**asked(page), "decide-all": "keep", "step": "save"}).status_code == 303
    assert (appointment(cast, early).flagged_why, bool(appointment(cast, late).flagged_why)) == ("", True)
    # Another admin still has the old form open.
    answer = carol.post(address, data={**form, "monday": "8-12", "step": "save"})
    assert answer.status_code == 409
    assert read(answer).one(id="tuesday-theirs").text == "Saved in the meantime: 09:00-16:00"


# ---------------------------------------------------------------------------------------------- the time zone


def test_a_new_time_zone_explains_itself_asks_and_keeps_wall_clocks(carol: TestClient, cast: Cast) -> None:
    first, second = cast.book(cast.alice, "2026-03-03 09:00"), cast.book(cast.dave, "2026-03-03 11:00")
    start, end = local("2026-03-09 09:00"), local("2026-03-09 17:00")
    leave = cast.add(TimeOff(doctor_id=cast.doctor_ids["erin"], starts_at=start, ends_at=end))
    address = "/admin/clinic/time-zone"
    page = read(carol.get(address))
    assert "Keep their clock times: 09:00 stays 09:00." in page.text
    form = asked(page)
    assert (form["time_zone"], form["appointments"]) == ("Europe/Amsterdam", "clock")
    form["appointments"] = "instant"
    answer = carol.post(address, data={**form, "time_zone": "Europe/London", "step": "save"})
    assert answer.status_code == 409
    page = read(answer)
    assert "2 appointments get other clock times." in page.text
    assert "Tuesday 3 March, 09:00 Amsterdam time becomes Tuesday 3 March, 08:00 London time." in page.text
    assert "1 appointment is affected" in page.text
    assert clinic_of(cast.database).time_zone == "Europe/Amsterdam"
    assert carol.post(address, data={**asked(page), "decide-all": "keep", "step": "save"}).status_code == 303
    assert clinic_of(cast.database).time_zone == "Europe/London"
    assert appointment(cast, first).starts_at == local("2026-03-03 09:00")
    assert appointment(cast, first).flagged_why == "clinic_closed"
    assert (appointment(cast, second).starts_at, appointment(cast, second).flagged_why) == (
        local("2026-03-03 11:00"),
        "",
    )
    with cast.database.reading() as session:
        moved = session.execute(sa.select(TimeOff.starts_at, TimeOff.ends_at).where(TimeOff.id == leave)).one()
    assert [instant.isoformat()[11:16] for instant in moved] == ["09:00", "17:00"]
    assert "10:00" in read(carol.get(f"/appointments/{second}")).text


def test_the_preview_of_a_time_zone_changes_nothing(carol: TestClient, cast: Cast) -> None:
    address = "/admin/clinic/time-zone"
    form = asked(read(carol.get(address)))
    page = read(carol.post(address, data={**form, "time_zone": "Asia/Tokyo", "step": "preview"}))
    assert "times can be booked" in page.text
    assert "There are no upcoming appointments, so no patients are affected." in page.text
    assert asked(page)["time_zone"] == "Asia/Tokyo"
    assert clinic_of(cast.database).time_zone == "Europe/Amsterdam"
    answer = carol.post(address, data={**form, "time_zone": "Europe/Atlantis", "step": "save"})
    assert answer.status_code == 422
    assert "Choose a time zone from the list." in read(answer).one(id="time_zone-error").text


# ----------------------------------------------------------------------------------------- an empty database


@pytest.fixture
def empty(database: Database) -> Iterator[TestClient]:
    """The browser of the first admin, in a clinic that has nothing else."""

    def add(session: Any) -> None:
        session.add(SignInRules(id=1, factor_admins=False))
        session.add(
            User(
                email="carol@docket.example",
                name="Carol Clark",
                role="admin",
                password_hash=password_hash(),
                created_at=NOW,
            )
        )

    database.write(add)
    with client_for(database) as client:
        yield log_in(client, "carol")


def test_every_page_can_be_shown_and_previewed_without_anything(empty: TestClient) -> None:
    for place in (
        "/admin/clinic",
        "/admin/closures",
        "/admin/closures/holidays",
        "/admin/visit-types",
        "/admin/doctors",
    ):
        assert empty.get(place).status_code == 200, place
    for place in ("details", "rules", "opening-hours", "time-zone"):
        address = f"/admin/clinic/{place}"
        form = asked(read(empty.get(address)))
        if place != "details":
            answer = empty.post(address, data={**form, "step": "preview"})
            assert "The same times can be booked" in read(answer).text, place
        else:
            form["name"] = "Quay Clinic"
        # Saving the values that are shown stores them. Only the clinic's name has no default.
        answer = empty.post(address, data={**form, "step": "save"})
        assert (answer.status_code, answer.headers.get("location")) == (303, "/admin/clinic"), place


def test_a_clinic_without_a_name_is_called_so_in_the_language_of_the_reader(
    empty: TestClient, database: Database
) -> None:
    for language, words in ((ENGLISH, "Our clinic"), (PSEUDO, wide("Our clinic"))):
        speak(empty, language)
        assert read(empty.get("/admin/clinic")).one("title").text.endswith(f"· {words}")
        assert empty.get("/api/v1/clinic").json()["name"] == words
        with speaking(language):
            message = write_example(KINDS[0], "email", clinic_of(database), base_url=ORIGIN, now=NOW)
        assert message.sender_name == words
        assert words in message.text
    assert asked(read(empty.get("/admin/clinic/details")))["name"] == ""
    assert clinic_of(database).letterhead["name"] == ""


def test_a_new_clinic_is_set_up_through_the_pages_alone(empty: TestClient, database: Database) -> None:
    page = read(empty.get("/admin/clinic"))
    for words in ("No opening hours", "No doctor is taking bookings", "No visit types"):
        assert words in page.one("section", **{"aria-labelledby": "missing-title"}).text
    week = read(empty.get("/admin/clinic/opening-hours")).form("/admin/clinic/opening-hours")
    week |= {**dict.fromkeys(WEEKDAYS, "9-17"), "saturday": "", "sunday": "", "step": "save"}
    assert empty.post("/admin/clinic/opening-hours", data=week).status_code == 303
    closure = {"name": "Opening party", "starts_on": "2026-03-20", "ends_on": "2026-03-20", "step": "save"}
    assert empty.post("/admin/closures", data=closure).status_code == 303
    for name in ("Dr. Ada Long", "Dr. Ben Short"):
        form = read(empty.get("/admin/doctors/new")).form("/admin/doctors")
        answer = empty.post("/admin/doctors", data={**form, "name": name, "specialty": "General practice"})
        assert answer.status_code == 303
    assert answer.headers["location"] == "/admin/doctors/ben-short/hours/new"
    kind = {"name": "Consultation", "minutes": "20", "buffer_before": "0", "buffer_after": "0", "online": "y"}
    page = read(empty.get("/admin/visit-types/new"))
    doctors: list[str] = [box["value"] for box in page.all("input", name="doctor_ids")]
    assert len(doctors) == 2
    assert empty.post("/admin/visit-types", data={**kind, "doctor_ids": doctors, "step": "save"}).status_code == 303
    address = "/admin/clinic/time-zone"
    assert read(empty.get("/admin/clinic")).one("section", **{"aria-labelledby": "missing-title"}).links[0] == address
    assert empty.post(address, data={**asked(read(empty.get(address))), "step": "save"}).status_code == 303
    missing = read(empty.get("/admin/clinic")).one("section", **{"aria-labelledby": "missing-title"})
    assert missing.links == ["/admin/doctors/ada-long/hours/new", "/admin/doctors/ben-short/hours/new"]
    assert "Dr. Ada Long has no working hours" in missing.text
    assert "No opening hours" not in missing.text


def test_the_clinics_country_says_how_numbers_are_written(carol: TestClient, cast: Cast) -> None:
    address = "/admin/clinic/details"
    page = read(carol.get(address))
    form = asked(page)
    assert (form["phone"], form["country"]) == ("020 123 4567", "")
    assert "Same as the time zone (Netherlands)" in page.text
    assert carol.post(address, data={**form, "country": "XX"}).status_code == 422
    # The number that stood in the form is still the same one.
    assert carol.post(address, data={**form, "country": "BE"}).status_code == 303
    page = read(carol.get(address))
    assert (asked(page)["phone"], asked(page)["country"]) == ("+31 20 123 4567", "BE")
    assert "tel:+31201234567" in page.links

"""Doctors through the pages: the list, creating one with an account, changing their visit types, and deactivating."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import Cast, log_in
from tests.reading import Element, read
from webapp.models import Appointment, Doctor, User

EMRE = {
    "name": "Dr. Emre Yıldız",
    "specialty": "Cardiology",
    "languages": "Turkish,  English , Turkish",
    "room": "Room 8",
    "tint": "4",
    "slot_step": "20",
    "position": "3",
    "bio": "Listens to hearts.\r\nAnd to people.",
    "step": "save",
}


@pytest.fixture
def carol(client: TestClient) -> TestClient:
    """The admin's browser."""
    return log_in(client, "carol")


def doctor(cast: Cast, slug: str) -> Doctor | None:
    with cast.database.reading() as session:
        return session.scalar(sa.select(Doctor).where(Doctor.slug == slug))


def appointment(cast: Cast, reference: str) -> Any:
    with cast.database.reading() as session:
        return session.execute(sa.select(Appointment).where(Appointment.reference == reference)).scalar_one()


def asked(page: Element) -> dict[str, Any]:
    """The data that the form on the page would send, with each ticked visit type."""
    form = page.one("main").one("form", method="post")
    kinds = [box["value"] for box in form.all("input", name="visit_type_ids") if box.get("checked") is not None]
    return {**form.values(), "visit_type_ids": kinds}


# -------------------------------------------------------------------------------------------------- the list


def rows(answer: Any) -> list[str]:
    return [row.text for row in read(answer).one("table").one("tbody").all("tr")]


@pytest.mark.both_databases
def test_the_list_shows_this_weeks_appointments_and_accounts_and_is_searched(carol: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    cast.book(cast.dave, "2026-03-06 10:00")
    # Next week does not count.
    cast.book(cast.dave, "2026-03-09 10:00")
    bob, erin = rows(carol.get("/admin/doctors"))
    assert "Dr. Bob Brown" in bob
    assert "General practice Room 3 2 Active Taking bookings" in bob
    assert "Dermatology Room 5 0 Active Taking bookings" in erin
    assert len(rows(carol.get("/admin/doctors?q=derma+ERIN"))) == 1
    assert "No doctors match these filters." in read(carol.get("/admin/doctors?show=inactive")).text
    cast.change(sa.update(Doctor).where(Doctor.slug == "bob").values(active=False))
    assert "Not taking bookings" in rows(carol.get("/admin/doctors?show=inactive"))[0]
    assert len(rows(carol.get("/admin/doctors?show=all"))) == 2
    for odd in ("show=nonsense", "page=x", "page=0", "page=99999", "q=%00"):
        assert carol.get(f"/admin/doctors?{odd}").status_code in (200, 400), odd


@pytest.mark.both_databases
def test_two_hundred_doctors_need_as_many_queries_as_two(carol: TestClient, cast: Cast) -> None:
    def queries() -> int:
        seen: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            seen.append(statement)

        sa.event.listen(cast.database.engine, "before_cursor_execute", note)
        assert carol.get("/admin/doctors").status_code == 200
        sa.event.remove(cast.database.engine, "before_cursor_execute", note)
        return len(seen)

    few = queries()
    many = [
        Doctor(slug=f"doctor-{number}", name=f"Dr. {number:03d} Many", specialty="Cardiology", languages=[], position=9)
        for number in range(200)
    ]
    cast.database.write(lambda session: session.add_all(many))
    assert queries() == few
    page = read(carol.get("/admin/doctors"))
    assert "Page 1 of 5" in page.text
    assert len(rows(carol.get("/admin/doctors?page=5"))) == 2
    assert "No working hours" in rows(carol.get("/admin/doctors?page=5"))[0]


# ---------------------------------------------------------------------------------------------- a new doctor


@pytest.mark.both_databases
def test_a_doctor_without_account_leads_to_their_hours(carol: TestClient, cast: Cast) -> None:
    form = read(carol.get("/admin/doctors/new")).form("/admin/doctors")
    assert (form["position"], form["slot_step"], form["tint"], form["email"]) == ("3", "30", "1", "")
    sent = {**form, **EMRE, "visit_type_ids": [str(cast.short), str(cast.long)]}
    answer = carol.post("/admin/doctors", data=sent)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/doctors/emre-yildiz/hours/new")
    made = doctor(cast, "emre-yildiz")
    assert made is not None
    assert (made.languages, made.tint, made.slot_step, made.user_id) == (["Turkish", "English"], 4, 20, None)
    assert made.bio == "Listens to hearts.\nAnd to people."
    ticked = asked(read(carol.get("/admin/doctors/emre-yildiz")))["visit_type_ids"]
    assert sorted(ticked) == [str(cast.short), str(cast.long)]


def test_the_link_to_the_first_password_is_shown_once_and_works(carol: TestClient, cast: Cast) -> None:
    answer = carol.post("/admin/doctors", data={**EMRE, "email": "Emre@docket.example"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"].startswith("no-store")
    page = read(answer)
    link = page.one("input", id="link")["value"]
    assert link.startswith("http://docket.test/password/reset/")
    assert "/admin/doctors/emre-yildiz/hours/new" in page.links
    assert carol.get(urlsplit(link).path).status_code == 200
    shown = carol.get("/admin/doctors/emre-yildiz/account").text
    assert "emre@docket.example" in shown
    assert "No password is set yet." in shown
    assert link not in shown
    with cast.database.reading() as session:
        user = session.scalars(sa.select(User).where(User.email == "emre@docket.example")).one()
        assert (user.role, user.name) == ("doctor", "Dr. Emre Yıldız")
    made = doctor(cast, "emre-yildiz")
    assert made is not None
    assert made.user_id == user.id


def test_with_an_address_that_is_taken_or_wrong_there_is_neither_doctor_nor_account(
    carol: TestClient, cast: Cast
) -> None:
    for email, status in (("alice@docket.example", 409), ("emre", 422)):
        answer = carol.post("/admin/doctors", data={**EMRE, "email": email})
        assert answer.status_code == status
        page = read(answer)
        assert page.one(id="email-error")
        assert (asked(page)["email"], asked(page)["name"]) == (email, "Dr. Emre Yıldız")
        assert doctor(cast, "emre-yildiz") is None


def test_invalid_input_is_reported_and_kept(carol: TestClient, cast: Cast) -> None:
    for field, value, words in (
        ("name", "", "Enter a name."),
        ("name", "1", "Enter a name of 2 to 120 characters."),
        ("specialty", "", "Enter a specialty."),
        ("languages", ",".join(f"Language {letter}" for letter in "abcdefghijklm"), "Enter at most 12 languages"),
        ("room", "r" * 61, "This is too long. Use up to 60 characters."),
        ("bio", "b" * 2001, "This is too long. Use up to 2000 characters."),
        ("position", "first", "Enter a whole number, such as 30."),
        ("position", "10000", "Enter a number from 0 to 9999."),
        ("slot_step", "3", "Choose one of the intervals."),
        ("tint", "7", "Choose one of the colours."),
    ):
        answer = carol.post("/admin/doctors", data={**EMRE, field: value})
        assert answer.status_code == 422, (field, value)
        page = read(answer)
        assert words in page.one(id=f"{field}-error").text
        assert asked(page)["specialty"] == {**EMRE, field: value}["specialty"]
        if field not in ("tint", "slot_step"):
            assert asked(page)[field] == value
    assert doctor(cast, "emre-yildiz") is None


def test_the_preview_shows_what_patients_will_read_and_saves_nothing(carol: TestClient, cast: Cast) -> None:
    page = read(carol.post("/admin/doctors", data={**EMRE, "bio": "Listens <to> hearts.", "step": "preview"}))
    look = page.one("section", id="look")
    assert "Dr. Emre Yıldız Cardiology Listens <to> hearts." in look.text
    assert "Turkish, English" in look.text
    assert look.all("span", **{"data-tint": "4"})
    assert asked(page)["room"] == "Room 8"
    assert doctor(cast, "emre-yildiz") is None


# ------------------------------------------------------------------------------------------------- a change


def test_taking_a_visit_type_asks_about_the_appointments_and_the_name_in_addresses_stays(
    carol: TestClient, cast: Cast
) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    form = asked(read(carol.get("/admin/doctors/bob")))
    assert form["languages"] == "English"
    sent = {**form, "name": "Dr. Robert Brown", "visit_type_ids": [str(cast.long)]}
    page = read(carol.post("/admin/doctors/bob", data={**sent, "step": "preview"}))
    assert "Dr. Robert Brown" in page.one("section", id="look").text
    assert "1 appointment is affected" in page.text
    assert "can no longer be booked in the next 90 days." in page.text
    answer = carol.post("/admin/doctors/bob", data={**sent, "step": "save"})
    assert answer.status_code == 409
    again = {**asked(read(answer)), f"decide-{reference}": "keep", "step": "save"}
    answer = carol.post("/admin/doctors/bob", data=again)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/doctors/bob")
    assert appointment(cast, reference).flagged_why == "visit_type_not_offered"
    assert read(carol.get("/doctors/bob")).h1 == "Dr. Robert Brown"


def test_another_slot_step_affects_no_appointment(carol: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:15")
    form = asked(read(carol.get("/admin/doctors/bob")))
    assert carol.post("/admin/doctors/bob", data={**form, "slot_step": "60", "step": "save"}).status_code == 303
    assert appointment(cast, reference).flagged_why == ""
    changed = doctor(cast, "bob")
    assert changed is not None
    assert changed.slot_step == 60


@pytest.mark.both_databases
def test_the_second_of_two_editors_is_shown_both(carol: TestClient, cast: Cast) -> None:
    form = asked(read(carol.get("/admin/doctors/bob")))
    first = {**form, "room": "Room 9", "visit_type_ids": [str(cast.long)], "step": "save"}
    assert carol.post("/admin/doctors/bob", data=first).status_code == 303
    answer = carol.post("/admin/doctors/bob", data={**form, "tint": "6", "step": "save"})
    assert answer.status_code == 409
    page = read(answer)
    assert page.one(id="room-theirs").text == "Saved in the meantime: Room 9"
    assert page.one(id="visit_type_ids-theirs").text == "Saved in the meantime: First visit"
    assert page.one(id="tint-theirs").text == "Saved in the meantime: Teal"
    assert carol.post("/admin/doctors/bob", data={**asked(page), "step": "save"}).status_code == 303
    changed = doctor(cast, "bob")
    assert changed is not None
    assert (changed.room, changed.tint) == ("Room 3", 6)


def test_deactivating_leaves_keep_or_cancel_and_reactivating_takes_flags_off(carol: TestClient, cast: Cast) -> None:
    kept, gone = cast.book(cast.alice, "2026-03-03 10:00"), cast.book(cast.dave, "2026-03-03 11:00")
    address = "/admin/doctors/bob/activity"
    assert carol.post(address, data={"step": "save"}).status_code == 422
    form = read(carol.get(address)).form(address)
    assert form["active"] == "no"
    answer = carol.post(address, data={**form, "step": "save"})
    assert answer.status_code == 409
    page = read(answer)
    assert page.text.count("No free time to move to.") == 2
    decided = {**page.form(address), f"decide-{kept}": "keep", f"decide-{gone}": "cancel", "step": "save"}
    assert carol.post(address, data=decided).status_code == 303
    assert appointment(cast, kept).flagged_why == "doctor_inactive"
    assert appointment(cast, gone).status == "cancelled"
    assert carol.get("/doctors/bob").status_code == 404
    page = read(carol.get("/admin/doctors/bob"))
    assert "Not taking bookings" in page.text
    form = read(carol.get(address)).form(address)
    for _ in range(2):
        assert carol.post(address, data={**form, "step": "save"}).status_code == 303
    assert appointment(cast, kept).flagged_why == ""
    assert carol.get("/doctors/bob").status_code == 200


# ------------------------------------------------------------------------------------------------ accounts


def test_an_account_is_given_later_and_only_one(carol: TestClient, cast: Cast) -> None:
    assert carol.post("/admin/doctors", data=EMRE).status_code == 303
    address = "/admin/doctors/emre-yildiz/account"
    answer = carol.post(address, data={"email": "bob@docket.example"})
    assert answer.status_code == 409
    assert read(answer).form(address)["email"] == "bob@docket.example"
    assert carol.post(address, data={"email": ""}).status_code == 422
    answer = carol.post(address, data={"email": "emre@docket.example"})
    assert answer.status_code == 200
    assert read(answer).one("input", id="link")
    assert carol.post(address, data={"email": "other@docket.example"}).status_code == 409
    with cast.database.reading() as session:
        assert session.scalar(sa.select(User).where(User.email == "other@docket.example")) is None
    assert f"/admin/users/{cast.bob.user_id}" in read(carol.get("/admin/doctors/bob/account")).links


def test_the_pages_of_a_doctor_have_the_same_tabs(carol: TestClient) -> None:
    base = "/admin/doctors/bob"
    pages = [base, f"{base}/hours", f"{base}/time-off", f"{base}/account"]
    for address in pages:
        tabs = read(carol.get(address)).one("nav", aria_label="About this doctor").all("a")
        assert [tab["href"] for tab in tabs] == pages, address
        assert [tab["href"] for tab in tabs if tab.get("aria-current")] == [address]


def test_a_doctor_who_does_not_exist_is_not_found(carol: TestClient) -> None:
    for page in ("", "/activity", "/account"):
        assert carol.get(f"/admin/doctors/nobody{page}").status_code == 404
        assert carol.post(f"/admin/doctors/nobody{page}", data={"email": "a@b.example"}).status_code == 404

"""Patients, as admins find, add, change and link them in their browser."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.appointment_rows import appointment, insert
from tests.cast import NOW, Cast, client_for, log_in
from tests.reading import Element, read
from webapp import models
from webapp.patients.search_index import keep_words

ZOE = {"name": "Zoë Visser", "birth_date": "2019-05-04", "phone": "020 123 4567", "email": "zoe@docket.example"}


def add(cast: Cast, **values: object) -> int:
    """Add a findable patient without an account; returns the id."""

    def work(session: Session) -> int:
        patient = models.Patient(**{"name": "Zoë Visser", "created_at": NOW, "email": "", "phone": ""} | values)
        session.add(patient)
        session.flush()
        keep_words(session, patient.id, name=patient.name, email=patient.email, phone=patient.phone)
        return patient.id

    return cast.database.write(work)


def names(page: Element) -> list[str]:
    """The names in a list."""
    return [cell.text for cell in page.all("th", scope="row")]


def recorded(cast: Cast) -> list[tuple[str, str, int]]:
    """The audit log about Carol's actions, oldest first."""
    event = models.AuditEvent
    with cast.database.reading() as session:
        # Searches are recorded too; test_looking_up tests that.
        query = sa.select(event.action, event.subject_type, event.subject_id).where(event.action != "patients_searched")
        query = query.order_by(event.id)
        return [(action, kind, number) for action, kind, number in session.execute(query)]


@pytest.fixture
def carol(client: TestClient) -> TestClient:
    """Carol's browser."""
    return log_in(client, "carol")


# --------------------------------------------------------------------------------------------- the list


@pytest.mark.both_databases
def test_patients_are_listed_and_found(carol: TestClient, cast: Cast) -> None:
    zoe = add(cast, birth_date=date(2019, 5, 4), phone="020 123 4567", managed_by_id=cast.patient_ids["alice"])
    page = read(carol.get("/admin/patients"))
    assert names(page) == ["Alice Adams", "Dave Dunn", "Zoë Visser"]
    assert f"/admin/patients/{zoe}" in page.links
    row = page.all("tr")[-1].text
    assert "4 May 2019" in row
    assert "Alice Adams books for them" in row
    for text, found in (
        ("adams", ["Alice Adams"]),
        ("VISSER zoe", ["Zoë Visser"]),
        ("4 May 2019", ["Zoë Visser"]),
        ("+31 20 123 4567", ["Zoë Visser"]),
        ("dave@docket", ["Dave Dunn"]),
    ):
        page = read(carol.get("/admin/patients", params={"q": text}))
        assert names(page) == found
        assert page.form("/admin/patients", "get") == {"q": text}
        assert "No exact match" not in page.text
    page = read(carol.get("/admin/patients?q=zeo+viser"))
    assert names(page) == ["Zoë Visser"]
    assert "No exact match. The closest matches come first." in page.text
    # Opening a list opens no record.
    assert {action for action, _kind, _number in recorded(cast)} == {"patients_listed"}


def test_a_patient_is_found_by_the_reference_of_an_appointment(carol: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 09:00")
    for text in (reference, reference.lower().replace("-", ""), f" {reference} "):
        assert names(read(carol.get("/admin/patients", params={"q": text}))) == ["Alice Adams"]
    assert names(read(carol.get("/admin/patients?q=ZZZZ-ZZZZ"))) == []
    # A text that could be a reference may be a name.
    add(cast, name="Anne-Lies Post")
    assert names(read(carol.get("/admin/patients?q=anne-lies"))) == ["Anne-Lies Post"]


def test_letters_typed_on_the_list_go_to_the_search(carol: TestClient) -> None:
    """Without the focus there, the first n of a name would open the booking."""
    assert read(carol.get("/admin/patients")).one("input", id="q").get("autofocus") is not None
    assert read(carol.get("/admin/patients?q=alice")).one("input", id="q").get("autofocus") is None


def test_an_empty_result_offers_to_add_a_patient(carol: TestClient) -> None:
    page = read(carol.get("/admin/patients?q=peter+post"))
    assert "No patients found" in page.text
    assert "/admin/patients/new?name=peter+post" in page.links
    page = read(carol.get("/admin/patients/new?name=peter+post"))
    assert page.form("/admin/patients")["name"] == "peter post"
    assert "No patients found" in read(carol.get("/admin/patients?q=%3F%3F%3F")).text


@pytest.mark.both_databases
def test_a_clinic_without_patients_says_so(carol: TestClient, cast: Cast) -> None:
    cast.change(sa.delete(models.PatientWord))
    cast.change(sa.delete(models.Patient))
    assert "No patients yet" in read(carol.get("/admin/patients")).text


@pytest.mark.both_databases
def test_a_long_list_has_pages_forwards_and_backwards(carol: TestClient, cast: Cast) -> None:
    for number in range(45):
        add(cast, name=f"Peter Post {chr(65 + number // 26)}{chr(65 + number % 26)}")
    for query, total in (("", 47), ("?q=post", 45)):
        page, seen = read(carol.get(f"/admin/patients{query}")), []
        assert not page.all("a", rel="prev")
        while True:
            seen.append(names(page))
            following = page.all("a", rel="next")
            if not following:
                break
            page = read(carol.get(following[0]["href"]))
        assert [len(each) for each in seen] == [20, 20, total - 40]
        assert len({name for each in seen for name in each}) == total
        page = read(carol.get(page.one("a", rel="prev")["href"]))
        assert names(page) == seen[1]
        page = read(carol.get(page.one("a", rel="prev")["href"]))
        assert names(page) == seen[0]
        assert not page.all("a", rel="prev")
    for wrong in ("after=x", "after=99999999999", "before=-1", "after=999999999"):
        assert carol.get(f"/admin/patients?{wrong}").status_code == 200


# ---------------------------------------------------------------------------------------------- adding


def test_a_patient_is_added(carol: TestClient, cast: Cast) -> None:
    form = read(carol.get("/admin/patients/new")).form("/admin/patients")
    assert form == {"name": "", "birth_date": "", "phone": "", "email": "", "next": ""}
    answer = carol.post("/admin/patients", data={**form, **ZOE})
    assert answer.status_code == 303
    page = read(carol.get(answer.headers["location"]))
    assert page.h1 == "Zoë Visser"
    assert "The patient is added." in page.text
    assert "Born on 4 May 2019, 6 years old" in page.text
    assert names(read(carol.get("/admin/patients?q=visser"))) == ["Zoë Visser"]


@pytest.mark.parametrize(("wanted", "onward"), [
    ("/book?doctor=bob&starts_at=2026-03-03T09:00:00Z", "/book?doctor=bob&starts_at=2026-03-03T09%3A00%3A00Z&patient="),
    ("/book?patient=7", "/book?patient="),
    ("/book", "/book?patient="),
    ("https://elsewhere.example/", "/admin/patients/"),
    ("//elsewhere.example/", "/admin/patients/"),
    ("", "/admin/patients/"),
])  # fmt: skip
def test_adding_a_patient_on_the_way_leads_back_with_the_patient(
    carol: TestClient, cast: Cast, wanted: str, onward: str
) -> None:
    form = read(carol.get("/admin/patients/new", params={"next": wanted})).form("/admin/patients")
    assert form["next"] == wanted
    answer = carol.post("/admin/patients", data={**form, **ZOE})
    with cast.database.reading() as session:
        number = session.scalar(sa.select(sa.func.max(models.Patient.id)))
    assert (answer.status_code, answer.headers["location"]) == (303, f"{onward}{number}")
    # An existing patient is chosen with a click.
    answer = carol.post("/admin/patients", data={**form, **ZOE, "phone": ""})
    assert answer.status_code == 409
    assert f"{onward}{number}" in read(answer).one("div", role="alert").links


def test_a_likely_duplicate_is_warned_about_once(carol: TestClient, cast: Cast) -> None:
    zoe = add(cast, birth_date=date(2019, 5, 4), phone="020 123 4567")
    form = {**ZOE, "name": "Zoe Viser", "next": ""}
    answer = carol.post("/admin/patients", data=form)
    assert answer.status_code == 409
    page = read(answer)
    alert = page.one("div", role="alert")
    assert "This patient may already have a record" in alert.text
    assert "Zoë Visser , 4 May 2019, 020 123 4567" in alert.text.replace("Visser,", "Visser ,")
    assert f"/admin/patients/{zoe}" in alert.links
    assert page.form("/admin/patients") == form
    # Enter presses the first button, which is hidden and compares again. The only visible one adds the patient.
    first, second = page.one("form", action="/admin/patients").all("button")
    assert (first.get("name"), first["class"], second["name"], second["value"]) == (
        None,
        "visually-hidden",
        "anyway",
        "yes",
    )
    assert second.text == "Add as new patient"
    assert carol.post("/admin/patients", data={**form, "anyway": "yes"}).status_code == 303
    assert [action for action, _kind, _number in recorded(cast)] == ["patient_created"]


def test_errors_are_reported_beside_their_field_and_nothing_typed_is_lost(carol: TestClient, cast: Cast) -> None:
    zoe = add(cast)
    forms = (
        ("/admin/patients", {"next": "/book"}),
        (f"/admin/patients/{zoe}/edit", {"seen": "unseen", "back": "", "alert": "", "desk_note": ""}),
        (f"/admin/patients/{zoe}/people", {"next": ""}),
    )
    for address, hidden in forms:
        for field, value, said in (
            ("name", "", "Enter the patient’s name."),
            ("name", "Z", "Enter a name of 2 to 120 characters."),
            ("birth_date", "4/5/2019", "Enter a real date, such as 1984-03-27"),
            ("birth_date", "2026-03-03", "The date of birth can’t be in the future."),
            ("phone", "call me", "Enter a phone number"),
            ("email", "zoe", "Enter an email address like name@example.org, or leave this empty."),
        ):
            typed = {**ZOE, **hidden, field: value}
            answer = carol.post(address, data=typed)
            assert answer.status_code == 422, (address, field, value)
            page = read(answer)
            assert said in page.one(id=f"{field}-error").text
            assert f"#{field}" in page.one("div", role="alert").links
            assert page.form(address) == typed
    assert recorded(cast) == []


# ------------------------------------------------------------------------------------------ the record


def test_a_record_shows_facts_people_and_appointments_and_leaves_a_trace(carol: TestClient, cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    zoe = add(cast, managed_by_id=alice)
    coming = cast.book(cast.alice, "2026-03-10 09:00")
    cancelled = cast.book(cast.alice, "2026-03-11 09:00", doctor="erin", visit_type=cast.long)
    cast.change(
        sa.update(models.Appointment).where(models.Appointment.reference == cancelled).values(status="cancelled")
    )
    before = len(recorded(cast))
    page = read(carol.get(f"/admin/patients/{alice}"))
    assert page.h1 == "Alice Adams"
    assert "Date of birth not known" in page.text
    ahead, past = page.all("table")
    assert (ahead.links, past.links) == ([f"/appointments/{coming}"], [f"/appointments/{cancelled}"])
    assert "Dr. Bob Brown Follow-up Scheduled" in ahead.text
    assert "Dr. Erin Eze First visit Cancelled" in past.text
    for link in (
        f"/desk/booking?patient={alice}",
        f"/admin/patients/{zoe}",
        f"/admin/patients/{alice}/people/{zoe}/removal",
    ):
        assert link in page.links
    assert recorded(cast)[before:] == [("patient_read", "patient", alice)]
    assert f"/admin/patients/{alice}" in read(carol.get(f"/admin/patients/{zoe}")).links
    assert carol.get("/admin/patients/999999").status_code == 404
    assert [number for action, _kind, number in recorded(cast) if action == "patient_read"] == [alice, zoe]


def test_a_patient_without_contact_details_is_pointed_out(carol: TestClient, cast: Cast) -> None:
    zoe = add(cast)
    assert "This patient has no contact details." in read(carol.get(f"/admin/patients/{zoe}")).text
    alice = read(carol.get(f"/admin/patients/{cast.patient_ids['alice']}"))
    assert "This patient has no contact details." not in alice.text
    assert f"/admin/audit?patient={cast.patient_ids['alice']}" in alice.links
    # A child is reached through the person who books for it.
    carol.post(f"/admin/patients/{cast.patient_ids['alice']}/people", data={"patient": str(zoe)})
    assert "This patient has no contact details." not in read(carol.get(f"/admin/patients/{zoe}")).text


def test_many_past_appointments_have_pages(carol: TestClient, cast: Cast) -> None:
    zoe = add(cast)
    for number in range(25):
        row = appointment(cast, f"2026-01-{number + 5:02d} 09:00", status="completed")
        insert(cast, row | {"patient_id": zoe, "reference": f"AAAA-{number:04d}"})
    page = read(carol.get(f"/admin/patients/{zoe}"))
    assert len(page.one("table").links) == 20
    assert page.one("table").links[0] == "/appointments/AAAA-0024"
    page = read(carol.get(page.one("a", rel="next")["href"]))
    assert page.one("table").links[-1] == "/appointments/AAAA-0000"
    assert len(page.one("table").links) == 5
    for wrong in ("99", "x", "-1"):
        assert carol.get(f"/admin/patients/{zoe}?page={wrong}").status_code == 200


def test_a_record_is_changed_and_the_second_of_two_editors_sees_both(carol: TestClient, cast: Cast) -> None:
    zoe = add(cast, email="zoe@docket.example")
    address = f"/admin/patients/{zoe}/edit"
    form = read(carol.get(address)).form(address)
    assert (form["name"], form["email"], form["birth_date"]) == ("Zoë Visser", "zoe@docket.example", "")
    answer = carol.post(address, data={**form, "name": "Zoë de Vries", "birth_date": "2019-05-04"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/patients/{zoe}")
    assert "The record is saved." in read(carol.get(f"/admin/patients/{zoe}")).text
    assert names(read(carol.get("/admin/patients?q=de+vries"))) == ["Zoë de Vries"]
    assert names(read(carol.get("/admin/patients?q=visser"))) == []
    answer = carol.post(address, data={**form, "phone": "+31201234562"})
    assert answer.status_code == 409
    page = read(answer)
    assert "Someone else changed this while you were editing." in page.one("div", role="alert").text
    assert page.one(id="name-theirs").text == "Saved in the meantime: Zoë de Vries"
    assert page.form(address)["phone"] == "+31201234562"
    assert carol.post(address, data=page.form(address)).status_code == 303
    assert carol.get("/admin/patients/999999/edit").status_code == 404
    assert carol.post("/admin/patients/999999/edit", data=ZOE).status_code == 404
    assert {action for action, _kind, _number in recorded(cast)} == {"patient_read", "patient_changed"}


# --------------------------------------------------------------------------------- people and accounts


def test_an_existing_patient_is_linked_and_unlinked(carol: TestClient, cast: Cast) -> None:
    alice, zoe = cast.patient_ids["alice"], add(cast)
    address = f"/admin/patients/{alice}/people"
    page = read(carol.get(f"{address}?q=viser"))
    assert "No exact match" in page.text
    button = next(form for form in page.all("form", action=address) if form.values().get("patient") == str(zoe))
    answer = carol.post(address, data=button.values())
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/patients/{alice}")
    # The patient is not offered as their own dependant.
    assert not read(carol.get(f"{address}?q=alice")).all("input", name="patient")
    assert f"/admin/patients/{zoe}" in read(carol.get(f"/admin/patients/{alice}")).links
    answer = carol.post(f"/admin/patients/{cast.patient_ids['dave']}/people", data={"patient": str(zoe)})
    assert answer.status_code == 409
    assert "Alice Adams already books for this person." in read(answer).one("div", role="alert").text
    page = read(carol.get(f"{address}/{zoe}/removal"))
    assert page.h1 == "Stop Alice Adams from booking for Zoë Visser?"
    answer = carol.post(f"{address}/{zoe}/removal")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/patients/{alice}")
    assert f"/admin/patients/{zoe}" not in read(carol.get(f"/admin/patients/{alice}")).links
    for gone in (f"{address}/{zoe}/removal", f"{address}/999999/removal"):
        assert carol.get(gone).status_code == carol.post(gone).status_code == 404
    for unknown in ("x", "", "999999"):
        assert carol.post(address, data={"patient": unknown}).status_code == 404


def test_a_new_dependant_is_added_after_a_warning(carol: TestClient, cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    address = f"/admin/patients/{alice}/people"
    form = read(carol.get(address)).all("form", action=address)[-1].values()
    answer = carol.post(address, data={**form, **ZOE})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/patients/{alice}")
    assert "Zoë Visser" in read(carol.get(f"/admin/patients/{alice}")).text
    # Exactly the same details would be the same form, sent twice.
    other = {**form, **ZOE, "email": "zoe.visser@docket.example"}
    answer = carol.post(address, data=other)
    assert answer.status_code == 409
    assert "This patient may already have a record" in read(answer).one("div", role="alert").text
    assert carol.post(address, data={**other, "anyway": "yes"}).status_code == 303
    with cast.database.reading() as session:
        query = sa.select(sa.func.count()).where(models.Patient.managed_by_id == alice)
        assert session.scalar(query) == 2
    assert carol.get("/admin/patients/999999/people").status_code == 404


def test_a_disabled_account_is_signed_out_at_the_next_click(carol: TestClient, cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    address = f"/admin/patients/{alice}/account"
    with client_for(cast.database) as hers:
        log_in(hers, "alice")
        page = read(carol.get(address))
        assert page.h1 == "Disable the account of Alice Adams?"
        assert "alice@docket.example is signed out everywhere" in page.text
        assert hers.get("/account").status_code == 200
        assert carol.post(address, data=page.form(address)).status_code == 303
        assert hers.get("/account").status_code == 303
        record = read(carol.get(f"/admin/patients/{alice}"))
        assert "Sign-in as alice@docket.example is disabled." in record.text
        assert "Disabled" in read(carol.get("/admin/patients?q=alice")).one("tbody").text
        page = read(carol.get(address))
        assert page.h1 == "Enable the account of Alice Adams?"
        # The same form on another admin's open page does not disable the account twice.
        assert carol.post(address, data={"active": "no"}).status_code == 303
        assert carol.post(address, data=page.form(address)).status_code == 303
        log_in(hers, "alice")
    found = [action for action, kind, _number in recorded(cast) if kind == "user"]
    assert found == ["user_disabled", "user_enabled"]


def test_a_missing_answer_asks_again_and_without_an_account_there_is_no_page(carol: TestClient, cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    answer = carol.post(f"/admin/patients/{alice}/account", data={"active": "perhaps"})
    assert answer.status_code == 422
    page = read(answer)
    assert "Choose whether to enable or disable the account." in page.one("div", role="alert").text
    assert page.form(f"/admin/patients/{alice}/account") == {"active": "no"}
    for number in (add(cast), 999_999):
        assert carol.get(f"/admin/patients/{number}/account").status_code == 404
        assert carol.post(f"/admin/patients/{number}/account", data={"active": "no"}).status_code == 404


def test_the_last_admin_cannot_be_disabled_through_their_patient_record(carol: TestClient, cast: Cast) -> None:
    number = add(cast, name="Carol Clark", user_id=cast.carol.user_id)
    answer = carol.post(f"/admin/patients/{number}/account", data={"active": "no"})
    assert answer.status_code == 409
    assert read(answer).one("div", role="alert").text
    assert carol.get("/admin/patients").status_code == 200


@pytest.mark.parametrize(
    "typed", ["06 1234 5678", "0612345678", "+31 6 12345678", "0031612345678", "612345678", "5678"]
)
def test_a_number_is_found_by_any_way_of_typing_it(carol: TestClient, cast: Cast, typed: str) -> None:
    sent = {**ZOE, "phone": "06-12 34 56 78", "next": ""}
    assert carol.post("/admin/patients", data=sent).status_code == 303
    assert carol.post("/admin/patients", data={**sent, "name": "Yan", "phone": "06 87654321", "email": ""}).status_code
    page = read(carol.get("/admin/patients", params={"q": typed}))
    assert names(page) == ["Zoë Visser"]
    assert "06 12345678" in page.text


@pytest.mark.both_databases
def test_an_impossible_number_is_pointed_out_until_it_is_corrected(carol: TestClient, cast: Cast) -> None:
    zoe = add(cast, phone="ask at 20")
    overview = read(carol.get("/admin"))
    assert "Zoë Visser’s phone number is not complete" in overview.text
    address = f"/admin/patients/{zoe}/edit"
    assert address in overview.links
    page = read(carol.get(address))
    assert page.one(id="phone-doubt").text == "This is not a complete phone number. Please correct it."
    # The rest of the record can be changed without it.
    form = {**page.form(address), "name": "Zoë Vissers"}
    assert carol.post(address, data=form).status_code == 303
    record = read(carol.get(f"/admin/patients/{zoe}"))
    assert "ask at 20" in record.text
    assert "This is not a complete phone number." in record.text
    form = {**read(carol.get(address)).form(address), "phone": "06 1234 567"}
    assert carol.post(address, data=form).status_code == 303
    assert "This number may be wrong. Please check it." in read(carol.get(f"/admin/patients/{zoe}")).text
    assert "phone number is not complete" not in read(carol.get("/admin")).text

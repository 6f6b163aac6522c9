"""Booking for a caller: one screen from the patient to the appointment, with and without JavaScript."""

from __future__ import annotations

from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, Cast, local, log_in
from tests.reading import Element, read, read_fragment
from webapp import models
from webapp.clinic.service import get_clinic
from webapp.core.formats import iso
from webapp.database import Database
from webapp.doctors import service as doctors
from webapp.patients import records
from webapp.patients.schemas import PatientDetails
from webapp.scheduling.slots import to_datetime
from webapp.scheduling.viewer import Viewer
from webapp.staff.desk.free_times import WantedTimes, find_near, find_offers, requests_for

HERE = "/desk/booking"
WHY = "She stands at the desk"


def add_patient(cast: Cast, name: str, **details: object) -> int:
    def work(session: Session) -> int:
        saved = PatientDetails.model_validate({"name": name, **details})
        return records.add_patient(session, saved, managed_by=None, now=NOW)

    return cast.database.write(work)


def times_of(page: Element) -> list[str]:
    """What the buttons that book send."""
    return [button["value"] or "" for button in page.all("button", name="time")]


def appointment(cast: Cast) -> models.Appointment:
    with cast.database.reading() as session:
        return session.scalars(sa.select(models.Appointment).order_by(models.Appointment.id.desc())).first()  # type: ignore[return-value]


# ------------------------------------------------------------------------------------- the merged list


def test_the_first_times_of_all_doctors_are_one_list(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-02 10:00")
    with cast.database.reading() as session:
        clinic = get_clinic(session)
        requests = requests_for(doctors.list_doctors(session), visit_type_id=cast.long)
        wanted = WantedTimes(date(2026, 3, 2), date(2026, 3, 31))
        days = find_offers(session, clinic, requests, wanted, viewer=Viewer(by_staff=True), now=NOW)
    first = [(offer.time.minute // 60, offer.time.minute % 60, offer.request.doctor.slug) for offer in days[0].offers]
    # It is 08:00, and patients book two hours ahead. Erin starts at each half hour, Bob at each quarter.
    assert first[:4] == [(9, 0, "bob"), (9, 0, "erin"), (9, 15, "bob"), (9, 30, "bob")]
    assert (10, 0, "bob") not in first
    assert [offer.soon for offer in days[0].offers[:6]] == [True] * 5 + [False]
    assert [day.day.isoweekday() for day in days] == [1, 2, 3, 4]


def test_days_and_hours_that_the_caller_cannot_come_are_left_out(cast: Cast) -> None:
    with cast.database.reading() as session:
        requests = requests_for(doctors.list_doctors(session), specialty="General practice")
        wanted = WantedTimes(date(2026, 3, 2), date(2026, 3, 31), frozenset({1, 3}), since=13 * 60)
        days = find_offers(session, get_clinic(session), requests, wanted, viewer=Viewer(by_staff=True), now=NOW)
    assert [day.day for day in days] == [date(2026, 3, day) for day in (3, 5, 10, 12)]
    assert {offer.time.minute >= 13 * 60 for day in days for offer in day.offers} == {True}
    assert {offer.request.doctor.slug for day in days for offer in day.offers} == {"bob"}


def test_the_number_of_doctors_adds_no_query(cast: Cast) -> None:
    with cast.database.reading() as session:
        requests = requests_for(doctors.list_doctors(session), visit_type_id=cast.long)
    wanted = WantedTimes(date(2026, 3, 2), date(2026, 3, 31))
    for some in (requests[:1], requests):
        process = Database(cast.url)
        with process.reading() as session:
            clinic = get_clinic(session)
            statements: list[str] = []
            sa.event.listen(process.engine, "before_cursor_execute", lambda *given, to=statements: to.append(given[2]))
            assert find_offers(session, clinic, some, wanted, viewer=Viewer(by_staff=True), now=NOW)
        process.dispose()
        # The hours, and the taken times.
        assert len(statements) == 2, statements


def test_times_beside_an_appointment_touch_it_and_never_overlap(cast: Cast) -> None:
    beside = local("2026-03-03 10:00").timestamp() // 60
    with cast.database.reading() as session:
        requests = requests_for(doctors.list_doctors(session), slug="bob", visit_type_id=cast.short)
        near = find_near(
            session,
            get_clinic(session),
            requests,
            date(2026, 3, 3),
            (int(beside), int(beside) + 30),
            viewer=Viewer(by_staff=True),
            now=NOW,
        )
    starts = [to_datetime(offer.time.start) for offer in near]
    wanted = ["09:15", "09:30", "09:45", "10:30", "10:45", "11:00"]
    assert starts == [local(f"2026-03-03 {clock}") for clock in wanted]


# ------------------------------------------------------------------------------------------- the page


def test_a_doctor_who_offers_nothing_has_a_page_that_says_so(client: TestClient, cast: Cast) -> None:
    cast.add(models.Doctor(slug="bare", name="Dr. Bare", specialty="General practice", languages=[]))
    log_in(client, "fiona")
    page = client.get("/desk/booking?doctor=bare")
    assert page.status_code == 200
    assert "None of these doctors offers this visit type." in read(page).text


def test_if_the_chosen_days_are_full_the_next_free_times_are_offered(client: TestClient, cast: Cast) -> None:
    """As after "Book another close to this", which asks for the day of that appointment."""
    put(cast, "2026-03-04 09:00", minutes=480)
    log_in(client, "fiona")
    full = f"{HERE}?doctor=bob&visit_type={cast.short}&from=2026-03-04&until=2026-03-04"
    page = read(client.get(full))
    assert "No free times on these days. These are the next ones." in page.text
    assert times_of(page)[0] == f"bob {cast.short} {iso(local('2026-03-05 09:00'))}"
    # The other choices still hold.
    assert times_of(read(client.get(f"{full}&weekday=2")))[0].endswith(iso(local("2026-03-11 09:00")))


def test_a_known_patient_and_any_doctor_take_three_pages_without_javascript(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    page = read(client.get(HERE))
    assert page.one("input", id="q")["autofocus"] is not None
    form = page.form(HERE)
    # One patient alone fits, who is chosen at once; the address has the id, and no name.
    answer = client.post(HERE, data={**form, "q": "adams", "doctor": "any"})
    assert answer.status_code == 303
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query == {"patient": [str(cast.patient_ids["alice"])], "doctor": ["any"]}
    page = read(client.get(answer.headers["location"]))
    assert page.h1 == "Book for Alice Adams"
    answer = client.post(HERE, data={**page.form(HERE), "reason": "A rash", "time": times_of(page)[-1]})
    assert answer.status_code == 303, answer.text
    page = read(client.get(answer.headers["location"]))
    booked = appointment(cast)
    assert (booked.patient_id, booked.reason) == (cast.patient_ids["alice"], "A rash")
    told = page.one("section", aria_labelledby="tell-patient").text
    assert booked.reference in told
    assert "with Dr." in told


@pytest.mark.both_databases
def test_of_several_patients_one_is_picked_on_the_same_page(client: TestClient, cast: Cast) -> None:
    another = add_patient(cast, "Alina Berg", birth_date=date(1990, 5, 1))
    cast.book(cast.alice, "2026-03-05 10:00")
    log_in(client, "carol")
    page = read(client.post(HERE, data={"q": "ali", "doctor": "bob"}))
    found = page.one("div", id="found").text
    assert "Next: Thursday 5 March, 10:00, Dr. Bob Brown" in found
    assert [radio["value"] for radio in page.all("input", name="patient")] == [
        str(cast.patient_ids["alice"]),
        str(another),
    ]
    time = times_of(page)[-1]
    nobody = client.post(HERE, data={**page.form(HERE), "time": time})
    assert nobody.status_code == 422
    assert "Choose who this appointment is for." in nobody.text
    answer = client.post(HERE, data={**page.form(HERE), "patient": str(another), "time": time})
    assert answer.status_code == 303
    assert appointment(cast).patient_id == another


def test_when_is_my_next_is_answered_with_ways_to_move_and_cancel(client: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-02 13:00", doctor="erin", visit_type=cast.long)
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    log_in(client, "carol")
    page = read(client.get(HERE, params={"patient": cast.patient_ids["alice"]}))
    assert "2 upcoming appointments" in page.text
    assert {f"/appointments/{reference}/reschedule", f"/appointments/{reference}/cancellation"} <= set(page.links)
    # The other patient's are not shown.
    page = read(client.get(HERE, params={"patient": cast.patient_ids["dave"]}))
    assert "No upcoming appointments." in page.text
    # The current appointment is listed with the upcoming ones, and is not also the last.
    put(cast, "2026-03-02 07:50", patient="dave")
    page = read(client.get(HERE, params={"patient": cast.patient_ids["dave"]}))
    assert "1 upcoming appointment" in page.text
    assert "Last appointment" not in page.text


def test_a_new_patient_is_three_fields_and_leaves_nothing_when_the_time_is_taken(
    client: TestClient, cast: Cast
) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    log_in(client, "carol")
    taken = f"bob {cast.short} {iso(local('2026-03-03 10:00'))}"
    typed = {"name": "Nora Novak", "birth_date": "1990-05-01", "contact": "+31 20 123 9999", "time": taken}
    answer = client.post(HERE, data=typed)
    assert answer.status_code == 409
    assert "The doctor has another appointment at that time." in answer.text
    assert "Nora" not in str(answer.request.url)
    with cast.database.reading() as session:
        assert not session.scalars(sa.select(models.Patient).where(models.Patient.name == "Nora Novak")).all()
    free = f"bob {cast.short} {iso(local('2026-03-03 10:15'))}"
    answer = client.post(HERE, data={**typed, "time": free})
    assert answer.status_code == 303
    with cast.database.reading() as session:
        patient = session.scalars(sa.select(models.Patient).where(models.Patient.name == "Nora Novak")).one()
        assert (patient.phone, patient.email, patient.birth_date) == ("+31201239999", "", date(1990, 5, 1))
    assert appointment(cast).patient_id == patient.id


@pytest.mark.parametrize("button", [{"time": "bob 1 2026-03-03T09:15:00Z"}, {"queue": "1", "doctor": "bob"}])
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("contact", "06", "This phone number is too short."),
        ("contact", "12 after six", "Enter a phone number"),
        ("birth_date", "2031-05-01", "future"),
    ],
)
def test_details_that_are_refused_stay_in_the_form(
    client: TestClient, cast: Cast, name: str, value: str, sentence: str, button: dict[str, str]
) -> None:
    log_in(client, "fiona")
    typed = {"name": "Nora Novak", "birth_date": "1990-05-01", "contact": "", "reason": "Ear ache", name: value}
    answer = client.post(HERE, data=typed | button)
    assert answer.status_code == 422
    page = read(answer)
    assert sentence in page.text
    form = page.form(HERE)
    assert {each: form[each] for each in typed} == typed


@pytest.mark.both_databases
def test_a_likely_duplicate_is_asked_about_once(client: TestClient, cast: Cast) -> None:
    known = add_patient(cast, "Nora Novak", birth_date=date(1990, 5, 1))
    log_in(client, "carol")
    time = f"bob {cast.short} {iso(local('2026-03-03 10:15'))}"
    typed = {"name": "Nora Novak", "birth_date": "1990-05-01", "contact": "nora@docket.example", "time": time}
    answer = client.post(HERE, data=typed)
    assert answer.status_code == 409
    page = read(answer)
    assert [radio["value"] for radio in page.all("input", name="patient")] == [str(known)]
    answer = client.post(HERE, data={**page.form(HERE), "time": time})
    assert answer.status_code == 303
    assert appointment(cast).patient_id != known


def test_times_within_the_notice_are_marked_and_need_a_reason(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    page = read(client.get(HERE, params={"patient": cast.patient_ids["alice"], "doctor": "bob"}))
    soon = page.all("button", name="time")[0]
    assert "Within the minimum notice" in (soon["aria-label"] or "")
    answer = client.post(HERE, data={**page.form(HERE), "time": soon["value"]})
    assert answer.status_code == 422
    assert "less than the minimum notice" in answer.text
    page = read(answer)
    answer = client.post(HERE, data={**page.form(HERE), "override_reason": WHY, "time": soon["value"]})
    assert answer.status_code == 303
    assert appointment(cast).override_reason == WHY


def test_the_page_opens_where_no_time_is_free_or_each_needs_a_reason(client: TestClient, cast: Cast) -> None:
    log_in(client, "fiona")
    cast.change(sa.update(models.ClinicSettings).values(notice_minutes=30 * 24 * 60))
    assert read(client.get(HERE)).all("button", **{"data-first-time": ""})
    cast.change(sa.delete(models.WorkingHours))
    assert "No free times" in read(client.get(HERE)).text


def test_a_named_time_that_is_refused_says_why(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    query = {"doctor": "bob", "starts_at": iso(local("2026-03-03 12:15")), "patient": str(cast.patient_ids["alice"])}
    page = read(client.get(HERE, params=query))
    assert "The doctor is not working for the whole appointment." in page.text
    assert "Book anyway" in page.text
    # Past times are within the notice, too, but the page does not say so.
    page = read(client.get(HERE, params={"doctor": "bob", "starts_at": iso(local("2026-03-02 07:30"))}))
    assert ("That time has passed." in page.text, "minimum notice" in page.text) == (True, False)


def test_a_named_time_stays_while_the_patient_is_looked_for(client: TestClient, cast: Cast) -> None:
    log_in(client, "fiona")
    start = iso(local("2026-03-03 10:00"))
    page = read(client.get(HERE, params={"doctor": "bob", "starts_at": start}))
    answer = client.post(HERE, data={**page.form(HERE), "q": "adams"})
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (query["starts_at"], query["patient"]) == ([start], [str(cast.patient_ids["alice"])])
    page = read(client.get(answer.headers["location"]))
    assert "Book Tue 3 Mar, 10:00" in page.text


def test_and_another_keeps_doctor_and_day_and_offers_the_times_beside(client: TestClient, cast: Cast) -> None:
    def child(session: Session) -> int:
        saved = PatientDetails(name="Ada Adams", birth_date=date(2019, 1, 1))
        return records.add_patient(session, saved, managed_by=cast.patient_ids["alice"], now=NOW)

    child_id = cast.database.write(child)
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    log_in(client, "carol")
    page = read(client.get(HERE, params={"after": reference}))
    assert page.h1 == "Book another appointment"
    assert [radio["value"] for radio in page.all("input", name="patient")] == [str(child_id)]
    form = page.form(HERE)
    assert (form["doctor"], form["from"], form["until"]) == ("bob", "2026-03-05", "2026-03-05")
    next_to_it = f"bob {cast.short} {iso(local('2026-03-05 10:15'))}"
    assert next_to_it in times_of(page)[:6]
    # Times close to it are not listed again below.
    assert len(times_of(page)) == len(set(times_of(page)))
    answer = client.post(HERE, data={**form, "patient": str(child_id), "time": next_to_it})
    assert answer.status_code == 303
    assert appointment(cast).patient_id == child_id


@pytest.mark.both_databases
def test_doctors_book_in_their_own_calendar_only(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    page = read(client.get(HERE, params={"patient": cast.patient_ids["alice"], "doctor": "any"}))
    assert {value.split()[0] for value in times_of(page)} == {"bob"}
    erins = f"erin {cast.long} {iso(local('2026-03-03 10:00'))}"
    answer = client.post(HERE, data={"patient": str(cast.patient_ids["alice"]), "time": erins})
    assert answer.status_code == 403


@pytest.mark.parametrize(("target", "wanted"), [("found", "Alice Adams"), ("times", "First free times")])
def test_both_parts_are_loaded_alone(client: TestClient, cast: Cast, target: str, wanted: str) -> None:
    log_in(client, "carol")
    headers = {"hx-request": "true", "hx-target": target}
    answer = client.post(HERE, data={"q": "adams", "doctor": "bob", "part": "afternoon"}, headers=headers)
    part = read_fragment(answer, target)
    assert wanted in part.text
    if target == "times":
        assert answer.headers["hx-replace-url"] == f"{HERE}?doctor=bob&part=afternoon"


def test_a_whole_day_and_another_patient_keep_what_is_typed(client: TestClient, cast: Cast) -> None:
    log_in(client, "fiona")
    page = read(client.get(f"{HERE}?patient={cast.patient_ids['alice']}"))
    typed = page.form(HERE) | {"reason": "A rash"}
    # Names and reasons are in no address.
    whole = {**typed, "whole_day": page.all("button", name="whole_day")[1]["value"]}
    day = read(client.post(HERE, data=whole))
    form = day.form(HERE)
    assert form["patient"] == str(cast.patient_ids["alice"])
    assert (form["reason"], form["from"], form["until"]) == ("A rash", whole["whole_day"], whole["whole_day"])
    assert len(day.all("button", name="time")) > 20
    assert day.all("button", name="whole_day") == []
    other = read(client.post(HERE, data={**form, "another": "1"}))
    assert other.form(HERE).get("patient", "") == ""
    assert other.form(HERE)["reason"] == "A rash"
    assert other.one("input", id="q")
    # Without them, the choices are the address of the page.
    plain = client.post(HERE, data={**whole, "reason": ""})
    assert plain.headers["location"].endswith(f"from={whole['whole_day']}&until={whole['whole_day']}")

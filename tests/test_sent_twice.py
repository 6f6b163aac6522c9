"""A form that is sent twice (a double click, Back, Reload, a lost answer) has the same effect as once, and says so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import Cast, client_for, local, log_in
from tests.reading import HTMX, read
from tests.registering import register, send_form
from webapp import models
from webapp.core.formats import iso
from webapp.event_handlers import wired_database
from webapp.patients import records
from webapp.patients.exceptions import LikelyDuplicate
from webapp.patients.schemas import PatientDetails

pytestmark = pytest.mark.both_databases

TEN = "2026-03-10 10:00"
PHONED = {"name": "Nora Nowak", "email": "nora@example.org", "password": "two words and more words"}


def appointments(cast: Cast) -> list[models.Appointment]:
    with cast.database.reading() as session:
        return list(session.scalars(sa.select(models.Appointment).order_by(models.Appointment.id)))


def count(cast: Cast, table: type[models.Base]) -> int:
    with cast.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


# --------------------------------------------------------------------------------------------- booking


def test_booking_twice_leads_to_the_same_appointment(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    address = f"/book?doctor=bob&visit_type={cast.short}&starts_at={iso(local(TEN))}"
    form = read(client.get(address)).form("/appointments") | {"reason": "My knee ", "notes": ""}
    first, second = (client.post("/appointments", data=form) for _ in range(2))
    (booked,) = appointments(cast)
    for answer in (first, second):
        assert (answer.status_code, answer.headers["location"]) == (303, f"/appointments/{booked.reference}?booked=1")
    # Another reason is not lost without a message.
    other = client.post("/appointments", data=form | {"reason": "My other knee"})
    assert other.status_code == 409
    assert "My other knee" in other.text
    # The same time for another visit type is no repetition either.
    assert client.post("/appointments", data=form | {"visit_type": str(cast.long)}).status_code == 409
    # To Dave the time is taken, as before.
    with client_for(cast.database) as daves:
        assert log_in(daves, "dave").post("/appointments", data=form).status_code == 409
    assert len(appointments(cast)) == 1


def test_booking_twice_is_fine_also_when_the_first_filled_a_limit(client: TestClient, cast: Cast) -> None:
    cast.change(sa.update(models.ClinicSettings).values(max_active_visits=1))
    log_in(client, "alice")
    form = {"doctor": "bob", "starts_at": iso(local(TEN))}
    answers = {client.post("/appointments", data=form).headers.get("location") for _ in range(2)}
    assert answers == {f"/appointments/{appointments(cast)[0].reference}?booked=1"}


def test_staff_who_book_twice_are_led_to_the_same_appointment(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    patient = cast.patient_ids["alice"]
    page = read(client.get(f"/book?doctor=bob&visit_type={cast.short}&starts_at={iso(local(TEN))}&patient={patient}"))
    form = page.form("/appointments") | {"reason": "By telephone"}
    answers = [client.post("/appointments", data=form) for _ in range(2)]
    (booked,) = appointments(cast)
    for answer in answers:
        assert (answer.status_code, answer.headers["location"]) == (303, f"/appointments/{booked.reference}?booked=1")


@pytest.mark.parametrize("anyway", ["", "yes"])
def test_booking_twice_for_a_caller_who_is_new_makes_one_patient_with_one_appointment(
    client: TestClient, cast: Cast, anyway: str
) -> None:
    log_in(client, "fiona")
    known = count(cast, models.Patient)
    form = {"name": "Nora Nowak", "birth_date": "1990-05-01", "contact": "+31 20 555 0199", "reason": "A cough"}
    form |= {"time": f"bob {cast.short} {iso(local(TEN))}", "anyway": anyway}
    answers = [client.post("/desk/booking", data=form) for _ in range(2)]
    (booked,) = appointments(cast)
    for answer in answers:
        assert (answer.status_code, answer.headers["location"]) == (303, f"/appointments/{booked.reference}?booked=1")
    assert count(cast, models.Patient) == known + 1
    # For another reason it is another booking, of a patient who has a record now.
    other = client.post("/desk/booking", data=form | {"reason": "A cold", "anyway": ""})
    assert other.status_code == 409
    assert "may already have a record" in other.text


@pytest.mark.parametrize(("who", "path"), [("fiona", "/admin/patients"), ("bob", "/schedule/patients/new")])
def test_a_patient_whom_staff_add_twice_is_there_once(client: TestClient, cast: Cast, who: str, path: str) -> None:
    log_in(client, who)
    known = count(cast, models.Patient)
    form = {"name": "Nora Nowak", "birth_date": "1990-05-01", "phone": "", "email": "nora@example.org"}
    answers = [client.post(path, data=form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert count(cast, models.Patient) == known + 1
    # With another address they may be another person, or the same.
    assert client.post(path, data=form | {"email": ""}).status_code == 409


# ------------------------------------------------------------------------------------ moving and cancelling


def test_clicks_at_one_instant_add_one_patient(cast: Cast) -> None:
    together = Barrier(3)
    details = PatientDetails(name="Nina New", email="nina@docket.example")

    def click(_number: int) -> str:
        # Each has its own connection, as two processes do.
        database = wired_database(cast.url)
        try:
            together.wait()
            database.write(records.create_patient, cast.fiona, details, now=cast.now)
        except LikelyDuplicate:
            return "known"
        finally:
            database.dispose()
        return "added"

    with ThreadPoolExecutor(3) as clicks:
        assert sorted(clicks.map(click, range(3))) == ["added", "known", "known"]


def test_moving_twice_says_twice_that_it_is_moved(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    path = f"/appointments/{reference}/reschedule"
    form = {"starts_at": iso(local("2026-03-11 14:00")), "version": "1"}
    log_in(client, "alice")
    for _ in range(2):
        answer = client.post(path, data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/appointments/{reference}")
        assert "The appointment is moved." in read(client.get(answer.headers["location"])).text
    assert [(each.version, each.starts_at) for each in appointments(cast)] == [(2, local("2026-03-11 14:00"))]
    # After another change the first form no longer says what is so.
    assert client.post(path, data={"starts_at": iso(local(TEN)), "version": "2"}).status_code == 303
    assert client.post(path, data=form).status_code == 409


@pytest.mark.parametrize("reason", ["", "I am better"])
def test_cancelling_twice_says_twice_that_it_is_cancelled(client: TestClient, cast: Cast, reason: str) -> None:
    reference = cast.book(cast.alice, TEN)
    log_in(client, "alice")
    for _ in range(2):
        answer = client.post(f"/appointments/{reference}/cancellation", data={"version": "1", "reason": reason})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/appointments/{reference}")
        assert "The appointment is cancelled." in read(client.get(answer.headers["location"])).text
    assert [(each.version, each.cancellation_reason) for each in appointments(cast)] == [(2, reason)]


def test_a_reason_is_not_lost_when_the_appointment_was_cancelled_before(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    cast.change(sa.update(models.Appointment).values(status="cancelled", version=4))
    log_in(client, "alice")
    answer = client.post(f"/appointments/{reference}/cancellation", data={"version": "1", "reason": "I am better"})
    assert answer.status_code == 409
    assert "I am better" in answer.text


# -------------------------------------------------------------------------------------------- registering


def test_registering_twice_makes_one_account(client: TestClient, cast: Cast) -> None:
    before = count(cast, models.User)
    send_form(client, PHONED | {"next": "/appointments"})
    answer = register(client, cast, PHONED | {"next": "/appointments"})
    assert answer.headers["location"] == "/appointments"
    # Of the same form in another tab, later.
    assert register(client, cast, PHONED | {"next": "/appointments"}).headers["location"] == "/appointments"
    assert count(cast, models.User) == before + 1


# ------------------------------------------------------------------------------------------------- staff


@pytest.mark.parametrize("swapped", [False, True])
def test_a_second_tap_on_a_status_changes_nothing_and_is_no_error(
    client: TestClient, cast: Cast, swapped: bool
) -> None:
    put(cast, "2026-03-02 10:00")
    (booked,) = appointments(cast)
    log_in(client, "bob")
    for path, form in (
        ("status", {"status": "arrived", "version": "1", "back": "/schedule"}),
        ("status/undo", {"version": "2", "back": "/schedule"}),
    ):
        for _ in range(2):
            answer = client.post(f"/appointments/{booked.reference}/{path}", data=form, headers=HTMX if swapped else {})
            assert answer.status_code == (200 if swapped else 303), answer.text
    assert [(each.status, each.version) for each in appointments(cast)] == [("scheduled", 3)]
    # A tap on a button for something that is no longer possible still says so.
    late = client.post(f"/appointments/{booked.reference}/status", data={"status": "arrived", "version": "1"})
    assert late.status_code == 409


def test_a_form_that_is_saved_twice_is_saved(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    cast.add(models.Closure(name="A day out", starts_on=local(TEN).date(), ends_on=local(TEN).date()))
    bobs = [cast.short, cast.long, cast.buffered, cast.by_phone]
    both = [cast.doctor_ids["bob"], cast.doctor_ids["erin"]]
    for who, path, changed in (
        ("bob", f"/appointments/{reference}/note", {"private_note": "Ask again."}),
        ("carol", "/admin/clinic/details", {"name": "Harbour Lane Practice"}),
        ("carol", "/admin/clinic/opening-hours", {}),
        ("carol", f"/admin/patients/{cast.patient_ids['alice']}/edit", {"phone": "020 123 4568"}),
        ("carol", "/admin/doctors/bob", {"room": "Room 9", "visit_type_ids": bobs}),
        ("carol", f"/admin/visit-types/{cast.long}", {"preparation": "Come early.", "doctor_ids": both}),
        ("carol", "/admin/closures/1", {"name": "A day away"}),
        ("carol", f"/appointments/{reference}/reason", {"reason": "Another cough."}),
    ):
        log_in(client, who)
        page = read(client.get(path))
        form = page.form(path) | changed
        answers = [client.post(path, data=form) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [303, 303], (path, read(answers[1]).text)


def test_a_person_who_is_added_twice_is_there_once(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    before = count(cast, models.Patient)
    for _ in range(2):
        assert client.post("/account/people", data={"name": "Ada Adams", "birth_date": "2020-01-02"}).status_code == 303
    assert count(cast, models.Patient) == before + 1


def test_a_person_whom_the_desk_adds_twice_is_there_once(client: TestClient, cast: Cast) -> None:
    log_in(client, "fiona")
    before = count(cast, models.Patient)
    alices, daves = (f"/admin/patients/{cast.patient_ids[name]}/people" for name in ("alice", "dave"))
    form = {"name": "Ada Adams", "birth_date": "2020-01-02", "phone": "", "email": ""}
    answers = [client.post(alices, data=form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert count(cast, models.Patient) == before + 1
    # The same person for another patient is a question.
    assert client.post(daves, data=form).status_code == 409


def test_a_device_that_is_signed_out_twice_is_signed_out(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    log_in(client, "alice")
    with cast.database.reading() as session:
        other = session.scalars(sa.select(models.UserSession.id).order_by(models.UserSession.id)).first()
    for _ in range(2):
        answer = client.post(f"/account/sessions/{other}/end")
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")


def test_a_walk_in_who_is_added_twice_waits_once(client: TestClient, cast: Cast) -> None:
    log_in(client, "fiona")
    known = {"patient": str(cast.patient_ids["alice"]), "doctor": "bob"}
    new = {"name": "Nora Novak", "contact": "+31 20 123 9999", "urgent": "y", "queue_note": "Fever"}
    for form in (known, new):
        for _ in range(2):
            answer = client.post("/desk/booking", data={**form, "queue": "1"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/board"), read(answer).text
    assert count(cast, models.WalkIn) == 2
    # Another queue is another wish.
    other = client.post("/desk/booking", data={**known, "doctor": "erin", "queue": "1"})
    assert (other.status_code, "already waiting" in other.text) == (409, True)


def test_an_appointment_that_is_hidden_twice_is_hidden(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, TEN)
    log_in(client, "carol")
    form = {"confidential": "yes", "version": "1"}
    for _ in range(2):
        answer = client.post(f"/appointments/{reference}/confidential", data=form)
        assert (answer.status_code, answer.headers.get("location")) == (303, f"/appointments/{reference}")
    # An older page that shows it again does not know this.
    assert client.post(f"/appointments/{reference}/confidential", data=form | {"confidential": "no"}).status_code == 409


def test_a_doctor_who_is_added_twice_is_there_once(client: TestClient, cast: Cast) -> None:
    log_in(client, "carol")
    before = count(cast, models.Doctor)
    form = {"name": "Dr. Nina New", "specialty": "General practice", "slot_step": "15", "position": "9", "tint": "1"}
    form |= {"visit_type_ids": str(cast.short)}
    for _ in range(2):
        answer = client.post("/admin/doctors", data=form)
        assert (answer.status_code, answer.headers.get("location")) == (303, "/admin/doctors/nina-new/hours/new")
    assert count(cast, models.Doctor) == before + 1
    # Another doctor may have the same name.
    other = client.post("/admin/doctors", data=form | {"specialty": "Dermatology"})
    assert other.headers["location"] == "/admin/doctors/nina-new-2/hours/new"

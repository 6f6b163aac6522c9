"""Pages of squeezing in: booking and moving at a taken time, how it is flagged, and where it is allowed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, Cast, another, client_for, local, log_in
from tests.reading import Element, read
from webapp.core.formats import iso
from webapp.models import Appointment, AuditEvent, Doctor

TEN = "2026-03-03 10:00"
WHY = "A child with a fever"


@pytest.fixture
def carol(client: TestClient, cast: Cast) -> TestClient:
    """Carol, at the desk, while Alice has ten o’clock with Bob."""
    cast.book(cast.alice, TEN)
    log_in(client, "carol")
    return client


def allow(cast: Cast, most: int) -> None:
    cast.change(sa.update(Doctor).where(Doctor.slug == "bob").values(squeeze_ins=most))


def booking(carol: TestClient, cast: Cast, *, patient: str = "dave") -> Element:
    """The page on which staff would book ten o’clock for a patient."""
    whom = f"patient={cast.patient_ids[patient]}"
    answer = carol.get(f"/book?doctor=bob&visit_type={cast.short}&starts_at={iso(local(TEN))}&{whom}")
    assert answer.status_code == 409
    return read(answer)


def squeezed(cast: Cast) -> list[Appointment]:
    with cast.database.reading() as session:
        return list(session.scalars(sa.select(Appointment).where(Appointment.squeeze_reason != "")))


def test_a_taken_time_says_whether_an_appointment_can_be_squeezed_in(carol: TestClient, cast: Cast) -> None:
    page = booking(carol, cast)
    told = page.one("section", role="alert")
    assert "Dr. Bob Brown does not allow squeeze-ins." in told.text
    # Users who may allow them get a link; the front desk reads whom to ask.
    assert told.links == ["/admin/doctors/bob#squeeze_ins"]
    assert read(carol.get("/admin/doctors/bob")).all("select", id="squeeze_ins")
    told = booking(log_in(another(carol), "fiona"), cast).one("section", role="alert")
    assert (told.links, "The doctor or an admin can allow more." in told.text) == ([], True)
    assert not page.all("input", name="squeeze_reason")
    allow(cast, 1)
    page = booking(carol, cast)
    assert "you can squeeze it in beside the other appointment" in page.one("section", role="alert").text
    assert page.one("button", value="squeeze").text == "Squeeze in at 10:00"
    form = {**page.form("/appointments"), "reason": "Fever"}
    for sent, words in (
        ({"step": "squeeze", "squeeze_reason": " "}, "Give a reason for squeezing it in."),
        # The ordinary button books no taken time, with any text in the field.
        ({"step": "book", "squeeze_reason": WHY}, "The doctor has another appointment at that time."),
    ):
        refused = carol.post("/appointments", data={**form, **sent})
        assert refused.status_code in {409, 422}
        assert words in read(refused).text
        assert read(refused).form("/appointments")["reason"] == "Fever"
    assert squeezed(cast) == []
    booked = carol.post("/appointments", data={**form, "step": "squeeze", "squeeze_reason": WHY})
    assert booked.status_code == 303
    (urgent,) = squeezed(cast)
    assert (urgent.lane, urgent.squeeze_reason, urgent.reason) == (1, WHY, "Fever")
    assert f"Squeezed in: {WHY}" in read(carol.get(booked.headers["location"])).text
    full = booking(carol, cast, patient="alice")
    assert "The patient already has an appointment at that time." in full.text
    assert not full.all("input", name="squeeze_reason")


def test_an_appointment_is_moved_beside_another_one_and_back(carol: TestClient, cast: Cast) -> None:
    allow(cast, 1)
    path = f"/appointments/{cast.book(cast.dave, '2026-03-03 14:00')}/reschedule"
    page = read(carol.get(path, params={"date": "2026-03-03", "time": "10:00"}))
    form = page.form(path)
    assert "squeeze_reason" in form
    assert "override_reason" not in form
    missing = carol.post(path, data={**form, "step": "squeeze"})
    assert missing.status_code == 422
    assert "Give a reason for squeezing it in." in read(missing).text
    assert carol.post(path, data={**form, "step": "squeeze", "squeeze_reason": WHY}).status_code == 303
    assert [row.lane for row in squeezed(cast)] == [1]
    back = {"starts_at": iso(local("2026-03-03 14:00")), "version": "2"}
    assert carol.post(path, data=back).status_code == 303
    assert squeezed(cast) == []


def test_the_desk_squeezes_a_caller_in(carol: TestClient, cast: Cast) -> None:
    allow(cast, 1)
    here = "/desk/booking"
    chosen = f"doctor=bob&visit_type={cast.short}&starts_at={iso(local(TEN))}&patient={cast.patient_ids['dave']}"
    page = read(carol.get(f"{here}?{chosen}"))
    button = page.one("button", name="squeeze")
    form = {**page.form(here), "squeeze": button["value"]}
    missing = carol.post(here, data=form)
    assert missing.status_code == 422
    assert "Give a reason for squeezing it in." in read(missing).text
    assert carol.post(here, data={**form, "squeeze_reason": WHY}).status_code == 303
    assert [row.squeeze_reason for row in squeezed(cast)] == [WHY]


def test_the_doctors_day_and_week_show_it_beside_the_other_one(client: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, TEN)
    allow(cast, 1)
    log_in(client, "bob")
    form = booking(client, cast).form("/appointments")
    assert client.post("/appointments", data={**form, "step": "squeeze", "squeeze_reason": WHY}).status_code == 303
    day = read(client.get("/schedule/2026-03-03"))
    beside = day.one("li", class_="beside")
    assert [each.text for each in beside.all("h3")] == ["Alice Adams", "Dave Dunn"]
    assert f"Squeezed in: {WHY}" in beside.text
    (urgent,) = squeezed(cast)
    changed = read(client.get(f"/schedule/2026-03-03?changed={urgent.reference}"))
    assert "Dave Dunn: scheduled" in changed.one("div", id="said").text
    assert [each["id"] for each in changed.all(data_focus="")] == [f"act-{urgent.reference}"]
    with cast.database.reading() as session:
        read_by_bob = session.scalars(sa.select(AuditEvent.details).where(AuditEvent.action == "schedule_read"))
        assert [urgent.id in details["appointments"] for details in read_by_bob] == [True, True]
    week = read(client.get("/schedule/week/2026-W10"))
    # The classes of a row name its lane and the number of lanes.
    places = [
        ([each for each in row["class"].split() if each[0] in "kn" and each[1:].isdigit()], "Squeezed in" in row.text)
        for row in week.all("li", data_kind="appointment")
    ]
    assert sorted(places) == [(["k1", "n2"], False), (["k2", "n2"], True)]


def test_doctors_and_admins_say_how_many_are_allowed(client: TestClient, cast: Cast) -> None:
    log_in(client, "bob")
    page = read(client.get("/schedule/hours/squeeze-ins"))
    assert page.form("/schedule/hours/squeeze-ins") == {"squeeze_ins": "0"}
    assert "You don’t allow squeeze-ins" in page.text
    assert "/schedule/hours/squeeze-ins" in [link["href"] for link in read(client.get("/schedule/hours")).all("a")]
    for wrong in ("", "4", "-1", "many"):
        refused = client.post("/schedule/hours/squeeze-ins", data={"squeeze_ins": wrong})
        assert refused.status_code == 422, wrong
        assert "Choose one of these." in read(refused).text
    for number in ("2", "2"):
        assert client.post("/schedule/hours/squeeze-ins", data={"squeeze_ins": number}).status_code == 303
    assert "Staff can add an urgent appointment" in read(client.get("/schedule/hours/squeeze-ins")).text
    log_in(client, "carol")
    form = read(client.get("/admin/doctors/bob")).form("/admin/doctors/bob")
    assert form["squeeze_ins"] == "2"
    assert client.post("/admin/doctors/bob", data={**form, "squeeze_ins": "1", "step": "save"}).status_code == 303
    with cast.database.reading() as session:
        assert session.scalar(sa.select(Doctor.squeeze_ins).where(Doctor.slug == "bob")) == 1
        found = session.scalars(sa.select(AuditEvent.details).where(AuditEvent.action == "doctor_changed"))
        assert ["squeeze_ins" in details["changed"] for details in found] == [True, True]


def test_no_more_are_offered_at_a_time_that_has_all_that_are_allowed(carol: TestClient, cast: Cast) -> None:
    allow(cast, 1)
    reference = cast.book(cast.dave, "2026-03-03 14:00")
    panel = f"/board/2026-03-03/appointments/{reference}"

    def offers() -> tuple[bool, bool]:
        with client_for(cast.database, now=NOW) as client:
            day = read(log_in(client, "bob").get("/schedule/2026-03-03"))
        card = day.one("article", id=f"appointment-{reference}")
        return "Squeeze in" in read(carol.get(panel)).text, "Squeeze in" in card.text

    assert offers() == (True, True)
    put(cast, "2026-03-03 14:00", minutes=15, squeezed=WHY)
    assert offers() == (False, False)
    allow(cast, 2)
    assert offers() == (True, True)


def test_a_gap_that_is_too_short_says_what_fits(carol: TestClient, cast: Cast) -> None:
    def told(start: str) -> str:
        answer = carol.get(f"/desk/booking?doctor=bob&visit_type={cast.long}&starts_at={iso(local(start))}")
        assert answer.status_code == 409
        alert = read(answer).one("section", role="alert").text
        assert "That time is taken" not in alert
        return alert

    assert "First visit doesn’t fit between the other appointments. Visit types that fit: Follow-up." in told(
        "2026-03-03 09:45"
    )
    # Bob offers no visit type of five minutes.
    assert "No visit type of Dr. Bob Brown fits between the other appointments." in told("2026-03-03 09:55")
    allow(cast, 1)
    assert "This time is too short" in told("2026-03-03 09:45")

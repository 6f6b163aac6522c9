"""Bad input of every kind: a clear text, the right status, nothing lost, nothing booked, never a 500."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import Cast, client_for, local, log_in
from tests.reading import Element, read
from webapp import models
from webapp.core.formats import iso

pytestmark = pytest.mark.both_databases

TYPED = {"reason": "My knee & <ankle>\nsince May", "notes": "An interpreter, please"}
Kind = Callable[[Cast], int]


def short(cast: Cast) -> int:
    return cast.short


def long(cast: Cast) -> int:
    return cast.long


# What is wrong, the start on the clinic's wall clock, the visit type, and the text that the page must show.
REFUSED: list[tuple[str, str, Kind, str]] = [
    ("a Saturday", "2026-03-07 10:00", short, "The clinic is not open for the whole appointment."),
    ("a Sunday", "2026-03-08 10:00", short, "The clinic is not open for the whole appointment."),
    ("08:59", "2026-03-03 08:59", short, "one of this doctor’s start times"),
    ("08:45", "2026-03-03 08:45", short, "The clinic is not open for the whole appointment."),
    ("16:45 for 30 minutes", "2026-03-03 16:45", long, "The clinic is not open for the whole appointment."),
    ("17:00", "2026-03-03 17:00", short, "The clinic is not open for the whole appointment."),
    ("in the doctor's break", "2026-03-03 12:00", short, "The doctor is not working for the whole appointment."),
    ("into the doctor's break", "2026-03-03 11:45", long, "The doctor is not working for the whole appointment."),
    ("yesterday", "2026-02-27 10:00", short, "That time has passed."),
    ("a year ago", "2025-03-03 10:00", short, "That time has passed."),
    ("too soon", "2026-03-02 09:45", short, "Appointments must be booked at least 2 hours ahead"),
    ("too far ahead", "2026-06-01 10:00", short, "That is too far ahead."),
    ("one minute off the grid", "2026-03-03 10:01", short, "one of this doctor’s start times"),
    (
        "another doctor's kind of visit",
        "2026-03-03 10:00",
        lambda cast: cast.erins_only,
        "does not offer that visit type",
    ),
    ("a visit only booked by telephone", "2026-03-03 10:00", lambda cast: cast.by_phone, "can’t be booked online"),
]


def nothing_is_booked(cast: Cast) -> bool:
    with cast.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(models.Appointment)) == 0


def slot(cast: Cast, starts_at: str, kind: int | str | None = None) -> dict[str, str]:
    return {"doctor": "bob", "visit_type": str(kind or cast.short), "starts_at": starts_at}


def refused(client: TestClient, cast: Cast, sent: dict[str, str], words: str, *, status: int = 422) -> Element:
    """Both the address and the form are refused with this text, and the form keeps what was typed."""
    looked = client.get("/book", params=sent)
    assert (looked.status_code, words in read(looked).text) == (status, True), looked.text[-3000:]
    answer = client.post("/appointments", data={**sent, **TYPED})
    page = read(answer)
    assert (answer.status_code, words in page.text) == (status, True), page.text
    kept = page.form("/appointments")
    assert {name: kept[name] for name in TYPED} == TYPED
    assert page.all(role="alert")
    # A time that cannot be booked has no button that books it, but one that leads on.
    (onward,) = page.all("button", class_="primary")
    assert (onward["formaction"], onward.text) == ("/book/draft", "Choose another time")
    assert nothing_is_booked(cast)
    return page


def test_a_time_that_breaks_a_rule_is_refused_with_the_rule(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    for _what, start, kind, words in REFUSED:
        refused(client, cast, slot(cast, iso(local(start)), kind(cast)), words)


def test_leave_and_a_closure_are_refused(client: TestClient, cast: Cast) -> None:
    bob = cast.doctor_ids["bob"]
    cast.add(models.TimeOff(doctor_id=bob, starts_at=local("2026-03-04 09:30"), ends_at=local("2026-03-04 10:30")))
    cast.add(models.Closure(name="Inventory", starts_on=date(2026, 3, 5), ends_on=date(2026, 3, 6)))
    log_in(client, "alice")
    for start in ("2026-03-04 09:30", "2026-03-04 10:15", "2026-03-04 09:15"):
        kind = cast.long if start.endswith("09:15") else cast.short
        refused(client, cast, slot(cast, iso(local(start)), kind), "The doctor is away at that time.")
    for start in ("2026-03-05 10:00", "2026-03-06 16:45"):
        refused(client, cast, slot(cast, iso(local(start))), "The clinic is closed on that day.")
    # An appointment that ends when the leave begins, or begins when it ends, is possible.
    for start, doctor in (("2026-03-04 09:15", "bob"), ("2026-03-04 10:30", "bob")):
        cast.book(cast.alice, start, doctor=doctor)


def test_the_hour_that_does_not_exist_is_another_hour_and_is_judged_as_that(cast: Cast) -> None:
    # On 29 March 02:00+01:00 is the instant that the clinic's clocks show as 03:00.
    bob = cast.doctor_ids["bob"]
    cast.add(models.ExtraHours(doctor_id=bob, day=date(2026, 3, 29), start_minute=60, end_minute=180))
    with client_for(cast.database) as client:
        log_in(client, "alice")
        refused(client, cast, slot(cast, "2026-03-29T02:30:00+01:00"), "The clinic is not open")
        refused(client, cast, slot(cast, "2026-03-29T03:30:00+02:00"), "The clinic is not open")
        answer = client.post("/appointments", data=slot(cast, "2026-03-29T01:45:00+01:00"))
        assert answer.status_code == 303
        assert "01:45" in read(client.get(answer.headers["location"])).text


def test_the_repeated_hour_is_two_times_with_different_offsets(cast: Cast) -> None:
    bob = cast.doctor_ids["bob"]
    cast.add(models.ExtraHours(doctor_id=bob, day=date(2026, 10, 25), start_minute=120, end_minute=180))
    with client_for(cast.database, now=datetime(2026, 10, 5, 7, 0, tzinfo=UTC)) as client:
        log_in(client, "alice")
        for same in ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"):
            assert client.post("/appointments", data=slot(cast, same)).status_code == 303
    with cast.database.reading() as session:
        starts = session.scalars(sa.select(models.Appointment.starts_at).order_by(models.Appointment.starts_at)).all()
    assert [iso(start) for start in starts] == ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]


NO_TIMES = [
    "",
    "x",
    "2026-03-03",
    "10:00",
    "2026-03-03T10:00:00",
    "2026-03-03 10:00",
    "2026-02-30T10:00:00Z",
    "2026-03-03T25:00:00Z",
    "2026-03-03T10:00:00Europe/Amsterdam",
    "2026-03-03T10:00:00+99:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "-1",
    "1e400",
    "nan",
    "infinity",
    "9" * 400,
    "'; DROP TABLE appointments; --",
    "２０２６-03-03T10:00:00Z",
    "2026-03-03T10:00:00Z\n2026-03-04T10:00:00Z",
]
ODD_TIMES = [
    "2026-03-03T09:00:01Z",
    "2026-03-03T09:00:00.000001Z",
    "0001-01-01T00:00:00Z",
    "0001-01-05T00:00:00Z",
    "9999-12-31T23:59:00Z",
    "9999-12-25T10:00:00Z",
    "1969-12-31T23:45:00Z",
    "1583-01-03T09:00:00Z",
    "1700000000",
    "2026-03-03T09:00:00+00:07",
]


def test_an_invalid_instant_is_refused(client: TestClient, cast: Cast) -> None:
    """This includes a time without an offset, because its meaning would be a guess."""
    log_in(client, "alice")
    for odd in NO_TIMES:
        for answer in (
            client.get("/book", params=slot(cast, odd)),
            client.post("/appointments", data={**slot(cast, odd), **TYPED}),
        ):
            assert answer.status_code == 422, odd
            assert "Choose one of the free times." in read(answer).text, odd
    assert nothing_is_booked(cast)


def test_an_absurd_instant_is_refused(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    for odd in ODD_TIMES:
        for answer in (
            client.get("/book", params=slot(cast, odd)),
            client.post("/appointments", data={**slot(cast, odd), **TYPED}),
        ):
            assert answer.status_code == 422, odd
    assert nothing_is_booked(cast)


def test_missing_fields_are_refused(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    whole = slot(cast, iso(local("2026-03-03 10:00")))
    for missing, status in (("doctor", 404), ("starts_at", 422)):
        sent = {name: value for name, value in whole.items() if name != missing}
        assert client.get("/book", params=sent).status_code == status
        assert client.post("/appointments", data=sent).status_code == status
    assert client.post("/appointments", data={}).status_code == 404
    assert nothing_is_booked(cast)


FORGED: list[tuple[dict[str, str], int]] = [
    ({"doctor": "nobody"}, 404),
    ({"doctor": ""}, 404),
    ({"doctor": "bob' OR 1=1 --"}, 404),
    ({"doctor": "b" * 5000}, 404),
    ({"visit_type": "999"}, 404),
    ({"visit_type": "999999999"}, 404),
    ({"visit_type": "99999999999999999999"}, 422),
    ({"visit_type": "-1"}, 422),
    ({"visit_type": "0x1"}, 422),
    ({"visit_type": "١"}, 422),
    ({"visit_type": "1.0"}, 422),
    ({"patient": "2"}, 404),
    ({"patient": "999999999"}, 404),
    ({"patient": "-1"}, 422),
    ({"patient": "x"}, 422),
    ({"alternative": "x"}, 422),
    ({"alternative": "2026-03-03T10:00:00"}, 422),
    ({"alternative": "2026-03-07T09:00:00Z"}, 422),
]


def test_forged_hidden_fields_are_refused(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    for forged, status in FORGED:
        sent = {**slot(cast, iso(local("2026-03-03 10:00"))), **TYPED, **forged}
        answer = client.post("/appointments", data=sent)
        assert answer.status_code == status, forged
        assert read(answer).one("h1")
    assert nothing_is_booked(cast)


def test_fields_that_no_form_has_change_nothing(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    extra = {
        "patient_id": cast.patient_ids["dave"],
        "status": "confirmed",
        "id": "77",
        "booked_by": "1",
    }
    answer = client.post("/appointments", data={**slot(cast, iso(local("2026-03-03 10:00"))), **extra})
    assert answer.status_code == 303
    with cast.database.reading() as session:
        booked = session.scalars(sa.select(models.Appointment)).one()
    assert booked.patient_id == cast.patient_ids["alice"]
    assert (booked.status, booked.booked_by, booked.id == 77) == ("scheduled", cast.alice.user_id, False)


def test_a_forged_version_moves_and_cancels_nothing(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    log_in(client, "alice")
    for version in ("0", "2", "999999999"):
        for path in ("cancellation", "reschedule"):
            sent = {"version": version, "starts_at": iso(local("2026-03-11 10:00"))}
            answer = client.post(f"/appointments/{reference}/{path}", data=sent)
            assert answer.status_code == 409, (version, path)
            assert "This appointment has changed since you opened it." in read(answer).text
    with cast.database.reading() as session:
        appointment = session.scalars(sa.select(models.Appointment)).one()
    assert (appointment.status, appointment.version, appointment.starts_at) == (
        "scheduled",
        1,
        local("2026-03-10 09:30"),
    )


def test_a_strangers_reference_looks_like_an_unknown_one(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.dave, "2026-03-10 09:30")
    log_in(client, "alice")
    sent = {"version": "1", "starts_at": iso(local("2026-03-11 10:00"))}
    for each in (reference, "ZZZZ-ZZZZ", "x", "' OR 1=1 --", "a" * 3000, "🦷", "K7QM-2F9X.ics"):
        for path in ("", "/cancellation", "/reschedule"):
            address = f"/appointments/{each}{path}"
            assert client.get(address).status_code == 404, address[:60]
            if path:
                assert client.post(address, data=sent).status_code == 404, address[:60]
    with cast.database.reading() as session:
        assert session.scalars(sa.select(models.Appointment.status)).one() == "scheduled"


def test_a_doctor_who_left_can_no_longer_be_booked(client: TestClient, cast: Cast) -> None:
    log_in(client, "alice")
    sent = slot(cast, iso(local("2026-03-03 10:00")))
    cast.change(sa.update(models.Doctor).where(models.Doctor.slug == "bob").values(active=False))
    assert client.get("/book", params=sent).status_code == 404
    assert client.post("/appointments", data=sent).status_code == 404


def test_an_appointment_that_its_doctor_no_longer_offers_cannot_move(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 09:30")
    cast.change(sa.update(models.VisitType).where(models.VisitType.id == cast.short).values(active=False))
    log_in(client, "alice")
    path = f"/appointments/{reference}/reschedule"
    sent = {"version": "1", "starts_at": iso(local("2026-03-11 10:00"))}
    looked, answer = client.get(path, params=sent), client.post(path, data=sent)
    assert looked.status_code == answer.status_code == 422
    assert "does not offer that visit type" in read(answer).text
    assert client.get(f"/appointments/{reference}/cancellation").status_code == 200


def test_a_next_address_that_names_no_real_appointment_is_not_described(client: TestClient) -> None:
    for odd in (
        "/book",
        "/book?doctor=nobody&starts_at=2026-03-03T09:00:00Z",
        "/book?doctor=bob&starts_at=x",
        "/book?doctor=b%00b&starts_at=2026-03-03T09:00:00Z",
        "/book?doctor=b%ffb&starts_at=2026-03-03T09:00:00Z",
        "/book?doctor=bob&starts_at=0001-01-01T00:00:00%2B14:00",
        "/book?doctor=bob&starts_at=9999-12-31T23:59:00-12:00",
        "/appointments",
        "https://evil.example/book?doctor=bob&starts_at=2026-03-03T09:00:00Z",
    ):
        for path in ("/login", "/register"):
            answer = client.get(path, params={"next": odd})
            assert answer.status_code == 200, odd
            assert "you’ll book" not in read(answer).text, odd


# ------------------------------------------------------------------------------- one filter with several values


@pytest.mark.parametrize(("address", "field"), [
    ("/doctors?specialty=Dermatology&specialty=Cardiology", "Specialty"),
    ("/?q=bob&q=erin", "Doctor or health problem"),
    ("/admin/appointments?status=arrived&status=cancelled", "Status"),
    ("/admin/appointments?doctor=bob&doctor=erin", "Doctor"),
    ("/admin/appointments?from=2026-03-02&from=2026-03-03", "From"),
    ("/admin/appointments.csv?status=arrived&status=cancelled", "Status"),
    ("/desk/booking?doctor=bob&doctor=erin", "With"),
    ("/admin/appointments/why?doctor=bob&doctor=erin", "Doctor"),
    ("/admin/audit?action=patient_read&action=user_disabled", ""),
    ("/admin/audit.csv?who=bob&who=erin", ""),
    ("/admin/messages?state=dead&state=sent", ""),
    ("/admin/users?role=admin&role=doctor", "Role"),
    ("/admin/doctors?q=bob&q=erin", ""),
    ("/admin/patients?q=alice&q=dave", ""),
    ("/admin/closures/holidays?country=NL&country=BE", "Country"),
])  # fmt: skip
def test_a_filter_with_several_values_is_refused_by_name_instead_of_using_one(
    sqlite_cast: Cast, address: str, field: str
) -> None:
    with client_for(sqlite_cast.database) as client:
        log_in(client, "carol")
        refused = client.get(address)
        assert refused.status_code == 422
        assert f"The address has more than one value for “{field}" in read(refused).text

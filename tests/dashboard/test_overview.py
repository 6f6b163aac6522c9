"""The admin's overview: what needs attention, and today in numbers."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import ORIGIN, Cast, client_for, local, log_in
from tests.reading import Element, read
from webapp import models
from webapp.clinic.service import Clinic, get_clinic
from webapp.core import formats
from webapp.dashboard import queries
from webapp.database import Database
from webapp.demo import DEMO_PASSWORD
from webapp.notifications.outbox import Message, enqueue


def overview(cast: Cast, *, now: str = "2026-03-02 08:00", **settings: Any) -> Element:
    """The page as Carol sees it."""
    with client_for(cast.database, now=local(now), **settings) as client:
        client.base_url = client.headers["origin"] = settings.get("base_url", ORIGIN)
        log_in(client, "carol")
        answer = client.get("/admin")
        assert answer.status_code == 200
        return read(answer)


def matters(page: Element) -> list[str]:
    """The titles of what needs attention."""
    return [each.text for each in page.all("ol", class_="todo")[0].all("h3")]


def numbers(page: Element) -> dict[str, str]:
    """Today's numbers."""
    return {each.one("dt").text: each.all("dd")[0].text for each in page.one("dl", class_="stats").all("div")}


def test_an_admin_lands_here(client: TestClient, cast: Cast) -> None:
    answer = client.post("/login", data={"email": "carol@docket.example", "password": "a long sentence for tests"})
    assert answer.headers["location"] == "/admin"


def test_a_quiet_clinic_needs_nothing(cast: Cast) -> None:
    page = overview(cast)
    assert matters(page) == ["Nothing needs your attention"]
    assert numbers(page)["Appointments"] == "0"


def test_a_clinic_without_a_mail_server_is_warned(cast: Cast) -> None:
    """On a developer's machine this is normal and needs no attention."""
    assert "Emails are kept as files" in overview(cast).one("ol", class_="todo").text
    real = {"environment": "production", "base_url": "https://docket.test"}
    page = overview(cast, **real)
    assert matters(page) == ["Emails are not being sent"]
    assert "DOCKET_SMTP_URL" in page.text
    page = overview(cast, **real, smtp_url="smtp://mail.clinic.example")
    assert matters(page) == ["Nothing needs your attention"]
    assert "messages are delivered" in page.text


def test_settings_that_make_an_installation_unsafe_come_first(cast: Cast) -> None:
    real: dict[str, Any] = {
        "environment": "production",
        "base_url": "https://docket.test",
        "smtp_url": "smtp://mail.clinic.example",
    }
    cast.change(sa.update(models.ClinicSettings).values(demo=True))
    assert matters(overview(cast, **real)) == ["This is a demo clinic"]
    with client_for(cast.database, **real) as client:
        # The sign-in page shows no password there.
        assert DEMO_PASSWORD not in client.get("/login").text
    with client_for(cast.database) as client:
        assert DEMO_PASSWORD in client.get("/login").text
    cast.change(sa.update(models.ClinicSettings).values(demo=False))
    with client_for(cast.database) as client:
        cast_of(client).unknown_proxy.note("10.0.0.7")
        page = read(log_in(client, "carol").get("/admin"))
    assert matters(page) == ["A proxy is not in the settings"]
    assert "10.0.0.7" in page.text


def cast_of(client: TestClient) -> Any:
    """The state of the application behind a client."""
    return client.app.state  # type: ignore[attr-defined]


def test_today_is_counted_by_status(cast: Cast) -> None:
    for hour, status in ((9, "completed"), (10, "arrived"), (11, "no_show"), (13, "scheduled"), (14, "cancelled")):
        put(cast, f"2026-03-02 {hour:02d}:00", status=status)
    put(cast, "2026-03-03 09:00", status="confirmed")
    page = overview(cast, now="2026-03-02 11:30")
    found = numbers(page)
    assert [found[key] for key in ("Appointments", "Seen", "Arrived", "No-shows")] == ["3", "1", "1", "1"]
    assert "of 2 due by now" in page.one("dl", class_="stats").text
    bob = page.all("tbody")[0].all("tr")[0]
    assert [cell.text for cell in bob.all("td")][:3] == ["3", "1", "1"]


@pytest.mark.parametrize(
    ("day", "working"), [("2026-03-06", 2), ("2026-03-07", 1), ("2026-03-08", 0), ("2026-03-09", 2)]
)
def test_a_doctor_is_listed_on_days_with_hours_or_appointments(cast: Cast, day: str, working: int) -> None:
    put(cast, "2026-03-07 09:00")
    rows = [row for body in overview(cast, now=f"{day} 08:00").all("tbody") for row in body.all("tr")]
    assert len([row for row in rows if row.all("a")]) == working


def test_tomorrows_unconfirmed_appointments_are_named_with_a_link(cast: Cast) -> None:
    put(cast, "2026-03-03 09:00")
    put(cast, "2026-03-03 11:00", patient="dave")
    put(cast, "2026-03-03 13:00", status="confirmed")
    put(cast, "2026-03-04 09:00")
    page = overview(cast)
    assert matters(page) == ["2 appointments tomorrow are not confirmed"]
    assert "/admin/appointments?from=2026-03-03&until=2026-03-03&status=scheduled" in page.links


def test_flagged_appointments_come_first_with_why(cast: Cast) -> None:
    put(cast, "2026-03-03 09:00", patient="dave")
    number = put(cast, "2026-03-05 09:00")
    flag = sa.update(models.Appointment).where(models.Appointment.id == number)
    cast.change(flag.values(flagged_why="time_off"))
    page = overview(cast)
    assert matters(page)[0] == "1 appointment needs a decision"
    assert "Alice Adams with Dr. Bob Brown, Thursday 5 March at 09:00. The doctor is away." in page.text


def test_nothing_is_to_be_decided_about_a_patient_who_has_arrived(cast: Cast) -> None:
    number = put(cast, "2026-03-02 10:00")
    cast.change(
        sa.update(models.Appointment)
        .where(models.Appointment.id == number)
        .values(flagged_why="time_off", status="arrived")
    )
    assert "needs a decision" not in overview(cast).text
    with client_for(cast.database, now=local("2026-03-02 08:00")) as client:
        log_in(client, "carol")
        assert "Alice Adams" not in read(client.get("/admin/appointments?flagged=1")).text
        assert "The doctor is away." not in read(client.get("/admin/appointments")).text
        log_in(client, "bob")
        assert "Needs a decision" not in client.get("/schedule").text
        assert "Needs a decision" not in client.get("/schedule/week").text


def test_a_patient_without_contact_details_is_named(cast: Cast) -> None:
    lost = models.Patient(name="Lena Lost", created_at=cast.now)
    cast.add(lost)
    cast.patient_ids["lena"] = lost.id
    put(cast, "2026-03-05 09:00", patient="lena")
    page = overview(cast)
    assert matters(page) == ["Lena Lost has no contact details"]
    assert f"/admin/patients/{lost.id}/edit" in page.links


def test_a_child_is_reached_through_its_manager(cast: Cast) -> None:
    child = models.Patient(name="Cleo Child", managed_by_id=cast.patient_ids["alice"], created_at=cast.now)
    cast.add(child)
    cast.patient_ids["cleo"] = child.id
    put(cast, "2026-03-05 09:00", patient="cleo")
    assert matters(overview(cast)) == ["Nothing needs your attention"]


def message(cast: Cast, subject: tuple[str, int], key: str = "first", **changes: Any) -> None:
    """A message to Alice's address, an hour old, with these changes."""
    mail = Message(key, "email", "alice@docket.example", "visit_booked", {}, subject)
    cast.database.write(enqueue, mail, now=cast.now - timedelta(hours=1))
    values = {"status": "dead", "finished_at": cast.now, "last_error": "There is no such mailbox", **changes}
    cast.change(sa.update(models.OutboxMessage).where(models.OutboxMessage.dedupe_key == key).values(**values))


def test_messages_that_were_not_delivered_are_counted_for_two_weeks(cast: Cast) -> None:
    user = ("user", cast.carol.user_id)
    message(cast, user)
    message(cast, user, "second")
    message(cast, user, "old", finished_at=cast.now - timedelta(days=14))
    message(cast, user, "sent", status="sent")
    page = overview(cast)
    assert matters(page) == ["2 messages could not be delivered"]
    assert "/admin/messages?state=dead" in page.links


@pytest.mark.parametrize(("changes", "since", "why"), [
    ({"due_at": local("2026-03-02 07:45"), "last_error": ""}, "Monday 2 March at 07:45", "Is the worker running?"),
    ({"due_at": local("2026-03-02 07:46"), "last_error": ""}, "", ""),
    ({"due_at": local("2026-03-02 08:30")}, "Monday 2 March at 07:00", "There is no such mailbox"),
    ({"due_at": local("2026-03-02 08:30"), "created_at": local("2026-03-02 07:46")}, "", ""),
    ({"due_at": local("2026-03-02 07:30"), "status": "sending", "lease_until": local("2026-03-02 08:03")}, "", ""),
])  # fmt: skip
def test_delivery_that_has_stopped_is_reported(cast: Cast, changes: dict[str, Any], since: str, why: str) -> None:
    message(cast, ("user", cast.carol.user_id), **{"status": "waiting", "finished_at": None, **changes})
    page = overview(cast)
    assert matters(page) == (
        [f"Messages have been waiting since {since}"] if since else ["Nothing needs your attention"]
    )
    assert why in page.text
    assert ("/admin/messages?state=trouble" in page.links) == bool(since)


def test_a_patient_who_no_longer_gets_messages_is_named(cast: Cast) -> None:
    """The patients whose last message was not delivered to a current address, with no delivery since."""
    child = models.Patient(name="Cleo Child", managed_by_id=cast.patient_ids["alice"], created_at=cast.now)
    cast.patient_ids["cleo"] = cast.add(child)
    appointment = put(cast, "2026-03-05 09:00", patient="cleo")
    message(cast, ("appointment", appointment))
    page = overview(cast)
    assert matters(page) == ["1 message could not be delivered", "Alice Adams gets no messages"]
    assert "The last one to alice@docket.example could not be delivered. There is no such mailbox." in page.text
    assert f"/admin/patients/{cast.patient_ids['alice']}/edit" in page.links
    hers = models.Patient.id == cast.patient_ids["alice"]
    for makes_good, undo in (
        (sa.update(models.Patient).where(hers).values(wants_email=False), {"wants_email": True}),
        (sa.update(models.User).where(models.User.id == cast.alice.user_id).values(email="new@docket.example"), None),
    ):
        cast.change(makes_good)
        assert matters(overview(cast)) == ["1 message could not be delivered"]
        if undo:
            cast.change(sa.update(models.Patient).where(hers).values(**undo))


@pytest.mark.parametrize("subject", ["patient", "user"])
def test_a_later_delivered_message_settles_it(cast: Cast, subject: str) -> None:
    put(cast, "2026-03-05 09:00")
    number = cast.patient_ids["alice"] if subject == "patient" else cast.alice.user_id
    message(cast, (subject, number))
    assert matters(overview(cast))[1:] == ["Alice Adams gets no messages"]
    message(cast, (subject, number), "later", status="sent")
    assert matters(overview(cast)) == ["1 message could not be delivered"]


def test_a_new_clinic_is_shown_the_first_steps(cast: Cast) -> None:
    cast.change(sa.delete(models.OpeningHours))
    cast.change(sa.delete(models.WorkingHours))
    assert matters(overview(cast)) == ["Set the clinic’s opening hours", "Set your doctors’ working hours"]


@pytest.mark.parametrize("today", ["2026-03-30", "2026-10-26"])
def test_weeks_are_the_clinics_weeks_also_when_the_clocks_change(cast: Cast, today: str) -> None:
    monday = date.fromisoformat(today)
    put(cast, f"{monday} 00:00", minutes=30)
    put(cast, f"{monday - timedelta(days=1)} 23:30", minutes=30, patient="dave", doctor="erin", status="no_show")
    clinic_now = local(f"{today} 08:00")
    with cast.database.reading() as session:
        weeks = queries.read_weeks(session, clinic_of(cast), now=clinic_now)
    assert [(week.appointments, week.no_shows) for week in weeks[-2:]] == [(1, 1), (1, 0)]
    assert weeks[-1].monday == monday
    assert len(weeks) == 8


def test_weeks_know_of_each_change_also_on_days_that_were_counted_before(cast: Cast) -> None:
    def booked() -> list[int]:
        with cast.database.reading() as session:
            weeks = queries.read_weeks(session, clinic_of(cast), now=cast.now)
        return [week.appointments for week in weeks[-3:]]

    # The clinic's day is Monday, 2 March.
    known = booked()
    for day, week in (("03-02", 2), ("03-01", 1), ("02-28", 1), ("02-27", 1), ("02-26", 1), ("02-23", 1), ("02-22", 0)):
        put(cast, f"2026-{day} 07:00")
        known[week] += 1
        assert booked() == known, day
    cast.change(sa.update(models.Appointment).values(status="cancelled"))
    assert booked() == [0, 0, 0]


def clinic_of(cast: Cast) -> Clinic:
    """The clinic as it is stored."""
    with cast.database.reading() as session:
        return get_clinic(session)


def test_the_number_of_queries_does_not_depend_on_the_data(cast: Cast) -> None:
    def count() -> int:
        seen: list[str] = []
        # A process that has seen no schedule yet.
        database = Database(cast.url)
        with client_for(database) as client:
            log_in(client, "carol")
            engine = database.engine

            def note(*args: object) -> None:
                seen.append(str(args[2]))

            sa.event.listen(engine, "before_cursor_execute", note)
            client.get("/admin")
            sa.event.remove(engine, "before_cursor_execute", note)
        return len(seen)

    empty = count()
    for number in range(3):
        message(cast, ("user", cast.alice.user_id), f"m{number}")
    for hour in range(9, 12):
        put(cast, f"2026-03-02 {hour:02d}:00")
        put(cast, f"2026-03-03 {hour:02d}:00", patient="dave")
    assert count() == empty


def test_flagged_is_settled_with_a_reason(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    cast.change(sa.update(models.Appointment).values(flagged_why="time_off"))
    log_in(client, "carol")
    address = f"/appointments/{reference}/flag"
    page = read(client.get(address))
    assert "The doctor is away." in page.text
    without = client.post(address, data=page.form(address))
    assert without.status_code == 422
    assert "Enter a reason for keeping it." in read(without).text
    answer = client.post(address, data=page.form(address) | {"reason": "Dr. Eze takes over."})
    assert answer.status_code == 303
    assert client.get(address).headers["location"] == f"/appointments/{reference}"
    assert "/admin/appointments?flagged=1" not in read(client.get("/admin")).links


def test_a_flag_that_changed_meanwhile_is_shown_again_with_the_typed_text(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-04 10:00")
    cast.change(sa.update(models.Appointment).values(flagged_why="time_off"))
    log_in(client, "carol")
    address = f"/appointments/{reference}/flag"
    form = read(client.get(address)).form(address)
    cast.change(sa.update(models.Appointment).values(version=7))
    answer = client.post(address, data=form | {"reason": "Dr. Eze takes over."})
    assert answer.status_code == 409
    assert read(answer).form(address)["reason"] == "Dr. Eze takes over."


def test_a_day_is_the_clinics_day(cast: Cast) -> None:
    low, high = queries.local_day(clinic_of(cast), date(2026, 3, 29))
    assert (formats.iso(low), formats.iso(high)) == ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")

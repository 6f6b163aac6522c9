"""The pages behind the links in messages: an appointment's life without signing in, and the limits of a link."""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.api_client import API
from tests.appointments.messages.test_appointment_messages import add_child, outbox, written
from tests.calendars import read_calendar
from tests.cast import NOW, ORIGIN, SECRET_KEY, Cast, assemble, client_for, local, log_in
from tests.reading import HTMX, read, read_fragment
from webapp import models
from webapp.appointments import queries
from webapp.appointments.booking import service, status_service
from webapp.appointments.calendars import feed
from webapp.appointments.exceptions import NoSuchAppointment, NotAPatient, StatusNotPossible
from webapp.appointments.messages import appointment_links
from webapp.appointments.messages.recipients import LINK_PURPOSE
from webapp.appointments.schemas import Booking, Cancellation, ChangeStatus, Move, UndoStatus
from webapp.audit.models import AuditEvent
from webapp.auth import feeds
from webapp.auth.addresses import confirmation
from webapp.auth.schemas import Actor
from webapp.clinic.service import get_clinic
from webapp.core.formats import iso
from webapp.core.signing import sign, unsign
from webapp.database import Database
from webapp.exceptions import AppError, Forbidden
from webapp.notifications.rendering import render
from webapp.patients import queries as patient_records
from webapp.patients import service as patients
from webapp.patients.exceptions import NoSuchPatient

OLD = "2026-03-10 09:30"
NEW = "2026-03-11 14:00"
ALICE = "alice@docket.example"
QUESTIONS = ("", ".ics", "/confirmation", "/cancellation", "/reschedule")
TOLD = {"reason": "a rash", "notes": "since the summer", "private_note": "ask again", "cancellation_reason": "too sick"}


@pytest.fixture
def cast(sqlite_cast: Cast) -> Cast:
    """The clinic on one kind of database; an appointment's whole life is tested on both."""
    return sqlite_cast


def link(reference: str, sent_to: str = ALICE) -> str:
    """The address of an appointment's page as a message to that address contains it."""
    return f"/visit/{sign([SECRET_KEY], LINK_PURPOSE, [reference, sent_to])}"


def appointment(cast: Cast, reference: str) -> models.Appointment:
    with cast.database.reading() as session:
        return session.scalars(sa.select(models.Appointment).where(models.Appointment.reference == reference)).one()


def holder(cast: Cast, reference: str, sent_to: str = ALICE) -> Actor:
    """The actor for a request with that link."""
    token = link(reference, sent_to).removeprefix("/visit/")
    with cast.database.reading() as session:
        return appointment_links.find_link_access(session, token, [SECRET_KEY], now=NOW)[0]


def test_the_link_to_an_appointment_that_the_clinic_moved_allows_changes_until_it_starts(cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    cast.database.write(service.move, cast.carol, reference, Move(starts_at=local(NEW)), now=NOW)
    with client_for(cast.database, now=local("2026-03-11 13:59")) as client:
        for path in ("", "/confirmation"):
            assert "You can move or cancel it until it starts." in read(client.get(link(reference) + path)).text
        page = read(client.get(f"{link(reference)}/cancellation"))
        form = page.form(f"{link(reference)}/cancellation")
        assert client.post(f"{link(reference)}/cancellation", data=form).status_code == 303
    assert appointment(cast, reference).status == "cancelled"


def everything(cast: Cast) -> list[Any]:
    """All rows of the database."""
    with cast.database.reading() as session:
        return [
            (table.name, *row)
            for table in models.Appointment.metadata.sorted_tables
            for row in session.execute(sa.select(table))
        ]


# ------------------------------------------------------------------------------------------- an appointment's life


def test_an_appointment_is_confirmed_moved_and_cancelled_by_the_links_in_its_messages(database: Database) -> None:
    """Starting with the mail, for a patient without an account for whom staff booked."""
    cast = assemble(database)
    paul = cast.add(models.Patient(name="Paul Post", email="paul@post.example", created_at=NOW))
    booking = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local(OLD), patient_id=paul)
    reference = database.write(service.book, cast.carol, booking, now=NOW)
    (mail,) = outbox(cast)
    with client_for(database) as client:
        here = link(reference, mail.recipient)
        page = read(client.get(here))
        assert page.h1 == "Your appointment with Dr. Bob Brown"
        answer = client.post(f"{here}/confirmation", data=page.form(f"{here}/confirmation"))
        assert (answer.status_code, answer.headers["location"]) == (303, here)
        page = read(client.get(here))
        assert "Thank you. The appointment is confirmed." in page.text
        assert not page.all("form", action=f"{here}/confirmation")
        confirmed = appointment(cast, reference)
        assert (confirmed.status, confirmed.previous_status, confirmed.version) == ("confirmed", "scheduled", 2)

        path = f"{here}/reschedule"
        page = read(client.get(path, params={"starts_at": iso(local(NEW))}))
        assert page.h1 == "Is this the right time?"
        answer = client.post(path, data=page.form(path))
        assert (answer.status_code, answer.headers["location"]) == (303, here)
        assert "The appointment is moved." in read(client.get(here)).text
        moved = appointment(cast, reference)
        assert (moved.starts_at, moved.status, moved.version) == (local(NEW), "scheduled", 3)

        path = f"{here}/cancellation"
        page = read(client.get(path))
        assert page.h1 == "Cancel your appointment on Wednesday 11 March at 14:00?"
        assert f"{here}/reschedule" in page.links
        answer = client.post(path, data={**page.form(path), "reason": "I am well again"})
        assert (answer.status_code, answer.headers["location"]) == (303, here)
        page = read(client.get(here))
        assert "The appointment is cancelled." in page.text
        assert "well again" not in page.text
        cancelled = appointment(cast, reference)
        assert (cancelled.status, cancelled.cancellation_reason) == ("cancelled", "I am well again")
        assert cancelled.booked_by == cast.carol.user_id
    assert [(each.template, each.values["by"]) for each in outbox(cast)[1:]] == [
        ("visit_moved", "you"),
        ("visit_cancelled", "you"),
    ]
    with database.reading() as session:
        rows = session.execute(sa.select(AuditEvent).where(AuditEvent.actor_user_id.is_(None))).scalars().all()
        assert [(row.action, row.details.get("by"), row.actor_role) for row in rows] == [
            ("confirmed", "link", "patient"),
            ("moved", "link", "patient"),
            ("cancelled", "link", "patient"),
        ]
        assert "post.example" not in str([row.details for row in rows])
    # The clinic reads what happened.
    with client_for(database) as staff:
        history = read(log_in(staff, "carol").get(f"/appointments/{reference}")).text
        assert "Booked by you" in history
        assert "Confirmed with the link we sent" in history
        assert "Moved with the link we sent, from" in history
        assert "Cancelled with the link we sent" in history
        log = read(staff.get("/admin/audit")).text
        assert log.count("Link in a message") == 3


def test_every_link_in_a_message_opens_a_page_that_asks_first(client: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, OLD)
    (mail,) = outbox(cast)
    found = sorted(set(re.findall(r"https://docket.test(/visit/\S+)", written(mail).text)))
    assert [re.sub(r"/visit/[^/]+", "", address) for address in found] == ["", "/cancellation", "/reschedule"]
    for address in found:
        assert client.get(address).status_code == 200


def test_nothing_is_written_before_a_button_is_pressed(client: TestClient, cast: Cast) -> None:
    here = link(reference := cast.book(cast.alice, OLD))
    log_in(client, "dave")
    cast.change(sa.update(models.UserSession).values(last_seen_at=local("2026-01-01 00:00")))
    before = everything(cast)
    for path in (*QUESTIONS, f"/reschedule?starts_at={iso(local(NEW))}", "/reschedule?week=2026-W12"):
        for headers in ({}, HTMX):
            assert client.get(f"{here}{path}", headers=headers).status_code == 200, path
            assert client.request("HEAD", f"{here}{path}", headers=headers).status_code == 200, path
    assert everything(cast) == before
    # Forms that change something must come from our own pages.
    answer = client.post(f"{here}/confirmation", data={"version": "1"}, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert appointment(cast, reference).status == "scheduled"


# ------------------------------------------------------------------------------------------- what it shows


def test_the_page_shows_time_and_place_but_not_the_reason(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD, visit_type=cast.long)
    cast.change(sa.update(models.Appointment).values(**TOLD, flagged_why="Bob is away", override_reason="so urgent"))
    cast.change(sa.update(models.Patient).values(phone="+31612345678"))
    here = link(reference)
    page = read(client.get(here))
    for said in ("Tuesday 10 March 2026 09:30", "Dr. Bob Brown", "18 Harbour Lane", "Room 3", reference, "30 minutes"):
        assert said in page.text
    assert "Bring your medicines." in page.text
    assert {f"{here}.ics", f"{here}/reschedule", f"{here}/cancellation"} <= set(page.links)
    hidden = [
        *TOLD.values(),
        "First visit",
        "General practice",
        "Alice",
        "+31612345678",
        ALICE,
        "Bob is away",
        "urgent",
    ]
    for path in QUESTIONS:
        text = client.get(f"{here}{path}").text
        assert not [words for words in (*hidden, "History</h2>") if words in text], path
    cast.change(sa.update(models.VisitType).values(named_in_messages=True))
    assert "First visit" in read(client.get(here)).text
    assert "First visit with Dr. Bob Brown." in read(client.get(f"{here}/reschedule")).text


def test_no_link_leaks(client: TestClient, cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
    here = link(cast.book(cast.alice, OLD))
    with caplog.at_level(logging.DEBUG):
        for path in QUESTIONS:
            answer = client.get(f"{here}{path}")
            assert answer.headers["cache-control"] == "no-store"
            # Other pages do not learn the address; our own forms still send their origin.
            assert answer.headers["referrer-policy"] == "strict-origin"
            assert answer.headers["x-robots-tag"] == "noindex"
        client.post(f"{here}/confirmation", data={"version": "1"})
    ours = [record for record in caplog.records if not record.name.startswith("httpx")]
    assert here.removeprefix("/visit/") not in str([record.getMessage() for record in ours])


def test_the_calendar_file_is_the_event_of_the_mail(client: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, OLD)
    (mail,) = outbox(cast)
    here = link(appointment(cast, mail.values["visit"]["reference"]).reference)
    event = read_calendar(client.get(f"{here}.ics").text).event
    sent = read_calendar(written(mail).calendar).event
    assert event.text("UID") == sent.text("UID")
    assert event.text("URL") == f"{ORIGIN}{here}"


def test_a_childs_appointment_names_the_child_to_the_parent_and_not_to_the_child(
    client: TestClient, cast: Cast
) -> None:
    mia = add_child(cast, email="mia@docket.example", phone="+31612345678")
    booking = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local(OLD), patient_id=mia)
    reference = cast.database.write(service.book, cast.alice, booking, now=NOW)
    parents, childs = link(reference), link(reference, "mia@docket.example")
    assert read(client.get(parents)).h1 == "Mia Adams’s appointment with Dr. Bob Brown"
    assert read(client.get(f"{parents}/confirmation")).h1 == "Is Mia Adams coming on Tuesday 10 March at 09:30?"
    assert read(client.get(childs)).h1 == "Your appointment with Dr. Bob Brown"
    assert "Mia Adams" in client.get(f"{parents}.ics").text
    assert "Mia Adams" not in client.get(f"{childs}.ics").text
    # Both names are right at every address of the recipients.
    cast.change(sa.update(models.Patient).values(wants_sms=True))
    by_text = link(reference, "+31612345678")
    moved = {"starts_at": iso(local(NEW)), "version": "1"}
    assert client.post(f"{parents}/reschedule", data=moved).status_code == 303
    assert client.post(f"{by_text}/cancellation", data={"version": "2"}).status_code == 303
    told = {(each.template, each.recipient): each.values for each in outbox(cast)}
    assert told["visit_moved", ALICE]["by"] == "you"
    for address in ("mia@docket.example", "+31612345678"):
        assert told["visit_moved", address]["by_name"] == "Alice Adams"
        assert told["visit_cancelled", address]["by"] == "you"
    assert told["visit_cancelled", ALICE]["by_name"] == "Mia Adams"


def test_a_user_signed_in_to_another_account_acts_as_holder_of_the_link(client: TestClient, cast: Cast) -> None:
    """A parent may open a mail in a browser in which the doctor, or another patient, is signed in."""
    cast.book(cast.dave, NEW)
    for number, name in enumerate(("dave", "bob", "carol")):
        reference = cast.book(cast.alice, f"2026-03-1{number} 10:00")
        here = link(reference)
        log_in(client, name)
        for path in ("", "/confirmation", "/cancellation", "/reschedule"):
            text = client.get(f"{here}{path}").text
            assert "Sign out" not in text
            assert not [words for words in ("Dave Dunn", "Carol Clark", "/schedule", "/admin") if words in text]
        # The front desk could override the rule; a link never can.
        taken = {"starts_at": iso(local("2026-03-14 10:00")), "version": "1", "override_reason": "because"}
        assert client.post(f"{here}/reschedule", data=taken).status_code == 422
        assert client.post(f"{here}/confirmation", data={"version": "1"}).status_code == 303
        client.post(f"{here}/cancellation", data={"version": "2"})
        with cast.database.reading() as session:
            about = AuditEvent.subject_id == appointment(cast, reference).id
            found = session.scalars(sa.select(AuditEvent).where(about, AuditEvent.action != "booked")).all()
            assert [(row.action, row.actor_user_id) for row in found if row.subject_type == "appointment"] == [
                ("confirmed", None),
                ("cancelled", None),
            ]


# ------------------------------------------------------------------------------------- without access


def test_a_link_to_a_number_as_it_was_typed_once_is_still_its_owners(client: TestClient, cast: Cast) -> None:
    """Before numbers were stored in E.164, links named them as they had been typed."""
    reference = cast.book(cast.alice, "2026-03-05 10:00")
    cast.change(sa.update(models.Patient).values(phone="+31612345678"))
    assert client.get(link(reference, "06 1234 5678")).status_code == 200
    assert client.get(link(reference, "06 1234 5679")).status_code == 404


def test_a_link_ends_with_the_address_and_with_the_account(client: TestClient, cast: Cast) -> None:
    mia = add_child(cast, email="mia@docket.example", phone="+31612345678")
    booking = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local(OLD), patient_id=mia)
    reference = cast.database.write(service.book, cast.alice, booking, now=NOW)
    addresses = (ALICE, "mia@docket.example", "+31612345678")
    links = {address: link(reference, address) for address in addresses}
    # Preferences end no link, because the message was sent already.
    cast.change(sa.update(models.Patient).values(wants_email=False, wants_sms=False))
    assert {client.get(here).status_code for here in links.values()} == {200}
    of_mia = models.Patient.id == mia
    corrected = [
        ("+31612345678", sa.update(models.Patient).where(of_mia).values(phone="+31687654321")),
        ("mia@docket.example", sa.update(models.Patient).where(of_mia).values(email="mia.adams@docket.example")),
        (ALICE, sa.update(models.User).where(models.User.email == ALICE).values(active=False)),
    ]
    for address, correction in corrected:
        cast.change(correction)
        for path in QUESTIONS:
            answer = client.get(f"{links[address]}{path}")
            assert answer.status_code == 404
            page = read(answer)
            assert page.h1 == "This link no longer works"
            assert "Sign in to see your appointments, or call 020 123 4567." in page.text
            assert "/appointments" in page.links
        for path, form in (("confirmation", {}), ("cancellation", {}), ("reschedule", {"starts_at": iso(local(NEW))})):
            assert client.post(f"{links[address]}/{path}", data=form).status_code == 404
    assert appointment(cast, reference).version == 1
    # A parent who no longer books for the child has no access to the appointment.
    cast.change(sa.update(models.User).values(active=True))
    assert client.get(links[ALICE]).status_code == 200
    cast.change(sa.update(models.Patient).where(of_mia).values(managed_by_id=None))
    assert client.get(links[ALICE]).status_code == 404


def test_only_links_signed_for_this_appointment_and_address_open_it(client: TestClient, cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    good = link(reference).removeprefix("/visit/")
    alice = cast.alice
    forged = [
        # Two bits of a signature's last letter say nothing; all of the one before it do.
        good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1],
        good.partition(".")[0],
        "x",
        reference,
        sign(["another key that is long enough to be one"], LINK_PURPOSE, [reference, ALICE]),
        sign([SECRET_KEY], confirmation.PURPOSE, [alice.user_id, ALICE]),
        sign([SECRET_KEY], confirmation.PURPOSE, [reference, ALICE]),
        sign([SECRET_KEY], feeds.PURPOSE, [reference, ALICE]),
        *(
            sign([SECRET_KEY], LINK_PURPOSE, said)
            for said in (
                [reference, "dave@docket.example"],
                [reference, "bob@docket.example"],
                [reference, ""],
                [reference],
                [reference, None],
                ["ZZZZ-ZZZZ", ALICE],
                reference,
                {"reference": reference},
                None,
            )
        ),
    ]
    texts = set()
    for token in forged:
        for path in QUESTIONS:
            answer = client.get(f"/visit/{token}{path}")
            assert answer.status_code == 404, (token, path)
            texts.add(answer.text)
    # The answer does not say which of these it is.
    assert len(texts) == 1
    assert client.post(f"/visit/{forged[0]}/cancellation", data={"version": "1"}).status_code == 404
    assert appointment(cast, reference).status == "scheduled"


def test_the_holder_of_a_link_has_access_to_nothing_but_the_appointment(client: TestClient, cast: Cast) -> None:
    reference, other = cast.book(cast.alice, OLD), cast.book(cast.alice, NEW)
    mia = add_child(cast)
    actor = holder(cast, reference)
    with cast.database.reading() as session:
        visible = sa.select(models.Appointment.reference).where(queries.visible_to(actor))
        assert session.scalars(visible).all() == [reference]
        with pytest.raises(NoSuchAppointment):
            queries.get_appointment(session, actor, other)
        assert patients.find_own_patient(session, actor) is None
        assert patients.bookable_patients(session, actor) == []
        assert session.scalars(sa.select(models.Patient.id).where(patient_records.visible_to(actor))).all() == []
        assert feeds.feed_path(session, actor, [SECRET_KEY]) is None
        clinic = get_clinic(session)
        assert len(feed.list_events(session, actor, clinic, base_url=ORIGIN, now=NOW)) == 1
    for patient_id in (None, cast.patient_ids["alice"], mia):
        booking = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local(NEW), patient_id=patient_id)
        with pytest.raises((NotAPatient, NoSuchPatient)):
            cast.database.write(service.book, actor, booking, now=NOW)
    move = Move(starts_at=local("2026-03-12 14:00"))
    with pytest.raises(NoSuchAppointment):
        cast.database.write(service.move, actor, other, move, now=NOW)
    for status in ("arrived", "completed", "no_show"):
        change = ChangeStatus.model_validate({"status": status})
        with pytest.raises(StatusNotPossible):
            cast.database.write(status_service.change_status, actor, reference, change, now=NOW)
    with pytest.raises(Forbidden):
        cast.database.write(status_service.undo, actor, reference, UndoStatus(), now=NOW)
    # A token gives access to nothing else.
    token = link(reference).removeprefix("/visit/")
    for path in ("/appointments", "/patients/me", "/auth/me"):
        assert client.get(f"{API}{path}", headers={"authorization": f"Bearer {token}"}).status_code == 401
    for path in (f"/calendar/{token}.ics", f"/password/reset/{token}", f"/email/confirm/{token}"):
        assert client.get(path).status_code == 404
    client.get(f"/visit/{token}")
    assert client.get(f"/appointments/{reference}").headers["location"].startswith("/login")


# ------------------------------------------------------------------------------------------------ the same rules


def test_a_time_is_offered_by_link_if_and_only_if_it_can_be_taken(client: TestClient, cast: Cast) -> None:
    """Offered if and only if bookable: compared with the service for every quarter of an hour of a week."""
    reference = cast.book(cast.alice, OLD, visit_type=cast.buffered)
    cast.book(cast.alice, "2026-03-11 10:00")
    cast.book(cast.dave, "2026-03-12 10:00", visit_type=cast.buffered)
    path = f"{link(reference)}/reschedule"
    page = read(client.get(f"{path}?week=2026-W11"))
    offered = {each["href"].partition("starts_at=")[2].replace("%3A", ":") for each in page.all("a", class_="slot")}
    actor, possible = holder(cast, reference), set()

    class Tried(Exception):
        """The move would have succeeded; it is rolled back."""

    def attempt(session: Any, command: Move) -> None:
        service.move(session, actor, reference, command, now=NOW)
        raise Tried

    for day in range(9, 14):
        for quarter in range(8 * 4, 18 * 4):
            start = local(f"2026-03-{day:02d} {quarter // 4:02d}:{quarter % 4 * 15:02d}")
            try:
                cast.database.write(attempt, Move(starts_at=start))
            except Tried:
                possible.add(iso(start))
            except AppError:
                continue
    assert len(possible) > 20
    assert offered == possible


def test_when_the_time_was_just_taken_the_nearest_times_are_links_with_the_same_token(
    client: TestClient, cast: Cast
) -> None:
    path = f"{link(cast.book(cast.alice, OLD))}/reschedule"
    form = read(client.get(path, params={"starts_at": iso(local(NEW))})).form(path)
    cast.book(cast.dave, NEW)
    answer = client.post(path, data=form)
    assert answer.status_code == 409
    near = [each["href"] for each in read(answer).one("section", id="taken-time").all("a", class_="slot")]
    assert near == [f"{path}?starts_at=2026-03-11T{time}%3A00Z" for time in ("12%3A30", "12%3A45", "13%3A15")]
    form = read(client.get(near[0])).form(path)
    assert client.post(path, data=form, headers=HTMX).headers["hx-redirect"] == path.removesuffix("/reschedule")


def test_the_calendar_is_a_fragment_for_htmx_with_the_same_links(client: TestClient, cast: Cast) -> None:
    path = f"{link(cast.book(cast.alice, OLD))}/reschedule"
    whole = read(client.get(f"{path}?week=2026-W12"))
    assert whole.one("a", id="calendar-next")["hx-get"] == f"{path}?week=2026-W13"
    part = read_fragment(client.get(f"{path}?week=2026-W12", headers=HTMX), "calendar")
    assert part.links == whole.one("section", id="calendar").links


def test_an_appointment_that_is_too_soon_can_only_be_confirmed(cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    here = link(reference)
    sentence = "It is too late to change this appointment online. The deadline was Monday 9 March at 09:30."
    with client_for(cast.database, now=local("2026-03-09 09:31")) as client:
        page = read(client.get(here))
        assert f"{sentence} Please call 020 123 4567." in page.text
        assert f"{here}/cancellation" not in page.links
        asked = read(client.get(f"{here}/confirmation"))
        assert sentence in asked.text
        assert f"{here}/reschedule" not in asked.links
        for path, form in (("cancellation", {}), ("reschedule", {"starts_at": iso(local(NEW))})):
            for answer in (client.get(f"{here}/{path}"), client.post(f"{here}/{path}", data=form)):
                assert answer.status_code == 422
                assert sentence in read(answer).text
                assert here in read(answer).links
        assert client.post(f"{here}/confirmation", data={"version": "1"}).status_code == 303
    assert appointment(cast, reference).status == "confirmed"


def test_confirming_twice_is_the_same_as_once(client: TestClient, cast: Cast) -> None:
    here = link(reference := cast.book(cast.alice, OLD))
    form = read(client.get(f"{here}/confirmation")).form(f"{here}/confirmation")
    for _ in range(2):
        assert client.post(f"{here}/confirmation", data=form).status_code == 303
    assert appointment(cast, reference).version == 2
    answer = client.get(f"{here}/confirmation")
    assert (answer.status_code, answer.headers["location"]) == (303, here)
    assert "This appointment is already confirmed. Thank you." in read(client.get(here)).text


def test_an_appointment_that_was_moved_meanwhile_is_shown_again(client: TestClient, cast: Cast) -> None:
    path = f"{link(reference := cast.book(cast.alice, OLD))}/confirmation"
    form = read(client.get(path)).form(path)
    cast.database.write(service.move, cast.carol, reference, Move(starts_at=local(NEW)), now=NOW)
    answer = client.post(path, data=form)
    assert answer.status_code == 409
    page = read(answer)
    assert page.h1 == "Are you coming on Wednesday 11 March at 14:00?"
    assert "This appointment has changed since you opened it." in page.text
    assert appointment(cast, reference).status == "scheduled"
    assert client.post(path, data=page.form(path)).status_code == 303


@pytest.mark.parametrize(
    ("status", "now", "said"),
    [
        ("cancelled", OLD[:10] + " 08:00", "This appointment is cancelled, so you don’t need to confirm it."),
        ("scheduled", OLD, "This appointment has already started, so it’s too late to confirm it."),
        ("completed", "2026-03-14 09:00", "This appointment has already started, so it’s too late to confirm it."),
    ],
)
def test_cancelled_or_past_appointments_say_so_and_can_be_booked_again(
    cast: Cast, status: str, now: str, said: str
) -> None:
    here = link(reference := cast.book(cast.alice, OLD))
    cast.change(sa.update(models.Appointment).values(status=status, updated_at=local("2026-03-09 09:00")))
    cast.change(sa.update(models.VisitType).values(named_in_messages=False))
    with client_for(cast.database, now=local(now)) as client:
        for path in ("confirmation", "cancellation", "reschedule"):
            asked = client.get(f"{here}/{path}")
            assert (asked.status_code, asked.headers["location"]) == (303, here)
            if path == "confirmation":
                page = read(client.get(here))
                assert said in page.text
                assert page.h1.endswith("is cancelled") == (status == "cancelled")
                assert not [each for each in page.links if each.startswith(f"{here}")]
                # The link's holder learns neither who the patient is in our books nor the visit type.
                again = [each["href"] for each in page.all("a") if each.text == "Book again"]
                assert again == ["/doctors/bob"]
                assert not page.all("form", action=f"{here}/confirmation")
            answer = client.post(f"{here}/{path}", data={"version": "1", "starts_at": iso(local(NEW))})
            if (status, path) == ("cancelled", "cancellation"):
                assert (answer.status_code, answer.headers["location"]) == (303, here)
                continue
            assert answer.status_code == 409
            assert here in read(answer).links
    assert appointment(cast, reference).status == status


# ---------------------------------------------------------------------------------------------- the end of a link


def mailed_link(cast: Cast, reference: str) -> str:
    """The address of the appointment's page in the last message about it."""
    about = sa.select(models.OutboxMessage).where(
        models.OutboxMessage.subject_type == "appointment",
        models.OutboxMessage.subject_id == appointment(cast, reference).id,
    )
    with cast.database.reading() as session:
        sent = session.scalars(about.order_by(models.OutboxMessage.id.desc()).limit(1)).one()
    said = render(sent.template, "email", sent.recipient, sent.values, base_url="", keys=[SECRET_KEY])
    found = re.search(r"/visit/[\w.-]+", said.text)
    assert found, said.text
    return found[0]


def status_at(cast: Cast, address: str, now: datetime) -> int:
    """The status of a page at an instant."""
    with client_for(cast.database, now=now) as client:
        return client.get(address).status_code


def test_a_link_in_a_message_tells_nothing_about_the_appointment_or_the_address(cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    address = mailed_link(cast, reference)
    said = str(unsign([SECRET_KEY], LINK_PURPOSE, address.removeprefix("/visit/")))
    assert said.startswith(f"{appointment(cast, reference).link_key}.")
    assert reference not in said
    assert "alice" not in said
    assert status_at(cast, address, NOW) == 200


@pytest.mark.parametrize("older", [False, True])
def test_a_link_ends_seven_days_after_the_appointment(cast: Cast, older: bool) -> None:
    reference = cast.book(cast.alice, OLD)
    address = link(reference) if older else mailed_link(cast, reference)
    end = appointment(cast, reference).ends_at + timedelta(days=7)
    assert status_at(cast, address, end - timedelta(seconds=1)) == 200
    for question in QUESTIONS:
        assert status_at(cast, address + question, end) == 404


@pytest.mark.parametrize("older", [False, True])
def test_a_link_ends_seven_days_after_the_cancellation(cast: Cast, older: bool) -> None:
    reference = cast.book(cast.alice, OLD)
    address = link(reference) if older else mailed_link(cast, reference)
    command = Cancellation(version=1)
    cast.database.write(service.cancel, cast.alice, reference, command, now=NOW)
    assert status_at(cast, address, NOW + timedelta(days=7, seconds=-1)) == 200
    assert status_at(cast, address, NOW + timedelta(days=7)) == 404


def test_staff_end_the_links_that_were_sent_and_later_messages_have_others(cast: Cast) -> None:
    reference = cast.book(cast.alice, OLD)
    sent, older = mailed_link(cast, reference), link(reference)
    with client_for(cast.database) as client:
        log_in(client, "bob")
        form = read(client.get(f"/appointments/{reference}")).one("form", action=f"/appointments/{reference}/links/end")
        answer = client.post(form["action"])
        assert (answer.status_code, answer.headers["location"]) == (303, f"/appointments/{reference}")
        log_in(client, "erin")
        assert client.post(form["action"]).status_code == 404
    for address in (sent, older):
        assert status_at(cast, address, NOW) == 404
    cast.database.write(service.move, cast.carol, reference, Move(starts_at=local(NEW)), now=NOW)
    assert status_at(cast, mailed_link(cast, reference), NOW) == 200
    with cast.database.reading() as session:
        ended = sa.select(models.AuditEvent.actor_user_id).where(models.AuditEvent.action == "links_ended")
        assert session.scalars(ended).all() == [cast.bob.user_id]

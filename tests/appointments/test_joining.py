"""One person, two records: the account joins the record that the clinic made before, or staff say that they are one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, SECRET_KEY, Cast, client_for, local, log_in, password_hash
from tests.reading import read
from webapp.appointments import address_confirmation, joining
from webapp.appointments.booking import service as booking
from webapp.appointments.exceptions import RecordsChanged, TwoAccounts
from webapp.appointments.messages.recipients import LINK_PURPOSE
from webapp.appointments.schemas import Booking
from webapp.auth.schemas import Actor
from webapp.core.signing import sign
from webapp.event_handlers import wired_database
from webapp.integrity.problems import find_problems
from webapp.models import Appointment, AuditEvent, OutboxMessage, Patient, PatientWord, PossibleDuplicate, User
from webapp.patients import dependants, duplicates, records, service
from webapp.patients.exceptions import NoSuchPatient, RecordClosed
from webapp.patients.schemas import PatientDetails, Register, UpdateProfile
from webapp.scheduling.exceptions import PatientBusy

EMAIL = "paula@docket.example"
BORN = date(1984, 3, 27)


def add_record(cast: Cast, key: str = "paula", name: str = "Paula de Groot", **details: Any) -> int:
    """A record that staff made."""
    command = PatientDetails(name=name, email=details.pop("email", EMAIL), **details)
    number = cast.database.write(records.create_patient, cast.carol, command, anyway=True, now=NOW)
    cast.patient_ids[key] = number
    return number


def book_for(cast: Cast, patient_id: int, start: str, *, doctor: str = "bob") -> str:
    """Book as staff do."""
    kind = cast.short if doctor == "bob" else cast.long
    command = Booking(doctor=doctor, visit_type_id=kind, starts_at=local(start), patient_id=patient_id)
    return cast.database.write(booking.book, cast.carol, command, now=NOW)


def register(cast: Cast, name: str = "Paula de Groot", email: str = EMAIL, **details: Any) -> Actor:
    """Register as a patient does; the address is not confirmed yet."""
    command = Register(name=name, email=email, password="a long sentence for tests", **details)
    user_id = cast.database.write(service.register, command, password_hash(), now=NOW)
    return Actor(user_id, 0, name, email, "patient")


def confirm(cast: Cast, actor: Actor, *, signed_in: bool = True) -> address_confirmation.ConfirmedAddress:
    """Follow the link in the mail, signed in to the account or not."""
    return cast.database.write(
        address_confirmation.confirm_address,
        [actor.user_id, actor.email],
        actor=actor if signed_in else None,
        address="",
        now=NOW,
    )


def record_of(cast: Cast, actor: Actor) -> Patient:
    with cast.database.reading() as session:
        return session.scalars(sa.select(Patient).where(Patient.user_id == actor.user_id)).one()


def pairs(cast: Cast) -> set[tuple[str, str]]:
    """The pairs that staff are shown."""
    with cast.database.reading() as session:
        return {(pair.name, pair.other_name) for pair in duplicates.list_pairs(session, limit=99)}


def references(cast: Cast, patient_id: int) -> set[str]:
    with cast.database.reading() as session:
        query = sa.select(Appointment.reference).where(Appointment.patient_id == patient_id)
        return set(session.scalars(query))


# ------------------------------------------------------------------------------- after the address is confirmed


def test_the_account_joins_the_record_with_everything_that_belongs_to_both(cast: Cast) -> None:
    made = add_record(cast, birth_date=BORN)
    before = book_for(cast, made, "2026-03-05 10:00")
    child = add_record(cast, "child", "Tim de Groot", email=None)
    cast.database.write(records.link_person, cast.carol, made, child, now=NOW)
    paula = register(cast, phone="06 1234 5678")
    own = record_of(cast, paula).id
    after = cast.book(paula, "2026-03-06 10:00")
    cast.add(OutboxMessage(
        dedupe_key="k", message_id="m", channel="email", recipient=EMAIL, template="visit_reminder", values={},
        subject_type="patient", subject_id=own, due_at=NOW, expires_at=NOW, created_at=NOW,
    ))  # fmt: skip
    # Nothing has happened yet: anyone can type any address.
    assert references(cast, own) == {after}
    assert confirm(cast, paula).joined
    record = record_of(cast, paula)
    assert (record.id, record.birth_date, record.phone, record.email) == (made, BORN, "+31612345678", EMAIL)
    assert references(cast, made) == {before, after}
    with cast.database.reading() as session:
        assert session.get(Patient, own) is None
        assert session.get_one(Patient, child).managed_by_id == made
        words = set(session.scalars(sa.select(PatientWord.word).where(PatientWord.patient_id == made)))
        assert words == {"paula", "de", "groot", EMAIL, "#87654321613"}
        assert session.scalars(sa.select(OutboxMessage.subject_id).where(OutboxMessage.dedupe_key == "k")).one() == made
        event = session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "patients_joined")).one()
    assert (event.subject_id, event.details, event.actor_user_id) == (made, {"record": own}, paula.user_id)
    assert list(find_problems(cast.database, now=NOW)) == []
    # From now on the guard knows one patient.
    with pytest.raises(PatientBusy):
        cast.database.write(
            booking.book, paula, Booking(doctor="erin", visit_type_id=cast.long, starts_at=local("2026-03-05 10:00")),
            now=NOW,
        )  # fmt: skip
    # Following the link again changes nothing.
    assert not confirm(cast, paula).joined


def test_in_a_browser_the_appointments_appear_after_the_link(client: TestClient, cast: Cast) -> None:
    made = add_record(cast)
    reference = book_for(cast, made, "2026-03-05 10:00")
    data = {"name": "Paula de Groot", "email": EMAIL, "password": "walrus teapot orbit"}
    client.post("/api/v1/auth/register", json=data)
    page = read(client.post("/login", data=data, follow_redirects=True))
    # Before the address is confirmed, the pages do not reveal who has a record here.
    assert reference not in read(client.get("/appointments")).text + page.text
    with cast.database.reading() as session:
        user_id = session.scalars(sa.select(User.id).where(User.email == EMAIL)).one()
    path = f"/email/confirm/{sign([SECRET_KEY], 'confirm-email', [user_id, EMAIL])}"
    answer = client.post(path)
    assert answer.headers["location"] == "/appointments"
    assert f"/appointments/{reference}" in read(client.get("/appointments")).links


def test_confirming_a_strangers_account_gives_nothing_away(client: TestClient, cast: Cast) -> None:
    """Someone registers with Paula's name and address, and waits until she confirms it by mistake."""
    made = add_record(cast)
    reference = book_for(cast, made, "2026-03-05 10:00")
    thief = register(cast)
    path = f"/email/confirm/{sign([SECRET_KEY], 'confirm-email', [thief.user_id, EMAIL])}"
    answer = client.post(path)
    assert answer.headers["location"].startswith("/login?next=")
    assert record_of(cast, thief).id != made
    assert references(cast, record_of(cast, thief).id) == set()
    # Staff are asked instead.
    assert pairs(cast) == {("Paula de Groot", "Paula de Groot")}
    # Paula herself signs in, opens the link from her mailbox, and is asked once more.
    login = {"email": EMAIL, "password": "a long sentence for tests", "next": path}
    assert client.post("/login", data=login).headers["location"] == path
    assert read(client.get(path)).h1 == "Is this record yours?"
    assert client.post(path).headers["location"] == "/appointments"
    assert f"/appointments/{reference}" in read(client.get("/appointments")).links
    assert pairs(cast) == set()


def test_another_account_that_is_signed_in_joins_nothing(cast: Cast) -> None:
    add_record(cast)
    paula = register(cast)
    outcome = cast.database.write(
        address_confirmation.confirm_address, [paula.user_id, EMAIL], actor=cast.dave, address="", now=NOW
    )
    assert (outcome.joined, outcome.waits) == (False, True)
    assert record_of(cast, cast.dave).id == cast.patient_ids["dave"]


@pytest.mark.parametrize(("name", "typed", "born", "joins"), [
    ("Élodie Müller-Smit", "smit muller elodie", (None, None), True),
    ("Anna Maria Jansen", "Anna Jansen", (None, None), True),
    ("Anna Jansen", "Anna Janssen", (BORN, BORN), True),
    ("Anna Jansen", "Anna Janssen", (None, BORN), False),
    ("Anna Jansen", "Anna Jansen", (BORN, date(1985, 1, 1)), False),
    ("Tim Jansen", "Anna Jansen", (None, None), False),
    ("Anna", "Anna Jansen", (None, None), False),
])  # fmt: skip
def test_the_names_must_match_because_families_share_addresses(
    cast: Cast, name: str, typed: str, born: tuple[date | None, date | None], joins: bool
) -> None:
    made = add_record(cast, name=name, birth_date=born[0])
    actor = register(cast, typed, birth_date=born[1])
    assert confirm(cast, actor).joined is joins
    assert (record_of(cast, actor).id == made) is joins
    # Staff see what is left, unless the birth dates say that they are two people.
    assert bool(pairs(cast)) is (not joins and born != (BORN, date(1985, 1, 1)))


def test_of_a_family_with_one_address_only_the_same_name_joins(cast: Cast) -> None:
    add_record(cast, "tim", "Tim de Groot")
    made = add_record(cast)
    paula = register(cast)
    assert confirm(cast, paula).joined
    assert record_of(cast, paula).id == made
    # Two records that both may be hers are left to staff.
    add_record(cast, "one", "Nina Bos", email="nina@docket.example")
    add_record(cast, "two", "Bos, Nina", email="nina@docket.example")
    nina = register(cast, "Nina Bos", "nina@docket.example")
    assert not confirm(cast, nina).joined
    assert len(pairs(cast)) == 3


def test_if_appointments_clash_staff_see_the_pair(cast: Cast) -> None:
    made = add_record(cast)
    book_for(cast, made, "2026-03-05 10:00", doctor="erin")
    paula = register(cast)
    own = record_of(cast, paula).id
    reference = cast.book(paula, "2026-03-05 10:00")
    outcome = confirm(cast, paula)
    assert not outcome.joined
    assert references(cast, own) == {reference}
    assert pairs(cast) == {("Paula de Groot", "Paula de Groot")}
    with client_for(cast.database) as carol:
        log_in(carol, "carol")
        path = f"/admin/patients/{made}/duplicates/{own}"
        answer = carol.post(path, data=read(carol.get(path)).form(path) | {"decision": "same"})
        assert answer.status_code == 409
        assert "Both records have an appointment at the same time." in read(answer).text
        cast.change(sa.update(Appointment).where(Appointment.reference == reference).values(status="cancelled"))
        form = read(carol.get(path)).form(path) | {"decision": "same"}
        assert carol.post(path, data=form).headers["location"] == f"/admin/patients/{made}"
    assert record_of(cast, paula).id == made


def test_a_booking_while_the_records_join_is_in_the_record_that_stays(cast: Cast) -> None:
    """Either the booking comes first and moves along, or it finds the record that the account has joined."""
    for attempt in range(5):
        email = f"nina{attempt}@docket.example"
        made = add_record(cast, name="Nina Bos", email=email)
        nina = register(cast, "Nina Bos", email)
        start = Barrier(2)

        def at_once(action: Callable[..., object], *args: object, start: Barrier = start, **more: object) -> object:
            # Each has its own connection, as two processes do.
            database = wired_database(cast.url)
            try:
                start.wait()
                return database.write(action, *args, **more, now=NOW)
            finally:
                database.dispose()

        command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local(f"2026-03-05 1{attempt}:00"))
        if attempt == 2:  # The lunch break begins.
            command = command.model_copy(update={"starts_at": local("2026-03-05 15:00")})
        with ThreadPoolExecutor(2) as pool:
            link = [nina.user_id, email]
            joins = pool.submit(at_once, address_confirmation.confirm_address, link, actor=nina, address="")
            books = pool.submit(at_once, booking.book, nina, command)
            assert isinstance(joins.result(), address_confirmation.ConfirmedAddress)
            reference = books.result()
        assert record_of(cast, nina).id == made
        assert references(cast, made) == {reference}


def test_a_changed_address_joins_too_and_staff_do_not(cast: Cast) -> None:
    made = add_record(cast, name="Alice Adams", email="alice.private@docket.example")
    wanted = {"new_email": "alice.private@docket.example", "new_email_until": NOW + timedelta(days=1)}
    cast.change(sa.update(User).where(User.id == cast.alice.user_id).values(**wanted))
    assert confirm(cast, cast.alice._replace(email=wanted["new_email"])).joined  # type: ignore[arg-type]
    assert record_of(cast, cast.alice).id == made
    add_record(cast, "bob", "Dr. Bob Brown", email="bob@docket.example")
    assert not confirm(cast, cast.bob).joined


def test_records_that_staff_keep_apart_are_not_joined_automatically(cast: Cast) -> None:
    made = add_record(cast)
    paula = register(cast)
    cast.database.write(duplicates.note_pair, made, record_of(cast, paula).id, now=NOW)
    cast.database.write(records.tell_apart, cast.fiona, made, record_of(cast, paula).id, now=NOW)
    outcome = confirm(cast, paula)
    assert (outcome.joined, outcome.waits) == (False, False)
    assert record_of(cast, paula).id != made
    assert pairs(cast) == set()


def test_links_in_earlier_messages_still_open_the_appointment(cast: Cast) -> None:
    reference = book_for(cast, add_record(cast), "2026-03-05 10:00")
    confirm(cast, register(cast))
    with client_for(cast.database) as mailbox:
        assert mailbox.get(f"/visit/{sign([SECRET_KEY], LINK_PURPOSE, [reference, EMAIL])}").status_code == 200


# --------------------------------------------------------------------------------------------- staff say so


@pytest.mark.parametrize(("name", "details", "noted"), [
    ("Elodie Muller", {"birth_date": BORN}, True),
    ("Müller Élodie", {"birth_date": BORN}, True),
    ("ÉLODIE MÜLLER", {"phone": "+31 20 123 4567"}, True),
    ("Elodie Muler", {"phone": "0201234567"}, True),
    ("Elodie Muller", {"birth_date": date(1990, 1, 1), "phone": "0201234567"}, False),
    ("Max Müller", {"phone": "0201234567"}, False),
    ("Élodie Müller", {}, False),
])  # fmt: skip
def test_a_registration_is_compared_with_the_records(
    cast: Cast, name: str, details: dict[str, Any], noted: bool
) -> None:
    add_record(cast, name="Élodie Müller", email=None, birth_date=BORN, phone="020 123 4567")
    register(cast, name, **details)
    assert bool(pairs(cast)) is noted


def test_a_person_whom_a_patient_adds_and_data_that_comes_later_are_compared_too(cast: Cast) -> None:
    add_record(cast, "tim", "Tim Adams", email=None, birth_date=BORN)
    child = UpdateProfile(name="Adams, Tim", birth_date=BORN)
    cast.database.write(dependants.add_person, cast.alice, child, now=NOW)
    assert pairs(cast) == {("Tim Adams", "Adams, Tim")}
    add_record(cast, "alice2", "Alice Adams", email=None, birth_date=BORN)
    assert len(pairs(cast)) == 1
    own = UpdateProfile(name="Alice Adams", birth_date=BORN)
    cast.database.write(service.update_profile, cast.alice, own, now=NOW)
    assert ("Alice Adams", "Alice Adams") in pairs(cast)


def test_staff_see_the_pair_compare_and_say_that_they_are_two_people(client: TestClient, cast: Cast) -> None:
    carol = log_in(client, "carol")
    made = add_record(cast, birth_date=BORN)
    own = record_of(cast, register(cast, email="other@docket.example", birth_date=BORN)).id
    path = f"/admin/patients/{made}/duplicates/{own}"
    assert "1 possible duplicate" in read(carol.get("/admin")).text
    listed = read(carol.get("/admin/patients/duplicates?page=9"))
    assert path in listed.links
    assert "1 pair." in listed.text
    assert "date of birth" in listed.text
    assert listed.form(path) == {}
    assert path in read(carol.get(f"/admin/patients/{made}")).links
    page = read(carol.get(path))
    assert page.h1 == "Is this the same person?"
    assert carol.post(path).status_code == 422
    assert carol.post(path, data={"decision": "different"}).status_code == 303
    assert pairs(cast) == set()
    # It stays settled.
    cast.database.write(duplicates.note_duplicates, own, now=NOW)
    assert pairs(cast) == set()
    with cast.database.reading() as session:
        reads = session.scalars(sa.select(AuditEvent.subject_id).where(AuditEvent.action == "patient_read")).all()
        actions = session.scalars(sa.select(AuditEvent.action)).all()
    assert {made, own} <= set(reads)
    assert "patients_told_apart" in actions


def test_staff_join_without_a_confirmed_address(client: TestClient, cast: Cast) -> None:
    carol = log_in(client, "carol")
    made = add_record(cast, birth_date=BORN)
    reference = book_for(cast, made, "2026-03-05 10:00")
    paula = register(cast, email="other@docket.example", birth_date=BORN)
    own = record_of(cast, paula).id
    path = f"/admin/patients/{made}/duplicates/{own}"
    # A form that does not say what was compared is shown again.
    compared = carol.post(path, data={"decision": "same"})
    assert compared.status_code == RecordsChanged().status
    form = read(compared).form(path) | {"decision": "same"}
    assert carol.post(path, data=form).headers["location"] == f"/admin/patients/{made}"
    assert (record_of(cast, paula).id, record_of(cast, paula).email) == (made, "other@docket.example")
    assert references(cast, made) == {reference}
    # Sent once more, as after a double click.
    assert carol.post(path, data=form).headers["location"] == f"/admin/patients/{made}"
    assert carol.post(f"/admin/patients/{made}/duplicates/999", data=form).status_code == 404


def test_two_accounts_are_never_joined_nor_a_record_with_itself_or_with_a_closed_one(cast: Cast) -> None:
    first, second = cast.patient_ids["alice"], cast.patient_ids["dave"]
    with pytest.raises(TwoAccounts):
        cast.database.write(joining.join_records, cast.carol, first, second, now=NOW)
    with pytest.raises(NoSuchPatient):
        cast.database.write(joining.join_records, cast.carol, first, first, now=NOW)
    closed = add_record(cast)
    cast.change(sa.update(Patient).where(Patient.id == closed).values(closed_at=NOW))
    with pytest.raises(RecordClosed):
        cast.database.write(joining.join_records, cast.carol, first, closed, now=NOW)


def test_the_front_desk_finds_and_joins_a_record_that_no_pair_names(client: TestClient, cast: Cast) -> None:
    log_in(client, "fiona")
    made, own = add_record(cast, name="P. Groot", email=None), cast.patient_ids["alice"]
    reference = book_for(cast, made, "2026-03-05 10:00")
    search = f"/admin/patients/{own}/joining"
    assert search in read(client.get(f"/admin/patients/{own}")).links
    path = f"/admin/patients/{own}/duplicates/{made}"
    found = read(client.get(search, params={"q": "groot"}))
    assert path in found.links
    # The record itself is not among those that are found.
    assert f"/admin/patients/{own}/duplicates/{own}" not in read(client.get(search, params={"q": "alice"})).links
    page = read(client.get(path))
    assert "different names" in page.text
    assert "Two different people" not in page.text
    form = page.form(path) | {"decision": "same", "name": str(own)}
    assert client.post(path, data=form).headers["location"] == f"/admin/patients/{made}"
    assert reference in references(cast, made)
    joined = read(client.get(f"/admin/patients/{made}"))
    assert joined.h1 == "Alice Adams"
    assert "You can undo this until" in joined.text
    cast.change(sa.update(Patient).where(Patient.id == made).values(closed_at=NOW))
    assert client.get(f"/admin/patients/{made}/joining").status_code == RecordClosed().status


def test_people_who_book_for_each_other_do_not_come_to_book_for_themselves(cast: Cast) -> None:
    made = add_record(cast)
    own = record_of(cast, register(cast, email="other@docket.example")).id
    cast.change(sa.update(Patient).where(Patient.id == made).values(managed_by_id=own))
    cast.database.write(duplicates.note_pair, made, own, now=NOW)
    assert cast.database.write(joining.join_records, cast.carol, made, own, now=NOW) == made
    with cast.database.reading() as session:
        assert session.get_one(Patient, made).managed_by_id is None
        assert session.scalars(sa.select(PossibleDuplicate)).all() == []


def test_past_appointments_move_too(cast: Cast) -> None:
    made = add_record(cast)
    put(cast, "2026-02-05 10:00", patient="paula", status="completed")
    paula = register(cast)
    assert confirm(cast, paula).joined
    assert len(references(cast, made)) == 1


@pytest.mark.parametrize("settled", [False, True])
def test_decisions_about_a_third_record_outlive_the_joining(cast: Cast, settled: bool) -> None:
    first = add_record(cast, "first", "Paula de Groot")
    second = add_record(cast, "second", "Paula Groot")
    third = add_record(cast, "third", "Paul Groot", email="paul@docket.example")
    cast.database.write(duplicates.note_pair, first, second, now=NOW)
    cast.database.write(duplicates.note_pair, second, third, now=NOW)
    if settled:
        cast.database.write(duplicates.settle_pair, second, third, now=NOW)
    assert cast.database.write(joining.join_records, cast.carol, first, second, now=NOW) == first
    query = sa.select(PossibleDuplicate.settled_at).where(
        PossibleDuplicate.patient_id == first, PossibleDuplicate.other_id == third
    )
    with cast.database.reading() as session:
        assert session.scalars(query).all() == [NOW if settled else None]


def test_a_record_that_is_gone_by_then_is_not_noted_as_a_pair(cast: Cast) -> None:
    """On PostgreSQL, two records may be joined while a third one that resembles them is registered or joined."""
    first, second = add_record(cast, "first", "Paula de Groot"), add_record(cast, "second", "Paula Groot")
    third = add_record(cast, "third", "Paul Groot", email="paul@docket.example")
    assert cast.database.write(joining.join_records, cast.carol, first, second, now=NOW) == first
    assert not cast.database.write(duplicates.note_pair, second, third, now=NOW)
    assert cast.database.write(duplicates.note_pair, first, third, now=NOW)
    assert len(pairs(cast)) == 1


def test_people_of_joined_records_do_not_come_to_book_for_each_other(cast: Cast) -> None:
    first, second = add_record(cast, "first"), add_record(cast, "second", "Paula Groot")
    child = add_record(cast, "child", "Chris Groot", email="chris@docket.example")
    cast.change(sa.update(Patient).where(Patient.id == first).values(managed_by_id=child))
    cast.change(sa.update(Patient).where(Patient.id == child).values(managed_by_id=second))
    cast.database.write(duplicates.note_pair, first, second, now=NOW)
    cast.database.write(joining.join_records, cast.carol, first, second, now=NOW)
    with cast.database.reading() as session:
        managers = dict(session.execute(sa.select(Patient.id, Patient.managed_by_id)).all())
    assert (managers[first], managers[child]) == (None, first)

"""An account whose address is not confirmed cannot be used to block times, or to flood mailboxes and telephones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import NOW, PASSWORD, SECRET_KEY, Cast, client_for, local, log_in
from tests.reading import read
from webapp import models
from webapp.appointments.booking import booking_limit, service
from webapp.appointments.exceptions import ConfirmFirst, TooManyChanges
from webapp.appointments.messages import text_limits
from webapp.appointments.schemas import Booking, Move
from webapp.auth.schemas import Actor
from webapp.auth.sign_in.sign_in_codes import code_of
from webapp.core.formats import iso
from webapp.core.urls import with_query

VICTIMS = [f"+316123456{number}" for number in range(70, 81)]


@pytest.fixture(autouse=True)
def _alice_is_not_confirmed(cast: Cast) -> None:
    cast.change(sa.update(models.User).where(models.User.id == cast.alice.user_id).values(email_confirmed_at=None))


def add_child(cast: Cast, **columns: Any) -> int:
    row = models.Patient(
        name="Kim Adams", managed_by_id=cast.patient_ids["alice"], **{"created_at": NOW, "email": "", **columns}
    )
    return cast.add(row)


def change_alice(cast: Cast, **columns: Any) -> None:
    query = sa.update(models.Patient).where(models.Patient.id == cast.patient_ids["alice"])
    cast.change(query.values(**columns))


def confirm_alice(cast: Cast) -> None:
    cast.change(sa.update(models.User).where(models.User.id == cast.alice.user_id).values(email_confirmed_at=NOW))


def texts(cast: Cast) -> list[str]:
    with cast.database.reading() as session:
        query = sa.select(models.OutboxMessage.recipient).where(models.OutboxMessage.channel == "sms")
        return list(session.scalars(query.order_by(models.OutboxMessage.id)))


def address(cast: Cast, start: str) -> str:
    return with_query("/book", doctor="bob", visit_type=cast.short, starts_at=iso(local(start)))


def test_it_has_one_upcoming_appointment_for_anyone(cast: Cast) -> None:
    child = add_child(cast)
    cast.book(cast.alice, "2026-03-03 10:00")
    for patient_id in (None, child):
        command = Booking(
            doctor="bob", visit_type_id=cast.short, starts_at=local("2026-03-05 10:00"), patient_id=patient_id
        )
        with pytest.raises(ConfirmFirst):
            cast.database.write(service.book, cast.alice, command, now=NOW)
    # The clinic has no limit, and a confirmed account has its old one.
    command = command.model_copy(update={"patient_id": cast.patient_ids["alice"]})
    cast.database.write(service.book, cast.bob, command, now=NOW)
    confirm_alice(cast)
    cast.book(cast.alice, "2026-03-06 10:00")


def test_it_moves_a_few_times_a_day(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-10 10:00")
    times = booking_limit.TIMES * booking_limit.UNCONFIRMED_APPOINTMENTS
    for number in range(times - 1):
        move = Move(starts_at=local(f"2026-03-1{1 + number} 10:00"))
        cast.database.write(service.move, cast.alice, reference, move, now=NOW)
    with pytest.raises(TooManyChanges):
        cast.database.write(service.move, cast.alice, reference, Move(starts_at=local("2026-03-18 10:00")), now=NOW)


def test_it_texts_no_one_and_mails_itself_alone(cast: Cast) -> None:
    change_alice(cast, phone=VICTIMS[0], wants_sms=True)
    child = add_child(cast, phone=VICTIMS[1], email="victim@example.org", wants_sms=True, wants_email=True)
    command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local("2026-03-10 10:00"), patient_id=child)
    cast.database.write(service.book, cast.alice, command, now=NOW)
    with cast.database.reading() as session:
        query = sa.select(models.OutboxMessage.channel, models.OutboxMessage.recipient)
        assert [tuple(row) for row in session.execute(query)] == [("email", "alice@docket.example")]


def test_a_confirmed_account_causes_few_texts_a_day_to_any_numbers(cast: Cast) -> None:
    confirm_alice(cast)
    cast.change(sa.update(models.ClinicSettings).values(max_active_visits=100, patient_gap_minutes=0))
    add_child(cast, phone=VICTIMS[-1], wants_sms=True)
    for number in range(40):
        change_alice(cast, phone=VICTIMS[number % 10], wants_sms=True)
        day, start = divmod(number, 8)
        cast.book(cast.alice, f"2026-03-{10 + day + 2 * (day > 3)} {9 + start % 3:02}:{15 * (start // 3):02}")
    assert len(texts(cast)) == text_limits.MOST_OF_ACCOUNT


def test_a_number_gets_few_texts_a_day_from_all_accounts_and_more_tomorrow(cast: Cast) -> None:
    confirm_alice(cast)
    number = VICTIMS[0]
    cast.change(sa.update(models.Patient).values(phone=number, wants_sms=True))
    for start in range(8):
        for actor, minute in ((cast.alice, 0), (cast.dave, 30)):
            cast.book(actor, f"2026-03-{10 + start + 2 * (start > 3)} 09:{minute:02}")
    assert texts(cast) == [number] * text_limits.MOST_TO_NUMBER
    command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local("2026-03-24 09:00"))
    # Staff are not limited: a patient must hear what the clinic changes.
    by_staff = command.model_copy(update={"patient_id": cast.patient_ids["dave"]})
    cast.database.write(service.book, cast.carol, by_staff, now=NOW)
    assert len(texts(cast)) == text_limits.MOST_TO_NUMBER + 1
    other = command.model_copy(update={"starts_at": local("2026-03-25 09:00")})
    cast.database.write(service.book, cast.alice, other, now=NOW + timedelta(hours=25))
    assert len(texts(cast)) == text_limits.MOST_TO_NUMBER + 2


def test_many_unconfirmed_accounts_of_one_network_book_little(cast: Cast) -> None:
    def book(number: int, network: str) -> str:
        email = f"m{number}@example.org"
        user = models.User(email=email, name="M", role="patient", password_hash="", created_at=NOW)
        user_id = cast.add(user)
        cast.add(models.Patient(name="M", user_id=user_id, email=email, created_at=NOW))
        start = f"2026-03-{10 + number % 3} {9 + (number // 3) % 3:02}:{15 * (number // 9):02}"
        return cast.book(Actor(user_id, 0, "M", email, "patient", network), start)

    for number in range(booking_limit.OF_NETWORK.here):
        book(number, "192.0.2.1")
    with pytest.raises(ConfirmFirst):
        book(20, "192.0.2.1")
    book(21, "198.51.100.1")


def test_the_page_says_what_to_do_and_a_code_leads_back_to_it(client: TestClient, cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    log_in(client, "alice")
    wanted = address(cast, "2026-03-10 10:00")
    answer = client.get(wanted)
    assert answer.status_code == 422
    page = read(answer)
    assert "Please confirm your email address first." in page.text
    assert [each["value"] for each in page.all("button", formaction="/account/code")] == [wanted]
    assert "/account" in page.links
    assert not [each for each in page.all("button", class_="primary") if each.text.startswith("Book")]
    client.post("/account/code", data={"next": wanted, "reason": "My knee"})
    with cast.database.reading() as session:
        nonce = session.scalars(sa.select(models.SignInCode.nonce)).one()
    answer = client.post("/login/code", data={"code": code_of([SECRET_KEY], nonce)})
    assert answer.headers["location"] == wanted
    assert client.get(wanted).status_code == 200


def test_a_fresh_account_holds_one_appointment_through_pages_and_api(cast: Cast) -> None:
    with client_for(cast.database) as client:
        sent = {"name": "Mallory", "email": "m@example.org", "password": PASSWORD}
        assert client.post("/api/v1/auth/register", json=sent).status_code == 201
        assert client.post("/login", data=sent).status_code == 303
        statuses = []
        for day in (10, 11, 12):
            form = {"doctor": "bob", "visit_type": str(cast.short), "starts_at": iso(local(f"2026-03-{day} 10:00"))}
            statuses.append(client.post("/appointments", data=form).status_code)
        assert statuses == [303, 422, 422]
        tokens = client.post("/api/v1/auth/token", data={"username": "m@example.org", "password": PASSWORD}).json()
        answer = client.post(
            "/api/v1/appointments",
            json={"doctor_id": cast.doctor_ids["bob"], "starts_at": iso(local("2026-03-13 10:00"))},
            headers={"authorization": f"Bearer {tokens['access_token']}"},
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "address_not_confirmed")

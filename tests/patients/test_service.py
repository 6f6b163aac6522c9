"""Registering, and what patients change about themselves."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import Session

from tests.cast import NOW, Cast
from webapp.auth import login_throttle
from webapp.auth.exceptions import EmailTaken
from webapp.exceptions import Invalid
from webapp.models import AuditEvent, FailedLogin, Patient, User
from webapp.patients import service
from webapp.patients.schemas import Profile, Register, UpdateProfile


def register(cast: Cast, **details: object) -> int:
    """Register a new user; returns the id."""
    usual = {"name": "Nora New", "email": "nora@docket.example", "password": "unused here"}
    command = Register.model_validate(usual | details)
    return cast.database.write(service.register, command, "a hash", now=NOW)


def users(cast: Cast) -> int:
    """The number of accounts."""
    with cast.database.reading() as session:
        return session.scalar(sa.select(sa.func.count(User.id))) or 0


def test_registering_makes_an_account_and_a_patient(cast: Cast) -> None:
    number = register(
        cast, name="  Nora New ", email=" Nora@Docket.Example ", phone="+31 20 123 45 67", birth_date=date(1958, 3, 2)
    )
    with cast.database.reading() as session:
        user = session.get_one(User, number)
        patient = session.scalars(sa.select(Patient).where(Patient.user_id == number)).one()
        event = session.execute(sa.select(AuditEvent.action, AuditEvent.subject_id, AuditEvent.details)).one()
    assert (user.email, user.name, user.role, user.active, user.password_hash) == (
        "nora@docket.example", "Nora New", "patient", True, "a hash",
    )  # fmt: skip
    assert (patient.name, patient.email, patient.phone, patient.birth_date) == (
        "Nora New", "nora@docket.example", "+31201234567", date(1958, 3, 2),
    )  # fmt: skip
    assert event == ("user_created", number, {"role": "patient"})


def test_an_address_registers_once_and_leaves_nothing_half_done(cast: Cast) -> None:
    before = users(cast)
    with pytest.raises(EmailTaken):
        register(cast, email="ALICE@docket.example")
    assert users(cast) == before


@pytest.mark.parametrize("day", [NOW.date() + timedelta(days=1), date(1899, 12, 31), date(2100, 1, 1)])
def test_a_birth_date_lies_in_the_past_and_not_too_far(cast: Cast, day: date) -> None:
    before = users(cast)
    with pytest.raises(Invalid) as caught:
        register(cast, birth_date=day)
    assert caught.value.field == "birth_date"
    with pytest.raises(Invalid):
        cast.database.write(service.update_profile, cast.alice, UpdateProfile(name="Alice", birth_date=day), now=NOW)
    assert users(cast) == before


def test_a_birth_date_may_be_today_or_in_1900(cast: Cast) -> None:
    register(cast, birth_date=NOW.date())
    register(cast, birth_date=date(1900, 1, 1), email="old@docket.example")


@pytest.mark.parametrize("spoil", [
    {"email": "nora"},
    {"email": "nora@docket"},
    {"email": "nora@docket.example."},
    {"email": "no ra@docket.example"},
    {"email": "a" * 250 + "@docket.example"},
    {"email": "nora,nils@docket.example"},
    {"email": "nora@docket.example;nils@docket.example"},
    {"email": '"nora"@docket.example'},
    {"email": "nora@nils@docket.example"},
    {"email": "no\x07ra@docket.example"},
    {"email": "nora@do_cket\u00e9.example"},
    {"email": "nora@=?utf-8?q?=0D=0A?=.example"},
    {"name": "Nora\x85New"},
    {"name": "Nora\x0bNew"},
    {"name": "N\u200b"},
    {"name": "\u200c\u200d\u200c"},
    {"name": "1234"},
    {"name": "..."},
    {"name": "N"},
    {"name": "   "},
    {"name": "N" * 121},
    {"phone": "1" * 61},
])  # fmt: skip
def test_an_invalid_name_address_or_number_is_refused_at_registration(spoil: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Register.model_validate({"name": "Nora New", "email": "nora@docket.example", "password": "x"} | spoil)


@pytest.mark.parametrize("pasted", [
    {"name": "No\u202era New"},
    {"name": "Nora\u2028New\u200d"},
    {"name": " Nora\u00a0\tNew"},
    {"name": "No\u00adra N\u200bew\ufeff"},
    {"email": " nora\u202e@Docket.example\u200b"},
    {"email": "no\u00adra@docket.example\u00a0"},
])  # fmt: skip
def test_invisible_signs_in_a_pasted_name_or_address_are_removed(pasted: dict[str, str]) -> None:
    read = Register.model_validate({"name": "Nora New", "email": "nora@docket.example", "password": "x"} | pasted)
    assert (read.name, read.email) == ("Nora New", "nora@docket.example")


@pytest.mark.parametrize("name", ["\u0646\u06cc\u200c\u0645\u0627", "Anne-Marie O'Neil", "\u674e\u660e", "John 3rd"])
def test_names_of_any_script_are_accepted(name: str) -> None:
    assert Register.model_validate({"name": name, "email": "o'neil@docket.example", "password": "x"}).name == name


def test_registering_counts_in_the_same_transaction(cast: Cast) -> None:
    before = users(cast)
    command = Register(name="Nora New", email="nora@docket.example", password="x")
    attempt = cast.database.write(login_throttle.admit_registration, address="192.0.2.1", now=NOW)

    def broken(session: Session) -> None:
        service.register_and_count(session, command, "a hash", attempt_id=attempt, now=NOW)
        raise Invalid("Something went wrong after it.")

    with pytest.raises(Invalid):
        cast.database.write(broken)
    assert users(cast) == before
    cast.database.write(service.register_and_count, command, "a hash", attempt_id=attempt, now=NOW)
    with cast.database.reading() as session:
        assert session.scalars(sa.select(FailedLogin.judged)).all() == [True]


def test_a_changed_profile_is_the_accounts_and_the_patients(cast: Cast) -> None:
    command = UpdateProfile(name="Alice Ahead", phone="+31201234561", birth_date=date(1990, 5, 1))
    cast.database.write(service.update_profile, cast.alice, command, now=NOW)
    with cast.database.reading() as session:
        assert service.get_profile(session, cast.alice) == Profile("Alice Ahead", "+31201234561", date(1990, 5, 1))
        assert session.get_one(User, cast.alice.user_id).name == "Alice Ahead"
        assert service.get_profile(session, cast.dave) == Profile("Dave Dunn", "", None)
        [(action, details)] = session.execute(sa.select(AuditEvent.action, AuditEvent.details)).all()
    assert (action, details) == ("profile_changed", {})


def test_staff_have_a_name_and_no_patients_record(cast: Cast) -> None:
    with cast.database.reading() as session:
        assert service.find_own_patient(session, cast.carol) is None
        assert service.find_own_patient(session, cast.alice) == cast.patient_ids["alice"]
        assert service.get_profile(session, cast.carol) == Profile("Carol Clark", "", None)
    cast.database.write(service.update_profile, cast.carol, UpdateProfile(name="Carol C."), now=NOW)
    with cast.database.reading() as session:
        assert session.get_one(User, cast.carol.user_id).name == "Carol C."

"""Patient records by staff: written, checked for duplicates, compared, linked; and every action in the audit log."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from tests.cast import NOW, Cast
from tests.processes import PATIENCE
from webapp.auth import service as auth
from webapp.auth import sessions
from webapp.auth.exceptions import WrongCredentials
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.core.pagination import Cursor
from webapp.exceptions import Conflict, Invalid
from webapp.models import AuditEvent, Patient, PatientWord, User
from webapp.patients import notes, records, service
from webapp.patients.exceptions import LikelyDuplicate, ManagedAlready, NoSuchPatient
from webapp.patients.schemas import Account, PatientDetails, PatientNotes, Person, UpdateProfile
from webapp.patients.search import search_patients
from webapp.patients.search_index import words_of

ZOE = {"name": "Zoë Visser", "birth_date": "2019-05-04", "phone": "+31201234567", "email": "Zoe@docket.example"}


def details(**changes: Any) -> PatientDetails:
    """The details of Zoë, with changes."""
    return PatientDetails.model_validate(ZOE | changes)


def create(cast: Cast, *, anyway: bool = False, managed_by: int | None = None, **changes: Any) -> int:
    """Add a patient as Carol does."""
    return cast.database.write(
        records.create_patient, cast.carol, details(**changes), anyway=anyway, managed_by=managed_by, now=NOW
    )


def patient(cast: Cast, patient_id: int) -> Patient:
    """A patient as stored."""
    with cast.database.reading() as session:
        return session.get_one(Patient, patient_id)


def words(cast: Cast, patient_id: int) -> set[str]:
    """The words by which a patient is found."""
    with cast.database.reading() as session:
        return set(session.scalars(sa.select(PatientWord.word).where(PatientWord.patient_id == patient_id)))


def recorded(cast: Cast, subject: str = "patient") -> list[tuple[str, int, dict[str, Any]]]:
    """The audit log about patients, oldest first; Carol is the actor of all of it."""
    with cast.database.reading() as session:
        query = sa.select(AuditEvent).where(AuditEvent.subject_type == subject).order_by(AuditEvent.id)
        found = session.scalars(query).all()
    assert {event.actor_user_id for event in found} <= {cast.carol.user_id}
    assert not any(event.visible for event in found)
    return [(event.action, event.subject_id, event.details) for event in found]


# ------------------------------------------------------------------------------------------- writing


def test_a_patient_without_an_account_is_added_and_can_be_found(cast: Cast) -> None:
    number = create(cast)
    saved = patient(cast, number)
    assert (saved.name, saved.birth_date, saved.phone, saved.email, saved.user_id, saved.managed_by_id) == (
        "Zoë Visser", date(2019, 5, 4), "+31201234567", "zoe@docket.example", None, None,
    )  # fmt: skip
    assert words(cast, number) == words_of(saved.name, saved.email, saved.phone)
    assert recorded(cast) == [("patient_created", number, {})]


def test_a_name_is_enough_and_a_birth_date_lies_in_the_past(cast: Cast) -> None:
    number = create(cast, birth_date=None, phone="", email=None)
    assert (patient(cast, number).email, words(cast, number)) == ("", {"zoe", "visser"})
    with pytest.raises(Invalid):
        create(cast, birth_date=NOW.date() + timedelta(days=1))
    for wrong in ({"email": ""}, {"email": "zoe"}, {"name": "Z"}, {"name": "12"}):
        with pytest.raises(ValidationError):
            details(**wrong)


def test_an_edit_changes_the_words_and_the_name_that_an_account_is_greeted_by(cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    changed = details(name="Alice Zimmer", email="office@docket.example")
    cast.database.write(records.change_patient, cast.carol, alice, changed, seen="", now=NOW)
    assert words(cast, alice) == {"alice", "zimmer", "office@docket.example", "#76543210213"}
    with cast.database.reading() as session:
        user = session.get_one(User, cast.alice.user_id)
    assert (user.name, user.email) == ("Alice Zimmer", "office@docket.example")
    assert recorded(cast) == [
        ("patient_changed", alice, {"changed": ["name", "birth_date", "phone", "email"]}),
    ]
    with pytest.raises(NoSuchPatient):
        cast.database.write(records.change_patient, cast.carol, 999_999, changed, seen="", now=NOW)
    late = details(birth_date="2026-03-03")
    with pytest.raises(Invalid):
        cast.database.write(records.change_patient, cast.carol, alice, late, seen="", now=NOW)


def test_of_two_editors_the_second_sees_a_conflict_and_nothing_is_lost(cast: Cast) -> None:
    number = create(cast)
    seen = fingerprint(details())
    cast.database.write(records.change_patient, cast.carol, number, details(phone="+31201234561"), seen=seen, now=NOW)
    with pytest.raises(EditedMeanwhile) as caught:
        cast.database.write(
            records.change_patient, cast.carol, number, details(phone="+31201234562"), seen=seen, now=NOW
        )
    assert isinstance(caught.value.saved, PatientDetails)
    assert caught.value.saved.phone == patient(cast, number).phone == "+31201234561"
    seen = fingerprint(caught.value.saved)
    cast.database.write(records.change_patient, cast.carol, number, details(phone="+31201234562"), seen=seen, now=NOW)
    assert patient(cast, number).phone == "+31201234562"


def test_of_two_who_save_at_the_same_moment_one_sees_a_conflict(cast: Cast) -> None:
    number = create(cast)
    seen, start, outcomes = fingerprint(details()), threading.Barrier(2), []

    def save(phone: str) -> None:
        start.wait(PATIENCE)
        try:
            cast.database.write(records.change_patient, cast.carol, number, details(phone=phone), seen=seen, now=NOW)
            outcomes.append("saved")
        except EditedMeanwhile:
            outcomes.append("told")

    threads = [threading.Thread(target=save, args=(phone,)) for phone in ("+31201234561", "+31201234562")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(outcomes) == ["saved", "told"]


# -------------------------------------------------------------------------------------- likely duplicates


@pytest.mark.parametrize("changes", [
    {"phone": "", "email": None},
    {"phone": "", "email": None, "name": "Visser, Zoe"},
    {"phone": "", "email": None, "name": "Zoe Vissers"},
    {"name": "Peter Post", "birth_date": None, "email": None},
    {"name": "Peter Post", "birth_date": None, "email": None, "phone": "+31 20 123 4567"},
    {"name": "Peter Post", "birth_date": None, "phone": ""},
    {"name": "Peter Post", "birth_date": "1950-01-01", "phone": "", "email": "ZOE@docket.example"},
])  # fmt: skip
def test_a_likely_duplicate_is_warned_about_and_can_be_added_anyway(cast: Cast, changes: dict[str, Any]) -> None:
    zoe = create(cast)
    with pytest.raises(LikelyDuplicate) as caught:
        create(cast, **changes)
    assert caught.value.ids == [zoe]
    assert create(cast, anyway=True, **changes) != zoe


@pytest.mark.parametrize("changes", [
    {"phone": "", "email": None, "birth_date": "2019-05-05"},
    {"phone": "", "email": None, "name": "Peter Visser"},
    {"phone": "", "email": None, "birth_date": None},
    {"phone": "020 123 4568", "email": "zoe.v@docket.example", "name": "Peter Post"},
    {"phone": "030 123 4567", "email": "zoe@docket.example.org", "name": "Peter Post"},
])  # fmt: skip
def test_others_are_not_warned_about(cast: Cast, changes: dict[str, Any]) -> None:
    create(cast)
    create(cast, **changes)


# ------------------------------------------------------------------------------------- who books for whom


def link(cast: Cast, manager: int, person: int) -> None:
    cast.database.write(records.link_person, cast.carol, manager, person, now=NOW)


def test_a_record_says_who_books_for_whom(cast: Cast) -> None:
    alice, dave = cast.patient_ids["alice"], cast.patient_ids["dave"]
    zoe = create(cast, managed_by=alice)
    link(cast, alice, dave)
    with cast.database.reading() as session:
        hers, zoes = records.get_record(session, alice), records.get_record(session, zoe)
    assert [(person.id, person.has_account) for person in hers.people] == [(dave, True), (zoe, False)]
    account = Account(cast.alice.user_id, "alice@docket.example", True, "patient", confirmed=True, new_email="")
    assert (hers.manager, hers.account) == (None, account)
    assert zoes.manager == Person(alice, "Alice Adams", None, "", has_account=True)
    assert (zoes.account, zoes.people) == (None, [])
    assert recorded(cast) == [
        ("patient_created", zoe, {"managed_by": alice}),
        ("patient_linked", dave, {"managed_by": alice}),
    ]
    cast.database.write(records.unlink_person, cast.carol, alice, zoe, now=NOW)
    assert patient(cast, zoe).managed_by_id is None
    assert recorded(cast)[-1] == ("patient_unlinked", zoe, {"managed_by": alice})


def test_invalid_links_are_refused(cast: Cast) -> None:
    alice, dave = cast.patient_ids["alice"], cast.patient_ids["dave"]
    zoe = create(cast, managed_by=alice)
    with pytest.raises(Invalid):
        link(cast, alice, alice)
    with pytest.raises(ManagedAlready, match="Alice Adams already books for this person"):
        link(cast, dave, zoe)
    with pytest.raises(Conflict, match="already books for this patient"):
        link(cast, zoe, alice)
    for pair in ((alice, 999_999), (999_999, alice)):
        with pytest.raises(NoSuchPatient):
            link(cast, *pair)
    with pytest.raises(NoSuchPatient):
        create(cast, name="Peter Post", phone="", email=None, managed_by=999_999)
    with pytest.raises(NoSuchPatient):
        cast.database.write(records.unlink_person, cast.carol, dave, zoe, now=NOW)
    # Linking again is not an error.
    link(cast, alice, zoe)
    with pytest.raises(NoSuchPatient), cast.database.reading() as session:
        records.get_record(session, 999_999)


# ------------------------------------------------------------------------------------------------ accounts


def test_a_disabled_account_is_signed_out_immediately_and_an_enabled_one_may_sign_in(cast: Cast) -> None:
    alice = cast.patient_ids["alice"]
    secret = cast.database.write(sessions.start_session, cast.alice.user_id, address="", user_agent="", now=NOW)

    def signed_in() -> bool:
        with cast.database.reading() as session:
            return sessions.find_actor(session, secret, address="", now=NOW) is not None

    def may_sign_in() -> bool:
        with cast.database.reading() as session:
            account = auth.find_account(session, "alice@docket.example")
        try:
            auth.verify_login(account, "a long sentence for tests")
        except WrongCredentials:
            return False
        return True

    assert signed_in()
    cast.database.write(records.set_account_active, cast.carol, alice, active=False, now=NOW)
    assert not signed_in()
    assert not may_sign_in()
    cast.database.write(records.set_account_active, cast.carol, alice, active=True, now=NOW)
    # The old session stays ended.
    assert not signed_in()
    assert may_sign_in()
    assert [action for action, _number, _details in recorded(cast, "user")] == ["user_disabled", "user_enabled"]


def test_a_patient_without_an_account_cannot_be_disabled(cast: Cast) -> None:
    number = create(cast)
    with pytest.raises(Conflict, match="no account"):
        cast.database.write(records.set_account_active, cast.carol, number, active=False, now=NOW)


def test_lists_go_by_family_name_and_follow_every_change_of_a_name(cast: Cast) -> None:
    for name in ("Zoë van der Berg", "Łukasz Łoś", "Anna Visser", "Élodie Adams", "Dr. Ben O’Neil"):
        create(cast, name=name, birth_date=None, phone="", email=None)
    wanted = ["Alice Adams", "Élodie Adams", "Zoë van der Berg", "Dave Dunn", "Łukasz Łoś", "Dr. Ben O’Neil"]
    with cast.database.reading() as session:
        assert [row.name for row in search_patients(session, "").patients] == [*wanted, "Anna Visser"]
    cast.database.write(service.update_profile, cast.alice, UpdateProfile(name="Alice Zimmer"), now=NOW)
    number = cast.patient_ids["dave"]
    seen = fingerprint(cast.database.write(records.lock_details, number))
    details = PatientDetails(name="Dave Bakker", email="dave@docket.example")
    cast.database.write(records.change_patient, cast.carol, number, details, seen=seen, now=NOW)
    with cast.database.reading() as session:
        first = search_patients(session, "", limit=3)
        again = search_patients(session, "", limit=3, cursor=Cursor(first.beside.after))
        found = [row.name for row in (*first.patients, *again.patients)]
    assert found == ["Élodie Adams", "Dave Bakker", "Zoë van der Berg", "Łukasz Łoś", "Dr. Ben O’Neil", "Anna Visser"]


def test_details_and_notes_are_changed_together_or_not_at_all(cast: Cast) -> None:
    number = cast.patient_ids["alice"]
    known = PatientNotes(alert="wheelchair")
    with cast.database.reading() as session:
        view = records.get_record(session, number)
    opened = records.saved_record(
        records.saved_details(view.name, view.birth_date, view.phone, view.email), PatientNotes()
    )
    cast.database.write(notes.write_notes, cast.carol, number, known, seen="", now=NOW)
    wanted = opened.model_copy(update={"phone": "+31201234567", "desk_note": "Calls in the evening."})
    seen = fingerprint(opened)
    with pytest.raises(EditedMeanwhile):
        cast.database.write(records.change_record, cast.fiona, number, wanted, seen=seen, now=NOW)
    seen = fingerprint(opened.model_copy(update=dict(known)))
    cast.database.write(records.change_record, cast.fiona, number, wanted, seen=seen, now=NOW)
    with cast.database.reading() as session:
        saved = records.get_record(session, number)
        actions = session.scalars(sa.select(AuditEvent.action).order_by(AuditEvent.id.desc()).limit(2)).all()
    assert (saved.phone, saved.alert, saved.desk_note) == ("+31201234567", "", "Calls in the evening.")
    assert set(actions) == {"patient_changed", "patient_notes_changed"}

"""Two records are joined with the details that staff choose, and separated again as long as that is possible."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointments.test_joining import BORN, add_record, book_for, pairs, record_of, references, register
from tests.cast import NOW, Cast, log_in
from tests.reading import read
from webapp.appointments import joining, separating
from webapp.appointments.exceptions import NoSuchJoin, RecordsChanged
from webapp.clinic.service import get_clinic
from webapp.integrity.problems import find_problems
from webapp.models import AuditEvent, JoinedRecord, Patient, User
from webapp.patients import duplicates, records
from webapp.patients.erasure import hide
from webapp.patients.models import NO_LINK
from webapp.patients.schemas import RecordSnapshot
from webapp.privacy import retention
from webapp.staff.audit.log import AuditSearch, resolve


def everything(cast: Cast) -> list[tuple[object, ...]]:
    """All records with their accounts' names and the words to find them by, and whose the appointments are."""
    with cast.database.reading() as session:
        patients = session.execute(sa.select(Patient.__table__).order_by(Patient.id)).all()
        names = session.execute(sa.select(User.id, User.name, User.email).order_by(User.id)).all()
        owners = session.execute(sa.text("SELECT id, patient_id FROM appointments ORDER BY id")).all()
        words = session.execute(sa.text("SELECT patient_id, word FROM patient_words ORDER BY 1, 2")).all()
        messages = session.execute(
            sa.text("SELECT id, subject_id FROM outbox_messages WHERE subject_type = 'patient' ORDER BY id")
        ).all()
    return [tuple(row) for row in (*patients, *names, *owners, *words, *messages)]


def twins(cast: Cast) -> tuple[int, int]:
    """The clinic's record of Paula and that of her account, each with an appointment and a child."""
    made = add_record(cast, birth_date=BORN, phone="020 123 4567")
    cast.change(sa.update(Patient).where(Patient.id == made).values(alert="wheelchair"))
    book_for(cast, made, "2026-03-05 10:00")
    paula = register(cast, "Paula Groot", phone="06 1234 5678")
    own = record_of(cast, paula).id
    cast.change(sa.update(Patient).where(Patient.id == own).values(alert="speaks Polish"))
    cast.book(paula, "2026-03-06 10:00")
    for manager, name in ((made, "Tim"), (own, "Zoe")):
        child = add_record(cast, name, f"{name} de Groot", email=None)
        cast.database.write(records.link_person, cast.carol, manager, child, now=NOW)
    cast.database.write(duplicates.note_pair, made, own, now=NOW)
    return made, own


def separate(cast: Cast, stays: int, *, days: int = 1) -> int:
    now = NOW + timedelta(days=days)
    with cast.database.reading() as session:
        number = session.scalars(sa.select(sa.func.max(JoinedRecord.id))).one()
    return cast.database.write(separating.separate_records, cast.fiona, stays, number or 0, now=now)


def test_every_column_of_a_record_is_kept_or_known_to_need_no_return() -> None:
    # These are derived, or belong to an account or to erasure. A record that is to be erased cannot be joined.
    others = {"id", "user_id", "sort_name", "closed_at", "erase_on", "erased_at"}
    returned = {*separating.RETURNED, *NO_LINK}
    assert set(RecordSnapshot.model_fields) == returned
    assert {column.key for column in sa.inspect(Patient).columns} == returned | others


def test_separating_puts_everything_back(cast: Cast) -> None:
    made, own = twins(cast)
    # The account is older than the clinic's record: the patient has been one since then.
    cast.change(sa.update(Patient).where(Patient.id == own).values(created_at=NOW - timedelta(days=9)))
    before = everything(cast)
    picks = {"name": own, "phone": made}
    stays = cast.database.write(joining.join_records, cast.fiona, made, own, picks=picks, now=NOW)
    with cast.database.reading() as session:
        record = records.get_record(session, stays)
        assert (stays, record.name, record.phone, record.birth_date) == (made, "Paula Groot", "+31201234567", BORN)
        assert record.alert == "wheelchair, speaks Polish"
        assert len(record.people) == 2
        assert record.created_at == NOW - timedelta(days=9)
        # The log of the record that is gone is found with the one that stays.
        wanted, _people = resolve(session, AuditSearch(patient=str(made)), get_clinic(session))
        assert ("patient", [made, own]) in (wanted.subjects or ())
    later = book_for(cast, made, "2026-03-09 10:00")
    assert separate(cast, made) == own
    after = everything(cast)
    assert [row[1:] for row in after if row not in before] == [(made,)]
    assert [row for row in before if row not in after] == []
    assert later in references(cast, made)
    assert list(find_problems(cast.database, now=NOW)) == []
    # They are two people from now on.
    cast.database.write(duplicates.note_duplicates, own, now=NOW)
    assert not pairs(cast) & {("Paula de Groot", "Paula Groot")}
    with cast.database.reading() as session:
        parted = session.execute(
            sa.select(AuditEvent.subject_id, AuditEvent.details).where(AuditEvent.action == "patients_parted")
        ).all()
        assert duplicates.records_within(session, [made]) == [made]
    assert {(row[0], row[1]["record"]) for row in parted} == {(made, own), (own, made)}
    with pytest.raises(NoSuchJoin):
        cast.database.write(separating.separate_records, cast.fiona, made, 1, now=NOW)


def test_later_changes_stay_and_after_30_days_nothing_is_kept(cast: Cast) -> None:
    made, own = twins(cast)
    cast.database.write(joining.join_records, cast.fiona, made, own, now=NOW)
    cast.change(sa.update(Patient).where(Patient.id == made).values(phone="+31600000000"))
    separate(cast, made, days=29)
    with cast.database.reading() as session:
        assert records.get_record(session, made).phone == "+31600000000"
        assert records.get_record(session, own).phone == "+31612345678"
    stays = cast.database.write(joining.join_records, cast.fiona, made, own, now=NOW)
    with pytest.raises(NoSuchJoin):
        separate(cast, stays, days=31)
    assert retention.run(cast.database, now=NOW + timedelta(days=31))["joined_records"] == 1
    # Erasing covers both records.
    part_of = {"kept": {}, "joined_at": NOW}
    cast.add(JoinedRecord(stays_id=made, gone_id=900, **part_of))
    cast.add(JoinedRecord(stays_id=900, gone_id=901, **part_of))
    cast.database.write(hide, made)
    with cast.database.reading() as session:
        assert session.scalars(sa.select(JoinedRecord.id)).all() == []


def test_a_record_that_joined_a_third_one_comes_back_and_can_be_separated(cast: Cast) -> None:
    first, second, third = (add_record(cast, str(each), email=None, birth_date=BORN) for each in range(3))
    for one, other in ((second, third), (first, second), (first, third)):
        cast.database.write(duplicates.note_pair, one, other, now=NOW)
    before = everything(cast)
    cast.database.write(joining.join_records, cast.fiona, second, third, now=NOW)
    cast.database.write(joining.join_records, cast.fiona, first, second, now=NOW)
    assert separate(cast, first) == second
    assert separate(cast, second) == third
    assert everything(cast) == before


def test_staff_choose_what_wins_and_undo(client: TestClient, cast: Cast) -> None:
    made, own = twins(cast)
    log_in(client, "fiona")
    path = f"/admin/patients/{made}/duplicates/{own}"
    form = read(client.get(path)).form(path)
    assert (form["name"], form["phone"]) == (str(made), str(own))
    assert "email" not in form
    cast.change(sa.update(Patient).where(Patient.id == made).values(phone="+31201234568"))
    late = client.post(path, data=form | {"decision": "same"})
    assert late.status_code == RecordsChanged().status
    form = read(late).form(path) | {"decision": "same", "name": str(own)}
    assert client.post(path, data=form).headers["location"] == f"/admin/patients/{made}"
    page = read(client.get(f"/admin/patients/{made}"))
    assert page.h1 == "Paula Groot"
    undo = next(link for link in page.links if "/joined/" in link)
    assert read(client.get(undo)).h1 == "Separate these records?"
    assert client.post(undo).headers["location"] == f"/admin/patients/{made}"
    assert read(client.get(f"/admin/patients/{made}")).h1 == "Paula de Groot"
    assert client.post(undo).status_code == 404


def test_both_appointments_of_a_clash_are_named(client: TestClient, cast: Cast) -> None:
    made = add_record(cast, birth_date=BORN)
    other = add_record(cast, "other", email=None, birth_date=BORN)
    both = {book_for(cast, made, "2026-03-05 10:00", doctor="erin"), book_for(cast, other, "2026-03-05 10:00")}
    log_in(client, "fiona")
    path = f"/admin/patients/{made}/duplicates/{other}"
    page = read(client.get(path))
    assert {f"/appointments/{reference}/reschedule" for reference in both} <= set(page.links)
    assert client.post(path, data={"decision": "same"}).status_code == 409

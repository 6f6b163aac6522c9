"""Migrations: up, down and up again with rows in place; and the schema is that of the models, guard included."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import IntegrityError

from tests.appointment_rows import GUARDS, appointment, insert, put
from tests.cast import NOW, Cast, promised
from tests.postgres import new_database
from tests.processes import PATIENCE
from tests.servers import docket_environment
from webapp.appointments.booking import service
from webapp.appointments.messages.recipients import short
from webapp.appointments.schemas import Cancellation
from webapp.auth.sign_in_rules import get_rules
from webapp.clinic.service import get_clinic
from webapp.core import formats
from webapp.core.local_time import wall_time
from webapp.database import Database
from webapp.engines import sqlite_module
from webapp.integrity.guard_trial import guard_is_in_place
from webapp.integrity.problems import find_problems
from webapp.migrations import alembic_config, downgrade, is_current, newest_revision, upgrade
from webapp.models import (
    Appointment,
    AuditEvent,
    Base,
    ClinicSettings,
    Closure,
    Doctor,
    ExtraHours,
    FormerNote,
    OutboxMessage,
    Patient,
    PatientWord,
    PossibleDuplicate,
    SignInCode,
    TimeOff,
    User,
    VisitType,
)
from webapp.patients import records

Make = Callable[[], Database]


@pytest.fixture
def make_empty(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Make]:
    """Makes empty databases, of the same kind as the migrated one."""
    databases: list[Database] = []
    ends: list[Callable[[], object]] = []

    def make() -> Database:
        if database_url.startswith("sqlite"):
            url = f"sqlite:///{tmp_path}/empty{len(databases)}.db"
        else:
            manager = new_database(request.getfixturevalue("postgres_url"))
            url = manager.__enter__()
            ends.append(lambda: manager.__exit__(None, None, None))
        databases.append(Database(url))
        return databases[-1]

    yield make
    for database in databases:
        database.dispose()
    for end in ends:
        end()


SQLITE_SCHEMA = (
    "SELECT type, name, tbl_name, sql FROM sqlite_master"
    " WHERE sql IS NOT NULL AND name NOT IN ('alembic_version', 'sqlite_sequence')"
)
POSTGRESQL_SCHEMA = """
SELECT 'column', c.relname || '.' || a.attname,
       format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' '
       || coalesce(pg_get_expr(d.adbin, d.adrelid), '-')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relname <> 'alembic_version'
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
UNION ALL
SELECT 'trigger', tgname || ' ' || tgenabled::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function', proname, pg_get_functiondef(oid)
FROM pg_proc WHERE pronamespace = 'public'::regnamespace
AND prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')
"""


def schema(database: Database) -> set[str]:
    """Everything that the database knows about its schema, one line each, without the migrations' own table."""
    with database.reading() as session:
        if database.is_sqlite:
            return {line for row in session.execute(sa.text(SQLITE_SCHEMA)) for line in _sqlite_lines(*row)}
        return {" ".join(map(str, row)) for row in session.execute(sa.text(POSTGRESQL_SCHEMA))}


def _sqlite_lines(kind: str, name: str, _table: str, text: str) -> Iterator[str]:
    """A CREATE statement without differences of formatting; each column and constraint of a table separately."""
    text = re.sub(r'["\s]+', " ", text).strip()
    if kind != "table":
        yield f"{kind} {name}: {_tight(text)}"
        return
    inside = text[text.index("(") + 1 : text.rindex(")")]
    depth, part = 0, ""
    for letter in inside + ",":
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield f"table {name}: {_tight(part)}"
            part = ""
        else:
            part += letter


def _tight(text: str) -> str:
    return re.sub(r"\s*([(),])\s*", r"\1", text).strip()


# --------------------------------------------------------------------------------------- one and the same schema


def test_the_models_and_the_migrations_build_the_same_database(database: Database, make_empty: Make) -> None:
    migrated, created = database, make_empty()
    Base.metadata.create_all(created.engine)
    assert schema(migrated) == schema(created)
    found = " ".join(schema(migrated))
    for name in (*GUARDS.values(), "ck_appointments_longest"):
        assert name in found
    assert guard_is_in_place(migrated)
    assert guard_is_in_place(created)


def test_alembic_sees_no_difference_between_models_and_migrations(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_constraint_has_a_name() -> None:
    """SQLite's batch migrations drop constraints without a name."""
    nameless = [
        f"{table.name}: {constraint}"
        for table in Base.metadata.sorted_tables
        for constraint in table.constraints
        if not constraint.name
    ]
    assert nameless == []


def test_no_table_gives_the_id_of_a_deleted_row_out_again(database: Database) -> None:
    """The clinic and its rules of sign-in are the tables with an id that is not numbered: they have one row."""
    single = {"clinic_settings", "sign_in_rules"}
    numbered = {table.name for table in Base.metadata.sorted_tables if "id" in table.columns} - single
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%id INTEGER NOT NULL PRIMARY KEY AUTOINC%'"
        if database.is_sqlite
        else "SELECT table_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = 'id' AND column_default LIKE 'nextval(%'"
    )
    with database.reading() as session:
        assert set(session.scalars(sa.text(query))) == numbered


# --------------------------------------------------------------------------------------------- down and up again


def everything(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, except the versions of schedules, whose new table starts empty."""
    with database.reading() as session:
        return {
            table.name: sorted((tuple(row) for row in session.execute(sa.select(table))), key=repr)
            for table in Base.metadata.sorted_tables
            if table.name not in {"schedule_versions", "live_changes"}
        }


# To whom a visit type is suggested is a column of 0018, which fills it by names.
FOLLOW_UP_BY_NAME = sa.update(VisitType).where(VisitType.name == "Follow-up").values(suggested_for="returning")
FIRST_VISIT_BY_NAME = sa.update(VisitType).where(VisitType.name == "First visit").values(suggested_for="new")
# So is the specialty that comes first, a column of 0019.
GENERAL_PRACTICE_FIRST = sa.update(ClinicSettings).values(first_specialty="General practice")
# Keys are random, and only appointments that are still to come get new ones.
WITHOUT_LINK_KEYS = sa.update(Appointment).values(link_key=None)
# Older releases have no role for the front desk.
WITHOUT_FRONT_DESK = sa.update(User).where(User.role == "receptionist").values(role="admin")


def test_down_to_the_tables_and_up_again_keeps_every_row_and_the_guard(cast: Cast) -> None:
    """The guard does not go up over appointments that overlap."""
    database = cast.database
    cast.book(cast.alice, "2026-03-03 10:00")
    # Where accounts have no sessions, what they did says when they were last seen.
    cast.change(sa.update(User).where(User.id == cast.alice.user_id).values(last_seen_at=NOW))
    overlapping = put(cast, "2026-03-03 10:00", patient="dave", status="cancelled")
    # Messages are in a table of a later migration, so they are lost with it.
    cast.change(sa.delete(OutboxMessage))
    cast.change(FOLLOW_UP_BY_NAME)
    cast.change(FIRST_VISIT_BY_NAME)
    cast.change(GENERAL_PRACTICE_FIRST)
    cast.change(WITHOUT_LINK_KEYS)
    cast.change(sa.update(User).values(email_confirmed_at=None))
    cast.change(WITHOUT_FRONT_DESK)
    before, shape = everything(database), schema(database)

    downgrade(database, "0001")
    appointments = sa.table("appointments", sa.column("id"), sa.column("status"))
    other = sa.update(appointments).where(appointments.c.id == overlapping)
    cast.change(other.values(status="scheduled"))
    # PostgreSQL refuses the first constraint; SQLite refuses to store the doctor's time twice.
    name = GUARDS["doctor"] if database.is_sqlite else "appointments_doctor_overlap"
    with pytest.raises(IntegrityError, match=name):
        upgrade(database)
    assert not is_current(database)
    cast.change(other.values(status="cancelled"))
    upgrade(database)

    assert is_current(database)
    assert everything(database) == before
    assert schema(database) == shape
    assert guard_is_in_place(database)
    with pytest.raises(IntegrityError, match=GUARDS["doctor"]):
        put(cast, "2026-03-03 10:00", patient="dave")
    with pytest.raises(sa.exc.DBAPIError, match="audit_is_append_only"):
        cast.change(sa.delete(AuditEvent))


# ---------------------------------------------------------------------------------- what older releases had written

# Each of these makes what it needs, and waits; writes what a release with its revision could write, and waits again;
# and looks at that after the upgrade. All take the same way down and up, each with its own people.
Story = Generator[None, None, None]
STORIES: list[tuple[str, Callable[[Cast], Story]]] = []


def written_at(revision: str) -> Callable[[Callable[[Cast], Story]], Callable[[Cast], Story]]:
    def keep(story: Callable[[Cast], Story]) -> Callable[[Cast], Story]:
        STORIES.append((revision, story))
        return story

    return keep


def test_rows_of_older_releases_are_carried_over(cast: Cast) -> None:
    falling = sorted(STORIES, key=lambda known: known[0], reverse=True)
    stories = [(revision, story(cast)) for revision, story in falling]
    for _revision, story in stories:
        next(story)
    for revision, story in stories:
        downgrade(cast.database, revision)
        next(story)
    upgrade(cast.database)
    for _revision, story in stories:
        with pytest.raises(StopIteration):
            next(story)
    assert guard_is_in_place(cast.database)
    assert list(find_problems(cast.database, now=NOW)) == []


def with_account(cast: Cast, name: str, *, confirmed: bool = True) -> int:
    """A patient with an account, whose address is made of the name; gives the patient's id."""
    email = f"{name.split()[0].lower()}@docket.example"
    confirmed_at = NOW if confirmed else None
    user = User(
        email=email, name=name, role="patient", password_hash="", created_at=NOW, email_confirmed_at=confirmed_at
    )
    cast.add(user)
    return cast.add(Patient(user_id=user.id, name=name, email=email, created_at=NOW))


@written_at("0036")
def the_front_desk_gets_no_other_rights(cast: Cast) -> Story:
    cast.database.write(records.note_reading, cast.fiona, cast.patient_ids["alice"], now=NOW)
    fionas = sa.select(User.role, User.active).where(User.id == cast.fiona.user_id)
    yield
    with cast.database.reading() as session:
        assert session.execute(fionas).one() == ("patient", False)
    yield
    with cast.database.reading() as session:
        assert session.execute(fionas).one() == ("patient", False)
        assert not get_rules(session).needs_factor("receptionist")


@written_at("0034")
def links_that_exist_are_as_old_as_the_record(cast: Cast) -> Story:
    alice = cast.patient_ids["alice"]
    zoe = cast.add(Patient(name="Zoe Adams", managed_by_id=alice, created_at=NOW - timedelta(days=9)))
    yield
    yield
    with cast.database.reading() as session:
        assert session.get_one(Patient, zoe).managed_since == NOW - timedelta(days=9)
        assert session.get_one(Patient, alice).managed_since is None
        assert get_clinic(session).guardian_age is None


@written_at("0021")
def a_clinic_that_exists_does_not_suddenly_require_a_second_factor(cast: Cast) -> Story:
    yield
    yield
    with cast.database.reading() as session:
        assert not get_rules(session).needs_factor("admin")
        assert get_rules(session).idle_minutes == 30


@written_at("0016")
def addresses_get_the_form_that_sign_in_compares(cast: Cast) -> Story:
    people = [with_account(cast, "Jose Muller"), with_account(cast, "Nell Neill")]
    old = ["jose\u0301@xn--praxis-mller-klb.example", "o\u2019neill@docket.example"]
    yield
    with cast.database.engine.begin() as connection:
        for number, address in zip(people, old, strict=True):
            row = {"email": address, "id": number}
            users = "UPDATE users SET email = :email WHERE id = (SELECT user_id FROM patients WHERE id = :id)"
            connection.execute(sa.text(users), row)
            connection.execute(sa.text("UPDATE patients SET email = :email WHERE id = :id"), row)
    yield
    new = ["josé@praxis-müller.example", "o'neill@docket.example"]
    query = sa.select(User.email, Patient.email).join(Patient, Patient.user_id == User.id)
    with cast.database.reading() as session:
        for number, address in zip(people, new, strict=True):
            assert session.execute(query.where(Patient.id == number)).one() == (address, address)


@written_at("0013")
def telephone_numbers_become_ones_that_can_be_dialled_and_the_rest_stays(cast: Cast) -> Story:
    database, alice, dave = cast.database, cast.patient_ids["alice"], cast.patient_ids["dave"]
    yield
    with database.engine.begin() as connection:
        for number, phone, word in ((alice, "06 1234 5678", "#87654321602"), (dave, "ask at 20", "#02")):
            connection.execute(sa.text("UPDATE patients SET phone = :p WHERE id = :id"), {"p": phone, "id": number})
            connection.execute(sa.text("INSERT INTO patient_words VALUES (:w, :id)"), {"w": word, "id": number})
        right = "UPDATE patient_words SET word = '#8765432160' WHERE word = '#87654321602'"
        connection.execute(sa.text(right))
        connection.execute(sa.text("UPDATE clinic_settings SET phone = '020 123 4567'"))
    message = _undelivered("mail_late")
    message.recipient = "(0)6-12345678"
    message.dedupe_key = f"visit_booked:1:1:{short(message.recipient)}"
    cast.add(message)
    # The same news to one number that was written in three ways: the key of its E.164 form is taken.
    ways = ["06 12345678", "06-12345678", "+31612345678"]
    for written in ways:
        copy = _undelivered(f"to {written}")
        copy.recipient, copy.dedupe_key = written, f"visit_moved:1:2:{short(written)}"
        cast.add(copy)
    yield
    with database.reading() as session:
        phones = {number: session.get_one(Patient, number).phone for number in (alice, dave)}
        words = set(session.scalars(sa.select(PatientWord.word).where(PatientWord.word.like("#%"))))
        query = sa.select(OutboxMessage.recipient, OutboxMessage.dedupe_key).order_by(OutboxMessage.id)
        sent, *copies = session.execute(query).all()
        clinic = get_clinic(session)
    assert phones == {alice: "+31612345678", dave: "ask at 20"}
    assert words == {"#87654321613", "#02"}
    assert sent == ("+31612345678", f"visit_booked:1:1:{short('+31612345678')}")
    assert copies == [("+31612345678", f"visit_moved:1:2:{short(written)}") for written in ways]
    assert (clinic.phone, clinic.phone_shown, clinic.home_country) == ("+31201234567", "020 123 4567", "NL")


@written_at("0011")
def appointments_get_the_hour_that_the_clock_showed(cast: Cast) -> Story:
    ids = promise(cast)
    yield
    yield
    with cast.database.reading() as session:
        query = sa.select(Appointment.starts_at, Appointment.promised_minute, Appointment.version)
        found = session.execute(query.where(Appointment.id.in_(ids))).all()
    assert {formats.iso(start): f"{wall_time(minute):%Y-%m-%d %H:%M}" for start, minute, _version in found} == PROMISES
    assert {version for _start, _minute, version in found} == {1}


@written_at("0010")
def flags_because_of_rules_about_when_to_book_are_taken_off(cast: Cast) -> Story:
    flags = ["too_far_ahead", "patient_gap", "patient_gap:Call her first.", "time_off"]
    ids = [put(cast, f"2026-03-{day:02d} 10:00") for day in range(3, 7)]
    for number, flag in zip(ids, flags, strict=True):
        cast.change(sa.update(Appointment).where(Appointment.id == number).values(flagged_why=flag))
    yield
    yield
    with cast.database.reading() as session:
        found = session.scalars(
            sa.select(Appointment.flagged_why).where(Appointment.id.in_(ids)).order_by(Appointment.id)
        )
        assert found.all() == ["", "", "patient_gap:Call her first.", "time_off"]


@written_at("0009")
def an_address_that_staff_wrote_can_still_be_confirmed(cast: Cast) -> Story:
    """Until 0010 staff corrected the record's address, while messages went to the account's."""
    alice, dave = cast.patient_ids["alice"], cast.patient_ids["dave"]
    yield
    with cast.database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE patients SET email = 'right@docket.example' WHERE id = :id"), {"id": alice})
        connection.execute(sa.text("UPDATE patients SET email = '' WHERE id = :id"), {"id": dave})
        word = sa.text("UPDATE patient_words SET word = 'right@docket.example' WHERE word = 'alice@docket.example'")
        connection.execute(word)
    yield
    with cast.database.reading() as session:
        accounts = {row.id: row for row in session.scalars(sa.select(User))}
        emails = {number: session.get_one(Patient, number).email for number in (alice, dave)}
        query = sa.select(PatientWord.word).where(PatientWord.word.like("%@%"))
        words = set(session.scalars(query.where(PatientWord.patient_id.in_([alice, dave]))))
    assert emails == {alice: "alice@docket.example", dave: "dave@docket.example"}
    assert words == {"alice@docket.example", "dave@docket.example"}
    account = accounts[cast.alice.user_id]
    assert (account.email, account.new_email) == ("alice@docket.example", "right@docket.example")
    assert account.new_email_until is not None
    assert accounts[cast.dave.user_id].new_email == ""


@written_at("0009")
def records_that_were_made_before_the_account_are_shown_to_staff(cast: Cast) -> Story:
    ivy = with_account(cast, "Ivy Adams")
    with_account(cast, "Jack Dunn", confirmed=False)
    same = cast.add(Patient(name="ADAMS, Ívy", email="ivy@docket.example", created_at=NOW))
    cast.add(Patient(name="Cleo Adams", email="ivy@docket.example", created_at=NOW))
    cast.add(Patient(name="Jack Dunn", email="jack@docket.example", created_at=NOW))
    yield
    yield
    with cast.database.reading() as session:
        pairs = session.scalars(sa.select(PossibleDuplicate)).all()
    assert [(pair.patient_id, pair.other_id) for pair in pairs] == [(ivy, same)]


# ----------------------------------------------------------------------------------------- further ways down and up


FLAGS = {
    "time_off": "The doctor is away.",
    "outside_working_hours:Late: he comes at six.": "It is outside the doctor’s working hours. Late: he comes at six.",
    "note:Erin is away 100%": "Erin is away 100%",
}
TROUBLES = {
    "mail_answered:550 5.1.1: no such user": "The mail server answered: 550 5.1.1: no such user",
    "mail_late": "The mail server did not answer in time.",
    "not_written_out:KeyError": "It could not be written out: KeyError.",
    "sms_answered:503": "The gateway for text messages answered with status 503.",
    "note:There is no such mailbox.": "There is no such mailbox.",
}


def test_sentences_that_were_stored_become_codes_and_sentences_again(cast: Cast) -> None:
    database = cast.database
    for day, flag in enumerate(FLAGS, 3):
        number = put(cast, f"2026-03-{day:02d} 10:00")
        cast.change(sa.update(Appointment).where(Appointment.id == number).values(flagged_why=flag))
    reference = cast.book(cast.alice, "2026-03-12 10:00")
    database.write(service.cancel, cast.carol, reference, Cancellation(), now=cast.now, why="time_off")
    for error in TROUBLES:
        cast.add(_undelivered(error))
    acting = [cast.alice.user_id, cast.carol.user_id]
    cast.change(sa.update(User).where(User.id.in_(acting)).values(last_seen_at=cast.now))
    cast.change(FOLLOW_UP_BY_NAME)
    cast.change(FIRST_VISIT_BY_NAME)
    cast.change(GENERAL_PRACTICE_FIRST)
    cast.change(WITHOUT_LINK_KEYS)
    cast.change(WITHOUT_FRONT_DESK)
    before = everything(database)

    downgrade(database, "0007")
    with database.reading() as session:
        flags = session.scalars(sa.text("SELECT flagged_why FROM appointments WHERE flagged_why <> '' ORDER BY id"))
        assert flags.all() == [*FLAGS.values()]
        why = session.scalars(sa.text("SELECT cancellation_reason FROM appointments WHERE status = 'cancelled'"))
        assert why.all() == ["The doctor is away."]
        errors = session.scalars(sa.text("SELECT last_error FROM outbox_messages WHERE last_error <> '' ORDER BY id"))
        assert errors.all() == [*TROUBLES.values()]
        mails = session.scalars(
            sa.select(OutboxMessage.values).where(OutboxMessage.template.like("visit_%")).order_by(OutboxMessage.id)
        ).all()
    assert [mail["why"] for mail in mails] == ["", "The doctor is away."]
    for mail in mails:
        event = mail["calendar"]["events"][0]["event"]
        assert event["summary"] == "Visit: Dr. Bob Brown"
        assert event["description"].splitlines()[:2] == [mail["clinic"]["name"], f"Reference: {reference}"]

    upgrade(database)
    assert everything(database) == before


def _undelivered(error: str, *, subject: tuple[str, int] = ("patient", 1)) -> OutboxMessage:
    """A message for which this is kept as what went wrong."""
    return OutboxMessage(
        dedupe_key=error,
        message_id=error,
        channel="sms",
        recipient="+31612345678",
        template="old",
        values={},
        subject_type=subject[0],
        subject_id=subject[1],
        due_at=NOW,
        expires_at=NOW,
        created_at=NOW,
        last_error=error,
    )


def test_words_in_place_of_a_name_are_stored_no_more(cast: Cast) -> None:
    """Older releases stored them in English. A person who has this name keeps it."""
    deleted = cast.add(Patient(name="", created_at=NOW, closed_at=NOW, erased_at=NOW))
    namesake = cast.add(Patient(name="Deleted patient", created_at=NOW))
    cast.change(sa.update(ClinicSettings).values(name=""))
    clinics_name = sa.select(ClinicSettings.name)
    names = sa.select(Patient.name, Patient.sort_name).where(Patient.id.in_((deleted, namesake))).order_by(Patient.id)

    downgrade(cast.database, "0054")
    with cast.database.reading() as session:
        assert session.scalars(clinics_name).one() == "Our clinic"
        assert session.execute(names).all() == [("Deleted patient", "patient  deleted")] * 2

    upgrade(cast.database)
    with cast.database.reading() as session:
        assert session.scalars(clinics_name).one() == ""
        assert session.execute(names).all() == [("", ""), ("Deleted patient", "patient  deleted")]


def test_times_get_the_form_of_all_others(sqlite_cast: Cast) -> None:
    """Older releases stored microseconds with some times, which the check cannot tell from a mistake."""
    cast = sqlite_cast
    columns = {
        Patient.closed_at: cast.add(Patient(name="", created_at=NOW, closed_at=NOW, erased_at=NOW)),
        Appointment.links_ended_at: put(cast, "2026-03-09 10:00"),
        SignInCode.used_at: cast.add(
            SignInCode(browser="b", account="a", nonce="n", code_hash="h", sent_at=NOW, expires_at=NOW)
        ),
    }
    for column, row in columns.items():
        text: Any = sa.literal_column("'2026-03-02 07:00:00.000000'")
        cast.change(sa.update(column.class_).where(column.class_.id == row).values({column: text}))
    # The check reads the tables of this release, so it does not ask between the migrations.
    assert len(list(find_problems(cast.database, now=NOW))) == 3

    downgrade(cast.database, "0057")
    upgrade(cast.database)
    assert list(find_problems(cast.database, now=NOW)) == []
    with cast.database.reading() as session:
        kept = [session.scalar(sa.select(column).where(column.class_.id == row)) for column, row in columns.items()]
    assert kept == [NOW] * 3


def test_all_the_way_down_leaves_nothing_and_up_again_is_the_same(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    shape = schema(cast.database)
    downgrade(cast.database, "base")
    assert schema(cast.database) == set()
    upgrade(cast.database)
    assert schema(cast.database) == shape
    assert all(rows == [] for rows in everything(cast.database).values())


def test_a_patients_overlap_of_the_past_is_found_by_the_check(sqlite_cast: Cast) -> None:
    """SQLite's triggers check new rows only."""
    put(sqlite_cast, "2026-03-03 10:00")
    put(sqlite_cast, "2026-03-03 10:15", doctor="erin", status="cancelled")
    downgrade(sqlite_cast.database, "0001")
    sqlite_cast.change(sa.update(sa.table("appointments", sa.column("status"))).values(status="scheduled"))
    upgrade(sqlite_cast.database)
    patient = sqlite_cast.patient_ids["alice"]
    assert [
        problem.partition(" ")[2].partition(" ")[2] for problem in find_problems(sqlite_cast.database, now=NOW)
    ] == [f"overlaps an earlier one of patient {patient}."]


COPIED = (
    "doctor_id, visit_type_id, starts_at, ends_at, busy_from, busy_until, status, reason, notes, cancellation_reason,"
    " version, created_at, updated_at"
)
ANOTHER_AT_ITS_TIME = (
    f"INSERT INTO appointments (reference, patient_id, {COPIED})"
    f" SELECT 'TRIAL', {{dave}}, {COPIED} FROM appointments WHERE id = {{there}}"
)
A_CANCELLED_ONE_COMES_BACK = "UPDATE appointments SET status = 'scheduled' WHERE id = {cancelled}"


@contextmanager
def trials_after_each_step(database: Database, trials: list[str]) -> Iterator[list[str]]:
    """Try to violate the guard after every statement that changes the database; gives the outcome of each trial."""
    outcomes: list[str] = []

    def attempt(_c: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.split()[0] not in {"ALTER", "CREATE", "DROP", "INSERT", "UPDATE"}:
            return
        tried = cursor.connection.cursor()
        for trial in trials:
            tried.execute("SAVEPOINT trial")
            try:
                tried.execute(trial)
            except (sqlite_module().IntegrityError, psycopg.IntegrityError) as error:
                outcomes.append(str(error).partition("_overlap")[0].rpartition(" ")[2].strip('"'))
            else:
                outcomes.append(f"accepted after {statement}")
            tried.execute("ROLLBACK TO SAVEPOINT trial")

    sa.event.listen(database.engine, "after_cursor_execute", attempt)
    yield outcomes
    sa.event.remove(database.engine, "after_cursor_execute", attempt)


def test_the_guard_of_doctors_moves_without_a_moment_unguarded_and_keeps_every_row(cast: Cast) -> None:
    database = cast.database
    there = put(cast, "2026-03-03 10:00", before=5, after=10)
    cancelled = put(cast, "2026-03-03 10:15", patient="dave", status="cancelled")
    for day, status in enumerate(("confirmed", "arrived", "completed", "no_show"), 4):
        put(cast, f"2026-03-0{day} 10:00", patient="dave", status=status)
    trials = [
        trial.format(dave=cast.patient_ids["dave"], there=there, cancelled=cancelled)
        for trial in (ANOTHER_AT_ITS_TIME, A_CANCELLED_ONE_COMES_BACK)
    ]

    def state() -> tuple[list[tuple[object, ...]], set[str]]:
        with database.reading() as session:
            appointments = session.execute(sa.text("SELECT * FROM appointments ORDER BY id"))
            return [tuple(appointment) for appointment in appointments], schema(database)

    busy = everything(database)["busy_times"]
    assert len(busy) == 4
    # The trials do not know the columns of later migrations.
    downgrade(database, "0009")
    new = state()
    with trials_after_each_step(database, trials) as outcomes:
        downgrade(database, "0005")
    old = state()
    with pytest.raises(IntegrityError, match="appointments_doctor_overlap"):
        database.write(lambda session: session.execute(sa.text(trials[0])))
    with trials_after_each_step(database, trials) as more:
        upgrade(database, "0009")
    assert state() == new
    upgrade(database)
    assert everything(database)["busy_times"] == busy
    assert guard_is_in_place(database)
    downgrade(database, "0005")
    assert state() == old
    assert set(outcomes + more) == {"appointments_doctor", "busy_times_doctor"}
    assert min(len(outcomes), len(more)) >= 2 * 8


def stored(database: Database) -> tuple[dict[str, list[tuple[object, ...]]], set[str]]:
    """All rows of the tables that there are, and their schema, but for how SQLite chooses ids."""
    lines = (line.replace(" PRIMARY KEY AUTOINCREMENT", "") for line in schema(database))
    key = re.compile(r"table (\w+): CONSTRAINT pk_\1 PRIMARY KEY\(id\)")
    with database.reading() as session:
        names = sorted(set(sa.inspect(session.connection()).get_table_names()) - {"alembic_version"})
        rows = {name: [*map(tuple, session.execute(sa.text(f"SELECT * FROM {name} ORDER BY 1, 2")))] for name in names}
    return rows, {line for line in lines if not key.fullmatch(line)}


def test_ids_become_permanent_without_a_moment_unguarded_and_nothing_else_changes(cast: Cast) -> None:
    database = cast.database
    there = put(cast, "2026-03-03 10:00", before=5, after=10)
    cancelled = put(cast, "2026-03-03 10:15", patient="dave", status="cancelled")
    cast.book(cast.alice, "2026-03-04 10:00")
    trials = [
        trial.format(dave=cast.patient_ids["dave"], there=there, cancelled=cancelled)
        for trial in (ANOTHER_AT_ITS_TIME, A_CANCELLED_ONE_COMES_BACK)
    ]
    downgrade(database, "0009")
    new, shape = stored(database), schema(database)
    with trials_after_each_step(database, trials) as outcomes:
        downgrade(database, "0008")
    assert stored(database) == new
    assert (schema(database) == shape) is not database.is_sqlite
    with trials_after_each_step(database, trials) as more:
        upgrade(database, "0009")
    assert (stored(database), schema(database)) == (new, shape)
    assert set(outcomes + more) == {"busy_times_doctor"}
    upgrade(database)
    assert guard_is_in_place(database)
    assert list(find_problems(database, now=NOW)) == []
    if database.is_sqlite:
        with database.reading() as session:
            assert session.execute(sa.text("PRAGMA integrity_check")).all() == [("ok",)]
            assert session.execute(sa.text("PRAGMA foreign_key_check")).all() == []


def test_ids_stay_used_also_those_that_only_the_audit_log_and_the_outbox_remember(cast: Cast) -> None:
    """They are of rows that were deleted before the migration, or on PostgreSQL left out of a restored backup."""
    database, day = cast.database, NOW.date()
    used = cast.add(ExtraHours(doctor_id=cast.doctor_ids["bob"], day=day, start_minute=600, end_minute=720))
    cast.change(sa.delete(ExtraHours))
    downgrade(database, "0008")
    for subject in ("patient", "closure", "visit_type"):
        cast.add(audited("removed", (subject, 41)))
    cast.add(audited("message_read", ("patient", 1), {"message": 43}))
    cast.add(audited("time_off_removed", ("doctor", 1), {"times": 5}, actor=47))
    cast.add(_undelivered("late", subject=("doctor", 53)))
    upgrade(database)
    first = {
        Closure: Closure(name="Break", starts_on=NOW.date(), ends_on=NOW.date()),
        VisitType: VisitType(name="Other", minutes=15),
        Patient: Patient(name="Gina", created_at=NOW),
        User: User(email="g@docket.example", name="Gina", password_hash="", role="patient", created_at=NOW),
        Doctor: Doctor(slug="h", name="Dr. Hugo Hall", specialty="General practice"),
        OutboxMessage: _undelivered("later"),
        TimeOff: TimeOff(doctor_id=cast.doctor_ids["bob"], starts_at=NOW, ends_at=NOW + timedelta(hours=1)),
        ExtraHours: ExtraHours(doctor_id=cast.doctor_ids["bob"], day=day, start_minute=600, end_minute=720),
    }
    numbers = {kind.__name__: cast.add(row) for kind, row in first.items()}
    assert numbers == {
        "Closure": 42,
        "VisitType": 42,
        "Patient": 42,
        "User": 48,
        "Doctor": 54,
        "OutboxMessage": 44,
        "TimeOff": 6,
        "ExtraHours": used + 1,
    }


def test_a_table_that_docket_did_not_create_stops_the_migration_and_stays_as_it_is(sqlite_cast: Cast) -> None:
    database = sqlite_cast.database
    downgrade(database, "0008")
    database.write(lambda session: session.execute(sa.text("DROP TABLE working_hours")))
    own = "CREATE TABLE working_hours (id INTEGER PRIMARY KEY, doctor_id INTEGER)"
    database.write(lambda session: session.execute(sa.text(own)))
    shape = schema(database)
    with pytest.raises(ValueError, match="working_hours"):
        upgrade(database)
    assert schema(database) == shape
    with pytest.raises(sa.exc.DBAPIError, match="may not be modified"):
        database.write(lambda session: session.execute(sa.text("UPDATE sqlite_master SET sql = ''")))


def audited(
    action: str, subject: tuple[str, int], details: dict[str, int] | None = None, *, actor: int | None = None
) -> AuditEvent:
    """A row of the audit log."""
    return AuditEvent(
        at=NOW,
        actor_user_id=actor,
        actor_role="admin",
        action=action,
        subject_type=subject[0],
        subject_id=subject[1],
        details=details or {},
    )


def test_down_refuses_while_two_appointments_share_a_time_in_two_lanes(cast: Cast) -> None:
    put(cast, "2026-03-03 10:00")
    squeezed = put(cast, "2026-03-03 10:15", patient="dave", squeezed="A child with a fever")
    shape = schema(cast.database)
    with pytest.raises(IntegrityError, match="appointments_doctor_overlap"):
        downgrade(cast.database, "0005")
    assert schema(cast.database) == shape
    assert is_current(cast.database)
    cast.change(sa.update(Appointment).where(Appointment.id == squeezed).values(status="cancelled"))
    downgrade(cast.database, "0005")


def rebuild_appointments(database: Database) -> None:
    """Do what a migration in batch mode does on SQLite: create a new table, copy the rows, drop the old one."""
    with database.engine.connect().execution_options(docket_write=True) as connection, connection.begin():
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("appointments", recreate="always"):
            pass


def test_batch_mode_cannot_drop_the_guard_of_a_table_that_holds_appointments(sqlite_cast: Cast) -> None:
    put(sqlite_cast, "2026-03-03 10:00")
    shape, rows = schema(sqlite_cast.database), everything(sqlite_cast.database)
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        rebuild_appointments(sqlite_cast.database)
    assert (schema(sqlite_cast.database), everything(sqlite_cast.database)) == (shape, rows)
    assert guard_is_in_place(sqlite_cast.database)


def test_readiness_misses_a_guard_that_batch_mode_dropped(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    rebuild_appointments(database)
    assert not guard_is_in_place(database)
    database.dispose()


def test_an_upgrade_waits_for_another_as_long_as_it_takes(postgresql_url: str) -> None:
    """Other locks are waited for only for a moment, also by the migrations that follow."""
    database = Database(postgresql_url)
    waits: list[str] = []

    @sa.event.listens_for(database.engine, "after_cursor_execute")
    def look(_c: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if "pg_advisory_xact_lock" in statement or "alembic_version" in statement:
            waits.append(cursor.connection.execute("SHOW lock_timeout").fetchone()[0])

    upgrade(database)
    database.dispose()
    assert waits[0] == "0"
    assert set(waits[1:]) == {"3s"}


def test_upgrading_twice_or_concurrently_does_no_harm(make_empty: Make) -> None:
    database = make_empty()
    assert not is_current(database)
    url = database.url.render_as_string(hide_password=False)
    command = [str(Path(sys.executable).with_name("docket")), "db", "upgrade"]
    both = [
        subprocess.Popen(
            command, env=docket_environment(url), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=PATIENCE)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert is_current(database)
    upgrade(database)
    assert guard_is_in_place(database)


def test_the_newest_revision_is_the_one_that_alembic_would_upgrade_to(sqlite_url: str) -> None:
    config = alembic_config(Database(sqlite_url))
    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision()]


PROMISES = {
    # In Amsterdam's winter and summer, on both sides of a change of the clocks, and in both hours that are shown twice.
    "2025-12-01T09:00:00Z": "2025-12-01 10:00",
    "2026-03-29T00:59:00Z": "2026-03-29 01:59",
    "2026-03-29T01:00:00Z": "2026-03-29 03:00",
    "2026-07-01T08:00:00Z": "2026-07-01 10:00",
    "2026-10-25T00:30:00Z": "2026-10-25 02:30",
    "2026-10-25T01:30:00Z": "2026-10-25 02:30",
    "2031-03-03T09:00:00Z": "2031-03-03 10:00",
}


def promise(cast: Cast) -> list[int]:
    """Cancelled appointments at these times; gives their ids."""
    ids = []
    for start in PROMISES:
        row = appointment(cast, "2026-01-01 00:00", status="cancelled")
        moved = datetime.fromisoformat(start) - row["starts_at"]
        times = {name: row[name] + moved for name in ("starts_at", "ends_at", "busy_from", "busy_until")}
        ids.append(insert(cast, row | times | {"promised_minute": promised(times["starts_at"])}))
    return ids


def test_in_a_zone_that_does_not_exist_appointments_get_the_hour_in_utc(cast: Cast) -> None:
    promise(cast)
    downgrade(cast.database, "0011")
    cast.change(sa.update(ClinicSettings).values(time_zone="Nowhere/Such"))
    upgrade(cast.database)
    with cast.database.reading() as session:
        found = session.execute(sa.select(Appointment.starts_at, Appointment.promised_minute)).all()
    shown = {formats.iso(start): f"{wall_time(minute):%Y-%m-%d %H:%M}" for start, minute in found}
    assert shown == {start: f"{datetime.fromisoformat(start):%Y-%m-%d %H:%M}" for start in PROMISES}
    assert guard_is_in_place(cast.database)


def test_the_guard_of_patients_watches_while_the_hours_are_filled_in(sqlite_cast: Cast) -> None:
    put(sqlite_cast, "2026-03-03 10:00")
    number = put(sqlite_cast, "2026-03-03 10:15", doctor="erin", status="cancelled")
    downgrade(sqlite_cast.database, "0011")
    trial = f"UPDATE appointments SET status = 'scheduled' WHERE id = {number}"
    with trials_after_each_step(sqlite_cast.database, [trial]) as outcomes:
        upgrade(sqlite_cast.database)
    assert set(outcomes) == {"appointments_patient"}
    assert len(outcomes) > 6


def test_going_down_puts_notes_of_former_doctors_back_and_loses_none(cast: Cast) -> None:
    number = put(cast, "2026-03-03 10:00")
    note = {"appointment_id": number, "doctor_id": cast.doctor_ids["erin"], "text": "Tired"}
    cast.change(sa.insert(FormerNote).values(note))
    cast.change(sa.update(Appointment).values(private_note="Ask about her mother"))
    with pytest.raises(RuntimeError, match="1 private notes"):
        downgrade(cast.database, "0045")
    assert is_current(cast.database)
    cast.change(sa.update(Appointment).values(private_note=""))
    downgrade(cast.database, "0045")
    with cast.database.reading() as session:
        found = session.execute(sa.select(Appointment.private_note, Appointment.note_doctor_id)).all()
    assert found == [("Tired", cast.doctor_ids["erin"])]
    upgrade(cast.database)

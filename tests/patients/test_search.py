"""Finding patients by what they say or staff type, on both databases."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.cast import NOW, Cast
from webapp.core.pagination import Cursor
from webapp.database import Database
from webapp.models import Appointment, Patient
from webapp.patients.search import PatientRow, search_part, search_patients
from webapp.patients.search_index import keep_words
from webapp.patients.search_parser import understand

PEOPLE = [
    ("Hannah Weiß", date(1988, 4, 17), "+31201234567", "hannah.weiss@docket.example"),
    ("Hanneke de Vries", date(1984, 3, 27), "030 123 4567", "h.devries@docket.example"),
    ("Søren Åkesson-Wiśniewski", date(1984, 3, 12), "", ""),
    ("Zoë O’Connor", None, "+31 (0)6 0123 4568", "zoe_o@docket.example"),
    ("Anne-Marie Jansen", date(1950, 12, 1), "06 0123 4569", "anne-marie@docket.example"),
    ("Marie Anne Visser", date(1951, 1, 12), "", "visser99@docket.example"),
    ("李明", date(2001, 2, 3), "", ""),
]  # fmt: skip


@pytest.fixture
def clinic(cast: Cast) -> Cast:
    """The cast, and more patients to find."""

    def add(session: Session) -> None:
        for name, birth_date, phone, email in PEOPLE:
            patient = Patient(name=name, birth_date=birth_date, phone=phone, email=email, created_at=NOW)
            session.add(patient)
            session.flush()
            keep_words(session, patient.id, name=name, email=email, phone=phone)

    cast.database.write(add)
    return cast


def names(cast: Cast, text: str) -> list[str]:
    """The names found without tolerance for mistakes."""
    with cast.database.reading() as session:
        found = search_patients(session, text)
    return [] if found.similar else [patient.name for patient in found.patients]


def similar(cast: Cast, text: str) -> list[str]:
    """The names found with tolerance for mistakes, the closest first."""
    with cast.database.reading() as session:
        found = search_patients(session, text)
    return [patient.name for patient in found.patients] if found.similar else []


HANNAH, HANNEKE, SOREN, ZOE, ANNE, MARIE, LI = (person[0] for person in PEOPLE)


TYPED = {
    # Names: in any order, by the beginning of words, without accents, in any case.
    "hannah weiss": [HANNAH],
    "WEISS Hannah": [HANNAH],
    "Weiß, Hannah": [HANNAH],
    "weis han": [HANNAH],
    "han": [HANNEKE, HANNAH],
    "soren akesson": [SOREN],
    "Søren Åkesson-Wiśniewski": [SOREN],
    "wisniewski": [SOREN],
    "oconnor": [ZOE],
    "o'connor zoe": [ZOE],
    "anne-marie": [ANNE, MARIE],
    "anne marie jansen": [ANNE],
    "李": [LI],
    "vries hannah": [],
    # Addresses by their beginning.
    "hannah.weiss@docket.example": [HANNAH],
    "Hannah.W": [HANNAH],
    "anne-marie@": [ANNE],
    "zoe_o": [ZOE],
    "visser99": [MARIE],
    "docket.example": [],
    # Telephone numbers by their end, with or without country code, zeros and punctuation.
    "+31 20 123 4567": [HANNAH],
    "0031201234567": [HANNAH],
    "+31 (0)20 123 4567": [HANNAH],
    "020-1234567": [HANNAH],
    "(020) 123.45.67": [HANNAH],
    "+31 30 123 4567": [HANNEKE],
    "31301234567": [HANNEKE],
    "123 4567": [HANNEKE, HANNAH],
    "4568": [ZOE],
    "06 0123 4568": [ZOE],
    "+31 6 0123 4568": [ZOE],
    "+31 6 0123 4569": [ANNE],
    "+49 6 0123 4567": [],
    # And by their first digits, with the country's code or as the clinic's country dials them.
    "+31 20": [HANNAH],
    "0031 20": [HANNAH],
    "020 12": [HANNAH],
    "0612": [],
    "+31 6 12": [],
    # Birth dates, in many formats.
    "1984-03-27": [HANNEKE],
    "1984/3/27": [HANNEKE],
    "27-03-1984": [HANNEKE],
    "27/3/1984": [HANNEKE],
    "27.3.1984": [HANNEKE],
    "27 3 1984": [HANNEKE],
    "27 March 1984": [HANNEKE],
    "27th mar 1984": [HANNEKE],
    "March 27, 1984": [HANNEKE],
    "3/27/1984": [HANNEKE],
    "12-03-1984": [SOREN],
    "1-12-1950": [ANNE],
    "12-1-1951": [MARIE],
    # A part of a birth date: people often say the year alone, and four digits may be the end of a number, too.
    "1984": [SOREN, HANNEKE],
    "1951": [MARIE],
    "1985": [],
    "hanneke 1984": [HANNEKE],
    "1984 soren": [SOREN],
    "March 1984": [SOREN, HANNEKE],
    "mar. 1984 hanneke": [HANNEKE],
    "1984-03": [SOREN, HANNEKE],
    "3/1984": [SOREN, HANNEKE],
    "04-1984": [],
    "27-3-84": [HANNEKE],
    "3/2/01": [LI],
    "28 March 1984": [],
    "30-02-1984": [],
    # Everything must match.
    "hanneke 27-3-1984": [HANNEKE],
    "27 March 1984 vries 030 123 4567": [HANNEKE],
    "hannah 27-3-1984": [],
    "hannah 4568": [],
    "zoe zoe_o@docket.example": [ZOE],
    # Nothing to search for.
    "???": [],
    "@@@": [],
    "\x00 \ud800": [],
    "%": [],
    "_": [],
}  # fmt: skip


def test_everything_that_was_typed_must_match(clinic: Cast) -> None:
    assert {text: names(clinic, text) for text in TYPED} == TYPED


MISTYPED = {
    "hanah weis": [HANNAH],
    "Hannah Wiess": [HANNAH],
    "jansne": [ANNE, MARIE],
    "wisnewsky soren": [SOREN],
    "hanneke d vreis": [HANNEKE],
    "hannehke 27-3-1984": [HANNEKE],
    "viser marie": [MARIE],
    # Three mistakes make another name, and short words allow none; a wrong date or number never matches.
    "wasnewskyy": [],
    "jnsssn": [],
    "ax jansne": [],
    "hanah weis 18-4-1988": [],
    "hanah weis 9999": [],
    "hanah.weiss@docket.example": [],
}  # fmt: skip


def test_up_to_two_mistakes_in_a_name_are_tolerated_without_exact_matches(clinic: Cast) -> None:
    assert {text: similar(clinic, text) for text in MISTYPED} == MISTYPED
    assert [text for text in MISTYPED if names(clinic, text)] == []


def test_the_closest_come_first(clinic: Cast) -> None:
    def add(session: Session) -> None:
        for name in ("Ada Kowalszik", "Bea Kowalczik", "Cem Kowalczyk"):
            patient = Patient(name=name, created_at=NOW)
            session.add(patient)
            session.flush()
            keep_words(session, patient.id, name=name, email="", phone="")

    clinic.database.write(add)
    assert similar(clinic, "kowalcyzk") == ["Cem Kowalczyk", "Bea Kowalczik"]


def test_a_row_says_who_has_an_account_and_who_books_for_them(clinic: Cast) -> None:
    zoe = clinic.add(Patient(name="Zita Adams", managed_by_id=clinic.patient_ids["alice"], created_at=NOW))
    clinic.database.write(keep_words, zoe, name="Zita Adams", email="", phone="")
    with clinic.database.reading() as session:
        alice, zita = search_patients(session, "adams").patients
    assert alice == PatientRow(
        clinic.patient_ids["alice"], "Alice Adams", None, "", "alice@docket.example", clinic.alice.user_id, True, None
    )
    assert alice.has_account
    assert (zita.managed_by, zita.has_account, zita.active) == ("Alice Adams", False, None)


def test_the_search_finds_only_patients_in_its_scope(clinic: Cast) -> None:
    clinic.book(clinic.alice, "2026-03-03 09:00")
    alice = clinic.patient_ids["alice"]
    bobs = sa.select(Appointment.patient_id).where(Appointment.doctor_id == clinic.doctor_ids["bob"])
    with clinic.database.reading() as session:
        for text in ("", "alice", "adams", "alcie"):
            assert search_part(session, text, among=bobs, after=None, skip=0, limit=10).ids == [alice], text
        for text in ("dave", "dvae", "hannah"):
            assert search_part(session, text, among=bobs, after=None, skip=0, limit=10).ids == [], text


def test_the_list_is_read_page_by_page_in_both_directions(clinic: Cast) -> None:
    def add(session: Session) -> None:
        # Patients with equal names are ordered by id, so none is shown twice or left out.
        session.add_all(Patient(name="Same Name", created_at=NOW) for _ in range(5))

    clinic.database.write(add)
    with clinic.database.reading() as session:
        all_patients = session.scalars(sa.select(Patient.id).order_by(Patient.sort_name, Patient.id)).all()
        page, forward = search_patients(session, "", limit=3), []
        assert page.beside.before is None
        while True:
            forward.append([patient.id for patient in page.patients])
            if page.beside.after is None:
                break
            page = search_patients(session, "", cursor=Cursor(page.beside.after), limit=3)
            assert page.beside.before == page.patients[0].id
        assert [number for ids in forward for number in ids] == all_patients
        backward = [forward[-1]]
        while page.beside.before is not None:
            page = search_patients(session, "", cursor=Cursor(page.beside.before, backwards=True), limit=3)
            assert page.beside.after == page.patients[-1].id
            backward.insert(0, [patient.id for patient in page.patients])
        assert [number for ids in backward for number in ids] == all_patients
        for unknown in (999_999, 0):
            assert search_patients(session, "", cursor=Cursor(unknown)).patients


def test_the_number_of_queries_does_not_depend_on_the_results(clinic: Cast) -> None:
    assert _queries(clinic.database, "") == _queries(clinic.database, "han") == _queries(clinic.database, "4567") == 1
    assert _queries(clinic.database, "hanah weis") == _queries(clinic.database, "jansne anne 1-12-1950") == 4
    assert _queries(clinic.database, "nobody of this name") == 2


def _queries(database: Database, text: str) -> int:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT"):
            statements.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        with database.reading() as session:
            search_patients(session, text)
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)
    return len(statements)


def test_a_mistyped_name_does_not_read_all_patients(sqlite_cast: Cast) -> None:
    """PostgreSQL chooses by statistics, which so small a table does not have."""
    sent = list[tuple[str, Any]]()
    sa.event.listen(sqlite_cast.database.engine, "before_cursor_execute", lambda *about: sent.append(about[2:4]))
    with sqlite_cast.database.reading() as session:
        assert search_patients(session, "alcie").similar
        plans = [
            str(session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
            for statement, parameters in list(sent)
        ]
    # The words of names lie in one range of their index. Whose they are is looked up before the patients are.
    assert len([plan for plan in plans if "patient_words" in plan]) == 3
    assert not any("SCAN" in plan for plan in plans), plans


@pytest.mark.parametrize("text", ["Søren 1984", "+31 20 123 4567", "Anne-Marie"])
def test_no_database_asks_of_each_patient_whether_a_text_fits(clinic: Cast, text: str) -> None:
    """The words of all readings of a text are found first: with OR, PostgreSQL would look at all patients."""
    sent = list[tuple[str, Any]]()
    sa.event.listen(clinic.database.engine, "before_cursor_execute", lambda *about: sent.append(about[2:4]))
    with clinic.database.reading() as session:
        assert search_patients(session, text).patients
        [(statement, parameters)] = [each for each in sent if "patient_words" in each[0]]
        explain = "EXPLAIN QUERY PLAN" if clinic.database.is_sqlite else "EXPLAIN"
        plan = str(session.connection().exec_driver_sql(f"{explain} {statement}", parameters).all())
    assert "SCAN patients" not in plan, plan
    assert "SubPlan" not in plan, plan


def test_a_very_long_search_text_is_cut_off() -> None:
    assert len(understand("a " * 5000).words) == 8
    assert understand("a" * 5000).words[0].readings == (("a" * 120,),)

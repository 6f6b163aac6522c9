"""A guardian's access ends at the age that the clinic sets: the day, the messages, and the remaining data."""

from __future__ import annotations

import logging
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.cast import AMSTERDAM, NOW, SECRET_KEY, Cast, client_for, local, log_in
from tests.reading import read
from webapp import models
from webapp.appointments import guardians
from webapp.appointments.booking import service
from webapp.appointments.calendars.feed import list_events
from webapp.appointments.exceptions import AppointmentLinkEnded
from webapp.appointments.messages import appointment_links
from webapp.appointments.messages.recipients import LINK_PURPOSE
from webapp.appointments.schemas import Booking
from webapp.clinic import settings
from webapp.clinic.service import get_clinic
from webapp.clinic.settings import PrivacyRules
from webapp.core.optimistic_lock import fingerprint
from webapp.core.signing import sign
from webapp.exceptions import Invalid
from webapp.patients import dependants, guardianship, records
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.guardianship import Policy, end_of_link
from webapp.patients.schemas import UpdateProfile
from webapp.privacy import retention

# Access is read with the database's clock: these days are over, or far ahead, whenever the tests run.
OVER, FAR = datetime(2001, 1, 1, tzinfo=NOW.tzinfo), local("2999-05-03 00:00")
POLICY = Policy(16, date(2020, 1, 1), AMSTERDAM)
HERS = "zoe@docket.example"


def set_age(cast: Cast, age: int | None, *, now: datetime = NOW) -> None:
    """Save the setting as its page does."""
    with cast.database.reading() as session:
        saved = settings.get(session, PrivacyRules)
    command = saved.model_copy(update={"guardian_age": age})
    cast.database.write(guardianship.change_privacy, cast.carol, command, seen=fingerprint(saved), now=now)


def young(cast: Cast, **values: Any) -> int:
    """Zoe, for whom Alice books; she becomes 16 on 30 March 2026, in four weeks."""
    row = {"managed_by_id": cast.patient_ids["alice"], "managed_since": local("2020-06-01 12:00"), "created_at": NOW}
    return cast.add(models.Patient(**{"name": "Zoe Adams", "birth_date": date(2010, 3, 30), **row, **values}))


def row_of(cast: Cast, patient_id: int) -> models.Patient:
    with cast.database.reading() as session:
        return session.get_one(models.Patient, patient_id)


def mails(cast: Cast) -> dict[str, dict[str, Any]]:
    """The values of the mails about the end, by recipient."""
    query = sa.select(models.OutboxMessage).where(models.OutboxMessage.template == guardians.TEMPLATE)
    with cast.database.reading() as session:
        return {each.recipient: each.values for each in session.scalars(query)}


@pytest.mark.parametrize(
    ("born", "linked", "ends"),
    [
        ("2010-05-03", "2020-06-01 12:00", "2026-05-03 00:00"),
        # The day of the link: the eve of the birthday is early enough, in the clinic's zone.
        ("2010-05-03", "2026-05-02 23:59", "2026-05-03 00:00"),
        ("2010-05-03", "2026-05-03 00:00", None),
        # An adult who lets another person book is not affected.
        ("1950-05-03", "2020-06-01 12:00", None),
        # 29 February comes only in leap years.
        ("2008-02-29", "2020-06-01 12:00", "2024-02-29 00:00"),
        ("2010-03-01", "2020-06-01 12:00", "2026-03-01 00:00"),
        # Clocks change on the night before.
        ("2010-03-30", "2020-06-01 12:00", "2026-03-30 00:00"),
        # The setting is new: four weeks are left.
        ("2003-05-03", "2010-06-01 12:00", "2020-01-29 00:00"),
        (None, "2020-06-01 12:00", None),
    ],
)
def test_the_day_on_which_access_ends(born: str | None, linked: str, ends: str | None) -> None:
    found = end_of_link(date.fromisoformat(born) if born else None, local(linked), POLICY)
    assert found == (local(ends) if ends else None)


def test_a_person_born_on_29_february_is_of_age_on_1_march() -> None:
    assert end_of_link(date(2008, 2, 29), local("2020-06-01 12:00"), Policy(15, None, AMSTERDAM)) == local(
        "2023-03-01 00:00"
    )
    assert end_of_link(date(2008, 2, 29), local("2020-06-01 12:00"), Policy(None, None, AMSTERDAM)) is None


def test_links_get_their_day_when_they_are_made_and_when_the_setting_changes(cast: Cast) -> None:
    alice, before = cast.patient_ids["alice"], young(cast)
    set_age(cast, 16)
    assert row_of(cast, before).managed_until == local("2026-03-30 00:00")
    child = UpdateProfile(name="Ben Adams", birth_date=date(2090, 5, 3) - timedelta(days=365 * 74))
    added = cast.database.write(dependants.add_person, cast.alice, child, now=NOW)
    saved = row_of(cast, added)
    assert saved.managed_since == NOW
    assert saved.managed_until is not None
    # Neither of the two moves the day; the clinic does.
    later = child.model_copy(update={"birth_date": date(2020, 1, 1)})
    with pytest.raises(Invalid, match="Only the clinic"):
        cast.database.write(dependants.change_person, cast.alice, added, later, seen=fingerprint(child), now=NOW)
    with pytest.raises(Invalid, match="date of birth"):
        cast.database.write(dependants.add_person, cast.alice, UpdateProfile(name="No Date"), now=NOW)
    cast.database.write(records.unlink_person, cast.carol, alice, before, now=NOW)
    assert row_of(cast, before).managed_until is None
    cast.database.write(records.link_person, cast.carol, alice, before, now=local("2026-04-01 09:00"))
    assert (row_of(cast, before).managed_since, row_of(cast, before).managed_until) == (local("2026-04-01 09:00"), None)
    set_age(cast, None)
    assert row_of(cast, added).managed_until is None


@pytest.mark.parametrize(("at", "told"), [("2026-03-01 23:59", False), ("2026-03-02 00:00", True)])
def test_both_are_told_four_weeks_before_and_once(cast: Cast, at: str, told: bool) -> None:
    zoe = young(cast, email=HERS)
    set_age(cast, 16, now=local("2026-01-01 09:00"))
    done = guardians.run(cast.database, now=local(at))
    assert done == ({"guardians_told": 1} if told else {})
    if told:
        assert guardians.run(cast.database, now=local("2026-03-20 03:00")) == {}
        assert {to: (said["own"], said["name"]) for to, said in mails(cast).items()} == {
            "alice@docket.example": (False, "Z.A."),
            HERS: (True, "A.A."),
        }
        assert row_of(cast, zoe).managed_by_id == cast.patient_ids["alice"]


def test_without_an_address_of_their_own_the_front_desk_is_asked(client: TestClient, cast: Cast) -> None:
    young(cast, email="alice@docket.example")
    log_in(client, "carol")
    assert "Contact details needed" not in client.get("/admin").text
    set_age(cast, 16, now=local("2026-01-01 09:00"))
    guardians.run(cast.database, now=NOW)
    assert set(mails(cast)) == {"alice@docket.example"}
    page = read(client.get("/admin")).text
    assert "Contact details needed: Zoe Adams" in page
    assert "until 30 March 2026" in page


def test_on_the_day_the_link_ends_with_everything_that_led_to_the_guardian(
    cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    alice = cast.patient_ids["alice"]
    texts = {"phone": "+31612345678", "wants_sms": True}
    cast.change(sa.update(models.Patient).where(models.Patient.id == alice).values(texts))
    zoe = young(cast, email="alice@docket.example", **texts)
    adult = young(cast, name="Old Adams", birth_date=date(1950, 1, 1))
    command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local("2026-04-01 09:00"), patient_id=zoe)
    cast.database.write(service.book, cast.carol, command, now=NOW)
    set_age(cast, 16, now=local("2026-01-01 09:00"))
    waiting = sa.select(sa.func.count()).select_from(models.OutboxMessage)
    waiting = waiting.where(models.OutboxMessage.template == "visit_booked")
    with cast.database.reading() as session:
        assert session.scalar(waiting) == 2
    assert "guardian_links" not in guardians.run(cast.database, now=local("2026-03-29 23:59"))
    with caplog.at_level(logging.INFO):
        done = retention.run(cast.database, now=local("2026-03-30 03:00"))
    assert done["guardian_links"] == 1
    assert "0 day(s) renewed, 0 told, 1 link(s) ended" in caplog.text
    saved = row_of(cast, zoe)
    assert (saved.managed_by_id, saved.email, saved.phone, saved.wants_sms) == (None, "", "", False)
    assert row_of(cast, adult).managed_by_id == alice
    with cast.database.reading() as session:
        assert session.scalar(waiting) == 0
        ended = sa.select(models.AuditEvent.details).where(models.AuditEvent.action == guardians.ENDED)
        assert session.scalar(ended) == {"managed_by": alice}


def test_a_stopped_worker_gives_no_access_away(client: TestClient, cast: Cast) -> None:
    zoe = young(cast, email="alice@docket.example", managed_until=FAR)
    command = Booking(doctor="bob", visit_type_id=cast.short, starts_at=local("2026-04-01 09:00"), patient_id=zoe)
    reference = cast.database.write(service.book, cast.alice, command, now=NOW)
    log_in(client, "alice")
    keys = [SECRET_KEY]
    with cast.database.reading() as session:
        link = session.scalars(sa.select(models.OutboxMessage.values)).first()
    assert link is not None
    token = sign(keys, LINK_PURPOSE, link["visit"]["link"])

    def reached() -> list[bool]:
        """Whether Alice reaches Zoe's appointment: page, list, booking, calendar, link."""
        path = f"/appointments/{reference}"
        slot = f"/book?doctor=bob&visit_type={cast.short}&starts_at=2026-04-02T07:00:00Z&patient={zoe}"
        with cast.database.reading() as session:
            events = list_events(session, cast.alice, get_clinic(session), base_url="http://docket.test", now=NOW)
            try:
                by_link = bool(appointment_links.find_link_access(session, token, keys, now=NOW))
            except AppointmentLinkEnded:
                by_link = False
        pages = [client.get(address).status_code == 200 for address in (path, slot, f"/account/people/{zoe}")]
        return [*pages, reference in client.get("/appointments").text, bool(events), by_link]

    assert reached() == [True] * 6
    assert "You book for Zoe Adams until 3 May 2999" in read(client.get("/account")).text
    cast.change(sa.update(models.Patient).where(models.Patient.id == zoe).values(managed_until=OVER))
    assert reached() == [False] * 6
    later = command.model_copy(update={"starts_at": local("2026-04-02 09:00")})
    with pytest.raises(NoSuchPatient):
        cast.database.write(service.book, cast.alice, later, now=NOW)
    cast.change(sa.delete(models.OutboxMessage))
    cast.database.write(service.book, cast.carol, later, now=NOW)
    with cast.database.reading() as session:
        assert session.scalars(sa.select(models.OutboxMessage.recipient)).all() == []


def test_the_setting_is_on_the_page_for_patients_data(cast: Cast) -> None:
    numbers = {"keep_records_years": "0", "keep_messages_days": "365", "keep_audit_years": "0"}
    with log_in(client_for(cast.database), "carol") as client:
        seen = read(client.get("/admin/clinic/privacy")).one("input", name="seen")["value"]
        wrong = client.post("/admin/clinic/privacy", data={**numbers, "guardian_age": "7", "seen": seen})
        assert wrong.status_code == 422
        assert "Enter an age from 10 to 25, or leave this empty." in read(wrong).text
        right = client.post("/admin/clinic/privacy", data={**numbers, "guardian_age": "16", "seen": seen})
        assert right.status_code == 303
        assert "At the age of 16" in read(client.get("/admin/clinic")).text
    with cast.database.reading() as session:
        clinic = get_clinic(session)
        assert (clinic.guardian_age, clinic.guardian_age_since) == (16, date(2026, 3, 2))

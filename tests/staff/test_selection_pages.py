"""Several chosen appointments: cancelled, restored and written about together, with a notification list."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, Cast, local, log_in
from tests.reading import Element, read
from webapp import models
from webapp.appointments.booking import service
from webapp.appointments.messages.appointment_messages import CANCELLED, CLINIC_MESSAGE, RESTORED
from webapp.appointments.schemas import Cancellation, Move
from webapp.audit.models import AuditEvent

ADDRESS = "/admin/appointments/selection"
DAY = "2026-03-10"


@pytest.fixture
def four(client: TestClient, cast: Cast) -> list[str]:
    """Two appointments of Alice, one of Dave, and one of Olive, who has only a telephone at home: their references."""
    cast.patient_ids["olive"] = cast.add(models.Patient(name="Olive Other", phone="+31205550101", created_at=cast.now))
    ids = [
        put(cast, f"{DAY} {hour}:00", patient=patient)
        for hour, patient in (("09", "alice"), ("11", "alice"), ("13", "dave"), ("15", "olive"))
    ]
    log_in(client, "fiona")
    with cast.database.reading() as session:
        query = sa.select(models.Appointment.reference).where(models.Appointment.id.in_(ids))
        return list(session.scalars(query.order_by(models.Appointment.starts_at)))


def preview(client: TestClient, action: str, references: list[str]) -> Element:
    asked = "&".join(f"chosen={reference}" for reference in references)
    return read(client.get(f"{ADDRESS}?action={action}&{asked}"))


def form_of(page: Element, **typed: str) -> dict[str, object]:
    """What the form of a preview sends, with these words typed."""
    chosen = [each["value"] for each in page.all("input", name="chosen")]
    return {**page.form(ADDRESS), "chosen": chosen, **typed}


def messages(cast: Cast, template: str) -> list[models.OutboxMessage]:
    with cast.database.reading() as session:
        query = sa.select(models.OutboxMessage).where(models.OutboxMessage.template == template)
        found = list(session.scalars(query.order_by(models.OutboxMessage.id)))
        session.expunge_all()
        return found


@pytest.mark.both_databases
def test_appointments_are_cancelled_together_once_and_restored_together(
    client: TestClient, cast: Cast, four: list[str]
) -> None:
    page = preview(client, "cancel", four)
    assert "4 appointments will be cancelled" in page.text
    assert "We can’t send a message to 1 of these patients" in page.text
    assert "Call: No email address or mobile number" in page.text
    refused = client.post(ADDRESS, data=form_of(page, words=""))
    assert refused.status_code == 422
    assert "Write the message first." in read(refused).text
    # Another person moves one of them meanwhile.
    late = models.Appointment.reference == four[1]
    cast.change(sa.update(models.Appointment).where(late).values(version=2))
    sent = form_of(page, words="The <b>heating</b> has failed.")
    answer = client.post(ADDRESS, data=sent)
    assert answer.status_code == 409
    assert "3 appointments are cancelled." in read(answer).text
    assert "changed" in read(answer).text
    assert "/desk/told/1" in read(answer).links
    again = client.post(ADDRESS, data=sent)
    assert (again.status_code, read(again).one("main").text) == (409, read(answer).one("main").text)
    assert [each.values["why"] for each in messages(cast, CANCELLED)] == ["note:The <b>heating</b> has failed."] * 2

    told = read(client.get("/desk/told/1"))
    assert "0 of 1 calls made" in told.text
    assert "Undo 3 cancellations" in told.text
    back = preview(client, "restore", [four[0], four[2], four[3], four[1]])
    assert "3 appointments will be restored" in back.text
    assert client.post(ADDRESS, data=form_of(back)).status_code == 303
    assert len(messages(cast, RESTORED)) == 2
    with cast.database.reading() as session:
        assert set(session.scalars(sa.select(models.Appointment.status))) == {"scheduled"}


def test_a_form_that_was_cut_off_does_the_rest_when_it_is_sent_again(
    client: TestClient, cast: Cast, four: list[str]
) -> None:
    """The server was killed after the first: its list is there, with one of four."""
    sent = form_of(preview(client, "cancel", four), words="The heating has failed.")
    first = {**sent, "chosen": [each for each in sent["chosen"] if each.startswith(four[0])]}  # type: ignore[attr-defined]
    assert client.post(ADDRESS, data=first).headers["location"] == "/desk/told/1"
    assert client.post(ADDRESS, data=sent).headers["location"] == "/desk/told/1"
    with cast.database.reading() as session:
        assert set(session.scalars(sa.select(models.Appointment.status))) == {"cancelled"}
        assert session.scalar(sa.select(sa.func.count()).select_from(models.NotificationLine)) == 4
    assert len(messages(cast, CANCELLED)) == 3


def test_nothing_that_can_be_cancelled_makes_no_list(client: TestClient, cast: Cast, four: list[str]) -> None:
    sent = form_of(preview(client, "cancel", four[:1]), words="The heating has failed.")
    cast.change(sa.update(models.Appointment).values(version=2))
    assert client.post(ADDRESS, data=sent).status_code == 409
    with cast.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(models.NotificationList)) == 0


def test_each_patient_gets_a_message_once_after_a_preview_or_a_call(
    client: TestClient, cast: Cast, four: list[str]
) -> None:
    words = "The lift is broken.\n<i>Please</i> use the stairs."
    page = preview(client, "message", four)
    assert "Message for 3 patients" in page.text
    shown = read(client.post(ADDRESS, data=form_of(page, words=words, step="look")))
    assert "Message about your appointments" in shown.text
    assert "<i>Please</i> use the stairs." in shown.text
    assert "Send to 2 patients" in shown.text
    assert messages(cast, CLINIC_MESSAGE) == []
    # Other words than those of the preview are shown first.
    changed = client.post(ADDRESS, data=form_of(shown, words="Something else", step="send"))
    assert changed.status_code == 200
    assert messages(cast, CLINIC_MESSAGE) == []

    sent = form_of(shown, words=words, step="send")
    answer = client.post(ADDRESS, data=sent)
    assert answer.headers["location"] == "/desk/told/1"
    assert client.post(ADDRESS, data=sent).headers["location"] == "/desk/told/1"
    found = messages(cast, CLINIC_MESSAGE)
    assert [(each.recipient, len(each.values["visits"])) for each in found] == [
        (cast.alice.email, 2),
        (cast.dave.email, 1),
    ]
    told = read(client.get("/desk/told/1"))
    assert "0 of 1 calls made" in told.text
    assert words.splitlines()[0] in told.text
    with cast.database.reading() as session:
        rows = session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "patient_messaged")).all()
        assert {each.subject_id for each in rows} == {cast.patient_ids[name] for name in ("alice", "dave", "olive")}
        assert all(each.details == {} for each in rows)


def test_a_patient_who_had_a_message_within_a_day_gets_another_only_if_ticked(
    client: TestClient, cast: Cast, four: list[str]
) -> None:
    def look(**typed: str) -> Element:
        return read(client.post(ADDRESS, data=form_of(preview(client, "message", four), step="look", **typed)))

    open_meanwhile = look(words="Use the stairs.")
    client.post(ADDRESS, data=form_of(look(words="The lift is broken."), words="The lift is broken.", step="send"))
    assert len(messages(cast, CLINIC_MESSAGE)) == 2
    # A page that was open before does not write over the head of a colleague.
    answer = client.post(ADDRESS, data=form_of(open_meanwhile, words="Use the stairs.", step="send"))
    assert answer.status_code == 409
    warned = read(answer)
    assert "Some of these patients have just had another message." in warned.text
    ticks = [each["value"] for each in warned.all("input", name="again")]
    assert ticks == [four[0], four[2], four[3]]
    assert "Dave Dunn Today, 08:00: “The lift is broken.”" in warned.one("fieldset").text
    sent = form_of(warned, words="Use the stairs.", step="send") | {"warned": ticks}
    none = client.post(ADDRESS, data=sent)
    assert none.status_code == 422
    assert "All of them had a message in the last 24 hours." in read(none).text
    assert client.post(ADDRESS, data=sent | {"again": [four[2]]}).status_code == 303
    found = messages(cast, CLINIC_MESSAGE)
    assert [each.recipient for each in found] == [cast.alice.email, cast.dave.email, cast.dave.email]
    cast.change(sa.update(models.NotificationList).values(made_at=NOW - timedelta(days=1)))
    assert not look(words="Hello").all("input", name="again")


@pytest.mark.both_databases
def test_a_parent_who_had_a_message_about_one_child_gets_another_about_the_next_only_if_ticked(
    client: TestClient, cast: Cast, four: list[str]
) -> None:
    """The limit counts what each address gets, not only what is about each patient."""
    for name in ("mia", "leo"):
        child = models.Patient(name=name.title(), managed_by_id=cast.patient_ids["alice"], created_at=NOW)
        cast.patient_ids[name] = cast.add(child)
    ids = [put(cast, f"{DAY} {hour}:00", patient=name) for hour, name in (("10", "mia"), ("14", "leo"))]
    with cast.database.reading() as session:
        found = sa.select(models.Appointment.id, models.Appointment.reference).where(models.Appointment.id.in_(ids))
        references = {row.id: row.reference for row in session.execute(found)}
    mias, leos = ([references[number]] for number in ids)

    def look(chosen: list[str]) -> Element:
        typed = {"words": "The lift is broken.", "step": "look"}
        return read(client.post(ADDRESS, data=form_of(preview(client, "message", chosen), **typed)))

    client.post(ADDRESS, data=form_of(look(mias), words="The lift is broken.", step="send"))
    assert [each.recipient for each in messages(cast, CLINIC_MESSAGE)] == [cast.alice.email]
    warned = look(leos)
    assert [each["value"] for each in warned.all("input", name="again")] == leos
    refused = client.post(ADDRESS, data=form_of(warned, words="The lift is broken.", step="send") | {"warned": leos})
    assert refused.status_code == 422
    assert len(messages(cast, CLINIC_MESSAGE)) == 1
    assert not look([four[2]]).all("input", name="again")


def test_a_message_that_waits_names_no_old_time_and_no_cancelled_appointment(
    client: TestClient, cast: Cast, four: list[str]
) -> None:
    """Those who still come have to be called then; who has cancelled has not."""
    shown = read(
        client.post(ADDRESS, data=form_of(preview(client, "message", four), words="Use the stairs.", step="look"))
    )
    client.post(ADDRESS, data=form_of(shown, words="Use the stairs.", step="send"))
    alices, daves = four[0], four[2]
    cast.database.write(service.cancel, cast.carol, daves, Cancellation(), now=NOW)
    assert [each.recipient for each in messages(cast, CLINIC_MESSAGE)] == [cast.alice.email]
    cast.database.write(service.move, cast.carol, alices, Move(starts_at=local("2026-03-12 09:00")), now=NOW)
    assert messages(cast, CLINIC_MESSAGE) == []
    told = read(client.get("/desk/told/1"))
    assert "No message was delivered" in told.one("tr", id=f"call-{alices}").text
    assert not told.all("tr", id=f"call-{daves}")
    assert "Nothing to tell any more" in told.text


def test_a_message_that_is_too_long_or_about_the_past_is_not_written(
    client: TestClient, cast: Cast, four: list[str]
) -> None:
    page = preview(client, "message", four)
    long = client.post(ADDRESS, data=form_of(page, words="x" * 301, step="look"))
    assert long.status_code == 422
    assert "Use up to 300 characters." in read(long).text
    shown = read(client.post(ADDRESS, data=form_of(page, words="Hello", step="look")))
    cast.change(sa.update(models.Appointment).values(status="cancelled"))
    answer = client.post(ADDRESS, data=form_of(shown, words="Hello", step="send"))
    assert answer.status_code == 409
    assert "All these appointments have started or are cancelled." in read(answer).text
    assert messages(cast, CLINIC_MESSAGE) == []

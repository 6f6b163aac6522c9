"""Promised hours: found if the clock shows another hour, kept through the guard, or announced again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.appointment_rows import put
from tests.cast import NOW, Cast, local, log_in
from tests.reading import read
from webapp.appointments.booking import service, status_service
from webapp.appointments.impact import promised_hours
from webapp.appointments.messages import reminders
from webapp.appointments.schemas import Cancellation, Move, UndoStatus
from webapp.clinic.service import get_clinic
from webapp.core.local_time import wall_time
from webapp.integrity.problems import find_problems
from webapp.models import Appointment, AuditEvent, ClinicSettings, OutboxMessage
from webapp.scheduling.promised_hours import find_broken

LONDON = timedelta(hours=1)


def change_law(cast: Cast, zone: str = "Europe/London") -> None:
    """Give the clinic's clock other rules, as new time zone data would, without using the program."""
    cast.change(sa.update(ClinicSettings).values(time_zone=zone))


def keep(cast: Cast) -> tuple[int, dict[str, str]]:
    moved, left = promised_hours.keep_hours(cast.database, cast.carol, now=NOW)
    return moved, {each.appointment.reference: each.why for each in left}


def broken(cast: Cast, now: datetime = NOW) -> list[str]:
    with cast.database.reading() as session:
        _count, found = find_broken(session, get_clinic(session), now=now)
    return [each.reference for each in found]


def row(cast: Cast, reference: str) -> Any:
    with cast.database.reading() as session:
        return session.scalars(sa.select(Appointment).where(Appointment.reference == reference)).one()


def messages(cast: Cast) -> list[tuple[str, str]]:
    with cast.database.reading() as session:
        query = sa.select(OutboxMessage.template, OutboxMessage.recipient).order_by(OutboxMessage.id)
        return [(template, recipient.partition("@")[0]) for template, recipient in session.execute(query)]


def forget_messages(cast: Cast) -> None:
    cast.change(sa.delete(OutboxMessage))


# ------------------------------------------------------------------------------------------------ what is written


def test_every_path_that_writes_a_start_writes_the_promise(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    assert wall_time(row(cast, reference).promised_minute).isoformat() == "2026-03-03T10:00:00"
    move = Move(starts_at=local("2026-07-07 09:30"))
    cast.change(sa.update(ClinicSettings).values(horizon_days=300))
    cast.database.write(service.move, cast.alice, reference, move, now=NOW)
    assert wall_time(row(cast, reference).promised_minute).isoformat() == "2026-07-07T09:30:00"


def test_an_undone_cancellation_promises_what_the_patient_is_told_then(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    cast.database.write(service.cancel, cast.carol, reference, Cancellation(), now=NOW)
    change_law(cast)
    cast.database.write(status_service.undo, cast.carol, reference, UndoStatus(version=2), now=NOW)
    assert wall_time(row(cast, reference).promised_minute).isoformat() == "2026-03-03T09:00:00"


# ------------------------------------------------------------------------------------------------ what is found


def test_changed_clocks_are_found_for_appointments_ahead_alone(cast: Cast) -> None:
    ahead = cast.book(cast.alice, "2026-03-03 10:00")
    cast.book(cast.dave, "2026-03-04 10:00")
    put(cast, "2026-03-05 10:00", status="cancelled")
    put(cast, "2026-02-20 10:00", status="completed")
    assert broken(cast) == []
    change_law(cast, "Europe/Paris")
    assert broken(cast) == []
    change_law(cast)
    assert broken(cast)[0] == ahead
    assert len(broken(cast)) == 2
    # The instant is over, but the patient will come at the promised hour.
    between = local("2026-03-03 10:30")
    assert ahead in broken(cast, between)
    assert ahead not in broken(cast, between + LONDON)


def test_both_seasons_have_their_own_offset(cast: Cast) -> None:
    put(cast, "2026-03-03 10:00")
    summer = put(cast, "2026-07-07 10:00")
    put(cast, "2026-12-01 10:00")
    # In Tunis the clock is Amsterdam's in winter, and does not change in spring.
    change_law(cast, "Africa/Tunis")
    with cast.database.reading() as session:
        _count, found = find_broken(session, get_clinic(session), now=NOW)
    assert [each.id for each in found] == [summer]


def test_docket_check_names_them(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 11:00")
    assert list(find_problems(cast.database, now=NOW)) == []
    change_law(cast)
    (problem,) = (each for each in find_problems(cast.database, now=NOW) if "promised" in each)
    assert problem.startswith(f"Appointment {reference} was promised for 2026-03-03 11:00, but begins when the clock")
    assert problem.endswith("shows 2026-03-03 10:00. /admin/appointments/promised-hours puts it right.")


# ------------------------------------------------------------------------------------------------ what is kept


def test_appointments_keep_their_hours_and_their_patients_are_not_told(cast: Cast) -> None:
    # Without a gap between them: with an hour's change each would be in the way of the next.
    references = [cast.book(cast.alice, "2026-03-03 10:00"), cast.book(cast.dave, "2026-03-03 10:15")]
    for hour in ("10:30", "10:45", "11:00", "11:15"):
        put(cast, f"2026-03-03 {hour}", patient="dave" if hour[-2:] == "45" else "alice", minutes=15)
    forget_messages(cast)
    for zone, by in (("Europe/London", LONDON), ("Asia/Tokyo", -8 * LONDON), ("Europe/Amsterdam", timedelta())):
        change_law(cast, zone)
        assert keep(cast) == (6, {})
        starts = [row(cast, reference).starts_at for reference in references]
        assert starts == [local("2026-03-03 10:00") + by, local("2026-03-03 10:15") + by]
        assert broken(cast) == []
        assert list(find_problems(cast.database, now=NOW)) == []
    assert messages(cast) == []
    with cast.database.reading() as session:
        logged = session.execute(sa.select(AuditEvent.action, AuditEvent.visible, AuditEvent.actor_user_id)).all()
    assert logged.count(("hour_kept", False, cast.carol.user_id)) == 18


def test_one_that_clashes_is_named_and_the_others_are_kept(cast: Cast) -> None:
    old = cast.book(cast.alice, "2026-03-03 10:00")
    other = cast.book(cast.dave, "2026-03-04 10:00")
    busy = cast.book(cast.dave, "2026-03-05 10:00")
    change_law(cast)
    # Another patient books the hour that was promised to another, and takes a patient's time with another doctor.
    put_in(cast, "2026-03-03 11:00", patient="dave")
    put_in(cast, "2026-03-05 11:00", patient="dave", doctor="erin")
    moved, left = keep(cast)
    assert moved == 1
    assert left == {
        old: "The doctor has another appointment at that time.",
        busy: "The patient has another appointment at that time.",
    }
    assert row(cast, other).starts_at == local("2026-03-04 11:00")
    assert row(cast, old).starts_at == local("2026-03-03 10:00")


def put_in(cast: Cast, start: str, **details: Any) -> None:
    """An appointment at this time of Amsterdam, promised on London's clock."""
    number = put(cast, start, minutes=15, **details)
    promise_an_hour_earlier(cast, number)


def promise_an_hour_earlier(cast: Cast, number: int) -> None:
    earlier = {"promised_minute": Appointment.promised_minute - 60}
    cast.change(sa.update(Appointment).where(Appointment.id == number).values(**earlier))


def test_a_time_that_the_clocks_skip_cannot_be_kept(cast: Cast) -> None:
    # Where clocks do not change in spring, 02:30 is a time of that night.
    change_law(cast, "Africa/Tunis")
    number = put(cast, "2026-03-29 03:30")
    cast.change(
        sa.update(Appointment).where(Appointment.id == number).values(promised_minute=Appointment.promised_minute - 60)
    )
    assert broken(cast) == []
    change_law(cast, "Europe/Amsterdam")
    moved, left = keep(cast)
    assert (moved, [*left.values()]) == (0, ["The clocks skip this time that night."])


def test_a_reminder_waits_until_the_hour_is_right(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    tuesday = local("2026-03-03 12:00")
    forget_messages(cast)
    change_law(cast)
    assert cast.database.write(reminders.enqueue_due, now=tuesday) == 0
    promised_hours.keep_hours(cast.database, cast.carol, now=tuesday)
    assert cast.database.write(reminders.enqueue_due, now=tuesday) == 1
    assert messages(cast) == [("visit_reminder", "alice")]


def test_waiting_reminders_are_written_again_with_the_new_instant(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-04 10:00")
    tuesday = local("2026-03-03 12:00")
    assert cast.database.write(reminders.enqueue_due, now=tuesday) == 1
    change_law(cast)
    promised_hours.keep_hours(cast.database, cast.carol, now=tuesday)
    assert [each for each in messages(cast) if each[0] == "visit_reminder"] == []
    assert cast.database.write(reminders.enqueue_due, now=tuesday) == 1


# ------------------------------------------------------------------------------------------------ what is told


def test_one_keeps_its_instant_and_the_patient_is_told_the_new_hour(cast: Cast) -> None:
    reference, other = cast.book(cast.alice, "2026-03-03 10:00"), cast.book(cast.dave, "2026-03-03 11:00")
    forget_messages(cast)
    change_law(cast)
    assert cast.database.write(promised_hours.tell_hours, cast.carol, now=NOW, reference=reference) == 1
    assert row(cast, reference).starts_at == local("2026-03-03 10:00")
    assert broken(cast) == [other]
    assert messages(cast) == [("visit_moved", "alice")]
    with cast.database.reading() as session:
        (values,) = session.scalars(sa.select(OutboxMessage.values))
    # On London's clock: from 10:00, which was told, to 09:00.
    assert (values["before"], values["visit"]["starts_at"]) == ("2026-03-03T10:00:00Z", "2026-03-03T09:00:00Z")
    assert (values["by"], values["why"]) == ("clinic", "clock_changed")


def test_a_message_about_a_move_names_the_hour_that_was_told_before(cast: Cast) -> None:
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    forget_messages(cast)
    change_law(cast)
    move = Move(starts_at=local("2026-03-05 12:00"))
    cast.database.write(service.move, cast.carol, reference, move, now=NOW)
    with cast.database.reading() as session:
        (values,) = session.scalars(sa.select(OutboxMessage.values))
    assert (values["before"], values["visit"]["starts_at"]) == ("2026-03-03T10:00:00Z", "2026-03-05T11:00:00Z")
    assert broken(cast) == []


# ------------------------------------------------------------------------------------------------ the pages


def test_the_overview_leads_to_the_page_that_puts_them_right(cast: Cast, client: TestClient) -> None:
    references = [cast.book(cast.alice, "2026-03-03 10:00"), cast.book(cast.dave, "2026-03-03 14:00")]
    forget_messages(cast)
    log_in(client, "carol")
    assert "promised" not in read(client.get("/admin")).text
    change_law(cast)
    overview = read(client.get("/admin"))
    assert "2 appointments are not at their promised times" in overview.text
    address = "/admin/appointments/promised-hours"
    assert address in overview.links
    page = read(client.get(address))
    assert "Tuesday 3 March at 10:00" in page.text
    assert "Tuesday 3 March at 09:00" in page.text
    answer = client.post(address)
    assert answer.status_code == 303
    assert "2 appointments are back at their promised times." in read(client.get("/admin")).text
    assert row(cast, references[1]).starts_at == local("2026-03-03 15:00")
    assert "Every appointment is at its promised time." in read(client.get(address)).text
    assert messages(cast) == []


def test_the_page_names_clashing_appointments_and_can_tell_each_patient(cast: Cast, client: TestClient) -> None:
    old, other = cast.book(cast.alice, "2026-03-03 10:00"), cast.book(cast.dave, "2026-03-04 10:00")
    forget_messages(cast)
    change_law(cast)
    put_in(cast, "2026-03-03 11:00", patient="dave")
    log_in(client, "carol")
    answer = client.post("/admin/appointments/promised-hours")
    assert answer.status_code == 409
    page = read(answer)
    assert "1 appointment can’t go back to its promised time" in page.text
    assert "1 appointment is back at its promised time." in page.text
    assert "The doctor has another appointment at that time." in page.text
    assert row(cast, other).starts_at == local("2026-03-04 11:00")
    assert client.post(f"/admin/appointments/promised-hours/{old}").status_code == 303
    assert messages(cast) == [("visit_moved", "alice")]
    assert broken(cast) == []
    # The second time there is no news.
    client.post(f"/admin/appointments/promised-hours/{old}")
    assert messages(cast) == [("visit_moved", "alice")]
    assert "corrected the time zone" in read(client.get(f"/appointments/{old}")).text


def test_portions_are_put_right_one_after_another(
    cast: Cast, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promised_hours, "PORTION", 2)
    for hour in range(9, 16):
        put(cast, f"2026-03-03 {hour:02d}:00", patient="dave" if hour % 2 else "alice")
    change_law(cast)
    log_in(client, "carol")
    assert client.post("/admin/appointments/promised-hours").status_code == 303
    assert broken(cast) == []

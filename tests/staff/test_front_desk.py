"""What the front desk may see and do: all appointments and patients, but nothing that is only for doctors or admins."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.api_client import API, bearer
from tests.cast import NOW, Cast, client_for, log_in, log_in_by_form
from tests.reading import read
from webapp import models
from webapp.appointments import queries
from webapp.appointments.booking import listing, service, status_service
from webapp.appointments.messages.appointment_messages import ABOUT_APPOINTMENTS
from webapp.appointments.schemas import AppointmentView, Cancellation, ChangeWords, WriteNote
from webapp.auth.addresses import confirmation
from webapp.auth.schemas import Role
from webapp.auth.sign_in_rules import StaffRules
from webapp.core.pagination import FIRST_PAGE
from webapp.exceptions import Forbidden, NotFound
from webapp.notifications import queries as outbox
from webapp.staff.menu import staff_places
from webapp.staff.messages import log, retry
from webapp.staff.messages.previews import KINDS

REASON, NOTE = "a rash that itches", "a note of the doctor alone"


def hide_reasons(cast: Cast) -> None:
    cast.change(sa.update(models.ClinicSettings).values(desk_sees_reasons=False))


def booked(cast: Cast) -> str:
    """An appointment of Alice with a reason, notes, and Bob's private note."""
    reference = cast.book(cast.alice, "2026-03-03 10:00")
    words = ChangeWords(reason=REASON, notes="A wheelchair")
    cast.database.write(service.change_words, cast.alice, reference, words, now=NOW)
    cast.database.write(status_service.write_note, cast.bob, reference, WriteNote(private_note=NOTE), now=NOW)
    return reference


def seen_by_fiona(cast: Cast, reference: str) -> AppointmentView:
    with cast.database.reading() as session:
        view = queries.get_appointment(session, cast.fiona, reference)
        assert queries.get_appointments(session, cast.fiona, [view.id]) == [view]
        part = listing.list_part(session, cast.fiona, listing.AppointmentFilter(), after=None, skip=0, limit=9)
        assert part.views == [view]
    return view


def test_the_desk_sees_reasons_unless_the_clinic_hides_them_and_never_a_private_note(cast: Cast) -> None:
    reference = booked(cast)
    view = seen_by_fiona(cast, reference)
    assert (view.reason, view.notes, view.private_note) == (REASON, "A wheelchair", "")
    hide_reasons(cast)
    cast.database.write(service.cancel, cast.alice, reference, Cancellation(reason="It is contagious"), now=NOW)
    view = seen_by_fiona(cast, reference)
    assert (view.reason, view.cancellation_reason, view.notes) == ("", "", "A wheelchair")
    with cast.database.reading() as session:
        for actor in (cast.carol, cast.bob, cast.alice):
            whole = queries.get_appointment(session, actor, reference)
            assert (whole.reason, whole.cancellation_reason) == (REASON, "It is contagious")
        with pytest.raises(Forbidden):
            status_service.get_note(session, cast.fiona, reference)


def test_a_reader_who_does_not_see_a_reason_cannot_replace_it(cast: Cast) -> None:
    reference = booked(cast)
    hide_reasons(cast)
    change = cast.database.write
    with pytest.raises(Forbidden, match="doesn’t show reasons"):
        change(service.change_words, cast.fiona, reference, ChangeWords(reason="A cold"), now=NOW)
    # Saving what was shown changes nothing that was not.
    change(service.change_words, cast.fiona, reference, ChangeWords(reason="", notes="Two wheelchairs"), now=NOW)
    with cast.database.reading() as session:
        view = queries.get_appointment(session, cast.carol, reference)
    assert (view.reason, view.notes) == (REASON, "Two wheelchairs")


def test_hidden_reasons_are_on_no_page_and_in_no_answer(sqlite_cast: Cast) -> None:
    reference = booked(sqlite_cast)
    hide_reasons(sqlite_cast)
    client = client_for(sqlite_cast.database)
    headers = bearer(client, "fiona")
    assert client.get(f"{API}/appointments", headers=headers).json()[0]["reason"] == ""
    page = log_in(client, "fiona").get(f"/appointments/{reference}").text
    assert "A wheelchair" in page
    assert REASON not in page
    assert NOTE not in page


def test_the_desk_sees_only_messages_about_appointments(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 10:00")
    letterhead = {"name": "Harbour Lane Clinic", "phone": "", "address": "", "time_zone": "Europe/Amsterdam"}
    cast.database.write(confirmation.send, cast.carol.user_id, cast.carol.email, "Carol", letterhead, now=NOW)
    with cast.database.reading() as session:
        found = session.execute(sa.select(models.OutboxMessage.template, models.OutboxMessage.id))
        numbers = {row.template: row.id for row in found}
        wanted = log.resolve(session, cast.fiona, log.MessageSearch())
        shown = outbox.list_messages(session, wanted, cursor=FIRST_PAGE, now=NOW, limit=9)
        assert {each.template for each in shown} == {"visit_booked"}
        log.get_message(session, cast.fiona, numbers["visit_booked"])
        log.get_message(session, cast.carol, numbers[confirmation.TEMPLATE])
        with pytest.raises(NotFound):
            log.get_message(session, cast.fiona, numbers[confirmation.TEMPLATE])
    with pytest.raises(NotFound):
        cast.database.write(retry.send_again, cast.fiona, numbers[confirmation.TEMPLATE], now=NOW)


def test_every_kind_of_message_about_appointments_is_the_desks() -> None:
    about = {kind.template for kind in KINDS if kind.template.startswith("visit_")}
    # The words that the desk itself writes to patients are about their appointments too.
    assert about | {"clinic_message"} == set(ABOUT_APPOINTMENTS)


def test_the_desk_signs_in_to_a_menu_without_the_clinics_settings(sqlite_cast: Cast) -> None:
    client = log_in_by_form(client_for(sqlite_cast.database), "fiona")
    home = client.get("/", follow_redirects=True)
    menu = {link["href"] for link in read(home).one("nav").all("a")}
    assert {"/admin/appointments", "/admin/patients", "/admin/messages"} <= menu
    assert not menu & {"/admin", "/admin/users", "/admin/audit", "/admin/clinic", "/admin/doctors", "/admin/closures"}
    assert client.get("/appointments").headers["location"] == "/admin/appointments"


@pytest.mark.parametrize(
    ("path", "of_doctors", "of_the_desk"),
    [
        ("/appointments/K7QM-2F9X/cancellation", "/schedule", "/board"),
        ("/desk/told/1", "/schedule", "/board"),
        ("/decisions", "/schedule", "/board"),
        ("/book", "/desk/booking", "/desk/booking"),
        ("/desk/booking", "/desk/booking", "/desk/booking"),
        ("/doctors/bob", "/doctors", "/doctors"),
    ],
)
def test_pages_beside_the_menu_belong_to_one_of_its_places(path: str, of_doctors: str, of_the_desk: str) -> None:
    expected: dict[Role, str] = {"doctor": of_doctors, "receptionist": of_the_desk, "admin": of_the_desk}
    for role, href in expected.items():
        assert [place.href for place in staff_places(role, path) if place.current] == [href], role


@pytest.mark.parametrize("role", ["receptionist", "doctor", "admin"])
def test_each_role_of_staff_has_its_own_rule_about_the_second_factor(role: str) -> None:
    names = {"receptionist": "factor_desk", "doctor": "factor_doctors", "admin": "factor_admins"}
    none = StaffRules(**dict.fromkeys(names.values(), False))
    one = none.model_copy(update={names[role]: True})
    needing = {each for each in ("patient", *names) if one.needs_factor(each)}  # type: ignore[arg-type]
    assert needing == {role}

"""The board in a browser: by keyboard, as a screen reader gets it, and with an appointment in every size and theme."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import pairwise

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Clinic, sign_in
from tests.browser.looking import look
from tests.browser.screen_reader import inside, read_aloud
from webapp import models

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


def test_the_board_is_worked_by_keyboard_and_reads_as_lists(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=15)[:10]
    patient = clinic.new_patient()
    reference = clinic.cast.book(patient, f"{day} 10:00")
    clinic.cast.book(clinic.new_patient(), f"{day} 10:00", doctor="erin", visit_type=clinic.cast.erins_only)
    told = {"flagged_why": "time_off", "notes": "A wheelchair", "desk_note": "Ground floor"}
    this = models.Appointment.reference == reference
    clinic.cast.change(sa.update(models.Appointment).where(this).values(**told))
    page = open_browser()
    page.set_viewport_size({"width": 1280, "height": 900})
    sign_in(page, "carol@docket.example")
    page.goto(f"/board/{day}")

    # A heading for each doctor, and a list of links with whole sentences.
    column = page.locator("#column-bob")
    expect(column.get_by_role("heading", level=2)).to_have_accessible_name("Dr. Bob Brown 1 booked")
    words = "Follow-up, scheduled, needs a decision, to arrange, note"
    appointment = column.get_by_role("link", name=f"10:00 to 10:15, {patient.name}, {words}", exact=True)
    expect(appointment).to_have_count(1)
    expect(column.get_by_role("link", name="09:00 to 09:15, free", exact=True)).to_have_count(1)

    # One Tab stop; arrows move up, down, and to the same time of the next doctor.
    first = column.locator("ol a").first
    first.focus()
    for _key in range(4):
        page.keyboard.press("ArrowDown")
    expect(appointment).to_be_focused()
    expect(page.locator(".col ol a[tabindex='0']")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#column-erin ol a:focus")).to_contain_text("10:00")
    page.keyboard.press("ArrowLeft")
    expect(appointment).to_be_focused()

    # Enter opens it beside the board, Escape leads back to it.
    page.keyboard.press("Enter")
    expect(page.locator("#panel-title")).to_be_focused()
    expect(page.locator("#status")).to_have_text(patient.name)
    expect(page).to_have_url(f"{clinic.url}/board/{day}/appointments/{reference}")
    look(page)
    # On a wide screen it stands beside the board, and covers no column.
    edges = "([one, other]) => one.getBoundingClientRect().right < other.getBoundingClientRect().left"
    assert page.evaluate(f"({edges})(['.scroller', '.panel'].map((each) => document.querySelector(each)))")
    # The patient's details are edited in it; a screen reader hears that they are saved.
    page.get_by_role("link", name="Edit details").click()
    expect(page.locator("#patient-details-title")).to_be_focused()
    look(page)
    page.locator("#patient-details").get_by_label("Phone").fill("020 123 4567")
    page.locator("#patient-details").get_by_role("button", name="Save").click()
    expect(page.locator("#panel-title")).to_be_focused()
    expect(page.locator("#status")).to_have_text("The record is saved.")
    page.keyboard.press("Escape")
    expect(appointment).to_be_focused()
    expect(page).to_have_url(f"{clinic.url}/board/{day}")

    # Keys do nothing while a field has the focus, and can be switched off.
    page.keyboard.press("/")
    expect(page.locator("#find-patient")).to_be_focused()
    page.keyboard.type("t?")
    expect(page.locator("#find-patient")).to_have_value("t?")
    expect(page.locator("#keys")).to_be_hidden()
    appointment.focus()
    page.keyboard.press("?")
    # The list opens at its beginning, on a low screen too.
    expect(page.get_by_role("heading", name="Keys")).to_be_focused()
    expect(page.get_by_role("heading", name="Keys")).to_be_in_viewport()
    page.get_by_label("Use letters and symbols as shortcuts").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    page.evaluate("localStorage.clear()")
    page.goto(f"/board/{day}")
    before = page.locator("h1").inner_text()
    page.keyboard.press("j")
    expect(page.locator("h1")).not_to_have_text(before)


def test_typed_text_is_not_lost_without_a_question(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=24)[:10]
    patients = clinic.new_patient(), clinic.new_patient()
    first, other = (
        clinic.cast.book(each, f"{day} {at}") for each, at in zip(patients, ("10:00", "11:00"), strict=True)
    )
    page = open_browser(viewport={"width": 1280, "height": 900})
    sign_in(page, "fiona@docket.example", at=f"/board/{day}/appointments/{first}")
    note, title, asked = page.get_by_label("Note for staff"), page.locator("#panel-title"), page.get_by_role("dialog")
    cards = [page.locator(f"#appointment-{each} > a") for each in (first, other)]

    # Escape closes the panel after the question; until then the text stays, with the focus in it.
    note.fill("Brings a parcel")
    page.keyboard.press("Escape")
    expect(asked).to_have_accessible_name("This isn’t saved yet")
    expect(asked).to_contain_text("Note for staff")
    expect(asked).to_contain_text("Brings a parcel")
    look(page)
    page.keyboard.press("Escape")
    expect(note).to_be_focused()
    expect(note).to_have_value("Brings a parcel")

    # So does another appointment: the note is saved first, and then the other one is open.
    cards[1].press("Enter")
    asked.get_by_role("button", name="Save").click()
    expect(title).to_have_text(patients[1].name)
    expect(title).to_be_focused()
    cards[0].press("Enter")
    expect(note).to_have_value("Brings a parcel")

    # Another day, which takes the panel along; and the details of the patient beside the note.
    page.get_by_role("link", name="Edit details").click()
    page.get_by_label("Phone").fill("020 123 4567")
    page.locator("h1").focus()
    page.keyboard.press("j")
    expect(asked).to_contain_text("020 123 4567")
    asked.get_by_role("button", name="Keep writing").click()
    expect(page.get_by_label("Phone")).to_be_focused()
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator(".panel .badge").first).to_have_text("Confirmed")
    expect(page.get_by_label("Phone")).to_have_value("020 123 4567")
    page.get_by_role("link", name="Discard").click()
    expect(page.get_by_label("Phone")).to_have_count(0)

    # Leaving the page is the browser's question.
    note.fill("Brings two parcels")
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog", lambda dialog: dialog.type == "beforeunload"):
        page.get_by_role("link", name="All details").click()
    expect(note).to_have_value("Brings two parcels")
    page.get_by_role("link", name="Close").click()
    asked.get_by_role("button", name="Discard").click()
    expect(cards[0]).to_be_focused()
    cards[0].press("Enter")
    expect(note).to_have_value("Brings a parcel")


def test_a_refused_note_stays_below_the_reason(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=25)[:10]
    reference = clinic.cast.book(clinic.new_patient(), f"{day} 10:00")
    page = open_browser(may_complain=True, viewport={"width": 1280, "height": 900})
    sign_in(page, "fiona@docket.example", at=f"/board/{day}/appointments/{reference}")
    page.get_by_label("Note for staff").fill("Brings a parcel")
    note = f"/board/{day}/appointments/{reference}/note"
    page.route(f"**{note}", lambda route: route.continue_(url=f"{clinic.url}{note.replace(reference, 'AAAA-AAAA')}"))
    page.get_by_role("button", name="Save note").click()
    expect(page.locator("#panel #fragment")).to_be_visible()
    expect(page.get_by_label("Note for staff")).to_have_value("Brings a parcel")


def test_a_phone_shows_the_board_again_when_the_appointment_is_closed(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=26)[:10]
    reference = clinic.cast.book(clinic.new_patient(), f"{day} 10:00")
    page = open_browser(**PHONE)
    sign_in(page, "fiona@docket.example", at=f"/board/{day}/appointments/{reference}")
    expect(page.locator(f"#appointment-{reference}")).to_be_hidden()
    page.get_by_role("link", name="Close").click()
    expect(page.locator(f"#appointment-{reference} > a")).to_be_focused()


def test_a_phone_finds_patients_of_the_doctors_whom_it_does_not_show(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=23)[:10]
    patient = clinic.new_patient()
    reference = clinic.cast.book(patient, f"{day} 11:00", doctor="erin", visit_type=clinic.cast.erins_only)
    page = open_browser(**PHONE)
    sign_in(page, "fiona@docket.example", at=f"/board/{day}")
    expect(page.locator(f"#appointment-{reference}")).to_be_hidden()
    page.get_by_label("Find a patient").fill(patient.name)
    page.get_by_label("Find a patient").press("Enter")
    expect(page.locator("#panel-title")).to_have_text(patient.name)
    page.goto(f"/board/{day}")
    page.get_by_label("Find a patient").fill("erin")
    page.get_by_label("Find a patient").press("Enter")
    expect(page.locator(f"#appointment-{reference}")).to_be_visible()


def test_an_appointment_is_dragged_to_the_page_that_moves_it(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=22)[:10]
    reference = clinic.cast.book(clinic.new_patient(), f"{day} 10:00")
    page = open_browser()
    page.set_viewport_size({"width": 1280, "height": 900})
    sign_in(page, "fiona@docket.example")
    page.goto(f"/board/{day}")
    mine = page.locator(f"#appointment-{reference}")
    expect(page.locator("[data-as-of]")).to_have_text("Live")

    def drag_to(slug: str, clock: str) -> None:
        mine.hover()
        page.mouse.down()
        there = page.locator(f"#column-{slug} li:has-text('{clock}')").bounding_box()
        assert there is not None
        page.mouse.move(there["x"] + 40, there["y"] + 6, steps=5)

    # Another receptionist books meanwhile; Escape gives the drag up, and nothing opens.
    drag_to("bob", "11:00")
    expect(page.locator("#column-bob .ghost")).to_contain_text("11:00")
    other = clinic.cast.book(clinic.new_patient(), f"{day} 14:00")
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(page.locator(f"#appointment-{other}")).to_be_visible()
    expect(page.locator(".ghost")).to_have_count(0)
    expect(page).to_have_url(f"{clinic.url}/board/{day}")

    drag_to("erin", "11:00")
    page.mouse.up()
    page.wait_for_url(f"**/appointments/{reference}/reschedule?doctor=*")
    expect(page.get_by_label("Doctor", exact=True)).to_have_value(str(clinic.cast.doctor_ids["erin"]))
    expect(page.get_by_label("Time", exact=True)).to_have_value("11:00")
    # Nothing has moved before the page is sent.
    page.go_back()
    expect(mine.locator("time")).to_have_text("10:00")


def test_a_screen_reader_gets_the_board_column_by_column(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=17)[:10]
    patient = clinic.new_patient()
    reference = clinic.cast.book(patient, f"{day} 10:00")
    clinic.cast.book(clinic.new_patient(), f"{day} 10:00", doctor="erin", visit_type=clinic.cast.erins_only)
    gail = models.Doctor(slug="gail", name="Dr. Gail Green", specialty="Paediatrics", room="Room 6", position=3)
    gail_id = clinic.cast.add(gail)
    hours = {"weekday": date.fromisoformat(day).weekday(), "start_minute": 9 * 60, "end_minute": 10 * 60}
    clinic.cast.add(models.WorkingHours(doctor_id=gail_id, **hours))
    page = open_browser(viewport={"width": 1280, "height": 900})
    sign_in(page, "fiona@docket.example", at=f"/board/{day}/appointments/{reference}")
    heard = read_aloud(page)

    # The landmarks, and how they are nested.
    landmarks = {"banner", "navigation", "main", "region", "search", "contentinfo", "status"}
    title = page.locator("h1").inner_text()
    columns = [(4, "region", f"Dr. {name} booked") for name in ("Bob Brown 1", "Erin Eze 1", "Gail Green 0")]
    assert [(each.depth, each.role, each.name) for each in heard if each.role in landmarks] == [
        *((1, "banner", ""), (2, "navigation", "Main"), (1, "main", ""), (2, "region", title)),
        *((3, "navigation", "Days"), (3, "search", ""), (3, "region", "Doctors"), *columns),
        *((3, "region", patient.name), (1, "contentinfo", ""), (1, "status", "")),
    ]
    assert [each.states["live"] for each in heard if each.role == "status"] == ["polite"]
    headings = [title, *(name for _depth, _role, name in columns), patient.name]
    assert [(each.states["level"], each.name) for each in heard if each.role == "heading"] == [
        (level, name) for level, name in zip((1, 2, 2, 2, 2), headings, strict=True)
    ]

    # A column is a heading that leads to its doctor, and one list of whole sentences by time, with the break in it.
    bob, erin, gail_reads = (inside(heard, "region", name) for _depth, _role, name in columns)
    for column in (bob, erin, gail_reads):
        assert [each.role for each in column[:3]] == ["heading", "link", "list"]
        assert {each.role for each in column[3:]} == {
            "listitem",
            "link",
            "time",
            *(["paragraph"] * (column != gail_reads)),
        }
    bobs = [each.name for each in bob if each.role == "link"][1:]
    taken = f"10:00 to 10:15, {patient.name}, Follow-up, scheduled"
    morning, afternoon = (time_links(9, 12, taken), time_links(13, 17, taken))
    assert bobs == [*morning, *afternoon]
    at = [each.role for each in bob].index("paragraph")
    assert [each.name for each in bob[:at] if each.role == "link"][-1] == morning[-1]
    gails = [each.name for each in gail_reads if each.role == "link"][1:]
    assert gails == ["09:00 to 09:30, free, staff only", "09:30 to 10:00, free, staff only"]

    # The panel beside it: its name first, then the actions, each with its key.
    panel = inside(heard, "region", patient.name)
    doing = [(each.role, each.name, each.states.get("keyshortcuts")) for each in panel]
    wanted = [("link", "Close", None), ("button", f"Confirm: {patient.name}", "c"), ("link", "Move", "m")]
    wanted += [
        ("link", "Cancel", "d"),
        ("textbox", "Note for staff", None),
        ("button", "Save note", None),
        ("link", "All details", None),
    ]
    assert [each for each in doing if each in wanted] == wanted

    # The keys go the way that is read: down a column, to the same time of the next doctor, past the end nowhere.
    page.locator("#column-bob ol a").first.focus()
    walked = [focused(page)]
    for _number in bobs:
        page.keyboard.press("ArrowDown")
        walked.append(focused(page))
    assert walked == [*bobs, bobs[-1]]
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert focused(page) == "09:00 to 09:30, free"
    page.keyboard.press("ArrowRight")
    assert focused(page) == gails[0]
    # Tab leaves the columns, for what is open.
    page.keyboard.press("Tab")
    assert focused(page) == "Close"


def time_links(first: int, last: int, taken: str) -> list[str]:
    """The texts of free quarters of an hour, and of the taken one."""
    clocks = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(first * 60, last * 60 + 1, 15)]
    free = [f"{start} to {end}, free" for start, end in pairwise(clocks)]
    return [taken if taken.startswith(each.removesuffix(", free")) else each for each in free]


def focused(page: Page) -> str:
    """The name of what has the focus."""
    return str(page.evaluate("document.activeElement.getAttribute('aria-label')"))

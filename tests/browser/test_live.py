"""Pages of staff show what others change: nothing that is read or typed moves, and a lost connection is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from tests.browser.conftest import Clinic, sign_in
from tests.browser.looking import look
from tests.browser.test_schedule import appointment_today
from webapp import models

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
WIDE = {"width": 1280, "height": 800}
KEPT_ONCE = """() => {
  const [old, made] = [document.createElement("div"), document.createElement("div")];
  old.innerHTML = '<section id="details" data-live-keep>typed</section><p>old</p>';
  made.innerHTML = '<div id="details">theirs</div><p>new</p>';
  docketMorph(old, made);
  return old.innerHTML;
}"""


def test_a_day_shows_what_others_change_and_keeps_what_is_open(open_browser: Open, clinic: Clinic) -> None:
    reference = appointment_today(clinic, 9, "alice")
    reading = open_browser(viewport=WIDE)
    sign_in(reading, "bob@docket.example", at="/schedule")
    expect(reading.locator("[data-as-of]")).to_have_text("Live")
    card = reading.locator(f"#appointment-{reference}")
    menu = card.locator("summary")
    menu.click()
    menu.focus()
    jump = reading.locator("#day-jump")
    jump.evaluate("each => { each.value = '2026-05-05' }")
    reading.evaluate("window.kept = document.activeElement")
    other = appointment_today(clinic, 15, "dave")
    added = reading.locator(f"#appointment-{other}")
    expect(added).to_have_attribute("data-live-changed", "")
    expect(reading.locator("#status")).to_have_text("Changed: Dave Dunn")
    assert reading.evaluate("window.kept === document.activeElement && window.kept.isConnected")
    expect(card.locator("details")).to_have_attribute("open", "")
    expect(jump).to_have_value("2026-05-05")
    # An open form stays, and only once, although the newer page has something else in its place.
    assert reading.evaluate(KEPT_ONCE) == '<section id="details" data-live-keep="">typed</section><p>new</p>'


def test_a_note_that_is_being_typed_stays_and_replaces_no_other(open_browser: Open, clinic: Clinic) -> None:
    reference = appointment_today(clinic, 12, "dave")
    here = f"/board/{clinic.today}/appointments/{reference}"
    first, second = (open_browser(viewport=WIDE) for _ in range(2))
    sign_in(first, "fiona@docket.example", at=here)
    sign_in(second, "carol@docket.example", at=here)
    mine, theirs = first.locator(".panel"), second.locator(".panel")
    note, status = mine.get_by_label("Note for staff"), mine.locator(".badge").first
    expect(first.locator("[data-as-of]")).to_have_text("Live")
    note.fill("Brings a parcel")
    # What others do, and what its writer does, changes the panel above the note.
    theirs.get_by_role("button", name="Arrived").click()
    expect(status).to_have_text("Arrived")
    expect(note).to_have_value("Brings a parcel")
    mine.get_by_role("button", name="Undo").click()
    expect(status).to_have_text("Scheduled")
    expect(note).to_have_value("Brings a parcel")
    # The form still knows which note its writer saw.
    theirs.get_by_label("Note for staff").fill("In a wheelchair")
    theirs.get_by_role("button", name="Save note").click()
    expect(second.locator("#status")).to_have_text("The note is saved.")
    expect(mine).to_have_attribute("data-live-version", theirs.get_attribute("data-live-version") or "")
    mine.get_by_role("button", name="Save note").click()
    expect(mine.get_by_role("alert")).to_be_visible()
    assert desk_note(clinic, reference) == "In a wheelchair"
    # The refused note stays, and is saved when its writer has seen both.
    mine.get_by_role("button", name="Arrived").click()
    expect(status).to_have_text("Arrived")
    expect(note).to_have_value("Brings a parcel")
    mine.get_by_role("button", name="Save note").click()
    expect(first.locator("#status")).to_have_text("The note is saved.")
    assert desk_note(clinic, reference) == "Brings a parcel"


def desk_note(clinic: Clinic, reference: str) -> str | None:
    with clinic.cast.database.reading() as session:
        return session.scalar(sa.select(models.Appointment.desk_note).filter_by(reference=reference))


def test_a_lost_connection_is_said_and_the_page_catches_up(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser(may_complain=True, viewport=WIDE)
    sign_in(page, "bob@docket.example", at="/schedule")
    as_of, bar = page.locator("[data-as-of]"), page.get_by_role("region", name="Connection")
    expect(as_of).to_have_text("Live")
    page.context.set_offline(True)
    expect(bar).to_be_in_viewport()
    expect(bar).to_contain_text("This page shows how things were at")
    expect(as_of).to_contain_text("As of ")
    look(page)
    missed = appointment_today(clinic, 11, "alice")
    page.context.set_offline(False)
    expect(page.locator(f"#appointment-{missed}")).to_be_visible()
    expect(bar).to_be_hidden()
    expect(as_of).to_have_text("Live")


def test_pages_of_today_go_on_to_the_next_day(open_browser: Open, clinic: Clinic) -> None:
    doctor, admin = open_browser(viewport=WIDE), open_browser(viewport=WIDE)
    sign_in(doctor, "bob@docket.example", at="/schedule")
    sign_in(admin, "carol@docket.example", at="/admin")
    for page in (doctor, admin):
        expect(page.locator("[data-as-of]")).to_have_text("Live")
    with at_another_day(clinic):
        title = f"{clinic.today:%A} {clinic.today.day} {clinic.today:%B %Y}"
        appointment_today(clinic, 13, "dave")
        for page in (doctor, admin):
            expect(page.locator("h1")).to_have_text(title)
        expect(doctor).to_have_title(re.compile(f"^{title}, "))
        expect(doctor.locator("#status")).to_contain_text(f"{title}. ")


@contextmanager
def at_another_day(clinic: Clinic) -> Iterator[None]:
    """Move the clinic to a time zone where it is another day, which is midnight without waiting for it."""
    morning = clinic.cast.zone
    zones = (ZoneInfo(f"Etc/GMT{west:+d}") for west in range(-14, 13))
    now = datetime.now(UTC)
    clinic.cast.zone = next(zone for zone in zones if now.astimezone(zone).date() != clinic.today)
    move = sa.update(models.ClinicSettings)
    clinic.cast.change(move.values(time_zone=clinic.cast.zone.key))
    try:
        yield
    finally:
        clinic.cast.zone = morning
        clinic.cast.change(move.values(time_zone=morning.key))


def test_all_tabs_share_one_stream_and_the_next_one_takes_over(open_browser: Open, clinic: Clinic) -> None:
    first = open_browser(viewport=WIDE)
    asked: list[str] = []
    first.context.on("request", lambda request: asked.append(request.url) if request.url.endswith("/live") else None)
    sign_in(first, "bob@docket.example", at="/schedule")
    expect(first.locator("[data-as-of]")).to_have_text("Live")
    second = first.context.new_page()
    second.goto("/schedule")
    expect(second.locator("[data-as-of]")).to_have_text("Live")
    assert len(asked) == 1
    first.close()
    added = appointment_today(clinic, 16, "alice")
    expect(second.locator(f"#appointment-{added}")).to_be_visible()
    assert len(asked) == 2

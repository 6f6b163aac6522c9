"""The doctor's day in a browser: one tap, the focus stays with the appointment, undo is near, and keys turn pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.appointment_rows import appointment, insert
from tests.browser.conftest import PHONE, Clinic, sign_in
from webapp import models

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


def appointment_today(clinic: Clinic, hour: int, patient: str) -> str:
    """Book an appointment with Bob today, outside of any rules; returns its reference."""
    row = appointment(clinic.cast, f"{clinic.today} {hour:02d}:00", patient=patient)
    insert(clinic.cast, row)
    return str(row["reference"])


def test_one_tap_keeps_the_focus_and_can_be_undone(open_browser: Open, clinic: Clinic) -> None:
    reference = appointment_today(clinic, 10, "alice")
    page = open_browser(viewport={"width": 1280, "height": 800})
    sign_in(page, "bob@docket.example", at="/schedule")
    expect(page).to_have_url(f"{clinic.url}/schedule")
    card = page.locator(f"#appointment-{reference}")
    card.get_by_role("button", name="Arrived: Alice Adams").focus()
    page.keyboard.press("Enter")
    expect(card).to_have_attribute("data-status", "arrived")
    expect(page.locator("#status")).to_have_text("Alice Adams: arrived")
    expect(page.locator(f"#act-{reference}")).to_be_focused()
    said = page.locator(".said")
    expect(said).to_be_in_viewport()
    said.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    expect(card).to_have_attribute("data-status", "scheduled")
    expect(page.locator("#status")).to_have_text("Alice Adams: scheduled")
    expect(page.locator(f"#act-{reference}")).to_be_focused()
    expect(page).to_have_url(f"{clinic.url}/schedule")


def test_the_menu_opens_and_closes_by_keyboard(open_browser: Open, clinic: Clinic) -> None:
    reference = appointment_today(clinic, 12, "dave")
    page = open_browser(**PHONE)
    sign_in(page, "bob@docket.example", at="/schedule")
    card = page.locator(f"#appointment-{reference}")
    more = card.locator(".more > summary")
    more.focus()
    page.keyboard.press("Enter")
    confirm = card.get_by_role("button", name="Confirm: Dave Dunn")
    expect(confirm).to_be_visible()
    page.keyboard.press("Escape")
    expect(confirm).to_be_hidden()
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    confirm.click()
    expect(card).to_have_attribute("data-status", "confirmed")
    # The button that was pressed is gone; the appointment's next one has the focus.
    expect(page.locator(f"#act-{reference}")).to_be_focused()


def test_keys_turn_the_days_and_letters_can_be_switched_off(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser()
    sign_in(page, "bob@docket.example", at="/schedule")
    today = clinic.today

    def press(key: str, days: int) -> None:
        page.keyboard.press(key)
        day = today + timedelta(days=days)
        expect(page.locator("h1")).to_have_text(f"{day:%A} {day.day} {day:%B %Y}")

    page.locator("#day-after").focus()
    press("ArrowRight", 1)
    expect(page.locator("#day-after")).to_be_focused()
    expect(page).to_have_url(f"{clinic.url}/schedule/{today + timedelta(days=1)}")
    expect(page).to_have_title(f"{page.locator('h1').text_content()}, Dr. Bob Brown · Harbour Lane Clinic")
    press("j", 2)
    press("k", 1)
    press("ArrowLeft", 0)
    press("ArrowLeft", -1)
    press("t", 0)
    # Keys do not turn the page while the focus is in a field.
    page.get_by_label("Go to").focus()
    press("ArrowRight", 0)
    page.locator(".keys summary").click()
    page.get_by_label("Also use the letter keys").uncheck()
    page.locator("#day-after").focus()
    press("j", 0)
    page.reload()
    page.locator("#day-after").focus()
    press("j", 0)
    press("ArrowRight", 1)


def test_the_week_turns_too(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser()
    sign_in(page, "bob@docket.example")
    page.goto("/schedule/week/2026-W10")
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text("9 to 13 March 2026")
    expect(page).to_have_url(f"{clinic.url}/schedule/week/2026-W11")
    page.get_by_role("link", name="Previous week").click()
    expect(page.locator("h1")).to_have_text("2 to 6 March 2026")
    expect(page.get_by_role("link", name="Previous week")).to_be_focused()


def test_a_time_is_at_the_same_height_on_each_day_of_the_week(open_browser: Open, clinic: Clinic) -> None:
    for hour in ("17 09:00", "17 09:15", "17 09:30", "17 10:00", "19 10:00", "20 11:00"):
        insert(clinic.cast, appointment(clinic.cast, f"2026-03-{hour}", minutes=15))
    insert(clinic.cast, appointment(clinic.cast, "2026-03-19 10:00", patient="dave", status="cancelled"))
    closed = date(2026, 3, 18)
    clinic.cast.add(models.Closure(name="Spring day", starts_on=closed, ends_on=closed))
    leave = {"starts_at": clinic.cast.local("2026-03-20 00:00"), "ends_at": clinic.cast.local("2026-03-21 00:00")}
    clinic.cast.add(models.TimeOff(doctor_id=clinic.cast.doctor_ids["bob"], reason="Course", **leave))
    page = open_browser(viewport={"width": 1280, "height": 800})
    sign_in(page, "bob@docket.example")
    page.goto("/schedule/week/2026-W12")
    boxes = [(block.inner_text()[:5], block.bounding_box()) for block in page.locator(".week .block").all()]
    tops = {(text, round(box["y"])) for text, box in boxes if box}
    # Three short appointments need room on one day; the rows grow on all days.
    assert len(tops) == 5, tops
    assert [text for text, _top in sorted(tops, key=lambda each: each[1])] == [text for text, _top in sorted(tops)]
    clock = page.locator(".clock span", has_text="10:00").bounding_box()
    assert clock
    assert abs(dict(tops)["10:00"] - clock["y"]) <= 2
    drawn = [box for _text, box in boxes if box]
    drawn += [box for box in (page.get_by_text("Time off: Course").bounding_box(),) if box]
    assert len(drawn) == 8
    for number, one in enumerate(drawn):
        for other in drawn[:number]:
            beside = one["x"] >= other["x"] + other["width"] or other["x"] >= one["x"] + one["width"]
            assert beside or one["y"] >= other["y"] + other["height"] or other["y"] >= one["y"] + one["height"]


def test_a_question_mark_lists_the_keys_of_each_page(open_browser: Open, clinic: Clinic) -> None:
    reference = appointment_today(clinic, 15, "dave")
    page = open_browser(viewport={"width": 1280, "height": 800})
    sign_in(page, "carol@docket.example", at=f"/appointments/{reference}")
    # The script shows the button.
    expect(page.get_by_role("button", name="Keys")).to_be_visible()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    meanings = dict(zip(dialog.locator("dt").all_inner_texts(), dialog.locator("dd").all_inner_texts(), strict=True))
    # Those of the page and of its menu.
    assert {
        "m": "Move or change",
        "d": "Cancel",
        "n": "New appointment",
        "?": "Show these keys",
    }.items() <= meanings.items()
    dialog.get_by_label("Use letters and symbols as shortcuts").uncheck()
    dialog.get_by_role("button", name="Close").click()
    page.keyboard.press("?")
    expect(dialog).to_be_hidden()
    # The button works in any case. Another page has other keys.
    page.goto("/admin/appointments")
    page.get_by_role("button", name="Keys").click()
    expect(dialog).to_contain_text("New appointment")
    expect(dialog).not_to_contain_text("Move or change")
    expect(dialog.get_by_label("Use letters and symbols as shortcuts")).not_to_be_checked()

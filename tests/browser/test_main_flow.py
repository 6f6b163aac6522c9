"""The main job in a real browser: find, filter, profile, next week, book, view, move, cancel."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE, Clinic, sign_in
from tests.cast import PASSWORD

pytestmark = pytest.mark.browser
Open = Callable[..., Page]

REASON = "My knee hurts <since> May"
FIRST_SLOT = "#calendar .slot >> visible=true"
WAYS: dict[str, dict[str, Any]] = {"without scripts": {"java_script_enabled": False}, "on a phone": PHONE}
# Each database, each size of window, and pages with and without scripts are tested once. The test by keyboard below has
# a wide window with scripts.
each_way = pytest.mark.parametrize(
    ("clinic", "way"),
    [("sqlite", "without scripts"), ("postgresql", "on a phone")],
    indirect=["clinic"],
    scope="module",
)


def press(page: Page, target: Locator, options: dict[str, Any]) -> None:
    """A click, or on a phone a tap."""
    if options.get("has_touch"):
        target.tap()
    else:
        target.click()


def turn_to_the_week_after(page: Page) -> None:
    """Turn the calendar and wait until it shows the other week: reading it earlier would mix the two."""
    title = page.locator("#calendar-title").inner_text()
    page.get_by_role("link", name="Next week").click()
    expect(page.locator("#calendar-title")).not_to_have_text(title)


@each_way
def test_a_patient_books_moves_and_cancels_an_appointment(open_browser: Open, clinic: Clinic, way: str) -> None:
    options = WAYS[way]
    patient = clinic.new_patient()
    page = open_browser("/", **options)

    # Find a dermatologist.
    page.get_by_label("Specialty").select_option("Dermatology")
    if "without" in way:
        press(page, page.get_by_role("button", name="Find times"), options)
    expect(page.locator("#doctor-list h2")).to_have_text("1 doctor")
    expect(page).to_have_url(re.compile(r"/doctors\?.*specialty=Dermatology"))
    # The offer in the headline is by one of them.
    expect(page.locator("#hero .slip")).to_contain_text("Dr. Erin Eze")
    press(page, page.get_by_role("link", name="Dr. Erin Eze", exact=True), options)
    expect(page.get_by_role("heading", level=1)).to_have_text("Dr. Erin Eze")

    # Another visit type, the next week, and its first free time.
    press(page, page.locator(".choice", has_text="First visit"), options)
    if "without" in way:
        press(page, page.get_by_role("button", name="Show times"), options)
    title = page.locator("#calendar-title").inner_text()
    press(page, page.get_by_role("link", name="Next week"), options)
    expect(page.locator("#calendar-title")).not_to_have_text(title)
    expect(page).to_have_url(re.compile(r"/doctors/erin\?.*week=\d{4}-W\d\d"))
    time = page.locator(FIRST_SLOT).first.inner_text()
    press(page, page.locator(FIRST_SLOT).first, options)

    # Sign in on the way, and return to exactly that time.
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    expect(page.locator(".intent")).to_contain_text(f"{time} with Dr. Erin Eze")
    page.get_by_label("Email address").fill(patient.email)
    page.get_by_label("Password").fill(PASSWORD)
    press(page, page.get_by_role("main").get_by_role("button", name="Sign in"), options)
    expect(page.locator(".slip .time")).to_have_text(time)
    page.get_by_label("Reason for the appointment").fill(REASON)
    button = page.get_by_role("button", name=re.compile(rf"^Book \w+ \d+ \w+, {time}$"))
    expect(button).to_be_in_viewport()
    press(page, button, options)

    # Booked.
    expect(page.get_by_role("heading", level=1)).to_have_text("Your appointment is booked")
    expect(page.get_by_text(REASON)).to_be_visible()
    reference = page.locator(".reference").inner_text()
    page.goto("/appointments")
    press(page, page.locator(".appointment-line a"), options)
    expect(page.locator(".reference")).to_have_text(reference)

    # Move it to the last free time of that week that is visible.
    press(page, page.get_by_role("link", name="Move"), options)
    press(page, page.get_by_role("link", name="Next week"), options)
    expect(page).to_have_url(re.compile("/reschedule.week="))
    other = page.locator(FIRST_SLOT).last
    new_time = other.inner_text()
    press(page, other, options)
    expect(page.get_by_role("heading", level=1)).to_have_text("Is this the right time?")
    expect(page.locator(".compare .time").first).to_have_text(time)
    expect(page.locator(".compare .time").last).to_have_text(new_time)
    expect(page.locator("#calendar .slot[aria-current]")).to_be_visible()
    press(page, page.get_by_role("button", name=re.compile(rf"^Move to \w+ \d+ \w+, {new_time}$")), options)
    expect(page.get_by_role("status").first).to_contain_text("The appointment is moved.")
    expect(page.locator(".slip .time")).to_contain_text(new_time)

    # Cancel it.
    press(page, page.get_by_role("link", name="Cancel"), options)
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"^Cancel .*\?$"))
    page.get_by_label("Why are you cancelling?").fill("I am well again")
    press(page, page.get_by_role("button", name="Cancel appointment"), options)
    expect(page.get_by_role("status").first).to_contain_text("The appointment is cancelled.")
    expect(page.locator(".steps li")).to_have_count(3)
    expect(page.get_by_role("link", name="Move")).to_have_count(0)


# ------------------------------------------------------------------------------------- by keyboard alone

VISIBLE_FOCUS = """() => {
  const here = document.activeElement;
  if (!here || here === document.body) return "nothing has the focus";
  const box = here.getBoundingClientRect();
  if (box.width < 1 || box.height < 1) return "the focus is on something without a size";
  if (box.bottom <= 0 || box.top >= innerHeight) return "the focus is out of sight";
  // The parts of a date, which are the browser's own, show the focus themselves.
  if (here.type === "date") return "";
  // A radio button hidden under its label shows the focus on the label.
  const shown = [here, here.closest("label")].filter(Boolean).map((each) => getComputedStyle(each));
  const ring = shown.some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
  return ring ? "" : `no ring around <${here.tagName.toLowerCase()} ${here.className}> ${here.textContent.trim()}`;
}"""


def tab_to(page: Page, target: Locator, *, most: int = 80, key: str = "Tab") -> None:
    """Press a key until `target` has the focus; at every stop the focus must be visible."""
    for _ in range(most):
        page.keyboard.press(key)
        problem = page.evaluate(VISIBLE_FOCUS)
        assert problem == "", f"{problem} on {page.url}"
        if target.first.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by {most} × {key} on {page.url}")


def test_everything_is_done_by_keyboard_alone(open_browser: Open, clinic: Clinic) -> None:
    patient = clinic.new_patient()
    page = open_browser("/")

    # The first stop is the link past the menu.
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Doctor or health problem"))
    page.keyboard.type("erin")
    page.keyboard.press("Enter")
    expect(page.locator("#doctor-list h2")).to_have_text("1 doctor")
    tab_to(page, page.get_by_role("link", name="Dr. Erin Eze", exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Dr. Erin Eze")

    # Arrow keys choose the visit type; the focus stays on it when the times are swapped.
    tab_to(page, page.locator(".choice input:checked"))
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile("week="))
    expect(page.locator(".choice input:checked")).to_be_focused()
    assert page.evaluate(VISIBLE_FOCUS) == ""

    # The next week: the focus stays on the button, and the change is announced.
    title = page.locator("#calendar-title").inner_text()
    tab_to(page, page.get_by_role("link", name="Next week"))
    page.keyboard.press("Enter")
    expect(page.locator("#calendar-title")).not_to_have_text(title)
    expect(page.get_by_role("link", name="Next week")).to_be_focused()
    expect(page.locator("#status")).to_contain_text(page.locator("#calendar-title").inner_text())

    # Arrow keys move between the free times.
    slots = page.locator(FIRST_SLOT)
    tab_to(page, slots)
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(VISIBLE_FOCUS) == ""
    spoken = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert spoken.split(", ")[0] != first.split(", ")[0]
    assert spoken.split(", ")[1] != first.split(", ")[1]
    page.keyboard.press("Enter")

    # Sign in on the way.
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    expect(page.get_by_label("Email address")).to_be_focused()
    page.keyboard.type(patient.email)
    tab_to(page, page.get_by_label("Password"))
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")

    # Book.
    expect(page.get_by_role("heading", level=1)).to_have_text("What would you like help with?")
    tab_to(page, page.get_by_label("Reason for the appointment"))
    page.keyboard.type("By keyboard")
    tab_to(page, page.get_by_role("button", name=re.compile("^Book ")))
    page.keyboard.press("Space")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your appointment is booked")

    # Move.
    tab_to(page, page.get_by_role("link", name="Move"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("When would you like to come instead?")
    tab_to(page, page.get_by_role("link", name="Next week"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/reschedule.week="))
    tab_to(page, page.locator(FIRST_SLOT))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Is this the right time?")
    tab_to(page, page.get_by_role("button", name=re.compile("^Move to ")))
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("The appointment is moved.")

    # Cancel.
    tab_to(page, page.get_by_role("link", name="Cancel"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Cancel "))
    tab_to(page, page.get_by_role("button", name="Cancel appointment"))
    page.keyboard.press("Space")
    expect(page.get_by_role("status").first).to_contain_text("The appointment is cancelled.")

    # Sign out.
    tab_to(page, page.get_by_role("button", name="Sign out"), key="Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("You are signed out.")


def test_a_form_with_mistakes_starts_at_its_summary_which_leads_to_the_fields(open_browser: Open) -> None:
    page = open_browser("/register")
    tab_to(page, page.get_by_role("main").get_by_role("button", name="Create an account"))
    page.keyboard.press("Enter")
    expect(page.locator("[data-error-summary]")).to_be_focused()
    assert page.title().startswith("Problem: ")
    tab_to(page, page.get_by_role("link", name="Choose a password."))
    page.keyboard.press("Enter")
    expect(page.get_by_label("Password")).to_be_focused()


def test_the_menu_of_a_phone_opens_and_closes_by_keyboard(open_browser: Open) -> None:
    page = open_browser("/", **PHONE)
    menu = page.get_by_role("button", name="Menu")
    tab_to(page, menu)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    tab_to(page, page.get_by_role("link", name="Create an account"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Create an account")).to_be_hidden()
    expect(menu).to_be_focused()


# ------------------------------------------------------------------------------------- the time was just taken


def choose(page: Page, clinic: Clinic, email: str, address: str) -> None:
    sign_in(page, email)
    page.goto(address)
    page.get_by_label("Reason for the appointment").fill(REASON)
    page.get_by_label("Do you need us to arrange anything?").fill("An interpreter")


def test_of_those_who_want_the_same_time_the_later_ones_book_another_with_one_press(
    open_browser: Open, clinic: Clinic
) -> None:
    page = open_browser("/doctors/bob")
    turn_to_the_week_after(page)
    turn_to_the_week_after(page)
    slot = page.locator(FIRST_SLOT).nth(2)
    address, time = slot.get_attribute("href") or "", slot.inner_text()
    second, third = open_browser(), open_browser(**PHONE, java_script_enabled=False)
    for window in (page, second, third):
        choose(window, clinic, clinic.new_patient().email, address)
    book = re.compile(f"^Book .*{time}$")
    page.get_by_role("button", name=book).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your appointment is booked")

    for later in (second, third):
        later.get_by_role("button", name=book).click()
        faster = later.get_by_role("alert")
        expect(faster).to_contain_text("That time has just been taken")
        if later is second:
            expect(faster).to_be_focused()
        expect(later.get_by_label("Reason for the appointment")).to_have_value(REASON)
        expect(later.get_by_label("Do you need us to arrange anything?")).to_have_value("An interpreter")
        others = faster.locator("button[name=alternative]")
        expect(others).to_have_count(3)
        other_time = others.first.locator("b").inner_text()
        others.first.click()
        expect(later.get_by_role("heading", level=1)).to_have_text("Your appointment is booked")
        expect(later.locator(".slip")).to_contain_text(other_time)
        expect(later.get_by_text(REASON)).to_be_visible()


def test_a_double_click_books_once(open_browser: Open, clinic: Clinic) -> None:
    page = open_browser()
    patient = clinic.new_patient()
    sign_in(page, patient.email)
    page.goto("/doctors/bob")
    turn_to_the_week_after(page)
    turn_to_the_week_after(page)
    page.locator(FIRST_SLOT).last.click()
    page.get_by_role("button", name=re.compile("^Book ")).dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your appointment is booked")
    page.goto("/appointments")
    expect(page.locator(".appointment-line")).to_have_count(1)

"""Screenshots of every page with a fresh demo clinic: `python -m scripts.screenshots [--only NAME] [--kinds KINDS]`.

They are written to var/screenshots/ at 390 and 1280 px, light and dark, those of the README to docs/. The pages that
have an address are in `scripts.pages`; here are the walks through forms.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pyotp
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from scripts.pages import PAGES
from scripts.staged_clinic import demo_clinic, next_monday
from tests.browser_path import browser_path
from tests.servers import SECRET_KEY
from webapp.appointments.messages.recipients import LINK_PURPOSE
from webapp.core.signing import sign
from webapp.demo import DEMO_PASSWORD

ROOT = Path(__file__).parent.parent
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = {390: 844, 1280: 860}
KINDS = ",".join(f"{width}-{theme}" for width in SIZES for theme in THEMES)
DOCUMENT = (
    "# Who we are\nDocket Demo Clinic, Weesperstraat 1, Amsterdam.\n\n# What we keep\nWhat you tell us when you book."
)
SLOT = "#calendar .slot >> visible=true"


def sign_in(page: Page, who: str) -> None:
    page.goto("/login")
    page.get_by_label("Email address").fill(f"{who}@docket.example")
    page.get_by_label("Password").fill(DEMO_PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: "/login" not in address)


class Camera:
    """Takes a screenshot of the current page, in every size and theme."""

    def __init__(self, page: Page, folder: Path, only: str, kinds: str) -> None:
        self.page, self.folder, self.only, self.kinds = page, folder, only, kinds.split(",")

    def shoot(self, name: str) -> None:
        if self.only not in name:
            return
        for width, height in SIZES.items():
            self.page.set_viewport_size({"width": width, "height": height})
            for theme in THEMES:
                if f"{width}-{theme}" not in self.kinds:
                    continue
                self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                self.page.evaluate("scrollTo(0, 0)")
                self.page.screenshot(path=self.folder / f"{name}-{width}-{theme}.png", full_page=True)
        self.page.set_viewport_size({"width": 1280, "height": SIZES[1280]})
        print(f"  {name}")


def listed(page: Page, who: str, names: dict[str, object], shoot: Callable[[str], None]) -> None:
    """The pages of `scripts.pages` that this person sees."""
    if who:
        sign_in(page, who)
    for name, path in PAGES[who]:
        page.goto(path.format_map(names))
        shoot(name)


def publish(page: Page) -> None:
    """Write the clinic's documents, of which a demo has none."""
    sign_in(page, "admin")
    for kind in ("privacy", "imprint"):
        page.goto(f"/admin/clinic/documents/{kind}")
        page.get_by_label("Text").fill(DOCUMENT)
        page.get_by_role("button", name="Publish").click()
        page.wait_for_url("/admin/clinic")


def signed_out(page: Page, shoot: Callable[[str], None]) -> None:
    """The pages before signing in that no address leads to."""
    page.goto("/doctors?specialty=Dermatology")
    page.locator("li.doctor h3 a").first.click()
    page.wait_for_selector("#calendar")
    shoot("calendar")
    page.get_by_role("link", name="Next week").click()
    page.wait_for_url("**week=**")
    shoot("calendar-next-week")
    page.goto(page.url.split("?")[0] + "?week=2020-W10")
    shoot("calendar-empty")
    page.goto("/doctors")
    page.locator("a[href^='/book?'] >> visible=true").first.click()
    page.get_by_label("Email address").fill("nina@docket.example")
    page.get_by_role("button", name="Email me a code").click()
    page.wait_for_url("**/login/code")
    shoot("login-code")
    page.get_by_label("Code").fill(page.locator("#shown-code").inner_text())
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/register/details")
    shoot("first-booking")
    page.get_by_label("Your name").fill("Nina New")
    page.get_by_label("Reason for the appointment").fill("A check-up")
    for label in ("Date of birth", "Phone number"):
        if page.get_by_label(label).count():
            page.get_by_label(label).fill({"Date of birth": "1990-05-03", "Phone number": "+31 6 12345678"}[label])
    page.get_by_role("main").get_by_role("button").first.click()
    page.wait_for_load_state()
    shoot("first-booking-next")
    page.goto("/account/password/first")
    shoot("password-first")
    page.goto("/account")
    shoot("account-without-password")
    page.context.clear_cookies()
    page.goto("/register")
    page.get_by_role("button", name="Create an account").click()
    page.wait_for_selector("[data-error-summary]")
    shoot("register-errors")


def patient(page: Page, rival: Page, shoot: Callable[[str], None]) -> None:
    """The pages of a patient, through the whole life of an appointment."""
    page.goto("/account")
    page.get_by_role("button", name="Create calendar link").click()
    for path in ("renewal", "removal"):
        page.goto(f"/account/calendar/{path}")
        shoot(f"calendar-link-{path}")
    page.goto("/doctors?specialty=Dermatology")
    page.locator("li.doctor h3 a").first.click()
    page.get_by_role("link", name="Next week").click()
    page.wait_for_url("**week=**")
    page.locator(SLOT).nth(2).click()
    page.wait_for_selector(".submit-bar")
    page.get_by_label("Reason for the appointment").fill("A mole on my back has changed its colour since the summer.")
    shoot("book")
    # Another patient takes that time.
    sign_up(rival)
    rival.goto(page.url)
    rival.locator(".submit-bar button").click()
    rival.wait_for_url("**booked=1")
    page.locator(".submit-bar button").click()
    page.wait_for_selector("#taken-time")
    shoot("book-faster")
    page.locator("button.near").first.click()
    page.wait_for_url("**booked=1")
    shoot("booked")
    appointment = page.url.split("?")[0]
    page.goto(appointment)
    shoot("appointment")
    page.goto(f"{appointment}/reschedule")
    shoot("reschedule")
    page.get_by_role("link", name="Next week").click()
    page.wait_for_url("**week=**")
    page.locator(SLOT).nth(5).click()
    page.wait_for_url("**starts_at=**")
    shoot("reschedule-chosen")
    by_links(page, appointment, shoot)
    page.goto(f"{appointment}/cancellation")
    shoot("cancellation")
    page.get_by_role("button", name="Cancel appointment").click()
    page.wait_for_url(appointment)
    shoot("cancelled")
    page.goto("/account/data")
    page.get_by_label("Your password").fill(DEMO_PASSWORD)
    page.get_by_role("button", name="Show as a page").click()
    page.wait_for_selector("h1:text('Copy of your data')")
    # The page is sent section by section.
    page.wait_for_load_state()
    shoot("copy-of-data")


def by_links(page: Page, appointment: str, shoot: Callable[[str], None]) -> None:
    """The pages behind the links in messages, which need no sign-in."""
    token = sign([SECRET_KEY], LINK_PURPOSE, [appointment.rpartition("/")[2], "patient@docket.example"])
    for name, path in (
        ("link-appointment", ""),
        ("link-confirmation", "/confirmation"),
        ("link-reschedule", "/reschedule"),
        ("link-cancellation", "/cancellation"),
    ):
        page.goto(f"/visit/{token}{path}")
        shoot(name)
    page.goto(f"/visit/{token}x")
    shoot("link-over")


def sign_up(page: Page) -> None:
    """Create another patient, who will be faster."""
    page.goto("/register")
    page.get_by_label("Your name").fill("Quick Quinn")
    page.get_by_label("Email address").fill("quinn@docket.example")
    page.get_by_label("Password").fill("walrus teapot orbit")
    page.get_by_role("button", name="Create an account").click()
    page.wait_for_url("**/login/code")
    page.get_by_label("Code").fill(page.locator("#shown-code").inner_text())
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(lambda address: "/login" not in address)


def doctor(page: Page, names: dict[str, object], shoot: Callable[[str], None]) -> None:
    """Time off that affects appointments, and two-step sign-in."""
    page.goto("/schedule/time-off/new?from={first}T00:00&until={last}T23:00".format_map(names))
    page.locator("button[name=step][value=save]").last.click()
    page.wait_for_selector("[data-error-summary]")
    shoot("stranded-appointments")
    page.goto("/account/factor/new")
    secret = page.locator("#setup-key").input_value().replace(" ", "")
    page.get_by_label("Code from the app").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn on").click()
    page.wait_for_selector("ol.codes")
    shoot("recovery-codes")
    page.goto("/account")
    shoot("account-two-steps")
    page.context.clear_cookies()
    page.goto("/login")
    page.get_by_label("Email address").fill("doctor@docket.example")
    page.get_by_label("Password").fill(DEMO_PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/login/factor**")
    shoot("login-factor")


def messages(page: Page, shoot: Callable[[str], None]) -> None:
    """The admin's pages about the messages that the earlier appointments caused."""
    sign_in(page, "admin")
    page.goto("/admin/messages")
    shoot("messages")
    page.get_by_role("link", name="Appointment booked").first.click()
    page.wait_for_selector("iframe")
    shoot("message")


def tokens(page: Page, shoot: Callable[[str], None]) -> None:
    """A token for a program, shown once, and the question before it ends."""
    sign_in(page, "admin")
    page.goto("/admin/users/tokens/new")
    page.get_by_label("Name of the program").fill("Laboratory system")
    page.get_by_role("main").get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Create token").click()
    page.wait_for_load_state()
    shoot("token")
    page.goto("/admin/users/tokens")
    page.locator("a[href$='/revocation']").first.click()
    page.wait_for_url("**/revocation")
    shoot("token-revocation")


def for_the_readme(context: BrowserContext, folder: Path) -> None:
    """A few screenshots that show Docket at a glance."""
    page = context.new_page()
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.set_viewport_size({"width": 1280, "height": 860})
    page.goto("/")
    page.screenshot(path=folder / "find.png")
    page.get_by_role("link", name="Dr. Amara Okafor", exact=True).click()
    page.get_by_role("link", name="Next week").click()
    page.wait_for_url("**week=**")
    page.screenshot(path=folder / "calendar.png", full_page=True)
    sign_in(page, "doctor")
    page.goto(f"/schedule/{next_monday()}")
    page.screenshot(path=folder / "day.png", full_page=True)


def take_pictures(browser: Browser, url: str, names: dict[str, object], only: str, kinds: str) -> None:
    pictures, docs = ROOT / "var" / "screenshots", ROOT / "docs"
    for folder in (pictures, docs):
        folder.mkdir(parents=True, exist_ok=True)

    def visitor() -> tuple[Page, Callable[[str], None]]:
        page = context().new_page()
        return page, Camera(page, pictures, only, kinds).shoot

    def context() -> BrowserContext:
        return browser.new_context(base_url=url, locale="en-GB", timezone_id="Europe/Amsterdam")

    publish(context().new_page())
    page, shoot = visitor()
    listed(page, "", names, shoot)
    signed_out(page, shoot)
    page, shoot = visitor()
    listed(page, "admin", names, shoot)
    page, shoot = visitor()
    listed(page, "patient", names, shoot)
    patient(page, context().new_page(), shoot)
    page, shoot = visitor()
    messages(page, shoot)
    page, shoot = visitor()
    tokens(page, shoot)
    if not only:
        for_the_readme(context(), docs)
    page, shoot = visitor()
    listed(page, "doctor", names, shoot)
    doctor(page, names, shoot)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="take only pictures with this in their name")
    parser.add_argument("--kinds", default=KINDS, help="the widths and themes, of %(default)s")
    options = parser.parse_args()
    path = browser_path()
    if path is None:
        print("There is no browser: make browser gets one.", file=sys.stderr)
        return 1
    print("Making a demo clinic")
    with demo_clinic() as (url, names), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        take_pictures(browser, url, names, options.only, options.kinds)
        browser.close()
    print("The pictures are in var/screenshots/ and docs/.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

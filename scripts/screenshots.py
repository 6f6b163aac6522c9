"""Screenshots of every page with a fresh demo clinic: `python -m scripts.screenshots [--only NAME]`.

They are written to var/screenshots/ at 390 and 1280 px, light and dark, and those of the README to docs/.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser_path import browser_path
from tests.servers import SECRET_KEY, docket_environment, live_server
from webapp.appointments.messages.visit_messages import LINK_PURPOSE
from webapp.core.clock import utc_now
from webapp.core.signing import sign
from webapp.demo import DEMO_PASSWORD

ROOT = Path(__file__).parent.parent
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = {390: 844, 1280: 860}
SLOT = "#calendar .slot >> visible=true"


@contextmanager
def demo_clinic() -> Iterator[str]:
    """A server with fresh demo data; gives its address."""
    with tempfile.TemporaryDirectory(prefix="docket-pictures-") as folder:
        url = f"sqlite:///{folder}/docket.db"
        command = str(Path(sys.executable).with_name("docket"))
        for arguments in (["db", "upgrade"], ["demo"]):
            subprocess.run([command, *arguments], env=docket_environment(url), cwd=folder, check=True)
        with live_server(url) as server:
            yield server.url


def sign_in(page: Page, who: str) -> None:
    page.goto("/login")
    page.get_by_label("Email address").fill(f"{who}@docket.example")
    page.get_by_label("Password").fill(DEMO_PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: "/login" not in address)


class Camera:
    """Takes a screenshot of the current page, in every size and theme."""

    def __init__(self, page: Page, folder: Path, only: str) -> None:
        self.page, self.folder, self.only = page, folder, only

    def shoot(self, name: str) -> None:
        if self.only not in name:
            return
        for width, height in SIZES.items():
            self.page.set_viewport_size({"width": width, "height": height})
            for theme in THEMES:
                self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                self.page.evaluate("scrollTo(0, 0)")
                self.page.screenshot(path=self.folder / f"{name}-{width}-{theme}.png", full_page=True)
        self.page.set_viewport_size({"width": 1280, "height": SIZES[1280]})
        print(f"  {name}")


def signed_out(page: Page, shoot: Callable[[str], None]) -> None:
    """The pages before signing in."""
    for name, path in (
        ("find", "/"),
        ("find-dermatology", "/doctors?specialty=Dermatology"),
        ("find-nobody", "/doctors?q=nobody"),
        ("login", "/login"),
        ("register", "/register"),
        ("error-404", "/nowhere"),
        ("error-405", "/logout"),
    ):
        page.goto(path)
        shoot(name)
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
    shoot("first-visit")
    page.goto("/register")
    page.get_by_role("button", name="Create an account").click()
    page.wait_for_selector("[data-error-summary]")
    shoot("register-errors")


def patient(page: Page, rival: Page, shoot: Callable[[str], None]) -> None:
    """The pages of a patient, through the whole life of an appointment."""
    sign_in(page, "patient")
    for name, path in (
        ("appointments", "/appointments"),
        ("appointments-past", "/appointments?show=past"),
        ("appointments-cancelled", "/appointments?show=cancelled"),
    ):
        page.goto(path)
        shoot(name)
    page.goto("/account")
    shoot("account")
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
    page.wait_for_selector("#faster")
    shoot("book-faster")
    page.locator("button.near").first.click()
    page.wait_for_url("**booked=1")
    shoot("booked")
    visit = page.url.split("?")[0]
    page.goto(visit)
    shoot("appointment")
    page.goto(f"{visit}/reschedule")
    shoot("reschedule")
    page.get_by_role("link", name="Next week").click()
    page.wait_for_url("**week=**")
    page.locator(SLOT).nth(5).click()
    page.wait_for_url("**starts_at=**")
    shoot("reschedule-chosen")
    # The pages behind the links in messages, which need no login.
    token = sign([SECRET_KEY], LINK_PURPOSE, [visit.rpartition("/")[2], "patient@docket.example"])
    for name, path in (
        ("link-visit", ""),
        ("link-confirmation", "/confirmation"),
        ("link-reschedule", "/reschedule"),
        ("link-cancellation", "/cancellation"),
    ):
        page.goto(f"/visit/{token}{path}")
        shoot(name)
    page.goto(f"/visit/{token}x")
    shoot("link-over")
    page.goto(f"{visit}/cancellation")
    shoot("cancellation")
    page.get_by_role("button", name="Cancel appointment").click()
    page.wait_for_url(visit)
    shoot("cancelled")
    page.goto("/schedule")
    shoot("error-403")


def sign_up(page: Page) -> None:
    """Create another patient, who will be faster."""
    page.goto("/register")
    page.get_by_label("Your name").fill("Quick Quinn")
    page.get_by_label("Email address").fill("quinn@docket.example")
    page.get_by_label("Password").fill("walrus teapot orbit")
    page.get_by_role("button", name="Create an account").click()
    page.wait_for_url(lambda address: "/register" not in address)


def next_monday() -> date:
    """A working day with appointments, so that the screenshots do not depend on the weekday of today."""
    today = utc_now().date()
    return today + timedelta(days=7 - today.weekday())


def doctor(page: Page, shoot: Callable[[str], None]) -> None:
    """The pages of a doctor, and leave that affects appointments."""
    sign_in(page, "doctor")
    page.goto("/schedule")
    shoot("schedule")
    page.goto(f"/schedule/{next_monday()}")
    page.locator(".visit h3 a").first.click()
    shoot("appointment-doctor")
    for name, path in (
        ("schedule-empty", "/schedule/2020-01-04"),
        ("week", f"/schedule/week/{next_monday():%G-W%V}"),
        ("hours", "/schedule/hours"),
        ("hours-change", "/schedule/hours/always"),
        ("time-off", "/schedule/time-off"),
    ):
        page.goto(path)
        shoot(name)
    first, last = (utc_now().date() + timedelta(days=days) for days in (7, 9))
    page.goto(f"/schedule/time-off/new?from={first}T00:00&until={last}T23:00")
    shoot("time-off-new")
    page.locator("button[name=step][value=save]").last.click()
    page.wait_for_selector("[data-error-summary]")
    shoot("stranded-visits")


def admin(page: Page, shoot: Callable[[str], None]) -> None:
    """The pages of an admin."""
    sign_in(page, "admin")
    for name, path in (
        ("overview", "/admin"),
        ("admin-appointments", "/admin/appointments"),
        ("admin-appointments-new", "/admin/appointments/new"),
        ("why", "/admin/appointments/why?doctor=amara-okafor&date=2027-01-01&time=10:10"),
        ("patients", "/admin/patients?q=jansen"),
        ("patient", "/admin/patients/3"),
        ("patient-new", "/admin/patients/new"),
        ("doctors", "/admin/doctors"),
        ("doctor", "/admin/doctors/amara-okafor"),
        ("doctor-new", "/admin/doctors/new"),
        ("doctor-leaves", "/admin/doctors/amara-okafor/activity"),
        ("visit-types", "/admin/visit-types"),
        ("visit-type-new", "/admin/visit-types/new"),
        ("clinic", "/admin/clinic"),
        ("opening-hours", "/admin/clinic/opening-hours"),
        ("rules", "/admin/clinic/rules"),
        ("reminders", "/admin/clinic/reminders"),
        ("previews", "/admin/messages/previews"),
        ("preview", "/admin/messages/previews/visit_moved_by_clinic"),
        ("time-zone", "/admin/clinic/time-zone"),
        ("closures", "/admin/closures"),
        ("holidays", "/admin/closures/holidays?country=NL"),
        ("users", "/admin/users"),
        ("user", "/admin/users/1"),
        ("audit", "/admin/audit"),
    ):
        page.goto(path)
        shoot(name)


def messages(page: Page, shoot: Callable[[str], None]) -> None:
    """The admin's pages about the messages that the earlier appointments caused."""
    sign_in(page, "admin")
    page.goto("/admin/messages")
    shoot("messages")
    page.get_by_role("link", name="Appointment booked").first.click()
    page.wait_for_selector("iframe")
    shoot("message")


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


def take_pictures(browser: Browser, url: str, only: str) -> None:
    pictures, docs = ROOT / "var" / "screenshots", ROOT / "docs"
    for folder in (pictures, docs):
        folder.mkdir(parents=True, exist_ok=True)

    def visitor() -> BrowserContext:
        return browser.new_context(base_url=url, locale="en-GB", timezone_id="Europe/Amsterdam")

    for people in (signed_out, doctor, admin):
        page = visitor().new_page()
        people(page, Camera(page, pictures, only).shoot)
    page, rival = visitor().new_page(), visitor().new_page()
    patient(page, rival, Camera(page, pictures, only).shoot)
    page = visitor().new_page()
    messages(page, Camera(page, pictures, only).shoot)
    for_the_readme(visitor(), docs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="take only pictures with this in their name")
    options = parser.parse_args()
    path = browser_path()
    if path is None:
        print("There is no browser: make browser gets one.", file=sys.stderr)
        return 1
    print("Making a demo clinic")
    with demo_clinic() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        take_pictures(browser, url, options.only)
        browser.close()
    print("The pictures are in var/screenshots/ and docs/.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

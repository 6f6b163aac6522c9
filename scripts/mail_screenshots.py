"""Screenshots of every e-mail, from the examples of its preview: `python -m scripts.mail_screenshots [--only NAME]`.

They are written to var/screenshots/mails/ at 320, 390 and 800 px, light and dark. No server is needed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from scripts.screenshots import THEMES
from tests.browser_path import browser_path
from webapp.clinic.service import default_clinic
from webapp.core.clock import utc_now
from webapp.staff.messages.previews import KINDS, write_example

FOLDER = Path(__file__).parent.parent / "var" / "screenshots" / "mails"
WIDTHS = (320, 390, 800)


def take_pictures(browser: Browser, only: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    clinic = replace(
        default_clinic(), name="Harbour Lane Clinic", address="18 Harbour Lane, 1011 AB Amsterdam", phone="+31201234567"
    )
    page = browser.new_page()
    for kind in KINDS:
        if only not in kind.name:
            continue
        mail = write_example(kind, "email", clinic, base_url="https://booking.example.org", now=utc_now())
        page.set_content(mail.html)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 600})
            for theme in THEMES:
                page.emulate_media(color_scheme=theme)
                page.screenshot(path=FOLDER / f"{kind.name}-{width}-{theme}.png", full_page=True)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                print(f"  {kind.name} is wider than {width} px")
        print(f"  {kind.name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="take only pictures with this in their name")
    options = parser.parse_args()
    path = browser_path()
    if path is None:
        print("There is no browser: make browser gets one.", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        take_pictures(browser, options.only)
        browser.close()
    print("The pictures are in var/screenshots/mails/.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

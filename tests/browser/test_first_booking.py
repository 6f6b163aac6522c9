"""A new patient books on a phone: a time, an e-mail address, a code and a name, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


def test_a_new_patient_books_with_a_code_on_a_phone(open_browser: Open) -> None:
    page = open_browser("/doctors/bob", **PHONE)
    slot = page.locator("#calendar .slot >> visible=true").last
    time = slot.inner_text()
    slot.tap()

    # The address. The field has the focus, so that typing can begin at once.
    expect(page.locator(".intent")).to_contain_text(f"{time} with Dr. Bob Brown")
    expect(page.get_by_label("Email address")).to_be_focused()
    page.keyboard.type("nina@example.org")
    page.get_by_role("button", name="Email me a code").tap()

    # The code. A development machine without a mail server shows it.
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your email")
    expect(page.locator(".intent")).to_contain_text(f"{time} with Dr. Bob Brown")
    expect(page.get_by_label("Code")).to_be_focused()
    page.keyboard.type(page.locator("#shown-code").inner_text())
    page.get_by_role("button", name="Continue").tap()

    # The name, and the booking with it.
    expect(page.locator(".slip .time")).to_have_text(time)
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.type("Nina New")
    button = page.get_by_role("button", name=re.compile(rf"^Book \w+ \d+ \w+, {time}$"))
    expect(button).to_be_in_viewport()
    button.tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your appointment is booked")

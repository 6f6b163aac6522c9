"""What comes out of the printer: sheets for the desk, and a confirmation to carry along."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable
from datetime import date

import pytest
from playwright.sync_api import Page
from pypdf import PdfReader

from tests.appointment_rows import appointment, insert
from tests.browser.conftest import Clinic, sign_in

pytestmark = pytest.mark.browser
Open = Callable[..., Page]


def printed(page: Page, path: str) -> PdfReader:
    """The page at this address on paper, as the browser's print dialog makes it."""
    page.goto(path)
    paper = PdfReader(io.BytesIO(page.pdf(format="A4", prefer_css_page_size=True, tagged=True)))
    assert "Harbour Lane Clinic" in str(paper.metadata and paper.metadata.title)
    width, height = paper.pages[0].mediabox[2:]
    # The board's sheet lies.
    assert sorted((round(width), round(height))) in ([595, 842], [596, 843])
    return paper


def words_on(sheet: PdfReader, number: int = 0) -> str:
    """The text of one page, with the fonts' ligatures taken apart."""
    return unicodedata.normalize("NFKC", sheet.pages[number].extract_text())


def test_sheets_have_their_rows_in_order_and_no_navigation(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=0)[:10]
    mine = clinic.new_patient()
    own = clinic.cast.book(mine, f"{day} 09:00")
    clinic.cast.book(clinic.new_patient(), f"{day} 09:30")
    times, names = ("09:00", "09:30"), (mine.name, "Pat B.")

    page = open_browser(viewport={"width": 390, "height": 844})
    sign_in(page, "bob@docket.example")
    heading = page.locator("h1")
    for path in (f"/schedule/{day}", f"/schedule/week/{date.fromisoformat(day):%G-W%V}"):
        sheet = printed(page, path)
        text = words_on(sheet)
        assert heading.inner_text() in text, path
        places = [text.index(word) for word in names]
        assert places == sorted(places), path
        assert [word for word in (*times, "Harbour Lane Clinic") if word not in text] == [], path
        assert [word for word in ("Menu", "Sign out", "Working hours", "Block", "Book") if word in text] == [], path

    page = open_browser(viewport={"width": 390, "height": 844})
    sign_in(page, "carol@docket.example")
    assert len(printed(page, f"/board/{day}").pages) == 1
    text = words_on(printed(page, f"/admin/appointments?from={day}&until={day}"))
    # On paper it is a table with a head, in a line for each appointment, even where it is printed from a phone.
    head, *rows = (line for line in text.splitlines() if "Time" in line or any(time in line for time in times))
    assert [word for word in ("Time", "Patient", "Doctor", "Visit type", "Status") if word not in text] == []
    assert "Time" in head
    assert [(time in row, name in text) for time, name, row in zip(times, names, rows, strict=True)] == [
        (True, True)
    ] * 2
    assert [word for word in ("Menu", "Sign out", "Overview", "New appointment", "Show") if word in text] == []

    page = open_browser(viewport={"width": 390, "height": 844})
    sign_in(page, mine.email)
    sheet = printed(page, f"/appointments/{own}")
    text = words_on(sheet)
    assert len(sheet.pages) == 1
    assert text.startswith("Your appointment with Dr. Bob Brown")
    assert [word for word in ("09:00", own, "Dr. Bob Brown") if word not in text] == []
    assert [word for word in ("Menu", "Sign out", "Cancel", "Find a time") if word in text] == []


def test_the_clinics_day_is_a_full_sheet_for_each_doctor(open_browser: Open, clinic: Clinic) -> None:
    day = clinic.free_time(days=21)[:10]
    cast = clinic.cast
    minutes = [*range(9 * 60, 12 * 60, 15), *range(13 * 60, 17 * 60, 15)][:24]
    for at, minute in enumerate(minutes):
        for doctor, patient in (("bob", "alice"), ("erin", "dave")):
            start = f"{day} {minute // 60:02}:{minute % 60:02}"
            insert(
                cast, appointment(cast, start, doctor=doctor, patient=patient, minutes=15) | {"reason": f"Reason {at}"}
            )
    page = open_browser(viewport={"width": 390, "height": 844})
    sign_in(page, "carol@docket.example")
    page.goto(f"/board/{day}/sheets")
    for size, shape in (("A4", (842, 595)), ("Letter", (792, 612))):
        paper = PdfReader(io.BytesIO(page.pdf(format=size, landscape=True, tagged=True)))
        assert [sheet.mediabox[2:] for sheet in paper.pages] == [pytest.approx(shape, abs=1)] * 2
        for number, (doctor, patient) in enumerate((("Dr. Bob Brown", "Alice Adams"), ("Dr. Erin Eze", "Dave Dunn"))):
            text = words_on(paper, number)
            assert text.startswith(doctor)
            assert text.count(patient) == text.count("Reason") - 1 == len(minutes)
            assert [word for word in ("Harbour Lane Clinic", "Notes", "Born", "09:00") if word not in text] == []
            assert [word for word in ("Menu", "Print", "Back") if word in text] == []

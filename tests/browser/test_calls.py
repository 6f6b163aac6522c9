"""The desk's calls, by keyboard alone: what each costs in keys and pages, and that it ends as meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, expect
from sqlalchemy.orm import Session

from tests.appointment_rows import put
from tests.browser.conftest import Clinic, sign_in
from webapp import models
from webapp.patients import records, search_index
from webapp.patients.schemas import PatientDetails

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
# The time that a practised person takes for a key, and a page until it can be used.
KEY_SECONDS, PAGE_SECONDS = 0.2, 1.0
CLOCKS = [f"{hour:02}:{minute:02}" for hour in (9, 10, 11, 13, 14, 15, 16) for minute in (0, 30)]
LEFT = 12
# (keys, pages) that a call may take at most. A call that needs more has got a new obstacle.
AT_MOST = {
    "known patient, any GP": (8, 3),
    "new patient": (36, 2),
    "move": (11, 5),
    "when is my next?": (5, 1),
    "arrived; no-show, undo": (18, 0),
    "urgent in a full day": (18, 3),
    "ill doctor, 12 appointments": (13, 3),
    "late": (9, 3),
    "two children": (12, 6),
    "print tomorrow": (3, 1),
}


class Desk:
    """A receptionist with a keyboard, who counts keys and page loads."""

    def __init__(self, page: Page, clinic: Clinic) -> None:
        self.page, self.cast = page, clinic.cast
        self.keys, self.loaded = 0, list[str]()
        self.table: list[tuple[str, int, int]] = []
        page.on("domcontentloaded", self._loaded)

    def _loaded(self, page: Page) -> None:
        self.loaded.append(page.url)

    @contextmanager
    def call(self, name: str, *, anywhere: bool = False) -> Iterator[None]:
        """One call. It begins on today's board; with `anywhere`, on the page where the previous call ended."""
        if not anywhere:
            self.page.goto("/board")
        self.keys, self.loaded = 0, []
        yield
        # The last page shows its result before it is loaded whole; that load belongs to this call, not to the next.
        self.page.wait_for_load_state("domcontentloaded")
        self.table.append((name, self.keys, len(self.loaded)))
        keys, loads = AT_MOST[name]
        assert self.keys <= keys, f"{name}: {self.keys} keys"
        assert len(self.loaded) <= loads, f"{name}: {self.loaded}"

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def types(self, text: str) -> None:
        """Type a text, each letter of which is a key."""
        self.page.keyboard.type(text)
        self.keys += len(text)

    def focus_is_on(self, place: str | Locator) -> None:
        """Wait until the focus is where the next key is meant for."""
        expect(self.page.locator(place) if isinstance(place, str) else place).to_be_focused()

    def opens_booking(self) -> None:
        """`n`: the booking for a caller, which waits for the patient."""
        self.press("n")
        self.focus_is_on("#q")

    def finds(self, text: str) -> None:
        """Type the patient who calls, and take the first who is found."""
        self.types(text)
        self.press("Enter")
        expect(self.page.locator("#patient-name")).to_be_visible()

    def saved(self, patient: str) -> list[models.Appointment]:
        """The patient's appointments, in the order in which they were made."""
        query = (
            sa.select(models.Appointment)
            .join(models.Patient, models.Patient.id == models.Appointment.patient_id)
            .where(models.Patient.name == patient)
            .order_by(models.Appointment.id)
        )
        with self.cast.database.reading() as session:
            return list(session.scalars(query))

    def print_table(self) -> None:
        """What each call cost."""
        print("\n| call | keys | pages | seconds |\n|---|---:|---:|---:|")
        for name, keys, loads in self.table:
            print(f"| {name} | {keys} | {loads} | {keys * KEY_SECONDS + loads * PAGE_SECONDS:.1f} |")


class Day:
    """The clinic, open on all days."""

    def __init__(self, clinic: Clinic) -> None:
        self.cast = clinic.cast
        self.today = clinic.today
        for weekday in (5, 6):
            self.cast.add(models.OpeningHours(weekday=weekday, start_minute=9 * 60, end_minute=17 * 60))
            for doctor_id in self.cast.doctor_ids.values():
                for start, end in ((9, 12), (13, 17)):
                    hours = {"weekday": weekday, "start_minute": start * 60, "end_minute": end * 60}
                    self.cast.add(models.WorkingHours(doctor_id=doctor_id, **hours))

    def put(self, day: date, clock: str, **details: Any) -> None:
        """An appointment at a time of the clinic's clock."""
        put(self.cast, f"{day} {clock}", **details)

    def patient(self, name: str, *, managed_by: str | None = None) -> None:
        """A patient without an account, whom the tests then know by the first name."""

        def add(session: Session) -> int:
            manager = self.cast.patient_ids[managed_by] if managed_by else None
            details = PatientDetails(name=name, birth_date=date(2019, 5, 1) if managed_by else date(1970, 5, 1))
            number = records.add_patient(session, details, managed_by=manager, now=datetime.now(UTC))
            search_index.keep_words(session, number, name=name, email="", phone="")
            return number

        self.cast.patient_ids[name.partition(" ")[0].lower()] = self.cast.database.write(add)


@pytest.fixture
def day(clinic: Clinic) -> Day:
    """A day at the desk: two who come early, a full day tomorrow, and a family of three."""
    day = Day(clinic)
    for name in ("Bea Bolt", "Gus Gray"):
        day.patient(name)
    for name in ("Ada Adams", "Ben Adams"):
        day.patient(name, managed_by="alice")
    day.put(day.today, "07:00", patient="bea")
    day.put(day.today, "07:30", patient="gus")
    day.put(day.today + timedelta(days=2), "10:00", patient="dave")
    for clock in CLOCKS:
        day.patient(f"T{clock} Tomorrow")
        day.put(day.today + timedelta(days=1), clock, patient=f"t{clock}")
    for clock in CLOCKS[:LEFT]:
        day.patient(f"L{clock} Left")
        day.put(day.today, clock, patient=f"l{clock}")
    clinic.cast.change(sa.update(models.Doctor).values(squeeze_ins=1))
    return day


def test_ten_calls_by_keyboard_alone(open_browser: Open, clinic: Clinic, day: Day) -> None:
    page = open_browser(viewport={"width": 1280, "height": 900})
    page.add_init_script("window.print = () => { document.body.dataset.printed = 'yes'; };")
    sign_in(page, "fiona@docket.example")
    desk = Desk(page, clinic)
    booked = page.locator("#tell-patient")

    with desk.call("known patient, any GP"):
        desk.opens_booking()
        desk.finds("alic")
        desk.focus_is_on("[data-first-time]")
        desk.press("Enter")
        expect(booked).to_be_visible()
    assert [each.status for each in desk.saved("Alice Adams")] == ["scheduled"]

    with desk.call("new patient", anywhere=True):
        desk.opens_booking()
        desk.types("Nora Novak")
        desk.press("Enter")
        desk.focus_is_on("#new-patient [name=birth_date]")
        desk.types("05051990")
        desk.press("Tab")
        if page.locator("[name=birth_date]").evaluate("field => field === document.activeElement"):
            desk.press("Tab")
        desk.focus_is_on("#new-patient [name=contact]")
        desk.types("0201239999")
        desk.press("Enter")
        desk.focus_is_on("[data-first-time]")
        desk.press("Enter")
        expect(booked).to_be_visible()
    assert len(desk.saved("Nora Novak")) == 1

    with desk.call("when is my next?", anywhere=True):
        desk.opens_booking()
        desk.types("dave")
        expect(page.locator("#found")).to_contain_text("Next:")
        expect(page.locator("#found")).to_contain_text("10:00")

    with desk.call("move"):
        desk.opens_booking()
        desk.finds("dave")
        desk.press("m")
        desk.focus_is_on(page.locator(".week .slot[href]").first)
        desk.press("ArrowDown")
        chosen = page.locator(".week .slot:focus").get_attribute("href") or ""
        desk.press("Enter")
        desk.focus_is_on(page.get_by_role("button", name="Move to"))
        desk.press("Enter")
        expect(page.locator("main .notice")).to_contain_text("The appointment is moved.")
    [moved] = desk.saved("Dave Dunn")
    assert chosen.endswith(f"{moved.starts_at:%Y-%m-%dT%H:%M:%SZ}")

    with desk.call("arrived; no-show, undo"):
        desk.press("/")
        desk.types("bea")
        desk.press("Enter", "a")
        expect(page.locator("#panel .badge").first).to_have_text("Arrived")
        desk.press("/")
        desk.types("gus")
        desk.press("Enter", "Enter")
        expect(page.locator("#panel-title")).to_have_text("Gus Gray")
        desk.press("x")
        expect(page.locator("#panel .badge").first).to_have_text("No-show")
        desk.press("u")
        expect(page.locator("#panel .badge").first).to_have_text("Scheduled")
    assert [desk.saved(name)[0].status for name in ("Bea Bolt", "Gus Gray")] == ["arrived", "scheduled"]

    with desk.call("late"):
        desk.press("/")
        desk.types("erin")
        desk.press("Enter")
        desk.focus_is_on("#column-erin h2 a")
        desk.press("Enter")
        expect(page.locator("[data-staff-key=l]")).to_be_visible()
        desk.press("l")
        expect(page.locator("h1")).to_have_text("Running late: Dr. Erin Eze")
        desk.press("2")
        expect(page.locator("#column-erin .late")).to_have_text("20 min late")

    # A walk-in waits: Enter after the patient must not book the first free time.
    for name, typed, after in (
        ("Dave Dunn", "dave", "#queue [name=queue]"),
        ("Wanda Walker", "Wanda Walker", "#new-patient [name=birth_date]"),
    ):
        page.goto("/desk/booking?walk_in=new")
        desk.focus_is_on("#q")
        desk.types(typed)
        desk.press("Enter")
        desk.focus_is_on(after)
        if name == typed:
            desk.press("Enter")
            desk.focus_is_on("#queue [name=queue]")
        desk.press("Enter")
        expect(page.locator("#walk-ins")).to_contain_text(name)
    assert [len(desk.saved(name)) for name in ("Dave Dunn", "Wanda Walker")] == [1, 0]

    with desk.call("urgent in a full day"):
        desk.press("j")
        expect(page.locator("#board-title")).not_to_have_text("Today")
        desk.focus_is_on("#board-title")
        desk.press("ArrowDown", "Enter")
        desk.focus_is_on("#panel-title")
        desk.press("q")
        desk.focus_is_on("#q")
        desk.finds("alic")
        desk.focus_is_on("[data-error-summary]")
        desk.press("Tab")
        desk.focus_is_on("[name=squeeze_reason]")
        desk.types("fever")
        desk.press("Enter")
        expect(booked).to_be_visible()
    assert [(each.lane, each.squeeze_reason) for each in desk.saved("Alice Adams")][1:] == [(1, "fever")]

    with desk.call("two children", anywhere=True):
        desk.opens_booking()
        desk.finds("ada")
        desk.focus_is_on("[data-first-time]")
        desk.press("Enter")
        desk.focus_is_on(page.get_by_role("link", name="Book another close to this"))
        desk.press("Enter")
        desk.focus_is_on("#found [data-first]")
        desk.press("ArrowDown", "Enter")
        expect(page.locator("#patient-name")).to_have_text("Ben Adams")
        desk.focus_is_on(page.locator("[data-first-time]"))
        desk.press("Enter")
        expect(booked).to_be_visible()
    [ada], [ben] = desk.saved("Ada Adams"), desk.saved("Ben Adams")
    assert ada.doctor_id == ben.doctor_id
    # One after the other, with a lunch break between them at most.
    assert timedelta() < ben.starts_at - ada.starts_at <= timedelta(minutes=90)

    with desk.call("ill doctor, 12 appointments"):
        desk.press("/")
        desk.types("bob")
        desk.press("Enter")
        desk.focus_is_on("#column-bob h2 a")
        desk.press("Enter")
        expect(page.locator("[data-staff-key=o]")).to_be_visible()
        desk.press("o")
        desk.focus_is_on("[name=decide-all] >> nth=0")
        desk.press("ArrowDown", "Tab")
        desk.focus_is_on("#why")
        desk.types("ill")
        desk.press("Enter")
        expect(page.locator("main .notice")).to_be_visible()
    left = [desk.saved(f"L{clock} Left")[0] for clock in CLOCKS[:LEFT]]
    tomorrow = clinic.cast.local(f"{day.today + timedelta(days=1)} 00:00")
    erin = clinic.cast.doctor_ids["erin"]
    assert {each.status for each in left} == {"scheduled"}
    assert [each for each in left if each.doctor_id != erin and each.starts_at < tomorrow] == []
    assert {each.doctor_id for each in left} == set(clinic.cast.doctor_ids.values())

    with desk.call("print tomorrow"):
        desk.press("j")
        expect(page).to_have_url(f"{clinic.url}/board/{day.today + timedelta(days=1)}")
        desk.press("p")
        expect(page.locator("#print")).to_be_visible()
        desk.press("p")
        expect(page.locator("body")).to_have_attribute("data-printed", "yes")
    expect(page.locator(".sheet")).to_contain_text(["Alice Adams"])

    desk.print_table()

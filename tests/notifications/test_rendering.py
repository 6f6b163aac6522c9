"""Messages as they are sent: the same instant in every part, no injection through names, nothing from outside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import jinja2
import pytest
from icalendar import Calendar

from webapp.core.signing import unsign
from webapp.notifications.rendering import Rendered, render

KEYS = ["made-for-tests-0123456789-abcdefghijklmnop"]
MAILS = ["visit_booked", "visit_moved", "visit_cancelled", "visit_restored"]


def appointment(starts_at: str = "2026-03-03T08:30:00Z", **others: Any) -> dict[str, Any]:
    """The values of a message about an appointment."""
    return {
        "reference": "K7QM-2F9X",
        "starts_at": starts_at,
        "minutes": 15,
        "doctor": "Dr. Bob Brown",
        "room": "Room 3",
        "visit_type": "",
        "preparation": "",
        "prepares": False,
        "whose": "",
        "confirmed": False,
        "change_until": "",
        **others,
    }


def values(zone: str = "Europe/Amsterdam", starts_at: str = "2026-03-03T08:30:00Z", **others: Any) -> dict[str, Any]:
    """The values of a message about an appointment, with its calendar event."""
    start = datetime.fromisoformat(starts_at)
    event = {
        "uid": "one",
        "sequence": 0,
        "starts_at": starts_at,
        "ends_at": (start + timedelta(minutes=15)).isoformat(),
        "summary": "Appointment: Dr. Bob Brown",
        "description": "View appointment: {link}",
        "url": "{link}",
        "updated_at": "2026-03-01T08:00:00Z",
    }
    return {
        "clinic": {"name": "Harbour Lane Clinic", "address": "18 Harbour Lane", "phone": "020", "time_zone": zone},
        "visit": appointment(starts_at, **others),
        "by": "clinic",
        "by_name": "",
        "before": "2026-03-02T08:30:00Z",
        "why": "",
        "calendar": {
            "method": "REQUEST",
            "events": [{"event": event, "link": ["/visit/", "visit", ["K7QM-2F9X", "alice@docket.example"]]}],
        },
    }


def mail(template: str, said: dict[str, Any]) -> Rendered:
    """The message as an e-mail to Alice."""
    address = "https://docket.test"
    return render(template, "email", "alice@docket.example", said, base_url=address, keys=KEYS, sender="us@docket.test")


def seen(html: str) -> str:
    """The visible text of a document."""
    body = html.partition("<body")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.mark.parametrize(
    ("zone", "starts_at", "name"),
    [
        ("Europe/Amsterdam", "2026-03-29T00:30:00Z", "Sunday 29 March 2026, 01:30"),
        ("Europe/Amsterdam", "2026-03-29T01:30:00Z", "Sunday 29 March 2026, 03:30"),
        ("Europe/Amsterdam", "2026-10-25T00:30:00Z", "Sunday 25 October 2026, 02:30 CEST"),
        ("Europe/Amsterdam", "2026-10-25T01:30:00Z", "Sunday 25 October 2026, 02:30 CET"),
        ("America/New_York", "2026-03-29T01:30:00Z", "Saturday 28 March 2026, 21:30"),
        ("America/New_York", "2026-11-01T06:30:00Z", "Sunday 1 November 2026, 01:30 EST"),
        ("Asia/Kolkata", "2026-10-25T00:30:00Z", "Sunday 25 October 2026, 06:00"),
        ("America/St_Johns", "2026-11-01T04:00:00Z", "Sunday 1 November 2026, 01:30 NDT"),
    ],
)
def test_text_html_and_calendar_name_one_instant(zone: str, starts_at: str, name: str) -> None:
    for template in MAILS:
        said = mail(template, values(zone, starts_at))
        assert f": {name}\n" in said.text
        assert said.subject.endswith(re.sub(r" \d{4},", ",", name))
        assert name in seen(said.html)
        label = f"All times are {zone.partition('/')[2].replace('_', ' ')} time."
        assert (said.text.count(label), seen(said.html).count(label)) == (1, 1)
        (event,) = Calendar.from_ical(said.calendar).walk("VEVENT")
        assert event.decoded("dtstart").astimezone(UTC) == datetime.fromisoformat(starts_at)


def test_names_are_escaped_in_html_and_plain_in_the_text() -> None:
    nasty = 'Bobby <img src="https://evil.test/x"> & {{ 7*7 }}'
    said = mail("visit_booked", values(whose=nasty, doctor=nasty))
    assert f"With: {nasty}\n" in said.text
    assert "<img" not in said.html
    assert nasty in seen(said.html)


def test_no_name_starts_a_header_or_a_new_line() -> None:
    said = mail("visit_booked", values(whose="Mia\r\nBcc: evil@docket.test\u2028\x00"))
    assert said.subject == "Mia Bcc: evil@docket.test ’s appointment is booked: Tuesday 3 March, 09:30"
    assert not re.search(r"^Bcc:", said.text, re.MULTILINE)


def test_the_document_needs_nothing_from_outside_and_carries_its_styles() -> None:
    for template in MAILS:
        html = mail(template, values()).html
        assert html.count("<style>") == 1
        assert "prefers-color-scheme: dark" in html
        assert '<meta name="color-scheme" content="light dark">' in html
        assert not re.search(r"<(img|link|script|iframe)\b|\ssrc=|url\(|@import", html)
        assert set(re.findall(r'href="(https?://[^/"]+)', html)) == {"https://docket.test"}
        assert 'class="card ink" style="' in html


def test_links_are_signed_for_the_recipient_of_the_message() -> None:
    said = mail("visit_restored", values(change_until="2026-03-02T08:30:00Z"))
    for part in (said.text, said.html, said.calendar.replace("\r\n ", "")):
        tokens = set(re.findall(r"/visit/([\w.=-]+)", part))
        assert [unsign(KEYS, "visit", token) for token in tokens] == [["K7QM-2F9X", "alice@docket.example"]]
    event = Calendar.from_ical(said.calendar).walk("VEVENT")[0]
    assert (event["attendee"], event["organizer"]) == ("mailto:alice@docket.example", "mailto:us@docket.test")


def test_a_patient_who_is_too_late_to_change_an_appointment_is_asked_to_call() -> None:
    early = mail("visit_moved", values(change_until="2026-03-02T08:30:00Z")).text
    late = mail("visit_moved", values()).text
    assert "/cancellation" in early
    assert "/cancellation" not in late
    assert "please call 020" in late


def test_the_clinics_number_is_a_telephone_link() -> None:
    said = values()
    said["clinic"]["phone"] = "+31 20 014 7200"
    html = mail("visit_moved", said).html
    assert len(re.findall(r'<a class="telephone" href="tel:\+31200147200"[^>]*>', html)) == 2
    assert "please call +31 20 014 7200 ." in seen(html)


def test_a_message_about_a_cancelled_appointment_has_no_time_and_place() -> None:
    said = mail("visit_cancelled", values())
    assert "Cancelled: Tuesday 3 March 2026, 09:30\n" in said.text
    assert "You can book another appointment online, or call 020." in said.text
    for part in (said.text, seen(said.html)):
        assert not re.search(r"When|Where|Room 3", part)


def test_a_text_message_reminder_does_not_ask_patients_who_have_confirmed() -> None:
    said = {"clinic": values()["clinic"], "visits": [appointment(confirmed=True), appointment("2026-03-03T10:30:00Z")]}
    text = render("visit_reminder", "sms", "+31201", said, base_url="https://docket.test", keys=KEYS).text
    assert text.startswith("Harbour Lane Clinic. Reminder: Tuesday 3 March 2026, 09:30, Dr. Bob Brown. http")
    assert text.count("Are you coming?") == 1


def test_mails_about_accounts_need_no_name_and_contain_their_links() -> None:
    said = values()
    confirm = mail("confirm_email", {"user_id": 7, "email": "alice@docket.example", "clinic": said["clinic"]})
    reset = mail("password_reset", {"nonce": "abc", "name": "Alice", "clinic": said["clinic"]})
    for part in (confirm.text, confirm.html):
        (token,) = set(re.findall(r"/email/confirm/([\w.=-]+)", part))
        assert unsign(KEYS, "confirm-email", token) == [7, "alice@docket.example"]
    for part in (reset.text, reset.html):
        (token,) = set(re.findall(r"/password/reset/([\w.=-]+)", part))
        assert unsign(KEYS, "password", token) == "abc"
    assert (confirm.calendar, reset.method) == ("", "")


def test_a_text_message_is_one_line_without_html() -> None:
    for template in MAILS:
        said = render(template, "sms", "+31 6", values(whose="O’Neill & Söhne"), base_url="https://d.test", keys=KEYS)
        assert said._replace(text="") == Rendered("Harbour Lane Clinic", "", "", "", "", "")
        assert said.text.startswith("Harbour Lane Clinic: O’Neill & Söhne")
        assert "\n" not in said.text
    with pytest.raises(jinja2.TemplateNotFound):
        render("password_reset", "sms", "+31 6", values(), base_url="", keys=KEYS)

"""The copy of a patient's data as a page: sections of rows of labelled values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple

from webapp.appointments.booking import statuses
from webapp.clinic.service import Clinic
from webapp.core import formats, phones
from webapp.core.codes import REASONS
from webapp.i18n import Sentence
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.privacy.own_data import Row, Section
from webapp.staff.audit.words import action_words, role_words
from webapp.staff.messages.log import title_of

TITLES: dict[str, Sentence] = {
    "account": _l("Account"),
    "record": _l("Your details at the clinic"),
    "people": _l("People you book for"),
    "appointments": _l("Appointments"),
    "walk_ins": _l("Walk-ins without an appointment"),
    "messages": _l("Messages"),
    "sign_ins": _l("Where you’re signed in"),
    "consents": _l("Privacy notices you have read"),
    "history": _l("Who viewed or changed your data"),
}
# Keys without a label are for programs, or part of another value.
LABELS: dict[str, Sentence] = {
    "at": _l("When"),
    "starts_at": _l("When"),
    "kind": _l("Message"),
    "action": _l("Action"),
    "name": _l("Name"),
    "patient": _l("Patient"),
    "birth_date": _l("Date of birth"),
    "phone": _l("Phone"),
    "email": _l("Email address"),
    "new_email": _l("New email address"),
    "email_confirmed_at": _l("Confirmed"),
    "has_password": _l("Has a password"),
    "has_calendar_link": _l("Has a private calendar link"),
    "has_own_account": _l("Has their own account"),
    "wants_email": _l("Emails"),
    "wants_sms": _l("Text messages"),
    "booked_for_by": _l("Who books for them"),
    "doctor": _l("Doctor"),
    "visit_type": _l("Visit type"),
    "status": _l("Status"),
    "reason": _l("Reason"),
    "notes": _l("Notes"),
    "alert": _l("Alert for staff"),
    "desk_note": _l("Note for staff"),
    "override_reason": _l("Reason for exception"),
    "squeeze_reason": _l("Squeezed in"),
    "arrived_at": _l("Arrived"),
    "came_at": _l("Arrived"),
    "specialty": _l("Specialty"),
    "urgent": _l("Urgent"),
    "note": _l("Note for staff"),
    "called_at": _l("Called"),
    "private_note": _l("Doctor’s note"),
    "former_notes": _l("Notes of earlier doctors"),
    "cancellation_reason": _l("Reason for cancelling"),
    "reference": _l("Reference"),
    "version": _l("Version"),
    "to": _l("To"),
    "device": _l("Device"),
    "by": _l("By"),
    "address": _l("IP address"),
    "created_at": _l("Since"),
    "last_seen_at": _l("Last active"),
}
_MESSAGE_STATES: dict[str, Sentence] = {
    "waiting": _l("Waiting to be sent"),
    "sending": _l("Being sent"),
    "sent": _l("Sent"),
    "kept": _l("Kept as a file, not sent"),
    "dead": _l("Could not be delivered"),
}

_WALK_IN_STATES: dict[str, Sentence] = {
    "waiting": _l("Waiting"),
    "taken": _l("Got an appointment"),
    "left": _l("Left"),
}


class DataSection(NamedTuple):
    """One section of the page; its rows are read as the page is sent."""

    name: str
    title: str
    rows: Iterator[list[tuple[str, str]]]


def sections_of(found: Iterable[Section], clinic: Clinic) -> Iterator[DataSection]:
    """The sections of the copy in words, in the order in which they are read."""
    for name, rows in found:
        yield DataSection(name, str(TITLES[name]), map(partial(_labelled, name, clinic=clinic), rows))


def _labelled(section: str, row: Row, *, clinic: Clinic) -> list[tuple[str, str]]:
    """The labelled values of a row; empty ones are left out."""
    if section == "appointments":
        row = row | {"cancellation_reason": row["cancellation_reason"] or REASONS.words(row["cancellation_code"])}
    named = ((key, _in_words(section, key, row.get(key), clinic)) for key in LABELS)
    return [(str(LABELS[key]), text) for key, text in named if text]


def _in_words(section: str, key: str, value: Any, clinic: Clinic) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, list):
        return "\n".join(value)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        day = formats.day_month_year(formats.local_date(value, clinic.zone), clinic.zone)
        return f"{day}, {formats.clock(value, clinic.zone)}"
    if isinstance(value, date):
        return formats.day_month_year(value, clinic.zone)
    return _coded(section, key, str(value), clinic)


def _coded(section: str, key: str, value: str, clinic: Clinic) -> str:
    """Codes in words; other texts as they are."""
    if key == "status":
        words = {"messages": _MESSAGE_STATES, "walk_ins": _WALK_IN_STATES}.get(section, statuses.WORDS)
        return str(words.get(value, value))
    if key == "kind":
        return title_of(value)
    if key == "action":
        return action_words(value)
    if key == "by":
        return _("you") if value == "you" else role_words(value) or _("Docket")
    return phones.shown(value, clinic.home_country) if key == "phone" else value

"""A booking that could be made: what a /book address means, and the summary of a chosen time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.core.parsing import instant
from webapp.core.security import is_clean_text
from webapp.core.web import Page
from webapp.doctors import service as doctors
from webapp.exceptions import NotFound
from webapp.scheduling.facts import BookingRequest


def describe_destination(page: Page, address: str) -> str | None:
    """In words, the visit that a /book address would book: shown while the person signs in."""
    path, _mark, query = address.partition("?")
    if path != "/book" or not is_clean_text(query.encode()):
        return None
    values = {name: found[0] for name, found in parse_qs(query).items()}
    start = instant(values.get("starts_at"))
    if start is None:
        return None
    clinic = current_clinic(page)
    try:
        doctor = doctors.get_doctor(page.session, values.get("doctor", ""))
    except NotFound:
        return None
    when = {"day": formats.day_long(start, clinic.zone), "time": formats.clock(start, clinic.zone)}
    return _("%(day)s, %(time)s with %(doctor)s") % {**when, "doctor": doctor.name}


def visit_of(wish: BookingRequest, start: datetime) -> dict[str, Any]:
    """A visit that could be booked, in the shape that the templates' slip wants."""
    return {
        "starts_at": start,
        "ends_at": start + timedelta(minutes=wish.visit_type.minutes),
        "minutes": wish.visit_type.minutes,
        "doctor_name": wish.doctor.name,
        "doctor_tint": wish.doctor.tint,
        "specialty": wish.doctor.specialty,
        "room": wish.doctor.room,
        "visit_type": wish.visit_type.name,
        "preparation": wish.visit_type.preparation,
    }

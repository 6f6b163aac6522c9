"""Describes in words what an address of the booking page would book."""

from __future__ import annotations

from urllib.parse import parse_qs

from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.parsing import instant
from webapp.core.security import is_clean_text
from webapp.core.web import Page
from webapp.doctors import service as doctors
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _


def describe_destination(page: Page, address: str) -> str | None:
    """The appointment that a /book address would book, in words. It is shown while the patient signs in."""
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

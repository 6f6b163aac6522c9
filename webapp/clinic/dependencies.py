"""The clinic, read once a request."""

from __future__ import annotations

from webapp.clinic.service import Clinic, get_clinic
from webapp.core.web import Page


def current_clinic(page: Page) -> Clinic:
    """The clinic whose pages these are."""
    if "clinic" not in page.known:
        page.known["clinic"] = get_clinic(page.session)
    clinic: Clinic = page.known["clinic"]
    return clinic

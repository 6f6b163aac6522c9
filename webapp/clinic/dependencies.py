"""The clinic, read once per request."""

from __future__ import annotations

from webapp.clinic.service import Clinic, get_clinic
from webapp.core.web import Page


def current_clinic(page: Page) -> Clinic:
    """The clinic of this request."""
    if "clinic" not in page.known:
        page.known["clinic"] = get_clinic(page.session)
    clinic: Clinic = page.known["clinic"]
    return clinic

"""Whose hours and time off a page is about: a doctor's own, or those of any doctor where an admin asks.

Every page of hours stands at two addresses, and is one function: under `/schedule` for the doctor, and under
`/admin/doctors/{slug}` for admins.
"""

from __future__ import annotations

from typing import NamedTuple

from webapp.auth.dependencies import signed_in
from webapp.auth.schemas import Actor
from webapp.core.web import Page
from webapp.doctors import hours
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow


class Owner(NamedTuple):
    """The doctor whose times these are, who asks, and the address that all of these pages begin with."""

    actor: Actor
    doctor: DoctorRow
    base: str

    @property
    def own(self) -> bool:
        """Whether somebody looks at their own times."""
        return self.base == "/schedule"


def owner_of(page: Page) -> Owner:
    """Who asks about whose times; the address says it.

    Raises:
        NotSignedIn, Forbidden: the page is not for whoever asks. NotFound: there is no such doctor.
    """
    slug = page.request.path_params.get("slug")
    if slug is None:
        actor = signed_in(page, "doctor")
        return Owner(actor, doctors.get_doctor_of_user(page.session, actor.user_id), "/schedule")
    actor = signed_in(page, "admin")
    doctor = hours.find_doctor(page.session, slug)
    return Owner(actor, doctor, f"/admin/doctors/{doctor.slug}")

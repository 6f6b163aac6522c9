"""The doctor of a page about hours and time off: doctors see their own, admins those of any doctor.

Every page of hours has two addresses for one function: under `/schedule` for the doctor, and under
`/admin/doctors/{slug}` for admins. In the API both use `/doctors/{doctor_id}`.
"""

from __future__ import annotations

from typing import NamedTuple

from webapp.auth.dependencies import signed_in
from webapp.auth.programs.api_access import require_role
from webapp.auth.schemas import Actor
from webapp.core.web import Page
from webapp.doctors import hours
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import Forbidden
from webapp.i18n import gettext as _


class HoursAccess(NamedTuple):
    """The doctor whose times these are, the actor, and the address that all of these pages begin with."""

    actor: Actor
    doctor: DoctorRow
    base: str

    @property
    def own(self) -> bool:
        """Whether the actor looks at their own times."""
        return self.base == "/schedule"


def hours_access(page: Page) -> HoursAccess:
    """The actor and the doctor of this request, from its address.

    Raises:
        NotSignedIn, Forbidden: the page is not for the actor. NotFound: the doctor does not exist.
    """
    slug = page.request.path_params.get("slug")
    if slug is None:
        actor = signed_in(page, "doctor")
        return HoursAccess(actor, doctors.get_doctor_of_user(page.session, actor.user_id), "/schedule")
    actor = signed_in(page, "admin")
    doctor = hours.find_doctor(page.session, slug)
    return HoursAccess(actor, doctor, f"/admin/doctors/{doctor.slug}")


def doctor_of(page: Page, actor: Actor, doctor_id: int) -> DoctorRow:
    """The doctor whose times a program requests: doctors may request their own, admins those of any doctor.

    Raises:
        Forbidden: the times are another doctor's, or a patient asks. NotFound: the doctor does not exist.
    """
    require_role(actor, "doctor", "admin")
    doctor = doctors.get_doctor_by_id(page.session, doctor_id)
    if actor.role == "doctor" and doctors.get_doctor_of_user(page.session, actor.user_id).id != doctor.id:
        raise Forbidden(_("These hours belong to another doctor."), code="another_doctor")
    return doctor

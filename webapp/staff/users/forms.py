"""The forms of the pages about accounts; they check the shape only."""

from __future__ import annotations

from typing import cast

from wtforms import (  # type: ignore[attr-defined]
    EmailField,
    RadioField,
    SearchField,
    SelectChoice,
    StringField,
)
from wtforms.validators import InputRequired

from webapp.auth.queries import UserFilter
from webapp.auth.schemas import Role
from webapp.core.fields import SeenField, SelectField, YesNoField
from webapp.core.forms import DocketForm
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l
from webapp.staff.users.service import ChangeRole, InviteUser

ROLE_NAMES: dict[str, str] = {
    "patient": _l("Patient"),
    "receptionist": _l("Front desk"),
    "doctor": _l("Doctor"),
    "admin": _l("Admin"),
}
# The rights of each role, in one line.
PATIENT_MAY = _l("Patient: books, moves and cancels their own appointments")
DOCTOR_MAY = _l("Doctor: runs their own day, books for patients, and sets their own hours and time off")
DESK_MAY = _l("Front desk: runs everyone’s day, with all appointments and patients, but no doctors’ notes or settings")
ADMIN_MAY = _l("Admin: runs the clinic, with all patients, appointments, settings, accounts and the audit log")


class UserFilterForm(DocketForm):
    """Which accounts to list."""

    q = SearchField(_l("Name or email address"))
    role = SelectField(
        _l("Role"),
        choices=[SelectChoice("", _l("Any")), *(SelectChoice(*each) for each in ROLE_NAMES.items())],
        validate_choice=False,
    )
    access = SelectField(
        _l("Access"),
        choices=[SelectChoice("", _l("Any")), SelectChoice("yes", _l("Active")), SelectChoice("no", _l("Disabled"))],
        validate_choice=False,
    )

    def wanted(self) -> UserFilter:
        """The filter; an unknown value of a choice matches every account."""
        role = cast(Role, self.role.data) if self.role.data in ROLE_NAMES else None
        active = {"yes": True, "no": False}.get(self.access.data or "")
        return UserFilter((self.q.data or "").strip()[:120], role, active)


class TiedForm(DocketForm):
    """A role, and the doctor to whom a doctor’s account belongs."""

    doctor = SelectField(_l("Doctor"))

    def offer(self, doctors: list[tuple[int, str]]) -> None:
        """Set the doctors to choose from."""
        no_doctor = SelectChoice("", _("None: not a doctor’s account"))
        self.doctor.choices = [no_doctor, *(SelectChoice(str(number), name) for number, name in doctors)]

    @property
    def doctor_id(self) -> int | None:
        """The id of the chosen doctor."""
        chosen = self.doctor.data or ""
        return int(chosen) if chosen.isascii() and chosen.isdigit() else None


class InviteForm(TiedForm):
    """A new account for a person who works at the clinic."""

    sentences = {  # noqa: RUF012 - never changed.
        "name": _l("Enter a name of 2 to 120 characters."),
        "email": _l("Enter an email address like name@example.org."),
    }
    name = StringField(_l("Name"), [InputRequired(_l("Enter a name."))])
    email = EmailField(_l("Email address"), [InputRequired(_l("Enter an email address."))])
    role = RadioField(
        _l("Role"),
        [InputRequired(_l("Choose a role."))],
        choices=[
            SelectChoice("receptionist", DESK_MAY),
            SelectChoice("doctor", DOCTOR_MAY),
            SelectChoice("admin", ADMIN_MAY),
        ],
    )

    def command(self) -> InviteUser | None:
        """The command for the service."""
        return self.parse(
            InviteUser,
            name=self.name.data or "",
            email=self.email.data or "",
            role=self.role.data,
            doctor_id=self.doctor_id,
        )


class RoleForm(TiedForm):
    """The role of an account."""

    role = RadioField(
        _l("Role"),
        [InputRequired(_l("Choose a role."))],
        choices=[
            SelectChoice("patient", PATIENT_MAY),
            SelectChoice("receptionist", DESK_MAY),
            SelectChoice("doctor", DOCTOR_MAY),
            SelectChoice("admin", ADMIN_MAY),
        ],
    )
    seen = SeenField()

    def command(self) -> ChangeRole | None:
        """The command for the service."""
        return self.parse(ChangeRole, role=self.role.data, doctor_id=self.doctor_id)


class AccessForm(DocketForm):
    """Whether an account may be signed in to. The new state is named, so sending the form twice does not undo it."""

    access = YesNoField()

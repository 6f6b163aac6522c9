"""The forms of doctors; they check the shape only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from pydantic import BaseModel
from wtforms import (  # type: ignore[attr-defined]
    EmailField,
    RadioField,
    SearchField,
    SelectChoice,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired

from webapp.auth.schemas import Email
from webapp.core import formats
from webapp.core.fields import SeenField, SelectField, WholeNumberField, YesNoField, unix_lines
from webapp.core.forms import CheckboxesField, DocketForm
from webapp.doctors.profiles import TINTS, DoctorProfile
from webapp.i18n import lazy_form_text as _l
from webapp.staff.doctors.squeeze_ins_forms import CHOOSE, squeeze_ins_field

SLOT_STEPS = (5, 10, 15, 20, 30, 40, 45, 60, 90, 120)
TINT_NAMES = (_l("Teal"), _l("Blue"), _l("Amber"), _l("Pink"), _l("Green"), _l("Violet"))

Shown = Literal["active", "inactive", "all"]


class DoctorFilterForm(DocketForm):
    """Which doctors to list."""

    q = SearchField(_l("Name, specialty or room"))
    show = SelectField(
        _l("Bookings"),
        choices=[
            SelectChoice("active", _l("Taking bookings")),
            SelectChoice("inactive", _l("Not taking bookings")),
            SelectChoice("all", _l("All doctors")),
        ],
        validate_choice=False,
    )

    @property
    def text(self) -> str:
        """The search text, cut to the length of the longest name."""
        return (self.q.data or "").strip()[:120]

    @property
    def shown(self) -> Shown:
        """Which doctors to show, by whether they take bookings."""
        return cast(Shown, self.show.data) if self.show.data in ("inactive", "all") else "active"

    @property
    def active(self) -> bool | None:
        """Whether the doctors to show take bookings; None for both kinds."""
        return {"active": True, "inactive": False}.get(self.shown)


class AccountAddress(BaseModel):
    """The e-mail address with which a doctor will sign in."""

    email: Email


class DoctorForm(DocketForm):
    """A doctor's profile, as admins edit it."""

    sentences = {  # noqa: RUF012 - never changed.
        "name": _l("Enter a name of 2 to 120 characters."),
        "specialty": _l("Enter a specialty of 2 to 80 characters."),
        "languages": _l("Enter at most 12 languages, such as English, Dutch."),
        "position": _l("Enter a number from 0 to 9999."),
        "slot_step": _l("Choose one of the intervals."),
        "tint": _l("Choose one of the colours."),
        "squeeze_ins": CHOOSE,
    }
    name = StringField(_l("Name"), [InputRequired(_l("Enter a name."))])
    specialty = StringField(_l("Specialty"), [InputRequired(_l("Enter a specialty."))])
    languages = StringField(_l("Languages"))
    room = StringField(_l("Room"))
    bio = TextAreaField(_l("About"), filters=[unix_lines])
    visit_type_ids = CheckboxesField(_l("Visit types offered"), coerce=int)
    slot_step = SelectField(_l("Appointments start every"), default="30", validate_choice=False)
    squeeze_ins = squeeze_ins_field(_l("Squeeze-ins"))
    tint = RadioField(
        _l("Colour"),
        choices=[SelectChoice(str(tint), name) for tint, name in zip(TINTS, TINT_NAMES, strict=True)],
        default="1",
        validate_choice=False,
    )
    position = WholeNumberField(_l("Position in the list"), [InputRequired(_l("Enter a number, such as 1."))])
    seen = SeenField()

    def offer(self, visit_types: Sequence[tuple[int, str]]) -> None:
        """Set the choices; a step that is saved already is among them."""
        self.visit_type_ids.choices = [SelectChoice(number, name) for number, name in visit_types]
        chosen = str(self.slot_step.data or "")
        own = {int(chosen)} if chosen.isascii() and chosen.isdigit() and 5 <= int(chosen[:4]) <= 240 else set()
        self.slot_step.choices = [
            SelectChoice(str(step), formats.minutes(step)) for step in sorted({*SLOT_STEPS, *own})
        ]

    def command(self) -> DoctorProfile | None:
        """The command for the service."""
        return self.parse(
            DoctorProfile,
            name=self.name.data or "",
            specialty=self.specialty.data or "",
            languages=self.spoken,
            room=self.room.data or "",
            tint=self.tint.data or "",
            slot_step=self.slot_step.data or "",
            squeeze_ins=self.squeeze_ins.data or "0",
            position=self.position.data,
            bio=self.bio.data or "",
            visit_type_ids=sorted(self.visit_type_ids.data or ()),
        )

    @property
    def spoken(self) -> list[str]:
        """The languages, each once; commas separate them."""
        found = [" ".join(language.split()) for language in (self.languages.data or "").split(",")]
        return list(dict.fromkeys(language for language in found if language))


class NewDoctorForm(DoctorForm):
    """A new doctor, with an account where an e-mail address is given."""

    sentences = {  # noqa: RUF012 - never changed.
        **DoctorForm.sentences,
        "email": _l("Enter an email address like name@example.org, or leave this empty."),
    }
    email = EmailField(_l("Email address for their account"))

    def address(self) -> str | None:
        """The account's e-mail address; None if the field is empty or invalid, which puts an error next to it."""
        if not (self.email.data or "").strip():
            return None
        parsed = self.parse(AccountAddress, email=self.email.data)
        return parsed.email if parsed else None


class AccountForm(DocketForm):
    """An account for a doctor who has none."""

    sentences = {"email": _l("Enter an email address like name@example.org.")}  # noqa: RUF012 - never changed.
    email = EmailField(_l("Email address"), [InputRequired(_l("Enter an email address."))])

    def command(self) -> AccountAddress | None:
        """The address."""
        return self.parse(AccountAddress, email=self.email.data or "")


class DoctorActivityForm(DocketForm):
    """Whether a doctor takes bookings. The new state is named, so that sending the form twice does not undo it."""

    active = YesNoField()


def doctor_data(profile: DoctorProfile, seen: str) -> dict[str, Any]:
    """The `data` argument of `DoctorForm` for what is saved."""
    return {
        **profile.model_dump(),
        "languages": ", ".join(profile.languages),
        "tint": str(profile.tint),
        "slot_step": str(profile.slot_step),
        "squeeze_ins": str(profile.squeeze_ins),
        "seen": seen,
    }

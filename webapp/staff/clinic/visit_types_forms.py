"""The forms of visit types; they check the shape only."""

from __future__ import annotations

from collections.abc import Sequence

from wtforms import (  # type: ignore[attr-defined]
    BooleanField,
    RadioField,
    SelectChoice,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired

from webapp.clinic.visit_types import VisitTypeDetails
from webapp.core.fields import SeenField, WholeNumberField, YesNoField, unix_lines
from webapp.core.forms import CheckboxesField, DocketForm
from webapp.core.optimistic_lock import fingerprint
from webapp.doctors.offers import DoctorName, VisitTypeOffer
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l

SUGGESTED_FOR = {
    "new": _l("Patients who are new to the doctor"),
    "returning": _l("Patients who have been to the doctor"),
    "everyone": _l("All patients"),
    "none": _l("Only patients who choose it"),
}
NO_BUFFER = _l("Enter minutes from 0 to 120; 0 means no buffer.")


class VisitTypeForm(DocketForm):
    """A visit type and the doctors who offer it."""

    sentences = {  # noqa: RUF012 - never changed.
        "name": _l("Enter a name of 2 to 80 characters."),
        "minutes": _l("Enter a number of minutes from 5 to 240."),
        "buffer_before": NO_BUFFER,
        "buffer_after": NO_BUFFER,
        "suggested_for": _l("Choose who sees its free times first."),
    }
    name = StringField(_l("Name"), [InputRequired(_l("Enter a name, such as Follow-up."))])
    minutes = WholeNumberField(_l("Length in minutes"), [InputRequired(_l("Enter how many minutes it takes."))])
    buffer_before = WholeNumberField(_l("Buffer before"), [InputRequired(NO_BUFFER)], default=0)
    buffer_after = WholeNumberField(_l("Buffer after"), [InputRequired(NO_BUFFER)], default=0)
    preparation = TextAreaField(_l("Preparation"), filters=[unix_lines])
    suggested_for = RadioField(
        _l("Who sees its free times first?"),
        choices=[SelectChoice(*each) for each in SUGGESTED_FOR.items()],
        default="none",
        validate_choice=False,
    )
    online = BooleanField(_l("Patients can book it online"), default=True)
    named_in_messages = BooleanField(_l("Show its name in messages"))
    doctor_ids = CheckboxesField(_l("Doctors who offer it"), coerce=int)
    seen = SeenField()

    def offer(self, doctors: Sequence[DoctorName]) -> None:
        """Set the doctors to choose from."""
        not_now = _("%(name)s (not taking bookings)")
        self.doctor_ids.choices = [
            SelectChoice(each.id, each.name if each.active else not_now % {"name": each.name}) for each in doctors
        ]

    def command(self) -> VisitTypeOffer | None:
        """The command for the service."""
        details = self.parse(
            VisitTypeDetails,
            name=self.name.data or "",
            minutes=self.minutes.data,
            buffer_before=self.buffer_before.data,
            buffer_after=self.buffer_after.data,
            preparation=self.preparation.data or "",
            suggested_for=self.suggested_for.data or "none",
            online=bool(self.online.data),
            named_in_messages=bool(self.named_in_messages.data),
        )
        if details is None:
            return None
        return VisitTypeOffer(details=details, doctor_ids=sorted(self.doctor_ids.data or ()))


def visit_type_form(saved: VisitTypeOffer) -> VisitTypeForm:
    """The form, filled with what is saved."""
    values = saved.details.model_dump()
    return VisitTypeForm(data={**values, "doctor_ids": saved.doctor_ids, "seen": fingerprint(saved)})


class ActivityForm(DocketForm):
    """Whether something can be booked. The new state is named, so that sending the form twice does not undo it."""

    active = YesNoField()

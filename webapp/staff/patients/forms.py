"""The forms with which staff keep patients' records; they check the shape only."""

from __future__ import annotations

from wtforms import EmailField, HiddenField, SearchField, StringField
from wtforms.validators import InputRequired, Optional

from webapp.core.fields import DayField, PhoneField
from webapp.core.forms import DocketForm
from webapp.core.parsing import whole_number
from webapp.i18n import lazy_form_text as _l
from webapp.patients.forms import NOT_A_DATE, SENTENCES
from webapp.patients.schemas import PatientDetails


class PatientSearchForm(DocketForm):
    """The search text; `next` is kept for staff who came to add a patient and go on."""

    q = SearchField(_l("Find a patient"))


class PatientForm(DocketForm):
    """A patient's data. `seen` is the fingerprint of what the form was opened with."""

    sentences = SENTENCES | {"email": _l("Enter an email address like name@example.org, or leave this empty.")}
    name = StringField(_l("Name"), [InputRequired(_l("Enter the patient’s name."))])
    birth_date = DayField(_l("Date of birth"), [Optional()], unreadable=NOT_A_DATE)
    phone = PhoneField(_l("Phone"))
    email = EmailField(_l("Email address"))
    seen = HiddenField()

    def command(self) -> PatientDetails | None:
        """The command for the service."""
        return self.parse(
            PatientDetails,
            name=self.name.data or "",
            birth_date=self.birth_date.data,
            phone=self.phone.data or "",
            email=(self.email.data or "").strip() or None,
        )


class NewPatientForm(PatientForm):
    """A new patient; `next` is where staff go on with it. There is no saved data to compare with."""

    seen = None  # type: ignore[assignment] # This is how WTForms removes an inherited field.
    next = HiddenField()


class LinkForm(DocketForm):
    """An existing patient, for whom another patient will book."""

    patient = HiddenField()

    def patient_id(self) -> int | None:
        """The id of the patient; None where none is named."""
        return whole_number(self.patient.data)


class AccessForm(DocketForm):
    """Whether the patient's account is to be active: 'yes' or 'no'."""

    active = HiddenField()

"""The forms with which staff keep patients' records: shape only."""

from __future__ import annotations

from wtforms import EmailField, HiddenField, SearchField, StringField, TelField
from wtforms.validators import InputRequired, Optional

from webapp.core.fields import DayField
from webapp.core.forms import DocketForm
from webapp.core.i18n import lazy_form_text as _l
from webapp.core.parsing import whole_number
from webapp.patients.forms import NOT_A_DATE, SENTENCES
from webapp.patients.schemas import PatientDetails


class PatientSearchForm(DocketForm):
    """What is looked for; `next` is kept for whoever came to add a patient and go on."""

    q = SearchField(_l("Find a patient"))


class PatientForm(DocketForm):
    """What is kept about a patient. `seen` is the fingerprint of what the form was opened with."""

    sentences = SENTENCES | {"email": _l("Enter an e-mail address like name@example.org, or leave this empty.")}
    name = StringField(_l("Name"), [InputRequired(_l("Enter the patient’s name."))])
    birth_date = DayField(_l("Date of birth"), [Optional()], unreadable=NOT_A_DATE)
    phone = TelField(_l("Telephone"))
    email = EmailField(_l("E-mail address"))
    seen = HiddenField()

    def command(self) -> PatientDetails | None:
        """The details, as the service takes them."""
        return self.parse(
            PatientDetails,
            name=self.name.data or "",
            birth_date=self.birth_date.data,
            phone=self.phone.data or "",
            email=(self.email.data or "").strip() or None,
        )


class NewPatientForm(PatientForm):
    """A new patient; `next` is where staff go on with it. Of a new patient nobody has seen anything."""

    seen = None  # type: ignore[assignment] # That is how WTForms leaves out a field of the parent.
    next = HiddenField()


class LinkForm(DocketForm):
    """Somebody who is in the books already, to be booked for."""

    patient = HiddenField()

    def patient_id(self) -> int | None:
        """Who is meant; None where nobody is named."""
        return whole_number(self.patient.data)


class AccessForm(DocketForm):
    """Whether the patient's account shall be active: 'yes' or 'no'."""

    active = HiddenField()

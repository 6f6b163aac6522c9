"""The forms with which staff keep patients' records; they check the shape only."""

from __future__ import annotations

from wtforms import EmailField, HiddenField, SearchField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from webapp.appointments.pages.forms import TOO_LONG
from webapp.core.fields import DayField, PhoneField, SeenField, unix_lines
from webapp.core.forms import DocketForm
from webapp.core.parsing import whole_number
from webapp.i18n import lazy_form_text as _l
from webapp.patients.forms import NOT_A_DATE, SENTENCES
from webapp.patients.schemas import PatientDetails, RecordDetails


class PatientSearchForm(DocketForm):
    """The search text; `next` is kept for staff who came to add a patient and go on."""

    q = SearchField(_l("Find a patient"))


class PatientForm(DocketForm):
    """A patient's data. `seen` is the fingerprint of the state that the form showed."""

    sentences = SENTENCES | {"email": _l("Enter an email address like name@example.org, or leave this empty.")}
    name = StringField(_l("Name"), [InputRequired(_l("Enter the patient’s name."))])
    birth_date = DayField(_l("Date of birth"), [Optional()], unreadable=NOT_A_DATE)
    phone = PhoneField(_l("Phone"))
    email = EmailField(_l("Email address"))
    seen = SeenField()

    def command(self) -> PatientDetails | None:
        """The command for the service."""
        return self.parse(
            PatientDetails,
            name=self.name.data or "",
            birth_date=self.birth_date.data,
            phone=self.phone.data or "",
            email=(self.email.data or "").strip() or None,
        )


class NotesFields(DocketForm):
    """The alert and the note of staff about a patient."""

    # The note on an appointment may be on the same page, so the ids have a prefix.
    alert = StringField(_l("Alert"), [Length(max=80, message=TOO_LONG)], id="patient-alert")
    desk_note = TextAreaField(
        _l("Note about the patient"), [Length(max=1000, message=TOO_LONG)], filters=[unix_lines], id="patient-note"
    )


class RecordForm(NotesFields, PatientForm):
    """A patient's data and notes as staff edit them; `back` is the page from which they came."""

    back = HiddenField()

    def record(self) -> RecordDetails | None:
        """The command for the service."""
        details = self.command()
        if details is None:
            return None
        return self.parse(
            RecordDetails, **dict(details), alert=self.alert.data or "", desk_note=self.desk_note.data or ""
        )


class NewPatientForm(PatientForm):
    """A new patient; `next` is the page where staff continue. There is no saved data to compare with."""

    seen = None  # type: ignore[assignment] # This is how WTForms removes an inherited field.
    next = HiddenField()


class LinkForm(DocketForm):
    """An existing patient, for whom another patient will book."""

    patient = HiddenField()

    def patient_id(self) -> int | None:
        """The id of the patient; None if none is named."""
        return whole_number(self.patient.data)


class AccessForm(DocketForm):
    """Whether the patient's account is to be active: 'yes' or 'no'."""

    active = HiddenField()

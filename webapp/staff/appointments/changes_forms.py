"""The forms with which staff change an appointment in place: its texts, and the patient it is for. Shape only."""

from __future__ import annotations

from wtforms import HiddenField, SearchField, StringField, TextAreaField
from wtforms.validators import Length

from webapp.appointments.pages.forms import TOO_LONG
from webapp.appointments.schemas import ChangeWords, GiveToPatient
from webapp.core.fields import VersionField, searched, unix_lines
from webapp.core.forms import DocketForm
from webapp.core.parsing import whole_number
from webapp.i18n import lazy_form_text as _l


class WordsForm(DocketForm):
    """The reason and the note of an appointment; `back` is the page from which the user came."""

    reason = TextAreaField(_l("Reason for the appointment"), [Length(max=500, message=TOO_LONG)], filters=[unix_lines])
    notes = TextAreaField(_l("Notes"), [Length(max=1000, message=TOO_LONG)], filters=[unix_lines])
    version = VersionField()
    back = HiddenField()

    def command(self) -> ChangeWords | None:
        """The change, as the service takes it."""
        return self.parse(
            ChangeWords,
            reason=self.reason.data or "",
            notes=self.notes.data or "",
            version=whole_number(self.version.data),
        )


class RightPatientForm(DocketForm):
    """The search for the right patient, and the choice. `patient` is a radio button of the page."""

    q = SearchField(_l("Find the patient"), filters=[searched])
    patient = HiddenField()
    override_reason = StringField(_l("Reason for exception"), [Length(max=200, message=TOO_LONG)])
    version = VersionField()

    def command(self) -> GiveToPatient | None:
        """The change, as the service takes it; None if no patient is chosen."""
        patient_id = whole_number(self.patient.data)
        if patient_id is None:
            return None
        return self.parse(
            GiveToPatient,
            patient_id=patient_id,
            version=whole_number(self.version.data),
            override_reason=self.override_reason.data or "",
        )

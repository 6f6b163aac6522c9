"""The form of what staff tell each other about a patient; shape only."""

from __future__ import annotations

from wtforms import HiddenField, StringField, TextAreaField
from wtforms.validators import Length

from webapp.appointments.pages.forms import TOO_LONG
from webapp.core.fields import unix_lines
from webapp.core.forms import DocketForm
from webapp.i18n import lazy_form_text as _l
from webapp.patients.schemas import PatientNotes


class PatientNotesForm(DocketForm):
    """The alert and the note about a patient. `back` is the next page after saving."""

    alert = StringField(_l("Alert"), [Length(max=80, message=TOO_LONG)])
    desk_note = TextAreaField(_l("Note for staff"), [Length(max=1000, message=TOO_LONG)], filters=[unix_lines])
    seen = HiddenField()
    back = HiddenField()

    def command(self) -> PatientNotes | None:
        """What to save."""
        return self.parse(PatientNotes, alert=self.alert.data or "", desk_note=self.desk_note.data or "")

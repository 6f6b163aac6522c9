"""The form for the alert and the note about a patient; shape only."""

from __future__ import annotations

from wtforms import HiddenField

from webapp.core.fields import SeenField
from webapp.patients.schemas import PatientNotes
from webapp.staff.patients.forms import NotesFields


class PatientNotesForm(NotesFields):
    """The alert and the note about a patient. `back` is the next page after saving."""

    seen = SeenField()
    back = HiddenField()

    def command(self) -> PatientNotes | None:
        """The command for the service."""
        return self.parse(PatientNotes, alert=self.alert.data or "", desk_note=self.desk_note.data or "")

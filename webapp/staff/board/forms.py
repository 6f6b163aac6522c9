"""The form of the note that staff leave each other on an appointment; shape only."""

from __future__ import annotations

from wtforms import TextAreaField
from wtforms.validators import Length

from webapp.appointments.pages.forms import TOO_LONG
from webapp.appointments.schemas import WriteDeskNote
from webapp.core.fields import SeenField, unix_lines
from webapp.core.forms import DocketForm
from webapp.i18n import lazy_form_text as _l


class DeskNoteForm(DocketForm):
    """The note on an appointment for all staff."""

    desk_note = TextAreaField(_l("Note for staff"), [Length(max=500, message=TOO_LONG)], filters=[unix_lines])
    seen = SeenField()

    def command(self) -> WriteDeskNote | None:
        """The command for the service."""
        return self.parse(WriteDeskNote, desk_note=self.desk_note.data or "", seen=self.seen.data or "")

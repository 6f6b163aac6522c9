"""The forms for the status of an appointment; they check the shape only."""

from __future__ import annotations

from wtforms import HiddenField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length

from webapp.appointments.pages.forms import TOO_LONG
from webapp.appointments.schemas import ChangeStatus, UndoStatus, WriteNote
from webapp.core.fields import SeenField, VersionField, unix_lines
from webapp.core.forms import DocketForm
from webapp.core.parsing import whole_number
from webapp.i18n import lazy_form_text as _l


class StatusForm(DocketForm):
    """A button that changes an appointment's status; `back` is the page with the button."""

    sentences = {"status": _l("This status does not exist.")}  # noqa: RUF012 - never changed.
    status = HiddenField()
    version = VersionField()
    back = HiddenField()

    def command(self) -> ChangeStatus | None:
        """The command for the service; None for an unknown status."""
        return self.parse(ChangeStatus, status=self.status.data or "", version=whole_number(self.version.data))


class UndoForm(DocketForm):
    """A button that undoes the last change of status."""

    version = VersionField()
    back = HiddenField()

    def command(self) -> UndoStatus | None:
        """The command for the service."""
        return self.parse(UndoStatus, version=whole_number(self.version.data))


class NoteForm(DocketForm):
    """The doctor's own note on an appointment."""

    private_note = TextAreaField(_l("Private note"), [Length(max=2000, message=TOO_LONG)], filters=[unix_lines])
    seen = SeenField()
    back = HiddenField()

    def command(self) -> WriteNote | None:
        """The command for the service."""
        return self.parse(WriteNote, private_note=self.private_note.data or "", seen=self.seen.data or "")


class FlagForm(DocketForm):
    """Why a flagged appointment may stay as it is."""

    reason = StringField(
        _l("Reason for keeping it"),
        [
            DataRequired(_l("Enter a reason for keeping it.")),
            Length(max=200, message=_l("This is too long. Use up to %(max)d characters.")),
        ],
    )
    version = VersionField()

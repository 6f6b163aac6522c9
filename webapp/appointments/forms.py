"""The forms of finding, booking, moving and cancelling: shape only."""

from __future__ import annotations

from datetime import datetime

from wtforms import HiddenField, SelectField, StringField, TextAreaField
from wtforms.validators import Length

from webapp.appointments.schemas import BookVisit, CancelVisit, MoveVisit
from webapp.core.forms import DocketForm
from webapp.core.i18n import gettext as _

NO_TIME = _("Choose one of the free times. This address or form did not name a time that we understand.")
TOO_LONG = _("This is too long: at most %(max)d characters.")

MAX_SEARCH = 100


def unix_lines(value: str | None) -> str:
    """Browsers send line breaks as two characters and count them as one; so do we."""
    return (value or "").replace("\r\n", "\n")


def searched(value: str | None) -> str:
    """No name is longer than this, and what is not read needs no time."""
    return (value or "")[:MAX_SEARCH]


class FinderForm(DocketForm):
    """The filters of the list of doctors; each may be empty."""

    q = StringField(_("Doctor’s name"), filters=[searched])
    specialty = SelectField(_("Specialty"), choices=[], validate_choice=False)
    visit_type = SelectField(_("Kind of visit"), choices=[], validate_choice=False)
    language = SelectField(_("Language"), choices=[], validate_choice=False)


class BookForm(DocketForm):
    """A visit being booked. `alternative` is a button that names another time than the one first chosen."""

    sentences = {"starts_at": NO_TIME}  # noqa: RUF012 - nobody changes it.
    doctor = HiddenField()
    visit_type = HiddenField()
    starts_at = HiddenField()
    reason = TextAreaField(_("Reason for the visit"), [Length(max=500, message=TOO_LONG)], filters=[unix_lines])
    notes = TextAreaField(_("Anything we should arrange?"), [Length(max=1000, message=TOO_LONG)], filters=[unix_lines])

    def command(self) -> BookVisit | None:
        """The booking, as the service takes it; None too for a visit type that is no number."""
        if self.visit_type.data and whole_number(self.visit_type.data) is None:
            return None
        return self.parse(
            BookVisit,
            doctor=self.doctor.data or "",
            visit_type_id=whole_number(self.visit_type.data),
            starts_at=self.starts_at.data or "",
            reason=self.reason.data or "",
            notes=self.notes.data or "",
        )


class MoveForm(DocketForm):
    """A visit being moved."""

    sentences = {"starts_at": NO_TIME}  # noqa: RUF012 - nobody changes it.
    starts_at = HiddenField()
    version = HiddenField()

    def command(self) -> MoveVisit | None:
        """The move, as the service takes it."""
        return self.parse(MoveVisit, starts_at=self.starts_at.data or "", version=whole_number(self.version.data))


class CancelForm(DocketForm):
    """A visit being cancelled."""

    reason = TextAreaField(_("Why do you cancel?"), [Length(max=500, message=TOO_LONG)], filters=[unix_lines])
    version = HiddenField()

    def command(self) -> CancelVisit | None:
        """The cancellation, as the service takes it."""
        return self.parse(CancelVisit, reason=self.reason.data or "", version=whole_number(self.version.data))


def whole_number(value: str | None) -> int | None:
    """A number as addresses and hidden fields carry it; None for anything that no id of ours can be."""
    text = value or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def instant(value: str | None) -> datetime | None:
    """An ISO 8601 instant with its offset, in UTC; None for anything else, naive times included."""
    try:
        return MoveVisit(starts_at=value or "").starts_at  # type: ignore[arg-type]
    except ValueError:
        return None

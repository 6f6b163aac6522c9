"""The forms of finding, booking, moving and cancelling: shape only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from wtforms import (  # type: ignore[attr-defined]
    Field,
    HiddenField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Length, Optional

from webapp.appointments.schemas import Booking, Cancellation, ChangeStatus, Move
from webapp.core import formats
from webapp.core.fields import ClockField, DayField, unix_lines
from webapp.core.forms import DocketForm
from webapp.core.i18n import lazy_form_text as _l
from webapp.core.parsing import whole_number
from webapp.doctors.service import VisitTypeRow
from webapp.patients.schemas import PatientChoice

NO_TIME = _l("Choose one of the free times. This address or form did not name a time that we understand.")
TOO_LONG = _l("This is too long: at most %(max)d characters.")
WHY = _l("Say why the rule is set aside.")
WHOM = _l("Choose whom the visit is for.")


class AppointmentForm(DocketForm):
    """A visit being booked, whoever books it."""

    sentences = {"starts_at": NO_TIME}  # noqa: RUF012 - nobody changes it.
    visit_type: Field
    patient: Field
    doctor = HiddenField()
    starts_at = HiddenField()
    reason = TextAreaField(_l("Reason for the visit"), [Length(max=500, message=TOO_LONG)], filters=[unix_lines])
    notes = TextAreaField(_l("Anything we should arrange?"), [Length(max=1000, message=TOO_LONG)], filters=[unix_lines])

    def command(self) -> Booking | None:
        """The booking, as the service takes it; None too for a visit type or a patient that is no number."""
        if self.visit_type.data and whole_number(self.visit_type.data) is None:
            return None
        if self.patient.data and whole_number(self.patient.data) is None:
            self.form_errors.append(WHOM)
            return None
        return self.parse(Booking, **self.values())

    def values(self) -> dict[str, object]:
        """What was chosen and typed, under the names of the schema."""
        return {
            "doctor": self.doctor.data or "",
            "visit_type_id": whole_number(self.visit_type.data),
            "starts_at": self.starts_at.data or "",
            "reason": self.reason.data or "",
            "notes": self.notes.data or "",
            "patient_id": whole_number(self.patient.data),
        }


class BookForm(AppointmentForm):
    """A patient's booking. `alternative` is a button that names another time than the one first chosen."""

    visit_type = HiddenField()
    patient = RadioField(_l("Whom is the visit for?"), choices=[], validate_choice=False)

    def offer(self, choices: Sequence[PatientChoice]) -> None:
        """Let the person choose among these."""
        self.patient.choices = [SelectChoice(str(choice.id), choice.name) for choice in choices]


class OverrideMixin:
    """Staff say why a rule is set aside."""

    override_reason = StringField(_l("Why is the rule set aside?"), [Length(max=200, message=TOO_LONG)])


class WhenForm(DocketForm):
    """Any day and time, on the clinic's wall clock."""

    date = DayField(_l("Date"), [Optional()])
    time = ClockField(_l("Time"), [Optional()])

    def show(self, start: datetime, zone: ZoneInfo) -> None:
        """Put an instant into the fields."""
        local = start.astimezone(zone)
        self.date.data, self.time.data = local.date(), local.time().replace(second=0, microsecond=0)

    @property
    def written(self) -> str | None:
        """'2026-03-27T09:30', once both are there and can be read."""
        if self.date.data is None or self.time.data is None or self.date.errors or self.time.errors:
            return None
        return f"{self.date.data.isoformat()}T{self.time.data:%H:%M}"


class StaffBookForm(OverrideMixin, AppointmentForm, WhenForm):
    """A visit that staff book for a patient. Date, time and kind of visit can be changed on the page.

    `starts_at` and `shown_type` are what the page showed: another one is shown first, and booked then.
    """

    visit_type = SelectField(_l("Kind of visit"), choices=[], validate_choice=False)
    patient = HiddenField()
    shown_type = HiddenField()

    def offer_types(self, kinds: Sequence[VisitTypeRow]) -> None:
        """Let staff choose among the doctor's kinds of visit."""
        self.visit_type.choices = [
            SelectChoice(str(kind.id), f"{kind.name}, {formats.minutes(kind.minutes)}") for kind in kinds
        ]

    def values(self) -> dict[str, object]:
        """What was chosen and typed, with the reason why a rule is set aside."""
        return {**super().values(), "override_reason": self.override_reason.data or ""}


class MoveForm(DocketForm):
    """A visit being moved."""

    sentences = {"starts_at": NO_TIME}  # noqa: RUF012 - nobody changes it.
    starts_at = HiddenField()
    version = HiddenField()

    def command(self) -> Move | None:
        """The move, as the service takes it."""
        return self.parse(Move, **self.values())

    def values(self) -> dict[str, object]:
        """What was chosen, under the names of the schema."""
        return {"starts_at": self.starts_at.data or "", "version": whole_number(self.version.data)}


class StaffMoveForm(OverrideMixin, MoveForm):
    """A visit that staff move, perhaps against a rule."""

    def values(self) -> dict[str, object]:
        """What was chosen, with the reason why a rule is set aside."""
        return {**super().values(), "override_reason": self.override_reason.data or ""}


class CancelForm(DocketForm):
    """A visit being cancelled."""

    reason = TextAreaField(_l("Why do you cancel?"), [Length(max=500, message=TOO_LONG)], filters=[unix_lines])
    version = HiddenField()

    def command(self) -> Cancellation | None:
        """The cancellation, as the service takes it."""
        return self.parse(Cancellation, reason=self.reason.data or "", version=whole_number(self.version.data))


class ConfirmForm(DocketForm):
    """A visit being confirmed."""

    version = HiddenField()

    def command(self) -> ChangeStatus:
        """The confirmation, as the service takes it."""
        return ChangeStatus(status="confirmed", version=whole_number(self.version.data))

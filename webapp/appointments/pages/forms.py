"""The forms of booking, moving and cancelling: shape only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from wtforms import (  # type: ignore[attr-defined]
    BooleanField,
    Field,
    HiddenField,
    RadioField,
    SelectChoice,
    StringField,
    TextAreaField,
)
from wtforms.validators import Length, Optional

from webapp.appointments.schemas import Booking, Cancellation, ChangeStatus, Move
from webapp.core import formats
from webapp.core.fields import ButtonField, ClockField, DayField, SelectField, VersionField, unix_lines
from webapp.core.forms import DocketForm
from webapp.core.parsing import whole_number
from webapp.doctors.service import DoctorRow, VisitTypeRow
from webapp.i18n import lazy_form_text as _l
from webapp.patients.forms import NewPatientForm
from webapp.patients.schemas import PatientChoice

NO_TIME = _l("We couldn’t read the time in that link or form. Choose one of the free times.")
TOO_LONG = _l("This is too long. Use up to %(max)d characters.")
GIVE_REASON = _l("Give a reason for the exception.")
WHY_SQUEEZED = _l("Give a reason for squeezing it in.")
CHOOSE_PATIENT = _l("Choose who this appointment is for.")


class AppointmentForm(DocketForm):
    """An appointment that a patient or staff book."""

    sentences = {"starts_at": NO_TIME}  # noqa: RUF012 - it is never changed.
    visit_type: Field
    patient: Field
    doctor = HiddenField()
    starts_at = HiddenField()
    reason = TextAreaField(_l("Reason for the appointment"), [Length(max=500, message=TOO_LONG)], filters=[unix_lines])
    notes = TextAreaField(
        _l("Do you need us to arrange anything?"), [Length(max=1000, message=TOO_LONG)], filters=[unix_lines]
    )

    def command(self) -> Booking | None:
        """The booking, as the service takes it; None also if a visit type or a patient is not a number."""
        if self.visit_type.data and whole_number(self.visit_type.data) is None:
            return None
        if self.patient.data and whole_number(self.patient.data) is None:
            self.form_errors.append(CHOOSE_PATIENT)
            return None
        return self.parse(Booking, **self.values())

    def values(self) -> dict[str, object]:
        """The chosen and typed values, under the names of the schema."""
        return {
            "doctor": self.doctor.data or "",
            "visit_type_id": whole_number(self.visit_type.data),
            "starts_at": self.starts_at.data or "",
            "reason": self.reason.data or "",
            "notes": self.notes.data or "",
            "patient_id": whole_number(self.patient.data),
        }


class TypedForm(AppointmentForm):
    """An appointment whose visit type can be changed on the page.

    `shown_type` is what the page showed; another one is shown first and booked afterwards.
    """

    visit_type = SelectField(_l("Visit type"), choices=[], validate_choice=False)
    shown_type = HiddenField()

    def offer_types(self, kinds: Sequence[VisitTypeRow]) -> None:
        """Set the doctor's visit types to choose from."""
        self.visit_type.choices = [
            SelectChoice(str(kind.id), f"{kind.name}, {formats.minutes(kind.minutes)}") for kind in kinds
        ]

    @property
    def names_another_type(self) -> bool:
        """Whether another visit type is chosen than the page showed."""
        return (self.shown_type.data or "") not in {"", self.visit_type.data}


class BookForm(TypedForm):
    """A patient's booking. `alternative` is a button that names another time than the chosen one."""

    patient = RadioField(_l("Who is this for?"), choices=[], validate_choice=False)
    confidential = BooleanField(_l("Confidential"))

    def values(self) -> dict[str, object]:
        """The chosen and typed values, and whether another person may see the appointment."""
        return {**super().values(), "confidential": bool(self.confidential.data)}

    def offer(self, choices: Sequence[PatientChoice]) -> None:
        """Set the patients to choose from."""
        self.patient.choices = [SelectChoice(str(choice.id), choice.name) for choice in choices]


class FirstBookingForm(NewPatientForm):
    """A new patient's own data, with the reason for the appointment that they book with it."""

    reason = TextAreaField(_l("Reason for the appointment"), [Length(max=500, message=TOO_LONG)], filters=[unix_lines])


class OverrideMixin:
    """The reason why staff override a rule."""

    override_reason = StringField(_l("Reason for exception"), [Length(max=200, message=TOO_LONG)])


class ExceptionForm(OverrideMixin, DocketForm):
    """The reasons why staff override a rule, and why they squeeze an appointment in.

    The second one counts only with the button next to it, whose `step` is `squeeze`: a time that was taken meanwhile is
    shown first.
    """

    squeeze_reason = StringField(_l("Reason for squeezing in"), [Length(max=200, message=TOO_LONG)])
    step = ButtonField()

    def validate(self, extra_validators: Any = None) -> bool:
        """Whether the form can be carried out; squeezing in needs its reason."""
        fine = super().validate(extra_validators)
        if self._squeezes_in and not (self.squeeze_reason.data or "").strip():
            self.squeeze_reason.errors = [WHY_SQUEEZED]
            return False
        return fine

    @property
    def _squeezes_in(self) -> bool:
        return bool(self.step.data == "squeeze")

    @property
    def reasons(self) -> dict[str, object]:
        """The reasons of staff, under the names of the schemas."""
        return {
            "override_reason": self.override_reason.data or "",
            "squeeze_reason": (self.squeeze_reason.data or "") if self._squeezes_in else "",
        }


class WhenForm(DocketForm):
    """Any day and time, on the clinic's wall clock."""

    date = DayField(_l("Date"), [Optional()])
    time = ClockField(_l("Time"), [Optional()])

    def show(self, start: datetime, zone: ZoneInfo) -> None:
        """Fill the fields with an instant."""
        local = start.astimezone(zone)
        self.date.data, self.time.data = local.date(), local.time().replace(second=0, microsecond=0)

    @property
    def wall_clock(self) -> str | None:
        """'2026-03-27T09:30', if both fields are filled in and valid."""
        if self.date.data is None or self.time.data is None or self.date.errors or self.time.errors:
            return None
        return f"{self.date.data.isoformat()}T{self.time.data:%H:%M}"


class StaffBookForm(ExceptionForm, TypedForm, WhenForm):
    """An appointment that staff book for a patient. Date, time and visit type can be changed on the page.

    `starts_at` is what the page showed; a different choice is shown first and booked afterwards.
    """

    patient = HiddenField()
    confidential = BooleanField(_l("Confidential"))

    def values(self) -> dict[str, object]:
        """The chosen and typed values, with the reasons of staff."""
        return {
            **super().values(),
            **self.reasons,
            "confidential": bool(self.confidential.data),
        }


class MoveForm(DocketForm):
    """An appointment that is moved."""

    sentences = {"starts_at": NO_TIME}  # noqa: RUF012 - it is never changed.
    starts_at = HiddenField()
    version = VersionField()

    def command(self) -> Move | None:
        """The move, as the service takes it."""
        return self.parse(Move, **self.values())

    def values(self) -> dict[str, object]:
        """The chosen values, under the names of the schema."""
        return {"starts_at": self.starts_at.data or "", "version": whole_number(self.version.data)}


class StaffMoveForm(ExceptionForm, MoveForm):
    """An appointment that staff move, possibly against a rule, and perhaps to another doctor or visit type."""

    doctor = HiddenField()
    visit_type = HiddenField()

    def values(self) -> dict[str, object]:
        """The chosen values, with the reasons of staff."""
        target = {"doctor_id": whole_number(self.doctor.data), "visit_type_id": whole_number(self.visit_type.data)}
        return {**super().values(), **target, **self.reasons}


class AnotherForm(WhenForm):
    """Any doctor, visit type, day and time to which staff may move an appointment; doctors and types by id."""

    doctor = SelectField(_l("Doctor"), choices=[], validate_choice=False)
    visit_type = SelectField(_l("Visit type"), choices=[], validate_choice=False)

    def offer(self, listed: Sequence[DoctorRow], kinds: Sequence[VisitTypeRow]) -> None:
        """Set the doctors and the visit types to choose from."""
        self.doctor.choices = [SelectChoice(str(doctor.id), doctor.name) for doctor in listed]
        self.visit_type.choices = [
            SelectChoice(str(kind.id), f"{kind.name}, {formats.minutes(kind.minutes)}") for kind in kinds
        ]


class CancelForm(DocketForm):
    """An appointment that is cancelled."""

    reason = TextAreaField(_l("Why are you cancelling?"), [Length(max=500, message=TOO_LONG)], filters=[unix_lines])
    version = VersionField()

    def command(self) -> Cancellation | None:
        """The cancellation, as the service takes it."""
        return self.parse(Cancellation, reason=self.reason.data or "", version=whole_number(self.version.data))


class ConfirmForm(DocketForm):
    """An appointment that is confirmed."""

    version = VersionField()

    def command(self) -> ChangeStatus:
        """The confirmation, as the service takes it."""
        return ChangeStatus(status="confirmed", version=whole_number(self.version.data))

"""The commands of booking and the data that is read back, shared by pages and API."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, StringConstraints

from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core.local_time import wall_minute, wall_time
from webapp.core.parsing import Instant
from webapp.doctors.lateness import late_by
from webapp.scheduling.models import ACTIVE
from webapp.scheduling.rules import too_late_to_change
from webapp.scheduling.slots import minute_reached, to_minute

Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Notes = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]
# A note of staff on a decision: why a rule was overridden, or why an appointment stays.
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
PrivateNote = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
AppointmentStatus = Literal["scheduled", "confirmed", "arrived", "completed", "no_show", "cancelled"]


class Booking(BaseModel):
    """Book an appointment; the default visit type is the doctor's first, the default patient the actor.

    With `override_reason` staff override the rules that can be overridden. With `squeeze_reason` they squeeze it in
    beside the appointments that have its time, if it is taken and the doctor allows that. If it is `confidential`, the
    person who books for the patient does not see it; staff say so, or patients who book for themselves.
    """

    doctor: str
    visit_type_id: int | None = None
    starts_at: Instant
    reason: Reason = ""
    notes: Notes = ""
    patient_id: int | None = None
    override_reason: Note = ""
    squeeze_reason: Note = ""
    confidential: bool = False


class Move(BaseModel):
    """Move an appointment. `version` is the one that the user saw.

    Staff may override rules and squeeze it in as in `Booking`, and may give it to another doctor or change its visit
    type; None keeps them.
    """

    starts_at: Instant
    doctor_id: int | None = None
    visit_type_id: int | None = None
    version: int | None = None
    override_reason: Note = ""
    squeeze_reason: Note = ""


class Cancellation(BaseModel):
    """Cancel an appointment, with a reason for the doctor if the user gives one."""

    reason: Reason = ""
    version: int | None = None


class ChangeStatus(BaseModel):
    """Set the status of an appointment."""

    status: Literal["confirmed", "arrived", "completed", "no_show"]
    version: int | None = None


class ChangeWords(BaseModel):
    """Change why a patient comes; None leaves a text as it is."""

    reason: Reason | None = None
    notes: Notes | None = None
    version: int | None = None


class Changes(BaseModel):
    """Several changes of an appointment that are made together or not at all; None leaves a value as it is."""

    starts_at: Instant | None = None
    doctor_id: int | None = None
    visit_type_id: int | None = None
    status: AppointmentStatus | None = None
    reason: Reason | None = None
    notes: Notes | None = None
    override_reason: Note = ""
    squeeze_reason: Note = ""
    version: int | None = None

    def moves(self, view: AppointmentView) -> bool:
        """Whether they give the appointment another start, doctor or visit type."""
        names = ("starts_at", "doctor_id", "visit_type_id")
        return any(getattr(self, name) not in (None, getattr(view, name)) for name in names)


class GiveToPatient(BaseModel):
    """Give an appointment to another patient; staff may override rules about that patient with a reason."""

    patient_id: int
    version: int | None = None
    override_reason: Note = ""


class ChangeConfidentiality(BaseModel):
    """Hide an appointment from the person who books for the patient, or show it to them."""

    confidential: bool
    version: int | None = None


class UndoStatus(BaseModel):
    """Undo the last change of an appointment's status."""

    version: int | None = None


class WriteNote(BaseModel):
    """The doctor's private note on an appointment. `seen` is the fingerprint of the note when the form was opened."""

    private_note: PrivateNote = ""
    seen: str = ""


class WriteDeskNote(BaseModel):
    """The note that staff leave each other on an appointment. `seen` is the fingerprint of the one the form showed."""

    desk_note: Reason = ""
    seen: str = ""


def last_change(starts_at: datetime, clinic: Clinic, *, moved_by_clinic: bool) -> datetime:
    """Until when a patient may move or cancel an appointment online.

    If the clinic moved it, the patient did not choose its time, and may change it until it starts.
    """
    return starts_at if moved_by_clinic else starts_at - timedelta(minutes=clinic.change_until_minutes)


class AppointmentView(NamedTuple):
    """One appointment as its page shows it. Instants are UTC; `busy_from` and `busy_until` include the buffers."""

    id: int
    reference: str
    status: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    notes: str
    cancellation_reason: str
    cancellation_code: str
    version: int
    created_at: datetime
    updated_at: datetime
    doctor_id: int
    doctor_slug: str
    doctor_name: str
    doctor_specialty: str
    doctor_room: str
    doctor_tint: int
    doctor_active: bool
    patient_id: int
    patient_name: str
    patient_birth_date: date | None
    patient_user_id: int | None
    visit_type_id: int
    visit_type_name: str
    preparation: str
    private_note: str
    flagged_why: str
    override_reason: str
    previous_status: str | None
    patient_phone: str
    patient_email: str
    named_in_messages: bool
    busy_from: datetime
    busy_until: datetime
    moved_by_clinic: bool
    promised_minute: int
    confidential: bool = False
    lane: int = 0
    squeeze_reason: str = ""
    desk_note: str = ""
    patient_alert: str = ""
    arrived_at: datetime | None = None
    late_minutes: int = 0
    late_on: date | None = None

    @property
    def minutes(self) -> int:
        """Its length in minutes."""
        return to_minute(self.ends_at) - to_minute(self.starts_at)

    def doctor_late_by(self, clinic: Clinic, now: datetime) -> int:
        """By how many minutes its doctor is running late, if that concerns this appointment; else 0."""
        day, today = self.starts_at.astimezone(clinic.zone).date(), clinic.today(now)
        waits = self.status in (*ACTIVE, "arrived") and day == today
        return late_by(self, today) if waits else 0

    def told_at(self, clinic: Clinic) -> datetime:
        """The instant at which the clinic's clock shows the time that the patient was told.

        It is the start, unless the clocks have changed since.
        """
        if self.promised_minute == wall_minute(self.starts_at, clinic.zone):
            return self.starts_at
        return wall_time(self.promised_minute).replace(tzinfo=clinic.zone).astimezone(UTC)

    def whose(self, actor: Actor) -> str | None:
        """The patient's name if the actor is another person, otherwise None."""
        is_own = self.patient_id == actor.patient_id if actor.by_link else self.patient_user_id == actor.user_id
        return None if is_own else self.patient_name

    def is_active(self, now: datetime) -> bool:
        """Whether it is upcoming and not cancelled."""
        return self.status in ACTIVE and self.starts_at > now

    def may_change(self, actor: Actor, clinic: Clinic, now: datetime) -> bool:
        """Whether this actor may move or cancel it now. The pages' buttons and the routes both ask here.

        Staff may also correct an appointment whose time has come.
        """
        if actor.is_staff:
            return self.status in ACTIVE
        return self.is_active(now) and not self.is_too_late(clinic, now)

    def is_too_late(self, clinic: Clinic, now: datetime) -> bool:
        """Whether it is too late for the patient to make changes."""
        return too_late_to_change(
            starts=to_minute(self.starts_at),
            now=minute_reached(now),
            change_until=0 if self.moved_by_clinic else clinic.change_until_minutes,
        )


class OwnAppointment(NamedTuple):
    """One appointment as a patient's list shows it. Instants are UTC.

    `names_patient`: the list says whose appointment it is, because its reader also books for other people.
    """

    reference: str
    status: str
    starts_at: datetime
    ends_at: datetime
    doctor_name: str
    visit_type_name: str
    patient_name: str
    names_patient: bool

    @property
    def minutes(self) -> int:
        """Its length in minutes."""
        return to_minute(self.ends_at) - to_minute(self.starts_at)

"""Events: small frozen facts about what happens at the clinic, for handlers in other modules.

An event carries ids, and data that its handlers can no longer read from the database: the previous state, the clinic's
reason, and who did it. It holds no text that a person wrote, except text that its handlers must find to replace or
delete it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

ScheduleChange = Literal[
    "working_hours",
    "extra_hours",
    "time_off",
    "closures",
    "opening_hours",
    "booking_rules",
    "time_zone",
    "visit_type",
    "doctor",
]


class DoneBy(NamedTuple):
    """The person who caused an event, and in which role.

    Without an account (`account_id` is None) it is a client with a link that was sent to the patient `patient_id`.
    """

    account_id: int | None
    role: str
    name: str
    patient_id: int | None = None

    @property
    def is_staff(self) -> bool:
        """Whether a member of the clinic's staff did it."""
        return self.role != "patient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The fields of all events."""

    by: DoneBy


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentEvent(Event):
    """The fields of all events about one appointment."""

    appointment_id: int
    doctor_id: int
    patient_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentBooked(AppointmentEvent):
    """An appointment was booked. `in_person`: the patient is at the desk and hears of it there."""

    in_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentMoved(AppointmentEvent):
    """An appointment was moved. `before` is the start that was promised, in UTC. `why` is the clinic's reason, or ''.

    If staff gave it to another doctor or changed its visit type, the `former_…` fields have the earlier values;
    `doctor_id` is the present doctor. The status becomes `scheduled` again, unless only the visit type changed; there
    is no separate event for that.
    """

    before: datetime
    why: str = ""
    former_doctor_id: int | None = None
    former_visit_type_id: int | None = None
    former_minutes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentHourKept(AppointmentEvent):
    """The clinic's clock has changed, and the appointment keeps its hour: its instant changed from `before`, in UTC."""

    before: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentHourChanged(AppointmentEvent):
    """The clinic's clock has changed, and the appointment keeps its instant: the clock shows another hour for it.

    `before` is the instant at which the changed clock shows the hour that the patient was told.
    """

    before: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentCancelled(AppointmentEvent):
    """An appointment was cancelled. `why` is the clinic's reason, or ''; `in_person` as in `AppointmentBooked`."""

    why: str = ""
    in_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentReassigned(AppointmentEvent):
    """An appointment was given to the right patient, `patient_id`; it was booked for another one.

    `in_person` has the same meaning as in `AppointmentBooked`.
    """

    in_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentStatusChanged(AppointmentEvent):
    """The status of an appointment changed from `before` to `after`, by a step forward or by undoing the last step.

    Booking, moving and cancelling have their own events; undoing a cancellation has this one.
    """

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFreed(Event):
    """A span of a doctor's time, buffers included, is no longer taken. Instants are UTC; the span may be past."""

    doctor_id: int
    busy_from: datetime
    busy_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRanLate(Event):
    """Someone entered by how many minutes a doctor is late today; 0 means on time again."""

    doctor_id: int
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientJoined(Event):
    """A patient's record was created; `managed_by` is the patient who books for them, or None."""

    patient_id: int
    managed_by: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAddressChanged(Event):
    """An account has another e-mail address. `before` is the old one."""

    user_id: int
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactChanged(Event):
    """A patient is reached by e-mail or text message under another address or number; `before` is the old one.

    If the patient has an account, a change of the e-mail address is an `AccountAddressChanged` instead.
    """

    patient_id: int
    channel: Literal["email", "sms"]
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountErased(Event):
    """An account is deleted: each room removes its references, and the last handler deletes the row."""

    user_id: int
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientErased(Event):
    """A patient is erased: each room blanks texts that name the person or say anything about their health. `words` are
    the person's name, addresses and numbers, in every stored spelling. `addresses` are those that reach no other
    person.
    """

    patient_id: int
    appointment_ids: tuple[int, ...]
    words: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChanged(Event):
    """A change of `what` affects the free times of these doctors, in order of id; None means all doctors."""

    what: ScheduleChange
    doctor_ids: tuple[int, ...] | None = None


EVENTS: tuple[type[Event], ...] = (
    AppointmentBooked,
    AppointmentMoved,
    AppointmentHourKept,
    AppointmentHourChanged,
    AppointmentCancelled,
    AppointmentReassigned,
    AppointmentStatusChanged,
    TimeFreed,
    DoctorRanLate,
    PatientJoined,
    AccountAddressChanged,
    ContactChanged,
    AccountErased,
    PatientErased,
    ScheduleChanged,
)
"""All kinds of event."""

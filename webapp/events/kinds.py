"""What happens at the clinic, as small frozen facts that other rooms hear of.

An event carries ids, and what its handlers cannot read back from the database: what was true before, why the clinic
did it, and who did it. It knows no room above, and holds nothing that a person wrote.
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
    """Who did it, and in which role.

    Without an account (`account_id` is None) it is the holder of a link that was sent to the patient `patient_id`.
    """

    account_id: int | None
    role: str
    name: str
    patient_id: int | None = None

    @property
    def is_staff(self) -> bool:
        """Whether a person who works at the clinic did it."""
        return self.role != "patient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events say."""

    by: DoneBy


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentEvent(Event):
    """What all events about one appointment say."""

    appointment_id: int
    doctor_id: int
    patient_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentBooked(AppointmentEvent):
    """An appointment was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentMoved(AppointmentEvent):
    """An appointment has another start: `before` is the old one, in UTC. `why` is the clinic's reason, or ''.

    Its status is `scheduled` again, which no event of its own says.
    """

    before: datetime
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentCancelled(AppointmentEvent):
    """An appointment was cancelled. `why` is the clinic's reason, or ''."""

    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointmentStatusChanged(AppointmentEvent):
    """An appointment has the status `after`, and had `before`: by a step forward, or because the last step was undone.

    Booking, moving and cancelling have events of their own; taking a cancellation back has this one.
    """

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFreed(Event):
    """A stretch of a doctor's time, buffers included, is no longer taken. Instants are UTC; it may be over already."""

    doctor_id: int
    busy_from: datetime
    busy_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientJoined(Event):
    """A person has a patient's record now; `managed_by` is the patient who books for them, if there is one."""

    patient_id: int
    managed_by: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChanged(Event):
    """When patients can come has changed, by a change of `what`, for these doctors in order of id; None: for all."""

    what: ScheduleChange
    doctor_ids: tuple[int, ...] | None = None


EVENTS: tuple[type[Event], ...] = (
    AppointmentBooked,
    AppointmentMoved,
    AppointmentCancelled,
    AppointmentStatusChanged,
    TimeFreed,
    PatientJoined,
    ScheduleChanged,
)
"""Every kind that is published."""

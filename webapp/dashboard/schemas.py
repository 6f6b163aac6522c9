"""The data of the overview."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple


class FlaggedAppointment(NamedTuple):
    """One appointment that needs a decision, and why. `starts_at` is UTC."""

    reference: str
    starts_at: datetime
    patient_name: str
    doctor_name: str
    why: str


class Unreachable(NamedTuple):
    """A patient with a future appointment who cannot be called or written to."""

    patient_id: int
    name: str
    starts_at: datetime


class UnreadablePhone(NamedTuple):
    """A patient whose stored telephone number is no complete one."""

    patient_id: int
    name: str
    phone: str


class GrownUpPatient(NamedTuple):
    """A young person without their own contact details, and when their guardian loses access, or lost it."""

    patient_id: int
    name: str
    until: datetime


class UndeliveredMessage(NamedTuple):
    """A patient with a future appointment whose last message to one of their current addresses failed for good."""

    patient_id: int
    name: str
    address: str
    why: str
    starts_at: datetime


class DoctorToday(NamedTuple):
    """A doctor's day in numbers; `free` counts the starts that can still be booked online."""

    slug: str
    name: str
    tint: int
    appointments: int
    seen: int
    waiting: int
    free: int
    ends_at: datetime | None


class Today(NamedTuple):
    """The clinic's day in numbers, all doctors together."""

    booked: int
    seen: int
    due: int
    waiting: int
    no_shows: int
    cancelled: int
    free: int
    doctors: list[DoctorToday]


class WeekCounts(NamedTuple):
    """One week's appointments: how many there were or are, and how many patients did not come."""

    monday: date
    appointments: int
    no_shows: int


class SetupState(NamedTuple):
    """The parts of the setup that a booking needs; False is still to be done."""

    opening_hours: bool
    visit_types: bool
    doctors: bool
    working_hours: bool

    @property
    def is_done(self) -> bool:
        """Whether a patient could book."""
        return all(self)


class OverviewCounts(NamedTuple):
    """The figures that the overview only counts: appointments of tomorrow that are not confirmed, messages that were
    given up, and pairs of records that may be of one person. `decisions`: some are not carried out yet.
    """

    setup: SetupState
    decisions: bool
    unconfirmed: int
    dead: int
    pairs: int

"""Which status may follow which, and when. The pages' buttons and the service both ask here, so they always agree.

Booking and moving set `scheduled`, and cancelling sets `cancelled`; these follow other rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.i18n import Sentence
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.scheduling.models import ACTIVE
from webapp.scheduling.slots import Minute, to_minute

WORDS = {
    "scheduled": _l("Scheduled"),
    "confirmed": _l("Confirmed"),
    "arrived": _l("Arrived"),
    "completed": _l("Completed"),
    "no_show": _l("No-show"),
    "cancelled": _l("Cancelled"),
}
# A patient who has waited for this many minutes stands out.
LONG_WAIT = 15
# A patient who arrived longer ago has gone home, and was never marked as seen.
LONGEST_WAIT = 12 * 60
# A patient reads that the appointment is completed; the front desk and the doctor say that the patient was seen.
STAFF_WORDS = WORDS | {"completed": _l("Seen")}


class AppointmentState(Protocol):
    """The parts of an appointment that decide which status it may take."""

    @property
    def status(self) -> str:
        """The present status."""

    @property
    def previous_status(self) -> str | None:
        """The status that an undo restores."""

    @property
    def starts_at(self) -> datetime:
        """When the appointment begins, in UTC."""


class ArrivalState(Protocol):
    """The parts of an appointment that say whether its patient is waiting."""

    @property
    def status(self) -> str:
        """The present status."""

    @property
    def arrived_at(self) -> datetime | None:
        """When the patient arrived, in UTC."""


class Wait(NamedTuple):
    """The minutes since a patient arrived, and whether that is a long time."""

    minutes: int
    long: bool


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: a status, those it may follow, when it is possible, and the message if it is too early.

    `by_link`: a client with the appointment's link may also set this status, as long as the appointment is upcoming.
    """

    status: str
    comes_from: tuple[str, ...]
    in_time: Callable[[datetime, Clinic, datetime], bool]
    too_early: Sentence | None = None
    by_link: bool = False


def _always(_starts_at: datetime, _clinic: Clinic, _now: datetime) -> bool:
    return True


def _on_its_day(starts_at: datetime, clinic: Clinic, now: datetime) -> bool:
    return formats.local_date(starts_at, clinic.zone) == clinic.today(now)


def _begun(starts_at: datetime, _clinic: Clinic, now: datetime) -> bool:
    return starts_at <= now


_STEPS = {
    step.status: step
    for step in (
        Transition("arrived", ACTIVE, _on_its_day, _l("A patient can only arrive on the day of the appointment.")),
        Transition(
            "completed",
            (*ACTIVE, "arrived"),
            _begun,
            _l("A patient can’t be marked as seen before the appointment starts."),
        ),
        Transition("confirmed", ("scheduled",), _always, by_link=True),
        Transition("no_show", ACTIVE, _begun, _l("An appointment can’t be a no-show before it starts.")),
    )
}


def possible_statuses(appointment: AppointmentState, actor: Actor, clinic: Clinic, now: datetime) -> list[str]:
    """The statuses that this actor may set now, most likely first; empty for patients.

    Patients confirm through the link in a message.
    """
    ahead = appointment.starts_at > now
    return [
        step.status
        for step in _STEPS.values()
        if appointment.status in step.comes_from
        and (actor.is_staff or (actor.by_link and step.by_link and ahead))
        and step.in_time(appointment.starts_at, clinic, now)
    ]


def why_not(appointment: AppointmentState, status: str) -> str:
    """The message for a status that the appointment cannot take now."""
    step = _STEPS.get(status)
    if step is not None and step.too_early is not None and appointment.status in step.comes_from:
        return str(step.too_early)
    words = {"now": word_of(appointment.status, staff=True), "wanted": word_of(status, staff=True)}
    return _("The status of this appointment can’t change from “%(now)s” to “%(wanted)s”.") % words


def may_take_place(status: str) -> bool:
    """Whether an appointment with this status is still to take place, so that it can be moved and cancelled."""
    return status in ACTIVE


def wait_of(status: str, arrived: Minute | None, now: Minute) -> Wait | None:
    """How long a patient has been waiting; None if they are not waiting, or it is not known since when."""
    if status != "arrived" or arrived is None or now - arrived > LONGEST_WAIT:
        return None
    return Wait(now - arrived, now - arrived >= LONG_WAIT) if now > arrived else None


def wait_since(appointment: ArrivalState, now: datetime) -> Wait | None:
    """How long the patient of an appointment with instants has been waiting; see `wait_of`."""
    arrived = appointment.arrived_at
    return wait_of(appointment.status, None if arrived is None else to_minute(arrived), to_minute(now))


def may_undo(appointment: AppointmentState, actor: Actor) -> bool:
    """Whether this actor may undo the last change of status."""
    return actor.role != "patient" and appointment.previous_status is not None


def word_of(status: str, *, staff: bool) -> str:
    """The status as staff or patients read it."""
    return str((STAFF_WORDS if staff else WORDS).get(status, status))

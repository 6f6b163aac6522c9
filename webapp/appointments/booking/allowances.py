"""Allowances of staff beyond the rules: exceptions with a reason, and a place beside a taken time.

An appointment is squeezed in only if its time is taken. At a free time it is an ordinary one, and no reason is stored.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol, TypedDict

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.booking.neutral_refusals import refusal_for_reader
from webapp.appointments.schemas import Booking, Move
from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.doctors import service as doctors
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.scheduling import checks, lanes
from webapp.scheduling.exceptions import PatientBusy, Refused, SlotTaken, SqueezeInFull
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.models import OCCUPIES, Appointment
from webapp.scheduling.slots import to_minute
from webapp.scheduling.viewer import Viewer

TAKEN = "slot_taken"
GIVEN_AWAY = _l("Another appointment now has this time, so this one can’t be restored. Book a new time instead.")


class AllowedColumns(TypedDict):
    """The columns of an appointment that say what was allowed."""

    override_reason: str
    lane: int
    squeeze_reason: str


class Allowance(NamedTuple):
    """The rules that staff overrode, and why; the lane, and why the appointment was squeezed in, or ''.

    `if_taken` is the error for an appointment that was squeezed into the same lane at the same moment.
    """

    rules: list[str]
    override_reason: str
    lane: int = 0
    squeeze_reason: str = ""
    if_taken: SlotTaken | None = None

    @property
    def columns(self) -> AllowedColumns:
        """The values of the appointment's columns."""
        return {
            "override_reason": self.override_reason if self.rules else "",
            "lane": self.lane,
            "squeeze_reason": self.squeeze_reason,
        }


class Restorable(Protocol):
    """The values of an appointment that are needed to restore it at its time."""

    @property
    def id(self) -> int: ...
    @property
    def doctor_id(self) -> int: ...
    @property
    def patient_id(self) -> int: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...
    @property
    def busy_from(self) -> datetime: ...
    @property
    def busy_until(self) -> datetime: ...
    @property
    def lane(self) -> int: ...
    @property
    def squeeze_reason(self) -> str: ...


def require_bookable(
    session: Session,
    actor: Actor,
    clinic: Clinic,
    request: BookingRequest,
    command: Booking | Move,
    *,
    viewer: Viewer,
    patient_id: int,
    now: datetime,
) -> Allowance:
    """Check the rules; the refusal says only what the actor may know of the patient. The caller holds the locks.

    The reason for squeezing in also counts for exceptions to other rules, unless staff gave a reason for these.

    Raises:
        SlotTaken, PatientBusy, RuleBroken. SqueezeInNotAllowed, SqueezeInFull: it cannot be squeezed in beside a taken
        time.
    """
    start = command.starts_at
    try:
        broken = checks.require_bookable(
            session,
            clinic,
            request,
            start,
            viewer=viewer,
            override_reason=command.override_reason,
            squeeze_reason=command.squeeze_reason,
            now=now,
        )
    except Refused as error:
        told = refusal_for_reader(session, actor, clinic, patient_id, request, start, error)
        if told is error:
            raise
        raise told from error
    if TAKEN not in broken:
        return Allowance(broken, command.override_reason)
    return Allowance(
        rules=[code for code in broken if code != TAKEN],
        override_reason=command.override_reason or command.squeeze_reason,
        lane=lanes.lane_beside(session, request.doctor, request.span_at(to_minute(start)), ignoring=viewer.moving),
        squeeze_reason=command.squeeze_reason,
        if_taken=SqueezeInFull(request.doctor.name, request.doctor.squeeze_ins),
    )


def place_again(session: Session, view: Restorable) -> dict[str, object]:
    """The columns of an appointment that is restored at its time. At a free time it gets lane 0, also if it was
    squeezed in before. If its lane is free it may share its time with one other appointment, and with more if the
    doctor allows that now.

    Raises:
        SlotTaken: its time was given to another one. PatientBusy: the patient has another one then.
        SqueezeInNotAllowed, SqueezeInFull: it was squeezed in, and its time cannot be shared with the present
        appointments.
    """
    _require_patient_free(session, view)
    span = to_minute(view.busy_from), to_minute(view.busy_until)
    busy = lanes.busy_lanes(session, view.doctor_id, span, ignoring=view.id)
    if not busy:
        return {"lane": 0, "squeeze_reason": ""}
    doctor = doctors.get_doctor_by_id(session, view.doctor_id)
    if view.lane not in busy and len(busy) <= max(1, doctor.squeeze_ins):
        return {}
    if not view.squeeze_reason:
        raise SlotTaken(str(GIVEN_AWAY))
    return {"lane": lanes.lane_beside(session, doctor, span, ignoring=view.id)}


def _require_patient_free(session: Session, view: Restorable) -> None:
    other = sa.select(Appointment.id).where(
        Appointment.patient_id == view.patient_id,
        Appointment.starts_at < view.ends_at,
        Appointment.ends_at > view.starts_at,
        OCCUPIES,
        Appointment.id != view.id,
    )
    if session.scalar(other.limit(1)) is not None:
        raise PatientBusy(_("The patient has another appointment at that time."))


def record(session: Session, actor: Actor, appointment_id: int, allowed: Allowance, *, now: datetime) -> None:
    """Write audit rows of the rules that staff overrode, and that the appointment was squeezed in.

    The rows leave out the reasons, which may concern the patient's health; they are stored with the appointment.
    """
    subject = ("appointment", appointment_id)
    if allowed.rules:
        details = {"rules": allowed.rules}
        audit.record_by(session, actor, "rule_overridden", subject=subject, now=now, details=details)
    if allowed.squeeze_reason:
        audit.record_by(session, actor, "squeezed_in", subject=subject, now=now)

"""Explains why a time is not offered: lists every rule that refuses it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.clinic.service import get_clinic
from webapp.core import formats
from webapp.core.parsing import typed_instants
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import NotFound
from webapp.scheduling import checks
from webapp.scheduling.busy_times import LONGEST_MINUTES, BusyTime
from webapp.scheduling.exceptions import sentence_of
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.models import LONGEST_HOURS, OCCUPIES, Appointment
from webapp.scheduling.slots import to_minute
from webapp.scheduling.viewer import Viewer


class Explanation(NamedTuple):
    """One instant in words, with the code and sentence of each rule that refuses it.

    `in_the_way` maps the code of a rule to the references of the appointments that clash.
    """

    title: str
    refusals: list[tuple[str, str]]
    starts_at: datetime
    in_the_way: dict[str, list[str]]


def explain(session: Session, slug: str, time: str, visit_type: str | None, *, now: datetime) -> list[Explanation]:
    """The answers for a time as a person types it: two if the clocks go back and the time occurs twice.

    Raises:
        Invalid: the time cannot be read, or the clocks skip it. NotFound: no such doctor or visit type.
    """
    doctor = doctors.get_doctor(session, slug)
    request = checks.find_booking_request(session, doctor, _visit_type_id(doctor, visit_type))
    return explain_request(session, request, time, now=now)


def explain_request(
    session: Session,
    request: BookingRequest,
    time: str,
    *,
    now: datetime,
    patient_id: int | None = None,
    to_staff: bool = False,
) -> list[Explanation]:
    """The answers for this visit type and doctor, and for a certain patient if one is given.

    The answers say what patients are offered. `to_staff` words them for staff and names the appointments that clash.

    Raises:
        Invalid: the time cannot be read, or the clocks skip it.
    """
    clinic = get_clinic(session)
    answers = []
    for instant in typed_instants(time, clinic.zone):
        local = instant.astimezone(clinic.zone)
        when = f"{formats.day_full(instant, clinic.zone)}, {local:%H:%M %Z}"
        found = checks.find_refusals(session, clinic, request, instant, now=now, viewer=Viewer(patient_id))
        refusals = [(refusal.code, sentence_of(refusal, by_staff=to_staff)) for refusal in found]
        in_the_way = {}
        if to_staff:
            in_the_way = {
                code: _in_the_way(session, request, instant, code, patient_id, clinic.patient_gap_minutes)
                for code, _sentence in refusals
                if code in CLASHES
            }
        answers.append(
            Explanation(f"{request.doctor.name}, {request.visit_type.name}, {when}:", refusals, instant, in_the_way)
        )
    return answers


CLASHES = ("slot_taken", "patient_overlap", "patient_gap")
# An appointment that began longer ago is over, including its buffers and any gap.
LONGEST_AGO = timedelta(hours=LONGEST_HOURS * 2)


def _in_the_way(
    session: Session, request: BookingRequest, starts_at: datetime, code: str, patient_id: int | None, gap: int
) -> list[str]:
    """The references of the appointments that the new one would clash with, in order of time."""
    kind = request.visit_type
    ends_at = starts_at + timedelta(minutes=kind.minutes)
    query = sa.select(Appointment.reference).where(OCCUPIES, Appointment.busy_from > starts_at - LONGEST_AGO)
    if code == "slot_taken":
        start, end = to_minute(starts_at) - kind.buffer_before, to_minute(ends_at) + kind.buffer_after
        query = query.join(BusyTime, BusyTime.appointment_id == Appointment.id).where(
            BusyTime.doctor_id == request.doctor.id,
            BusyTime.from_minute > start - LONGEST_MINUTES,
            BusyTime.from_minute < end,
            BusyTime.until_minute > start,
        )
    else:
        margin = timedelta(minutes=gap if code == "patient_gap" else 0)
        query = query.where(
            Appointment.patient_id == patient_id,
            Appointment.starts_at < ends_at + margin,
            Appointment.ends_at > starts_at - margin,
        )
    return list(session.scalars(query.order_by(Appointment.starts_at)))


def _visit_type_id(doctor: DoctorRow, wanted: str | None) -> int | None:
    if wanted is None:
        return None
    for kind in doctor.visit_types:
        if wanted.casefold() == kind.name.casefold():
            return kind.id
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 9):
        raise NotFound(f"{doctor.name} does not offer a visit type named “{wanted}”.")
    return int(wanted)

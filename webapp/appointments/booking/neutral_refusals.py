"""Refusals for a guardian who books at the time of a confidential appointment: they do not say that the patient is
busy.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.exceptions import AppError
from webapp.i18n import gettext as _
from webapp.patients import service as patients
from webapp.scheduling.exceptions import SlotTaken
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.models import OCCUPIES, Appointment

ABOUT_OTHER_APPOINTMENTS = {"patient_overlap", "patient_busy", "patient_gap"}


def refusal_for_reader(
    session: Session,
    actor: Actor,
    clinic: Clinic,
    patient_id: int,
    request: BookingRequest,
    starts_at: datetime,
    error: AppError,
) -> AppError:
    """The refusal of this start as the actor may read it, without details of the patient's day that they must not
    know.
    """
    if error.code not in ABOUT_OTHER_APPOINTMENTS or actor.is_staff or actor.by_link:
        return error
    if patients.find_own_patient(session, actor) == patient_id:
        return error
    gap = timedelta(minutes=clinic.patient_gap_minutes)
    ends_at = starts_at + timedelta(minutes=request.visit_type.minutes)
    hidden = sa.select(Appointment.id).where(
        Appointment.patient_id == patient_id,
        Appointment.confidential.is_(True),
        OCCUPIES,
        Appointment.starts_at < ends_at + gap,
        Appointment.ends_at > starts_at - gap,
    )
    if session.scalar(hidden.limit(1)) is None:
        return error
    return SlotTaken(_("That time is not free any more. Choose another time."), field="starts_at")

"""The visit type of a doctor's free times until the patient chooses one.

The clinic says with each visit type to whom it is suggested. A patient who never saw the doctor is new. Programs
that name no type get the doctor's first one instead (`checks.visit_type_for`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.orm import Session

from webapp.doctors.service import DoctorRow, VisitTypeRow
from webapp.scheduling.facts_queries import load_patient_history
from webapp.scheduling.viewer import Viewer

FOR_NEW = ("new", "everyone", "none", "returning")
FOR_RETURNING = ("returning", "everyone", "none", "new")


def doctors_seen(session: Session, viewer: Viewer, *, now: datetime) -> frozenset[int]:
    """The ids of the doctors whom the viewer's patient has seen; empty if no patient is known."""
    return load_patient_history(session, now, now, viewer).doctors_seen if viewer.knows_patient else frozenset()


def suggested_type(
    doctor: DoctorRow, seen: Collection[int], *, by_staff: bool = False, among: Collection[int] = ()
) -> VisitTypeRow | None:
    """The visit type to suggest: one that suits the patient best, and of several the shortest.

    `among` are the ids of the types that a search asks for; without any it asks for all. None if nothing can be booked
    online; staff then get the best of the others.
    """
    kinds = [kind for kind in doctor.visit_types if kind.online and (not among or kind.id in among)]
    if not kinds and by_staff:
        kinds = doctor.visit_types
    order = FOR_RETURNING if doctor.id in seen else FOR_NEW
    return min(kinds, key=lambda kind: order.index(kind.suggested_for), default=None)

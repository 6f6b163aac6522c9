"""Whether a time can be booked: applies the rules to one start, and turns the guard's refusal into an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.clinic.service import Clinic
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow, VisitTypeRow
from webapp.exceptions import NotFound, Unavailable
from webapp.i18n import gettext as _
from webapp.scheduling.exceptions import PatientBusy, RuleBroken, SlotTaken, error_of
from webapp.scheduling.facts import BookingRequest, load_facts
from webapp.scheduling.rules import Refusal, refusals
from webapp.scheduling.slots import to_minute
from webapp.scheduling.viewer import Viewer


def visit_type_for(doctor: DoctorRow, visit_type_id: int | None, *, by_staff: bool) -> VisitTypeRow | None:
    """The doctor's visit type with this id; without an id, the first that can be booked online (staff also get others).

    None if the doctor offers no such type.
    """
    kind = doctor.visit_type(visit_type_id)
    if kind is None and visit_type_id is None and by_staff and doctor.visit_types:
        return doctor.visit_types[0]
    return kind


def find_booking_request(
    session: Session, doctor: DoctorRow, visit_type_id: int | None, *, by_staff: bool = False
) -> BookingRequest:
    """A request for this doctor; without an id, for their default visit type.

    A visit type that this doctor does not offer is marked as not `offered`.

    Raises:
        NotFound: there is no such visit type.
    """
    kind = visit_type_for(doctor, visit_type_id, by_staff=by_staff)
    if kind is not None:
        return BookingRequest(doctor, kind)
    other = doctors.find_visit_type(session, visit_type_id) if visit_type_id is not None else None
    if other is None:
        raise NotFound(_("Visit type not found."))
    return BookingRequest(doctor, other, offered=False)


def find_refusals(
    session: Session,
    clinic: Clinic,
    request: BookingRequest,
    starts_at: datetime,
    *,
    now: datetime,
    viewer: Viewer,
) -> Iterator[Refusal]:
    """Every rule that refuses this start, most fundamental first."""
    day = starts_at.astimezone(clinic.zone).date()
    facts = load_facts(session, clinic, [request], day, day, now=now, viewer=viewer)
    return refusals(facts[request.doctor.id], to_minute(starts_at))


def require_bookable(
    session: Session,
    clinic: Clinic,
    request: BookingRequest,
    starts_at: datetime,
    *,
    now: datetime,
    viewer: Viewer,
    override_reason: str = "",
    squeeze_reason: str = "",
) -> list[str]:
    """Raise the first refusal as an error; return the codes of the rules that staff override with their reason.

    A start that is not a whole minute is off every grid. For staff, rules that cannot be overridden come first. If
    staff squeeze an appointment in, a taken time does not refuse it: `slot_taken` is then among the codes, and the
    caller looks for the lane. Their reason also counts for the other rules.
    """
    if starts_at.second or starts_at.microsecond:
        raise RuleBroken(_("Appointments start on a whole minute."), code="off_grid", field="starts_at")
    found = find_refusals(session, clinic, request, starts_at, now=now, viewer=viewer)
    if not viewer.by_staff:
        for refusal in found:
            raise error_of(refusal)
        return []
    broken = sorted(found, key=lambda refusal: refusal.overridable)
    squeezes = bool(squeeze_reason) and any(refusal.code == "slot_taken" for refusal in broken)
    for refusal in broken:
        if squeezes and (refusal.code == "slot_taken" or refusal.overridable):
            continue
        if not (override_reason and refusal.overridable):
            raise error_of(refusal, by_staff=True)
    return [refusal.code for refusal in broken]


@contextmanager
def guarded(if_taken: SlotTaken | None = None) -> Iterator[None]:
    """Turn the database's refusal of an overlap into the matching error, for the doctor's time into `if_taken`."""
    try:
        yield
    except IntegrityError as error:
        text = str(error.orig)
        if "busy_times_doctor_overlap" in text:
            message = _("That time is taken by another appointment. Choose another time.")
            raise if_taken or SlotTaken(message, field="starts_at") from error
        if "reference" in text:
            # Two references were the same, which happens once in a million million.
            raise Unavailable(_("That did not work. Please try again.")) from error
        if "appointments_patient_overlap" in text:
            message = _("The patient has another appointment at that time. Choose another time.")
            raise PatientBusy(message, field="starts_at") from error
        raise

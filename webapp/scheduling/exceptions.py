"""The reasons why a time cannot be booked."""

from __future__ import annotations

from webapp.core import formats
from webapp.exceptions import AppError, Conflict, Invalid
from webapp.i18n import Sentence, ngettext
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.scheduling.rules import Refusal


class Refused(AppError):
    """A rule refuses a start. `overridable`: staff may override the rule with a reason."""

    status = 422
    code = "refused"
    overridable = False


class SlotTaken(Conflict, Refused):
    """The doctor's time is taken, wholly or in part."""

    code = "slot_taken"


class SqueezeInNotAllowed(SlotTaken):
    """The doctor's time is taken, and the doctor allows no appointment beside another."""

    code = "squeeze_in_not_allowed"

    def __init__(self, doctor: str) -> None:
        message = _("That time is taken, and %(name)s does not allow squeeze-ins. Choose another time.")
        super().__init__(message % {"name": doctor}, field="starts_at")


class SqueezeInFull(SlotTaken):
    """There are as many appointments at that time as the doctor allows."""

    code = "squeeze_in_full"

    def __init__(self, doctor: str, most: int) -> None:
        message = ngettext(
            "%(name)s allows %(n)d squeeze-in at a time, and that time already has one. Choose another time.",
            "%(name)s allows %(n)d squeeze-ins at a time, and that time already has as many. Choose another time.",
            most,
        )
        super().__init__(message % {"name": doctor, "n": most}, field="starts_at")


class PatientBusy(Conflict, Refused):
    """The patient has another appointment at that time, or one too close to it."""

    code = "patient_busy"


class RuleBroken(Invalid, Refused):
    """A rule refuses the appointment; `code` says which."""


# The rules' sentences address the patient; these are the sentences for staff.
STAFF_SENTENCES = {
    "patient_overlap": _l("The patient already has an appointment at that time."),
    "patient_gap": _l("The patient has another appointment less than %(gap)d minutes away."),
    "too_many_visits": _l("The patient has %(max)d upcoming appointments, which is the limit."),
    "off_grid": _l("That is not one of this doctor’s start times: appointments start every %(step)d minutes."),
    "same_time": _l("The appointment is already at that time."),
    "in_the_past": _l("That time has passed."),
    "too_soon": _l("That is less than the minimum notice of %(notice)s."),
    "too_far_ahead": _l("That is beyond the booking window of %(horizon)s."),
    "closure": _l("The clinic is closed on that day."),
    "clinic_closed": _l("The clinic is not open for the whole appointment."),
    "outside_working_hours": _l("The doctor is not working for the whole appointment."),
    "time_off": _l("The doctor is away at that time."),
    "slot_taken": _l("The doctor has another appointment at that time."),
}


def sentence_of(refusal: Refusal, *, by_staff: bool) -> str:
    """The refusal in words, for the patient or for staff."""
    values: dict[str, object] = dict(refusal.values)
    if "notice" in values:
        values["notice"] = formats.minutes(int(refusal.values["notice"]))
    if "horizon" in values:
        values["horizon"] = formats.days(int(refusal.values["horizon"]))
    for_staff = STAFF_SENTENCES.get(refusal.code) if by_staff else None
    return (for_staff or Sentence(refusal.sentence)) % values


def error_of(refusal: Refusal, *, by_staff: bool = False) -> Refused:
    """The error for a refusal: a conflict if it clashes with another appointment, otherwise invalid input."""
    kind: type[Refused] = RuleBroken
    if refusal.clash:
        kind = SlotTaken if refusal.code == "slot_taken" else PatientBusy
    error = kind(sentence_of(refusal, by_staff=by_staff), code=refusal.code, field="starts_at")
    error.overridable = refusal.overridable
    return error

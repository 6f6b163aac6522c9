"""Why a time cannot be booked, named as facts."""

from __future__ import annotations

from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.exceptions import AppError, Conflict, Invalid
from webapp.scheduling.rules import Refusal


class Refused(AppError):
    """A house rule refuses a start. `overridable`: staff may set that rule aside with a reason."""

    status = 422
    code = "refused"
    overridable = False


class SlotTaken(Conflict, Refused):
    """Somebody else holds the doctor's time, wholly or in part."""

    code = "slot_taken"


class PatientBusy(Conflict, Refused):
    """The patient has another visit then, or one too close to it."""

    code = "patient_busy"


class RuleBroken(Invalid, Refused):
    """A house rule refuses the visit; `code` says which."""


# Where the rules speak to the patient, staff read about the patient.
STAFF_SENTENCES = {
    "patient_overlap": _("The patient already has a visit at that time."),
    "patient_gap": _("The patient has another visit close to that time: less than %(gap)d minutes lie between them."),
    "too_many_visits": _("The patient has %(max)d upcoming visits, which is the most that the rules allow."),
    "off_grid": _("Visits with this doctor start every %(step)d minutes from midnight on."),
    "in_the_past": _("That time has passed."),
    "too_soon": _("That is sooner than patients may book: the rules ask for %(notice)s."),
    "too_far_ahead": _("That is further ahead than visits can be booked yet."),
    "closure": _("The clinic is closed on that day."),
    "clinic_closed": _("The clinic is not open for the whole of that visit."),
    "outside_working_hours": _("The doctor does not work for the whole of that visit."),
    "time_off": _("The doctor is away at that time."),
    "slot_taken": _("That time is taken by another visit of the doctor."),
}


def sentence_of(refusal: Refusal, *, by_staff: bool = False) -> str:
    """The refusal in words, for the patient or for staff."""
    values: dict[str, object] = dict(refusal.values)
    if "notice" in values:
        values["notice"] = formats.minutes(int(refusal.values["notice"]))
    sentence = STAFF_SENTENCES.get(refusal.code, refusal.sentence) if by_staff else refusal.sentence
    return _(sentence) % values


def error_of(refusal: Refusal, *, by_staff: bool = False) -> Refused:
    """The error that a refusal is: a conflict where it clashes with another visit, else invalid input."""
    kind: type[Refused] = RuleBroken
    if refusal.clash:
        kind = SlotTaken if refusal.code == "slot_taken" else PatientBusy
    error = kind(sentence_of(refusal, by_staff=by_staff), code=refusal.code, field="starts_at")
    error.overridable = refusal.overridable
    return error

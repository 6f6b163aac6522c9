"""What can go wrong with appointments, named as facts."""

from __future__ import annotations

from webapp.appointments.rules import Refusal
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.exceptions import AppError, Conflict, Forbidden, Invalid, NotFound


class SlotTaken(Conflict):
    """Somebody else holds the doctor's time, wholly or in part."""

    code = "slot_taken"


class PatientBusy(Conflict):
    """The patient has another visit then, or one too close to it."""

    code = "patient_busy"


class RuleBroken(Invalid):
    """A house rule refuses the visit; `code` says which."""


class ChangedMeanwhile(Conflict):
    """The visit was changed since the page was opened."""

    code = "changed_meanwhile"

    def __init__(self) -> None:
        super().__init__(_("This visit was changed in the meantime. Look at it again before you decide."))


class NotActive(Conflict):
    """The visit is over or cancelled, so there is nothing left to change."""

    code = "not_active"

    def __init__(self) -> None:
        super().__init__(_("This visit can no longer be changed: it is over, or it was cancelled."))


class TooLateToChange(Invalid):
    """The window for moving and cancelling has closed."""

    code = "too_late_to_change"


class NoSuchAppointment(NotFound):
    """There is none with this reference, or it is a stranger's."""

    def __init__(self) -> None:
        super().__init__(_("There is no appointment with this reference in your account."))


class NotAPatient(Forbidden):
    """The account has no patient's record, so it cannot book for itself."""

    code = "not_a_patient"

    def __init__(self) -> None:
        super().__init__(_("Visits are booked with a patient's account. Yours belongs to the clinic's staff."))


def sentence_of(refusal: Refusal) -> str:
    """The refusal in words."""
    values: dict[str, object] = dict(refusal.values)
    if "notice" in values:
        values["notice"] = formats.minutes(int(refusal.values["notice"]))
    return _(refusal.sentence) % values


def error_of(refusal: Refusal) -> AppError:
    """The error that a refusal is: a conflict where it clashes with another visit, else invalid input."""
    message = sentence_of(refusal)
    if not refusal.clash:
        return RuleBroken(message, code=refusal.code, field="starts_at")
    kind = SlotTaken if refusal.code == "slot_taken" else PatientBusy
    return kind(message, code=refusal.code, field="starts_at")

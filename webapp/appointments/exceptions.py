"""What can go wrong with appointments, named as facts."""

from __future__ import annotations

from webapp.appointments.rules import Refusal
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.exceptions import AppError, Conflict, Forbidden, Invalid, NotFound


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


class TooManyChanges(Invalid):
    """Somebody booked and moved online more often than anybody needs to. `retry_after` is in seconds."""

    status = 429
    code = "too_many_changes"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(
            _("You have booked and moved visits very often today. Call the clinic, or wait until tomorrow.")
        )
        self.retry_after = retry_after


class NewBooking(Invalid):
    """A visit keeps its doctor, its kind and its patient; `field` is the one that should be another."""

    code = "new_booking"

    def __init__(self, field: str) -> None:
        message = _("Another doctor, visit type or patient is a new booking: book that one, and cancel this one.")
        super().__init__(message, field=field)


class NothingToChange(Invalid):
    """The request names nothing of a visit that could be changed."""

    code = "nothing_to_change"

    def __init__(self) -> None:
        super().__init__(_("Name what should change: starts_at, status, reason or notes."))


class StatusNotYours(Forbidden):
    """What became of a visit is for the clinic's staff to say; its patient may cancel it."""

    code = "status_not_yours"

    def __init__(self) -> None:
        super().__init__(_("You can cancel the visit. What else becomes of it, only the clinic’s staff say."))


class StatusNotPossible(Invalid):
    """The visit cannot take that status from the one it has, or not yet."""

    code = "status_not_possible"


class NothingToUndo(Conflict):
    """No change of status can be taken back: there was none, it was taken back already, or the visit was moved."""

    code = "nothing_to_undo"

    def __init__(self) -> None:
        super().__init__(_("There is no change of status to undo on this visit."))


class NoSuchAppointment(NotFound):
    """There is none with this reference, or it is a stranger's."""

    def __init__(self) -> None:
        super().__init__(_("There is no appointment with this reference in your account."))


class VisitLinkOver(NotFound):
    """A link in a message that opens no visit: it is incomplete, or its address is nobody's to whom the visit matters.

    `phone` is the clinic's, or ''.
    """

    code = "visit_link_over"
    title = _("This link is not valid any more")
    onward = ((_("See my appointments"), "/appointments"), (_("Find a time"), "/"))

    def __init__(self, phone: str = "") -> None:
        text = _("It is incomplete, or the clinic no longer writes to the address that it was sent to.")
        what_now = _("Sign in to see your visits, or call %(phone)s.") if phone else _("Sign in to see your visits.")
        super().__init__(f"{text} {what_now % {'phone': phone}}")


class NotAPatient(Forbidden):
    """The account has no patient's record, so it cannot book for itself."""

    code = "not_a_patient"

    def __init__(self) -> None:
        super().__init__(_("Visits are booked with a patient's account. Yours belongs to the clinic's staff."))


class OtherDoctorsVisit(Forbidden):
    """Doctors book with themselves; the front desk books with anybody."""

    code = "other_doctors_visit"

    def __init__(self) -> None:
        super().__init__(_("You can book visits with yourself. Ask the front desk for one with another doctor."))


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

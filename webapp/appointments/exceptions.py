"""Errors of appointments."""

from __future__ import annotations

from webapp.exceptions import Conflict, Forbidden, Invalid, NotFound, RetryStatus
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l


class ChangedMeanwhile(Conflict):
    """The appointment was changed after the page was opened."""

    code = "changed_meanwhile"

    def __init__(self) -> None:
        super().__init__(_("This appointment has changed since you opened it. Check the details before you continue."))


class NotActive(Conflict):
    """The appointment's status, or its time, does not allow a change any more."""

    code = "not_active"

    def __init__(self, status: str) -> None:
        super().__init__(str(_NOT_ACTIVE.get(status, _BEGUN)))


_BEGUN = _l("This appointment can no longer be changed: it has started.")
_NOT_ACTIVE = {
    "arrived": _l("This appointment can no longer be changed: the patient has arrived."),
    "completed": _l("This appointment can no longer be changed: it is over."),
    "no_show": _l("This appointment can no longer be changed: the patient did not come."),
    "cancelled": _l("This appointment can no longer be changed: it is cancelled."),
}


class TooLateToChange(Invalid):
    """It is too late to move or cancel the appointment."""

    code = "too_late_to_change"


class TooManyChanges(Invalid):
    """The patient booked and moved online too often. `retry_after` is in seconds."""

    status = 429
    code = "too_many_changes"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(
            _("You have reached today’s limit for booking and moving. Try again tomorrow, or call the clinic.")
        )
        self.retry_after = retry_after
        self.status = RetryStatus(429, retry_after=retry_after)


class ConfirmFirst(Invalid):
    """An account whose address is not confirmed has one upcoming appointment."""

    code = "address_not_confirmed"

    def __init__(self) -> None:
        super().__init__(
            _("Please confirm your email address first. Until then, you can have one upcoming appointment.")
        )


class NewBooking(Invalid):
    """An appointment keeps its doctor, visit type and patient; `field` is the one that the request tried to change."""

    code = "new_booking"

    def __init__(self, field: str) -> None:
        message = _("To change the doctor, visit type or patient, book a new appointment and cancel this one.")
        super().__init__(message, field=field)


class SamePatient(Conflict):
    """The appointment is in this patient's record already."""

    code = "same_patient"

    def __init__(self) -> None:
        super().__init__(_("This appointment is already for this patient."))


class NothingToChange(Invalid):
    """The request does not name anything that can be changed."""

    code = "nothing_to_change"

    def __init__(self) -> None:
        super().__init__(_("Send at least one change: starts_at, status, reason or notes."))


class StatusNotYours(Forbidden):
    """Only the clinic's staff may set this status; the patient may cancel."""

    code = "status_not_yours"

    def __init__(self) -> None:
        super().__init__(_("You can only cancel an appointment. Clinic staff set the other statuses."))


class StatusNotPossible(Invalid):
    """The appointment cannot take that status from the present one, or not yet."""

    code = "status_not_possible"


class NothingToUndo(Conflict):
    """No change of status can be undone: there was none, it was undone already, or the appointment was moved."""

    code = "nothing_to_undo"

    def __init__(self) -> None:
        super().__init__(_("This appointment has no status change to undo."))


class NoSuchAppointment(NotFound):
    """There is no appointment with this reference, or the actor may not see it."""

    def __init__(self) -> None:
        super().__init__(_("There is no appointment with this reference in your account."))


class AppointmentLinkEnded(NotFound):
    """The link opens no appointment: it is incomplete, or its address is no longer connected to the appointment.

    `phone` is the clinic's, or ''.
    """

    code = "visit_link_over"
    title = _l("This link no longer works")
    onward = ((_l("See my appointments"), "/appointments"), (_l("Find a time"), "/"))

    def __init__(self, phone: str) -> None:
        text = _("It may be incomplete, or sent to an address that the clinic no longer uses for you.")
        what_now = (
            _("Sign in to see your appointments, or call %(phone)s.")
            if phone
            else _("Sign in to see your appointments.")
        )
        super().__init__(f"{text} {what_now % {'phone': phone}}")


class NotAPatient(Forbidden):
    """The account has no patient's record, so it cannot book for itself."""

    code = "not_a_patient"

    def __init__(self) -> None:
        super().__init__(_("You are signed in as staff. To book an appointment for yourself, use a patient account."))


class OtherDoctorsAppointment(Forbidden):
    """Doctors book only with themselves; the front desk books with any doctor."""

    code = "other_doctors_visit"

    def __init__(self) -> None:
        super().__init__(_("You can only book patients with yourself. Ask the front desk to book with another doctor."))


class RecordsClash(Conflict):
    """Two records cannot be joined while they have appointments at the same time."""

    code = "records_clash"

    def __init__(self) -> None:
        super().__init__(
            _("Both records have an appointment at the same time. Cancel or move one of them, then join the records.")
        )


class NoSuchJoin(NotFound):
    """Two records were not joined, were separated again, or were joined too long ago."""

    def __init__(self) -> None:
        super().__init__(_("These records can’t be separated any more."))


class RecordsChanged(Conflict):
    """One of two records was changed after staff compared them."""

    code = "records_changed"

    def __init__(self) -> None:
        super().__init__(_("One of the records has changed. Compare them again."))


class TwoAccounts(Conflict):
    """Two records with an account each cannot be joined: one of the accounts would have no record."""

    code = "two_accounts"

    def __init__(self) -> None:
        super().__init__(_("Both have their own account, so these records can’t be joined."))


class NoSuchWalkIn(NotFound):
    """No patient waits under this number today."""

    def __init__(self) -> None:
        super().__init__(_("This patient is not on today’s list of walk-ins."))


class AlreadyWaiting(Conflict):
    """The patient waits in a queue of the day already."""

    code = "already_waiting"

    def __init__(self) -> None:
        super().__init__(_("This patient is already waiting. See today’s board."))


class WalkInSettled(Conflict):
    """The patient was taken in, left, or was seen meanwhile."""

    code = "walk_in_settled"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or _("A colleague has already dealt with this patient. See today’s board."))


class WalkInMovedAway(WalkInSettled):
    """The appointment of a patient who was taken in was moved to another day since: they came for that one."""

    code = "walk_in_moved_away"

    def __init__(self, reference: str, when: str) -> None:
        super().__init__(
            _("This can’t be undone: the appointment was moved to %(when)s. Cancel it first if it isn’t needed.")
            % {"when": when}
        )
        self.reference = reference


class NotHereYet(Invalid):
    """A patient cannot say now that they are here; the sentence says why."""

    code = "not_here_yet"


class PosterNotValid(NotFound):
    """The scanned poster is an old one, or belongs to another clinic."""

    title = _l("This poster is no longer valid")

    def __init__(self) -> None:
        super().__init__(_("Please go to the front desk."))

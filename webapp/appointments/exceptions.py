"""What can go wrong with appointments, named as facts."""

from __future__ import annotations

from webapp.core.i18n import gettext as _
from webapp.core.i18n import lazy_gettext as _l
from webapp.exceptions import Conflict, Forbidden, Invalid, NotFound


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


class AppointmentLinkOver(NotFound):
    """A link in a message that opens no visit: it is incomplete, or its address is nobody's to whom the visit matters.

    `phone` is the clinic's, or ''.
    """

    code = "visit_link_over"
    title = _l("This link is not valid any more")
    onward = ((_l("See my appointments"), "/appointments"), (_l("Find a time"), "/"))

    def __init__(self, phone: str = "") -> None:
        text = _("It is incomplete, or the clinic no longer writes to the address that it was sent to.")
        what_now = _("Sign in to see your visits, or call %(phone)s.") if phone else _("Sign in to see your visits.")
        super().__init__(f"{text} {what_now % {'phone': phone}}")


class NotAPatient(Forbidden):
    """The account has no patient's record, so it cannot book for itself."""

    code = "not_a_patient"

    def __init__(self) -> None:
        super().__init__(_("Visits are booked with a patient's account. Yours belongs to the clinic's staff."))


class OtherDoctorsAppointment(Forbidden):
    """Doctors book with themselves; the front desk books with anybody."""

    code = "other_doctors_visit"

    def __init__(self) -> None:
        super().__init__(_("You can book visits with yourself. Ask the front desk for one with another doctor."))

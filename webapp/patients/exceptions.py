"""Errors of patients' records."""

from __future__ import annotations

from webapp.exceptions import Conflict, Invalid, NotFound
from webapp.i18n import gettext as _


class NoSuchPatient(NotFound):
    """The patient does not exist, or the actor may not see the record: both get the same answer on purpose."""

    def __init__(self) -> None:
        super().__init__(_("Patient not found."))


class RecordClosed(Conflict):
    """The record is locked: the patient asked for erasure, and it is kept only because the law requires it."""

    code = "record_closed"

    def __init__(self) -> None:
        super().__init__(_("This record is closed and can’t be changed."))


class TooManyPeople(Conflict):
    """The patient already manages as many people as is possible without asking the clinic."""

    code = "too_many_people"

    def __init__(self, *, most: int) -> None:
        message = _("You can book for up to %(most)d people. To add more, ask the clinic.")
        super().__init__(message % {"most": most})


class HasRecord(Conflict):
    """A person with appointments, or with other data at the clinic, cannot be removed by the patient who books for
    them.
    """

    code = "has_record"

    def __init__(self) -> None:
        message = _(
            "You can’t remove this person, because they’ve had or booked an appointment here. Ask the clinic for help."
        )
        super().__init__(message)


class ManagedAlready(Conflict):
    """A patient can be managed by only one other patient."""

    code = "managed_already"

    def __init__(self, *, name: str) -> None:
        message = _("%(name)s already books for this person. Remove that link first.")
        super().__init__(message % {"name": name})


class LikelyDuplicate(Conflict):
    """The patient may have a record already; `ids` are the similar patients. Staff can overrule this."""

    code = "likely_duplicate"

    def __init__(self, ids: list[int]) -> None:
        super().__init__(_("This patient may already have a record. Compare them before you add a new one."))
        self.ids = ids
        self.members["ids"] = ids


class SearchNeeded(Invalid):
    """Doctors find patients by a name, a date or a number; only admins read the list of all patients."""

    code = "search_needed"

    def __init__(self) -> None:
        super().__init__(_("Search for a name, date of birth, phone number or email address."), field="q")

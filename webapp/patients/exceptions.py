"""What can go wrong with patients' records."""

from __future__ import annotations

from webapp.core.i18n import gettext as _
from webapp.exceptions import Conflict, NotFound


class NoSuchPatient(NotFound):
    """There is no such patient, or the record is not this actor's to see: the two look the same on purpose."""

    def __init__(self) -> None:
        super().__init__(_("There is no such patient. Perhaps the record is somebody else’s."))


class TooManyPeople(Conflict):
    """A patient looks after as many people as one can without asking the clinic."""

    code = "too_many_people"

    def __init__(self, *, most: int) -> None:
        message = _(
            "You book for %(most)d people already, which is the most there can be here. Ask the clinic for more."
        )
        super().__init__(message % {"most": most})


class HasRecord(Conflict):
    """Somebody who has had visits, or anything else in the clinic's books, is not removed with a click."""

    code = "has_record"

    def __init__(self) -> None:
        message = _("This person has visits at the clinic, past or to come, so you cannot remove them. Ask the clinic.")
        super().__init__(message)


class ManagedAlready(Conflict):
    """Of each patient one other looks after the visits, at most."""

    code = "managed_already"

    def __init__(self, *, name: str) -> None:
        message = _("%(name)s books for this person already. Take that link away first.")
        super().__init__(message % {"name": name})


class LikelyDuplicate(Conflict):
    """The patient may be in the books already; `ids` are those who come near. Staff may know better."""

    code = "likely_duplicate"

    def __init__(self, ids: list[int]) -> None:
        super().__init__(_("This patient may be in the books already. Compare before you add another record."))
        self.ids = ids
        self.members["ids"] = ids

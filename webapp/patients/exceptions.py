"""What can go wrong with patients' records."""

from __future__ import annotations

from webapp.core.i18n import gettext as _
from webapp.exceptions import NotFound


class NoSuchPatient(NotFound):
    """There is no such patient, or the record is not this actor's to see: the two look the same on purpose."""

    def __init__(self) -> None:
        super().__init__(_("There is no such patient. Perhaps the record is somebody else's."))

"""Two people edit the same thing: the second is told, and shown both.

A form carries the fingerprint of what was saved when it was opened. Whoever saves it hands that back, and the service
compares it, under the lock, with what is saved now. Nothing has to be counted for that, so it serves a row, a set of
rows, and whatever else can be read as one model.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

from pydantic import BaseModel

from webapp.core.i18n import gettext as _
from webapp.exceptions import Conflict

M = TypeVar("M", bound=BaseModel)


class EditedMeanwhile(Conflict):
    """Somebody else saved this after the form was opened. `saved` is what stands there now."""

    code = "edited_meanwhile"

    def __init__(self, saved: BaseModel) -> None:
        super().__init__(
            _("Somebody else saved this while you were writing. Compare both below, then save yours or leave theirs.")
        )
        self.saved = saved


def fingerprint(saved: BaseModel) -> str:
    """A short stand-in for everything that is saved."""
    return hashlib.blake2b(saved.model_dump_json().encode(), digest_size=12).hexdigest()


def require_unchanged(saved: BaseModel, seen: str) -> None:
    """Nobody may overwrite what they have not seen. An empty `seen` means that the caller does not want to know.

    Raises:
        EditedMeanwhile: `saved` is not what the caller saw.
    """
    if seen and seen != fingerprint(saved):
        raise EditedMeanwhile(saved)


def merged(saved: M, changes: BaseModel) -> M:
    """What is saved, with those of its members that the changes name; what is missing or None stays as it is."""
    named = {name: value for name, value in changes if value is not None and name in type(saved).model_fields}
    return saved.model_copy(update=named)

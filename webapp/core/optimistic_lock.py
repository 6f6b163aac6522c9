"""Optimistic locking: when two people edit the same thing, the second one sees both versions.

A form carries the fingerprint of what was saved when it was opened. The client sends it back, and the service compares
it, under the lock, with what is saved now. This needs no version number, so it works for a row, a set of rows, and
anything else that can be read as one model.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

from pydantic import BaseModel

from webapp.exceptions import Conflict
from webapp.i18n import gettext as _

M = TypeVar("M", bound=BaseModel)

# The `seen` of a form without one. It is no fingerprint, so it never equals the saved state.
UNSEEN = "unseen"
# The same for rows with version numbers, which begin with 1.
NO_VERSION = 0


class EditedMeanwhile(Conflict):
    """Another user saved this after the form was opened. `saved` is the current state."""

    code = "edited_meanwhile"

    def __init__(self, saved: BaseModel) -> None:
        super().__init__(
            _("Someone else changed this while you were editing. Compare both below, then save yours or keep theirs.")
        )
        self.saved = saved


def fingerprint(saved: BaseModel) -> str:
    """A short hash of everything that is saved."""
    return hashlib.blake2b(saved.model_dump_json().encode(), digest_size=12).hexdigest()


def require_unchanged(saved: BaseModel, seen: str, *, wanted: BaseModel | None = None) -> None:
    """Require that the caller saw the present state. An empty `seen` skips the check. `wanted` is the state that the
    caller is going to save. If it is saved already, the same form was probably sent twice, and nothing is compared.

    Raises:
        EditedMeanwhile: the caller saw another state than `saved`.
    """
    if not seen or seen == fingerprint(saved):
        return
    if wanted is None or any(getattr(saved, name) != value for name, value in wanted):
        raise EditedMeanwhile(saved)


def merged(saved: M, changes: BaseModel) -> M:
    """The saved state with the changed members; missing members and None change nothing."""
    named = {name: value for name, value in changes if value is not None and name in type(saved).model_fields}
    return saved.model_copy(update=named)

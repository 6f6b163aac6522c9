"""The person who looks at free times, and the patient they look for."""

from __future__ import annotations

from typing import NamedTuple


class Viewer(NamedTuple):
    """The viewer of free times, and the patient they look for. The patient's other appointments hide times and count
    for the rules. The patient is given by `patient_id`, by `user_id` (the account that owns the patient's record), or
    by `moving` (the appointment's patient); without any of them, no patient is known. `moving` is the id of the
    appointment that is being moved, which is ignored when times are checked; with `changing` it also gets another
    doctor or visit type, so it may keep its start. Rules for patients only do not apply to staff.
    """

    patient_id: int | None = None
    user_id: int | None = None
    moving: int | None = None
    by_staff: bool = False
    changing: bool = False

    @property
    def knows_patient(self) -> bool:
        """Whether the patient whose other appointments count is known."""
        return self.patient_id is not None or self.user_id is not None or self.moving is not None


ANYONE = Viewer()
"""A visitor: only the rules about the doctor, the clinic and the time apply."""

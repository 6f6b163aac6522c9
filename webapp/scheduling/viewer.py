"""Who looks at free times, and for whom."""

from __future__ import annotations

from typing import NamedTuple


class Viewer(NamedTuple):
    """Who looks at free times, and for whom: what differs between the readers of the same calendar.

    The patient's other appointments hide times and count for the rules. The patient is given by `patient_id`, by
    `user_id` as the account whose own record it is, or by `moving` as the patient of that appointment; without any of
    them, no patient is known. `moving` is the id of the appointment that is being moved, which is in no one's way.
    Staff are exempt from the rules that are for patients only.
    """

    patient_id: int | None = None
    user_id: int | None = None
    moving: int | None = None
    by_staff: bool = False

    @property
    def knows_patient(self) -> bool:
        """Whether it is known whose other appointments count."""
        return self.patient_id is not None or self.user_id is not None or self.moving is not None


ANYONE = Viewer()
"""A visitor: only the rules about the doctor, the clinic and the time apply."""

"""Booking, moving and cancelling through the service layer, on both databases."""

from __future__ import annotations

import pytest

from tests.cast import Cast
from webapp.appointments.exceptions import PatientBusy, SlotTaken


def test_a_time_is_given_once(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    with pytest.raises(SlotTaken):
        cast.book(cast.dave, "2026-03-03 09:30")


def test_a_patient_is_in_one_place_at_a_time(cast: Cast) -> None:
    cast.book(cast.alice, "2026-03-03 09:30")
    with pytest.raises(PatientBusy):
        cast.book(cast.alice, "2026-03-03 09:30", doctor="erin", visit_type=cast.long)

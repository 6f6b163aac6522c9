"""The strip of walk-ins on today's board: who waits, in which order, and the pages to take them in."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments import walk_ins
from webapp.appointments.booking import statuses
from webapp.appointments.booking.statuses import Wait
from webapp.appointments.walk_ins import OF, WalkInView
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.urls import with_query
from webapp.doctors import time_off
from webapp.doctors.service import DoctorRow
from webapp.scheduling.slots import DAY, grid_starts, minute_reached, pieces_of, to_datetime, to_minute


class WaitingWalkIn(NamedTuple):
    """A walk-in who waits. `take_in` is where the appointment is booked; `wait` is None in the first minute.

    `doctor_away`: the doctor for whom they wait has time off now.
    """

    view: WalkInView
    wait: Wait | None
    take_in: str
    doctor_away: bool


class WalkIns(NamedTuple):
    """The waiting walk-ins in order, and those who were taken in or left today, the latest first."""

    waiting: list[WaitingWalkIn]
    settled: list[WalkInView]

    @property
    def patient_ids(self) -> list[int]:
        """The patients whose names are shown."""
        return [each.view.patient_id for each in self.waiting] + [each.patient_id for each in self.settled]


NONE = WalkIns([], [])


def walk_ins_of_today(
    session: Session, clinic: Clinic, everyone: Sequence[DoctorRow], only: DoctorRow | None, *, now: datetime
) -> WalkIns:
    """Today's walk-ins; beside one doctor alone, those whom this doctor may take in."""
    views = [
        view
        for view in walk_ins.list_of_day(session, clinic.today(now))
        if only is None or (view.doctor_id in {None, only.id} and view.specialty in {"", only.specialty})
    ]
    by_id = {doctor.id: doctor for doctor in everyone}
    away = time_off.away_at(session, now) if any(view.doctor_id for view in views) else set()
    waiting = [
        WaitingWalkIn(
            view,
            statuses.wait_of("arrived", to_minute(view.came_at), to_minute(now)),
            _take_in(clinic, view, only, by_id, away, now),
            view.doctor_id in away,
        )
        for view in views
        if view.status == "waiting"
    ]
    settled = [view for view in views if view.settled_at is not None]
    return WalkIns(waiting, sorted(settled, key=lambda view: view.settled_at or now, reverse=True))


def _take_in(
    clinic: Clinic,
    view: WalkInView,
    only: DoctorRow | None,
    by_id: Mapping[int, DoctorRow],
    away: Container[int],
    now: datetime,
) -> str:
    """The page on which the appointment is booked: at the doctor's next start, if the doctor is known. If that doctor
    is away, it looks for colleagues of the same specialty.
    """
    doctor = by_id.get(view.doctor_id) if view.doctor_id is not None else only
    whom, starts_at = doctor.slug if doctor is not None else view.queue.waits_for, None
    if doctor is not None and doctor.id in away:
        whom = OF + doctor.specialty if view.doctor_id is not None else view.queue.waits_for
    elif doctor is not None:
        low = minute_reached(now)
        today = clinic.today(now)
        start = next(grid_starts(pieces_of(clinic.zone, today, today), doctor.slot_step, low, low + DAY), low)
        starts_at = formats.iso(to_datetime(start))
    return with_query("/desk/booking", walk_in=view.id, doctor=whom, starts_at=starts_at)

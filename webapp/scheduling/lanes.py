"""The lane of an appointment that is squeezed in: the first one that is free at its time. Lane 0 is the ordinary one. A
doctor who allows two squeeze-ins at a time has the lanes 1 and 2 too. Within a lane the guard refuses overlaps, so the
doctor's limit holds even if many book at the same instant.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.database import rows, table_of
from webapp.doctors.service import DoctorRow
from webapp.scheduling.busy_times import LONGEST_MINUTES, BusyTime
from webapp.scheduling.exceptions import SqueezeInFull, SqueezeInNotAllowed
from webapp.scheduling.slots import Span

_TAKEN = table_of(BusyTime).c
_LOW, _HIGH = sa.bindparam("low", type_=sa.Integer), sa.bindparam("high", type_=sa.Integer)
_LANES = (
    sa.select(_TAKEN.lane)
    .distinct()
    .where(
        _TAKEN.doctor_id == sa.bindparam("doctor_id", type_=sa.Integer),
        _TAKEN.from_minute > _LOW - LONGEST_MINUTES,
        _TAKEN.from_minute < _HIGH,
        _TAKEN.until_minute > _LOW,
        _TAKEN.appointment_id.is_distinct_from(sa.bindparam("ignoring", type_=sa.Integer)),
    )
)


def busy_lanes(session: Session, doctor_id: int, span: Span, *, ignoring: int | None = None) -> set[int]:
    """The lanes in which something takes a part of this span; an appointment that is being moved is ignored."""
    # No appointment has the id 0. Compared with NULL, time that something else takes would not count.
    values = {"doctor_id": doctor_id, "low": span[0], "high": span[1], "ignoring": ignoring or 0}
    return set(rows(session, _LANES, **values).scalars())


def lane_beside(session: Session, doctor: DoctorRow, span: Span, *, ignoring: int | None) -> int:
    """The first lane of the doctor in which this span is free. The caller holds the doctor's lock.

    Lanes beyond those that the doctor allows now are counted too: they may be in use since the doctor allowed more.

    Raises:
        SqueezeInNotAllowed: the doctor allows none. SqueezeInFull: as many lanes are taken as the doctor allows.
    """
    if not doctor.squeeze_ins:
        raise SqueezeInNotAllowed(doctor.name)
    busy = busy_lanes(session, doctor.id, span, ignoring=ignoring)
    free = (lane for lane in range(doctor.squeeze_ins + 1) if lane not in busy)
    lane = next(free, None)
    if lane is None or len(busy) > doctor.squeeze_ins:
        raise SqueezeInFull(doctor.name, doctor.squeeze_ins)
    return lane

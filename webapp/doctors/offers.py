"""Which doctors offer which visit type, as edited on the pages of visit types.

Locks are always taken in the same order: doctors by id, then visit types. The caller holds the locks of the doctors in
`locked`. If another doctor started to offer the visit type after they were read, nothing is changed, because that
doctor's appointments were not checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from webapp.auth.schemas import Actor
from webapp.clinic import visit_types
from webapp.clinic.visit_types import SavedVisitType, VisitTypeDetails
from webapp.core.optimistic_lock import require_unchanged
from webapp.doctors.models import Doctor, doctor_visit_types
from webapp.events.kinds import ScheduleChanged
from webapp.events.publishing import publish
from webapp.exceptions import Conflict, Invalid
from webapp.i18n import gettext as _

# A change of these affects which times are free; `doctors` stands for who offers it.
_TIMING = {"minutes", "buffer_before", "buffer_after", "online", "doctors"}


class VisitTypeOffer(BaseModel):
    """A visit type, and the ids of the doctors who offer it, in order."""

    details: VisitTypeDetails
    doctor_ids: list[int]


class DoctorName(NamedTuple):
    """A doctor to choose, active or not."""

    id: int
    name: str
    active: bool


class OfferedMeanwhile(Conflict):
    """Another doctor started to offer the visit type at the same moment."""

    code = "offered_meanwhile"

    def __init__(self) -> None:
        super().__init__(_("Someone else changed who offers this visit type at the same time. Try again."))


def doctors_to_choose(session: Session) -> list[DoctorName]:
    """Every doctor: those who take bookings first, in the clinic's order."""
    query = sa.select(Doctor.id, Doctor.name, Doctor.active).order_by(
        Doctor.active.desc(), Doctor.position, Doctor.sort_name, Doctor.id
    )
    return [DoctorName(*row) for row in session.execute(query)]


def offering(session: Session, visit_type_id: int) -> list[int]:
    """The ids of the doctors who offer a visit type, in order."""
    table = doctor_visit_types.c
    query = sa.select(table.doctor_id).where(table.visit_type_id == visit_type_id).order_by(table.doctor_id)
    return list(session.scalars(query))


def count_offering(session: Session) -> dict[int, int]:
    """How many doctors who take bookings offer each visit type; types without any are left out."""
    table = doctor_visit_types.c
    query = (
        sa.select(table.visit_type_id, sa.func.count())
        .join(Doctor, Doctor.id == table.doctor_id)
        .where(Doctor.active.is_(True))
        .group_by(table.visit_type_id)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def list_offers(session: Session) -> list[tuple[SavedVisitType, VisitTypeOffer]]:
    """Every visit type and who offers it: those that can be booked first, then by name."""
    table = doctor_visit_types.c
    by_type: dict[int, list[int]] = {}
    for number, doctor_id in session.execute(sa.select(table.visit_type_id, table.doctor_id).order_by(table.doctor_id)):
        by_type.setdefault(number, []).append(doctor_id)
    return [
        (saved, VisitTypeOffer.model_construct(details=saved.details, doctor_ids=by_type.get(saved.id, [])))
        for saved in visit_types.list_visit_types(session)
    ]


def get_offer(session: Session, visit_type_id: int) -> tuple[SavedVisitType, VisitTypeOffer]:
    """A visit type and who offers it.

    Raises:
        NotFound: no visit type has this id.
    """
    saved = visit_types.get_visit_type(session, visit_type_id)
    return saved, _offer_of(session, saved)


def create(session: Session, actor: Actor, command: VisitTypeOffer, *, now: datetime) -> int:
    """Add a visit type that these doctors offer, and return its id.

    Raises:
        NameTaken. Invalid: there is no such doctor.
    """
    number = visit_types.create(session, actor, command.details, now=now)
    _offer(session, number, command.doctor_ids)
    _publish(session, actor, command.doctor_ids, now=now)
    return number


def change(
    session: Session,
    actor: Actor,
    visit_type_id: int,
    command: VisitTypeOffer,
    *,
    locked: Sequence[int],
    seen: str,
    now: datetime,
) -> None:
    """Replace a visit type and who offers it.

    Raises:
        NotFound, EditedMeanwhile, OfferedMeanwhile, NameTaken. Invalid: there is no such doctor.
    """
    saved = visit_types.lock_visit_type(session, visit_type_id)
    before = _offer_of(session, saved)
    require_unchanged(before, seen, wanted=command)
    _require_locked(before, locked)
    changed = visit_types.change(session, saved, command.details)
    wanted = set(command.doctor_ids)
    if wanted != set(before.doctor_ids):
        table = doctor_visit_types
        gone = set(before.doctor_ids) - wanted
        session.execute(sa.delete(table).where(table.c.visit_type_id == saved.id, table.c.doctor_id.in_(gone)))
        _offer(session, saved.id, sorted(wanted - set(before.doctor_ids)))
        changed.append("doctors")
    if changed:
        visit_types.record(session, actor, "visit_type_changed", saved.id, now=now, details={"changed": changed})
    if not _TIMING.isdisjoint(changed):
        _publish(session, actor, [*before.doctor_ids, *command.doctor_ids], now=now)


def set_active(
    session: Session, actor: Actor, visit_type_id: int, active: bool, *, locked: Sequence[int], now: datetime
) -> None:
    """Make a visit type bookable or not; who offers it is kept.

    Raises:
        NotFound, OfferedMeanwhile.
    """
    saved = visit_types.lock_visit_type(session, visit_type_id)
    offer = _offer_of(session, saved)
    _require_locked(offer, locked)
    visit_types.set_active(session, actor, saved, active, now=now)
    if saved.active != active:
        _publish(session, actor, offer.doctor_ids, now=now)


def _publish(session: Session, actor: Actor, doctor_ids: Sequence[int], *, now: datetime) -> None:
    """Announce that the times of these doctors changed; a visit type that no doctor offers changes no times."""
    if doctor_ids:
        ids = tuple(sorted(set(doctor_ids)))
        publish(session, ScheduleChanged(by=actor.done_by, what="visit_type", doctor_ids=ids), now=now)


def _offer_of(session: Session, saved: SavedVisitType) -> VisitTypeOffer:
    return VisitTypeOffer.model_construct(details=saved.details, doctor_ids=offering(session, saved.id))


def _require_locked(offer: VisitTypeOffer, locked: Sequence[int]) -> None:
    if not set(offer.doctor_ids) <= set(locked):
        raise OfferedMeanwhile


def _offer(session: Session, visit_type_id: int, doctor_ids: Sequence[int]) -> None:
    wanted = sorted(set(doctor_ids))
    if not wanted:
        return
    found = set(session.scalars(sa.select(Doctor.id).where(Doctor.id.in_(wanted))))
    if found != set(wanted):
        raise Invalid(_("One of these doctors does not exist."), field="doctor_ids")
    session.execute(
        sa.insert(doctor_visit_types),
        [{"doctor_id": number, "visit_type_id": visit_type_id} for number in wanted],
    )

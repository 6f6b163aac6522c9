"""Makes the notification lists of a change that moved or cancelled appointments.

Time off has a list for each day of a doctor. A closure has one list, and so has any other change: of hours, of what is
offered, of who takes bookings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.impact.schemas import Pending
from webapp.appointments.messages import notification_lists
from webapp.appointments.messages.notification_lines import LineKind
from webapp.appointments.messages.notification_lists import ListKind
from webapp.appointments.models import NotificationLine, NotificationList
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.scheduling.models import ACTIVE

# The code of the reason that patients are told.
TIME_OFF_REASON = "time_off"
_KINDS: dict[str, ListKind] = {TIME_OFF_REASON: "away", "closure": "closure"}
LINE_KINDS: dict[str, LineKind] = {"keep": "kept", "move": "moved", "cancel": "cancelled"}


class _About(NamedTuple):
    """The subject of a list. The doctor and the day are those of time off; other changes may be of one doctor."""

    kind: ListKind
    day: date | None
    doctor_id: int | None


def make_lists(
    session: Session, actor: Actor, clinic: Clinic, pending: Sequence[Pending], *, done: bool, now: datetime
) -> list[int]:
    """Make the lists of these decisions, those of days in order, and return their ids.

    Decisions that keep every appointment make no list. Unless all is `done`, appointments count as kept until
    `update_line`.
    """
    made = []
    for about, decided in sorted(_by_list(clinic, pending).items(), key=lambda item: str(item[0].day)):
        if all(each.decision.kind == "keep" for each in decided):
            continue
        list_id = notification_lists.begin(
            session, actor, about.kind, doctor_id=about.doctor_id, day=about.day, words=decided[0].why, now=now
        )
        made.append(list_id)
        for each in decided:
            _note(session, list_id, each, done=done)
    return made


def _by_list(clinic: Clinic, pending: Sequence[Pending]) -> dict[_About, list[Pending]]:
    others = {each.appointment.doctor_id for each in pending if each.code not in _KINDS}
    only = next(iter(others)) if len(others) == 1 else None
    found: dict[_About, list[Pending]] = defaultdict(list)
    for each in pending:
        kind = _KINDS.get(each.code, "change")
        day = formats.local_date(each.appointment.starts_at, clinic.zone)
        about = {
            "away": _About("away", day, each.appointment.doctor_id),
            "closure": _About("closure", None, None),
            "change": _About("change", None, only),
        }
        found[about[kind]].append(each)
    return found


def _note(session: Session, list_id: int, each: Pending, *, done: bool) -> None:
    appointment = each.appointment
    here = appointment.status not in ACTIVE
    what = LINE_KINDS[each.decision.kind] if done else "kept"
    notification_lists.note(session, list_id, appointment.id, what, was_at=appointment.starts_at, here=here)


def update_line(
    session: Session, appointment_id: int, what: LineKind, *, was_at: datetime, decided_at: datetime
) -> None:
    """Note what became of an appointment on the list that was made with the decision, if there still is one."""
    line = NotificationLine
    made_then = sa.select(NotificationList.id).where(NotificationList.made_at == decided_at)
    its = sa.delete(line).where(line.appointment_id == appointment_id, line.list_id.in_(made_then))
    list_id = session.scalar(its.returning(line.list_id))
    if list_id is not None:
        notification_lists.note(session, list_id, appointment_id, what, was_at=was_at)

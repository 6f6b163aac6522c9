"""Who was told of time off: a list for each day of a doctor on which appointments were moved or cancelled for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.impact.schemas import Pending
from webapp.appointments.messages import told_lists
from webapp.appointments.messages.told_lists import What
from webapp.appointments.models import ToldLine, ToldList
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.scheduling.models import ACTIVE

# The code of the reason that patients are told.
WHY = "time_off"
BECAME: dict[str, What] = {"keep": "kept", "move": "moved", "cancel": "cancelled"}


def note_absences(
    session: Session, actor: Actor, clinic: Clinic, pending: Sequence[Pending], *, done: bool, now: datetime
) -> list[int]:
    """Make the lists of these decisions, in order of their days, and return their ids.

    Days on which everything is kept have none. Unless all is `done`, `note_later` adds what was moved and cancelled.
    """
    of_day: dict[tuple[date, int], list[Pending]] = defaultdict(list)
    for each in pending:
        if each.code == WHY:
            day = formats.local_date(each.appointment.starts_at, clinic.zone)
            of_day[day, each.appointment.doctor_id].append(each)
    made = []
    for (day, doctor_id), decided in sorted(of_day.items(), key=lambda item: item[0]):
        if all(each.decision.kind == "keep" for each in decided):
            continue
        why = decided[0].why
        list_id = told_lists.begin(session, actor, "away", doctor_id=doctor_id, day=day, words=why, now=now)
        made.append(list_id)
        for each in decided:
            if done or each.decision.kind == "keep":
                _note(session, list_id, each)
    return made


def _note(session: Session, list_id: int, each: Pending) -> None:
    appointment = each.appointment
    here = appointment.status not in ACTIVE
    what = BECAME[each.decision.kind]
    told_lists.note(session, list_id, appointment.id, what, was_at=appointment.starts_at, here=here)


def note_later(
    session: Session, clinic: Clinic, doctor_id: int, appointment_id: int, what: What, *, was_at: datetime
) -> None:
    """Add what became of an appointment to the newest list of that day of the doctor, if there is one."""
    day = formats.local_date(was_at, clinic.zone)
    newest = sa.select(sa.func.max(ToldList.id)).where(ToldList.doctor_id == doctor_id, ToldList.day == day)
    list_id = session.scalar(newest)
    if list_id is None:
        return
    session.execute(sa.delete(ToldLine).where(ToldLine.list_id == list_id, ToldLine.appointment_id == appointment_id))
    told_lists.note(session, list_id, appointment_id, what, was_at=was_at)

"""Extra hours: a doctor works on single days outside the weekly hours.

The functions that write expect their caller to hold the doctor's lock, as those of `hours` do.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import get_clinic
from webapp.core.day_hours import Span, Spans
from webapp.core.strict_types import Day
from webapp.doctors.hours import united
from webapp.doctors.models import ExtraHours
from webapp.events.kinds import ScheduleChanged
from webapp.events.publishing import publish
from webapp.exceptions import Invalid, NotFound
from webapp.i18n import gettext as _


class ExtraDay(BaseModel):
    """The extra hours of one day."""

    day: Day
    spans: Spans


def list_extra_hours(session: Session, doctor_id: int, first: date) -> list[ExtraDay]:
    """The extra hours on or after a day, in order."""
    query = sa.select(ExtraHours.day, ExtraHours.start_minute, ExtraHours.end_minute).where(
        ExtraHours.doctor_id == doctor_id, ExtraHours.day >= first
    )
    found: dict[date, list[Span]] = defaultdict(list)
    for day, start, end in session.execute(query):
        found[day].append((start, end))
    return [ExtraDay(day=day, spans=united(found[day])) for day in sorted(found)]


def get_extra_hours(session: Session, doctor_id: int, day: date) -> ExtraDay:
    """The extra hours of one day.

    Raises:
        NotFound: the day has no extra hours.
    """
    for extra in list_extra_hours(session, doctor_id, day)[:1]:
        if extra.day == day:
            return extra
    raise NotFound(_("There are no extra hours on that day."))


def add_extra_hours(session: Session, actor: Actor, doctor_id: int, command: ExtraDay, *, now: datetime) -> None:
    """Add hours on one day outside the doctor's usual ones; hours that exist already count once.

    Raises:
        Invalid: the day is over, or no hours are given.
    """
    if command.day < get_clinic(session).today(now):
        raise Invalid(_("That day is over. Choose today or a later day."), field="day")
    if not command.spans:
        raise Invalid(_("Enter the hours for that day, such as 9-12."), field="spans")
    there = [extra.spans for extra in list_extra_hours(session, doctor_id, command.day) if extra.day == command.day]
    spans = united([*command.spans, *(span for spans in there for span in spans)])
    _delete_extra(session, doctor_id, command.day)
    session.execute(
        sa.insert(ExtraHours),
        [
            {"doctor_id": doctor_id, "day": command.day, "start_minute": start, "end_minute": end}
            for start, end in spans
        ],
    )
    _tell(session, actor, "extra_hours_added", doctor_id, command.day, now=now)


def remove_extra_hours(session: Session, actor: Actor, doctor_id: int, day: date, *, now: datetime) -> None:
    """Remove the extra hours of a day.

    Raises:
        NotFound: the day has no extra hours.
    """
    get_extra_hours(session, doctor_id, day)
    _delete_extra(session, doctor_id, day)
    _tell(session, actor, "extra_hours_removed", doctor_id, day, now=now)


def _delete_extra(session: Session, doctor_id: int, day: date) -> None:
    session.execute(sa.delete(ExtraHours).where(ExtraHours.doctor_id == doctor_id, ExtraHours.day == day))


def _tell(session: Session, actor: Actor, action: str, doctor_id: int, day: date, *, now: datetime) -> None:
    """Write the audit row about the doctor, with the date only, and publish the change."""
    details = {"day": day.isoformat()}
    audit.record_by(session, actor, action, subject=("doctor", doctor_id), now=now, details=details)
    publish(session, ScheduleChanged(by=actor.done_by, what="extra_hours", doctor_ids=(doctor_id,)), now=now)

"""When a doctor is away: spans of time, once or weekly. As with hours, writing needs the doctor's lock."""

from __future__ import annotations

import secrets
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import BaseModel, StringConstraints
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic, get_clinic
from webapp.core import formats
from webapp.core.local_time import first_instant, instants_of
from webapp.core.strict_types import Day
from webapp.doctors.models import TimeOff
from webapp.events.kinds import ScheduleChanged
from webapp.events.publishing import publish
from webapp.exceptions import Conflict, Invalid, NotFound
from webapp.i18n import gettext as _

LONGEST = timedelta(days=366)
MOST_TIMES = 53
WEEK = timedelta(days=7)

Scope = Literal["one", "series"]


class AlreadyOff(Conflict):
    """The doctor has time off with the same start and end; a second entry would have to be removed as well."""

    code = "already_off"

    def __init__(self) -> None:
        super().__init__(_("This time off has already been entered."), field="from_date")


class TimeOffRow(NamedTuple):
    """One span of time off, in UTC; those entered as one weekly series share its id."""

    id: int
    starts_at: datetime
    ends_at: datetime
    reason: str
    series: str | None


class AddTimeOff(BaseModel):
    """Time off on the clinic's wall clock. Without times it covers whole days, including the last one.

    With `repeat_until` it repeats every week, as long as it starts on or before that day.
    """

    from_date: Day
    from_time: time | None = None
    until_date: Day
    until_time: time | None = None
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)] = ""
    repeat_until: Day | None = None


_COLUMNS = (TimeOff.id, TimeOff.starts_at, TimeOff.ends_at, TimeOff.reason, TimeOff.series)


def list_ahead(session: Session, doctor_id: int, *, now: datetime) -> list[TimeOffRow]:
    """Time off that is not over yet, in order."""
    query = (
        sa.select(*_COLUMNS)
        .where(TimeOff.doctor_id == doctor_id, TimeOff.ends_at > now)
        .order_by(TimeOff.starts_at, TimeOff.id)
    )
    return [TimeOffRow._make(row) for row in session.execute(query)]


def away_at(session: Session, now: datetime) -> set[int]:
    """The ids of the doctors who have time off now."""
    return set(session.scalars(sa.select(TimeOff.doctor_id).where(TimeOff.starts_at <= now, TimeOff.ends_at > now)))


def list_past(session: Session, doctor_id: int, *, now: datetime) -> list[TimeOffRow]:
    """All past time off, latest first."""
    query = (
        sa.select(*_COLUMNS)
        .where(TimeOff.doctor_id == doctor_id, TimeOff.ends_at <= now)
        .order_by(TimeOff.ends_at.desc(), TimeOff.id.desc())
    )
    return [TimeOffRow._make(row) for row in session.execute(query)]


def get_time_off(session: Session, doctor_id: int, time_off_id: int, *, now: datetime) -> TimeOffRow:
    """One span of time off that is not over yet.

    Raises:
        NotFound: this doctor has no upcoming time off with that id.
    """
    query = sa.select(*_COLUMNS).where(TimeOff.id == time_off_id, TimeOff.doctor_id == doctor_id, TimeOff.ends_at > now)
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound(_("Time off not found. It may have been removed."))
    return TimeOffRow._make(row)


def add_time_off(
    session: Session,
    actor: Actor,
    doctor_id: int,
    command: AddTimeOff,
    *,
    now: datetime,
    exactly: tuple[datetime, datetime] | None = None,
) -> list[TimeOffRow]:
    """Add time off, once or weekly; returns each span, in order.

    `exactly` gives the instants of the first span, in case the wall clock shows one of its times twice.

    Raises:
        Invalid: it lies in the past, ends before it starts, is too long or too often, or names a time that the
            clocks skip.
        AlreadyOff: all of it was entered before.
    """
    clinic = get_clinic(session)
    _require_sensible(command, clinic, now=now)
    weeks = _weeks(command)
    spans = [_span(command, week * WEEK, clinic.zone) for week in range(weeks)]
    if exactly is not None:
        spans[0] = exactly
    if spans[0][1] <= spans[0][0]:
        raise Invalid(_("The end must be after the start."), field="until_time")
    if set(spans) <= {(row.starts_at, row.ends_at) for row in list_ahead(session, doctor_id, now=now)}:
        raise AlreadyOff
    series = secrets.token_hex(6) if weeks > 1 else None
    made = session.scalars(
        sa.insert(TimeOff).returning(TimeOff.id, sort_by_parameter_order=True),
        [
            {"doctor_id": doctor_id, "starts_at": start, "ends_at": end, "reason": command.reason, "series": series}
            for start, end in spans
        ],
    )
    rows = [TimeOffRow(number, *span, command.reason, series) for number, span in zip(made, spans, strict=True)]
    last = command.until_date + (weeks - 1) * WEEK
    _record_and_publish(session, actor, "time_off_added", doctor_id, (command.from_date, last, weeks), now=now)
    return rows


def remove_time_off(
    session: Session, actor: Actor, doctor_id: int, time_off_id: int, scope: Scope, *, now: datetime
) -> int:
    """Remove one span of time off, or all of its series that is not over; returns how many.

    Raises:
        NotFound: this doctor has no such upcoming time off.
    """
    clinic = get_clinic(session)
    chosen = get_time_off(session, doctor_id, time_off_id, now=now)
    removed = [
        row
        for row in list_ahead(session, doctor_id, now=now)
        if row.id == chosen.id or (scope == "series" and row.series is not None and row.series == chosen.series)
    ]
    session.execute(sa.delete(TimeOff).where(TimeOff.id.in_([row.id for row in removed])))
    first = formats.local_date(min(row.starts_at for row in removed), clinic.zone)
    # A whole day ends at the midnight after it.
    last = formats.local_date(max(row.ends_at for row in removed) - timedelta(minutes=1), clinic.zone)
    _record_and_publish(session, actor, "time_off_removed", doctor_id, (first, last, len(removed)), now=now)
    return len(removed)


def _require_sensible(command: AddTimeOff, clinic: Clinic, *, now: datetime) -> None:
    """Check what does not need a conversion to instants."""
    if command.from_date < clinic.today(now):
        raise Invalid(_("That day is over. Choose today or a later day."), field="from_date")
    if command.until_date < command.from_date:
        raise Invalid(_("The last day is before the first day."), field="until_date")
    if command.until_date - command.from_date >= LONGEST:
        raise Invalid(_("Time off can be a year long at most. Enter the rest separately."), field="until_date")
    if command.repeat_until is None:
        return
    if command.repeat_until < command.from_date:
        raise Invalid(_("This is before the first day."), field="repeat_until")
    if command.until_date - command.from_date >= WEEK:
        raise Invalid(_("Only time off shorter than a week can repeat weekly."), field="repeat_until")
    if _weeks(command) > MOST_TIMES:
        raise Invalid(
            _("That is more than %(n)d times. Choose an earlier day.") % {"n": MOST_TIMES}, field="repeat_until"
        )


def _weeks(command: AddTimeOff) -> int:
    """The number of weeks in which it occurs."""
    return 1 if command.repeat_until is None else (command.repeat_until - command.from_date).days // 7 + 1


def _span(command: AddTimeOff, later: timedelta, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The span in UTC, this much later on the calendar; the wall clock shows the same times.

    If the wall clock shows the start or the end twice, the longer span is meant.
    """
    first, last = command.from_date + later, command.until_date + later
    if command.from_time is None:
        start = first_instant(first, zone)
    else:
        start = _shown(datetime.combine(first, command.from_time), zone, "from_time")[0]
    if command.until_time is None:
        end = first_instant(last + timedelta(days=1), zone)
    else:
        end = _shown(datetime.combine(last, command.until_time), zone, "until_time")[-1]
    if end <= start:
        raise Invalid(_("The end must be after the start."), field="until_time")
    return start, end


def _shown(wall: datetime, zone: ZoneInfo, field: str) -> list[datetime]:
    """The instants at which the clinic's clocks show this time."""
    wall = wall.replace(second=0, microsecond=0)
    found = instants_of(wall, zone)
    if not found:
        words = {"time": f"{wall:%H:%M}", "day": formats.day_full(wall.date(), zone)}
        raise Invalid(
            _("%(time)s does not exist on %(day)s: the clocks go forward. Choose another time.") % words, field=field
        )
    return found


def _record_and_publish(
    session: Session,
    actor: Actor,
    action: str,
    doctor_id: int,
    when: tuple[date, date, int],
    *,
    now: datetime,
) -> None:
    """Write an audit row with first day, last day and count, but without the reason, and publish the event."""
    first, last, times = when
    audit.record_by(
        session,
        actor,
        action,
        subject=("doctor", doctor_id),
        now=now,
        details={"from": first.isoformat(), "until": last.isoformat(), "times": times},
    )
    publish(session, ScheduleChanged(by=actor.done_by, what="time_off", doctor_ids=(doctor_id,)), now=now)

"""When a doctor works: weekly hours in periods. `extra_hours` has the hours of single days.

A period is all weekly hours with the same first and last day. Hours of overlapping periods add up. The functions that
write expect their caller to hold the doctor's lock and to handle the affected appointments:
`appointments.impact.schedule_impact.carry_out` does both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor
from webapp.core.day_hours import Span, Spans, Week
from webapp.core.optimistic_lock import require_unchanged
from webapp.core.strict_types import Day
from webapp.doctors.models import Doctor, WorkingHours
from webapp.doctors.service import DoctorRow, get_doctor_by_id
from webapp.events.kinds import ScheduleChange, ScheduleChanged
from webapp.events.publishing import publish
from webapp.exceptions import Conflict, Invalid, NotFound
from webapp.i18n import gettext as _


class Period(NamedTuple):
    """The first and last day on which hours apply, both included; None leaves that side open."""

    valid_from: date | None
    valid_until: date | None

    @property
    def key(self) -> str:
        """The period in an address: 'always', '2026-06-01..', '..2026-05-31' or '2026-06-01..2026-08-31'."""
        if self == (None, None):
            return "always"
        return f"{self.valid_from or ''}..{self.valid_until or ''}"

    def counts_on(self, day: date) -> bool:
        """Whether its hours apply on that day."""
        return (self.valid_from or date.min) <= day <= (self.valid_until or date.max)


def parse_period(key: str) -> Period:
    """The period that an address names.

    Raises:
        NotFound: it does not name one.
    """
    first, _separator, last = key.partition("..")
    try:
        period = Period(date.fromisoformat(first) if first else None, date.fromisoformat(last) if last else None)
    except ValueError:
        period = Period(None, None)
    # Each period has exactly one address, so other spellings are not found.
    if period.key != key:
        raise NotFound(_("These hours were not found."))
    return period


class PeriodHours(BaseModel):
    """The hours of one period, as saved."""

    period: Period
    week: Week


class SaveHours(BaseModel):
    """The hours of a period. `period` is the one that is changed, None for a new one; `seen` is its fingerprint.

    With `end_present`, hours that already apply on the first day end the day before, and resume after the last day.
    With `follow`, the hours that end the day before a changed period follow its new dates in the same way.
    """

    period: Period | None
    valid_from: Day | None
    valid_until: Day | None
    week: Week
    end_present: bool = False
    follow: bool = False
    seen: str = ""


class HoursGone(Conflict):
    """Another user removed the hours meanwhile, or changed their dates."""

    code = "hours_gone"

    def __init__(self) -> None:
        super().__init__(_("Someone else has removed these hours or changed their dates. Check the current hours."))


# -------------------------------------------------------------------------------------------------- reading


def find_doctor(session: Session, slug: str) -> DoctorRow:
    """A doctor by slug, whether or not they take bookings.

    Raises:
        NotFound: there is no such doctor.
    """
    doctor_id = session.scalar(sa.select(Doctor.id).where(Doctor.slug == slug))
    if doctor_id is None:
        raise NotFound(_("Doctor not found."))
    return get_doctor_by_id(session, doctor_id)


def list_periods(session: Session, doctor_id: int) -> list[PeriodHours]:
    """All periods of a doctor, past and future ones included, earliest first."""
    query = sa.select(
        WorkingHours.valid_from,
        WorkingHours.valid_until,
        WorkingHours.weekday,
        WorkingHours.start_minute,
        WorkingHours.end_minute,
    ).where(WorkingHours.doctor_id == doctor_id)
    found: dict[Period, list[tuple[int, Span]]] = defaultdict(list)
    for valid_from, valid_until, weekday, start, end in session.execute(query):
        found[Period(valid_from, valid_until)].append((weekday, (start, end)))
    periods = sorted(found, key=lambda period: (period.valid_from or date.min, period.valid_until or date.max))
    return [PeriodHours(period=period, week=_week_of(found[period])) for period in periods]


def get_period(session: Session, doctor_id: int, period: Period) -> PeriodHours:
    """The hours of one period.

    Raises:
        NotFound: the doctor has no hours with these dates.
    """
    for hours in list_periods(session, doctor_id):
        if hours.period == period:
            return hours
    raise NotFound(_("These hours were not found."))


def week_on(periods: Iterable[PeriodHours], day: date) -> Week:
    """The combined hours of all periods that apply on a day, for every weekday."""
    counting = [hours.week for hours in periods if hours.period.counts_on(day)]
    return _week_of((weekday, span) for week in counting for weekday, spans in enumerate(week) for span in spans)


def list_ended_for(periods: Iterable[PeriodHours], period: Period) -> list[PeriodHours]:
    """The hours that end on the day before this period begins: without the period, they could go on."""
    if period.valid_from is None:
        return []
    day_before = period.valid_from - timedelta(days=1)
    return [hours for hours in periods if hours.period.valid_until == day_before]


def list_gaps(periods: Iterable[PeriodHours], first: date, last: date) -> list[Period]:
    """The stretches of days from `first` to `last` on which no period applies."""
    gaps: list[Period] = []
    for hours in sorted(periods, key=lambda hours: hours.period.valid_from or date.min):
        begins, ends = hours.period.valid_from or date.min, hours.period.valid_until or date.max
        if first > last or begins > last:
            break
        if begins > first:
            gaps.append(Period(first, begins - timedelta(days=1)))
        if ends >= last:
            return gaps
        first = max(first, ends + timedelta(days=1))
    return [*gaps, Period(first, last)]


def _week_of(spans: Iterable[tuple[int, Span]]) -> Week:
    days: list[list[Span]] = [[] for _weekday in range(7)]
    for weekday, span in spans:
        days[weekday].append(span)
    return tuple(united(day) for day in days)


def united(spans: Iterable[Span]) -> Spans:
    """The same minutes as sorted spans that do not overlap; spans that only touch stay separate, as entered."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start < result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return tuple(result)


# -------------------------------------------------------------------------------------------------- writing


def save_hours(session: Session, actor: Actor, doctor_id: int, command: SaveHours, *, now: datetime) -> None:
    """Save the hours of a period, new or changed.

    Raises:
        EditedMeanwhile: they are not what the user saw. HoursGone: they do not exist any more.
        Invalid: the dates or the week are not valid.
    """
    others = {hours.period: hours for hours in list_periods(session, doctor_id)}
    if command.period is not None:
        saved = others.pop(command.period, None)
        if saved is None:
            raise HoursGone
        require_unchanged(saved, command.seen)
    period = Period(command.valid_from, command.valid_until)
    _require_sensible(command, others)
    room_in = list(others.values()) if command.end_present else []
    if command.period is not None:
        _delete(session, doctor_id, command.period)
        if command.follow and command.period != period:
            room_in = _resume(session, doctor_id, command.period, list(others.values()))
    shortened = _make_room(session, doctor_id, period, room_in)
    _insert(session, doctor_id, period, command.week)
    _record(
        session,
        actor,
        "hours_changed",
        doctor_id,
        now,
        {
            "period": period.key,
            "was": command.period.key if command.period is not None else "",
            "shortened": shortened,
        },
    )
    _publish(session, actor, "working_hours", doctor_id, now=now)


def remove_hours(
    session: Session,
    actor: Actor,
    doctor_id: int,
    period: Period,
    *,
    resume: bool = True,
    seen: str = "",
    now: datetime,
) -> None:
    """Remove a period with its hours. With `resume`, the hours that ended the day before it go on instead.

    Raises:
        EditedMeanwhile: they are not what the user saw. HoursGone: they do not exist any more.
    """
    try:
        saved = get_period(session, doctor_id, period)
    except NotFound:
        raise HoursGone from None
    require_unchanged(saved, seen)
    _delete(session, doctor_id, period)
    resumed = _resume(session, doctor_id, period, list_periods(session, doctor_id)) if resume else []
    details: dict[str, object] = {
        "period": "",
        "was": period.key,
        "shortened": [],
        "resumed": [hours.period.key for hours in resumed],
    }
    _record(session, actor, "hours_changed", doctor_id, now, details)
    _publish(session, actor, "working_hours", doctor_id, now=now)


def _require_sensible(command: SaveHours, others: dict[Period, PeriodHours]) -> None:
    if command.valid_from and command.valid_until and command.valid_until < command.valid_from:
        raise Invalid(_("The last day is before the first day."), field="valid_until")
    if Period(command.valid_from, command.valid_until) in others:
        raise Invalid(_("Hours with these dates already exist. Change those instead."), field="valid_from")
    if (command.end_present or command.follow) and others and command.valid_from is None:
        raise Invalid(
            _("Enter the first day, so that the current hours can end the day before."),
            field="valid_from",
        )
    if not any(command.week):
        raise Invalid(_("Enter hours for at least one day."), field="monday")


def _make_room(session: Session, doctor_id: int, period: Period, others: Iterable[PeriodHours]) -> list[str]:
    """End the hours that already apply when the period begins, and let them resume after it; returns which."""
    first, last = period
    shortened = []
    for hours in others:
        began, ends = hours.period
        if first is None or (began or date.min) >= first or (ends or date.max) < first:
            continue
        _delete(session, doctor_id, hours.period)
        _insert(session, doctor_id, Period(began, first - timedelta(days=1)), hours.week)
        if last is not None and (ends or date.max) > last:
            _insert(session, doctor_id, Period(last + timedelta(days=1), ends), hours.week)
        shortened.append(hours.period.key)
    return shortened


def _resume(session: Session, doctor_id: int, period: Period, others: list[PeriodHours]) -> list[PeriodHours]:
    """Let the hours that ended the day before a removed period go on over its days; returns them as they are then.

    If the same hours begin again on the day after it, the two become one period.
    """
    resumed = []
    for hours in list_ended_for(others, period):
        until = period.valid_until
        after = until + timedelta(days=1) if until is not None else None
        rest = next((each for each in others if after and each.period.valid_from == after), None)
        if rest is not None and rest.week == hours.week:
            others.remove(rest)
            _delete(session, doctor_id, rest.period)
            until = rest.period.valid_until
        _delete(session, doctor_id, hours.period)
        resumed.append(PeriodHours(period=Period(hours.period.valid_from, until), week=hours.week))
        _insert(session, doctor_id, resumed[-1].period, hours.week)
    return resumed


def _insert(session: Session, doctor_id: int, period: Period, week: Week) -> None:
    session.execute(
        sa.insert(WorkingHours),
        [
            {
                "doctor_id": doctor_id,
                "weekday": weekday,
                "start_minute": start,
                "end_minute": end,
                "valid_from": period.valid_from,
                "valid_until": period.valid_until,
            }
            for weekday, spans in enumerate(week)
            for start, end in spans
        ],
    )


def _delete(session: Session, doctor_id: int, period: Period) -> None:
    session.execute(
        sa.delete(WorkingHours).where(
            WorkingHours.doctor_id == doctor_id,
            WorkingHours.valid_from.is_not_distinct_from(period.valid_from),
            WorkingHours.valid_until.is_not_distinct_from(period.valid_until),
        )
    )


def _publish(session: Session, actor: Actor, what: ScheduleChange, doctor_id: int, *, now: datetime) -> None:
    publish(session, ScheduleChanged(by=actor.done_by, what=what, doctor_ids=(doctor_id,)), now=now)


def _record(
    session: Session, actor: Actor, action: str, doctor_id: int, now: datetime, details: dict[str, object]
) -> None:
    """Write an audit row about the doctor, with dates only."""
    audit.record_by(session, actor, action, subject=("doctor", doctor_id), now=now, details=details)

"""Closures: whole local days on which the clinic is closed. This module does not know the affected appointments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, NamedTuple

import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, StringConstraints
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor, readable_name
from webapp.clinic.models import Closure
from webapp.clinic.settings import lock_settings
from webapp.core.optimistic_lock import require_unchanged
from webapp.core.strict_types import ONE_LINE, Day
from webapp.events.kinds import ScheduleChanged
from webapp.events.publishing import publish
from webapp.exceptions import Conflict, Invalid, NotFound
from webapp.i18n import gettext as _

# A longer closure is most likely a mistyped year.
LONGEST = timedelta(days=366)


class CloseDays(BaseModel):
    """A closure, first and last day included."""

    name: Annotated[str, StringConstraints(min_length=2, max_length=120), ONE_LINE, AfterValidator(readable_name)]
    starts_on: Day
    ends_on: Day


class AlreadyClosed(Conflict):
    """There is a closure with the same first and last day; a second one would have to be removed as well."""

    code = "already_closed"

    def __init__(self, name: str) -> None:
        message = _("There is already a closure on these days: “%(name)s”. Change that one instead.")
        super().__init__(message % {"name": name}, field="starts_on")


class SavedClosure(NamedTuple):
    """A closure and its id."""

    id: int
    details: CloseDays


_COLUMNS = sa.select(Closure.id, Closure.name, Closure.starts_on, Closure.ends_on)


def _closure_of(row: sa.Row[int, str, date, date]) -> SavedClosure:
    return SavedClosure(row.id, CloseDays.model_construct(name=row.name, starts_on=row.starts_on, ends_on=row.ends_on))


def list_ahead(session: Session, today: date) -> list[SavedClosure]:
    """The closures that are not over on the local day `today`, next one first."""
    query = _COLUMNS.where(Closure.ends_on >= today).order_by(Closure.starts_on, Closure.id)
    return [_closure_of(row) for row in session.execute(query)]


def list_past(session: Session, today: date) -> list[SavedClosure]:
    """All past closures, latest first."""
    query = _COLUMNS.where(Closure.ends_on < today).order_by(Closure.ends_on.desc(), Closure.id)
    return [_closure_of(row) for row in session.execute(query)]


def get_closure(session: Session, closure_id: int) -> SavedClosure:
    """One closure.

    Raises:
        NotFound: no closure has this id, or it was removed.
    """
    row = session.execute(_COLUMNS.where(Closure.id == closure_id)).one_or_none()
    if row is None:
        raise NotFound(_("Closure not found. It may have been removed."))
    return _closure_of(row)


def add(session: Session, actor: Actor, closures: Sequence[CloseDays], *, now: datetime) -> list[int]:
    """Add closures and return their ids.

    Raises:
        Invalid: one of them ends before it starts, or is longer than a year.
        AlreadyClosed: there is one on the same days.
    """
    lock_settings(session)
    ids = []
    for closure in closures:
        _check(closure)
        _require_other_days(session, closure)
        row = Closure(**closure.model_dump())
        session.add(row)
        session.flush()
        _record(session, actor, "closure_created", row.id, closure, now=now)
        ids.append(row.id)
    if ids:
        _publish(session, actor, now=now)
    return ids


def change(session: Session, actor: Actor, closure_id: int, command: CloseDays, *, seen: str, now: datetime) -> None:
    """Change a closure's name or days.

    Raises:
        NotFound, EditedMeanwhile. Invalid: it ends before it starts, or is longer than a year.
        AlreadyClosed: there is another one on the same days.
    """
    _check(command)
    lock_settings(session)
    saved = _lock(session, closure_id)
    require_unchanged(saved.details, seen, wanted=command)
    has_other_days = (saved.details.starts_on, saved.details.ends_on) != (command.starts_on, command.ends_on)
    if has_other_days:
        _require_other_days(session, command)
    session.execute(sa.update(Closure).where(Closure.id == closure_id).values(**command.model_dump()))
    _record(session, actor, "closure_changed", closure_id, command, now=now)
    if has_other_days:
        _publish(session, actor, now=now)


def remove(session: Session, actor: Actor, closure_id: int, *, seen: str, now: datetime) -> None:
    """Remove a closure, so that its days can be booked again.

    Raises:
        NotFound, EditedMeanwhile.
    """
    saved = _lock(session, closure_id)
    require_unchanged(saved.details, seen)
    session.execute(sa.delete(Closure).where(Closure.id == closure_id))
    _record(session, actor, "closure_removed", closure_id, saved.details, now=now)
    _publish(session, actor, now=now)


def closed_days(session: Session, first: date, last: date) -> set[date]:
    """Every local day from `first` to `last` on which the clinic is already closed."""
    query = _COLUMNS.where(Closure.ends_on >= first, Closure.starts_on <= last)
    days: set[date] = set()
    for row in session.execute(query):
        day = max(first, row.starts_on)
        while day <= min(last, row.ends_on):
            days.add(day)
            day += timedelta(days=1)
    return days


def _check(closure: CloseDays) -> None:
    if closure.ends_on < closure.starts_on:
        raise Invalid(_("The last day is before the first day."), field="ends_on")
    if closure.ends_on - closure.starts_on > LONGEST:
        raise Invalid(_("This is longer than a year. Check the year of each day."), field="ends_on")


def _require_other_days(session: Session, closure: CloseDays) -> None:
    """Check that no closure has the same days; the caller holds the lock of the settings."""
    same = sa.select(Closure.name).where(Closure.starts_on == closure.starts_on, Closure.ends_on == closure.ends_on)
    name = session.scalar(same.limit(1))
    if name is not None:
        raise AlreadyClosed(name)


def _lock(session: Session, closure_id: int) -> SavedClosure:
    """Take the closure's lock, then read it."""
    session.execute(sa.select(Closure.id).where(Closure.id == closure_id).with_for_update())
    return get_closure(session, closure_id)


def _publish(session: Session, actor: Actor, *, now: datetime) -> None:
    publish(session, ScheduleChanged(by=actor.done_by, what="closures"), now=now)


def _record(session: Session, actor: Actor, action: str, closure_id: int, closure: CloseDays, *, now: datetime) -> None:
    audit.record_by(
        session,
        actor,
        action,
        subject=("closure", closure_id),
        now=now,
        details={"from": closure.starts_on.isoformat(), "until": closure.ends_on.isoformat()},
    )

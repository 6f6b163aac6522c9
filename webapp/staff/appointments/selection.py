"""Several appointments that staff have chosen: which of them an action can be done with, and doing it.

Each appointment is changed in a transaction of its own, so bookings never wait for a long selection, and one that was
changed by another person meanwhile keeps none of the others back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments import queries
from webapp.appointments.booking import status_service, statuses
from webapp.appointments.schemas import AppointmentView, ChangeStatus
from webapp.auth.schemas import Actor
from webapp.database import Database
from webapp.exceptions import AppError
from webapp.i18n import gettext as _

# More than two pages of the list.
MOST_CHOSEN = 200


class Named(NamedTuple):
    """An appointment by its reference, in the version that the person saw; None for whichever it has."""

    reference: str
    version: int | None = None


class Judged(NamedTuple):
    """A chosen appointment, and why the action is not possible with it; '' if it is."""

    appointment: AppointmentView
    why_not: str


class Action(NamedTuple):
    """What can be done with several appointments: why not with one of them, or '', and doing it."""

    why_not: Callable[[AppointmentView, datetime], str]
    do: Callable[..., None]


def _not_confirmable(view: AppointmentView, now: datetime) -> str:
    if view.status == "confirmed":
        return _("It’s already confirmed.")
    if not view.is_active(now):
        return _("It has already started.") if statuses.stands(view.status) else statuses.why_not(view, "confirmed")
    return ""


def _confirm(session: Session, actor: Actor, named: Named, *, now: datetime) -> None:
    status_service.confirm(
        session, actor, named.reference, ChangeStatus(status="confirmed", version=named.version), now=now
    )


ACTIONS: dict[str, Action] = {"confirm": Action(_not_confirmable, _confirm)}


def judge(session: Session, actor: Actor, action: str, references: Sequence[str], *, now: datetime) -> list[Judged]:
    """The chosen appointments that the actor may see, in order of their start."""
    found = queries.get_appointments_named(session, actor, references[:MOST_CHOSEN])
    return [Judged(view, ACTIONS[action].why_not(view, now)) for view in found]


def carry_out(
    database: Database, actor: Actor, action: str, chosen: Sequence[Named], *, now: datetime
) -> dict[str, AppError]:
    """Do it with each of them; returns why not, by reference, for those with which it could not be done."""
    failed: dict[str, AppError] = {}
    for named in chosen[:MOST_CHOSEN]:
        try:
            database.write(ACTIONS[action].do, actor, named, now=now)
        except AppError as error:
            failed[named.reference] = error
    return failed

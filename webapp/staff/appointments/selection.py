"""Bulk actions: for which of the chosen appointments an action is possible, and carrying it out. Each appointment is
changed in its own transaction, so bookings never wait for a long selection, and an appointment that another person
changed meanwhile does not block the others. The notification list is written in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments import queries
from webapp.appointments.booking import service, status_service, statuses
from webapp.appointments.messages import notification_lists
from webapp.appointments.schemas import AppointmentView, Cancellation, ChangeStatus, UndoStatus
from webapp.auth.schemas import Actor
from webapp.database import Database
from webapp.exceptions import AppError
from webapp.i18n import gettext as _

# More than two pages of the list. A mistake writes to at most this many patients.
MOST_CHOSEN = 200
# The code of the reason with which appointments are cancelled together; what patients are told is written beside it.
BY_CLINIC = "by_clinic"


class ChosenAppointment(NamedTuple):
    """An appointment by its reference, in the version that the user saw; None for any version."""

    reference: str
    version: int | None = None


class CheckedAppointment(NamedTuple):
    """A chosen appointment, and why the action is not possible with it; '' if it is."""

    appointment: AppointmentView
    why_not: str


class ActionParameters(NamedTuple):
    """The parameters of an action: `words` is the text for patients, `list_id` the notification list, if any."""

    words: str = ""
    list_id: int | None = None


class Action(NamedTuple):
    """A bulk action: a function that says why it is not possible with an appointment, or '', and one that does it.
    Messages are written together: see `clinic_messages`.
    """

    why_not: Callable[[AppointmentView, datetime], str]
    do: Callable[..., None] | None = None


class SelectionResult(NamedTuple):
    """The reasons of failures by reference, and the notification list."""

    failed: dict[str, AppError]
    list_id: int | None = None


def _not_upcoming(view: AppointmentView, now: datetime, status: str) -> str:
    if view.is_active(now):
        return ""
    return _("It has already started.") if statuses.may_take_place(view.status) else statuses.why_not(view, status)


def _not_confirmable(view: AppointmentView, now: datetime) -> str:
    return _("It’s already confirmed.") if view.status == "confirmed" else _not_upcoming(view, now, "confirmed")


def _confirm(
    session: Session, actor: Actor, named: ChosenAppointment, _order: ActionParameters, *, now: datetime
) -> None:
    status_service.confirm(
        session, actor, named.reference, ChangeStatus(status="confirmed", version=named.version), now=now
    )


def _not_cancellable(view: AppointmentView, now: datetime) -> str:
    return _("It’s already cancelled.") if view.status == "cancelled" else _not_upcoming(view, now, "cancelled")


def _cancel(
    session: Session, actor: Actor, named: ChosenAppointment, order: ActionParameters, *, now: datetime
) -> None:
    command = Cancellation(reason=order.words, version=named.version)
    view = queries.get_appointment(session, actor, named.reference)
    service.cancel(session, actor, named.reference, command, now=now, why=BY_CLINIC, say=order.words)
    if order.list_id is not None:
        notification_lists.note(session, order.list_id, view.id, "cancelled", was_at=view.starts_at)


def _not_restorable(view: AppointmentView, now: datetime) -> str:
    if view.status != "cancelled" or view.previous_status is None:
        return _("It’s not cancelled, or can’t be restored any more.")
    return "" if view.starts_at > now else _("It has already started.")


def _restore(
    session: Session, actor: Actor, named: ChosenAppointment, _order: ActionParameters, *, now: datetime
) -> None:
    status_service.undo(session, actor, named.reference, UndoStatus(version=named.version), now=now)


def _not_tellable(view: AppointmentView, now: datetime) -> str:
    if view.status == "cancelled":
        return _("It’s cancelled.")
    return "" if view.is_active(now) else _("It has already started.")


ACTIONS: dict[str, Action] = {
    "confirm": Action(_not_confirmable, _confirm),
    "cancel": Action(_not_cancellable, _cancel),
    "restore": Action(_not_restorable, _restore),
    "message": Action(_not_tellable),
}


def check(
    session: Session, actor: Actor, action: str, references: Sequence[str], *, now: datetime
) -> list[CheckedAppointment]:
    """The chosen appointments that the actor may see, in order of their start."""
    found = queries.get_appointments_named(session, actor, references[:MOST_CHOSEN])
    return [CheckedAppointment(view, ACTIONS[action].why_not(view, now)) for view in found]


def carry_out(
    database: Database,
    actor: Actor,
    action: str,
    chosen: Sequence[ChosenAppointment],
    *,
    words: str = "",
    once: str = "",
    now: datetime,
) -> SelectionResult:
    """Carry out the action with each of them. `once` is the mark of the form.

    A form that is sent twice has the same effect and the same answer as once: the list has the appointments that it
    cancelled before. If the server was killed in between, the second one does the rest.
    """
    list_id, begun = None, False
    if action == "cancel":
        list_id = database.write(notification_lists.begin_for_form, actor, "cancel", words=words, once=once, now=now)
        begun = list_id is not None
        list_id = list_id or database.write(notification_lists.list_of_form, once)
    do = ACTIONS[action].do
    if do is None:
        raise ValueError(f"{action} is not done with one appointment after the other.")
    failed: dict[str, AppError] = {}
    for named in chosen[:MOST_CHOSEN]:
        try:
            database.write(do, actor, named, ActionParameters(words, list_id), now=now)
        except AppError as error:
            failed[named.reference] = error
    if list_id is None:
        return SelectionResult(failed)
    with database.reading() as session:
        done = notification_lists.references_on(session, list_id)
    failed = {reference: error for reference, error in failed.items() if reference not in done}
    # Another request may be about to write to a list that it has begun.
    ended = begun and database.write(notification_lists.delete_if_empty, list_id)
    return SelectionResult(failed, None if ended else list_id)

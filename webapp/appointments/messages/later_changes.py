"""Later changes of the appointments on a notification list, which then asks only for calls that are still needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.messages.appointment_messages import CANCELLED, MOVED, RESTORED
from webapp.audit.models import AuditEvent
from webapp.database import table_of
from webapp.notifications import outbox
from webapp.notifications.models import OutboxMessage

_CHANGES = ("moved", "cancelled", "undone")
_CALLS = ("called", "call_undone")
_EVENT, _MESSAGE = table_of(AuditEvent).c, table_of(OutboxMessage).c
_EVENTS = (
    sa.select(_EVENT.subject_id, _EVENT.at, _EVENT.action, _EVENT.actor_role)
    .where(_EVENT.subject_type == "appointment", _EVENT.action.in_(_CHANGES + _CALLS))
    .order_by(_EVENT.id)
)
_NEWS = sa.select(_MESSAGE.subject_id, _MESSAGE.created_at).where(
    _MESSAGE.subject_type == "appointment",
    _MESSAGE.template.in_((MOVED, CANCELLED, RESTORED)),
    _MESSAGE.status.in_(outbox.REACHES),
)


class LaterChange(NamedTuple):
    """The last change of an appointment, when it was, and whether the patient made it.

    `called`: they had been called about the earlier one. `announced`: a message about this one reaches them.
    """

    at: datetime
    by_patient: bool
    called: bool
    announced: bool


class AppointmentHistory(NamedTuple):
    """The changes of an appointment and the calls about it, as rows of the audit log, and when news of it were sent."""

    events: Sequence[sa.Row[int, datetime, str, str]]
    news: Sequence[datetime]

    def since(self, made_at: datetime) -> LaterChange | None:
        """The last change, as a list that was made at `made_at` needs it; None if nothing has changed."""
        found, called = None, False
        for _number, at, action, role in self.events:
            if action in _CHANGES:
                found = LaterChange(at, role == "patient", called, any(each >= at for each in self.news))
            elif at >= made_at:
                called = action == "called"
        return found


def load_histories(session: Session, ids: Collection[int]) -> dict[int, AppointmentHistory]:
    """The histories of these appointments."""
    events: dict[int, list[sa.Row[int, datetime, str, str]]] = defaultdict(list)
    news: dict[int, list[datetime]] = defaultdict(list)
    for part in outbox.portions(ids):
        for row in session.execute(_EVENTS.where(_EVENT.subject_id.in_(part))):
            events[row.subject_id].append(row)
        for number, sent_at in session.execute(_NEWS.where(_MESSAGE.subject_id.in_(part))):
            news[number].append(sent_at)
    return {each: AppointmentHistory(events[each], news[each]) for each in ids}

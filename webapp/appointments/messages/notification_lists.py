"""Notification lists: how the patients heard of a change of many appointments, by e-mail, by text message, or by a call
that is still to be made.

A list is made in the transaction of the change, and says of each appointment what happened and which messages were
written. Whether a call is needed is never stored: it follows from the messages as they are now, so that one which fails
later makes a call. A call counts from when the list was made; its tick is that of the calls of a day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.appointments.messages.later_changes import load_histories
from webapp.appointments.messages.notification_lines import (
    TEMPLATES,
    LastCall,
    LineKind,
    NoMessageReason,
    NotificationLineView,
    SentMessage,
    view_of,
    was_changed_again,
    why_no_message,
)
from webapp.appointments.messages.recipients import FACTS, AppointmentFacts, recipients_of
from webapp.appointments.models import Call, NotificationLine, NotificationList
from webapp.appointments.queries import visible_to
from webapp.auth.models import User
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic
from webapp.core.local_time import first_instant
from webapp.database import UtcDateTime, rows, table_of
from webapp.doctors.models import Doctor
from webapp.doctors.service import get_doctor_of_user
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.notifications import outbox
from webapp.notifications.models import OutboxMessage
from webapp.scheduling.models import Appointment

RETENTION = timedelta(days=30)
# At most this many lists are shown, newest first.
MOST_LISTS = 50

ListKind = Literal["away", "closure", "change", "cancel", "message"]


class NotificationListView(NamedTuple):
    """One list; see `NotificationList`. `doctor_name` and `made_by` are names, or ''.

    `first_at` and `last_at` are when the first and the last of its appointments were to start; None on an empty list.
    """

    id: int
    kind: ListKind
    doctor_id: int | None
    doctor_slug: str
    doctor_name: str
    day: date | None
    words: str
    made_at: datetime
    made_by: str
    first_at: datetime | None
    last_at: datetime | None

    @property
    def decided(self) -> bool:
        """Whether it was decided about each appointment what happens to it; else the same happened to all."""
        return self.kind not in ("cancel", "message")


# ------------------------------------------------------------------------------------------------- making a list


def begin(
    session: Session,
    actor: Actor,
    kind: ListKind,
    *,
    doctor_id: int | None = None,
    day: date | None = None,
    words: str = "",
    once: str | None = None,
    now: datetime,
) -> int:
    """Begin a list, and return its id."""
    values = {
        "kind": kind,
        "doctor_id": doctor_id,
        "day": day,
        "words": words,
        "once": once,
        "made_at": now,
        "made_by": actor.account_id,
    }
    return session.scalars(sa.insert(NotificationList).values(values).returning(NotificationList.id)).one()


def begin_for_form(
    session: Session, actor: Actor, kind: ListKind, *, words: str, once: str, now: datetime
) -> int | None:
    """Begin the list of a form with this mark; None if the form has made one before, or makes one at this moment."""
    taken = sa.select(NotificationList.id).where(NotificationList.once == once)
    if session.scalar(taken) is not None:
        return None
    try:
        with session.begin_nested():
            return begin(session, actor, kind, words=words, once=once, now=now)
    except IntegrityError:
        return None


def list_of_form(session: Session, once: str) -> int | None:
    """The list that the form with this mark has made, if it was sent before."""
    return session.scalar(sa.select(NotificationList.id).where(NotificationList.once == once))


def references_on(session: Session, list_id: int) -> set[str]:
    """The references of the appointments on a list."""
    query = sa.select(Appointment.reference).join(NotificationLine, NotificationLine.appointment_id == Appointment.id)
    return set(session.scalars(query.where(NotificationLine.list_id == list_id)))


def delete_if_empty(session: Session, list_id: int) -> bool:
    """Delete the list if no appointment is on it, and return whether it was deleted."""
    of = NotificationList
    empty = sa.delete(of).where(of.id == list_id, ~sa.exists().where(NotificationLine.list_id == list_id))
    return session.scalar(empty.returning(of.id)) is not None


_APPOINTMENT = table_of(Appointment).c
_AS_IT_IS = sa.select(_APPOINTMENT.starts_at, _APPOINTMENT.doctor_id, _APPOINTMENT.version).where(
    _APPOINTMENT.id == sa.bindparam("appointment_id")
)
_NEW_LINE = sa.insert(table_of(NotificationLine))


def note(
    session: Session,
    list_id: int,
    appointment_id: int,
    what: LineKind,
    *,
    was_at: datetime,
    here: bool = False,
    messages: Sequence[int] | None = None,
) -> None:
    """Add an appointment as it is now. Without `messages` they are those that tell of its present version."""
    starts_at, doctor_id, version = rows(session, _AS_IT_IS, appointment_id=appointment_id).one()
    if messages is None:
        template = TEMPLATES.get(what)
        beginning = f"{template}:{appointment_id}:{version}:"
        messages = outbox.ids_about(session, ("appointment", appointment_id), beginning) if template else []
    rows(
        session,
        _NEW_LINE,
        list_id=list_id,
        appointment_id=appointment_id,
        what=what,
        was_at=was_at,
        starts_at=starts_at,
        doctor_id=doctor_id,
        here=here,
        messages=list(messages),
    )


def forget_appointment(session: Session, appointment_id: int) -> None:
    """Delete what lists say of an appointment, and the tick of a call about it: it is another patient's now."""
    for table in (NotificationLine, Call):
        session.execute(sa.delete(table).where(table.appointment_id == appointment_id))


class MessageReach(NamedTuple):
    """How messages about an appointment reach its patient: by which channels, or why by none."""

    channels: list[str]
    why: NoMessageReason


def message_reach(session: Session, actor: Actor, ids: Collection[int]) -> dict[int, MessageReach]:
    """How messages about these appointments would reach their patients, by the appointment's id."""
    return {
        number: MessageReach(sorted({each.channel for each in recipients_of(facts)}), why_no_message(facts))
        for number, (facts, _called) in _facts_of(session, actor, ids).items()
    }


# ----------------------------------------------------------------------------------------------- reading lists

_LINE = table_of(NotificationLine).c
_LIST, _DOCTOR, _MAKER = table_of(NotificationList).c, table_of(Doctor).c, table_of(User).c
_LISTS = (
    sa.select(
        _LIST.id,
        _LIST.kind,
        _LIST.doctor_id,
        sa.func.coalesce(_DOCTOR.slug, ""),
        sa.func.coalesce(_DOCTOR.name, ""),
        _LIST.day,
        _LIST.words,
        _LIST.made_at,
        sa.func.coalesce(_MAKER.name, ""),
        *(
            sa.select(extreme(_LINE.was_at)).where(_LINE.list_id == _LIST.id).scalar_subquery()
            for extreme in (sa.func.min, sa.func.max)
        ),
    )
    .select_from(table_of(NotificationList))
    .outerjoin(table_of(Doctor), _DOCTOR.id == _LIST.doctor_id)
    .outerjoin(_MAKER.id.table, _MAKER.id == _LIST.made_by)
    .order_by(_LIST.id.desc())
)
# Lists about closures and other changes do not name a day, but their appointments are on some days.
_ON_DAY = sa.exists().where(
    _LINE.list_id == _LIST.id,
    _LINE.was_at >= sa.bindparam("low", type_=UtcDateTime),
    _LINE.was_at < sa.bindparam("high", type_=UtcDateTime),
)
_OF_DAY = (
    sa.select(_LIST.id, _LIST.doctor_id, _LIST.kind)
    .where(
        sa.or_(
            _LIST.day == sa.bindparam("day", type_=sa.Date),
            sa.and_(_LIST.kind.in_(("closure", "change")), _ON_DAY),
        )
    )
    .order_by(_LIST.id)
)


def get_list(session: Session, actor: Actor, list_id: int) -> NotificationListView:
    """One list: the front desk sees all, doctors those about their own days and hours.

    Raises:
        NotFound: there is no such list, or the actor may not see it.
    """
    row = session.execute(_LISTS.where(_LIST.id == list_id)).one_or_none()
    found = None if row is None else NotificationListView(*row)
    own = actor.role == "doctor" and found and found.doctor_id == get_doctor_of_user(session, actor.user_id).id
    if found is None or not (actor.sees_all or own):
        raise NotFound(_("This list does not exist. Lists are kept for 30 days."))
    return found


def list_lists(session: Session) -> list[NotificationListView]:
    """The newest lists, newest first."""
    return [NotificationListView(*row) for row in session.execute(_LISTS.limit(MOST_LISTS))]


def count_open_calls(session: Session, actor: Actor, list_ids: Collection[int]) -> dict[int, int]:
    """How many calls are still to be made for each of these lists."""
    found = dict.fromkeys(list_ids, 0)
    for list_id, lines in lines_of(session, actor, list_ids).items():
        found[list_id] = sum(line.is_open for line in lines)
    return found


class CallsToMake(NamedTuple):
    """How many calls are still to be made for a list."""

    list_id: int
    number: int


class OpenCalls(NamedTuple):
    """The calls that are still to be made about a day.

    `away` has those about doctors who are away, by the doctor's id, `changes` those about closures and other changes.
    """

    away: Mapping[int, CallsToMake]
    changes: Sequence[CallsToMake]


def open_calls_on(session: Session, actor: Actor, clinic: Clinic, day: date) -> OpenCalls:
    """The calls that are still to be made about a day on which doctors were away, or that was changed."""
    low, high = (first_instant(day + timedelta(days=days), clinic.zone) for days in (0, 1))
    away: dict[int, CallsToMake] = {}
    changes: list[CallsToMake] = []
    lists = rows(session, _OF_DAY, day=day, low=low, high=high).all()
    lines = lines_of(session, actor, [each.id for each in lists])
    for each in lists:
        is_away = each.kind == "away"
        number = sum(line.is_open and (is_away or low <= line.was_at < high) for line in lines[each.id])
        if number and is_away:
            away[each.doctor_id] = CallsToMake(each.id, number)
        elif number:
            changes.append(CallsToMake(each.id, number))
    return OpenCalls(away, changes)


def lines_of(session: Session, actor: Actor, list_ids: Collection[int]) -> dict[int, list[NotificationLineView]]:
    """The appointments of lists that the actor may see, in order of the time that they had, in a few queries."""
    if not list_ids:
        return {}
    line, of = table_of(NotificationLine).c, table_of(NotificationList).c
    query = (
        sa.select(table_of(NotificationLine), of.made_at, _DOCTOR.name.label("doctor_name"))
        .join(table_of(NotificationList), of.id == line.list_id)
        .join(table_of(Doctor), _DOCTOR.id == line.doctor_id)
        .where(line.list_id.in_(list_ids))
        .order_by(line.was_at, line.appointment_id)
    )
    stored = session.execute(query).all()
    facts = _facts_of(session, actor, {row.appointment_id for row in stored})
    messages = _messages(session, {each for row in stored for each in row.messages})
    seen = [row for row in stored if row.appointment_id in facts]
    changed = {row.appointment_id for row in seen if was_changed_again(row, facts[row.appointment_id][0])}
    known = load_histories(session, changed)
    found: dict[int, list[NotificationLineView]] = {list_id: [] for list_id in list_ids}
    for row in seen:
        number = row.appointment_id
        found[row.list_id].append(view_of(row, *facts[number], messages, known.get(number)))
    return found


_CALL, _CALLER = table_of(Call).c, table_of(User).c


def _facts_of(session: Session, actor: Actor, ids: Collection[int]) -> dict[int, tuple[AppointmentFacts, LastCall]]:
    """The appointments among these that the actor may see, each with the last call about it."""
    found: dict[int, tuple[AppointmentFacts, LastCall]] = {}
    calls = (
        sa.select(_CALL.appointment_id, _CALL.called_at, _CALLER.name)
        .select_from(table_of(Call))
        .join(_CALLER.id.table, _CALLER.id == _CALL.called_by)
    )
    for part in outbox.portions(ids):
        about = session.execute(calls.where(_CALL.appointment_id.in_(part)))
        made = {number: LastCall(at, by) for number, at, by in about}
        query = FACTS.where(table_of(Appointment).c.id.in_(part), visible_to(actor))
        for row in session.execute(query):
            facts = AppointmentFacts._make(row)
            found[facts.id] = facts, made.get(facts.id, LastCall(None, ""))
    return found


def _messages(session: Session, ids: Collection[int]) -> dict[int, SentMessage]:
    of = OutboxMessage
    columns = sa.select(of.id, of.channel, of.status, sa.and_(of.status == "waiting", of.last_error != ""))
    return {
        row[0]: SentMessage(*row)
        for part in outbox.portions(ids)
        for row in session.execute(columns.where(of.id.in_(part)).order_by(of.id))
    }

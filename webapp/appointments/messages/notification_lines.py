"""One appointment on a notification list: what happened to it, and whether its patient has to be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from webapp.appointments.messages.appointment_messages import CANCELLED, MOVED
from webapp.appointments.messages.later_changes import AppointmentHistory, LaterChange
from webapp.appointments.messages.recipients import AppointmentFacts, addresses_of, recipients_of
from webapp.core import phones
from webapp.notifications import outbox

# Few people read their e-mails again before an appointment that begins sooner than this.
SOON = timedelta(hours=2)

LineKind = Literal["moved", "cancelled", "kept", "message"]
# Why to call: the patient is at the clinic, has no address, wants no messages, got none of them, may not read it in
# time, or was told of a change that was undone since.
CallReason = Literal["", "here", "no_address", "unwanted", "failed", "soon", "undone"]
NoMessageReason = Literal["", "no_address", "unwanted"]
# The messages that announce it, by what happened.
TEMPLATES = {"moved": MOVED, "cancelled": CANCELLED}


class SentMessage(NamedTuple):
    """A message of the outbox that tells a patient of it. `failing`: it failed, and is tried again."""

    id: int
    channel: str
    status: str
    failing: bool

    @property
    def reaches(self) -> bool:
        """Whether it reached the recipient, or still may."""
        return self.status in outbox.REACHES


class NotificationLineView(NamedTuple):
    """One appointment of a list, by its id. `was_at`, `starts_at` and `doctor_name` are from the time of the change.

    `changed`: the appointment has been changed since, and `now` is what it is; `undone`: it is as it was before.
    `phone` may be that of the person who books for the patient, or ''. `why` says why to call them; a call counts from
    `counts_from` on, and `called_at` and `called_by` say who made it.
    """

    id: int
    reference: str
    patient_id: int
    patient_name: str
    phone: str
    visit_type_name: str
    what: LineKind
    was_at: datetime
    starts_at: datetime
    doctor_name: str
    changed: bool
    undone: bool
    now: AppointmentFacts
    counts_from: datetime
    messages: list[SentMessage]
    why: CallReason
    called_at: datetime | None
    called_by: str

    @property
    def is_open(self) -> bool:
        """Whether the patient still has to be called."""
        return bool(self.why) and self.called_at is None


class LastCall(NamedTuple):
    """When the patient was called, and by whom; None and '' if they were not."""

    at: datetime | None
    by: str


def why_no_message(facts: AppointmentFacts) -> NoMessageReason:
    """Why no message about this appointment reaches anyone; '' if one does."""
    if next(recipients_of(facts), None) is not None:
        return ""
    known = any("@" in each or phones.can_get_texts(each) for each in addresses_of(facts))
    return "unwanted" if known else "no_address"


def view_of(
    row: Any,
    facts: AppointmentFacts,
    called: LastCall,
    messages: Mapping[int, SentMessage],
    history: AppointmentHistory | None,
) -> NotificationLineView:
    """The line of a stored row, with the last call about it, and with its history if it was changed again."""
    written = [messages[each] for each in row.messages if each in messages]
    since = history.since(row.made_at) if history is not None else None
    undone = _is_changed(row, facts) and facts.status != "cancelled" and facts.starts_at == row.was_at
    counts_from = since.at if since is not None and undone else row.made_at
    counts = called.at is not None and called.at >= counts_from
    return NotificationLineView(
        facts.id,
        facts.reference,
        facts.patient_id,
        facts.patient_name,
        facts.patient_phone or facts.manager_phone,
        facts.visit_type_name,
        row.what,
        row.was_at,
        row.starts_at,
        row.doctor_name,
        _is_changed(row, facts),
        undone,
        facts,
        counts_from,
        written,
        _why_changed(row, facts, written, since, undone=undone) if since is not None else _why(row, facts, written),
        called.at if counts else None,
        called.by if counts else "",
    )


def _is_changed(row: Any, facts: AppointmentFacts) -> bool:
    """Whether the appointment is not what the list says any more."""
    if row.what == "cancelled":
        return facts.status != "cancelled"
    elsewhere = facts.starts_at != row.starts_at or (row.what == "moved" and facts.doctor_name != row.doctor_name)
    return elsewhere or facts.status == "cancelled"


def was_changed_again(row: Any, facts: AppointmentFacts) -> bool:
    """Whether it was moved or cancelled, and then changed again."""
    return row.what in TEMPLATES and _is_changed(row, facts)


def _why_changed(
    row: Any, facts: AppointmentFacts, written: Sequence[SentMessage], since: LaterChange, *, undone: bool
) -> CallReason:
    """Why this patient has to be called although the appointment was changed again, or ''."""
    if since.by_patient:
        return ""
    if not undone:
        return _why(row, facts, written)
    knows = since.called or any(each.reaches for each in written)
    return "undone" if knows and not since.announced and facts.status == "scheduled" else ""


def _why(row: Any, facts: AppointmentFacts, written: Sequence[SentMessage]) -> CallReason:
    """Why this patient has to be called, or ''."""
    if row.here:
        return "here"
    if row.what == "kept":
        # There is nothing to tell yet: the appointment stays as it is until it is decided on.
        return ""
    if row.what == "message" and facts.status == "cancelled":
        # The message was about coming; a cancellation is announced by its own messages.
        return ""
    if not any(each.reaches for each in written):
        return "failed" if row.messages else (why_no_message(facts) or "failed")
    told_by_text = any(each.reaches and each.channel == "sms" for each in written)
    return "soon" if min(row.was_at, row.starts_at) - row.made_at < SOON and not told_by_text else ""

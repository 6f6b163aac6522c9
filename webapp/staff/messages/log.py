"""Messages as staff see them: their recipients, their state, and their text.

The front desk sees those about appointments. The others are about accounts, and for admins.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.messages.appointment_messages import ABOUT_APPOINTMENTS
from webapp.audit import service as audit
from webapp.auth import account_mails
from webapp.auth.schemas import Actor
from webapp.config import Settings
from webapp.core.email_address import normal_email
from webapp.core.parsing import reference_in
from webapp.exceptions import Invalid
from webapp.i18n import Sentence
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.notifications import queries as outbox
from webapp.notifications.queries import About, MessageFilter, MessageRow, StoredMessage
from webapp.notifications.rendering import NOT_RENDERABLE, Rendered, render
from webapp.patients.models import Patient
from webapp.scheduling.models import Appointment
from webapp.staff.audit.log import READERS, LinkedName
from webapp.staff.messages.previews import DEAD_KEYS, KINDS

MOST_RECIPIENTS = 100
AT_ONCE = timedelta(minutes=1)
# The title of each template. Of several examples of one template, the first has the general title, except for mails
# about an account: each example says what has changed, and the list does not know which of these changes it was.
TITLES = {kind.template: kind.title for kind in reversed(KINDS)} | {account_mails.TEMPLATE: _l("Security notice")}


class Badge(NamedTuple):
    """A state in words, with its tone and icon."""

    text: Sentence
    tone: str
    icon: str


STATES = {
    "waiting": Badge(_l("Waiting"), "info", "clock"),
    "sending": Badge(_l("Sending"), "info", "paper-airplane"),
    "sent": Badge(_l("Sent"), "ok", "check"),
    "kept": Badge(_l("Kept as a file"), "info", "archive-box"),
    "dead": Badge(_l("Not delivered"), "bad", "exclamation-triangle"),
}
_FAILING = Badge(_l("Retrying"), "warn", "arrow-path")


class MessageSearch(NamedTuple):
    """A search by staff; '' leaves a filter out."""

    state: str = ""
    channel: str = ""
    recipient: str = ""
    reference: str = ""


class MessageLine(NamedTuple):
    """One message in words. `about` has an address if its subject has a page. `later` says what happens or happened to
    it at the instant `at`, after it was written; '' if it was sent immediately.
    """

    message: MessageRow
    title: str
    badge: Badge
    about: LinkedName
    later: str
    at: datetime


class TimelineEntry(NamedTuple):
    """A past or coming event of a message at the instant `at`, with the name of an icon."""

    icon: str
    text: str
    at: datetime


class RenderedMessage(NamedTuple):
    """A rendered message; `rendered` is None if that is not possible. `live` says that its links work."""

    rendered: Rendered | None
    live: bool


def visible_to(actor: Actor) -> Sequence[str] | None:
    """The templates of the messages that exist for this actor; None for all."""
    return None if actor.manages else ABOUT_APPOINTMENTS


def get_message(session: Session, actor: Actor, number: int) -> StoredMessage:
    """One message.

    Raises:
        NotFound: no message has this id, or the actor may not see it.
    """
    message = outbox.get_message(session, number)
    shown = visible_to(actor)
    if shown is not None and message.template not in shown:
        raise outbox.NoSuchMessage
    return message


def resolve(session: Session, actor: Actor, search: MessageSearch) -> MessageFilter:
    """Look up which messages the search means. Reminders that name an appointment count as messages about it.

    Raises:
        Invalid: the text is not a reference, or too many addresses begin with the typed text.
    """
    recipients = None
    if search.recipient:
        recipients = outbox.find_recipients(session, normal_email(search.recipient), limit=MOST_RECIPIENTS + 1)
        if len(recipients) > MOST_RECIPIENTS:
            raise Invalid(_("Too many addresses match. Enter more of the address."), field="to")
    about = _about_appointment(session, search.reference) if search.reference else None
    return MessageFilter(search.state, search.channel, recipients, about, visible_to(actor))


def _about_appointment(session: Session, text: str) -> list[About]:
    reference = reference_in(text)
    if reference is None:
        raise Invalid(_("A reference looks like K7QM-2F9X."), field="reference")
    query = sa.select(Appointment.id, Patient.id, Patient.managed_by_id).where(
        Appointment.reference == reference, Patient.id == Appointment.patient_id
    )
    appointment = session.execute(query).one_or_none()
    if appointment is None:
        return []
    reminded = [patient_id for patient_id in appointment[1:] if patient_id is not None]
    return [About("appointment", appointment[0]), *(About("patient", each, naming=reference) for each in reminded)]


def list_lines(session: Session, messages: Sequence[MessageRow]) -> list[MessageLine]:
    """The messages in words, with the names of their subjects; one query for each kind of subject."""
    names = _names_of(session, {(each.subject_type, each.subject_id) for each in messages})
    return [
        MessageLine(
            each, title_of(each.template), badge_of(each), names[each.subject_type, each.subject_id], *_later(each)
        )
        for each in messages
    ]


def _later(message: MessageRow) -> tuple[str, datetime]:
    words = {"sent": _("Sent"), "kept": _("Kept"), "dead": _("Given up")}
    at = message.finished_at or message.due_at
    what = words[message.status] if message.finished_at else _("Due") if message.status == "waiting" else ""
    return what if at - message.created_at >= AT_ONCE else "", at


def title_of(template: str) -> str:
    """The title of a message's template; a template without a title is shown by its own name."""
    return str(TITLES.get(template) or template.replace("_", " ").capitalize())


def badge_of(message: MessageRow | StoredMessage) -> Badge:
    """The state of a message in words. A failed message that will be tried again differs from one that just waits."""
    return _FAILING if message.status == "waiting" and message.last_error else STATES[message.status]


def timeline_of(message: StoredMessage) -> list[TimelineEntry]:
    """The past and coming events of a message, in order."""
    steps = [TimelineEntry("pencil", _("Created"), message.created_at)]
    match message.status:
        case "waiting":
            text = _("Next attempt") if message.last_error else _("To be sent")
            steps.append(TimelineEntry("clock", text, message.due_at))
            steps.append(TimelineEntry("minus-small", _("Tried until"), message.expires_at))
        case "sending" if message.lease_until is not None:
            text = _("Sending. Next attempt if this fails")
            steps.append(TimelineEntry("paper-airplane", text, message.lease_until))
        case "sent" | "kept" | "dead" if message.finished_at is not None:
            text = {
                "sent": _("Accepted for delivery"),
                "kept": _("Kept as a file, because no server is set up to send it"),
                "dead": _("Given up"),
            }[message.status]
            badge = STATES[message.status]
            steps.append(TimelineEntry(badge.icon, text, message.finished_at))
    return steps


def subject_of(session: Session, message: StoredMessage) -> LinkedName:
    """The subject of a message."""
    subject = message.subject_type, message.subject_id
    return _names_of(session, {subject})[subject]


def _names_of(session: Session, subjects: set[tuple[str, int]]) -> dict[tuple[str, int], LinkedName]:
    names = {
        subject: LinkedName(
            _("%(kind)s %(id)d") % {"kind": subject[0].replace("_", " ").capitalize(), "id": subject[1]}, None
        )
        for subject in subjects
    }
    for kind, read in READERS.items():
        ids = {number for each, number in subjects if each == kind}
        if ids:
            names |= {(kind, number): named for number, named in read(session, ids).items()}
    return names


def write_out(message: StoredMessage, settings: Settings, *, base_url: str) -> RenderedMessage:
    """The message as its recipient reads it, except for the links.

    Anyone who follows a link of a message acts as its recipient, so the links that an admin sees lead nowhere. On a
    developer's machine a kept message has no other reader, and there they work.
    """
    live = message.status == "kept" and settings.environment == "development"
    keys = settings.secret_keys if live else DEAD_KEYS
    try:
        rendered = render(
            message.template, message.channel, message.recipient, message.values, base_url=base_url, keys=keys
        )
    except NOT_RENDERABLE:
        # The template is gone, or the values are of an older release: the rest of the page is still wanted.
        return RenderedMessage(None, live)
    return RenderedMessage(rendered, live)


def record(session: Session, actor: Actor, action: str, message: StoredMessage, *, now: datetime) -> None:
    """Add a row to the audit log about the message's subject; it does not show in an appointment's visible history."""
    audit.record_by(
        session,
        actor,
        action,
        subject=(message.subject_type, message.subject_id),
        now=now,
        details={"message": message.id},
    )


def record_reading(session: Session, actor: Actor, message: StoredMessage, *, now: datetime) -> None:
    """Log that the actor reads a message."""
    record(session, actor, "message_read", message, now=now)


def record_listing(session: Session, actor: Actor, message_ids: Sequence[int], *, now: datetime) -> None:
    """Log which messages an actor saw in the list, with the names of their recipients."""
    audit.record_list_read(session, actor, "messages_listed", "messages", message_ids, now=now)

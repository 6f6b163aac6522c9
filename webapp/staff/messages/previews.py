"""Examples of every message that Docket sends, about fictitious people and appointments.

`KINDS` lists them. They are rendered by the same code and templates as real ones, with the clinic's own name, zone and
rules.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from webapp.appointments import guardians
from webapp.appointments.messages.appointment_messages import (
    BOOKED,
    CANCELLED,
    CLINIC_MESSAGE,
    LATE,
    MOVED,
    REMINDER,
    RESTORED,
)
from webapp.auth import account_mails
from webapp.clinic.service import Clinic
from webapp.exceptions import NotFound
from webapp.i18n import Sentence, language
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.notifications.outbox import Channel
from webapp.notifications.rendering import Rendered, render
from webapp.staff.messages import examples
from webapp.staff.messages.examples import EMAIL, PHONE

# Links in examples are signed with a key that we do not use, so that they open nothing.
DEAD_KEYS = ["a key that signs the dead links of examples"]

Values = Callable[[Clinic, datetime, Channel], dict[str, Any]]


class MessageKind(NamedTuple):
    """One kind of message: its name in addresses, its title, when it is sent, and an example's values."""

    name: str
    title: Sentence
    occasion: Sentence
    template: str
    channels: tuple[Channel, ...]
    values: Values


def find_kind(name: str) -> MessageKind:
    """The kind with this name.

    Raises:
        NotFound: there is no such kind.
    """
    kind = next((kind for kind in KINDS if kind.name == name), None)
    if kind is None:
        raise NotFound(_("Message not found."))
    return kind


def write_example(kind: MessageKind, channel: Channel, clinic: Clinic, *, base_url: str, now: datetime) -> Rendered:
    """An example of this kind, as the clinic would send it."""
    recipient = EMAIL if channel == "email" else PHONE
    values = kind.values(clinic, now, channel)
    return render(kind.template, channel, recipient, values, base_url=base_url, keys=DEAD_KEYS, language=language())


_BOTH: tuple[Channel, ...] = ("email", "sms")

KINDS = (
    MessageKind(
        "visit_booked",
        _l("Appointment booked"),
        _l("A patient books an appointment."),
        BOOKED,
        _BOTH,
        partial(examples.notice, template=BOOKED),
    ),
    MessageKind(
        "visit_booked_for_child",
        _l("Appointment booked for someone else"),
        _l("The clinic books for a child, and the parent is told. This visit type may be named."),
        BOOKED,
        _BOTH,
        examples.booked_for_child,
    ),
    MessageKind(
        "visit_moved",
        _l("Appointment moved"),
        _l("A patient moves their appointment."),
        MOVED,
        _BOTH,
        partial(examples.notice, template=MOVED, moved=True),
    ),
    MessageKind(
        "visit_moved_by_clinic",
        _l("Appointment moved by the clinic"),
        _l("New time off or hours affect an appointment, and staff move it."),
        MOVED,
        _BOTH,
        partial(examples.notice, template=MOVED, moved=True, by_staff=True, why="time_off"),
    ),
    MessageKind(
        "visit_cancelled",
        _l("Appointment cancelled"),
        _l("A patient cancels their appointment."),
        CANCELLED,
        _BOTH,
        partial(examples.notice, template=CANCELLED, status="cancelled"),
    ),
    MessageKind(
        "visit_cancelled_by_clinic",
        _l("Appointment cancelled by the clinic"),
        _l("Staff cancel an appointment, here because of a closure."),
        CANCELLED,
        _BOTH,
        partial(examples.notice, template=CANCELLED, status="cancelled", by_staff=True, why="closure"),
    ),
    MessageKind(
        "visit_restored",
        _l("Cancellation undone"),
        _l("Staff undo a cancellation."),
        RESTORED,
        _BOTH,
        partial(examples.notice, template=RESTORED, by_staff=True),
    ),
    MessageKind(
        "clinic_message",
        _l("Message in the clinic’s own words"),
        _l("Staff choose several appointments and write to their patients."),
        CLINIC_MESSAGE,
        _BOTH,
        examples.own_words,
    ),
    MessageKind(
        "visit_reminder",
        _l("Reminder"),
        _l("Some days before an appointment, as set under Reminders."),
        REMINDER,
        _BOTH,
        examples.one_reminder,
    ),
    MessageKind(
        "visit_reminder_of_several",
        _l("Reminder of several appointments"),
        _l("One message for all appointments of a day: here the patient’s own, already confirmed, and their child’s."),
        REMINDER,
        _BOTH,
        examples.reminder_of_family,
    ),
    MessageKind(
        "visit_late",
        _l("Doctor running late"),
        _l("A doctor is running late, and the appointment starts within the hours set under Reminders."),
        LATE,
        _BOTH,
        partial(examples.late, minutes=20),
    ),
    MessageKind(
        "visit_on_time_again",
        _l("Doctor on time again"),
        _l("The same doctor has caught up. Sent to those who were told before."),
        LATE,
        _BOTH,
        partial(examples.late, minutes=0),
    ),
    MessageKind(
        "guardian_ends",
        _l("Guardian’s access ends"),
        _l("Four weeks before the birthday at which a guardian loses access. Sent to the guardian."),
        guardians.TEMPLATE,
        ("email",),
        partial(examples.guardian_ends, own=False),
    ),
    MessageKind(
        "guardian_ends_for_patient",
        _l("Guardian’s access ends, to the patient"),
        _l("The same for the young person. Sent to their own email address."),
        guardians.TEMPLATE,
        ("email",),
        partial(examples.guardian_ends, own=True),
    ),
    MessageKind(
        "confirm_email",
        _l("Confirm an email address"),
        _l("A patient creates an account, or asks for this email again."),
        "confirm_email",
        ("email",),
        examples.account,
    ),
    MessageKind(
        "confirm_corrected_email",
        _l("Confirm a corrected email address"),
        _l("Staff correct the email address of a patient’s account. Sent to the new address."),
        "confirm_email",
        ("email",),
        examples.corrected_address,
    ),
    MessageKind(
        "change_email",
        _l("Confirm a new email address"),
        _l("Someone asks to change the email address of their account. Sent to the new address."),
        "change_email",
        ("email",),
        examples.account,
    ),
    MessageKind(
        "email_change_asked",
        _l("Email address about to change"),
        _l("Someone asks to change the email address of their account. Sent to the old address."),
        "email_changed",
        ("email",),
        partial(examples.old_address, waiting=True),
    ),
    MessageKind(
        "email_changed",
        _l("Email address changed"),
        _l("The email address of an account has changed. Sent to the old address."),
        "email_changed",
        ("email",),
        partial(examples.old_address, waiting=False),
    ),
    MessageKind(
        "account_exists",
        _l("Account already exists"),
        _l("Someone tries to create an account with the email address of another one."),
        "account_exists",
        ("email",),
        examples.account,
    ),
    MessageKind(
        "sign_in_code",
        _l("Code to sign in with"),
        _l("A person signs in, or books for the first time, without a password."),
        "sign_in_code",
        ("email",),
        examples.account,
    ),
    MessageKind(
        "address_taken",
        _l("Code for an existing account"),
        _l("Someone tries to create an account on the page with the email address of another one."),
        "sign_in_code",
        ("email",),
        examples.taken_address,
    ),
    MessageKind(
        "password_changed",
        _l("Password changed"),
        _l("An account’s password has changed. A similar email follows changes to two-step sign-in and passkeys."),
        account_mails.TEMPLATE,
        ("email",),
        partial(examples.account_changed, what="password"),
    ),
    MessageKind(
        "new_browser",
        _l("New sign-in"),
        _l("A member of staff signs in on a device for the first time."),
        account_mails.TEMPLATE,
        ("email",),
        partial(examples.account_changed, what="new_browser"),
    ),
    MessageKind(
        "identity_linked",
        _l("Other way to sign in"),
        _l("An account of an identity provider is linked to an account here."),
        account_mails.TEMPLATE,
        ("email",),
        partial(examples.account_changed, what="identity_linked"),
    ),
    MessageKind(
        "password_reset",
        _l("New password"),
        _l("A person forgot their password."),
        "password_reset",
        ("email",),
        examples.account,
    ),
    MessageKind(
        "password_invitation",
        _l("Choose a password"),
        _l("An admin creates an account for a member of staff, or creates a new password link. Sent to its owner."),
        "password_invitation",
        ("email",),
        partial(examples.password_link, own=True),
    ),
    MessageKind(
        "password_link_note",
        _l("Password link created"),
        _l("The admin who created a password link is told, in case someone else uses their account."),
        "password_link_note",
        ("email",),
        partial(examples.password_link, own=False),
    ),
    MessageKind(
        "api_token_made",
        _l("API token created"),
        _l("An admin created an API token. All admins are told, in case it wasn’t one of them."),
        "api_token_made",
        ("email",),
        examples.api_token,
    ),
)

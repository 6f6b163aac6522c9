"""Examples of every message that Docket sends, about fictitious people and appointments.

They are rendered by the same code and templates as real ones, with the clinic's own name, zone and rules.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any, NamedTuple

from webapp.appointments import guardians
from webapp.appointments.messages import appointment_messages
from webapp.appointments.messages.appointment_messages import AppointmentFacts, Notice, Recipient
from webapp.auth import account_mails
from webapp.clinic.service import Clinic
from webapp.core.local_time import wall_minute
from webapp.events.kinds import DoneBy
from webapp.exceptions import NotFound
from webapp.i18n import Sentence, language
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.notifications.outbox import Channel
from webapp.notifications.rendering import Rendered, render
from webapp.patients import guardianship

EMAIL, PHONE = "alex.example@example.org", "+00 000 000"
# Links in examples are signed with a key that we do not use, so that they open nothing.
DEAD_KEYS = ["a key that signs the dead links of examples"]
_PATIENT_USER, _PARENT_USER, _STAFF_USER = 1, 2, 3

Values = Callable[[Clinic, datetime, Channel], dict[str, Any]]


class Kind(NamedTuple):
    """One kind of message: its name in addresses, its title, when it is sent, and an example's values."""

    name: str
    title: Sentence
    occasion: Sentence
    template: str
    channels: tuple[Channel, ...]
    values: Values


def find_kind(name: str) -> Kind:
    """The kind with this name.

    Raises:
        NotFound: there is no such kind.
    """
    kind = next((kind for kind in KINDS if kind.name == name), None)
    if kind is None:
        raise NotFound(_("Message not found."))
    return kind


def write_example(kind: Kind, channel: Channel, clinic: Clinic, *, base_url: str, now: datetime) -> Rendered:
    """An example of this kind, as the clinic would send it."""
    recipient = EMAIL if channel == "email" else PHONE
    values = kind.values(clinic, now, channel)
    return render(kind.template, channel, recipient, values, base_url=base_url, keys=DEAD_KEYS, language=language())


# ---------------------------------------------------------------------------------------------------- examples


def _appointment(clinic: Clinic, now: datetime, *, days: int = 9, hour: int = 9, **others: Any) -> AppointmentFacts:
    """A fictitious appointment, so many days ahead at half past an hour."""
    day = clinic.today(now) + timedelta(days=days)
    starts_at = datetime.combine(day, time(hour, 30), tzinfo=clinic.zone).astimezone(UTC)
    return AppointmentFacts(
        id=0,
        reference="EXAM-PLE2",
        version=1,
        status="scheduled",
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=20),
        promised_minute=wall_minute(starts_at, clinic.zone),
        created_at=now,
        updated_at=now,
        doctor_name=_("Dr. Robin Example"),
        doctor_room=_("Room 2"),
        visit_type_name=_("Check-up"),
        named_in_messages=False,
        preparation="",
        patient_id=0,
        patient_name=_("Kim Example"),
        patient_user_id=_PATIENT_USER,
        patient_email=EMAIL,
        patient_phone=PHONE,
        wants_email=True,
        wants_sms=True,
        manager_id=None,
        manager_user_id=None,
        manager_email="",
        manager_known=False,
        manager_phone="",
        manager_wants_email=False,
        manager_wants_sms=False,
        moved_by_clinic=False,
        patient_known=True,
    )._replace(**others)


def _notice(
    clinic: Clinic,
    now: datetime,
    channel: Channel,
    *,
    template: str,
    by_staff: bool = False,
    for_child: bool = False,
    moved: bool = False,
    why: str = "",
    **others: Any,
) -> dict[str, Any]:
    """The values of a message about an event that did not happen."""
    facts = _appointment(clinic, now, **others)._replace(moved_by_clinic=moved and by_staff)
    by = DoneBy(_STAFF_USER, "admin", "") if by_staff else DoneBy(_PATIENT_USER, "patient", "")
    before = facts.starts_at - timedelta(days=2, hours=-1) if moved else None
    recipient = _recipient(channel, facts.patient_name if for_child else "")
    notice = Notice(template, by, before=before, why=why)
    return appointment_messages.notice_values(facts, recipient, clinic, notice, now=now)


def _booked_for_child(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    """An appointment whose visit type messages may name, with something to prepare."""
    return _notice(
        clinic,
        now,
        channel,
        template=appointment_messages.BOOKED,
        by_staff=True,
        for_child=True,
        named_in_messages=True,
        preparation=_("Bring a list of all medicines that you take."),
    )


def _recipient(channel: Channel, whose: str = "") -> Recipient:
    return Recipient(channel, EMAIL if channel == "email" else PHONE, 0, _PATIENT_USER, whose)


def _one_reminder(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    return appointment_messages.reminder_values(
        [(_appointment(clinic, now, days=7), _recipient(channel))], clinic, now=now
    )


def _reminder_of_family(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    """A parent's own appointment, which is confirmed, and a child's, with something to prepare."""
    own = _appointment(clinic, now, days=7, status="confirmed")
    childs = _appointment(clinic, now, days=7, hour=11, reference="EXAM-PLE3", preparation=_("Bring all medicines."))
    appointments = [(own, _recipient(channel)), (childs, _recipient(channel, childs.patient_name))]
    return appointment_messages.reminder_values(appointments, clinic, now=now)


def _account(clinic: Clinic, _now: datetime, _channel: Channel) -> dict[str, Any]:
    name = _("Kim Example")
    return {"clinic": clinic.letterhead, "user_id": 0, "email": EMAIL, "name": name, "nonce": "example"}


def _taken_address(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    return _account(clinic, now, channel) | {"taken": True}


def _corrected_address(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    return _account(clinic, now, channel) | {"corrected": True}


def _password_link(clinic: Clinic, now: datetime, channel: Channel, *, own: bool) -> dict[str, Any]:
    return _account(clinic, now, channel) | {"by": _("Robin Example"), "own": own}


def _account_changed(clinic: Clinic, now: datetime, _channel: Channel, *, what: str) -> dict[str, Any]:
    said = {
        "what": what,
        "name": _("St. Mary’s"),
        "browser": "Firefox",
        "system": "Linux",
        "left": 9,
        "at": now.isoformat(),
    }
    return {"clinic": clinic.letterhead, **said}


def _api_token(clinic: Clinic, _now: datetime, _channel: Channel) -> dict[str, Any]:
    scopes = ["appointments:read", "patients:read"]
    return {
        "clinic": clinic.letterhead,
        "by": _("Robin Example"),
        "name": _("Laboratory"),
        "scopes": scopes,
        "days": 90,
    }


def _guardian_ends(clinic: Clinic, now: datetime, _channel: Channel, *, own: bool) -> dict[str, Any]:
    until = now + guardianship.NOTICE
    return {"clinic": clinic.letterhead, "own": own, "name": _("K.E."), "until": until.isoformat()}


def _old_address(clinic: Clinic, _now: datetime, _channel: Channel, *, waiting: bool) -> dict[str, Any]:
    return {"clinic": clinic.letterhead, "waiting": waiting}


_BOTH: tuple[Channel, ...] = ("email", "sms")

KINDS = (
    Kind(
        "visit_booked",
        _l("Appointment booked"),
        _l("A patient books an appointment."),
        appointment_messages.BOOKED,
        _BOTH,
        partial(_notice, template=appointment_messages.BOOKED),
    ),
    Kind(
        "visit_booked_for_child",
        _l("Appointment booked for someone else"),
        _l("The clinic books for a child, and the parent is told. This visit type may be named."),
        appointment_messages.BOOKED,
        _BOTH,
        _booked_for_child,
    ),
    Kind(
        "visit_moved",
        _l("Appointment moved"),
        _l("A patient moves their appointment."),
        appointment_messages.MOVED,
        _BOTH,
        partial(_notice, template=appointment_messages.MOVED, moved=True),
    ),
    Kind(
        "visit_moved_by_clinic",
        _l("Appointment moved by the clinic"),
        _l("New time off or hours affect an appointment, and staff move it."),
        appointment_messages.MOVED,
        _BOTH,
        partial(_notice, template=appointment_messages.MOVED, moved=True, by_staff=True, why="time_off"),
    ),
    Kind(
        "visit_cancelled",
        _l("Appointment cancelled"),
        _l("A patient cancels their appointment."),
        appointment_messages.CANCELLED,
        _BOTH,
        partial(_notice, template=appointment_messages.CANCELLED, status="cancelled"),
    ),
    Kind(
        "visit_cancelled_by_clinic",
        _l("Appointment cancelled by the clinic"),
        _l("Staff cancel an appointment, here because of a closure."),
        appointment_messages.CANCELLED,
        _BOTH,
        partial(_notice, template=appointment_messages.CANCELLED, status="cancelled", by_staff=True, why="closure"),
    ),
    Kind(
        "visit_restored",
        _l("Cancellation undone"),
        _l("Staff undo a cancellation."),
        appointment_messages.RESTORED,
        _BOTH,
        partial(_notice, template=appointment_messages.RESTORED, by_staff=True),
    ),
    Kind(
        "visit_reminder",
        _l("Reminder"),
        _l("Some days before an appointment, as set under Reminders."),
        appointment_messages.REMINDER,
        _BOTH,
        _one_reminder,
    ),
    Kind(
        "visit_reminder_of_several",
        _l("Reminder of several appointments"),
        _l("One message for all appointments of a day: here the patient’s own, already confirmed, and their child’s."),
        appointment_messages.REMINDER,
        _BOTH,
        _reminder_of_family,
    ),
    Kind(
        "guardian_ends",
        _l("Guardian’s access ends"),
        _l("Four weeks before the birthday at which a guardian loses access. Sent to the guardian."),
        guardians.TEMPLATE,
        ("email",),
        partial(_guardian_ends, own=False),
    ),
    Kind(
        "guardian_ends_for_patient",
        _l("Guardian’s access ends, to the patient"),
        _l("The same for the young person, at an address of their own."),
        guardians.TEMPLATE,
        ("email",),
        partial(_guardian_ends, own=True),
    ),
    Kind(
        "confirm_email",
        _l("Confirm an email address"),
        _l("A patient creates an account, or asks for this email again."),
        "confirm_email",
        ("email",),
        _account,
    ),
    Kind(
        "confirm_corrected_email",
        _l("Confirm a corrected email address"),
        _l("Staff correct the email address of a patient’s account. Sent to the new address."),
        "confirm_email",
        ("email",),
        _corrected_address,
    ),
    Kind(
        "change_email",
        _l("Confirm a new email address"),
        _l("Someone asks to change the email address of their account. Sent to the new address."),
        "change_email",
        ("email",),
        _account,
    ),
    Kind(
        "email_change_asked",
        _l("Email address about to change"),
        _l("Someone asks to change the email address of their account. Sent to the old address."),
        "email_changed",
        ("email",),
        partial(_old_address, waiting=True),
    ),
    Kind(
        "email_changed",
        _l("Email address changed"),
        _l("The email address of an account has changed. Sent to the old address."),
        "email_changed",
        ("email",),
        partial(_old_address, waiting=False),
    ),
    Kind(
        "account_exists",
        _l("An account exists already"),
        _l("Someone tries to create an account with the email address of another one."),
        "account_exists",
        ("email",),
        _account,
    ),
    Kind(
        "sign_in_code",
        _l("Code to sign in with"),
        _l("A person signs in, or books for the first time, without a password."),
        "sign_in_code",
        ("email",),
        _account,
    ),
    Kind(
        "address_taken",
        _l("Code for an account that exists"),
        _l("Someone tries to create an account on the page with the email address of another one."),
        "sign_in_code",
        ("email",),
        _taken_address,
    ),
    Kind(
        "password_changed",
        _l("Password changed"),
        _l("An account’s password has changed. A similar email follows changes to two-step sign-in and passkeys."),
        account_mails.TEMPLATE,
        ("email",),
        partial(_account_changed, what="password"),
    ),
    Kind(
        "new_browser",
        _l("New sign-in"),
        _l("A member of staff signs in on a device for the first time."),
        account_mails.TEMPLATE,
        ("email",),
        partial(_account_changed, what="new_browser"),
    ),
    Kind(
        "identity_linked",
        _l("Other way to sign in"),
        _l("An account of an identity provider is linked to an account here."),
        account_mails.TEMPLATE,
        ("email",),
        partial(_account_changed, what="identity_linked"),
    ),
    Kind(
        "password_reset",
        _l("New password"),
        _l("A person forgot their password."),
        "password_reset",
        ("email",),
        _account,
    ),
    Kind(
        "password_invitation",
        _l("Choose a password"),
        _l("An admin creates an account for a member of staff, or makes a new password link. Sent to its owner."),
        "password_invitation",
        ("email",),
        partial(_password_link, own=True),
    ),
    Kind(
        "password_link_note",
        _l("Password link made"),
        _l("The admin who made a password link is told, in case someone else uses their account."),
        "password_link_note",
        ("email",),
        partial(_password_link, own=False),
    ),
    Kind(
        "api_token_made",
        _l("API token made"),
        _l("An admin made an API token. All admins are told, in case it wasn’t one of them."),
        "api_token_made",
        ("email",),
        _api_token,
    ),
)

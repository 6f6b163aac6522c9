"""The values for examples of messages, about fictitious people and appointments."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from webapp.appointments.messages import appointment_messages, clinic_messages, lateness
from webapp.appointments.messages.appointment_messages import Notice
from webapp.appointments.messages.recipients import AppointmentFacts, Recipient
from webapp.clinic.service import Clinic
from webapp.core.local_time import wall_minute
from webapp.events.kinds import DoneBy
from webapp.i18n import gettext as _
from webapp.notifications.outbox import Channel
from webapp.patients import guardianship

EMAIL, PHONE = "alex.example@example.org", "+00 000 000"
_PATIENT_USER, _STAFF_USER = 1, 2


def _appointment(clinic: Clinic, now: datetime, *, days: int = 9, hour: int = 9, **others: Any) -> AppointmentFacts:
    """A fictitious appointment, `days` days ahead, at half past `hour`."""
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


def notice(
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


def booked_for_child(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    """An appointment whose visit type messages may name, with something to prepare."""
    return notice(
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


def one_reminder(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    return appointment_messages.reminder_values(
        [(_appointment(clinic, now, days=7), _recipient(channel))], clinic, now=now
    )


def own_words(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    """A message in the clinic's words about one appointment."""
    recipient = _recipient(channel)
    message = clinic_messages.AddressedMessage(recipient, [(_appointment(clinic, now), recipient)])
    words = _("The lift is broken today. Please use the stairs at the back, or call us if you can’t.")
    return clinic_messages.values_of(message, clinic, words, now=now)


def reminder_of_family(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    """A parent's own appointment, which is confirmed, and a child's, with something to prepare."""
    own = _appointment(clinic, now, days=7, status="confirmed")
    childs = _appointment(clinic, now, days=7, hour=11, reference="EXAM-PLE3", preparation=_("Bring all medicines."))
    appointments = [(own, _recipient(channel)), (childs, _recipient(channel, childs.patient_name))]
    return appointment_messages.reminder_values(appointments, clinic, now=now)


def late(clinic: Clinic, now: datetime, channel: Channel, *, minutes: int) -> dict[str, Any]:
    """A doctor who is running late; with 0 minutes, on time again."""
    facts = _appointment(clinic, now, days=1, status="confirmed")
    return lateness.late_values(facts, _recipient(channel), clinic, minutes, now=now)


def account(clinic: Clinic, _now: datetime, _channel: Channel) -> dict[str, Any]:
    name = _("Kim Example")
    return {"clinic": clinic.letterhead, "user_id": 0, "email": EMAIL, "name": name, "nonce": "example"}


def taken_address(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    return account(clinic, now, channel) | {"taken": True}


def corrected_address(clinic: Clinic, now: datetime, channel: Channel) -> dict[str, Any]:
    return account(clinic, now, channel) | {"corrected": True}


def password_link(clinic: Clinic, now: datetime, channel: Channel, *, own: bool) -> dict[str, Any]:
    return account(clinic, now, channel) | {"by": _("Robin Example"), "own": own}


def account_changed(clinic: Clinic, now: datetime, _channel: Channel, *, what: str) -> dict[str, Any]:
    said = {
        "what": what,
        "name": _("St. Mary’s"),
        "browser": "Firefox",
        "system": "Linux",
        "left": 9,
        "at": now.isoformat(),
    }
    return {"clinic": clinic.letterhead, **said}


def api_token(clinic: Clinic, _now: datetime, _channel: Channel) -> dict[str, Any]:
    scopes = ["appointments:read", "patients:read"]
    return {
        "clinic": clinic.letterhead,
        "by": _("Robin Example"),
        "name": _("Laboratory"),
        "scopes": scopes,
        "days": 90,
    }


def guardian_ends(clinic: Clinic, now: datetime, _channel: Channel, *, own: bool) -> dict[str, Any]:
    until = now + guardianship.NOTICE
    return {"clinic": clinic.letterhead, "own": own, "name": _("K.E."), "until": until.isoformat()}


def old_address(clinic: Clinic, _now: datetime, _channel: Channel, *, waiting: bool) -> dict[str, Any]:
    return {"clinic": clinic.letterhead, "waiting": waiting}

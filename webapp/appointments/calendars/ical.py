"""An appointment as a calendar event. Others may see the calendar, so the event says where and when, but not why."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Protocol

from webapp.clinic.service import Clinic
from webapp.core import names
from webapp.core.calendar_events import CalendarEvent
from webapp.i18n import gettext as _

ALARM_MINUTES = 120


class CalendarAppointment(Protocol):
    """The details of an appointment that an event shows; every model of an appointment that is used here has them."""

    @property
    def reference(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...
    @property
    def version(self) -> int: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def updated_at(self) -> datetime: ...
    @property
    def doctor_name(self) -> str: ...
    @property
    def doctor_room(self) -> str: ...
    @property
    def patient_name(self) -> str: ...
    @property
    def visit_type_name(self) -> str: ...
    @property
    def named_in_messages(self) -> bool: ...


def event_of(
    appointment: CalendarAppointment, clinic: Clinic, *, base_url: str, whose: str = "", href: str = ""
) -> CalendarEvent:
    """The event for the patient: with whom, where, how to reach the clinic, and an alarm two hours before.

    `base_url` is Docket's address, without a slash at its end. `whose` names the patient if the calendar belongs to
    another person. `href` is the full address of a page that shows the appointment; by default that is the page that
    needs a sign-in.
    """
    kind = appointment.visit_type_name if appointment.named_in_messages else _("Appointment")
    words = {"kind": kind, "doctor": appointment.doctor_name, "patient": whose}
    summary = _("%(kind)s: %(doctor)s, for %(patient)s") if whose else _("%(kind)s: %(doctor)s")
    return _event(appointment, clinic, summary % words, base_url=base_url, href=href, alarm_minutes=ALARM_MINUTES)


def diary_event_of(appointment: CalendarAppointment, clinic: Clinic, *, base_url: str) -> CalendarEvent:
    """The event for the doctor's calendar: the patient's initials only, and no alarms."""
    summary = _("Appointment: %(initials)s") % {"initials": initials(appointment.patient_name)}
    return _event(appointment, clinic, summary, base_url=base_url)


def initials(name: str) -> str:
    """'A.A.' for Alice Adams."""
    return "".join(f"{letter}." for letter in names.initials(name))


def uid_of(appointment: CalendarAppointment) -> str:
    """The event's UID: it stays the same for the appointment's whole life and does not depend on Docket's address."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"docket:{appointment.reference}:{appointment.created_at.isoformat()}"))


def _event(
    appointment: CalendarAppointment,
    clinic: Clinic,
    summary: str,
    *,
    base_url: str,
    href: str = "",
    alarm_minutes: int | None = None,
) -> CalendarEvent:
    href = href or f"{base_url}/appointments/{appointment.reference}"
    lines = [clinic.name_shown, _("Reference: %(reference)s") % {"reference": appointment.reference}]
    if clinic.phone:
        lines.append(_("Phone: %(phone)s") % {"phone": clinic.phone_shown})
    lines.append(_("View appointment: %(href)s") % {"href": href})
    return CalendarEvent(
        uid=uid_of(appointment),
        # Calendars count versions from 0, and we count from 1.
        sequence=appointment.version - 1,
        starts_at=appointment.starts_at,
        ends_at=appointment.ends_at,
        summary=summary,
        description="\n".join(lines),
        location=", ".join(part for part in (clinic.address, appointment.doctor_room) if part),
        url=href,
        status="CANCELLED" if appointment.status == "cancelled" else "CONFIRMED",
        updated_at=appointment.updated_at,
        alarm_minutes=alarm_minutes,
    )

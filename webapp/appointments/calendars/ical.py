"""A visit as an event in somebody's calendar, which others may see: it says where to be and when, and not why."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Protocol

from webapp.clinic.service import Clinic
from webapp.core.i18n import gettext as _
from webapp.core.icalendar import Event

ALARM_MINUTES = 120


class CalendarAppointment(Protocol):
    """What an event tells of a visit; every view of visits that is read here has it."""

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
) -> Event:
    """The visit for whoever comes: with whom, where, how to reach the clinic, and an alarm two hours before.

    `base_url` is where Docket is reached, without a slash at its end. `whose` names the patient where the calendar is
    not their own. `href` is the whole address of a page that shows the visit, if not of the one behind the log-in.
    """
    kind = appointment.visit_type_name if appointment.named_in_messages else _("Visit")
    words = {"kind": kind, "doctor": appointment.doctor_name, "patient": whose}
    summary = _("%(kind)s: %(doctor)s, for %(patient)s") if whose else _("%(kind)s: %(doctor)s")
    return _event(appointment, clinic, summary % words, base_url=base_url, href=href, alarm_minutes=ALARM_MINUTES)


def diary_event_of(appointment: CalendarAppointment, clinic: Clinic, *, base_url: str) -> Event:
    """The visit in the calendar of its doctor: the patient by their initials, and no alarm for every one of a day."""
    summary = _("Visit: %(initials)s") % {"initials": initials(appointment.patient_name)}
    return _event(appointment, clinic, summary, base_url=base_url)


def initials(name: str) -> str:
    """'A.A.' for Alice Adams."""
    return "".join(f"{word[0].upper()}." for word in name.split())


def uid_of(appointment: CalendarAppointment) -> str:
    """What a calendar knows the visit by: the same for its whole life, wherever Docket is reached."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"docket:{appointment.reference}:{appointment.created_at.isoformat()}"))


def _event(
    appointment: CalendarAppointment,
    clinic: Clinic,
    summary: str,
    *,
    base_url: str,
    href: str = "",
    alarm_minutes: int | None = None,
) -> Event:
    href = href or f"{base_url}/appointments/{appointment.reference}"
    lines = [clinic.name, _("Reference: %(reference)s") % {"reference": appointment.reference}]
    if clinic.phone:
        lines.append(_("Telephone: %(phone)s") % {"phone": clinic.phone})
    lines.append(_("The visit: %(href)s") % {"href": href})
    return Event(
        uid=uid_of(appointment),
        # Calendars count from nought, and our versions from one.
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

"""Self check-in: patients scan the clinic's poster and say that they are here.

The poster proves where they are. The page of their appointment, or the link to it, proves who they are.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments.booking import status_service
from webapp.appointments.booking.appointment_row import lock_for_change
from webapp.appointments.exceptions import NotHereYet
from webapp.appointments.schemas import AppointmentView
from webapp.auth.schemas import Actor
from webapp.clinic.service import Clinic, get_clinic
from webapp.core import formats
from webapp.exceptions import Forbidden
from webapp.i18n import gettext as _
from webapp.scheduling.models import ACTIVE

# A patient who comes sooner asks the front desk.
EARLIEST = timedelta(hours=2)


class CheckIn(NamedTuple):
    """The part of an appointment's page for a patient who has scanned the poster: the button, or a sentence instead."""

    may: bool
    said: str = ""


def check_in_of(view: AppointmentView, clinic: Clinic, scanned_at: datetime | None, *, now: datetime) -> CheckIn | None:
    """Whether the reader may say that the patient is here; None if the page does not mention it."""
    if scanned_at is None or view.status not in {*ACTIVE, "arrived"}:
        return None
    if view.status == "arrived":
        return CheckIn(False, _("The front desk knows that you’re here."))
    said = _why_not(view, clinic, now)
    return CheckIn(not said, said)


def arrive(session: Session, actor: Actor, reference: str, *, scanned_at: datetime | None, now: datetime) -> None:
    """Record that the patient is here; doing it twice has the same effect as once.

    Raises:
        NotHereYet: the poster was not scanned lately, it is too early, or the appointment does not take place (422).
        NoSuchAppointment: 404. Forbidden: staff use the status.
    """
    if actor.is_staff:
        raise Forbidden(_("Only patients can use this page. Staff mark the appointment as arrived."))
    view = lock_for_change(session, actor, reference, None)
    if view.status == "arrived":
        return
    said = _why_not(view, get_clinic(session), now)
    if scanned_at is None:
        said = said or _("Scan the poster at the clinic again, then say that you’re here within 30 minutes.")
    if said:
        raise NotHereYet(said)
    status_service.mark(session, actor, view, "arrived", now=now)


def _why_not(view: AppointmentView, clinic: Clinic, now: datetime) -> str:
    """Why the patient of this appointment cannot arrive now; '' if they can."""
    if view.status == "cancelled":
        return _("This appointment is cancelled. Please go to the front desk.")
    if view.status not in ACTIVE:
        return _("This appointment is over. Please go to the front desk.")
    day = formats.local_date(view.starts_at, clinic.zone)
    if day != clinic.today(now):
        words = {"day": formats.day_long(view.starts_at, clinic.zone)}
        later = day > clinic.today(now)
        return (_("This appointment is on %(day)s.") if later else _("This appointment was on %(day)s.")) % words
    opens = view.starts_at - EARLIEST
    if now < opens:
        words = {"time": formats.clock(opens, clinic.zone)}
        return _("You’re early: you can say that you’re here from %(time)s.") % words
    return ""

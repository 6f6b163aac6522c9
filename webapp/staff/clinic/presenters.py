"""Texts of the pages of the clinic's settings and closures."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from webapp.clinic import settings, visit_types
from webapp.clinic.closures import SavedClosure
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.holidays import PublicHoliday
from webapp.clinic.service import Clinic
from webapp.clinic.settings import OpeningWeek, ReminderRules
from webapp.core import formats
from webapp.core.day_hours import describe_hours
from webapp.core.web import Page
from webapp.doctors import profiles
from webapp.i18n import gettext as _


class Missing(NamedTuple):
    """Something a new clinic still needs: a sentence, and the words and address of the link to its page."""

    what: str
    action: str
    href: str


class ClosureLine(NamedTuple):
    """A closure as lists show it, with its days in words."""

    id: int
    name: str
    days: str


def list_missing(page: Page, opening: OpeningWeek) -> list[Missing]:
    """The settings that a clinic still needs before its first booking."""
    doctors = profiles.list_profiles(page.session, active=True, now=page.now)
    kinds = [each for each in visit_types.list_visit_types(page.session) if each.active]
    clinic = current_clinic(page)
    found = []
    if not clinic.zone_confirmed:
        what = _("The time zone is not confirmed: %(place)s") % {"place": clinic.zone_label}
        found.append(Missing(what, _("Set time zone"), "/admin/clinic/time-zone"))
    if not any(opening.days):
        found.append(Missing(_("No opening hours"), _("Set opening hours"), "/admin/clinic/opening-hours"))
    if not doctors:
        found.append(Missing(_("No doctor is taking bookings"), _("Add a doctor"), "/admin/doctors/new"))
    if not kinds:
        found.append(Missing(_("No visit types"), _("Add a visit type"), "/admin/visit-types/new"))
    found += [
        Missing(
            _("%(name)s has no working hours") % {"name": each.name},
            _("Set working hours"),
            f"/admin/doctors/{each.slug}/hours/new",
        )
        for each in doctors
        if not each.has_hours
    ]
    return found


def clock_reading(instant: datetime, zone_of_clock: ZoneInfo) -> str:
    """'Monday 2 March, 09:30, Amsterdam time'."""
    place = zone_of_clock.key.rsplit("/", 1)[-1].replace("_", " ")
    return _("%(day)s, %(time)s %(place)s time") % {
        "day": formats.day_long(instant, zone_of_clock),
        "time": formats.clock(instant, zone_of_clock),
        "place": place,
    }


def reminders_in_words(saved: ReminderRules) -> tuple[str, str, str]:
    """When reminders are sent: '7 days and 1 day before', and '09:00 to 20:00'; and who is told of lateness."""
    days = [formats.days(count) for count in settings.days_of(saved.reminder_days)]
    listed = _(" and ").join(filter(None, [", ".join(days[:-1]), days[-1]])) if days else ""
    before = _("%(days)s before") % {"days": listed} if days else _("Never")
    hours = saved.tell_late_hours
    late = _("Appointments in the next %(time)s") % {"time": formats.minutes(hours * 60)} if hours else _("Off")
    return before, describe_hours([(saved.daytime_from, saved.daytime_until)]), late


def closure_line(saved: SavedClosure, clinic: Clinic) -> ClosureLine:
    """A closure as lists show it."""
    details = saved.details
    days = formats.day_full(details.starts_on, clinic.zone)
    if details.starts_on != details.ends_on:
        words = {"first": days, "last": formats.day_full(details.ends_on, clinic.zone)}
        days = _("%(first)s to %(last)s") % words
    return ClosureLine(saved.id, details.name, days)


def holidays_in_words(free: Iterable[PublicHoliday], shut: Collection[date], zone: ZoneInfo) -> dict[date, str]:
    """The label of each public holiday in the list of choices; on days in `shut` the clinic is never open."""
    words = {}
    for holiday in free:
        said = _("%(day)s: %(name)s") % {"day": formats.day_long(holiday.day, zone), "name": holiday.name}
        if holiday.day in shut:
            said = _("%(said)s (never open on this weekday)") % {"said": said}
        words[holiday.day] = said
    return words

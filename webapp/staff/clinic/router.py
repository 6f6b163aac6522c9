"""The clinic itself, for admins: name and address, time zone, opening hours, booking rules, and what is missing.

An empty database has none of it; every page here shows the defaults then, and saving makes what is missing.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any, cast
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.clinic import closures, settings, visit_types
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.settings import BookingRules, ClinicDetails, ClinicZone, OpeningWeek, ReminderRules
from webapp.core import formats
from webapp.core.day_hours import WEEKDAYS, describe_hours
from webapp.core.i18n import gettext as _
from webapp.core.optimistic_lock import EditedMeanwhile
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import profiles, zone
from webapp.exceptions import AppError
from webapp.staff import impact_pages, visit_counts
from webapp.staff.clinic.forms import (
    DetailsForm,
    OpeningHoursForm,
    RemindersForm,
    RulesForm,
    ZoneForm,
    details_form,
    opening_hours_form,
    reminders_form,
    rules_form,
    zone_form,
)
from webapp.staff.impact_pages import NOTHING_ASKED, Asked

router = APIRouter()

# How many booked visits show what a new time zone does to their clock times.
ZONE_EXAMPLES = 3


@router.get("/admin/clinic")
def show_clinic(page: CurrentPage) -> Response:
    """All settings at a glance, and what a new clinic still needs; admins."""
    signed_in(page, "admin")
    today = current_clinic(page).today(page.now)
    opening = settings.get_opening_hours(page.session)
    return page.render(
        "staff/clinic/clinic.html",
        missing=_missing(page, opening),
        week=[(day, describe_hours(spans) or _("Closed")) for day, spans in zip(WEEKDAYS, opening.days, strict=True)],
        rules=settings.get_rules(page.session),
        reminders=_reminders_in_words(settings.get_reminders(page.session)),
        closures=len(closures.list_ahead(page.session, today)),
    )


@router.get("/admin/clinic/details")
def show_details(page: CurrentPage) -> Response:
    """Name, address and telephone number, to be changed; admins."""
    signed_in(page, "admin")
    return _details_page(page, details_form(settings.get_details(page.session)))


@router.post("/admin/clinic/details")
def change_details(page: CurrentPage, sent: SentForm) -> Response:
    """Change name, address and telephone number; admins."""
    actor = signed_in(page, "admin")
    form = DetailsForm(sent)
    command = form.command() if form.validate() else None
    if command is None:
        return _details_page(page, form, status=422)
    page.close()
    try:
        page.database.write(settings.change_details, actor, command, seen=form.seen.data or "", now=page.now)
    except AppError as error:
        if isinstance(error, EditedMeanwhile):
            form.compare_with(details_form(cast(ClinicDetails, error.saved)))
        form.add_error(error)
        return _details_page(page, form, status=error.status)
    return page.redirect("/admin/clinic", flash=_("The clinic's details are saved."))


@router.get("/admin/clinic/time-zone")
def show_time_zone(page: CurrentPage) -> Response:
    """The time zone, to be changed; admins."""
    signed_in(page, "admin")
    return _zone_page(page, zone_form(settings.get_zone(page.session)))


@router.post("/admin/clinic/time-zone")
def change_time_zone(page: CurrentPage, sent: SentForm) -> Response:
    """Change the time zone: wall clocks go on, booked visits keep their instant; admins."""
    actor = signed_in(page, "admin")
    form = ZoneForm(sent)
    form.offer(settings.get_zone(page.session).time_zone)
    command = form.command() if form.validate() else None
    if command is None:
        return _zone_page(page, form, status=422)
    work = partial(zone.change_zone, actor=actor, command=command, seen=form.seen.data or "", now=page.now)
    try:
        made = impact_pages.make(page, actor, sent, work, doctor_ids=None)
    except AppError as error:
        if isinstance(error, EditedMeanwhile):
            form.compare_with(zone_form(cast(ClinicZone, error.saved)))
        form.add_error(error)
        return _zone_page(page, form, status=error.status)
    if isinstance(made, Asked):
        return _zone_page(page, form, wanted=command.time_zone, change=made.change, status=made.status)
    return page.redirect("/admin/clinic", flash=_("The time zone is saved."))


@router.get("/admin/clinic/opening-hours")
def show_opening_hours(page: CurrentPage) -> Response:
    """When the clinic is open, to be changed; admins."""
    signed_in(page, "admin")
    return _opening_page(page, opening_hours_form(settings.get_opening_hours(page.session)))


@router.post("/admin/clinic/opening-hours")
def change_opening_hours(page: CurrentPage, sent: SentForm) -> Response:
    """Change when the clinic is open; admins."""
    actor = signed_in(page, "admin")
    form = OpeningHoursForm(sent)
    if sent.get("step") == "copy":
        form.copy_day()
        return _opening_page(page, form)
    command = form.command() if form.validate() else None
    if command is None:
        return _opening_page(page, form, status=422)
    work = partial(settings.change_opening_hours, actor=actor, command=command, seen=form.seen.data or "", now=page.now)
    try:
        made = impact_pages.make(page, actor, sent, work, doctor_ids=None)
    except AppError as error:
        if isinstance(error, EditedMeanwhile):
            form.compare_with(opening_hours_form(cast(OpeningWeek, error.saved)))
        form.add_error(error)
        return _opening_page(page, form, status=error.status)
    if isinstance(made, Asked):
        return _opening_page(page, form, change=made.change, status=made.status)
    return page.redirect("/admin/clinic", flash=_("The opening hours are saved."))


@router.get("/admin/clinic/rules")
def show_rules(page: CurrentPage) -> Response:
    """The booking rules, to be changed; admins."""
    signed_in(page, "admin")
    return _rules_page(page, rules_form(settings.get_rules(page.session)))


@router.post("/admin/clinic/rules")
def change_rules(page: CurrentPage, sent: SentForm) -> Response:
    """Change the booking rules; admins."""
    actor = signed_in(page, "admin")
    form = RulesForm(sent)
    command = form.command() if form.validate() else None
    if command is None:
        return _rules_page(page, form, status=422)
    work = partial(settings.change_rules, actor=actor, command=command, seen=form.seen.data or "", now=page.now)
    try:
        made = impact_pages.make(page, actor, sent, work, doctor_ids=None)
    except AppError as error:
        if isinstance(error, EditedMeanwhile):
            form.compare_with(rules_form(cast(BookingRules, error.saved)))
        form.add_error(error)
        return _rules_page(page, form, status=error.status)
    if isinstance(made, Asked):
        return _rules_page(page, form, change=made.change, status=made.status)
    return page.redirect("/admin/clinic", flash=_("The booking rules are saved."))


@router.get("/admin/clinic/reminders")
def show_reminders(page: CurrentPage) -> Response:
    """When patients are reminded, to be changed; admins."""
    signed_in(page, "admin")
    return _reminders_page(page, reminders_form(settings.get_reminders(page.session)))


@router.post("/admin/clinic/reminders")
def change_reminders(page: CurrentPage, sent: SentForm) -> Response:
    """Change when patients are reminded; admins."""
    actor = signed_in(page, "admin")
    form = RemindersForm(sent)
    command = form.command() if form.validate() else None
    if command is None:
        return _reminders_page(page, form, status=422)
    page.close()
    try:
        page.database.write(settings.change_reminders, actor, command, seen=form.seen.data or "", now=page.now)
    except AppError as error:
        if isinstance(error, EditedMeanwhile):
            form.compare_with(reminders_form(cast(ReminderRules, error.saved)))
        form.add_error(error)
        return _reminders_page(page, form, status=error.status)
    return page.redirect("/admin/clinic", flash=_("The reminders are saved."))


# ---------------------------------------------------------------------------------------------- what is shown


def _missing(page: Page, opening: OpeningWeek) -> list[tuple[str, str, str]]:
    """What stands between the clinic and its first booking: what it is, the words of the deed, and where to do it."""
    doctors = profiles.list_profiles(page.session, active=True, now=page.now)
    kinds = [each for each in visit_types.list_visit_types(page.session) if each.active]
    found = []
    if not any(opening.days):
        found.append((_("No opening hours"), _("Set opening hours"), "/admin/clinic/opening-hours"))
    if not doctors:
        found.append((_("No doctor takes bookings"), _("Add a doctor"), "/admin/doctors/new"))
    if not kinds:
        found.append((_("No visit type"), _("Add a visit type"), "/admin/visit-types/new"))
    found += [
        (
            _("%(name)s has no working hours") % {"name": each.name},
            _("Set working hours"),
            f"/admin/doctors/{each.slug}/hours/new",
        )
        for each in doctors
        if not each.has_hours
    ]
    return found


def _details_page(page: Page, form: DetailsForm, *, status: int = 200) -> Response:
    return page.render("staff/clinic/details.html", status=status, form=form)


def _zone_page(
    page: Page,
    form: ZoneForm,
    *,
    wanted: str = "",
    change: dict[str, Any] = NOTHING_ASKED,
    status: int = 200,
) -> Response:
    clinic = current_clinic(page)
    form.offer(settings.get_zone(page.session).time_zone)
    starts = visit_counts.next_starts(page.session, now=page.now, limit=ZONE_EXAMPLES)
    new = ZoneInfo(wanted) if wanted else clinic.zone
    examples = [
        (_reading(start, clinic.zone), _reading(start, new)) for start in starts if wanted not in ("", clinic.time_zone)
    ]
    return page.render(
        "staff/clinic/time_zone.html",
        status=status,
        form=form,
        booked=bool(starts),
        examples=examples,
        change=change,
    )


def _reading(instant: datetime, zone_of_clock: ZoneInfo) -> str:
    """'Monday 2 March, 09:30, Amsterdam time'."""
    place = zone_of_clock.key.rsplit("/", 1)[-1].replace("_", " ")
    return _("%(day)s, %(time)s %(place)s time") % {
        "day": formats.day_long(instant, zone_of_clock),
        "time": formats.clock(instant, zone_of_clock),
        "place": place,
    }


def _opening_page(
    page: Page, form: OpeningHoursForm, *, change: dict[str, Any] = NOTHING_ASKED, status: int = 200
) -> Response:
    return page.render("staff/clinic/opening_hours.html", status=status, form=form, change=change)


def _rules_page(page: Page, form: RulesForm, *, change: dict[str, Any] = NOTHING_ASKED, status: int = 200) -> Response:
    return page.render("staff/clinic/rules.html", status=status, form=form, change=change)


def _reminders_page(page: Page, form: RemindersForm, *, status: int = 200) -> Response:
    return page.render("staff/clinic/reminders.html", status=status, form=form)


def _reminders_in_words(saved: ReminderRules) -> tuple[str, str]:
    """When reminders are sent: '7 days and 1 day before', and '09:00 to 20:00'."""
    days = [formats.days(count) for count in settings.days_of(saved.reminder_days)]
    listed = _(" and ").join(filter(None, [", ".join(days[:-1]), days[-1]])) if days else ""
    before = _("%(days)s before") % {"days": listed} if days else _("Never")
    return before, describe_hours([(saved.daytime_from, saved.daytime_until)])

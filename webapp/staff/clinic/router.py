"""The clinic itself, for admins: name and address, time zone, opening hours, booking rules, and what is missing.

In an empty database, every page here shows the defaults, and saving creates the missing rows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from starlette.responses import Response

from webapp.appointments.impact import promised_hours
from webapp.auth import sign_in_rules
from webapp.auth.dependencies import signed_in
from webapp.clinic import closures, settings
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.settings import (
    BookingRules,
    ClinicDetails,
    ClinicZone,
    NewPatientRules,
    PrivacyRules,
    ReminderRules,
    SearchSettings,
)
from webapp.core.day_hours import WEEKDAYS, describe_hours
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import profiles, search
from webapp.i18n import gettext as _
from webapp.patients import guardianship
from webapp.scheduling.promised_hours import find_broken
from webapp.staff import appointment_counts
from webapp.staff.clinic import presenters
from webapp.staff.clinic.forms import (
    ASKED,
    DetailsForm,
    NewPatientsForm,
    OpeningHoursForm,
    PrivacyForm,
    RemindersForm,
    RulesForm,
    SearchForm,
    ZoneForm,
    details_form,
    new_patients_form,
    opening_hours_form,
    privacy_form,
    reminders_form,
    rules_form,
    search_form,
    zone_form,
)
from webapp.staff.impact_pages import NOTHING_ASKED, ChangeSubmission, ChangeView

router = Router()

# How many appointments show the effect of a new time zone on their clock times.
ZONE_EXAMPLES = 3


@router.get("/admin/clinic")
def show_clinic(page: CurrentPage) -> Response:
    """All settings at a glance, and what a new clinic still needs; admins."""
    signed_in(page, "admin")
    today = current_clinic(page).today(page.now)
    opening = settings.get_opening_hours(page.session)
    return page.render(
        "staff/clinic/clinic.html",
        missing=presenters.list_missing(page, opening),
        week=[
            (str(day), describe_hours(spans) or _("Closed")) for day, spans in zip(WEEKDAYS, opening.days, strict=True)
        ],
        rules=settings.get(page.session, BookingRules),
        asked=ASKED,
        reminders=presenters.reminders_in_words(settings.get(page.session, ReminderRules)),
        sign_in=sign_in_rules.get_rules(page.session),
        closures=len(closures.list_ahead(page.session, today)),
    )


@router.get("/admin/clinic/details")
def show_details(page: CurrentPage) -> Response:
    """Name, address, telephone number and country, to be changed; admins."""
    signed_in(page, "admin")
    return _details_page(page, details_form(settings.get(page.session, ClinicDetails), current_clinic(page).time_zone))


@router.post("/admin/clinic/details")
def change_details(page: CurrentPage, sent: SentForm) -> Response:
    """Change name, address, telephone number and country; admins."""
    actor = signed_in(page, "admin")
    form = DetailsForm(sent)
    zone = current_clinic(page).time_zone
    form.offer(zone)
    with Submission(form, saved_form=lambda saved: details_form(saved, zone)) as submission:
        command = submission.read(form.command)
        page.write(settings.change_details, actor, command, seen=form.seen.data or "", now=page.now)
        return page.redirect("/admin/clinic", flash=_("The clinic’s details are saved."))
    return _details_page(page, form, status=submission.status)


@router.get("/admin/clinic/time-zone")
def show_time_zone(page: CurrentPage) -> Response:
    """The time zone, to be changed; admins."""
    signed_in(page, "admin")
    return _zone_page(page, zone_form(settings.get(page.session, ClinicZone)))


@router.post("/admin/clinic/time-zone")
def change_time_zone(page: CurrentPage, sent: SentForm) -> Response:
    """Change the time zone: hours stay as the clock shows them, appointments keep what the form says; admins."""
    actor = signed_in(page, "admin")
    form = ZoneForm(sent)
    form.offer(settings.get(page.session, ClinicZone).time_zone)
    with ChangeSubmission(page, actor, sent, form, saved_form=zone_form) as submission:
        command = submission.read(form.command)
        work = partial(
            promised_hours.correct_zone,
            actor=actor,
            command=command,
            keeps=form.keeps,
            seen=form.seen.data or "",
            now=page.now,
        )
        tell = partial(promised_hours.tell_hours, actor=actor, now=page.now, impact=submission.impact)
        submission.make(work, doctor_ids=None, settled=tell if form.keeps == "instant" else None)
        return page.redirect(submission.next_page("/admin/clinic"), flash=_("The time zone is saved."))
    wanted = form.time_zone.data if submission.is_asked else ""
    return _zone_page(page, form, wanted=wanted, change=submission.change, status=submission.status)


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
    with ChangeSubmission(page, actor, sent, form, saved_form=opening_hours_form) as submission:
        command = submission.read(form.command)
        work = partial(
            settings.change_opening_hours, actor=actor, command=command, seen=form.seen.data or "", now=page.now
        )
        submission.make(work, doctor_ids=None)
        return page.redirect(submission.next_page("/admin/clinic"), flash=_("The opening hours are saved."))
    return _opening_page(page, form, change=submission.change, status=submission.status)


@router.get("/admin/clinic/rules")
def show_rules(page: CurrentPage) -> Response:
    """The booking rules, to be changed; admins."""
    signed_in(page, "admin")
    return _rules_page(page, rules_form(settings.get(page.session, BookingRules)))


@router.post("/admin/clinic/rules")
def change_rules(page: CurrentPage, sent: SentForm) -> Response:
    """Change the booking rules; admins."""
    actor = signed_in(page, "admin")
    form = RulesForm(sent)
    with ChangeSubmission(page, actor, sent, form, saved_form=rules_form) as submission:
        command = submission.read(form.command)
        work = partial(settings.change_rules, actor=actor, command=command, seen=form.seen.data or "", now=page.now)
        submission.make(work, doctor_ids=None)
        return page.redirect(submission.next_page("/admin/clinic"), flash=_("The booking rules are saved."))
    return _rules_page(page, form, change=submission.change, status=submission.status)


@router.get("/admin/clinic/reminders")
def show_reminders(page: CurrentPage) -> Response:
    """When patients are reminded, to be changed; admins."""
    signed_in(page, "admin")
    return _reminders_page(page, reminders_form(settings.get(page.session, ReminderRules)))


@router.post("/admin/clinic/reminders")
def change_reminders(page: CurrentPage, sent: SentForm) -> Response:
    """Change when patients are reminded; admins."""
    actor = signed_in(page, "admin")
    form = RemindersForm(sent)
    with Submission(form, saved_form=reminders_form) as submission:
        command = submission.read(form.command)
        page.write(settings.change_reminders, actor, command, seen=form.seen.data or "", now=page.now)
        return page.redirect("/admin/clinic", flash=_("The reminders are saved."))
    return _reminders_page(page, form, status=submission.status)


@router.get("/admin/clinic/new-patients")
def show_new_patients(page: CurrentPage) -> Response:
    """The form with the questions to new patients; admins."""
    signed_in(page, "admin")
    return _new_patients_page(page, new_patients_form(settings.get(page.session, NewPatientRules)))


@router.post("/admin/clinic/new-patients")
def change_new_patients(page: CurrentPage, sent: SentForm) -> Response:
    """Change what new patients are asked for; admins."""
    actor = signed_in(page, "admin")
    form = NewPatientsForm(sent)
    with Submission(form, saved_form=new_patients_form) as submission:
        command = submission.read(form.command)
        page.write(settings.change, actor, command, seen=form.seen.data or "", now=page.now)
        return page.redirect("/admin/clinic", flash=_("The questions for new patients are saved."))
    return _new_patients_page(page, form, status=submission.status)


@router.get("/admin/clinic/privacy")
def show_privacy(page: CurrentPage) -> Response:
    """How long data is kept, and until when guardians see it, to be changed; admins."""
    signed_in(page, "admin")
    return _privacy_page(page, privacy_form(settings.get(page.session, PrivacyRules)))


@router.post("/admin/clinic/privacy")
def change_privacy(page: CurrentPage, sent: SentForm) -> Response:
    """Change how long data is kept; admins."""
    actor = signed_in(page, "admin")
    form = PrivacyForm(sent)
    with Submission(form, saved_form=privacy_form) as submission:
        command = submission.read(form.command)
        page.write(guardianship.change_privacy, actor, command, seen=form.seen.data or "", now=page.now)
        return page.redirect("/admin/clinic", flash=_("The privacy settings are saved."))
    return _privacy_page(page, form, status=submission.status)


@router.get("/admin/clinic/search")
def show_search(page: CurrentPage) -> Response:
    """The form of the search settings; admins."""
    signed_in(page, "admin")
    return _search_page(page, search_form(settings.get(page.session, SearchSettings)))


@router.post("/admin/clinic/search")
def change_search(page: CurrentPage, sent: SentForm) -> Response:
    """Change what patients find; admins."""
    actor = signed_in(page, "admin")
    form = SearchForm(sent)
    with Submission(form, saved_form=search_form) as submission:
        command = submission.read(form.command)
        page.write(settings.change, actor, command, seen=form.seen.data or "", now=page.now)
        return page.redirect("/admin/clinic", flash=_("The search settings are saved."))
    return _search_page(page, form, status=submission.status)


# ------------------------------------------------------------------------------------------------------ pages


def _details_page(page: Page, form: DetailsForm, *, status: int = 200) -> Response:
    return page.render("staff/clinic/details.html", status=status, form=form)


def _zone_page(
    page: Page,
    form: ZoneForm,
    *,
    wanted: str = "",
    change: ChangeView = NOTHING_ASKED,
    status: int = 200,
) -> Response:
    clinic = current_clinic(page)
    form.offer(settings.get(page.session, ClinicZone).time_zone)
    starts = appointment_counts.next_starts(page.session, now=page.now, limit=ZONE_EXAMPLES)
    other = replace(clinic, time_zone=wanted or clinic.time_zone)
    changes = other.time_zone != clinic.time_zone
    affected, _first = find_broken(page.session, other, now=page.now, limit=1) if changes else (0, [])
    examples = [
        (presenters.clock_reading(start, clinic.zone), presenters.clock_reading(start, other.zone))
        for start in starts
        if changes and form.keeps == "instant"
    ]
    return page.render(
        "staff/clinic/time_zone.html",
        status=status,
        form=form,
        booked=bool(starts),
        affected=affected,
        examples=examples,
        change=change,
    )


def _opening_page(
    page: Page, form: OpeningHoursForm, *, change: ChangeView = NOTHING_ASKED, status: int = 200
) -> Response:
    return page.render("staff/clinic/opening_hours.html", status=status, form=form, change=change)


def _rules_page(page: Page, form: RulesForm, *, change: ChangeView = NOTHING_ASKED, status: int = 200) -> Response:
    return page.render("staff/clinic/rules.html", status=status, form=form, change=change)


def _new_patients_page(page: Page, form: NewPatientsForm, *, status: int = 200) -> Response:
    return page.render("staff/clinic/new_patients.html", status=status, form=form)


def _search_page(page: Page, form: SearchForm, *, status: int = 200) -> Response:
    form.offer(profiles.known_specialties(page.session), form.first_specialty.data or "")
    subjects = search.suggestions(page.session)
    return page.render("staff/clinic/search.html", status=status, form=form, subjects=subjects)


def _privacy_page(page: Page, form: PrivacyForm, *, status: int = 200) -> Response:
    return page.render("staff/clinic/privacy.html", status=status, form=form)


def _reminders_page(page: Page, form: RemindersForm, *, status: int = 200) -> Response:
    return page.render("staff/clinic/reminders.html", status=status, form=form)

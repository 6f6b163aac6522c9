"""Days on which the clinic is closed, for admins; each change asks what to do with the appointments it affects."""

from __future__ import annotations

from datetime import date
from functools import partial

from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.clinic import closures, holidays, settings
from webapp.clinic.closures import CloseDays, SavedClosure
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.holidays import PublicHoliday
from webapp.core import formats
from webapp.core.optimistic_lock import fingerprint
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.core.zones import country_of_zone
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.staff.clinic import presenters
from webapp.staff.clinic.closures_forms import ClosureForm, HolidaysForm, RemovalForm, WhichHolidaysForm, closure_form
from webapp.staff.impact_pages import NOTHING_ASKED, ChangeSubmission, ChangeView

router = Router()


@router.get("/admin/closures")
def list_closures(page: CurrentPage) -> Response:
    """Future closures, and those that are over; admins."""
    signed_in(page, "admin")
    today = current_clinic(page).today(page.now)
    return page.render(
        "staff/clinic/closures/list.html",
        ahead=[
            presenters.closure_line(each, current_clinic(page)) for each in closures.list_ahead(page.session, today)
        ],
        past=[presenters.closure_line(each, current_clinic(page)) for each in closures.list_past(page.session, today)],
    )


@router.get("/admin/closures/new")
def show_new_closure(page: CurrentPage) -> Response:
    """The form for a closure; admins."""
    signed_in(page, "admin")
    return _form_page(page, ClosureForm(), None)


@router.post("/admin/closures")
def create_closure(page: CurrentPage, sent: SentForm) -> Response:
    """Close the clinic on some days; admins."""
    actor = signed_in(page, "admin")
    form = ClosureForm(sent)
    with ChangeSubmission(page, actor, sent, form) as submission:
        command = submission.read(form.command)
        work = partial(closures.add, actor=actor, closures=[command], now=page.now)
        submission.make(work, doctor_ids=None)
        return page.redirect(submission.next_page("/admin/closures"), flash=_("The closure is saved."))
    return _form_page(page, form, None, change=submission.change, status=submission.status)


@router.get("/admin/closures/holidays")
def show_holidays(page: CurrentPage) -> Response:
    """The public holidays of a place and a year, to choose from; admins."""
    signed_in(page, "admin")
    which = WhichHolidaysForm.of_address(page.request.query_params)
    found = _offer_holidays(page, which)
    form = HolidaysForm(
        data={
            "country": which.country.data,
            "region": which.region.data,
            "year": which.year.data,
            "days": [each.day.isoformat() for each in found.free if each.day not in found.shut],
        }
    )
    return _holidays_page(page, which, form, found)


@router.post("/admin/closures/holidays")
def close_on_holidays(page: CurrentPage, sent: SentForm) -> Response:
    """Close the clinic on the chosen public holidays; admins."""
    actor = signed_in(page, "admin")
    form, which = HolidaysForm(sent), WhichHolidaysForm(sent)
    found = _offer_holidays(page, which)
    chosen = form.chosen(found.free)
    if not chosen:
        return _holidays_page(page, which, form, found, status=422)
    with ChangeSubmission(page, actor, sent, form) as submission:
        submission.make(partial(closures.add, actor=actor, closures=chosen, now=page.now), doctor_ids=None)
        said = ngettext("%(n)d closure is saved.", "%(n)d closures are saved.", len(chosen)) % {"n": len(chosen)}
        return page.redirect(submission.next_page("/admin/closures"), flash=said)
    return _holidays_page(page, which, form, found, change=submission.change, status=submission.status)


@router.get("/admin/closures/{closure_id}")
def show_closure(page: CurrentPage, closure_id: PathId) -> Response:
    """One closure, to be changed; admins."""
    signed_in(page, "admin")
    saved = closures.get_closure(page.session, closure_id)
    return _form_page(page, closure_form(saved.details), closure_id)


@router.post("/admin/closures/{closure_id}")
def change_closure(page: CurrentPage, sent: SentForm, closure_id: PathId) -> Response:
    """Change a closure's name or days; admins."""
    actor = signed_in(page, "admin")
    form = ClosureForm(sent)
    closures.get_closure(page.session, closure_id)
    with ChangeSubmission(page, actor, sent, form, saved_form=closure_form) as submission:
        command = submission.read(form.command)
        work = partial(
            closures.change,
            actor=actor,
            closure_id=closure_id,
            command=command,
            seen=form.seen.data or "",
            now=page.now,
        )
        submission.make(work, doctor_ids=None)
        return page.redirect(submission.next_page("/admin/closures"), flash=_("The closure is saved."))
    return _form_page(page, form, closure_id, change=submission.change, status=submission.status)


@router.get("/admin/closures/{closure_id}/removal")
def ask_removal(page: CurrentPage, closure_id: PathId) -> Response:
    """Describe the effect of removing a closure; admins."""
    signed_in(page, "admin")
    saved = closures.get_closure(page.session, closure_id)
    return _removal_page(page, saved, _removal_form(saved.details))


@router.post("/admin/closures/{closure_id}/removal")
def remove_closure(page: CurrentPage, sent: SentForm, closure_id: PathId) -> Response:
    """Remove a closure, so that its days can be booked; admins."""
    actor = signed_in(page, "admin")
    form = RemovalForm(sent)
    with ChangeSubmission(page, actor, sent, form, saved_form=_removal_form) as submission:
        work = partial(closures.remove, actor=actor, closure_id=closure_id, seen=form.seen.data or "", now=page.now)
        submission.make(work, doctor_ids=None)
        return page.redirect(
            submission.next_page("/admin/closures"), flash=_("The closure is removed. Its days can be booked again.")
        )
    saved = closures.get_closure(page.session, closure_id)
    return _removal_page(page, saved, form, change=submission.change, status=submission.status)


# ------------------------------------------------------------------------------------------------------ pages


class _Found:
    """Public holidays of a place and a year that are not over: `free` ones to choose, and those already `closed`.

    `shut` are the free ones on weekdays on which the clinic is never open.
    """

    def __init__(self, ahead: list[PublicHoliday], closed: set[date], open_weekdays: set[int]) -> None:
        self.free = [each for each in ahead if each.day not in closed]
        self.closed = [each for each in ahead if each.day in closed]
        self.shut = {each.day for each in self.free if open_weekdays and each.day.weekday() not in open_weekdays}


def _offer_holidays(page: Page, which: WhichHolidaysForm) -> _Found:
    """Correct choices that do not exist, and find the chosen holidays."""
    clinic = current_clinic(page)
    today = clinic.today(page.now)
    years = [today.year + number for number in range(holidays.YEARS_AHEAD + 1)]
    countries = holidays.countries()
    if which.country.data not in countries:
        here = country_of_zone(clinic.time_zone)
        which.country.data = here if here in countries else next(iter(countries))
    regions = holidays.regions(which.country.data)
    if which.region.data not in regions:
        which.region.data = ""
    if which.year.data not in {str(year) for year in years}:
        which.year.data = str(today.year)
    which.offer(countries, regions, years)
    year = int(which.year.data)
    found = holidays.public_holidays(which.country.data, which.region.data, year)
    opening = settings.get_opening_hours(page.session)
    return _Found(
        [each for each in found if each.day >= today],
        closures.closed_days(page.session, date(year, 1, 1), date(year, 12, 31)),
        {weekday for weekday, spans in enumerate(opening.days) if spans},
    )


def _form_page(
    page: Page,
    form: ClosureForm,
    closure_id: int | None,
    *,
    change: ChangeView = NOTHING_ASKED,
    status: int = 200,
) -> Response:
    return page.render(
        "staff/clinic/closures/closure.html", status=status, form=form, closure_id=closure_id, change=change
    )


def _removal_form(saved: CloseDays) -> RemovalForm:
    return RemovalForm(data={"seen": fingerprint(saved)})


def _removal_page(
    page: Page,
    saved: SavedClosure,
    form: RemovalForm,
    *,
    change: ChangeView = NOTHING_ASKED,
    status: int = 200,
) -> Response:
    return page.render(
        "staff/clinic/closures/removal.html",
        status=status,
        form=form,
        closure=presenters.closure_line(saved, current_clinic(page)),
        change=change,
    )


def _holidays_page(
    page: Page,
    which: WhichHolidaysForm,
    form: HolidaysForm,
    found: _Found,
    *,
    change: ChangeView = NOTHING_ASKED,
    status: int = 200,
) -> Response:
    zone = current_clinic(page).zone
    form.offer(found.free, presenters.holidays_in_words(found.free, found.shut, zone))
    return page.render(
        "staff/clinic/closures/holidays.html",
        status=status,
        which=which,
        form=form,
        has_regions=len(which.region.choices or ()) > 1,
        closed=[(formats.day_long(each.day, zone), each.name) for each in found.closed],
        change=change,
    )

"""Working hours and extra hours: a doctor's own, and those of any doctor for admins."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

from starlette.responses import Response

from webapp.appointments.impact.schemas import ImpactResult
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.day_hours import describe_hours
from webapp.core.optimistic_lock import EditedMeanwhile, fingerprint
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import extra_hours, hours, time_off
from webapp.doctors.extra_hours import ExtraDay
from webapp.doctors.hours import Period, PeriodHours
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.staff import impact_pages
from webapp.staff.desk.notification_lists_presenters import page_after_change
from webapp.staff.doctors import presenters
from webapp.staff.doctors.hours_access import HoursAccess, hours_access
from webapp.staff.doctors.hours_forms import (
    ExtraHoursForm,
    HoursForm,
    RemoveExtraHoursForm,
    RemoveHoursForm,
    hours_data,
)
from webapp.staff.impact_pages import NOTHING_ASKED, ChangeNotMade, ChangeSubmission, ChangeView

router = Router()


@router.get("/schedule/hours")
@router.get("/admin/doctors/{slug}/hours")
def show_hours(page: CurrentPage) -> Response:
    """Current and future hours; the doctor, and admins."""
    owner = hours_access(page)
    clinic = current_clinic(page)
    today = clinic.today(page.now)
    periods = hours.list_periods(page.session, owner.doctor.id)
    shown = [presenters.period_line(owner, each, clinic, today) for each in periods]
    gaps = hours.list_gaps(periods, today, today + timedelta(days=clinic.horizon_days)) if periods else []
    return page.render(
        "staff/doctors/hours/week.html",
        owner=owner,
        week=presenters.list_days(hours.week_on(periods, today)),
        gaps=[presenters.dates_in_words(gap, clinic) for gap in gaps],
        periods=[line for line in shown if line.state != "over"],
        over=[line for line in shown if line.state == "over"],
        extra=[
            presenters.extra_line(owner, extra)
            for extra in extra_hours.list_extra_hours(page.session, owner.doctor.id, today)
        ],
        away=len(time_off.list_ahead(page.session, owner.doctor.id, now=page.now)),
    )


# ------------------------------------------------------------------------------------------------ periods


@router.get("/schedule/hours/new")
@router.get("/admin/doctors/{slug}/hours/new")
def new_hours(page: CurrentPage) -> Response:
    """The form for new hours, filled with those of today; the doctor, and admins."""
    owner = hours_access(page)
    periods = hours.list_periods(page.session, owner.doctor.id)
    week = hours.week_on(periods, current_clinic(page).today(page.now))
    started = PeriodHours(period=Period(None, None), week=week)
    form = HoursForm(data={**hours_data(started, ""), "end_present": bool(periods)})
    del form.follow
    return _hours_page(page, owner, None, form)


@router.post("/schedule/hours/new")
@router.post("/admin/doctors/{slug}/hours/new")
def add_hours(page: CurrentPage, sent: SentForm) -> Response:
    """Save new hours; the doctor, and admins."""
    return _save_hours(page, hours_access(page), None, sent)


@router.get("/schedule/hours/extra")
@router.get("/admin/doctors/{slug}/hours/extra")
def new_extra_hours(page: CurrentPage) -> Response:
    """The form for extra hours on one day; the doctor, and admins."""
    return _extra_page(page, hours_access(page), ExtraHoursForm(data={"day": _day_of(page)}))


@router.post("/schedule/hours/extra")
@router.post("/admin/doctors/{slug}/hours/extra")
def add_extra_hours(page: CurrentPage, sent: SentForm) -> Response:
    """Save extra hours on one day; the doctor, and admins."""
    owner = hours_access(page)
    form = ExtraHoursForm(sent)
    with ChangeSubmission(page, owner.actor, sent, form) as submission:
        command = submission.read(form.command)
        work = partial(
            extra_hours.add_extra_hours, actor=owner.actor, doctor_id=owner.doctor.id, command=command, now=page.now
        )
        submission.make(work, doctor_ids=[owner.doctor.id])
        return page.redirect(
            submission.next_page(f"{owner.base}/hours", own=owner.own), flash=_("The extra hours are saved.")
        )
    return _extra_page(page, owner, form, status=submission.status, change=submission.change)


@router.get("/schedule/hours/extra/{day}/removal")
@router.get("/admin/doctors/{slug}/hours/extra/{day}/removal")
def ask_extra_removal(page: CurrentPage, day: str) -> Response:
    """Ask whether the extra hours of a day should be removed; the doctor, and admins."""
    owner = hours_access(page)
    return _extra_removal_page(page, owner, _extra_on(page, owner, day), RemoveExtraHoursForm())


@router.post("/schedule/hours/extra/{day}/removal")
@router.post("/admin/doctors/{slug}/hours/extra/{day}/removal")
def remove_extra_hours(page: CurrentPage, day: str, sent: SentForm) -> Response:
    """Remove the extra hours of a day; the doctor, and admins."""
    owner = hours_access(page)
    extra = _extra_on(page, owner, day)
    work = partial(
        extra_hours.remove_extra_hours, actor=owner.actor, doctor_id=owner.doctor.id, day=extra.day, now=page.now
    )
    impact = ImpactResult()
    try:
        impact_pages.make(page, owner.actor, sent, work, doctor_ids=[owner.doctor.id], impact=impact)
    except ChangeNotMade as asked:
        return _extra_removal_page(
            page, owner, extra, RemoveExtraHoursForm(sent), status=asked.status, change=asked.change
        )
    return page.redirect(
        page_after_change(impact.list_ids, f"{owner.base}/hours", own=owner.own),
        flash=_("The extra hours are removed."),
    )


@router.get("/schedule/hours/{period}")
@router.get("/admin/doctors/{slug}/hours/{period}")
def edit_hours(page: CurrentPage, period: str) -> Response:
    """The form of one period; the doctor, and admins."""
    owner = hours_access(page)
    saved = hours.get_period(page.session, owner.doctor.id, hours.parse_period(period))
    form = _form_of(saved)
    _drop_unasked(page, owner, saved.period, form)
    return _hours_page(page, owner, saved.period, form)


@router.post("/schedule/hours/{period}")
@router.post("/admin/doctors/{slug}/hours/{period}")
def save_hours(page: CurrentPage, period: str, sent: SentForm) -> Response:
    """Save one period, perhaps with other dates; the doctor, and admins."""
    return _save_hours(page, hours_access(page), hours.parse_period(period), sent)


@router.get("/schedule/hours/{period}/removal")
@router.get("/admin/doctors/{slug}/hours/{period}/removal")
def ask_removal(page: CurrentPage, period: str) -> Response:
    """Ask whether a period with its hours should be removed; the doctor, and admins."""
    owner = hours_access(page)
    saved = hours.get_period(page.session, owner.doctor.id, hours.parse_period(period))
    return _removal_page(page, owner, saved, RemoveHoursForm(data={"seen": fingerprint(saved), "resume": True}))


@router.post("/schedule/hours/{period}/removal")
@router.post("/admin/doctors/{slug}/hours/{period}/removal")
def remove_hours(page: CurrentPage, period: str, sent: SentForm) -> Response:
    """Remove a period with its hours; the doctor, and admins."""
    owner = hours_access(page)
    saved = hours.get_period(page.session, owner.doctor.id, hours.parse_period(period))
    form = RemoveHoursForm(sent)
    work = partial(
        hours.remove_hours,
        actor=owner.actor,
        doctor_id=owner.doctor.id,
        period=saved.period,
        resume=bool(form.resume.data),
        seen=form.seen.data or "",
        now=page.now,
    )
    impact = ImpactResult()
    try:
        impact_pages.make(page, owner.actor, sent, work, doctor_ids=[owner.doctor.id], impact=impact)
    except ChangeNotMade as asked:
        return _removal_page(page, owner, saved, form, status=asked.status, change=asked.change)
    except EditedMeanwhile as error:
        form.form_errors.append(_("Someone else changed these hours in the meantime. The current hours are below."))
        form.seen.data = fingerprint(error.saved)
        now_saved = error.saved if isinstance(error.saved, PeriodHours) else saved
        return _removal_page(page, owner, now_saved, form, status=error.status)
    return page.redirect(
        page_after_change(impact.list_ids, f"{owner.base}/hours", own=owner.own), flash=_("The hours are removed.")
    )


def _save_hours(page: Page, owner: HoursAccess, period: Period | None, sent: SentForm) -> Response:
    """Copy a day, preview, ask or save, depending on the form's button."""
    form = HoursForm(sent)
    _drop_unasked(page, owner, period, form)
    if sent.get("step") == "copy":
        form.copy_day()
        return _hours_page(page, owner, period, form)
    # If the period is gone by now, the form still holds what was typed.
    with ChangeSubmission(page, owner.actor, sent, form, saved_form=_form_of, keeps_not_found=True) as submission:
        command = submission.read(partial(form.command, period))
        work = partial(hours.save_hours, actor=owner.actor, doctor_id=owner.doctor.id, command=command, now=page.now)
        submission.make(work, doctor_ids=[owner.doctor.id])
        return page.redirect(
            submission.next_page(f"{owner.base}/hours", own=owner.own), flash=_("The hours are saved.")
        )
    return _hours_page(page, owner, period, form, status=submission.status, change=submission.change)


def _form_of(saved: PeriodHours) -> HoursForm:
    """The form, filled with saved hours."""
    form = HoursForm(data={**hours_data(saved, fingerprint(saved)), "follow": True})
    del form.end_present
    return form


def _drop_unasked(page: Page, owner: HoursAccess, period: Period | None, form: HoursForm) -> None:
    """Remove the fields that make no sense: new hours have none to take along, and others may have none before them."""
    if period is not None:
        del form.end_present
    if period is None or not _ended_for(page, owner, period):
        del form.follow


def _ended_for(page: Page, owner: HoursAccess, period: Period) -> list[PeriodHours]:
    return hours.list_ended_for(hours.list_periods(page.session, owner.doctor.id), period)


# -------------------------------------------------------------------------------------------------- pages


def _hours_page(
    page: Page,
    owner: HoursAccess,
    period: Period | None,
    form: HoursForm,
    *,
    status: int = 200,
    change: ChangeView = NOTHING_ASKED,
) -> Response:
    clinic = current_clinic(page)
    address = f"{owner.base}/hours/{period.key if period is not None else 'new'}"
    return page.render(
        "staff/doctors/hours/edit.html",
        status=status,
        owner=owner,
        form=form,
        action=address,
        removal=f"{address}/removal" if period is not None else None,
        dates=presenters.dates_in_words(period, clinic) if period is not None else None,
        change=change,
    )


def _removal_page(
    page: Page,
    owner: HoursAccess,
    saved: PeriodHours,
    form: RemoveHoursForm,
    *,
    status: int = 200,
    change: ChangeView = NOTHING_ASKED,
) -> Response:
    clinic = current_clinic(page)
    before = _ended_for(page, owner, saved.period)
    if not before:
        del form.resume
    return page.render(
        "staff/doctors/hours/removal.html",
        status=status,
        owner=owner,
        form=form,
        before=[(presenters.dates_in_words(each.period, clinic), presenters.group_days(each.week)) for each in before],
        action=f"{owner.base}/hours/{saved.period.key}/removal",
        title=_("Remove these hours?"),
        dates=presenters.dates_in_words(saved.period, clinic),
        lines=presenters.group_days(saved.week),
        change=change,
    )


def _extra_page(
    page: Page,
    owner: HoursAccess,
    form: ExtraHoursForm,
    *,
    status: int = 200,
    change: ChangeView = NOTHING_ASKED,
) -> Response:
    return page.render(
        "staff/doctors/hours/extra.html",
        status=status,
        owner=owner,
        form=form,
        action=f"{owner.base}/hours/extra",
        today=current_clinic(page).today(page.now),
        change=change,
    )


def _extra_removal_page(
    page: Page,
    owner: HoursAccess,
    extra: ExtraDay,
    form: RemoveExtraHoursForm,
    *,
    status: int = 200,
    change: ChangeView = NOTHING_ASKED,
) -> Response:
    return page.render(
        "staff/doctors/hours/removal.html",
        status=status,
        owner=owner,
        form=form,
        before=[],
        action=f"{owner.base}/hours/extra/{extra.day}/removal",
        title=_("Remove these extra hours?"),
        dates=formats.day_full(extra.day, current_clinic(page).zone),
        lines=[(_("Extra hours"), describe_hours(extra.spans))],
        change=change,
    )


def _extra_on(page: Page, owner: HoursAccess, day: str) -> ExtraDay:
    """The extra hours of the day in an address."""
    try:
        wanted = date.fromisoformat(day)
    except ValueError:
        raise NotFound(_("This day does not exist.")) from None
    return extra_hours.get_extra_hours(page.session, owner.doctor.id, wanted)


def _day_of(page: Page) -> date | None:
    """The day that the address proposes."""
    try:
        return date.fromisoformat(page.request.query_params.get("day", ""))
    except ValueError:
        return None

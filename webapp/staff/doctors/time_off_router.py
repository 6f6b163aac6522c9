"""Time off: a doctor's own, and that of any doctor for admins."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from webapp.appointments.impact.schemas import ImpactResult
from webapp.clinic.dependencies import current_clinic
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.doctors import time_off
from webapp.doctors.time_off import TimeOffRow
from webapp.i18n import ngettext
from webapp.staff import impact_pages
from webapp.staff.desk.notification_lists_presenters import page_after_change
from webapp.staff.doctors import presenters
from webapp.staff.doctors.hours_access import HoursAccess, hours_access
from webapp.staff.doctors.time_off_forms import RemoveTimeOffForm, TimeOffForm, proposed
from webapp.staff.impact_pages import NOTHING_ASKED, ChangeNotMade, ChangeSubmission, ChangeView

router = Router()


@router.get("/schedule/time-off")
@router.get("/admin/doctors/{slug}/time-off")
def show_time_off(page: CurrentPage) -> Response:
    """Future time off, and what is over; the doctor, and admins."""
    owner = hours_access(page)
    clinic = current_clinic(page)
    ahead = time_off.list_ahead(page.session, owner.doctor.id, now=page.now)
    past = time_off.list_past(page.session, owner.doctor.id, now=page.now)
    return page.render(
        "staff/doctors/time_off/list.html",
        owner=owner,
        ahead=[presenters.time_off_line(owner, row, clinic) for row in ahead],
        past=[presenters.time_off_line(owner, row, clinic) for row in past],
    )


@router.get("/schedule/time-off/new")
@router.get("/admin/doctors/{slug}/time-off/new")
def new_time_off(page: CurrentPage) -> Response:
    """The form for time off, with the times that the address proposes; the doctor, and admins."""
    asked = page.request.query_params
    return _new_page(
        page, hours_access(page), TimeOffForm(data=proposed(asked.get("from", ""), asked.get("until", "")))
    )


@router.post("/schedule/time-off/new")
@router.post("/admin/doctors/{slug}/time-off/new")
def add_time_off(page: CurrentPage, sent: SentForm) -> Response:
    """Save time off; the doctor, and admins."""
    owner = hours_access(page)
    form = TimeOffForm(sent)
    with ChangeSubmission(page, owner.actor, sent, form) as submission:
        command = submission.read(form.command)
        work = partial(
            time_off.add_time_off, actor=owner.actor, doctor_id=owner.doctor.id, command=command, now=page.now
        )
        times = len(submission.make(work, doctor_ids=[owner.doctor.id]))
        words = ngettext("The time off is saved.", "The time off is saved for %(n)d weeks.", times)
        # A doctor who blocks a time on their day goes back to that day.
        back = f"/schedule/{form.came_from}" if owner.own and form.came_from is not None else f"{owner.base}/time-off"
        return page.redirect(submission.next_page(back, own=owner.own), flash=words % {"n": times})
    return _new_page(page, owner, form, status=submission.status, change=submission.change)


@router.get("/schedule/time-off/{time_off_id}/removal")
@router.get("/admin/doctors/{slug}/time-off/{time_off_id}/removal")
def ask_removal(page: CurrentPage, time_off_id: PathId) -> Response:
    """Ask whether time off should be removed, alone or with its series; the doctor, and admins."""
    owner = hours_access(page)
    row = time_off.get_time_off(page.session, owner.doctor.id, time_off_id, now=page.now)
    return _removal_page(page, owner, row, RemoveTimeOffForm())


@router.post("/schedule/time-off/{time_off_id}/removal")
@router.post("/admin/doctors/{slug}/time-off/{time_off_id}/removal")
def remove_time_off(page: CurrentPage, time_off_id: PathId, sent: SentForm) -> Response:
    """Remove time off, alone or with its series; the doctor, and admins."""
    owner = hours_access(page)
    row = time_off.get_time_off(page.session, owner.doctor.id, time_off_id, now=page.now)
    form = RemoveTimeOffForm(sent)
    work = partial(
        time_off.remove_time_off,
        actor=owner.actor,
        doctor_id=owner.doctor.id,
        time_off_id=row.id,
        scope=form.chosen,
        now=page.now,
    )
    impact = ImpactResult()
    try:
        times = impact_pages.make(page, owner.actor, sent, work, doctor_ids=[owner.doctor.id], impact=impact)
    except ChangeNotMade as asked:
        return _removal_page(page, owner, row, form, status=asked.status, change=asked.change)
    words = ngettext("The time off is removed.", "The time off is removed for %(n)d weeks.", times)
    back = page_after_change(impact.list_ids, f"{owner.base}/time-off", own=owner.own)
    return page.redirect(back, flash=words % {"n": times})


# -------------------------------------------------------------------------------------------------- pages


def _new_page(
    page: Page,
    owner: HoursAccess,
    form: TimeOffForm,
    *,
    status: int = 200,
    change: ChangeView = NOTHING_ASKED,
) -> Response:
    return page.render(
        "staff/doctors/time_off/new.html",
        status=status,
        owner=owner,
        form=form,
        action=f"{owner.base}/time-off/new",
        today=current_clinic(page).today(page.now),
        change=change,
    )


def _removal_page(
    page: Page,
    owner: HoursAccess,
    row: TimeOffRow,
    form: RemoveTimeOffForm,
    *,
    status: int = 200,
    change: ChangeView = NOTHING_ASKED,
) -> Response:
    return page.render(
        "staff/doctors/time_off/removal.html",
        status=status,
        owner=owner,
        form=form,
        action=f"{owner.base}/time-off/{row.id}/removal",
        line=presenters.time_off_line(owner, row, current_clinic(page)),
        change=change,
    )

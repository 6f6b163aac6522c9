"""Time off: a doctor's own, and that of any doctor for admins."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.core.i18n import ngettext
from webapp.core.local_time import first_instant
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import time_off
from webapp.doctors.time_off import TimeOffRow
from webapp.exceptions import AppError
from webapp.staff import impact_pages
from webapp.staff.doctors.hours_access import HoursAccess, hours_access
from webapp.staff.doctors.time_off_forms import RemoveTimeOffForm, TimeOffForm, proposed

router = APIRouter()

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("/schedule/time-off")
@router.get("/admin/doctors/{slug}/time-off")
def show_time_off(page: CurrentPage) -> Response:
    """What time off lies ahead, and what is over; the doctor, and admins."""
    owner = hours_access(page)
    clinic = current_clinic(page)
    ahead = time_off.list_ahead(page.session, owner.doctor.id, now=page.now)
    past = time_off.list_past(page.session, owner.doctor.id, now=page.now)
    return page.render(
        "staff/doctors/time_off/list.html",
        owner=owner,
        ahead=[_line(owner, row, clinic) for row in ahead],
        past=[_line(owner, row, clinic) for row in past],
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
    command = form.command() if form.validate() else None
    if command is None:
        return _new_page(page, owner, form, status=422)
    work = partial(time_off.add_time_off, actor=owner.actor, doctor_id=owner.doctor.id, command=command, now=page.now)
    try:
        outcome = impact_pages.make(page, owner.actor, sent, work, doctor_ids=[owner.doctor.id])
    except AppError as error:
        form.add_error(error)
        return _new_page(page, owner, form, status=error.status)
    if isinstance(outcome, impact_pages.Asked):
        return _new_page(page, owner, form, status=outcome.status, change=outcome.change)
    times = len(outcome.result)
    words = ngettext("The time off is saved.", "The time off is saved, %(n)d times.", times)
    # Whoever blocks a time on their day goes on with that day.
    back = f"/schedule/{form.came_from}" if owner.own and form.came_from is not None else f"{owner.base}/time-off"
    return page.redirect(back, flash=words % {"n": times})


@router.get("/schedule/time-off/{time_off_id}/removal")
@router.get("/admin/doctors/{slug}/time-off/{time_off_id}/removal")
def ask_removal(page: CurrentPage, time_off_id: Number) -> Response:
    """Ask whether time off should go, alone or with its series; the doctor, and admins."""
    owner = hours_access(page)
    row = time_off.get_time_off(page.session, owner.doctor.id, time_off_id, now=page.now)
    return _removal_page(page, owner, row, RemoveTimeOffForm())


@router.post("/schedule/time-off/{time_off_id}/removal")
@router.post("/admin/doctors/{slug}/time-off/{time_off_id}/removal")
def remove_time_off(page: CurrentPage, time_off_id: Number, sent: SentForm) -> Response:
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
    outcome = impact_pages.make(page, owner.actor, sent, work, doctor_ids=[owner.doctor.id])
    if isinstance(outcome, impact_pages.Asked):
        return _removal_page(page, owner, row, form, status=outcome.status, change=outcome.change)
    words = ngettext("The time off is removed.", "The time off is removed, %(n)d times.", outcome.result)
    return page.redirect(f"{owner.base}/time-off", flash=words % {"n": outcome.result})


# -------------------------------------------------------------------------------------------------- pages


def _new_page(
    page: Page,
    owner: HoursAccess,
    form: TimeOffForm,
    *,
    status: int = 200,
    change: dict[str, Any] = impact_pages.NOTHING_ASKED,
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
    change: dict[str, Any] = impact_pages.NOTHING_ASKED,
) -> Response:
    return page.render(
        "staff/doctors/time_off/removal.html",
        status=status,
        owner=owner,
        form=form,
        action=f"{owner.base}/time-off/{row.id}/removal",
        line=_line(owner, row, current_clinic(page)),
        change=change,
    )


def _line(owner: HoursAccess, row: TimeOffRow, clinic: Clinic) -> dict[str, Any]:
    """One stretch in the list: when in words, why, and where it is removed."""
    return {
        "when": _when(row, clinic),
        "reason": row.reason,
        "repeats": row.series is not None,
        "remove": f"{owner.base}/time-off/{row.id}/removal",
    }


def _when(row: TimeOffRow, clinic: Clinic) -> str:
    """'Monday 9 March 2026', '9 March to 13 March 2026' or 'Monday 9 March 2026, 09:00 to 12:00'."""
    zone = clinic.zone
    first = formats.local_date(row.starts_at, zone)
    last = formats.local_date(row.ends_at - timedelta(minutes=1), zone)
    begins_with_day = row.starts_at == first_instant(first, zone)
    ends_with_day = row.ends_at == first_instant(last + timedelta(days=1), zone)
    words = {
        "first": formats.day_full(first, zone),
        "last": formats.day_full(last, zone),
        "start": formats.clock(row.starts_at, zone),
        "end": formats.clock(row.ends_at, zone),
    }
    if begins_with_day and ends_with_day:
        return words["first"] if first == last else _("%(first)s to %(last)s") % words
    if ends_with_day:
        words["end"] = "24:00"
    if first == last:
        return _("%(first)s, %(start)s to %(end)s") % words
    return _("%(first)s, %(start)s to %(last)s, %(end)s") % words

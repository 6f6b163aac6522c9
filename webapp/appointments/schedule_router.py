"""A doctor's day, to read and to print."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.schemas import YEARS, ScheduleLine
from webapp.appointments.slots import DAY, day_number, instants_of, pieces_of, to_datetime
from webapp.auth.dependencies import signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic, find_closures
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.core.i18n import ngettext
from webapp.core.web import CurrentPage, Page
from webapp.doctors import service as doctors
from webapp.exceptions import NotFound

router = APIRouter()


@router.get("/schedule")
def today(page: CurrentPage) -> Response:
    """Today's visits; doctors, their own."""
    return _day(page, current_clinic(page).today(page.now))


@router.get("/schedule/{day}")
def some_day(page: CurrentPage, day: str) -> Response:
    """The visits of a day; doctors, their own."""
    signed_in(page, "doctor")
    try:
        wanted = date.fromisoformat(day)
    except ValueError:
        wanted = date.min
    if wanted.year not in YEARS:
        raise NotFound(_("There is no such day in the calendar."))
    return _day(page, wanted)


def _day(page: Page, day: date) -> Response:
    actor = signed_in(page, "doctor")
    clinic = current_clinic(page)
    doctor = doctors.get_doctor_of_user(page.session, actor.user_id)
    spans = list(instants_of(pieces_of(clinic.zone, day, day), day_number(day) * DAY, day_number(day) * DAY + DAY))
    low, high = to_datetime(spans[0][0]), to_datetime(spans[-1][1])
    lines = queries.list_day(page.session, doctor.id, low, high)
    closures = find_closures(page.session, day, day)
    is_today = day == clinic.today(page.now)
    return page.render(
        "schedule/day.html",
        doctor={"name": doctor.name, "room": doctor.room},
        day={
            "at": low + (high - low) / 2,
            "today": is_today,
            "previous": f"/schedule/{day - timedelta(days=1)}",
            "next": f"/schedule/{day + timedelta(days=1)}",
            "now": page.now if is_today else None,
        },
        visits=[_visit(line, day) for line in lines],
        totals=_totals(lines, clinic),
        note=_("Closed: %(name)s") % {"name": closures[0].name} if closures else None,
    )


def _visit(line: ScheduleLine, day: date) -> dict[str, Any]:
    born = line.patient_birth_date
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day)) if born else None
    return {
        **line._asdict(),
        "minutes": int((line.ends_at - line.starts_at).total_seconds()) // 60,
        "age": age,
        "visit_type": line.visit_type_name,
        "href": f"/appointments/{line.reference}",
    }


def _totals(lines: list[ScheduleLine], clinic: Clinic) -> list[str]:
    """'14 visits', '2 cancelled', 'finishes 17:10'."""
    standing = [line for line in lines if line.status not in {"cancelled", "no_show"}]
    cancelled = sum(line.status == "cancelled" for line in lines)
    if not lines:
        return []
    totals = [ngettext("%(n)d visit", "%(n)d visits", len(standing)) % {"n": len(standing)}]
    if cancelled:
        totals.append(_("%(n)d cancelled") % {"n": cancelled})
    if standing:
        end: datetime = max(line.ends_at for line in standing)
        totals.append(_("finishes %(time)s") % {"time": formats.clock(end, clinic.zone)})
    return totals

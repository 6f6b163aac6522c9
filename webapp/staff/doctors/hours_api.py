"""Working hours and extra hours, as programs read and change them: a doctor's own, and any doctor's for admins."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.auth.programs.api_access import Caller, WritingCaller
from webapp.clinic.dependencies import current_clinic
from webapp.core.api import API_PREFIX, LIST_HEADERS, ApiRouter, AskedPaging, answer_list, part_of
from webapp.core.api_hours import (
    DayHours,
    HoursOfDay,
    HoursOfWeek,
    WeekdayHours,
    daily_hours,
    spans_of,
    week_of,
    weekly_hours,
)
from webapp.core.api_problems import problems
from webapp.core.entity_tags import ETAG_HEADER, NOT_MODIFIED, IfMatch, answer_unless_known
from webapp.core.strict_types import Day, YesNo
from webapp.core.web import CurrentPage, PathId
from webapp.doctors import extra_hours, hours
from webapp.doctors.extra_hours import ExtraDay
from webapp.doctors.hours import Period, PeriodHours, SaveHours
from webapp.exceptions import Invalid
from webapp.i18n import gettext as _
from webapp.idempotency.api import Key
from webapp.staff import impact_api
from webapp.staff.doctors.hours_access import doctor_of
from webapp.staff.impact_api import REMOVED, REMOVED_UNLESS_STALE, Change, Plan, Preview, changed, created, seen_by

router = ApiRouter(prefix="/doctors/{doctor_id}", tags=["Doctors' times"])


class PeriodOut(BaseModel):
    """A doctor's weekly hours from the first to the last day, both included; null means no limit."""

    id: Annotated[
        str,
        Field(
            description="Identifies the period in addresses: its days, or `always`. It changes with the days.",
            examples=["2026-06-01..2026-08-31"],
        ),
    ]
    valid_from: date | None
    valid_until: date | None
    hours: list[WeekdayHours]


class ExtraHoursOut(BaseModel):
    """Hours on one day in addition to the weekly hours, even outside opening hours."""

    day: date
    hours: list[DayHours]


class SavePeriod(Change):
    """Weekly hours and their first and last day, both included; null means no limit.

    If several periods apply to a day, their hours add up.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"valid_from": "2026-06-01", "hours": [{"weekday": "monday", "start": "09:00", "end": "12:00"}]}
            ]
        }
    )

    valid_from: Day | None = None
    valid_until: Day | None = None
    hours: HoursOfWeek


class ChangePeriod(SavePeriod):
    """Weekly hours and their dates, for a period that exists."""

    follow: Annotated[
        YesNo,
        Field(
            description="With other dates, hours that ended the day before the period end the day before its new "
            "first day, and resume after its new last day."
        ),
    ] = True


class AddPeriod(SavePeriod):
    """New weekly hours and their first and last day, both included; null means no limit.

    If several periods apply to a day, their hours add up.
    """

    end_present: Annotated[
        YesNo,
        Field(description="Replace the hours that apply on the first day; they apply again after the last day."),
    ] = False


class AddExtraHours(Change):
    """Hours on one day in addition to the weekly hours. Existing extra hours stay."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"day": "2026-12-05", "hours": [{"start": "10:00", "end": "12:00"}]}]}
    )

    day: Day
    hours: HoursOfDay


# ------------------------------------------------------------------------------------------------- periods


@router.get(
    "/hours",
    summary="List working hours",
    responses={200: {"model": list[PeriodOut], "headers": LIST_HEADERS}, **problems(401, 403, 404)},
)
def list_hours(page: CurrentPage, actor: Caller, doctor_id: PathId, paging: AskedPaging) -> Response:
    """All weekly hours, past and upcoming, earliest first. Access: the doctor, admins."""
    found = hours.list_periods(page.session, doctor_of(page, actor, doctor_id).id)
    return answer_list(
        page, PeriodOut, [_period_out(each) for each in part_of(found, paging)], total=len(found), paging=paging
    )


@router.get(
    "/hours/{period}",
    summary="Read working hours",
    responses={200: {"model": PeriodOut, "headers": ETAG_HEADER}, **NOT_MODIFIED, **problems(401, 403, 404)},
)
def read_hours(page: CurrentPage, actor: Caller, doctor_id: PathId, period: str) -> Response:
    """The weekly hours of a period. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    return answer_unless_known(page, _period_out(hours.get_period(page.session, doctor.id, hours.parse_period(period))))


@router.post("/hours", summary="Add working hours", status_code=201, responses=created(PeriodOut))
def add_hours(
    page: CurrentPage,
    actor: WritingCaller,
    doctor_id: PathId,
    body: AddPeriod,
    key: Key = None,
    preview: Preview = False,
) -> Response:
    """Add weekly hours. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    command = _command(body, None, end_present=body.end_present)

    def work(session: Session) -> PeriodOut:
        hours.save_hours(session, actor, doctor.id, command, now=page.now)
        return _read_period(session, doctor.id, command)

    def place(shown: PeriodOut) -> str:
        return f"{API_PREFIX}/doctors/{doctor.id}/hours/{shown.id}"

    plan = Plan(actor, work, [doctor.id], body.decisions)
    return impact_api.add(page, plan, key, body, place, preview=preview, kind=PeriodOut)


@router.put("/hours/{period}", summary="Replace working hours", responses=changed(PeriodOut))
def replace_hours(
    page: CurrentPage,
    actor: WritingCaller,
    doctor_id: PathId,
    period: str,
    body: ChangePeriod,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Replace the hours of a period and its first and last day. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    saved = hours.get_period(page.session, doctor.id, hours.parse_period(period))
    command = _command(body, saved.period, follow=body.follow, seen=seen_by(page, _period_out(saved), saved))

    def work(session: Session) -> PeriodOut:
        hours.save_hours(session, actor, doctor.id, command, now=page.now)
        return _read_period(session, doctor.id, command)

    return impact_api.make(page, Plan(actor, work, [doctor.id], body.decisions), preview=preview)


@router.delete("/hours/{period}", summary="Remove working hours", responses=REMOVED_UNLESS_STALE)
def remove_hours(
    page: CurrentPage,
    actor: WritingCaller,
    doctor_id: PathId,
    period: str,
    body: Change | None = None,
    resume: Annotated[
        bool, Query(description="Let the hours that ended the day before this period continue over its days.")
    ] = True,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Remove a period and its hours. The body is optional. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    saved = hours.get_period(page.session, doctor.id, hours.parse_period(period))
    seen = seen_by(page, _period_out(saved), saved)
    work = partial(
        hours.remove_hours,
        actor=actor,
        doctor_id=doctor.id,
        period=saved.period,
        resume=resume,
        seen=seen,
        now=page.now,
    )
    plan = Plan(actor, work, [doctor.id], (body or Change()).decisions)
    return impact_api.remove(page, plan, _("The hours are removed."), preview=preview)


def _command(
    body: SavePeriod, period: Period | None, *, end_present: bool = False, follow: bool = False, seen: str = ""
) -> SaveHours:
    if not body.hours:
        raise Invalid(_("Enter hours for at least one day."), field="hours")
    return SaveHours(
        period=period,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
        week=week_of(body.hours),
        end_present=end_present,
        follow=follow,
        seen=seen,
    )


def _read_period(session: Session, doctor_id: int, command: SaveHours) -> PeriodOut:
    return _period_out(hours.get_period(session, doctor_id, Period(command.valid_from, command.valid_until)))


def _period_out(saved: PeriodHours) -> PeriodOut:
    first, last = saved.period
    return PeriodOut(id=saved.period.key, valid_from=first, valid_until=last, hours=weekly_hours(saved.week))


# --------------------------------------------------------------------------------------------- extra hours


@router.get(
    "/extra-hours",
    summary="List extra hours",
    responses={200: {"model": list[ExtraHoursOut], "headers": LIST_HEADERS}, **problems(401, 403, 404)},
)
def list_extra_hours(page: CurrentPage, actor: Caller, doctor_id: PathId, paging: AskedPaging) -> Response:
    """The extra hours from today, one entry per day. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    found = extra_hours.list_extra_hours(page.session, doctor.id, current_clinic(page).today(page.now))
    return answer_list(
        page, ExtraHoursOut, [_extra_out(each) for each in part_of(found, paging)], total=len(found), paging=paging
    )


@router.get(
    "/extra-hours/{day}",
    summary="Read extra hours",
    responses={200: {"model": ExtraHoursOut, "headers": ETAG_HEADER}, **NOT_MODIFIED, **problems(401, 403, 404)},
)
def read_extra_hours(page: CurrentPage, actor: Caller, doctor_id: PathId, day: date) -> Response:
    """The extra hours of a day. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    return answer_unless_known(page, _extra_out(extra_hours.get_extra_hours(page.session, doctor.id, day)))


@router.post("/extra-hours", summary="Add extra hours", status_code=201, responses=created(ExtraHoursOut))
def add_extra_hours(
    page: CurrentPage,
    actor: WritingCaller,
    doctor_id: PathId,
    body: AddExtraHours,
    key: Key = None,
    preview: Preview = False,
) -> Response:
    """Add extra working hours on one day. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    command = ExtraDay(day=body.day, spans=spans_of(body.hours))

    def work(session: Session) -> ExtraHoursOut:
        extra_hours.add_extra_hours(session, actor, doctor.id, command, now=page.now)
        return _extra_out(extra_hours.get_extra_hours(session, doctor.id, body.day))

    def place(shown: ExtraHoursOut) -> str:
        return f"{API_PREFIX}/doctors/{doctor.id}/extra-hours/{shown.day}"

    plan = Plan(actor, work, [doctor.id], body.decisions)
    return impact_api.add(page, plan, key, body, place, preview=preview, kind=ExtraHoursOut)


@router.delete("/extra-hours/{day}", summary="Remove extra hours", responses=REMOVED)
def remove_extra_hours(
    page: CurrentPage,
    actor: WritingCaller,
    doctor_id: PathId,
    day: date,
    body: Change | None = None,
    preview: Preview = False,
) -> Response:
    """Remove the extra hours of a day. The body is optional. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    extra_hours.get_extra_hours(page.session, doctor.id, day)
    work = partial(extra_hours.remove_extra_hours, actor=actor, doctor_id=doctor.id, day=day, now=page.now)
    plan = Plan(actor, work, [doctor.id], (body or Change()).decisions)
    return impact_api.remove(page, plan, _("The extra hours are removed."), preview=preview)


def _extra_out(saved: ExtraDay) -> ExtraHoursOut:
    return ExtraHoursOut(day=saved.day, hours=daily_hours(saved.spans))

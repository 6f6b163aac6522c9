"""Time off, as programs read and change it: a doctor's own, and that of any doctor for admins."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.auth.programs.api_access import Caller, WritingCaller
from webapp.clinic.dependencies import current_clinic
from webapp.core.api import API_PREFIX, LIST_HEADERS, ApiRouter, AskedPaging, Moment, answer_list, part_of
from webapp.core.api_problems import problems
from webapp.core.entity_tags import ETAG_HEADER, NOT_MODIFIED, answer_unless_known
from webapp.core.parsing import Instant
from webapp.core.strict_types import Day
from webapp.core.web import CurrentPage, PathId
from webapp.doctors import time_off
from webapp.doctors.time_off import AddTimeOff, Scope
from webapp.exceptions import Invalid
from webapp.i18n import gettext as _
from webapp.idempotency.api import Key
from webapp.staff import impact_api
from webapp.staff.doctors.hours_access import doctor_of
from webapp.staff.impact_api import REMOVED, Change, Plan, Preview, created

router = ApiRouter(prefix="/doctors/{doctor_id}/time-off", tags=["Doctors' times"])


class TimeOffOut(BaseModel):
    """A period when the doctor is away."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    starts_at: Moment
    ends_at: Moment
    reason: Annotated[str, Field(description="Visible only to the doctor and admins.")]
    series: Annotated[str | None, Field(description="Shared by entries that were added together.")]


class TakeTimeOff(Change):
    """Time off: either from one time to another, or whole days in the clinic's time zone, the last one included.

    With `repeat_until` it repeats weekly at the same time of day in the clinic's time zone, as long as it starts on or
    before that day.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"starts_on": "2026-12-21", "ends_on": "2026-12-24", "reason": "Leave"},
                {"starts_at": "2026-12-01T09:00:00+01:00", "ends_at": "2026-12-01T12:00:00+01:00"},
            ]
        }
    )

    starts_at: Instant | None = None
    ends_at: Instant | None = None
    starts_on: Day | None = None
    ends_on: Annotated[Day | None, Field(description="Default: the first day.")] = None
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)] = ""
    repeat_until: Day | None = None


@router.get(
    "",
    summary="List time off",
    responses={200: {"model": list[TimeOffOut], "headers": LIST_HEADERS}, **problems(401, 403, 404)},
)
def list_time_off(
    page: CurrentPage,
    actor: Caller,
    doctor_id: PathId,
    paging: AskedPaging,
    over: Annotated[
        bool, Query(description="List past time off, latest first, instead of current and upcoming.")
    ] = False,
) -> Response:
    """Current and upcoming time off, in order. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    if over:
        found = time_off.list_past(page.session, doctor.id, now=page.now)
    else:
        found = time_off.list_ahead(page.session, doctor.id, now=page.now)
    shown = [TimeOffOut.model_validate(row) for row in part_of(found, paging)]
    return answer_list(page, TimeOffOut, shown, total=len(found), paging=paging)


@router.get(
    "/{time_off_id}",
    summary="Read time off",
    responses={200: {"model": TimeOffOut, "headers": ETAG_HEADER}, **NOT_MODIFIED, **problems(401, 403, 404)},
)
def read_time_off(page: CurrentPage, actor: Caller, doctor_id: PathId, time_off_id: PathId) -> Response:
    """One entry of time off that is not over. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    row = time_off.get_time_off(page.session, doctor.id, time_off_id, now=page.now)
    return answer_unless_known(page, TimeOffOut.model_validate(row))


@router.post("", summary="Add time off", status_code=201, responses=created(TimeOffOut))
def add_time_off(
    page: CurrentPage,
    actor: WritingCaller,
    doctor_id: PathId,
    body: TakeTimeOff,
    key: Key = None,
    preview: Preview = False,
) -> Response:
    """Add time off, once or weekly. For a series, the first entry is returned. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    command, exactly, names = _command_of(body, current_clinic(page).zone)

    def work(session: Session) -> TimeOffOut:
        try:
            first, *_later = time_off.add_time_off(session, actor, doctor.id, command, now=page.now, exactly=exactly)
        except Invalid as error:
            error.field = names.get(error.field or "", error.field)
            raise
        return TimeOffOut.model_validate(first)

    def place(shown: TimeOffOut) -> str:
        return f"{API_PREFIX}/doctors/{doctor.id}/time-off/{shown.id}"

    plan = Plan(actor, work, [doctor.id], body.decisions)
    return impact_api.add(page, plan, key, body, place, preview=preview, kind=TimeOffOut)


@router.delete("/{time_off_id}", summary="Remove time off", responses=REMOVED)
def remove_time_off(
    page: CurrentPage,
    actor: WritingCaller,
    doctor_id: PathId,
    time_off_id: PathId,
    body: Change | None = None,
    scope: Annotated[Scope, Query(description="Remove only this one, or all of its series that are not over.")] = "one",
    preview: Preview = False,
) -> Response:
    """Remove time off. The body is optional. Access: the doctor, admins."""
    doctor = doctor_of(page, actor, doctor_id)
    row = time_off.get_time_off(page.session, doctor.id, time_off_id, now=page.now)
    work = partial(
        time_off.remove_time_off, actor=actor, doctor_id=doctor.id, time_off_id=row.id, scope=scope, now=page.now
    )
    plan = Plan(actor, work, [doctor.id], (body or Change()).decisions)
    return impact_api.remove(page, plan, _("The time off is removed."), preview=preview)


def _command_of(
    body: TakeTimeOff, zone: ZoneInfo
) -> tuple[AddTimeOff, tuple[datetime, datetime] | None, dict[str, str]]:
    """The command for the service, the exact instants where the body has them, and the body's names of its members.

    Raises:
        Invalid: the body mixes instants and days, or has neither.
    """
    more: dict[str, Any] = {"reason": body.reason, "repeat_until": body.repeat_until}
    days = body.starts_on is not None or body.ends_on is not None
    if body.starts_on is not None and body.starts_at is None and body.ends_at is None:
        whole = AddTimeOff(from_date=body.starts_on, until_date=body.ends_on or body.starts_on, **more)
        return whole, None, {"from_date": "starts_on", "until_date": "ends_on"}
    if body.starts_at is None or body.ends_at is None or days:
        raise Invalid(
            _("Send either starts_at and ends_at, or starts_on and ends_on."),
            field="starts_on" if days else "ends_at" if body.starts_at else "starts_at",
        )
    start, end = (each.replace(second=0, microsecond=0) for each in (body.starts_at, body.ends_at))
    first, last = start.astimezone(zone), end.astimezone(zone)
    # At the ends of our range of years, the local day may be one that the form would refuse.
    written = AddTimeOff.model_construct(
        from_date=first.date(), from_time=first.time(), until_date=last.date(), until_time=last.time(), **more
    )
    names = {"from_date": "starts_at", "from_time": "starts_at", "until_date": "ends_at", "until_time": "ends_at"}
    return written, (start, end), names

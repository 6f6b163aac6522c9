"""The calls of a day, with a tick for each that is made; the front desk."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from webapp.appointments import calls
from webapp.appointments.booking import status_service
from webapp.auth.dependencies import DESK, signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.parsing import parse_day
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, SentForm
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

router = Router()

ADDRESS = "/desk/calls"


@router.get("/desk/calls/{day}")
def show_calls(page: CurrentPage, day: str) -> Response:
    """The patients to call before this day, in order; front desk. The reading is logged."""
    actor = signed_in(page, *DESK)
    wanted = parse_day(day)
    if wanted is None:
        raise NotFound(_("This day does not exist."))
    clinic = current_clinic(page)
    lines = calls.list_calls(page.session, clinic, wanted)
    response = page.render(
        "staff/desk/calls.html",
        title=formats.day_full(wanted, clinic.zone),
        here=f"{ADDRESS}/{wanted}",
        board=f"/board/{wanted}",
        previous=f"{ADDRESS}/{wanted - timedelta(days=1)}",
        next=f"{ADDRESS}/{wanted + timedelta(days=1)}",
        groups=[(why, those) for why in calls.REASONS if (those := [each for each in lines if each.why == why])],
        number=len(lines),
        made=sum(each.called_at is not None for each in lines),
    )
    page.trace(status_service.record_listing, actor, [each.id for each in lines], now=page.now)
    return response


@router.post("/desk/calls/{day}/{reference}")
def tick(page: CurrentPage, day: str, reference: str, sent: SentForm) -> Response:
    """Note that this patient was called, or take that back; front desk."""
    actor = signed_in(page, *DESK)
    wanted = parse_day(day)
    if wanted is None:
        raise NotFound(_("This day does not exist."))
    work = calls.untick if sent.get("undo") else calls.tick
    page.write(work, actor, reference, now=page.now)
    return page.redirect(f"{ADDRESS}/{wanted}#call-{reference.upper()}")

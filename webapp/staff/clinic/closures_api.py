"""Closing the clinic on some days, for programs; `clinic/api.py` lets everyone read closures."""

from __future__ import annotations

from functools import partial

from pydantic import ConfigDict
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.auth.programs.api_access import WritingCaller, require_role
from webapp.auth.schemas import Actor
from webapp.clinic import closures
from webapp.clinic.api import ClosureOut, closure_out
from webapp.clinic.closures import CloseDays
from webapp.core.api import API_PREFIX, ApiRouter
from webapp.core.entity_tags import IfMatch
from webapp.core.optimistic_lock import merged
from webapp.core.web import CurrentPage, Page, PathId
from webapp.i18n import gettext as _
from webapp.idempotency.api import Key
from webapp.staff import impact_api
from webapp.staff.impact_api import (
    REMOVED_UNLESS_STALE,
    Change,
    Plan,
    Preview,
    changed,
    created,
    members_optional,
    part,
    seen_by,
)

router = ApiRouter(prefix="/closures", tags=["Clinic"])


class CloseClinic(CloseDays, Change):
    """Days when the clinic is closed, the last one included."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Summer break", "starts_on": "2026-07-27", "ends_on": "2026-08-07"}]}
    )


@members_optional
class ChangeClosure(CloseClinic):
    """Changes to a closure."""


@router.post("", summary="Close the clinic", status_code=201, responses=created(ClosureOut))
def create_closure(
    page: CurrentPage, actor: WritingCaller, body: CloseClinic, key: Key = None, preview: Preview = False
) -> Response:
    """Close the clinic on some days. Each affected appointment needs a decision. Access: admins."""
    require_role(actor, "admin")

    def work(session: Session) -> ClosureOut:
        [number] = closures.add(session, actor, [part(CloseDays, body)], now=page.now)
        return closure_out(closures.get_closure(session, number))

    plan = Plan(actor, work, None, body.decisions)
    return impact_api.add(page, plan, key, body, _place, preview=preview, kind=ClosureOut)


def _place(shown: ClosureOut) -> str:
    return f"{API_PREFIX}/closures/{shown.id}"


@router.put("/{closure_id}", summary="Replace a closure", responses=changed(ClosureOut))
def replace_closure(
    page: CurrentPage,
    actor: WritingCaller,
    closure_id: PathId,
    body: CloseClinic,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Replace the name and days of a closure. Access: admins."""
    require_role(actor, "admin")
    return _change(page, actor, closure_id, body, preview=preview)


@router.patch("/{closure_id}", summary="Change a closure", responses=changed(ClosureOut))
def change_closure(
    page: CurrentPage,
    actor: WritingCaller,
    closure_id: PathId,
    body: ChangeClosure,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Change the name or days of a closure. Access: admins."""
    require_role(actor, "admin")
    return _change(page, actor, closure_id, body, preview=preview)


@router.delete("/{closure_id}", summary="Remove a closure", responses=REMOVED_UNLESS_STALE)
def remove_closure(
    page: CurrentPage,
    actor: WritingCaller,
    closure_id: PathId,
    body: Change | None = None,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Reopen the clinic on these days. The body is optional. Access: admins."""
    require_role(actor, "admin")
    saved = closures.get_closure(page.session, closure_id)
    seen = seen_by(page, closure_out(saved), saved.details)
    work = partial(closures.remove, actor=actor, closure_id=closure_id, seen=seen, now=page.now)
    plan = Plan(actor, work, None, (body or Change()).decisions)
    return impact_api.remove(page, plan, _("The closure is removed."), preview=preview)


def _change(page: Page, actor: Actor, closure_id: int, body: CloseClinic, *, preview: bool) -> Response:
    saved = closures.get_closure(page.session, closure_id)
    command = merged(saved.details, body)
    seen = seen_by(page, closure_out(saved), saved.details)

    def work(session: Session) -> ClosureOut:
        closures.change(session, actor, closure_id, command, seen=seen, now=page.now)
        return closure_out(closures.get_closure(session, closure_id))

    return impact_api.make(page, Plan(actor, work, None, body.decisions), preview=preview)

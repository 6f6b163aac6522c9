"""The progress of many decisions about appointments, and a button that continues them; staff."""

from __future__ import annotations

from starlette.responses import Response

from webapp.appointments.impact.pending_decisions import count_waiting
from webapp.appointments.queries import count_undecided
from webapp.auth.dependencies import STAFF, home_of, signed_in
from webapp.core.parsing import whole_number
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, SentForm
from webapp.staff.impact_pages import DECISIONS, finish_after_redirect

router = Router()


@router.get(DECISIONS)
def show_progress(page: CurrentPage) -> Response:
    """Show how many of them are done; doctors for their own appointments, others for all."""
    actor = signed_in(page, *STAFF)
    asked = page.request.query_params
    waiting = count_waiting(page.session, actor)
    number = max(whole_number(asked.get("of")) or waiting, waiting)
    return page.render(
        "staff/appointments/decisions.html",
        fragment="staff/appointments/_decisions.html",
        number=number,
        done=number - waiting,
        waiting=waiting,
        undecided=count_undecided(page.session, actor, now=page.now),
        here=page.here,
        next=home_of(actor.role, asked.get("next", "")),
    )


@router.post(DECISIONS)
def continue_decisions(page: CurrentPage, sent: SentForm) -> Response:
    """Carry out what was interrupted; doctors for their own appointments, others for all."""
    actor = signed_in(page, *STAFF)
    waiting = count_waiting(page.session, actor)
    if waiting:
        finish_after_redirect(page, actor, max(whole_number(str(sent.get("of", ""))) or waiting, waiting))
    return page.redirect(home_of(actor.role, str(sent.get("next", ""))))

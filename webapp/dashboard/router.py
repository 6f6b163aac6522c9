"""The admin's first page: what needs attention, today, and the last weeks."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.fragment_cache import fragment_cache
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage
from webapp.dashboard import presenters, queries

router = Router()


@router.get("/admin")
def overview(page: CurrentPage) -> Response:
    """The overview; admins."""
    actor = signed_in(page, "admin")
    clinic = current_clinic(page)
    counts = queries.read_counts(page.session, clinic, now=page.now)
    return page.render(
        "dashboard/overview.html",
        fragment="dashboard/_overview.html",
        name=actor.name,
        day=clinic.today(page.now),
        now=page.now,
        matters=presenters.list_matters(page, counts),
        mail_kept=not page.settings.smtp_url,
        ready=counts.setup.is_done,
        today=queries.read_today(page.session, clinic, now=page.now),
        today_href=with_query("/admin/appointments", **presenters.on_day(page, 0)),
        weeks=presenters.bars_of(queries.read_weeks(page.session, clinic, now=page.now)),
        cached=fragment_cache(page.session, clinic, "overview", now=page.now),
    )

"""Continues with a form after signing in again."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import home_of, signed_in
from webapp.auth.pages.draft_dependencies import find_draft
from webapp.core.routing import Router
from webapp.core.web import CurrentPage

router = Router()


@router.get("/continue")
def show_kept_form(page: CurrentPage) -> Response:
    """The form that was not sent because the session had ended; the user who filled it in. A button leads back to
    it.
    """
    actor = signed_in(page)
    kept = find_draft(page, actor)
    if kept is None:
        return page.redirect(home_of(actor.role))
    if kept.address != page.request.url.path:
        return page.redirect(kept.address)
    return page.render("auth/pages/continue.html", draft=kept, home=home_of(actor.role))

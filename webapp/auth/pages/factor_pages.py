"""Pages that several routers of the second factor show."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth import sessions
from webapp.auth.dependencies import set_session_cookie
from webapp.auth.schemas import Actor
from webapp.core.web import Page, local_path


def show_codes(page: Page, codes: list[str], onward: str) -> Response:
    """The only page that shows recovery codes; like all pages of accounts, it is not cached."""
    # The account has just got its factor: the page is shown to it as it is now.
    page.close()
    page.known.clear()
    return page.render("auth/pages/recovery_codes.html", secret=True, codes=codes, onward=onward)


def lead_on(page: Page, actor: Actor, wanted: str) -> Response:
    """Record that the actor has just proved who they are, and redirect to the page that they wanted, with a new session
    id.
    """
    secret = page.write(sessions.note_proof, actor.session_id, now=page.now)
    response = page.redirect(local_path(wanted, default="/account"))
    set_session_cookie(page, response, secret)
    return response

"""The end of every way of signing in: cookies, the draft, the next page."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth import account_mails, sessions
from webapp.auth.dependencies import known_device, onward_of, set_device_cookie, set_session_cookie
from webapp.auth.pages.draft_dependencies import claim_draft
from webapp.core.urls import with_query
from webapp.core.web import Page


def enter(page: Page, secret: str, wanted: str, *, onward: str = "", flash: str | None = None) -> Response:
    """The answer to a successful first step: on to the page that the user wanted, or first to the second factor.

    `secret` is the id of the session that has just begun. `onward` replaces the first page of the actor's role, where
    no page was wanted or another comes before it.
    """
    page.close()
    found = sessions.find_session(page.session, secret, address=page.address, now=page.now)
    if found is None:
        return page.redirect(with_query("/login", next=wanted))
    actor = found.actor
    if found.stage == "factor":
        response = page.redirect(onward_of(found, wanted))
        set_session_cookie(page, response, secret)
        return response
    if actor.is_staff and not known_device(page, actor.email):
        page.write(
            account_mails.tell,
            actor.user_id,
            "new_browser",
            page.request.app.state.letterhead(page),
            user_agent=page.request.headers.get("user-agent", ""),
            now=page.now,
        )
    response = page.redirect(onward_of(found, onward or wanted), flash=flash)
    set_session_cookie(page, response, secret)
    set_device_cookie(page, response, actor.email)
    claim_draft(page, response, actor.email, wanted)
    return response

"""Signing in with an identity provider, there and back; and linking one to an account."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from starlette.responses import Response

from webapp.audit.security_events import ObservedEvent
from webapp.auth import login_throttle
from webapp.auth.dependencies import confirmed, current_actor, current_session, onward_of, session_secret
from webapp.auth.pages import sign_on_dependencies as waiting
from webapp.auth.pages.entry_dependencies import enter
from webapp.auth.pages.factor_dependencies import letterhead_of
from webapp.auth.pages.sign_on_dependencies import StartedSignOn, client_of, prove_identity, started_by
from webapp.auth.single_sign_on import identities
from webapp.auth.single_sign_on.oidc import Identity, OidcClient
from webapp.auth.single_sign_on.sign_on_exceptions import ProviderUnavailable, SignOnRefused
from webapp.core.errors import lead_back_to
from webapp.core.networks import network_of
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, PathId
from webapp.exceptions import AppError, TooManyAttempts
from webapp.i18n import gettext as _
from webapp.patients.schemas import Origin
from webapp.staff.users import sign_on

router = Router()

ACCOUNT = "/account"
Provider = Annotated[str, Path(max_length=30)]


@router.get("/login/sso/{provider}")
def begin_sign_on(page: CurrentPage, provider: Provider) -> Response:
    """Lead to the provider; everyone. A user who is signed in already is redirected."""
    client = client_of(page, provider)
    wanted = page.request.query_params.get("next", "")
    found = current_session(page)
    if found is not None and found.stage != "factor":
        return page.redirect(onward_of(found, wanted))
    try:
        address, cookie = waiting.start(page, client, wanted)
    except (ProviderUnavailable, SignOnRefused) as error:
        return page.redirect(with_query("/login", next=wanted), flash=error.message, tone="bad")
    response = page.redirect(address)
    waiting.set_cookie(page, response, cookie)
    return response


@router.get("/login/sso/{provider}/callback")
def finish_sign_on(page: CurrentPage, provider: Provider) -> Response:
    """Take the provider's answer, once, and sign in or link the account; the browser that began it.

    Its address holds a code, so it always redirects, and never shows a page.
    """
    client = client_of(page, provider)
    begun = started_by(page, client)
    try:
        response = _finish(page, client, begun)
    except (ProviderUnavailable, SignOnRefused, TooManyAttempts) as error:
        onward = ACCOUNT if begun is not None and begun.linking else with_query("/login", next=begun and begun.wanted)
        response = page.redirect(onward, flash=error.message, tone="bad")
    waiting.drop_cookie(page, response)
    return response


def _finish(page: Page, client: OidcClient, begun: StartedSignOn | None) -> Response:
    shown = client.provider.shown
    if begun is None:
        raise SignOnRefused("stale", shown)
    seen = ObservedEvent("sign_in_throttled", about=login_throttle.SIGN_ON, network=network_of(page.address))
    page.close()
    attempt = login_throttle.admitted(
        page.database,
        identities.admit,
        seen,
        page.now,
        begun.state,
        address=page.address,
        now=page.now,
    )
    if attempt is None:
        raise SignOnRefused("stale", shown)
    try:
        identity = prove_identity(page, client, begun)
        response = _link(page, client, begun, identity) if begun.linking else _sign_in(page, client, begun, identity)
    except SignOnRefused:
        page.write(login_throttle.mark_failed, attempt)
        raise
    except AppError:
        page.write(login_throttle.forget, attempt)
        raise
    page.write(login_throttle.forget, attempt)
    return response


def _sign_in(page: Page, client: OidcClient, begun: StartedSignOn, identity: Identity) -> Response:
    origin = Origin(page.address, page.request.headers.get("user-agent", ""), session_secret(page))
    secret = page.write(sign_on.sign_in, identity, client.provider, origin, now=page.now)
    if isinstance(secret, SignOnRefused):
        raise secret
    return enter(page, secret, begun.wanted)


def _link(page: Page, client: OidcClient, begun: StartedSignOn, identity: Identity) -> Response:
    actor = current_actor(page)
    if actor is None or actor.user_id != begun.linking:
        raise SignOnRefused("stale", client.provider.shown)
    page.write(identities.link, actor, identity, client.provider, letterhead_of(page), now=page.now)
    said = _("%(provider)s is linked. You can now sign in with it.") % {"provider": client.provider.shown}
    return page.redirect(ACCOUNT, flash=said)


# ---------------------------------------------------------------------------------------------- the account


@router.post("/account/identities/{provider}")
def begin_link(page: CurrentPage, provider: Provider) -> Response:
    """A page with a link to the provider that will be linked; everyone who has just confirmed who they are.

    A page and not a redirect: browsers do not let a form lead to another site, and a link that anyone can send must
    not begin this.
    """
    lead_back_to(page.request, ACCOUNT)
    client = client_of(page, provider)
    actor = confirmed(page)
    try:
        address, cookie = waiting.start(page, client, "", linking=actor.user_id)
    except (ProviderUnavailable, SignOnRefused) as error:
        return page.redirect(ACCOUNT, flash=error.message, tone="bad")
    shown = client.provider.shown
    response = page.render("staff/users/link_identity.html", secret=True, provider=shown, address=address)
    waiting.set_cookie(page, response, cookie)
    return response


@router.post("/account/identities/{identity_id}/removal")
def unlink(page: CurrentPage, identity_id: PathId) -> Response:
    """Unlink one of the actor's own identities; everyone who is signed in and has just confirmed who they are."""
    lead_back_to(page.request, ACCOUNT)
    actor = confirmed(page)
    linked = {each.id: each.provider for each in identities.list_linked(page.session, actor.user_id)}
    known = page.request.app.state.oidc_clients.get(linked.get(identity_id, ""))
    shown = known.provider.shown if known is not None else linked.get(identity_id, "")
    page.write(identities.unlink, actor, identity_id, letterhead_of(page), shown, now=page.now)
    return page.redirect(ACCOUNT, flash=_("%(provider)s is unlinked.") % {"provider": shown})

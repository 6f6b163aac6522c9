"""The caller of the API: the owner of an access token, a program with an API token or, for reading only, a page's user.

A browser also sends cookies with requests from other sites, so a cookie allows no change here.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Security
from fastapi.security import APIKeyCookie, OAuth2PasswordBearer
from starlette.concurrency import run_in_threadpool

from webapp.auth import sessions
from webapp.auth.dependencies import SESSION_COOKIE, current_actor, note_staff
from webapp.auth.exceptions import ScopeMissing
from webapp.auth.programs import api_tokens
from webapp.auth.programs.access_tokens import is_expired, read_access_token
from webapp.auth.programs.scopes import scope_of
from webapp.auth.schemas import Actor, Role
from webapp.core.api import API_PREFIX
from webapp.core.security import SAFE_METHODS
from webapp.core.web import CurrentPage, Page
from webapp.exceptions import Forbidden, NotSignedIn
from webapp.i18n import gettext as _

bearer = OAuth2PasswordBearer(
    tokenUrl=f"{API_PREFIX}/auth/token",
    refreshUrl=f"{API_PREFIX}/auth/refresh",
    scheme_name="password",
    description="Email address and password, for a short-lived access token and a refresh token.",
    auto_error=False,
)
cookie = APIKeyCookie(
    name=SESSION_COOKIE,
    scheme_name="session",
    description="The session of a person who is signed in on the web pages; read-only.",
    auto_error=False,
)
Bearer = Annotated[str | None, Security(bearer)]


def caller_of(page: Page, token: str | None) -> Actor | None:
    """The caller, read from the database afresh; None for a client that is not signed in.

    Raises:
        NotSignedIn: the client sent a token that is not valid (any more): it expects to be signed in.
        ScopeMissing, Forbidden: the API token does not open this address.
    """
    if token is None:
        return current_actor(page) if page.request.method in SAFE_METHODS else None
    if api_tokens.looks_like_api_token(token):
        return _machine_of(page, token)
    claims = read_access_token(page.settings.secret_keys, token, now=page.now)
    found = None
    if claims is not None:
        found = sessions.find_actor_of_session(page.session, claims.session_hash, address=page.address, now=page.now)
    if found is None or claims is None or found.actor.user_id != claims.user_id:
        if claims is not None:
            page.request.state.refusal = "token_ended"
        elif is_expired(page.settings.secret_keys, token, now=page.now):
            page.request.state.refusal = "token_expired"
        raise NotSignedIn(_("The access token is invalid or has expired."), code="invalid_token")
    page.known["actor"], page.known["session"] = found.actor, found
    note_staff(page, found.actor)
    page.request.state.user_id = found.actor.user_id
    return found.actor


def _machine_of(page: Page, token: str) -> Actor:
    """The program that holds an API token, if the token opens this address."""
    found = api_tokens.find_token(page.session, token, address=page.address, now=page.now)
    if found is None or found.expired:
        if found is not None:
            page.request.state.refusal = "token_expired"
        elif api_tokens.handle_of(page.settings.secret_keys, token):
            page.request.state.refusal = "token_ended"
        raise NotSignedIn(_("The API token is invalid, has expired or was revoked."), code="invalid_token")
    # A cookie beside a token proves nothing for a program.
    page.known["actor"], page.known["session"] = found.actor, None
    page.request.state.user_id = found.actor.user_id
    route: str = page.request.scope["route"].path
    wanted = scope_of(page.request.method, route.removeprefix(API_PREFIX))
    if wanted is None:
        raise Forbidden(_("API tokens can’t be used here: this address is for people."), code="people_only")
    if wanted not in found.scopes:
        raise ScopeMissing(wanted)
    if found.unnoted:
        page.trace(api_tokens.note_use, found.actor, found.id, now=page.now)
    return found.actor


def _caller(page: CurrentPage, token: Bearer, _cookie: Annotated[str | None, Security(cookie)]) -> Actor:
    actor = caller_of(page, token)
    if actor is None:
        raise NotSignedIn(_("Sign in: send an access token in the Authorization header."))
    return actor


async def _maybe_caller(
    page: CurrentPage, token: Bearer, _cookie: Annotated[str | None, Security(cookie)]
) -> Actor | None:
    # The cookie has another name under https, so any cookie counts.
    if token is None and not page.request.cookies:
        return None
    return await run_in_threadpool(caller_of, page, token)


def _token_bearer(page: CurrentPage, token: Bearer) -> Actor:
    return _caller(page, token, None)


Caller = Annotated[Actor, Security(_caller)]
"""The caller of a route that reads; 401 for a client that is not signed in."""

MaybeCaller = Annotated[Actor | None, Security(_maybe_caller)]
"""The caller of a public route, or None. Being signed in may change the answer."""

WritingCaller = Annotated[Actor, Security(_token_bearer)]
"""The caller of a route that changes something; 401 without an access token, even with a cookie."""


def require_role(actor: Actor, *roles: Role) -> None:
    """Require the actor to have one of these roles; a program may do what admins may, within its scopes.

    Admins may also do everything that the front desk may.

    Raises:
        Forbidden: the actor has another role.
    """
    admins = "admin" in roles or "receptionist" in roles
    if actor.role not in roles and not (admins and actor.manages):
        raise Forbidden(_("Your account does not have access."), code="wrong_role")

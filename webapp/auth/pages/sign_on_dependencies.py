"""The cookie of a browser that is at an identity provider: it says what was begun, and where the user wants to go.

The cookie is signed and holds a random `state`, which the provider's answer must repeat: an answer that another
browser began is refused. Verifier and nonce follow from the state and our secret key, and never leave the server.
`SameSite=Lax` lets the cookie come back with the provider's redirect, which another site has begun.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

from starlette.responses import Response

from webapp.auth.single_sign_on import identities
from webapp.auth.single_sign_on.oidc import Identity, OidcClient
from webapp.auth.single_sign_on.sign_on_exceptions import SignOnRefused
from webapp.auth.tokens import new_secret
from webapp.core import signing
from webapp.core.web import Page, local_path
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

SIGN_ON_COOKIE = "docket_sso"
LONGEST_WANTED = 1500
LONGEST_CODE = 4096


class StartedSignOn(NamedTuple):
    """The sign-on that a browser began: `linking` is the account that an identity will be linked to, 0 for a
    sign-in.
    """

    state: str
    provider: str
    wanted: str
    at: int
    linking: int


def client_of(page: Page, name: str) -> OidcClient:
    """The provider with this name in the settings.

    Raises:
        NotFound: no provider has this name.
    """
    client: OidcClient | None = page.request.app.state.oidc_clients.get(name)
    if client is None:
        raise NotFound(_("This way to sign in isn’t available here."))
    return client


def start(page: Page, client: OidcClient, wanted: str, *, linking: int = 0) -> tuple[str, str]:
    """The address at which the provider's part begins, and the value of the cookie that waits for its end.

    Raises:
        ProviderUnavailable, SignOnRefused.
    """
    keys, state = page.settings.secret_keys, new_secret()
    page.close()
    address = client.start_address(
        state=state,
        nonce=signing.keyed_hash(keys, "sso.nonce", state),
        verifier=signing.keyed_hash(keys, "sso.verifier", state),
        back=_way_back(page, client),
        now=page.now,
    )
    begun = StartedSignOn(state, client.provider.name, local_path(wanted, default="")[:LONGEST_WANTED], 0, linking)
    value = [*begun._replace(at=int(page.now.timestamp()))]
    return address, signing.sign(keys, SIGN_ON_COOKIE, value)


def set_cookie(page: Page, response: Response, value: str) -> None:
    """Let this browser, and no other, finish what it began."""
    seconds = int(identities.LIFETIME.total_seconds())
    page.set_cookie(response, page.cookie_name(SIGN_ON_COOKIE), value, seconds)


def drop_cookie(page: Page, response: Response) -> None:
    """Delete the cookie: what the browser began is over."""
    response.delete_cookie(
        page.cookie_name(SIGN_ON_COOKIE), path="/", secure=page.settings.secure_cookies, httponly=True, samesite="lax"
    )


def started_by(page: Page, client: OidcClient) -> StartedSignOn | None:
    """The sign-on that this browser began with this provider within the last minutes."""
    token = page.request.cookies.get(page.cookie_name(SIGN_ON_COOKIE), "")
    match signing.unsign(page.settings.secret_keys, SIGN_ON_COOKIE, token):
        case [str(state), str(provider), str(wanted), int(at), int(linking)]:
            age = page.now.timestamp() - at
            if provider == client.provider.name and 0 <= age + 1 < identities.LIFETIME.total_seconds():
                return StartedSignOn(state, provider, wanted, at, linking)
    return None


def prove_identity(page: Page, client: OidcClient, begun: StartedSignOn) -> Identity:
    """The person whom the provider has signed in, from its answer in this address.

    Raises:
        SignOnRefused: the answer is not to what this browser began, says no, or is not to be trusted.
            ProviderUnavailable.
    """
    query = page.request.query_params
    said = {name: query.getlist(name) for name in ("state", "code", "error", "iss")}
    if any(len(values) > 1 for values in said.values()) or not hmac.compare_digest(
        "".join(said["state"]).encode(), begun.state.encode()
    ):
        raise SignOnRefused("stale", client.provider.shown)
    code = "".join(said["code"])
    if said["error"] or not 0 < len(code) <= LONGEST_CODE:
        raise SignOnRefused("denied", client.provider.shown)
    keys = page.settings.secret_keys
    page.close()
    return client.identify(
        code,
        said_issuer="".join(said["iss"]),
        nonce=signing.keyed_hash(keys, "sso.nonce", begun.state),
        verifier=signing.keyed_hash(keys, "sso.verifier", begun.state),
        back=_way_back(page, client),
        now=page.now,
    )


def _way_back(page: Page, client: OidcClient) -> str:
    return f"{page.base_url}/login/sso/{client.provider.name}/callback"

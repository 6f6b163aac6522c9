"""The actor of a request: the session cookie and its user, and the next page after signing in."""

from __future__ import annotations

import logging
from datetime import timedelta

from itsdangerous import BadSignature, Signer
from starlette.responses import Response

from webapp.auth import service, sessions, tokens
from webapp.auth.passwords.link_delivery import LinkDelivery
from webapp.auth.schemas import MACHINE, Actor, ActorRole, Role
from webapp.auth.sessions import SignedIn
from webapp.config import Settings
from webapp.core.urls import with_query
from webapp.core.web import Page, local_path
from webapp.exceptions import Forbidden, NotConfirmed, NotSignedIn, Unavailable
from webapp.i18n import gettext as _

logger = logging.getLogger(__name__)

SESSION_COOKIE = "docket_session"
DEVICE_COOKIE = "docket_device"
DEVICE_LIFETIME = timedelta(days=365)
HOME: dict[ActorRole, str] = {
    "patient": "/",
    "receptionist": "/board",
    "doctor": "/schedule",
    "admin": "/admin",
    MACHINE: "/",
}
# The roles that do the work of the front desk, with all patients and appointments; and the roles of all staff.
DESK: tuple[Role, ...] = ("receptionist", "admin")
STAFF: tuple[Role, ...] = ("doctor", *DESK)


def current_session(page: Page) -> SignedIn | None:
    """The browser's session, read from the database once per request; None for a visitor.

    Only the pages of the second factor look at it: it may open nothing else yet.
    """
    if "session" not in page.known:
        page.known["session"] = _read_session(page)
    found: SignedIn | None = page.known["session"]
    return found


def current_actor(page: Page) -> Actor | None:
    """The signed-in user, read from the database once per request; None for a visitor."""
    if "actor" not in page.known:
        found = current_session(page)
        page.known["actor"] = found.actor if found is not None and found.stage == "open" else None
    actor: Actor | None = page.known["actor"]
    if actor is not None:
        page.request.state.user_id = actor.user_id
    return actor


def signed_in(page: Page, *roles: Role) -> Actor:
    """The actor, who must be signed in and have one of the roles, if any are named.

    Raises:
        NotSignedIn: the client is not signed in. Forbidden: the actor has another role.
    """
    actor = current_actor(page)
    if actor is None:
        raise NotSignedIn(_("Sign in to see this page."))
    if roles and actor.role not in roles:
        raise Forbidden(_("Sign in with another account, or ask the clinic for access."))
    return actor


def confirmed(page: Page, *roles: Role) -> Actor:
    """The signed-in actor, who has just proved who they are: the action would be worth stealing a session for.

    Raises:
        NotSignedIn, Forbidden: as for `signed_in`. NotConfirmed: the last proof is too old.
    """
    actor = signed_in(page, *roles)
    require_confirmed(page)
    return actor


def require_confirmed(page: Page) -> None:
    """Require that the owner of the browser's session proved who they are within the last ten minutes.

    Raises:
        NotConfirmed: the last proof is older.
    """
    found = current_session(page)
    if found is None or not found.is_confirmed(page.now):
        raise NotConfirmed(_("Confirm that it’s you, then send this again."))


def require_factor(page: Page) -> None:
    """Require a recent proof from an account that has a second factor, because its password alone may be stolen.

    Raises:
        NotConfirmed: the last proof is too old.
    """
    found = current_session(page)
    if found is not None and found.has_factor:
        require_confirmed(page)


def enrolling(page: Page) -> Actor:
    """The actor who sets up a second factor: signed in, or let in no further before it is set up; and confirmed.

    Raises:
        NotSignedIn, NotConfirmed.
    """
    found = current_session(page)
    if found is None or found.stage == "factor":
        raise NotSignedIn(_("Sign in to see this page."))
    require_confirmed(page)
    return found.actor


def home_of(role: ActorRole, wanted: str = "") -> str:
    """Where a user goes after signing in: the page that they wanted, else the first page of their role."""
    return local_path(wanted, default=HOME[role]) if wanted else HOME[role]


def onward_of(found: SignedIn, wanted: str) -> str:
    """The next page for a session that does not open every page yet, or else `home_of` its actor."""
    if found.stage == "factor":
        return with_query("/login/factor", next=wanted)
    onward = home_of(found.actor.role, wanted)
    return onward if found.stage == "open" else with_query("/account/factor/new", next=onward)


def signed_value(page: Page, cookie: str, purpose: str) -> str:
    """The value of a cookie that we signed for this purpose; else ''."""
    return _unsign(page.request.cookies.get(page.cookie_name(cookie), ""), page.settings, purpose)


def clinic_words(page: Page) -> list[str]:
    """The clinic's name and address, of which passwords must not be made."""
    letterhead: dict[str, str] = page.request.app.state.letterhead(page)
    return [letterhead["name"], letterhead["address"]]


def link_delivery_of(page: Page) -> LinkDelivery:
    """How a link to another person's password reaches that person."""
    letterhead: dict[str, str] = page.request.app.state.letterhead(page)
    return LinkDelivery(bool(page.settings.smtp_url), page.settings.secret_keys, letterhead)


def ignore_session(page: Page) -> None:
    """Ignore the session in this request: it came with a link, and the answer is for any client with that link."""
    page.known["actor"] = page.known["session"] = None


def session_secret(page: Page) -> str:
    """The session id that the browser sent, if we signed it; else ''."""
    return signed_value(page, SESSION_COOKIE, "session")


def _read_session(page: Page) -> SignedIn | None:
    secret = session_secret(page)
    if not secret:
        return None
    found = sessions.find_session(page.session, secret, address=page.address, now=page.now)
    if found is not None and found.touch and not page.is_automatic:
        # A thread that waits for a second connection while it holds one can wait forever.
        page.close()
        try:
            page.database.write(sessions.touch_session, found.actor.session_id, now=page.now)
        except Unavailable:
            # A missed last-seen time is not worth an error; the next request writes it.
            logger.info("The last-seen time of session %d was not written", found.actor.session_id)
    if found is not None:
        note_staff(page, found.actor)
    return found


def note_staff(page: Page, actor: Actor) -> None:
    """Let later requests with this session go ahead of others while there are too many for all."""
    page.request.state.is_staff = actor.role != "patient"


def set_session_cookie(page: Page, response: Response, secret: str) -> None:
    """Send the signed session id to the browser."""
    signed = _signer(page.settings, "session").sign(secret).decode()
    lifetime = int(sessions.SESSION_LIFETIME.total_seconds())
    page.set_cookie(response, page.cookie_name(SESSION_COOKIE), signed, lifetime)


def clear_session_cookie(page: Page, response: Response) -> None:
    """Delete the session cookie in the browser, and pages that it may still hold for its Back button."""
    if page.settings.secure_cookies:
        # Browsers obey this over https only.
        response.headers["clear-site-data"] = '"cache", "storage"'
    response.delete_cookie(
        page.cookie_name(SESSION_COOKIE),
        path="/",
        secure=page.settings.secure_cookies,
        httponly=True,
        samesite="lax",
    )


def known_device(page: Page, email: str) -> str:
    """The hash of this browser's device id, if it has signed in to this account before; else ''."""
    device = signed_value(page, DEVICE_COOKIE, "device")
    account, _separator, identity = device.partition(":")
    return tokens.hashed(identity) if identity and account == service.account_key(email) else ""


def set_device_cookie(page: Page, response: Response, email: str) -> None:
    """Let us recognise this browser later, when someone else is guessing the account's password."""
    value = f"{service.account_key(email)}:{tokens.new_secret()}"
    signed = _signer(page.settings, "device").sign(value).decode()
    page.set_cookie(response, page.cookie_name(DEVICE_COOKIE), signed, int(DEVICE_LIFETIME.total_seconds()))


def _signer(settings: Settings, purpose: str) -> Signer:
    return Signer(settings.secret_keys, salt=f"docket.{purpose}")


def _unsign(value: str, settings: Settings, purpose: str) -> str:
    try:
        return _signer(settings, purpose).unsign(value).decode()
    except (BadSignature, UnicodeDecodeError):
        return ""

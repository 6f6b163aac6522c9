"""The browser that waits for a code: its cookie holds the address, a random id, and where the user wants to go."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from webapp.auth.dependencies import known_device
from webapp.auth.schemas import AskForCode
from webapp.auth.sign_in import sign_in_codes
from webapp.auth.sign_in.sign_in_codes import AskingBrowser
from webapp.auth.tokens import new_secret
from webapp.core import signing
from webapp.core.web import Page

CODE_COOKIE = "docket_code"
# For the code, and for the time that creating an account may take afterwards.
SECONDS = int((sign_in_codes.LIFETIME + sign_in_codes.PROOF_LIFETIME).total_seconds())
LONGEST_WANTED = 1500


class PendingSignIn(NamedTuple):
    """The state of a browser that waits for a code for this address; `wanted` is the page that the user wants, or
    ''.
    """

    browser: str
    email: str
    wanted: str


def send_code(page: Page, command: AskForCode, wanted: str) -> Response:
    """Send a code to this address, and lead to the page that asks for it.

    Raises:
        TooManyCodes: too many were requested from this network.
    """
    letterhead: dict[str, str] = page.request.app.state.letterhead(page)
    asked = asking_browser(page, command.email)
    page.write(sign_in_codes.send, command, asked, letterhead, keys=page.settings.secret_keys, now=page.now)
    return lead_to_code(page, asked, command.email, wanted)


def asking_browser(page: Page, email: str) -> AskingBrowser:
    """This browser's request for a code for this address."""
    before = waiting(page)
    browser = before.browser if before is not None else new_secret()
    return AskingBrowser(browser, page.address, known_device(page, email))


def lead_to_code(page: Page, asked: AskingBrowser, email: str, wanted: str) -> Response:
    """Lead to the page that asks for the code, and let this browser wait for it."""
    response = page.redirect("/login/code")
    value = [asked.browser, email, wanted[:LONGEST_WANTED]]
    signed = signing.sign(page.settings.secret_keys, CODE_COOKIE, value)
    page.set_cookie(response, page.cookie_name(CODE_COOKIE), signed, SECONDS)
    return response


def waiting(page: Page) -> PendingSignIn | None:
    """The code that this browser waits for; None if it asked for no code lately."""
    token = page.request.cookies.get(page.cookie_name(CODE_COOKIE), "")
    match signing.unsign(page.settings.secret_keys, CODE_COOKIE, token):
        case [str(browser), str(email), str(wanted)]:
            return PendingSignIn(browser, email, wanted)
    return None


def stop_waiting(page: Page, response: Response) -> None:
    """Forget the address: the user has signed in, or out."""
    response.delete_cookie(
        page.cookie_name(CODE_COOKIE), path="/", secure=page.settings.secure_cookies, httponly=True, samesite="lax"
    )

"""The draft of a request's browser: its cookie, and keeping what was typed when the session has ended."""

from __future__ import annotations

from contextlib import suppress

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.auth import drafts, service
from webapp.auth.dependencies import DEVICE_COOKIE, current_actor, signed_value
from webapp.auth.drafts import UnsentForm
from webapp.auth.schemas import Actor
from webapp.core import signing
from webapp.core.errors import way_back
from webapp.core.web import Page
from webapp.exceptions import Unavailable

DRAFT_COOKIE, WANTED_COOKIE = "docket_draft", "docket_wanted"
# The page that shows a kept form again.
CONTINUE = "/continue"
SECONDS = int(drafts.LIFETIME.total_seconds())


def find_draft(page: Page, actor: Actor) -> UnsentForm | None:
    """The draft of this browser, if it is the actor's."""
    key = _key(page)
    if not key:
        return None
    return drafts.find(page.session, key, account=service.account_key(actor.email), now=page.now)


def keep_draft(page: Page, response: Response, actor: Actor, form: UnsentForm) -> None:
    """Keep what a user who is signed in has typed so far."""
    if drafts.is_worth_keeping(form.fields):
        _keep(page, response, form, account=service.account_key(actor.email))
    else:
        drop_draft(page, response)


def keep_unsent_form(page: Page) -> tuple[str, str] | None:
    """Keep the form of a user whose session has ended, or who must confirm who they are, if something was typed.

    Returns the address to which they return afterwards and the cookie's value, or None if nothing is kept.
    """
    sent = typed_fields(getattr(page.request.state, "sent", FormData()))
    if not drafts.is_worth_keeping(sent):
        return None
    actor = current_actor(page)
    # The account that signed in last with this browser has written this.
    last = signed_value(page, DEVICE_COOKIE, "device").partition(":")[0]
    account = service.account_key(actor.email) if actor else last
    back = way_back(page.request)
    address = back if back.startswith("/book?") else CONTINUE
    form = UnsentForm("/appointments" if address == back else page.request.url.path, address, sent)
    try:
        key = page.write(drafts.keep, form, account=account, previous=_key(page), now=page.now)
    except Unavailable:
        return None
    return None if key is None else (address, _signed(page, key))


def typed_fields(sent: FormData) -> drafts.Fields:
    """The fields of a form in their order; a group of check boxes has several of one name."""
    return [(name, text) for name, text in sent.multi_items() if isinstance(text, str)]


def claim_draft(page: Page, response: Response, email: str, wanted: str) -> None:
    """After signing in, keep this browser's draft for the account that it belongs to, or delete it."""
    key = _key(page)
    response.delete_cookie(page.cookie_name(WANTED_COOKIE), path="/", secure=page.settings.secure_cookies)
    if key and not page.write(drafts.claim, key, account=service.account_key(email), wanted=wanted):
        _clear(page, response)


def drop_draft(page: Page, response: Response) -> None:
    """Delete the draft of this browser."""
    key = _key(page)
    if key:
        # It ends within the hour in any case.
        with suppress(Unavailable):
            page.write(drafts.forget, key)
        _clear(page, response)


def set_draft_cookie(page: Page, response: Response, value: str) -> None:
    """Send the signed key of a draft to the browser."""
    page.set_cookie(response, page.cookie_name(DRAFT_COOKIE), value, SECONDS)


def remember_wanted(page: Page, response: Response, email: str, wanted: str) -> None:
    """Remember where the owner of this address wants to go, while they wait for the mail that sets a password."""
    if wanted:
        value = signing.sign(page.settings.secret_keys, WANTED_COOKIE, [service.account_key(email), wanted[:1500]])
        page.set_cookie(response, page.cookie_name(WANTED_COOKIE), value, SECONDS)


def wanted_page(page: Page, email: str) -> str:
    """Where the owner of this address wanted to go when they asked for the mail in this browser; '' if unknown."""
    token = page.request.cookies.get(page.cookie_name(WANTED_COOKIE), "")
    match signing.unsign(page.settings.secret_keys, WANTED_COOKIE, token):
        case [str(account), str(wanted)] if account == service.account_key(email):
            return wanted
    return ""


def _keep(page: Page, response: Response, form: UnsentForm, *, account: str) -> None:
    key = page.write(drafts.keep, form, account=account, previous=_key(page), now=page.now)
    if key is not None:
        set_draft_cookie(page, response, _signed(page, key))


def _key(page: Page) -> str:
    found = signing.unsign(
        page.settings.secret_keys, DRAFT_COOKIE, page.request.cookies.get(page.cookie_name(DRAFT_COOKIE), "")
    )
    return found if isinstance(found, str) else ""


def _signed(page: Page, key: str) -> str:
    return signing.sign(page.settings.secret_keys, DRAFT_COOKIE, key)


def _clear(page: Page, response: Response) -> None:
    response.delete_cookie(
        page.cookie_name(DRAFT_COOKIE), path="/", secure=page.settings.secure_cookies, httponly=True, samesite="lax"
    )

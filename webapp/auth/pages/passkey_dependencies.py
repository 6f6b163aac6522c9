"""Proving with a passkey, for the routes that ask for it."""

from __future__ import annotations

from typing import Any

from webapp.auth.exceptions import WrongPasskey
from webapp.auth.second_factor import passkeys
from webapp.auth.second_factor.passkeys import Purpose, Site
from webapp.core.web import Page


def site_of(page: Page) -> Site:
    """The site to which passkeys of this installation are bound."""
    return Site.of(page.base_url)


def take_answer(page: Page, text: str, purpose: Purpose, user_id: int | None) -> tuple[dict[str, Any], bytes]:
    """Read a browser's answer, and use its challenge up; right or wrong, the same answer is never taken twice.

    Raises:
        WrongPasskey: it is not a valid passkey, or its challenge was not for this.
    """
    answer, challenge = passkeys.read_answer(text)
    if not page.write(passkeys.spend_challenge, challenge, purpose, user_id, now=page.now):
        raise WrongPasskey
    return answer, challenge


def prove_passkey(page: Page, text: str, purpose: Purpose, user_id: int | None) -> int:
    """Verify a browser's answer, and return the account that its passkey belongs to.

    Raises:
        WrongPasskey.
    """
    answer, challenge = take_answer(page, text, purpose, user_id)
    key = passkeys.find_key(page.session, answer, user_id)
    page.close()
    count = passkeys.verify(key, answer, challenge, site_of(page))
    if not page.write(passkeys.note_use, key, count, address=page.address, now=page.now) or key is None:
        raise WrongPasskey
    return key.user_id

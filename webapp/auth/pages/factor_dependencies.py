"""Proving with the second factor, for the routes that ask for it."""

from __future__ import annotations

from webapp.auth.exceptions import WrongFactor
from webapp.auth.schemas import Actor
from webapp.auth.second_factor import service as second_factor
from webapp.auth.second_factor.service import Proof
from webapp.core.web import Page


def letterhead_of(page: Page) -> dict[str, str]:
    """The clinic's details in messages."""
    letterhead: dict[str, str] = page.request.app.state.letterhead(page)
    return letterhead


def prove_code(page: Page, actor: Actor, code: str) -> Proof:
    """Use up a code of the app or a recovery code, and return which it was.

    Raises:
        WrongFactor, TooManyProofs, AttemptsUnderWay.
    """
    proof = page.write(
        second_factor.prove,
        actor.user_id,
        code,
        letterhead_of(page),
        keys=page.settings.secret_keys,
        address=page.address,
        now=page.now,
    )
    if proof is None:
        raise WrongFactor
    return proof

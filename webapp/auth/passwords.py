"""Passwords: hashing with Argon2id through passlib's API, and which passwords are good enough.

The parameters (19 MiB, two passes, one lane) are OWASP's for Argon2id; one verification takes about 25 ms, so
only a few run at once, whatever the number of requests.
"""

from __future__ import annotations

import base64
import re
import secrets
from threading import BoundedSemaphore, Lock

from passlib.context import CryptContext

from webapp.core.i18n import gettext as _
from webapp.exceptions import Invalid

MINIMUM_LENGTH = 12
MAXIMUM_LENGTH = 128
# zxcvbn's scale is 0 to 4; below 2 a password falls to a list of common ones or to a little guessing.
WEAKEST_SCORE = 2
# zxcvbn tries every reading of letters written as signs, which explodes with their number: 72 of the worst signs take
# 12 seconds, 18 at most a quarter of one. What follows could only make a password stronger.
ZXCVBN_READS = 18
# What a password must hold besides its owner's own words.
OWN_LEAST = 4

MEMORY_KIB, ROUNDS = 19 * 1024, 2

context = CryptContext(
    schemes=["argon2"],
    argon2__type="ID",
    argon2__memory_cost=MEMORY_KIB,
    argon2__rounds=ROUNDS,
    argon2__parallelism=1,
)
_at_once = BoundedSemaphore(4)
# zxcvbn keeps the person's own words in a global: two at once would read each other's.
_one_estimate = Lock()


def hash_password(password: str) -> str:
    """The hash to store, with its own random salt in it."""
    with _at_once:
        return str(context.hash(password))


def unusable_hash() -> str:
    """A hash that belongs to no password, for accounts that have none yet.

    It is random instead of computed, so it costs nothing to make, and as much to verify as any other: nobody can
    tell by trying that an account waits for its first password.
    """
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={ROUNDS},p=1${salt}${digest}"


def verify(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Whether the password is right, and a new hash where the stored one has old parameters.

    Without a stored hash (nobody has that e-mail address) the same time is spent, so that time tells nothing. A
    password longer than any we take is wrong in the same way, whoever it is for.
    """
    with _at_once:
        if stored is None or len(password) > MAXIMUM_LENGTH:
            context.dummy_verify()
            return False, None
        right, renewed = context.verify_and_update(password, stored)
        return bool(right), renewed


def require_good_password(password: str, *, about: list[str], field: str) -> None:
    """Refuse short and common passwords; `about` are the person's own words, such as name and e-mail address.

    Raises:
        Invalid: with a sentence for `field` that says what to do.
    """
    if len(password) < MINIMUM_LENGTH:
        message = _("Use at least %(count)d characters. Three or four unrelated words are easy to remember.")
        raise Invalid(message % {"count": MINIMUM_LENGTH}, code="password_too_short", field=field)
    if len(password) > MAXIMUM_LENGTH:
        message = _("Use at most %(count)d characters.")
        raise Invalid(message % {"count": MAXIMUM_LENGTH}, code="password_too_long", field=field)
    words = [word for text in about for word in (text, *text.replace("@", " ").split())]
    if _is_merely(password, words) or _score(password, words) < WEAKEST_SCORE:
        message = _("This password is easy to guess. Three or four unrelated words make a better one.")
        raise Invalid(message, code="password_too_common", field=field)


def _score(password: str, words: list[str]) -> int:
    """How hard the beginning of a password is to guess, on zxcvbn's scale.

    Its lists of common passwords take time and memory that only a new password needs.
    """
    from zxcvbn import zxcvbn

    with _one_estimate:
        return int(zxcvbn(password[:ZXCVBN_READS], user_inputs=words)["score"])


def _is_merely(password: str, words: list[str]) -> bool:
    """Whether next to nothing is left of a password without the person's own words."""
    left = _letters(password)
    for word in sorted({_letters(each) for each in words}, key=len, reverse=True):
        if len(word) > 2:
            left = left.replace(word, "")
    return len(left) < OWN_LEAST and left != _letters(password)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.casefold())

"""Passwords: hashing with Argon2id, and which passwords are good enough.

A password is prepared as RFC 8265 says (OpaqueString): any space is a space, and letters are in NFC, since keyboards
send the same letter in different ways. Hashes of passwords that were not prepared still match what was typed then.

The parameters (19 MiB, two passes, one lane) are OWASP's for Argon2id. One verification takes about 25 ms, so only a
few run at once, however many requests there are.
"""

from __future__ import annotations

import base64
import secrets
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from webapp.auth.passwords import password_words
from webapp.exceptions import Invalid, Unavailable
from webapp.i18n import gettext as _

MINIMUM_LENGTH = 12
MAXIMUM_LENGTH = 128
# A keyboard may send one letter as four signs. More than this is not even prepared, because that is slow.
MOST_TYPED = 4 * MAXIMUM_LENGTH
# zxcvbn's scale is 0 to 4; a password below 2 falls to a list of common ones or to a few guesses.
WEAKEST_SCORE = 2
# zxcvbn tries every reading of letters written as signs, and the number of readings explodes: 72 of the worst signs
# take 12 seconds, 18 at most a quarter of a second. The letters after these could only make a password stronger.
ZXCVBN_READS = 18

MEMORY_KIB, ROUNDS = 19 * 1024, 2

hasher = PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=1)
AT_ONCE = 4
# A request that cannot have one of these places within this time is refused with the advice to try again later.
MOST_SECONDS = 1.0
_places = BoundedSemaphore(AT_ONCE)
# zxcvbn keeps the user's own words in a global: two concurrent estimates would read each other's.
_one_estimate = Lock()


class TooManyPasswords(Unavailable):
    """Too many passwords are being checked at this moment."""

    def __init__(self) -> None:
        super().__init__(_("Many people are signing in right now. Try again in a few seconds."))


@contextmanager
def _one_of_few() -> Iterator[None]:
    """Do the slow work in one of a few places.

    Raises:
        TooManyPasswords: no place became free in time.
    """
    if not _places.acquire(timeout=MOST_SECONDS):
        raise TooManyPasswords
    try:
        yield
    finally:
        _places.release()


def prepared(password: str) -> str:
    """The password as it is hashed, whichever keyboard it was typed on."""
    if password.isascii():
        return password
    return unicodedata.normalize(
        "NFC", "".join(" " if unicodedata.category(each) == "Zs" else each for each in password)
    )


def hash_password(password: str) -> str:
    """The hash to store, which includes its own random salt.

    Raises:
        TooManyPasswords.
    """
    with _one_of_few():
        return hasher.hash(prepared(password))


def unusable_hash() -> str:
    """A hash that matches no password, for accounts that have none yet.

    It is random instead of computed, so it costs nothing to make. Verifying it costs as much as any other, so trying
    passwords reveals neither that an account waits for its first one, nor that there is no account.
    """
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p=1${salt}${digest}"


def verify(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Whether the password is right, and a new hash where the stored one has old parameters or was not prepared.

    Without a stored hash (no account has that e-mail address) the call takes as long, so that time reveals nothing.
    A password longer than the maximum is wrong in the same way, for any account.

    Raises:
        TooManyPasswords.
    """
    if len(password) > MOST_TYPED:
        stored, password = None, ""
    wanted = prepared(password)
    if min(len(password), len(wanted)) > MAXIMUM_LENGTH:
        stored = None
        password = wanted = ""
    stored = stored or unusable_hash()
    # Older versions hashed the password as typed, which may be in the other Unicode form, depending on the keyboard.
    for reading in dict.fromkeys((wanted, password, unicodedata.normalize("NFD", wanted))):
        if _matches(reading, stored):
            is_current = reading == wanted and not hasher.check_needs_rehash(stored)
            return True, None if is_current else hash_password(wanted)
    return False, None


def _matches(password: str, stored: str) -> bool:
    with _one_of_few():
        try:
            return hasher.verify(stored, password)
        except VerifyMismatchError:
            return False


def require_length(password: str, *, field: str) -> None:
    """Refuse short and very long passwords. This is quick, so a form can do it before anything is admitted.

    Raises:
        Invalid: with a sentence for `field` that says what to do.
    """
    password = prepared(password[: MOST_TYPED + 1])
    if len(password) < MINIMUM_LENGTH:
        message = _("Use at least %(count)d characters. Three or four unrelated words are easy to remember.")
        raise Invalid(message % {"count": MINIMUM_LENGTH}, code="password_too_short", field=field)
    if len(password) > MAXIMUM_LENGTH:
        message = _("Use no more than %(count)d characters.")
        raise Invalid(message % {"count": MAXIMUM_LENGTH}, code="password_too_long", field=field)


def require_good_password(password: str, *, about: list[str], clinic: Sequence[str] = (), field: str) -> None:
    """Refuse passwords that are short, common, or made of words that a guesser knows.

    `about` are the user's own words, such as name and e-mail address; `clinic` are those of the clinic.

    Raises:
        Invalid: with a sentence for `field` that says why, and what to do.
    """
    require_length(password, field=field)
    password = prepared(password)
    reason = password_words.reason_to_refuse(password, about=about, clinic=clinic)
    words = [word for text in (*about, *clinic) for word in (text, *text.replace("@", " ").split())]
    if reason or _score(password, words) < WEAKEST_SCORE:
        advice = _("Use three or four unrelated words.")
        sentence = reason or _("This password is easy to guess.")
        raise Invalid(f"{sentence} {advice}", code="password_too_common", field=field)


def _score(password: str, words: list[str]) -> int:
    """How hard the beginning of a password is to guess, on zxcvbn's scale.

    zxcvbn is imported here because its lists of common passwords take time and memory that only a new password needs.
    """
    from zxcvbn import zxcvbn

    with _one_estimate:
        return int(zxcvbn(password[:ZXCVBN_READS], user_inputs=words)["score"])

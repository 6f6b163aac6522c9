"""Errors of accounts, named after what is wrong."""

from __future__ import annotations

from typing import Literal

from webapp.core import formats
from webapp.exceptions import Conflict, Forbidden, Invalid, NotFound, NotSignedIn, TooManyAttempts
from webapp.i18n import gettext as _


class WrongCredentials(Invalid):
    """E-mail address and password do not match; the message never says which of the two is wrong."""

    status = 401
    code = "wrong_credentials"

    def __init__(self) -> None:
        super().__init__(_("The email address or password is wrong. Check both and try again."))


class ScopeMissing(Forbidden):
    """The API token was not given the scope that this request needs."""

    code = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__(_("This API token lacks the scope %(scope)s.") % {"scope": scope})
        self.members = {"scope": scope}


class TooManyLogins(TooManyAttempts):
    """Too many wrong passwords from this address or for this account."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("There have been too many wrong passwords. Wait %(time)s, then try again.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)


class AttemptsUnderWay(TooManyAttempts):
    """As many attempts are pending as failures are still allowed; their results will be known in a moment."""

    def __init__(self) -> None:
        message = _("Many people are signing in right now. Try again in a few seconds.")
        super().__init__(message, retry_after=2)


class TooManyRegistrations(TooManyAttempts):
    """Too many registrations, or attempts at one, from this network."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("Too many accounts have been created from your network. Wait %(time)s, then try again.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)


class TooManyResets(TooManyAttempts):
    """Too many password reset links were requested from this network."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("Too many links have been requested from your network. Wait %(time)s, then try again.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)


class TooManyCodes(TooManyAttempts):
    """Too many codes to sign in with were requested from this network."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("Too many codes have been requested from your network. Wait %(time)s, then try again.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)


class TooManyWrongCodes(TooManyAttempts):
    """Too many wrong codes from this network or for this account."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("There have been too many wrong codes. Wait %(time)s, then try again.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)


class WrongCode(Invalid):
    """The code is wrong, too old, or was tried too often; the sentence says what to do."""

    code = "wrong_code"

    def __init__(self, verdict: Literal["wrong", "worn_out", "expired"]) -> None:
        sentences = {
            "wrong": _("This isn’t the code we sent. Check the latest email and enter its six digits."),
            "worn_out": _("That was the wrong code five times, so it no longer works. Send another code."),
            "expired": _("This code has expired or has been used. Send another code."),
        }
        super().__init__(sentences[verdict], field="code")


class AddressNotProved(Invalid):
    """The browser has not entered a code for this address lately."""

    code = "address_not_proved"

    def __init__(self) -> None:
        super().__init__(_("It’s been too long since you entered the code. Send another code."))


class StaleSession(Invalid):
    """An account without a password changes its password or address only shortly after signing in."""

    code = "stale_session"

    def __init__(self) -> None:
        super().__init__(
            _("It’s been a while since you signed in. To make this change, sign in with a new code first.")
        )


class TooManyConfirmations(TooManyAttempts):
    """The confirmation mail was sent too often lately."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("We have sent you that email several times. Check your spam folder, or try again in %(time)s.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)


class EmailTaken(Conflict):
    """An account with this e-mail address exists already."""

    code = "email_taken"

    def __init__(self) -> None:
        super().__init__(_("There is already an account with this email address. Sign in instead."), field="email")


class AddressTaken(Conflict):
    """An account cannot have the e-mail address of another account."""

    code = "email_taken"

    def __init__(self) -> None:
        super().__init__(_("Another account already has this email address."), field="email")


class SameAddress(Invalid):
    """The account has this e-mail address already."""

    code = "same_address"

    def __init__(self) -> None:
        super().__init__(_("This is already your email address."), field="email")


class StaffAddress(Conflict):
    """Admins correct the addresses of patients only: a person who reads the mailbox can set the account's password."""

    code = "staff_address"

    def __init__(self) -> None:
        super().__init__(
            _("This account belongs to a member of staff. They change their email address themselves, in My account."),
            field="email",
        )


class NoAddress(Invalid):
    """An account signs in with its e-mail address, so it must have one."""

    code = "no_address"

    def __init__(self) -> None:
        super().__init__(_("This patient signs in with their email address, so it can’t be empty."), field="email")


class WrongCurrentPassword(Invalid):
    """The current password, which a change of password needs, is wrong."""

    code = "wrong_current_password"

    def __init__(self) -> None:
        super().__init__(_("This is not your current password."), field="current")


class LinkNotValid(NotFound):
    """The password link is unknown, used or expired, or its account is disabled: all get the same answer."""

    code = "link_not_valid"

    def __init__(self) -> None:
        message = _(
            "A link works once, and only for a limited time. This one has been used, has expired or is incomplete."
        )
        super().__init__(message)


class AddressNotConfirmable(NotFound):
    """The confirmation link is incomplete, or its account has another address now, or is disabled."""

    code = "address_not_confirmable"

    def __init__(self) -> None:
        super().__init__(_("This link is incomplete, or your account now has another email address."))


class NoSuchFeed(NotFound):
    """The address of a calendar feed never existed, was replaced, or its account is disabled."""

    code = "no_such_feed"

    def __init__(self) -> None:
        super().__init__(_("There is no calendar at this link. You can find your calendar link in your account."))


class LastAdmin(Conflict):
    """Without this account the clinic would have no active admin."""

    code = "last_admin"

    def __init__(self) -> None:
        super().__init__(_("This is the only admin. Make someone else an admin first."))


class AccountDisabled(Conflict):
    """The request makes sense only for an account that can be signed in to."""

    code = "account_disabled"

    def __init__(self) -> None:
        super().__init__(_("This account is disabled. Enable it first."))


class RefreshTokenNotValid(NotSignedIn):
    """The refresh token is unknown or was used already, or its session has ended."""

    code = "invalid_refresh_token"

    def __init__(self) -> None:
        super().__init__(_("This refresh token is no longer valid. Sign in again with the password."))


class WrongFactor(Invalid):
    """The code is neither the app's present one, nor an unused recovery code; or it was used before."""

    status = 401
    code = "wrong_code"

    def __init__(self) -> None:
        super().__init__(_("This code isn’t right, or it was used before. Wait for the next one."), field="code")


class WrongPasskey(Invalid):
    """The passkey is unknown, of another account, or its answer does not fit what was asked."""

    status = 401
    code = "wrong_passkey"

    def __init__(self) -> None:
        super().__init__(_("That passkey didn’t work here. Try again, or use another way."))


class TooManyProofs(TooManyAttempts):
    """Too many wrong codes, or other wrong proofs, for this account."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("There have been too many wrong attempts. Wait %(time)s, then try again.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)
        self.field = "code"


class FactorNeeded(NotSignedIn):
    """A program must send a code of the account's second factor with the password."""

    code = "second_factor_needed"

    def __init__(self) -> None:
        super().__init__(_("This account needs a code from its authenticator app: send it as mfa_code."))


class FactorMissing(Forbidden):
    """The account must set up a second factor on the web pages before programs can sign in to it."""

    code = "second_factor_missing"

    def __init__(self) -> None:
        super().__init__(_("This account must set up two-step sign-in on the web pages first."))


class FactorRequired(Conflict):
    """The clinic requires a second factor, so the last one cannot be removed."""

    code = "second_factor_required"

    def __init__(self) -> None:
        super().__init__(_("Your clinic requires two-step sign-in. Add another way first, then remove this one."))


class OwnFactor(Conflict):
    """A stolen session of an admin must not remove their own second factor."""

    code = "own_factor"

    def __init__(self) -> None:
        super().__init__(_("Change your own two-step sign-in in My account, or ask another admin to reset it."))


class NoFactor(Conflict):
    """The account has no second factor."""

    code = "no_second_factor"

    def __init__(self) -> None:
        super().__init__(_("This account has no two-step sign-in to reset."))


class TooManyPasskeys(Conflict):
    """An account has as many passkeys as it may have."""

    code = "too_many_passkeys"

    def __init__(self) -> None:
        super().__init__(_("You have as many passkeys as an account can have. Remove one that you don’t use."))

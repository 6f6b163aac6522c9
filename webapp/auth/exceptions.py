"""Errors of accounts, named after what is wrong."""

from __future__ import annotations

from webapp.core import formats
from webapp.exceptions import Conflict, Invalid, NotFound, NotSignedIn, TooManyAttempts
from webapp.i18n import gettext as _


class WrongCredentials(Invalid):
    """E-mail address and password do not match; the message never says which of the two is wrong."""

    status = 401
    code = "wrong_credentials"

    def __init__(self) -> None:
        super().__init__(_("The e-mail address or the password is not right. Check both and try again."))


class TooManyLogins(TooManyAttempts):
    """Too many wrong passwords from this address or for this account."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("There were too many wrong passwords. Wait %(time)s, then try again.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)


class AttemptsUnderWay(TooManyAttempts):
    """As many attempts are pending as failures are still allowed; they will be judged in a moment."""

    def __init__(self) -> None:
        message = _("Many people are signing in at this moment. Try again in a few seconds.")
        super().__init__(message, retry_after=2)


class TooManyRegistrations(TooManyAttempts):
    """Too many registrations, or attempts at one, from this network."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("Too many accounts were made from your network. Wait %(time)s, then try again.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)


class TooManyResets(TooManyAttempts):
    """Too many password reset links were requested from this network."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("Too many links were asked for from your network. Wait %(time)s, then try again.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)


class TooManyConfirmations(TooManyAttempts):
    """The confirmation mail was sent too often lately."""

    def __init__(self, *, retry_after: int) -> None:
        message = _("We have sent you that mail several times. Look into your spam folder, or wait %(time)s.")
        super().__init__(message % {"time": formats.minutes(-(-retry_after // 60))}, retry_after=retry_after)


class EmailTaken(Conflict):
    """An account with this e-mail address exists already."""

    code = "email_taken"

    def __init__(self) -> None:
        super().__init__(_("There is already an account with this e-mail address. Sign in instead."), field="email")


class WrongCurrentPassword(Invalid):
    """The current password, which a change of password needs, is wrong."""

    code = "wrong_current_password"

    def __init__(self) -> None:
        super().__init__(_("This is not your current password."), field="current")


class LinkNotValid(NotFound):
    """The password link is unknown, used or expired, or its account is disabled: all get the same answer."""

    code = "link_not_valid"

    def __init__(self) -> None:
        message = _("A link works once, and for a limited time. This one was used, has expired, or is incomplete.")
        super().__init__(message)


class AddressNotConfirmable(NotFound):
    """The confirmation link is incomplete, or its account has another address now, or is disabled."""

    code = "address_not_confirmable"

    def __init__(self) -> None:
        super().__init__(_("This link is incomplete, or it was sent to an address that the account no longer has."))


class NoSuchFeed(NotFound):
    """The address of a calendar feed never existed, was replaced, or its account is disabled."""

    code = "no_such_feed"

    def __init__(self) -> None:
        super().__init__(_("There is no calendar at this address. Your account shows the address of yours."))


class LastAdmin(Conflict):
    """Without this account the clinic would have no active admin."""

    code = "last_admin"

    def __init__(self) -> None:
        super().__init__(
            _("This is the last admin. Make somebody else an admin first: without one nobody could run the clinic.")
        )


class AccountDisabled(Conflict):
    """The request makes sense only for an account that can be signed in to."""

    code = "account_disabled"

    def __init__(self) -> None:
        super().__init__(_("This account is disabled. Enable it first."))


class RefreshTokenNotValid(NotSignedIn):
    """The refresh token is unknown or was used already, or its session has ended."""

    code = "invalid_refresh_token"

    def __init__(self) -> None:
        super().__init__(_("This refresh token is not valid any more. Sign in with the password again."))

"""Errors of signing in with an identity provider, in words for the person who tried."""

from __future__ import annotations

from typing import Literal

from webapp.exceptions import Forbidden, Unavailable
from webapp.i18n import gettext as _

RefusalReason = Literal[
    "stale",
    "denied",
    "untrusted",
    "unverified",
    "unconfirmed",
    "stranger",
    "asks_more",
    "other",
    "taken",
    "disabled",
    "role",
    "no_role",
    "no_doctor",
]


class SignOnRefused(Forbidden):
    """A provider's answer opens no account here; `why` says it for the log, the message for the person."""

    code = "sign_on_refused"

    def __init__(self, why: RefusalReason, provider: str) -> None:
        self.why = why
        super().__init__(_sentence(why) % {"provider": provider})


class ProviderUnavailable(Unavailable):
    """The provider does not answer, or too many people wait for it."""

    code = "provider_away"

    def __init__(self, provider: str) -> None:
        message = _("%(provider)s doesn’t answer right now. Try again in a minute, or sign in another way.")
        super().__init__(message % {"provider": provider})


def _sentence(why: RefusalReason) -> str:
    sentences: dict[RefusalReason, str] = {
        "stale": _("That sign-in took too long, or was used already. Please start again."),
        "denied": _("%(provider)s didn’t sign you in. Try again, or sign in another way."),
        "untrusted": _(
            "We couldn’t check the answer from %(provider)s. Try again, and tell the clinic if that doesn’t help."
        ),
        "unverified": _(
            "%(provider)s hasn’t verified your email address, so we can’t tell which account is yours. Sign in another "
            "way, then link %(provider)s under My account."
        ),
        "unconfirmed": _(
            "Your account’s email address isn’t confirmed yet. Sign in another way and confirm it, then try again."
        ),
        "stranger": _("There’s no account here for your %(provider)s account. Please ask the clinic for one."),
        "asks_more": _(
            "The clinic needs more details about new patients. Create an account first, then link %(provider)s under "
            "My account."
        ),
        "other": _(
            "Your account here is linked to another %(provider)s account. Sign in with that one, or sign in another "
            "way and unlink it under My account."
        ),
        "taken": _("This %(provider)s account is linked to another account here. Unlink it there first."),
        "disabled": _("Your account is disabled. Please contact the clinic."),
        "role": _("Your account can’t be used with %(provider)s. Sign in another way."),
        "no_role": _(
            "Your %(provider)s account isn’t allowed to use this system. Please ask the people who manage it."
        ),
        "no_doctor": _(
            "%(provider)s says that you’re a doctor, but no doctor here has your account. Please ask the clinic to "
            "link them."
        ),
    }
    return sentences[why]

"""The forms of accounts; they check the shape only."""

from __future__ import annotations

import unicodedata
from typing import Any

from wtforms import EmailField, HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired

from webapp.auth.schemas import AskForCode, ChangeEmail, ChangePassword, LogIn, PasswordResetRequest
from webapp.core.forms import DocketForm
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l


class LoginForm(DocketForm):
    """E-mail address, and the password unless a code is wanted; `next` is the page that the user wanted."""

    sentences = {"email": _l("Enter an email address like name@example.org.")}  # noqa: RUF012 - it is never changed.
    email = StringField(_l("Email address"), [InputRequired(_l("Enter your email address."))])
    password = PasswordField(_l("Password"))
    next = HiddenField()
    # The button that was pressed: 'code', or 'enter' for the key, which means the password where one was typed.
    by = ""

    @property
    def wants_code(self) -> bool:
        """Whether the user wants a code instead of typing the password."""
        return self.by == "code" or (self.by == "enter" and not self.password.data)

    def validate(self, extra_validators: Any = None) -> bool:
        """Check everything that this form knows."""
        is_valid = super().validate(extra_validators)
        if not self.password.data and not self.wants_code:
            self.password.errors = [*self.password.errors, _("Enter your password.")]
            return False
        return is_valid

    def code_command(self) -> AskForCode | None:
        """The command for the service that sends a code."""
        return self.parse(AskForCode, email=self.email.data or "")

    def command(self, *, address: str, user_agent: str, known_device: str) -> LogIn | None:
        """The command for the service."""
        return self.parse(
            LogIn,
            email=self.email.data or "",
            password=self.password.data or "",
            address=address,
            user_agent=user_agent,
            known_device=known_device,
        )


class CodeForm(DocketForm):
    """The six digits of a code."""

    code = StringField(_l("Code"), [InputRequired(_l("Enter the six digits from the email."))])

    @property
    def digits(self) -> str:
        """The digits that were typed or pasted, in any script, without spaces and the like."""
        typed = (self.code.data or "")[:100]
        return "".join(str(unicodedata.decimal(sign)) for sign in typed if sign.isdecimal())


class PasswordResetForm(DocketForm):
    """The e-mail address of an account whose password was forgotten."""

    sentences = {"email": _l("Enter an email address like name@example.org.")}  # noqa: RUF012 - it is never changed.
    email = EmailField(_l("Email address"), [InputRequired(_l("Enter your email address."))])

    next = HiddenField()

    def command(self) -> PasswordResetRequest | None:
        """The command for the service."""
        return self.parse(PasswordResetRequest, email=self.email.data or "")


class PasswordForm(DocketForm):
    """Change the password; this needs the current one."""

    current = PasswordField(_l("Current password"), [InputRequired(_l("Enter your current password."))])
    new = PasswordField(_l("New password"), [InputRequired(_l("Enter a new password."))])

    def command(self) -> ChangePassword | None:
        """The command for the service."""
        return self.parse(ChangePassword, current=self.current.data or "", new=self.new.data or "")


class EmailForm(DocketForm):
    """Another email address for the account; this needs the current password, or a fresh session without one.

    The ids of its fields differ from those of the other forms on the page.
    """

    sentences = {"email": _l("Enter an email address like name@example.org.")}  # noqa: RUF012 - it is never changed.
    email = EmailField(_l("New email address"), [InputRequired(_l("Enter your new email address."))], id="new-email")
    current = PasswordField(
        _l("Current password"), [InputRequired(_l("Enter your current password."))], id="email-password"
    )

    def command(self) -> ChangeEmail | None:
        """The command for the service."""
        current = self.current.data or "" if "current" in self else ""
        return self.parse(ChangeEmail, email=self.email.data or "", current=current)


class NewPasswordForm(DocketForm):
    """A new password, from a client with a password link."""

    new = PasswordField(_l("New password"), [InputRequired(_l("Choose a password."))])


class FactorForm(DocketForm):
    """A code of the second factor, a recovery code, or a browser's answer; `next` is the page that was wanted."""

    code = StringField(_l("Code"), [InputRequired(_l("Enter the code."))])
    passkey = HiddenField()
    next = HiddenField()


class SetupForm(DocketForm):
    """The first code of an app that is being set up; `setup` is its sealed secret."""

    code = StringField(_l("Code from the app"), [InputRequired(_l("Enter the code that the app shows."))])
    setup = HiddenField()
    next = HiddenField()


class ConfirmForm(DocketForm):
    """The password of a user who is signed in, or a browser's answer; `next` is the page that was wanted."""

    current = PasswordField(_l("Password"), [InputRequired(_l("Enter your password."))])
    passkey = HiddenField()
    next = HiddenField()


class PasskeyForm(DocketForm):
    """A browser's answer with a passkey, and a name for a new one; `next` is the page that the user wanted."""

    name = StringField(_l("Name for this passkey"))
    passkey = HiddenField()
    next = HiddenField()

    def name_in_one_line(self) -> str:
        """The typed name; pages and mails have a usual one in the reader's language for ''."""
        return " ".join((self.name.data or "").split())[:60]

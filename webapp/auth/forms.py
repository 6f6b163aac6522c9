"""The forms of accounts; they check the shape only."""

from __future__ import annotations

from wtforms import EmailField, HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired

from webapp.auth.schemas import ChangeEmail, ChangePassword, ForgottenPassword, LogIn
from webapp.core.forms import DocketForm
from webapp.i18n import lazy_form_text as _l


class LoginForm(DocketForm):
    """E-mail address and password; `next` is the page that the user wanted."""

    email = StringField(_l("Email address"), [InputRequired(_l("Enter your email address."))])
    password = PasswordField(_l("Password"), [InputRequired(_l("Enter your password."))])
    next = HiddenField()

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


class ForgottenForm(DocketForm):
    """The e-mail address of an account whose password was forgotten."""

    sentences = {"email": _l("Enter an email address like name@example.org.")}  # noqa: RUF012 - it is never changed.
    email = EmailField(_l("Email address"), [InputRequired(_l("Enter your email address."))])

    next = HiddenField()

    def command(self) -> ForgottenPassword | None:
        """The command for the service."""
        return self.parse(ForgottenPassword, email=self.email.data or "")


class PasswordForm(DocketForm):
    """Change the password; this needs the current one."""

    current = PasswordField(_l("Current password"), [InputRequired(_l("Enter your current password."))])
    new = PasswordField(_l("New password"), [InputRequired(_l("Enter a new password."))])

    def command(self) -> ChangePassword | None:
        """The command for the service."""
        return self.parse(ChangePassword, current=self.current.data or "", new=self.new.data or "")


class EmailForm(DocketForm):
    """Another email address for the account; this needs the current password.

    The ids of its fields differ from those of the other forms on the page.
    """

    sentences = {"email": _l("Enter an email address like name@example.org.")}  # noqa: RUF012 - it is never changed.
    email = EmailField(_l("New email address"), [InputRequired(_l("Enter your new email address."))], id="new-email")
    current = PasswordField(
        _l("Current password"), [InputRequired(_l("Enter your current password."))], id="email-password"
    )

    def command(self) -> ChangeEmail | None:
        """The command for the service."""
        return self.parse(ChangeEmail, email=self.email.data or "", current=self.current.data or "")


class NewPasswordForm(DocketForm):
    """A new password, from the holder of a password link."""

    new = PasswordField(_l("New password"), [InputRequired(_l("Choose a password."))])

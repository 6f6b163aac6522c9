"""The forms of patients; they check the shape only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wtforms import BooleanField, EmailField, Field, HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Optional, ValidationError

from webapp.auth.passwords import service as passwords
from webapp.clinic.service import Clinic
from webapp.core import phones
from webapp.core.fields import DayField, PhoneField, SeenField
from webapp.core.forms import DocketForm
from webapp.exceptions import Invalid
from webapp.i18n import lazy_form_text as _l
from webapp.patients.schemas import MessagePreferences, NewPatient, Register, UpdateProfile

SENTENCES = {
    "name": _l("Enter a name of 2 to 120 characters."),
    "email": _l("Enter an email address like name@example.org."),
    "phone": _l("Enter a phone number, such as +31 20 123 4567, or leave this empty."),
    "birth_date": _l("Enter a date of birth that is not in the future, or leave this empty."),
}
NOT_A_DATE = _l("Enter a real date, such as 1984-03-27, or leave this empty.")


@contextmanager
def _as_field_error() -> Iterator[None]:
    """Turn a refusal into an error of the field that WTForms is checking."""
    try:
        yield
    except Invalid as refusal:
        raise ValidationError(refusal.message) from refusal


class RegisterForm(DocketForm):
    """A new account; `next` is the page that the user wanted."""

    sentences = SENTENCES
    name = StringField(_l("Your name"), [InputRequired(_l("Enter your name."))])
    email = EmailField(_l("Email address"), [InputRequired(_l("Enter your email address."))])
    phone = PhoneField(_l("Phone number"))
    birth_date = DayField(_l("Date of birth"), [Optional()], unreadable=NOT_A_DATE)
    password = PasswordField(_l("Password"), [InputRequired(_l("Choose a password."))])
    next = HiddenField()
    # The clinic's country, in which a telephone number without a country code is read.
    country = ""

    def validate(self, extra_validators: Any = None) -> bool:
        """Check everything that this form knows, so that a patient can correct all fields together."""
        is_valid = super().validate(extra_validators)
        return self.command() is not None and is_valid

    def validate_phone(self, field: Field) -> None:
        """Whether this number can be called; WTForms finds this by its name."""
        with _as_field_error():
            phones.read_phone(field.data or "", self.country)

    def validate_password(self, field: Field) -> None:
        """Whether this password is long enough; WTForms finds this by its name. The service checks the rest."""
        with _as_field_error():
            passwords.require_length(field.data or "", field="password")

    def command(self) -> Register | None:
        """The command for the service."""
        return self.parse(
            Register,
            name=self.name.data or "",
            email=self.email.data or "",
            phone=self.phone.data or "" if "phone" in self else "",
            birth_date=self.birth_date.data if "birth_date" in self else None,
            password=self.password.data or "",
        )


class NewPatientForm(DocketForm):
    """A new patient who has proved that the e-mail address is theirs. `keep_asked_fields` removes the fields that the
    clinic does not ask for.
    """

    sentences = SENTENCES
    name = StringField(_l("Your name"), [InputRequired(_l("Enter your name."))])
    phone = PhoneField(_l("Phone number"))
    birth_date = DayField(_l("Date of birth"), [Optional()], unreadable=NOT_A_DATE)
    country = ""

    def validate_phone(self, field: Field) -> None:
        """Whether this number can be called; WTForms finds this by its name."""
        with _as_field_error():
            phones.read_phone(field.data or "", self.country)

    def command_for(self, email: str) -> NewPatient | None:
        """The command for the service, with the address that was proved."""
        return self.parse(
            NewPatient,
            name=self.name.data or "",
            email=email,
            phone=self.phone.data or "" if "phone" in self else "",
            birth_date=self.birth_date.data if "birth_date" in self else None,
        )


def keep_asked_fields(form: NewPatientForm | RegisterForm, clinic: Clinic) -> None:
    """Remove the fields that the clinic does not ask for, and read telephone numbers for the clinic's country."""
    form.country = clinic.home_country
    for name, asked in (("phone", clinic.asks_phone), ("birth_date", clinic.asks_birth_date)):
        if asked == "no" and name in form:
            del form[name]


class ProfileForm(DocketForm):
    """A patient's own data, as the clinic keeps it."""

    sentences = SENTENCES
    name = StringField(_l("Your name"), [InputRequired(_l("Enter your name."))])
    phone = PhoneField(_l("Phone number"))
    birth_date = DayField(_l("Date of birth"), [Optional()], unreadable=NOT_A_DATE)

    def command(self) -> UpdateProfile | None:
        """The command for the service."""
        return self.parse(
            UpdateProfile,
            name=self.name.data or "",
            phone=self.phone.data or "",
            birth_date=self.birth_date.data,
        )


class StaffProfileForm(DocketForm):
    """A staff member's own data: a name only."""

    sentences = SENTENCES
    name = StringField(_l("Your name"), [InputRequired(_l("Enter your name."))])

    def command(self) -> UpdateProfile | None:
        """The command for the service."""
        return self.parse(UpdateProfile, name=self.name.data or "")


class MessagesForm(DocketForm):
    """Which messages about appointments a patient wants."""

    wants_email = BooleanField(_l("Emails"))
    wants_sms = BooleanField(_l("Text messages"))

    def command(self) -> MessagePreferences | None:
        """The command for the service."""
        return self.parse(
            MessagePreferences, wants_email=bool(self.wants_email.data), wants_sms=bool(self.wants_sms.data)
        )


class PersonForm(DocketForm):
    """A person whom a patient books for. `seen` is the fingerprint of the state that the form showed."""

    sentences = SENTENCES
    name = StringField(_l("Name"), [InputRequired(_l("Enter a name."))])
    birth_date = DayField(_l("Date of birth"), [Optional()], unreadable=NOT_A_DATE)
    phone = PhoneField(_l("Phone number"))
    seen = SeenField()

    def command(self) -> UpdateProfile | None:
        """The command for the service."""
        return self.parse(
            UpdateProfile,
            name=self.name.data or "",
            phone=self.phone.data or "",
            birth_date=self.birth_date.data,
        )

"""The forms of the pages about a patient's data."""

from __future__ import annotations

from typing import Literal

from wtforms import PasswordField

from webapp.core.forms import CheckboxesField, DocketForm
from webapp.i18n import lazy_form_text as _l

CopyFormat = Literal["page", "json"]


class ProvenForm(DocketForm):
    """A form that only the owner of the account may send: it asks for the password again, if the account has one."""

    current = PasswordField(_l("Your password"))

    def command(self) -> str:
        """The password that was typed."""
        return self.current.data or ""


class DeletionForm(ProvenForm):
    """Deleting a patient, and the people they book for who are ticked."""

    people = CheckboxesField(_l("Also delete"), coerce=int, validate_choice=False)

    def offer(self, people: list[tuple[int, str]]) -> None:
        """Let the reader tick these people, by id and name."""
        self.people.choices = people

"""The form of the audit log's filters: shape only."""

from __future__ import annotations

from wtforms import (  # type: ignore[attr-defined]
    DateField,
    SearchField,
    SelectChoice,
    SelectField,
    StringField,
)
from wtforms.validators import Optional

from webapp.core.forms import DocketForm
from webapp.core.i18n import gettext as _
from webapp.core.parsing import YEARS
from webapp.staff.audit.log import Question
from webapp.staff.audit.words import ACTIONS

MAX_SEARCH = 120
# By their words, as people look for them.
CHOICES = sorted(((words, action) for action, words in ACTIONS.items()), key=lambda choice: choice[0])


def searched(value: str | None) -> str:
    """No name is longer than this, and spaces around it mean nothing."""
    return (value or "").strip()[:MAX_SEARCH]


class DayField(DateField):
    """A date, or empty; its error is a sentence of ours."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the typed date, which stays in the field when it is none."""
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(_("Enter a real date, such as 2026-03-27, or leave this empty.")) from None
        if self.data is not None and self.data.year not in YEARS:
            self.data = None
            raise ValueError(_("Enter a date between the years 2000 and 2100."))


class AuditFilterForm(DocketForm):
    """Who did what to which patient, when and from where; each may be left open."""

    who = SearchField(_("Who did it"), filters=[searched])
    patient = SearchField(_("About which patient"), filters=[searched])
    action = SelectField(
        _("What"),
        choices=[SelectChoice("", _("Everything")), *(SelectChoice(action, words) for words, action in CHOICES)],
        validate_choice=False,
    )
    first = DayField(_("From"), [Optional()])
    last = DayField(_("Until"), [Optional()])
    address = StringField(_("Network address"), filters=[searched])

    def question(self) -> Question | None:
        """What is asked, or None after every error was put next to its field."""
        if not self.validate():
            return None
        return Question(
            who=self.who.data or "",
            patient=self.patient.data or "",
            action=(self.action.data or "")[:40],
            address=self.address.data or "",
            first=self.first.data,
            last=self.last.data,
        )

"""The form of the audit log's filters; it checks the shape only."""

from __future__ import annotations

from wtforms import (  # type: ignore[attr-defined]
    SearchField,
    SelectChoice,
    StringField,
)
from wtforms.validators import Optional

from webapp.core.fields import DayField, SelectField, searched_name
from webapp.core.forms import DocketForm
from webapp.core.parsing import YEARS
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l
from webapp.staff.audit.log import AuditSearch
from webapp.staff.audit.words import ACTIONS, SECURITY

NO_DATE_OR_EMPTY = _l("Enter a real date, such as 2026-03-27, or leave this empty.")


def _action_choices() -> list[SelectChoice]:
    """The actions to choose from, sorted by the words that people look for."""
    found = sorted((str(words), action) for action, words in ACTIONS.items())
    return [SelectChoice("", _("Any")), *(SelectChoice(action, words) for words, action in found)]


def _security_choices() -> list[SelectChoice]:
    """The security events to choose from, sorted likewise."""
    found = sorted((str(words), action) for action, words in SECURITY.items())
    return [SelectChoice("", _("Any")), *(SelectChoice(action, words) for words, action in found)]


class LogFilterForm(DocketForm):
    """The filters of both logs: who did what, when and from where; each may be left empty."""

    who = SearchField(_l("User"), filters=[searched_name])
    first = DayField(_l("From"), [Optional()], unreadable=NO_DATE_OR_EMPTY, within=YEARS)
    last = DayField(_l("To"), [Optional()], unreadable=NO_DATE_OR_EMPTY, within=YEARS)
    address = StringField(_l("IP address"), filters=[searched_name])
    action: SelectField

    def search(self) -> AuditSearch | None:
        """The search, or None after every error was put next to its field."""
        if not self.validate():
            return None
        patient = self["patient"].data if "patient" in self else ""
        return AuditSearch(
            who=self.who.data or "",
            patient=patient or "",
            action=(self.action.data or "")[:40],
            address=self.address.data or "",
            first=self.first.data,
            last=self.last.data,
        )


class AuditFilterForm(LogFilterForm):
    """The filters of the audit log: also to which patient something was done."""

    patient = SearchField(_l("Patient"), filters=[searched_name])
    action = SelectField(_l("Action"), choices=_action_choices, validate_choice=False)


class SecurityFilterForm(LogFilterForm):
    """The filters of sign-ins and refusals."""

    action = SelectField(_l("Event"), choices=_security_choices, validate_choice=False)

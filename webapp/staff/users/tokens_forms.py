"""The form for an API token; it checks the shape only."""

from __future__ import annotations

from wtforms import SelectChoice, StringField  # type: ignore[attr-defined]
from wtforms.validators import InputRequired

from webapp.auth.programs.api_tokens import USUAL_DAYS, MakeToken
from webapp.core.fields import SelectField
from webapp.core.forms import CheckboxesField, DocketForm
from webapp.i18n import Sentence
from webapp.i18n import lazy_form_text as _l

SCOPE_WORDS: dict[str, Sentence | str] = {
    "appointments:read": _l("Read appointments, with patients’ names and reasons"),
    "appointments:write": _l("Book, move and cancel appointments, and change their status"),
    "patients:read": _l("Read patients’ records"),
    "patients:write": _l("Add and change patients’ records"),
    "schedule:read": _l("Read doctors, hours, time off, visit types, free times and the clinic"),
    "schedule:write": _l(
        "Change doctors, hours, time off, visit types and the clinic, and decide on the appointments affected"
    ),
}
PERIODS = (("30", _l("30 days")), (str(USUAL_DAYS), _l("90 days")), ("180", _l("180 days")), ("365", _l("1 year")))


class TokenForm(DocketForm):
    """A new API token."""

    sentences = {"name": _l("Enter a name of 2 to 120 characters.")}  # noqa: RUF012 - never changed.
    name = StringField(_l("Name of the program"), [InputRequired(_l("Enter a name."))])
    scopes = CheckboxesField(
        _l("Permissions"),
        [InputRequired(_l("Choose at least one."))],
        choices=[SelectChoice(code, words) for code, words in SCOPE_WORDS.items()],
    )
    days = SelectField(_l("Valid for"), choices=[SelectChoice(*each) for each in PERIODS], default=str(USUAL_DAYS))

    def command(self) -> MakeToken | None:
        """The command for the service."""
        return self.parse(MakeToken, name=self.name.data or "", scopes=self.scopes.data, days=self.days.data)

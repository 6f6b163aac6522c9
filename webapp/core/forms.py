"""What every HTML form shares: shape is checked here, rules are the service's, and both speak next to the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from wtforms import BooleanField, Field, Form, SelectFieldBase, SelectMultipleField
from wtforms.widgets import CheckboxInput, ListWidget

from webapp.core.i18n import gettext as _
from webapp.exceptions import AppError

Command = TypeVar("Command", bound=BaseModel)

# The attribute under which templates find what somebody else saved in a field meanwhile.
THEIRS = "theirs"
# Pydantic's own sentences speak to programmers.
SENTENCES = {
    "string_too_long": _("This is too long: at most %(max_length)d characters."),
    "string_too_short": _("Write at least %(min_length)d characters."),
    "missing": _("Fill this in."),
}


class DocketForm(Form):
    """A WTForms form that takes errors from schemas and services. `sentences` are this form's own words by field."""

    sentences: dict[str, str] = {}  # noqa: RUF012 - subclasses replace it, nobody changes it.

    def add_error(self, error: AppError) -> None:
        """Put an error next to its field, or at the top of the form where it has none that can be seen."""
        field = self._fields.get(error.field or "")
        if field is None or getattr(field.widget, "input_type", "") == "hidden":
            self.form_errors.append(error.message)
        else:
            field.errors = [*field.errors, error.message]

    def compare_with(self, saved: DocketForm) -> None:
        """Show next to each field what somebody else saved in it meanwhile, and take their `seen` as ours.

        `saved` is the same form, filled with what is saved now.
        """
        for name, field in self._fields.items():
            theirs = saved[name]
            if name == "seen":
                field.data = theirs.data
            elif field.data != theirs.data and getattr(field.widget, "input_type", "") != "hidden":
                setattr(field, THEIRS, shown_value(theirs))

    def parse(self, schema: type[Command], **values: Any) -> Command | None:
        """The command that the form means, or None after every error was put next to its field."""
        try:
            command = schema(**values)
        except ValidationError as failure:
            for problem in failure.errors():
                name = str(problem["loc"][0]) if problem["loc"] else ""
                sentence = self.sentences.get(name) or SENTENCES.get(problem["type"])
                message = sentence % problem.get("ctx", {}) if sentence else _("Check what you wrote here.")
                self.add_error(AppError(message, field=name))
            return None
        return None if self.errors or self.form_errors else command


class CheckboxesField(SelectMultipleField):
    """Several of some choices, each with a check box of its own."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


def shown_value(field: Field) -> str:
    """What a field holds, in words."""
    if isinstance(field, SelectFieldBase):
        chosen = [str(choice.label.text) for choice in field if choice.checked]
        return ", ".join(chosen) or _("nothing")
    if isinstance(field, BooleanField):
        return _("yes") if field.data else _("no")
    read: Callable[[], str] = getattr(field, "_value")  # noqa: B009 - the types of WTForms leave it out.
    return read() or _("nothing")

"""Form fields that several rooms share, with our own error sentences."""

from __future__ import annotations

from typing import Any

import wtforms
from markupsafe import Markup, escape
from wtforms import DateField, Field, HiddenField, IntegerField, TelField, TimeField
from wtforms.widgets import Select

from webapp.core import phones
from webapp.core.optimistic_lock import NO_VERSION, UNSEEN
from webapp.core.parsing import whole_number
from webapp.core.text import bare
from webapp.exceptions import Invalid
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l

NO_DATE = _l("Enter a real date, such as 2026-12-25.")
NO_CLOCK = _l("Enter a time, such as 09:30.")
FAR_DATE = _l("Enter a date between 2000 and 2100.")

# The first is how a saved time is shown. Browsers may add seconds, and many people write a full stop.
CLOCK_FORMATS = ["%H:%M", "%H:%M:%S", "%H.%M"]
MAX_SEARCH = 100
MAX_NAME_SEARCH = 120


def unix_lines(value: str | None) -> str:
    """Count a line break as one character, as browsers do, although they send two."""
    return (value or "").replace("\r\n", "\n")


def searched(value: str | None) -> str:
    """Cut a search text to the longest name, so that very long texts cost no time."""
    return (value or "")[:MAX_SEARCH]


def searched_name(value: str | None) -> str:
    """Cut a search by name or address like `searched`, and the spaces around it, which mean nothing."""
    return (value or "").strip()[:MAX_NAME_SEARCH]


class _PlainSelect(Select):
    """A select whose options have no attributes except for their value.

    WTForms' select sorts and formats the attributes of each option: a list with 200 doctors took a third longer.
    """

    @classmethod
    def render_option(cls, choice: Any, **_attributes: Any) -> Markup:  # type: ignore[override]
        """One option."""
        selected = "selected " if choice.selected else ""
        value, label = escape(choice.value), escape(choice.label or choice.value)
        return Markup(f'<option {selected}value="{value}">{label}</option>')  # noqa: S704 - both are escaped.


class SelectField(wtforms.SelectField):
    """A choice of one of several."""

    widget = _PlainSelect()


class DayField(DateField):
    """A date. Text that cannot be read stays in the field as it was typed.

    `unreadable` is the error sentence; `within` are the allowed years, None for all.
    """

    def __init__(self, *about: Any, unreadable: str = NO_DATE, within: range | None = None, **options: Any) -> None:
        super().__init__(*about, **options)
        self.unreadable = unreadable
        self.within = within

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the typed date."""
        try:
            super().process_formdata([bare(text) for text in valuelist])
        except ValueError:
            raise ValueError(self.unreadable) from None
        if self.data is not None and self.within is not None and self.data.year not in self.within:
            self.data = None
            raise ValueError(FAR_DATE)


class ClockField(TimeField):
    """A time of the day on the clinic's wall clock. Text that cannot be read stays in the field as it was typed.

    `unreadable` is the error sentence.
    """

    def __init__(self, *about: Any, unreadable: str = NO_CLOCK, **options: Any) -> None:
        super().__init__(*about, **{"format": CLOCK_FORMATS} | options)
        self.unreadable = unreadable

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the typed time."""
        try:
            super().process_formdata([bare(text) for text in valuelist])
        except ValueError:
            raise ValueError(self.unreadable) from None


class PhoneField(TelField):
    """A telephone number: the saved one as people read it, a typed one as it was typed."""

    def _value(self) -> str:
        return str(self.data or "") if self.raw_data else phones.shown(self.data or "")

    @property
    def doubt(self) -> str:
        """A doubt about the saved number; '' if there is no doubt, and for a typed one."""
        return "" if self.raw_data else phones.doubt_about(self.data or "")


class WholeNumberField(IntegerField):
    """A whole number. Text that cannot be read stays in the field as it was typed."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the typed number."""
        try:
            super().process_formdata([bare(text) for text in valuelist])
        except ValueError:
            raise ValueError(_("Enter a whole number, such as 30.")) from None


class ButtonField(Field):
    """The value of the button that was pressed."""


class YesNoField(HiddenField):
    """'yes' or 'no': a page that asks a question first carries the answer along."""

    @property
    def is_yes(self) -> bool:
        """Whether the answer is yes.

        Raises:
            Invalid: the answer is missing or neither of the two. A missing answer must not count as no.
        """
        if self.data not in {"yes", "no"}:
            raise Invalid(_("Something is missing from this form. Open the page again."))
        return self.data == "yes"


class SeenField(HiddenField):
    """The fingerprint of the state that a form showed when it was opened. A form without it counts as one that has seen
    nothing, so it never overwrites changes of others unseen.
    """

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the fingerprint."""
        super().process_formdata(valuelist)
        self.data = self.data or UNSEEN


class VersionField(HiddenField):
    """The version of an appointment that a form showed. A missing or unreadable one never equals the present
    version.
    """

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the number."""
        super().process_formdata(valuelist)
        if whole_number(self.data) is None:
            self.data = str(NO_VERSION)

"""Form fields that several rooms share, with our own sentences where something cannot be read."""

from __future__ import annotations

from wtforms import (
    DateField,
    TimeField,
)

from webapp.core.i18n import gettext as _

NO_DATE = _("Enter a real date, such as 2026-03-27.")
NO_CLOCK = _("Enter a time of day, such as 09:30.")

MAX_SEARCH = 100


def unix_lines(value: str | None) -> str:
    """Browsers send line breaks as two characters and count them as one; so do we."""
    return (value or "").replace("\r\n", "\n")


def searched(value: str | None) -> str:
    """No name is longer than this, and what is not read needs no time."""
    return (value or "")[:MAX_SEARCH]


class DayField(DateField):
    """A date; its error is a sentence of ours, and what was typed stays in the field."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the typed date."""
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(NO_DATE) from None


class ClockField(TimeField):
    """A time of the day on the clinic's wall clock."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the typed time."""
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(NO_CLOCK) from None

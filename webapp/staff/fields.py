"""Fields that several forms of staff share, with sentences of our own where something cannot be read."""

from __future__ import annotations

from wtforms import DateField, HiddenField, IntegerField

from webapp.core.i18n import gettext as _
from webapp.exceptions import Invalid


class WholeNumberField(IntegerField):
    """A whole number, which stays as it was typed when it is none."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the typed number."""
        try:
            super().process_formdata([text.strip() for text in valuelist])
        except ValueError:
            raise ValueError(_("Enter a whole number, such as 30.")) from None


class DayField(DateField):
    """A day, which stays as it was typed when it is none."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the typed day."""
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(_("Enter a real date, such as 2026-12-25.")) from None


class WishField(HiddenField):
    """'yes' or 'no', as a page that asks before it does something carries the wish along."""

    @property
    def wished(self) -> bool:
        """Whether the answer is yes.

        Raises:
            Invalid: it is neither, and a form without an answer must not mean no.
        """
        if self.data not in {"yes", "no"}:
            raise Invalid(_("This form does not say what should be done. Open its page again."))
        return self.data == "yes"

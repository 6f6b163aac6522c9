"""The form for how late a doctor is; it checks the shape only."""

from __future__ import annotations

from wtforms import StringField

from webapp.core.forms import DocketForm
from webapp.core.parsing import whole_number
from webapp.doctors.lateness import RunLate
from webapp.i18n import lazy_form_text as _l


class LateForm(DocketForm):
    """By how many minutes, as a button or typed."""

    sentences = {"minutes": _l("Enter a number of minutes from 0 to 480.")}  # noqa: RUF012 - never changed.
    minutes = StringField(_l("Another number of minutes"))

    def command(self) -> RunLate | None:
        """The command for the service; None for anything but such a number."""
        return self.parse(RunLate, minutes=whole_number(self.minutes.data))

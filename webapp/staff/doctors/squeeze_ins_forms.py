"""The form in which doctors say how many squeeze-ins they allow; it checks the shape only."""

from __future__ import annotations

from wtforms import SelectChoice  # type: ignore[attr-defined]

from webapp.core.fields import SelectField
from webapp.core.forms import DocketForm
from webapp.doctors.profiles import SqueezeIns
from webapp.i18n import lazy_form_text as _l

CHOOSE = _l("Choose one of these.")
# As many as `MOST_SQUEEZE_INS`.
NUMBERS = (_l("Not allowed"), _l("One at a time"), _l("Two at a time"), _l("Three at a time"))


def squeeze_ins_field(label: str) -> SelectField:
    """The choice of how many."""
    choices = [SelectChoice(str(number), words) for number, words in enumerate(NUMBERS)]
    return SelectField(label, choices=choices, default="0", validate_choice=False)


class SqueezeInsForm(DocketForm):
    """How many a doctor allows."""

    sentences = {"squeeze_ins": CHOOSE}  # noqa: RUF012 - never changed.
    squeeze_ins = squeeze_ins_field(_l("How many you allow"))

    def command(self) -> SqueezeIns | None:
        """The command for the service."""
        return self.parse(SqueezeIns, squeeze_ins=self.squeeze_ins.data or "")

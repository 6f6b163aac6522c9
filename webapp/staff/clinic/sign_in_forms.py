"""The form of the rules about how staff sign in; it checks the shape only."""

from __future__ import annotations

from wtforms import BooleanField
from wtforms.validators import InputRequired

from webapp.auth.sign_in_rules import StaffRules
from webapp.core.fields import SeenField, WholeNumberField
from webapp.core.forms import DocketForm
from webapp.core.optimistic_lock import fingerprint
from webapp.i18n import lazy_form_text as _l

IDLE_NEEDED = _l("Enter a whole number of minutes, from 5 to 240.")
HOURS_NEEDED = _l("Enter a whole number of hours, from 1 to 24.")


class SignInRulesForm(DocketForm):
    """How long staff stay signed in, and who needs a second factor."""

    sentences = {"idle_minutes": IDLE_NEEDED, "staff_hours": HOURS_NEEDED}  # noqa: RUF012 - it is never changed.
    idle_minutes = WholeNumberField(_l("Minutes without activity"), [InputRequired(IDLE_NEEDED)])
    staff_hours = WholeNumberField(_l("Hours after signing in"), [InputRequired(HOURS_NEEDED)])
    factor_doctors = BooleanField(_l("Doctors need two-step sign-in"))
    factor_desk = BooleanField(_l("Front desk needs two-step sign-in"))
    factor_admins = BooleanField(_l("Admins need two-step sign-in"))
    seen = SeenField()

    def command(self) -> StaffRules | None:
        """The command for the service."""
        return self.parse(StaffRules, **{name: self[name].data for name in StaffRules.model_fields})


def sign_in_rules_form(saved: StaffRules) -> SignInRulesForm:
    """The form, filled with what is saved."""
    return SignInRulesForm(data={**saved.model_dump(), "seen": fingerprint(saved)})

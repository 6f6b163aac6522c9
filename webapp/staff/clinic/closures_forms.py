"""The forms of closures; they check the shape only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from wtforms import HiddenField, SelectChoice, StringField  # type: ignore[attr-defined]
from wtforms.validators import InputRequired

from webapp.clinic.closures import CloseDays
from webapp.clinic.holidays import PublicHoliday
from webapp.core.fields import DayField, SeenField, SelectField
from webapp.core.forms import CheckboxesField, DocketForm
from webapp.core.optimistic_lock import fingerprint
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l

NO_DAY = _l("Enter a date between 2000 and 2100.")


class ClosureForm(DocketForm):
    """A closure; its days are those of the clinic's own calendar."""

    sentences = {  # noqa: RUF012 - never changed.
        "name": _l("Enter a name of 2 to 120 characters."),
        "starts_on": NO_DAY,
        "ends_on": NO_DAY,
    }
    name = StringField(_l("Name"), [InputRequired(_l("Enter a name, such as Summer break."))])
    starts_on = DayField(_l("First day"), [InputRequired(_l("Enter the first day."))])
    ends_on = DayField(_l("Last day"), [InputRequired(_l("Enter the last day."))])
    seen = SeenField()

    def command(self) -> CloseDays | None:
        """The command for the service."""
        return self.parse(
            CloseDays, name=self.name.data or "", starts_on=self.starts_on.data, ends_on=self.ends_on.data
        )


def closure_form(saved: CloseDays) -> ClosureForm:
    """The form, filled with what is saved."""
    return ClosureForm(data={**saved.model_dump(), "seen": fingerprint(saved)})


class RemovalForm(DocketForm):
    """The removal of a closure; `seen` is the fingerprint of the closure that was shown."""

    seen = SeenField()


class WhichHolidaysForm(DocketForm):
    """The country, region and year of the public holidays to show."""

    country = SelectField(_l("Country"), validate_choice=False)
    region = SelectField(_l("Region"), validate_choice=False)
    year = SelectField(_l("Year"), validate_choice=False)

    def offer(self, countries: dict[str, str], regions: dict[str, str], years: Sequence[int]) -> None:
        """Set the choices; a missing or unknown choice becomes the first one."""
        self.country.choices = [SelectChoice(code, name) for code, name in countries.items()]
        everywhere = SelectChoice("", _("The whole country"))
        self.region.choices = [everywhere, *(SelectChoice(code, name) for code, name in regions.items())]
        self.year.choices = [SelectChoice(str(year), str(year)) for year in years]


class HolidaysForm(DocketForm):
    """The holidays on which the clinic is to be closed, by their days."""

    country = HiddenField()
    region = HiddenField()
    year = HiddenField()
    days = CheckboxesField(_l("Close the clinic on"), validate_choice=False)

    def offer(self, holidays: Sequence[PublicHoliday], words: dict[date, str]) -> None:
        """Set the days to choose from; `words` are their labels."""
        self.days.choices = [SelectChoice(each.day.isoformat(), words[each.day]) for each in holidays]

    def chosen(self, holidays: Sequence[PublicHoliday]) -> list[CloseDays]:
        """A closure for each holiday that is ticked; ticking none is an error."""
        ticked = set(self.days.data or ())
        closures = [
            CloseDays.model_construct(name=each.name, starts_on=each.day, ends_on=each.day)
            for each in holidays
            if each.day.isoformat() in ticked
        ]
        if not closures:
            self.days.errors = [_("Select at least one day.")]
        return closures

"""The form of the reports: which months, whose appointments, and by what they are grouped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from wtforms import SelectChoice  # type: ignore[attr-defined]

from webapp.appointments.booking.listing import Choices
from webapp.core import formats
from webapp.core.fields import SelectField
from webapp.core.forms import DocketForm
from webapp.core.parsing import whole_number
from webapp.dashboard.report_schemas import GroupedBy, ReportQuery
from webapp.dashboard.reports import MONTHS, MOST_MONTHS, months_between, months_later
from webapp.exceptions import AppError
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l
from webapp.staff.appointments.forms import doctor_choices, visit_type_choices

MONTH = "%Y-%m"


class ReportForm(DocketForm):
    """The choices of the report. Missing and unknown values mean the last twelve months of the whole clinic."""

    first = SelectField(_l("From"), choices=[], validate_choice=False, name="from")
    last = SelectField(_l("To"), choices=[], validate_choice=False, name="until")
    doctor = SelectField(_l("Doctor"), choices=[], validate_choice=False)
    visit_type = SelectField(_l("Visit type"), choices=[], validate_choice=False)
    by = SelectField(_l("Table by"), choices=[], validate_choice=False)

    def offer(self, months: Sequence[date], choices: Choices, zone: ZoneInfo) -> None:
        """Let admins choose among these months, doctors and visit types; unknown choices become the usual ones."""
        named = [SelectChoice(month.strftime(MONTH), formats.month_and_year_short(month, zone)) for month in months]
        for field, usual in ((self.first, months[min(MONTHS, len(months)) - 1]), (self.last, months[0])):
            field.choices = named
            field.data = _known(field.data, named, usual.strftime(MONTH))
        self.doctor.choices = doctor_choices(choices, _("All doctors"))
        self.doctor.data = _known(self.doctor.data, self.doctor.choices, "")
        self.visit_type.choices = visit_type_choices(choices, _("All types"))
        self.visit_type.data = _known(self.visit_type.data, self.visit_type.choices, "")
        self.by.choices = [
            SelectChoice("month", _("Month")),
            SelectChoice("doctor", _("Doctor")),
            SelectChoice("visit_type", _("Visit type")),
        ]
        self.by.data = _known(self.by.data, self.by.choices, "month")

    def asked(self, choices: Choices) -> ReportQuery | None:
        """The query, or None after an error was put next to its field."""
        first, last = (date.fromisoformat(f"{field.data}-01") for field in (self.first, self.last))
        if last < first:
            self.add_error(AppError(_("Choose the first month or a later one."), field="last"))
            return None
        if len(months_between(first, last)) > MOST_MONTHS:
            message = _("Choose up to %(months)d months at once.") % {"months": MOST_MONTHS}
            self.add_error(AppError(message, field="last"))
            return None
        by: GroupedBy = next(each for each in get_args(GroupedBy) if each == self.by.data)
        ends = months_later(last, 1) - timedelta(days=1)
        return ReportQuery(first, ends, by, choices.doctor_id(self.doctor.data), whole_number(self.visit_type.data))

    @property
    def values(self) -> dict[str, str]:
        """The values of all fields by their names in the address."""
        return {field.name: field.data for field in self}


def _known(value: str | None, choices: Sequence[SelectChoice], usual: str) -> str:
    return value if value is not None and any(choice.value == value for choice in choices) else usual

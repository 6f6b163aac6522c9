"""The forms of working hours and extra hours; they check the shape only."""

from __future__ import annotations

from wtforms import BooleanField
from wtforms.validators import InputRequired, Optional

from webapp.core.fields import DayField, SeenField
from webapp.core.forms import DocketForm
from webapp.doctors.extra_hours import ExtraDay
from webapp.doctors.hours import Period, PeriodHours, SaveHours
from webapp.i18n import lazy_form_text as _l
from webapp.staff.doctors.week_form import DayHoursField, WeekHoursForm, data_of

NO_DAY = _l("Enter a real date between 2000 and 2100, such as 2026-06-01.")


class HoursForm(WeekHoursForm):
    """The hours of a period. Only new hours can end the current ones; changed ones can take others with them."""

    sentences = {"valid_from": NO_DAY, "valid_until": NO_DAY}  # noqa: RUF012 - never changed.
    valid_from = DayField(_l("First day"), [Optional()])
    valid_until = DayField(_l("Last day"), [Optional()])
    end_present = BooleanField(_l("Replace current hours from this date"))
    follow = BooleanField(_l("Adjust the hours before and after"))
    seen = SeenField()

    def command(self, period: Period | None) -> SaveHours | None:
        """The command for the service: a change of `period`, or new hours."""
        return self.parse(
            SaveHours,
            period=period,
            valid_from=self.valid_from.data,
            valid_until=self.valid_until.data,
            week=self.week,
            end_present=period is None and bool(self.end_present.data),
            follow="follow" in self and bool(self.follow.data),
            seen=self.seen.data or "",
        )


def hours_data(hours: PeriodHours, seen: str) -> dict[str, object]:
    """The `data` argument of `HoursForm` for saved hours."""
    first, last = hours.period
    return {**data_of(hours.week), "valid_from": first, "valid_until": last, "seen": seen}


class ExtraHoursForm(DocketForm):
    """Extra hours on one day."""

    sentences = {"day": NO_DAY}  # noqa: RUF012 - never changed.
    day = DayField(_l("Day"), [InputRequired(_l("Choose a day."))])
    spans = DayHoursField(_l("Hours"), [InputRequired(_l("Enter the hours for that day, such as 9-12."))])

    def command(self) -> ExtraDay | None:
        """The command for the service."""
        return self.parse(ExtraDay, day=self.day.data, spans=self.spans.spans)


class RemoveExtraHoursForm(DocketForm):
    """Whether the extra hours of a day should really be removed."""


class RemoveHoursForm(DocketForm):
    """Whether hours should really be removed, and whether the hours that ended for them resume."""

    resume = BooleanField(_l("Extend the earlier hours below"))
    seen = SeenField()

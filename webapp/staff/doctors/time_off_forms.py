"""The forms of time off; they check the shape only."""

from __future__ import annotations

from datetime import date, datetime

from wtforms import BooleanField, HiddenField, RadioField, SelectChoice, StringField  # type: ignore[attr-defined]
from wtforms.validators import InputRequired, Optional

from webapp.core.fields import ClockField, DayField
from webapp.core.forms import DocketForm
from webapp.doctors.time_off import AddTimeOff, Scope
from webapp.exceptions import Invalid
from webapp.i18n import lazy_form_text as _l
from webapp.staff.doctors.hours_forms import NO_DAY

NO_TIME = _l("Enter a time such as 09:30, or tick “Whole days”.")
WHOLE_DAYS_WITH_TIMES = _l("Untick “Whole days” to use these times, or clear the times.")


class TimeOffForm(DocketForm):
    """Time off that is being entered: whole days, or times."""

    sentences = {  # noqa: RUF012 - never changed.
        "from_date": NO_DAY,
        "until_date": NO_DAY,
        "repeat_until": NO_DAY,
    }
    whole_days = BooleanField(_l("Whole days"))
    from_date = DayField(_l("First day"), [InputRequired(_l("Choose the first day."))])
    from_time = ClockField(_l("Start"), [Optional()], unreadable=NO_TIME)
    until_date = DayField(_l("Last day"), [Optional()])
    until_time = ClockField(_l("End"), [Optional()], unreadable=NO_TIME)
    reason = StringField(_l("Reason"))
    repeat_until = DayField(_l("Repeat weekly until"), [Optional()])
    day = HiddenField()

    @property
    def came_from(self) -> date | None:
        """The day of the schedule on which a time was blocked."""
        wall = _wall(self.day.data or "")
        return wall.date() if wall is not None else None

    def command(self) -> AddTimeOff | None:
        """The command for the service; without a last day, the first day is also the last."""
        whole = bool(self.whole_days.data)
        for field in (self.from_time, self.until_time):
            if not whole and field.data is None:
                self.add_error(Invalid(NO_TIME, field=field.name))
        # If a tick was overlooked, half an hour must not become a day off.
        if whole and (self.from_time.data is not None or self.until_time.data is not None):
            self.add_error(Invalid(WHOLE_DAYS_WITH_TIMES, field="whole_days"))
        return self.parse(
            AddTimeOff,
            from_date=self.from_date.data,
            from_time=None if whole else self.from_time.data,
            until_date=self.until_date.data or self.from_date.data,
            until_time=None if whole else self.until_time.data,
            reason=self.reason.data or "",
            repeat_until=self.repeat_until.data,
        )


def proposed(first: str, last: str) -> dict[str, object]:
    """The form's first values, for the times that an address proposes, such as 2026-03-03T09:30."""
    start, end = _wall(first), _wall(last)
    if start is None:
        return {"whole_days": True}
    if len(first) == len("2026-03-03"):
        return {"whole_days": True, "from_date": start.date(), "until_date": end.date() if end else None}
    return {
        "whole_days": False,
        "from_date": start.date(),
        "from_time": start.time(),
        "until_date": end.date() if end else None,
        "until_time": end.time() if end else None,
        "day": start.date().isoformat(),
    }


def _wall(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None, second=0, microsecond=0)
    except ValueError:
        return None


class RemoveTimeOffForm(DocketForm):
    """Whether time off should really be removed, and how much of a series."""

    scope = RadioField(
        _l("What do you want to remove?"),
        choices=[
            SelectChoice("one", _l("Only this one")),
            SelectChoice("series", _l("This one and all others in the series that are not over")),
        ],
        default="one",
    )

    @property
    def chosen(self) -> Scope:
        """How much to remove."""
        return "series" if self.scope.data == "series" else "one"

"""The hours of a week in a form: one text for each day, and a way to copy a day to others without a script.

`templates/staff/_week_fields.html` shows it. Its button sends `step=copy`; the router then calls `copy_day` and shows
the form again, without saving anything.
"""

from __future__ import annotations

from contextlib import suppress
from typing import cast

from wtforms import SelectChoice, StringField  # type: ignore[attr-defined]

from webapp.core.day_hours import WEEKDAYS, Spans, UnreadableHours, Week, format_hours, parse_hours
from webapp.core.fields import SelectField
from webapp.core.forms import DocketForm
from webapp.i18n import lazy_form_text as _l

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
COPY_TO = {"weekdays": range(5), "all": range(7)}


class DayHoursField(StringField):
    """The hours of a day as text. Readable hours are shown tidied, anything else as it was typed."""

    spans: Spans = ()

    def process_data(self, value: str | None) -> None:
        """Take hours that are saved already."""
        self.data, self.spans = value or "", ()
        with suppress(UnreadableHours):
            self.spans = parse_hours(self.data)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed.

        Raises:
            ValueError: the text is not hours; it stays in the field.
        """
        if not valuelist:
            return
        self.data, self.spans = valuelist[0][:200], ()
        try:
            self.spans = parse_hours(self.data)
        except UnreadableHours as error:
            raise ValueError(str(error)) from None
        self.data = format_hours(self.spans)


class WeekHoursForm(DocketForm):
    """Seven days of hours, `monday` to `sunday`."""

    monday = DayHoursField(_l(WEEKDAYS[0]))
    tuesday = DayHoursField(_l(WEEKDAYS[1]))
    wednesday = DayHoursField(_l(WEEKDAYS[2]))
    thursday = DayHoursField(_l(WEEKDAYS[3]))
    friday = DayHoursField(_l(WEEKDAYS[4]))
    saturday = DayHoursField(_l(WEEKDAYS[5]))
    sunday = DayHoursField(_l(WEEKDAYS[6]))
    copy_from = SelectField(
        _l("Copy"),
        choices=[SelectChoice(name, day) for name, day in zip(DAYS, WEEKDAYS, strict=True)],
        validate_choice=False,
    )
    copy_to = SelectField(
        _l("to"),
        choices=[SelectChoice("weekdays", _l("Monday to Friday")), SelectChoice("all", _l("every day"))],
        validate_choice=False,
    )

    @property
    def week(self) -> Week:
        """The week in the fields. Days that cannot be read count as empty, so call `validate` first."""
        return tuple(self._day(name).spans for name in DAYS)

    def compare_with(self, saved: DocketForm) -> None:
        """Show what another user has saved, except the fields for copying a day, which are not saved."""
        for name in ("copy_from", "copy_to"):
            saved[name].data = self[name].data
        super().compare_with(saved)

    def copy_day(self) -> None:
        """Copy the chosen day to the chosen others; a day that cannot be read gets an error and is not copied."""
        for name in DAYS:
            self._day(name).errors = list(self._day(name).process_errors)
        source = self._fields.get(str(self.copy_from.data))
        if not isinstance(source, DayHoursField) or source.errors:
            return
        for number in COPY_TO.get(str(self.copy_to.data), ()):
            target = self._day(DAYS[number])
            target.data, target.spans, target.errors = source.data, source.spans, []

    def _day(self, name: str) -> DayHoursField:
        return cast(DayHoursField, self[name])


def data_of(week: Week) -> dict[str, str]:
    """The `data` argument of `WeekHoursForm` for a saved week."""
    return {name: format_hours(spans) for name, spans in zip(DAYS, week, strict=True)}

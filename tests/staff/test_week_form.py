"""The hours of a week in a form, and copying a day."""

from __future__ import annotations

from starlette.datastructures import FormData

from webapp.staff.doctors.week_form import WeekHoursForm, data_of

WEEK = (((540, 720), (780, 1020)), (), (), (), (), (), ())


def test_a_saved_week_is_shown_in_the_fields_and_reads_back() -> None:
    form = WeekHoursForm(data=data_of(WEEK))
    assert form.monday.data == "09:00-12:00, 13:00-17:00"
    assert form.tuesday.data == ""
    assert form.week == WEEK


def test_typed_hours_are_tidied_and_an_error_is_shown_at_its_day() -> None:
    form = WeekHoursForm(FormData({"monday": "9-12 and 13-17", "tuesday": "12-9", "wednesday": "closed"}))
    assert not form.validate()
    assert form.monday.data == "09:00-12:00, 13:00-17:00"
    assert form.tuesday.data == "12-9"
    assert form.wednesday.data == ""
    assert {name for name, errors in form.errors.items() if errors} == {"tuesday"}


def test_copying_a_day_replaces_the_errors_of_the_others() -> None:
    form = WeekHoursForm(
        FormData(
            {"monday": "9-12", "tuesday": "12-9", "saturday": "10-11", "copy_from": "monday", "copy_to": "weekdays"}
        )
    )
    form.copy_day()
    assert [form.tuesday.data, form.friday.data, form.saturday.data] == ["09:00-12:00", "09:00-12:00", "10:00-11:00"]
    assert not form.tuesday.errors
    form.copy_to.data = "all"
    form.copy_day()
    assert form.week == (((540, 720),),) * 7


def test_a_day_with_errors_is_not_copied() -> None:
    form = WeekHoursForm(FormData({"monday": "nine", "tuesday": "10-11", "copy_from": "monday", "copy_to": "all"}))
    form.copy_day()
    assert form.monday.errors
    assert form.tuesday.data == "10:00-11:00"
    form = WeekHoursForm(FormData({"monday": "9-12", "copy_from": "seen", "copy_to": "nowhere"}))
    form.copy_day()
    assert form.tuesday.data in {"", None}

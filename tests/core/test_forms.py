"""All forms: none overwrites changes of others unseen."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest
import wtforms
from starlette.datastructures import FormData
from wtforms import DateField, SelectChoice, TimeField  # type: ignore[attr-defined]
from wtforms.fields.core import UnboundField

import webapp.routes  # noqa: F401 - it imports every form.
from webapp.core.fields import ClockField, DayField, SeenField, SelectField, VersionField
from webapp.core.forms import DocketForm
from webapp.core.optimistic_lock import NO_VERSION, UNSEEN


def forms_of(kind: type[DocketForm]) -> list[type[DocketForm]]:
    """The forms that are derived from one."""
    return [form for each in kind.__subclasses__() for form in (each, *forms_of(each))]


def test_every_form_that_says_what_it_saw_must_say_it() -> None:
    kinds = {"seen": SeenField, "version": VersionField}
    found = [(form, name, getattr(form, name, None)) for form in forms_of(DocketForm) for name in kinds]
    fields = [(form, name, field) for form, name, field in found if isinstance(field, UnboundField)]
    assert len(fields) > 20
    assert [(form, name) for form, name, field in fields if field.field_class is not kinds[name]] == []


@pytest.mark.parametrize("sent", [{"other": "1"}, {"seen": "", "version": ""}, {"seen": "", "version": "x"}])
def test_a_form_that_saw_nothing_never_matches_the_saved_state(sent: dict[str, str]) -> None:
    class Changed(DocketForm):
        seen = SeenField()
        version = VersionField()

    form = Changed(FormData(sent))
    assert (form.seen.data, form.version.data) == (UNSEEN, str(NO_VERSION))


def fields_of_forms() -> list[tuple[type[DocketForm], Any]]:
    """Each form with the class of each field that it declares."""
    fields = [(form, field) for form in forms_of(DocketForm) for field in vars(form).values()]
    return [(form, field.field_class) for form, field in fields if isinstance(field, UnboundField)]


def test_every_day_and_time_is_read_by_our_own_fields() -> None:
    """The library's fields refuse copied texts with invisible characters, in its own words."""
    ours = {DateField: DayField, TimeField: ClockField}
    theirs = [(form, kind) for form, kind in fields_of_forms() for base in ours if issubclass(kind, base)]
    assert len(theirs) > 15
    assert [(form, kind) for form, kind in theirs if kind not in ours.values()] == []


@pytest.mark.parametrize("typed", ["09:30", "9:30", "9.30", "09:30:00", "\u200b09:30\u00a0"])
def test_a_time_is_read_as_people_write_it(typed: str) -> None:
    class When(DocketForm):
        at = ClockField()

    assert When(FormData({"at": typed})).at.data == time(9, 30)


def test_choices_are_written_as_the_library_writes_them_but_by_our_own_field() -> None:
    assert [form for form, kind in fields_of_forms() if kind is wtforms.SelectField] == []

    class Both(DocketForm):
        ours, theirs = SelectField(), wtforms.SelectField()

    choices = [SelectChoice("", "Any"), SelectChoice('a"b', "<Dr. O'Neil>"), SelectChoice("a&b", "")]
    for offered in (choices, {"One": choices[:1], "Two": choices[1:]}):
        form = Both(FormData({"ours": 'a"b', "theirs": 'a"b'}))
        form.ours.choices = form.theirs.choices = offered
        assert str(form.ours(class_="input")).replace("ours", "theirs") == str(form.theirs(class_="input"))

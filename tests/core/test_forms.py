"""All forms: none overwrites changes of others unseen."""

from __future__ import annotations

import pytest
from starlette.datastructures import FormData
from wtforms.fields.core import UnboundField

import webapp.routes  # noqa: F401 - it imports every form.
from webapp.core.fields import SeenField, VersionField
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

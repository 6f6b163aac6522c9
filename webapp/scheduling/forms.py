"""The form of the search for a doctor: shape only."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape
from wtforms import SelectField, StringField
from wtforms.widgets import Select

from webapp.core.fields import searched
from webapp.core.forms import DocketForm
from webapp.i18n import lazy_form_text as _l


class _PlainSelect(Select):
    """A select whose options have no attributes.

    WTForms' own sorts and formats the attributes of each option, which was a fifth of the first page's cost.
    """

    @classmethod
    def render_option(cls, choice: Any, **_attributes: Any) -> Markup:  # type: ignore[override]
        """One option."""
        selected = "selected " if choice.selected else ""
        value, label = escape(choice.value), escape(choice.label)
        return Markup(f'<option {selected}value="{value}">{label}</option>')  # noqa: S704 - both are escaped.


class FinderForm(DocketForm):
    """The filters of the list of doctors; each may be empty."""

    q = StringField(_l("Doctor or health problem"), filters=[searched])
    specialty = SelectField(_l("Specialty"), choices=[], validate_choice=False, widget=_PlainSelect())
    visit_type = SelectField(_l("Visit type"), choices=[], validate_choice=False, widget=_PlainSelect())
    language = SelectField(_l("Language"), choices=[], validate_choice=False, widget=_PlainSelect())

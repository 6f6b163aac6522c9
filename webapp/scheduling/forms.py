"""The form of the search for a doctor: shape only."""

from __future__ import annotations

from wtforms import (
    SelectField,
    StringField,
)

from webapp.core.fields import searched
from webapp.core.forms import DocketForm
from webapp.core.i18n import lazy_form_text as _l


class FinderForm(DocketForm):
    """The filters of the list of doctors; each may be empty."""

    q = StringField(_l("Doctor’s name"), filters=[searched])
    specialty = SelectField(_l("Specialty"), choices=[], validate_choice=False)
    visit_type = SelectField(_l("Kind of visit"), choices=[], validate_choice=False)
    language = SelectField(_l("Language"), choices=[], validate_choice=False)

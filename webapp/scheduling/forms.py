"""The form of the search for a doctor: shape only."""

from __future__ import annotations

from wtforms import StringField

from webapp.core.fields import SelectField, searched
from webapp.core.forms import DocketForm
from webapp.i18n import lazy_form_text as _l


class FinderForm(DocketForm):
    """The filters of the list of doctors; each may be empty."""

    q = StringField(_l("Doctor or health problem"), filters=[searched])
    specialty = SelectField(_l("Specialty"), choices=[], validate_choice=False)
    visit_type = SelectField(_l("Visit type"), choices=[], validate_choice=False)
    language = SelectField(_l("Language"), choices=[], validate_choice=False)

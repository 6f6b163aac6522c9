"""The form of the search for a doctor: shape only."""

from __future__ import annotations

from wtforms import (
    SelectField,
    StringField,
)

from webapp.core.fields import searched
from webapp.core.forms import DocketForm
from webapp.core.i18n import gettext as _


class FinderForm(DocketForm):
    """The filters of the list of doctors; each may be empty."""

    q = StringField(_("Doctor’s name"), filters=[searched])
    specialty = SelectField(_("Specialty"), choices=[], validate_choice=False)
    visit_type = SelectField(_("Kind of visit"), choices=[], validate_choice=False)
    language = SelectField(_("Language"), choices=[], validate_choice=False)

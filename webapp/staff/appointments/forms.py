"""The forms of the clinic's appointments: filters, a new booking, and the question why a time is not offered."""

from __future__ import annotations

from datetime import date
from itertools import starmap
from typing import NamedTuple

from wtforms import BooleanField, HiddenField, SearchField, SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import Optional

from webapp.appointments.booking import statuses
from webapp.appointments.booking.listing import Choices, Order
from webapp.appointments.pages.forms import WhenForm
from webapp.core.fields import DayField, SelectField, searched
from webapp.core.forms import DocketForm
from webapp.core.parsing import YEARS, reference_in, whole_number
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l

ORDERS: tuple[Order, ...] = ("time", "-time", "booked")


def doctor_choices(choices: Choices, nothing: str) -> list[SelectChoice]:
    """Every doctor, by the name in the address; the first choice, `nothing`, is empty."""
    inactive = _("%(name)s (not taking bookings)")
    return [
        SelectChoice("", nothing),
        *(
            SelectChoice(slug, name if active else inactive % {"name": name})
            for _number, slug, name, active in choices.doctors
        ),
    ]


def visit_type_choices(choices: Choices, nothing: str) -> list[SelectChoice]:
    """Every visit type by id; the first choice, `nothing`, is empty."""
    return [SelectChoice("", nothing), *(SelectChoice(str(number), name) for number, name in choices.visit_types)]


class AppointmentSearch(NamedTuple):
    """The filters, before doctors and patients are looked up. Days are the clinic's; '' leaves a filter out."""

    first: date | None
    last: date | None
    doctor: str
    status: str | None
    visit_type: int | None
    patient: str
    reference: str | None
    flagged: bool
    order: Order


class AppointmentFilterForm(DocketForm):
    """Which appointments are shown; each filter may be left empty."""

    first = DayField(_l("From"), [Optional()], within=YEARS, name="from")
    last = DayField(_l("To"), [Optional()], within=YEARS, name="until")
    doctor = SelectField(_l("Doctor"), choices=[], validate_choice=False)
    status = SelectField(
        _l("Status"),
        choices=[SelectChoice("", _l("Any")), *starmap(SelectChoice, statuses.STAFF_WORDS.items())],
        validate_choice=False,
        # Every page has an element "status", which screen readers listen to.
        id="status-filter",
    )
    visit_type = SelectField(_l("Visit type"), choices=[], validate_choice=False)
    patient = SearchField(_l("Patient or reference"), filters=[searched])
    flagged = BooleanField(_l("Flagged only"))
    unconfirmed = BooleanField(_l("Not confirmed only"))
    sort = HiddenField()

    def offer(self, choices: Choices) -> None:
        """Let staff choose among these doctors and visit types."""
        self.doctor.choices = doctor_choices(choices, _("Any doctor"))
        self.visit_type.choices = visit_type_choices(choices, _("Any type"))

    @property
    def is_empty(self) -> bool:
        """Whether only the order was set."""
        return not any(field.data for name, field in self._fields.items() if name != "sort")

    def search(self) -> AppointmentSearch:
        """The search. Values that cannot be read are left out, and their fields get an error."""
        self.validate()
        text = (self.patient.data or "").strip()
        reference = reference_in(text, surely=True)
        status = self.status.data if self.status.data in statuses.WORDS else None
        order: Order = next((order for order in ORDERS if order == self.sort.data), "time")
        return AppointmentSearch(
            first=None if self.first.errors else self.first.data,
            last=None if self.last.errors else self.last.data,
            doctor=(self.doctor.data or "")[:100],
            status="scheduled" if self.unconfirmed.data else status,
            visit_type=whole_number(self.visit_type.data),
            patient="" if reference else text,
            reference=reference,
            flagged=bool(self.flagged.data),
            order=order,
        )


class WhyForm(WhenForm):
    """A doctor, a visit type, and a minute."""

    doctor = SelectField(_l("Doctor"), choices=[], validate_choice=False)
    visit_type = SelectField(_l("Visit type"), choices=[], validate_choice=False)
    patient = HiddenField()

    def offer(self, choices: Choices) -> None:
        """Let staff choose among these doctors and visit types."""
        self.doctor.choices = doctor_choices(choices, _("Choose a doctor"))
        self.visit_type.choices = visit_type_choices(choices, _("Default type"))

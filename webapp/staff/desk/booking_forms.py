"""The form with which staff book for a caller: patient, doctor, time and what the caller says. Shape only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from wtforms import BooleanField, HiddenField, SearchField, SelectChoice, StringField, TextAreaField  # type: ignore[attr-defined]
from wtforms.validators import Length, Optional

from webapp.appointments.pages.forms import TOO_LONG, ExceptionForm
from webapp.appointments.schemas import Booking
from webapp.appointments.walk_ins import ANY, MOST_LETTERS, OF, Queue
from webapp.core import formats
from webapp.core.fields import DayField, SelectField, searched, unix_lines
from webapp.core.forms import CheckboxesField
from webapp.core.parsing import YEARS, instant, whole_number
from webapp.core.urls import with_query
from webapp.doctors.service import DoctorRow
from webapp.exceptions import AppError
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l
from webapp.patients.forms import NOT_A_DATE, SENTENCES
from webapp.patients.schemas import PatientDetails

HERE = "/desk/booking"
NEW = "new"
NOON, DAY = 12 * 60, 24 * 60
HOURS = {"": (0, DAY), "morning": (0, NOON), "afternoon": (NOON, DAY)}
PART_NAMES = {"": _l("Any time"), "morning": _l("Morning"), "afternoon": _l("Afternoon")}
WEEKDAYS = (_l("Mon"), _l("Tue"), _l("Wed"), _l("Thu"), _l("Fri"), _l("Sat"), _l("Sun"))
CONTACT = _l("Enter a phone number or an email address, or leave this empty.")


class PickedTime(NamedTuple):
    """A time that a button names: the doctor, the visit type and the start."""

    doctor: str
    visit_type_id: int
    starts_at: datetime

    @classmethod
    def read(cls, text: str) -> PickedTime | None:
        """The time in a button's value, 'bob 3 2026-03-03T09:00:00Z'; None for anything else."""
        doctor, _space, rest = text.partition(" ")
        kind, _space, start = rest.partition(" ")
        number, starts_at = whole_number(kind), instant(start)
        return cls(doctor, number, starts_at) if doctor and number is not None and starts_at is not None else None


class CallForm(ExceptionForm):
    """Everything that staff choose and type while a caller waits."""

    sentences = SENTENCES | {"contact": CONTACT}
    q = SearchField(_l("Find the patient"), filters=[searched])
    patient = HiddenField()
    name = StringField(_l("Name"))
    birth_date = DayField(_l("Date of birth"), [Optional()], unreadable=NOT_A_DATE)
    contact = StringField(_l("Phone or email address"))
    visit_type = SelectField(_l("Visit type"), choices=[], validate_choice=False)
    doctor = SelectField(_l("With"), choices=[], validate_choice=False)
    first = DayField(_l("From"), [Optional()], within=YEARS, name="from")
    last = DayField(_l("To"), [Optional()], within=YEARS, name="until")
    weekday = CheckboxesField(_l("Days"), choices=[], validate_choice=False)
    part = SelectField(_l("Part of the day"), choices=[], validate_choice=False)
    reason = TextAreaField(_l("Reason for the appointment"), [Length(max=500, message=TOO_LONG)], filters=[unix_lines])
    after = HiddenField()
    # A time that the address names, for example a gap on the board. It stays while the patient is looked for.
    starts_at = HiddenField()
    # The walk-in who is taken in; or NEW for a new walk-in.
    walk_in = HiddenField()
    urgent = BooleanField(_l("Urgent"))
    queue_note = StringField(_l("Note for staff"), [Length(max=MOST_LETTERS, message=TOO_LONG)])

    def offer(self, listed: Sequence[DoctorRow], *, first_specialty: str) -> None:
        """Set the choices. Without a chosen doctor, the clinic's first specialty is chosen, if there is one."""
        kinds = {kind.id: kind for doctor in listed for kind in doctor.visit_types}
        by_name = sorted(kinds.values(), key=lambda kind: kind.name.casefold())
        self.visit_type.choices = [
            SelectChoice("", _("Suggested for the patient")),
            *(SelectChoice(str(kind.id), f"{kind.name}, {formats.minutes(kind.minutes)}") for kind in by_name),
        ]
        specialties = sorted({doctor.specialty for doctor in listed})
        groups: list[SelectChoice] = []
        self.doctor.choices = [SelectChoice(doctor.slug, doctor.name) for doctor in listed]
        if len(listed) > 1:
            words = _("Any doctor, %(specialty)s")
            groups = [SelectChoice(OF + name, words % {"specialty": name}) for name in specialties]
            self.doctor.choices = [SelectChoice(ANY, _("Any doctor")), *groups, *self.doctor.choices]
        self.weekday.choices = [SelectChoice(str(number), str(name)) for number, name in enumerate(WEEKDAYS)]
        self.part.choices = [SelectChoice(value, str(name)) for value, name in PART_NAMES.items()]
        if not self.doctor.data:
            only = listed[0].slug if len(listed) == 1 else ANY
            self.doctor.data = OF + first_specialty if groups and first_specialty in specialties else only

    @property
    def slug(self) -> str:
        """The one doctor who was chosen, or ''."""
        chosen = self.doctor.data or ANY
        return "" if chosen == ANY or chosen.startswith(OF) else chosen

    @property
    def start(self) -> datetime | None:
        """The instant that the address names."""
        return instant(self.starts_at.data or "")

    @property
    def specialty(self) -> str:
        """The specialty whose doctors were chosen, or ''."""
        chosen = self.doctor.data or ""
        return chosen.removeprefix(OF) if chosen.startswith(OF) else ""

    @property
    def weekdays(self) -> frozenset[int]:
        """The weekdays on which the caller can come, Monday is 0; empty for all."""
        return frozenset(int(each) for each in self.weekday.data or () if each in set("0123456"))

    def between(self, today: date, horizon_days: int) -> tuple[date, date]:
        """The days to look at: from today or a later day, up to the last that was typed, or up to the horizon."""
        horizon = today + timedelta(days=horizon_days)
        first = max(self.first.data or today, today)
        return first, min(self.last.data or max(horizon, first), first + timedelta(days=max(horizon_days, 31)))

    @property
    def new_patient_typed(self) -> bool:
        """Whether a new patient's data was typed."""
        typed = (self.name.data, self.contact.data, self.birth_date.data)
        return not self.patient.data and any(typed)

    @property
    def is_private(self) -> bool:
        """Whether the form contains private text that must not be in an address: names, contact details, the reason."""
        fields = (self.name, self.contact, self.reason, self.queue_note, self.override_reason, self.squeeze_reason)
        return any((field.data or "").strip() for field in fields) or bool(self.birth_date.data)

    def address(self, **changed: object) -> str:
        """The address of the page with these choices; `changed` replaces some of them. It holds nothing private."""
        chosen: dict[str, object] = {
            "patient": whole_number(self.patient.data),
            "visit_type": whole_number(self.visit_type.data),
            "doctor": self.doctor.data,
            "from": self.first.data,
            "until": self.last.data,
            "part": self.part.data if self.part.data in HOURS else "",
            "after": self.after.data,
            "walk_in": self.walk_in_id or (NEW if self.walk_in.data == NEW else None),
            "starts_at": formats.iso(start) if (start := self.start) is not None else "",
        }
        address = with_query(HERE, **(chosen | changed))
        for number in sorted(self.weekdays):
            address = with_query(address, weekday=number)
        return address

    def look_at(self, day: date) -> None:
        """Look at the free times of this day alone."""
        for field in (self.first, self.last):
            # Without it the field would show the typed day.
            field.raw_data = None
            field.data = day
        self.starts_at.data = ""

    @property
    def walk_in_id(self) -> int | None:
        """The walk-in who is taken in."""
        return whole_number(self.walk_in.data)

    def queue(self) -> Queue | None:
        """The queue of today in which the patient waits, as the service takes it."""
        return self.parse(
            Queue,
            doctor=self.slug,
            specialty=self.specialty,
            urgent=bool(self.urgent.data),
            note=self.queue_note.data or "",
        )

    def booking(self, chosen: PickedTime) -> Booking | None:
        """The booking of a chosen time, as the service takes it."""
        return self.parse(
            Booking,
            doctor=chosen.doctor,
            visit_type_id=chosen.visit_type_id,
            starts_at=chosen.starts_at,
            reason=self.reason.data or "",
            patient_id=whole_number(self.patient.data),
            **self.reasons,
        )

    def new_patient(self) -> PatientDetails | None:
        """The new patient's data: a contact with an @ is an email address, anything else a phone number."""
        contact = (self.contact.data or "").strip()
        return self.parse(
            PatientDetails,
            name=self.name.data or "",
            birth_date=self.birth_date.data,
            phone="" if "@" in contact else contact,
            email=contact if "@" in contact else None,
        )

    def add_error(self, error: AppError) -> None:
        """Put an error about the phone number or the email address next to the one field that takes both."""
        if error.field in {"phone", "email"}:
            error = AppError(error.message, field="contact")
        super().add_error(error)

"""The forms of the clinic's settings; they check the shape only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from wtforms import (  # type: ignore[attr-defined]
    BooleanField,
    RadioField,
    SelectChoice,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Optional

from webapp.clinic import settings
from webapp.clinic.documents import PublishDocument
from webapp.clinic.settings import (
    BookingRules,
    ClinicDetails,
    ClinicZone,
    EmergencyLine,
    NewPatientRules,
    OpeningWeek,
    PrivacyRules,
    ReminderRules,
    SearchSettings,
)
from webapp.core import phones
from webapp.core.day_hours import format_hours
from webapp.core.fields import PhoneField, SeenField, SelectField, WholeNumberField, unix_lines
from webapp.core.forms import DocketForm
from webapp.core.optimistic_lock import fingerprint
from webapp.core.zones import country_of_zone, zone_names
from webapp.i18n import gettext as _
from webapp.i18n import lazy_form_text as _l
from webapp.staff.doctors.week_form import DayHoursField, WeekHoursForm, data_of

UNITS = {"minutes": 1, "hours": 60, "days": 1440}
UNIT_NAMES = {"minutes": _l("minutes"), "hours": _l("hours"), "days": _l("days")}
SPAN_NEEDED = _l("Enter a whole number, 0 or more.")


class DetailsForm(DocketForm):
    """The clinic's name, address and telephone number, as patients see them."""

    sentences = {  # noqa: RUF012 - never changed.
        "name": _l("Enter a name of 2 to 120 characters."),
        "phone": _l("Enter a phone number, such as +31 20 123 4567, or leave this empty."),
    }
    name = StringField(_l("Name of the clinic"), [InputRequired(_l("Enter the clinic’s name."))])
    address = StringField(_l("Address"))
    phone = PhoneField(_l("Phone"))
    country = SelectField(_l("Country"), validate_choice=False)
    seen = SeenField()

    def command(self) -> ClinicDetails | None:
        """The command for the service."""
        return self.parse(
            ClinicDetails,
            name=self.name.data or "",
            address=self.address.data or "",
            phone=self.phone.data or "",
            country=self.country.data or "",
        )

    def offer(self, time_zone: str) -> None:
        """Let admins choose the country of the time zone, or any other."""
        countries = phones.countries()
        own = country_of_zone(time_zone)
        words = (
            _("Same as the time zone (%(country)s)") % {"country": countries[own]} if own in countries else _("None")
        )
        self.country.choices = [SelectChoice("", words), *(SelectChoice(*each) for each in countries.items())]


def details_form(saved: ClinicDetails, time_zone: str) -> DetailsForm:
    """The form, filled with what is saved."""
    form = DetailsForm(data={**saved.model_dump(), "seen": fingerprint(saved)})
    form.offer(time_zone)
    return form


class ZoneForm(DocketForm):
    """The time zone, chosen from the places of the tz database, and what upcoming appointments keep of their time."""

    time_zone = SelectField(_l("Time zone"), validate_choice=False)
    appointments = RadioField(
        _l("Upcoming appointments"),
        choices=[
            SelectChoice("clock", _l("Keep their clock times: 09:00 stays 09:00. For a time zone that was wrong.")),
            SelectChoice("instant", _l("Keep the moment they start. Patients are told the new clock times.")),
        ],
        default="clock",
        validate_choice=False,
    )
    seen = SeenField()

    def offer(self, saved: str) -> None:
        """Set the zones to choose from, by region; the saved one is among them even if its name is obsolete."""
        names = zone_names()
        regions = {region: [SelectChoice(name, _place(name)) for name in places] for region, places in names.items()}
        if not any(saved in places for places in names.values()):
            regions = {_("Current"): [SelectChoice(saved, saved)], **regions}
        self.time_zone.choices = regions

    @property
    def keeps(self) -> Literal["clock", "instant"]:
        """The part of appointments that stays."""
        return "instant" if self.appointments.data == "instant" else "clock"

    def command(self) -> ClinicZone | None:
        """The command for the service."""
        return self.parse(ClinicZone, time_zone=self.time_zone.data or "")


def _place(name: str) -> str:
    """'Argentina, Buenos Aires' for America/Argentina/Buenos_Aires."""
    return ", ".join((name.partition("/")[2] or name).replace("_", " ").split("/"))


def zone_form(saved: ClinicZone) -> ZoneForm:
    """The form, filled with what is saved."""
    form = ZoneForm(data={"time_zone": saved.time_zone, "seen": fingerprint(saved)})
    form.offer(saved.time_zone)
    return form


class OpeningHoursForm(WeekHoursForm):
    """The hours of a week in which the clinic is open."""

    seen = SeenField()

    def command(self) -> OpeningWeek | None:
        """The command for the service."""
        return self.parse(OpeningWeek, days=self.week)


def opening_hours_form(saved: OpeningWeek) -> OpeningHoursForm:
    """The form, filled with what is saved."""
    return OpeningHoursForm(data={**data_of(saved.days), "seen": fingerprint(saved)})


def _unit(label: str) -> SelectField:
    """The unit of the number before it."""
    return SelectField(label, choices=[SelectChoice(*each) for each in UNIT_NAMES.items()], default="minutes")


class RulesForm(DocketForm):
    """The clinic's own values for the rules. A duration has a number and a unit."""

    sentences = {  # noqa: RUF012 - never changed.
        "notice_minutes": _l("Enter a notice of at most 14 days."),
        "horizon_days": _l("Enter a number of days from 1 to 730."),
        "change_until_minutes": _l("Enter a deadline of at most 14 days."),
        "max_active_visits": _l("Enter a number from 1 to 100."),
        "patient_gap_minutes": _l("Enter a gap of at most 1 day."),
    }
    notice_minutes = WholeNumberField(_l("Minimum notice"), [InputRequired(SPAN_NEEDED)])
    notice_unit = _unit(_l("Unit of the notice"))
    horizon_days = WholeNumberField(_l("Booking window"), [InputRequired(_l("Enter a number of days."))])
    change_until_minutes = WholeNumberField(_l("Deadline to move or cancel"), [InputRequired(SPAN_NEEDED)])
    change_until_unit = _unit(_l("Unit of the deadline"))
    max_active_visits = WholeNumberField(
        _l("Upcoming appointments per patient"), [InputRequired(_l("Enter a number."))]
    )
    patient_gap_minutes = WholeNumberField(_l("Gap between a patient’s appointments"), [InputRequired(SPAN_NEEDED)])
    patient_gap_unit = _unit(_l("Unit of the gap"))
    seen = SeenField()

    def command(self) -> BookingRules | None:
        """The command for the service."""
        return self.parse(
            BookingRules,
            notice_minutes=_span(self.notice_minutes, self.notice_unit),
            horizon_days=self.horizon_days.data,
            change_until_minutes=_span(self.change_until_minutes, self.change_until_unit),
            max_active_visits=self.max_active_visits.data,
            patient_gap_minutes=_span(self.patient_gap_minutes, self.patient_gap_unit),
        )


def _span(number: WholeNumberField, unit: SelectField) -> int:
    return (number.data or 0) * UNITS.get(str(unit.data), 1)


def rules_form(saved: BookingRules) -> RulesForm:
    """The form, filled with what is saved; each duration in the largest unit that leaves no remainder."""
    values: dict[str, int | str] = {**saved.model_dump(), "seen": fingerprint(saved)}
    for name in ("notice", "change_until", "patient_gap"):
        minutes = int(values[f"{name}_minutes"])
        unit = next(
            (unit for unit in ("days", "hours") if minutes and minutes % UNITS[unit] == 0 and minutes > UNITS[unit]),
            "hours" if minutes and minutes % 60 == 0 else "minutes",
        )
        values[f"{name}_minutes"], values[f"{name}_unit"] = minutes // UNITS[unit], unit
    return RulesForm(data=values)


class SearchForm(DocketForm):
    """The clinic's words for the search, and the specialty that comes first."""

    sentences = {  # noqa: RUF012 - never changed.
        "search_words": _l("Write each line as a name, a colon and words, such as Dermatology: freckles, sunburn."),
    }
    first_specialty = SelectField(_l("Specialty that comes first"), choices=[], validate_choice=False)
    search_words = TextAreaField(_l("Other words for what you offer"), filters=[unix_lines])
    seen = SeenField()

    def offer(self, specialties: Sequence[str], saved: str) -> None:
        """Set the specialties to choose from, including the saved one, even if no doctor has it any more."""
        names = sorted({*specialties, saved} - {""})
        self.first_specialty.choices = [
            SelectChoice("", _("None: earliest free time first")),
            *(SelectChoice(name, name) for name in names),
        ]

    def command(self) -> SearchSettings | None:
        """The command for the service."""
        return self.parse(
            SearchSettings,
            first_specialty=self.first_specialty.data or "",
            search_words=self.search_words.data or "",
        )


def search_form(saved: SearchSettings) -> SearchForm:
    """The form, filled with what is saved."""
    return SearchForm(data={**saved.model_dump(), "seen": fingerprint(saved)})


ASKED = {"no": _l("Don’t ask"), "ask": _l("Ask"), "require": _l("Require")}


def _requirement_field(label: str) -> RadioField:
    """Whether new patients are asked for something."""
    return RadioField(label, choices=[SelectChoice(*each) for each in ASKED.items()], validate_choice=False)


class NewPatientsForm(DocketForm):
    """The questions to new patients when they create an account or book for the first time."""

    sentences = {  # noqa: RUF012 - never changed.
        "asks_birth_date": _l("Choose one of the three."),
        "asks_phone": _l("Choose one of the three."),
    }
    asks_birth_date = _requirement_field(_l("Date of birth"))
    asks_phone = _requirement_field(_l("Phone number"))
    seen = SeenField()

    def command(self) -> NewPatientRules | None:
        """The command for the service."""
        return self.parse(
            NewPatientRules, asks_birth_date=self.asks_birth_date.data or "", asks_phone=self.asks_phone.data or ""
        )


def new_patients_form(saved: NewPatientRules) -> NewPatientsForm:
    """The form, filled with what is saved."""
    return NewPatientsForm(data={**saved.model_dump(), "seen": fingerprint(saved)})


class EmergencyForm(DocketForm):
    """The line for emergencies."""

    sentences = {"emergency_phone": _l("Enter a phone number, such as 112.")}  # noqa: RUF012 - never changed.
    emergency_phone = StringField(_l("Number to call"))
    emergency_text = StringField(_l("Your own words"))
    seen = SeenField()

    def command(self) -> EmergencyLine | None:
        """The command for the service."""
        return self.parse(
            EmergencyLine,
            emergency_text=self.emergency_text.data or "",
            emergency_phone=self.emergency_phone.data or "",
        )


def emergency_form(saved: EmergencyLine) -> EmergencyForm:
    """The form, filled with what is saved."""
    return EmergencyForm(data={**saved.model_dump(), "seen": fingerprint(saved)})


class DocumentForm(DocketForm):
    """A new version of the privacy notice or the imprint."""

    sentences = {"text": _l("Enter a text of 20 to 40,000 characters.")}  # noqa: RUF012 - never changed.
    text = TextAreaField(_l("Text"), filters=[unix_lines])
    asks_again = BooleanField(_l("Ask everyone with an account to read this version"))

    def command(self) -> PublishDocument | None:
        """The command for the service."""
        return self.parse(PublishDocument, text=(self.text.data or "").strip(), asks_again=bool(self.asks_again.data))


class PrivacyForm(DocketForm):
    """How long data is kept, and what belongs to a patient's copy of it."""

    sentences = {  # noqa: RUF012 - never changed.
        "keep_records_years": _l("Enter a number of years from 0 to 100."),
        "keep_messages_days": _l("Enter a number of days from 90 to 3650."),
        "keep_audit_years": _l("Enter a number of years from 0 to 100."),
        "guardian_age": _l("Enter an age from 10 to 25, or leave this empty."),
    }
    keep_records_years = WholeNumberField(
        _l("Keep records after the last appointment"), [InputRequired(_l("Enter a number of years, or 0."))]
    )
    keep_messages_days = WholeNumberField(_l("Keep messages"), [InputRequired(_l("Enter a number of days."))])
    keep_audit_years = WholeNumberField(_l("Keep the audit log"), [InputRequired(_l("Enter a number of years, or 0."))])
    guardian_age = WholeNumberField(_l("Age at which guardians lose access"), [Optional()])
    desk_sees_reasons = BooleanField(_l("The front desk sees the reasons that patients give"))
    private_notes_in_copy = BooleanField(_l("Include doctors’ private notes in the copy of a patient’s data"))
    seen = SeenField()

    def command(self) -> PrivacyRules | None:
        """The command for the service."""
        return self.parse(
            PrivacyRules,
            keep_records_years=self.keep_records_years.data,
            keep_messages_days=self.keep_messages_days.data,
            keep_audit_years=self.keep_audit_years.data,
            guardian_age=self.guardian_age.data,
            private_notes_in_copy=bool(self.private_notes_in_copy.data),
            desk_sees_reasons=bool(self.desk_sees_reasons.data),
        )


def privacy_form(saved: PrivacyRules) -> PrivacyForm:
    """The form, filled with what is saved."""
    return PrivacyForm(data={**saved.model_dump(), "seen": fingerprint(saved)})


class RemindersForm(DocketForm):
    """When patients are reminded of their appointments, and in which hours of the day."""

    sentences = {  # noqa: RUF012 - never changed.
        "reminder_days": _l("Enter at most 5 numbers of days, each from 1 to 60, such as 7, 1."),
        "tell_late_hours": _l("Enter a number of hours from 0 to 12."),
    }
    reminder_days = StringField(_l("Days before an appointment"))
    daytime = DayHoursField(_l("Sending hours"), [InputRequired(_l("Enter hours, such as 09:00-20:00."))])
    tell_late_hours = WholeNumberField(_l("Tell patients that a doctor is running late"), [Optional()])
    seen = SeenField()

    def command(self) -> ReminderRules | None:
        """The command for the service."""
        spans = self.daytime.spans
        if len(spans) != 1:
            self.daytime.errors = [*self.daytime.errors, _("Enter a single period, such as 09:00-20:00.")]
            return None
        start, end = spans[0]
        return self.parse(
            ReminderRules,
            reminder_days=self.reminder_days.data or "",
            daytime_from=start,
            daytime_until=end,
            tell_late_hours=self.tell_late_hours.data or 0,
        )


def reminders_form(saved: ReminderRules) -> RemindersForm:
    """The form, filled with what is saved."""
    return RemindersForm(
        data={
            "reminder_days": ", ".join(map(str, settings.days_of(saved.reminder_days))),
            "daytime": format_hours([(saved.daytime_from, saved.daytime_until)]),
            "tell_late_hours": saved.tell_late_hours,
            "seen": fingerprint(saved),
        }
    )

"""Read models for booking for a caller: patients who were found, the chosen one, and the free times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from webapp.appointments.booking.schedule_queries import age_on
from webapp.appointments.pages.presenters import PatientSummary, StaffRefusals, patient_summary
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.web import Page
from webapp.i18n import gettext as _
from webapp.patients.search import PatientRow
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.named_times import day_title
from webapp.scheduling.presenters import AppointmentPreview, appointment_preview
from webapp.scheduling.slots import CLOCK
from webapp.scheduling.week_calendar import iso_minute
from webapp.staff.desk.free_times import Offer, OfferedDay
from webapp.staff.patients import queries
from webapp.staff.patients.queries import NextAppointment, PatientAppointment

UPCOMING_SHOWN = 3


class FoundPatient(NamedTuple):
    """A patient to choose, with the next appointment, which answers "when is my next?"."""

    patient: PatientSummary
    next: NextAppointment | None


class FoundPatients(NamedTuple):
    """The patients to choose from, and the search text that they fit.

    `likely`: they may be the new patient who was typed; `family`: they belong to the patient who was booked before.
    """

    patients: list[FoundPatient]
    text: str = ""
    searched: bool = False
    similar: bool = False
    goes_on: bool = False
    likely: bool = False
    family: bool = False

    @property
    def is_certain(self) -> bool:
        """Whether exactly one patient matches the typed text."""
        return self.searched and len(self.patients) == 1 and not (self.similar or self.goes_on)


class ChosenPatient(NamedTuple):
    """The chosen patient. `age` is None if the birth date is not known. `last` is their latest past appointment that
    was not cancelled; `more` counts upcoming ones that are not listed.
    """

    patient: PatientSummary
    age: int | None
    upcoming: list[PatientAppointment]
    more: int
    last: PatientAppointment | None


class TimeButton(NamedTuple):
    """A free time as a button. `value` is its form value; `spoken` is the whole text for screen readers."""

    value: str
    time: str
    doctor: str
    kind: str
    soon: bool
    spoken: str


class DayOfTimes(NamedTuple):
    """The free times of a day: 'Today', '10 Mar'. `has_more`: not all are shown."""

    day: date
    name: str
    date: str
    times: list[TimeButton]
    total: int
    has_more: bool


class FreeTimes(NamedTuple):
    """The days with their first free times, and times beside the appointment before.

    `are_later`: the requested days have no free times, and these come after them. `none_fits`: no doctor matches.
    """

    days: list[DayOfTimes]
    near: list[TimeButton]
    are_later: bool
    none_fits: bool


class ChosenTime(NamedTuple):
    """A time that was named, and the rules that refuse it."""

    value: str
    preview: AppointmentPreview
    refused: StaffRefusals


def found_patients(page: Page, actor: Actor, patients: Sequence[PatientRow]) -> list[FoundPatient]:
    """Patients to choose from."""
    clinic = current_clinic(page)
    coming = queries.find_next(page.session, actor, [patient.id for patient in patients], now=page.now)
    return [FoundPatient(patient_summary(patient, clinic), coming.get(patient.id)) for patient in patients]


def chosen_patient(page: Page, actor: Actor, patient: PatientRow) -> ChosenPatient:
    """The chosen patient with the next appointments and the last."""
    clinic = current_clinic(page)
    ahead = queries.list_appointments(
        page.session, actor, patient.id, upcoming=True, now=page.now, limit=UPCOMING_SHOWN
    )
    return ChosenPatient(
        patient=patient_summary(patient, clinic),
        age=age_on(clinic.today(page.now), patient.birth_date),
        upcoming=ahead.appointments,
        more=ahead.total - len(ahead.appointments),
        last=queries.find_last(page.session, actor, patient.id, now=page.now),
    )


def day_of_times(offered: OfferedDay, clinic: Clinic, *, now: datetime, has_reason: bool) -> DayOfTimes:
    """One day of the merged list. `has_reason`: a time within the notice is as good as any other."""
    name, day = day_title(offered.day, clinic, now=now)
    offers = [offer._replace(soon=offer.soon and not has_reason) for offer in offered.offers]
    times = [time_button(offer, f"{name} {day}") for offer in offers]
    return DayOfTimes(offered.day, name, day, times, offered.total, len(offered.offers) < offered.total)


def time_button(offer: Offer, day: str) -> TimeButton:
    """A free time as a button."""
    doctor, kind = offer.request.doctor, offer.request.visit_type
    clock = CLOCK[offer.time.minute]
    words = _("Book %(day)s at %(time)s with %(doctor)s: %(type)s, %(length)s")
    values = {"day": day, "time": clock, "doctor": doctor.name, "type": kind.name}
    spoken = words % {**values, "length": formats.minutes(kind.minutes)}
    return TimeButton(
        value=f"{doctor.slug} {kind.id} {iso_minute(offer.time.start)}",
        time=clock,
        doctor=doctor.name,
        kind=formats.dotted([kind.name, formats.minutes(kind.minutes)]),
        soon=offer.soon,
        spoken=f"{spoken}. {_('Within the minimum notice.')}" if offer.soon else spoken,
    )


def near_buttons(offers: Sequence[Offer], day: date, clinic: Clinic, *, now: datetime) -> list[TimeButton]:
    """Times beside another appointment of the day."""
    return [time_button(offer, " ".join(day_title(day, clinic, now=now))) for offer in offers]


def without(near: Sequence[TimeButton], days: Sequence[DayOfTimes]) -> list[DayOfTimes]:
    """The days without the times that are shown above them already; a day without other times is left out."""
    values = {time.value for time in near}
    left = [day._replace(times=[time for time in day.times if time.value not in values]) for day in days]
    return [day for day in left if day.times or day.has_more]


def chosen_time(request: BookingRequest, start: datetime, refused: StaffRefusals) -> ChosenTime:
    """A time that was named in an address or by a button."""
    value = f"{request.doctor.slug} {request.visit_type.id} {formats.iso(start)}"
    return ChosenTime(value, appointment_preview(request, start), refused)

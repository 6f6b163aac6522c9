"""The page of booking for a caller, and the two parts of it that are loaded alone: patients found, and free times."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from starlette.responses import Response

from webapp.appointments import queries, walk_ins
from webapp.appointments.exceptions import NoSuchAppointment
from webapp.appointments.pages.forms import GIVE_REASON
from webapp.appointments.pages.presenters import staff_refusals
from webapp.appointments.schemas import AppointmentView
from webapp.appointments.walk_ins import WalkInView
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.parsing import reference_in, whole_number
from webapp.core.web import Page
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import AppError
from webapp.i18n import gettext as _
from webapp.patients import records, search
from webapp.patients.exceptions import LikelyDuplicate, NoSuchPatient
from webapp.patients.search import PatientRow
from webapp.patients.search_parser import is_blank
from webapp.scheduling import checks
from webapp.scheduling.exceptions import Refused
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.slots import to_minute
from webapp.scheduling.suggested_types import doctors_seen, suggested_type
from webapp.scheduling.viewer import Viewer
from webapp.staff.desk import booking_presenters as presenters
from webapp.staff.desk.booking_forms import HOURS, NEW, CallForm, PickedTime
from webapp.staff.desk.booking_presenters import ChosenTime, FoundPatients, FreeTimes, TimeButton
from webapp.staff.desk.free_times import OfferedDay, WantedTimes, find_near, find_offers, requests_for

PATIENTS_SHOWN = 8
PAGE = "staff/desk/booking.html"
NOTHING_FOUND = FoundPatients([])

Part = Literal["found", "times"]
# The parts by the ids of their elements.
PARTS: dict[str, Part] = {"found": "found", "times": "times"}


class DeskCall:
    """One request of the page: its form, and the objects that its choices name."""

    def __init__(self, page: Page, actor: Actor, form: CallForm) -> None:
        self.page, self.actor, self.form = page, actor, form
        self.clinic = current_clinic(page)
        self.walk_in = self._walk_in()
        self.before = self._before()
        self.listed = _bookable_doctors(page, actor)
        form.offer(self.listed, first_specialty=self.clinic.first_specialty)

    def _walk_in(self) -> WalkInView | None:
        """The walk-in who is taken in: the patient is known.

        Raises:
            NoSuchWalkIn: no walk-in of today has this id.
        """
        number = self.form.walk_in_id
        if number is None or not self.actor.sees_all:
            return None
        view = walk_ins.get_walk_in(self.page.session, number, now=self.page.now)
        self.form.patient.data = str(view.patient_id)
        return view

    def _before(self) -> AppointmentView | None:
        """The appointment after which another is booked: its doctor, its visit type and its day are kept."""
        page, form = self.page, self.form
        if not form.after.data:
            return None
        try:
            view = queries.get_appointment(page.session, self.actor, form.after.data)
        except NoSuchAppointment:
            form.after.data = ""
            return None
        if not form.doctor.data:
            form.doctor.data, form.visit_type.data = view.doctor_slug, str(view.visit_type_id)
            form.first.data = form.last.data = formats.local_date(view.starts_at, self.clinic.zone)
        return view

    # ----------------------------------------------------------------------------------- patients

    def found(self) -> FoundPatients:
        """The patients who match the typed text: a name, a birth date, a number, or an appointment's reference."""
        page, text = self.page, (self.form.q.data or "").strip()
        if self.form.patient.data:
            return NOTHING_FOUND
        if is_blank(text):
            return self.family()
        patients = self._by_reference(text)
        if patients is not None:
            return FoundPatients(self._lines(patients), text, searched=True)
        found = search.search_patients(page.session, text, limit=PATIENTS_SHOWN)
        lines = self._lines(found.patients)
        goes_on = found.beside.after is not None
        return FoundPatients(lines, text, searched=True, similar=found.similar, goes_on=goes_on)

    def family(self) -> FoundPatients:
        """The family of the patient of the appointment before, for whom another may be booked."""
        if self.before is None:
            return NOTHING_FOUND
        session, patient_id = self.page.session, self.before.patient_id
        record = records.get_record(session, patient_id)
        people = [*record.people]
        if record.manager is not None:
            people += [record.manager, *records.get_record(session, record.manager.id).people]
        ids = {person.id for person in people} - {patient_id}
        return FoundPatients(self._lines(search.patients_by_id(session, sorted(ids))), family=True)

    def likely(self, warning: LikelyDuplicate) -> FoundPatients:
        """The patients who may be the new one."""
        return FoundPatients(self._lines(search.patients_by_id(self.page.session, warning.ids)), likely=True)

    def _by_reference(self, text: str) -> list[PatientRow] | None:
        """The patient of the appointment with this reference; None if there is no such appointment: the text may be a
        name.
        """
        reference = reference_in(text)
        if reference is None:
            return None
        try:
            view = queries.get_appointment(self.page.session, self.actor, reference)
        except NoSuchAppointment:
            return None
        return search.patients_by_id(self.page.session, [view.patient_id])

    def _lines(self, patients: list[PatientRow]) -> list[presenters.FoundPatient]:
        page = self.page
        if patients:
            page.trace(records.note_listing, self.actor, [patient.id for patient in patients], now=page.now)
        return presenters.found_patients(page, self.actor, patients)

    def _patient(self) -> PatientRow | None:
        """The chosen patient; reading the record is noted.

        Raises:
            NoSuchPatient: no patient has this id.
        """
        if not self.form.patient.data:
            return None
        page, number = self.page, whole_number(self.form.patient.data)
        found = search.patients_by_id(page.session, [number]) if number is not None else []
        if not found:
            raise NoSuchPatient
        page.trace(records.note_reading, self.actor, found[0].id, now=page.now)
        return found[0]

    # -------------------------------------------------------------------------------------- times

    def usual_time(self) -> PickedTime | None:
        """The start that the address names, with the chosen visit type or else the one that suits the patient. None if
        no start or no doctor is named.
        """
        slug, start = self.form.slug, self.form.start
        doctor = self._doctor(slug)
        if doctor is None or start is None:
            return None
        kind = doctor.visit_type(whole_number(self.form.visit_type.data)) if self.form.visit_type.data else None
        kind = kind or suggested_type(doctor, self._seen(), by_staff=True)
        return PickedTime(slug, kind.id, start) if kind is not None else None

    def named(self, chosen: PickedTime | None) -> ChosenTime | None:
        """The time that a button or an address names, with the rules that refuse it."""
        doctor = self._doctor(chosen.doctor) if chosen is not None else None
        if chosen is None or doctor is None:
            return None
        request = checks.find_booking_request(self.page.session, doctor, chosen.visit_type_id, by_staff=True)
        refused = staff_refusals(self.page, request, chosen.starts_at, self._viewer())
        return presenters.chosen_time(request, chosen.starts_at, refused)

    def times(self) -> FreeTimes:
        """The first free times of all doctors who fit."""
        page, form, clinic = self.page, self.form, self.clinic
        requests = requests_for(
            self.listed,
            slug=form.slug,
            specialty=form.specialty,
            visit_type_id=whole_number(form.visit_type.data),
            seen=self._seen(),
        )
        days, are_later = self._offered(requests)
        # Their presence is the reason for the exception.
        has_reason, near = self.walk_in is not None, self._near(requests)
        shown = [presenters.day_of_times(each, clinic, now=page.now, has_reason=has_reason) for each in days]
        return FreeTimes(
            days=presenters.without(near, shown),
            near=near,
            are_later=are_later,
            none_fits=not requests,
        )

    def _offered(self, requests: list[BookingRequest]) -> tuple[list[OfferedDay], bool]:
        """The requested days with free times; if these are full, the next ones, and True."""
        page, form, clinic = self.page, self.form, self.clinic
        today = clinic.today(page.now)
        first, last = form.between(today, clinic.horizon_days)
        wanted = WantedTimes(first, last, form.weekdays, *HOURS.get(form.part.data or "", HOURS[""]))
        after = wanted._replace(first=last + timedelta(days=1), last=today + timedelta(days=clinic.horizon_days))
        # A patient who is here without an appointment waits, or takes a time of the first day that has one.
        is_here = self.walk_in is not None or form.walk_in.data == NEW
        most = 1 if is_here and not (form.first.data or form.last.data) else None
        for asked in (wanted, after):
            days = find_offers(page.session, clinic, requests, asked, viewer=self._viewer(), now=page.now)
            if days:
                return days[:most], asked is after
        return [], False

    def _near(self, requests: list[BookingRequest]) -> list[TimeButton]:
        """The times beside the appointment that was booked before."""
        if self.before is None:
            return []
        clinic, page = self.clinic, self.page
        day: date = formats.local_date(self.before.starts_at, clinic.zone)
        beside = to_minute(self.before.starts_at), to_minute(self.before.ends_at)
        offers = find_near(page.session, clinic, requests, day, beside, viewer=self._viewer(), now=page.now)
        return presenters.near_buttons(offers, day, clinic, now=page.now)

    def _viewer(self) -> Viewer:
        return Viewer(whole_number(self.form.patient.data), by_staff=True)

    def _seen(self) -> frozenset[int]:
        return doctors_seen(self.page.session, self._viewer(), now=self.page.now)

    def _doctor(self, slug: str) -> DoctorRow | None:
        return next((doctor for doctor in self.listed if doctor.slug == slug), None)

    # --------------------------------------------------------------------------------- the answer

    def part(self, name: Part) -> Response:
        """A part of the page alone; the address follows the choices that its times are for."""
        if name == "found":
            return self.page.render(PAGE, fragment="staff/desk/_found.html", found=self.found())
        headers = {"hx-replace-url": self.form.address()}
        return self.page.render(PAGE, fragment="staff/desk/_times.html", headers=headers, times=self.times())

    def whole(
        self,
        found: FoundPatients,
        chosen: PickedTime | None = None,
        *,
        error: AppError | None = None,
        status: int = 200,
    ) -> Response:
        """The page; with an error it keeps everything that was typed."""
        page, form = self.page, self.form
        patient, named = self._patient(), self.named(chosen)
        if self.walk_in is not None and not form.override_reason.data:
            # Staff may book at times that patients cannot, with a reason.
            form.override_reason.data = _("Walk-in")
        if error is not None:
            self._show_error(error, named)
        return page.render(
            PAGE,
            status=error.status if error else max(status, named.refused.status if named else 200),
            form=form,
            patient=presenters.chosen_patient(page, self.actor, patient) if patient is not None else None,
            found=found,
            before=self.before,
            walk_in=self.walk_in,
            adds_walk_in=form.walk_in.data == NEW or bool(form.queue_note.data or form.urgent.data),
            named=named,
            times=self.times(),
            keeps_records=self.actor.role != "doctor",
        )

    def _show_error(self, error: AppError, named: ChosenTime | None) -> None:
        """Put an error where it belongs: the rules of a time are shown with that time, and need a reason."""
        if isinstance(error, LikelyDuplicate):
            return
        if named is None or not named.refused.errors or not isinstance(error, Refused):
            self.form.add_error(error)
        elif named.refused.overridable:
            self.form.override_reason.errors = [GIVE_REASON]


def _bookable_doctors(page: Page, actor: Actor) -> list[DoctorRow]:
    """The doctors with whom the actor books: all who take bookings, but doctors only themselves."""
    if actor.role != "doctor":
        return doctors.list_doctors(page.session)
    own = doctors.get_doctor_of_user(page.session, actor.user_id)
    return [own] if own.active else []

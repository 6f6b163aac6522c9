"""Read models for the pages of booking and moving: the nearest free times, and refusals, worded for the reader.

Templates show booked appointments from `AppointmentView`; `AppointmentPreview` uses the same names.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from webapp.appointments import queries
from webapp.appointments.pages.forms import NO_TIME, WhenForm
from webapp.appointments.schemas import last_change
from webapp.auth.dependencies import current_actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.parsing import instant, typed_instants
from webapp.core.urls import with_query
from webapp.core.web import Page
from webapp.exceptions import AppError
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.patients.schemas import PatientChoice
from webapp.patients.search import PatientRow
from webapp.scheduling import checks, lanes, named_times, week_calendar
from webapp.scheduling.exceptions import Refused, RuleBroken, SlotTaken, error_of
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.slots import Minute, Span, to_minute
from webapp.scheduling.viewer import Viewer


class Alternative(NamedTuple):
    """A free time near one that is taken; without `href` it is a button of the surrounding form."""

    starts_at: datetime
    difference: str
    href: str | None


class TakenTime(NamedTuple):
    """A time that is taken, and the free times nearest to it.

    `explained`: the page already says what refuses the time. `own_patient` is the name of the patient who has the time,
    if that is the reader or a patient for whom they book. `calendar_href` leads to all free times;
    with `in_form`, the booking form leads there and keeps what was typed.
    """

    starts_at: datetime
    explained: bool
    own_patient: str | None
    doctor_name: str
    calendar_href: str
    in_form: bool
    alternatives: list[Alternative]


def nearest_times(
    page: Page, request: BookingRequest, wanted: datetime, path: str | None, viewer: Viewer
) -> list[Alternative]:
    """The three nearest free times: links to `path` with the start added, or buttons if there is no path."""
    near = named_times.nearest(page.session, current_clinic(page), request, wanted, now=page.now, viewer=viewer)
    return [
        Alternative(start, difference, f"{path}{formats.iso(start).replace(':', '%3A')}" if path else None)
        for start, difference in near
    ]


def taken_time(
    page: Page, request: BookingRequest, taken: datetime, back: str, viewer: Viewer, *, explained: bool = False
) -> TakenTime:
    """The three nearest free times: buttons that book on the booking page, links when an appointment is moved.

    `back` leads to all free times; when an appointment is moved, it is the page that also accepts one of them.
    """
    path = f"{back}{'&' if '?' in back else '?'}starts_at=" if viewer.moving is not None else None
    actor = current_actor(page)
    own_patient = None
    if actor is not None and not actor.is_staff:
        own_patient = queries.find_own_patient_at(page.session, actor, request.doctor.id, taken)
    return TakenTime(
        starts_at=taken,
        explained=explained,
        own_patient=own_patient,
        doctor_name=request.doctor.name,
        calendar_href=back,
        in_form=path is None,
        alternatives=nearest_times(page, request, taken, path, viewer),
    )


def first_refusal(page: Page, request: BookingRequest, start: datetime, viewer: Viewer) -> AppError | None:
    """The error that a patient would get from booking this now, or None if it would succeed."""
    try:
        checks.require_bookable(page.session, current_clinic(page), request, start, now=page.now, viewer=viewer)
    except AppError as error:
        return error
    return None


# The rules' sentences address the patient; these are for a reader who books for a child.
ABOUT_ANOTHER = {
    "patient_overlap": _l(
        "%(name)s already has an appointment at that time. Choose another time, or move that appointment."
    ),
    "patient_gap": _l("%(name)s has another appointment close to that time. Choose a time further away from it."),
    "too_many_visits": _l("%(name)s has reached the limit for upcoming appointments. Cancel one, or call us."),
    "same_time": _l("%(name)s already has this time."),
}


def about_patient(error: AppError, patient: PatientChoice) -> AppError:
    """An error worded about this patient, who may not be the reader."""
    if not patient.is_self and error.code in ABOUT_ANOTHER:
        error.message = ABOUT_ANOTHER[error.code] % {"name": patient.name}
    return error


class StaffRefusals(NamedTuple):
    """Every rule that refuses a start to staff. `overridable`: all of them may be overridden with a reason.

    `may_squeeze`: nothing but the doctor's other appointments binds staff, and beside these there is a place.
    `no_squeezing` says why squeezing in is not possible, or is ''; then `doctor_slug` is the doctor who would have to
    allow more.
    `too_short`: the time is free, but the next appointment starts too soon.
    """

    errors: list[Refused]
    may_squeeze: bool = False
    no_squeezing: str = ""
    doctor_slug: str = ""
    too_short: bool = False

    @property
    def overridable(self) -> bool:
        """Whether staff may book with a reason."""
        return all(error.overridable for error in self.errors)

    @property
    def clash(self) -> Refused | None:
        """The clash with another appointment, of the doctor or of the patient, which cannot be overridden."""
        return next((error for error in self.errors if error.status == 409 and not error.overridable), None)

    @property
    def status(self) -> int:
        """The HTTP status of a page that shows them; a refusal that can be overridden is not an error."""
        binding = [error.status for error in self.errors if not error.overridable]
        return self.clash.status if self.clash else binding[0] if binding else 200


def staff_refusals(page: Page, request: BookingRequest, start: datetime, viewer: Viewer) -> StaffRefusals:
    """The rules that refuse an appointment that staff book or move."""
    if start.second or start.microsecond:
        return StaffRefusals([RuleBroken(_("Appointments start on a whole minute."), code="off_grid")])
    viewer = viewer._replace(by_staff=True)
    found = checks.find_refusals(page.session, current_clinic(page), request, start, now=page.now, viewer=viewer)
    errors = [error_of(refusal, by_staff=True) for refusal in found]
    too_short = _too_short(page, request, to_minute(start), viewer)
    for error in errors:
        if too_short and error.code == "slot_taken":
            error.message = too_short
    if [error.code for error in errors if not error.overridable] != ["slot_taken"]:
        return StaffRefusals(errors, too_short=bool(too_short))
    try:
        lanes.lane_beside(page.session, request.doctor, request.span_at(to_minute(start)), ignoring=viewer.moving)
    except SlotTaken as error:
        why = _("No squeeze-in is possible at this time. Choose another time or visit type.")
        return StaffRefusals(errors, False, why if too_short else error.message, request.doctor.slug, bool(too_short))
    return StaffRefusals(errors, may_squeeze=True, too_short=bool(too_short))


def _too_short(page: Page, request: BookingRequest, start: Minute, viewer: Viewer) -> str:
    """A sentence about what fits at a start that is free but too short for the visit type; '' for any other start."""

    def is_free(span: Span) -> bool:
        return not lanes.busy_lanes(page.session, request.doctor.id, span, ignoring=viewer.moving)

    if not is_free((start, start + 1)) or is_free(request.span_at(start)):
        return ""
    kinds = request.doctor.visit_types
    fitting = [kind.name for kind in kinds if is_free(BookingRequest(request.doctor, kind).span_at(start))]
    values = {"kind": request.visit_type.name, "name": request.doctor.name, "fitting": ", ".join(fitting)}
    if fitting:
        return _("%(kind)s doesn’t fit between the other appointments. Visit types that fit: %(fitting)s.") % values
    return _("No visit type of %(name)s fits between the other appointments.") % values


class RequestedStart(NamedTuple):
    """The instant that a form or an address asks for.

    If the clocks go back and the wall-clock time occurs twice, `both` are the two possible instants.
    """

    start: datetime
    both: list[datetime]


def requested_start(form: WhenForm, shown: str | None, clinic: Clinic) -> RequestedStart:
    """The start in an address or a form: the fields of date and time, unless they are unchanged from what was shown.

    Raises:
        Invalid: it is missing, cannot be read, or the clocks skip it.
    """
    start = instant(shown)
    form.validate()
    wall_clock = form.wall_clock
    if wall_clock is not None:
        found = typed_instants(wall_clock, clinic.zone)
        if start not in found:
            start = found[0]
        return RequestedStart(start, found if len(found) > 1 else [])
    if start is None or form.date.errors or form.time.errors:
        raise RuleBroken(NO_TIME, code="no_time")
    return RequestedStart(start, [])


class RepeatedTime(NamedTuple):
    """One of the two instants of a wall-clock time that occurs twice: '02:30 CEST', as a link."""

    label: str
    href: str
    current: bool


def repeated_times(
    both: Sequence[datetime], chosen: datetime | None, clinic: Clinic, path: str, **query: object
) -> list[RepeatedTime]:
    """Links to the two instants, each with the path, the query and its start."""
    return [
        RepeatedTime(
            label=formats.clock(start, clinic.zone),
            href=with_query(path, **query, starts_at=formats.iso(start)),
            current=start == chosen,
        )
        for start in both
    ]


class PatientSummary(NamedTuple):
    """The details by which staff tell patients apart, and the alert; all but the name may be ''. `href` chooses the
    patient.
    """

    id: int
    name: str
    born: str
    phone: str
    email: str
    href: str | None
    alert: str


def patient_summary(row: PatientRow, clinic: Clinic, *, href: str | None = None) -> PatientSummary:
    """A patient as staff see them when they book."""
    born = formats.day_month_year(row.birth_date, clinic.zone) if row.birth_date else ""
    return PatientSummary(row.id, row.name, born, row.phone, row.email, href, row.alert)


def week_of(start: datetime, clinic: Clinic) -> str:
    """The week of an instant, as addresses of calendars write it."""
    day = formats.local_date(start, clinic.zone)
    return week_calendar.week_name(day - timedelta(days=day.weekday()))


def calendar_href(request: BookingRequest, start: datetime, clinic: Clinic, patient_id: int | None = None) -> str:
    """The doctor's calendar in the week of a start, for this visit type and this patient."""
    return with_query(
        f"/doctors/{request.doctor.slug}",
        visit_type=request.visit_type.id if request.offered else None,
        patient=patient_id,
        week=week_of(start, clinic),
    )


def change_until(start: datetime, clinic: Clinic, now: datetime, *, moved_by_clinic: bool = False) -> datetime | None:
    """Until when the patient may move or cancel; None if that has passed."""
    until = last_change(start, clinic, moved_by_clinic=moved_by_clinic)
    return until if until >= now else None

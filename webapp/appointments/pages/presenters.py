"""What several pages of visits show: a visit as a slip, the times nearest to one that is gone, and who looks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from webapp.appointments import queries
from webapp.appointments.booking import service
from webapp.appointments.pages.forms import NO_TIME, WhenForm
from webapp.appointments.schemas import AppointmentView
from webapp.auth.dependencies import current_actor
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.core.parsing import instant, written_instants
from webapp.core.urls import with_query
from webapp.core.web import Page
from webapp.exceptions import AppError
from webapp.patients.schemas import PatientChoice
from webapp.scheduling import checks, week_calendar
from webapp.scheduling.dependencies import current_viewer
from webapp.scheduling.exceptions import Refused, RuleBroken, error_of
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.viewer import Viewer

Alternative = dict[str, Any]


def booked(view: AppointmentView) -> dict[str, Any]:
    """A booked visit in the shape that the templates want."""
    return {
        **view._asdict(),
        "minutes": view.minutes,
        "specialty": view.doctor_specialty,
        "room": view.doctor_room,
        "visit_type": view.visit_type_name,
    }


def nearest_times(
    page: Page,
    wish: BookingRequest,
    wanted: datetime,
    path: str | None,
    viewer: Viewer,
) -> list[Alternative]:
    """The three nearest free times: links to `path`, which is completed by the start, or buttons without one."""
    near = week_calendar.nearest(page.session, current_clinic(page), wish, wanted, now=page.now, viewer=viewer)
    return [
        {
            "starts_at": start,
            "difference": difference,
            "href": f"{path}{formats.iso(start).replace(':', '%3A')}" if path else None,
        }
        for start, difference in near
    ]


def faster_than(
    page: Page,
    wish: BookingRequest,
    taken: datetime,
    back: str,
    *,
    patient_id: int | None,
    moving: AppointmentView | None = None,
    told: bool = False,
) -> dict[str, Any]:
    """The three nearest free times: buttons that book on the booking page, links where a visit is moved.

    `back` leads to all free times; where a visit is moved, it is the page that also takes one of them. `told`: the
    page says already what stands against the time.
    """
    path = f"{back}?starts_at=" if moving else None
    actor = current_actor(page)
    viewer = current_viewer(page, patient_id)._replace(moving=moving.id if moving else None)
    own = None
    if actor is not None and not actor.is_staff:
        own = queries.find_own_patient_at(page.session, actor, wish.doctor.id, taken)
    return {
        "taken": taken,
        "told": told,
        "own": own,
        "doctor_name": wish.doctor.name,
        "calendar_href": back,
        "alternatives": nearest_times(page, wish, taken, path, viewer),
    }


def first_refusal(
    page: Page, wish: BookingRequest, start: datetime, *, patient_id: int, moving: AppointmentView | None = None
) -> AppError | None:
    """What booking this would answer a patient now, or None when it would succeed."""
    try:
        checks.require_bookable(
            page.session,
            current_clinic(page),
            wish,
            start,
            now=page.now,
            viewer=Viewer(patient_id, moving=moving.id if moving else None),
        )
    except AppError as error:
        return error
    return None


# Where the rules speak to the patient, somebody who books for a child reads about the child.
ABOUT_ANOTHER = {
    "patient_overlap": _("%(name)s already has a visit at that time. Choose another time, or move the other visit."),
    "patient_gap": _("%(name)s has another visit close to that time. Choose one that lies further away from it."),
    "too_many_visits": _("%(name)s has as many upcoming visits as can be booked online. Cancel one, or call us."),
    "same_time": _("That is the time %(name)s already has."),
}


def said_about(error: AppError, patient: PatientChoice) -> AppError:
    """The same error in words about this patient, who may be somebody else than the reader."""
    if not patient.is_self and error.code in ABOUT_ANOTHER:
        error.message = _(ABOUT_ANOTHER[error.code]) % {"name": patient.name}
    return error


class StaffRefusals(NamedTuple):
    """Every rule that refuses a start to staff. `overridable`: all of them may be set aside with a reason."""

    errors: list[Refused]

    @property
    def overridable(self) -> bool:
        """Whether staff may book all the same."""
        return all(error.overridable for error in self.errors)

    @property
    def clash(self) -> Refused | None:
        """The clash with another visit, of the doctor or of the patient, that nobody can set aside."""
        return next((error for error in self.errors if error.status == 409 and not error.overridable), None)

    @property
    def status(self) -> int:
        """The status of a page that shows them: a question that can be answered is none."""
        binding = [error.status for error in self.errors if not error.overridable]
        return self.clash.status if self.clash else binding[0] if binding else 200


def staff_refusals(
    page: Page, wish: BookingRequest, start: datetime, *, patient_id: int, moving: AppointmentView | None = None
) -> StaffRefusals:
    """What stands against a visit that staff book or move."""
    if start.second or start.microsecond:
        return StaffRefusals([RuleBroken(_("Visits start at whole minutes."), code="off_grid")])
    found = checks.find_refusals(
        page.session,
        current_clinic(page),
        wish,
        start,
        now=page.now,
        viewer=Viewer(patient_id, moving=moving.id if moving else None, by_staff=True),
    )
    return StaffRefusals([error_of(refusal, by_staff=True) for refusal in found])


def outlook(view: AppointmentView, actor: Actor, clinic: Clinic, now: datetime) -> dict[str, Any]:
    """What the actor can still do about a visit, and until when or why not, as its page says it."""
    ahead, may_change = view.is_active(now), view.may_change(actor, clinic, now)
    return {
        "ahead": ahead,
        "may_change": may_change,
        "why_not": service.too_late_sentence(view, clinic) if ahead and not may_change else None,
        "cancel_until": change_until(view.starts_at, clinic, now) if may_change else None,
    }


class Meant(NamedTuple):
    """The instant that somebody means; `twice` is it and its double where the wall clock shows the hour twice."""

    start: datetime
    twice: list[datetime]


def meant_start(form: WhenForm, shown: str | None, clinic: Clinic) -> Meant:
    """The start in an address or a form: the fields of date and time, unless they still say what was shown.

    Raises:
        Invalid: there is none, it cannot be read, or the clocks skip it.
    """
    start = instant(shown)
    form.validate()
    written = form.written
    if written is not None:
        found = written_instants(written, clinic.zone)
        if start not in found:
            start = found[0]
        return Meant(start, found if len(found) > 1 else [])
    if start is None or form.date.errors or form.time.errors:
        raise RuleBroken(NO_TIME, code="no_time")
    return Meant(start, [])


def clock_with_zone(start: datetime, clinic: Clinic) -> str:
    """'02:30 CEST': the two meanings of an hour that comes twice told apart."""
    return f"{start.astimezone(clinic.zone):%H:%M %Z}"


def week_of(start: datetime, clinic: Clinic) -> str:
    """The name of the week in which an instant lies, as calendars are asked for it."""
    day = formats.local_date(start, clinic.zone)
    return week_calendar.week_name(day - timedelta(days=day.weekday()))


def calendar_href(wish: BookingRequest, start: datetime, clinic: Clinic, patient_id: int | None = None) -> str:
    """The doctor's calendar in the week of a start, for this kind of visit and this patient."""
    return with_query(
        f"/doctors/{wish.doctor.slug}",
        visit_type=wish.visit_type.id if wish.offered else None,
        patient=patient_id,
        week=week_of(start, clinic),
    )


def change_until(start: datetime, clinic: Clinic, now: datetime) -> datetime | None:
    """Until when the patient may move or cancel, or None when that has passed already."""
    until = start - timedelta(minutes=clinic.change_until_minutes)
    return until if until >= now else None

"""The clinic's appointments, for the front desk: the list, the start of a new booking, and an export for admins.

Doctors book with themselves: for them there is a page to add a patient who is new to the clinic.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from starlette.responses import Response, StreamingResponse

from webapp.appointments.booking import listing, status_service
from webapp.appointments.booking.listing import AppointmentFilter, Choices
from webapp.audit import service as audit
from webapp.auth.dependencies import DESK, confirmed, signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core.local_time import first_instant
from webapp.core.pagination import cursor_of, neighbours
from webapp.core.routing import Router
from webapp.core.spreadsheets import MEDIA_TYPE, MOST_COUNTED, csv_headers
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, SentForm, local_path
from webapp.exceptions import Invalid
from webapp.i18n import Sentence
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.patients import search
from webapp.patients.exceptions import LikelyDuplicate
from webapp.staff.appointments import presenters
from webapp.staff.appointments.forms import AppointmentFilterForm, AppointmentSearch
from webapp.staff.patients.forms import NewPatientForm
from webapp.staff.patients.new_patient_page import add_patient, show_form
from webapp.staff.patients.presenters import likely_lines

router = Router()

# A list that begins now includes patients who may just be late.
STILL_EXPECTED = timedelta(minutes=15)
# How many of the patients that a search finds are considered.
MOST_PATIENTS = 100
FILTERS = ("from", "until", "doctor", "status", "visit_type", "patient", "flagged", "unconfirmed")
# The parameters of a new booking's address.
NAMED = ("doctor", "visit_type", "patient")


@router.get("/admin/appointments")
def list_appointments(page: CurrentPage) -> Response:
    """The clinic's appointments that match the filters, from now on unless the filters say otherwise; front desk."""
    actor = signed_in(page, *DESK)
    clinic = current_clinic(page)
    form, choices = _filters(page)
    asked = form.search()
    found = _resolve(page, asked, choices, clinic)
    query = page.request.query_params
    cursor = cursor_of(
        before=listing.parse_place(query.get("before", "")), after=listing.parse_place(query.get("after", ""))
    )
    listed = listing.list_appointments(page.session, found.filter, cursor=cursor)
    keep = _filter_parameters(page)
    page.trace(status_service.record_listing, actor, [row.id for row in listed.rows], now=page.now)
    return page.render(
        "staff/appointments/list.html",
        fragment="staff/appointments/_appointment_list.html",
        status=422 if form.errors else 200,
        form=form,
        filtered=not form.is_empty,
        limits=found.limits,
        days=presenters.days_of_list(listed.rows, clinic, actor, by_day=asked.order != "booked", now=page.now),
        earlier=_earlier(page, found, keep) if cursor.place is None else None,
        beyond=cursor.place is not None,
        neighbours=neighbours(listed.beside, "/admin/appointments", **keep),
        first_href=presenters.list_href(keep),
        here=presenters.list_href({**keep, **{name: query.get(name, "")[:60] for name in ("before", "after")}}),
        all_chosen=query.get("chosen") == "all",
        order=asked.order,
        orders={
            order: presenters.list_href({**keep, "sort": order if order != "time" else ""}) for order in ORDER_NAMES
        },
        order_names=ORDER_NAMES,
        jumps=presenters.day_links(clinic.today(page.now), keep),
        export_href=with_query("/admin/appointments.csv", **keep),
        total=listing.count_appointments(page.session, found.filter, most=MOST_COUNTED),
        most_counted=MOST_COUNTED,
    )


@router.get("/admin/appointments.csv")
def export_appointments(page: CurrentPage) -> Response:
    """All rows of the filtered list, as a table; admins, and the export is logged."""
    actor = confirmed(page, "admin")
    clinic = current_clinic(page)
    form, choices = _filters(page)
    found = _resolve(page, form.search(), choices, clinic)
    if found.lacks_patients:
        words = _("More than %(most)d patients match. Enter more of the name, then export.")
        raise Invalid(words % {"most": MOST_PATIENTS})
    page.write(
        audit.record,
        "appointments_exported",
        subject=("clinic", 1),
        actor_user_id=actor.user_id,
        actor_role=actor.role,
        now=page.now,
        address=actor.address,
    )
    total, batches = listing.export(page.database, found.filter)
    return StreamingResponse(
        presenters.csv_table(batches, clinic),
        media_type=MEDIA_TYPE,
        headers=csv_headers(f"appointments-{clinic.today(page.now):%Y-%m-%d}", total),
    )


@router.get("/admin/appointments/new")
def new_booking(page: CurrentPage) -> Response:
    """The booking for a caller, with the choices in this address, for bookmarks; front desk."""
    signed_in(page, *DESK)
    query = page.request.query_params
    return page.redirect(with_query("/desk/booking", **{name: query.get(name) for name in NAMED}))


@router.get("/schedule/patients/new")
def show_new_patient(page: CurrentPage) -> Response:
    """A patient who is new to the clinic, on the way to a booking; doctors."""
    signed_in(page, "doctor")
    return _new_patient_page(page, NewPatientForm(data={"next": page.request.query_params.get("next", "")}))


@router.post("/schedule/patients/new")
def create_patient(page: CurrentPage, sent: SentForm) -> Response:
    """Add the patient and go back to the booking; doctors."""
    return add_patient(page, signed_in(page, "doctor"), sent, show=_new_patient_page, onward=_onward)


ORDER_NAMES: dict[listing.Order, Sentence] = {
    "time": _l("Soonest first"),
    "-time": _l("Latest first"),
    "booked": _l("Newest booking first"),
}


class ResolvedSearch(NamedTuple):
    """The filter for a search, sentences about ignored parts, and whether these are about patients.

    `from_now`: the search has no day, so the list begins with the next appointment.
    """

    filter: AppointmentFilter
    limits: list[str]
    lacks_patients: bool = False
    from_now: bool = False


def _filters(page: Page) -> tuple[AppointmentFilterForm, Choices]:
    choices = listing.find_choices(page.session)
    form = AppointmentFilterForm.of_address(page.request.query_params)
    form.offer(choices)
    return form, choices


def _resolve(page: Page, asked: AppointmentSearch, choices: Choices, clinic: Clinic) -> ResolvedSearch:
    """Look up the doctor and the patients of a search. Without a date it begins now."""
    found = search.search_patients(page.session, asked.patient, limit=MOST_PATIENTS) if asked.patient else None
    limits = _limits_of(found) if found is not None else []
    if asked.reference is not None:
        limits.append(_("A reference finds one appointment; the other filters are ignored."))
    from_now = asked.first is None and asked.last is None
    since = first_instant(asked.first, clinic.zone) if asked.first else None
    wanted = AppointmentFilter(
        since=page.now - STILL_EXPECTED if from_now else since,
        until=first_instant(asked.last + timedelta(days=1), clinic.zone) if asked.last else None,
        # A doctor who does not exist has no appointments.
        doctor_ids=[choices.doctor_id(asked.doctor) or 0] if asked.doctor else None,
        statuses=[asked.status] if asked.status else None,
        visit_type_ids=[asked.visit_type] if asked.visit_type is not None else None,
        patient_ids=[patient.id for patient in found.patients] if found is not None else None,
        reference=asked.reference,
        flagged=asked.flagged,
        order=asked.order,
    )
    lacks_patients = found is not None and found.beside.after is not None
    return ResolvedSearch(wanted, limits, lacks_patients, from_now and asked.reference is None)


def _limits_of(found: search.PatientsFound) -> list[str]:
    """Why the appointments may be of other patients than those who were meant, or not of all of them."""
    limits = []
    if found.similar:
        names = ", ".join(dict.fromkeys(patient.name for patient in found.patients[:5]))
        limits.append(_("No exact match. Similar names: %(names)s.") % {"names": names})
    if found.beside.after is not None:
        limits.append(
            _("More than %(most)d patients match; only the first ones are shown. Enter more of the name.")
            % {"most": MOST_PATIENTS}
        )
    return limits


def _earlier(page: Page, found: ResolvedSearch, keep: Mapping[str, str]) -> tuple[int, str] | None:
    """How many appointments of today come before a list that begins now, and the list with them; None without any."""
    if not found.from_now:
        return None
    clinic = current_clinic(page)
    today = clinic.today(page.now)
    before = found.filter._replace(since=first_instant(today, clinic.zone), until=found.filter.since)
    count = listing.count_appointments(page.session, before, most=MOST_COUNTED)
    return (count, presenters.list_href({**keep, "from": today.isoformat()})) if count else None


def _filter_parameters(page: Page) -> dict[str, str]:
    """The filters and the order, as the address has them."""
    return {name: page.request.query_params.get(name, "")[:100] for name in (*FILTERS, "sort")}


def _onward(form: NewPatientForm, patient_id: int) -> str:
    """The address of the booking, with the patient it is for."""
    parts = urlsplit(local_path(form.next.data or "", default="/schedule"))
    if parts.path != "/book":
        return "/schedule"
    keep = {name: value for name, value in parse_qsl(parts.query) if name != "patient"}
    return with_query(parts.path, **keep, patient=patient_id)


def _new_patient_page(
    page: Page, form: NewPatientForm, *, likely: LikelyDuplicate | None = None, status: int = 200
) -> Response:
    lines = [line._replace(email="", href=_onward(form, line.id)) for line in likely_lines(page, likely)]
    above = ("/schedule", _("My day"))
    return show_form(page, form, lines, action="/schedule/patients/new", above=above, cancel="", status=status)

"""Finding a doctor and a free time: the first page, the list, the profile and its calendar. All are public."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response
from wtforms import SelectChoice  # type: ignore[attr-defined]

from webapp.clinic.dependencies import current_clinic
from webapp.core.i18n import gettext as _
from webapp.core.pagination import clamp, paginate
from webapp.core.parsing import whole_number
from webapp.core.text import plain
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.scheduling import booking_preview, week_calendar
from webapp.scheduling.dependencies import chosen_patient, current_viewer, other_patient
from webapp.scheduling.facts import BookingRequest, FreeTime, next_free
from webapp.scheduling.forms import FinderForm
from webapp.scheduling.slots import number_to_day, to_datetime
from webapp.scheduling.week_calendar import booking_address, iso_minute

router = APIRouter()

DAYS_SHOWN = 3
TIMES_A_DAY = 2
TIMES_READ = 200
PAGE_SIZE = 20
# To put a long list in order, the next few days nearly always suffice.
ORDER_LOOK_DAYS = 4
NEVER = float("inf")


@router.get("/")
@router.get("/doctors")
def find(page: CurrentPage) -> Response:
    """The doctors and their next free times; everybody."""
    clinic = current_clinic(page)
    form = FinderForm(page.request.query_params)
    listed = doctors.list_doctors(page.session)
    _fill_choices(form, listed)
    words = plain(form.q.data or "").split()
    wishes = [wish for doctor in listed if (wish := _match(doctor, form, words)) is not None]
    number = clamp(whole_number(page.request.query_params.get("page")) or 1, len(wishes), PAGE_SIZE)
    patient_id = chosen_patient(page)
    viewer = current_viewer(page, patient_id)
    free = next_free(page.session, clinic, wishes, now=page.now, look_days=ORDER_LOOK_DAYS, viewer=viewer)
    first = {doctor_id: times[0] for doctor_id, times in free.items() if times}
    # Whoever can be seen first comes first; doctors without a free time keep the clinic's order at the end.
    wishes.sort(key=lambda wish: first[wish.doctor.id].start if wish.doctor.id in first else NEVER)
    shown = wishes[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    free = next_free(page.session, clinic, shown, now=page.now, count=TIMES_READ, viewer=viewer)
    soonest = wishes[0] if wishes and wishes[0].doctor.id in first else None
    return page.render(
        "scheduling/find.html",
        fragment="scheduling/_doctor_list.html",
        public=True,
        swapped=page.wants_fragment,
        earliest=_earliest(page, first[soonest.doctor.id], soonest, patient_id) if soonest else None,
        for_whom=other_patient(page, patient_id),
        filters=form,
        filtered=any(form.data.values()),
        count=len(wishes),
        doctors=[_card(page, wish, free[wish.doctor.id], patient_id) for wish in shown],
        pages=paginate("/doctors", number, len(wishes), PAGE_SIZE, **form.data, patient=patient_id),
    )


def _fill_choices(form: FinderForm, listed: list[DoctorRow]) -> None:
    specialties = sorted({doctor.specialty for doctor in listed})
    kinds = {kind.name for doctor in listed for kind in doctor.visit_types if kind.online}
    languages = sorted({language for doctor in listed for language in doctor.languages})
    form.specialty.choices = _choices(_("Any specialty"), specialties)
    form.visit_type.choices = _choices(_("Any visit"), sorted(kinds))
    form.language.choices = _choices(_("Any language"), languages)


def _choices(nothing: str, names: list[str]) -> list[SelectChoice]:
    return [SelectChoice("", nothing), *(SelectChoice(name, name) for name in names)]


def _match(doctor: DoctorRow, form: FinderForm, words: list[str]) -> BookingRequest | None:
    """The visit to look for with this doctor, or None when a filter leaves them out."""
    if not doctor.fits(words, specialty=form.specialty.data, language=form.language.data):
        return None
    wanted = form.visit_type.data
    kind = next((each for each in doctor.visit_types if each.online and (not wanted or each.name == wanted)), None)
    return BookingRequest(doctor, kind) if kind is not None else None


def _earliest(page: Page, time: FreeTime, wish: BookingRequest, patient_id: int | None) -> dict[str, Any]:
    clinic, start = current_clinic(page), to_datetime(time.start)
    return {
        "words": week_calendar.words_for(start, clinic, now=page.now),
        "href": booking_address(wish.doctor.slug, wish.visit_type.id, patient_id) + iso_minute(time.start),
        "visit": booking_preview.visit_of(wish, start),
    }


def _card(page: Page, wish: BookingRequest, times: list[FreeTime], patient_id: int | None) -> dict[str, Any]:
    """One doctor of the list, with the first times of the first days that have any."""
    clinic, doctor, kind = current_clinic(page), wish.doctor, wish.visit_type
    address = booking_address(doctor.slug, kind.id, patient_id)
    by_day: dict[int, list[FreeTime]] = {}
    for time in times:
        if time.day not in by_day and len(by_day) == DAYS_SHOWN:
            break
        by_day.setdefault(time.day, []).append(time)
    days = []
    for number, here in by_day.items():
        name, short = week_calendar.day_title(number_to_day(number), clinic, now=page.now)
        shown = [
            (
                week_calendar.LABELS[time.minute],
                address + iso_minute(time.start),
                f"{week_calendar.LABELS[time.minute]}, {name} {short}, {doctor.name}",
            )
            for time in here[:TIMES_A_DAY]
        ]
        days.append((name, short, shown))
    return {
        "name": doctor.name,
        "specialty": doctor.specialty,
        "languages": ", ".join(doctor.languages),
        "tint": doctor.tint,
        "href": with_query(f"/doctors/{doctor.slug}", visit_type=kind.id, patient=patient_id),
        "days": days,
        "none": _("No free times in the next %(days)d days") % {"days": clinic.horizon_days},
    }

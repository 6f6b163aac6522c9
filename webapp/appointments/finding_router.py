"""Finding a doctor and a free time: the first page, the list, the profile and its calendar. All are public."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.responses import Response
from wtforms import SelectChoice  # type: ignore[attr-defined]

from webapp.appointments import calendar, views
from webapp.appointments.availability import FreeTime, Wish, next_free
from webapp.appointments.calendar import booking_address, iso_minute
from webapp.appointments.forms import FinderForm, instant, whole_number
from webapp.appointments.slots import number_to_day, to_datetime
from webapp.auth.dependencies import current_actor
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.addresses import with_query
from webapp.core.i18n import gettext as _
from webapp.core.pagination import clamp, paginate
from webapp.core.security import is_clean_text
from webapp.core.text import plain
from webapp.core.web import CurrentPage, Page
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import NotFound

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
    patient_id = views.chosen_patient(page)
    whose = views.seen_by(page, patient_id)
    free = next_free(page.session, clinic, wishes, now=page.now, look_days=ORDER_LOOK_DAYS, **whose)
    first = {doctor_id: times[0] for doctor_id, times in free.items() if times}
    # Whoever can be seen first comes first; doctors without a free time keep the clinic's order at the end.
    wishes.sort(key=lambda wish: first[wish.doctor.id].start if wish.doctor.id in first else NEVER)
    shown = wishes[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    free = next_free(page.session, clinic, shown, now=page.now, count=TIMES_READ, **whose)
    soonest = wishes[0] if wishes and wishes[0].doctor.id in first else None
    return page.render(
        "doctors/find.html",
        fragment="doctors/_doctor_list.html",
        public=True,
        swapped=page.wants_fragment,
        earliest=_earliest(page, first[soonest.doctor.id], soonest, patient_id) if soonest else None,
        for_whom=views.for_whom(page, patient_id),
        filters=form,
        filtered=any(form.data.values()),
        count=len(wishes),
        doctors=[_card(page, wish, free[wish.doctor.id], patient_id) for wish in shown],
        pages=paginate("/doctors", number, len(wishes), PAGE_SIZE, **form.data, patient=patient_id),
    )


@router.get("/doctors/{slug}")
def profile(page: CurrentPage, slug: str) -> Response:
    """A doctor, and the calendar of a week; everybody."""
    return _profile(page, slug, fragment=None)


@router.get("/doctors/{slug}/calendar")
def profile_calendar(page: CurrentPage, slug: str) -> Response:
    """The calendar alone for HTMX, which gets the address of the whole page to show; else the whole page."""
    return _profile(page, slug, fragment="doctors/_calendar.html")


def _profile(page: Page, slug: str, *, fragment: str | None) -> Response:
    clinic = current_clinic(page)
    doctor = doctors.get_doctor(page.session, slug)
    query = page.request.query_params
    week = calendar.parse_week(query.get("week", ""))
    if query.get("week") and week is None:
        raise NotFound(_("There is no such week in the calendar."))
    wanted = query.get("visit_type")
    kind = doctor.visit_type(whole_number(wanted) if wanted else None)
    actor = current_actor(page)
    by_staff = actor is not None and actor.is_staff
    if kind is None or not (kind.online or by_staff):
        kind = doctor.visit_type(None)
    if kind is None and by_staff and doctor.visit_types:
        kind = doctor.visit_types[0]
    if kind is None:
        # Every visit with this doctor is booked by telephone; the page says so in place of a calendar.
        return page.render(
            "doctors/profile.html",
            public=True,
            doctor=_about(doctor, None),
            for_whom=None,
            cancel_notice=clinic.change_until_minutes,
            banner=None,
            calendar=None,
        )
    path = f"/doctors/{doctor.slug}"
    patient_id = views.chosen_patient(page)
    keep: dict[str, object] = {"visit_type": kind.id} if wanted else {}
    if patient_id is not None:
        keep["patient"] = patient_id
    view = calendar.week_calendar(
        page.session,
        clinic,
        Wish(doctor, kind),
        calendar.Place(
            page=path,
            fragment=f"{path}/calendar",
            slot_address=booking_address(doctor.slug, kind.id, patient_id),
            keep=keep,
            visit_types=[(each.id, each.name, each.minutes) for each in doctor.visit_types if each.online or by_staff],
        ),
        week=week,
        now=page.now,
        **views.seen_by(page, patient_id),
    )
    next_words = None
    if view.first_free is not None:
        words = calendar.words_for(view.first_free, clinic, now=page.now).removeprefix("on ")
        next_words = words[:1].upper() + words[1:]
    shown = with_query(path, **keep, week=view.week)
    return page.render(
        "doctors/profile.html",
        fragment=fragment,
        public=True,
        headers={"hx-push-url": shown} if fragment is not None and page.wants_fragment else None,
        doctor=_about(doctor, next_words),
        for_whom=views.for_whom(page, patient_id),
        cancel_notice=clinic.change_until_minutes,
        banner=view.banner,
        calendar=view,
    )


def describe_destination(page: Page, address: str) -> str | None:
    """In words, the visit that a /book address would book: shown while the person signs in."""
    path, _mark, query = address.partition("?")
    if path != "/book" or not is_clean_text(query.encode()):
        return None
    values = {name: found[0] for name, found in parse_qs(query).items()}
    start = instant(values.get("starts_at"))
    if start is None:
        return None
    clinic = current_clinic(page)
    try:
        doctor = doctors.get_doctor(page.session, values.get("doctor", ""))
    except NotFound:
        return None
    when = {"day": formats.day_long(start, clinic.zone), "time": formats.clock(start, clinic.zone)}
    return _("%(day)s, %(time)s with %(doctor)s") % {**when, "doctor": doctor.name}


def _fill_choices(form: FinderForm, listed: list[DoctorRow]) -> None:
    specialties = sorted({doctor.specialty for doctor in listed})
    kinds = {kind.name for doctor in listed for kind in doctor.visit_types if kind.online}
    languages = sorted({language for doctor in listed for language in doctor.languages})
    form.specialty.choices = _choices(_("Any specialty"), specialties)
    form.visit_type.choices = _choices(_("Any visit"), sorted(kinds))
    form.language.choices = _choices(_("Any language"), languages)


def _choices(nothing: str, names: list[str]) -> list[SelectChoice]:
    return [SelectChoice("", nothing), *(SelectChoice(name, name) for name in names)]


def _match(doctor: DoctorRow, form: FinderForm, words: list[str]) -> Wish | None:
    """The visit to look for with this doctor, or None when a filter leaves them out."""
    if not doctor.fits(words, specialty=form.specialty.data, language=form.language.data):
        return None
    wanted = form.visit_type.data
    kind = next((each for each in doctor.visit_types if each.online and (not wanted or each.name == wanted)), None)
    return Wish(doctor, kind) if kind is not None else None


def _about(doctor: DoctorRow, next_words: str | None) -> dict[str, Any]:
    return {
        "name": doctor.name,
        "tint": doctor.tint,
        "specialty": doctor.specialty,
        "bio": doctor.bio,
        "room": doctor.room,
        "languages": ", ".join(doctor.languages),
        "next_free": next_words,
    }


def _earliest(page: Page, time: FreeTime, wish: Wish, patient_id: int | None) -> dict[str, Any]:
    clinic, start = current_clinic(page), to_datetime(time.start)
    return {
        "words": calendar.words_for(start, clinic, now=page.now),
        "href": booking_address(wish.doctor.slug, wish.visit_type.id, patient_id) + iso_minute(time.start),
        "visit": views.visit_of(wish, start),
    }


def _card(page: Page, wish: Wish, times: list[FreeTime], patient_id: int | None) -> dict[str, Any]:
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
        name, short = calendar.day_title(number_to_day(number), clinic, now=page.now)
        shown = [
            (
                calendar.LABELS[time.minute],
                address + iso_minute(time.start),
                f"{calendar.LABELS[time.minute]}, {name} {short}, {doctor.name}",
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

"""The clinic's list of appointments as shown and as exported, and why a time is not offered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

from webapp.appointments.booking import statuses
from webapp.appointments.booking.listing import AppointmentRow
from webapp.appointments.impact import promised_hours
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats, phones
from webapp.core.codes import REASONS
from webapp.core.spreadsheets import csv_pieces
from webapp.core.urls import with_query
from webapp.core.web import Page
from webapp.i18n import gettext as _
from webapp.scheduling.explain import Explanation
from webapp.scheduling.facts import BookingRequest
from webapp.scheduling.promised_hours import find_broken


class StaffAppointmentLine(NamedTuple):
    """One appointment as the list shows it. Instants are UTC; `day` is 'Tue 3 Mar 2026', `booked` the day of booking.

    `steps` are the likely statuses, which one tap sets. `changeable`: it can be moved and cancelled; `choosable`: it
    can be chosen for a bulk action.
    """

    reference: str
    version: int
    status: str
    starts_at: datetime
    day: str
    patient_name: str
    patient_phone: str
    patient_href: str
    doctor_name: str
    doctor_href: str
    visit_type_name: str
    flagged_why: str
    booked: str
    steps: list[str]
    may_undo: bool
    changeable: bool
    choosable: bool

    @property
    def href(self) -> str:
        """Its page."""
        return f"/appointments/{self.reference}"

    @property
    def appointment(self) -> StaffAppointmentLine:
        """The line itself: the macros for status buttons take a card with this member."""
        return self


class DayOfList(NamedTuple):
    """The appointments of one day under its heading, which is '' if the list is not ordered by day."""

    title: str
    lines: list[StaffAppointmentLine]


class PromiseLine(NamedTuple):
    """An appointment with another hour than the promised one: both in words, and why it could not be corrected."""

    reference: str
    patient_name: str
    doctor_name: str
    promised: str
    shown: str
    problem: str


class DayLink(NamedTuple):
    """A link to days that are often wanted; `is_shown`: the list shows them now."""

    words: str
    href: str
    is_shown: bool


class SettingsLink(NamedTuple):
    """Where a rule is set: the name of the page, and its address."""

    words: str
    href: str


class ShownRule(NamedTuple):
    """A rule that refuses a time, where it is set, and the appointments in the way: reference and address."""

    sentence: str
    place: SettingsLink | None
    appointments: list[tuple[str, str]]


class ShownAnswer(NamedTuple):
    """Why one instant is not offered: the rules that refuse it; empty if it can be booked."""

    title: str
    rules: list[ShownRule]
    book_href: str


def list_href(keep: Mapping[str, str]) -> str:
    """The list of appointments with these filters."""
    return with_query("/admin/appointments", **keep)


def days_of_list(
    rows: Iterable[AppointmentRow], clinic: Clinic, actor: Actor, *, by_day: bool, now: datetime
) -> list[DayOfList]:
    """The rows in their order, in days with headings if the list is in the order of time."""
    today = clinic.today(now)

    def day_of(row: AppointmentRow) -> date | None:
        return formats.local_date(row.starts_at, clinic.zone) if by_day else None

    return [
        DayOfList(_day_title(day, today, clinic.zone), [_line(row, clinic, actor, now) for row in of_day])
        for day, of_day in groupby(rows, day_of)
    ]


def _day_title(day: date | None, today: date, zone: ZoneInfo) -> str:
    if day is None:
        return ""
    words = {0: _("Today"), 1: _("Tomorrow"), -1: _("Yesterday")}.get((day - today).days)
    title = formats.day_full(day, zone)
    return f"{words} · {title}" if words else title


def _line(row: AppointmentRow, clinic: Clinic, actor: Actor, now: datetime) -> StaffAppointmentLine:
    day = formats.local_date(row.starts_at, clinic.zone)
    active = statuses.may_take_place(row.status)
    return StaffAppointmentLine(
        reference=row.reference,
        version=row.version,
        status=row.status,
        starts_at=row.starts_at,
        day=formats.day_brief_and_year(day, clinic.zone),
        patient_name=row.patient_name,
        patient_phone=row.patient_phone,
        patient_href=f"/admin/patients/{row.patient_id}",
        doctor_name=row.doctor_name,
        doctor_href=with_query(f"/board/{day}", doctor=row.doctor_slug),
        visit_type_name=row.visit_type_name,
        flagged_why=row.flagged_why if active else "",
        booked=formats.day_month_year(row.created_at, clinic.zone),
        steps=_likely(statuses.possible_statuses(row, actor, clinic, now)),
        may_undo=not active and statuses.may_undo(row, actor),
        changeable=active,
        choosable=active and row.starts_at > now,
    )


def _likely(possible: Sequence[str]) -> list[str]:
    """Of the statuses that an appointment may take, those that a row has room for."""
    if "arrived" in possible:
        return [each for each in possible if each in {"arrived", "no_show"}]
    return [each for each in possible if each in {"completed", "no_show"}] or list(possible)


def day_links(today: date, keep: Mapping[str, str]) -> list[DayLink]:
    """Links to days that are often wanted, with the other filters kept."""
    monday = today - timedelta(days=today.weekday())
    spans = [
        (_("Today"), today, today),
        (_("Tomorrow"), today + timedelta(days=1), today + timedelta(days=1)),
        (_("This week"), monday, monday + timedelta(days=6)),
    ]
    links = []
    for words, first, last in spans:
        span = {"from": first.isoformat(), "until": last.isoformat()}
        shown = all(keep[name] == value for name, value in span.items())
        links.append(DayLink(words, list_href({**keep, **span}), shown))
    ahead = {**keep, "from": "", "until": ""}
    return [*links, DayLink(_("Upcoming"), list_href(ahead), not (keep["from"] or keep["until"]))]


def csv_table(batches: Iterable[list[AppointmentRow]], clinic: Clinic) -> Iterator[str]:
    """The rows as a table for spreadsheets, in pieces."""
    columns = [_("Starts (UTC)"), _("Day"), _("Time"), _("Ends"), _("Reference"), _("Patient"), _("Born")]
    columns += [_("Phone"), _("Doctor"), _("Visit type"), _("Status"), _("Flag"), _("Booked on")]
    columns += [_("Exception"), _("Squeezed in")]
    return csv_pieces(columns, ([_cells(row, clinic) for row in rows] for rows in batches))


def _cells(row: AppointmentRow, clinic: Clinic) -> list[str]:
    local, ends, booked = (each.astimezone(clinic.zone) for each in (row.starts_at, row.ends_at, row.created_at))
    texts = [row.patient_name, str(row.patient_birth_date or "")]
    texts += [phones.shown(row.patient_phone, clinic.home_country), row.doctor_name]
    texts += [row.visit_type_name, statuses.word_of(row.status, staff=True), REASONS.words(row.flagged_why)]
    when = [formats.iso(row.starts_at), f"{local:%Y-%m-%d}", f"{local:%H:%M}", f"{ends:%H:%M}", row.reference]
    return [*when, *texts, f"{booked:%Y-%m-%d}", row.override_reason, row.squeeze_reason]


def shown_answer(answer: Explanation, request: BookingRequest, patient_id: int | None, *, actor: Actor) -> ShownAnswer:
    """An answer with links to the booking and, for those who may change it, to where each rule is set."""
    rules = [
        ShownRule(
            sentence,
            _place(code, request) if actor.manages else None,
            [(reference, f"/appointments/{reference}") for reference in answer.in_the_way.get(code, [])],
        )
        for code, sentence in answer.refusals
    ]
    book_href = with_query(
        "/book",
        doctor=request.doctor.slug,
        visit_type=request.visit_type.id,
        starts_at=formats.iso(answer.starts_at),
        patient=patient_id,
    )
    return ShownAnswer(answer.title.rstrip(":"), rules, book_href)


def _place(code: str, request: BookingRequest) -> SettingsLink | None:
    """Where a rule is set; None for the rules of time itself."""
    doctor = f"/admin/doctors/{request.doctor.slug}"
    rules = SettingsLink(_("Booking rules"), "/admin/clinic/rules")
    places = {
        "doctor_inactive": SettingsLink(_("The doctor"), doctor),
        "visit_type_not_offered": SettingsLink(_("The doctor’s visit types"), doctor),
        "visit_type_not_online": SettingsLink(_("Visit types"), "/admin/visit-types"),
        "off_grid": SettingsLink(_("The doctor’s start times"), doctor),
        "too_soon": rules,
        "too_far_ahead": rules,
        "patient_gap": rules,
        "too_many_visits": rules,
        "closure": SettingsLink(_("Closures"), "/admin/closures"),
        "clinic_closed": SettingsLink(_("Opening hours"), "/admin/clinic/opening-hours"),
        "outside_working_hours": SettingsLink(_("Working hours"), f"{doctor}/hours"),
        "time_off": SettingsLink(_("Time off"), f"{doctor}/time-off"),
    }
    return places.get(code)


def promise_lines(page: Page, problems: Mapping[int, str], *, limit: int) -> tuple[int, list[PromiseLine]]:
    """How many appointments have another hour than the promised one, and the first of them."""
    clinic = current_clinic(page)
    count, broken = find_broken(page.session, clinic, now=page.now, limit=limit)
    names = promised_hours.name_people(page.session, broken)
    return count, [
        PromiseLine(
            each.reference,
            *names[each.id],
            _day_and_time(each.promised, clinic.zone),
            formats.day_and_time(each.starts_at, clinic.zone),
            problems.get(each.id, ""),
        )
        for each in broken
    ]


def _day_and_time(wall: datetime, zone: ZoneInfo) -> str:
    """'Wednesday 11 March at 09:20', of a time on the wall clock."""
    return _("%(day)s at %(time)s") % {"day": formats.day_long(wall.date(), zone), "time": f"{wall:%H:%M}"}

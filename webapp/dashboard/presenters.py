"""Texts and figures of the overview: what needs attention, the most urgent first, and the last weeks as bars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal, NamedTuple

from webapp.appointments.impact.pending_decisions import count_waiting
from webapp.auth.dependencies import signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.codes import REASONS
from webapp.core.urls import with_query
from webapp.core.web import Page
from webapp.dashboard import queries
from webapp.dashboard.schemas import OverviewCounts, SetupState, WeekCounts
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.notifications import queries as outbox
from webapp.notifications.exceptions import TROUBLES
from webapp.scheduling.promised_hours import find_broken


class Matter(NamedTuple):
    """Something that needs attention: a title, a text, and a link to the page that fixes it."""

    tone: Literal["bad", "warn", "info"]
    title: str
    text: str
    href: str
    action: str


class WeekBar(NamedTuple):
    """One week as a bar: its numbers and its position.

    `x`, `middle` and `width` are per cent of the drawing's width; `height` and `top` are pixels.
    """

    monday: date
    number: int
    appointments: int
    no_shows: int
    x: float
    middle: float
    width: float
    height: int
    top: int
    current: bool


def on_day(page: Page, days_ahead: int) -> dict[str, str]:
    """The filter of the list of appointments that shows one day."""
    day = current_clinic(page).today(page.now) + timedelta(days=days_ahead)
    return {"from": day.isoformat(), "until": day.isoformat()}


def list_matters(page: Page, counts: OverviewCounts) -> list[Matter]:
    """The matters that need attention, the most urgent first."""
    return [
        *_unsafe(page),
        *_missing(page, counts.setup),
        *_broken_promises(page),
        *_interrupted(page, counts),
        *_flagged(page),
        *_unconfirmed(page, counts),
        *_messages(page, counts),
        *_unreachable(page),
        *_grown_up(page),
        *_unreadable(page),
        *_undelivered(page),
        *_duplicates(counts),
    ]


def _unsafe(page: Page) -> list[Matter]:
    """Settings that make this installation unsafe, or lock people out."""
    matters = []
    if page.settings.environment == "production" and current_clinic(page).demo:
        text = _("Anyone can look up the password of its accounts. Start with an empty database for a real clinic.")
        matters.append(Matter("bad", _("This is a demo clinic"), text, "/admin/users", _("Accounts")))
    if proxy := page.request.app.state.unknown_proxy.address:
        text = _(
            "Requests come through a proxy at %(address)s. As long as DOCKET_TRUSTED_PROXIES does not name it, a few "
            "wrong passwords keep everyone from signing in."
        )
        title = _("A proxy is not in the settings")
        matters.append(Matter("bad", title, text % {"address": proxy}, "/admin/audit", _("Audit log")))
    return matters


def _missing(page: Page, setup: SetupState) -> list[Matter]:
    """The settings that a new clinic still needs before a patient can book, in the order of entering them.

    The time zone comes first: with a wrong one, all hours and appointments would be at wrong instants.
    """
    steps = (
        (setup.opening_hours, _("Set the clinic’s opening hours"), "/admin/clinic/opening-hours", _("Opening hours")),
        (setup.visit_types, _("Add the visit types that you offer"), "/admin/visit-types/new", _("Visit types")),
        (setup.doctors, _("Add your first doctor"), "/admin/doctors/new", _("New doctor")),
        (setup.working_hours, _("Set your doctors’ working hours"), "/admin/doctors", _("Doctors")),
    )
    missing = [
        Matter("info", title, _("Nothing can be booked before that."), href, action)
        for is_done, title, href, action in steps
        if not is_done
    ]
    clinic = current_clinic(page)
    if clinic.zone_confirmed:
        return missing
    text = _("All times are %(place)s until you choose another one.") % {"place": clinic.zone_label}
    return [
        Matter("info", _("Set the clinic’s time zone"), text, "/admin/clinic/time-zone", _("Time zone")),
        *missing,
    ]


def _broken_promises(page: Page) -> list[Matter]:
    """Appointments for which the clinic's clock shows another hour than their patients were told."""
    clinic = current_clinic(page)
    count, broken = find_broken(page.session, clinic, now=page.now, limit=1)
    if not count:
        return []
    first = broken[0]
    title = ngettext(
        "%(n)d appointment is not at its promised time", "%(n)d appointments are not at their promised times", count
    )
    text = _("The clocks have changed. The next one was promised for %(promised)s, and now starts on %(shown)s.")
    times = {"promised": f"{first.promised:%H:%M}", "shown": formats.day_and_time(first.starts_at, clinic.zone)}
    href = "/admin/appointments/promised-hours"
    return [Matter("bad", title % {"n": count}, text % times, href, _("Correct the times"))]


def _interrupted(page: Page, counts: OverviewCounts) -> list[Matter]:
    """Decisions that were made together and are not carried out yet."""
    count = count_waiting(page.session, signed_in(page, "admin")) if counts.decisions else 0
    if not count:
        return []
    return [
        Matter(
            "warn",
            ngettext(
                "%(n)d decision about an appointment is not carried out yet",
                "%(n)d decisions about appointments are not carried out yet",
                count,
            )
            % {"n": count},
            _("Someone is moving or cancelling many appointments now, or the work was interrupted."),
            "/decisions",
            _("View progress"),
        )
    ]


def _flagged(page: Page) -> list[Matter]:
    """Appointments that no longer fit working hours, leave or closures."""
    count, flagged = queries.find_flagged(page.session, now=page.now)
    if not count:
        return []
    first = flagged[0]
    when = formats.day_and_time(first.starts_at, current_clinic(page).zone)
    return [
        Matter(
            "bad",
            ngettext("%(n)d appointment needs a decision", "%(n)d appointments need a decision", count) % {"n": count},
            _("The next is %(name)s with %(doctor)s, %(when)s. %(why)s")
            % {"name": first.patient_name, "doctor": first.doctor_name, "when": when, "why": REASONS.words(first.why)},
            "/admin/appointments?flagged=1",
            _("Show appointments"),
        )
    ]


def _unconfirmed(page: Page, counts: OverviewCounts) -> list[Matter]:
    """Appointments of tomorrow that are not confirmed."""
    count = counts.unconfirmed
    if not count:
        return []
    return [
        Matter(
            "warn",
            ngettext(
                "%(n)d appointment tomorrow is not confirmed", "%(n)d appointments tomorrow are not confirmed", count
            )
            % {"n": count},
            _("A call today can fill a gap tomorrow."),
            with_query("/admin/appointments", **on_day(page, 1), status="scheduled"),
            _("Show appointments"),
        )
    ]


def _messages(page: Page, counts: OverviewCounts) -> list[Matter]:
    """Problems with the delivery of messages."""
    matters = []
    if not page.settings.smtp_url and page.settings.environment == "production":
        text = _("No mail server is set up, so each is kept as a file. The setting is DOCKET_SMTP_URL.")
        matters.append(Matter("bad", _("Emails are not being sent"), text, "/admin/messages", _("Show messages")))
    count = counts.dead
    if count:
        title = ngettext("%(n)d message could not be delivered", "%(n)d messages could not be delivered", count)
        text = _("These are from the last 14 days. The recipients have not been told.")
        matters.append(Matter("bad", title % {"n": count}, text, "/admin/messages?state=dead", _("Show messages")))
    standstill = outbox.find_standstill(page.session, now=page.now)
    if standstill is not None:
        when = formats.day_and_time(standstill.since, current_clinic(page).zone)
        text = TROUBLES.words(standstill.last_error) or _(
            "No delivery has been attempted. Is the worker running? Its command is “docket worker”."
        )
        title = _("Messages have been waiting since %(when)s") % {"when": when}
        matters.append(Matter("bad", title, text, "/admin/messages?state=trouble", _("Show messages")))
    return matters


def _unreachable(page: Page) -> list[Matter]:
    """Patients with an appointment soon and neither e-mail address nor telephone number."""
    count, found = queries.find_unreachable(page.session, now=page.now)
    zone = current_clinic(page).zone
    matters = [
        Matter(
            "warn",
            _("%(name)s has no contact details") % {"name": patient.name},
            _("There is no phone number or email address. The next appointment is %(when)s.")
            % {"when": formats.day_and_time(patient.starts_at, zone)},
            f"/admin/patients/{patient.patient_id}/edit",
            _("Add contact details"),
        )
        for patient in found
    ]
    rest = count - len(found)
    more = ngettext("%(n)d more patient has no contact details.", "%(n)d more patients have no contact details.", rest)
    return _and_more(matters, more, rest)


def _grown_up(page: Page) -> list[Matter]:
    """Young people whom the clinic reaches only through a guardian who loses access."""
    count, found = queries.find_grown_up(page.session, now=page.now)
    zone = current_clinic(page).zone
    matters = []
    for patient in found:
        day = formats.day_month_year(patient.until, zone)
        ahead = _("A guardian books for them until %(day)s. Ask for their own email address, so that we can tell them.")
        over = _("A guardian booked for them until %(day)s. Ask for their own email address and phone number.")
        text = (ahead if patient.until > page.now else over) % {"day": day}
        title = _("Contact details needed: %(name)s") % {"name": patient.name}
        matters.append(
            Matter("warn", title, text, f"/admin/patients/{patient.patient_id}/edit", _("Add contact details"))
        )
    rest = count - len(found)
    more = ngettext(
        "%(n)d more young person has no contact details.", "%(n)d more young people have no contact details.", rest
    )
    return _and_more(matters, more, rest)


def _unreadable(page: Page) -> list[Matter]:
    """Patients whose telephone number was typed before Docket read numbers, and cannot be read."""
    count, found = queries.find_unreadable(page.session)
    matters = [
        Matter(
            "info",
            _("%(name)s’s phone number is not complete") % {"name": patient.name},
            _("The record says “%(phone)s”, which can’t be called.") % {"phone": patient.phone},
            f"/admin/patients/{patient.patient_id}/edit",
            _("Correct phone number"),
        )
        for patient in found
    ]
    rest = count - len(found)
    more = ngettext("%(n)d more patient has such a number.", "%(n)d more patients have such a number.", rest)
    return _and_more(matters, more, rest)


def _undelivered(page: Page) -> list[Matter]:
    """Patients with an appointment soon whose messages are not delivered."""
    count, found = queries.find_undelivered(page.session, now=page.now)
    zone = current_clinic(page).zone
    matters = [
        Matter(
            "warn",
            _("%(name)s gets no messages") % {"name": patient.name},
            _("The last one to %(address)s could not be delivered. %(why)s The next appointment is %(when)s.")
            % {
                "address": patient.address,
                # A mail server's answer seldom ends like a sentence.
                "why": f"{TROUBLES.words(patient.why).rstrip('.')}.",
                "when": formats.day_and_time(patient.starts_at, zone),
            },
            f"/admin/patients/{patient.patient_id}/edit",
            _("Correct the address"),
        )
        for patient in found
    ]
    rest = count - len(found)
    more = ngettext("%(n)d more patient gets no messages.", "%(n)d more patients get no messages.", rest)
    return _and_more(matters, more, rest)


def _duplicates(counts: OverviewCounts) -> list[Matter]:
    """Pairs of records that may be of one person."""
    count = counts.pairs
    if not count:
        return []
    title = ngettext("%(n)d possible duplicate", "%(n)d possible duplicates", count) % {"n": count}
    text = _("Two records may belong to the same person. Compare them, and join them if they do.")
    return [Matter("info", title, text, "/admin/patients/duplicates", _("Compare"))]


def _and_more(matters: list[Matter], more: str, rest: int) -> list[Matter]:
    """The matters; if there are `rest` more, their number is added to the text of the last one."""
    if rest <= 0:
        return matters
    last = matters[-1]
    return [*matters[:-1], last._replace(text=f"{last.text} {more % {'n': rest}}")]


def bars_of(weeks: Sequence[WeekCounts]) -> list[WeekBar]:
    """The weeks as bars, in per cent of the tallest one and of the width, for a drawing without a fixed width."""
    tallest = max((week.appointments for week in weeks), default=0) or 1
    width = 100 / max(1, len(weeks))
    return [
        WeekBar(
            monday=week.monday,
            number=week.monday.isocalendar().week,
            appointments=week.appointments,
            no_shows=week.no_shows,
            x=round(at * width + width * 0.15, 2),
            middle=round(at * width + width / 2, 2),
            width=round(width * 0.7, 2),
            height=round(130 * week.appointments / tallest),
            top=160 - round(130 * week.appointments / tallest),
            current=at == len(weeks) - 1,
        )
        for at, week in enumerate(weeks)
    ]

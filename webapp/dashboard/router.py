"""What the admin sees first: what needs attention, today, and how the last weeks went."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core import formats
from webapp.core.i18n import gettext as _
from webapp.core.i18n import ngettext
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.dashboard import queries
from webapp.dashboard.schemas import Setup, Week
from webapp.notifications import queries as outbox

router = APIRouter()


@router.get("/admin")
def overview(page: CurrentPage) -> Response:
    """The overview; admins."""
    actor = signed_in(page, "admin")
    clinic = current_clinic(page)
    setup = queries.read_setup(page.session)
    matters = [*_missing(setup), *_matters(page)]
    return page.render(
        "dashboard/overview.html",
        fragment="dashboard/_overview.html",
        name=actor.name,
        day=clinic.today(page.now),
        now=page.now,
        matters=matters,
        mail_kept=not page.settings.smtp_url,
        ready=setup.is_done,
        today=queries.read_today(page.session, clinic, now=page.now),
        today_href=with_query("/admin/appointments", **_on(page, 0)),
        weeks=_bars(queries.read_weeks(page.session, clinic, now=page.now)),
    )


def _on(page: Page, days_ahead: int) -> dict[str, str]:
    """The filter of the list of appointments that shows one day."""
    day = current_clinic(page).today(page.now) + timedelta(days=days_ahead)
    return {"from": day.isoformat(), "until": day.isoformat()}


def _missing(setup: Setup) -> list[dict[str, Any]]:
    """What a new clinic still has to enter before anybody can book, in the order in which it is entered."""
    steps = (
        (setup.opening_hours, _("Say when the clinic is open"), "/admin/clinic/opening-hours", _("Opening hours")),
        (setup.visit_types, _("Add the kinds of visit that you offer"), "/admin/visit-types/new", _("Visit types")),
        (setup.doctors, _("Add your first doctor"), "/admin/doctors/new", _("New doctor")),
        (setup.working_hours, _("Say when your doctors work"), "/admin/doctors", _("Doctors")),
    )
    return [
        {"tone": "info", "title": title, "text": _("Nobody can book before that."), "href": href, "deed": deed}
        for is_done, title, href, deed in steps
        if not is_done
    ]


def _matters(page: Page) -> list[dict[str, Any]]:
    """What needs somebody's attention, the most urgent first; nothing that is in order is mentioned."""
    clinic = current_clinic(page)
    matters = []
    count, flagged = queries.find_flagged(page.session, now=page.now)
    if count:
        first = flagged[0]
        when = formats.day_and_time(first.starts_at, clinic.zone)
        matters.append(
            {
                "tone": "bad",
                "title": ngettext("%(n)d visit needs a decision", "%(n)d visits need a decision", count) % {"n": count},
                "text": _("The next is %(name)s with %(doctor)s, %(when)s. %(why)s")
                % {"name": first.patient_name, "doctor": first.doctor_name, "when": when, "why": first.why},
                "href": "/admin/appointments?flagged=1",
                "deed": _("Look at them"),
            }
        )
    low, high = queries.local_day(clinic, clinic.today(page.now) + timedelta(days=1))
    count = queries.count_unconfirmed(page.session, low, high)
    if count:
        matters.append(
            {
                "tone": "warn",
                "title": ngettext(
                    "%(n)d visit tomorrow is not confirmed", "%(n)d visits tomorrow are not confirmed", count
                )
                % {"n": count},
                "text": _("A call today can fill a gap tomorrow."),
                "href": with_query("/admin/appointments", **_on(page, 1), status="scheduled"),
                "deed": _("Show them"),
            }
        )
    return [*matters, *_messages(page), *_unreachable(page), *_undelivered(page)]


def _messages(page: Page) -> list[dict[str, Any]]:
    """What is wrong with the delivery of messages."""
    matters = []
    if not page.settings.smtp_url and page.settings.environment == "production":
        matters.append(
            {
                "tone": "bad",
                "title": _("E-mails reach nobody"),
                "text": _("No mail server is set up, so each is kept as a file. The setting is DOCKET_SMTP_URL."),
                "href": "/admin/messages",
                "deed": _("Look at them"),
            }
        )
    since = page.now - timedelta(days=queries.DEAD_DAYS)
    count = outbox.count_dead(page.session, since=since, limit=queries.MOST_DEAD)
    if count:
        matters.append(
            {
                "tone": "bad",
                "title": ngettext(
                    "%(n)d message could not be delivered", "%(n)d messages could not be delivered", count
                )
                % {"n": count},
                "text": _("They were given up in the last 14 days. Whoever was to get them does not know."),
                "href": "/admin/messages?state=dead",
                "deed": _("Look at them"),
            }
        )
    standstill = outbox.find_standstill(page.session, now=page.now)
    if standstill is not None:
        when = formats.day_and_time(standstill.since, current_clinic(page).zone)
        matters.append(
            {
                "tone": "bad",
                "title": _("Messages have been waiting since %(when)s") % {"when": when},
                "text": standstill.last_error
                or _("Nobody has tried to deliver them. Is the worker running? Its command is “docket worker”."),
                "href": "/admin/messages?state=trouble",
                "deed": _("Look at them"),
            }
        )
    return matters


def _unreachable(page: Page) -> list[dict[str, Any]]:
    """Who comes soon and has no address to write to or call."""
    count, found = queries.find_unreachable(page.session, now=page.now)
    matters = [
        {
            "tone": "warn",
            "title": _("%(name)s cannot be reached") % {"name": patient.name},
            "text": _("There is neither a telephone number nor an e-mail address. The next visit is %(when)s.")
            % {"when": formats.day_and_time(patient.starts_at, current_clinic(page).zone)},
            "href": f"/admin/patients/{patient.patient_id}/edit",
            "deed": _("Add contact details"),
        }
        for patient in found
    ]
    if count > len(found):
        rest = count - len(found)
        matters[-1]["text"] += " " + ngettext(
            "%(n)d more patient has no contact details.", "%(n)d more patients have no contact details.", rest
        ) % {"n": rest}
    return matters


def _undelivered(page: Page) -> list[dict[str, Any]]:
    """Who comes soon and does not get what is written to them."""
    count, found = queries.find_undelivered(page.session, now=page.now)
    matters = [
        {
            "tone": "warn",
            "title": _("%(name)s gets no messages") % {"name": patient.name},
            "text": _("The last one to %(address)s could not be delivered. %(why)s The next visit is %(when)s.")
            % {
                "address": patient.address,
                # What a mail server answers seldom ends as a sentence does.
                "why": f"{patient.why.rstrip('.')}.",
                "when": formats.day_and_time(patient.starts_at, current_clinic(page).zone),
            },
            "href": f"/admin/patients/{patient.patient_id}",
            "deed": _("Look at the record"),
        }
        for patient in found
    ]
    if count > len(found):
        rest = count - len(found)
        matters[-1]["text"] += " " + ngettext(
            "%(n)d more patient gets no messages.", "%(n)d more patients get no messages.", rest
        ) % {"n": rest}
    return matters


def _bars(weeks: list[Week]) -> list[dict[str, Any]]:
    """The weeks as bars, in per cent of the tallest one and of the width, for a drawing without a fixed width."""
    tallest = max((week.visits for week in weeks), default=0) or 1
    width = 100 / max(1, len(weeks))
    return [
        {
            "monday": week.monday,
            "number": week.monday.isocalendar().week,
            "visits": week.visits,
            "no_shows": week.no_shows,
            "x": round(at * width + width * 0.15, 2),
            "middle": round(at * width + width / 2, 2),
            "width": round(width * 0.7, 2),
            "height": round(130 * week.visits / tallest),
            "top": 160 - round(130 * week.visits / tallest),
            "current": at == len(weeks) - 1,
        }
        for at, week in enumerate(weeks)
    ]

"""Appointments in people's own calendars: one as a file, and all of them as a private feed that can be renewed."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.booking import status_service
from webapp.appointments.calendars import feed, ical
from webapp.appointments.pages.appointment_access import appointment_access
from webapp.auth import feeds
from webapp.auth.dependencies import signed_in
from webapp.auth.exceptions import NoSuchFeed
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core.calendar_events import MEDIA_TYPE, CalendarEvent, calendar_fingerprint
from webapp.core.entity_tags import entity_tag, is_known
from webapp.core.routing import Router
from webapp.core.web import CurrentPage
from webapp.i18n import gettext as _

router = Router()


@router.get("/appointments/{reference}.ics")
@router.get("/visit/{token}.ics")
def show_calendar_file(page: CurrentPage) -> Response:
    """One appointment as a calendar file; its patient and guardian, its doctor, the front desk, admins, anyone with the
    link.
    """
    access = appointment_access(page)
    actor = access.actor
    clinic = current_clinic(page)
    view = queries.get_appointment(page.session, actor, access.reference)
    if actor.role == "doctor":
        event = ical.diary_event_of(view, clinic, base_url=page.base_url)
    else:
        whose = ical.initials(view.patient_name) if actor.is_staff else view.whose(actor) or ""
        href = f"{page.base_url}{access.here}"
        event = ical.event_of(view, clinic, base_url=page.base_url, whose=whose, href=href)
    text = _calendar_text([event], clinic)
    page.close()
    if actor.is_staff:
        page.trace(status_service.record_reading, actor, view.id, now=page.now)
    attachment = f'attachment; filename="visit-{view.reference}.ics"'
    return Response(text, media_type=MEDIA_TYPE, headers={"content-disposition": attachment})


@router.get("/calendar/{token}.ics")
def show_feed(page: CurrentPage, token: str) -> Response:
    """A patient's appointments and those of people they book for, or a doctor's own; anyone with the secret address."""
    owner = feeds.feed_owner(page.session, token, page.settings.secret_keys)
    clinic = current_clinic(page)
    events = feed.list_events(page.session, owner, clinic, base_url=page.base_url, now=page.now)
    if owner.is_staff:
        page.trace(feeds.note_reading, owner, address=page.address, now=page.now)
    page.close()
    tag = entity_tag(calendar_fingerprint(events, zone=clinic.zone, name=clinic.name_shown))
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if is_known(page.request, tag):
        return Response(status_code=304, headers=headers)
    return Response(_calendar_text(events, clinic, name=clinic.name_shown), media_type=MEDIA_TYPE, headers=headers)


def _calendar_text(events: Sequence[CalendarEvent], clinic: Clinic, *, name: str = "") -> str:
    # The library takes 25 ms and 3 MiB to import, and few processes write a calendar.
    from webapp.core.icalendar import calendar_text

    return calendar_text(events, zone=clinic.zone, name=name)


@router.post("/account/calendar")
def make_feed(page: CurrentPage) -> Response:
    """Create a private address for the user's calendar; patients and doctors."""
    actor = signed_in(page, *feeds.ROLES)
    page.close()
    page.database.write(feeds.make_feed, actor, now=page.now)
    return page.redirect("/account#calendar", flash=_("Your calendar link is ready."))


@router.get("/account/calendar/renewal")
def ask_renewal(page: CurrentPage) -> Response:
    """Ask whether a new address should replace this one; patients and doctors, for themselves."""
    return _ask(page, "renewal")


@router.post("/account/calendar/renewal")
def renew_feed(page: CurrentPage) -> Response:
    """Replace the address of the user's calendar, so that the old one stops working; patients and doctors."""
    actor = signed_in(page, *feeds.ROLES)
    page.close()
    page.database.write(feeds.renew_feed, actor, now=page.now)
    return page.redirect("/account#calendar", flash=_("Your calendar has a new link. The old one no longer works."))


@router.get("/account/calendar/removal")
def ask_removal(page: CurrentPage) -> Response:
    """Ask whether the address should stop working; patients and doctors, for themselves."""
    return _ask(page, "removal")


@router.post("/account/calendar/removal")
def remove_feed(page: CurrentPage) -> Response:
    """Remove the address of the user's calendar; patients and doctors."""
    actor = signed_in(page, *feeds.ROLES)
    page.close()
    page.database.write(feeds.remove_feed, actor, now=page.now)
    return page.redirect("/account", flash=_("Your calendar link no longer works."), tone="info")


def _ask(page: CurrentPage, action: str) -> Response:
    actor = signed_in(page, *feeds.ROLES)
    if feeds.feed_path(page.session, actor, page.settings.secret_keys) is None:
        raise NoSuchFeed
    return page.render("appointments/pages/calendar_feed.html", action=action)

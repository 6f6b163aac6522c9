"""Appointments whose promised hour differs from the clinic's clock, and their correction; admins."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from webapp.appointments.impact import promised_hours
from webapp.appointments.impact.promised_hours import NotKept
from webapp.auth.dependencies import signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.staff.appointments.presenters import promise_lines

router = Router()

ADDRESS = "/admin/appointments/promised-hours"
# At most this many appointments are listed; the button corrects the others, too.
SHOWN = 100


@router.get(ADDRESS)
def show_broken_promises(page: CurrentPage) -> Response:
    """The appointments ahead with another hour than the promised one; admins."""
    signed_in(page, "admin")
    return _page(page)


@router.post(ADDRESS)
def keep_promises(page: CurrentPage) -> Response:
    """Move them to the instants at which the clock shows the promised hours, a portion in a transaction; admins."""
    actor = signed_in(page, "admin")
    page.close()
    moved, left = promised_hours.keep_hours(page.database, actor, now=page.now)
    if left:
        return _page(page, left, message=_flash(moved) if moved else "", status=409)
    return page.redirect("/admin", flash=_flash(moved))


@router.post(f"{ADDRESS}/{{reference}}")
def change_promise(page: CurrentPage, reference: str) -> Response:
    """Let one of them keep its instant, and tell the patient the hour on the clock; admins."""
    actor = signed_in(page, "admin")
    told = page.write(promised_hours.tell_hours, actor, now=page.now, reference=reference)
    if not told:
        return page.redirect(ADDRESS, flash=_("This appointment is already at its promised time."), tone="info")
    return page.redirect(ADDRESS, flash=_("The new time is saved. Patients who get messages are told about it."))


def _flash(count: int) -> str:
    if not count:
        return _("Every appointment is at its promised time.")
    words = ngettext(
        "%(n)d appointment is back at its promised time.",
        "%(n)d appointments are back at their promised times.",
        count,
    )
    return words % {"n": count}


def _page(page: Page, left: Sequence[NotKept] = (), *, message: str = "", status: int = 200) -> Response:
    count, lines = promise_lines(page, {each.appointment.id: each.why for each in left}, limit=SHOWN)
    return page.render(
        "staff/appointments/promised_hours.html",
        status=status,
        lines=lines,
        count=count,
        left=len(left),
        message=message,
        place=current_clinic(page).zone_label,
    )

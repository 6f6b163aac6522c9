"""Removes the flag of an appointment that stays as it is; staff give the reason."""

from __future__ import annotations

from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.impact import schedule_impact
from webapp.appointments.schemas import AppointmentView
from webapp.auth.dependencies import STAFF, signed_in
from webapp.core.forms import Submission
from webapp.core.parsing import whole_number
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.i18n import gettext as _
from webapp.staff.appointments.status_forms import FlagForm

router = Router()


@router.get("/appointments/{reference}/flag")
def ask_about_flag(page: CurrentPage, reference: str) -> Response:
    """Ask what to do about a flagged appointment; its staff."""
    actor = signed_in(page, *STAFF)
    view = queries.get_appointment(page.session, actor, reference)
    if not view.flagged_why:
        return page.redirect(f"/appointments/{view.reference}")
    return _page(page, view, FlagForm(data={"version": str(view.version)}))


@router.post("/appointments/{reference}/flag")
def settle_flag(page: CurrentPage, reference: str, sent: SentForm) -> Response:
    """Remove the flag from an appointment that stays; its staff."""
    actor = signed_in(page, *STAFF)
    form = FlagForm(sent)
    with Submission(form) as submission:
        reason = submission.read(lambda: (form.reason.data or "").strip())
        version = whole_number(form.version.data)
        page.write(schedule_impact.settle_flag, actor, reference, reason, version, now=page.now)
        address = f"/appointments/{reference.upper()}"
        return page.redirect(address, flash=_("The appointment is kept and no longer needs attention."))
    view = queries.get_appointment(page.session, actor, reference)
    if submission.error is not None:
        form.version.data = str(view.version)
    return _page(page, view, form, submission)


def _page(page: Page, view: AppointmentView, form: FlagForm, after: Submission | None = None) -> Response:
    """The question what to do with the appointment; with an error it keeps the typed text."""
    return page.render(
        "staff/appointments/flag.html",
        status=after.status if after else 200,
        appointment=view,
        form=form,
    )

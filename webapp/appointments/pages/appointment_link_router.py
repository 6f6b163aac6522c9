"""The pages behind the links in messages: one appointment, and the question whether the patient is coming.

Programs that scan mails also follow links. So opening a link only asks, and nothing is written before a button is
pressed. Moving and cancelling use the same pages as for users who are signed in: see `reschedule_router`.
"""

from __future__ import annotations

from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.booking import self_arrival, status_service, statuses
from webapp.appointments.pages.appointment_access import AppointmentAccess, appointment_access, poster_scanned_at
from webapp.appointments.pages.detail_presenters import book_again_href, change_options
from webapp.appointments.pages.forms import ConfirmForm
from webapp.appointments.schemas import AppointmentView
from webapp.clinic.dependencies import current_clinic
from webapp.core.errors import error_page
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.exceptions import AppError, Conflict, Unavailable
from webapp.i18n import gettext as _

router = Router()


@router.get("/visit/{token}")
def show_appointment_by_link(page: CurrentPage) -> Response:
    """One appointment, without what the patient told the clinic; anyone with the link."""
    access = appointment_access(page)
    clinic = current_clinic(page)
    view = queries.get_appointment(page.session, access.actor, access.reference)
    may_confirm = "confirmed" in statuses.possible_statuses(view, access.actor, clinic, page.now)
    return page.render(
        "appointments/pages/detail.html",
        appointment=view,
        tell_patient=False,
        just_booked=False,
        mailed_to=None,
        mine=True,
        whose=view.whose(access.actor),
        here=access.here,
        form=ConfirmForm(data={"version": str(view.version)}) if may_confirm else None,
        check_in=self_arrival.check_in_of(view, clinic, poster_scanned_at(page), now=page.now),
        day_href=None,
        desk=None,
        history=None,
        options=change_options(view, access.actor, clinic, page.now),
        again_href=book_again_href(view, access.actor, page.now),
        late=view.doctor_late_by(clinic, page.now),
    )


@router.get("/visit/{token}/confirmation")
def ask_confirmation(page: CurrentPage) -> Response:
    """Ask whether the patient is coming; anyone with the link."""
    access = appointment_access(page)
    view = queries.get_appointment(page.session, access.actor, access.reference)
    if view.status == "scheduled" and view.is_active(page.now):
        return _confirmation_page(page, access, view)
    if view.status == "confirmed" and view.is_active(page.now):
        return page.redirect(access.here, flash=_("This appointment is already confirmed. Thank you."))
    said = _("This appointment is cancelled, so you don’t need to confirm it.")
    if view.status != "cancelled":
        said = _("This appointment has already started, so it’s too late to confirm it.")
    return page.redirect(access.here, flash=said, tone="info")


@router.post("/visit/{token}/confirmation")
def confirm(page: CurrentPage, sent: SentForm) -> Response:
    """Confirm that the patient is coming; anyone with the link."""
    access = appointment_access(page)
    command = ConfirmForm(sent).command()
    page.close()
    try:
        page.database.write(status_service.confirm, access.actor, access.reference, command, now=page.now)
    except (Conflict, Unavailable) as error:
        view = queries.get_appointment(page.session, access.actor, access.reference)
        if not view.is_active(page.now):
            return error_page(page, error, actions=[(_("Back to the appointment"), access.here)])
        return _confirmation_page(page, access, view, error)
    return page.redirect(access.here, flash=_("Thank you. The appointment is confirmed."))


def _confirmation_page(
    page: Page, access: AppointmentAccess, view: AppointmentView, error: AppError | None = None
) -> Response:
    """The question; with an error it is asked about the present state of the appointment."""
    form = ConfirmForm(data={"version": str(view.version)})
    if error is not None:
        form.add_error(error)
    return page.render(
        "appointments/pages/confirmation.html",
        status=error.status if error else 200,
        appointment=view,
        form=form,
        whose=view.whose(access.actor),
        here=access.here,
        options=change_options(view, access.actor, current_clinic(page), page.now),
    )

"""Sets that a doctor is running late, or on time again; the front desk, and the doctor."""

from __future__ import annotations

from starlette.responses import Response

from webapp.appointments.messages import lateness as messages
from webapp.auth.dependencies import STAFF, signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import lateness
from webapp.doctors.lateness import RunLate
from webapp.doctors.service import DoctorRow
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.staff.doctors.late_forms import LateForm

router = Router()

USUAL = (10, 20, 30)


@router.get("/desk/late/{slug}")
def show_lateness(page: CurrentPage, slug: str) -> Response:
    """How late a doctor is today; the front desk, and the doctor."""
    actor = signed_in(page, *STAFF)
    doctor = lateness.get_doctor_on_duty(page.session, actor, slug)
    return _late_page(page, actor, doctor, LateForm())


@router.post("/desk/late/{slug}")
def run_late(page: CurrentPage, slug: str, sent: SentForm) -> Response:
    """Set that a doctor is late today, or on time again; the front desk, and the doctor."""
    actor = signed_in(page, *STAFF)
    doctor = lateness.get_doctor_on_duty(page.session, actor, slug)
    form = LateForm(sent)
    with Submission(form) as submission:
        command = submission.read(form.command)
        told = page.write(messages.run_late, actor, slug, command, now=page.now)
        return page.redirect(_back(actor), flash=_flash(doctor, command, told))
    return _late_page(page, actor, doctor, form, status=submission.status)


def _back(actor: Actor) -> str:
    return "/schedule" if actor.role == "doctor" else "/board"


def _flash(doctor: DoctorRow, command: RunLate, told: int) -> str:
    words = {"name": doctor.name, "n": command.minutes}
    late, on_time = _("%(name)s is running about %(n)s minutes late."), _("%(name)s is on time.")
    said = [(late if command.minutes else on_time) % words]
    if told:
        said.append(ngettext("%(n)d patient gets a message.", "%(n)d patients get a message.", told) % {"n": told})
    return " ".join(said)


def _late_page(page: Page, actor: Actor, doctor: DoctorRow, form: LateForm, *, status: int = 200) -> Response:
    late = lateness.late_by(doctor, current_clinic(page).today(page.now))
    return page.render(
        "staff/doctors/late.html",
        status=status,
        doctor=doctor,
        late=late,
        usual=USUAL,
        audience=messages.find_audience(page.session, doctor.id, now=page.now),
        most=lateness.MOST,
        back=_back(actor),
        form=form,
    )

"""Changes of an appointment by staff: its texts, and its patient."""

from __future__ import annotations

from starlette.responses import Response

from webapp.appointments import queries, reassigning
from webapp.appointments.booking import service
from webapp.appointments.pages.presenters import PatientSummary, patient_summary
from webapp.appointments.schemas import AppointmentView
from webapp.auth.dependencies import STAFF, signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm, local_path
from webapp.exceptions import Forbidden
from webapp.i18n import gettext as _
from webapp.patients import records, search
from webapp.patients.search_parser import is_blank
from webapp.staff.appointments.changes_forms import RightPatientForm, WordsForm

router = Router()

PATIENTS_SHOWN = 10


@router.get("/appointments/{reference}/reason")
def show_words(page: CurrentPage, reference: str) -> Response:
    """The form with reason and note; its staff who may read them."""
    actor = signed_in(page, *STAFF)
    view = _readable(page, actor, reference)
    form = _words_form(view)
    form.back.data = page.request.query_params.get("back", "")
    return _words_page(page, view, form)


@router.post("/appointments/{reference}/reason")
def change_words(page: CurrentPage, sent: SentForm, reference: str) -> Response:
    """Change reason and note; its staff who may read them."""
    actor = signed_in(page, *STAFF)
    form = WordsForm(sent)
    view = _readable(page, actor, reference)
    with Submission(form) as submission:
        command = submission.read(form.command)
        page.write(service.change_words, actor, reference, command, now=page.now)
        return page.redirect(_back(view, form), flash=_("The reason is saved."))
    if submission.error is not None:
        view = queries.get_appointment(page.session, actor, reference)
        # The other person's text is shown beside the typed one, before it is replaced.
        form.compare_with(_words_form(view))
        form.version.data = str(view.version)
    return _words_page(page, view, form, submission)


@router.get("/appointments/{reference}/patient")
def ask_patient(page: CurrentPage, reference: str) -> Response:
    """The search for the right patient of an appointment; its staff."""
    actor = signed_in(page, *STAFF)
    view = queries.get_appointment(page.session, actor, reference)
    return _patient_page(page, actor, view, RightPatientForm(data={"version": str(view.version)}))


@router.post("/appointments/{reference}/patient")
def give_to_patient(page: CurrentPage, sent: SentForm, reference: str) -> Response:
    """Look for the right patient, or give the appointment to the one who was chosen; its staff."""
    actor = signed_in(page, *STAFF)
    form = RightPatientForm(sent)
    gives = sent.get("step") == "give"
    with Submission(form) as submission:
        command = submission.read(lambda: form.command() if gives else None)
        page.write(reassigning.give_to_patient, actor, reference, command, now=page.now)
        said = _("The appointment is now in this patient’s record.")
        return page.redirect(f"/appointments/{reference.upper()}", flash=said)
    view = queries.get_appointment(page.session, actor, reference)
    if submission.error is not None:
        form.version.data = str(view.version)
    elif gives:
        form.form_errors.append(_("Choose the patient first."))
    return _patient_page(page, actor, view, form, submission if form.errors else None)


def _readable(page: Page, actor: Actor, reference: str) -> AppointmentView:
    """The appointment, whose reason the actor may read: a hidden one would be overwritten unseen.

    Raises:
        NoSuchAppointment. Forbidden: the clinic does not show reasons to the front desk.
    """
    view = queries.get_appointment(page.session, actor, reference)
    if queries.hides_reasons(page.session, actor):
        raise Forbidden(_("The clinic doesn’t show reasons for appointments to the front desk."))
    return view


def _back(view: AppointmentView, form: WordsForm) -> str:
    return local_path(form.back.data or "", default=f"/appointments/{view.reference}")


def _words_form(view: AppointmentView) -> WordsForm:
    return WordsForm(data={"reason": view.reason, "notes": view.notes, "version": str(view.version)})


def _words_page(page: Page, view: AppointmentView, form: WordsForm, after: Submission | None = None) -> Response:
    return page.render(
        "staff/appointments/reason.html",
        status=after.status if after else 200,
        appointment=view,
        form=form,
        back=_back(view, form),
    )


def _patient_page(
    page: Page,
    actor: Actor,
    view: AppointmentView,
    form: RightPatientForm,
    after: Submission | None = None,
) -> Response:
    text = (form.q.data or "").strip()
    found: list[PatientSummary] | None = None
    if not is_blank(text):
        patients = search.search_patients(page.session, text, limit=PATIENTS_SHOWN).patients
        page.trace(records.note_listing, actor, [each.id for each in patients], now=page.now)
        clinic = current_clinic(page)
        found = [patient_summary(each, clinic) for each in patients if each.id != view.patient_id]
    return page.render(
        "staff/appointments/right_patient.html",
        status=after.status if after else 200,
        appointment=view,
        form=form,
        found=found,
        refused=after is not None and after.error is not None,
    )

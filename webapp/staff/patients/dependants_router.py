"""The people that a patient books for, for the front desk; and whether a patient may sign in, for admins."""

from __future__ import annotations

from starlette.responses import Response

from webapp.auth.dependencies import DESK, confirmed, signed_in
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.exceptions import AppError, NotFound
from webapp.i18n import gettext as _
from webapp.patients import records
from webapp.patients.exceptions import LikelyDuplicate, NoSuchPatient
from webapp.patients.schemas import PatientRecord, Person
from webapp.patients.search import PatientsFound, search_patients
from webapp.staff.patients.forms import AccessForm, LinkForm, NewPatientForm, PatientSearchForm
from webapp.staff.patients.presenters import likely_lines, patient_line

router = Router()


@router.get("/admin/patients/{patient_id}/people")
def show_people(page: CurrentPage, patient_id: PathId) -> Response:
    """People for whom the patient could book: an existing patient, or a new one; front desk."""
    signed_in(page, *DESK)
    return _people_page(page, records.get_record(page.session, patient_id), NewPatientForm())


@router.post("/admin/patients/{patient_id}/people")
def add_person(page: CurrentPage, sent: SentForm, patient_id: PathId) -> Response:
    """Let the patient book for a person: an existing one, by `patient`, or a new record; front desk."""
    actor = signed_in(page, *DESK)
    if "patient" in sent:
        return _link(page, patient_id, LinkForm(sent).patient_id())
    form = NewPatientForm(sent)
    with Submission(form) as submission:
        command, anyway = submission.read(form.command), sent.get("anyway") == "yes"
        try:
            page.write(records.create_patient, actor, command, managed_by=patient_id, anyway=anyway, now=page.now)
        except LikelyDuplicate as warning:
            record = records.get_record(page.session, patient_id)
            known = records.find_just_added(page.session, actor, command, now=page.now)
            # A form that was sent twice has added the person already.
            if known not in {person.id for person in record.people}:
                return _people_page(page, record, form, likely=warning, status=warning.status)
        return page.redirect(f"/admin/patients/{patient_id}", flash=_("The person is added."))
    return _people_page(page, records.get_record(page.session, patient_id), form, status=submission.status)


@router.get("/admin/patients/{patient_id}/people/{person_id}/removal")
def ask_removal(page: CurrentPage, patient_id: PathId, person_id: PathId) -> Response:
    """Describe the effect of ending that the patient books for the person; front desk."""
    signed_in(page, *DESK)
    record = records.get_record(page.session, patient_id)
    return page.render("staff/patients/unlink.html", patient=record, person=_person_of(record, person_id))


@router.post("/admin/patients/{patient_id}/people/{person_id}/removal")
def remove_person(page: CurrentPage, patient_id: PathId, person_id: PathId) -> Response:
    """Remove the link by which the patient books for the person; front desk."""
    actor = signed_in(page, *DESK)
    page.write(records.unlink_person, actor, patient_id, person_id, now=page.now)
    return page.redirect(f"/admin/patients/{patient_id}", flash=_("The link is removed. Both records stay."))


@router.get("/admin/patients/{patient_id}/account")
def ask_access(page: CurrentPage, patient_id: PathId) -> Response:
    """Describe the effect of disabling or enabling the patient's account; admins."""
    signed_in(page, "admin")
    record = _with_account(page, patient_id)
    active = record.account is not None and record.account.active
    return _access_page(page, record, AccessForm(data={"active": "no" if active else "yes"}))


@router.post("/admin/patients/{patient_id}/account")
def change_access(page: CurrentPage, sent: SentForm, patient_id: PathId) -> Response:
    """Disable the patient's account, which ends its sessions, or enable it; admins who confirm who they are."""
    actor = confirmed(page, "admin")
    form = AccessForm(sent)
    record = _with_account(page, patient_id)
    if form.active.data not in {"yes", "no"}:
        form.form_errors.append(_("Choose whether to enable or disable the account."))
        form.active.data = "no" if record.account is not None and record.account.active else "yes"
        return _access_page(page, record, form, status=422)
    active = form.active.data == "yes"
    with Submission(form) as submission:
        page.write(records.set_account_active, actor, patient_id, active=active, now=page.now)
        said = _("The account is enabled.") if active else _("The account is disabled and signed out everywhere.")
        return page.redirect(f"/admin/patients/{patient_id}", flash=said)
    return _access_page(page, record, form, status=submission.status)


def _link(page: Page, patient_id: int, person_id: int | None) -> Response:
    actor = signed_in(page, *DESK)
    if person_id is None:
        raise NoSuchPatient
    try:
        page.write(records.link_person, actor, patient_id, person_id, now=page.now)
    except NotFound:
        raise
    except AppError as error:
        record = records.get_record(page.session, patient_id)
        return _people_page(page, record, NewPatientForm(), problem=error.message, status=error.status)
    return page.redirect(f"/admin/patients/{patient_id}", flash=_("The person is added."))


def _people_page(
    page: Page,
    record: PatientRecord,
    form: NewPatientForm,
    *,
    problem: str = "",
    likely: LikelyDuplicate | None = None,
    status: int = 200,
) -> Response:
    """The search for an existing patient, and the form for a new one."""
    text = page.request.query_params.get("q", "").strip()
    found = search_patients(page.session, text) if text else PatientsFound([])
    if found.patients:
        ids = [patient.id for patient in found.patients]
        page.trace(records.note_listing, signed_in(page, *DESK), ids, now=page.now)
    return page.render(
        "staff/patients/people.html",
        status=status,
        patient=record,
        search=PatientSearchForm.of_address(page.request.query_params),
        text=text,
        found=[patient_line(page, patient) for patient in found.patients if patient.id != record.id],
        similar=found.similar,
        form=form,
        problem=problem,
        likely=likely_lines(page, likely),
    )


def _person_of(record: PatientRecord, person_id: int) -> Person:
    """A person for whom the patient books.

    Raises:
        NoSuchPatient: the patient does not book for them.
    """
    person = next((person for person in record.people if person.id == person_id), None)
    if person is None:
        raise NoSuchPatient
    return person


def _with_account(page: Page, patient_id: int) -> PatientRecord:
    """The record of a patient who has an account.

    Raises:
        NotFound: the patient does not exist, or has no account.
    """
    record = records.get_record(page.session, patient_id)
    if record.account is None:
        raise NotFound(_("This patient has no account."))
    return record


def _access_page(page: Page, record: PatientRecord, form: AccessForm, *, status: int = 200) -> Response:
    return page.render("staff/patients/account.html", status=status, patient=record, form=form)

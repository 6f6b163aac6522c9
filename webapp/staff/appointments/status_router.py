"""The status of an appointment, which one tap changes and another undoes; and the doctor's own note."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from urllib.parse import urlsplit

from pydantic import BaseModel
from starlette.responses import Response

from webapp.appointments import confidentiality, queries
from webapp.appointments.booking import status_service, statuses
from webapp.appointments.booking.status_service import SavedNote
from webapp.appointments.confidentiality import InformedGuardian
from webapp.appointments.exceptions import StatusNotPossible
from webapp.appointments.messages import appointment_links
from webapp.appointments.schemas import AppointmentView, ChangeConfidentiality, ChangeStatus, UndoStatus
from webapp.auth.dependencies import STAFF, signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.errors import error_page, lead_back_to
from webapp.core.forms import Submission
from webapp.core.optimistic_lock import fingerprint
from webapp.core.parsing import parse_day, whole_number
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, SentForm, local_path
from webapp.doctors import service as doctors
from webapp.exceptions import AppError, Conflict, Invalid, Unavailable
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.staff.appointments.status_forms import NoteForm, StatusForm, UndoForm
from webapp.staff.board.board_page import show_panel
from webapp.staff.schedule.day_page import show_day

router = Router()


@router.post("/appointments/{reference}/status")
def change_status(page: CurrentPage, reference: str, sent: SentForm) -> Response:
    """Set an appointment to confirmed, arrived, no-show or completed; its staff."""
    actor = signed_in(page, *STAFF)
    form = StatusForm(sent)
    # A board has one form for all its buttons, each of which names its appointment and version in its address.
    if "version" not in sent:
        form.version.process_formdata(page.request.query_params.getlist("version"))
    return _change(page, actor, reference, form, status_service.change_status)


@router.post("/appointments/{reference}/status/undo")
def undo_status(page: CurrentPage, reference: str, sent: SentForm) -> Response:
    """Undo the last change of an appointment's status; its staff."""
    actor = signed_in(page, *STAFF)
    form = UndoForm(sent)
    return _change(page, actor, reference, form, status_service.undo)


@router.post("/appointments/{reference}/links/end")
def end_links(page: CurrentPage, reference: str) -> Response:
    """End the links to an appointment in all messages that were sent so far; its staff."""
    actor = signed_in(page, *STAFF)
    reference = reference.upper()
    page.write(appointment_links.end_links, actor, reference, now=page.now)
    said = _("The links in earlier messages no longer work. The next message has a new one.")
    return page.redirect(f"/appointments/{reference}", flash=said)


@router.post("/appointments/{reference}/confidential")
def change_confidentiality(page: CurrentPage, reference: str, sent: SentForm) -> Response:
    """Hide an appointment from the person who books for the patient, or show it to them again; its staff."""
    actor = signed_in(page, *STAFF)
    reference = reference.upper()
    back = f"/appointments/{reference}"
    lead_back_to(page.request, back)
    form, hide = UndoForm(sent), sent.get("confidential") != "no"
    command = ChangeConfidentiality(confidential=hide, version=whole_number(form.version.data))
    informed = page.write(confidentiality.set_confidential, actor, reference, command, now=page.now)
    return page.redirect(back, flash=_visibility_sentence(informed, hidden=hide))


def _visibility_sentence(informed: InformedGuardian, *, hidden: bool) -> str:
    """A sentence: who sees an appointment after the change, and what can't be undone."""
    if not informed.guardian:
        return _("The appointment is confidential.") if hidden else _("The appointment is no longer confidential.")
    if not hidden:
        said = _("%(name)s can see the appointment again, and gets messages about it.")
        return said % {"name": informed.guardian}
    said = _("%(name)s doesn’t see this appointment any more.") % {"name": informed.guardian}
    if not informed.messages:
        return said
    more = ngettext(
        "%(n)d message was sent to them before and can’t be taken back. Its link no longer works for them.",
        "%(n)d messages were sent to them before and can’t be taken back. Their links no longer work for them.",
        informed.messages,
    )
    return f"{said} {more % {'n': informed.messages}}"


@router.get("/appointments/{reference}/note")
def show_note(page: CurrentPage, reference: str) -> Response:
    """The private note on an appointment; its doctor only."""
    actor = signed_in(page, "doctor")
    view, saved = status_service.get_note(page.session, actor, reference)
    form = _note_form(saved)
    form.back.data = _way_back(page.request.query_params.get("back", ""), view.reference)
    response = _note_page(page, view, form)
    page.trace(status_service.record_reading, actor, view.id, now=page.now)
    return response


@router.post("/appointments/{reference}/note")
def write_note(page: CurrentPage, reference: str, sent: SentForm) -> Response:
    """Save the private note on an appointment; its doctor only."""
    actor = signed_in(page, "doctor")
    form = NoteForm(sent)
    back = form.back.data = _way_back(form.back.data, reference)
    view, _saved = status_service.get_note(page.session, actor, reference)
    with Submission(form, saved_form=_note_form) as submission:
        command = submission.read(form.command)
        page.write(status_service.write_note, actor, reference, command, now=page.now)
        return page.redirect(back, flash=_("The note is saved."))
    return _note_page(page, view, form, status=submission.status)


def _change(
    page: Page,
    actor: Actor,
    reference: str,
    form: StatusForm | UndoForm,
    work: Callable[..., None],
) -> Response:
    """Make the change and return to the page with the button; HTMX gets the doctor's day in the same answer."""
    back = _way_back(form.back.data, reference)
    command: BaseModel | None = form.command()
    error: AppError | None = None
    if command is None:
        error = StatusNotPossible(" ".join(form.form_errors))
    else:
        try:
            page.write(work, actor, reference, command, now=page.now)
        except (Conflict, Invalid, Unavailable) as refusal:
            # A second tap on the same button asks for the status that is set already.
            error = None if _is_done(page, actor, reference, command) else refusal
    day = _day_of(page, back) if actor.role == "doctor" else None
    if day is not None and page.wants_fragment:
        doctor = doctors.get_doctor_of_user(page.session, actor.user_id)
        return show_day(page, doctor, actor, day, changed=reference.upper(), error=error)
    board_day = _day_of_board(back)
    if board_day is not None and page.wants_fragment:
        return show_panel(page, actor, board_day, reference, changed=True, error=error)
    if error is not None:
        return error_page(page, error, actions=[(_("Back"), back)])
    if day is not None:
        address = with_query(urlsplit(back).path, changed=reference.upper())
        return page.redirect(f"{address}#appointment-{reference.upper()}")
    view = queries.get_appointment(page.session, actor, reference)
    words = {"name": view.patient_name, "status": statuses.word_of(view.status, staff=True).lower()}
    return page.redirect(back, flash=_("%(name)s: %(status)s.") % words)


def _is_done(page: Page, actor: Actor, reference: str, command: BaseModel) -> bool:
    """Whether the appointment is in the requested state: it has that status, or its last change is undone."""
    view = queries.get_appointment(page.session, actor, reference)
    match command:
        case ChangeStatus():
            return view.status == command.status
        case UndoStatus(version=int(version)):
            return view.version == version + 1 and view.previous_status is None
    return False


def _way_back(address: str | None, reference: str) -> str:
    """The page with the form, if it is one of ours, else the appointment's."""
    return local_path(address or "", default=f"/appointments/{reference.upper()}")


def _day_of(page: Page, back: str) -> date | None:
    """The day of the schedule that an address leads to; None for any other page."""
    path = urlsplit(back).path
    if path == "/schedule":
        return current_clinic(page).today(page.now)
    room, _slash, name = path.rpartition("/")
    return parse_day(name) if room == "/schedule" else None


def _day_of_board(back: str) -> date | None:
    """The day of the board beside which the appointment was changed; None for any other page."""
    _slash, room, name, *panel = [*urlsplit(back).path.split("/"), "", ""]
    return parse_day(name) if room == "board" and panel[:1] == ["appointments"] else None


def _note_form(saved: SavedNote) -> NoteForm:
    return NoteForm(data={"private_note": saved.private_note, "seen": fingerprint(saved)})


def _note_page(page: Page, view: AppointmentView, form: NoteForm, *, status: int = 200) -> Response:
    """The note and its appointment; with an error it keeps the typed text."""
    return page.render("staff/appointments/note.html", status=status, appointment=view, form=form)

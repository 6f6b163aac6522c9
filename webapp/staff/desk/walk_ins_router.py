"""Today's walk-ins: changing their queue, and noting that they left; the front desk."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from webapp.appointments import walk_ins
from webapp.appointments.exceptions import WalkInMovedAway
from webapp.appointments.walk_ins import Queue, WalkInView
from webapp.auth.dependencies import DESK, signed_in
from webapp.core.errors import error_page
from webapp.core.forms import Submission
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.doctors import service as doctors
from webapp.exceptions import Conflict, Unavailable
from webapp.i18n import gettext as _
from webapp.patients import records
from webapp.staff.desk.walk_ins_forms import QueueForm, queue_form, waits_in_words

router = Router()

BOARD = "/board"


@router.get("/desk/walk-ins/{walk_in_id}")
def show_walk_in(page: CurrentPage, walk_in_id: PathId) -> Response:
    """The form for a walk-in's queue; front desk. The reading is logged."""
    actor = signed_in(page, *DESK)
    view = walk_ins.get_walk_in(page.session, walk_in_id, now=page.now)
    response = _walk_in_page(page, view, queue_form(view.queue))
    page.trace(records.note_reading, actor, view.patient_id, now=page.now)
    return response


@router.post("/desk/walk-ins/{walk_in_id}")
def change_walk_in(page: CurrentPage, sent: SentForm, walk_in_id: PathId) -> Response:
    """Let a walk-in wait in another queue, or with another urgency; front desk."""
    actor = signed_in(page, *DESK)
    form = QueueForm(sent)
    with Submission(form, saved_form=partial(_form_of, page)) as submission:
        command = submission.read(form.command)
        page.write(walk_ins.change, actor, walk_in_id, command, seen=form.seen.data or "", now=page.now)
        changed = walk_ins.get_walk_in(page.session, walk_in_id, now=page.now)
        return page.redirect(BOARD, flash=waits_in_words(changed))
    view = walk_ins.get_walk_in(page.session, walk_in_id, now=page.now)
    return _walk_in_page(page, view, form, status=submission.status)


@router.post("/desk/walk-ins/{walk_in_id}/leave")
def leave(page: CurrentPage, walk_in_id: PathId) -> Response:
    """Note that a walk-in went; front desk."""
    actor = signed_in(page, *DESK)
    try:
        view = page.write(walk_ins.leave, actor, walk_in_id, now=page.now)
    except (Conflict, Unavailable) as error:
        return error_page(page, error, actions=[(_("Back"), BOARD)])
    said = _("%(name)s left. If that was a mistake, undo it under “Taken in or left”.")
    return page.redirect(BOARD, flash=said % {"name": view.patient_name})


@router.post("/desk/walk-ins/{walk_in_id}/undo")
def undo(page: CurrentPage, walk_in_id: PathId) -> Response:
    """Let a walk-in who left or was taken in wait again; the appointment is cancelled; front desk."""
    actor = signed_in(page, *DESK)
    try:
        view = page.write(walk_ins.undo, actor, walk_in_id, now=page.now)
    except WalkInMovedAway as error:
        its_page = _("Open the appointment"), f"/appointments/{error.reference}"
        return error_page(page, error, actions=[its_page, (_("Back"), BOARD)])
    except (Conflict, Unavailable) as error:
        return error_page(page, error, actions=[(_("Back"), BOARD)])
    return page.redirect(BOARD, flash=waits_in_words(view))


def _form_of(page: Page, saved: Queue) -> QueueForm:
    form = queue_form(saved)
    form.offer(doctors.list_doctors(page.session))
    return form


def _walk_in_page(page: Page, view: WalkInView, form: QueueForm, *, status: int = 200) -> Response:
    form.offer(doctors.list_doctors(page.session))
    return page.render("staff/desk/walk_in.html", status=status, walk_in=view, form=form, back=BOARD)

"""The board: all doctors of a day side by side, and one appointment beside it; the front desk."""

from __future__ import annotations

from datetime import date

from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.booking import status_service
from webapp.auth.dependencies import DESK, signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core.forms import Submission
from webapp.core.parsing import parse_day
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, SentForm
from webapp.exceptions import Invalid, NotFound
from webapp.i18n import gettext as _
from webapp.staff.board import choices
from webapp.staff.board.board_page import note_form, panel_address, show_board, show_panel
from webapp.staff.board.forms import DeskNoteForm

router = Router()


@router.get("/board")
def today(page: CurrentPage) -> Response:
    """Today's board, or with `?day=` a redirect to another day; front desk."""
    actor = signed_in(page, *DESK)
    wanted = page.request.query_params.get("day")
    if wanted:
        return page.redirect(f"/board/{_require_day(wanted)}")
    return show_board(page, actor, current_clinic(page).today(page.now))


@router.post("/board/columns")
def choose_columns(page: CurrentPage, sent: SentForm) -> Response:
    """Remember which doctors the reader wants to see: of a specialty, some, or all; front desk."""
    actor = signed_in(page, *DESK)
    slugs = [str(slug) for slug in sent.getlist("doctor")]
    specialty = "" if sent.get("all") else str(sent.get("specialty", ""))
    page.write(choices.choose, actor, specialty=specialty, slugs=[] if sent.get("all") else slugs)
    day = parse_day(str(sent.get("day", "")))
    return page.redirect(f"/board/{day}" if day else "/board")


@router.get("/board/{day}")
def some_day(page: CurrentPage, day: str) -> Response:
    """The board of a day; front desk."""
    actor = signed_in(page, *DESK)
    return show_board(page, actor, _require_day(day))


@router.get("/board/{day}/appointments/{reference}")
def appointment(page: CurrentPage, day: str, reference: str) -> Response:
    """One appointment beside the board of its day; front desk."""
    actor = signed_in(page, *DESK)
    return show_panel(page, actor, _require_day(day), reference)


@router.post("/board/{day}/appointments/{reference}/note")
def write_note(page: CurrentPage, day: str, reference: str, sent: SentForm) -> Response:
    """Save the note that staff leave each other on an appointment; front desk."""
    actor = signed_in(page, *DESK)
    shown, form = _require_day(day), DeskNoteForm(sent)
    queries.get_appointment(page.session, actor, reference)
    with Submission(form, saved_form=lambda saved: note_form(saved.desk_note)) as submission:
        command = submission.read(form.command)
        page.write(status_service.write_desk_note, actor, reference, command, now=page.now)
        if not page.wants_fragment:
            return page.redirect(panel_address(shown, reference.upper()), flash=_("The note is saved."))
        saved = queries.get_appointment(page.session, actor, reference)
        return show_panel(page, actor, shown, reference, changed=True, form=note_form(saved.desk_note))
    error = submission.error or Invalid(" ".join(form.form_errors))
    return show_panel(page, actor, shown, reference, error=error, form=form)


def _require_day(text: str) -> date:
    day = parse_day(text)
    if day is None:
        raise NotFound(_("This day does not exist."))
    return day

"""The board: all doctors of a day side by side, and one appointment beside it; the front desk."""

from __future__ import annotations

from datetime import date

from starlette.responses import Response

from webapp.auth.dependencies import DESK, signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core.parsing import parse_day
from webapp.core.routing import Router
from webapp.core.web import CurrentPage
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.staff.board.board_page import show_board, show_panel

router = Router()


@router.get("/board")
def today(page: CurrentPage) -> Response:
    """Today's board, or with `?day=` a redirect to another day; front desk."""
    actor = signed_in(page, *DESK)
    wanted = page.request.query_params.get("day")
    if wanted:
        return page.redirect(f"/board/{_require_day(wanted)}")
    return show_board(page, actor, current_clinic(page).today(page.now))


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


def _require_day(text: str) -> date:
    day = parse_day(text)
    if day is None:
        raise NotFound(_("This day does not exist."))
    return day

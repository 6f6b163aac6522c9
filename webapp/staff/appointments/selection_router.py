"""Several chosen appointments at once: a preview of what would happen to whom, and doing it; front desk."""

from __future__ import annotations

from collections.abc import Sized

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.appointments.booking import status_service
from webapp.auth.dependencies import DESK, signed_in
from webapp.auth.schemas import Actor
from webapp.core.forms import UNSENT
from webapp.core.optimistic_lock import NO_VERSION
from webapp.core.parsing import reference_in, whole_number
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, SentForm, local_path
from webapp.exceptions import Invalid, NotFound
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.staff.appointments import selection
from webapp.staff.appointments.selection import ACTIONS, MOST_CHOSEN, Named

router = Router()

ADDRESS = "/admin/appointments/selection"
LIST = "/admin/appointments"
# What is meant where an address does not say.
USUAL = "confirm"


@router.get(ADDRESS)
def preview(page: CurrentPage) -> Response:
    """Whom an action reaches, and with which appointments it is not possible; front desk. The reading is logged."""
    actor = signed_in(page, *DESK)
    query = page.request.query_params
    return _preview_page(page, actor, query.get("action", USUAL), query.getlist("chosen"), query.get("back", ""))


@router.post(ADDRESS)
def carry_out(page: CurrentPage, sent: SentForm) -> Response:
    """Do it with those that the preview listed; front desk."""
    actor = signed_in(page, *DESK)
    action, back = str(sent.get("action", "")), str(sent.get("back", ""))
    _require_known(action)
    chosen = _named(sent)
    _require_few(chosen)
    if UNSENT in sent:
        # The session had ended: nothing is done before it is sent again.
        return _preview_page(page, actor, action, [each.reference for each in chosen], back)
    page.close()
    failed = selection.carry_out(page.database, actor, action, chosen, now=page.now)
    done = len(chosen) - len(failed)
    said = ngettext("%(n)d appointment is confirmed.", "%(n)d appointments are confirmed.", done) % {"n": done}
    if not failed:
        return page.redirect(local_path(back, default=LIST), flash=said)
    problems = {reference: error.message for reference, error in failed.items()}
    return _preview_page(page, actor, action, list(failed), back, problems=problems, said=said, status=409)


def _named(sent: FormData) -> list[Named]:
    """The appointments that a form names, each once, as `K7QM-2F9X.3` with the version that its sender saw."""
    found: dict[str, Named] = {}
    for text in sent.getlist("chosen"):
        reference, _dot, version = str(text).partition(".")
        if reference_in(reference, surely=True):
            found.setdefault(reference.upper(), Named(reference.upper(), whole_number(version) or NO_VERSION))
    return list(found.values())


def _preview_page(
    page: Page,
    actor: Actor,
    action: str,
    references: list[str],
    back: str,
    *,
    problems: dict[str, str] | None = None,
    said: str = "",
    status: int = 200,
) -> Response:
    _require_known(action)
    _require_few(references)
    judged = selection.judge(page.session, actor, action, [each.upper() for each in references], now=page.now)
    problems = problems or {}
    left = [(each.appointment, problems.get(each.appointment.reference) or each.why_not) for each in judged]
    response = page.render(
        "staff/appointments/selection.html",
        status=status,
        action=action,
        possible=[appointment for appointment, why in left if not why],
        left=[each for each in left if each[1]],
        back=local_path(back, default=LIST),
        said=said,
    )
    read = [each.appointment.id for each in judged]
    page.trace(status_service.record_listing, actor, read, now=page.now)
    return response


def _require_known(action: str) -> None:
    if action not in ACTIONS:
        raise NotFound(_("This action does not exist."))


def _require_few(chosen: Sized) -> None:
    if len(chosen) > MOST_CHOSEN:
        raise Invalid(_("Choose at most %(most)d appointments at once.") % {"most": MOST_CHOSEN})

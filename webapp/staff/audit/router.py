"""The audit log, for admins: who read or changed what, when and from where."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from webapp.auth.dependencies import signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.exceptions import Invalid
from webapp.staff import keyset
from webapp.staff.audit import log as audit
from webapp.staff.audit.forms import AuditFilterForm
from webapp.staff.audit.log import FoundPatient, Line, Understood
from webapp.staff.keyset import Neighbours

router = APIRouter()

PAGE_SIZE = 50


@router.get("/admin/audit")
def show_log(page: CurrentPage) -> Response:
    """The log, the newest first; admins. Reading it leaves a row in it."""
    actor = signed_in(page, "admin")
    query = page.request.query_params
    form = AuditFilterForm(query)
    understood = _understand(page, form)
    if understood is None:
        return _log_page(page, form, [], Neighbours(None, None), [], status=422)
    turn = keyset.cursor_of(query.get("before", ""), query.get("after", ""))
    found = audit.list_lines(page.session, understood.wanted, before=turn.before, after=turn.after, limit=PAGE_SIZE + 1)
    lines, neighbours = keyset.cut(found, turn, PAGE_SIZE, "/admin/audit", **_kept(page))
    _write_down(page, actor, understood, exported=False)
    return _log_page(page, form, lines, neighbours, understood.patients)


@router.get("/admin/audit.csv")
def export_log(page: CurrentPage) -> Response:
    """The newest 10,000 rows that fit the filters, as a table; admins. This leaves a row, too."""
    actor = signed_in(page, "admin")
    form = AuditFilterForm(page.request.query_params)
    understood = _understand(page, form)
    if understood is None:
        return _log_page(page, form, [], Neighbours(None, None), [], status=422)
    clinic = current_clinic(page)
    lines = audit.list_lines(page.session, understood.wanted, before=None, after=None, limit=audit.MOST_EXPORTED)
    _write_down(page, actor, understood, exported=True)
    name = f"audit-log-{clinic.today(page.now):%Y-%m-%d}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(audit.as_csv(lines, clinic), media_type="text/csv; charset=utf-8", headers=headers)


def _understand(page: Page, form: AuditFilterForm) -> Understood | None:
    """The question of the form, or None after every error was put next to its field."""
    question = form.question()
    if question is None:
        return None
    try:
        return audit.understand(page.session, question, current_clinic(page))
    except Invalid as error:
        form.add_error(error)
        return None


def _write_down(page: Page, actor: Actor, understood: Understood, *, exported: bool) -> None:
    page.close()
    page.database.write(audit.record_reading, actor, understood.patients, exported=exported, now=page.now)


def _kept(page: Page) -> dict[str, str]:
    """The filters, as they stand in the address."""
    names = ("who", "patient", "action", "first", "last", "address")
    return {name: page.request.query_params.get(name, "") for name in names}


def _log_page(
    page: Page,
    form: AuditFilterForm,
    lines: list[Line],
    neighbours: Neighbours,
    patients: list[FoundPatient],
    *,
    status: int = 200,
) -> Response:
    kept = _kept(page)
    return page.render(
        "staff/audit/log.html",
        status=status,
        form=form,
        lines=lines,
        neighbours=neighbours,
        patients=[(patient, with_query("/admin/audit", **{**kept, "patient": patient.id})) for patient in patients],
        filtered=any(kept.values()),
        export_href=with_query("/admin/audit.csv", **kept),
        most_exported=audit.MOST_EXPORTED,
    )

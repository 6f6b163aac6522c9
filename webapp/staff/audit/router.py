"""The audit log, for admins: who read or changed what, when and from where."""

from __future__ import annotations

from starlette.responses import Response, StreamingResponse

from webapp.audit import queries as events
from webapp.auth.dependencies import confirmed, signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.core.pagination import Neighbours, cut_newest_first, newest_first
from webapp.core.routing import Router
from webapp.core.spreadsheets import MEDIA_TYPE, MOST_COUNTED, csv_headers
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.exceptions import Invalid
from webapp.staff.audit import log as audit
from webapp.staff.audit import security
from webapp.staff.audit.forms import AuditFilterForm, SecurityFilterForm
from webapp.staff.audit.log import FoundPatient, LogEntry, ResolvedSearch
from webapp.staff.audit.security import SecurityEntry

router = Router()

PAGE_SIZE = 50


@router.get("/admin/audit")
def show_log(page: CurrentPage) -> Response:
    """The log, the newest first; admins. Reading it adds a row to it."""
    actor = signed_in(page, "admin")
    query = page.request.query_params
    form = AuditFilterForm.of_address(query)
    resolved = _resolve(page, form)
    if resolved is None:
        return _log_page(page, form, [], Neighbours(), [], status=422)
    cursor = newest_first(query)
    found = audit.list_entries(page.session, resolved.filter, cursor=cursor, limit=PAGE_SIZE + 1)
    entries, neighbours = cut_newest_first(found, cursor, PAGE_SIZE, "/admin/audit", **_filter_parameters(page))
    exported = events.count_events(page.session, resolved.filter, most=MOST_COUNTED)
    _record_reading(page, actor, resolved, exported=False)
    return _log_page(page, form, entries, neighbours, resolved.patients, exported=exported)


@router.get("/admin/audit/security")
def show_security(page: CurrentPage) -> Response:
    """Sign-ins, wrong passwords and refusals, the newest first; admins."""
    actor = signed_in(page, "admin")
    query = page.request.query_params
    form = SecurityFilterForm.of_address(query)
    resolved = _resolve(page, form)
    entries: list[SecurityEntry] = []
    neighbours = Neighbours()
    kept = {name: query.get(name, "") for name in ("who", "action", "first", "last", "address")}
    if resolved is not None:
        cursor = newest_first(query)
        wanted = audit.security_filter(resolved.filter)
        found = security.list_entries(page.session, wanted, cursor=cursor, limit=PAGE_SIZE + 1)
        entries, neighbours = cut_newest_first(found, cursor, PAGE_SIZE, "/admin/audit/security", **kept)
        _record_reading(page, actor, resolved, exported=False)
    return page.render(
        "staff/audit/security.html",
        status=200 if resolved is not None else 422,
        form=form,
        entries=entries,
        neighbours=neighbours,
        filtered=any(kept.values()),
    )


@router.get("/admin/audit.csv")
def export_log(page: CurrentPage) -> Response:
    """All rows that match the filters, as a table; admins. This adds a row, too."""
    actor = confirmed(page, "admin")
    form = AuditFilterForm.of_address(page.request.query_params)
    resolved = _resolve(page, form)
    if resolved is None:
        return _log_page(page, form, [], Neighbours(), [], status=422)
    clinic = current_clinic(page)
    _record_reading(page, actor, resolved, exported=True)
    total, entries = audit.export(page.database, resolved.filter)
    name = f"audit-log-{clinic.today(page.now):%Y-%m-%d}"
    return StreamingResponse(audit.csv_table(entries, clinic), media_type=MEDIA_TYPE, headers=csv_headers(name, total))


def _resolve(page: Page, form: AuditFilterForm | SecurityFilterForm) -> ResolvedSearch | None:
    """The search of the form, or None after every error was put next to its field."""
    search = form.search()
    if search is None:
        return None
    try:
        return audit.resolve(page.session, search, current_clinic(page))
    except Invalid as error:
        form.add_error(error)
        return None


def _record_reading(page: Page, actor: Actor, resolved: ResolvedSearch, *, exported: bool) -> None:
    record = page.write if exported else page.trace
    record(audit.record_reading, actor, resolved.patients, exported=exported, now=page.now)


def _filter_parameters(page: Page) -> dict[str, str]:
    """The filters, as the address has them."""
    names = ("who", "patient", "action", "first", "last", "address")
    return {name: page.request.query_params.get(name, "") for name in names}


def _log_page(
    page: Page,
    form: AuditFilterForm,
    entries: list[LogEntry],
    neighbours: Neighbours,
    patients: list[FoundPatient],
    *,
    exported: int = 0,
    status: int = 200,
) -> Response:
    kept = _filter_parameters(page)
    return page.render(
        "staff/audit/log.html",
        status=status,
        form=form,
        entries=entries,
        neighbours=neighbours,
        patients=[(patient, with_query("/admin/audit", **{**kept, "patient": patient.id})) for patient in patients],
        filtered=any(kept.values()),
        export_href=with_query("/admin/audit.csv", **kept),
        exported=exported,
        most_counted=MOST_COUNTED,
    )

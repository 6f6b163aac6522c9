"""The reports: the figures of the clinic, for admins."""

from __future__ import annotations

from starlette.responses import Response, StreamingResponse

from webapp.appointments.booking import listing
from webapp.auth.dependencies import signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core.routing import Router
from webapp.core.spreadsheets import MEDIA_TYPE, csv_headers
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page
from webapp.dashboard import report_presenters as presenters
from webapp.dashboard import reports
from webapp.dashboard.report_forms import ReportForm
from webapp.dashboard.report_schemas import Report

router = Router()


@router.get("/admin/reports")
def show_report(page: CurrentPage) -> Response:
    """The figures of the last twelve months, or what the form asks for; admins."""
    signed_in(page, "admin")
    form, report = _report(page)
    if form is None or report is None:
        return _without_figures(page, form)
    clinic = current_clinic(page)
    return page.render(
        "dashboard/reports.html",
        form=form,
        period=presenters.period_words(report, clinic, today=clinic.today(page.now)),
        export_href=with_query("/admin/reports.csv", **form.values),
        cards=presenters.cards_of(report, clinic),
        charts=presenters.charts_of(report, clinic),
        table_title=presenters.table_title(report),
        heading=presenters.first_heading(report),
        headings=presenters.headings(),
        lines=presenters.lines_of(report, clinic),
        ways=presenters.ways_of(report),
        waits=presenters.waits_of(report, clinic),
    )


@router.get("/admin/reports.csv")
def export_report(page: CurrentPage) -> Response:
    """The lines of the same table, as a file; admins."""
    signed_in(page, "admin")
    form, report = _report(page)
    if report is None:
        return _without_figures(page, form)
    name = f"reports-{report.asked.first:%Y-%m}-{report.asked.last:%Y-%m}-{report.asked.by}"
    headers = csv_headers(name, len(report.rows))
    return StreamingResponse(presenters.csv_table(report), media_type=MEDIA_TYPE, headers=headers)


def _without_figures(page: Page, form: ReportForm | None) -> Response:
    """The page that says what is wrong with the form, or that nothing has happened yet."""
    return page.render("dashboard/reports.html", status=200 if form is None else 422, form=form, period="", cards=[])


def _report(page: Page) -> tuple[ReportForm | None, Report | None]:
    """The form and what it asks for: no form before anything has happened, no report where the form has an error."""
    clinic = current_clinic(page)
    months = reports.months_with_figures(page.session, clinic, now=page.now)
    if not months:
        return None, None
    form = ReportForm.of_address(page.request.query_params)
    choices = listing.find_choices(page.session)
    form.offer(months, choices, clinic.zone)
    asked = form.asked(choices)
    if asked is None:
        return form, None
    return form, reports.make_report(page.session, clinic, asked, now=page.now)

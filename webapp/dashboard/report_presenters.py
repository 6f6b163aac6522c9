"""The reports in words and drawings: figures with their definitions, the lines of the table, bars, and a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.spreadsheets import csv_pieces
from webapp.dashboard.report_schemas import Figures, Report, ReportRow
from webapp.dashboard.reports import middle_of, months_between
from webapp.i18n import gettext as _
from webapp.i18n import ngettext

NOTHING = "–"
# Of more lines, the chart shows those with the most appointments.
MOST_BARS = 30
# Narrower bars have no room for all their numbers.
MOST_NUMBERS = 12
# Pixels: the height of the tallest bar, and the baseline of the bars.
TALLEST, GROUND = 130, 160
LINE = 44


class FigureCard(NamedTuple):
    """One figure, the earlier one (or ''), and its definition."""

    title: str
    value: str
    before: str
    meaning: str


class ChartColumn(NamedTuple):
    """A vertical bar. `x`, `middle` and `width` are per cent of the width; `minor` numbers are left out on phones.

    `marked` is the height of its lower part, for no-shows.
    """

    label: str
    number: str
    x: float
    middle: float
    width: float
    top: int
    height: int
    marked: int
    minor: bool


class ChartBar(NamedTuple):
    """A horizontal bar, `width` per cent long, under its name and number; `y` is in pixels."""

    label: str
    number: str
    y: int
    width: float


class Chart(NamedTuple):
    """A drawing: its title, a text alternative, and vertical or horizontal bars."""

    title: str
    summary: str
    columns: list[ChartColumn]
    bars: list[ChartBar]

    @property
    def height(self) -> int:
        """The height of the drawing in pixels."""
        return GROUND + 30 if self.columns else len(self.bars) * LINE


def number(count: int) -> str:
    """'1,204'."""
    return f"{count:,}"


def percent(share: float | None) -> str:
    """'3.4%', '81%', and a dash for None."""
    if share is None:
        return NOTHING
    return f"{share:.1%}" if 0 < share < 0.0995 else f"{share:.0%}"


def days(count: float | None) -> str:
    """'1 day', '6.5 days', and a dash for None."""
    if count is None:
        return NOTHING
    if count != int(count):
        return _("%(n)s days") % {"n": f"{count:.1f}"}
    return formats.days(int(count))


def period_words(report: Report, clinic: Clinic, *, today: date) -> str:
    """'March 2025 to March 2026, until yesterday'."""
    asked = report.asked
    first, last = (formats.month_and_year(day, clinic.zone) for day in (asked.first, asked.last))
    words = first if first == last else _("%(first)s to %(last)s") % {"first": first, "last": last}
    return words if asked.last < today else _("%(period)s, until yesterday") % {"period": words}


def cards_of(report: Report, clinic: Clinic) -> list[FigureCard]:
    """The figures of the whole period, each with the earlier figure and its definition."""
    now, before = report.total, report.before
    new = _card(
        report,
        _("New patients"),
        number(now.new_patients),
        _("Patients whose first appointment at the clinic is one of these. Cancelled appointments don’t count."),
        number(before.new_patients),
    )
    return [*_counts(report, clinic), *_measures(report, clinic), new]


def _counts(report: Report, clinic: Clinic) -> list[FigureCard]:
    """The appointments by outcome."""
    now, before = report.total, report.before
    return [
        _card(
            report,
            _("Booked"),
            number(now.counts.booked),
            _("Appointments that were not cancelled, whether or not the patient came."),
            number(before.counts.booked),
        ),
        _card(
            report,
            _("Seen"),
            number(now.counts.seen),
            _("Marked as arrived or completed.") + _unrecorded(now),
            number(before.counts.seen),
        ),
        _card(
            report,
            _("No-shows"),
            _with_share(now, now.counts.no_shows),
            _("Marked as missed without notice, and their share of the booked appointments."),
            _with_share(before, before.counts.no_shows),
        ),
        _card(
            report,
            _("Late cancellations"),
            number(now.counts.late),
            _("Cancelled less than %(time)s before the start. Those by the clinic, such as for time off, don’t count.")
            % {"time": formats.minutes(clinic.change_until_minutes)},
        ),
    ]


def _measures(report: Report, clinic: Clinic) -> list[FigureCard]:
    """How full the doctors are, and how long patients wait."""
    now = report.total
    return [
        _card(
            report,
            _("Utilisation"),
            percent(now.utilisation),
            _(
                "Booked minutes, including no-shows and the buffers around appointments, divided by offered minutes: "
                "working hours and extra hours within which patients could come, without time off and closures, as "
                "they are entered now."
            ),
        ),
        _card(
            report,
            _("Lead time"),
            days(now.lead),
            _("Median time from booking to the start, in whole days: half of the booked appointments had less."),
        ),
        _card(
            report,
            _("Third next available"),
            _third(middle_of([each.days for each in report.third_next]), clinic),
            _(
                "From today, days until the third free time that patients can book online: the median of the doctors. "
                "The first free time is often a gap by chance; the third shows how long patients wait."
            ),
        ),
    ]


def _card(report: Report, title: str, value: str, meaning: str, value_before: str = "") -> FigureCard:
    """A figure, compared with the period before if that had appointments."""
    if not (report.before.counts.booked and value_before):
        return FigureCard(title, value, "", meaning)
    months = len(months_between(report.asked.first, report.asked.last))
    past = ngettext("%(value)s in the month before", "%(value)s in the %(n)d months before", months)
    return FigureCard(title, value, past % {"value": value_before, "n": months}, meaning)


def _unrecorded(figures: Figures) -> str:
    count = figures.unrecorded
    if not count:
        return ""
    sentence = ngettext("%(n)s is not marked as seen or no-show.", "%(n)s are not marked as seen or no-show.", count)
    return " " + sentence % {"n": number(count)}


def _with_share(figures: Figures, part: int) -> str:
    share = figures.share(part)
    return number(part) if share is None else f"{number(part)} ({percent(share)})"


def _third(count: int | None, clinic: Clinic) -> str:
    if count is None:
        return _("over %(days)s") % {"days": formats.days(clinic.horizon_days)}
    return _("today") if count == 0 else formats.days(count)


# ------------------------------------------------------------------------------------------------- the table


class TableLine(NamedTuple):
    """A line of the table: its name, and a cell for each of `headings`."""

    name: str
    cells: list[str]


def headings() -> list[str]:
    """The headings of the table after the first."""
    return [
        _("Booked"),
        _("Seen"),
        _("No-shows"),
        _("Late cancellations"),
        _("Utilisation"),
        _("Lead time"),
        _("New patients"),
        _("Booked online"),
    ]


def first_heading(report: Report) -> str:
    """The heading of the first column: what the lines are."""
    return {"month": _("Month"), "doctor": _("Doctor"), "visit_type": _("Visit type")}[report.asked.by]


def table_title(report: Report) -> str:
    """The title of the table and its charts."""
    return {"month": _("By month"), "doctor": _("By doctor"), "visit_type": _("By visit type")}[report.asked.by]


def lines_of(report: Report, clinic: Clinic) -> list[TableLine]:
    """A line for each month, doctor or type, and one of all together."""
    lines = [TableLine(_name(row, clinic), _cells(row.figures)) for row in report.rows]
    return [*lines, TableLine(_("Total"), _cells(report.total))]


def _name(row: ReportRow, clinic: Clinic) -> str:
    return row.name if isinstance(row.name, str) else formats.month_and_year(row.name, clinic.zone)


def _cells(figures: Figures) -> list[str]:
    counts = figures.counts
    return [
        number(counts.booked),
        number(counts.seen),
        _with_share(figures, counts.no_shows),
        number(counts.late),
        percent(figures.utilisation),
        days(figures.lead),
        number(figures.new_patients),
        percent(figures.share(counts.by_patient)),
    ]


class BookingWay(NamedTuple):
    """One way in which appointments were booked: by whom, how many, and their share."""

    words: str
    times: str
    share: str


def ways_of(report: Report) -> list[BookingWay]:
    """How appointments were booked: by whose account."""
    figures, counts = report.total, report.total.counts
    ways = (
        (_("Online, by patients or their guardians"), counts.by_patient),
        (_("By the front desk"), counts.by_desk),
        (_("By doctors"), counts.by_doctor),
        (_("By programs with an API token"), counts.by_program),
        (_("Unknown: the account was deleted"), figures.by_unknown),
    )
    return [BookingWay(words, number(count), percent(figures.share(count))) for words, count in ways]


class DoctorWait(NamedTuple):
    """The third free time of one doctor, in words."""

    doctor: str
    words: str


def waits_of(report: Report, clinic: Clinic) -> list[DoctorWait]:
    """The third free time of each doctor, the longest wait first."""
    ordered = sorted(report.third_next, key=lambda each: (each.days is not None, -(each.days or 0)))
    return [DoctorWait(each.doctor, _third(each.days, clinic)) for each in ordered]


# ------------------------------------------------------------------------------------------------- drawings


def charts_of(report: Report, clinic: Clinic) -> list[Chart]:
    """The booked appointments and the utilisation of the lines as bars."""
    booked = [(row, float(row.figures.counts.booked), number(row.figures.counts.booked)) for row in report.rows]
    used = [(row, row.figures.utilisation or 0.0, percent(row.figures.utilisation)) for row in report.rows]
    summary = _("All figures are in the table below.")
    titles = (_("Booked appointments, no-shows in the lowest part"), _("Booked appointments")), _("Utilisation")
    if report.asked.by == "month":
        return [
            Chart(titles[0][0], summary, _columns(booked, clinic), []),
            Chart(titles[1], summary, _columns(used, clinic, marked=False), []),
        ]
    return [Chart(titles[0][1], summary, [], _bars(booked, clinic)), Chart(titles[1], summary, [], _bars(used, clinic))]


def _columns(
    values: Sequence[tuple[ReportRow, float, str]], clinic: Clinic, *, marked: bool = True
) -> list[ChartColumn]:
    tallest = max((value for _row, value, _words in values), default=0) or 1
    width = 100 / max(1, len(values))
    every = -(-len(values) // MOST_NUMBERS)
    columns = []
    for at, (row, value, words) in enumerate(values):
        height = round(TALLEST * value / tallest)
        missed = row.figures.counts.no_shows if marked else 0
        shown = (len(values) - 1 - at) % every == 0
        columns.append(
            ChartColumn(
                label=_short(row, clinic) if shown else "",
                number=words if shown else "",
                x=round(at * width + width * 0.15, 2),
                middle=round(at * width + width / 2, 2),
                width=round(width * 0.7, 2),
                top=GROUND - height,
                height=height,
                marked=round(TALLEST * missed / tallest),
                minor=len(values) > MOST_NUMBERS // 2 and (len(values) - 1 - at) // every % 2 == 1,
            )
        )
    return columns


def _short(row: ReportRow, clinic: Clinic) -> str:
    """'Mar', and the year instead of January."""
    if isinstance(row.name, str):
        return row.name
    return str(row.name.year) if row.name.month == 1 else formats.month_short(row.name, clinic.zone)


def _bars(values: Sequence[tuple[ReportRow, float, str]], clinic: Clinic) -> list[ChartBar]:
    longest = max((value for _row, value, _words in values), default=0) or 1
    most = sorted(values, key=lambda each: each[0].figures.counts.booked, reverse=True)[:MOST_BARS]
    return [
        ChartBar(_name(row, clinic), words, at * LINE, round(100 * value / longest, 2))
        for at, (row, value, words) in enumerate(most)
    ]


# ------------------------------------------------------------------------------------------------- the file


def csv_table(report: Report) -> Iterator[str]:
    """The lines as plain numbers for spreadsheets: minutes and days, without shares, which can be computed from
    them.
    """
    columns = [
        first_heading(report),
        _("Booked"),
        _("Seen"),
        _("No-shows"),
        _("Late cancellations"),
        _("Booked minutes"),
        _("Offered minutes"),
        _("Lead time (days)"),
        _("New patients"),
        _("Booked online"),
        _("Booked by the front desk"),
        _("Booked by doctors"),
        _("Booked by programs"),
    ]
    return csv_pieces(columns, [[_csv_row(row) for row in report.rows]])


def _csv_row(row: ReportRow) -> list[str]:
    counts, figures = row.figures.counts, row.figures
    numbers = (
        *(counts.booked, counts.seen, counts.no_shows, counts.late, counts.minutes, figures.offered),
        *("" if figures.lead is None else f"{figures.lead:g}", figures.new_patients),
        *(counts.by_patient, counts.by_desk, counts.by_doctor, counts.by_program),
    )
    name = row.name if isinstance(row.name, str) else f"{row.name:%Y-%m}"
    return [name, *map(str, numbers)]

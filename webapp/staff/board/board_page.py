"""The board and its side panel as answers, for their own routes and for those that change an appointment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

from starlette.responses import Response

from webapp.appointments import queries
from webapp.appointments.booking import status_service, statuses
from webapp.appointments.booking.status_service import SavedDeskNote
from webapp.appointments.messages import notification_lists
from webapp.appointments.pages import detail_presenters
from webapp.appointments.pages.detail_presenters import StaffDetails
from webapp.appointments.schemas import AppointmentView
from webapp.audit import service as audit
from webapp.audit.continuing_reads import ContinuingReads
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.fragment_cache import cached_fragment
from webapp.clinic.schedule_versions import versions_seen, weight_of
from webapp.core import formats
from webapp.core.optimistic_lock import fingerprint
from webapp.core.urls import with_query
from webapp.core.web import Page, copy_of
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import AppError
from webapp.i18n import gettext as _
from webapp.i18n import language_tag
from webapp.live.feed import version_seen
from webapp.patients import records
from webapp.scheduling.lanes import busy_lanes
from webapp.scheduling.slots import minute_reached, to_minute
from webapp.staff.board import choices, walk_ins
from webapp.staff.board.columns import Column, Outline
from webapp.staff.board.days import BoardDay, build_board
from webapp.staff.board.forms import DeskNoteForm


class BoardContents(NamedTuple):
    """The data that a board shows: the ids of its appointments, and of the patients who walked in."""

    appointment_ids: list[int]
    walk_in_ids: list[int]


class Panel(NamedTuple):
    """One appointment beside the board. `here` is its address and `back` the board's.

    `changeable` says that it can be moved and cancelled, and `at_start` that the panel lies over the first columns,
    because its own doctor's is one of the last.

    `squeeze` is the address for squeezing another one in at its time, or '' if the doctor allows no more. `said` is the
    sentence about the last action, and `problem` the reason of its failure; both may be ''.
    """

    appointment: AppointmentView
    desk: StaffDetails
    day: date
    here: str
    back: str
    changeable: bool
    at_start: bool
    squeeze: str
    form: DeskNoteForm
    said: str
    problem: str


def show_board(page: Page, actor: Actor, day: date) -> Response:
    """The board of a day, or one doctor on it with `?doctor=`; the reading is logged."""
    if page.is_automatic and page.wants_fragment:
        return _board_again(page, actor, day)
    return _board(page, actor, day)[0]


def show_panel(
    page: Page,
    actor: Actor,
    day: date,
    reference: str,
    *,
    changed: bool = False,
    said: str = "",
    error: AppError | None = None,
    form: DeskNoteForm | None = None,
) -> Response:
    """One appointment beside its board. HTMX gets only that, and after a change the doctor's column with it."""
    clinic = current_clinic(page)
    view = queries.get_appointment(page.session, actor, reference)
    its_day = formats.local_date(view.starts_at, clinic.zone)
    if its_day != day:
        return page.redirect(panel_address(its_day, view.reference))
    panel = _panel(page, actor, view, day, changed=changed, error=error)
    if said:
        panel = panel._replace(said=said)
    if form is not None:
        panel = panel._replace(form=form, said="" if error else _("The note is saved."), problem="")
    if page.wants_fragment:
        response = page.render(
            "staff/board/_panel.html",
            status=error.status if error else 200,
            headers={"hx-push-url": panel.here},
            panel=panel,
            changed=_changed_column(page, actor, view, day) if changed else None,
        )
    else:
        response = _board(page, actor, day, panel, error)[0]
    if not _is_logged(page, ("appointment", actor.session_id, view.id), [view.id]):
        page.trace(status_service.record_reading, actor, view.id, now=page.now)
    return response


def panel_address(day: date, reference: str) -> str:
    """The page of one appointment beside the board of its day."""
    return f"/board/{day}/appointments/{reference}"


def note_form(note: str) -> DeskNoteForm:
    """The form with a note as it is saved."""
    return DeskNoteForm(data={"desk_note": note, "seen": fingerprint(SavedDeskNote(desk_note=note))})


def _panel(
    page: Page, actor: Actor, view: AppointmentView, day: date, *, changed: bool, error: AppError | None
) -> Panel:
    said = ""
    if changed and error is None:
        words = {"name": view.patient_name, "status": statuses.word_of(view.status, staff=True).lower()}
        said = _("%(name)s: %(status)s") % words
    return Panel(
        appointment=view,
        desk=detail_presenters.staff_details(page.session, actor, view, current_clinic(page), now=page.now),
        day=day,
        here=panel_address(day, view.reference),
        back=f"/board/{day}",
        changeable=view.may_change(actor, current_clinic(page), page.now),
        at_start=False,
        squeeze=_squeeze_address(page, view),
        form=note_form(view.desk_note),
        said=said,
        problem=error.message if error else "",
    )


def _squeeze_address(page: Page, view: AppointmentView) -> str:
    doctor = doctors.get_doctor_by_id(page.session, view.doctor_id)
    is_due = (statuses.may_take_place(view.status) or view.status == "arrived") and view.ends_at > page.now
    start = to_minute(view.starts_at)
    if not (doctor.squeeze_ins and is_due):
        return ""
    if len(busy_lanes(page.session, doctor.id, (start, start + 1))) > doctor.squeeze_ins:
        return ""
    return with_query("/desk/booking", doctor=doctor.slug, starts_at=formats.iso(view.starts_at))


def _board_of(page: Page, actor: Actor, shown: Sequence[DoctorRow] | None, day: date) -> BoardDay:
    clinic = current_clinic(page)
    calls = notification_lists.open_calls_on(page.session, actor, clinic, day)
    return build_board(page.session, clinic, shown, day, why_off=actor.manages, calls=calls, now=page.now)


def _in_second_half(board: BoardDay, panel: Panel) -> bool:
    slugs = [column.doctor.slug for column in board.columns]
    slug = panel.appointment.doctor_slug
    return slug in slugs and slugs.index(slug) * 2 >= len(slugs) > 1


def _board_again(page: Page, actor: Actor, day: date) -> Response:
    """The board for an open page that learned of a change: after each change, hundreds may ask for the same.

    It is kept for the time of day, rounded down to a minute and rounded up, because its contents depend on both; and
    for the calls that are still to be made, because these also depend on which messages a patient wants, of which no
    open page hears.
    """
    versions, slug = versions_seen(page.session), page.request.query_params.get("doctor", "")
    key = ("board", day, slug, actor.role, choices.get_choice(page.session, actor), language_tag())
    calls = notification_lists.open_calls_on(page.session, actor, current_clinic(page), day)
    state = (version_seen(page.session), to_minute(page.now), minute_reached(page.now), calls)
    kept: tuple[Response, BoardContents] | None = versions.cache.find(key, state) if versions else None
    if kept is None:
        response, shown = _board(page, actor, day)
        if versions is not None:
            weight = weight_of(len(response.body))
            versions.cache.keep(key, state, (copy_of(response), shown), weight=weight)
        return response
    response, shown = kept
    _log(page, actor, day, slug, shown)
    page.close()
    return copy_of(response)


def _board(
    page: Page, actor: Actor, day: date, panel: Panel | None = None, error: AppError | None = None
) -> tuple[Response, BoardContents]:
    """The board, and whose data it shows."""
    everyone = doctors.list_doctors(page.session)
    slug = page.request.query_params.get("doctor", "")
    choice = choices.get_choice(page.session, actor)
    shown = [doctors.get_doctor(page.session, slug)] if slug else choice.shown(everyone)
    board = _board_of(page, actor, shown, day)
    waiting = walk_ins.NONE
    if board.today:
        only = shown[0] if slug and shown else None
        waiting = walk_ins.walk_ins_of_today(page.session, current_clinic(page), everyone, only, now=page.now)
    response = page.render(
        "staff/board/board.html",
        fragment=None if panel else "staff/board/_board.html",
        status=error.status if error else 200,
        board=board,
        panel=panel and panel._replace(at_start=_in_second_half(board, panel)),
        changed=None,
        cached=_column_cache(page),
        walk_ins=waiting,
        doctors=everyone,
        groups=_groups(everyone),
        one=slug,
        choice=choice if choice.shown(everyone) else choices.ALL,
        doctor_ids=[doctor.id for doctor in shown or ()],
        now=page.now,
    )
    on_it = BoardContents(board.appointment_ids, waiting.patient_ids)
    _log(page, actor, day, slug, on_it)
    return response, on_it


def _log(page: Page, actor: Actor, day: date, slug: str, shown: BoardContents) -> None:
    if not _is_logged(page, ("board", actor.session_id, day, slug), shown.appointment_ids):
        page.trace(audit.record_list_read, actor, "board_read", "appointments", shown.appointment_ids, now=page.now)
    if shown.walk_in_ids and not _is_logged(page, ("walk-ins", actor.session_id, day, slug), shown.walk_in_ids):
        page.trace(records.note_listing, actor, shown.walk_in_ids, searched=False, now=page.now)


def _groups(everyone: Sequence[DoctorRow]) -> list[tuple[str, list[DoctorRow]]]:
    """The doctors by specialty, in alphabetical order."""
    return [
        (specialty, [each for each in everyone if each.specialty == specialty])
        for specialty in sorted({each.specialty for each in everyone})
    ]


def _changed_column(page: Page, actor: Actor, view: AppointmentView, day: date) -> Column:
    """The column of an appointment that has just changed, on the scale of the whole board."""
    doctor = doctors.get_doctor_by_id(page.session, view.doctor_id)
    return _board_of(page, actor, [doctor], day).columns[0].column()


def _column_cache(page: Page) -> Callable[[Callable[..., str], Outline, str], str]:
    """A function that renders a column with a macro, once for each state."""

    def cached(macro: Callable[..., str], outline: Outline, opened: str) -> str:
        address = f"/board/{outline.frame.day}"
        opened = opened if any(each.reference == opened for each in outline.taken.appointments) else ""
        if opened:
            return macro(outline.column(), address, opened)
        # Not everyone may read why a doctor is away.
        key = ("column", address, outline.doctor.id, tuple(outline.hours.leave))
        return cached_fragment(page.session, key, outline.state, lambda: macro(outline.column(), address, ""))

    return cached


def _is_logged(page: Page, reading: tuple[object, ...], ids: list[int]) -> bool:
    """Whether this is the reading of a page that is still open, and logged already."""
    continuing_reads: ContinuingReads = page.request.app.state.continuing_reads
    return continuing_reads.is_logged(reading, ids, automatic=page.is_automatic, now=page.now)

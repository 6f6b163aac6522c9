"""Notification lists, with a tick for each call; the front desk, and doctors about their own days."""

from __future__ import annotations

from starlette.responses import Response

from webapp.appointments import calls, walk_ins
from webapp.appointments.booking import status_service
from webapp.appointments.messages import notification_lists
from webapp.appointments.walk_ins import WalkInView
from webapp.auth.dependencies import DESK, STAFF, signed_in
from webapp.clinic.dependencies import current_clinic
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, PathId, SentForm
from webapp.patients import records
from webapp.staff.desk.notification_lists_presenters import (
    ShownList,
    back_of,
    is_of_one_day,
    list_address,
    show_line,
    title_of,
)

router = Router()


@router.get("/desk/told")
def show_lists(page: CurrentPage) -> Response:
    """The lists of the last 30 days, newest first; front desk."""
    actor = signed_in(page, *DESK)
    found = notification_lists.list_lists(page.session)
    numbers = notification_lists.count_open_calls(page.session, actor, [each.id for each in found])
    clinic = current_clinic(page)
    lists = [ShownList(each, title_of(each, clinic), list_address(each.id), numbers[each.id]) for each in found]
    return page.render("staff/desk/notification_lists.html", lists=lists)


@router.get("/desk/told/{list_id}")
def show_list(page: CurrentPage, list_id: PathId) -> Response:
    """One list: who was told how, and whom to call; the front desk, and the doctor who was away. The reading is
    logged.
    """
    actor = signed_in(page, *STAFF)
    found = notification_lists.get_list(page.session, actor, list_id)
    lines = notification_lists.lines_of(page.session, actor, [list_id])[list_id]
    clinic = current_clinic(page)
    to_call = [each for each in lines if each.why]
    waiting: list[WalkInView] = []
    if actor.sees_all and found.doctor_id is not None and found.day == clinic.today(page.now):
        waiting = walk_ins.list_waiting_for(page.session, found.doctor_id, found.day)
    response = page.render(
        "staff/desk/notification_list.html",
        of=found,
        title=title_of(found, clinic),
        one_day=is_of_one_day(found, clinic),
        here=list_address(list_id),
        back=back_of(actor, found),
        calls=[show_line(each, clinic) for each in to_call],
        others=[show_line(each, clinic) for each in lines if not each.why],
        restorable=[each.reference for each in lines if not each.changed] if found.kind == "cancel" else [],
        waiting=waiting,
        number=len(to_call),
        made=sum(not each.is_open for each in to_call),
    )
    page.trace(status_service.record_listing, actor, [each.id for each in lines], now=page.now)
    if waiting:
        page.trace(records.note_listing, actor, [each.patient_id for each in waiting], searched=False, now=page.now)
    return response


@router.post("/desk/told/{list_id}/{reference}")
def tick(page: CurrentPage, list_id: PathId, reference: str, sent: SentForm) -> Response:
    """Note that this patient was called, or take that back; the front desk, and the doctor who was away."""
    actor = signed_in(page, *STAFF)
    found = notification_lists.get_list(page.session, actor, list_id)
    if sent.get("undo"):
        page.write(calls.untick, actor, reference, now=page.now)
    else:
        lines = notification_lists.lines_of(page.session, actor, [list_id])[list_id]
        counts_from = (each.counts_from for each in lines if each.reference == reference.upper())
        page.write(calls.tick, actor, reference, since=next(counts_from, found.made_at), now=page.now)
    return page.redirect(f"{list_address(list_id)}#call-{reference.upper()}")

"""Records that are of one person, for the front desk: pairs that may be, and comparing any two of them."""

from __future__ import annotations

from starlette.responses import Response

from webapp.appointments import joining, separating
from webapp.auth.dependencies import DESK, signed_in
from webapp.core.optimistic_lock import UNSEEN
from webapp.core.pagination import clamp, paginate
from webapp.core.parsing import whole_number
from webapp.core.routing import Router
from webapp.core.web import CurrentPage, Page, PathId, SentForm
from webapp.exceptions import AppError, NotFound
from webapp.i18n import gettext as _
from webapp.patients import duplicates, records
from webapp.patients.exceptions import RecordClosed
from webapp.patients.search import PatientsFound, search_patients
from webapp.staff.patients import queries
from webapp.staff.patients.forms import PatientSearchForm
from webapp.staff.patients.presenters import are_unlike, choice_lines, facts_of, pair_line, patient_line

router = Router()

PAGE_SIZE = 25
# More than any patient has.
MOST_AHEAD = 200


@router.get("/admin/patients/duplicates")
def list_pairs(page: CurrentPage) -> Response:
    """Pairs of records that may be of one person, the newest first; front desk."""
    actor = signed_in(page, *DESK)
    count = duplicates.count_pairs(page.session)
    number = clamp(whole_number(page.request.query_params.get("page")) or 1, count, PAGE_SIZE)
    pairs = duplicates.list_pairs(page.session, limit=PAGE_SIZE, skip=(number - 1) * PAGE_SIZE)
    both = [number for pair in pairs for number in (pair.patient_id, pair.other_id)]
    page.trace(records.note_listing, actor, both, searched=False, now=page.now)
    lines = [pair_line(page, pair) for pair in pairs]
    pages = paginate("/admin/patients/duplicates", number, count, PAGE_SIZE)
    return page.render("staff/patients/duplicates.html", pairs=lines, count=count, pages=pages)


@router.get("/admin/patients/{patient_id}/joining")
def find_other(page: CurrentPage, patient_id: PathId) -> Response:
    """The search for a record that is of the same person as this one; front desk, and the results are logged."""
    actor = signed_in(page, *DESK)
    record = records.get_record(page.session, patient_id)
    if record.closed_at is not None:
        raise RecordClosed
    form = PatientSearchForm.of_address(page.request.query_params)
    text = (form.q.data or "").strip()
    found = search_patients(page.session, text, limit=PAGE_SIZE) if text else PatientsFound([])
    if found.patients:
        ids = [patient.id for patient in found.patients]
        page.trace(records.note_listing, actor, ids, now=page.now)
    return page.render(
        "staff/patients/joining.html",
        patient=record,
        facts=facts_of(page, record),
        search=form,
        text=text,
        found=[patient_line(page, patient) for patient in found.patients if patient.id != patient_id],
        similar=found.similar,
    )


@router.get("/admin/patients/{patient_id}/duplicates/{other_id}")
def compare(page: CurrentPage, patient_id: PathId, other_id: PathId) -> Response:
    """Two records side by side; front desk, and the reading of both is logged."""
    actor = signed_in(page, *DESK)
    response = _compare_page(page, patient_id, other_id)
    for number in (patient_id, other_id):
        page.trace(records.note_reading, actor, number, now=page.now)
    return response


@router.post("/admin/patients/{patient_id}/duplicates/{other_id}")
def decide(page: CurrentPage, sent: SentForm, patient_id: PathId, other_id: PathId) -> Response:
    """Join the two records, or say that they are of two people; front desk."""
    actor = signed_in(page, *DESK)
    joined = duplicates.joined_before(page.session, patient_id, other_id)
    if joined is not None:
        # The form was sent twice.
        return page.redirect(f"/admin/patients/{joined}", flash=_("The two records are joined."))
    match sent.get("decision"):
        case "same":
            try:
                stays = page.write(
                    joining.join_records,
                    actor,
                    patient_id,
                    other_id,
                    picks=_picks(sent),
                    seen=str(sent.get("seen") or UNSEEN),
                    now=page.now,
                )
            except NotFound:
                raise
            except AppError as error:
                return _compare_page(page, patient_id, other_id, problem=error.message, status=error.status)
            return page.redirect(f"/admin/patients/{stays}", flash=_("The two records are joined."))
        case "different":
            page.write(records.tell_apart, actor, patient_id, other_id, now=page.now)
            return page.redirect("/admin/patients/duplicates", flash=_("The two records stay as they are."))
    problem = _("Choose whether this is the same person.")
    return _compare_page(page, patient_id, other_id, problem=problem, status=422)


@router.get("/admin/patients/{patient_id}/joined/{join_id}")
def ask_to_part(page: CurrentPage, patient_id: PathId, join_id: PathId) -> Response:
    """Describe the effect of separating two joined records; front desk."""
    signed_in(page, *DESK)
    join = separating.get_join(page.session, patient_id, join_id, now=page.now)
    record = records.get_record(page.session, patient_id)
    return page.render("staff/patients/part.html", patient=record, join=join)


@router.post("/admin/patients/{patient_id}/joined/{join_id}")
def part(page: CurrentPage, sent: SentForm, patient_id: PathId, join_id: PathId) -> Response:  # noqa: ARG001
    """Separate two joined records; front desk."""
    actor = signed_in(page, *DESK)
    page.write(separating.separate_records, actor, patient_id, join_id, now=page.now)
    return page.redirect(f"/admin/patients/{patient_id}", flash=_("The records are separate again."))


def _picks(sent: SentForm) -> dict[str, int]:
    """The details that staff chose, by name: the id of the record from which each comes."""
    chosen = {name: whole_number(str(sent.get(name, ""))) for name in joining.PICKED}
    return {name: number for name, number in chosen.items() if number is not None}


def _compare_page(page: Page, patient_id: int, other_id: int, *, problem: str = "", status: int = 200) -> Response:
    actor = signed_in(page, *DESK)
    choices, seen = joining.compare(page.session, patient_id, other_id)
    both = [records.get_record(page.session, number) for number in (patient_id, other_id)]
    columns = [
        {
            "record": record,
            "facts": facts_of(page, record),
            "upcoming": queries.list_appointments(
                page.session, actor, record.id, upcoming=True, now=page.now, limit=MOST_AHEAD
            ).appointments,
            "past": queries.list_appointments(
                page.session, actor, record.id, upcoming=False, now=page.now, limit=1
            ).total,
        }
        for record in both
    ]
    return page.render(
        "staff/patients/compare.html",
        status=status,
        columns=columns,
        noted=duplicates.is_pair(page.session, patient_id, other_id),
        unlike=are_unlike(*both),
        choices=choice_lines(page, choices),
        clashes=joining.find_clashes(page.session, patient_id, other_id),
        seen=seen,
        joinable=any(record.account is None for record in both),
        action=f"/admin/patients/{patient_id}/duplicates/{other_id}",
        problem=problem,
    )

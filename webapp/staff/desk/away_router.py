"""A doctor is away for the rest of today, or on a later day; the front desk for any doctor, doctors for themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple, cast, get_args

from starlette.datastructures import FormData
from starlette.responses import Response

from webapp.appointments import walk_ins
from webapp.appointments.booking import status_service
from webapp.appointments.impact import absence
from webapp.appointments.impact.absence import AbsenceDecision, AbsenceResult, Fate, NotDecided, RemainingAppointment
from webapp.appointments.walk_ins import WalkInView
from webapp.auth.dependencies import DESK, signed_in
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.forms import UNSENT
from webapp.core.parsing import instant, parse_day, reference_in, whole_number
from webapp.core.routing import Router
from webapp.core.urls import with_query
from webapp.core.web import CurrentPage, Page, SentForm
from webapp.doctors import hours
from webapp.doctors import service as doctors
from webapp.doctors.service import DoctorRow
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.patients import records
from webapp.staff.desk.notification_lists_presenters import list_address

router = Router()

LONGEST_WHY = 200
FATES = get_args(Fate)
# The choices for all, in the order in which they are tried for each. For patients who have arrived, the only one is a
# colleague; other decisions about them are made one by one, because they are here.
FOR_ALL: dict[str, tuple[Fate, ...]] = {
    "": (),
    "colleague-later": ("colleague", "later"),
    "colleague-cancel": ("colleague", "cancel"),
    "later": ("later",),
    "cancel": ("cancel",),
    "keep": ("keep",),
}


class Absence(NamedTuple):
    """The absent doctor, the day, the actor, the address of the page, and the page that leads to it."""

    actor: Actor
    doctor: DoctorRow
    day: date
    today: bool
    here: str
    back: str

    @property
    def own(self) -> bool:
        """Whether the actor is the doctor."""
        return self.actor.role == "doctor"


class RemainingRow(NamedTuple):
    """A remaining appointment, the choice for it so far ('' without one), and why that is not possible. `listed` is the
    value of a hidden field: its state and its proposals.
    """

    appointment: RemainingAppointment
    chosen: str
    problem: str
    listed: str


@router.get("/schedule/away")
@router.get("/desk/away/{slug}")
def ask(page: CurrentPage) -> Response:
    """The rest of a doctor's day, with proposals for each appointment; the doctor, and the front desk.

    It is today unless the address names a later `day`.
    """
    return _show(page, _absence(page), {})


@router.post("/schedule/away")
@router.post("/desk/away/{slug}")
def take_off(page: CurrentPage, sent: SentForm) -> Response:
    """Enter the time off and carry out the decisions; the doctor, and the front desk."""
    sent.texts.labels["why"] = _("Reason")
    of = _absence(page)
    typed = {name: str(sent.get(name, "")) for name in sent}
    if UNSENT in sent:
        return _show(page, of, typed)
    why = str(sent.get("why", "")).strip()[:LONGEST_WHY]
    if not why:
        return _show(page, of, typed, message=_("Enter a reason. Colleagues see it with the appointments."), status=422)
    try:
        outcome = page.write(absence.take_off, of.actor, of.doctor.id, of.day, chosen_in(sent), why, now=page.now)
    except NotDecided as error:
        return _show(page, of, typed, message=error.message, problems=error.problems, status=error.status)
    onward = of.back if outcome.list_id is None else list_address(outcome.list_id)
    return page.redirect(onward, flash=" ".join(_summary(of, outcome, current_clinic(page))))


def chosen_in(sent: FormData) -> dict[str, AbsenceDecision]:
    """The decision about each appointment that the form listed; anything unreadable is no decision."""
    for_all = FOR_ALL.get(str(sent.get("decide-all", "")), ())
    found: dict[str, AbsenceDecision] = {}
    for entry in str(sent.get("listed", "")).split():
        reference, version, arrived, later, doctor_id, colleague = (entry.split("|") + [""] * 6)[:6]
        number, own = whole_number(version), str(sent.get(f"decide-{reference}", ""))
        starts = {"later": instant(later), "colleague": instant(colleague)}
        tried = [own] if own in FATES else [fate for fate in for_all if not arrived or fate in ("colleague", "keep")]
        fate = next((each for each in tried if each not in starts or starts[each] is not None), None)
        if number is None or fate is None or not reference_in(reference, surely=True):
            continue
        found[reference] = AbsenceDecision(
            fate=cast("Fate", fate),
            version=number,
            starts_at=starts.get(fate),
            doctor_id=whole_number(doctor_id) if fate == "colleague" else None,
        )
    return found


def _absence(page: Page) -> Absence:
    """The absence that the address names.

    Raises:
        NotSignedIn, Forbidden: the page is not for the actor. NotFound: the doctor does not exist.
    """
    slug = page.request.path_params.get("slug")
    actor = signed_in(page, "doctor") if slug is None else signed_in(page, *DESK)
    today = current_clinic(page).today(page.now)
    asked = page.request.query_params.get("day")
    day = today if asked is None else parse_day(asked)
    if day is None or day < today:
        raise NotFound(_("This day is over or doesn’t exist."))
    named = None if day == today else str(day)
    if slug is None:
        doctor = doctors.get_doctor_of_user(page.session, actor.user_id)
        here, back = "/schedule/away", f"/schedule/{day}"
    else:
        doctor = hours.find_doctor(page.session, slug)
        here, back = f"/desk/away/{doctor.slug}", f"/board/{day}?doctor={doctor.slug}"
    return Absence(actor, doctor, day, day == today, with_query(here, day=named), back)


def _show(
    page: Page,
    of: Absence,
    typed: Mapping[str, str],
    *,
    message: str = "",
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """The page; the reading is logged, because it lists patients."""
    clinic = current_clinic(page)
    now = page.now
    page.close()
    left = absence.list_remaining(page.database, of.actor, of.doctor, of.day, now=now)
    waiting: list[WalkInView] = []
    if of.today and not of.own:
        with page.database.reading() as session:
            waiting = walk_ins.list_waiting_for(session, of.doctor.id, of.day)
    problems = problems or {}
    response = page.render(
        "staff/desk/away.html",
        status=status,
        absence=of,
        choices=[_choice(each, typed, problems) for each in left],
        waiting=waiting,
        for_all=typed.get("decide-all", ""),
        offers=_offers(left),
        why=typed.get("why", _usual_why(of, clinic))[:LONGEST_WHY],
        message=message,
    )
    page.trace(status_service.record_listing, of.actor, [each.id for each in left], now=now)
    if waiting:
        page.trace(records.note_listing, of.actor, [each.patient_id for each in waiting], searched=False, now=now)
    return response


def _choice(left: RemainingAppointment, typed: Mapping[str, str], problems: Mapping[str, str]) -> RemainingRow:
    chosen = typed.get(f"decide-{left.reference}", "")
    possible = {"keep", "cancel"} | {fate for fate in ("colleague", "later") if getattr(left, fate) is not None}
    colleague = left.colleague
    listed = "|".join(
        (
            left.reference,
            str(left.version),
            "arrived" if left.arrived else "",
            formats.iso(left.later) if left.later else "",
            str(colleague.doctor_id) if colleague else "",
            formats.iso(colleague.starts_at) if colleague else "",
        )
    )
    return RemainingRow(left, chosen if chosen in possible else "", problems.get(left.reference, ""), listed)


def _offers(left: Sequence[RemainingAppointment]) -> list[str]:
    """The choices for all of these."""
    with_colleague = any(each.colleague is not None for each in left)
    with_later = any(each.later is not None for each in left)
    return [
        name
        for name, fates in FOR_ALL.items()
        if (with_colleague or "colleague" not in fates) and (with_later or "later" not in fates)
    ]


def _usual_why(of: Absence, clinic: Clinic) -> str:
    if of.today:
        return _("%(name)s is away today.") % {"name": of.doctor.name}
    return _("%(name)s is away on %(day)s.") % {
        "name": of.doctor.name,
        "day": formats.day_full(of.day, clinic.zone),
    }


def _summary(of: Absence, outcome: AbsenceResult, clinic: Clinic) -> list[str]:
    """'Dr. Okafor is away for the rest of today. 3 appointments went to colleagues.'"""
    said = [
        (
            outcome.colleague,
            ngettext(
                "%(n)d appointment went to a colleague.", "%(n)d appointments went to colleagues.", outcome.colleague
            ),
        ),
        (outcome.later, ngettext("%(n)d appointment was moved.", "%(n)d appointments were moved.", outcome.later)),
        (
            outcome.cancel,
            ngettext("%(n)d appointment was cancelled.", "%(n)d appointments were cancelled.", outcome.cancel),
        ),
        (
            outcome.keep,
            ngettext(
                "%(n)d appointment is kept and flagged.", "%(n)d appointments are kept and flagged.", outcome.keep
            ),
        ),
    ]
    first = _usual_why(of, clinic)
    if of.today:
        first = _("%(name)s is away for the rest of today.") % {"name": of.doctor.name}
    return [first, *(words % {"n": count} for count, words in said if count)]

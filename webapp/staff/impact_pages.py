"""Pages of changes that may affect appointments: one way to preview, to ask what to do with each, and to save.

A form's page includes `staff/_change.html`. Its buttons send `step=preview` or `step=save`. The decisions about the
listed appointments come as one radio button for each, and a hidden field says which appointments were listed in which
state: "the same for all" does not cover an appointment that was booked in the meantime; the page asks about it again.

A route makes its change through a `ChangeSubmission`, which shows the form again if there is something to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from webapp.appointments.impact import schedule_impact
from webapp.appointments.impact.decisions import AppointmentsAffected
from webapp.appointments.impact.effects import Effect
from webapp.appointments.impact.pending_decisions import finish
from webapp.appointments.impact.schemas import Affected, Decision, Decisions, ImpactResult, ProposalsFrom
from webapp.auth.schemas import Actor
from webapp.core import formats
from webapp.core.forms import UNSENT, DocketForm, Submission
from webapp.core.parsing import instant, whole_number
from webapp.core.urls import with_query
from webapp.core.web import Page, SentFields
from webapp.i18n import gettext as _
from webapp.i18n import ngettext
from webapp.staff.desk.notification_lists_presenters import page_after_change

T = TypeVar("T")

DECISIONS = "/decisions"
KINDS = ("keep", "move", "cancel")
# Instead of a proposal: the patient has arrived, so the appointment is kept with any choice for all.
ARRIVED = "arrived"
# At most this many appointments have their own choice; the choice for all decides about the rest.
SHOWN = 300


class AffectedRow(NamedTuple):
    """An appointment that the change affects, and what was chosen for it so far: one of `KINDS`, or ''."""

    appointment: Affected
    chosen: str


@dataclass(frozen=True, slots=True)
class ChangeView:
    """The data of `staff/_change.html`: the effect, the affected appointments, and what was typed and chosen so far.

    `choices` holds the first `SHOWN` of `count` appointments. `listed` says which appointments in which state the page
    lists. `message` says why nothing was saved, `why` is the typed reason, and `for_all` the choice for all. New times
    are proposed from the day that `proposals_from` names.
    """

    effect: Effect | None = None
    choices: Sequence[AffectedRow] = ()
    count: int = 0
    listed: str = ""
    message: str = ""
    why: str = ""
    for_all: str = ""
    proposals_from: ProposalsFrom = "next_working_day"


NOTHING_ASKED = ChangeView()
"""The state of a form that is opened for the first time."""


class ChangeNotMade(Exception):
    """The change was not made: the page is shown again with `change`, under `status`."""

    def __init__(self, change: ChangeView, status: int) -> None:
        super().__init__()
        self.change = change
        self.status = status


class ChangeSubmission(Submission):
    """A sent form whose change may affect appointments. `change` is the data for showing the page again, and `impact`
    the result for the appointments.
    """

    def __init__(
        self,
        page: Page,
        actor: Actor,
        sent: SentFields,
        form: DocketForm,
        *,
        saved_form: Callable[[Any], DocketForm] | None = None,
        keeps_not_found: bool = False,
    ) -> None:
        super().__init__(form, saved_form=saved_form, keeps_not_found=keeps_not_found)
        self.change = NOTHING_ASKED
        self.impact = ImpactResult()
        self._page, self._actor, self._sent = page, actor, sent

    def make(
        self,
        work: Callable[[Session], T],
        *,
        doctor_ids: Sequence[int] | None,
        settled: Callable[[Session], object] | None = None,
    ) -> T:
        """Preview the change or make it, as the form asks; returns the result of `work`.

        `doctor_ids` are the doctors whose times the change touches; None stands for all doctors. `settled` follows the
        decisions in the same transaction.

        Raises:
            ChangeNotMade: the page is shown again instead. The block ends here.
            AppError: `work` refuses the change itself.
        """
        sent, impact = self._sent, self.impact
        return make(self._page, self._actor, sent, work, doctor_ids=doctor_ids, settled=settled, impact=impact)

    def next_page(self, otherwise: str, *, own: bool = False) -> str:
        """The page to show after the change: its notification list, or `otherwise`; see `page_after_change`."""
        return page_after_change(self.impact.list_ids, otherwise, own=own)

    @property
    def is_asked(self) -> bool:
        """Whether the form was valid, and the page has something to ask or to preview."""
        return self.change is not NOTHING_ASKED

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if isinstance(error, ChangeNotMade):
            self.change, self.status = error.change, error.status
            return True
        return super().__exit__(kind, error, at)


def make(
    page: Page,
    actor: Actor,
    sent: SentFields,
    work: Callable[[Session], T],
    *,
    doctor_ids: Sequence[int] | None,
    settled: Callable[[Session], object] | None = None,
    impact: ImpactResult | None = None,
) -> T:
    """Preview the change or make it, as the form asks: see `ChangeSubmission.make`."""
    sent.texts.labels["why"] = _("Reason")
    page.close()
    # A form that is shown again after signing in is not carried out, but keeps its decisions.
    if sent.get("step") == "preview" or UNSENT in sent:
        effect = schedule_impact.preview(
            page.database,
            actor,
            work,
            doctor_ids=doctor_ids,
            now=page.now,
            proposals_from=_proposals_from(sent, "proposals-from"),
        )
        raise ChangeNotMade(_view_of(effect.appointments, sent, effect=effect), 200)
    impact = impact if impact is not None else ImpactResult()
    try:
        result = page.database.write(
            schedule_impact.carry_out,
            actor,
            work,
            doctor_ids=doctor_ids,
            now=page.now,
            decisions=decisions_of(sent),
            settled=settled,
            impact=impact,
        )
    except AppointmentsAffected as affected:
        raise ChangeNotMade(
            _view_of(affected.appointments, sent, message=affected.message), affected.status
        ) from affected
    if impact.later:
        finish_after_redirect(page, actor, impact.later)
    page.add_to_flash(_summary(impact))
    return result


def finish_after_redirect(page: Page, actor: Actor, count: int) -> None:
    """Carry out `count` stored decisions after the answer; the next page shows how many are done."""
    page.work_after_redirect(with_query(DECISIONS, of=count), partial(finish, page.database, actor, now=page.now))


def _summary(impact: ImpactResult) -> str:
    """'2 appointments are moved and 1 is kept.', or '' if none was affected."""
    said = [
        (impact.moved, ngettext("%(n)d appointment was moved.", "%(n)d appointments were moved.", impact.moved)),
        (
            impact.cancelled,
            ngettext("%(n)d appointment was cancelled.", "%(n)d appointments were cancelled.", impact.cancelled),
        ),
        (
            impact.kept,
            ngettext("%(n)d appointment is kept and flagged.", "%(n)d appointments are kept and flagged.", impact.kept),
        ),
    ]
    return " ".join(words % {"n": count} for count, words in said if count)


def decisions_of(sent: FormData) -> Decisions:
    """The decisions in the form about the appointments that it listed; anything unreadable is no decision.

    If the choice about proposals was changed, the listed proposals are outdated: moving to one is no decision.
    """
    for_all = str(sent.get("decide-all", ""))
    wanted = _proposals_from(sent, "proposals-from")
    outdated = wanted != _proposals_from(sent, "proposed-from")
    each: dict[str, Decision] = {}
    for entry in str(sent.get("listed", "")).split():
        reference, _separator, rest = entry.partition("|")
        version, _separator, proposal = rest.partition("|")
        kind = str(sent.get(f"decide-{reference}", "")) or for_all
        if kind in KINDS and proposal == ARRIVED:
            kind = "keep"
        number = whole_number(version)
        if kind not in KINDS or number is None:
            continue
        starts_at = instant(proposal) if kind == "move" and not outdated else None
        each[reference] = Decision(kind=kind, version=number, starts_at=starts_at)  # type: ignore[arg-type]
    try:
        return Decisions(each=each, why=str(sent.get("why", "")), proposals_from=wanted)
    except ValidationError:
        # The field allows no more than the longest reason; a longer text from another client is cut.
        return Decisions(each=each, why=str(sent.get("why", "")).strip()[:200], proposals_from=wanted)


def _proposals_from(sent: FormData, field: str) -> ProposalsFrom:
    return "today" if sent.get(field) == "today" else "next_working_day"


def _view_of(
    appointments: list[Affected], sent: FormData, *, message: str = "", effect: Effect | None = None
) -> ChangeView:
    return ChangeView(
        effect=effect,
        choices=[
            AffectedRow(
                appointment, _possible_choice(appointment, str(sent.get(f"decide-{appointment.reference}", "")))
            )
            for appointment in appointments[:SHOWN]
        ],
        count=len(appointments),
        listed=" ".join(
            f"{appointment.reference}|{appointment.version}|{_hidden_state(appointment)}"
            for appointment in appointments
        ),
        message=message,
        why=str(sent.get("why", ""))[:200],
        for_all=str(sent.get("decide-all", "")),
        proposals_from=_proposals_from(sent, "proposals-from"),
    )


def _possible_choice(appointment: Affected, kind: str) -> str:
    return "" if kind not in KINDS or (kind == "move" and appointment.proposal is None) else kind


def _hidden_state(appointment: Affected) -> str:
    """The part of the hidden field after an appointment's version: its proposal, or that the patient is here."""
    if appointment.arrived:
        return ARRIVED
    return formats.iso(appointment.proposal) if appointment.proposal is not None else ""

"""Pages of changes that may strand visits: one way to preview, to ask what becomes of each visit, and to save.

A form's page includes `admin/_change.html`. Its buttons send `step=preview` or `step=save`. What was decided about
the listed visits comes along as one radio button for each, and a hidden field says which visits were listed in which
state: a visit that was booked in the meantime is not covered by "the same for all", and is asked about again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from webapp.appointments.impact import schedule_impact
from webapp.appointments.impact.schedule_impact import Affected, AppointmentsAffected, Decision, Decisions, Effect
from webapp.auth.schemas import Actor
from webapp.core import formats
from webapp.core.parsing import instant, whole_number
from webapp.core.web import Page

T = TypeVar("T")

KINDS = ("keep", "move", "cancel")
# So many visits have a choice of their own; of more, what is chosen for all decides. No person reads on.
SHOWN = 300


class Saved(NamedTuple):
    """The change was made; `result` is what the work returned."""

    result: Any


class Asked(NamedTuple):
    """The change was not made: the page is shown again with this for `admin/_change.html`, under `status`."""

    change: dict[str, Any]
    status: int


def make(
    page: Page,
    actor: Actor,
    sent: FormData,
    work: Callable[[Session], T],
    *,
    doctor_ids: Sequence[int] | None,
) -> Saved | Asked:
    """Preview the change or make it, as the form asks. `doctor_ids`: whose times it touches; None is everybody's.

    The caller has closed nothing: the reading session is closed here, before anything is written.

    Raises:
        AppError: whatever `work` raises about the change itself.
    """
    page.close()
    if sent.get("step") == "preview":
        effect = schedule_impact.preview(page.database, actor, work, doctor_ids=doctor_ids, now=page.now)
        return Asked(_shown(effect.visits, sent, effect=effect), 200)
    try:
        result = page.database.write(
            schedule_impact.carry_out, actor, work, doctor_ids=doctor_ids, now=page.now, decisions=decisions_of(sent)
        )
    except AppointmentsAffected as stranded:
        return Asked(_shown(stranded.visits, sent, message=stranded.message), stranded.status)
    return Saved(result)


NOTHING_ASKED: dict[str, Any] = {
    "effect": None, "visits": [], "count": 0, "listed": "", "message": "", "why": "", "for_all": ""
}  # fmt: skip
"""What `admin/_change.html` is handed when a form is shown for the first time."""


def decisions_of(sent: FormData) -> Decisions:
    """What the form says about the visits that it listed; anything unreadable is no decision."""
    for_all = str(sent.get("decide-all", ""))
    each: dict[str, Decision] = {}
    for entry in str(sent.get("listed", "")).split():
        reference, _separator, rest = entry.partition("|")
        version, _separator, proposal = rest.partition("|")
        kind = str(sent.get(f"decide-{reference}", "")) or for_all
        number = whole_number(version)
        if kind not in KINDS or number is None:
            continue
        starts_at = instant(proposal) if kind == "move" else None
        each[reference] = Decision(kind=kind, version=number, starts_at=starts_at)  # type: ignore[arg-type]
    try:
        return Decisions(each=each, why=str(sent.get("why", "")))
    except ValidationError:
        # The field is as long as a reason may be; whoever sends more gets as much of it as there is room for.
        return Decisions(each=each, why=str(sent.get("why", "")).strip()[:200])


def _shown(
    visits: list[Affected], sent: FormData, *, message: str = "", effect: Effect | None = None
) -> dict[str, Any]:
    """What `admin/_change.html` shows: the effect, the visits, and what was chosen for each so far."""
    for_all = str(sent.get("decide-all", ""))
    return {
        "effect": effect,
        "days": schedule_impact.EFFECT_DAYS,
        "message": message,
        "why": str(sent.get("why", ""))[:200],
        "for_all": for_all,
        "visits": [
            {**visit._asdict(), "chosen": _chosen(visit, str(sent.get(f"decide-{visit.reference}", "")))}
            for visit in visits[:SHOWN]
        ],
        "count": len(visits),
        "listed": " ".join(f"{visit.reference}|{visit.version}|{_written(visit.proposal)}" for visit in visits),
    }


def _chosen(visit: Affected, kind: str) -> str:
    return "" if kind not in KINDS or (kind == "move" and visit.proposal is None) else kind


def _written(proposal: datetime | None) -> str:
    return formats.iso(proposal) if proposal is not None else ""

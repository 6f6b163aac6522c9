"""Changes that may affect appointments, for programs: tried with `?preview=true`, refused with the list of
appointments that still need a decision, or made.

`staff/impact_pages.py` does the same for pages. The entity tag of a thing is the fingerprint of its read model;
services compare the fingerprint of the saved state, under the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, TypeVar, cast

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, create_model
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.appointments.impact import schedule_impact
from webapp.appointments.impact.decisions import AppointmentsAffected
from webapp.appointments.impact.pending_decisions import finish
from webapp.appointments.impact.schemas import NOTHING_DECIDED, Affected, Decisions, ImpactResult
from webapp.auth.programs.api import Said
from webapp.auth.schemas import Actor
from webapp.core.api import LOCATION_HEADER, Moment, answer
from webapp.core.api_problems import problem_listing, problems
from webapp.core.entity_tags import ETAG_HEADER, expected_version, precondition_of, tag_of
from webapp.core.optimistic_lock import fingerprint
from webapp.core.web import Page
from webapp.idempotency.api import create

M = TypeVar("M", bound=BaseModel)

# -------------------------------------------------------------------------------------------------- shapes

Preview = Annotated[bool, Query(description="Save nothing: return the effect on free times and appointments.")]


class Change(BaseModel):
    """Members of every change that may affect appointments."""

    decisions: Annotated[
        Decisions,
        Field(
            description="What to do with each affected appointment. If one is missing, the change is refused and the "
            "problem lists them.",
            examples=[{"each": {"K7QM-2F9X": {"kind": "cancel", "version": 3}}, "why": "The clinic moves house."}],
        ),
    ] = NOTHING_DECIDED


class AffectedVisit(BaseModel):
    """An appointment that a change affects."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    reference: Annotated[str, Field(description="Used to name it in decisions.", examples=["K7QM-2F9X"])]
    version: Annotated[
        int,
        Field(description="Send it with the decision: if the appointment has changed since, a new decision is needed."),
    ]
    arrived: Annotated[
        bool, Field(description="The patient is at the clinic: the appointment can only be kept.", examples=[False])
    ]
    starts_at: Moment
    ends_at: Moment
    doctor_name: str
    patient_id: int
    patient_name: str
    visit_type_name: str
    why: Annotated[str, Field(description="Why the change affects it.")]
    proposal: Annotated[Moment | None, Field(description="A free time it could be moved to.")]
    problem: Annotated[
        str, Field(description="Why the decision could not be carried out; empty if there is no problem.")
    ]


class DayChange(BaseModel):
    """How many bookable times a doctor gains and loses on a day."""

    model_config = ConfigDict(from_attributes=True)

    doctor_name: str
    day: date
    gained: int
    lost: int


class EffectOut(BaseModel):
    """The effect that a change would have, over all days that can be booked. Nothing was changed."""

    model_config = ConfigDict(from_attributes=True)

    gained: Annotated[int, Field(description="How many times can be booked in addition.")]
    lost: Annotated[int, Field(description="How many times can no longer be booked.")]
    days: list[DayChange]
    visits: Annotated[
        list[AffectedVisit],
        Field(validation_alias="appointments", description="Appointments that need a decision."),
    ]
    days_ahead: Annotated[int, Field(description="How many days ahead were counted.", examples=[90])]
    unflagged: Annotated[
        int, Field(description="How many flagged appointments need no decision any more.", examples=[0])
    ]


def members_optional(kind: type[M]) -> type[M]:
    """The same model for PATCH: any member may be missing or null, and then stays as it is; see `merged`."""
    members: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if name == "decisions":
            members[name] = (field.annotation, field.default)
            continue
        typed: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        members[name] = (typed | None, Field(default=None, description=field.description, examples=field.examples))
    told = f"{kind.__doc__} Missing or null members stay unchanged."
    optional = create_model(kind.__name__, __doc__=told, __module__=kind.__module__, **members)
    return cast(type[M], optional)


def part(kind: type[M], body: BaseModel) -> M:
    """The command of a service, from those members of a request's body; they have been validated already."""
    return kind.model_construct(**{name: getattr(body, name) for name in kind.model_fields})


# -------------------------------------------------------------------------------------------------- changes


@dataclass(frozen=True)
class Plan:
    """A change: `work` makes it in a session, and returns the read model of the thing.

    `doctor_ids` are the doctors whose times it touches; None stands for all doctors. `settled` follows the decisions.
    """

    actor: Actor
    work: Callable[[Session], Any]
    doctor_ids: Sequence[int] | None
    decisions: Decisions
    settled: Callable[[Session], object] | None = None


def seen_by(page: Page, shown: BaseModel, saved: BaseModel) -> str:
    """The fingerprint of the saved state, for a service to compare under the lock.

    Raises:
        PreconditionFailed: `If-Match` is not the entity tag of the present state.
    """
    expected_version(page.request, fingerprint(shown))
    return fingerprint(saved)


def make(page: Page, plan: Plan, *, preview: bool) -> Response:
    """Make a change and answer with the new state, or answer with its effects.

    Raises:
        AppointmentsAffected, PreconditionFailed, and the errors of the work.
    """
    if preview:
        return _effect(page, plan)
    page.close()
    impact = ImpactResult()
    with _explained(page):
        shown = page.database.write(_carry_out, page, plan, impact)
    return _finished(page, plan, impact, answer(page, type(shown), shown, headers={"etag": tag_of(shown)}))


def remove(page: Page, plan: Plan, said: str, *, preview: bool) -> Response:
    """Remove something and answer with the sentence `said`, or answer with the effects.

    Raises:
        AppointmentsAffected, PreconditionFailed, and the errors of the work.
    """
    if preview:
        return _effect(page, plan)
    page.close()
    impact = ImpactResult()
    with _explained(page):
        page.database.write(_carry_out, page, plan, impact)
    return _finished(page, plan, impact, answer(page, Said, Said(message=said)))


def add(
    page: Page, plan: Plan, key: str | None, body: BaseModel, place: Callable[[Any], str], *, preview: bool, kind: Any
) -> Response:
    """Create something, once for each key, and answer with it and its `place`; or answer with the effects.

    Raises:
        AppointmentsAffected, and the errors of the work.
    """
    if preview:
        return _effect(page, plan)

    impact = ImpactResult()

    def work(session: Session) -> tuple[Any, dict[str, str]]:
        # A refusal is stored with its key, as it is answered.
        with _explained(page) if key else nullcontext():
            shown = _carry_out(session, page, plan, impact)
        return shown, {"location": place(shown), "etag": tag_of(shown)}

    with _explained(page):
        response = create(page, plan.actor, key, body, kind, work)
    return _finished(page, plan, impact, response)


def _finished(page: Page, plan: Plan, impact: ImpactResult, response: Response) -> Response:
    """Carry out the decisions that the change left; a header says how many could not be."""
    if impact.later:
        left = finish(page.database, plan.actor, now=page.now)
        if left:
            response.headers[LEFT] = str(left)
    return response


def _effect(page: Page, plan: Plan) -> Response:
    page.close()
    with _explained(page):
        effect = schedule_impact.preview(
            page.database,
            plan.actor,
            plan.work,
            doctor_ids=plan.doctor_ids,
            now=page.now,
            proposals_from=plan.decisions.proposals_from,
        )
    return answer(page, EffectOut, EffectOut.model_validate(effect))


def _carry_out(session: Session, page: Page, plan: Plan, impact: ImpactResult) -> Any:
    return schedule_impact.carry_out(
        session,
        plan.actor,
        plan.work,
        doctor_ids=plan.doctor_ids,
        now=page.now,
        decisions=plan.decisions,
        settled=plan.settled,
        impact=impact,
    )


@contextmanager
def _explained(page: Page) -> Iterator[None]:
    """Add members for programs to refusals."""
    with precondition_of(page.request):
        try:
            yield
        except AppointmentsAffected as error:
            error.members["visits"] = described(error.appointments)
            raise


def described(appointments: Sequence[Affected]) -> list[dict[str, Any]]:
    """Affected appointments, as a problem lists them."""
    return [AffectedVisit.model_validate(appointment).model_dump(mode="json") for appointment in appointments]


# ------------------------------------------------------------------------------------------ OpenAPI responses

_REFUSED = {
    **problems(401, 403, 404),
    **problem_listing(
        409,
        "The change affects the `visits`, and some have no decision; or it conflicts with existing data.",
        visits={"$ref": "#/components/schemas/AffectedVisit"},
    ),
}
LEFT = "appointments-left"
_LEFT_HEADER = {
    "Appointments-Left": {
        "description": "How many appointments could not be moved or cancelled as decided. They are flagged.",
        "schema": {"type": "integer"},
    }
}
_STALE = problems(s412="The resource has changed since the `ETag` in `If-Match`.")
_EFFECT = {"model": EffectOut, "description": "With `preview`: the effect of the change."}
MAY_ADD = {200: _EFFECT, **_REFUSED}


def created(kind: Any) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that creates a thing of this kind."""
    return {201: {"model": kind, "headers": {**LOCATION_HEADER, **ETAG_HEADER, **_LEFT_HEADER}}, **MAY_ADD}


def changed(kind: Any) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that changes a thing of this kind."""
    return {200: {"model": kind | EffectOut, "headers": {**ETAG_HEADER, **_LEFT_HEADER}}, **_REFUSED, **_STALE}


REMOVED: dict[int | str, dict[str, Any]] = {200: {"model": Said | EffectOut, "headers": _LEFT_HEADER}, **_REFUSED}
REMOVED_UNLESS_STALE = {**REMOVED, **_STALE}

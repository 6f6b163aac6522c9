"""Managing visit types, for programs; `doctors/offers_api.py` lets everyone read them."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.auth.programs.api_access import WritingCaller, require_role
from webapp.auth.schemas import Actor
from webapp.clinic.visit_types import VisitTypeDetails
from webapp.core.api import API_PREFIX, ApiRouter, Id
from webapp.core.entity_tags import IfMatch
from webapp.core.optimistic_lock import merged
from webapp.core.strict_types import YesNo
from webapp.core.web import CurrentPage, Page, PathId
from webapp.doctors import offers
from webapp.doctors.offers import VisitTypeOffer
from webapp.doctors.offers_api import VisitTypeOut, visit_type_out
from webapp.idempotency.api import Key
from webapp.staff import impact_api
from webapp.staff.impact_api import Change, Plan, Preview, changed, created, members_optional, part, seen_by

router = ApiRouter(prefix="/visit-types", tags=["Visit types"])


class AddVisitType(VisitTypeDetails, Change):
    """A visit type. Durations are in minutes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Skin check", "minutes": 20, "buffer_after": 5, "online": True, "doctor_ids": [1, 4]}]
        }
    )

    doctor_ids: Annotated[list[Id], Field(max_length=1000, description="The doctors who offer it.")] = Field(
        default_factory=list
    )


class SaveVisitType(AddVisitType):
    """The new state of a visit type. Durations are in minutes. Existing appointments keep their length."""

    active: Annotated[YesNo, Field(description="Whether it can be booked at all.")] = True


@members_optional
class ChangeVisitType(SaveVisitType):
    """Changes to a visit type."""


@router.post("", summary="Add a visit type", status_code=201, responses=created(VisitTypeOut))
def create_visit_type(
    page: CurrentPage, actor: WritingCaller, body: AddVisitType, key: Key = None, preview: Preview = False
) -> Response:
    """Add a visit type. Access: admins."""
    require_role(actor, "admin")

    def work(session: Session) -> VisitTypeOut:
        command = VisitTypeOffer(details=part(VisitTypeDetails, body), doctor_ids=body.doctor_ids)
        number = offers.create(session, actor, command, now=page.now)
        return visit_type_out(*offers.get_offer(session, number))

    plan = Plan(actor, work, body.doctor_ids, body.decisions)
    return impact_api.add(page, plan, key, body, _place, preview=preview, kind=VisitTypeOut)


def _place(shown: VisitTypeOut) -> str:
    return f"{API_PREFIX}/visit-types/{shown.id}"


@router.put("/{visit_type_id}", summary="Replace a visit type", responses=changed(VisitTypeOut))
def replace_visit_type(
    page: CurrentPage,
    actor: WritingCaller,
    visit_type_id: PathId,
    body: SaveVisitType,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Replace a visit type, the doctors who offer it, and whether it can be booked. Access: admins."""
    require_role(actor, "admin")
    return _change(page, actor, visit_type_id, body, preview=preview)


@router.patch("/{visit_type_id}", summary="Change a visit type", responses=changed(VisitTypeOut))
def change_visit_type(
    page: CurrentPage,
    actor: WritingCaller,
    visit_type_id: PathId,
    body: ChangeVisitType,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Change a visit type, the doctors who offer it, or whether it can be booked. Access: admins."""
    require_role(actor, "admin")
    return _change(page, actor, visit_type_id, body, preview=preview)


def _change(page: Page, actor: Actor, visit_type_id: int, body: SaveVisitType, *, preview: bool) -> Response:
    saved, offer = offers.get_offer(page.session, visit_type_id)
    seen = seen_by(page, visit_type_out(saved, offer), offer)
    present = SaveVisitType.model_construct(
        **saved.details.model_dump(), doctor_ids=offer.doctor_ids, active=saved.active
    )
    wanted = merged(present, body)
    command = VisitTypeOffer(details=part(VisitTypeDetails, wanted), doctor_ids=sorted(set(wanted.doctor_ids)))
    touched = sorted({*offer.doctor_ids, *command.doctor_ids})

    def work(session: Session) -> VisitTypeOut:
        offers.change(session, actor, visit_type_id, command, locked=touched, seen=seen, now=page.now)
        offers.set_active(session, actor, visit_type_id, wanted.active, locked=touched, now=page.now)
        return visit_type_out(*offers.get_offer(session, visit_type_id))

    return impact_api.make(page, Plan(actor, work, touched, wanted.decisions), preview=preview)

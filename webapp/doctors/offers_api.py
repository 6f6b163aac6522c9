"""Visit types and who offers them, in the API."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field
from starlette.responses import Response

from webapp.auth.programs.api_access import MaybeCaller
from webapp.auth.schemas import Actor
from webapp.clinic.visit_types import SavedVisitType, SuggestedFor
from webapp.core.api import LIST_HEADERS, ApiRouter, AskedPaging, answer_list, part_of
from webapp.core.api_problems import problems
from webapp.core.entity_tags import ETAG_HEADER, NOT_MODIFIED, answer_unless_known
from webapp.core.web import CurrentPage, PathId
from webapp.doctors import offers
from webapp.doctors.offers import VisitTypeOffer
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

router = ApiRouter(prefix="/visit-types", tags=["Visit types"])


class VisitTypeOut(BaseModel):
    """A visit type. Durations are in minutes."""

    id: int
    name: Annotated[str, Field(examples=["First visit"])]
    minutes: Annotated[int, Field(description="The length of the appointment.", examples=[30])]
    buffer_before: Annotated[int, Field(description="Buffer before the appointment.")]
    buffer_after: Annotated[int, Field(description="Buffer after the appointment.")]
    preparation: Annotated[str, Field(description="How the patient should prepare.")]
    online: Annotated[bool, Field(description="Whether patients can book it online, or only staff.")]
    named_in_messages: Annotated[
        bool, Field(description="Whether messages show its name, which may reveal a diagnosis.")
    ]
    suggested_for: Annotated[
        SuggestedFor,
        Field(
            description="The patients to whom pages suggest it: those who are new to a doctor, those who return, "
            "everyone, or none."
        ),
    ]
    active: Annotated[bool, Field(description="Whether it can be booked at all.")]
    doctor_ids: Annotated[
        list[int], Field(description="The doctors who offer it, including those not taking bookings.")
    ]


@router.get("", summary="List visit types", responses={200: {"model": list[VisitTypeOut], "headers": LIST_HEADERS}})
def list_visit_types(page: CurrentPage, actor: MaybeCaller, paging: AskedPaging) -> Response:
    """The visit types that can be booked, by name. Access: everyone. Admins also get inactive ones."""
    found = [offer for offer in offers.list_offers(page.session) if _is_for(actor, offer[0])]
    shown = [visit_type_out(*offer) for offer in part_of(found, paging)]
    return answer_list(page, VisitTypeOut, shown, total=len(found), paging=paging)


@router.get(
    "/{visit_type_id}",
    summary="Read a visit type",
    responses={200: {"model": VisitTypeOut, "headers": ETAG_HEADER}, **NOT_MODIFIED, **problems(404)},
)
def read_visit_type(page: CurrentPage, actor: MaybeCaller, visit_type_id: PathId) -> Response:
    """A visit type that can be booked. Access: everyone. Admins also get inactive ones."""
    saved, offer = offers.get_offer(page.session, visit_type_id)
    if not _is_for(actor, saved):
        raise NotFound(_("Visit type not found."))
    return answer_unless_known(page, visit_type_out(saved, offer))


def visit_type_out(saved: SavedVisitType, offer: VisitTypeOffer) -> VisitTypeOut:
    """A visit type as the API shows it."""
    return VisitTypeOut(id=saved.id, active=saved.active, doctor_ids=offer.doctor_ids, **saved.details.model_dump())


def _is_for(actor: Actor | None, saved: SavedVisitType) -> bool:
    return saved.active or (actor is not None and actor.sees_all)

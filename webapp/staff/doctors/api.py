"""Managing doctors, for programs; `doctors/api.py` lets everyone read them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, Strict
from sqlalchemy.orm import Session
from starlette.responses import Response

from webapp.auth.programs.api_access import WritingCaller, require_role
from webapp.auth.schemas import Actor
from webapp.core.api import API_PREFIX, LOCATION_HEADER, ApiRouter, Id
from webapp.core.api_problems import problems
from webapp.core.entity_tags import ETAG_HEADER, IfMatch, tag_of
from webapp.core.optimistic_lock import merged
from webapp.core.strict_types import YesNo
from webapp.core.web import CurrentPage, Page, PathId
from webapp.doctors import profiles
from webapp.doctors import service as doctors
from webapp.doctors.api import DoctorOut, doctor_out
from webapp.doctors.profiles import DoctorProfile, DoctorState, SlotStep, SqueezeInsAllowed, Tint
from webapp.idempotency.api import Key, create
from webapp.staff import impact_api
from webapp.staff.impact_api import Change, Plan, Preview, changed, members_optional, part, seen_by

router = ApiRouter(prefix="/doctors", tags=["Doctors"])

# Without these, a new doctor is last in the lists, and a saved one keeps them.
OWN_CHOICE = ("position", "tint", "squeeze_ins")


class AddDoctor(DoctorProfile):
    """A doctor. `tint` is a colour of the palette. `position` sets the place in lists: without it, the last.

    `squeeze_ins` is how many appointments staff may squeeze in at one time; 0, the default, allows none.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Dr. Amara Okafor",
                    "specialty": "Dermatology",
                    "languages": ["English", "Igbo"],
                    "room": "Room 5",
                    "slot_step": 15,
                    "bio": "Looks after skin.",
                    "visit_type_ids": [1, 2],
                }
            ]
        }
    )

    # Forms send text for these numbers; programs send numbers.
    tint: Annotated[Tint, Strict()] = 1
    slot_step: Annotated[SlotStep, Strict()] = 30
    squeeze_ins: Annotated[SqueezeInsAllowed, Strict()] = 0
    visit_type_ids: Annotated[
        list[Id], Field(max_length=200, description="The visit types offered by this doctor.")
    ] = Field(default_factory=list)


class SaveDoctor(AddDoctor, Change):
    """The new state of a doctor.

    `tint` (a colour of the palette), `position` (in lists) and `squeeze_ins` (how many at one time) stay if missing.
    """

    active: Annotated[YesNo, Field(description="Whether they take bookings.")] = True


@members_optional
class ChangeDoctor(SaveDoctor):
    """Changes to a doctor."""


@router.post(
    "",
    summary="Add a doctor",
    status_code=201,
    responses={201: {"model": DoctorOut, "headers": {**LOCATION_HEADER, **ETAG_HEADER}}, **problems(401, 403, 409)},
)
def create_doctor(page: CurrentPage, actor: WritingCaller, body: AddDoctor, key: Key = None) -> Response:
    """Add a doctor, without working hours or an account. Access: admins."""
    require_role(actor, "admin")

    def work(session: Session) -> tuple[DoctorOut, dict[str, str]]:
        command = part(DoctorProfile, body)
        if "position" not in body.model_fields_set:
            command = command.model_copy(update={"position": profiles.next_position(session)})
        number, _slug = profiles.create(session, actor, command, now=page.now)
        shown = doctor_out(page, actor, doctors.get_doctor_by_id(session, number))
        return shown, {"location": f"{API_PREFIX}/doctors/{number}", "etag": tag_of(shown)}

    return create(page, actor, key, body, DoctorOut, work)


@router.put("/{doctor_id}", summary="Replace a doctor", responses=changed(DoctorOut))
def replace_doctor(
    page: CurrentPage,
    actor: WritingCaller,
    doctor_id: PathId,
    body: SaveDoctor,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Replace a doctor's profile, visit types, and whether they take bookings. Access: admins."""
    require_role(actor, "admin")
    return _change(page, actor, doctor_id, body, preview=preview)


@router.patch("/{doctor_id}", summary="Change a doctor", responses=changed(DoctorOut))
def change_doctor(
    page: CurrentPage,
    actor: WritingCaller,
    doctor_id: PathId,
    body: ChangeDoctor,
    preview: Preview = False,
    _if_match: IfMatch = None,
) -> Response:
    """Change a doctor's profile, visit types, or whether they take bookings. Access: admins."""
    require_role(actor, "admin")
    return _change(page, actor, doctor_id, body, preview=preview)


def _change(page: Page, actor: Actor, doctor_id: int, body: SaveDoctor, *, preview: bool) -> Response:
    doctor = doctors.get_doctor_by_id(page.session, doctor_id)
    saved = profiles.get_profile(page.session, doctor.slug, now=page.now)
    seen = seen_by(page, doctor_out(page, actor, doctor), DoctorState(active=saved.active, profile=saved.profile))
    kept: dict[str, Any] = {
        name: getattr(saved.profile, name) for name in OWN_CHOICE if name not in body.model_fields_set
    }
    state = DoctorState(active=saved.active, profile=merged(saved.profile, body).model_copy(update=kept))
    wanted = merged(state, body)

    def work(session: Session) -> DoctorOut:
        profiles.change(session, actor, doctor.slug, wanted.profile, seen=seen, now=page.now)
        profiles.set_active(session, actor, doctor.slug, wanted.active, now=page.now)
        return doctor_out(page, actor, doctors.get_doctor_by_id(session, doctor.id))

    return impact_api.make(page, Plan(actor, work, [doctor.id], body.decisions), preview=preview)

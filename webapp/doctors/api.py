"""Doctors in the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from webapp.auth.programs.api_access import MaybeCaller
from webapp.auth.schemas import Actor
from webapp.clinic.dependencies import current_clinic
from webapp.clinic.visit_types import SuggestedFor
from webapp.core.api import LIST_HEADERS, ApiRouter, AskedPaging, QueryId, answer_list, part_of, storable
from webapp.core.api_problems import problems
from webapp.core.entity_tags import ETAG_HEADER, NOT_MODIFIED, answer_unless_known
from webapp.core.web import CurrentPage, Page, PathId
from webapp.doctors import search, service
from webapp.doctors.lateness import late_by
from webapp.doctors.service import DoctorRow
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _

router = ApiRouter(prefix="/doctors", tags=["Doctors"])

Words = Annotated[str, StringConstraints(max_length=200), AfterValidator(storable)]


class OfferedVisitTypeOut(BaseModel):
    """A visit type that a doctor offers. Durations are in minutes."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: Annotated[str, Field(examples=["First visit"])]
    minutes: Annotated[int, Field(examples=[30])]
    buffer_before: int
    buffer_after: int
    preparation: Annotated[str, Field(description="How the patient should prepare.")]
    online: Annotated[bool, Field(description="Whether patients can book it online, or only staff.")]
    suggested_for: Annotated[
        SuggestedFor,
        Field(description="The patients to whom pages suggest it: `new` ones were never at this doctor."),
    ]


class DoctorOut(BaseModel):
    """A doctor."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    slug: Annotated[str, Field(description="The name in page addresses.", examples=["amara-okafor"])]
    name: Annotated[str, Field(examples=["Dr. Amara Okafor"])]
    specialty: Annotated[str, Field(examples=["Dermatology"])]
    languages: Annotated[list[str], Field(examples=[["English", "Dutch"]])]
    bio: str
    room: str
    slot_step: Annotated[
        int, Field(description="Appointments start at multiples of this number of minutes.", examples=[15])
    ]
    active: Annotated[bool, Field(description="Whether they take bookings.")]
    visit_types: Annotated[list[OfferedVisitTypeOut], Field(description="What they offer, the default first.")]
    late_minutes: Annotated[
        int,
        Field(
            description="By about how many minutes they are running late today; 0 if on time, and for all but staff.",
            ge=0,
            examples=[0],
        ),
    ]


@router.get(
    "",
    summary="List doctors",
    responses={200: {"model": list[DoctorOut], "headers": LIST_HEADERS}, **problems(401)},
)
def list_doctors(
    page: CurrentPage,
    actor: MaybeCaller,
    paging: AskedPaging,
    specialty: Annotated[Words, Query(description="Only those of this specialty.", examples=["Dermatology"])] = "",
    language: Annotated[Words, Query(description="Only those who speak this language.", examples=["English"])] = "",
    visit_type_id: Annotated[QueryId | None, Query(description="Only those who offer this visit type.")] = None,
    q: Annotated[
        Words,
        Query(
            description="Words in their name, specialty, visit types or profile, or other "
            "words for these, such as `skin` for dermatology; accents are ignored."
        ),
    ] = "",
) -> Response:
    """Doctors in the clinic's order. Access: everyone. Staff also get doctors who are not taking bookings."""
    words = search.words_of(q)
    listed = service.list_doctors(page.session, inactive=_sees_inactive(actor))
    found = [
        doctor
        for doctor in listed
        if doctor.fits(specialty=specialty, language=language)
        and search.find(page.session, doctor, words) is not None
        and (visit_type_id is None or doctor.visit_type(visit_type_id) is not None)
    ]
    shown = [doctor_out(page, actor, doctor) for doctor in part_of(found, paging)]
    return answer_list(page, DoctorOut, shown, total=len(found), paging=paging)


@router.get(
    "/{doctor_id}",
    summary="Read a doctor",
    responses={200: {"model": DoctorOut, "headers": ETAG_HEADER}, **NOT_MODIFIED, **problems(401, 404)},
)
def read_doctor(page: CurrentPage, actor: MaybeCaller, doctor_id: PathId) -> Response:
    """A doctor who takes bookings. Access: everyone. Staff also get doctors who are not taking bookings."""
    return answer_unless_known(page, doctor_out(page, actor, visible_doctor(page, actor, doctor_id)))


def visible_doctor(page: Page, actor: Actor | None, doctor_id: int) -> DoctorRow:
    """The doctor with this id, if the actor may see them.

    Raises:
        NotFound: there is no such doctor, or they take no bookings and the actor is not staff.
    """
    doctor = service.get_doctor_by_id(page.session, doctor_id)
    if not (doctor.active or _sees_inactive(actor)):
        raise NotFound(_("Doctor not found."))
    return doctor


def doctor_out(page: Page, actor: Actor | None, doctor: DoctorRow) -> DoctorOut:
    """A doctor as the API shows them to this actor."""
    is_staff = actor is not None and actor.is_staff
    late = late_by(doctor, current_clinic(page).today(page.now)) if is_staff else 0
    return DoctorOut.model_validate(doctor).model_copy(update={"late_minutes": late})


def _sees_inactive(actor: Actor | None) -> bool:
    return actor is not None and actor.is_staff

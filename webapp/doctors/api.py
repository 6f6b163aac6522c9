"""Doctors, as programs read them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from webapp.doctors.service import DoctorRow


class OfferedVisitTypeOut(BaseModel):
    """A kind of visit that a doctor offers. Durations are in minutes."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: Annotated[str, Field(examples=["First visit"])]
    minutes: Annotated[int, Field(examples=[30])]
    buffer_before: int
    buffer_after: int
    preparation: Annotated[str, Field(description="What the patient is told to prepare.")]
    online: Annotated[bool, Field(description="Whether patients can book it, or staff alone.")]


class DoctorOut(BaseModel):
    """A doctor whom patients can see."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    slug: Annotated[str, Field(description="The name in addresses of pages.", examples=["amara-okafor"])]
    name: Annotated[str, Field(examples=["Dr. Amara Okafor"])]
    specialty: Annotated[str, Field(examples=["Dermatology"])]
    languages: Annotated[list[str], Field(examples=[["English", "Dutch"]])]
    bio: str
    room: str
    slot_step: Annotated[int, Field(description="Visits start on multiples of so many minutes.", examples=[15])]
    active: Annotated[bool, Field(description="Whether they take bookings.")]
    visit_types: Annotated[list[OfferedVisitTypeOut], Field(description="What they offer, the default first.")]


def doctor_out(doctor: DoctorRow) -> DoctorOut:
    """A doctor, as the API shows them."""
    return DoctorOut.model_validate(doctor)

"""The API's schemas of appointments: what it returns, and what it accepts to book and change them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from webapp.appointments.schemas import AppointmentStatus, AppointmentView, Note, Notes, Reason
from webapp.core.api import Id, Moment
from webapp.core.parsing import Instant
from webapp.core.strict_types import YesNo


class AppointmentOut(BaseModel):
    """An appointment."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    reference: Annotated[str, Field(description="The reference for people.", examples=["K7QM-2F9X"])]
    doctor_id: int
    patient_id: int
    visit_type_id: int
    starts_at: Moment
    ends_at: Moment
    status: AppointmentStatus
    reason: Annotated[
        str,
        Field(
            description="The reason for the appointment; '' where the clinic does not show it to the front desk.",
            examples=["A rash on the left arm"],
        ),
    ]
    notes: Annotated[str, Field(description="What else the patient told the doctor.")]
    confidential: Annotated[
        bool, Field(description="The person who books for the patient does not see it.", examples=[False])
    ]
    moved_by_clinic: Annotated[
        bool,
        Field(
            description="The clinic moved it last, so its patient may move and cancel it until it starts.",
            examples=[False],
        ),
    ]
    squeeze_reason: Annotated[
        str,
        Field(
            description="Why staff squeezed it in beside another appointment; empty for all others, and for patients.",
            examples=[""],
        ),
    ]
    arrived_at: Annotated[
        Moment | None, Field(description="When staff noted that the patient has arrived; null if they did not.")
    ]
    version: Annotated[int, Field(description="Counts the changes; used in the `ETag`.", examples=[1])]
    created_at: Moment
    updated_at: Moment


START = Field(
    description="A time with an offset, one of those that availability lists.",
    examples=["2026-12-01T09:30:00+01:00"],
)
OVERRIDE = Field(description="Staff only: the reason for an exception to the rules. It has no effect for others.")
STAFF_CHANGE = (
    "Staff only: another one, under its rules, with the length and the buffers of the visit type; without `starts_at` "
    "the start stays. Others get `new_booking`."
)
SQUEEZE = Field(
    description="Staff only: why the appointment is squeezed in, if its time is taken, beside those that have it. The "
    "doctor must allow that (else `squeeze_in_not_allowed`), and only so many are possible at one time "
    "(else `squeeze_in_full`). The reason also counts for exceptions without an `override_reason`. It has no effect "
    "for others, nor at a free time.",
    examples=["A child with a fever"],
)


class BookAppointment(BaseModel):
    """An appointment to book."""

    doctor_id: Annotated[Id, Field(examples=[1])]
    starts_at: Annotated[Instant, START]
    visit_type_id: Annotated[
        Id | None, Field(description="One that the doctor offers. Default: the doctor's default type.")
    ] = None
    reason: Annotated[Reason | None, Field(examples=["A rash on the left arm"])] = ""
    notes: Notes | None = ""
    patient_id: Annotated[
        Id | None,
        Field(
            description="The patient. Patients send their own id, which is the default, or that of a person they "
            "book for; staff send any id."
        ),
    ] = None
    override_reason: Annotated[Note, OVERRIDE] = ""
    squeeze_reason: Annotated[Note, SQUEEZE] = ""
    confidential: Annotated[
        YesNo,
        Field(
            description="The person who books for the patient does not see it. For staff, and for patients who book "
            "for themselves; it has no effect for others."
        ),
    ] = False


class ChangeAppointment(BaseModel):
    """Changes to an appointment. Missing or null members stay unchanged."""

    starts_at: Annotated[Instant | None, START] = None
    status: Annotated[
        AppointmentStatus | None, Field(description="Patients can only cancel.", examples=["cancelled"])
    ] = None
    reason: Reason | None = None
    notes: Notes | None = None
    doctor_id: Annotated[Id | None, Field(description=STAFF_CHANGE + " Doctors keep theirs.", examples=[1])] = None
    visit_type_id: Annotated[Id | None, Field(description=STAFF_CHANGE)] = None
    patient_id: Annotated[Id | None, Field(description="It cannot change here.")] = None
    override_reason: Annotated[Note, OVERRIDE] = ""
    squeeze_reason: Annotated[Note, SQUEEZE] = ""
    confidential: Annotated[
        YesNo | None,
        Field(description="Staff only: whether the person who books for the patient does not see it.", examples=[True]),
    ] = None

    def is_empty(self, view: AppointmentView) -> bool:
        """Whether it names nothing that can change; the present doctor and visit type may be repeated."""
        named = (self.starts_at, self.status, self.reason, self.notes, self.confidential)
        kept = self.doctor_id in (None, view.doctor_id) and self.visit_type_id in (None, view.visit_type_id)
        return kept and all(each is None for each in named)


class SaveAppointment(ChangeAppointment):
    """The new state of an appointment, complete or in part. Missing or null members stay unchanged.

    The patient cannot change: that needs a new appointment. Doctor and visit type change for staff only.
    """

    status: Annotated[
        AppointmentStatus | None,
        Field(description="Patients can only cancel. Sending the current status changes nothing."),
    ] = None

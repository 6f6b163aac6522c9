"""Decisions about appointments that a change affects, and the read models of those that need a decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field, StrictInt

from webapp.appointments.schemas import Note
from webapp.core.parsing import Instant
from webapp.scheduling.rule_violations import UpcomingAppointment

# The day from which new times are proposed.
ProposalsFrom = Literal["next_working_day", "today"]


class Decision(BaseModel):
    """The decision about one appointment: `starts_at` is its new time, `version` the state of it that was seen."""

    kind: Literal["keep", "move", "cancel"]
    version: StrictInt
    starts_at: Instant | None = None


class Decisions(BaseModel):
    """The decision about each affected appointment, by reference, and `why`: for the flag, or for the patient.

    New times are proposed from the clinic's next working day, unless `proposals_from` asks for earlier ones.
    """

    each: dict[str, Decision] = Field(default_factory=dict)
    why: Note = ""
    proposals_from: ProposalsFrom = "next_working_day"


NOTHING_DECIDED = Decisions()


class Affected(NamedTuple):
    """One appointment that a change affects. `proposal` is a free time to move to; `problem` is why a move failed.

    If the patient has `arrived`, the appointment can only be kept.
    """

    id: int
    reference: str
    version: int
    arrived: bool
    starts_at: datetime
    ends_at: datetime
    doctor_name: str
    patient_id: int
    patient_name: str
    patient_phone: str
    visit_type_name: str
    why: str
    proposal: datetime | None
    problem: str


class Pending(NamedTuple):
    """A decision to move or cancel a flagged appointment; `code` is the clinic's reason, `why` what staff typed."""

    appointment: UpcomingAppointment
    decision: Decision
    code: str
    why: str


@dataclass
class ImpactResult:
    """The result for the affected appointments: `later` are left to `finish`, the others are done.

    `unflagged` need no decision any more because of the change; `left` could not be moved or cancelled by `finish`.
    `list_ids` are the notification lists.
    """

    kept: int = 0
    moved: int = 0
    cancelled: int = 0
    later: int = 0
    unflagged: int = 0
    left: int = 0
    list_ids: list[int] = field(default_factory=list)

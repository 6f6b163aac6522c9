"""Visit types: their names, durations, buffers and settings.

Which doctors offer one is handled in `webapp/doctors/offers.py`, which knows both. Booked appointments keep the length
that they were booked with.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.schemas import Actor, readable_name
from webapp.clinic.models import VisitType
from webapp.core.strict_types import ONE_LINE, Whole, YesNo
from webapp.exceptions import Conflict, NotFound
from webapp.i18n import gettext as _

SuggestedFor = Literal["new", "returning", "everyone", "none"]
Buffer = Annotated[Whole, Field(ge=0, le=120)]


class VisitTypeDetails(BaseModel):
    """A visit type; durations in minutes. Buffers keep the doctor free before and after the patient's time.

    `suggested_for`: the patients who see its free times until they choose a type; 'new' ones were never at the doctor.
    """

    name: Annotated[str, StringConstraints(min_length=2, max_length=80), ONE_LINE, AfterValidator(readable_name)]
    minutes: Annotated[Whole, Field(ge=5, le=240)]
    buffer_before: Buffer = 0
    buffer_after: Buffer = 0
    preparation: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""
    online: YesNo = True
    named_in_messages: YesNo = False
    suggested_for: SuggestedFor = "none"


class SavedVisitType(NamedTuple):
    """A visit type, its id, and whether it can be booked at all."""

    id: int
    active: bool
    details: VisitTypeDetails


class NameTaken(Conflict):
    """Another visit type has this name, and the two could not be told apart."""

    code = "visit_type_name_taken"

    def __init__(self) -> None:
        super().__init__(_("A visit type with this name already exists. Choose another name."), field="name")


_COLUMNS = sa.select(
    VisitType.id, VisitType.active, *(getattr(VisitType, name) for name in VisitTypeDetails.model_fields)
)


def _visit_type_of(row: sa.Row[Any]) -> SavedVisitType:
    details = VisitTypeDetails.model_construct(**{name: getattr(row, name) for name in VisitTypeDetails.model_fields})
    return SavedVisitType(row.id, row.active, details)


def list_visit_types(session: Session) -> list[SavedVisitType]:
    """Every visit type: those that can be booked first, then by name."""
    query = _COLUMNS.order_by(VisitType.active.desc(), VisitType.name, VisitType.id)
    return [_visit_type_of(row) for row in session.execute(query)]


def get_visit_type(session: Session, visit_type_id: int) -> SavedVisitType:
    """One visit type, active or not.

    Raises:
        NotFound: no visit type has this id.
    """
    row = session.execute(_COLUMNS.where(VisitType.id == visit_type_id)).one_or_none()
    if row is None:
        raise NotFound(_("Visit type not found."))
    return _visit_type_of(row)


def lock_visit_type(session: Session, visit_type_id: int) -> SavedVisitType:
    """Take the visit type's lock, which comes after those of doctors, then read it.

    Raises:
        NotFound: no visit type has this id.
    """
    mine = sa.select(VisitType.id).where(VisitType.id == visit_type_id).with_for_update(key_share=True)
    session.execute(mine)
    return get_visit_type(session, visit_type_id)


def create(session: Session, actor: Actor, command: VisitTypeDetails, *, now: datetime) -> int:
    """Add a visit type and return its id.

    Raises:
        NameTaken: another one has this name.
    """
    row = VisitType(**command.model_dump())
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise NameTaken from error
    record(session, actor, "visit_type_created", row.id, now=now)
    return row.id


def change(session: Session, saved: SavedVisitType, command: VisitTypeDetails) -> list[str]:
    """Change a locked visit type and return the names of the changed values; the caller records them.

    Raises:
        NameTaken: another one has this name.
    """
    changed = {name: value for name, value in command if getattr(saved.details, name) != value}
    if changed:
        query = sa.update(VisitType).where(VisitType.id == saved.id).values(**changed)
        try:
            with session.begin_nested():
                session.execute(query.execution_options(synchronize_session=False))
        except IntegrityError as error:
            raise NameTaken from error
    return sorted(changed)


def set_active(session: Session, actor: Actor, saved: SavedVisitType, active: bool, *, now: datetime) -> None:
    """Make a locked visit type bookable or not."""
    if saved.active == active:
        return
    query = sa.update(VisitType).where(VisitType.id == saved.id).values(active=active)
    session.execute(query.execution_options(synchronize_session=False))
    record(session, actor, "visit_type_reactivated" if active else "visit_type_deactivated", saved.id, now=now)


def record(
    session: Session,
    actor: Actor,
    action: str,
    visit_type_id: int,
    *,
    now: datetime,
    details: dict[str, Any] | None = None,
) -> None:
    """Write an audit row about a visit type; its name may be a diagnosis and is left out."""
    audit.record_by(session, actor, action, subject=("visit_type", visit_type_id), now=now, details=details)

"""Managing doctors: adding them, editing their public details, and whether they take bookings.

A doctor's slug, which is their name in addresses, is made from the name once and stays when the name changes, so that
saved links keep working.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import count
from typing import Annotated, Any, Literal, NamedTuple

import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.audit import service as audit
from webapp.auth.models import PasswordLink, User
from webapp.auth.schemas import Actor, PersonName, readable_name
from webapp.clinic.models import VisitType
from webapp.core.names import sort_key, without_titles
from webapp.core.optimistic_lock import fingerprint, require_unchanged
from webapp.core.strict_types import ONE_LINE, Whole
from webapp.core.text import plain
from webapp.doctors.models import MOST_SQUEEZE_INS, Doctor, WorkingHours, doctor_visit_types
from webapp.events.kinds import ScheduleChanged
from webapp.events.publishing import publish
from webapp.exceptions import Invalid, NotFound
from webapp.i18n import gettext as _

TINTS = range(1, 7)
# Docket's own addresses use these words, for example /admin/doctors/new.
RESERVED_SLUGS = {"new", "list"}
# A slug has at most 80 characters; this leaves room for the number that tells equal names apart.
SLUG_LETTERS = 70
# A change of these affects which times are free.
_TIMING = {"slot_step", "visit_types"}

AccountState = Literal["none", "invited", "active", "disabled"]
Language = Annotated[str, StringConstraints(min_length=2, max_length=40), ONE_LINE, AfterValidator(readable_name)]


SqueezeInsAllowed = Annotated[int, Field(ge=0, le=MOST_SQUEEZE_INS)]
Tint = Annotated[int, Field(ge=1, le=6)]
SlotStep = Annotated[int, Field(ge=5, le=240)]


class DoctorProfile(BaseModel):
    """A doctor's details as an admin enters them. `slot_step` is in minutes; `position` orders the list of doctors.

    `squeeze_ins` is how many appointments staff may squeeze in at one time.
    """

    name: PersonName
    specialty: Annotated[str, StringConstraints(min_length=2, max_length=80), ONE_LINE, AfterValidator(readable_name)]
    languages: Annotated[list[Language], Field(max_length=12)] = Field(default_factory=list)
    room: Annotated[str, StringConstraints(max_length=60), ONE_LINE] = ""
    tint: Tint = 1
    slot_step: SlotStep = 30
    position: Annotated[Whole, Field(ge=0, le=9999)] = 0
    bio: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""
    squeeze_ins: SqueezeInsAllowed = 0
    visit_type_ids: list[int] = Field(default_factory=list)


class SqueezeIns(BaseModel):
    """How many appointments staff may squeeze in with a doctor at one time; 0 allows none."""

    squeeze_ins: SqueezeInsAllowed


class SavedDoctor(NamedTuple):
    """A doctor as admins see them; `account` says whether they can sign in, `email` with which address."""

    id: int
    slug: str
    active: bool
    user_id: int | None
    email: str
    account: AccountState
    profile: DoctorProfile

    @property
    def seen(self) -> str:
        """The fingerprint of the state that a page shows, including whether they take bookings."""
        return fingerprint(DoctorState(active=self.active, profile=self.profile))


class DoctorState(BaseModel):
    """The details that two admins could edit at the same time."""

    active: bool
    profile: DoctorProfile


class DoctorLine(NamedTuple):
    """A doctor in the list of all doctors."""

    id: int
    slug: str
    name: str
    specialty: str
    room: str
    tint: int
    active: bool
    email: str
    account: AccountState
    has_hours: bool


_LINK_UNTIL = sa.select(PasswordLink.expires_at).where(PasswordLink.user_id == User.id).limit(1).scalar_subquery()
_HAS_HOURS = sa.exists().where(WorkingHours.doctor_id == Doctor.id)


def list_profiles(session: Session, *, text: str = "", active: bool | None, now: datetime) -> list[DoctorLine]:
    """Doctors in the clinic's order; every word of `text` must begin a word of their name, specialty or room.

    There are a few hundred at most, so all are read and compared in Python, ignoring accents.
    """
    query = (
        sa.select(Doctor, User.email, User.active.label("may_sign_in"), _LINK_UNTIL.label("link"), _HAS_HOURS)
        .outerjoin(User, User.id == Doctor.user_id)
        .order_by(Doctor.position, Doctor.sort_name, Doctor.id)
    )
    if active is not None:
        query = query.where(Doctor.active.is_(active))
    wanted = plain(text).split()
    return [
        DoctorLine(
            doctor.id,
            doctor.slug,
            doctor.name,
            doctor.specialty,
            doctor.room,
            doctor.tint,
            doctor.active,
            email or "",
            _account_state(may_sign_in, link, now),
            has_hours,
        )
        for doctor, email, may_sign_in, link, has_hours in session.execute(query)
        if _says(wanted, f"{doctor.name} {doctor.specialty} {doctor.room}")
    ]


def _says(wanted: list[str], text: str) -> bool:
    words = plain(text.replace("-", " ")).split()
    return all(any(word.startswith(part) for word in words) for part in wanted)


def _account_state(may_sign_in: bool | None, link_until: datetime | None, now: datetime) -> AccountState:
    if may_sign_in is None:
        return "none"
    if not may_sign_in:
        return "disabled"
    return "invited" if link_until is not None and link_until > now else "active"


def get_profile(session: Session, slug: str, *, now: datetime) -> SavedDoctor:
    """One doctor, active or not, by slug.

    Raises:
        NotFound: there is no such doctor.
    """
    query = (
        sa.select(Doctor, User.email, User.active, _LINK_UNTIL)
        .outerjoin(User, User.id == Doctor.user_id)
        .where(Doctor.slug == slug)
        # A transaction that waited for the lock must not use the row that it read before.
        .execution_options(populate_existing=True)
    )
    found = session.execute(query).one_or_none()
    if found is None:
        raise NotFound(_("Doctor not found."))
    doctor, email, may_sign_in, link = found
    profile = DoctorProfile.model_construct(
        **{name: getattr(doctor, name) for name in DoctorProfile.model_fields if name != "visit_type_ids"},
        visit_type_ids=_offered(session, doctor.id),
    )
    account = _account_state(may_sign_in, link, now)
    return SavedDoctor(doctor.id, doctor.slug, doctor.active, doctor.user_id, email or "", account, profile)


def _offered(session: Session, doctor_id: int) -> list[int]:
    """The active visit types that a doctor offers. Inactive ones stay linked, for when they are activated again."""
    query = (
        sa.select(doctor_visit_types.c.visit_type_id)
        .join(VisitType, VisitType.id == doctor_visit_types.c.visit_type_id)
        .where(doctor_visit_types.c.doctor_id == doctor_id, VisitType.active.is_(True))
        .order_by(VisitType.id)
    )
    return list(session.scalars(query))


def known_specialties(session: Session) -> list[str]:
    """The specialties of all doctors, as suggestions while typing."""
    return list(session.scalars(sa.select(Doctor.specialty).distinct().order_by(Doctor.specialty)))


def next_position(session: Session) -> int:
    """The position of a new doctor in the list: after all others."""
    return min(9999, (session.scalar(sa.select(sa.func.max(Doctor.position))) or 0) + 1)


def create(session: Session, actor: Actor, command: DoctorProfile, *, now: datetime) -> tuple[int, str]:
    """Add a doctor without working hours; return their id and slug.

    Raises:
        Invalid: one of the visit types cannot be booked any more.
    """
    values = command.model_dump(exclude={"visit_type_ids"})
    for slug in _slugs_for(command.name):
        doctor = Doctor(slug=slug, **values)
        try:
            with session.begin_nested():
                session.add(doctor)
        except IntegrityError as error:
            # Only a duplicate slug can be solved by trying another one.
            if "slug" not in str(error.orig):
                raise
            continue
        break
    _offer(session, doctor.id, command.visit_type_ids)
    _record(session, actor, "doctor_created", doctor.id, now=now)
    return doctor.id, doctor.slug


def find_just_added(session: Session, actor: Actor, command: DoctorProfile, *, now: datetime) -> str | None:
    """The slug of the doctor whom the actor added with the same details a moment ago: then the form was sent twice."""
    # Of two clicks at the same instant, the second finds the doctor whom the first has added.
    session.execute(sa.select(User.id).where(User.id == actor.user_id).with_for_update(key_share=True))
    recent = audit.done_a_moment_ago(actor, "doctor_created", now=now)
    added = sa.select(Doctor.slug).where(Doctor.id.in_(recent)).order_by(Doctor.id)
    wanted = command.model_copy(update={"visit_type_ids": sorted(set(command.visit_type_ids))})
    found = (slug for slug in session.scalars(added).all() if get_profile(session, slug, now=now).profile == wanted)
    return next(found, None)


def _slugs_for(name: str) -> Iterable[str]:
    """'emre-yildiz' for 'Dr. Emre Yıldız', then 'emre-yildiz-2', and so on."""
    spoken = " ".join(without_titles(name)).replace("-", " ")
    words = plain(spoken).encode("ascii", "ignore").decode().split()
    slug = "-".join(words)[:SLUG_LETTERS].strip("-") or "doctor"
    if slug not in RESERVED_SLUGS:
        yield slug
    yield from (f"{slug}-{number}" for number in count(2))


def change(session: Session, actor: Actor, slug: str, command: DoctorProfile, *, seen: str, now: datetime) -> None:
    """Save a doctor's details. Slug, hours and account stay.

    Raises:
        NotFound, EditedMeanwhile. Invalid: one of the visit types cannot be booked any more.
    """
    saved = _lock(session, slug, now=now)
    wanted = sorted(set(command.visit_type_ids))
    stored = DoctorState(active=saved.active, profile=command.model_copy(update={"visit_type_ids": wanted}))
    require_unchanged(DoctorState(active=saved.active, profile=saved.profile), seen, wanted=stored)
    values = command.model_dump(exclude={"visit_type_ids"})
    changed = [name for name, value in values.items() if getattr(saved.profile, name) != value]
    if changed:
        written = {name: values[name] for name in changed} | {"sort_name": sort_key(command.name)}
        query = sa.update(Doctor).where(Doctor.id == saved.id).values(**written)
        session.execute(query.execution_options(synchronize_session=False))
    if wanted != saved.profile.visit_type_ids:
        gone = set(saved.profile.visit_type_ids) - set(wanted)
        session.execute(
            sa.delete(doctor_visit_types).where(
                doctor_visit_types.c.doctor_id == saved.id, doctor_visit_types.c.visit_type_id.in_(gone)
            )
        )
        _offer(session, saved.id, sorted(set(wanted) - set(saved.profile.visit_type_ids)))
        changed.append("visit_types")
    if changed:
        _record(session, actor, "doctor_changed", saved.id, now=now, details={"changed": sorted(changed)})
    if not _TIMING.isdisjoint(changed):
        _publish(session, actor, saved.id, now=now)


def change_squeeze_ins(session: Session, actor: Actor, slug: str, command: SqueezeIns, *, now: datetime) -> None:
    """Let staff squeeze in more or fewer appointments at one time. Those that are squeezed in already stay.

    Raises:
        NotFound: there is no such doctor.
    """
    saved = _lock(session, slug, now=now)
    wanted = saved.profile.model_copy(update=command.model_dump())
    change(session, actor, slug, wanted, seen=saved.seen, now=now)


def set_active(session: Session, actor: Actor, slug: str, active: bool, *, now: datetime) -> None:
    """Let a doctor take bookings or not. Their hours, appointments and account stay.

    Raises:
        NotFound: there is no such doctor.
    """
    saved = _lock(session, slug, now=now)
    if saved.active == active:
        return
    query = sa.update(Doctor).where(Doctor.id == saved.id).values(active=active)
    session.execute(query.execution_options(synchronize_session=False))
    _record(session, actor, "doctor_reactivated" if active else "doctor_deactivated", saved.id, now=now)
    _publish(session, actor, saved.id, now=now)


def _publish(session: Session, actor: Actor, doctor_id: int, *, now: datetime) -> None:
    publish(session, ScheduleChanged(by=actor.done_by, what="doctor", doctor_ids=(doctor_id,)), now=now)


def _lock(session: Session, slug: str, *, now: datetime) -> SavedDoctor:
    """Take the doctor's lock, active or not, then read their details."""
    session.execute(sa.select(Doctor.id).where(Doctor.slug == slug).with_for_update(key_share=True))
    return get_profile(session, slug, now=now)


def _offer(session: Session, doctor_id: int, visit_type_ids: Sequence[int]) -> None:
    """Let a doctor also offer these visit types. Their locks keep other users from deactivating one meanwhile."""
    wanted = sorted(set(visit_type_ids))
    if not wanted:
        return
    query = sa.select(VisitType.id).where(VisitType.id.in_(wanted), VisitType.active.is_(True)).order_by(VisitType.id)
    if list(session.scalars(query.with_for_update(read=True))) != wanted:
        raise Invalid(
            _("One of these visit types can no longer be booked. Open this page again to see which."),
            field="visit_type_ids",
        )
    session.execute(
        sa.insert(doctor_visit_types),
        [{"doctor_id": doctor_id, "visit_type_id": number} for number in wanted],
    )


def _record(
    session: Session,
    actor: Actor,
    action: str,
    doctor_id: int,
    *,
    now: datetime,
    details: dict[str, Any] | None = None,
) -> None:
    audit.record_by(session, actor, action, subject=("doctor", doctor_id), now=now, details=details)

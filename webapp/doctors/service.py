"""Reading doctors and the visit types they offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.clinic.models import VisitType
from webapp.clinic.schedule_versions import cached_for_clinic, versions_seen
from webapp.database import rows, table_of
from webapp.doctors.models import Doctor, doctor_visit_types
from webapp.exceptions import NotFound
from webapp.i18n import gettext as _


class VisitTypeRow(NamedTuple):
    """A visit type; durations in minutes."""

    id: int
    name: str
    minutes: int
    buffer_before: int
    buffer_after: int
    preparation: str
    online: bool
    active: bool
    suggested_for: str


class DoctorRow(NamedTuple):
    """A doctor with the visit types they offer, the shortest first, which programs get if they name none."""

    id: int
    slug: str
    name: str
    specialty: str
    languages: list[str]
    bio: str
    room: str
    tint: int
    slot_step: int
    active: bool
    squeeze_ins: int
    late_minutes: int
    late_on: date | None
    visit_types: list[VisitTypeRow]

    def visit_type(self, visit_type_id: int | None) -> VisitTypeRow | None:
        """The offered visit type with this id; without an id, the first that can be booked online."""
        if visit_type_id is None:
            return next((kind for kind in self.visit_types if kind.online), None)
        return next((kind for kind in self.visit_types if kind.id == visit_type_id), None)

    def fits(self, *, specialty: str | None = None, language: str | None = None) -> bool:
        """Whether they have this specialty and speak this language; None and '' ask for any."""
        return not (specialty and specialty != self.specialty) and not (language and language not in self.languages)


# Queries use tables instead of mapped classes, and each is built once: building it takes longer than running it.
_DOCTOR, _KIND = table_of(Doctor).c, table_of(VisitType).c
_DOCTOR_COLUMNS = [_DOCTOR[name] for name in DoctorRow._fields[:-1]]
_KIND_COLUMNS = [_KIND[name] for name in VisitTypeRow._fields]
_WITH_TYPES = (
    sa.select(*_DOCTOR_COLUMNS, *_KIND_COLUMNS)
    .select_from(table_of(Doctor))
    .outerjoin(doctor_visit_types, doctor_visit_types.c.doctor_id == _DOCTOR.id)
    .outerjoin(table_of(VisitType), sa.and_(_KIND.id == doctor_visit_types.c.visit_type_id, _KIND.active.is_(True)))
    .order_by(_DOCTOR.position, _DOCTOR.sort_name, _DOCTOR.id, _KIND.minutes, _KIND.id)
)
_BY_SLUG = _WITH_TYPES.where(_DOCTOR.active.is_(True), _DOCTOR.slug == sa.bindparam("value"))
_BY_ID = _WITH_TYPES.where(_DOCTOR.id == sa.bindparam("value"))
_BY_IDS = _WITH_TYPES.where(_DOCTOR.id.in_(sa.bindparam("doctor_ids", expanding=True)))
_BY_USER = _WITH_TYPES.where(_DOCTOR.user_id == sa.bindparam("value"))


def _doctors(session: Session, query: sa.Select[Any], **values: object) -> list[DoctorRow]:
    doctors: dict[int, DoctorRow] = {}
    for row in rows(session, query, **values):
        doctor = doctors.get(row[0])
        if doctor is None:
            doctor = doctors[row[0]] = DoctorRow._make((*row[: len(_DOCTOR_COLUMNS)], []))
        if row[len(_DOCTOR_COLUMNS)] is not None:
            doctor.visit_types.append(VisitTypeRow._make(row[len(_DOCTOR_COLUMNS) :]))
    return list(doctors.values())


def _all_doctors(session: Session) -> list[DoctorRow]:
    return cached_for_clinic(session, "doctors", lambda: _doctors(session, _WITH_TYPES))


def _one(session: Session, query: sa.Select[Any], value: object, fits: Callable[[DoctorRow], bool]) -> DoctorRow:
    """The doctor that the query finds; if all doctors are cached, the one of them that fits."""
    is_kept = versions_seen(session) is not None
    found = filter(fits, _all_doctors(session)) if is_kept else iter(_doctors(session, query, value=value))
    doctor = next(found, None)
    if doctor is None:
        raise NotFound(_("Doctor not found."))
    return doctor


def list_doctors(session: Session, *, inactive: bool = False) -> list[DoctorRow]:
    """All doctors who take bookings, in the clinic's order; with `inactive` those who take none, too."""
    return [doctor for doctor in _all_doctors(session) if inactive or doctor.active]


def get_doctor(session: Session, slug: str) -> DoctorRow:
    """One doctor who takes bookings, by slug.

    Raises:
        NotFound: there is no such doctor, or they take no bookings at the moment.
    """
    return _one(session, _BY_SLUG, slug, lambda doctor: doctor.slug == slug and doctor.active)


def get_doctor_by_id(session: Session, doctor_id: int) -> DoctorRow:
    """One doctor, active or not, by id."""
    return _one(session, _BY_ID, doctor_id, lambda doctor: doctor.id == doctor_id)


def get_doctor_of_user(session: Session, user_id: int) -> DoctorRow:
    """The doctor whose account this is.

    Raises:
        NotFound: the account is not bound to a doctor yet.
    """
    doctors = cached_for_clinic(session, ("doctor of", user_id), lambda: _doctors(session, _BY_USER, value=user_id))
    if not doctors:
        raise NotFound(
            _("Your account is not linked to a doctor yet, so there is no day to show. Ask an admin of the clinic.")
        )
    return doctors[0]


_LOCK_BY_SLUG = (
    sa.select(_DOCTOR.id)
    .where(_DOCTOR.slug == sa.bindparam("value"), _DOCTOR.active.is_(True))
    .with_for_update(key_share=True)
)
_LOCK_BY_ID = sa.select(_DOCTOR.id).where(_DOCTOR.id == sa.bindparam("value")).with_for_update(key_share=True)


def lock_doctor(session: Session, *, slug: str | None = None, doctor_id: int | None = None) -> int:
    """Take one doctor's lock, which every booking with them takes first, and return the doctor's id.

    PostgreSQL locks the row until the transaction ends. On SQLite a writing transaction already holds the only write
    lock, and the clause compiles to nothing.

    Raises:
        NotFound: there is no such doctor, or (by slug) they take no bookings at the moment.
    """
    query, value = (_LOCK_BY_ID, doctor_id) if slug is None else (_LOCK_BY_SLUG, slug)
    found = rows(session, query, value=value).scalar()
    if found is None:
        raise NotFound(_("Doctor not found."))
    return int(found)


def lock_doctors(session: Session, doctor_ids: Sequence[int] | None) -> list[int]:
    """Take the locks of these doctors (None: of all), in the order of their ids; returns the ids."""
    query = sa.select(_DOCTOR.id).order_by(_DOCTOR.id).with_for_update(key_share=True)
    if doctor_ids is not None:
        query = query.where(_DOCTOR.id.in_(list(doctor_ids)))
    return list(rows(session, query).scalars())


def list_by_ids(session: Session, doctor_ids: Sequence[int]) -> list[DoctorRow]:
    """These doctors, active or not, in the clinic's order."""
    return _doctors(session, _BY_IDS, doctor_ids=list(doctor_ids))


_ALL_KINDS = sa.select(*_KIND_COLUMNS)


def visit_types_by_id(session: Session) -> dict[int, VisitTypeRow]:
    """All visit types, offered or not."""

    def read() -> dict[int, VisitTypeRow]:
        return {row[0]: VisitTypeRow._make(row) for row in rows(session, _ALL_KINDS)}

    return cached_for_clinic(session, "visit types", read)


def any_visit_type(session: Session) -> VisitTypeRow:
    """Any visit type, for questions in which only the doctor matters."""
    row = session.execute(sa.select(*_KIND_COLUMNS).order_by(_KIND.id).limit(1)).one()
    return VisitTypeRow(*row)


def find_visit_type(session: Session, visit_type_id: int) -> VisitTypeRow | None:
    """A visit type by id, whether or not a doctor offers it."""
    row = session.execute(sa.select(*_KIND_COLUMNS).where(_KIND.id == visit_type_id)).one_or_none()
    return VisitTypeRow(*row) if row else None

"""Reads appointments. Every query for a user starts from `visible_to`, so appointments that they may not see do not
exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.exceptions import NoSuchAppointment
from webapp.appointments.schemas import AppointmentView, Booking, OwnAppointment
from webapp.auth.schemas import Actor
from webapp.clinic.models import VisitType
from webapp.clinic.service import get_clinic
from webapp.database import UtcDateTime, rows
from webapp.doctors.models import Doctor
from webapp.patients.models import Patient, link_is_active
from webapp.patients.names import shown_name_column
from webapp.scheduling.models import ACTIVE, UNDECIDED, Appointment


def visible_to(actor: Actor) -> sa.ColumnElement[bool]:
    """The condition for the appointments that exist for this actor.

    The front desk and admins see all, doctors their own, patients their own and those of the people they book for that
    are not confidential, and a client with a link the appointment of that link.
    """
    return _visible(_kind_of(actor), actor.user_id, actor.appointment_id)


def _kind_of(actor: Actor) -> str:
    if actor.by_link:
        return "link"
    return "all" if actor.sees_all else actor.role


def _visible(kind: str, user_id: Any, appointment_id: Any) -> sa.ColumnElement[bool]:
    """The condition of `visible_to` for a kind of actor and ids, which may be query parameters."""
    if kind == "link":
        return sa.and_(Appointment.id == appointment_id)
    if kind == "all":
        return sa.true()
    if kind == "doctor":
        return Appointment.doctor_id.in_(sa.select(Doctor.id).where(Doctor.user_id == user_id))
    own, theirs = _own_id(user_id), _books_for(user_id)
    # One subquery: with two, joined by OR, PostgreSQL reads the appointments of all patients.
    patients = sa.select(Patient.id).where(sa.or_(Patient.user_id == user_id, theirs)).correlate(None)
    # A confidential appointment exists for the patient, but not for the person who books for them.
    shown = sa.or_(Appointment.confidential.is_(False), Appointment.patient_id == own)
    return sa.and_(Appointment.patient_id.in_(patients), shown)


def _own_id(user_id: Any) -> sa.ScalarSelect[int]:
    """The id of a reader's own record."""
    # This and the other subqueries are not correlated, because the queries around them read patients too.
    return sa.select(Patient.id).where(Patient.user_id == user_id).correlate(None).scalar_subquery()


def _books_for(user_id: Any) -> sa.ColumnElement[bool]:
    """The condition that a reader books for a patient, who is another person."""
    return sa.and_(Patient.managed_by_id == _own_id(user_id), link_is_active(Patient))


def _books_for_others(user_id: Any) -> sa.ColumnElement[bool]:
    """Whether a reader books for other people, too. It is read once for a query, not for each row."""
    return sa.exists().where(_books_for(user_id)).correlate(None)


def readable_note(appointment: Any) -> sa.ColumnElement[str]:
    """The private note, if the appointment's present doctor wrote it; else ''."""
    theirs = sa.or_(appointment.note_doctor_id.is_(None), appointment.note_doctor_id == appointment.doctor_id)
    return sa.case((theirs, appointment.private_note), else_="")


_VIEW: Any = (
    sa.select(
        Appointment.id,
        Appointment.reference,
        Appointment.status,
        Appointment.starts_at,
        Appointment.ends_at,
        Appointment.reason,
        Appointment.notes,
        Appointment.cancellation_reason,
        Appointment.cancellation_code,
        Appointment.version,
        Appointment.created_at,
        Appointment.updated_at,
        Doctor.id,
        Doctor.slug,
        Doctor.name,
        Doctor.specialty,
        Doctor.room,
        Doctor.tint,
        Doctor.active,
        Patient.id,
        shown_name_column(),
        Patient.birth_date,
        Patient.user_id,
        VisitType.id,
        VisitType.name,
        VisitType.preparation,
        readable_note(Appointment),
        Appointment.flagged_why,
        Appointment.override_reason,
        Appointment.previous_status,
        Patient.phone,
        Patient.email,
        VisitType.named_in_messages,
        Appointment.busy_from,
        Appointment.busy_until,
        Appointment.moved_by_clinic,
        Appointment.promised_minute,
        Appointment.confidential,
        Appointment.lane,
        Appointment.squeeze_reason,
        Appointment.desk_note,
        Patient.alert,
        Appointment.arrived_at,
        Doctor.late_minutes,
        Doctor.late_on,
    )
    .join(Doctor, Doctor.id == Appointment.doctor_id)
    .join(Patient, Patient.id == Appointment.patient_id)
    .join(VisitType, VisitType.id == Appointment.visit_type_id)
)


def get_appointment(session: Session, actor: Actor, reference: str) -> AppointmentView:
    """One appointment in full, by its reference in upper or lower case.

    Raises:
        NoSuchAppointment: it does not exist, or the actor may not see it.
    """
    return _one(session, actor, Appointment.reference == reference.upper())


def get_appointment_by_id(session: Session, actor: Actor, appointment_id: int) -> AppointmentView:
    """One appointment in full, by its id.

    Raises:
        NoSuchAppointment: it does not exist, or the actor may not see it.
    """
    return _one(session, actor, Appointment.id == appointment_id)


def get_appointments(session: Session, actor: Actor, appointment_ids: Sequence[int]) -> list[AppointmentView]:
    """The appointments among these that the actor may see, in full and in order of their start."""
    query = _VIEW.where(Appointment.id.in_(list(appointment_ids)), visible_to(actor))
    found = session.execute(query.order_by(Appointment.starts_at, Appointment.id))
    hidden = hides_reasons(session, actor)
    return [_visible_part(actor, AppointmentView(*row), hidden) for row in found]


def get_appointments_named(session: Session, actor: Actor, references: Sequence[str]) -> list[AppointmentView]:
    """The appointments with these references that the actor may see, in full and in order of their start."""
    named = sa.select(Appointment.id).where(Appointment.reference.in_(list(references)))
    return get_appointments(session, actor, list(session.scalars(named)))


def _one(session: Session, actor: Actor, which: sa.ColumnElement[bool]) -> AppointmentView:
    row = session.execute(_VIEW.where(which, _visible_in_view(actor))).one_or_none()
    if row is None:
        raise NoSuchAppointment
    return _visible_part(actor, AppointmentView(*row), hides_reasons(session, actor))


def _visible_in_view(actor: Actor) -> sa.ColumnElement[bool]:
    """The condition of `visible_to` for one appointment, with the patient and the doctor whom `_VIEW` joins.

    SQLite runs the subqueries of `visible_to` only when it has found the appointment. For a stranger's reference that
    took a tenth longer than for one that does not exist.
    """
    kind = _kind_of(actor)
    if kind == "doctor":
        return Doctor.user_id == actor.user_id
    if kind == "patient":
        theirs = sa.and_(_books_for(actor.user_id), Appointment.confidential.is_(False))
        return sa.or_(Patient.user_id == actor.user_id, theirs)
    return visible_to(actor)


def hides_reasons(session: Session, actor: Actor) -> bool:
    """Whether the clinic hides from this actor why patients come and cancel: a setting about the front desk."""
    return actor.role == "receptionist" and not get_clinic(session).desk_sees_reasons


def _visible_part(actor: Actor, view: AppointmentView, hidden: bool) -> AppointmentView:
    # A private note is for its doctor only; other readers see no note.
    if actor.role == "doctor":
        return view
    view = view._replace(private_note="")
    if actor.role == "patient":
        view = view._replace(squeeze_reason="", desk_note="", patient_alert="")
    if hidden:
        view = view._replace(reason="", cancellation_reason="")
    return _seen_with_link(view) if actor.by_link else view


def _seen_with_link(view: AppointmentView) -> AppointmentView:
    """The appointment as a client with a link sees it. Messages get forwarded, so the page does not say why the patient
    comes. It does say how to prepare, because messages that may not say it link to this page.
    """
    return view._replace(
        reason="",
        notes="",
        cancellation_reason="",
        cancellation_code="",
        flagged_why="",
        override_reason="",
        squeeze_reason="",
        doctor_specialty="",
        visit_type_name=view.visit_type_name if view.named_in_messages else "",
        patient_birth_date=None,
        patient_phone="",
        patient_email="",
    )


class OwnAppointments(NamedTuple):
    """One page of the reader's appointments, and the total number."""

    lines: list[OwnAppointment]
    total: int


Listed = Literal["upcoming", "past", "cancelled"]


def list_appointments(
    session: Session, actor: Actor, *, show: Listed, now: datetime, skip: int, limit: int
) -> OwnAppointments:
    """The actor's appointments: upcoming ones, soonest first; or past or cancelled ones, latest first.

    A cancelled appointment is listed as cancelled only, whether its time has passed or not.
    """
    lines, total = _list_queries(_kind_of(actor), show)
    values = {"user_id": actor.user_id, "appointment_id": actor.appointment_id, "now": now}
    found = [OwnAppointment._make(row) for row in rows(session, lines, **values, skip=skip, limit=limit)]
    # A first page that is not full has them all.
    is_all = skip == 0 and len(found) < limit
    return OwnAppointments(found, len(found) if is_all else rows(session, total, **values).scalar() or 0)


# Built once for each kind of actor, because building them takes longer than running them.
@cache
def _list_queries(kind: str, show: Listed) -> tuple[sa.Select[*tuple[Any, ...]], sa.Select[*tuple[Any, ...]]]:
    number = sa.bindparam("user_id", type_=sa.Integer), sa.bindparam("appointment_id", type_=sa.Integer)
    now = sa.bindparam("now", type_=UtcDateTime)
    # With the words of `OPEN`, SQLite would read the index of all open appointments instead of the patient's. With
    # IN, SQLAlchemy would write the statement again at each run.
    may_come = sa.or_(*(Appointment.status == status for status in (*ACTIVE, "arrived")))
    ahead = sa.and_(Appointment.ends_at > now, may_come)
    cancelled = Appointment.status == "cancelled"
    listed = {"upcoming": ahead, "past": sa.and_(~ahead, ~cancelled), "cancelled": cancelled}
    condition = sa.and_(_visible(kind, *number), listed[show])
    order = Appointment.starts_at.asc() if show == "upcoming" else Appointment.starts_at.desc()
    lines = (
        sa.select(
            Appointment.reference,
            Appointment.status,
            Appointment.starts_at,
            Appointment.ends_at,
            Doctor.name,
            VisitType.name,
            shown_name_column(),
            _books_for_others(number[0]),
        )
        .join(Patient, Patient.id == Appointment.patient_id)
        .join(Doctor, Doctor.id == Appointment.doctor_id)
        .join(VisitType, VisitType.id == Appointment.visit_type_id)
        .where(condition)
        .order_by(order, Appointment.id)
        # The number of a page is the reader's to choose, and may be a large one.
        .offset(sa.bindparam("skip", type_=sa.BigInteger))
        .limit(sa.bindparam("limit", type_=sa.BigInteger))
    )
    return lines, sa.select(sa.func.count()).select_from(Appointment).where(condition)


def find_booked_reference(
    session: Session, actor: Actor, patient_id: int, doctor_id: int, starts_at: datetime
) -> str | None:
    """The reference of the appointment that this patient already has with this doctor at this time, or None."""
    query = sa.select(Appointment.reference).where(
        visible_to(actor),
        Appointment.patient_id == patient_id,
        Appointment.doctor_id == doctor_id,
        Appointment.starts_at == starts_at,
        Appointment.status.in_(ACTIVE),
    )
    return session.scalar(query)


def find_same_booking(session: Session, actor: Actor, command: Booking) -> str | None:
    """The reference of the appointment that this very command has booked already, or None."""
    own = _own_id(actor.user_id)
    query = sa.select(Appointment.reference).where(
        visible_to(actor),
        Appointment.patient_id == (own if command.patient_id is None else command.patient_id),
        Appointment.doctor_id.in_(sa.select(Doctor.id).where(Doctor.slug == command.doctor)),
        Appointment.starts_at == command.starts_at,
        Appointment.status.in_(ACTIVE),
        Appointment.reason == command.reason,
        Appointment.notes == command.notes,
    )
    if command.visit_type_id is not None:
        query = query.where(Appointment.visit_type_id == command.visit_type_id)
    return session.scalar(query)


def find_own_patient_at(session: Session, actor: Actor, doctor_id: int, starts_at: datetime) -> str | None:
    """The name of the patient who has this doctor's time, if the actor is that patient or books for them."""
    query = sa.select(Patient.name).where(
        visible_to(actor),
        Patient.id == Appointment.patient_id,
        Appointment.doctor_id == doctor_id,
        Appointment.starts_at == starts_at,
        Appointment.status.in_(ACTIVE),
    )
    return session.scalar(query)


def count_undecided(session: Session, actor: Actor, *, now: datetime) -> int:
    """How many appointments ahead need a decision, of those that exist for the actor."""
    query = sa.select(sa.func.count(Appointment.id)).where(UNDECIDED, Appointment.starts_at > now, visible_to(actor))
    return session.scalar(query) or 0

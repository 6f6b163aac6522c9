"""A copy of everything that Docket keeps about one patient, as articles 15 and 20 of the GDPR require.

The copy is read in pieces from one snapshot, so its size takes no memory. It covers the patient, their account, and the
people they book for who don't have their own account; a person with an account asks for their own copy.

A doctor's private note is left out unless the clinic's settings include it: it is a working note, and many countries
give patients a right to their file but not to these. Members of staff appear by their role, except the doctor of an
appointment, whose name the patient has read already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.appointments.models import Call, FormerNote, WalkIn
from webapp.audit import service as audit
from webapp.audit.models import AuditEvent
from webapp.auth.models import User, UserSession
from webapp.auth.schemas import Actor
from webapp.auth.user_agents import device_name
from webapp.clinic.models import ClinicDocument, Consent, VisitType
from webapp.clinic.service import get_clinic
from webapp.core import formats
from webapp.database import Database, table_of
from webapp.doctors.models import Doctor
from webapp.notifications.models import OutboxMessage
from webapp.patients.duplicates import records_within
from webapp.patients.exceptions import NoSuchPatient
from webapp.patients.models import Patient, link_is_active
from webapp.patients.names import name_shown, shown_name_column
from webapp.scheduling.models import Appointment

FORMAT, VERSION = "docket-personal-data", 1
CHUNK = 200
# Each piece of the copy is sent on its own, so it has at least so many letters.
LETTERS_SENT = 16_000
# These sections hold one object, or null; the others hold lists.
SINGLE = frozenset({"account", "record"})
# Values of messages that are the same for every recipient, and the calendar event, which repeats the appointment.
_SAME_FOR_ALL = frozenset({"clinic", "calendar"})

Row = dict[str, Any]
Section = tuple[str, Iterator[Row]]


class Subject(NamedTuple):
    """The person whose data it is: the record, the account if there is one, and whom they book for."""

    patient_id: int
    user_id: int | None
    people: tuple[int, ...]

    @property
    def records(self) -> tuple[int, ...]:
        """The records whose appointments belong to the copy."""
        return (self.patient_id, *self.people)


def copy_of(database: Database, patient_id: int) -> Iterator[Section]:
    """The sections of the copy, in order. Each must be read before the next; closing the iterator ends the snapshot.

    Raises:
        NoSuchPatient: there is no such patient.
    """
    _none, sections = database.stream(lambda session: (0, read_sections(session, find_subject(session, patient_id))))
    return sections


def find_subject(session: Session, patient_id: int) -> Subject:
    """The person with this record.

    Raises:
        NoSuchPatient: there is no such patient.
    """
    row = session.execute(sa.select(Patient.id, Patient.user_id).where(Patient.id == patient_id)).one_or_none()
    if row is None:
        raise NoSuchPatient
    people = sa.select(Patient.id).where(
        Patient.managed_by_id == patient_id, link_is_active(), Patient.user_id.is_(None)
    )
    return Subject(row.id, row.user_id, tuple(session.scalars(people.order_by(Patient.id))))


def note_copy(session: Session, actor: Actor, patient_id: int, *, now: datetime) -> None:
    """Log that a copy of a patient's data was made, before it is sent."""
    audit.record_by(session, actor, "patient_data_copied", subject=("patient", patient_id), now=now)


def read_sections(session: Session, subject: Subject) -> Iterator[Section]:
    """All sections, each with its rows."""
    yield "account", _account(session, subject)
    yield "record", _records(session, Patient.id == subject.patient_id)
    yield (
        "people",
        _records(session, sa.and_(Patient.managed_by_id == subject.patient_id, link_is_active()), of_others=True),
    )
    yield "appointments", _appointments(session, subject)
    yield "walk_ins", _walk_ins(session, subject)
    yield "messages", _messages(session, subject)
    yield "sign_ins", _sign_ins(session, subject)
    yield "consents", _consents(session, subject)
    yield "history", _history(session, subject)


def _rows(session: Session, query: sa.Select[*tuple[Any, ...]]) -> Iterator[Any]:
    """The rows in batches, through the connection: mapped objects would stay in the session."""
    result = session.connection().execute(query.execution_options(yield_per=CHUNK))
    for batch in result.partitions():
        yield from batch


def _account(session: Session, subject: Subject) -> Iterator[Row]:
    user = table_of(User).c
    for row in _rows(session, sa.select(table_of(User)).where(user.id == subject.user_id)):
        yield {
            "email": row.email,
            "name": row.name,
            "active": row.active,
            "created_at": row.created_at,
            "email_confirmed_at": row.email_confirmed_at,
            "new_email": row.new_email or None,
            "has_password": row.has_password,
            "has_calendar_link": bool(row.calendar_secret),
            "last_seen_at": row.last_seen_at,
        }


def _records(session: Session, which: sa.ColumnElement[bool], *, of_others: bool = False) -> Iterator[Row]:
    patient, manager = table_of(Patient).c, table_of(Patient).alias("manager")
    query = (
        sa.select(table_of(Patient), manager.c.name.label("booked_for_by"))
        .select_from(
            table_of(Patient).outerjoin(
                manager, sa.and_(manager.c.id == patient.managed_by_id, link_is_active(patient))
            )
        )
        .where(which)
        .order_by(patient.id)
    )
    for row in _rows(session, query):
        if of_others and row.user_id is not None:
            # They manage their own data; the patient who books for them knows the name.
            yield {"name": name_shown(row.name), "has_own_account": True}
            continue
        yield {
            "name": name_shown(row.name),
            "birth_date": row.birth_date,
            "phone": row.phone,
            "email": row.email,
            "wants_email": row.wants_email,
            "wants_sms": row.wants_sms,
            "booked_for_by": row.booked_for_by,
            # A note about another person may mention something that they do not want the reader to know.
            **({} if of_others else {"alert": row.alert, "desk_note": row.desk_note}),
            "created_at": row.created_at,
        }


def _appointments(session: Session, subject: Subject) -> Iterator[Row]:
    with_notes = get_clinic(session).private_notes_in_copy
    former = _former_notes(session, subject) if with_notes else {}
    query: sa.Select[*tuple[Any, ...]] = (
        sa.select(
            Appointment.reference,
            shown_name_column().label("patient"),
            Doctor.name.label("doctor"),
            VisitType.name.label("visit_type"),
            Appointment.starts_at,
            Appointment.ends_at,
            Appointment.status,
            Appointment.reason,
            Appointment.notes,
            Appointment.cancellation_reason,
            Appointment.cancellation_code,
            Appointment.override_reason,
            Appointment.squeeze_reason,
            Appointment.desk_note,
            Appointment.arrived_at,
            # When the front desk called about it. The caller is named by role, as everywhere in the copy.
            Call.called_at,
            *([Appointment.private_note] if with_notes else []),
            Appointment.created_at,
            Appointment.updated_at,
        )
        .join(Patient, Patient.id == Appointment.patient_id)
        .join(Doctor, Doctor.id == Appointment.doctor_id)
        .join(VisitType, VisitType.id == Appointment.visit_type_id)
        .outerjoin(Call, Call.appointment_id == Appointment.id)
        .where(_is_theirs(subject))
        .order_by(Appointment.starts_at, Appointment.id)
    )
    for row in _rows(session, query):
        yield row._asdict() | ({"former_notes": former.get(row.reference, [])} if with_notes else {})


def _walk_ins(session: Session, subject: Subject) -> Iterator[Row]:
    """The patient's walk-ins and their outcomes."""
    walk_in, patient, doctor = table_of(WalkIn).c, table_of(Patient).c, table_of(Doctor).c
    query = (
        sa.select(
            shown_name_column(patient).label("patient"),
            doctor.name.label("doctor"),
            walk_in.specialty,
            walk_in.day,
            walk_in.came_at,
            walk_in.urgent,
            walk_in.note,
            walk_in.status,
            walk_in.settled_at,
        )
        .select_from(table_of(WalkIn))
        .join(table_of(Patient), patient.id == walk_in.patient_id)
        .outerjoin(table_of(Doctor), doctor.id == walk_in.doctor_id)
        # A note about another person may mention something that they do not want the reader to know.
        .where(walk_in.patient_id == subject.patient_id)
        .order_by(walk_in.id)
    )
    for row in _rows(session, query):
        yield row._asdict()


def _former_notes(session: Session, subject: Subject) -> dict[str, list[str]]:
    """The private notes of doctors who had an appointment before, by its reference; there are few."""
    query = sa.select(Appointment.reference, FormerNote.text).join(FormerNote).where(_is_theirs(subject))
    found: dict[str, list[str]] = {}
    for reference, text in session.execute(query.order_by(Appointment.id, FormerNote.doctor_id)):
        found.setdefault(reference, []).append(text)
    return found


def _is_theirs(subject: Subject) -> sa.ColumnElement[bool]:
    """The subject's own appointments, and those of their people that are not confidential."""
    shown = sa.or_(Appointment.patient_id == subject.patient_id, Appointment.confidential.is_(False))
    return sa.and_(Appointment.patient_id.in_(subject.records), shown)


def _about(columns: Any, subject: Subject, records: Sequence[int] | None = None) -> sa.ColumnElement[bool]:
    """The rows about the subject's records, their appointments, and the account, by the index of subjects."""
    appointments = sa.select(Appointment.id).where(_is_theirs(subject))
    kinds: list[tuple[str, Any]] = [("patient", records or subject.records), ("appointment", appointments)]
    if subject.user_id is not None:
        kinds.append(("user", (subject.user_id,)))
    found = [
        sa.select(columns.id).where(columns.subject_type == kind, columns.subject_id.in_(ids)) for kind, ids in kinds
    ]
    which: sa.ColumnElement[bool] = columns.id.in_(sa.union_all(*found))
    return which


def _messages(session: Session, subject: Subject) -> Iterator[Row]:
    own = _own_addresses(session, subject)
    message = table_of(OutboxMessage).c
    for row in _rows(session, sa.select(table_of(OutboxMessage)).where(_about(message, subject)).order_by(message.id)):
        yield {
            "kind": row.template,
            "channel": row.channel,
            # The address of another person, such as a parent, is left out.
            "to": row.recipient if row.recipient in own else None,
            "status": row.status,
            "created_at": row.created_at,
            "finished_at": row.finished_at,
            "content": {name: value for name, value in row.values.items() if name not in _SAME_FOR_ALL},
        }


def _own_addresses(session: Session, subject: Subject) -> set[str]:
    query = sa.select(Patient.email, Patient.phone, User.email).outerjoin(User, User.id == Patient.user_id)
    found = session.execute(query.where(Patient.id == subject.patient_id)).one()
    return {address for address in found if address}


def _sign_ins(session: Session, subject: Subject) -> Iterator[Row]:
    used = table_of(UserSession).c
    for row in _rows(
        session, sa.select(table_of(UserSession)).where(used.user_id == subject.user_id).order_by(used.id)
    ):
        yield {
            "device": device_name(row.user_agent),
            "user_agent": row.user_agent,
            "address": row.address,
            "created_at": row.created_at,
            "last_seen_at": row.last_seen_at,
            "expires_at": row.expires_at,
        }


def _consents(session: Session, subject: Subject) -> Iterator[Row]:
    query = (
        sa.select(ClinicDocument.kind.label("document"), ClinicDocument.version, Consent.at)
        .join(Consent, Consent.document_id == ClinicDocument.id)
        .where(Consent.user_id == subject.user_id)
        .order_by(Consent.at, ClinicDocument.id)
    )
    for row in _rows(session, query):
        yield row._asdict()


def _history(session: Session, subject: Subject) -> Iterator[Row]:
    """The history of reading and changing the data, by role; and the person's own actions, with the network address."""
    event, appointment = table_of(AuditEvent).c, table_of(Appointment)
    which = _about(event, subject, records_within(session, subject.records))
    if subject.user_id is not None:
        which = sa.or_(which, event.id.in_(sa.select(event.id).where(event.actor_user_id == subject.user_id)))
    query = (
        sa.select(table_of(AuditEvent), appointment.c.reference)
        .select_from(
            table_of(AuditEvent).outerjoin(
                appointment, sa.and_(event.subject_type == "appointment", appointment.c.id == event.subject_id)
            )
        )
        .where(which)
        .order_by(event.id)
    )
    for row in _rows(session, query):
        mine = subject.user_id is not None and row.actor_user_id == subject.user_id
        yield {
            "at": row.at,
            "action": row.action,
            "by": "you" if mine else row.actor_role,
            "about": row.subject_type,
            "reference": row.reference,
            "address": row.address if mine else None,
        }


# ----------------------------------------------------------------------------------------------- as JSON


def as_json(sections: Iterable[Section], clinic: dict[str, Any], *, now: datetime) -> Iterator[str]:
    """The copy as one JSON object, in pieces. `docs/privacy.md` documents its keys."""
    head = {"format": FORMAT, "version": VERSION, "made_at": now, "clinic": clinic}
    yield _dumped(head)[:-1]
    for name, rows in sections:
        yield f", {json.dumps(name)}: "
        if name in SINGLE:
            yield _dumped(next(rows, None))
            continue
        yield "["
        for number, row in enumerate(rows):
            yield (", " if number else "") + _dumped(row)
        yield "]"
    yield "}\n"


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return formats.iso(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON.")


def in_batches(pieces: Iterable[str]) -> Iterator[str]:
    """A text in fewer pieces."""
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= LETTERS_SENT:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)

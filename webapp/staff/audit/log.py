"""The audit log with the names of people and things, for the admin who asks who did what to whom.

Nothing that a patient or a doctor wrote is shown: the log says that an appointment was moved, not why the patient came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.audit import queries as log
from webapp.audit import service as audit
from webapp.audit.queries import EventFilter, LoggedEvent, SecurityFilter
from webapp.auth import queries as accounts
from webapp.auth.schemas import MACHINE, Actor
from webapp.clinic.models import VisitType
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.local_time import first_instant
from webapp.core.networks import network_of
from webapp.core.pagination import Cursor
from webapp.core.parsing import whole_number
from webapp.core.spreadsheets import csv_pieces
from webapp.database import Database
from webapp.doctors.models import Doctor
from webapp.exceptions import Invalid
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.patients.duplicates import records_within
from webapp.patients.models import Patient
from webapp.patients.names import shown_name_column
from webapp.patients.search import search_patients
from webapp.scheduling.models import Appointment
from webapp.staff.audit.words import action_words, old_data_words, role_words

MOST_PEOPLE = 100
MOST_PATIENTS = 20


class AuditSearch(NamedTuple):
    """An admin's search; '' and None leave a filter out. Days are the clinic's, both included."""

    who: str = ""
    patient: str = ""
    action: str = ""
    address: str = ""
    first: date | None = None
    last: date | None = None


class FoundPatient(NamedTuple):
    """A patient whom the search means, or may mean."""

    id: int
    name: str
    birth_date: date | None


class ResolvedSearch(NamedTuple):
    """The search as a filter of the log, and the patients that it is about."""

    filter: EventFilter
    patients: list[FoundPatient]


class LogEntry(NamedTuple):
    """One row of the log in words. `href` leads to the page of what it concerns, if there is one."""

    id: int
    at: datetime
    who: str
    role: str
    did: str
    what: str
    href: str | None
    address: str


class LinkedName(NamedTuple):
    """The name of a thing, and the address of its page."""

    text: str
    href: str | None


def resolve(session: Session, search: AuditSearch, clinic: Clinic) -> ResolvedSearch:
    """Look up the people in the search. A patient's rows are those of the record, the appointments and the account.

    Raises:
        Invalid: too many people match.
    """
    actors = None
    if search.who:
        actors = accounts.find_user_ids(session, search.who, limit=MOST_PEOPLE + 1)
        if len(actors) > MOST_PEOPLE:
            raise Invalid(_("Too many people match. Enter more of the name or email address."), field="who")
    patients = _find_patients(session, search.patient) if search.patient else []
    wanted = EventFilter(
        actors=actors,
        subjects=_subjects_of(session, [patient.id for patient in patients]) if search.patient else None,
        action=search.action,
        since=first_instant(search.first, clinic.zone) if search.first else None,
        until=first_instant(search.last + timedelta(days=1), clinic.zone) if search.last else None,
        address=search.address,
    )
    return ResolvedSearch(wanted, patients)


def security_filter(wanted: EventFilter) -> SecurityFilter:
    """The filter of a search for the security events, which know networks and no patients."""
    network = network_of(wanted.address) if wanted.address else ""
    return SecurityFilter(wanted.actors, wanted.action, wanted.since, wanted.until, network)


def _find_patients(session: Session, text: str) -> list[FoundPatient]:
    """The patients that match a name, or the one with this id."""
    number = whole_number(text)
    if number is not None:
        query = sa.select(Patient.id, shown_name_column(), Patient.birth_date).where(Patient.id == number)
        found = [FoundPatient(*row) for row in session.execute(query)]
        if found:
            return found
    rows = search_patients(session, text, limit=MOST_PATIENTS)
    if rows.beside.after is not None:
        raise Invalid(
            _("More than %(most)d patients match. Enter more of the name.") % {"most": MOST_PATIENTS}, field="patient"
        )
    return [FoundPatient(row.id, row.name, row.birth_date) for row in rows.patients]


def _subjects_of(session: Session, patient_ids: Sequence[int]) -> list[tuple[str, Sequence[int] | sa.Select[int]]]:
    appointments = sa.select(Appointment.id).where(Appointment.patient_id.in_(patient_ids))
    account = sa.select(Patient.user_id).where(Patient.id.in_(patient_ids), Patient.user_id.is_not(None))
    users: sa.Select[int] = account  # type: ignore[assignment]
    records = records_within(session, patient_ids)
    return [("patient", records), ("appointment", appointments), ("user", users)] if patient_ids else []


def list_entries(session: Session, wanted: EventFilter, *, cursor: Cursor[int], limit: int) -> list[LogEntry]:
    """Rows of the log in words, as `list_events` reads them, always with the same few queries."""
    return _in_words(session, log.list_events(session, wanted, cursor=cursor, limit=limit))


def export(database: Database, wanted: EventFilter) -> tuple[int, Iterator[list[LogEntry]]]:
    """The number of rows that match, and all of them in words and in batches, from one snapshot."""
    return database.stream(
        lambda session: (
            log.count_events(session, wanted),
            (_in_words(session, events) for events in log.all_events(session, wanted)),
        )
    )


def _in_words(session: Session, events: Sequence[LoggedEvent]) -> list[LogEntry]:
    people = accounts.names_of(session, [event.actor_user_id for event in events if event.actor_user_id is not None])
    things = _names_of_subjects(session, events)
    entries = []
    for event in events:
        person = people.get(event.actor_user_id or 0)
        what = things.get((event.subject_type, event.subject_id)) or _unnamed(event)
        who = person.name if person else _nameless(event)
        did = action_words(event.action) + _more(event)
        entries.append(LogEntry(event.id, event.at, who, role_words(event.actor_role), did, *what, event.address))
    return entries


def _nameless(event: LoggedEvent) -> str:
    """The name of an actor without an account, or whose account is gone."""
    if event.actor_user_id:
        return _("Deleted account")
    others = {"link": _("Link in a message"), "command line": _("Command line")}
    by = str(event.details.get("by", ""))
    # An identity provider has given the role.
    return others.get(by) or (by if event.action == "role_changed" and by else _("Docket"))


def record_reading(
    session: Session, actor: Actor, patients: Sequence[FoundPatient], *, exported: bool, now: datetime
) -> None:
    """Log the reading itself: about the one patient whom it concerns, or about the log."""
    audit.record_by(
        session,
        actor,
        "audit_exported" if exported else "audit_read",
        subject=("patient", patients[0].id) if len(patients) == 1 else ("audit", 0),
        now=now,
    )


def csv_table(batches: Iterable[list[LogEntry]], clinic: Clinic) -> Iterator[str]:
    """The rows as a table for spreadsheets, in pieces."""
    columns = [_("When (UTC)"), _("Day"), _("Time"), _("Who"), _("Role"), _("Action"), _("Item"), _("IP address")]
    return csv_pieces(columns, ([_cells(entry, clinic) for entry in entries] for entries in batches))


def _cells(entry: LogEntry, clinic: Clinic) -> list[str]:
    local = entry.at.astimezone(clinic.zone)
    when = [formats.iso(entry.at), f"{local:%Y-%m-%d}", f"{local:%H:%M}"]
    return [*when, entry.who, entry.role, entry.did, entry.what, entry.address]


def _more(event: LoggedEvent) -> str:
    """The part of the details that is safe to show: the role that a user was given, and how much was deleted."""
    if event.action == "password_changed" and event.details.get("made_by"):
        return _(", with a link that another account created")
    if event.action == "role_changed":
        old, new = (role_words(str(event.details.get(key, ""))) for key in ("from", "to"))
        return _(": %(old)s to %(new)s") % {"old": old, "new": new}
    if event.action == "old_data_deleted":
        return _(": %(what)s") % {"what": old_data_words(event.details)}
    return ""


def _unnamed(event: LoggedEvent) -> LinkedName:
    """The name of a thing that is gone by now, or that has no name."""
    if event.subject_type in PLACES:
        words, address = PLACES[event.subject_type]
        return LinkedName(str(words), address)
    if event.subject_type in GONE:
        return LinkedName(GONE[event.subject_type] % {"id": event.subject_id}, None)
    return LinkedName(f"{event.subject_type.replace('_', ' ').capitalize()} {event.subject_id}", None)


# Things that exist only once, or that have no page.
PLACES = {
    "clinic": (_l("The clinic"), "/admin/clinic"),
    "closure": (_l("A closure"), "/admin/closures"),
    "audit": (_l("The audit log"), None),
}

# Things that no longer exist, with their number in the log.
GONE = {
    "appointment": _l("Appointment %(id)d"),
    "doctor": _l("Doctor %(id)d"),
    "message": _l("Message %(id)d"),
    "patient": _l("Patient %(id)d"),
    "user": _l("Account %(id)d"),
    "visit_type": _l("Visit type %(id)d"),
}


def _names_of_subjects(session: Session, events: Sequence[LoggedEvent]) -> dict[tuple[str, int], LinkedName]:
    """The names of the rows' subjects, with one query for each kind."""
    found: dict[tuple[str, int], LinkedName] = {}
    for kind, read in READERS.items():
        ids = {event.subject_id for event in events if event.subject_type == kind}
        if ids:
            found |= {(kind, number): named for number, named in read(session, ids).items()}
    return found


def _appointments(session: Session, ids: set[int]) -> dict[int, LinkedName]:
    query = sa.select(Appointment.id, Appointment.reference, shown_name_column()).join(
        Patient, Patient.id == Appointment.patient_id
    )
    words = _("Appointment %(reference)s of %(name)s")
    return {
        row.id: LinkedName(words % {"reference": row.reference, "name": row.name}, f"/appointments/{row.reference}")
        for row in session.execute(query.where(Appointment.id.in_(ids)))
    }


def _patients(session: Session, ids: set[int]) -> dict[int, LinkedName]:
    query = sa.select(Patient.id, shown_name_column()).where(Patient.id.in_(ids))
    return {row.id: LinkedName(row.name, f"/admin/patients/{row.id}") for row in session.execute(query)}


def _doctors(session: Session, ids: set[int]) -> dict[int, LinkedName]:
    query = sa.select(Doctor.id, Doctor.slug, Doctor.name).where(Doctor.id.in_(ids))
    return {row.id: LinkedName(row.name, f"/admin/doctors/{row.slug}") for row in session.execute(query)}


def _visit_types(session: Session, ids: set[int]) -> dict[int, LinkedName]:
    query = sa.select(VisitType.id, VisitType.name).where(VisitType.id.in_(ids))
    return {row.id: LinkedName(row.name, f"/admin/visit-types/{row.id}") for row in session.execute(query)}


def _users(session: Session, ids: set[int]) -> dict[int, LinkedName]:
    found = accounts.names_of(session, list(ids))
    return {
        number: LinkedName(user.name, "/admin/users/tokens" if user.role == MACHINE else f"/admin/users/{number}")
        for number, user in found.items()
    }


READERS: dict[str, Callable[[Session, set[int]], dict[int, LinkedName]]] = {
    "appointment": _appointments,
    "patient": _patients,
    "doctor": _doctors,
    "visit_type": _visit_types,
    "user": _users,
}

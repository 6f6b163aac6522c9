"""Read models for the page of one appointment: possible changes, its history, and details for staff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from webapp.appointments import queries
from webapp.appointments.booking import schedule_queries, service, statuses
from webapp.appointments.booking.schedule_queries import EarlierAppointment
from webapp.appointments.booking.statuses import Wait
from webapp.appointments.pages.presenters import change_until
from webapp.appointments.schemas import AppointmentView
from webapp.audit import service as audit
from webapp.audit.service import HistoryRow
from webapp.auth import queries as accounts
from webapp.auth.queries import UserName
from webapp.auth.schemas import MACHINE, Actor
from webapp.clinic.service import Clinic
from webapp.core import formats
from webapp.core.parsing import instant
from webapp.core.urls import with_query
from webapp.doctors import service as doctors
from webapp.i18n import Sentence
from webapp.i18n import gettext as _
from webapp.i18n import lazy_gettext as _l
from webapp.patients import guardianship

# Actions of staff in the audit log: the appointment got another doctor, another visit type.
GIVEN, RETYPED = "given_to_doctor", "type_changed"
_MARKED = _l("Marked “%(status)s” by %(who)s")
# The history's sentence for an action, and for one that was done with a link from a message.
SENTENCES: dict[str, Sentence] = {
    "booked": _l("Booked by %(who)s"),
    "moved": _l("Moved by %(who)s from %(from)s to %(to)s"),
    GIVEN: _l("Given to %(to)s by %(who)s (before: %(from)s)"),
    "given_to_patient": _l("Moved to %(name)s’s record by %(who)s"),
    RETYPED: _l("Visit type changed to “%(to)s” by %(who)s (before: “%(from)s”)"),
    "hour_changed": _l("%(from)s became %(to)s when %(who)s corrected the time zone"),
    "cancelled": _l("Cancelled by %(who)s"),
    "words_changed": _l("Reason or notes changed by %(who)s"),
    "undone": _l("Changed back to “%(status)s” by %(who)s"),
    **dict.fromkeys(("confirmed", "arrived", "completed", "no_show"), _MARKED),
}
WITH_LINK: dict[str, Sentence] = {
    "moved": _l("Moved with the link we sent, from %(from)s to %(to)s"),
    "confirmed": _l("Confirmed with the link we sent"),
    "cancelled": _l("Cancelled with the link we sent"),
}


class ChangeOptions(NamedTuple):
    """The changes of an appointment that are open to the reader.

    `ahead`: it is active and has not begun. `may_change`: the reader may move and cancel it, patients until
    `cancel_until`. `why_not` explains why the reader no longer may.
    """

    ahead: bool
    may_change: bool
    why_not: str | None
    cancel_until: datetime | None


class StaffDetails(NamedTuple):
    """The additional parts of an appointment for staff.

    `possible` are the statuses that it may take now, `words` all statuses in words. `notes`: the reader is its doctor
    and sees private notes. `earlier` are the patient's earlier appointments with this doctor.
    `guardian` is the name of the person who books for the patient, or None. `edits_reason`: the reader may change what
    the patient told. `waiting` is for how long the patient has been here and not seen.
    """

    appointment: AppointmentView
    age: int | None
    possible: list[str]
    may_undo: bool
    notes: bool
    earlier: Sequence[EarlierAppointment]
    words: dict[str, Sentence]
    guardian: str | None
    edits_reason: bool
    waiting: Wait | None


class HistoryEntry(NamedTuple):
    """One line of an appointment's history: the code of what was done, the sentence about it, and when."""

    action: str
    sentence: str
    at: datetime


def change_options(view: AppointmentView, actor: Actor, clinic: Clinic, now: datetime) -> ChangeOptions:
    """The changes of an appointment that the actor can still make, and until when or why not."""
    ahead, may_change = view.is_active(now), view.may_change(actor, clinic, now)
    return ChangeOptions(
        ahead=ahead,
        may_change=may_change,
        why_not=service.too_late_sentence(view, clinic) if ahead and not may_change else None,
        cancel_until=change_until(view.starts_at, clinic, now, moved_by_clinic=view.moved_by_clinic)
        if may_change
        else None,
    )


def book_again_href(view: AppointmentView, actor: Actor, now: datetime) -> str | None:
    """Where to book the same again: doctor, visit type and patient. None while the appointment is still ahead.

    A client with a link learns neither the patient's id nor a visit type that messages do not name.
    """
    if view.is_active(now):
        return None
    if not view.doctor_active:
        return "/doctors"
    named = not actor.by_link or view.named_in_messages
    chosen = not actor.by_link and view.whose(actor) is not None
    return with_query(
        f"/doctors/{view.doctor_slug}",
        visit_type=view.visit_type_id if named else None,
        patient=view.patient_id if chosen else None,
    )


def staff_details(
    session: Session, actor: Actor, view: AppointmentView, clinic: Clinic, *, now: datetime
) -> StaffDetails:
    """Staff's part of the page. The notes are for the appointment's doctor alone."""
    earlier = schedule_queries.list_earlier(
        session, doctor_id=view.doctor_id, patient_id=view.patient_id, before=view.starts_at
    )
    if actor.role != "doctor":
        earlier = [appointment._replace(private_note="") for appointment in earlier]
    return StaffDetails(
        appointment=view,
        age=schedule_queries.age_on(formats.local_date(view.starts_at, clinic.zone), view.patient_birth_date),
        possible=statuses.possible_statuses(view, actor, clinic, now),
        may_undo=statuses.may_undo(view, actor),
        notes=actor.role == "doctor",
        earlier=earlier,
        words=statuses.STAFF_WORDS,
        guardian=guardianship.guardian_of(session, view.patient_id),
        edits_reason=view.may_change(actor, clinic, now) and not queries.hides_reasons(session, actor),
        waiting=statuses.wait_since(view, now),
    )


def list_history(session: Session, actor: Actor, view: AppointmentView, clinic: Clinic) -> list[HistoryEntry]:
    """The changes of the appointment, earliest first, worded for this reader."""
    entries = audit.history(session, ("appointment", view.id))
    programs = [each.actor_user_id for each in entries if each.actor_role == MACHINE and each.actor_user_id is not None]
    # Patients read that it was the clinic.
    names = accounts.names_of(session, programs) if programs and actor.is_staff else {}
    if any(each.action == GIVEN for each in entries):
        # An earlier doctor's actions were not done by the present one.
        of_doctors = [each.actor_user_id for each in entries if each.actor_role == "doctor" and each.actor_user_id]
        names = names | accounts.names_of(session, of_doctors)
    known = _changed_names(session, entries)
    reassigned = max((place for place, each in enumerate(entries) if each.action == "given_to_patient"), default=0)
    return [
        HistoryEntry(
            each.action,
            _sentence(each, actor, view, clinic, names, known, of_another=place < reassigned),
            each.at,
        )
        for place, each in enumerate(entries)
    ]


def _changed_names(session: Session, entries: list[HistoryRow]) -> dict[tuple[str, str], str]:
    """The names of the doctors and visit types that the entries mention, by action and id."""
    named: dict[tuple[str, str], str] = {}
    given = {str(each.details.get(name)) for each in entries if each.action == GIVEN for name in ("from", "to")}
    if given:
        found = doctors.list_by_ids(session, [int(number) for number in given])
        named |= {(GIVEN, str(doctor.id)): doctor.name for doctor in found}
    if any(each.action == RETYPED for each in entries):
        named |= {(RETYPED, str(number)): kind.name for number, kind in doctors.visit_types_by_id(session).items()}
    return named


def _sentence(
    entry: HistoryRow,
    actor: Actor,
    view: AppointmentView,
    clinic: Clinic,
    programs: dict[int, UserName],
    known: dict[tuple[str, str], str],
    *,
    of_another: bool,
) -> str:
    """The sentence about an action and its actor, from the reader's point of view; `of_another`: the appointment was
    another patient's then.
    """
    values = {"who": _author(entry, actor, view, programs, of_another=of_another)}
    for name, value in entry.details.items():
        if (entry.action, str(value)) in known:
            values[name] = known[entry.action, str(value)]
        start = instant(str(value))
        if start is not None:
            values[name] = formats.day_and_time(start, clinic.zone)
    if entry.action == "given_to_patient":
        values["name"] = view.patient_name
    status = entry.details.get("to", "") if entry.action == "undone" else entry.action
    values["status"] = statuses.word_of(str(status), staff=actor.is_staff)
    sentence = (WITH_LINK if _by_link(entry) else {}).get(entry.action) or SENTENCES.get(entry.action)
    return str(sentence) % values if sentence is not None else entry.action.replace("_", " ").capitalize()


def _by_link(entry: HistoryRow) -> bool:
    return entry.details.get("by") == "link"


def _author(
    entry: HistoryRow, actor: Actor, view: AppointmentView, programs: dict[int, UserName], *, of_another: bool
) -> str:
    """The actor, from the point of view of a reader who may be the actor."""
    if entry.actor_user_id == actor.user_id:
        return _("you")
    if entry.actor_user_id in programs:
        return programs[entry.actor_user_id].name
    if entry.actor_user_id is not None and entry.actor_user_id == view.patient_user_id:
        return view.patient_name
    if entry.actor_role == "patient" and of_another:
        return _("another patient")
    if entry.actor_role == "patient":
        return _("the person who books for %(name)s") % {"name": view.patient_name}
    if entry.actor_role == "doctor":
        return view.doctor_name
    return _("the clinic")

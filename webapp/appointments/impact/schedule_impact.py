"""Changes of hours, leave, closures, rules, visit types and doctors, and the appointments that they affect.

Every such change goes through `make_change` or, within a transaction, `carry_out`. It takes the locks that a booking
takes, makes the change, and finds the appointments that can no longer take place because of it. Each of them needs a
decision: keep it with a flag that says why, move it to a free time, or cancel it. If a decision is missing, nothing is
changed and the caller gets the list. No booking can come in between: it waits for the doctor's lock and then reads the
new hours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from webapp.appointments.booking.appointment_row import lock_for_change, record, update_row
from webapp.appointments.impact.decisions import AppointmentsAffected, settle
from webapp.appointments.impact.effects import Bookable, Effect, effect_between, load_bookable
from webapp.appointments.impact.flags import unflag
from webapp.appointments.impact.pending_decisions import finish
from webapp.appointments.impact.schemas import NOTHING_DECIDED, Decisions, ImpactResult, ProposalsFrom
from webapp.auth.schemas import Actor
from webapp.clinic.service import get_clinic
from webapp.database import Database
from webapp.doctors import service as doctors
from webapp.scheduling.rule_violations import Broken, UpcomingAppointment, broken_rules, list_upcoming

T = TypeVar("T")
Work = Callable[[Session], T]


def make_change(
    database: Database,
    actor: Actor,
    work: Work[T],
    *,
    doctor_ids: Sequence[int] | None,
    now: datetime,
    decisions: Decisions = NOTHING_DECIDED,
    settled: Work[object] | None = None,
    impact: ImpactResult | None = None,
) -> T:
    """Make a change as `carry_out` does. Many moves and cancellations follow it in small transactions.

    Raises:
        AppointmentsAffected: nothing was changed.
    """
    impact = impact if impact is not None else ImpactResult()
    result = database.write(
        carry_out,
        actor,
        work,
        doctor_ids=doctor_ids,
        now=now,
        decisions=decisions,
        settled=settled,
        impact=impact,
    )
    if impact.later:
        impact.left = finish(database, actor, now=now)
    return result


def carry_out(
    session: Session,
    actor: Actor,
    work: Work[T],
    *,
    doctor_ids: Sequence[int] | None,
    now: datetime,
    decisions: Decisions = NOTHING_DECIDED,
    settled: Work[object] | None = None,
    impact: ImpactResult | None = None,
) -> T:
    """Make a change that may affect appointments of these doctors (None: of all), and carry out the decisions on them.

    `work` writes the change on the session that it is given. Flags are removed from appointments that fit again.
    `settled` runs last, after all decisions. With an `impact` and without `settled`, the caller must `finish` what
    comes `later` after the transaction; otherwise everything is done in it.

    Raises:
        AppointmentsAffected: an appointment has no decision, has changed since, or could not be moved to the chosen
            time.
    """
    locked = doctors.lock_doctors(session, doctor_ids)
    before = broken_rules(session, get_clinic(session), list_upcoming(session, locked, now=now), now=now)
    result = work(session)
    session.flush()
    clinic = get_clinic(session)
    upcoming = list_upcoming(session, locked, now=now)
    after = broken_rules(session, clinic, upcoming, now=now)
    healed = [each.id for each in upcoming if each.flagged_why and each.id not in after]
    at_once = impact is None or settled is not None
    impact = impact if impact is not None else ImpactResult()
    # A transaction that lost to a deadlock is run again.
    impact.later, impact.unflagged = 0, len(healed)
    newly = {each: _newly(each, before.get(each.id, {}), after.get(each.id, {})) for each in upcoming}
    affected = {appointment: codes[0] for appointment, codes in newly.items() if codes}
    settle(session, actor, clinic, affected, decisions, impact, at_once=at_once, now=now)
    unflag(session, actor, healed, now=now)
    if settled is not None:
        settled(session)
    return result


def _newly(appointment: UpcomingAppointment, before: Broken, after: Broken) -> list[str]:
    """The codes of the rules that the change made the appointment break.

    Staff may have let an appointment break a rule, such as an hour after the doctor's last one. If the rule now refuses
    more of that day than it did, for example because the doctor no longer works on it, a new decision is needed.
    """
    return [
        code
        for code, (low, high) in after.items()
        if code not in before or (not appointment.flagged_why and (low < before[code][0] or high > before[code][1]))
    ]


def preview(
    database: Database,
    actor: Actor,
    work: Work[T],
    *,
    doctor_ids: Sequence[int] | None,
    now: datetime,
    proposals_from: ProposalsFrom = "next_working_day",
) -> Effect:
    """The effect that `carry_out` would have, found by running it in a transaction that is rolled back.

    Other bookings wait for that transaction, so the times are counted before and after it.
    """
    with database.reading() as session:
        before = load_bookable(session, doctor_ids, now=now)
    nothing, impact = Decisions(proposals_from=proposals_from), ImpactResult()
    found: list[tuple[Bookable, AppointmentsAffected | None]] = []

    def attempt(session: Session) -> None:
        stranded = None
        try:
            carry_out(session, actor, work, doctor_ids=doctor_ids, now=now, decisions=nothing, impact=impact)
        except AppointmentsAffected as affected:
            stranded = affected
        found.append((load_bookable(session, doctor_ids, now=now), stranded))
        raise _Undo

    with suppress(_Undo):
        database.write(attempt)
    after, stranded = found[-1]
    return effect_between(before, after, stranded.appointments if stranded else [], impact.unflagged)


class _Undo(Exception):
    """Ends a trial transaction so that it is rolled back."""


def settle_flag(
    session: Session, actor: Actor, reference: str, reason: str, version: int | None, *, now: datetime
) -> None:
    """Remove the flag from an appointment that stays as it is; `reason` says why, and is stored with the appointment.

    Raises:
        ChangedMeanwhile: the appointment is not what the user saw. NoSuchAppointment: the actor may not see it.
    """
    view = lock_for_change(session, actor, reference, version)
    # Earlier override reasons still hold. If the text gets too long, the end is kept, because it is the most recent.
    said = " ".join(part for part in (view.override_reason, reason) if part)
    update_row(session, view, now=now, flagged_why="", override_reason=said[-300:])
    record(session, actor, "flag_settled", view.id, now, {}, visible=False)

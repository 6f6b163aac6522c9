"""The rules of booking: one list, used by both the calendar and the booking.

A rule returns the starts that it refuses, as spans of instants. The calendar subtracts all those spans from the grid
and offers what is left; a booking asks whether its start lies in one of them. Both use the same code, so a time is
offered if and only if booking it would succeed. The end of a span also answers "when would it be possible?".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from webapp.scheduling.slots import (
    Minute,
    Piece,
    Span,
    grid_starts,
    grid_starts_within,
    starts_inside,
    starts_touching,
    subtract,
)


def _l(sentence: str) -> str:
    """Mark a sentence for translators; it is translated where it is shown, in the reader's language."""
    return sentence


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the rules look at, for one doctor, one visit type and one window of starts.

    Instants and spans are in minutes since the epoch, durations in minutes. `patient_appointments` is None when no
    patient is known; then the rules about the patient refuse nothing. `present_start` is the start of the appointment
    that is being moved, and None for a new one; `changing`: it also gets another doctor or visit type. `starts` are the
    starts in the window, in order, that the rules about the schedule allow, if they are already known: see
    `with_starts`. Copies made by `dataclasses.replace` do not have them, because the schedule may differ.
    """

    window: Span
    pieces: tuple[Piece, ...]
    now: Minute
    step: int
    minutes: int
    before: int
    after: int
    opening: list[Span]
    working: list[Span]
    extra: list[Span]
    closures: list[Span]
    time_off: list[Span]
    doctor_busy: list[Span]
    notice: int
    horizon: Minute
    horizon_days: int
    gap: int
    max_active: int
    doctor_active: bool = True
    offered_by_doctor: bool = True
    offered_online: bool = True
    patient_appointments: list[Span] | None = None
    active_appointments: int = 0
    present_start: Minute | None = None
    changing: bool = False
    by_staff: bool = False
    starts: Sequence[Minute] | None = field(default=None, init=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a start is refused.

    `sentence` has placeholders for `values`. `clash` marks what HTTP calls a conflict. `overridable` is true if staff
    may override the rule with a reason.
    """

    code: str
    sentence: str
    values: dict[str, int | str] = field(default_factory=dict)
    clash: bool = False
    overridable: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of booking.

    `binds_staff` is false if staff may override the rule with a reason. `patients_only` is true if the rule does not
    apply to staff at all. `hides` is false if the calendar shows the refusal in a banner instead of hiding times.
    `of_schedule` is true if the rule does not depend on who asks or when: it refuses the same starts for all requests
    until the schedule changes.
    """

    code: str
    sentence: str
    refused_starts: Callable[[Facts], list[Span]]
    values: Callable[[Facts], dict[str, int | str]] = lambda _facts: {}
    binds_staff: bool = False
    patients_only: bool = False
    hides: bool = True
    clash: bool = False
    of_schedule: bool = False

    def refuse(self, facts: Facts, start: Minute) -> Refusal | None:
        """The refusal of this start, or None."""
        if facts.by_staff and self.patients_only:
            return None
        if any(low <= start < high for low, high in self.refused_starts(facts)):
            return Refusal(self.code, self.sentence, self.values(facts), self.clash, not self.binds_staff)
        return None


def _everything_if(refused: bool, facts: Facts) -> list[Span]:
    return [facts.window] if refused else []


def _off_grid(facts: Facts) -> list[Span]:
    on_grid = grid_starts(facts.pieces, facts.step, *facts.window)
    return subtract(facts.window, ((start, start + 1) for start in on_grid))


def _in_the_past(facts: Facts) -> list[Span]:
    return [(facts.window[0], facts.now)]


def _too_soon(facts: Facts) -> list[Span]:
    return [(facts.window[0], facts.now + facts.notice)]


def _too_far_ahead(facts: Facts) -> list[Span]:
    return [(facts.horizon, facts.window[1])]


def _clinic_closed(facts: Facts) -> list[Span]:
    return subtract(facts.window, starts_inside(facts.opening + facts.extra, facts.minutes))


def _outside_working_hours(facts: Facts) -> list[Span]:
    return subtract(facts.window, starts_inside(facts.working + facts.extra, facts.minutes))


def _closure(facts: Facts) -> list[Span]:
    return starts_touching(facts.closures, before=0, after=facts.minutes)


def _time_off(facts: Facts) -> list[Span]:
    return starts_touching(facts.time_off, before=0, after=facts.minutes)


def _slot_taken(facts: Facts) -> list[Span]:
    return starts_touching(facts.doctor_busy, before=facts.before, after=facts.minutes + facts.after)


def _patient_overlap(facts: Facts) -> list[Span]:
    return starts_touching(facts.patient_appointments or [], before=0, after=facts.minutes)


def _same_time(facts: Facts) -> list[Span]:
    return [] if facts.present_start is None or facts.changing else [(facts.present_start, facts.present_start + 1)]


def _too_many_appointments(facts: Facts) -> list[Span]:
    # Moving an appointment does not add one.
    return _everything_if(facts.present_start is None and facts.active_appointments >= facts.max_active, facts)


def _patient_gap(facts: Facts) -> list[Span]:
    return starts_touching(facts.patient_appointments or [], before=facts.gap, after=facts.minutes + facts.gap)


RULES: tuple[Rule, ...] = (
    Rule(
        "doctor_inactive",
        _l("This doctor is not taking bookings at the moment."),
        lambda facts: _everything_if(not facts.doctor_active, facts),
        binds_staff=True,
        of_schedule=True,
    ),
    Rule(
        "visit_type_not_offered",
        _l("This doctor does not offer that visit type. Choose one of the doctor’s visit types."),
        lambda facts: _everything_if(not facts.offered_by_doctor, facts),
        binds_staff=True,
        of_schedule=True,
    ),
    Rule(
        "visit_type_not_online",
        _l("This visit type can’t be booked online. Please call the clinic."),
        lambda facts: _everything_if(not facts.offered_online, facts),
        patients_only=True,
    ),
    Rule(
        "off_grid",
        _l("That isn’t one of this doctor’s start times. Choose one of the times shown."),
        _off_grid,
        values=lambda facts: {"step": facts.step},
        of_schedule=True,
    ),
    Rule("same_time", _l("Your appointment is already at that time."), _same_time, binds_staff=True),
    Rule("in_the_past", _l("That time has passed. Choose a later one."), _in_the_past),
    Rule(
        "too_soon",
        _l("That is too soon. Appointments must be booked at least %(notice)s ahead."),
        _too_soon,
        values=lambda facts: {"notice": facts.notice},
    ),
    Rule(
        "too_far_ahead",
        _l("That is too far ahead. You can book up to %(horizon)s ahead."),
        _too_far_ahead,
        values=lambda facts: {"horizon": facts.horizon_days},
    ),
    Rule("closure", _l("The clinic is closed on that day. Choose another day."), _closure, of_schedule=True),
    Rule(
        "clinic_closed",
        _l("The clinic is not open for the whole appointment. Choose a time within opening hours."),
        _clinic_closed,
        of_schedule=True,
    ),
    Rule(
        "outside_working_hours",
        _l("The doctor is not working for the whole appointment. Choose a time within working hours."),
        _outside_working_hours,
        of_schedule=True,
    ),
    Rule("time_off", _l("The doctor is away at that time. Choose another time."), _time_off, of_schedule=True),
    Rule(
        "patient_overlap",
        _l("You already have an appointment at that time. Choose another time, or move that appointment first."),
        _patient_overlap,
        binds_staff=True,
        clash=True,
    ),
    Rule(
        "slot_taken",
        _l("That time is taken by another appointment. Choose another time."),
        _slot_taken,
        binds_staff=True,
        clash=True,
        of_schedule=True,
    ),
    Rule(
        "patient_gap",
        _l("You have another appointment close to that time. Leave at least %(gap)d minutes between appointments."),
        _patient_gap,
        values=lambda facts: {"gap": facts.gap},
        clash=True,
    ),
    Rule(
        "too_many_visits",
        _l("You have %(max)d upcoming appointments, which is the most you can book online. Cancel one, or call us."),
        _too_many_appointments,
        values=lambda facts: {"max": facts.max_active},
        hides=False,
    ),
)
# A rule that spares staff depends on who asks.
_OF_SCHEDULE = [rule for rule in RULES if rule.of_schedule and not rule.patients_only]
_OF_REQUEST = [rule for rule in RULES if rule not in _OF_SCHEDULE]


def refusals(facts: Facts, start: Minute) -> Iterator[Refusal]:
    """Every rule that refuses an appointment at `start`, in the order of the list; empty if it can be booked."""
    return (refusal for rule in RULES if (refusal := rule.refuse(facts, start)))


def cautions(facts: Facts) -> list[Refusal]:
    """The refusals of rules that hide no times, to be shown once above the calendar."""
    found = (rule.refuse(facts, facts.window[0]) for rule in RULES if not rule.hides)
    return [refusal for refusal in found if refusal]


def offered(facts: Facts) -> Iterator[Minute]:
    """The starts in the window that no rule refuses, in order. Rules that do not hide times are left out."""
    if facts.starts is None:
        return _remaining(facts, RULES)
    asked = [span for rule in _OF_REQUEST for span in _refused(facts, rule)]
    return (
        start
        for low, high in subtract(facts.window, asked)
        for start in facts.starts[bisect_left(facts.starts, low) : bisect_left(facts.starts, high)]
    )


def starts_of_schedule(facts: Facts) -> Iterator[Minute]:
    """The starts that the schedule alone allows, for any request; `offered` selects from these."""
    return _remaining(facts, _OF_SCHEDULE)


def with_starts(facts: Facts, starts: Sequence[Minute]) -> Facts:
    """The facts with their `starts`, which must have been computed from the same schedule."""
    object.__setattr__(facts, "starts", starts)
    return facts


def _remaining(facts: Facts, rules: Sequence[Rule]) -> Iterator[Minute]:
    refused = [span for rule in rules for span in _refused(facts, rule)]
    return grid_starts_within(facts.pieces, facts.step, subtract(facts.window, refused))


def _refused(facts: Facts, rule: Rule) -> list[Span]:
    """The spans that a rule removes from the calendar. The grid's rule is left out: starts come from the grid."""
    if not rule.hides or rule.refused_starts is _off_grid or (facts.by_staff and rule.patients_only):
        return []
    return rule.refused_starts(facts)


def emptied_by(facts: Facts, span: Span, codes: Sequence[str]) -> str | None:
    """The rule, tried in the order of `codes`, that removes the last start on the grid from `span`.

    None if starts are left after all of them.
    """
    rules = {rule.code: rule for rule in RULES}
    left = [span]
    for code in codes:
        refused = rules[code].refused_starts(facts)
        left = [rest for stretch in left for rest in subtract(stretch, refused)]
        if not any(True for low, high in left for _ in grid_starts(facts.pieces, facts.step, low, high)):
            return code
    return None


def too_late_to_change(*, starts: Minute, now: Minute, change_until: int) -> bool:
    """Whether it is too late for a patient to move or cancel; `change_until` is the minimum notice in minutes."""
    return now > starts - change_until

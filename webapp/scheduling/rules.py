"""The house rules of booking: one list, read by the calendar and by the booking alike.

A rule says from which starts a visit would be refused, as spans of instants. The calendar takes all those spans
away from the grid and offers what is left; a booking asks whether its start lies in one of them. That a time is
offered if and only if booking it would succeed is therefore not a promise between two pieces of code: there is
only one. The end of the span is also the answer to "when would it be possible?".
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
    merge,
    starts_inside,
    starts_touching,
    subtract,
)


def _l(sentence: str) -> str:
    """Mark a sentence for translators; it is translated where it is shown, in the reader's language."""
    return sentence


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the rules look at, for one doctor, one visit type and one stretch of starts.

    Instants and spans are in minutes since the epoch, durations in minutes. `patient_visits` is None when
    nobody is signed in; then the rules about the patient refuse nothing. `present_start` is that of the visit which
    is being moved, and None when a new one is sought. `starts` are those that the rules about the schedule alone leave
    of the window, in order, where that is known already: see `with_starts`. Facts that are made of others by
    `dataclasses.replace` do not have them, for they may say something else of the schedule.
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
    gap: int
    max_active: int
    doctor_active: bool = True
    offered_by_doctor: bool = True
    offered_online: bool = True
    patient_visits: list[Span] | None = None
    active_visits: int = 0
    present_start: Minute | None = None
    by_staff: bool = False
    starts: Sequence[Minute] | None = field(default=None, init=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a start is refused. `sentence` has the placeholders of `values`; `possible_from` is the first start that
    this rule alone would allow; `clash` marks what HTTP calls a conflict; `overridable` is true where staff may set
    the rule aside with a reason."""

    code: str
    sentence: str
    possible_from: Minute | None = None
    values: dict[str, int | str] = field(default_factory=dict)
    clash: bool = False
    overridable: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One house rule. `binds_staff` is false for those that staff may set aside with a reason; `patients_only` marks
    those that are not about staff at all; `hides` is false for those that the calendar tells in a banner instead of
    hiding times. `of_request` marks those that look at who asks and when: what the others refuse is the same for
    everybody until the schedule changes."""

    code: str
    sentence: str
    refused_starts: Callable[[Facts], list[Span]]
    values: Callable[[Facts], dict[str, int | str]] = lambda _facts: {}
    binds_staff: bool = False
    patients_only: bool = False
    hides: bool = True
    clash: bool = False
    of_request: bool = False

    def refuse(self, facts: Facts, start: Minute) -> Refusal | None:
        """The refusal of this start, or nothing."""
        if facts.by_staff and self.patients_only:
            return None
        for low, high in merge(self.refused_starts(facts)):
            if low <= start < high:
                possible = high if high < facts.window[1] else None
                return Refusal(self.code, self.sentence, possible, self.values(facts), self.clash, not self.binds_staff)
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
    return starts_touching(facts.patient_visits or [], before=0, after=facts.minutes)


def _same_time(facts: Facts) -> list[Span]:
    return [] if facts.present_start is None else [(facts.present_start, facts.present_start + 1)]


def _too_many_visits(facts: Facts) -> list[Span]:
    # Moving a visit adds none.
    return _everything_if(facts.present_start is None and facts.active_visits >= facts.max_active, facts)


def _patient_gap(facts: Facts) -> list[Span]:
    return starts_touching(facts.patient_visits or [], before=facts.gap, after=facts.minutes + facts.gap)


RULES: tuple[Rule, ...] = (
    Rule(
        "doctor_inactive",
        _l("This doctor does not take bookings at the moment."),
        lambda facts: _everything_if(not facts.doctor_active, facts),
        binds_staff=True,
    ),
    Rule(
        "visit_type_not_offered",
        _l("This doctor does not offer that type of visit. Choose one of the doctor's visit types."),
        lambda facts: _everything_if(not facts.offered_by_doctor, facts),
        binds_staff=True,
    ),
    Rule(
        "visit_type_not_online",
        _l("This type of visit cannot be booked online. Please call the clinic."),
        lambda facts: _everything_if(not facts.offered_online, facts),
        patients_only=True,
        of_request=True,
    ),
    Rule(
        "off_grid",
        _l("Visits with this doctor start every %(step)d minutes from midnight on. Choose one of the times shown."),
        _off_grid,
        values=lambda facts: {"step": facts.step},
    ),
    Rule("same_time", _l("That is the time you already have."), _same_time, binds_staff=True, of_request=True),
    Rule("in_the_past", _l("That time has passed. Choose a later one."), _in_the_past, of_request=True),
    Rule(
        "too_soon",
        _l("That is too soon: a visit must be booked at least %(notice)s ahead."),
        _too_soon,
        values=lambda facts: {"notice": facts.notice},
        of_request=True,
    ),
    Rule(
        "too_far_ahead",
        _l("That is too far ahead. Visits that late cannot be booked yet."),
        _too_far_ahead,
        of_request=True,
    ),
    Rule("closure", _l("The clinic is closed on that day. Choose another day."), _closure),
    Rule(
        "clinic_closed",
        _l("The clinic is not open for the whole of that visit. Choose a time within opening hours."),
        _clinic_closed,
    ),
    Rule(
        "outside_working_hours",
        _l("The doctor does not work for the whole of that visit. Choose a time within working hours."),
        _outside_working_hours,
    ),
    Rule("time_off", _l("The doctor is away at that time. Choose another time."), _time_off),
    Rule(
        "patient_overlap",
        _l("You already have a visit at that time. Choose another time, or move the other visit first."),
        _patient_overlap,
        binds_staff=True,
        clash=True,
        of_request=True,
    ),
    Rule(
        "slot_taken",
        _l("That time is taken by another visit. Choose another time."),
        _slot_taken,
        binds_staff=True,
        clash=True,
    ),
    Rule(
        "patient_gap",
        _l("You have another visit close to that time. Between two visits there must be at least %(gap)d minutes."),
        _patient_gap,
        values=lambda facts: {"gap": facts.gap},
        clash=True,
        of_request=True,
    ),
    Rule(
        "too_many_visits",
        _l("You have %(max)d upcoming visits, which is the most that can be booked online. Cancel one, or call us."),
        _too_many_visits,
        values=lambda facts: {"max": facts.max_active},
        hides=False,
        of_request=True,
    ),
)


def refusals(facts: Facts, start: Minute) -> Iterator[Refusal]:
    """Every rule that refuses a visit at `start`, in the order of the list; nothing means it can be booked."""
    return (refusal for rule in RULES if (refusal := rule.refuse(facts, start)))


def cautions(facts: Facts) -> list[Refusal]:
    """What refuses every visit now and yet hides no time, to be said once above the calendar."""
    found = (rule.refuse(facts, facts.window[0]) for rule in RULES if not rule.hides)
    return [refusal for refusal in found if refusal]


def offered(facts: Facts) -> Iterator[Minute]:
    """The starts in the window that no rule refuses, in order; rules that only warn do not count."""
    if facts.starts is None:
        return _left(facts, RULES)
    asked = [span for rule in RULES if rule.of_request for span in _refused(facts, rule)]
    return (
        start
        for low, high in subtract(facts.window, asked)
        for start in facts.starts[bisect_left(facts.starts, low) : bisect_left(facts.starts, high)]
    )


def starts_of_schedule(facts: Facts) -> Iterator[Minute]:
    """The starts that the schedule alone leaves, whoever asks and when: `offered` takes what it can of these."""
    return _left(facts, [rule for rule in RULES if not rule.of_request])


def with_starts(facts: Facts, starts: Sequence[Minute]) -> Facts:
    """The facts, which now know their `starts`; these must have been worked out from the same schedule."""
    object.__setattr__(facts, "starts", starts)
    return facts


def _left(facts: Facts, rules: Sequence[Rule]) -> Iterator[Minute]:
    refused = [span for rule in rules for span in _refused(facts, rule)]
    return grid_starts_within(facts.pieces, facts.step, subtract(facts.window, refused))


def _refused(facts: Facts, rule: Rule) -> list[Span]:
    """What a rule takes from the calendar. That of the grid is left out: starts are taken from the grid anyway."""
    if not rule.hides or rule.refused_starts is _off_grid or (facts.by_staff and rule.patients_only):
        return []
    return rule.refused_starts(facts)


def emptied_by(facts: Facts, span: Span, codes: Sequence[str]) -> str | None:
    """Which of the rules, asked in the order of `codes`, takes the last start on the grid out of `span`.

    None when starts are left after all of them.
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
    """Whether a patient may no longer move or cancel: `change_until` is the window's length in minutes."""
    return now > starts - change_until

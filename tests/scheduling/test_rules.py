"""Each booking rule at its boundaries; then all of them together, compared with an oracle that counts minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.scheduling.rules import RULES, Facts, Refusal, Rule, emptied_by, offered, refusals, too_late_to_change
from webapp.scheduling.slots import DAY, Minute, Span, day_number, instants_of, merge, pieces_of, to_datetime

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
TUESDAY = date(2026, 3, 3)
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
PIECES = pieces_of(AMSTERDAM, TUESDAY, TUESDAY)
MIDNIGHT = day_number(TUESDAY) * DAY - 60


def at(clock: str) -> Minute:
    """The instant of a clock time such as '09:30' on Tuesday 3 March in Amsterdam."""
    hours, minutes = clock.split(":")
    return MIDNIGHT + int(hours) * 60 + int(minutes)


def span(text: str) -> Span:
    """The span of a text such as '09:00-12:00' on that day."""
    start, _, end = text.partition("-")
    return at(start), at(end)


def facts(**changes: Any) -> Facts:
    """A 30-minute appointment on Tuesday with a doctor who works 09:00-12:00 and 13:00-17:00, as seen on Monday."""
    usual = Facts(
        window=(MIDNIGHT, MIDNIGHT + DAY),
        pieces=PIECES,
        now=MIDNIGHT - 16 * 60,
        step=15,
        minutes=30,
        before=0,
        after=0,
        opening=[span("09:00-17:00")],
        working=[span("09:00-12:00"), span("13:00-17:00")],
        extra=[],
        closures=[],
        time_off=[],
        doctor_busy=[],
        notice=120,
        horizon=MIDNIGHT + DAY,
        horizon_days=90,
        gap=30,
        max_active=10,
        patient_appointments=[],
    )
    return replace(usual, **changes)


def codes(about: Facts, clock: str) -> list[str]:
    """The codes of all rules that refuse this start."""
    return [refusal.code for refusal in refusals(about, at(clock))]


def only(about: Facts, clock: str) -> Refusal:
    """The one refusal of this start."""
    [refusal] = refusals(about, at(clock))
    return refusal


def allowed_from(about: Facts, code: str, start: Minute) -> Minute | None:
    """The first start after this refused one that the rule with this code allows; None if that is after the window."""
    [rule] = [rule for rule in RULES if rule.code == code]
    [end] = [high for low, high in merge(rule.refused_starts(about)) if low <= start < high]
    return end if end < about.window[1] else None


def shown(about: Facts) -> list[str]:
    """The offered times, as people read them."""
    return [to_datetime(start).astimezone(AMSTERDAM).strftime("%H:%M") for start in offered(about)]


# ----------------------------------------------------------------------------------- each rule by itself


def test_a_usual_day_offers_all_times_that_leave_room_for_the_appointment() -> None:
    morning = ["09:00", "09:15", "09:30", "09:45", "10:00", "10:15", "10:30", "10:45", "11:00", "11:15", "11:30"]
    times = shown(facts())
    assert times[: len(morning)] == morning
    assert (times[len(morning)], times[-1]) == ("13:00", "16:30")


@pytest.mark.parametrize("clock", ["09:01", "09:14", "09:20"])
def test_a_start_off_the_grid_is_refused(clock: str) -> None:
    refusal = only(facts(), clock)
    assert (refusal.code, refusal.values) == ("off_grid", {"step": 15})
    assert allowed_from(facts(), "off_grid", at(clock)) == at("09:15") or clock == "09:20"


def test_a_step_of_fifty_minutes_counts_from_midnight() -> None:
    assert shown(facts(step=50)) == ["09:10", "10:00", "10:50", "13:20", "14:10", "15:00", "15:50"]


def test_notice_of_exactly_two_hours_is_enough_and_a_minute_less_is_not() -> None:
    assert codes(facts(now=at("08:00")), "10:00") == []
    about = facts(now=at("08:01"))
    refusal = only(about, "10:00")
    assert (refusal.code, refusal.values) == ("too_soon", {"notice": 120})
    assert allowed_from(about, "too_soon", at("10:00")) == at("10:01")


def test_the_past_is_refused_up_to_the_current_minute() -> None:
    assert codes(facts(now=at("10:00"), notice=0), "10:00") == []
    assert codes(facts(now=at("10:01"), notice=0), "10:00") == ["in_the_past", "too_soon"]


def test_the_first_start_beyond_the_horizon_is_refused() -> None:
    about = facts(horizon=at("10:00"))
    assert codes(about, "09:45") == []
    assert codes(about, "10:00") == ["too_far_ahead"]
    assert allowed_from(about, "too_far_ahead", at("10:00")) is None


def test_an_appointment_may_end_exactly_at_closing() -> None:
    assert codes(facts(), "16:30") == []
    assert codes(facts(), "16:45") == ["clinic_closed", "outside_working_hours"]


def test_an_appointment_may_begin_exactly_at_opening() -> None:
    assert codes(facts(), "09:00") == []
    refused = codes(facts(), "08:45")
    assert refused == ["clinic_closed", "outside_working_hours"]
    assert [allowed_from(facts(), code, at("08:45")) for code in refused] == [at("09:00"), at("09:00")]


def test_an_appointment_that_straddles_lunch_is_refused() -> None:
    assert codes(facts(), "11:30") == []
    assert codes(facts(), "11:45") == ["outside_working_hours"]
    assert allowed_from(facts(), "outside_working_hours", at("11:45")) == at("13:00")
    assert codes(facts(), "12:45") == ["outside_working_hours"]
    assert codes(facts(minutes=90), "11:00") == ["outside_working_hours"]


def test_hours_that_touch_are_one_stretch() -> None:
    about = facts(working=[span("09:00-12:00"), span("12:00-17:00")])
    assert codes(about, "11:45") == []


def test_working_hours_count_only_while_the_clinic_is_open() -> None:
    about = facts(opening=[span("10:00-16:00")])
    assert codes(about, "09:45") == codes(about, "15:45") == ["clinic_closed"]
    assert codes(about, "10:00") == codes(about, "15:30") == []


def test_extra_hours_override_opening_and_working_hours() -> None:
    about = facts(extra=[span("18:00-19:00"), span("12:00-13:00")])
    assert codes(about, "18:00") == codes(about, "18:30") == []
    assert codes(about, "18:45") == ["clinic_closed", "outside_working_hours"]
    assert codes(about, "11:45") == codes(about, "12:30") == codes(about, "12:45") == []


def test_extra_hours_join_with_the_usual_hours_around_them() -> None:
    assert codes(facts(extra=[span("17:00-18:00")]), "16:45") == []


def test_a_closure_overrides_extra_hours() -> None:
    about = facts(extra=[span("18:00-19:00")], closures=[(MIDNIGHT, MIDNIGHT + DAY)])
    assert codes(about, "18:00") == codes(about, "10:00") == ["closure"]
    assert shown(about) == []


def test_time_off_overrides_extra_hours_and_ends_to_the_minute() -> None:
    about = facts(extra=[span("18:00-19:00")], time_off=[span("10:00-11:00"), span("18:15-18:30")])
    assert codes(about, "09:30") == codes(about, "11:00") == codes(about, "18:30") == []
    assert allowed_from(about, "time_off", at("09:45")) == at("11:00")
    assert codes(about, "09:45") == codes(about, "10:45") == codes(about, "18:00") == ["time_off"]


def test_a_taken_time_is_a_conflict_and_its_neighbours_are_free() -> None:
    about = facts(doctor_busy=[span("10:00-10:30")])
    assert codes(about, "09:30") == codes(about, "10:30") == []
    for clock in ("09:45", "10:00", "10:15"):
        refusal = only(about, clock)
        assert (refusal.code, refusal.clash) == ("slot_taken", True)
        assert allowed_from(about, "slot_taken", at(clock)) == at("10:30")


def test_buffers_keep_clear_of_other_appointments() -> None:
    about = facts(before=10, after=20, step=5, doctor_busy=[span("10:00-11:00")])
    assert codes(about, "09:10") == []
    assert codes(about, "09:15") == ["slot_taken"]
    assert codes(about, "11:05") == ["slot_taken"]
    assert codes(about, "11:10") == []


def test_buffers_may_reach_out_of_hours_into_breaks_and_into_leave() -> None:
    about = facts(before=60, after=60, time_off=[span("14:00-15:00")])
    for clock in ("09:00", "11:30", "13:00", "13:30", "15:00", "16:30"):
        assert codes(about, clock) == [], clock


def test_thirty_minutes_between_a_patients_appointments_are_enough_and_less_is_not() -> None:
    about = facts(patient_appointments=[span("10:00-10:30")], step=5)
    assert codes(about, "09:00") == codes(about, "11:00") == []
    for clock in ("09:05", "09:30", "10:30", "10:55"):
        refusal = only(about, clock)
        assert (refusal.code, refusal.clash, refusal.values) == ("patient_gap", True, {"gap": 30})
        assert allowed_from(about, "patient_gap", at(clock)) == at("11:00")


def test_a_patients_own_appointment_is_named_before_the_margin() -> None:
    about = facts(patient_appointments=[span("10:00-10:30")], step=5)
    for clock in ("09:35", "10:00", "10:25"):
        assert codes(about, clock) == ["patient_overlap", "patient_gap"]


def test_signed_out_no_rule_about_the_patient_refuses() -> None:
    assert codes(facts(patient_appointments=None), "10:00") == []


def test_the_quota_refuses_and_hides_nothing() -> None:
    full, nearly = facts(active_appointments=10), facts(active_appointments=9)
    refusal = only(full, "10:00")
    assert (refusal.code, refusal.values, refusal.clash) == ("too_many_visits", {"max": 10}, False)
    assert codes(nearly, "10:00") == []
    assert shown(full) == shown(nearly) == shown(facts())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"doctor_active": False}, "doctor_inactive"),
        ({"offered_by_doctor": False}, "visit_type_not_offered"),
        ({"offered_online": False}, "visit_type_not_online"),
    ],
)
def test_some_doctors_and_visit_types_are_refused_at_every_time(change: dict[str, bool], code: str) -> None:
    about = facts(**change)
    assert codes(about, "10:00") == [code]
    assert allowed_from(about, code, at("10:00")) is None
    assert shown(about) == []


NEVER_OVERRIDDEN = {"doctor_inactive", "visit_type_not_offered", "patient_overlap", "slot_taken"}


def test_staff_may_override_the_rules_but_not_the_guard() -> None:
    against_all = facts(
        by_staff=True,
        now=at("18:10"),
        horizon=at("18:10"),
        closures=[(MIDNIGHT, MIDNIGHT + DAY)],
        time_off=[span("18:00-19:00")],
        doctor_busy=[span("18:00-18:05")],
        patient_appointments=[span("18:00-18:05")],
        active_appointments=99,
        doctor_active=False,
        offered_by_doctor=False,
        offered_online=False,
    )
    bound = {refusal.code for refusal in refusals(against_all, at("18:01")) if not refusal.overridable}
    assert bound == NEVER_OVERRIDDEN
    everything = {rule.code for rule in RULES} - {"same_time"}
    assert "visit_type_not_online" not in codes(against_all, "18:01")
    # In a real clinic no minute is both in the past and beyond the horizon, but it is in this one.
    assert set(codes(replace(against_all, by_staff=False, horizon=at("18:00")), "18:01")) == everything


def test_a_moving_appointment_is_not_offered_its_own_time_and_does_not_count_twice() -> None:
    moving = facts(present_start=at("10:00"), active_appointments=99)
    assert codes(moving, "10:00") == ["same_time"]
    assert codes(moving, "10:15") == []
    assert "10:00" not in shown(moving)
    assert "too_many_visits" in codes(replace(moving, present_start=None), "10:15")


def test_the_rule_that_takes_the_last_start_is_the_reason_of_an_empty_day() -> None:
    day = (MIDNIGHT, MIDNIGHT + DAY)
    order = ["closure", "clinic_closed", "outside_working_hours", "time_off", "too_soon", "slot_taken"]
    assert emptied_by(facts(doctor_busy=[span("09:00-17:00")]), day, order) == "slot_taken"
    assert emptied_by(facts(closures=[day], doctor_busy=[span("09:00-17:00")]), day, order) == "closure"
    assert emptied_by(facts(), day, order) is None


def test_staff_are_offered_what_patients_cannot_book_online() -> None:
    about = facts(by_staff=True, offered_online=False, doctor_busy=[span("00:00-16:00")])
    assert shown(about) == ["16:00", "16:15", "16:30"]
    assert shown(replace(about, by_staff=False)) == []


def test_time_off_all_day_allows_nothing_in_the_window() -> None:
    assert allowed_from(facts(time_off=[(MIDNIGHT, MIDNIGHT + DAY)]), "time_off", at("16:00")) is None
    assert allowed_from(facts(time_off=[span("15:00-16:00")]), "time_off", at("15:00")) == at("16:00")


def test_refusals_come_in_the_order_of_the_list_and_codes_are_unique() -> None:
    order = [rule.code for rule in RULES]
    assert len(set(order)) == len(order)
    found = codes(facts(now=at("12:00"), time_off=[span("08:00-09:00")]), "08:01")
    assert found == sorted(found, key=order.index)
    assert len(found) == 6


def test_every_sentence_can_be_filled_in_with_what_its_rule_tells() -> None:
    for rule in RULES:
        assert rule.sentence % {**rule.values(facts()), "when": "Monday"}, rule.code


@pytest.mark.parametrize(("minutes_before", "too_late"), [(24 * 60 + 1, False), (24 * 60, False), (24 * 60 - 1, True)])
def test_an_appointment_may_be_changed_until_exactly_a_day_before(minutes_before: int, too_late: bool) -> None:
    assert too_late_to_change(starts=at("10:00"), now=at("10:00") - minutes_before, change_until=DAY) is too_late


# --------------------------------------------------------------------- all of them together, minute by minute


class Oracle:
    """The booking rules again, as naively as possible: sets of minutes, one question at a time."""

    def __init__(self, about: Facts, zone: ZoneInfo) -> None:
        self.about = about
        self.zone = zone
        self.open = self._minutes(about.opening)
        self.working = self._minutes(about.working)
        self.extra = self._minutes(about.extra)
        self.closed = self._minutes(about.closures)
        self.off = self._minutes(about.time_off)
        self.busy = self._minutes(about.doctor_busy)
        self.own = self._minutes(about.patient_appointments or [])

    @staticmethod
    def _minutes(spans: list[Span]) -> set[int]:
        return {minute for start, end in spans for minute in range(start, end)}

    def is_on_grid(self, start: Minute) -> bool:
        """Whether the wall clock shows a multiple of the step."""
        local = to_datetime(start).astimezone(self.zone)
        return (local.hour * 60 + local.minute) % self.about.step == 0

    def refuses(self, start: Minute) -> set[str]:
        """The codes of the rules that refuse this start, for a patient."""
        about = self.about
        appointment = set(range(start, start + about.minutes))
        busy = set(range(start - about.before, start + about.minutes + about.after))
        near = set(range(start - about.gap, start + about.minutes + about.gap))
        said = {
            "off_grid": not self.is_on_grid(start),
            "in_the_past": start < about.now,
            "too_soon": start - about.now < about.notice,
            "too_far_ahead": start >= about.horizon,
            "clinic_closed": any(minute not in self.open and minute not in self.extra for minute in appointment),
            "outside_working_hours": any(
                minute not in self.working and minute not in self.extra for minute in appointment
            ),
            "closure": bool(appointment & self.closed),
            "time_off": bool(appointment & self.off),
            "slot_taken": bool(busy & self.busy),
            "patient_overlap": bool(appointment & self.own),
            "patient_gap": bool(near & self.own),
            "doctor_inactive": not about.doctor_active,
            "visit_type_not_offered": not about.offered_by_doctor,
            "visit_type_not_online": not about.offered_online,
            "too_many_visits": about.active_appointments >= about.max_active,
        }
        return {code for code, refused in said.items() if refused}


@st.composite
def any_facts(draw: st.DrawFn) -> tuple[Facts, ZoneInfo]:
    """A random day of a random doctor, mostly on days with a change of the clocks."""
    zone = ZoneInfo(draw(st.sampled_from(["Europe/Amsterdam", "America/Santiago", "Australia/Lord_Howe"])))
    changes = {
        "Europe/Amsterdam": (SPRING, AUTUMN),
        "America/Santiago": (date(2026, 9, 6), date(2026, 4, 4)),
        "Australia/Lord_Howe": (date(2026, 10, 4), date(2026, 4, 5)),
    }
    day = draw(st.sampled_from([*changes[zone.key], TUESDAY]))
    pieces = pieces_of(zone, day, day)
    midnight = day_number(day) * DAY
    parts = list(instants_of(pieces, midnight, midnight + DAY))
    low, high = parts[0][0], parts[-1][1]

    def spans(most: int, longest: int, coarse: int = 5) -> list[Span]:
        starts = st.integers(-60 // coarse, DAY // coarse)
        lengths = st.integers(1, longest // coarse)
        pairs = draw(st.lists(st.tuples(starts, lengths), max_size=most))
        return [(low + start * coarse, low + (start + length) * coarse) for start, length in pairs]

    return Facts(
        window=(low, high),
        pieces=pieces,
        now=low + draw(st.integers(-2000, 600)),
        step=draw(st.sampled_from([5, 10, 15, 20, 30, 45, 50, 60])),
        minutes=draw(st.sampled_from([5, 15, 20, 30, 45, 60])),
        before=draw(st.sampled_from([0, 0, 5, 15])),
        after=draw(st.sampled_from([0, 0, 5, 10])),
        opening=[(low, high), *spans(1, 300)] if draw(st.booleans()) else spans(3, 900),
        working=spans(3, 900),
        extra=spans(2, 240),
        closures=spans(1, 240) if draw(st.booleans()) else [],
        time_off=spans(2, 180, coarse=1),
        doctor_busy=spans(4, 90),
        notice=draw(st.sampled_from([0, 120, 121])),
        horizon=min(high, low + draw(st.sampled_from([DAY * 2, DAY * 2, 700]))),
        horizon_days=90,
        gap=draw(st.sampled_from([0, 30])),
        max_active=10,
        active_appointments=draw(st.sampled_from([0, 9, 10])),
        patient_appointments=spans(2, 60) if draw(st.booleans()) else None,
        doctor_active=draw(st.sampled_from([True] * 9 + [False])),
        offered_by_doctor=draw(st.sampled_from([True] * 9 + [False])),
        offered_online=draw(st.sampled_from([True] * 9 + [False])),
    ), zone


@settings(max_examples=120)
@given(any_facts())
def test_the_offered_times_are_exactly_those_that_the_oracle_allows(case: tuple[Facts, ZoneInfo]) -> None:
    about, zone = case
    oracle = Oracle(about, zone)
    on_grid = filter(oracle.is_on_grid, range(*about.window))
    allowed = [start for start in on_grid if not oracle.refuses(start) - {"too_many_visits"}]
    assert list(offered(about)) == allowed


@settings(max_examples=60)
@given(any_facts(), st.data())
def test_every_refusal_is_the_oracles_and_ends_when_it_says(case: tuple[Facts, ZoneInfo], data: st.DataObject) -> None:
    about, zone = case
    oracle = Oracle(about, zone)
    for _ in range(10):
        start = data.draw(st.integers(about.window[0], about.window[1] - 1))
        found = list(refusals(about, start))
        assert {refusal.code for refusal in found} == oracle.refuses(start)
        for refusal in found:
            end = allowed_from(about, refusal.code, start)
            if end is None:
                last = about.window[1] - 1
                assert refusal.code in oracle.refuses(last)
            else:
                assert refusal.code in oracle.refuses(end - 1)
                assert refusal.code not in oracle.refuses(end)


class ScheduleAlone:
    """Facts of which a rule may read nothing that differs between requests."""

    OF_REQUEST = (
        "now",
        "notice",
        "horizon",
        "gap",
        "max_active",
        "patient_appointments",
        "active_appointments",
        "present_start",
    )

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def __getattr__(self, name: str) -> Any:
        assert name not in (*self.OF_REQUEST, "by_staff"), f"A rule of the schedule reads {name}."
        return getattr(self._facts, name)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.of_schedule], ids=lambda rule: rule.code)
def test_rules_of_the_schedule_read_nothing_of_the_request(rule: Rule) -> None:
    """The remaining starts are cached and shown to everyone, at any time, until the schedule changes."""
    assert not rule.patients_only
    rule.refused_starts(cast(Facts, ScheduleAlone(facts())))

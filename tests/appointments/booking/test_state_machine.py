"""Any sequence of booking, moving, cancelling and time off, compared with a model: a list of dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy.orm import Session

from tests.cast import NOW, Cast
from webapp.appointments import queries
from webapp.appointments.booking import service
from webapp.appointments.exceptions import ChangedMeanwhile, NotActive
from webapp.appointments.schemas import Booking, Cancellation, Move
from webapp.clinic.service import get_clinic
from webapp.doctors import service as doctors
from webapp.exceptions import AppError
from webapp.integrity.problems import find_problems
from webapp.models import Appointment, TimeOff
from webapp.scheduling import checks
from webapp.scheduling.exceptions import PatientBusy, RuleBroken, SlotTaken
from webapp.scheduling.facts import free_times, load_facts
from webapp.scheduling.models import OCCUPYING
from webapp.scheduling.slots import to_datetime
from webapp.scheduling.viewer import Viewer

# Tuesday 3 March: quarters of an hour from 09:00 to 12:00 in Amsterdam, when the doctors' break begins.
NINE = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
DAY = date(2026, 3, 3)
QUARTERS = 12
KINDS = {"short": (15, 0, 0), "long": (30, 0, 0), "buffered": (45, 5, 10)}
OFFERS = {"bob": ("short", "long", "buffered"), "erin": ("long",)}
STEPS = {"bob": 1, "erin": 2}

quarters = st.integers(0, QUARTERS - 1)
people = st.sampled_from(["alice", "dave"])
appointments_wanted = st.sampled_from([(doctor, kind) for doctor, kinds in OFFERS.items() for kind in kinds])


def minute_spans_meet(one: tuple[int, int], two: tuple[int, int]) -> bool:
    """Whether two half-open spans share a minute."""
    return one[0] < two[1] and two[0] < one[1]


class Clinic(RuleBasedStateMachine):
    """One morning of two doctors and two patients. Minutes count from nine o'clock."""

    cast: Cast

    def __init__(self) -> None:
        super().__init__()
        self.appointments: list[dict[str, Any]] = []
        self.off: list[tuple[str, int, int]] = []

    @initialize()
    def begin(self) -> None:
        """Every example starts with an empty calendar."""

        def work(session: Session) -> None:
            session.execute(sa.delete(Appointment))
            session.execute(sa.delete(TimeOff))

        self.cast.database.write(work)

    # -- the model

    def expected(
        self, patient: str, doctor: str, kind: str, start: int, moved: int | None = None
    ) -> type[AppError] | None:
        """The refusal that the model expects for a start; `moved` is the number of an appointment that moves there."""
        minutes, before, after = KINDS[kind]
        appointment = (start, start + minutes)
        others = [
            one for number, one in enumerate(self.appointments) if number != moved and one["status"] == "scheduled"
        ]
        if start % (15 * STEPS[doctor]) or appointment[1] > QUARTERS * 15:
            return RuleBroken
        if any(who == doctor and minute_spans_meet(appointment, (low, high)) for who, low, high in self.off):
            return RuleBroken
        own = [one["appointment"] for one in others if one["patient"] == patient]
        if any(minute_spans_meet(appointment, other) for other in own):
            return PatientBusy
        busy = (appointment[0] - before, appointment[1] + after)
        if any(one["doctor"] == doctor and minute_spans_meet(busy, one["busy"]) for one in others):
            return SlotTaken
        if any(minute_spans_meet((appointment[0] - 30, appointment[1] + 30), other) for other in own):
            return PatientBusy
        return None

    def expected_of_staff(self, number: int, doctor: str, kind: str, start: int) -> type[AppError] | None:
        """The refusal that staff get who change an appointment: first what they cannot override."""
        changed = self.appointments[number]
        if (doctor, kind, start) == (changed["doctor"], changed["kind"], changed["appointment"][0]):
            return RuleBroken
        place = self.place(kind, start)
        others = [one for one in self.appointments if one is not changed and one["status"] == "scheduled"]
        own = [one["appointment"] for one in others if one["patient"] == changed["patient"]]
        if any(minute_spans_meet(place["appointment"], other) for other in own):
            return PatientBusy
        if any(one["doctor"] == doctor and minute_spans_meet(place["busy"], one["busy"]) for one in others):
            return SlotTaken
        return self.expected(changed["patient"], doctor, kind, start, moved=number)

    def place(self, kind: str, start: int) -> dict[str, Any]:
        """The time of an appointment in the model."""
        minutes, before, after = KINDS[kind]
        return {"appointment": (start, start + minutes), "busy": (start - before, start + minutes + after)}

    def do(self, expected: type[AppError] | None, action: Callable[..., Any], *args: Any) -> Any:
        """Do the action and compare its refusal with the expected one."""
        write = self.cast.database.write
        if expected is None:
            return write(action, *args, now=NOW)
        with pytest.raises(expected):
            write(action, *args, now=NOW)
        return None

    # -- the actions

    @rule(patient=people, wanted=appointments_wanted, quarter=quarters)
    def book(self, patient: str, wanted: tuple[str, str], quarter: int) -> None:
        """A patient books."""
        doctor, kind = wanted
        start = quarter * 15
        command = Booking(
            doctor=doctor, visit_type_id=getattr(self.cast, kind), starts_at=NINE + timedelta(minutes=start)
        )
        expected = self.expected(patient, doctor, kind, start)
        reference = self.do(expected, service.book, getattr(self.cast, patient), command)
        if reference:
            who = {"reference": reference, "patient": patient, "doctor": doctor, "kind": kind}
            self.appointments.append({**who, **self.place(kind, start), "status": "scheduled", "version": 1})

    @rule(pick=st.integers(0, 30), quarter=quarters, stale=st.sampled_from([False, False, False, True]))
    def move(self, pick: int, quarter: int, stale: bool) -> None:
        """A patient moves an appointment, perhaps from a page that is out of date."""
        if not self.appointments:
            return
        number = pick % len(self.appointments)
        appointment = self.appointments[number]
        start = quarter * 15
        expected: type[AppError] | None
        if stale:
            expected = ChangedMeanwhile
        elif appointment["status"] != "scheduled":
            expected = NotActive
        elif start == appointment["appointment"][0]:
            expected = RuleBroken
        else:
            expected = self.expected(
                appointment["patient"], appointment["doctor"], appointment["kind"], start, moved=number
            )
        command = Move(starts_at=NINE + timedelta(minutes=start), version=appointment["version"] - stale)
        self.do(expected, service.move, getattr(self.cast, appointment["patient"]), appointment["reference"], command)
        if expected is None:
            appointment.update(self.place(appointment["kind"], start), version=appointment["version"] + 1)

    @rule(pick=st.integers(0, 30), wanted=appointments_wanted, quarter=st.one_of(st.none(), quarters))
    def change(self, pick: int, wanted: tuple[str, str], quarter: int | None) -> None:
        """The front desk gives an appointment to a doctor, with a visit type, perhaps at the same time."""
        if not self.appointments:
            return
        number = pick % len(self.appointments)
        appointment = self.appointments[number]
        doctor, kind = wanted
        start = appointment["appointment"][0] if quarter is None else quarter * 15
        active = appointment["status"] == "scheduled"
        expected = self.expected_of_staff(number, doctor, kind, start) if active else NotActive
        command = Move(
            starts_at=NINE + timedelta(minutes=start),
            doctor_id=self.cast.doctor_ids[doctor],
            visit_type_id=getattr(self.cast, kind),
        )
        self.do(expected, service.move, self.cast.carol, appointment["reference"], command)
        if expected is None:
            changed = {"doctor": doctor, "kind": kind, "version": appointment["version"] + 1}
            appointment.update(self.place(kind, start), **changed)

    @rule(pick=st.integers(0, 30))
    def cancel(self, pick: int) -> None:
        """A patient cancels an appointment."""
        if not self.appointments:
            return
        appointment = self.appointments[pick % len(self.appointments)]
        expected = None if appointment["status"] == "scheduled" else NotActive
        actor = getattr(self.cast, appointment["patient"])
        self.do(expected, service.cancel, actor, appointment["reference"], Cancellation(version=appointment["version"]))
        if expected is None:
            appointment.update(status="cancelled", version=appointment["version"] + 1)

    @rule(doctor=st.sampled_from(["bob", "erin"]), quarter=quarters, length=st.integers(1, 40))
    def take_time_off(self, doctor: str, quarter: int, length: int) -> None:
        """A doctor is away for some minutes; active appointments stay, later bookings are refused."""
        start = quarter * 15
        begins = NINE + timedelta(minutes=start)
        row = TimeOff(
            doctor_id=self.cast.doctor_ids[doctor], starts_at=begins, ends_at=begins + timedelta(minutes=length)
        )
        self.cast.add(row)
        self.off.append((doctor, start, start + length))

    # -- the invariants

    @invariant()
    def the_database_holds_what_the_model_holds(self) -> None:
        """The same appointments, at the same times, with the same versions."""
        with self.cast.database.reading() as session:
            query = sa.select(
                Appointment.reference,
                Appointment.doctor_id,
                Appointment.visit_type_id,
                Appointment.starts_at,
                Appointment.ends_at,
                Appointment.busy_from,
                Appointment.busy_until,
                Appointment.status,
                Appointment.version,
            )
            found = {tuple(row) for row in session.execute(query)}

        def which(one: dict[str, Any]) -> tuple[str, int, int]:
            return one["reference"], self.cast.doctor_ids[one["doctor"]], getattr(self.cast, one["kind"])

        def instants(span: tuple[int, int]) -> list[datetime]:
            return [NINE + timedelta(minutes=minute) for minute in span]

        assert found == {
            (*which(one), *instants(one["appointment"]), *instants(one["busy"]), one["status"], one["version"])
            for one in self.appointments
        }

    @invariant()
    def what_is_offered_is_what_the_model_would_take(self) -> None:
        """To Alice, by a process that keeps what it has seen of the schedules before."""
        viewer = Viewer(user_id=self.cast.alice.user_id)
        for doctor, kind in ((doctor, kind) for doctor, kinds in OFFERS.items() for kind in kinds):
            with self.cast.database.reading() as session:
                row = doctors.get_doctor(session, doctor)
                wish = checks.find_booking_request(session, row, getattr(self.cast, kind))
                facts = load_facts(session, get_clinic(session), [wish], DAY, DAY, now=NOW, viewer=viewer)[row.id]
            noon = NINE + timedelta(minutes=15 * QUARTERS)
            starts = [to_datetime(time.start) for time in free_times(facts) if to_datetime(time.start) < noon]
            wanted = [start * 15 for start in range(QUARTERS)]
            assert starts == [
                NINE + timedelta(minutes=start)
                for start in wanted
                if self.expected("alice", doctor, kind, start) is None
            ]

    def teardown(self) -> None:
        """At the end `docket check` finds only appointments that lie in later time off."""
        if not self.appointments:
            return
        problems = list(find_problems(self.cast.database, now=NOW))
        hit = {
            one["reference"]
            for one in self.appointments
            for doctor, low, high in self.off
            if one["status"] in OCCUPYING
            and one["doctor"] == doctor
            and minute_spans_meet(one["appointment"], (low, high))
        }
        assert {problem.split()[1] for problem in problems} == hit
        assert all("time_off" in problem for problem in problems)
        with self.cast.database.reading() as session:
            for one in self.appointments:
                assert queries.get_appointment(session, self.cast.carol, one["reference"]).status == one["status"]


def test_any_sequence_of_actions_agrees_with_the_model(cast: Cast) -> None:
    machine = type("ClinicOfThisTest", (Clinic,), {"cast": cast})
    bounds = settings(max_examples=12, stateful_step_count=25)
    run_state_machine_as_test(machine, settings=bounds)

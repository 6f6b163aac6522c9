"""Reading the board's day, on both databases: a constant number of queries for any number of doctors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier

import sqlalchemy as sa

from tests.appointment_rows import put
from tests.cast import Cast, local
from webapp import models
from webapp.appointments.messages.notification_lists import OpenCalls
from webapp.clinic.service import get_clinic
from webapp.staff.board import choices
from webapp.staff.board.days import BoardDay, build_board

DAY = date(2026, 3, 3)


def board_of(cast: Cast, day: date = DAY, *, now: str = "2026-03-02 08:00") -> BoardDay:
    with cast.database.reading() as session:
        return build_board(
            session, get_clinic(session), None, day, why_off=False, calls=OpenCalls({}, ()), now=local(now)
        )


def told(board: BoardDay) -> list[str]:
    """The first doctor's day in short."""
    return [f"{item.start} {item.kind} {item.name}".strip() for item in board.columns[0].column().items]


def test_appointments_hours_and_leave_of_all_doctors(cast: Cast) -> None:
    put(cast, "2026-03-03 10:00", before=10, after=5)
    put(cast, "2026-03-03 10:00", doctor="erin", patient="dave")
    off = {"starts_at": local("2026-03-02 22:00"), "ends_at": local("2026-03-03 09:30")}
    cast.add(models.TimeOff(doctor_id=cast.doctor_ids["bob"], reason="", **off))
    cast.add(models.ExtraHours(doctor_id=cast.doctor_ids["bob"], day=DAY, start_minute=17 * 60, end_minute=1050))
    board = board_of(cast)
    assert board.hours[0] == "09:00"
    assert board.hours[-1] == "17:00"
    assert told(board)[:4] == ["00:00 off", "09:30 free", "09:45 free", "10:00 appointment Alice Adams"]
    assert told(board)[-2:] == ["17:00 free", "17:15 free"]
    assert [item.name for item in board.columns[1].column().items if item.kind == "appointment"] == ["Dave Dunn"]


def test_an_appointment_before_midnight_takes_time_after_it(cast: Cast) -> None:
    cast.change(
        sa.update(models.WorkingHours).values(start_minute=0, end_minute=60).where(sa.text("start_minute = 540"))
    )
    cast.change(sa.update(models.OpeningHours).values(start_minute=0))
    put(cast, "2026-03-02 23:50", minutes=25)
    put(cast, "2026-03-03 12:00", patient="dave")
    board = board_of(cast)
    assert told(board)[:2] == ["00:15 free", "00:30 free"]


def test_on_the_days_when_the_clocks_change_every_start_is_an_hour_of_the_wall(cast: Cast) -> None:
    cast.change(sa.update(models.WorkingHours).values(weekday=6, start_minute=60, end_minute=300))
    cast.change(
        sa.update(models.OpeningHours).values(weekday=6, start_minute=0).where(models.OpeningHours.weekday == 0)
    )
    spring = board_of(cast, date(2026, 3, 29)).columns[0].column().items
    assert [item.start for item in spring if item.start.endswith(":00")] == ["01:00", "03:00", "04:00"]
    autumn = board_of(cast, date(2026, 10, 25)).columns[0].column().items
    assert [item.start for item in autumn].count("02:00") == 2


def test_the_number_of_queries_does_not_depend_on_the_number_of_doctors(cast: Cast) -> None:
    ran: list[str] = []
    sa.event.listen(cast.database.engine, "before_cursor_execute", lambda *values: ran.append(values[2]))
    board_of(cast)
    few = len(ran)
    for number in range(5):
        cast.add(models.Doctor(slug=f"new-{number}", name="Dr. New", specialty="Surgery", languages=[]))
    ran.clear()
    board = board_of(cast)
    assert len(board.away) == 5
    assert len(ran) <= few


def test_only_the_doctor_whose_appointments_changed_is_read_again(cast: Cast) -> None:
    put(cast, "2026-03-03 10:00")
    changed = put(cast, "2026-03-03 10:00", doctor="erin", patient="dave")
    before = {column.doctor.slug: column.taken for column in board_of(cast).columns}
    cast.change(sa.update(models.Appointment).values(desk_note="Ring first").where(models.Appointment.id == changed))
    after = {column.doctor.slug: column.taken for column in board_of(cast).columns}
    same = {slug: taken is before[slug] for slug, taken in after.items() if taken.appointments}
    assert list(same.values()) == [True, False]
    assert [[each.noted for each in taken.appointments] for taken in after.values()][:2] == [[False], [True]]


def test_columns_that_are_chosen_in_many_windows_at_one_instant_are_remembered(cast: Cast) -> None:
    together = Barrier(6)

    def choose(_window: int) -> None:
        together.wait()
        cast.database.write(choices.choose, cast.carol, slugs=["bob"])

    with ThreadPoolExecutor(6) as windows:
        list(windows.map(choose, range(6)))
    with cast.database.reading() as session:
        assert choices.get_choice(session, cast.carol).slugs == ("bob",)

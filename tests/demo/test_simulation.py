"""The simulated demo clinic: everything goes through the services, and breaks no rule."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.cast import assemble, local
from webapp.appointments import walk_ins
from webapp.database import Database
from webapp.demo.generate import make_demo
from webapp.demo.simulation import NoDemo, Simulation
from webapp.event_handlers import wired_database
from webapp.integrity.problems import find_problems


def waiting(database: Database, day: date = date(2026, 11, 23)) -> list[str]:
    """The walk-ins of a day who wait."""
    with database.reading() as session:
        return [each.patient_name for each in walk_ins.list_of_day(session, day) if each.status == "waiting"]


def test_the_day_moves_and_breaks_no_rule(sqlite_url: str) -> None:
    database = wired_database(sqlite_url)
    made = {"doctors": 12, "patients": 20, "months": 0, "seed": 1}
    make_demo(database, today=date(2026, 11, 23), now=local("2026-11-23 07:00"), progress=lambda *_done: None, **made)
    now = local("2026-11-23 10:00")
    moving = Simulation(database, lambda: now)
    assert moving.day() == date(2026, 11, 23)
    moving.let_walk_ins_come(2)
    assert len(waiting(database)) == 2
    said = []
    for _number in range(25):
        now += timedelta(minutes=5)
        said.append(moving.do_something())
    endings = {sentence.rpartition(" ")[2] for sentence in said if sentence}
    assert {"arrived.", "seen.", "time."} <= endings
    assert any("was taken in by" in sentence for sentence in said if sentence)
    # Fewer cancel than book, at any hour.
    ends = [sum(words in (sentence or "") for sentence in said) for words in (" cancelled.", " called and got ")]
    assert 4 * ends[0] <= ends[1]
    # No worker delivers what was announced.
    assert [each for each in find_problems(database, now=now) if not each.startswith("Message")] == []
    # In the evening it is the next day's turn.
    now = local("2026-11-23 23:00")
    assert moving.day() == date(2026, 11, 24)
    assert moving.do_something()
    moving.let_walk_ins_come(1)
    assert waiting(database, date(2026, 11, 24)) == []
    database.dispose()


def test_nothing_moves_in_a_real_clinic(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    assemble(database)
    with pytest.raises(NoDemo):
        Simulation(database, lambda: datetime.now(UTC))
    database.dispose()

"""`docket demo --live`: simulates a day in a demo clinic while a newcomer looks at it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

import click

from webapp.core.clock import utc_now

# This many patients wait without an appointment when a demo clinic is made during its hours.
WALK_INS = 3


def let_walk_ins_come(database: Any) -> None:
    """Let patients come without an appointment, if the demo clinic is open now."""
    from webapp.demo.simulation import Simulation

    Simulation(database, utc_now).let_walk_ins_come(WALK_INS)


def simulate_day(database: Any, pace: float) -> None:
    """Simulate an event every few seconds until Ctrl-C, and print it.

    Raises:
        NoDemo: the database is no demo clinic.
    """
    from webapp.demo.simulation import Simulation

    moving = Simulation(database, utc_now, seed=os.getpid())
    click.echo(f"Simulating the clinic's day: look at /board/{moving.day()} as the front desk (stop with Ctrl-C).")
    with suppress(KeyboardInterrupt):
        while True:
            said = moving.do_something() or "Nothing to do right now."
            click.echo(f"{utc_now().astimezone():%H:%M:%S} {said}")
            time.sleep(pace)

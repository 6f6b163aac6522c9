"""The time zone data of every process: those of the installed package, independent of the system's."""

from __future__ import annotations

import os
import subprocess
import sys
import zoneinfo
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEW = "from zoneinfo import ZoneInfo; from datetime import datetime"
ASK = "print(ZoneInfo('Europe/Amsterdam').utcoffset(datetime(2026, 7, 1)))"


@pytest.fixture
def false_system(tmp_path: Path) -> Path:
    """A system folder in which it is always Tokyo's time in Amsterdam."""
    false = tmp_path / "Europe" / "Amsterdam"
    false.parent.mkdir()
    false.write_bytes(files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes())
    return tmp_path


def answers(folder: Path, *steps: str) -> list[str]:
    """What one new Python prints that takes these steps, on a system with this data about time zones."""
    env = {**os.environ, "PYTHONTZPATH": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "\n".join((NEW, *steps))]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def test_the_data_of_the_package_goes_before_those_of_the_system(false_system: Path) -> None:
    # Python takes the system's data as long as nothing of Docket is imported. A zone that was read too early is read
    # again. Python runs the package before any of its modules, so this holds for each of them.
    assert answers(false_system, ASK, "import webapp", ASK) == ["9:00:00", "2:00:00"]


def test_no_module_goes_back_to_the_data_of_the_system(false_system: Path) -> None:
    # The races begin with a module outside the package. Babel and the calendar library ask zoneinfo, too.
    modules = ("bench.contest", "webapp.models", "webapp.worker", "webapp.cli", "webapp.main")
    steps = [step for module in modules for step in (f"import {module}", ASK)]
    babel = "from babel.dates import get_timezone; ZoneInfo = get_timezone"
    assert answers(false_system, *steps, babel, ASK) == ["2:00:00"] * (len(modules) + 1)


def test_the_tests_use_the_same_data() -> None:
    assert zoneinfo.TZPATH == ()

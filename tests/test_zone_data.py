"""Which data about time zones every process uses: that of the installed package, whatever the system has."""

from __future__ import annotations

import os
import subprocess
import sys
import zoneinfo
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHOW = "from zoneinfo import ZoneInfo; from datetime import datetime; print({zone}.utcoffset(datetime(2026, 7, 1)))"


@pytest.fixture
def false_system(tmp_path: Path) -> Path:
    """A system folder in which it is always Tokyo's time in Amsterdam."""
    false = tmp_path / "Europe" / "Amsterdam"
    false.parent.mkdir()
    false.write_bytes(files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("before", "zone", "offset"),
    [
        # Python takes the system's data as long as nothing of Docket is imported.
        ("pass", "ZoneInfo('Europe/Amsterdam')", "9:00:00"),
        ("import webapp.main", "ZoneInfo('Europe/Amsterdam')", "2:00:00"),
        ("import webapp.cli", "ZoneInfo('Europe/Amsterdam')", "2:00:00"),
        ("import webapp.worker", "ZoneInfo('Europe/Amsterdam')", "2:00:00"),
        ("import webapp.models", "ZoneInfo('Europe/Amsterdam')", "2:00:00"),
        ("import bench.contest", "ZoneInfo('Europe/Amsterdam')", "2:00:00"),
        # Babel and the calendar library ask zoneinfo, too.
        ("import webapp.main; from babel.dates import get_timezone", "get_timezone('Europe/Amsterdam')", "2:00:00"),
        # A zone that was read too early is read again.
        (
            "import zoneinfo; zoneinfo.ZoneInfo('Europe/Amsterdam'); import webapp.cli",
            "ZoneInfo('Europe/Amsterdam')",
            "2:00:00",
        ),
    ],
)
def test_the_data_of_the_package_goes_before_those_of_the_system(
    false_system: Path, before: str, zone: str, offset: str
) -> None:
    code = f"{before}; {SHOW.format(zone=zone)}"
    env = {**os.environ, "PYTHONTZPATH": str(false_system), "PYTHONPATH": str(ROOT)}
    answer = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == offset


def test_the_tests_use_the_same_data() -> None:
    assert zoneinfo.TZPATH == ()

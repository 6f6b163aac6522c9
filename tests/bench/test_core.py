"""The measurement of whole servers runs: each server answers each page, and its CPU time is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import core, data


def test_every_page_is_measured_beside_the_bare_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(data, "KEPT", tmp_path)
    arguments = ["--database", "sqlite", "--sizes", "tiny", "--rounds", "1", "--seconds", "0"]
    monkeypatch.setattr("sys.argv", ["bench.core", *arguments])

    assert core.main() == 0

    ratios, spent = capsys.readouterr().out.split("ms of CPU")
    for page, aim in core.AIMS.items():
        found = next(line.removeprefix(page).split() for line in ratios.splitlines() if line.startswith(page))
        assert float(found[0]) > 1
        assert found[1:] == [str(aim)]
        assert page in spent

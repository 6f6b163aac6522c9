"""What must not be in a log."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from webapp.core.logging import JsonFormatter, TextFormatter

ANSWER = "No email is taken now: 421 4.7.0 <alice@docket.example>: too many for alice@docket.example"


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_no_line_names_an_address(formatter: logging.Formatter) -> None:
    try:
        int("alice@docket.example at postgresql://docket:secret@db/docket")
    except ValueError:
        error = sys.exc_info()
    record = logging.LogRecord("webapp", logging.WARNING, __file__, 1, "%s (%d)", (ANSWER, 7), error)
    line = formatter.format(record)
    assert "alice" not in line
    assert "secret@" not in line
    assert "421 4.7.0 <…@…>: too many for …@… (7)" in line
    assert "test_no_line_names_an_address" in line, "Where it happened still stands there."


def test_a_log_record_is_one_line_of_json() -> None:
    record = logging.LogRecord("webapp", logging.INFO, __file__, 1, 'said "alice@docket.example"\nand more', (), None)
    assert json.loads(JsonFormatter().format(record))["message"] == 'said "…@…"\nand more'

"""Logging: one line per event, as text or as JSON, without secrets, health text or personal addresses."""

from __future__ import annotations

import json
import logging
import logging.config
import re
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from webapp.causes import request_id

# An e-mail address, or a name and a password before a host.
ADDRESS = re.compile(r"[^\s<>()\"']{1,254}@[^\s<>()\"']{1,254}")
# The part after PostgreSQL's DETAIL in an error starts with one of these.
AFTER_DETAIL = ("HINT:", "CONTEXT:", "QUERY:", "[SQL:", "(Background", "Traceback", "The above", "During handling")


class TextFormatter(logging.Formatter):
    """Lines for people. The DETAIL of PostgreSQL's errors is left out: it holds the contents of rows.

    E-mail addresses are left out everywhere: a mail server that refuses a message names its recipient.
    """

    def format(self, record: logging.LogRecord) -> str:
        # Another handler may have left its own text of the error, with everything in it.
        record.exc_text = None
        number = request_id()
        cause = getattr(record, "request", {}).get("cause", "")
        record.__dict__["of_request"] = f"{f' [{number}]' if number else ''}{f' {cause}' if cause else ''}"
        return without_addresses(super().format(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - Python's name.
        """The local time with its offset from UTC, because machines and their operators are in different zones."""
        second, offset = _local_second(int(record.created))
        return f"{second}.{int(record.msecs):03d}{offset}"

    def formatException(self, ei: Any) -> str:  # noqa: N802 - Python's name.
        return without_details(super().formatException(ei))


@lru_cache(2)
def _local_second(second: int) -> tuple[str, str]:
    """A second of the local clock, and its offset: '2026-12-01T09:30:00' and '+01:00'."""
    text = datetime.fromtimestamp(second).astimezone().isoformat()
    return text[:19], text[19:]


def without_addresses(text: str) -> str:
    """The text with a placeholder for each e-mail address."""
    # Most lines have no address, and searching for one takes a multiple of the rest.
    return ADDRESS.sub("…@…", text) if "@" in text else text


def without_details(text: str) -> str:
    """A traceback without its DETAIL lines; a detail has several lines where the row's text has."""
    kept: list[str] = []
    in_detail = False
    for line in text.splitlines():
        words = line.lstrip(" |")
        in_detail = words.startswith("DETAIL:") or (in_detail and not words.startswith(AFTER_DETAIL))
        if not in_detail:
            kept.append(line)
    return "\n".join(kept)


class JsonFormatter(TextFormatter):
    """One JSON object per line, for programs that collect logs."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": without_addresses(record.getMessage()),
        }
        if number := request_id():
            entry["request_id"] = number
        entry |= getattr(record, "request", {})
        if record.exc_info:
            entry["exception"] = without_addresses(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def configure_logging(form: Literal["text", "json"]) -> None:
    """Send everything from INFO upwards to standard error. SQL is never logged, because it holds health text."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "text": {
                    "()": TextFormatter,
                    "fmt": "%(asctime)s %(levelname)-7s %(name)s: %(message)s%(of_request)s",
                },
                "json": {"()": JsonFormatter},
            },
            "filters": {"sparingly": {"()": "webapp.causes.OncePerMinuteFilter"}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form, "filters": ["sparingly"]}},
            "root": {"level": "INFO", "handlers": ["stderr"]},
            "loggers": {
                "alembic": {"level": "WARNING"},
                # Its lines hold the gateway's whole address, which may contain a secret.
                "httpx2": {"level": "WARNING"},
                # uvicorn's access lines hold whole addresses, which may contain secrets; its errors are kept.
                "uvicorn.access": {"level": "WARNING", "propagate": True},
            },
        }
    )

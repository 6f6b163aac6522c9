"""Logging: one line an event, as text or as JSON, without secrets or health text."""

from __future__ import annotations

import json
import logging
import logging.config
from typing import Literal


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines that collect logs."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure_logging(form: Literal["text", "json"]) -> None:
    """Send everything from INFO upwards to standard error; SQL is never logged, for it carries health text."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "text": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
                "json": {"()": JsonFormatter},
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form}},
            "root": {"level": "INFO", "handlers": ["stderr"]},
            "loggers": {
                "alembic": {"level": "WARNING"},
                # uvicorn's access lines hold whole addresses, and those may hold secrets; errors it keeps.
                "uvicorn.access": {"level": "WARNING", "propagate": True},
            },
        }
    )

"""Events as a handler hears them that the tests wire after those of the application."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from webapp.database import Database
from webapp.event_handlers import HANDLERS
from webapp.events.kinds import EVENTS, Event
from webapp.events.publishing import Subscription, on, session_info


def wire(database: Database, patch: pytest.MonkeyPatch, *subscriptions: Subscription) -> None:
    """Let these handlers hear, too, until the end of the test."""
    patch.setattr(database, "session_info", session_info(HANDLERS.followed_by(*subscriptions)))


def record_events(database: Database, patch: pytest.MonkeyPatch) -> list[Event]:
    """The list to which every event is added that is published from now on, undone ones included."""
    heard: list[Event] = []

    def record(_session: Session, event: Event, /, *, now: datetime) -> None:
        heard.append(event)

    wire(database, patch, *(on(kind, record) for kind in EVENTS))
    return heard
